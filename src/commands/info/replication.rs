//! The Replication section.

use super::{Around, Lines};
use crate::server::Server;

pub(super) fn replication(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    if s.is_replica() {
        l.put("role", "slave");
        link(l, a);
    } else {
        l.put("role", "master");
    }
    let r = &s.repl;
    l.put("connected_slaves", 0);
    l.put("master_failover_state", "no-failover");
    l.put("master_replid", r.id);
    l.put("master_replid2", r.id2);
    l.put("master_repl_offset", r.offset);
    l.put("second_repl_offset", r.second_offset);
    l.put("repl_backlog_active", 0);
    l.put("repl_backlog_size", s.config.repl_backlog_size);
    l.put("repl_backlog_first_byte_offset", 0);
    l.put("repl_backlog_histlen", 0);
}

/// A replica's link to its master.
fn link(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let (config, link, now_s) = (&s.config, &s.repl.link, s.clock.now_s());
    if let Some(m) = &config.replicaof {
        l.put("master_host", m.host.to_str_lossy());
        l.put("master_port", m.port);
    }
    let up = link.is_up();
    l.put("master_link_status", if up { "up" } else { "down" });
    let silent_s = master(a).map_or(-1, |c| now_s - c.last_interaction_s);
    l.put("master_last_io_seconds_ago", silent_s);
    l.put("master_sync_in_progress", u8::from(link.is_syncing()));
    let (applied, read) = link.offsets();
    l.put("slave_read_repl_offset", read);
    l.put("slave_repl_offset", applied);
    l.put("replica_full_sync_buffer_size", 0);
    l.put("replica_full_sync_buffer_peak", 0);
    if link.is_syncing() {
        transfer(l, s);
    }
    l.put("master_current_sync_attempts", link.attempts);
    l.put("master_total_sync_attempts", link.attempts_total);
    if up {
        l.put("master_link_up_since_seconds", now_s - link.up_since_s);
    } else {
        let since_s = match link.down_since_s {
            0 => -1,
            at => now_s - at,
        };
        l.put("master_link_down_since_seconds", since_s);
    }
    l.put("total_disconnect_time_sec", link.down_total_s);
    l.put("slave_priority", config.replica_priority);
    l.put("slave_read_only", u8::from(config.replica_read_only));
    l.put("replica_announced", u8::from(config.replica_announced));
}

/// A snapshot under way.
fn transfer(l: &mut Lines, s: &Server) {
    let link = &s.repl.link;
    let (read, total) = link.progress();
    let total_shown = total.map_or(-1, |n| n as i64);
    l.put("master_sync_total_bytes", total_shown.max(0));
    l.put("master_sync_read_bytes", read);
    l.put(
        "master_sync_left_bytes",
        total.map_or(-1, |n| n as i64 - read as i64),
    );
    let percent = total.map_or(0.0, |n| read as f64 * 100.0 / n.max(1) as f64);
    l.raw(format_args!("master_sync_perc:{percent:.2}"));
    l.put(
        "master_sync_last_io_seconds_ago",
        s.clock.now_s() - link.last_io_s,
    );
}

/// The master as a client; it may be the one that asks.
fn master<'a>(a: &'a Around<'_>) -> Option<&'a crate::client::Client> {
    let h = a.server.repl.link.client?;
    a.server.clients.get(h)
}
