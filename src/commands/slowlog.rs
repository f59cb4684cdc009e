//! SLOWLOG: the commands that took long.

use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&SLOWLOG];

/// The row of SLOWLOG.
pub static SLOWLOG: Command = Command {
    name: "slowlog",
    arity: -2,
    group: Group::Server,
    since: "2.2.12",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about the slow log.",
    subcommands: &[&SLOWLOG_GET, &SLOWLOG_HELP, &SLOWLOG_LEN, &SLOWLOG_RESET],
    ..Command::DEFAULT
};

/// The row of SLOWLOG GET.
pub static SLOWLOG_GET: Command = Command {
    name: "slowlog|get",
    handler: slowlog_get,
    arity: -2,
    flags: flags("admin loading stale"),
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(N) where N is the number of entries returned",
    summary: "Lists entries of the slow log.",
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    args: "[count:int]",
    ..Command::DEFAULT
};

fn slowlog_get(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(ctx.wrong_subcommand());
    }
    let count = match ctx.args.get(2) {
        None => 10,
        Some(text) => parse_i64(text).filter(|&n| n >= -1).ok_or(Error::new(
            "ERR count should be greater than or equal to -1",
        ))?,
    };
    let entries = &ctx.server.slowlog.entries;
    let n = if count < 0 {
        entries.len()
    } else {
        entries.len().min(count as usize)
    };
    let mut r = ctx.client.reply();
    r.array(n);
    for e in entries.iter().take(n) {
        r.array(6);
        r.int(e.id as i64);
        r.int(e.at_s);
        r.int(e.micros as i64);
        r.array(e.args.len());
        for a in &e.args {
            r.bulk(a);
        }
        r.bulk(e.addr.as_bytes());
        r.bulk(&e.name);
    }
    Ok(Flow::Done)
}

/// The row of SLOWLOG LEN.
pub static SLOWLOG_LEN: Command = Command {
    name: "slowlog|len",
    handler: slowlog_len,
    arity: 2,
    flags: flags("admin loading stale"),
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(1)",
    summary: "Counts the entries of the slow log.",
    tips: &[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ],
    ..Command::DEFAULT
};

fn slowlog_len(ctx: &mut Ctx<'_>) -> Outcome {
    let n = ctx.server.slowlog.entries.len();
    ctx.reply().int(n as i64);
    Ok(Flow::Done)
}

/// The row of SLOWLOG RESET.
pub static SLOWLOG_RESET: Command = Command {
    name: "slowlog|reset",
    handler: slowlog_reset,
    arity: 2,
    flags: flags("admin loading stale"),
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(N) where N is the number of entries in the slowlog",
    summary: "Empties the slow log.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    ..Command::DEFAULT
};

fn slowlog_reset(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.slowlog.entries.clear();
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of SLOWLOG HELP.
pub static SLOWLOG_HELP: Command = Command {
    name: "slowlog|help",
    handler: slowlog_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Shows what SLOWLOG can do.",
    ..Command::DEFAULT
};

fn slowlog_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Show the latest entries (default 10, -1 for all): number, time, microseconds,",
        "    arguments, the client's address and name.",
        "LEN",
        "    Tell how many entries there are.",
        "RESET",
        "    Forget all entries.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
