//! Listening, connections and protocol limits.
use super::special;
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::EnableProtected;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    words("bind", &special::BIND).apply(Apply::Bind),
    optional_text("bind-source-addr", at!(bind_source_addr)),
    flag("protected-mode", at!(protected_mode)),
    choice(
        "enable-protected-configs",
        pick!(enable_protected_configs: EnableProtected),
    )
    .immutable(),
    choice(
        "enable-debug-command",
        pick!(enable_debug_command: EnableProtected),
    )
    .immutable(),
    choice(
        "enable-module-command",
        pick!(enable_module_command: EnableProtected),
    )
    .immutable(),
    int("port", num!(port), 0, 65535).apply(Apply::Port),
    // Ours, so not among what `CONFIG GET *` shows (see redis-compat-version).
    int("metrics-port", num!(metrics_port), 0, 65535)
        .flags(RowFlags::HIDDEN)
        .immutable(),
    uint(
        "wakeup-coalescing-us",
        num!(wakeup_coalescing_us),
        0,
        10_000,
    )
    .flags(RowFlags::HIDDEN),
    int("tcp-backlog", num!(tcp_backlog), 0, INT_MAX).immutable(),
    optional_text("unixsocket", at!(unixsocket)).immutable(),
    octal("unixsocketperm", num!(unixsocketperm), 0o777).immutable(),
    int("timeout", num!(timeout), 0, INT_MAX),
    int("tcp-keepalive", num!(tcp_keepalive), 0, INT_MAX),
    uint("socket-mark-id", num!(socket_mark_id), 0, u32::MAX as i64).immutable(),
    uint("maxclients", num!(maxclients), 1, u32::MAX as i64).apply(Apply::MaxClients),
    uint(
        "max-new-connections-per-cycle",
        num!(max_new_connections_per_cycle),
        1,
        1000,
    ),
    uint(
        "max-new-tls-connections-per-cycle",
        num!(max_new_tls_connections_per_cycle),
        1,
        1000,
    ),
    int("io-threads", num!(io_threads), 1, 128).immutable(),
    int(
        "prefetch-batch-max-size",
        num!(prefetch_batch_max_size),
        0,
        128,
    )
    .flags(RowFlags::HIDDEN),
    size("proto-max-bulk-len", num!(proto_max_bulk_len), 1024 * 1024),
    usize_bytes(
        "client-query-buffer-limit",
        num!(client_query_buffer_limit),
        1024 * 1024,
    ),
    words("client-output-buffer-limit", &special::OUTPUT_LIMIT),
];
