//! The connection itself: PING, ECHO, SELECT, QUIT and their kin.

use crate::client::ClientFlags;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Protocol};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&PING, &ECHO, &SELECT, &QUIT];

/// The row of PING.
pub static PING: Command = Command {
    name: "ping",
    handler: ping,
    arity: -1,
    flags: flags("fast"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Answers, to show that the server lives.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "[message]",
    ..Command::DEFAULT
};

fn ping(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 2 {
        return Err(Error::new(
            "ERR wrong number of arguments for 'ping' command",
        ));
    }
    let args = ctx.args;
    // A RESP2 subscriber can only read pushes.
    if ctx.client.has(ClientFlags::PUBSUB) && ctx.client.proto == Protocol::Resp2 {
        let mut r = ctx.reply();
        r.array(2);
        r.bulk(b"pong");
        r.bulk(args.get(1).unwrap_or(b""));
        return Ok(Flow::Done);
    }
    match args.get(1) {
        Some(text) => ctx.reply().bulk(text),
        None => ctx.reply().simple("PONG"),
    }
    Ok(Flow::Done)
}

/// The row of ECHO.
pub static ECHO: Command = Command {
    name: "echo",
    handler: echo,
    arity: 2,
    flags: flags("loading stale fast"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Sends the argument back.",
    args: "message",
    ..Command::DEFAULT
};

fn echo(ctx: &mut Ctx<'_>) -> Outcome {
    let text = ctx.arg(1);
    ctx.reply().bulk(text);
    Ok(Flow::Done)
}

/// The row of SELECT.
pub static SELECT: Command = Command {
    name: "select",
    handler: select,
    arity: 2,
    flags: flags("loading stale fast"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Switches the connection to another database.",
    args: "index:int",
    ..Command::DEFAULT
};

fn select(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.client.db = ctx.db_number(1)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of QUIT.
pub static QUIT: Command = Command {
    name: "quit",
    handler: quit,
    arity: -1,
    flags: flags("noscript loading stale fast no_auth allow_busy"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Ends the connection.",
    deprecated_since: "7.2.0",
    replaced_by: "just closing the connection",
    ..Command::DEFAULT
};

fn quit(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().ok();
    ctx.client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
    Ok(Flow::Done)
}
