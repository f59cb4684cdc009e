//! Values to MessagePack. Each number and length in its shortest form; a double that a float holds exactly is a float, one that
//! is a whole number of 64 bits an integer.
//!
//! Tables nested deeper than [`MAX_NESTING`] become nil, so a table that contains itself ends; so does what MessagePack has no
//! form for (functions, userdata, coroutines).

use crate::script::lib::cjson::whole;
use crate::script::lua::{Kind, Lua, Raise};

/// Levels of tables that are written.
const MAX_NESTING: usize = 16;

/// `cmsgpack.pack(...)`: all arguments, one after the other, in one string.
pub fn pack(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let n = lua.nargs();
    if n == 0 {
        return Err(Raise::Arg(0, "MessagePack pack needs input.".into()));
    }
    if !lua.reserve(n) {
        return Err(Raise::Arg(
            0,
            "Too many arguments for MessagePack pack.".into(),
        ));
    }
    let mut out = Vec::new();
    for i in 1..=n {
        lua.push_value(i as i32);
        value(lua, 0, &mut out)?;
        lua.pop(1);
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// Appends the value on top of the stack, which stays there. The recursion is bounded by [`MAX_NESTING`].
fn value(lua: &mut Lua<'_>, level: usize, out: &mut Vec<u8>) -> Result<(), Raise> {
    match lua.kind(-1) {
        Kind::String => string(lua.bytes(-1).unwrap_or_default(), out),
        Kind::Boolean => out.push(if lua.truth(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => number(lua.number(-1).unwrap_or_default(), out),
        Kind::Table if level < MAX_NESTING => {
            if !lua.reserve(4) {
                return Err(Raise::text(
                    "stack overflow (in function table_is_an_array)",
                ));
            }
            match shape(lua) {
                Shape::Array(n) => array(lua, n, level, out)?,
                Shape::Map(n) => map(lua, n, level, out)?,
            }
        }
        _ => out.push(0xc0),
    }
    Ok(())
}

enum Shape {
    /// Keys 1 to n, all there.
    Array(usize),
    /// Anything else, with n members.
    Map(usize),
}

/// What the table on top is.
fn shape(lua: &mut Lua<'_>) -> Shape {
    let (mut most, mut count, mut array) = (0, 0, true);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        count += 1;
        match lua.number(-1).map(integer_of) {
            Some(Some(k)) if k > 0 => most = most.max(k),
            _ => array = false,
        }
    }
    if array && most == count as i64 {
        Shape::Array(count)
    } else {
        Shape::Map(count)
    }
}

fn array(lua: &mut Lua<'_>, n: usize, level: usize, out: &mut Vec<u8>) -> Result<(), Raise> {
    head(n, 0x90, 16, [0xdc, 0xdd], out);
    for i in 1..=n {
        lua.raw_get_i(-1, i as i32);
        value(lua, level + 1, out)?;
        lua.pop(1);
    }
    Ok(())
}

fn map(lua: &mut Lua<'_>, n: usize, level: usize, out: &mut Vec<u8>) -> Result<(), Raise> {
    head(n, 0x80, 16, [0xde, 0xdf], out);
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        value(lua, level + 1, out)?;
        lua.pop(1);
        value(lua, level + 1, out)?;
        lua.pop(1);
    }
    Ok(())
}

/// The head of an array or map of `n`: in one byte below `small`, else with a length of 16 or 32 bits.
fn head(n: usize, one_byte: u8, small: usize, [of_16, of_32]: [u8; 2], out: &mut Vec<u8>) {
    if n < small {
        out.push(one_byte | n as u8);
    } else if let Ok(n) = u16::try_from(n) {
        out.push(of_16);
        out.extend_from_slice(&n.to_be_bytes());
    } else {
        out.push(of_32);
        out.extend_from_slice(&(n as u32).to_be_bytes());
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(n) if n >= 32 => out.extend_from_slice(&[0xd9, n]),
        _ => head(text.len(), 0xa0, 32, [0xda, 0xdb], out),
    }
    out.extend_from_slice(text);
}

/// The 64-bit integer equal to `value`, if there is one.
fn integer_of(value: f64) -> Option<i64> {
    let n = whole(value);
    (n as f64 == value).then_some(n)
}

fn number(value: f64, out: &mut Vec<u8>) {
    if let Some(n) = integer_of(value) {
        integer(n, out);
    } else if f64::from(value as f32) == value {
        out.push(0xca);
        out.extend_from_slice(&(value as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn integer(n: i64, out: &mut Vec<u8>) {
    /// The head and the last `bytes` bytes of `n`.
    fn sized(head: u8, n: i64, bytes: usize, out: &mut Vec<u8>) {
        out.push(head);
        out.extend_from_slice(&n.to_be_bytes()[8 - bytes..]);
    }
    match n {
        -32..=127 => out.push(n as u8),
        128..=0xff => sized(0xcc, n, 1, out),
        0x100..=0xffff => sized(0xcd, n, 2, out),
        0x1_0000..=0xffff_ffff => sized(0xce, n, 4, out),
        0x1_0000_0000.. => sized(0xcf, n, 8, out),
        -0x80..=-33 => sized(0xd0, n, 1, out),
        -0x8000..=-0x81 => sized(0xd1, n, 2, out),
        -0x8000_0000..=-0x8001 => sized(0xd2, n, 4, out),
        _ => sized(0xd3, n, 8, out),
    }
}
