//! Acting on what a command left behind: transactions to fail, events to publish, caches to invalidate.
//!
//! Each kind has its function, called after every command that somebody listens to. Keys that became ready are not among
//! them: those who wait run only after the whole unit has ended (`blocking::serve_ready`).

use crate::client::{Client, ClientFlags, ClientRef};
use crate::config::values::NotifyFlags;
use crate::server::publish::{self, Payload};
use crate::server::{Server, tracked};

/// Delivers everything recorded since the last call. `running` is the client that is out of the table.
pub fn deliver(server: &mut Server, running: &mut Client) {
    if !server.ks.fx.touched.is_empty() {
        fail_transactions(server, running);
    }
    announce(server, Some(running.handle));
}

/// Delivers what was recorded while no command ran: expiry and eviction by cron.
pub fn deliver_outside(server: &mut Server) {
    for h in std::mem::take(&mut server.ks.fx.touched) {
        if let Some(c) = server.clients.get_mut(h) {
            c.flags.insert(ClientFlags::DIRTY_CAS);
        }
    }
    announce(server, None);
}

/// Tells caches what is stale, then publishes keyspace events.
fn announce(server: &mut Server, writer: Option<ClientRef>) {
    if !server.ks.fx.invalid.is_empty() {
        tracked::invalidate(server, writer);
    }
    if !server.ks.fx.events.is_empty() {
        publish_events(server);
    }
}

/// Publishes every recorded event: by its key, then by its name, as `notify-keyspace-events` wants it.
#[cold]
fn publish_events(server: &mut Server) {
    let mut events = std::mem::take(&mut server.ks.fx.events);
    let wanted = server.config.notify_keyspace_events;
    for e in events.drain(..) {
        if server.pubsub.nobody_listens() {
            continue;
        }
        let (name, db) = (e.name.as_bytes(), e.db);
        if wanted.contains(NotifyFlags::KEYSPACE) {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), &e.key].concat();
            publish::publish(server, &channel, Payload::Plain(name));
        }
        if wanted.contains(NotifyFlags::KEYEVENT) {
            let channel = format!("__keyevent@{db}__:{}", e.name);
            publish::publish(server, channel.as_bytes(), Payload::Plain(&e.key));
        }
    }
    server.ks.fx.events = events;
}

/// Clients that watch a touched key will have their EXEC fail.
fn fail_transactions(server: &mut Server, running: &mut Client) {
    for h in server.ks.fx.touched.drain(..) {
        if h == running.handle {
            running.flags.insert(ClientFlags::DIRTY_CAS);
        } else if let Some(c) = server.clients.get_mut(h) {
            c.flags.insert(ClientFlags::DIRTY_CAS);
        }
    }
}
