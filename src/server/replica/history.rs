//! What happens to the history (ids, offset, backlog, sub-replicas) when the link to the master changes. Master and replica side
//! meet here: everything else of this folder leaves the master's side alone.

use super::Server;
use crate::repl::ReplId;

/// This server goes on by itself: the history gets a new name from here on, the old one is good up to here. Sub-replicas are
/// told by a broken connection, and can go on with it.
pub fn rename(server: &mut Server) {
    let repl = &mut server.repl;
    repl.id2 = std::mem::replace(&mut repl.id, ReplId::random());
    repl.second_offset = repl.offset + 1;
    log::info!(
        "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
        repl.id2,
        repl.second_offset,
        repl.id
    );
    disconnect_replicas(server);
}

/// The master's history got a new name at the very byte where we stopped.
pub fn renamed_by_master(server: &mut Server, old: ReplId, new: ReplId) {
    let repl = &mut server.repl;
    (repl.id2, repl.id) = (old, new);
    repl.second_offset = repl.offset + 1;
    log::info!("Master replication ID changed to {new}");
    disconnect_replicas(server);
}

/// Other data come: nobody can go on with what we sent so far.
pub fn leave(server: &mut Server) {
    disconnect_replicas(server);
}

/// A snapshot was loaded: this is its history now.
pub fn adopt(server: &mut Server, history: Option<(ReplId, i64)>) {
    let (id, offset) = history.unwrap_or_else(|| (ReplId::random(), 0));
    let repl = &mut server.repl;
    (repl.id, repl.offset) = (id, offset);
    (repl.id2, repl.second_offset) = (ReplId::NONE, -1);
    keep_backlog(server);
}

/// A replica keeps a backlog even without replicas of its own: it may become the master.
pub fn keep_backlog(_server: &mut Server) {}

/// Bytes of the master's stream that were applied go on to the backlog and the sub-replicas.
#[inline]
pub fn forward(server: &mut Server, bytes: &[u8]) {
    server.repl.offset += bytes.len() as i64;
}

/// Up to which offset the append only file is on disk; None without one.
pub fn synced_offset(_server: &Server) -> Option<i64> {
    None
}

fn disconnect_replicas(_server: &mut Server) {}
