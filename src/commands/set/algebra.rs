//! The algebra of sets: SINTER, SUNION, SDIFF, their STORE forms, SINTERCARD.
//!
//! All keys are looked up (and their types checked) first, then the sets are borrowed together. Intersections walk the
//! smallest set and ask the others, smallest first. Differences choose between asking the other sets for each member of the
//! first, and taking the others' members out of a copy, by what looks cheaper.

use super::{limits, reply_entry};
use crate::config::Config;
use crate::config::values::NotifyFlags as N;
use crate::ds::hash::hash;
use crate::ds::intset::Intset;
use crate::ds::listpack::{Entry as Member, Listpack};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key, Type, ValueRef};
use crate::resp::{Args, Error};
use crate::types::set::{Set, SetLimits};

/// Members whose lookups in the next set are fetched ahead together.
const AHEAD: usize = 16;

type Source<'a> = Option<ValueRef<'a, Set>>;

/// Looks up every key for reading, then borrows the sets together; None for a missing key.
fn sources<'a>(db: &'a mut DbView<'_>, keys: Args<'_>) -> Result<Vec<Source<'a>>, Error> {
    let mut there = Vec::with_capacity(keys.len());
    let mut wrong = false;
    for k in keys.iter() {
        let found = db.read(Key::new(k)).map(|e| e.ty());
        wrong |= found.is_some_and(|t| t != Type::Set);
        if wrong {
            return Err(Error::WrongType);
        }
        there.push(found.is_some());
    }
    let table = &db.db.keys;
    let borrow = |(k, there): (&[u8], bool)| {
        there
            .then(|| table.find(hash(k), k).and_then(ValueRef::of))
            .flatten()
    };
    Ok(keys.iter().zip(there).map(borrow).collect())
}

/// Calls `f` for each member that all sets have, until it says stop. Nothing when a set is missing.
fn intersect(sets: &[Source<'_>], f: &mut dyn FnMut(Member<'_>) -> bool) {
    let mut sets: Vec<&Set> = match sets.iter().map(|s| s.as_deref()).collect() {
        Some(all) => all,
        None => return,
    };
    sets.sort_by_key(|s| s.len());
    let Some((first, others)) = sets.split_first() else {
        return;
    };
    let mut members = first.iter();
    let mut batch = Vec::with_capacity(AHEAD);
    loop {
        batch.clear();
        batch.extend(members.by_ref().take(AHEAD));
        if batch.is_empty() {
            return;
        }
        if let Some(Set::Table(_)) = others.first() {
            others[0].prefetch(&batch);
        }
        for m in &batch {
            if others.iter().all(|s| s.contains_entry(*m)) && !f(*m) {
                return;
            }
        }
    }
}

fn intersection(sets: &[Source<'_>], limits: &SetLimits) -> Set {
    let smallest = sets.iter().flatten().min_by_key(|s| s.len());
    let mut result = match smallest.map(|s| &**s) {
        Some(Set::Listpack(_)) => Set::Listpack(Listpack::new()),
        _ => Set::Intset(Intset::new()),
    };
    intersect(sets, &mut |m| {
        result.add_entry(m, limits);
        true
    });
    result.try_ints(limits);
    result
}

fn union(sets: &[Source<'_>], limits: &SetLimits) -> Set {
    let mut result = Set::Intset(Intset::new());
    for m in sets.iter().flatten().flat_map(|s| s.iter()) {
        result.add_entry(m, limits);
    }
    result
}

fn difference(sets: &[Source<'_>], limits: &SetLimits) -> Set {
    let mut result = Set::Intset(Intset::new());
    let Some((Some(first), others)) = sets.split_first() else {
        return result;
    };
    let mut others: Vec<&Set> = others.iter().flatten().map(|s| &**s).collect();
    // Asking costs at most a lookup per member of the first set and other set, often less: it counts half.
    let asking = first.len().saturating_mul(others.len() + 1) / 2;
    let taking = first.len() + others.iter().map(|s| s.len()).sum::<usize>();
    if asking <= taking {
        // The biggest set is the likeliest to have a member.
        others.sort_by_key(|s| std::cmp::Reverse(s.len()));
        for m in first.iter() {
            if !others.iter().any(|s| s.contains_entry(m)) {
                result.add_entry(m, limits);
            }
        }
        return result;
    }
    first.iter().for_each(|m| {
        result.add_entry(m, limits);
    });
    for m in others.iter().flat_map(|s| s.iter()) {
        result.remove(m.to_bytes(&mut [0; I64_TEXT_MAX]));
        if result.is_empty() {
            break;
        }
    }
    result
}

/// One of the three operations, making a set.
type Operation = fn(&[Source<'_>], &SetLimits) -> Set;

fn reply_result(ctx: &mut Ctx<'_>, operation: Operation) -> Outcome {
    let keys = ctx.args.from(1);
    let (mut db, mut reply, config) = ctx.parts();
    let result = operation(&sources(&mut db, keys)?, &limits(config));
    reply.set(result.len());
    result.iter().for_each(|m| reply_entry(&mut reply, m));
    Ok(Flow::Done)
}

fn store_result(ctx: &mut Ctx<'_>, operation: Operation, event: &'static str) -> Outcome {
    let (to, keys) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    let result = operation(&sources(&mut db, keys)?, &limits(config));
    reply.int(store(&mut db, to, result, event, config) as i64);
    Ok(Flow::Done)
}

/// Stores a result in the place of whatever was there, or deletes that when the result is empty; the number of members.
fn store(
    db: &mut DbView<'_>,
    to: Key<'_>,
    set: Set,
    event: &'static str,
    config: &Config,
) -> usize {
    let n = set.len();
    if n == 0 {
        if db.delete(to, config.lazyfree_lazy_server_del) {
            db.modified(to.bytes, N::GENERIC, "del", 1);
        }
        return 0;
    }
    db.put(to, Entry::collection(to.bytes, set, None));
    db.modified(to.bytes, N::SET, event, n as i64);
    n
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
    let keys = ctx.args.from(1);
    let (mut db, mut reply, _) = ctx.parts();
    let sets = sources(&mut db, keys)?;
    let (at, mut n) = (reply.begin(), 0);
    intersect(&sets, &mut |m| {
        reply_entry(&mut reply, m);
        n += 1;
        true
    });
    reply.end_set(at, n);
    Ok(Flow::Done)
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
    store_result(ctx, intersection, "sinterstore")
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
    reply_result(ctx, union)
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
    store_result(ctx, union, "sunionstore")
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
    reply_result(ctx, difference)
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
    store_result(ctx, difference, "sdiffstore")
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
    let (keys, limit) = sintercard_args(ctx)?;
    let (mut db, mut reply, _) = ctx.parts();
    let sets = sources(&mut db, keys)?;
    let mut n = 0;
    intersect(&sets, &mut |_| {
        n += 1;
        n != limit
    });
    reply.int(n as i64);
    Ok(Flow::Done)
}

/// The keys and the limit (0: none).
fn sintercard_args<'a>(ctx: &Ctx<'a>) -> Result<(Args<'a>, usize), Error> {
    let n = ctx.int(1).ok().and_then(|n| usize::try_from(n).ok());
    let Some(n) = n.filter(|n| *n > 0) else {
        return Err(Error::new("ERR numkeys should be greater than 0"));
    };
    if n > ctx.args.len() - 2 {
        return Err(Error::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let (mut limit, mut i) = (0, n + 2);
    while i < ctx.args.len() {
        if !ctx.is(i, "LIMIT") || i + 1 == ctx.args.len() {
            return Err(Error::Syntax);
        }
        limit = ctx
            .int(i + 1)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(Error::new("ERR LIMIT can't be negative"))?;
        i += 2;
    }
    Ok((ctx.args.slice(2, n + 2), limit))
}
