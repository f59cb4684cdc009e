//! Parking clients and waking them.
//!
//! A command that finds nothing to serve it with returns `Flow::Block` ([`wait_for`]). [`park`] keeps its arguments and puts
//! the client into the queue of each key, under one number of arrival: first come, first served, and leaving costs no search.
//! A change of such a key marks it ready (`DbView::modified`); when the unit that changed it has ended, [`serve_ready`] runs
//! the commands of those that wait again, oldest first, as long as the key holds what they want, and goes on until no key is
//! ready any more (a BLMOVE may make the next one ready). While that happens the client whose command caused it lies in the
//! table like all others, so whatever reaches clients by their handle reaches it too.
//!
//! Invariants: a client with `BLOCKED` has `Client::blocked`, stands in the queue of each of its keys (and in `parked` of its
//! kind if it has none), and in `queues.deadlines` when it has a deadline; `Listening::BLOCKED` is set while anybody waits for
//! a key. Nothing here walks all clients.
//!
//! Extending: a new blocking command calls [`deadline`] and [`wait_for`]; one that waits for something other than keys gets a
//! [`BlockKind`], and whoever makes it happen calls [`clients_waiting`] and [`run_again`] or [`release`].

use super::dispatch::dispatch;
use super::{BlockOn, Ctx, Flow, Outcome};
use crate::client::blocked::{BlockKind, Blocked, OnTimeout};
use crate::client::{Client, ClientFlags, ClientRef, CommandId};
use crate::ds::longdouble::LongDouble;
use crate::ds::numtext::{parse_f64, parse_i64};
use crate::keyspace::effects::Listening;
use crate::keyspace::waiting::Waiter;
use crate::keyspace::{Key, Type};
use crate::resp::{Args, Error, OwnedArgs};
use crate::server::Server;
use std::collections::BTreeMap;

/// What the server knows of its parked clients as a whole.
#[derive(Debug)]
pub struct Blocking {
    /// Number of parked clients (INFO `blocked_clients`).
    pub clients: usize,
    /// How many of them wait for keys.
    on_keys: usize,
    /// The next number of arrival.
    next_arrival: u64,
    /// Clients that wait for something other than keys.
    parked: BTreeMap<(u8, u64), ClientRef>,
    /// Parked clients are being served: what they make ready is served by the same loop.
    serving: bool,
    /// The running command must not wait again.
    last_try: bool,
    /// The running command ran before and was parked: MONITOR has shown it.
    pub again: bool,
}

impl Default for Blocking {
    fn default() -> Self {
        Blocking {
            clients: 0,
            on_keys: 0,
            next_arrival: 1,
            parked: BTreeMap::new(),
            serving: false,
            last_try: false,
            again: false,
        }
    }
}

/// The unit of a timeout argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with a fraction.
    Seconds,
    /// Whole milliseconds.
    Millis,
}

/// Argument `i` as a timeout: the instant (Unix ms) at which it is over, None for 0, which waits forever.
pub fn deadline(ctx: &Ctx<'_>, i: usize, unit: Unit) -> Result<Option<i64>, Error> {
    const TOO_LONG: Error = Error::new("ERR timeout is out of range");
    let ms = match unit {
        Unit::Millis => parse_i64(ctx.arg(i))
            .ok_or(Error::new("ERR timeout is not an integer or out of range"))?,
        Unit::Seconds => {
            let ms = (seconds(ctx.arg(i))? * 1000.0).ceil();
            if ms >= i64::MAX as f64 {
                return Err(TOO_LONG);
            }
            ms as i64
        }
    };
    match ms {
        0 => Ok(None),
        ms if ms < 0 => Err(Error::new("ERR timeout is negative")),
        // The clock's milliseconds are cut off: one more, so that nobody is sent away early.
        ms => {
            let until = ctx.now_ms().checked_add(ms).ok_or(TOO_LONG)?;
            Ok(Some(until.saturating_add(1)))
        }
    }
}

/// A number of seconds. Upstream reads it in extended precision, so what only overflows a double is a number, too.
fn seconds(text: &[u8]) -> Result<f64, Error> {
    const NO_FLOAT: Error = Error::new("ERR timeout is not a float or out of range");
    if let Some(seconds) = parse_f64(text) {
        return Ok(seconds);
    }
    let digits = LongDouble::parse(text).ok_or(NO_FLOAT)?.to_vec();
    Ok(match &digits[..] {
        [b'0', ..] | [b'-', b'0', ..] => 0.0,
        [b'-', ..] => f64::NEG_INFINITY,
        _ => f64::INFINITY,
    })
}

/// Whether the command of `ctx` may wait at all: not inside MULTI or a script, nor where nobody would notice.
pub fn may_wait(ctx: &Ctx<'_>) -> bool {
    const NEVER: ClientFlags = ClientFlags::IN_EXEC
        .union(ClientFlags::SCRIPT)
        .union(ClientFlags::FAKE)
        .union(ClientFlags::MASTER);
    !ctx.client.has(NEVER) && !ctx.server.blocking.last_try
}

/// Whether the command of `ctx` waited and runs again because a key it waits for changed.
pub fn was_woken(ctx: &Ctx<'_>) -> bool {
    ctx.server.blocking.serving
}

/// Waits for one of `keys` until `deadline_ms`; then, or at once where waiting is not allowed, the reply is a null array.
pub fn wait_for(
    ctx: &mut Ctx<'_>,
    kind: BlockKind,
    keys: Args<'_>,
    deadline_ms: Option<i64>,
) -> Outcome {
    if !may_wait(ctx) {
        ctx.reply().null_array();
        return Ok(Flow::Done);
    }
    Ok(Flow::Block(Box::new(BlockOn {
        kind,
        keys: OwnedArgs::copy_of(keys),
        deadline_ms,
        on_timeout: OnTimeout::Reply(|reply| reply.null_array()),
        args: None,
        wake_on_delete: false,
        wait: None,
    })))
}

/// Parks the client of `ctx`, whose command (`id`) has run for `ran_ns` so far.
pub fn park(ctx: &mut Ctx<'_>, id: CommandId, on: BlockOn, ran_ns: u64) {
    let args = on.args.unwrap_or_else(|| OwnedArgs::copy_of(ctx.args));
    let (server, client) = (&mut *ctx.server, &mut *ctx.client);
    let arrival = server.blocking.next_arrival;
    let blocked = Blocked {
        kind: on.kind,
        arrival,
        db: client.db,
        keys: on.keys,
        deadline_ms: on.deadline_ms,
        on_timeout: on.on_timeout,
        command: id,
        args,
        ran_ns,
        wait: on.wait,
    };
    server.blocking.next_arrival += 1;
    server.blocking.clients += 1;
    enqueue(server, client.handle, &blocked, on.wake_on_delete);
    client.flags.insert(ClientFlags::BLOCKED);
    client.blocked = Some(Box::new(blocked));
}

fn enqueue(server: &mut Server, client: ClientRef, blocked: &Blocked, on_delete: bool) {
    if let Some(at) = blocked.deadline_ms {
        server.queues.deadlines.insert((at, client));
    }
    let Some(wants) = blocked.kind.wants() else {
        let place = (blocked.kind as u8, blocked.arrival);
        server.blocking.parked.insert(place, client);
        return;
    };
    server.blocking.on_keys += 1;
    server.ks.fx.listening.insert(Listening::BLOCKED);
    let waiter = Waiter {
        client,
        wants,
        on_delete,
    };
    let queues = &mut server.ks.dbs[blocked.db as usize].blocked;
    for key in blocked.keys.view().iter() {
        if let Some(queue) = queues.get_mut(key) {
            queue.add(blocked.arrival, waiter);
        } else {
            queues
                .entry(key.into())
                .or_default()
                .add(blocked.arrival, waiter);
        }
    }
}

/// Takes a client out of every queue and returns what it waited for. None when it was not parked.
pub fn unlink(server: &mut Server, client: &mut Client) -> Option<Box<Blocked>> {
    if !client.has(ClientFlags::BLOCKED) {
        return None;
    }
    let blocked = client.blocked.take()?;
    client.flags.remove(ClientFlags::BLOCKED);
    server.blocking.clients -= 1;
    if let Some(at) = blocked.deadline_ms {
        server.queues.deadlines.remove(&(at, client.handle));
    }
    if blocked.kind.wants().is_none() {
        let place = (blocked.kind as u8, blocked.arrival);
        server.blocking.parked.remove(&place);
        return Some(blocked);
    }
    let queues = &mut server.ks.dbs[blocked.db as usize].blocked;
    for key in blocked.keys.view().iter() {
        if let Some(queue) = queues.get_mut(key) {
            queue.remove(blocked.arrival);
            if queue.is_empty() {
                queues.remove(key);
            }
        }
    }
    server.blocking.on_keys -= 1;
    if server.blocking.on_keys == 0 {
        server.ks.fx.listening.remove(Listening::BLOCKED);
    }
    Some(blocked)
}

// ---- keys that became ready ----

/// After a unit ended: serves those who wait for keys it made ready. `runner` is the client out of the table, if any.
#[cold]
pub fn serve_ready(server: &mut Server, runner: Option<&mut Client>) {
    if server.blocking.serving {
        return;
    }
    server.blocking.serving = true;
    match runner {
        Some(client) if server.clients.contains(client.handle) => {
            // The runner may itself be reached by what the others do.
            let stand_in = Client::fake(0);
            let out = std::mem::replace(client, stand_in);
            let handle = out.handle;
            server.clients.put_back(Box::new(out));
            serve_all(server);
            if let Some(back) = server.clients.take(handle) {
                *client = *back;
            }
        }
        _ => serve_all(server),
    }
    server.blocking.serving = false;
}

fn serve_all(server: &mut Server) {
    while !server.ks.fx.ready.is_empty() {
        for (db, key) in std::mem::take(&mut server.ks.fx.ready) {
            serve_key(server, db, &key);
        }
    }
}

/// Runs the commands of those who wait for `key`, in the order they came, while it holds what they want.
fn serve_key(server: &mut Server, db: u32, key: &[u8]) {
    let Some(queue) = server.ks.dbs[db as usize].blocked.get_mut(key) else {
        return;
    };
    queue.signalled = false;
    // Those who wait again stand behind this one: they get their turn when the key changes again.
    let Some(last) = queue.last() else { return };
    let mut from = 0;
    loop {
        let there = type_of(server, db, key);
        let Some(queue) = server.ks.dbs[db as usize].blocked.get(key) else {
            return;
        };
        let Some((arrival, client)) = queue.next(from, last, there) else {
            return;
        };
        from = arrival + 1;
        run_again(server, client);
    }
}

fn type_of(server: &mut Server, db: u32, key: &[u8]) -> Option<Type> {
    let (now, expired) = (server.clock.now_ms, server.expired_keys);
    let mut view = server.ks.view(db, &server.config, now, expired, false);
    view.peek(Key::new(key)).map(|e| e.ty())
}

/// Runs the command of a parked client again; if it does not wait once more, its buffered input goes on.
pub fn run_again(server: &mut Server, handle: ClientRef) {
    let Some(mut client) = server.clients.take(handle) else {
        return;
    };
    if let Some(blocked) = unlink(server, &mut client)
        && !client.has(ClientFlags::CLOSE_ASAP)
    {
        server.clock.tick();
        // What was held back by CLIENT PAUSE has not run yet.
        server.blocking.again = blocked.kind != BlockKind::Postponed;
        dispatch(
            server,
            &mut client,
            blocked.args.view(),
            Some(blocked.command),
            None,
        );
        server.blocking.again = false;
        after_run(server, &mut client, &blocked);
    }
    server.clients.put_back(client);
}

/// A client that waits again keeps its deadline; one that was served goes on.
fn after_run(server: &mut Server, client: &mut Client, before: &Blocked) {
    let handle = client.handle;
    let again = client
        .blocked
        .as_mut()
        .filter(|b| b.kind == before.kind && b.deadline_ms != before.deadline_ms);
    if let Some(again) = again {
        let deadlines = &mut server.queues.deadlines;
        if let Some(at) = again.deadline_ms {
            deadlines.remove(&(at, handle));
        }
        if let Some(at) = before.deadline_ms {
            deadlines.insert((at, handle));
        }
        again.deadline_ms = before.deadline_ms;
    }
    match client.blocked.as_mut() {
        Some(again) => again.ran_ns += before.ran_ns,
        None => {
            server.command_stats[before.command.index()].nanos += before.ran_ns;
            go_on(server, client);
        }
    }
}

/// Puts a client on the list of those whose buffered input goes on at the end of the turn, and whose replies are written.
pub fn go_on(server: &mut Server, client: &mut Client) {
    if !client.has(ClientFlags::RESUMED) {
        client.flags.insert(ClientFlags::RESUMED);
        server.queues.resumed.push(client.handle);
    }
}

// ---- what ends waiting otherwise ----

/// Ends the waiting of clients whose time is over.
pub fn expire_deadlines(server: &mut Server) {
    let now = server.clock.now_ms;
    while let Some(&(at, handle)) = server.queues.deadlines.first() {
        if at > now {
            return;
        }
        time_out(server, handle);
        // Whoever could not be reached must not hold up the others.
        server.queues.deadlines.remove(&(at, handle));
    }
}

fn time_out(server: &mut Server, handle: ClientRef) {
    let on_timeout = server
        .clients
        .get(handle)
        .and_then(|c| c.blocked.as_ref())
        .map(|b| b.on_timeout);
    match on_timeout {
        Some(OnTimeout::Reply(empty)) => release(server, handle, false, |c| empty(&mut c.reply())),
        Some(OnTimeout::RunAgain) => {
            server.blocking.last_try = true;
            run_again(server, handle);
            server.blocking.last_try = false;
        }
        None => {}
    }
}

/// Ends the waiting of a client with what `answer` replies. `failed`: that is an error.
pub fn release(
    server: &mut Server,
    handle: ClientRef,
    failed: bool,
    answer: impl FnOnce(&mut Client),
) {
    let Some(mut client) = server.clients.take(handle) else {
        return;
    };
    if let Some(blocked) = unlink(server, &mut client) {
        let muted = client.has(ClientFlags::REPLY_OFF);
        if !muted {
            answer(&mut client);
        }
        count(server, &mut client, &blocked, failed);
        go_on(server, &mut client);
    }
    server.clients.put_back(client);
}

/// The command ends without having run again: it counts as one call.
fn count(server: &mut Server, client: &mut Client, blocked: &Blocked, failed: bool) {
    let stat = &mut server.command_stats[blocked.command.index()];
    stat.calls += 1;
    stat.nanos += blocked.ran_ns;
    stat.failed += u64::from(failed);
    server.stats.commands += 1;
    client.commands += 1;
}

/// CLIENT UNBLOCK: ends the waiting of the client with this id, as if its time were over or with an error. False when it
/// does not wait for anything that may end like that.
pub fn unblock_by_id(server: &mut Server, id: u64, with_error: bool) -> bool {
    let Some(handle) = server.clients.by_id(id) else {
        return false;
    };
    let kind = server
        .clients
        .get(handle)
        .and_then(|c| c.blocked.as_ref())
        .map(|b| b.kind);
    match kind {
        None | Some(BlockKind::Postponed | BlockKind::Shutdown | BlockKind::Freeing) => {
            return false;
        }
        Some(_) if with_error => {
            server.errors.count(b"UNBLOCKED");
            release(server, handle, true, |c| {
                c.reply()
                    .error_bytes(b"UNBLOCKED client unblocked via CLIENT UNBLOCK")
            });
        }
        Some(_) => time_out(server, handle),
    }
    true
}

/// Ends the waiting of everybody who waits for keys or for replicas, with an error and the end of the connection: this server
/// became a replica, where that waiting makes no sense.
pub fn disconnect_waiting(server: &mut Server, error: &'static [u8]) {
    let ends = |kind: BlockKind| kind.wants().is_some() || kind == BlockKind::Wait;
    let waiting: Vec<ClientRef> = server
        .clients
        .iter()
        .filter(|c| c.blocked.as_ref().is_some_and(|b| ends(b.kind)))
        .map(|c| c.handle)
        .collect();
    for handle in waiting {
        release(server, handle, true, |c| {
            c.reply().error_bytes(error);
            c.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
        });
    }
}

/// Clients that wait for something other than keys, oldest first.
pub fn clients_waiting(server: &Server, kind: BlockKind) -> Vec<ClientRef> {
    clients_waiting_since(server, kind, u64::MAX)
}

/// Those of [`clients_waiting`] whose number of arrival is `newest` at most.
pub fn clients_waiting_since(server: &Server, kind: BlockKind, newest: u64) -> Vec<ClientRef> {
    let kind = kind as u8;
    server
        .blocking
        .parked
        .range((kind, 0)..=(kind, newest))
        .map(|(_, c)| *c)
        .collect()
}

/// The number of arrival that the next client to be parked gets; never 0.
pub fn next_arrival(server: &Server) -> u64 {
    server.blocking.next_arrival
}

/// Many keys of a database came or went at once (SWAPDB, FLUSHALL, a new dataset): every key somebody waits for is looked at
/// when the unit ends.
pub fn all_keys_changed(server: &mut Server, db: u32) {
    let fx = &mut server.ks.fx;
    for (key, queue) in &mut server.ks.dbs[db as usize].blocked {
        if !queue.signalled {
            queue.signalled = true;
            fx.ready.push((db, key.clone()));
        }
    }
}

/// Number of keys somebody waits for, and of those that also wake somebody when they go (INFO `total_blocking_keys` and
/// `total_blocking_keys_on_nokey`).
pub fn blocking_keys(server: &Server) -> (usize, usize) {
    let queues = || server.ks.dbs.iter().flat_map(|db| db.blocked.values());
    let on_delete = queues().filter(|q| q.any_on_delete()).count();
    (queues().count(), on_delete)
}
