//! Fields written and removed: HSET, HMSET, HSETNX, HDEL.

use super::{limits, set_pairs};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::hash::{FieldTtl, Hash};

/// Writes the pairs from argument 2 on; how many fields are new.
#[inline]
fn write_pairs(ctx: &mut Ctx<'_>) -> Result<usize, Error> {
    if !ctx.args.len().is_multiple_of(2) {
        return Err(Error::text(format!(
            "ERR wrong number of arguments for '{}' command",
            ctx.command.name
        )));
    }
    let (key, pairs) = (ctx.key(1), ctx.args.from(2));
    let (mut db, _, config) = ctx.parts();
    let new = set_pairs(&mut db, key, pairs, FieldTtl::Clear, &limits(config))?;
    db.modified(key.bytes, N::HASH, "hset", pairs.len() as i64 / 2);
    Ok(new)
}

/// The row of HSET.
pub static HSET: Command = Command {
    name: "hset",
    handler: hset,
    arity: -4,
    flags: flags("write denyoom fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs \
        when the command is called with multiple field/value pairs.",
    summary: "Writes fields of a hash, making it if missing.",
    args: "key@0 data(field value)...",
    ..Command::DEFAULT
};

fn hset(ctx: &mut Ctx<'_>) -> Outcome {
    let new = write_pairs(ctx)?;
    ctx.reply().int(new as i64);
    Ok(Flow::Done)
}

/// The row of HMSET.
pub static HMSET: Command = Command {
    name: "hmset",
    handler: hmset,
    arity: -4,
    flags: flags("write denyoom fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields being set.",
    summary: "Writes many fields of a hash.",
    deprecated_since: "4.0.0",
    replaced_by: "`HSET` with multiple field-value pairs",
    args: "key@0 data(field value)...",
    ..Command::DEFAULT
};

fn hmset(ctx: &mut Ctx<'_>) -> Outcome {
    write_pairs(ctx)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of HSETNX.
pub static HSETNX: Command = Command {
    name: "hsetnx",
    handler: hsetnx,
    arity: 4,
    flags: flags("write denyoom fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW insert")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Writes a field of a hash only if it is not there.",
    args: "key@0 field value",
    ..Command::DEFAULT
};

fn hsetnx(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, field, pair) = (ctx.key(1), ctx.arg(2), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    db.remove_expired(key, [field].into_iter());
    let there = db
        .write_value::<Hash>(key)?
        .is_some_and(|h| h.get(field).is_some());
    if !there {
        set_pairs(&mut db, key, pair, FieldTtl::Clear, &limits(config))?;
        db.modified(key.bytes, N::HASH, "hset", 1);
    }
    reply.int(i64::from(!there));
    Ok(Flow::Done)
}

/// The row of HDEL.
pub static HDEL: Command = Command {
    name: "hdel",
    handler: hdel,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW delete")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields to be removed.",
    summary: "Removes fields of a hash, and the hash with its last one.",
    args: "key@0 field...",
    ..Command::DEFAULT
};

fn hdel(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, fields) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let (mut n, mut emptied) = (0, false);
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        for f in fields.iter() {
            if hash.remove(f) {
                n += 1;
                if hash.is_empty() {
                    emptied = true;
                    break;
                }
            }
        }
    }
    if n > 0 {
        db.modified(key.bytes, N::HASH, "hdel", n);
        if emptied {
            db.delete_emptied(key);
        }
    }
    reply.int(n);
    Ok(Flow::Done)
}
