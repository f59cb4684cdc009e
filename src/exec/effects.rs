//! Acting on what a command left behind: transactions to fail, events to publish, caches to invalidate.
//!
//! Each kind has its function, called after every command that somebody listens to. Keys that became ready are not among
//! them: those who wait run only after the whole unit has ended (`blocking::serve_ready`).

use crate::client::{Client, ClientFlags};
use crate::server::Server;

/// Delivers everything recorded since the last call. `running` is the client that is out of the table.
pub fn deliver(server: &mut Server, running: &mut Client) {
    if !server.ks.fx.touched.is_empty() {
        fail_transactions(server, running);
    }
    if !server.ks.fx.events.is_empty() {
        publish_events(server, running);
    }
    if !server.ks.fx.invalid.is_empty() {
        invalidate(server, running);
    }
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

/// Keyspace events in the order they happened.
fn publish_events(server: &mut Server, _running: &mut Client) {
    server.ks.fx.events.clear();
}

/// Cached copies that are stale.
fn invalidate(server: &mut Server, _running: &mut Client) {
    server.ks.fx.invalid.clear();
}
