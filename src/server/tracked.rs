//! Client-side caching at work: remembers what tracking clients read, and tells them when it changes.
//!
//! A RESP3 client is told by a push. A RESP2 client cannot be told: it names another one (REDIRECT), which, when it speaks RESP2
//! itself, gets a message on `__redis__:invalidate`, subscribed to what it may be.
//!
//! // Compat: the null that stands for all keys has the form of the protocol of whoever receives it (upstream: of whoever tracks),
//! and follows the reply of a client's own FLUSHALL, as every push does (8.2.3: precedes it outside of MULTI).

use super::Server;
use super::deliver::Door;
use crate::client::{Client, ClientFlags, ClientRef};
use crate::exec::Ctx;
use crate::exec::command::{AclCategories, CommandFlags};
use crate::exec::keys::{KeyRefs, Wanted, find};
use crate::keyspace::effects::{Listening, Stale as Outdated};
use crate::resp::{Protocol, Reply};
use crate::tracking::{Mode, Tracking};

/// The channel on which RESP2 clients are told.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// Keys dropped from a table that is too large, per tick of cron.
const EVICT_PER_TICK: usize = 10_000;

/// What became stale.
#[derive(Clone, Copy)]
enum Stale<'a> {
    All,
    Keys(&'a [&'a [u8]]),
}

impl Stale<'_> {
    fn write(self, r: &mut Reply<'_>) {
        if r.resp3() {
            r.push(2);
            r.bulk(b"invalidate");
        } else {
            r.array(3);
            r.bulk(b"message");
            r.bulk(CHANNEL);
        }
        match self {
            Stale::All => r.null(),
            Stale::Keys(keys) => {
                r.array(keys.len());
                keys.iter().for_each(|k| r.bulk(k));
            }
        }
    }
}

fn speaks_resp3(client: &Client) -> bool {
    client.proto == Protocol::Resp3
}

fn can_be_told_for_others(client: &Client) -> bool {
    speaks_resp3(client) || client.has(ClientFlags::PUBSUB)
}

/// Tells `who`, or whom it redirects to.
fn tell(door: &mut Door<'_>, room: &mut Tracking, who: ClientRef, stale: Stale<'_>) {
    let Some(options) = room.options_mut(who) else {
        return;
    };
    if options.redirect == 0 {
        door.deliver_if(who, speaks_resp3, |r| stale.write(r));
        return;
    }
    let id = options.redirect;
    match door.clients().by_id(id) {
        Some(other) => {
            door.deliver_if(other, can_be_told_for_others, |r| stale.write(r));
        }
        None => {
            options.mode.insert(Mode::BROKEN);
            door.deliver_if(who, speaks_resp3, |r| {
                r.push(2);
                r.bulk(b"tracking-redir-broken");
                r.int(id as i64);
            });
        }
    }
}

/// Remembers the keys that the command of `ctx` read; CLIENT CACHING counts for one command (or transaction).
#[cold]
pub fn after_call(ctx: &mut Ctx<'_>) {
    let handle = ctx.client.handle;
    let Some(options) = ctx.server.tracking.options_mut(handle) else {
        return;
    };
    let remembers = options.remembers();
    let name = ctx.command.name;
    let in_unit = ctx
        .client
        .has(ClientFlags::MULTI | ClientFlags::IN_EXEC | ClientFlags::SCRIPT);
    if !in_unit && !name.starts_with("client|") {
        options.mode.remove(Mode::CACHING);
    }
    // A script that only reads is no read itself: its commands are.
    let reads = ctx.command.flags.contains(CommandFlags::READONLY)
        && !ctx.command.acl.contains(AclCategories::SCRIPTING);
    if !(remembers && reads) {
        return;
    }
    let mut keys = KeyRefs::new();
    if find(ctx.command, &ctx.args, Wanted::Keys, &mut keys).is_ok() {
        for k in keys.as_slice() {
            let key = ctx.args.at(k.pos as usize);
            ctx.server.tracking.keys.remember(key, handle);
        }
    }
}

/// Tells of every change recorded in `fx.invalid`. `writer`: the client whose command made them.
#[cold]
pub fn invalidate(server: &mut Server, writer: Option<ClientRef>) {
    let mut list = std::mem::take(&mut server.ks.fx.invalid);
    for stale in list.drain(..) {
        match stale {
            Outdated::Changed(key) => invalidate_key(server, &key, writer),
            Outdated::Gone(key) => invalidate_key(server, &key, None),
            Outdated::All => invalidate_all(server),
        }
    }
    server.ks.fx.invalid = list;
}

fn invalidate_key(server: &mut Server, key: &[u8], writer: Option<ClientRef>) {
    let (mut door, _, room) = server.door_and_rooms();
    if !room.prefixes.is_empty() {
        room.prefixes.note(key, writer);
    }
    let Some(readers) = room.keys.take(key) else {
        return;
    };
    for who in readers.as_slice() {
        let skip = room.options(*who).is_none_or(|o| {
            o.mode.contains(Mode::BCAST) || o.mode.contains(Mode::NOLOOP) && writer == Some(*who)
        });
        if !skip {
            tell(&mut door, room, *who, Stale::Keys(&[key]));
        }
    }
}

fn invalidate_all(server: &mut Server) {
    let (mut door, _, room) = server.door_and_rooms();
    room.keys.clear();
    let everybody: Vec<ClientRef> = room.clients().collect();
    for who in everybody {
        tell(&mut door, room, who, Stale::All);
    }
}

/// Tells those in broadcasting mode what changed in this tick.
pub fn broadcast(server: &mut Server) {
    let (mut door, _, room) = server.door_and_rooms();
    if room.prefixes.is_empty() {
        return;
    }
    for (clients, changed) in room.prefixes.take_changed() {
        let all: Vec<&[u8]> = changed.keys().map(|k| &k[..]).collect();
        for who in clients {
            let noloop = room
                .options(who)
                .is_some_and(|o| o.mode.contains(Mode::NOLOOP));
            if !noloop {
                tell(&mut door, room, who, Stale::Keys(&all));
                continue;
            }
            let others = changed.iter().filter(|(_, by)| **by != Some(who));
            let others: Vec<&[u8]> = others.map(|(k, _)| &k[..]).collect();
            if !others.is_empty() {
                tell(&mut door, room, who, Stale::Keys(&others));
            }
        }
    }
}

/// Drops random keys while the table has more than `tracking-table-max-keys` of them; a bounded number per call (cron).
pub fn limit(server: &mut Server) {
    let max = server.config.tracking_table_max_keys;
    if max == 0 {
        return;
    }
    for _ in 0..EVICT_PER_TICK {
        if server.tracking.keys.len() <= max {
            return;
        }
        let Some(key) = server.tracking.keys.random(&mut server.ks.rng) else {
            return;
        };
        let (mut door, _, room) = server.door_and_rooms();
        let Some(readers) = room.keys.take(&key) else {
            return;
        };
        for who in readers.as_slice() {
            if room
                .options(*who)
                .is_some_and(|o| !o.mode.contains(Mode::BCAST))
            {
                tell(&mut door, room, *who, Stale::Keys(&[&key]));
            }
        }
    }
}

/// Switches tracking on for a client (which must not be in the middle of another mode), or changes how it tracks.
pub fn enable(
    server: &mut Server,
    client: &mut Client,
    mode: Mode,
    redirect: u64,
    prefixes: &[&[u8]],
) {
    client.tracking_bytes += server
        .tracking
        .enable(client.handle, mode, redirect, prefixes);
    client.flags.insert(ClientFlags::TRACKING);
    server.ks.fx.listening.insert(Listening::TRACKING);
}

/// Switches tracking off: CLIENT TRACKING OFF, RESET, and a client that goes away.
pub fn disable(server: &mut Server, client: &mut Client) {
    if !client.has(ClientFlags::TRACKING) {
        return;
    }
    client.flags.remove(ClientFlags::TRACKING);
    client.tracking_bytes = 0;
    server.tracking.disable(client.handle);
    if server.tracking.is_empty() {
        server.ks.fx.listening.remove(Listening::TRACKING);
    }
}
