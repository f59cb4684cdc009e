//! MULTI: queueing, and running the queue as one unit.

use super::command::CommandFlags as F;
use super::{Ctx, call};
use crate::client::{Client, ClientFlags, CommandId, Queued};
use crate::keyspace::effects::Listening;
use crate::resp::OwnedArgs;
use crate::server::Server;

/// Commands that run at once even inside MULTI.
const IMMEDIATE: [&str; 7] = [
    "exec", "discard", "multi", "watch", "quit", "reset", "unwatch",
];

/// Whether the command of `ctx` is to be queued rather than run.
pub fn queues(ctx: &Ctx<'_>) -> bool {
    ctx.client.has(ClientFlags::MULTI)
        && !ctx.client.has(ClientFlags::IN_EXEC)
        && (ctx.command.name == "unwatch" || !IMMEDIATE.contains(&ctx.command.name))
}

/// Queues the command of `ctx`.
pub fn queue(ctx: &mut Ctx<'_>, id: CommandId) {
    if ctx.command.flags.contains(F::NO_MULTI) {
        ctx.client.flags.insert(ClientFlags::DIRTY_EXEC);
        ctx.reply()
            .error_bytes(b"ERR Command not allowed inside a transaction");
        return;
    }
    // A transaction that will fail anyhow need not hold its commands.
    if !ctx
        .client
        .has(ClientFlags::DIRTY_EXEC | ClientFlags::DIRTY_CAS)
    {
        let args = OwnedArgs::copy_of(ctx.args);
        ctx.client
            .multi_mut()
            .queue
            .push(Queued { command: id, args });
    }
    ctx.reply().simple("QUEUED");
}

/// Whether any queued command may need more memory.
pub fn queue_may_need_memory(ctx: &Ctx<'_>) -> bool {
    ctx.client.multi.as_ref().is_some_and(|m| {
        m.queue.iter().any(|q| {
            ctx.server
                .registry
                .row(q.command)
                .flags
                .contains(F::DENYOOM)
        })
    })
}

/// Ends MULTI without running anything, and forgets the watched keys.
pub fn discard(server: &mut Server, client: &mut Client) {
    client
        .flags
        .remove(ClientFlags::MULTI | ClientFlags::DIRTY_CAS | ClientFlags::DIRTY_EXEC);
    unwatch(server, client);
    client.multi = None;
}

/// Forgets the watched keys.
pub fn unwatch(server: &mut Server, client: &mut Client) {
    let Some(m) = client.multi.as_mut() else {
        return;
    };
    for (db, key, _) in m.watched.drain(..) {
        let watched = &mut server.ks.dbs[db as usize].watched;
        if let Some(v) = watched.get_mut(&key) {
            v.retain(|h| *h != client.handle);
            if v.is_empty() {
                watched.remove(&key);
            }
        }
    }
    if server.ks.dbs.iter().all(|d| d.watched.is_empty()) {
        server.ks.fx.listening.remove(Listening::WATCH);
    }
}

/// Runs the queue of the client: every command is called in turn, and their replies make one array.
pub fn run_queue(ctx: &mut Ctx<'_>) {
    let queue = ctx.client.multi.take().map(|m| m.queue).unwrap_or_default();
    ctx.client.flags.insert(ClientFlags::IN_EXEC);
    ctx.reply().array(queue.len());
    for q in &queue {
        let command = ctx.server.registry.row(q.command);
        let mut inner = Ctx {
            server: ctx.server,
            client: ctx.client,
            args: q.args.view(),
            command,
            first_hash: None,
        };
        call::call(&mut inner, q.command);
    }
    ctx.client.flags.remove(ClientFlags::IN_EXEC);
}
