//! Times given to fields: HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT.
//!
//! Propagated as HPEXPIREAT with the fields that got the time; a time that has passed deletes the fields, and that is
//! propagated as one HDEL each.

use super::field_args::{self, BAD_COUNT_EXPIRE};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key, Type};
use crate::resp::{Args, Error, OwnedArgs};
use crate::types::hash::Hash;

/// When a field gets the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// NX: it has none.
    None,
    /// XX: it has one.
    Some,
    /// GT: it has an earlier one (no time is later than any).
    Later,
    /// LT: it has a later one, or none.
    Earlier,
}

impl Condition {
    fn parse(ctx: &Ctx<'_>, i: usize) -> Self {
        match () {
            () if ctx.is(i, "NX") => Condition::None,
            () if ctx.is(i, "XX") => Condition::Some,
            () if ctx.is(i, "GT") => Condition::Later,
            () if ctx.is(i, "LT") => Condition::Earlier,
            () => Condition::Always,
        }
    }

    fn holds(self, old: Option<i64>, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::None => old.is_none(),
            Condition::Some => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// What became of a field; the numbers are the replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Missing = -2,
    ConditionNotMet = 0,
    Updated = 1,
    Deleted = 2,
}

fn expire_fields(ctx: &mut Ctx<'_>, unit_ms: i64, absolute: bool) -> Outcome {
    let key = ctx.key(1);
    let there = match ctx.db().write(key) {
        Some(e) if e.ty() != Type::Hash => return Err(Error::WrongType),
        found => found.is_some(),
    };
    let at = field_args::time(ctx, 2, unit_ms, absolute)?;
    let condition = Condition::parse(ctx, 3);
    let first = if condition == Condition::Always { 3 } else { 4 };
    let fields = field_args::fields(ctx, first, BAD_COUNT_EXPIRE)?;
    let mut fates = vec![Fate::Missing; fields.len()];
    if there {
        let mut db = ctx.db();
        apply(&mut db, key, at, condition, fields, &mut fates)?;
        record(ctx, key, at, first, fields, &fates);
    }
    let mut reply = ctx.reply();
    reply.array(fates.len());
    fates.iter().for_each(|f| reply.int(*f as i64));
    Ok(Flow::Done)
}

/// Gives the fields the time, or deletes them when it has passed.
fn apply(
    db: &mut DbView<'_>,
    key: Key<'_>,
    at: i64,
    condition: Condition,
    fields: Args<'_>,
    fates: &mut [Fate],
) -> Result<(), Error> {
    let past = at <= db.now_ms && db.deletes_expired();
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        hash.make_expirable();
        for (name, fate) in fields.iter().zip(fates) {
            let Some(old) = hash.get(name).map(|f| f.expire_ms) else {
                continue;
            };
            *fate = if !condition.holds(old, at) {
                Fate::ConditionNotMet
            } else if past {
                hash.remove(name);
                Fate::Deleted
            } else {
                hash.set_expire(name, Some(at));
                Fate::Updated
            };
        }
    }
    Ok(())
}

/// Records the change, deletes the key when nothing is left in it, and says what is propagated. FIELDS was argument `first`.
fn record(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    at: i64,
    first: usize,
    fields: Args<'_>,
    fates: &[Fate],
) {
    let count = |fate| fates.iter().filter(|f| **f == fate).count();
    let (updated, deleted) = (count(Fate::Updated), count(Fate::Deleted));
    let mut db = ctx.db();
    if updated > 0 {
        db.note_field_times(key);
        db.modified(key.bytes, N::HASH, "hexpire", updated as i64);
    }
    if deleted > 0 {
        fields_deleted(&mut db, key, deleted);
    }
    if !ctx.propagates() || updated + deleted == 0 {
        return;
    }
    let with = |fate| {
        let pairs = fields.iter().zip(fates);
        pairs
            .filter(move |(_, f)| **f == fate)
            .map(|(name, _)| name)
    };
    let mut commands: Vec<OwnedArgs> = with(Fate::Deleted)
        .map(|name| OwnedArgs::from_iter([b"HDEL", key.bytes, name]))
        .collect();
    if updated > 0 {
        let mut a = OwnedArgs::new();
        a.push(if ctx.command.name == "hpexpireat" {
            ctx.arg(0)
        } else {
            b"HPEXPIREAT"
        });
        a.push(key.bytes);
        a.push_int(at);
        (3..=first).for_each(|i| a.push(ctx.arg(i)));
        a.push_int(updated as i64);
        with(Fate::Updated).for_each(|name| a.push(name));
        commands.push(a);
    }
    ctx.propagate_as(commands);
}

/// Records that `n` fields were deleted because they were given a time that has passed.
pub(super) fn fields_deleted(db: &mut DbView<'_>, key: Key<'_>, n: usize) {
    db.modified(key.bytes, N::HASH, "hdel", n as i64);
    let empty = |e: &crate::keyspace::Entry| e.value::<Hash>().is_some_and(|h| h.is_empty());
    if db.peek(key).is_some_and(|e| empty(&e)) {
        db.delete_emptied(key);
    }
}

/// The row of HEXPIRE.
pub static HEXPIRE: Command = Command {
    name: "hexpire",
    handler: hexpire,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Gives hash fields so many seconds to live.",
    args: "key@0 seconds:int [condition(NX | XX | GT | LT)] FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hexpire(ctx: &mut Ctx<'_>) -> Outcome {
    expire_fields(ctx, 1000, false)
}

/// The row of HPEXPIRE.
pub static HPEXPIRE: Command = Command {
    name: "hpexpire",
    handler: hpexpire,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Gives hash fields so many milliseconds to live.",
    args: "key@0 milliseconds:int [condition(NX | XX | GT | LT)] FIELDS \
        fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hpexpire(ctx: &mut Ctx<'_>) -> Outcome {
    expire_fields(ctx, 1, false)
}

/// The row of HEXPIREAT.
pub static HEXPIREAT: Command = Command {
    name: "hexpireat",
    handler: hexpireat,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Lets hash fields expire at a Unix time in seconds.",
    args: "key@0 unix-time-seconds:unix-time [condition(NX | XX | GT | LT)] FIELDS \
        fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hexpireat(ctx: &mut Ctx<'_>) -> Outcome {
    expire_fields(ctx, 1000, true)
}

/// The row of HPEXPIREAT.
pub static HPEXPIREAT: Command = Command {
    name: "hpexpireat",
    handler: hpexpireat,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Lets hash fields expire at a Unix time in milliseconds.",
    args: "key@0 unix-time-milliseconds:unix-time [condition(NX | XX | GT | LT)] FIELDS \
        fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hpexpireat(ctx: &mut Ctx<'_>) -> Outcome {
    expire_fields(ctx, 1, true)
}
