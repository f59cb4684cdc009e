//! The sizes up to which values keep their compact encodings.
use crate::config::build::*;
use crate::config::directive::Row;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    uint(
        "hash-max-listpack-entries",
        num!(hash_max_listpack_entries),
        0,
        i64::MAX,
    )
    .alias("hash-max-ziplist-entries"),
    usize_bytes("hash-max-listpack-value", num!(hash_max_listpack_value), 0)
        .alias("hash-max-ziplist-value"),
    int(
        "list-max-listpack-size",
        num!(list_max_listpack_size),
        -INT_MAX - 1,
        INT_MAX,
    )
    .alias("list-max-ziplist-size"),
    int("list-compress-depth", num!(list_compress_depth), 0, INT_MAX),
    uint(
        "set-max-intset-entries",
        num!(set_max_intset_entries),
        0,
        i64::MAX,
    ),
    uint(
        "set-max-listpack-entries",
        num!(set_max_listpack_entries),
        0,
        i64::MAX,
    ),
    uint(
        "set-max-listpack-value",
        num!(set_max_listpack_value),
        0,
        i64::MAX,
    ),
    uint(
        "zset-max-listpack-entries",
        num!(zset_max_listpack_entries),
        0,
        i64::MAX,
    )
    .alias("zset-max-ziplist-entries"),
    usize_bytes("zset-max-listpack-value", num!(zset_max_listpack_value), 0)
        .alias("zset-max-ziplist-value"),
    usize_bytes("hll-sparse-max-bytes", num!(hll_sparse_max_bytes), 0),
    usize_bytes("stream-node-max-bytes", num!(stream_node_max_bytes), 0),
    int(
        "stream-node-max-entries",
        num!(stream_node_max_entries),
        0,
        i64::MAX,
    ),
    flag(
        "vset-force-single-threaded-execution",
        at!(vset_force_single_threaded_execution),
    ),
];
