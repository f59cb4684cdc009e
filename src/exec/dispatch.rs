//! The door to execution: finds the command, asks the guards in upstream's order, then queues it (MULTI) or calls it.
//!
//! On a server where nothing special is on, for a client that is nothing special, all guards together are two tests.

use super::command::{Command, CommandFlags as F};
use super::ctx::Ctx;
use super::{acl, blocking, call, effects, intent, multi, pause, propagate, role};
use crate::client::{Client, ClientFlags, CommandId};
use crate::resp::{Args, Error};
use crate::server::auth::is_open_to;
use crate::server::{Server, ServerState, deliver, master, tracked};

/// Runs one command of a client that is out of the table. `id`: what the name was found to be, ahead.
#[inline]
pub fn dispatch(
    server: &mut Server,
    client: &mut Client,
    args: Args<'_>,
    id: Option<CommandId>,
    first_hash: Option<u64>,
) {
    if client.has(ClientFlags::REPLICA) {
        return dispatch_of_replica(server, client, args, id);
    }
    run(server, client, args, id, first_hash)
}

/// A replica may say something, but nothing may be replied to it: that would stand in the middle of the stream.
#[cold]
fn dispatch_of_replica(
    server: &mut Server,
    client: &mut Client,
    args: Args<'_>,
    id: Option<CommandId>,
) {
    let mark = client.out.mark();
    run(server, client, args, id, None);
    master::replied(server, client, mark);
}

fn run(
    server: &mut Server,
    client: &mut Client,
    args: Args<'_>,
    id: Option<CommandId>,
    first_hash: Option<u64>,
) {
    let found = match id {
        Some(id) => Ok(id),
        None => server
            .registry
            .resolve(&args)
            .map_err(|e| Error::Bytes(server.registry.describe(e, &args))),
    };
    let id = match found {
        Ok(id) => id,
        Err(_) if is_http(args) => return cut_off_http(server, client),
        Err(e) => return reject(server, client, None, &e),
    };
    let command = server.registry.row(id);
    client.last_command = Some(id);
    if let Err(e) = arity(command, args) {
        return reject(server, client, Some(id), &e);
    }
    if command.flags.contains(F::PROTECTED)
        && let Err(e) = opened(server, client, command)
    {
        return reject(server, client, Some(id), &e);
    }
    let special = !server.state.is_empty() || client.has(ClientFlags::SPECIAL);
    let mut ctx = Ctx {
        server,
        client,
        args,
        command,
        first_hash,
    };
    if special {
        slow_path(&mut ctx, id);
    } else if ctx.client.has(ClientFlags::RESTRICTED)
        && let Err(e) = acl::guard(&mut ctx, id)
    {
        reject(ctx.server, ctx.client, Some(id), &e);
    } else {
        call::call(&mut ctx, id);
    }
    // A client that waits keeps asking for what was written before it began to.
    if ctx.server.ks.fx.propagating && !ctx.client.has(ClientFlags::BLOCKED) {
        ctx.client.woff = propagate::stream_offset(ctx.server);
    }
    // What the command sent to its own client follows its reply.
    deliver::flush_own(ctx.server, ctx.client);
    // What a running script made ready is served when it has ended.
    if !ctx.server.ks.fx.ready.is_empty()
        && !ctx.server.state.contains(ServerState::LOADING)
        && !ctx.server.scripts.running()
    {
        blocking::serve_ready(ctx.server, Some(ctx.client));
    }
}

#[cold]
fn slow_path(ctx: &mut Ctx<'_>, id: CommandId) {
    if ctx.server.state.contains(ServerState::CLIENT_LIMIT) {
        ctx.server.evict_clients_beside(Some(ctx.client));
        if ctx.client.has(ClientFlags::CLOSE_ASAP) {
            return;
        }
    }
    if ctx.client.has(ClientFlags::TRACKING) {
        // Many of them may read much between two ticks.
        tracked::limit(ctx.server);
        deliver::flush_own(ctx.server, ctx.client);
    }
    if let Err(e) = guards(ctx, id) {
        let (server, client) = (&mut *ctx.server, &mut *ctx.client);
        return reject(server, client, Some(id), &e);
    }
    if pause::holds_back(ctx) {
        return pause::hold_back(ctx, id);
    }
    let mark = call::mute_begin(ctx.client);
    if multi::queues(ctx) {
        multi::queue(ctx, id)
    } else {
        call::call(ctx, id)
    }
    call::mute_end(ctx.client, mark);
}

fn arity(row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    if row.arity_fits(args.len()) {
        return Ok(());
    }
    Err(Error::text(super::registry::arity_error(row)))
}

/// DEBUG and MODULE are open only as far as `enable-debug-command` and `enable-module-command` say.
#[cold]
fn opened(server: &Server, client: &Client, command: &Command) -> Result<(), Error> {
    let c = &server.config;
    let (rule, name, option) = match command.name {
        "debug" => (c.enable_debug_command, "DEBUG", "debug"),
        _ => (c.enable_module_command, "MODULE", "module"),
    };
    if client.has(ClientFlags::FAKE) || is_open_to(rule, client) {
        return Ok(());
    }
    Err(Error::text(format!(
        "ERR {name} command not allowed. If the enable-{option}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )))
}

/// Replies an error to a command that did not run; inside MULTI that fails the transaction.
fn reject(server: &mut Server, client: &mut Client, id: Option<CommandId>, e: &Error) {
    if client.has(ClientFlags::MULTI) {
        client.flags.insert(ClientFlags::DIRTY_EXEC);
    }
    server.stats.commands_rejected += 1;
    server.errors.count(e.code());
    if let Some(id) = id {
        server.command_stats[id.index()].rejected += 1;
    }
    let mark = call::mute_begin(client);
    let exec_itself = id.is_some_and(|i| server.registry.row(i).name == "exec");
    if exec_itself {
        multi::discard(server, client);
        let text = [
            b"EXECABORT Transaction discarded because of: ".as_slice(),
            e.as_bytes().strip_prefix(b"ERR ").unwrap_or(e.as_bytes()),
        ]
        .concat();
        client.reply().error_bytes(&text);
    } else {
        client.reply().error(e);
    }
    call::mute_end(client, mark);
}

/// A browser, or something that misuses one, speaks HTTP to us: its first lines are no commands, its body might hold some.
fn is_http(args: Args<'_>) -> bool {
    [&b"POST"[..], b"Host:"]
        .iter()
        .any(|w| args.get(0).is_some_and(|a| a.eq_ignore_ascii_case(w)))
}

#[cold]
fn cut_off_http(server: &mut Server, client: &mut Client) {
    log::warn!(
        "Possible SECURITY ATTACK detected: {} sends POST or Host: lines, which are HTTP and no commands. It may be an attempt to \
         reach this server through somebody's browser. Connection aborted.",
        client.addr()
    );
    server.close_soon(client);
}

/// Every guard in order; the first that objects wins.
fn guards(ctx: &mut Ctx<'_>, id: CommandId) -> Result<(), Error> {
    type Guard = fn(&mut Ctx<'_>) -> Result<(), Error>;
    const ORDER: &[Guard] = &[
        memory,
        disk,
        enough_replicas,
        role::read_only,
        subscribed,
        role::stale,
        loading,
        busy,
        observer,
    ];
    if ctx.client.has(ClientFlags::MASTER | ClientFlags::FAKE) {
        // The stream of the master, the AOF and scripts were checked where they come from.
        return Ok(());
    }
    authenticated(ctx)?;
    if ctx.client.has(ClientFlags::RESTRICTED) {
        acl::guard(ctx, id)?;
    }
    ORDER.iter().try_for_each(|g| g(ctx))
}

fn authenticated(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.client.has(ClientFlags::UNAUTHENTICATED) && !ctx.command.flags.contains(F::NO_AUTH) {
        return Err(Error::new("NOAUTH Authentication required."));
    }
    Ok(())
}

/// Over `maxmemory`: evicts, and refuses what may need more when that was not enough.
fn memory(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    // Nothing is evicted while clients are paused.
    let state = ctx.server.state;
    if !state.contains(ServerState::MAXMEMORY) || state.contains(ServerState::PAUSED) {
        return Ok(());
    }
    let enough = ctx.server.free_memory();
    // Whoever caches what was evicted hears of it before this command's reply, its own client too.
    if ctx.server.ks.fx.pending() {
        effects::deliver(ctx.server, ctx.client);
        deliver::flush_own(ctx.server, ctx.client);
    }
    if !enough && intent::any(ctx, F::DENYOOM) {
        return Err(Error::new(
            "OOM command not allowed when used memory > 'maxmemory'.",
        ));
    }
    Ok(())
}

/// Background saving (`stop-writes-on-bgsave-error`) or writing the AOF failed: writes are refused so that the operator notices.
fn disk(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !ctx.server.state.contains(ServerState::DISK_ERROR) {
        return Ok(());
    }
    if ctx.command.name == "ping" || intent::any(ctx, F::WRITE) {
        Err(ctx.server.disk_error())
    } else {
        Ok(())
    }
}

/// A RESP2 client in subscriber mode may only manage its subscriptions.
fn subscribed(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    const ALLOWED: [&str; 9] = [
        "ping",
        "quit",
        "reset",
        "subscribe",
        "unsubscribe",
        "psubscribe",
        "punsubscribe",
        "ssubscribe",
        "sunsubscribe",
    ];
    let resp2 = ctx.client.proto == crate::resp::Protocol::Resp2;
    if ctx.client.has(ClientFlags::PUBSUB) && resp2 && !ALLOWED.contains(&ctx.command.name) {
        let name = ctx.command.name;
        return Err(Error::text(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )));
    }
    Ok(())
}

fn loading(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let state = ctx.server.state;
    let denied = state.contains(ServerState::LOADING) && !ctx.command.flags.contains(F::LOADING)
        || state.contains(ServerState::ASYNC_LOADING)
            && ctx.command.flags.contains(F::NO_ASYNC_LOADING);
    if denied {
        return Err(Error::new("LOADING Redis is loading the dataset in memory"));
    }
    Ok(())
}

/// Too few replicas are near enough (`min-replicas-to-write`): what is written might be lost with this server.
fn enough_replicas(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !ctx.server.state.contains(ServerState::TOO_FEW_REPLICAS) {
        return Ok(());
    }
    if intent::any(ctx, F::WRITE) {
        return Err(Error::new("NOREPLICAS Not enough good replicas to write."));
    }
    Ok(())
}

/// A script runs for too long.
fn busy(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.server.state.contains(ServerState::BUSY) && !ctx.command.flags.contains(F::ALLOW_BUSY) {
        return Err(crate::script::busy::refusal(ctx.server));
    }
    Ok(())
}

/// Who runs MONITOR, or follows us, only listens.
fn observer(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let touches_keys = F::WRITE | F::READONLY | F::MAY_REPLICATE;
    if ctx.client.has(ClientFlags::MONITOR | ClientFlags::REPLICA)
        && ctx.command.flags.intersects(touches_keys)
    {
        return Err(Error::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}
