//! The Stats section, and Debug.

use super::{Around, Lines};
use crate::acl::Reason;
use crate::pubsub::Kind;

pub(super) fn stats(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let commands_us = s.command_stats.iter().map(|c| c.nanos).sum::<u64>() / 1000;
    let (st, ks) = (&s.stats, &s.ks.stats);
    l.put("total_connections_received", st.connections);
    l.put("total_commands_processed", st.commands);
    l.put("instantaneous_ops_per_sec", st.rates[0].per_second());
    l.put("total_net_input_bytes", st.net_in);
    l.put("total_net_output_bytes", st.net_out);
    l.put("total_net_repl_input_bytes", 0);
    l.put("total_net_repl_output_bytes", s.master.net_out);
    let kbps = |i: usize| st.rates[i].per_second() as f64 / 1024.0;
    l.raw(format_args!("instantaneous_input_kbps:{:.2}", kbps(1)));
    l.raw(format_args!("instantaneous_output_kbps:{:.2}", kbps(2)));
    l.put("instantaneous_input_repl_kbps", "0.00");
    l.put("instantaneous_output_repl_kbps", "0.00");
    l.put("rejected_connections", st.rejected_connections);
    l.put("sync_full", s.master.sync_full);
    l.put("sync_partial_ok", s.master.sync_partial_ok);
    l.put("sync_partial_err", s.master.sync_partial_err);
    l.put("expired_subkeys", ks.expired_fields);
    l.put("expired_keys", ks.expired);
    let stale = s.expiry.stale_percent;
    l.raw(format_args!("expired_stale_perc:{stale:.2}"));
    l.put("expired_time_cap_reached_count", s.expiry.time_cap_reached);
    l.put(
        "expire_cycle_cpu_milliseconds",
        s.expiry.spent_ns / 1_000_000,
    );
    l.put("evicted_keys", ks.evicted);
    l.put("evicted_clients", st.evicted_clients);
    l.put("evicted_scripts", s.scripts.evicted);
    let over_now_ns = s.eviction.exceeded_now_ns(s.clock.mono_ns);
    let over_ns = s.eviction.exceeded_ns + over_now_ns;
    l.put("total_eviction_exceeded_time", over_ns / 1_000_000);
    l.put("current_eviction_exceeded_time", over_now_ns / 1_000_000);
    l.put("keyspace_hits", ks.hits);
    l.put("keyspace_misses", ks.misses);
    l.put("pubsub_channels", s.pubsub.len(Kind::Channel));
    l.put("pubsub_patterns", s.pubsub.len(Kind::Pattern));
    l.put("pubsubshard_channels", s.pubsub.len(Kind::Shard));
    l.put("latest_fork_usec", s.persist.latest_fork_us);
    l.put("total_forks", st.forks);
    l.put("migrate_cached_sockets", s.links.len());
    l.put("slave_expires_tracked_keys", s.expiry.own.len());
    let defrag = s.defrag.figures();
    l.put("active_defrag_hits", defrag.hits);
    l.put("active_defrag_misses", defrag.misses);
    l.put("active_defrag_key_hits", defrag.key_hits);
    l.put("active_defrag_key_misses", defrag.key_misses);
    l.put("total_active_defrag_time", defrag.total_ms);
    l.put("current_active_defrag_time", defrag.current_ms);
    l.put("tracking_total_keys", s.tracking.keys.len());
    l.put("tracking_total_items", s.tracking.keys.items());
    l.put("tracking_total_prefixes", s.tracking.prefixes.len());
    l.put("unexpected_error_replies", st.unexpected_errors);
    l.put("total_error_replies", s.errors.total);
    l.put("dump_payload_sanitizations", 0);
    l.put("total_reads_processed", st.reads);
    l.put("total_writes_processed", st.writes);
    for field in [
        "reads_processed",
        "writes_processed",
        "total_prefetch_batches",
        "total_prefetch_entries",
    ] {
        l.raw(format_args!("io_threaded_{field}:0"));
    }
    l.put(
        "client_query_buffer_limit_disconnections",
        st.query_buffer_limit_disconnections,
    );
    l.put(
        "client_output_buffer_limit_disconnections",
        st.output_buffer_limit_disconnections,
    );
    l.put("reply_buffer_shrinks", 0);
    l.put("reply_buffer_expands", 0);
    l.put("eventloop_cycles", st.loops);
    l.put("eventloop_duration_sum", st.loops_us);
    l.put("eventloop_duration_cmd_sum", commands_us);
    l.put(
        "instantaneous_eventloop_cycles_per_sec",
        st.loop_rate.per_second(),
    );
    l.put(
        "instantaneous_eventloop_duration_usec",
        st.loops_us.checked_div(st.loops).unwrap_or(0),
    );
    let denied = |reason| a.server.acl.log.denied_of(reason);
    l.put("acl_access_denied_auth", denied(Reason::Auth));
    l.put("acl_access_denied_cmd", denied(Reason::Command));
    l.put("acl_access_denied_key", denied(Reason::Key));
    l.put("acl_access_denied_channel", denied(Reason::Channel));
}

pub(super) fn debug(l: &mut Lines, a: &Around<'_>) {
    let st = &a.server.stats;
    l.put("eventloop_duration_aof_sum", 0);
    l.put("eventloop_duration_cron_sum", st.cron_us);
    l.put("eventloop_duration_max", st.loop_max_us);
    l.put("eventloop_cmd_per_cycle_max", 0);
}
