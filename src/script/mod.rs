//! Scripts and functions: Lua 5.1 with the server at hand.
//!
//! `lua` is the only file that touches the Lua C API for the libraries; everything else speaks to it through [`lua::Lua`].
#![allow(unsafe_code)] // Lifted for `lua.rs` and `loan.rs` only; `tests/tidy.rs` names them.

pub mod lib;
pub mod lua;
pub mod number;
