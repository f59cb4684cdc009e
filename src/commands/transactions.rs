//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. The mechanism is `exec::multi`.

use crate::client::ClientFlags;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, multi};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];

/// The row of MULTI.
pub static MULTI: Command = Command {
    name: "multi",
    handler: multi,
    arity: 1,
    flags: flags("noscript loading stale fast allow_busy"),
    acl: acl("transaction"),
    group: Group::Transactions,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Begins a transaction.",
    ..Command::DEFAULT
};

fn multi(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.client.has(ClientFlags::MULTI) {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    ctx.client.flags.insert(ClientFlags::MULTI);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of EXEC.
pub static EXEC: Command = Command {
    name: "exec",
    handler: exec,
    arity: 1,
    flags: flags("noscript loading stale skip_slowlog"),
    acl: acl("transaction"),
    group: Group::Transactions,
    since: "1.2.0",
    complexity: "Depends on commands in the transaction",
    summary: "Runs the queued commands of a transaction.",
    ..Command::DEFAULT
};

fn exec(ctx: &mut Ctx<'_>) -> Outcome {
    if !ctx.client.has(ClientFlags::MULTI) {
        return Err(Error::new("ERR EXEC without MULTI"));
    }
    let stale = ctx.client.has(ClientFlags::DIRTY_CAS) || multi::watched_expired(ctx);
    if ctx.client.has(ClientFlags::DIRTY_EXEC) {
        multi::discard(ctx.server, ctx.client);
        return Err(Error::new(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if stale {
        multi::discard(ctx.server, ctx.client);
        ctx.reply().null_array();
        return Ok(Flow::Done);
    }
    multi::run_queue(ctx);
    Ok(Flow::Done)
}

/// The row of DISCARD.
pub static DISCARD: Command = Command {
    name: "discard",
    handler: discard,
    arity: 1,
    flags: flags("noscript loading stale fast allow_busy"),
    acl: acl("transaction"),
    group: Group::Transactions,
    since: "2.0.0",
    complexity: "O(N), when N is the number of queued commands",
    summary: "Drops the queued commands of a transaction.",
    ..Command::DEFAULT
};

fn discard(ctx: &mut Ctx<'_>) -> Outcome {
    if !ctx.client.has(ClientFlags::MULTI) {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    multi::discard(ctx.server, ctx.client);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of WATCH.
pub static WATCH: Command = Command {
    name: "watch",
    handler: watch,
    arity: -2,
    flags: flags("noscript loading stale fast allow_busy"),
    acl: acl("transaction"),
    keys: &[KeySpec::at(1, "RO").range(-1, 1, 0)],
    group: Group::Transactions,
    since: "2.2.0",
    complexity: "O(1) for every key.",
    summary: "Makes the next EXEC fail if one of the keys changes before.",
    args: "key@0...",
    ..Command::DEFAULT
};

fn watch(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.client.has(ClientFlags::MULTI) {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    // The transaction fails already: more keys change nothing.
    if !ctx.client.has(ClientFlags::DIRTY_CAS) {
        for i in 1..ctx.args.len() {
            let key = ctx.key(i);
            multi::watch(ctx, key);
        }
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of UNWATCH.
pub static UNWATCH: Command = Command {
    name: "unwatch",
    handler: unwatch,
    arity: 1,
    flags: flags("noscript loading stale fast allow_busy"),
    acl: acl("transaction"),
    group: Group::Transactions,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Stops watching all keys.",
    ..Command::DEFAULT
};

fn unwatch(ctx: &mut Ctx<'_>) -> Outcome {
    multi::unwatch(ctx.server, ctx.client);
    ctx.reply().ok();
    Ok(Flow::Done)
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
mod tests;
