//! The libraries scripts find beside Lua's own: `cjson`, `cmsgpack`, `struct`, `bit`. Safe code over [`super::lua::Lua`].
//!
//! Each has `pub fn install(lua: &mut Lua<'_>)`, which leaves its table on top of the stack (the engine names and protects
//! it). What reads foreign bytes speaks to the trait in [`build`], so it runs without Lua in tests, fuzz targets and Miri.
//! What a real server answers to some ten thousand calls is recorded in `tests/data/lua` and replayed by `replay`; new
//! functions get their lines in `record.py` there.

pub mod bit;
pub mod build;
pub mod cjson;
pub mod cmsgpack;
pub mod number;
mod replay;
pub mod structs;

use super::lua::Lua;
use std::ffi::CStr;

/// What installs a library: pushes its table.
pub type Install = fn(&mut Lua<'_>);

/// Every library with the global it is found under.
pub const ALL: [(&CStr, Install); 4] = [
    (c"cjson", cjson::install),
    (c"cmsgpack", cmsgpack::install),
    (c"struct", structs::install),
    (c"bit", bit::install),
];
