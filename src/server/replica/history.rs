//! What happens to the history (ids, offset, backlog, sub-replicas) when the link to the master changes. Master and replica side
//! meet here: everything else of this folder leaves the master's side alone.

use super::Server;
use crate::exec::propagate;
use crate::repl::ReplId;

/// This server goes on by itself: the history gets a new name from here on, the old one is good up to here. Sub-replicas are
/// told by a broken connection, and can go on with it.
pub fn rename(server: &mut Server) {
    let repl = &mut server.repl;
    repl.shift_id();
    // The master's SELECT is not ours.
    repl.db = None;
    log::info!(
        "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
        repl.id2,
        repl.second_offset,
        repl.id
    );
    repl.lonely_since_s = server.clock.now_s();
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
    server.repl.backlog = None;
    propagate::refresh_listening(server);
}

/// A snapshot was loaded: this is its history now.
pub fn adopt(server: &mut Server, history: Option<(ReplId, i64)>) {
    let (id, offset) = history.unwrap_or_else(|| (ReplId::random(), 0));
    // Whoever connected while the snapshot was loaded followed the old one.
    disconnect_replicas(server);
    let bytes = server.config.repl_backlog_size;
    let repl = &mut server.repl;
    repl.id = id;
    (repl.id2, repl.second_offset) = (ReplId::NONE, -1);
    repl.offset = offset;
    repl.renew_backlog(bytes);
    propagate::refresh_listening(server);
}

/// A replica keeps a backlog even without replicas of its own: it may become the master.
pub fn keep_backlog(server: &mut Server) {
    server.repl.make_backlog(server.config.repl_backlog_size);
    propagate::refresh_listening(server);
}

/// Bytes of the master's stream that were applied go on to the backlog and the sub-replicas. `db` is what the stream has
/// selected behind them.
#[inline]
pub fn forward(server: &mut Server, bytes: &[u8], db: u32) {
    server.repl.append(bytes);
    server.repl.db = Some(db);
}

/// Up to which offset the append only file is on disk; None without one.
pub fn synced_offset(server: &Server) -> Option<i64> {
    let at = server.persist.aof.durable_repl_offset();
    (at >= 0).then_some(at)
}

/// Ends the connections of all who follow us, at once: nothing else may be sent to them, and the backlog they read may go.
fn disconnect_replicas(server: &mut Server) {
    for h in server.repl.replicas.clone() {
        if let Some(mut client) = server.clients.remove(h) {
            server.forget(&mut client);
        }
    }
}
