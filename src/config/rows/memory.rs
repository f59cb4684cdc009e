//! The memory limit, eviction, expiry, lazy freeing, defragmentation.
use super::special;
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::EvictionPolicy;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    usize_bytes("maxmemory", num!(maxmemory), 0).apply(Apply::MaxMemory),
    choice("maxmemory-policy", pick!(maxmemory_policy: EvictionPolicy)),
    int("maxmemory-samples", num!(maxmemory_samples), 1, 64),
    int(
        "maxmemory-eviction-tenacity",
        num!(maxmemory_eviction_tenacity),
        0,
        100,
    ),
    word("maxmemory-clients", &special::MAXMEMORY_CLIENTS).apply(Apply::MaxMemoryClients),
    flag("replica-ignore-maxmemory", at!(replica_ignore_maxmemory)).alias("slave-ignore-maxmemory"),
    int("active-expire-effort", num!(active_expire_effort), 1, 10),
    int("lfu-log-factor", num!(lfu_log_factor), 0, INT_MAX),
    int("lfu-decay-time", num!(lfu_decay_time), 0, INT_MAX),
    flag("lazyfree-lazy-eviction", at!(lazyfree_lazy_eviction)),
    flag("lazyfree-lazy-expire", at!(lazyfree_lazy_expire)),
    flag("lazyfree-lazy-server-del", at!(lazyfree_lazy_server_del)),
    flag("replica-lazy-flush", at!(replica_lazy_flush)).alias("slave-lazy-flush"),
    flag("lazyfree-lazy-user-del", at!(lazyfree_lazy_user_del)),
    flag("lazyfree-lazy-user-flush", at!(lazyfree_lazy_user_flush)),
    flag("activerehashing", at!(activerehashing)),
    flag("activedefrag", at!(activedefrag)).apply(Apply::ActiveDefrag),
    // Ours, so not among what `CONFIG GET *` shows (see redis-compat-version).
    flag("compact-after-deletes", at!(compact_after_deletes)).flags(RowFlags::HIDDEN),
    usize_bytes(
        "active-defrag-ignore-bytes",
        num!(active_defrag_ignore_bytes),
        1,
    ),
    int(
        "active-defrag-threshold-lower",
        num!(active_defrag_threshold_lower),
        0,
        1000,
    ),
    int(
        "active-defrag-threshold-upper",
        num!(active_defrag_threshold_upper),
        0,
        1000,
    ),
    int(
        "active-defrag-cycle-min",
        num!(active_defrag_cycle_min),
        1,
        99,
    ),
    int(
        "active-defrag-cycle-max",
        num!(active_defrag_cycle_max),
        1,
        99,
    ),
    int(
        "active-defrag-max-scan-fields",
        num!(active_defrag_max_scan_fields),
        1,
        i64::MAX,
    ),
    uint(
        "tracking-table-max-keys",
        num!(tracking_table_max_keys),
        0,
        i64::MAX,
    )
    .apply(Apply::Trim),
];
