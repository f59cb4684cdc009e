//! Values of Lua and replies of commands as the debugger prints them.

use super::stack;
use crate::config::parse::quote;
use crate::ds::numtext::parse_i64;
use crate::script::lua::{Kind, Lua};

/// Tables in tables beyond this are not looked at: one may hold itself.
const DEEPEST: usize = 10;

/// The value in slot `i`.
pub fn value(lua: &mut Lua<'_>, i: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let i = lua.absolute(i);
    write(lua, i, 0, &mut out);
    out
}

fn write(lua: &mut Lua<'_>, i: i32, depth: usize, out: &mut Vec<u8>) {
    if depth == DEEPEST || !lua.reserve(4) {
        return out.extend_from_slice(b"<max recursion level reached! Nested table?>");
    }
    let named = match lua.kind(i) {
        Kind::None | Kind::Nil => return out.extend_from_slice(b"nil"),
        Kind::Boolean if lua.truth(i) => return out.extend_from_slice(b"true"),
        Kind::Boolean => return out.extend_from_slice(b"false"),
        Kind::Number => return number(lua.number(i).unwrap_or(0.0), out),
        Kind::String => return out.extend(quote(lua.bytes(i).unwrap_or_default())),
        Kind::Table => return table(lua, i, depth, out),
        Kind::Function => "function",
        Kind::Thread => "thread",
        Kind::UserData | Kind::Light => "userdata",
    };
    let at = stack::address(lua, i);
    out.extend_from_slice(format!("\"{named}@{at:#x}\"").as_bytes());
}

fn number(n: f64, out: &mut Vec<u8>) {
    match crate::ds::dtoa::whole_number(n) {
        Some(whole) => out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
        None => {
            let mut buf = [0; crate::ds::dtoa::F64_TEXT_MAX];
            out.extend_from_slice(crate::ds::dtoa::write_f64(n, &mut buf));
        }
    }
}

/// `{v; v}` where the keys are 1 to n in this order, else `{[k]=v; [k]=v}`.
fn table(lua: &mut Lua<'_>, t: i32, depth: usize, out: &mut Vec<u8>) {
    let mut keys = 0;
    let mut list = true;
    lua.push_nil();
    while lua.next(t) {
        keys += 1;
        list &= lua.kind(-2) == Kind::Number && lua.number(-2) == Some(f64::from(keys));
        lua.pop(1);
    }
    out.push(b'{');
    let mut first = true;
    lua.push_nil();
    while lua.next(t) {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(b"; ");
        }
        let v = lua.absolute(-1);
        if !list {
            out.push(b'[');
            write(lua, v - 1, depth + 1, out);
            out.extend_from_slice(b"]=");
        }
        write(lua, v, depth + 1, out);
        lua.pop(1);
    }
    out.push(b'}');
}

/// A reply's bytes.
pub fn reply(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = element(bytes, &mut out);
    out
}

/// Writes one reply; gives what follows it, nothing where the bytes end too early.
fn element<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\r', bytes)?;
    let (line, mut rest) = (&bytes[..end], bytes.get(end + 2..)?);
    let (kind, text) = line.split_first()?;
    let n = usize::try_from(parse_i64(text).unwrap_or(-1)).ok();
    let (open, close, pairs) = match (kind, n) {
        (b'$' | b'*', None) => {
            out.extend_from_slice(b"NULL");
            return Some(rest);
        }
        (b'$' | b'=', Some(n)) => {
            out.extend(quote(rest.get(..n)?));
            return rest.get(n + 2..);
        }
        (b'+' | b'-', _) => {
            out.extend(quote(line));
            return Some(rest);
        }
        (b'_', _) => {
            out.extend_from_slice(b"(null)");
            return Some(rest);
        }
        (b'#', _) => {
            let word: &[u8] = if text == b"t" { b"#true" } else { b"#false" };
            out.extend_from_slice(word);
            return Some(rest);
        }
        (b'*', Some(_)) => ("[", "]", false),
        (b'~', Some(_)) => ("~(", ")", false),
        (b'%', Some(_)) => ("{", "}", true),
        _ => {
            out.extend_from_slice(text);
            return Some(rest);
        }
    };
    out.extend_from_slice(open.as_bytes());
    for i in 0..n? {
        if i > 0 {
            out.push(b',');
        }
        rest = element(rest, out)?;
        if pairs {
            out.extend_from_slice(b" => ");
            rest = element(rest, out)?;
        }
    }
    out.extend_from_slice(close.as_bytes());
    Some(rest)
}

#[cfg(test)]
mod tests {
    #[test]
    fn replies_as_8_2_3_shows_them() {
        for (bytes, shown) in [
            (&b":3\r\n"[..], "3"),
            (b"+OK\r\n", "\"+OK\""),
            (b"-ERR bad\r\n", "\"-ERR bad\""),
            (b"$-1\r\n", "NULL"),
            (b"$3\r\na\nb\r\n", "\"a\\nb\""),
            (b"*3\r\n$1\r\n3\r\n$1\r\n2\r\n:1\r\n", "[\"3\",\"2\",1]"),
            (b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n", "{\"f\" => \"v\"}"),
            (b"*2\r\n*0\r\n", "[[],"),
        ] {
            assert_eq!(String::from_utf8_lossy(&super::reply(bytes)), shown);
        }
    }
}
