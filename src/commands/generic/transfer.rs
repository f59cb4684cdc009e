//! A value under another name or in another database: RENAME, RENAMENX, MOVE, COPY.
//!
//! Moving takes the entry out and gives its value a new entry, so nothing inside a collection is copied; expire and access
//! clock go along. COPY duplicates the value deeply.

use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::Error;

/// Source and destination of MOVE and COPY are one and the same key.
const SAME: Error = Error::new("ERR source and destination objects are the same");

/// The row of RENAME.
pub static RENAME: Command = Command {
    name: "rename",
    handler: rename,
    arity: 3,
    flags: flags("write"),
    acl: acl("keyspace"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "OW update"),
    ],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Gives a key another name, replacing what was there.",
    args: "key@0 newkey@1",
    ..Command::DEFAULT
};

fn rename(ctx: &mut Ctx<'_>) -> Outcome {
    rename_to(ctx, true)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of RENAMENX.
pub static RENAMENX: Command = Command {
    name: "renamenx",
    handler: renamenx,
    arity: 3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "OW insert"),
    ],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Gives a key another name unless that is taken.",
    args: "key@0 newkey@1",
    ..Command::DEFAULT
};

fn renamenx(ctx: &mut Ctx<'_>) -> Outcome {
    let done = rename_to(ctx, false)?;
    ctx.reply().int(i64::from(done));
    Ok(Flow::Done)
}

/// Renames argument 1 to argument 2; false when that name is taken and must not be replaced.
fn rename_to(ctx: &mut Ctx<'_>, replace: bool) -> Result<bool, Error> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    let mut db = ctx.db();
    if db.write(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(replace);
    }
    if !replace && db.exists(to) {
        return Ok(false);
    }
    let Some(entry) = db.take(from) else {
        return Err(Error::NoSuchKey);
    };
    let ty = entry.ty();
    let old = db.put_moved(to, entry.with_key(to.bytes));
    db.modified(from.bytes, N::GENERIC, "rename_from", 0);
    db.modified(to.bytes, N::GENERIC, "rename_to", 1);
    db.overwritten(to, old, ty);
    Ok(true)
}

/// The row of MOVE.
pub static MOVE: Command = Command {
    name: "move",
    handler: move_,
    arity: 3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW access update")],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Moves a key to another database.",
    args: "key@0 db:int",
    ..Command::DEFAULT
};

fn move_(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, target) = (ctx.key(1), ctx.db_number(2)?);
    if target == ctx.client.db {
        return Err(SAME);
    }
    let free = ctx.db().write(key).is_some() && !ctx.db_at(target).exists(key);
    if free && let Some(entry) = ctx.db().take(key) {
        ctx.db_at(target).put_moved(key, entry);
        ctx.db().modified(key.bytes, N::GENERIC, "move_from", 1);
        ctx.db_at(target)
            .modified(key.bytes, N::GENERIC, "move_to", 0);
    }
    ctx.reply().int(i64::from(free));
    Ok(Flow::Done)
}

/// The row of COPY.
pub static COPY: Command = Command {
    name: "copy",
    handler: copy,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access"), KeySpec::at(2, "OW update")],
    since: "6.2.0",
    complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) \
        for string values.",
    summary: "Duplicates the value of a key under another key.",
    args: "source@0 destination@1 [DB destination-db:int] [REPLACE]",
    ..Command::DEFAULT
};

fn copy(ctx: &mut Ctx<'_>) -> Outcome {
    let (from, to) = (ctx.key(1), ctx.key(2));
    let (target, replace) = copy_options(ctx)?;
    if target == ctx.client.db && from.bytes == to.bytes {
        return Err(SAME);
    }
    let done = copy_to(ctx, from, to, target, replace);
    ctx.reply().int(i64::from(done));
    Ok(Flow::Done)
}

/// The destination's database, and whether what is there may be replaced.
fn copy_options(ctx: &Ctx<'_>) -> Result<(u32, bool), Error> {
    let (mut target, mut replace, mut i) = (ctx.client.db, false, 3);
    while i < ctx.args.len() {
        if ctx.is(i, "REPLACE") {
            replace = true;
        } else if ctx.is(i, "DB") && i + 1 < ctx.args.len() {
            i += 1;
            target = ctx.db_number(i)?;
        } else {
            return Err(Error::Syntax);
        }
        i += 1;
    }
    Ok((target, replace))
}

fn copy_to(ctx: &mut Ctx<'_>, from: Key<'_>, to: Key<'_>, target: u32, replace: bool) -> bool {
    if ctx.db().read(from).is_none() || ctx.db_at(target).exists(to) && !replace {
        return false;
    }
    let Some(copy) = ctx.db().peek(from).map(|e| e.duplicate(to.bytes)) else {
        return false;
    };
    let mut db = ctx.db_at(target);
    let ty = copy.ty();
    let old = db.put(to, copy);
    db.modified(to.bytes, N::GENERIC, "copy_to", 1);
    db.overwritten(to, old, ty);
    true
}
