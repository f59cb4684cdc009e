//! Taking entries out of the log and of pending lists: XDEL, XDELEX, XACK, XACKDEL.

use super::{Value, ids_arg, policy_word};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::stream::{DeleteOutcome, RefPolicy};
use std::ops::Range;

/// The row of XDEL.
pub static XDEL: Command = Command {
    name: "xdel",
    handler: xdel,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
    summary: "Removes messages from a stream.",
    args: "key@0 id...",
    ..Command::DEFAULT
};

fn xdel(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    if ctx.db().write_value::<Value>(key)?.is_none() {
        ctx.reply().int(0);
        return Ok(Flow::Done);
    }
    let ids = ids_arg(ctx, 2, ctx.args.len())?;
    let (mut db, mut reply, _) = ctx.parts();
    let mut deleted = 0;
    if let Some(mut stream) = db.write_value::<Value>(key)? {
        deleted = ids.iter().filter(|id| stream.log.delete(**id)).count();
    }
    if deleted > 0 {
        db.modified(key.bytes, N::STREAM, "xdel", deleted as i64);
    }
    reply.int(deleted as i64);
    Ok(Flow::Done)
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id...`, in either order, from argument `from` on.
fn parse_ids(ctx: &Ctx<'_>, from: usize) -> Result<(RefPolicy, Range<usize>), Error> {
    let (mut policy, mut ids) = (None, None);
    let (mut i, end) = (from, ctx.args.len());
    while i < end {
        if ctx.is(i, "IDS") && i + 1 < end && ids.is_none() {
            let n = ctx
                .int(i + 1)
                .ok()
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n > 0)
                .ok_or("ERR Number of IDs must be a positive integer")?;
            if n > end - i - 2 {
                return Err(Error::new(
                    "ERR The `numids` parameter must match the number of arguments",
                ));
            }
            ids = Some(i + 2..i + 2 + n);
            i += 2 + n;
        } else if let Some(p) = policy_word(ctx.arg(i)).filter(|_| policy.is_none()) {
            policy = Some(p);
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok((policy.unwrap_or_default(), ids.ok_or(Error::Syntax)?))
}

/// The reply when there is no stream (or no group) to look into: ids are not even read.
fn none_found(ctx: &mut Ctx<'_>, ids: usize) -> Outcome {
    let mut reply = ctx.reply();
    reply.array(ids);
    (0..ids).for_each(|_| reply.int(-1));
    Ok(Flow::Done)
}

/// The row of XDELEX.
pub static XDELEX: Command = Command {
    name: "xdelex",
    handler: xdelex,
    arity: -5,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::Stream,
    since: "8.2.0",
    complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
    summary: "Removes messages, minding the groups that still refer to them.",
    args: "key@0 [condition(KEEPREF | DELREF | ACKED)] IDS ids(numids:int id...)",
    ..Command::DEFAULT
};

fn xdelex(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let there = ctx.db().write_value::<Value>(key)?.is_some();
    let (policy, at) = parse_ids(ctx, 2)?;
    if !there {
        return none_found(ctx, at.len());
    }
    let ids = ids_arg(ctx, at.start, at.end)?;
    let (mut db, mut reply, _) = ctx.parts();
    let mut deleted = 0;
    reply.array(ids.len());
    if let Some(mut stream) = db.write_value::<Value>(key)? {
        for id in &ids {
            let outcome = stream.delete(*id, policy);
            deleted += i64::from(outcome == DeleteOutcome::Deleted);
            reply.int(outcome as i64);
        }
    }
    if deleted > 0 {
        db.modified(key.bytes, N::STREAM, "xdel", deleted);
    }
    Ok(Flow::Done)
}

/// The row of XACK.
pub static XACK: Command = Command {
    name: "xack",
    handler: xack,
    arity: -4,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each message ID processed.",
    summary: "Settles messages a consumer has dealt with.",
    args: "key@0 group id...",
    ..Command::DEFAULT
};

fn xack(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let there = ctx
        .db()
        .read_value::<Value>(key)?
        .is_some_and(|s| s.group(name).is_some());
    if !there {
        ctx.reply().int(0);
        return Ok(Flow::Done);
    }
    let ids = ids_arg(ctx, 3, ctx.args.len())?;
    let (mut db, mut reply, _) = ctx.parts();
    // Pending lists are no content of the key: transactions and cached copies do not mind.
    let mut acked = 0;
    if let Some(mut stream) = db.write_value::<Value>(key)?
        && let Some((_, group)) = stream.group_mut(name)
    {
        acked = ids.iter().filter(|id| group.ack(**id)).count();
    }
    if acked > 0 {
        db.fx.dirty += acked as i64;
    }
    reply.int(acked as i64);
    Ok(Flow::Done)
}

/// The row of XACKDEL.
pub static XACKDEL: Command = Command {
    name: "xackdel",
    handler: xackdel,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW update delete")],
    group: Group::Stream,
    since: "8.2.0",
    complexity: "O(1) for each message ID processed.",
    summary: "Settles messages and removes them from the stream.",
    args: "key@0 group [condition(KEEPREF | DELREF | ACKED)] IDS ids(numids:int id...)",
    ..Command::DEFAULT
};

fn xackdel(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let there = ctx
        .db()
        .read_value::<Value>(key)?
        .is_some_and(|s| s.group(name).is_some());
    let (policy, at) = parse_ids(ctx, 3)?;
    if !there {
        return none_found(ctx, at.len());
    }
    let ids = ids_arg(ctx, at.start, at.end)?;
    let (mut db, mut reply, _) = ctx.parts();
    let (mut changed, mut deleted) = (0, 0);
    reply.array(ids.len());
    if let Some(mut stream) = db.write_value::<Value>(key)? {
        for id in &ids {
            let before = stream.log.len();
            let outcome = stream.ack_delete(name, *id, policy);
            changed += i64::from(outcome != DeleteOutcome::NotFound);
            deleted += before - stream.log.len();
            reply.int(outcome as i64);
        }
    }
    if deleted > 0 {
        db.modified(key.bytes, N::STREAM, "xdel", changed);
    } else if changed > 0 {
        db.fx.dirty += changed;
    }
    Ok(Flow::Done)
}
