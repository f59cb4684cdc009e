//! Values to JSON text, without recursion: a table that contains itself ends at `encode_max_depth`, or at the script's stack.
//!
//! A table whose keys are all positive whole numbers is an array up to its greatest key, missing elements null, unless it is
//! too sparse; any other table, and the empty one, is an object in the order of Lua's own walk.

use super::config::{Config, InvalidNumbers};
use crate::script::lib::number::write_general;
use crate::script::lua::{Kind, Lua};
use std::fmt;

/// Why a value is not encoded. Its Display is what the script is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A value (named by its type) that JSON has no word for, and why.
    Unfit(&'static str, &'static str),
    /// Deeper than `encode_max_depth` or the script's stack.
    Nesting(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Unfit(kind, why) => write!(f, "Cannot serialise {kind}: {why}"),
            EncodeError::Nesting(depth) => {
                write!(f, "Cannot serialise, excessive nesting ({depth})")
            }
        }
    }
}

/// An open array or object; its table is on the stack.
enum Frame {
    /// Next index, greatest index.
    Array(i32, i32),
    /// The last key is on the stack, above the table. True before the first member.
    Object(bool),
}

/// Appends the text of the value on top of the stack, which stays there.
pub fn encode(lua: &mut Lua<'_>, config: &Config, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut frames: Vec<Frame> = Vec::new();
    loop {
        if lua.kind(-1) == Kind::Table {
            open(lua, config, &mut frames, out)?;
        } else {
            scalar(lua, config, out)?;
            if frames.is_empty() {
                return Ok(());
            }
            lua.pop(1);
        }
        // The table of the innermost frame (or its last key) is on top: go to its next value.
        loop {
            let more = match frames.last_mut() {
                Some(Frame::Array(next, last)) => element(lua, next, *last, out),
                Some(Frame::Object(first)) => member(lua, config, first, out)?,
                None => return Ok(()),
            };
            if more {
                break;
            }
            frames.pop();
            if frames.is_empty() {
                return Ok(());
            }
            lua.pop(1);
        }
    }
}

/// Opens the table on top.
fn open(
    lua: &mut Lua<'_>,
    config: &Config,
    frames: &mut Vec<Frame>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let depth = frames.len() + 1;
    if depth > config.encode_max_depth as usize || !lua.reserve(3) {
        return Err(EncodeError::Nesting(depth));
    }
    let length = array_length(lua, config)?;
    if length > 0 {
        out.push(b'[');
        frames.push(Frame::Array(1, length));
    } else {
        out.push(b'{');
        frames.push(Frame::Object(true));
        lua.push_nil();
    }
    Ok(())
}

/// The greatest index of the table on top if it is an array, at most 0 otherwise.
fn array_length(lua: &mut Lua<'_>, config: &Config) -> Result<i32, EncodeError> {
    let (mut most, mut items) = (0i32, 0i32);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        let key = lua.number(-1).filter(|k| *k >= 1.0 && k.floor() == *k);
        let Some(key) = key else {
            lua.pop(1);
            return Ok(-1);
        };
        if key > f64::from(most) {
            // A key beyond 32 bits wraps to the smallest number, so the table becomes an object.
            most = if key <= f64::from(i32::MAX) {
                key as i32
            } else {
                i32::MIN
            };
        }
        items = items.wrapping_add(1);
    }
    let ratio = config.sparse_ratio;
    if ratio > 0 && most > items.wrapping_mul(ratio) && most > config.sparse_safe {
        if !config.sparse_convert {
            return Err(EncodeError::Unfit("table", "excessively sparse array"));
        }
        return Ok(-1);
    }
    Ok(most)
}

/// Pushes the next element, or closes the array (false).
fn element(lua: &mut Lua<'_>, next: &mut i32, last: i32, out: &mut Vec<u8>) -> bool {
    if *next == 0 || *next > last {
        out.push(b']');
        return false;
    }
    if *next > 1 {
        out.push(b',');
    }
    lua.raw_get_i(-1, *next);
    // 0 once the greatest index there is was passed.
    *next = next.checked_add(1).unwrap_or(0);
    true
}

/// Goes from the key on top to the next one, writes it and pushes its value, or closes the object (false).
fn member(
    lua: &mut Lua<'_>,
    config: &Config,
    first: &mut bool,
    out: &mut Vec<u8>,
) -> Result<bool, EncodeError> {
    if !lua.next(-2) {
        out.push(b'}');
        return Ok(false);
    }
    if !*first {
        out.push(b',');
    }
    *first = false;
    if let Some(key) = lua.bytes(-2) {
        string(key, out);
    } else if let Some(key) = lua.number(-2) {
        out.push(b'"');
        number(key, config, out)?;
        out.push(b'"');
    } else {
        return Err(EncodeError::Unfit(
            lua.kind(-2).name(),
            "table key must be a number or string",
        ));
    }
    out.push(b':');
    Ok(true)
}

/// Appends the value on top, which is no table.
fn scalar(lua: &Lua<'_>, config: &Config, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match lua.kind(-1) {
        Kind::String => string(lua.bytes(-1).unwrap_or_default(), out),
        Kind::Number => number(lua.number(-1).unwrap_or_default(), config, out)?,
        Kind::Boolean => out.extend_from_slice(if lua.truth(-1) { b"true" } else { b"false" }),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::Light if lua.is_null_pointer(-1) => out.extend_from_slice(b"null"),
        other => return Err(EncodeError::Unfit(other.name(), "type not supported")),
    }
    Ok(())
}

fn number(value: f64, config: &Config, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !value.is_finite() {
        match config.encode_invalid {
            InvalidNumbers::Refuse => {
                return Err(EncodeError::Unfit("number", "must not be NaN or Inf"));
            }
            InvalidNumbers::Null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            InvalidNumbers::Write if value.is_nan() => {
                out.extend_from_slice(b"nan");
                return Ok(());
            }
            InvalidNumbers::Write => {}
        }
    }
    write_general(value, config.precision as usize, out);
    Ok(())
}

/// How each byte is written: 0 as it is, else the letter after the backslash (`u` for `\u00XX`).
const ESCAPES: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 32 {
        t[i] = b'u';
        i += 1;
    }
    t[127] = b'u';
    t[8] = b'b';
    t[b'\t' as usize] = b't';
    t[b'\n' as usize] = b'n';
    t[12] = b'f';
    t[b'\r' as usize] = b'r';
    t[b'"' as usize] = b'"';
    t[b'\\' as usize] = b'\\';
    t[b'/' as usize] = b'/';
    t
};

/// Appends a string with its quotes.
fn string(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(n) = rest.iter().position(|c| ESCAPES[*c as usize] != 0) {
        out.extend_from_slice(&rest[..n]);
        let c = rest[n];
        match ESCAPES[c as usize] {
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(c >> 4)]);
                out.push(HEX[usize::from(c & 15)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[n + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
