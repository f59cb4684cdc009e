//! `cjson`: JSON for scripts, with the semantics of lua-cjson 2.1 as Redis ships it.
//!
//! [`decode`] and [`encode`] do the work, [`config`] the settings; here are the functions scripts see. Settings made by one
//! script stay for the next, as upstream: the table lives as long as the Lua state.
//!
//! Compat: `encode_keep_buffer` is accepted and answered, but no buffer is kept between calls.

mod config;
pub mod decode;
mod encode;

use crate::script::lua::{Lua, NativeFn, Raise};
use config::Config;
pub(super) use config::whole;
use decode::{DecodeOptions, decode};

const FUNCTIONS: &[(&str, NativeFn)] = &[
    ("encode", encode_value),
    ("decode", decode_text),
    ("encode_sparse_array", config::encode_sparse_array),
    ("encode_max_depth", config::encode_max_depth),
    ("decode_max_depth", config::decode_max_depth),
    ("encode_number_precision", config::encode_number_precision),
    ("encode_keep_buffer", config::encode_keep_buffer),
    ("encode_invalid_numbers", config::encode_invalid_numbers),
    ("decode_invalid_numbers", config::decode_invalid_numbers),
    ("new", new),
];

/// Pushes the library's table, with default settings.
pub fn install(lua: &mut Lua<'_>) {
    lua.new_table(0, FUNCTIONS.len() + 3);
    lua.push_cell(Config::default());
    for (name, f) in FUNCTIONS {
        lua.push_value(-1);
        lua.push_closure(*f, 1);
        lua.set_field(-3, name);
    }
    lua.pop(1);
    lua.push_null_pointer();
    lua.set_field(-2, "null");
    lua.push_bytes(b"cjson");
    lua.set_field(-2, "_NAME");
    lua.push_bytes(b"2.1.0");
    lua.set_field(-2, "_VERSION");
}

fn new(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    install(lua);
    Ok(1)
}

fn one_argument(lua: &Lua<'_>) -> Result<(), Raise> {
    match lua.nargs() {
        1 => Ok(()),
        _ => Err(Raise::Arg(1, "expected 1 argument".into())),
    }
}

fn encode_value(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_argument(lua)?;
    let config = config::of(lua);
    let mut out = Vec::new();
    lua.push_value(1);
    encode::encode(lua, &config, &mut out).map_err(|e| Raise::text(e.to_string()))?;
    lua.push_bytes(&out);
    Ok(1)
}

fn decode_text(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_argument(lua)?;
    let config = config::of(lua);
    let text = lua.check_bytes(1)?;
    let options = DecodeOptions {
        max_depth: config.decode_max_depth as usize,
        invalid_numbers: config.decode_invalid,
    };
    decode(text, options, lua).map_err(|e| Raise::text(e.to_string()))?;
    Ok(1)
}
