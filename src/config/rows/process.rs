//! The process: background, logs, title, CPU and OOM settings, shutdown.
use super::{check, special};
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::*;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    flag("daemonize", at!(daemonize)).immutable(),
    choice("supervised", pick!(supervised: Supervised)).immutable(),
    optional_text("pidfile", at!(pidfile)).immutable(),
    choice("loglevel", pick!(loglevel: LogLevel)).apply(Apply::LogLevel),
    text("logfile", at!(logfile)).immutable(),
    flag("syslog-enabled", at!(syslog_enabled)).immutable(),
    text("syslog-ident", at!(syslog_ident)).immutable(),
    choice("syslog-facility", pick!(syslog_facility: SyslogFacility)).immutable(),
    flag("crash-log-enabled", at!(crash_log_enabled)).apply(Apply::CrashLog),
    flag("crash-memcheck-enabled", at!(crash_memcheck_enabled)),
    flag("use-exit-on-panic", at!(use_exit_on_panic)).flags(RowFlags::HIDDEN),
    flag("hide-user-data-from-log", at!(hide_user_data_from_log)),
    int("databases", num!(databases), 1, INT_MAX).immutable(),
    flag("always-show-logo", at!(always_show_logo)).immutable(),
    flag("set-proc-title", at!(set_proc_title)).immutable(),
    text("proc-title-template", at!(proc_title_template))
        .check(check::title_template)
        .apply(Apply::ProcTitle),
    text("locale-collate", at!(locale_collate)).apply(Apply::Locale),
    // Accepted up to INT_MAX, but only 1 to 500 take effect.
    int("hz", num!(hz), 0, INT_MAX)
        .settle(|c| c.hz = c.hz.clamp(1, 500))
        .apply(Apply::Hz),
    flag("dynamic-hz", at!(dynamic_hz)),
    int("watchdog-period", num!(watchdog_period), 0, INT_MAX)
        .flags(RowFlags::HIDDEN)
        .apply(Apply::Watchdog),
    // Compat: these can be changed while the server runs.
    optional_text("server-cpulist", at!(server_cpulist))
        .alias("server_cpulist")
        .apply(Apply::Cpus),
    optional_text("bio-cpulist", at!(bio_cpulist))
        .alias("bio_cpulist")
        .apply(Apply::Cpus),
    optional_text("aof-rewrite-cpulist", at!(aof_rewrite_cpulist)).alias("aof_rewrite_cpulist"),
    optional_text("bgsave-cpulist", at!(bgsave_cpulist)).alias("bgsave_cpulist"),
    text("ignore-warnings", at!(ignore_warnings)),
    choice("oom-score-adj", pick!(oom_score_adj: OomScoreAdj)).apply(Apply::OomScoreAdj),
    words("oom-score-adj-values", &special::OOM_VALUES).apply(Apply::OomScoreAdj),
    flag("disable-thp", at!(disable_thp)).immutable(),
    flag("jemalloc-bg-thread", at!(jemalloc_bg_thread)).apply(Apply::JemallocThread),
    int("shutdown-timeout", num!(shutdown_timeout), 0, INT_MAX),
    words("shutdown-on-sigint", &special::SHUTDOWN_SIGINT),
    words("shutdown-on-sigterm", &special::SHUTDOWN_SIGTERM),
    // Not among what `CONFIG GET *` shows: tools that write everything back would meet an unchangeable one they do not know.
    text("redis-compat-version", at!(redis_compat_version))
        .check(check::version)
        .flags(RowFlags::HIDDEN)
        .immutable(),
];
