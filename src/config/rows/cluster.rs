//! Cluster mode.
use super::check;
use crate::config::build::*;
use crate::config::directive::{Apply, Row};
use crate::config::values::EndpointType;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    flag("cluster-enabled", at!(cluster_enabled)).immutable(),
    text("cluster-config-file", at!(cluster_config_file)).immutable(),
    int(
        "cluster-node-timeout",
        num!(cluster_node_timeout),
        0,
        i64::MAX,
    ),
    int("cluster-port", num!(cluster_port), 0, 65535).immutable(),
    int(
        "cluster-replica-validity-factor",
        num!(cluster_replica_validity_factor),
        0,
        INT_MAX,
    )
    .alias("cluster-slave-validity-factor"),
    int(
        "cluster-migration-barrier",
        num!(cluster_migration_barrier),
        0,
        INT_MAX,
    ),
    flag(
        "cluster-allow-replica-migration",
        at!(cluster_allow_replica_migration),
    ),
    flag(
        "cluster-require-full-coverage",
        at!(cluster_require_full_coverage),
    ),
    flag(
        "cluster-replica-no-failover",
        at!(cluster_replica_no_failover),
    )
    .alias("cluster-slave-no-failover")
    .apply(Apply::Cluster),
    flag(
        "cluster-allow-reads-when-down",
        at!(cluster_allow_reads_when_down),
    ),
    flag(
        "cluster-allow-pubsubshard-when-down",
        at!(cluster_allow_pubsubshard_when_down),
    ),
    usize_bytes(
        "cluster-link-sendbuf-limit",
        num!(cluster_link_sendbuf_limit),
        0,
    ),
    optional_text("cluster-announce-hostname", at!(cluster_announce_hostname))
        .check(check::hostname)
        .apply(Apply::Cluster),
    optional_text(
        "cluster-announce-human-nodename",
        at!(cluster_announce_human_nodename),
    )
    .check(check::human_nodename)
    .apply(Apply::Cluster),
    optional_text("cluster-announce-ip", at!(cluster_announce_ip)).apply(Apply::Cluster),
    int(
        "cluster-announce-port",
        num!(cluster_announce_port),
        0,
        65535,
    )
    .apply(Apply::Cluster),
    int(
        "cluster-announce-tls-port",
        num!(cluster_announce_tls_port),
        0,
        65535,
    )
    .apply(Apply::Cluster),
    int(
        "cluster-announce-bus-port",
        num!(cluster_announce_bus_port),
        0,
        65535,
    )
    .apply(Apply::Cluster),
    choice(
        "cluster-preferred-endpoint-type",
        pick!(cluster_preferred_endpoint_type: EndpointType),
    )
    .apply(Apply::Cluster),
    int(
        "cluster-compatibility-sample-ratio",
        num!(cluster_compatibility_sample_ratio),
        0,
        100,
    ),
    flag(
        "cluster-slot-stats-enabled",
        at!(cluster_slot_stats_enabled),
    ),
];
