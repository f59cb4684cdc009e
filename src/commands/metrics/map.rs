//! Fields of INFO and the names that redis_exporter gives them, so that its dashboards work.

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows; the name ends in `_total`.
    Counter,
}

/// How the text of INFO becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// As it is.
    Plain,
    /// Milli-, and microseconds, as seconds.
    Milli,
    /// See `Milli`.
    Micro,
    /// 1 for `ok`, `up` or `yes`, else 0.
    Good,
}

/// A field and its metric.
pub(super) struct Row {
    pub field: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub scale: Scale,
}

const fn row(field: &'static str, name: &'static str, kind: Kind, scale: Scale) -> Row {
    Row {
        field,
        name,
        kind,
        scale,
    }
}

const fn gauge(field: &'static str, name: &'static str) -> Row {
    row(field, name, Kind::Gauge, Scale::Plain)
}

const fn same(field: &'static str) -> Row {
    gauge(field, field)
}

const fn counter(field: &'static str, name: &'static str) -> Row {
    row(field, name, Kind::Counter, Scale::Plain)
}

/// By section, as INFO has them. Names are without the `redis_` in front.
pub(super) static ROWS: &[Row] = &[
    same("uptime_in_seconds"),
    same("process_id"),
    same("io_threads_active"),
    same("connected_clients"),
    same("cluster_connections"),
    same("maxclients"),
    gauge(
        "client_recent_max_input_buffer",
        "client_recent_max_input_buffer_bytes",
    ),
    gauge(
        "client_recent_max_output_buffer",
        "client_recent_max_output_buffer_bytes",
    ),
    same("blocked_clients"),
    same("tracking_clients"),
    same("pubsub_clients"),
    same("watching_clients"),
    same("clients_in_timeout_table"),
    same("total_watched_keys"),
    same("total_blocking_keys"),
    same("total_blocking_keys_on_nokey"),
    gauge("used_memory", "memory_used_bytes"),
    gauge("used_memory_rss", "memory_used_rss_bytes"),
    gauge("used_memory_peak", "memory_used_peak_bytes"),
    gauge("used_memory_overhead", "memory_used_overhead_bytes"),
    gauge("used_memory_startup", "memory_used_startup_bytes"),
    gauge("used_memory_dataset", "memory_used_dataset_bytes"),
    gauge("used_memory_lua", "memory_used_lua_bytes"),
    gauge("used_memory_vm_total", "memory_used_vm_bytes"),
    gauge("used_memory_functions", "memory_used_functions_bytes"),
    gauge("used_memory_scripts", "memory_used_scripts_bytes"),
    same("number_of_cached_scripts"),
    same("number_of_functions"),
    same("number_of_libraries"),
    gauge("total_system_memory", "total_system_memory_bytes"),
    gauge("maxmemory", "memory_max_bytes"),
    gauge("allocator_allocated", "allocator_allocated_bytes"),
    gauge("allocator_active", "allocator_active_bytes"),
    gauge("allocator_resident", "allocator_resident_bytes"),
    same("allocator_frag_ratio"),
    same("allocator_frag_bytes"),
    same("allocator_rss_ratio"),
    same("allocator_rss_bytes"),
    gauge("mem_fragmentation_ratio", "mem_fragmentation_ratio"),
    gauge("mem_fragmentation_bytes", "mem_fragmentation_bytes"),
    gauge(
        "mem_not_counted_for_evict",
        "mem_not_counted_for_eviction_bytes",
    ),
    gauge("mem_replication_backlog", "replication_backlog_bytes"),
    gauge("mem_clients_normal", "mem_clients_normal"),
    gauge("mem_clients_slaves", "mem_clients_slaves"),
    gauge("mem_aof_buffer", "mem_aof_buffer_bytes"),
    same("active_defrag_running"),
    same("lazyfree_pending_objects"),
    counter("lazyfreed_objects", "lazyfreed_objects"),
    gauge("loading", "loading_dump_file"),
    same("async_loading"),
    same("rdb_changes_since_last_save"),
    same("rdb_bgsave_in_progress"),
    gauge("rdb_last_save_time", "rdb_last_save_timestamp_seconds"),
    row(
        "rdb_last_bgsave_status",
        "rdb_last_bgsave_status",
        Kind::Gauge,
        Scale::Good,
    ),
    gauge("rdb_last_bgsave_time_sec", "rdb_last_bgsave_duration_sec"),
    gauge(
        "rdb_current_bgsave_time_sec",
        "rdb_current_bgsave_duration_sec",
    ),
    counter("rdb_saves", "rdb_saves"),
    gauge("rdb_last_cow_size", "rdb_last_cow_size_bytes"),
    gauge("rdb_last_load_keys_expired", "rdb_last_load_expired_keys"),
    gauge("rdb_last_load_keys_loaded", "rdb_last_load_loaded_keys"),
    same("aof_enabled"),
    same("aof_rewrite_in_progress"),
    same("aof_rewrite_scheduled"),
    gauge("aof_last_rewrite_time_sec", "aof_last_rewrite_duration_sec"),
    gauge(
        "aof_current_rewrite_time_sec",
        "aof_current_rewrite_duration_sec",
    ),
    row(
        "aof_last_bgrewrite_status",
        "aof_last_bgrewrite_status",
        Kind::Gauge,
        Scale::Good,
    ),
    row(
        "aof_last_write_status",
        "aof_last_write_status",
        Kind::Gauge,
        Scale::Good,
    ),
    gauge("aof_last_cow_size", "aof_last_cow_size_bytes"),
    gauge("aof_current_size", "aof_current_size_bytes"),
    gauge("aof_base_size", "aof_base_size_bytes"),
    same("aof_pending_rewrite"),
    same("aof_buffer_length"),
    same("aof_pending_bio_fsync"),
    same("aof_delayed_fsync"),
    counter("total_connections_received", "connections_received"),
    counter("total_commands_processed", "commands_processed"),
    same("instantaneous_ops_per_sec"),
    counter("total_net_input_bytes", "net_input_bytes"),
    counter("total_net_output_bytes", "net_output_bytes"),
    counter("total_net_repl_input_bytes", "net_repl_input_bytes"),
    counter("total_net_repl_output_bytes", "net_repl_output_bytes"),
    counter("rejected_connections", "rejected_connections"),
    counter("sync_full", "replica_resyncs_full"),
    counter("sync_partial_ok", "replica_partial_resync_accepted"),
    counter("sync_partial_err", "replica_partial_resync_denied"),
    counter("expired_subkeys", "expired_subkeys"),
    counter("expired_keys", "expired_keys"),
    gauge("expired_stale_perc", "expired_stale_percentage"),
    counter("expired_time_cap_reached_count", "expired_time_cap_reached"),
    row(
        "expire_cycle_cpu_milliseconds",
        "expire_cycle_cpu_time_seconds",
        Kind::Counter,
        Scale::Milli,
    ),
    counter("evicted_keys", "evicted_keys"),
    counter("evicted_clients", "evicted_clients"),
    counter("evicted_scripts", "evicted_scripts"),
    row(
        "total_eviction_exceeded_time",
        "eviction_exceeded_time_seconds",
        Kind::Counter,
        Scale::Milli,
    ),
    counter("keyspace_hits", "keyspace_hits"),
    counter("keyspace_misses", "keyspace_misses"),
    same("pubsub_channels"),
    same("pubsub_patterns"),
    same("pubsubshard_channels"),
    row(
        "latest_fork_usec",
        "latest_fork_seconds",
        Kind::Gauge,
        Scale::Micro,
    ),
    counter("total_forks", "forks"),
    same("migrate_cached_sockets"),
    gauge("slave_expires_tracked_keys", "slave_expires_tracked_keys"),
    counter("active_defrag_hits", "defrag_hits"),
    counter("active_defrag_misses", "defrag_misses"),
    counter("active_defrag_key_hits", "defrag_key_hits"),
    counter("active_defrag_key_misses", "defrag_key_misses"),
    same("tracking_total_keys"),
    same("tracking_total_items"),
    same("tracking_total_prefixes"),
    counter("unexpected_error_replies", "unexpected_error_replies"),
    counter("total_error_replies", "error_replies"),
    counter("dump_payload_sanitizations", "dump_payload_sanitizations"),
    counter("total_reads_processed", "total_reads_processed"),
    counter("total_writes_processed", "total_writes_processed"),
    counter(
        "client_query_buffer_limit_disconnections",
        "client_query_buffer_limit_disconnections",
    ),
    counter(
        "client_output_buffer_limit_disconnections",
        "client_output_buffer_limit_disconnections",
    ),
    counter("eventloop_cycles", "eventloop_cycles"),
    row(
        "eventloop_duration_sum",
        "eventloop_duration_seconds",
        Kind::Counter,
        Scale::Micro,
    ),
    counter("acl_access_denied_auth", "acl_access_denied_auth"),
    counter("acl_access_denied_cmd", "acl_access_denied_cmd"),
    counter("acl_access_denied_key", "acl_access_denied_key"),
    counter("acl_access_denied_channel", "acl_access_denied_channel"),
    same("connected_slaves"),
    gauge("master_repl_offset", "master_repl_offset"),
    gauge("second_repl_offset", "second_repl_offset"),
    gauge("repl_backlog_active", "repl_backlog_is_active"),
    gauge("repl_backlog_size", "replication_backlog_size_bytes"),
    gauge(
        "repl_backlog_first_byte_offset",
        "repl_backlog_first_byte_offset",
    ),
    gauge("repl_backlog_histlen", "repl_backlog_history_bytes"),
    row(
        "master_link_status",
        "master_link_up",
        Kind::Gauge,
        Scale::Good,
    ),
    gauge("master_last_io_seconds_ago", "master_last_io_seconds_ago"),
    gauge("master_sync_in_progress", "master_sync_in_progress"),
    gauge("slave_repl_offset", "slave_repl_offset"),
    gauge("slave_priority", "slave_priority"),
    counter("used_cpu_sys", "cpu_sys_seconds"),
    counter("used_cpu_user", "cpu_user_seconds"),
    counter("used_cpu_sys_children", "cpu_sys_children_seconds"),
    counter("used_cpu_user_children", "cpu_user_children_seconds"),
    counter("used_cpu_sys_main_thread", "cpu_sys_main_thread_seconds"),
    counter("used_cpu_user_main_thread", "cpu_user_main_thread_seconds"),
    same("cluster_enabled"),
];

impl Row {
    /// The number, in the metric's unit; None when the field holds something else.
    pub(super) fn value(&self, text: &str) -> Option<f64> {
        if self.scale == Scale::Good {
            return Some(f64::from(u8::from(["ok", "up", "yes"].contains(&text))));
        }
        let value: f64 = text.parse().ok()?;
        Some(match self.scale {
            Scale::Milli => value / 1e3,
            Scale::Micro => value / 1e6,
            Scale::Plain | Scale::Good => value,
        })
    }
}
