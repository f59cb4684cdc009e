//! MULTI and WATCH: queueing, watching, and running the queue as one unit.
//!
//! A queue is run by `call` command by command, as one unit for the AOF and the replicas, and nobody else runs in between:
//! clients that wait for keys are served when the unit has ended. A touched key sets `DIRTY_CAS` on those who watch it, at
//! once, through `effects`; keys that expire without anybody touching them are looked at by EXEC ([`watched_expired`]).

use super::command::CommandFlags as F;
use super::{Ctx, acl, call, propagate};
use crate::acl::LogContext;
use crate::client::{Client, ClientFlags, CommandId};
use crate::keyspace::effects::Listening;
use crate::keyspace::waiting::Presence;
use crate::keyspace::{Db, Key};
use crate::resp::OwnedArgs;
use crate::server::Server;

/// Commands that run at once even inside MULTI.
const IMMEDIATE: [&str; 6] = ["exec", "discard", "multi", "watch", "quit", "reset"];

/// Whether the command of `ctx` is to be queued rather than run.
pub fn queues(ctx: &Ctx<'_>) -> bool {
    ctx.client.has(ClientFlags::MULTI)
        && !ctx.client.has(ClientFlags::IN_EXEC)
        && !IMMEDIATE.contains(&ctx.command.name)
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
        ctx.client.multi_mut().push(id, args);
    }
    ctx.reply().simple("QUEUED");
}

/// Ends MULTI without running anything, and forgets the watched keys.
pub fn discard(server: &mut Server, client: &mut Client) {
    unwatch(server, client);
    client
        .flags
        .remove(ClientFlags::MULTI | ClientFlags::DIRTY_EXEC);
    client.multi = None;
}

/// Runs the queue of the client: every command is called in turn, and their replies make one array.
pub fn run_queue(ctx: &mut Ctx<'_>) {
    let queue = ctx
        .client
        .multi
        .as_mut()
        .map(|m| std::mem::take(&mut m.queue))
        .unwrap_or_default();
    unwatch(ctx.server, ctx.client);
    ctx.client.flags.insert(ClientFlags::IN_EXEC);
    propagate::unit_begin(ctx.server);
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
        // Rules may have changed since, also by a command of this queue.
        if inner.client.has(ClientFlags::RESTRICTED)
            && let Err(denied) =
                acl::check(inner.server, inner.client.user_id, q.command, &inner.args)
        {
            acl::note(
                inner.server,
                inner.client,
                LogContext::Multi,
                denied,
                command,
                inner.args,
            );
            let e = denied.error_at_exec();
            inner.server.errors.count(e.code());
            inner.server.command_stats[q.command.index()].rejected += 1;
            inner.reply().error(&e);
            continue;
        }
        call::call(&mut inner, q.command);
    }
    // The unit says it all; EXEC itself is not propagated.
    ctx.force_propagation(false);
    propagate::unit_end(ctx.server);
    ctx.client.flags.remove(ClientFlags::IN_EXEC);
    discard(ctx.server, ctx.client);
}

// ---- WATCH ----

/// Watches a key of the client's database.
pub fn watch(ctx: &mut Ctx<'_>, key: Key<'_>) {
    let (db, handle) = (ctx.client.db, ctx.client.handle);
    let expired = presence(&ctx.server.ks.dbs[db as usize], key, ctx.now_ms()) == Presence::Expired;
    let watched = &mut ctx.server.ks.dbs[db as usize].watched;
    if watched
        .get(key.bytes)
        .is_some_and(|w| w.get(handle).is_some())
    {
        return;
    }
    let name: Box<[u8]> = key.bytes.into();
    watched
        .entry(name.clone())
        .or_default()
        .add(handle, expired);
    ctx.client.multi_mut().watched.push((db, name));
    ctx.server.ks.fx.listening.insert(Listening::WATCH);
}

/// Forgets the watched keys, and that one of them was touched.
pub fn unwatch(server: &mut Server, client: &mut Client) {
    client.flags.remove(ClientFlags::DIRTY_CAS);
    let Some(m) = client.multi.as_mut() else {
        return;
    };
    if m.watched.is_empty() {
        return;
    }
    for (db, key) in m.watched.drain(..) {
        let watched = &mut server.ks.dbs[db as usize].watched;
        if let Some(w) = watched.get_mut(&key) {
            w.remove(client.handle);
            if w.is_empty() {
                watched.remove(&key);
            }
        }
    }
    if !client.has(ClientFlags::MULTI) {
        client.multi = None;
    }
    if server.ks.dbs.iter().all(|d| d.watched.is_empty()) {
        server.ks.fx.listening.remove(Listening::WATCH);
    }
}

/// Whether a watched key has expired since WATCH without being touched.
pub fn watched_expired(ctx: &Ctx<'_>) -> bool {
    let Some(m) = ctx.client.multi.as_ref() else {
        return false;
    };
    m.watched.iter().any(|(db, name)| {
        let db = &ctx.server.ks.dbs[*db as usize];
        let expired_before = db.watched.get(name).and_then(|w| w.get(ctx.client.handle));
        expired_before == Some(false)
            && presence(db, Key::new(name), ctx.now_ms()) == Presence::Expired
    })
}

/// What a database holds under a key, without changing anything.
pub fn presence(db: &Db, key: Key<'_>, now_ms: i64) -> Presence {
    match db.keys.find(key.hash, key.bytes).map(|e| e.expire()) {
        None => Presence::Absent,
        Some(Some(at)) if at <= now_ms => Presence::Expired,
        Some(_) => Presence::Live,
    }
}

/// All keys of `db` are about to go: whoever watches one that is there has its EXEC fail. To be called before FLUSHDB,
/// FLUSHALL and the like empty it; `running` is the client out of the table.
pub fn touch_all_watched(server: &mut Server, db: u32) {
    touch_replaced(server, db, None);
}

/// The keys of two databases are about to be swapped: touches what that changes for those who watch. The watches stay with
/// the number of the database. To be called before the swap.
pub fn touch_swapped(server: &mut Server, a: u32, b: u32) {
    if a != b {
        touch_replaced(server, a, Some(b));
        touch_replaced(server, b, Some(a));
    }
}

fn touch_replaced(server: &mut Server, db: u32, by: Option<u32>) {
    let now = server.clock.now_ms;
    let mut watched = std::mem::take(&mut server.ks.dbs[db as usize].watched);
    for (name, watchers) in &mut watched {
        let key = Key::new(name);
        let before = presence(&server.ks.dbs[db as usize], key, now);
        let after = by.map_or(Presence::Absent, |by| {
            presence(&server.ks.dbs[by as usize], key, now)
        });
        server
            .ks
            .fx
            .touched
            .extend(watchers.replaced(before, after));
    }
    server.ks.dbs[db as usize].watched = watched;
}
