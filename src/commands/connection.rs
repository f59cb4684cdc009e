//! The connection itself: PING, ECHO, SELECT, QUIT, and who is at its other end: AUTH, HELLO, RESET.

use super::client::control::set_name;
use crate::acl::users::DEFAULT_USER;
use crate::client::Client;
use crate::client::ClientFlags;
use crate::commands::pubsub::unsubscribe_all;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, multi};
use crate::resp::{Error, Protocol, before_nul};
use crate::server::{Server, ServerState};
use crate::server::{monitor, tracked};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&PING, &ECHO, &SELECT, &QUIT, &AUTH, &HELLO, &RESET];

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

/// The row of AUTH.
pub static AUTH: Command = Command {
    name: "auth",
    handler: auth,
    arity: -2,
    flags: flags("noscript loading stale fast no_auth allow_busy"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(N) where N is the number of passwords defined for the user",
    summary: "Logs the connection in.",
    args: "[username]{6.0.0} password",
    ..Command::DEFAULT
};

fn auth(ctx: &mut Ctx<'_>) -> Outcome {
    let (user, password) = match ctx.args.len() {
        2 => (DEFAULT_USER, ctx.arg(1)),
        3 => (ctx.arg(1), ctx.arg(2)),
        _ => return Err(Error::Syntax),
    };
    if ctx.args.len() == 2 && ctx.server.has_no_password() {
        return Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ));
    }
    let word = ctx.arg(0);
    ctx.server.log_in(ctx.client, user, password, word)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of HELLO.
pub static HELLO: Command = Command {
    name: "hello",
    handler: hello,
    arity: -1,
    flags: flags("noscript loading stale fast no_auth allow_busy"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Chooses the protocol version and, if asked, logs in.",
    args: "[arguments(protover:int [AUTH auth(username password)] [SETNAME clientname])]",
    ..Command::DEFAULT
};

fn hello(ctx: &mut Ctx<'_>) -> Outcome {
    let proto = match ctx.args.get(1).map(parse_i64) {
        None => None,
        Some(Some(2)) => Some(Protocol::Resp2),
        Some(Some(3)) => Some(Protocol::Resp3),
        Some(Some(_)) => return Err(Error::new("NOPROTO unsupported protocol version")),
        Some(None) => {
            return Err(Error::new(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    };
    let mut name = None;
    let mut i = 2;
    while let Some(option) = ctx.args.get(i) {
        let left = ctx.args.len() - i - 1;
        if ctx.is(i, "auth") && left >= 2 {
            let (user, password) = (ctx.arg(i + 1), ctx.arg(i + 2));
            let word = ctx.arg(0);
            ctx.server.log_in(ctx.client, user, password, word)?;
            i += 3;
        } else if ctx.is(i, "setname") && left >= 1 {
            name = Some(ctx.arg(i + 1));
            i += 2;
        } else {
            let text = [
                b"ERR Syntax error in HELLO option '".as_slice(),
                before_nul(option),
                b"'",
            ]
            .concat();
            return Err(Error::Bytes(text));
        }
    }
    if ctx.client.has(ClientFlags::UNAUTHENTICATED) {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        set_name(ctx.client, name)?;
    }
    if let Some(proto) = proto {
        ctx.client.proto = proto;
    }
    introduce(ctx.server, ctx.client);
    Ok(Flow::Done)
}

/// The reply of HELLO. Compat: there are no modules here, so none is listed.
fn introduce(server: &Server, client: &mut Client) {
    let (id, proto) = (client.id, client.proto);
    let mode = if server.config.cluster_enabled {
        "cluster"
    } else {
        "standalone"
    };
    let role = if server.state.contains(ServerState::REPLICA) {
        "replica"
    } else {
        "master"
    };
    let mut r = client.reply();
    r.map(7);
    r.bulk(b"server");
    r.bulk(b"redis");
    r.bulk(b"version");
    r.bulk(server.config.redis_compat_version.as_bytes());
    r.bulk(b"proto");
    r.int(match proto {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    r.bulk(b"id");
    r.int(id as i64);
    r.bulk(b"mode");
    r.bulk(mode.as_bytes());
    r.bulk(b"role");
    r.bulk(role.as_bytes());
    r.bulk(b"modules");
    r.array(0);
}

/// The row of RESET.
pub static RESET: Command = Command {
    name: "reset",
    handler: reset,
    arity: 1,
    flags: flags("noscript loading stale fast no_auth allow_busy"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Puts the connection back into its first state.",
    ..Command::DEFAULT
};

fn reset(ctx: &mut Ctx<'_>) -> Outcome {
    multi::discard(ctx.server, ctx.client);
    tracked::disable(ctx.server, ctx.client);
    monitor::stop(ctx.server, ctx.client);
    unsubscribe_all(ctx.server, ctx.client);
    let c = &mut *ctx.client;
    c.flags.remove(
        ClientFlags::REPLY_OFF
            | ClientFlags::REPLY_SKIP
            | ClientFlags::REPLY_SKIP_NEXT
            | ClientFlags::NO_EVICT
            | ClientFlags::NO_TOUCH
            | ClientFlags::READONLY
            | ClientFlags::PUBSUB
            | ClientFlags::ASKING,
    );
    c.db = 0;
    c.name = None;
    c.proto = Protocol::Resp2;
    ctx.server.log_out(ctx.client);
    ctx.reply().simple("RESET");
    Ok(Flow::Done)
}
