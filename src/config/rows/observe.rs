//! Keyspace events, slow log, latency.
use super::special;
use crate::config::build::*;
use crate::config::directive::{Apply, Row};

pub(super) const ROWS: &[Row] = &[
    word("notify-keyspace-events", &special::NOTIFY),
    int(
        "slowlog-log-slower-than",
        num!(slowlog_log_slower_than),
        -1,
        i64::MAX,
    ),
    int("slowlog-max-len", num!(slowlog_max_len), 0, i64::MAX).apply(Apply::Trim),
    int(
        "latency-monitor-threshold",
        num!(latency_monitor_threshold),
        0,
        i64::MAX,
    ),
    flag("latency-tracking", at!(latency_tracking)).apply(Apply::LatencyTracking),
    words("latency-tracking-info-percentiles", &special::PERCENTILES),
];
