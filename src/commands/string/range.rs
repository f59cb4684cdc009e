//! Parts of strings: APPEND, GETRANGE, SETRANGE, STRLEN.

use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{Entry, NewStr, StrRef};
use crate::resp::Error;

/// The row of APPEND.
pub static APPEND: Command = Command {
    name: "append",
    handler: append,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::String,
    since: "2.0.0",
    complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is \
        small and the already present value is of any size, since the dynamic string \
        library used by Redis will double the free space available on every reallocation.",
    summary: "Adds bytes to the end of a string, making the key if there is none.",
    args: "key@0 value",
    ..Command::DEFAULT
};

fn append(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, more) = (ctx.key(1), ctx.arg(2));
    let value = super::new_value(ctx, 2);
    let max = ctx.server.config.proto_max_bulk_len;
    let (mut db, mut reply, _) = ctx.parts();
    let len = if let Some(mut e) = db.write_str(key)? {
        let old = e.str().map_or(0, StrRef::text_len);
        check_length(old as u64 + more.len() as u64, max)?;
        append_to(&mut e, old, more);
        old + more.len()
    } else {
        db.add(key, Entry::string(key.bytes, &value, None));
        more.len()
    };
    db.modified(key.bytes, N::STRING, "append", 1);
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// Strings that grow beyond this (bytes) get a block with room to grow.
const GROWING: usize = 256;

fn append_to(e: &mut Entry, old: usize, more: &[u8]) {
    if old + more.len() > GROWING {
        e.string_vec().extend_from_slice(more);
        return;
    }
    let mut buf = [0u8; GROWING];
    let mut digits = itoa::Buffer::new();
    if let Some(s) = e.str() {
        buf[..old].copy_from_slice(s.bytes(&mut digits));
    }
    buf[old..old + more.len()].copy_from_slice(more);
    let expire = e.expire();
    e.set_string(&NewStr::Raw(&buf[..old + more.len()]), expire);
}

/// Refuses strings longer than `proto-max-bulk-len`.
pub fn check_length(len: u64, max: u64) -> Result<(), Error> {
    if len > max {
        return Err(Error::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    Ok(())
}

/// The row of STRLEN.
pub static STRLEN: Command = Command {
    name: "strlen",
    handler: strlen,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::String,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Tells how many bytes a string has.",
    args: "key@0",
    ..Command::DEFAULT
};

fn strlen(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let len = db
        .read_str(key)?
        .and_then(|e| e.str().map(StrRef::text_len))
        .unwrap_or(0);
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of SETRANGE.
pub static SETRANGE: Command = Command {
    name: "setrange",
    handler: setrange,
    arity: 4,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::String,
    since: "2.2.0",
    complexity: "O(1), not counting the time taken to copy the new string in place. Usually, \
        this string is very small so the amortized complexity is O(1). Otherwise, \
        complexity is O(M) with M being the length of the value argument.",
    summary: "Writes bytes over part of a string from an offset on, padding with zeros.",
    args: "key@0 offset:int value",
    ..Command::DEFAULT
};

fn setrange(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, offset, patch) = (ctx.key(1), ctx.int(2)?, ctx.arg(3));
    let Ok(offset) = u64::try_from(offset) else {
        return Err(Error::new("ERR offset is out of range"));
    };
    let max = ctx.server.config.proto_max_bulk_len;
    let (mut db, mut reply, _) = ctx.parts();
    let old = db
        .write_str(key)?
        .map(|e| e.str().map_or(0, StrRef::text_len));
    if patch.is_empty() {
        reply.int(old.unwrap_or(0) as i64);
        return Ok(Flow::Done);
    }
    let end = offset.saturating_add(patch.len() as u64);
    check_length(end, max)?;
    if old.is_none() {
        db.add(key, Entry::string(key.bytes, &NewStr::Raw(b""), None));
    }
    let len = match db.write_str(key)? {
        Some(mut e) => patch_at(&mut e, offset as usize, patch),
        None => 0,
    };
    db.modified(key.bytes, N::STRING, "setrange", 1);
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// Overwrites bytes from `offset` on, padding with zeros; returns the new length.
fn patch_at(e: &mut Entry, offset: usize, patch: &[u8]) -> usize {
    let end = offset + patch.len();
    if let Some(bytes) = e.inline_mut()
        && end <= bytes.len()
    {
        bytes[offset..end].copy_from_slice(patch);
        let len = bytes.len();
        e.set_raw();
        return len;
    }
    let v = e.string_vec();
    if v.len() < end {
        v.resize(end, 0);
    }
    v[offset..end].copy_from_slice(patch);
    v.len()
}

/// The row of GETRANGE.
pub static GETRANGE: Command = Command {
    name: "getrange",
    handler: getrange,
    arity: 4,
    flags: flags("readonly"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::String,
    since: "2.4.0",
    complexity: "O(N) where N is the length of the returned string. The complexity is \
        ultimately determined by the returned length, but because creating a substring \
        from an existing string is very cheap, it can be considered O(1) for small \
        strings.",
    summary: "Reads the bytes of a string between two offsets.",
    args: "key@0 start:int end:int",
    ..Command::DEFAULT
};

fn getrange(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (start, end) = (ctx.int(2)?, ctx.int(3)?);
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_str(key)? {
        Some(e) => {
            let mut digits = itoa::Buffer::new();
            let text = e.str().map_or(&b""[..], |s| s.bytes(&mut digits));
            reply.bulk(&text[slice_of(start, end, text.len())]);
        }
        None => reply.bulk(b""),
    }
    Ok(Flow::Done)
}

/// The part of `len` elements between two inclusive indices, negative ones counted from the end.
fn slice_of(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let n = len as i64;
    let from_end = |i: i64| if i < 0 { (n + i).max(0) } else { i };
    let (start, end) = (from_end(start), from_end(end).min(n - 1));
    if n == 0 || start > end {
        0..0
    } else {
        start as usize..end as usize + 1
    }
}

/// The row of SUBSTR.
pub static SUBSTR: Command = Command {
    name: "substr",
    handler: getrange,
    arity: 4,
    flags: flags("readonly"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(N) where N is the length of the returned string. The complexity is \
        ultimately determined by the returned length, but because creating a substring \
        from an existing string is very cheap, it can be considered O(1) for small \
        strings.",
    summary: "The old name of GETRANGE.",
    deprecated_since: "2.0.0",
    replaced_by: "`GETRANGE`",
    args: "key@0 start:int end:int",
    ..Command::DEFAULT
};
