//! The rows of COMMAND and TIME; what COMMAND answers is made in `introspect`.

use super::introspect::{self, docs, getkeys, info, list};
use crate::ds::glob::matches;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&COMMAND, &TIME];

/// The row of COMMAND.
pub static COMMAND: Command = Command {
    name: "command",
    handler: command,
    arity: -1,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) where N is the total number of Redis commands",
    summary: "Describes all commands.",
    tips: &["nondeterministic_output_order"],
    subcommands: &[
        &COMMAND_COUNT,
        &COMMAND_DOCS,
        &COMMAND_GETKEYS,
        &COMMAND_GETKEYSANDFLAGS,
        &COMMAND_HELP,
        &COMMAND_INFO,
        &COMMAND_LIST,
    ],
    ..Command::DEFAULT
};

fn command(ctx: &mut Ctx<'_>) -> Outcome {
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    info::all(&ctx.server.registry, &mut r);
    Ok(Flow::Done)
}

/// The row of COMMAND COUNT.
pub static COMMAND_COUNT: Command = Command {
    name: "command|count",
    handler: command_count,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Counts the commands.",
    ..Command::DEFAULT
};

fn command_count(ctx: &mut Ctx<'_>) -> Outcome {
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    list::count(&ctx.server.registry, &mut r);
    Ok(Flow::Done)
}

/// The row of COMMAND DOCS.
pub static COMMAND_DOCS: Command = Command {
    name: "command|docs",
    handler: command_docs,
    arity: -2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) where N is the number of commands to look up",
    summary: "Documents commands.",
    tips: &["nondeterministic_output_order"],
    args: "[command-name...]",
    ..Command::DEFAULT
};

fn command_docs(ctx: &mut Ctx<'_>) -> Outcome {
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    if ctx.args.len() == 2 {
        docs::all(&ctx.server.registry, &mut r);
    } else {
        docs::named(&ctx.server.registry, ctx.args.iter().skip(2), &mut r);
    }
    Ok(Flow::Done)
}

/// The row of COMMAND GETKEYS.
pub static COMMAND_GETKEYS: Command = Command {
    name: "command|getkeys",
    handler: command_getkeys,
    arity: -3,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) where N is the number of arguments to the command",
    summary: "Tells which arguments of a command are keys.",
    args: "command [arg...]",
    ..Command::DEFAULT
};

fn command_getkeys(ctx: &mut Ctx<'_>) -> Outcome {
    keys(ctx, false)
}

/// The row of COMMAND GETKEYSANDFLAGS.
pub static COMMAND_GETKEYSANDFLAGS: Command = Command {
    name: "command|getkeysandflags",
    handler: command_getkeysandflags,
    arity: -3,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) where N is the number of arguments to the command",
    summary: "Tells which arguments of a command are keys and how they are used.",
    args: "command [arg...]",
    ..Command::DEFAULT
};

fn command_getkeysandflags(ctx: &mut Ctx<'_>) -> Outcome {
    keys(ctx, true)
}

fn keys(ctx: &mut Ctx<'_>, with_flags: bool) -> Outcome {
    let call: Vec<&[u8]> = ctx.args.iter().skip(2).collect();
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    getkeys::reply(&ctx.server.registry, &call, with_flags, &mut r)
        .map_err(|e| Error::text(e.to_string()))?;
    Ok(Flow::Done)
}

/// The row of COMMAND INFO.
pub static COMMAND_INFO: Command = Command {
    name: "command|info",
    handler: command_info,
    arity: -2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) where N is the number of commands to look up",
    summary: "Describes the given commands, or all.",
    tips: &["nondeterministic_output_order"],
    args: "[command-name...]",
    ..Command::DEFAULT
};

fn command_info(ctx: &mut Ctx<'_>) -> Outcome {
    let names: Vec<&[u8]> = ctx.args.iter().skip(2).collect();
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    if names.is_empty() {
        info::all(&ctx.server.registry, &mut r);
    } else {
        info::named(&ctx.server.registry, names.into_iter(), &mut r);
    }
    Ok(Flow::Done)
}

/// The row of COMMAND LIST.
pub static COMMAND_LIST: Command = Command {
    name: "command|list",
    handler: command_list,
    arity: -2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) where N is the total number of Redis commands",
    summary: "Lists the names of commands.",
    tips: &["nondeterministic_output_order"],
    args: "[FILTERBY filterby(MODULE module-name | ACLCAT category | PATTERN pattern:pattern)]",
    ..Command::DEFAULT
};

fn command_list(ctx: &mut Ctx<'_>) -> Outcome {
    let words: Vec<&[u8]> = ctx.args.iter().skip(2).collect();
    let filter = list::Filter::parse(&words).map_err(|e| Error::text(e.to_string()))?;
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    list::list(&ctx.server.registry, &filter, nocase, &mut r);
    Ok(Flow::Done)
}

/// The row of COMMAND HELP.
pub static COMMAND_HELP: Command = Command {
    name: "command|help",
    handler: command_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Server,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what COMMAND can do.",
    ..Command::DEFAULT
};

fn command_help(ctx: &mut Ctx<'_>) -> Outcome {
    let mut lines = vec!["COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"];
    lines.extend_from_slice(introspect::HELP);
    lines.extend_from_slice(&["HELP", "    Print this help."]);
    ctx.reply().help(&lines);
    Ok(Flow::Done)
}

/// The row of TIME.
pub static TIME: Command = Command {
    name: "time",
    handler: time,
    arity: 1,
    flags: flags("loading stale fast"),
    group: Group::Server,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Tells the time of the server.",
    tips: &["nondeterministic_output"],
    ..Command::DEFAULT
};

fn time(ctx: &mut Ctx<'_>) -> Outcome {
    let now_us = ctx.server.clock.now_us;
    let mut r = ctx.reply();
    r.array(2);
    r.bulk_int(now_us / 1_000_000);
    r.bulk_int(now_us % 1_000_000);
    Ok(Flow::Done)
}

fn nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, true)
}
