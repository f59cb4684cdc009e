//! Changing lists in the middle: LSET, LINSERT, LREM, LTRIM.

use super::limits;
use super::read::range;
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_i64;
use crate::ds::quicklist::End;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::list::List;

/// The row of LSET.
pub static LSET: Command = Command {
    name: "lset",
    handler: lset,
    arity: 4,
    flags: flags("write denyoom"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N) where N is the length of the list. Setting either the first or the last \
        element of the list is O(1).",
    summary: "Replaces the list element at a position.",
    args: "key@0 index:int element",
    ..Command::DEFAULT
};

fn lset(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, index, value) = (ctx.key(1), parse_i64(ctx.arg(2)), ctx.arg(3));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    if let Some(mut list) = db.write_value::<List>(key)? {
        let index = index.ok_or(Error::NotInteger)?;
        // Compat: upstream cuts the index of a packed list to 32 bits, so that one of 2^32 - 1 means the last element.
        let at = list.index(index).ok_or(Error::IndexOutOfRange)?;
        list.set(at, value, &limits);
    } else {
        return Err(Error::NoSuchKey);
    }
    db.modified(key.bytes, N::LIST, "lset", 1);
    reply.ok();
    Ok(Flow::Done)
}

/// The row of LINSERT.
pub static LINSERT: Command = Command {
    name: "linsert",
    handler: linsert,
    arity: 5,
    flags: flags("write denyoom"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::List,
    since: "2.2.0",
    complexity: "O(N) where N is the number of elements to traverse before seeing the value \
        pivot. This means that inserting somewhere on the left end on the list (head) can \
        be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
    summary: "Puts an element before or after another one in a list.",
    args: "key@0 where(BEFORE | AFTER) pivot element",
    ..Command::DEFAULT
};

fn linsert(ctx: &mut Ctx<'_>) -> Outcome {
    let before = if ctx.is(2, "BEFORE") {
        true
    } else if ctx.is(2, "AFTER") {
        false
    } else {
        return Err(Error::Syntax);
    };
    let (key, pivot, value) = (ctx.key(1), ctx.arg(3), ctx.arg(4));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let len = if let Some(mut list) = db.write_value::<List>(key)? {
        list.insert_beside(pivot, before, value, &limits)
            .then_some(list.len())
    } else {
        reply.int(0);
        return Ok(Flow::Done);
    };
    match len {
        Some(len) => {
            db.modified(key.bytes, N::LIST, "linsert", 1);
            reply.int(len as i64);
        }
        None => reply.int(-1),
    }
    Ok(Flow::Done)
}

/// The row of LREM.
pub static LREM: Command = Command {
    name: "lrem",
    handler: lrem,
    arity: 4,
    flags: flags("write"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
    summary: "Removes elements equal to a value from a list.",
    args: "key@0 count:int element",
    ..Command::DEFAULT
};

fn lrem(ctx: &mut Ctx<'_>) -> Outcome {
    let count = ctx.int_in(2, -i64::MAX, i64::MAX, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")?;
    let (key, needle) = (ctx.key(1), ctx.arg(3));
    let (from, limit) = match count {
        0 => (End::Head, usize::MAX),
        n if n > 0 => (End::Head, n as usize),
        n => (End::Tail, n.unsigned_abs() as usize),
    };
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let (removed, emptied) = if let Some(mut list) = db.write_value::<List>(key)? {
        let removed = list.remove_value(needle, limit, from, &limits);
        (removed, list.is_empty())
    } else {
        (0, false)
    };
    if removed > 0 {
        db.modified(key.bytes, N::LIST, "lrem", removed as i64);
    }
    if emptied {
        db.delete_emptied(key);
    }
    reply.int(removed as i64);
    Ok(Flow::Done)
}

/// The row of LTRIM.
pub static LTRIM: Command = Command {
    name: "ltrim",
    handler: ltrim,
    arity: 4,
    flags: flags("write"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements to be removed by the operation.",
    summary: "Cuts a list down to the elements between two positions.",
    args: "key@0 start:int stop:int",
    ..Command::DEFAULT
};

fn ltrim(ctx: &mut Ctx<'_>) -> Outcome {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let (removed, emptied) = if let Some(mut list) = db.write_value::<List>(key)? {
        let len = list.len();
        let (from, n) = range(start, stop, len);
        list.trim(from, n, &limits);
        (len - n, list.is_empty())
    } else {
        reply.ok();
        return Ok(Flow::Done);
    };
    db.modified(key.bytes, N::LIST, "ltrim", removed as i64);
    if emptied {
        db.delete_emptied(key);
    }
    reply.ok();
    Ok(Flow::Done)
}
