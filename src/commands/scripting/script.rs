//! SCRIPT: the cache of EVAL's scripts, and stopping one.

use super::free;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::script::engine::Purpose;
use crate::script::{api, busy, cache, debugger, run};
use sha1::{Digest, Sha1};

/// The row of SCRIPT.
pub static SCRIPT: Command = Command {
    name: "script",
    arity: -2,
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about Lua scripts.",
    subcommands: &[
        &SCRIPT_DEBUG,
        &SCRIPT_EXISTS,
        &SCRIPT_FLUSH,
        &SCRIPT_HELP,
        &SCRIPT_KILL,
        &SCRIPT_LOAD,
    ],
    ..Command::DEFAULT
};

/// The row of SCRIPT DEBUG.
pub static SCRIPT_DEBUG: Command = Command {
    name: "script|debug",
    handler: script_debug,
    arity: 3,
    flags: flags("noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Chooses how EVAL debugs scripts.",
    args: "mode(YES | SYNC | NO)",
    ..Command::DEFAULT
};

fn script_debug(ctx: &mut Ctx<'_>) -> Outcome {
    debugger::choose(ctx)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of SCRIPT EXISTS.
pub static SCRIPT_EXISTS: Command = Command {
    name: "script|exists",
    handler: script_exists,
    arity: -3,
    flags: flags("noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "O(N) with N being the number of scripts to check (so checking a single \
        script is an O(1) operation).",
    summary: "Tells which scripts are cached.",
    tips: &[
        "request_policy:all_shards",
        "response_policy:agg_logical_and",
    ],
    args: "sha1...",
    ..Command::DEFAULT
};

fn script_exists(ctx: &mut Ctx<'_>) -> Outcome {
    let shas = ctx.args.from(2);
    ctx.reply().array(shas.len());
    for sha in shas.iter() {
        let known =
            cache::parse_sha(sha).is_some_and(|sha| ctx.server.scripts.cache.contains(&sha));
        ctx.reply().int(i64::from(known));
    }
    Ok(Flow::Done)
}

/// The row of SCRIPT FLUSH.
pub static SCRIPT_FLUSH: Command = Command {
    name: "script|flush",
    handler: script_flush,
    arity: -2,
    flags: flags("noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "O(N) with N being the number of scripts in cache",
    summary: "Empties the cache of scripts.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "[flush-type(ASYNC | SYNC)]{6.2.0}",
    ..Command::DEFAULT
};

fn script_flush(ctx: &mut Ctx<'_>) -> Outcome {
    let mode =
        ctx.args.len() == 2 || ctx.args.len() == 3 && (ctx.is(2, "SYNC") || ctx.is(2, "ASYNC"));
    if !mode {
        return Err(Error::new(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    let old = ctx.server.scripts.flush();
    free(ctx, old);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of SCRIPT HELP.
pub static SCRIPT_HELP: Command = Command {
    name: "script|help",
    handler: script_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what SCRIPT can do.",
    ..Command::DEFAULT
};

fn script_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DEBUG (YES|SYNC|NO)",
        "    Choose whether EVAL runs scripts under the debugger: in a child that keeps nothing (YES), or in",
        "    the server, which serves nobody else meanwhile (SYNC).",
        "EXISTS <sha1> [<sha1> ...]",
        "    Tell of each script whether it is cached.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget every cached script.",
        "KILL",
        "    Stop the script that runs now, unless it has written.",
        "LOAD <script>",
        "    Cache a script without running it; the reply is its SHA1.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

/// The row of SCRIPT KILL.
pub static SCRIPT_KILL: Command = Command {
    name: "script|kill",
    handler: script_kill,
    arity: 2,
    flags: flags("noscript allow_busy"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Stops the script that runs now.",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    ..Command::DEFAULT
};

fn script_kill(ctx: &mut Ctx<'_>) -> Outcome {
    busy::kill(ctx.server, Purpose::Eval)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of SCRIPT LOAD.
pub static SCRIPT_LOAD: Command = Command {
    name: "script|load",
    handler: script_load,
    arity: 3,
    flags: flags("noscript stale"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "O(N) with N being the length in bytes of the script body.",
    summary: "Caches a script and replies with its SHA1.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "script",
    ..Command::DEFAULT
};

fn script_load(ctx: &mut Ctx<'_>) -> Outcome {
    let body = ctx.arg(2);
    let sha: cache::Sha = Sha1::digest(body).into();
    if !ctx.server.scripts.cache.pin(&sha) {
        run::load(ctx.server, sha, body, false)?;
    }
    ctx.reply().bulk(&api::hex(&sha));
    Ok(Flow::Done)
}
