//! MONITOR: a line per command to everybody who asked for it.
//!
//! A command is shown when it has run (EXEC therefore after the commands it ran), with its secrets masked. What administrates the
//! server is not shown, nor what a row excludes; a script shows itself before it runs ([`feed`]), so that its commands follow it.

use super::{Server, ServerState, redact};
use crate::client::{Client, ClientFlags};
use crate::config::parse::quote;
use crate::exec::Ctx;
use crate::exec::command::CommandFlags;

/// Shows the command of `ctx`, unless its row forbids it.
#[cold]
pub fn after_call(ctx: &mut Ctx<'_>) {
    let hidden = CommandFlags::SKIP_MONITOR | CommandFlags::ADMIN;
    let loading = ctx.server.state.contains(ServerState::LOADING);
    let shown = std::mem::take(&mut ctx.server.blocking.again);
    if !(ctx.command.flags.intersects(hidden) || loading || shown) {
        feed(ctx);
    }
}

/// Shows the command of `ctx` to everybody who runs MONITOR.
#[cold]
pub fn feed(ctx: &mut Ctx<'_>) {
    let now_us = ctx.server.clock.now_us;
    let from = if ctx.client.has(ClientFlags::SCRIPT) {
        "lua".to_owned()
    } else if ctx.client.has(ClientFlags::UNIX) {
        format!("unix:{}", ctx.server.config.unixsocket.as_path().display())
    } else {
        ctx.client.addr().to_string()
    };
    let db = ctx.client.db;
    let (s, us) = (now_us.div_euclid(1_000_000), now_us.rem_euclid(1_000_000));
    let mut line = format!("+{s}.{us:06} [{db} {from}]").into_bytes();
    let secrets = redact::secrets(ctx.command.name, ctx.args);
    for (i, arg) in ctx.args.iter().enumerate() {
        line.push(b' ');
        if secrets.contains(&i) {
            line.extend_from_slice(&quote(redact::MASK));
        } else {
            line.extend_from_slice(&quote(arg));
        }
    }
    line.extend_from_slice(b"\r\n");
    let to = ctx.server.monitors.as_slice().to_vec();
    let mut door = ctx.server.door();
    for h in to {
        door.deliver(h, |r| r.raw(&line));
    }
}

/// Makes a client receive the lines; false when it did already.
pub fn start(server: &mut Server, client: &mut Client) -> bool {
    if client.has(ClientFlags::MONITOR) {
        return false;
    }
    client.flags.insert(ClientFlags::MONITOR);
    server.monitors.insert(client.handle);
    server.state.insert(ServerState::MONITORED);
    true
}

/// Ends that: RESET, and a client that goes away.
pub fn stop(server: &mut Server, client: &mut Client) {
    if client.has(ClientFlags::MONITOR) {
        client.flags.remove(ClientFlags::MONITOR);
        server.monitors.remove(client.handle);
        server
            .state
            .set(ServerState::MONITORED, !server.monitors.is_empty());
    }
}
