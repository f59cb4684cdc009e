//! Members by name: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, SMEMBERS, SSCAN.

use super::{limits, removed, reply_entry};
use crate::commands::scan::{self, ScanOptions, Scans};
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::I64_TEXT_MAX;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key};
use crate::resp::{Args, Error};
use crate::types::set::{Set, SetLimits};

/// The row of SADD.
pub static SADD: Command = Command {
    name: "sadd",
    handler: sadd,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts members into a set, making it if missing.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn sadd(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    let added = add_all(&mut db, key, members, &limits(config))?;
    if added > 0 {
        db.modified(key.bytes, N::SET, "sadd", added as i64);
    }
    reply.int(added as i64);
    Ok(Flow::Done)
}

/// Adds members to a set that is made if missing; how many were new.
fn add_all(
    db: &mut DbView<'_>,
    key: Key<'_>,
    members: Args<'_>,
    limits: &SetLimits,
) -> Result<usize, Error> {
    if let Some(mut set) = db.write_value::<Set>(key)? {
        set.reserve(members.len(), limits);
        return Ok(members.iter().filter(|m| set.add(m, limits)).count());
    }
    let mut set = Set::for_members(members.at(0), members.len(), limits);
    let added = members.iter().filter(|m| set.add(m, limits)).count();
    db.add(key, Entry::collection(key.bytes, set, None));
    Ok(added)
}

/// The row of SREM.
pub static SREM: Command = Command {
    name: "srem",
    handler: srem,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the number of members to be removed.",
    summary: "Removes members from a set.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn srem(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let (mut n, mut emptied) = (0, false);
    if let Some(mut set) = db.write_value::<Set>(key)? {
        for m in members.iter() {
            if set.remove(m) {
                n += 1;
                if set.is_empty() {
                    emptied = true;
                    break;
                }
            }
        }
    }
    if n > 0 {
        removed(&mut db, key, "srem", n, emptied);
    }
    reply.int(n as i64);
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
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.args.slice(3, 4));
    let (mut db, mut reply, config) = ctx.parts();
    let moved = move_member(&mut db, from, to, member, &limits(config))?;
    reply.int(i64::from(moved));
    Ok(Flow::Done)
}

/// Moves `member` (one argument); false when the source does not have it.
fn move_member(
    db: &mut DbView<'_>,
    from: Key<'_>,
    to: Key<'_>,
    member: Args<'_>,
    limits: &SetLimits,
) -> Result<bool, Error> {
    let Some(source) = db.write_value::<Set>(from)? else {
        return Ok(false);
    };
    let there = source.contains(member.at(0));
    drop(source);
    db.write_value::<Set>(to)?;
    if from.bytes == to.bytes || !there {
        return Ok(there);
    }
    let mut emptied = false;
    if let Some(mut source) = db.write_value::<Set>(from)? {
        source.remove(member.at(0));
        emptied = source.is_empty();
    }
    removed(db, from, "srem", 1, emptied);
    if add_all(db, to, member, limits)? > 0 {
        db.modified(to.bytes, N::SET, "sadd", 1);
    }
    Ok(true)
}

/// The row of SISMEMBER.
pub static SISMEMBER: Command = Command {
    name: "sismember",
    handler: sismember,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO")],
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
    group: Group::Set,
    since: "6.2.0",
    complexity: "O(N) where N is the number of elements being checked for membership",
    summary: "Tells which of many members a set has.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn smismember(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let set = db.read_value::<Set>(key)?;
    reply.array(members.len());
    for m in members.iter() {
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
    let n = db.read_value::<Set>(key)?.map_or(0, |s| s.len());
    reply.int(n as i64);
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
    if let Some(set) = db.read_value::<Set>(key)? {
        reply.set(set.len());
        set.iter().for_each(|m| reply_entry(&mut reply, m));
    } else {
        reply.set(0);
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
    let (key, cursor) = (ctx.key(1), scan::cursor(ctx, 2)?);
    let there = ctx.db().read_value::<Set>(key)?.is_some();
    if !there {
        scan::empty_reply(&mut ctx.reply());
        return Ok(Flow::Done);
    }
    let options = ScanOptions::parse(ctx, 3, Scans::Members)?;
    let (mut db, mut reply, _) = ctx.parts();
    let Some(entry) = db.peek(key) else {
        return Ok(Flow::Done);
    };
    let Some(set) = entry.value::<Set>() else {
        return Ok(Flow::Done);
    };
    let mut found = Vec::new();
    let mut n = 0;
    let next = set.scan(cursor, options.count, &mut |m| {
        let mut text = [0; I64_TEXT_MAX];
        let m = m.to_bytes(&mut text);
        if options.wants(m) {
            n += 1;
            scan::gather(&mut found, m);
        }
    });
    scan::begin_reply(&mut reply, next);
    reply.array(n);
    reply.raw(&found);
    Ok(Flow::Done)
}
