//! The one door by which something reaches a client that did not ask for it just now: messages, invalidations, MONITOR lines.
//!
//! A client is in the table, or it is running: then it was moved out, and what is sent to it waits in `queues.deferred` until its
//! command has replied ([`flush_own`]); so a push never stands inside a reply, nor between the replies of a transaction. Which
//! protocol the client will speak by then is not known here, so a deferred message is written in both forms. That is rare:
//! clients seldom send to themselves.
//!
//! [`Door`] borrows only the parts of the server that sending needs, so a caller may walk the sets of another room (subscribers,
//! trackers) meanwhile.

use super::Server;
use super::stats::ServerStats;
use crate::client::memory::ClientMemory;
use crate::client::{Client, ClientFlags, ClientRef, Clients};
use crate::config::Config;
use crate::pubsub::PubSub;
use crate::resp::{OutBuf, Protocol, Reply};
use crate::server::Queues;
use crate::tracking::Tracking;

/// Something for a client that was running: the RESP2 and the RESP3 form.
#[derive(Debug)]
pub struct Deferred {
    to: ClientRef,
    when: fn(&Client) -> bool,
    forms: [OutBuf; 2],
}

/// The parts of the server that sending needs.
pub struct Door<'a> {
    clients: &'a mut Clients,
    queues: &'a mut Queues,
    config: &'a Config,
    stats: &'a mut ServerStats,
    memory: &'a mut ClientMemory,
    now_s: i64,
}

impl Server {
    /// The door.
    pub fn door(&mut self) -> Door<'_> {
        self.door_and_rooms().0
    }

    /// The door, and the rooms whose sets tell whom to send to.
    pub fn door_and_rooms(&mut self) -> (Door<'_>, &mut PubSub, &mut Tracking) {
        let door = Door {
            clients: &mut self.clients,
            queues: &mut self.queues,
            config: &self.config,
            stats: &mut self.stats,
            memory: &mut self.client_memory,
            now_s: self.clock.now_s(),
        };
        (door, &mut self.pubsub, &mut self.tracking)
    }
}

impl Door<'_> {
    /// Appends what `write` writes to the output of a client, wherever it is. False when the client is gone. `write` may be
    /// called twice, for either protocol. A client whose output thereby passes its limit is closed at the end of the tick, and
    /// takes nothing more.
    #[inline]
    pub fn deliver(&mut self, to: ClientRef, write: impl Fn(&mut Reply<'_>)) -> bool {
        self.deliver_if(to, |_| true, write)
    }

    /// Like [`Door::deliver`], but nothing is written unless `when` holds for the client as it is by then.
    #[inline]
    pub fn deliver_if(
        &mut self,
        to: ClientRef,
        when: fn(&Client) -> bool,
        write: impl Fn(&mut Reply<'_>),
    ) -> bool {
        self.deliver_by(queue_write, to, when, write)
    }

    /// Like [`Door::deliver`], for a message that many receive: they are written together ([`super::fanout`]).
    #[inline]
    pub fn deliver_to_many(&mut self, to: ClientRef, write: impl Fn(&mut Reply<'_>)) -> bool {
        self.deliver_by(|q, c| q.fanout.add(c), to, |_| true, write)
    }

    #[inline]
    fn deliver_by(
        &mut self,
        queue: fn(&mut Queues, &mut Client),
        to: ClientRef,
        when: fn(&Client) -> bool,
        write: impl Fn(&mut Reply<'_>),
    ) -> bool {
        if let Some(client) = self.clients.get_mut(to) {
            if client.has(ClientFlags::CLOSE_ASAP) || !when(client) {
                return true;
            }
            write(&mut client.reply());
            queue(self.queues, client);
            if over_limit(self.config, self.now_s, client, 0) {
                self.stats.output_buffer_limit_disconnections += 1;
                close_soon(self.queues, client);
            }
            self.memory.note(client);
            return true;
        }
        if !self.clients.contains(to) {
            return false;
        }
        let forms = [Protocol::Resp2, Protocol::Resp3].map(|p| {
            let mut out = OutBuf::new();
            write(&mut Reply::new(&mut out, p));
            out
        });
        self.queues.deferred.push(Deferred { to, when, forms });
        true
    }

    /// The table, to look at clients (those that run are not in it).
    pub fn clients(&self) -> &Clients {
        self.clients
    }
}

/// Gives a client that has finished a command what was sent to it meanwhile.
#[inline(always)]
pub fn flush_own(server: &mut Server, client: &mut Client) {
    if !server.queues.deferred.is_empty() {
        flush_some(server, client);
    }
}

#[cold]
fn flush_some(server: &mut Server, client: &mut Client) {
    let form = usize::from(client.proto == Protocol::Resp3);
    server.queues.deferred.retain_mut(|d| {
        let mine = d.to == client.handle;
        if mine && (d.when)(client) {
            client.out.append(&mut d.forms[form]);
        }
        !mine
    });
    server.check_output_limit(client);
}

/// Puts a client on the list of writers.
#[inline]
pub fn queue_write(queues: &mut Queues, client: &mut Client) {
    if !client.has(ClientFlags::PENDING_WRITE | ClientFlags::WRITE_BLOCKED | ClientFlags::FAKE) {
        client.flags.insert(ClientFlags::PENDING_WRITE);
        queues.write.push(client.handle);
    }
}

/// Marks a client to be closed at the end of the tick.
pub fn close_soon(queues: &mut Queues, client: &mut Client) {
    if !client.has(ClientFlags::CLOSE_ASAP) {
        client.flags.insert(ClientFlags::CLOSE_ASAP);
        queues.close.push(client.handle);
    }
}

/// What a client that did not log in may leave unread, bytes: it must not be able to fill memory with error replies.
const UNAUTHENTICATED_REPLIES_MAX: u64 = 1024;

/// The class of replicas.
const REPLICAS: usize = 1;

/// The class of `client-output-buffer-limit` that a client belongs to; None for those without limit.
#[inline]
fn class_of(client: &Client) -> Option<usize> {
    if client.has(ClientFlags::FAKE | ClientFlags::MASTER) {
        None
    } else if client.has(ClientFlags::REPLICA) {
        Some(REPLICAS)
    } else {
        Some(if client.has(ClientFlags::PUBSUB) {
            2
        } else {
            0
        })
    }
}

/// A client is about to run commands: no reply of them can grow past its hard limit.
#[inline]
pub fn limit_replies(config: &Config, client: &mut Client) {
    // What a replica is sent is no reply, and nothing of it may be left out.
    let class = class_of(client).filter(|c| *c != REPLICAS);
    let hard = class.map_or(0, |c| config.client_output_buffer_limit[c].hard_bytes);
    client.out.set_limit(usize::try_from(hard).unwrap_or(0));
}

/// Whether a client's output passed its hard limit, or its soft limit for too long (`client-output-buffer-limit`); says so in
/// the log. `stream`: bytes of the replication stream that wait for it as well.
#[inline]
pub fn over_limit(config: &Config, now_s: i64, client: &mut Client, stream: usize) -> bool {
    let class = match class_of(client) {
        Some(class) if !client.has(ClientFlags::CLOSE_ASAP) => class,
        _ => return false,
    };
    let mut limit = config.client_output_buffer_limit[class];
    let mut held = client.out.counted() as u64;
    if class == REPLICAS {
        // What is in the backlog anyhow costs nothing: who lags by less than that may stay. Pieces of a snapshot are not counted,
        // there is never more than one.
        held = stream as u64;
        limit.hard_bytes = match limit.hard_bytes {
            0 => 0,
            bytes => bytes.max(config.repl_backlog_size),
        };
    }
    let stranger = client.has(ClientFlags::UNAUTHENTICATED)
        && client.out.pending() as u64 > UNAUTHENTICATED_REPLIES_MAX;
    let hard = limit.hard_bytes > 0 && held >= limit.hard_bytes || stranger || client.out.choked();
    let soft = limit.soft_bytes > 0 && held >= limit.soft_bytes;
    let mut too_long = false;
    if soft {
        if client.soft_limit_since_s == 0 {
            client.soft_limit_since_s = now_s;
        }
        too_long = now_s - client.soft_limit_since_s > limit.soft_seconds as i64;
    } else {
        client.soft_limit_since_s = 0;
    }
    if hard || too_long {
        log::warn!(
            "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
            client.id,
            client.addr()
        );
    }
    hard || too_long
}
