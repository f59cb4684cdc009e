//! Whole databases: FLUSHDB, FLUSHALL, SWAPDB.
//!
//! A flush in the background is over at once. One that is not makes its client wait, and only that: the other thread frees
//! here as well, and the client is parked until it is done. Where nobody can be parked (MULTI, scripts, the master's stream)
//! everything is freed on the spot.

use crate::client::blocked::{BlockKind, OnTimeout};
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{BlockOn, Ctx, Flow, Outcome, blocking, multi};
use crate::resp::Error;

/// The row of FLUSHDB.
pub static FLUSHDB: Command = Command {
    name: "flushdb",
    handler: flushdb,
    arity: -1,
    flags: flags("write"),
    acl: acl("keyspace dangerous"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys in the selected database",
    summary: "Removes all keys of the database.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "[flush-type(ASYNC{4.0.0} | SYNC{6.2.0})]",
    ..Command::DEFAULT
};

fn flushdb(ctx: &mut Ctx<'_>) -> Outcome {
    let db = ctx.client.db;
    flush(ctx, db..db + 1)
}

/// The row of FLUSHALL.
pub static FLUSHALL: Command = Command {
    name: "flushall",
    handler: flushall,
    arity: -1,
    flags: flags("write"),
    acl: acl("keyspace dangerous"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of keys in all databases",
    summary: "Removes all keys of all databases.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "[flush-type(ASYNC{4.0.0} | SYNC{6.2.0})]",
    ..Command::DEFAULT
};

fn flushall(ctx: &mut Ctx<'_>) -> Outcome {
    let all = ctx.server.ks.dbs.len() as u32;
    let done = flush(ctx, 0..all)?;
    ctx.server.after_flush_all();
    Ok(done)
}

fn flush(ctx: &mut Ctx<'_>, dbs: std::ops::Range<u32>) -> Outcome {
    let in_background = match ctx.args.len() {
        1 => ctx.server.config.lazyfree_lazy_user_flush,
        2 if ctx.is(1, "SYNC") => false,
        2 if ctx.is(1, "ASYNC") => true,
        _ => return Err(Error::Syntax),
    };
    let parks = !in_background && blocking::may_wait(ctx);
    for db in dbs {
        multi::touch_all_watched(ctx.server, db);
        let removed = ctx.server.ks.flush(db, in_background || parks);
        ctx.server.ks.fx.dirty += removed as i64;
        blocking::all_keys_changed(ctx.server, db);
    }
    // Others may hold keys that we do not: they are told even when nothing was here.
    ctx.force_propagation(true);
    if !parks {
        ctx.reply().ok();
        return Ok(Flow::Done);
    }
    // Its number of arrival is how the server finds it again: `server/flushing.rs`.
    let server = &*ctx.server;
    server.ks.lazy.fence(blocking::next_arrival(server));
    Ok(Flow::Block(Box::new(BlockOn {
        on_timeout: OnTimeout::Reply(|reply| reply.ok()),
        ..BlockOn::without_keys(BlockKind::Freeing)
    })))
}

/// The row of SWAPDB.
pub static SWAPDB: Command = Command {
    name: "swapdb",
    handler: swapdb,
    arity: 3,
    flags: flags("write fast"),
    acl: acl("keyspace dangerous"),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(N) where N is the count of clients watching or blocking on keys from both \
        databases.",
    summary: "Exchanges two databases.",
    args: "index1:int index2:int",
    ..Command::DEFAULT
};

fn swapdb(ctx: &mut Ctx<'_>) -> Outcome {
    let a = index(ctx, 1, "ERR invalid first DB index")?;
    let b = index(ctx, 2, "ERR invalid second DB index")?;
    let n = ctx.server.ks.dbs.len() as i64;
    if !(0..n).contains(&a) || !(0..n).contains(&b) {
        return Err(Error::new("ERR DB index is out of range"));
    }
    let (a, b) = (a as u32, b as u32);
    multi::touch_swapped(ctx.server, a, b);
    ctx.server.ks.swap(a, b);
    for db in [a, b] {
        blocking::all_keys_changed(ctx.server, db);
    }
    ctx.server.ks.fx.dirty += 1;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// Argument `i` as a number that fits upstream's `int`.
fn index(ctx: &Ctx<'_>, i: usize, error: &'static str) -> Result<i64, Error> {
    parse_i64(ctx.arg(i))
        .filter(|v| i32::try_from(*v).is_ok())
        .ok_or(Error::new(error))
}
