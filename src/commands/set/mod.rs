//! Sets: membership, random members (`random`), algebra (`algebra`).
pub mod algebra;
pub mod random;

use super::scan::{self, ScanOf, ScanOptions};
use crate::config::Config;
use crate::config::values::NotifyFlags as N;
use crate::ds::listpack::Entry;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Reply;
use crate::types::set::{Set, SetLimits};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &SADD,
    &SREM,
    &SMOVE,
    &SISMEMBER,
    &SMISMEMBER,
    &SCARD,
    &SMEMBERS,
    &SSCAN,
    &random::SPOP,
    &random::SRANDMEMBER,
    &algebra::SINTER,
    &algebra::SINTERSTORE,
    &algebra::SINTERCARD,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
];

/// The row of SADD.
pub static SADD: Command = Command {
    name: "sadd",
    handler: sadd,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RW insert")],
    element: 2,
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts members into a set, making it if missing.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn sadd(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, args) = (ctx.key(1), ctx.args.from(2));
    let limits = limits(&ctx.server.config);
    let (mut db, mut reply, _) = ctx.parts();
    let mut set = db.write_or_create(key, |_| Set::new_for(args.at(0), args.len(), &limits))?;
    set.reserve(args.len(), &limits);
    let added = args.iter().filter(|m| set.add(m, &limits)).count();
    drop(set);
    if added > 0 {
        db.modified(key.bytes, N::SET, "sadd", added as i64);
    }
    reply.int(added as i64);
    Ok(Flow::Done)
}

/// The directives that shape sets.
pub fn limits(c: &Config) -> SetLimits {
    SetLimits {
        max_intset: c.set_max_intset_entries,
        max_entries: c.set_max_listpack_entries,
        max_value: c.set_max_listpack_value,
    }
}

/// Replies a member.
pub fn reply_member(reply: &mut Reply<'_>, m: Entry<'_>) {
    match m {
        Entry::Int(v) => reply.bulk_int(v),
        Entry::Bytes(b) => reply.bulk(b),
    }
}

/// The row of SREM.
pub static SREM: Command = Command {
    name: "srem",
    handler: srem,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RW delete")],
    element: 2,
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the number of members to be removed.",
    summary: "Removes members from a set.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn srem(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, args) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let (mut removed, mut emptied) = (0, false);
    if let Some(mut set) = db.write_value::<Set>(key)? {
        for m in args.iter() {
            removed += i64::from(set.remove(m));
            if set.is_empty() {
                emptied = true;
                break;
            }
        }
    }
    if removed > 0 {
        db.modified(key.bytes, N::SET, "srem", removed);
        if emptied {
            db.delete_emptied(key);
        }
    }
    reply.int(removed);
    Ok(Flow::Done)
}

/// The row of SMOVE.
pub static SMOVE: Command = Command {
    name: "smove",
    handler: smove,
    arity: 4,
    flags: flags("write fast"),
    acl: acl("set"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "RW insert"),
    ],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Moves a member from one set to another.",
    args: "source@0 destination@1 member",
    ..Command::DEFAULT
};

fn smove(ctx: &mut Ctx<'_>) -> Outcome {
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.arg(3));
    let limits = limits(&ctx.server.config);
    let (mut db, mut reply, _) = ctx.parts();
    if db.read_value::<Set>(from)?.is_none() {
        reply.int(0);
        return Ok(Flow::Done);
    }
    db.read_value::<Set>(to)?;
    if from.bytes == to.bytes {
        let there = db
            .read_value::<Set>(from)?
            .is_some_and(|s| s.contains(member));
        reply.int(i64::from(there));
        return Ok(Flow::Done);
    }
    let (mut removed, mut emptied) = (false, false);
    if let Some(mut set) = db.write_value::<Set>(from)? {
        removed = set.remove(member);
        emptied = set.is_empty();
    }
    if removed {
        db.modified(from.bytes, N::SET, "srem", 1);
        if emptied {
            db.delete_emptied(from);
        }
        let added = db
            .write_or_create(to, |_| Set::new_for(member, 1, &limits))?
            .add(member, &limits);
        if added {
            db.modified(to.bytes, N::SET, "sadd", 1);
        }
    }
    reply.int(i64::from(removed));
    Ok(Flow::Done)
}

/// The row of SISMEMBER.
pub static SISMEMBER: Command = Command {
    name: "sismember",
    handler: sismember,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO")],
    element: 2,
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells whether a set has a member.",
    args: "key@0 member",
    ..Command::DEFAULT
};

fn sismember(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let (mut db, mut reply, _) = ctx.parts();
    let there = db
        .read_value::<Set>(key)?
        .is_some_and(|s| s.contains(member));
    reply.int(i64::from(there));
    Ok(Flow::Done)
}

/// The row of SMISMEMBER.
pub static SMISMEMBER: Command = Command {
    name: "smismember",
    handler: smismember,
    arity: -3,
    flags: flags("readonly fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::Set,
    since: "6.2.0",
    complexity: "O(N) where N is the number of elements being checked for membership",
    summary: "Tells which of many members a set has.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn smismember(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, args) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let set = db.read_value::<Set>(key)?;
    reply.array(args.len());
    for m in args.iter() {
        reply.int(i64::from(set.as_ref().is_some_and(|s| s.contains(m))));
    }
    Ok(Flow::Done)
}

/// The row of SCARD.
pub static SCARD: Command = Command {
    name: "scard",
    handler: scard,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Counts the members of a set.",
    args: "key@0",
    ..Command::DEFAULT
};

fn scard(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let len = db.read_value::<Set>(key)?.map_or(0, |s| s.len());
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of SMEMBERS.
pub static SMEMBERS: Command = Command {
    name: "smembers",
    handler: smembers,
    arity: 2,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the set cardinality.",
    summary: "Lists the members of a set.",
    tips: &["nondeterministic_output_order"],
    args: "key@0",
    ..Command::DEFAULT
};

fn smembers(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_value::<Set>(key)? {
        Some(set) => {
            reply.set(set.len());
            set.iter().for_each(|m| reply_member(&mut reply, m));
        }
        None => reply.set(0),
    }
    Ok(Flow::Done)
}

/// The row of SSCAN.
pub static SSCAN: Command = Command {
    name: "sscan",
    handler: sscan,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Set,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
        calls for the cursor to return back to 0. N is the number of elements inside the \
        collection.",
    summary: "Walks through the members of a set bit by bit.",
    tips: &["nondeterministic_output"],
    args: "key@0 cursor:int [MATCH pattern:pattern] [COUNT count:int]",
    ..Command::DEFAULT
};

fn sscan(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    scan::cursor(ctx.arg(2))?;
    if ctx.db().read_value::<Set>(key)?.is_none() {
        scan::missing(ctx, 2)?;
        return Ok(Flow::Done);
    }
    let o = ScanOptions::parse(ctx, 2, ScanOf::Members)?;
    let (mut db, mut reply, _) = ctx.parts();
    let Some(entry) = db.peek(key) else {
        return Ok(Flow::Done);
    };
    let Some(set) = entry.value::<Set>() else {
        return Ok(Flow::Done);
    };
    reply.array(2);
    let at = reply.begin();
    let mut found = 0;
    let next = set.scan(o.cursor, o.count, &mut |m| {
        if o.wants(m.to_bytes(&mut [0; 20])) {
            reply_member(&mut reply, m);
            found += 1;
        }
    });
    // The elements were written first: their header and the cursor go before them.
    reply.end_array(at, found);
    let mut head = Vec::new();
    let digits = next.to_string();
    head.extend_from_slice(format!("${}\r\n{digits}\r\n", digits.len()).as_bytes());
    reply.insert(at, &head);
    Ok(Flow::Done)
}
