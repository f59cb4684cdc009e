//! REPLICAOF (SLAVEOF): whom this server follows.

use crate::client::ClientFlags;
use crate::config::values::MasterAddr;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&REPLICAOF, &SLAVEOF];

/// The row of REPLICAOF.
pub static REPLICAOF: Command = Command {
    name: "replicaof",
    handler: replicaof,
    arity: 3,
    flags: flags("admin noscript stale no_async_loading"),
    group: Group::Server,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Makes the server a replica of another, or a master again.",
    args: "args(host-port(host port:int) | no-one(NO ONE))",
    ..Command::DEFAULT
};

/// The row of SLAVEOF.
pub static SLAVEOF: Command = Command {
    name: "slaveof",
    handler: replicaof,
    arity: 3,
    flags: flags("admin noscript stale no_async_loading"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "The old name of REPLICAOF.",
    deprecated_since: "5.0.0",
    replaced_by: "`REPLICAOF`",
    args: "args(host-port(host port:int) | no-one(NO ONE))",
    ..Command::DEFAULT
};

fn replicaof(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.config.cluster_enabled {
        return Err(Error::new("ERR REPLICAOF not allowed in cluster mode."));
    }
    if ctx.server.failover_under_way() {
        return Err(Error::new("ERR REPLICAOF not allowed while failing over."));
    }
    if ctx.client.has(ClientFlags::MASTER) {
        // No stream may change whom we follow.
        return Err(Error::new(
            "ERR Command is not valid when client is a master.",
        ));
    }
    if ctx.is(1, "no") && ctx.is(2, "one") {
        if ctx.server.is_replica() {
            ctx.server.stop_replicating();
            log::info!("MASTER MODE enabled (user request from '{}')", who(ctx));
        }
        ctx.reply().ok();
        return Ok(Flow::Done);
    }
    if ctx.client.has(ClientFlags::REPLICA) {
        // Whoever asks is about to be disconnected: it would follow itself.
        return Err(Error::new(
            "ERR Command is not valid when client is a replica.",
        ));
    }
    const BAD_PORT: &str = "ERR Invalid master port";
    let port = ctx.int_in(2, 0, i64::from(u16::MAX), BAD_PORT);
    let port = port.map_err(|_| Error::new(BAD_PORT))? as u16;
    let master = MasterAddr {
        host: ctx.arg(1).into(),
        port,
    };
    if ctx.server.config.replicaof.as_ref() == Some(&master) {
        log::info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
        );
        ctx.reply()
            .simple("OK Already connected to specified master");
        return Ok(Flow::Done);
    }
    let name = format!("{}:{port}", master.host.to_str_lossy());
    ctx.server.replicate_from(master);
    log::info!(
        "REPLICAOF {name} enabled (user request from '{}')",
        who(ctx)
    );
    ctx.reply().ok();
    Ok(Flow::Done)
}

fn who(ctx: &Ctx<'_>) -> String {
    let line = super::client::list::line(ctx.server, ctx.client);
    String::from_utf8_lossy(line.trim_ascii_end().as_bytes()).into_owned()
}
