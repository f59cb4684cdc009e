//! Acting on what a command left behind: transactions to fail, events to publish, caches to invalidate, clients to wake.

use crate::client::{Client, ClientFlags};
use crate::server::Server;

/// Delivers everything recorded since the last call. `running` is the client that is out of the table.
pub fn deliver(server: &mut Server, running: &mut Client) {
    fail_transactions(server, running);
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
