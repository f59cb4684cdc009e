//! The Replication section.

use super::{Around, Lines};
use crate::ds::history::History;
use crate::server::Server;
use crate::server::master::ip_of;

pub(super) fn replication(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    l.put("role", if s.is_replica() { "slave" } else { "master" });
    if s.is_replica() {
        link(l, a);
    }
    l.put("connected_slaves", s.repl.replicas.len());
    if s.config.min_replicas_to_write > 0 && s.config.min_replicas_max_lag > 0 {
        l.put("min_slaves_good_slaves", s.master.good);
    }
    replicas(l, a);
    l.put("master_failover_state", s.master.failover.stage.name());
    let repl = &s.repl;
    l.put("master_replid", repl.id);
    l.put("master_replid2", repl.id2);
    l.put("master_repl_offset", repl.offset);
    l.put("second_repl_offset", repl.second_offset);
    let kept = repl.backlog.as_ref();
    l.put("repl_backlog_active", u8::from(kept.is_some()));
    l.put("repl_backlog_size", s.config.repl_backlog_size);
    l.put(
        "repl_backlog_first_byte_offset",
        kept.map_or(0, History::first),
    );
    l.put("repl_backlog_histlen", kept.map_or(0, History::len));
}

fn replicas(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let mut n = 0;
    for h in &s.repl.replicas {
        // The asking client may be one itself: it is out of the table.
        let own = a.client.filter(|c| c.handle == *h);
        let Some(client) = s.clients.get(*h).or(own) else {
            continue;
        };
        let Some((r, state)) = client
            .replica
            .as_ref()
            .and_then(|r| Some((r, r.stage.name()?)))
        else {
            continue;
        };
        let lag = if state == "online" {
            s.clock.now_s() - r.ack_s
        } else {
            0
        };
        l.raw(format_args!(
            "slave{n}:ip={},port={},state={state},offset={},lag={lag}",
            ip_of(client),
            r.port,
            r.ack_offset
        ));
        n += 1;
    }
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
