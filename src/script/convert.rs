//! Replies become Lua values, and Lua values replies.
//!
//! A command run by a script writes its reply as for any client; [`push_reply`] walks the bytes once and builds the value
//! straight from them. What a script returns goes the other way ([`write_result`]). Both follow upstream's tables:
//!
//! | RESP | Lua | | Lua | RESP |
//! |--|--|--|--|--|
//! | `:` integer | number | | number | integer, cut off |
//! | `$` bulk | string | | string | bulk |
//! | `$-1`, `*-1` (RESP2) | false | | true, false | 1, null (RESP2); bool (after `setresp(3)`) |
//! | `+` status | `{ok=}` | | `{ok=}` | status |
//! | `-` error | `{err=, ignore_error_stats_update=true}` | | `{err=}` | error |
//! | `*` array | table | | table | array up to the first nil |
//! | `%`, `~` | `{map=}`, `{set=}` | | the same | map, set |
//! | `,` `(` `=` | `{double=}`, `{big_number=}`, `{verbatim_string={format=,string=}}` | | the same | the same |
//! | `_`, `#` | nil, boolean | | everything else | null |

use super::lua::{Kind, Lua};
use crate::resp::{Reply, before_nul};
use std::ffi::c_int;

/// What kind of reply was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// An error table.
    Error,
    /// Anything else.
    Value,
}

/// Walks a reply.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// The kind and the rest of the next line.
    #[inline]
    fn line(&mut self) -> Option<(u8, &'a [u8])> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(b'\r', rest)?;
        self.at += end + 2;
        let (kind, text) = rest[..end].split_first()?;
        Some((*kind, text))
    }

    #[inline]
    fn bulk(&mut self, len: i64) -> Option<&'a [u8]> {
        let text = self
            .bytes
            .get(self.at..)?
            .get(..usize::try_from(len).ok()?)?;
        self.at += text.len() + 2;
        Some(text)
    }
}

#[inline]
fn int(text: &[u8]) -> Option<i64> {
    crate::ds::numtext::parse_i64(text)
}

/// Pushes the value of a whole reply. Bytes that are no reply (there are none but by a bug) push nil.
pub fn push_reply(lua: &mut Lua<'_>, bytes: &[u8]) -> Pushed {
    let top = lua.top();
    let error = bytes.first() == Some(&b'-');
    if push(lua, &mut Walk { bytes, at: 0 }).is_none() {
        debug_assert!(false, "no reply: {:?}", bytes.escape_ascii().to_string());
        lua.pop(lua.top() - top);
        lua.push_nil();
    }
    if error { Pushed::Error } else { Pushed::Value }
}

fn push(lua: &mut Lua<'_>, walk: &mut Walk<'_>) -> Option<()> {
    let (kind, text) = walk.line()?;
    match kind {
        b':' => lua.push_number(int(text)? as f64),
        b'$' => match int(text)? {
            -1 => lua.push_bool(false),
            len => lua.push_bytes(walk.bulk(len)?),
        },
        b'+' => push_field(lua, "ok", |lua| lua.push_bytes(text)),
        b'-' => push_error(lua, text, true),
        b'*' | b'>' => match int(text)? {
            -1 => lua.push_bool(false),
            n => push_array(lua, walk, n)?,
        },
        b'_' => lua.push_nil(),
        b'#' => lua.push_bool(text == b"t"),
        b',' => {
            let value = double(text);
            push_field(lua, "double", |lua| lua.push_number(value));
        }
        b'(' => push_field(lua, "big_number", |lua| lua.push_bytes(text)),
        b'=' => push_verbatim(lua, walk.bulk(int(text)?)?),
        b'%' => push_pairs(lua, walk, "map", int(text)?)?,
        b'~' => push_pairs(lua, walk, "set", int(text)?)?,
        b'|' => {
            // Attributes are for clients; what they stand before is the value.
            for _ in 0..2 * int(text)? {
                push(lua, walk)?;
                lua.pop(1);
            }
            push(lua, walk)?;
        }
        _ => return None,
    }
    Some(())
}

fn double(text: &[u8]) -> f64 {
    match text {
        b"inf" => f64::INFINITY,
        b"-inf" => f64::NEG_INFINITY,
        b"nan" | b"-nan" => f64::NAN,
        _ => crate::ds::numtext::parse_f64(text).unwrap_or(0.0),
    }
}

fn push_field(lua: &mut Lua<'_>, name: &str, value: impl FnOnce(&mut Lua<'_>)) {
    lua.new_table(0, 1);
    value(lua);
    lua.set_field(-2, name);
}

/// Pushes an error table. `counted`: INFO's error statistics have it already.
pub fn push_error(lua: &mut Lua<'_>, text: &[u8], counted: bool) {
    lua.new_table(0, 4);
    lua.push_bytes(text);
    lua.set_field(-2, "err");
    if counted {
        lua.push_bool(true);
        lua.set_field(-2, "ignore_error_stats_update");
    }
}

fn push_array(lua: &mut Lua<'_>, walk: &mut Walk<'_>, n: i64) -> Option<()> {
    lua.new_table(usize::try_from(n).ok()?, 0);
    for i in 1..=n {
        push(lua, walk)?;
        lua.raw_set_i(-2, c_int::try_from(i).ok()?);
    }
    Some(())
}

/// A map, or a set as a table of trues. Null keys, which Lua cannot hold, are left out.
fn push_pairs(lua: &mut Lua<'_>, walk: &mut Walk<'_>, name: &str, n: i64) -> Option<()> {
    lua.new_table(0, 1);
    lua.new_table(0, usize::try_from(n).ok()?);
    for _ in 0..n {
        push(lua, walk)?;
        if name == "map" {
            push(lua, walk)?;
        } else {
            lua.push_bool(true);
        }
        lua.raw_set(-3);
    }
    lua.set_field(-2, name);
    Some(())
}

fn push_verbatim(lua: &mut Lua<'_>, text: &[u8]) {
    push_field(lua, "verbatim_string", |lua| {
        lua.new_table(0, 2);
        lua.push_bytes(text.get(4..).unwrap_or_default());
        lua.set_field(-2, "string");
        lua.push_bytes(text.get(..3).unwrap_or_default());
        lua.set_field(-2, "format");
    });
}

/// What a written result was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// No error.
    Value,
    /// An error at top level: its text, and whether the error statistics are to count it.
    Error(Vec<u8>, bool),
}

/// Writes the value on top of the stack (popped) as a reply. `resp3`: the script switched to RESP3, so truth values are told as
/// such.
pub fn write_result(lua: &mut Lua<'_>, out: &mut Reply<'_>, resp3: bool) -> Written {
    let mut written = Written::Value;
    if let Some(text) = error_text(lua, -1) {
        let counted = field_is_true(lua, -1, "ignore_error_stats_update");
        written = Written::Error(text, !counted);
    }
    write(lua, out, resp3);
    written
}

/// The text of an error table.
fn error_text(lua: &mut Lua<'_>, i: c_int) -> Option<Vec<u8>> {
    if lua.kind(i) != Kind::Table || !lua.reserve(4) {
        return None;
    }
    lua.get_field(i, "err");
    let text = lua.bytes(-1).map(|text| before_nul(text).to_vec());
    lua.pop(1);
    text
}

fn field_is_true(lua: &mut Lua<'_>, i: c_int, name: &str) -> bool {
    lua.get_field(i, name);
    let yes = lua.kind(-1) == Kind::Boolean && lua.truth(-1);
    lua.pop(1);
    yes
}

/// An integer as C casts it: what does not fit is the least one.
fn cut(n: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&n) {
        n as i64
    } else {
        i64::MIN
    }
}

fn write(lua: &mut Lua<'_>, out: &mut Reply<'_>, resp3: bool) {
    match lua.kind(-1) {
        Kind::String => out.bulk(lua.bytes(-1).unwrap_or_default()),
        Kind::Number => out.int(cut(lua.number(-1).unwrap_or(0.0))),
        Kind::Boolean => match (resp3, lua.truth(-1)) {
            (true, yes) => out.bool(yes),
            (false, true) => out.int(1),
            (false, false) => out.null(),
        },
        Kind::Table => write_table(lua, out, resp3),
        _ => out.null(),
    }
    lua.pop(1);
}

/// Writes the table on top, which stays.
fn write_table(lua: &mut Lua<'_>, out: &mut Reply<'_>, resp3: bool) {
    if !lua.reserve(6) {
        return out.error_bytes(b"ERR reached lua stack limit");
    }
    if let Some(text) = error_text(lua, -1) {
        return out.error_bytes(&text);
    }
    const SPECIAL: [&str; 6] = [
        "ok",
        "double",
        "map",
        "set",
        "big_number",
        "verbatim_string",
    ];
    for name in SPECIAL {
        lua.get_field(-1, name);
        let done = write_special(lua, out, name, resp3);
        lua.pop(1);
        if done {
            return;
        }
    }
    let mark = out.begin();
    let mut n = 0;
    loop {
        lua.raw_get_i(-1, n + 1);
        if lua.kind(-1) == Kind::Nil {
            lua.pop(1);
            break;
        }
        n += 1;
        write(lua, out, resp3);
    }
    out.end_array(mark, n as usize);
}

/// Writes the field on top (which stays) if it is of the kind its name promises.
fn write_special(lua: &mut Lua<'_>, out: &mut Reply<'_>, name: &str, resp3: bool) -> bool {
    match (name, lua.kind(-1)) {
        ("ok", Kind::String) => {
            out.raw(b"+");
            out.raw(&one_line(lua.bytes(-1).unwrap_or_default()));
            out.raw(b"\r\n");
        }
        ("double", Kind::Number) => out.double(lua.number(-1).unwrap_or(0.0)),
        ("big_number", Kind::String) => {
            let text = one_line(lua.bytes(-1).unwrap_or_default());
            out.big_number(&text);
        }
        ("map" | "set", Kind::Table) => write_pairs(lua, out, name == "map", resp3),
        ("verbatim_string", Kind::Table) => return write_verbatim(lua, out),
        _ => return false,
    }
    true
}

/// Upstream reads a C string here: it ends at a NUL.
fn one_line(text: &[u8]) -> Vec<u8> {
    let blank = |c: &u8| if matches!(c, b'\r' | b'\n') { b' ' } else { *c };
    before_nul(text).iter().map(blank).collect()
}

fn write_pairs(lua: &mut Lua<'_>, out: &mut Reply<'_>, map: bool, resp3: bool) {
    let table = lua.absolute(-1);
    let mark = out.begin();
    let mut n = 0;
    lua.push_nil();
    while lua.next(table) {
        n += 1;
        if !map {
            lua.pop(1);
        }
        // The key is written from a copy: the walk goes on from it.
        lua.push_value(if map { -2 } else { -1 });
        write(lua, out, resp3);
        if map {
            write(lua, out, resp3);
        }
    }
    if map {
        out.end_map(mark, n);
    } else {
        out.end_set(mark, n);
    }
}

fn write_verbatim(lua: &mut Lua<'_>, out: &mut Reply<'_>) -> bool {
    lua.get_field(-1, "format");
    lua.get_field(-2, "string");
    let parts = match (lua.bytes(-2), lua.bytes(-1)) {
        (Some(format), Some(text)) => {
            // Three letters; upstream fills up with blanks.
            let mut f = [b' '; 3];
            for (to, from) in f.iter_mut().zip(format) {
                *to = *from;
            }
            out.verbatim_bytes(f, text);
            true
        }
        _ => false,
    };
    lua.pop(2);
    parts
}
