//! Removing members: by name, or by a range of ranks, scores or names.

use super::range::{RangeKind, RangeSpec};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key};
use crate::types::zset::ZSet;

/// The row of ZREM.
pub static ZREM: Command = Command {
    name: "zrem",
    handler: zrem,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW delete")],
    element: 2,
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the \
        number of elements to be removed.",
    summary: "Removes members from a sorted set.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn zrem(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let (mut gone, mut emptied) = (0, false);
    if let Some(mut zset) = db.write_value::<ZSet>(key)? {
        for m in members.iter() {
            gone += usize::from(zset.remove(m).is_some());
            if zset.is_empty() {
                break;
            }
        }
        emptied = zset.is_empty();
    }
    removed(&mut db, key, "zrem", gone, emptied);
    reply.int(gone as i64);
    Ok(Flow::Done)
}

/// Records that `n` members went, and deletes the key of a set that became empty.
pub fn removed(db: &mut DbView<'_>, key: Key<'_>, event: &'static str, n: usize, emptied: bool) {
    if n > 0 {
        db.modified(key.bytes, N::ZSET, event, n as i64);
        if emptied {
            db.delete_emptied(key);
        }
    }
}

/// The row of ZREMRANGEBYRANK.
pub static ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    handler: zremrangebyrank,
    arity: 4,
    flags: flags("write"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements removed by the operation.",
    summary: "Removes the members between two ranks.",
    args: "key@0 start:int stop:int",
    ..Command::DEFAULT
};

fn zremrangebyrank(ctx: &mut Ctx<'_>) -> Outcome {
    remove_range(ctx, RangeKind::Rank, "zremrangebyrank")
}

/// The row of ZREMRANGEBYSCORE.
pub static ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    handler: zremrangebyscore,
    arity: 4,
    flags: flags("write"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements removed by the operation.",
    summary: "Removes the members with scores between two bounds.",
    args: "key@0 min:double max:double",
    ..Command::DEFAULT
};

fn zremrangebyscore(ctx: &mut Ctx<'_>) -> Outcome {
    remove_range(ctx, RangeKind::Score, "zremrangebyscore")
}

/// The row of ZREMRANGEBYLEX.
pub static ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    handler: zremrangebylex,
    arity: 4,
    flags: flags("write"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements removed by the operation.",
    summary: "Removes the members between two names.",
    args: "key@0 min max",
    ..Command::DEFAULT
};

fn zremrangebylex(ctx: &mut Ctx<'_>) -> Outcome {
    remove_range(ctx, RangeKind::Lex, "zremrangebylex")
}

fn remove_range(ctx: &mut Ctx<'_>, kind: RangeKind, event: &'static str) -> Outcome {
    let key = ctx.key(1);
    let range = RangeSpec::parse(kind, ctx.arg(2), ctx.arg(3))?;
    let (mut db, mut reply, _) = ctx.parts();
    let (mut gone, mut emptied) = (0, false);
    if let Some(mut zset) = db.write_value::<ZSet>(key)? {
        let window = range.window(&zset, false);
        gone = zset.remove_window(window, &mut |_, _| {});
        emptied = zset.is_empty();
    }
    removed(&mut db, key, event, gone, emptied);
    reply.int(gone as i64);
    Ok(Flow::Done)
}
