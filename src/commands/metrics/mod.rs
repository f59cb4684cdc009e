//! The text of the metrics endpoint: what INFO tells, under the names that redis_exporter gives it, and the times of commands.
//!
//! [`map`] is the table of fields; what has labels (commands, databases, errors, the server itself) is written here. Two formats:
//! OpenMetrics, and Prometheus' older text, which differs in the names of counters' families and in the end mark.

mod map;

use crate::client::CommandId;
use crate::server::Server;
use map::{Kind, ROWS};
use std::fmt::{Display, Write};

/// The whole text. `open`: in OpenMetrics' own format.
pub fn report(server: &Server, open: bool) -> Vec<u8> {
    let mut t = Text {
        out: String::with_capacity(32 * 1024),
        open,
    };
    // Everything but what is written with labels below.
    let info = super::info::report(
        server,
        None,
        &[
            b"server",
            b"clients",
            b"memory",
            b"persistence",
            b"stats",
            b"replication",
            b"cpu",
            b"cluster",
        ],
    );
    let info = String::from_utf8_lossy(&info).into_owned();
    identity(&mut t, server, &info);
    fields(&mut t, &info);
    databases(&mut t, server);
    errors(&mut t, server);
    commands(&mut t, server);
    waits(&mut t, server);
    percentiles(&mut t, server);
    if open {
        t.out.push_str("# EOF\n");
    }
    t.out.into_bytes()
}

/// A text of metrics being written.
struct Text {
    out: String,
    open: bool,
}

impl Text {
    /// Begins a family; `name` is without `redis_` and without `_total`.
    fn family(&mut self, name: &str, kind: &str) {
        // In the older format a counter's family is called as its samples are.
        let suffix = if kind == "counter" && !self.open {
            "_total"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "# TYPE redis_{name}{suffix} {kind}");
    }

    /// A sample with labels, each given as `name="value"` already.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let braces = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        let _ = writeln!(self.out, "redis_{name}{braces} {value}");
    }

    /// A family of counters with one label.
    fn counters<'a>(
        &mut self,
        name: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, f64)>,
    ) {
        self.family(name, "counter");
        let total = format!("{name}_total");
        for (of, value) in values {
            self.sample(&total, &format!("{label}=\"{}\"", escape(of)), value);
        }
    }
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The value of a field of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .filter_map(|l| l.split_once(':'))
        .find_map(|(field, value)| (field == name).then(|| value.trim_end()))
}

fn identity(t: &mut Text, server: &Server, info: &str) {
    t.family("up", "gauge");
    t.sample("up", "", 1);
    t.family("start_time_seconds", "gauge");
    t.sample("start_time_seconds", "", server.started_s);
    let labels: Vec<String> = [
        "redis_version",
        "redstart_version",
        "redis_mode",
        "role",
        "os",
        "process_id",
        "run_id",
        "tcp_port",
        "maxmemory_policy",
    ]
    .iter()
    .map(|f| format!("{f}=\"{}\"", escape(field(info, f).unwrap_or_default())))
    .collect();
    t.family("instance_info", "gauge");
    t.sample("instance_info", &labels.join(","), 1);
    t.family("slowlog_length", "gauge");
    t.sample("slowlog_length", "", server.slowlog.entries.len());
    t.family("slowlog_last_id", "gauge");
    let newest = server.slowlog.entries.front();
    t.sample("slowlog_last_id", "", newest.map_or(0, |e| e.id));
    t.family("last_slow_execution_duration_seconds", "gauge");
    let took = newest.map_or(0.0, |e| e.micros as f64 / 1e6);
    t.sample("last_slow_execution_duration_seconds", "", took);
}

fn fields(t: &mut Text, info: &str) {
    for row in ROWS {
        let Some(value) = field(info, row.field).and_then(|text| row.value(text)) else {
            continue;
        };
        match row.kind {
            Kind::Gauge => {
                t.family(row.name, "gauge");
                t.sample(row.name, "", value);
            }
            Kind::Counter => {
                t.family(row.name, "counter");
                t.sample(&format!("{}_total", row.name), "", value);
            }
        }
    }
}

fn databases(t: &mut Text, server: &Server) {
    let dbs = &server.ks.dbs;
    let of = |id: u32| format!("db=\"db{id}\"");
    t.family("db_keys", "gauge");
    for db in dbs {
        t.sample("db_keys", &of(db.id), db.len());
    }
    t.family("db_keys_expiring", "gauge");
    for db in dbs {
        t.sample("db_keys_expiring", &of(db.id), db.volatile());
    }
    t.family("db_avg_ttl_seconds", "gauge");
    for db in dbs.iter().filter(|db| !db.is_empty()) {
        t.sample("db_avg_ttl_seconds", &of(db.id), db.avg_ttl_ms as f64 / 1e3);
    }
}

fn errors(t: &mut Text, server: &Server) {
    let codes: Vec<(String, u64)> = server
        .errors
        .iter()
        .map(|(code, n)| (String::from_utf8_lossy(code).into_owned(), n))
        .collect();
    let values = codes.iter().map(|(code, n)| (code.as_str(), *n as f64));
    t.counters("errors", "err", values);
}

/// Commands that were called, by id.
fn called(server: &Server) -> impl Iterator<Item = CommandId> + Clone + '_ {
    server.registry.ids().filter(|id| {
        let s = &server.command_stats[id.index()];
        s.calls + s.rejected + s.failed > 0
    })
}

fn commands(t: &mut Text, server: &Server) {
    type Figure = fn(&crate::exec::call::CommandStat) -> f64;
    let figures: [(&str, Figure); 4] = [
        ("commands", |s| s.calls as f64),
        ("commands_duration_seconds", |s| s.nanos as f64 / 1e9),
        ("commands_rejected_calls", |s| s.rejected as f64),
        ("commands_failed_calls", |s| s.failed as f64),
    ];
    for (name, figure) in figures {
        let values = called(server).map(|id| {
            let figure = figure(&server.command_stats[id.index()]);
            (server.registry.row(id).name, figure)
        });
        t.counters(name, "cmd", values);
    }
}

/// Where the time of each command went: waiting for its turn, running, waiting for the reply to be written.
fn waits(t: &mut Text, server: &Server) {
    t.family("commands_stage_seconds", "counter");
    for id in called(server) {
        let waited = server.stages.times(id);
        let name = server.registry.row(id).name;
        for (stage, ns) in [
            ("queue", waited.queue_ns),
            ("execute", server.command_stats[id.index()].nanos),
            ("reply", waited.reply_ns),
        ] {
            let labels = format!("cmd=\"{}\",stage=\"{stage}\"", escape(name));
            t.sample("commands_stage_seconds_total", &labels, ns as f64 / 1e9);
        }
    }
}

fn percentiles(t: &mut Text, server: &Server) {
    let wanted = &server.config.latency_tracking_info_percentiles;
    t.family("latency_percentiles_usec", "summary");
    for id in called(server) {
        let s = &server.command_stats[id.index()];
        let Some(h) = &s.latency else { continue };
        let cmd = format!("cmd=\"{}\"", escape(server.registry.row(id).name));
        for &p in wanted {
            let usec = h.value_at_percentile(p) as f64 / 1e3;
            let labels = format!("{cmd},quantile=\"{}\"", p / 100.0);
            t.sample("latency_percentiles_usec", &labels, usec);
        }
        t.sample("latency_percentiles_usec_sum", &cmd, s.nanos as f64 / 1e3);
        t.sample("latency_percentiles_usec_count", &cmd, s.calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_named_once_and_every_field_is_upstreams() {
        let known = include_str!("../../../tests/data/info-8.2.3.txt");
        let aof_and_replica_only =
            |f: &str| f.starts_with("aof_") || f.starts_with("master_") || f.starts_with("slave_");
        let mut names: Vec<&str> = ROWS.iter().map(|r| r.name).collect();
        names.sort_unstable();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n, "a name is used twice");
        for row in ROWS {
            let there = field(known, row.field).is_some() || aof_and_replica_only(row.field);
            assert!(there, "{} is no field of INFO", row.field);
            assert!(!row.name.ends_with("_total"), "{}", row.name);
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
