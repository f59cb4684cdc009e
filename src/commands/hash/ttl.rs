//! Times of fields told and taken away: HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME, HPERSIST.

use super::alive;
use super::field_args::{self, BAD_COUNT};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Type;
use crate::resp::Error;
use crate::types::hash::Hash;

/// Reply for a field (or key) that is not there.
const MISSING: i64 = -2;
/// Reply for a field without a time.
const NO_TIME: i64 = -1;

/// Replies what `show` makes of the fields' times.
fn tell_times(ctx: &mut Ctx<'_>, show: impl Fn(i64) -> i64) -> Outcome {
    let key = ctx.key(1);
    if ctx.db().read(key).is_some_and(|e| e.ty() != Type::Hash) {
        return Err(Error::WrongType);
    }
    let fields = field_args::fields(ctx, 2, BAD_COUNT)?;
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    reply.array(fields.len());
    let entry = db.peek(key);
    let hash = entry.as_ref().and_then(|e| e.value::<Hash>());
    for name in fields.iter() {
        let field = hash.as_ref().and_then(|h| h.get(name));
        reply.int(match field.filter(|f| alive(f, due)) {
            Some(f) => f.expire_ms.map_or(NO_TIME, &show),
            None => MISSING,
        });
    }
    Ok(Flow::Done)
}

fn seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

/// The row of HTTL.
pub static HTTL: Command = Command {
    name: "httl",
    handler: httl,
    arity: -5,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Tells how many seconds hash fields have left.",
    tips: &["nondeterministic_output"],
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn httl(ctx: &mut Ctx<'_>) -> Outcome {
    let now_ms = ctx.now_ms();
    tell_times(ctx, |at| seconds(at - now_ms))
}

/// The row of HPTTL.
pub static HPTTL: Command = Command {
    name: "hpttl",
    handler: hpttl,
    arity: -5,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Tells how many milliseconds hash fields have left.",
    tips: &["nondeterministic_output"],
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hpttl(ctx: &mut Ctx<'_>) -> Outcome {
    let now_ms = ctx.now_ms();
    tell_times(ctx, |at| at - now_ms)
}

/// The row of HEXPIRETIME.
pub static HEXPIRETIME: Command = Command {
    name: "hexpiretime",
    handler: hexpiretime,
    arity: -5,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Tells at which Unix time in seconds hash fields expire.",
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hexpiretime(ctx: &mut Ctx<'_>) -> Outcome {
    tell_times(ctx, seconds)
}

/// The row of HPEXPIRETIME.
pub static HPEXPIRETIME: Command = Command {
    name: "hpexpiretime",
    handler: hpexpiretime,
    arity: -5,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Tells at which Unix time in milliseconds hash fields expire.",
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hpexpiretime(ctx: &mut Ctx<'_>) -> Outcome {
    tell_times(ctx, |at| at)
}

/// The row of HPERSIST.
pub static HPERSIST: Command = Command {
    name: "hpersist",
    handler: hpersist,
    arity: -5,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Takes the expiry off hash fields.",
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hpersist(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    if ctx.db().write(key).is_some_and(|e| e.ty() != Type::Hash) {
        return Err(Error::WrongType);
    }
    let fields = field_args::fields(ctx, 2, BAD_COUNT)?;
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    reply.array(fields.len());
    let mut n = 0;
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        for name in fields.iter() {
            let time = hash
                .get(name)
                .filter(|f| alive(f, due))
                .map(|f| f.expire_ms);
            reply.int(match time {
                None => MISSING,
                Some(None) => NO_TIME,
                Some(Some(_)) => {
                    hash.set_expire(name, None);
                    n += 1;
                    1
                }
            });
        }
    } else {
        (0..fields.len()).for_each(|_| reply.int(MISSING));
    }
    if n > 0 {
        db.modified(key.bytes, N::HASH, "hpersist", n);
    }
    Ok(Flow::Done)
}
