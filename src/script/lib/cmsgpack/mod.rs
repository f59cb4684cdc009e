//! `cmsgpack`: MessagePack for scripts, with the semantics of lua-cmsgpack 0.4 as Redis ships it.
//!
//! [`pack`](mod@pack) writes, [`unpack`] reads; here are the functions scripts see.

mod pack;
pub mod unpack;

use crate::script::lib::cjson::whole;
use crate::script::lua::{Kind, Lua, NativeFn, Raise};
use unpack::{UnpackError, Unpacker};

const FUNCTIONS: &[(&str, NativeFn)] = &[
    ("pack", pack::pack),
    ("unpack", |l| unpack_some(l, 0, 0)),
    ("unpack_one", unpack_one),
    ("unpack_limit", unpack_limit),
];

const ABOUT: &[(&str, &str)] = &[
    ("_NAME", "cmsgpack"),
    ("_VERSION", "lua-cmsgpack 0.4.0"),
    ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
    ("_DESCRIPTION", "MessagePack C implementation for Lua"),
];

/// Pushes the library's table.
pub fn install(lua: &mut Lua<'_>) {
    lua.new_table(0, FUNCTIONS.len() + ABOUT.len());
    for (name, f) in FUNCTIONS {
        lua.push_fn(*f);
        lua.set_field(-2, name);
    }
    for (name, text) in ABOUT {
        lua.push_bytes(text.as_bytes());
        lua.set_field(-2, name);
    }
}

/// Argument `i` as a C int, `default` when it is not given.
fn integer(lua: &Lua<'_>, i: usize, default: i32) -> Result<i32, Raise> {
    if matches!(lua.kind(i as i32), Kind::None | Kind::Nil) {
        return Ok(default);
    }
    lua.check_number(i).map(|n| whole(n) as i32)
}

/// `cmsgpack.unpack_one(bytes, offset)`: where the next value begins (-1: nowhere), then one value.
fn unpack_one(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let offset = integer(lua, 2, 0)?;
    unpack_some(lua, 1, offset)
}

/// `cmsgpack.unpack_limit(bytes, limit, offset)`: where the next value begins, then up to `limit` values.
fn unpack_limit(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let limit = whole(lua.check_number(2)?) as i32;
    let offset = integer(lua, 3, 0)?;
    unpack_some(lua, limit, offset)
}

/// Unpacks up to `limit` values from `offset` on, all of them (and no offset answered) when both are 0.
fn unpack_some(lua: &mut Lua<'_>, limit: i32, offset: i32) -> Result<usize, Raise> {
    let bytes = lua.check_bytes(1)?;
    let len = bytes.len();
    let (Ok(from), Ok(most)) = (usize::try_from(offset), usize::try_from(limit)) else {
        return Err(Raise::text(format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    };
    if from > len {
        return Err(Raise::text(format!(
            "Start offset {from} greater than input length {len}."
        )));
    }
    let all = most == 0 && from == 0;
    let mut unpacker = Unpacker::new(bytes, from);
    let mut n = 0;
    while (all || n < most) && !unpacker.is_at_end() {
        if let Err(e) = unpacker.value(lua) {
            return Err(raise(lua, e));
        }
        n += 1;
    }
    if all {
        return Ok(n);
    }
    if !lua.reserve(1) {
        return Err(raise(lua, UnpackError::Stack("in function mp_unpack_full")));
    }
    lua.push_number(if unpacker.is_at_end() {
        -1.0
    } else {
        unpacker.offset() as f64
    });
    lua.insert(-1 - n as i32);
    Ok(n + 1)
}

/// The error as the script sees it: what Lua itself complains about has no position.
fn raise(lua: &mut Lua<'_>, e: UnpackError) -> Raise {
    if !matches!(e, UnpackError::Index(_)) {
        return Raise::text(e.to_string());
    }
    // What was built so far is dropped, so there is room for the text.
    let built = lua.top() - lua.nargs();
    lua.pop(built);
    lua.push_bytes(e.to_string().as_bytes());
    Raise::Top
}
