//! Snapshots, the working directory and the append only file.
use super::{check, special};
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::{AppendFsync, SanitizeDump};

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    words("save", &special::SAVE).apply(Apply::Save),
    flag(
        "stop-writes-on-bgsave-error",
        at!(stop_writes_on_bgsave_error),
    ),
    flag("rdbcompression", at!(rdbcompression)),
    flag("rdbchecksum", at!(rdbchecksum)).immutable(),
    choice(
        "sanitize-dump-payload",
        pick!(sanitize_dump_payload: SanitizeDump),
    ),
    text("dbfilename", at!(dbfilename))
        .check(check::dbfilename)
        .flags(RowFlags::PROTECTED),
    flag("rdb-del-sync-files", at!(rdb_del_sync_files)),
    word("dir", &special::DIR)
        .flags(RowFlags::PROTECTED.union(RowFlags::DENY_LOADING))
        .apply(Apply::Dir),
    flag(
        "rdb-save-incremental-fsync",
        at!(rdb_save_incremental_fsync),
    ),
    int(
        "rdb-key-save-delay",
        num!(rdb_key_save_delay),
        -INT_MAX - 1,
        INT_MAX,
    )
    .flags(RowFlags::HIDDEN),
    int(
        "key-load-delay",
        num!(key_load_delay),
        -INT_MAX - 1,
        INT_MAX,
    )
    .flags(RowFlags::HIDDEN),
    int(
        "loading-process-events-interval-bytes",
        num!(loading_process_events_interval_bytes),
        1024,
        INT_MAX,
    )
    .flags(RowFlags::HIDDEN),
    flag("appendonly", at!(appendonly))
        .flags(RowFlags::DENY_LOADING)
        .apply(Apply::AppendOnly),
    text("appendfilename", at!(appendfilename))
        .check(check::appendfilename)
        .immutable(),
    text("appenddirname", at!(appenddirname))
        .check(check::appenddirname)
        .immutable(),
    choice("appendfsync", pick!(appendfsync: AppendFsync)).apply(Apply::AppendFsync),
    flag("no-appendfsync-on-rewrite", at!(no_appendfsync_on_rewrite)),
    int(
        "auto-aof-rewrite-percentage",
        num!(auto_aof_rewrite_percentage),
        0,
        INT_MAX,
    ),
    size(
        "auto-aof-rewrite-min-size",
        num!(auto_aof_rewrite_min_size),
        0,
    ),
    flag("aof-load-truncated", at!(aof_load_truncated)),
    flag("aof-use-rdb-preamble", at!(aof_use_rdb_preamble)),
    flag("aof-timestamp-enabled", at!(aof_timestamp_enabled)),
    flag(
        "aof-rewrite-incremental-fsync",
        at!(aof_rewrite_incremental_fsync),
    ),
    flag("aof-disable-auto-gc", at!(aof_disable_auto_gc)).flags(RowFlags::HIDDEN),
];
