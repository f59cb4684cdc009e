//! Keys by name, many at once: DEL, UNLINK, EXISTS, TOUCH.
//!
//! All four walk their keys in batches whose table lookups overlap ([`super::each_key`]).

use super::each_key;
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};

/// The row of DEL.
pub static DEL: Command = Command {
    name: "del",
    handler: del,
    arity: -2,
    flags: flags("write"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RM delete").range(-1, 1, 0)],
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys that will be removed. When a key to \
        remove holds a value other than a string, the individual complexity for this key \
        is O(M) where M is the number of elements in the list, set, sorted set or hash. \
        Removing a single key that holds a string value is O(1).",
    summary: "Removes keys.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn del(ctx: &mut Ctx<'_>) -> Outcome {
    let lazy = ctx.server.config.lazyfree_lazy_user_del;
    remove(ctx, lazy)
}

/// The row of UNLINK.
pub static UNLINK: Command = Command {
    name: "unlink",
    handler: unlink,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RM delete").range(-1, 1, 0)],
    since: "4.0.0",
    complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) \
        work in a different thread in order to reclaim memory, where N is the number of \
        allocations the deleted objects where composed of.",
    summary: "Removes keys at once and frees their memory later.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn unlink(ctx: &mut Ctx<'_>) -> Outcome {
    remove(ctx, true)
}

fn remove(ctx: &mut Ctx<'_>, lazy: bool) -> Outcome {
    let mut removed = 0;
    each_key(ctx, |db, key| {
        if db.delete(key, lazy) {
            db.modified(key.bytes, N::GENERIC, "del", 1);
            removed += 1;
        }
    });
    ctx.reply().int(removed);
    Ok(Flow::Done)
}

/// The row of EXISTS.
pub static EXISTS: Command = Command {
    name: "exists",
    handler: exists,
    arity: -2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO").range(-1, 1, 0)],
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys to check.",
    summary: "Counts how many of the keys are there.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn exists(ctx: &mut Ctx<'_>) -> Outcome {
    let mut found = 0;
    each_key(ctx, |db, key| found += i64::from(db.look(key).is_some()));
    ctx.reply().int(found);
    Ok(Flow::Done)
}

/// The row of TOUCH.
pub static TOUCH: Command = Command {
    name: "touch",
    handler: touch,
    arity: -2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO").range(-1, 1, 0)],
    since: "3.2.1",
    complexity: "O(N) where N is the number of keys that will be touched.",
    summary: "Refreshes the access time of keys and counts those found.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn touch(ctx: &mut Ctx<'_>) -> Outcome {
    let mut found = 0;
    each_key(ctx, |db, key| found += i64::from(db.read(key).is_some()));
    ctx.reply().int(found);
    Ok(Flow::Done)
}
