//! Set algebra: intersections, unions and differences, replied, counted or stored.

use super::{limits, reply_member};
use crate::config::values::NotifyFlags as N;
use crate::ds::listpack::Entry;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key, ValueRef};
use crate::resp::{Args, Error};
use crate::types::set::{Set, SetLimits};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Inter,
    Union,
    Diff,
}

/// The row of SINTER.
pub static SINTER: Command = Command {
    name: "sinter",
    handler: sinter,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access").range(-1, 1, 0)],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
        the number of sets.",
    summary: "Shows the members that all sets share.",
    tips: &["nondeterministic_output_order"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn sinter(ctx: &mut Ctx<'_>) -> Outcome {
    compute(ctx, Operation::Inter)
}

/// The row of SUNION.
pub static SUNION: Command = Command {
    name: "sunion",
    handler: sunion,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access").range(-1, 1, 0)],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Shows the members of all sets together.",
    tips: &["nondeterministic_output_order"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn sunion(ctx: &mut Ctx<'_>) -> Outcome {
    compute(ctx, Operation::Union)
}

/// The row of SDIFF.
pub static SDIFF: Command = Command {
    name: "sdiff",
    handler: sdiff,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access").range(-1, 1, 0)],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Shows the members of the first set that no other has.",
    tips: &["nondeterministic_output_order"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn sdiff(ctx: &mut Ctx<'_>) -> Outcome {
    compute(ctx, Operation::Diff)
}

/// The row of SINTERSTORE.
pub static SINTERSTORE: Command = Command {
    name: "sinterstore",
    handler: sinterstore,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("set"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").range(-1, 1, 0),
    ],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
        the number of sets.",
    summary: "Stores the members that all sets share.",
    args: "destination@0 key@1...",
    ..Command::DEFAULT
};

fn sinterstore(ctx: &mut Ctx<'_>) -> Outcome {
    store(ctx, Operation::Inter, "sinterstore")
}

/// The row of SUNIONSTORE.
pub static SUNIONSTORE: Command = Command {
    name: "sunionstore",
    handler: sunionstore,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("set"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").range(-1, 1, 0),
    ],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Stores the members of all sets together.",
    args: "destination@0 key@1...",
    ..Command::DEFAULT
};

fn sunionstore(ctx: &mut Ctx<'_>) -> Outcome {
    store(ctx, Operation::Union, "sunionstore")
}

/// The row of SDIFFSTORE.
pub static SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    handler: sdiffstore,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("set"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").range(-1, 1, 0),
    ],
    group: Group::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Stores the members of the first set that no other has.",
    args: "destination@0 key@1...",
    ..Command::DEFAULT
};

fn sdiffstore(ctx: &mut Ctx<'_>) -> Outcome {
    store(ctx, Operation::Diff, "sdiffstore")
}

fn compute(ctx: &mut Ctx<'_>, op: Operation) -> Outcome {
    let keys = ctx.args.from(1);
    let limits = limits(&ctx.server.config);
    let (mut db, mut reply, _) = ctx.parts();
    let live = look_up(&mut db, keys)?;
    let sets = borrow(&db, keys, &live);
    if op != Operation::Inter {
        let result = evaluate(&sets, op, &limits);
        reply.set(result.len());
        result.iter().for_each(|m| reply_member(&mut reply, m));
        return Ok(Flow::Done);
    }
    let at = reply.begin();
    let mut n = 0;
    intersect(&sets, usize::MAX, |m| {
        reply_member(&mut reply, m);
        n += 1;
    });
    reply.end_set(at, n);
    Ok(Flow::Done)
}

fn store(ctx: &mut Ctx<'_>, op: Operation, event: &'static str) -> Outcome {
    let (to, keys) = (ctx.key(1), ctx.args.from(2));
    let limits = limits(&ctx.server.config);
    let (mut db, mut reply, _) = ctx.parts();
    let live = look_up(&mut db, keys)?;
    let result = evaluate(&borrow(&db, keys, &live), op, &limits);
    let len = result.len();
    if len > 0 {
        db.put(
            to,
            crate::keyspace::Entry::collection(to.bytes, result, None),
        );
        db.modified(to.bytes, N::SET, event, 1);
    } else if db.delete(to, db.config.lazyfree_lazy_server_del) {
        db.modified(to.bytes, N::GENERIC, "del", 1);
    }
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of SINTERCARD.
pub static SINTERCARD: Command = Command {
    name: "sintercard",
    handler: sintercard,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access").counted()],
    group: Group::Set,
    since: "7.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
        the number of sets.",
    summary: "Counts the members that all sets share.",
    args: "numkeys:int key@0... [LIMIT limit:int]",
    ..Command::DEFAULT
};

fn sintercard(ctx: &mut Ctx<'_>) -> Outcome {
    let n = ctx.int(1).ok().filter(|n| *n > 0);
    let n = n.ok_or(Error::new("ERR numkeys should be greater than 0"))?;
    if n > ctx.args.len() as i64 - 2 {
        return Err(Error::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let end = 2 + n as usize;
    let limit = parse_limit(ctx, end)?;
    let keys = ctx.args.slice(2, end);
    let (mut db, mut reply, _) = ctx.parts();
    let live = look_up(&mut db, keys)?;
    let mut count = 0;
    intersect(&borrow(&db, keys, &live), limit, |_| count += 1);
    reply.int(count);
    Ok(Flow::Done)
}

/// `LIMIT n` behind the keys; 0 is no limit.
fn parse_limit(ctx: &Ctx<'_>, mut i: usize) -> Result<usize, Error> {
    let mut limit = usize::MAX;
    while i < ctx.args.len() {
        if !ctx.is(i, "LIMIT") || i + 1 >= ctx.args.len() {
            return Err(Error::Syntax);
        }
        let n = ctx.int(i + 1).ok().and_then(|n| usize::try_from(n).ok());
        limit = match n.ok_or(Error::new("ERR LIMIT can't be negative"))? {
            0 => usize::MAX,
            n => n,
        };
        i += 2;
    }
    Ok(limit)
}

/// Looks every key up as a read does (statistics, access clock, expiry) and tells which are there: on a replica an expired key
/// is not, although it still lies in the table. An error when one holds another type.
fn look_up(db: &mut DbView<'_>, keys: Args<'_>) -> Result<Vec<bool>, Error> {
    keys.iter()
        .map(|k| db.read_value::<Set>(Key::new(k)).map(|s| s.is_some()))
        .collect()
}

/// The sets under the keys, all borrowed at once; None where there is none. `live` is what [`look_up`] found.
fn borrow<'d>(db: &'d DbView<'_>, keys: Args<'_>, live: &[bool]) -> Vec<Option<ValueRef<'d, Set>>> {
    let find = |k| {
        db.db
            .keys
            .find(crate::ds::hash::hash(k), k)
            .and_then(ValueRef::of)
    };
    keys.iter()
        .zip(live)
        .map(|(k, live)| if *live { find(k) } else { None })
        .collect()
}

fn evaluate(sets: &[Option<ValueRef<'_, Set>>], op: Operation, limits: &SetLimits) -> Set {
    let mut result = Set::new();
    let mut buf = [0u8; 20];
    match op {
        Operation::Inter => intersect(sets, usize::MAX, |m| {
            result.add(m.to_bytes(&mut buf), limits);
        }),
        Operation::Union => {
            for m in sets.iter().flatten().flat_map(|s| s.iter()) {
                result.add(m.to_bytes(&mut buf), limits);
            }
        }
        Operation::Diff => subtract(sets, limits, &mut result),
    }
    result
}

/// Members of all sets, from the smallest on; stops after `limit`.
fn intersect(sets: &[Option<ValueRef<'_, Set>>], limit: usize, mut found: impl FnMut(Entry<'_>)) {
    let mut all: Vec<&Set> = sets.iter().flatten().map(|s| &**s).collect();
    if all.len() < sets.len() {
        return;
    }
    all.sort_by_key(|s| s.len());
    let Some((smallest, others)) = all.split_first() else {
        return;
    };
    let common = smallest
        .iter()
        .filter(|m| others.iter().all(|s| s.contains_entry(*m)));
    common.take(limit).for_each(&mut found);
}

/// Members of the first set that are in none of the others. Either each member is looked up in the others, or the members of
/// the others are taken out of a copy, whichever is less work (looking up may stop early, hence the factor).
fn subtract(sets: &[Option<ValueRef<'_, Set>>], limits: &SetLimits, result: &mut Set) {
    let Some(Some(first)) = sets.first() else {
        return;
    };
    let mut others: Vec<&Set> = sets[1..].iter().flatten().map(|s| &**s).collect();
    let looking_up = first.len() * (others.len() + 1) / 2;
    let removing = first.len() + others.iter().map(|s| s.len()).sum::<usize>();
    let mut buf = [0u8; 20];
    others.sort_by_key(|s| std::cmp::Reverse(s.len()));
    let by_lookup = looking_up <= removing;
    for m in first.iter() {
        if !by_lookup || !others.iter().any(|s| s.contains_entry(m)) {
            result.add(m.to_bytes(&mut buf), limits);
        }
    }
    if by_lookup {
        return;
    }
    for m in others.iter().flat_map(|s| s.iter()) {
        result.remove(m.to_bytes(&mut buf));
        if result.is_empty() {
            return;
        }
    }
}
