//! Counters: INCR, DECR and their kin.

use crate::config::values::NotifyFlags as N;
use crate::ds::longdouble::LongDouble;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{Entry, NewStr, StrRef};
use crate::resp::{Error, OwnedArgs};

/// The row of INCR.
pub static INCR: Command = Command {
    name: "incr",
    handler: incr,
    arity: 2,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Adds one to the integer held by a key; a missing key counts as 0.",
    args: "key@0",
    ..Command::DEFAULT
};

fn incr(ctx: &mut Ctx<'_>) -> Outcome {
    add(ctx, 1)
}

/// The row of DECR.
pub static DECR: Command = Command {
    name: "decr",
    handler: decr,
    arity: 2,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Takes one off the integer held by a key; a missing key counts as 0.",
    args: "key@0",
    ..Command::DEFAULT
};

fn decr(ctx: &mut Ctx<'_>) -> Outcome {
    add(ctx, -1)
}

/// The row of INCRBY.
pub static INCRBY: Command = Command {
    name: "incrby",
    handler: incrby,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Adds a given amount to the integer held by a key.",
    args: "key@0 increment:int",
    ..Command::DEFAULT
};

fn incrby(ctx: &mut Ctx<'_>) -> Outcome {
    let by = ctx.int(2)?;
    add(ctx, by)
}

/// The row of DECRBY.
pub static DECRBY: Command = Command {
    name: "decrby",
    handler: decrby,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Takes a given amount off the integer held by a key.",
    args: "key@0 decrement:int",
    ..Command::DEFAULT
};

fn decrby(ctx: &mut Ctx<'_>) -> Outcome {
    let by = ctx.int(2)?;
    // The most negative number has no opposite.
    let by = by
        .checked_neg()
        .ok_or(Error::new("ERR decrement would overflow"))?;
    add(ctx, by)
}

fn add(ctx: &mut Ctx<'_>, by: i64) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let new = if let Some(mut e) = db.write_str(key)? {
        let old = e.str().and_then(integer).ok_or(Error::NotInteger)?;
        let new = old
            .checked_add(by)
            .ok_or(Error::new("ERR increment or decrement would overflow"))?;
        if !e.set_int_in_place(new) {
            let expire = e.expire();
            e.set_string(&NewStr::Int(new), expire);
        }
        new
    } else {
        db.add(key, Entry::string(key.bytes, &NewStr::Int(by), None));
        by
    };
    db.modified(key.bytes, N::STRING, "incrby", 1);
    reply.int(new);
    Ok(Flow::Done)
}

/// The integer a string stands for, if it is a canonical one.
fn integer(s: StrRef<'_>) -> Option<i64> {
    match s {
        StrRef::Int(i) => Some(i),
        StrRef::Bytes(b) => parse_i64(b),
        StrRef::Shared(b) => parse_i64(&b),
    }
}

/// The row of INCRBYFLOAT.
pub static INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    handler: incrbyfloat,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Adds a given amount to the floating point number held by a key.",
    args: "key@0 increment:double",
    ..Command::DEFAULT
};

fn incrbyfloat(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let amount = ctx.arg(2);
    let (mut db, mut reply, _) = ctx.parts();
    let (old, expire) = match db.write_str(key)? {
        Some(e) => {
            let mut buf = itoa::Buffer::new();
            let text = e.str().map_or(&b""[..], |s| s.bytes(&mut buf));
            (LongDouble::parse(text).ok_or(Error::NotFloat)?, e.expire())
        }
        None => (LongDouble::parse(b"0").ok_or(Error::NotFloat)?, None),
    };
    // A wrong type is told of first.
    let by = LongDouble::parse(amount).ok_or(Error::NotFloat)?;
    let sum = old
        .checked_add(by)
        .ok_or(Error::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_vec();
    db.set_str(key, &NewStr::Text(&text), expire);
    db.modified(key.bytes, N::STRING, "incrbyfloat", 1);
    reply.bulk(&text);
    if ctx.propagates() {
        // Floats are not added again elsewhere: the result is what is propagated.
        ctx.propagate_as(vec![OwnedArgs::from_iter([
            b"SET".as_slice(),
            ctx.arg(1),
            &text,
            b"KEEPTTL",
        ])]);
    }
    Ok(Flow::Done)
}
