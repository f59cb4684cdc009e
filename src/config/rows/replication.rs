//! Master and replica.
use super::special;
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::{DisklessLoad, PropagationError};

const INT_MAX: i64 = i32::MAX as i64;
/// The smallest backlog that takes effect, bytes.
const BACKLOG_MIN: u64 = 16 * 1024;

pub(super) const ROWS: &[Row] = &[
    words("replicaof", &special::REPLICAOF)
        .immutable()
        .alias("slaveof"),
    optional_text("masteruser", at!(masteruser)).flags(RowFlags::SENSITIVE),
    optional_text("masterauth", at!(masterauth)).flags(RowFlags::SENSITIVE),
    flag("replica-serve-stale-data", at!(replica_serve_stale_data)).alias("slave-serve-stale-data"),
    flag("replica-read-only", at!(replica_read_only)).alias("slave-read-only"),
    flag("repl-diskless-sync", at!(repl_diskless_sync)),
    int(
        "repl-diskless-sync-delay",
        num!(repl_diskless_sync_delay),
        0,
        INT_MAX,
    ),
    int(
        "repl-diskless-sync-max-replicas",
        num!(repl_diskless_sync_max_replicas),
        0,
        INT_MAX,
    ),
    choice(
        "repl-diskless-load",
        pick!(repl_diskless_load: DisklessLoad),
    )
    .flags(RowFlags::DENY_LOADING),
    flag("repl-rdb-channel", at!(repl_rdb_channel)).flags(RowFlags::HIDDEN),
    int(
        "repl-ping-replica-period",
        num!(repl_ping_replica_period),
        1,
        INT_MAX,
    )
    .alias("repl-ping-slave-period"),
    int("repl-timeout", num!(repl_timeout), 1, INT_MAX),
    flag("repl-disable-tcp-nodelay", at!(repl_disable_tcp_nodelay)),
    size("repl-backlog-size", num!(repl_backlog_size), 1)
        .settle(|c| c.repl_backlog_size = c.repl_backlog_size.max(BACKLOG_MIN))
        .apply(Apply::ReplBacklogSize),
    int("repl-backlog-ttl", num!(repl_backlog_ttl), 0, i64::MAX),
    size(
        "replica-full-sync-buffer-limit",
        num!(replica_full_sync_buffer_limit),
        0,
    ),
    int("replica-priority", num!(replica_priority), 0, INT_MAX).alias("slave-priority"),
    flag("replica-announced", at!(replica_announced)),
    optional_text("replica-announce-ip", at!(replica_announce_ip)).alias("slave-announce-ip"),
    int(
        "replica-announce-port",
        num!(replica_announce_port),
        0,
        65535,
    )
    .alias("slave-announce-port"),
    int(
        "min-replicas-to-write",
        num!(min_replicas_to_write),
        0,
        INT_MAX,
    )
    .alias("min-slaves-to-write")
    .apply(Apply::MinReplicas),
    int(
        "min-replicas-max-lag",
        num!(min_replicas_max_lag),
        0,
        INT_MAX,
    )
    .alias("min-slaves-max-lag")
    .apply(Apply::MinReplicas),
    flag(
        "replica-ignore-disk-write-errors",
        at!(replica_ignore_disk_write_errors),
    ),
    choice(
        "propagation-error-behavior",
        pick!(propagation_error_behavior: PropagationError),
    ),
];
