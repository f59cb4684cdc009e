//! Sections about the process: Server, Clients, Threads, CPU.

use super::{Around, Lines};
use crate::client::ClientFlags;
use crate::exec::blocking;
use crate::keyspace::lru::lru_clock;
use crate::net::Listener;
use crate::sys::process;

pub(super) fn server(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let c = &s.config;
    let uptime_s = (s.clock.now_s() - s.started_s).max(0);
    l.put("redis_version", c.redis_compat_version.to_str_lossy());
    l.put("redis_git_sha1", "00000000");
    l.put("redis_git_dirty", 0);
    l.put("redis_build_id", format_args!("{:016x}", build_id()));
    l.put(
        "redis_mode",
        if c.cluster_enabled {
            "cluster"
        } else {
            "standalone"
        },
    );
    l.put("os", process::system_name());
    l.put("arch_bits", usize::BITS);
    l.put("monotonic_clock", "POSIX clock_gettime");
    l.put("multiplexing_api", "epoll");
    l.put("atomicvar_api", "c11-builtin");
    l.put("gcc_version", "0.0.0");
    l.put("process_id", std::process::id());
    l.put("process_supervised", s.host.supervisor.name());
    l.put("run_id", &s.run_id);
    l.put("tcp_port", c.port);
    l.put("server_time_usec", s.clock.now_us);
    l.put("uptime_in_seconds", uptime_s);
    l.put("uptime_in_days", uptime_s / 86_400);
    l.put("hz", c.hz);
    l.put("configured_hz", c.hz);
    l.put("lru_clock", lru_clock(s.clock.now_ms));
    l.put("executable", executable());
    let file = s.config_file.as_deref().map(|f| f.display().to_string());
    l.put("config_file", file.unwrap_or_default());
    l.put("io_threads_active", 0);
    if let Some(until_ms) = s.shutdown.waits_until_ms() {
        let left_ms = (until_ms - s.clock.now_ms).max(0);
        l.put("shutdown_in_milliseconds", left_ms);
    }
    listeners(l, a);
    l.put("server_name", "redstart");
    l.put("redstart_version", env!("CARGO_PKG_VERSION"));
}

/// A number that differs between versions of this program.
fn build_id() -> u64 {
    crate::ds::crc64::checksum(concat!("redstart ", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn executable() -> String {
    std::env::current_exe().map_or(String::new(), |p| p.display().to_string())
}

/// One line per kind of listener: TCP with all its addresses, the unix socket, TLS.
fn listeners(l: &mut Lines, a: &Around<'_>) {
    let c = &a.server.config;
    let mut n = 0;
    let mut add = |line: String| {
        l.raw(format_args!("listener{n}:{line}"));
        n += 1;
    };
    let has = |is: &dyn Fn(&Listener) -> bool| a.server.listeners.iter().any(is);
    let binds: String = c.bind.iter().map(|b| format!("bind={b},")).collect();
    if has(&|x| matches!(x, Listener::Tcp(..))) {
        add(format!("name=tcp,{binds}port={}", c.port));
    }
    for x in &a.server.listeners {
        if let Listener::Unix(..) = x {
            add(x.describe());
        }
    }
    if has(&|x| matches!(x, Listener::Tls(..))) {
        add(format!("name=tls,{binds}port={}", c.tls_port));
    }
}

pub(super) fn clients(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let count = |f: ClientFlags| a.clients().filter(|c| c.has(f)).count();
    let replicas = count(ClientFlags::REPLICA);
    l.put("connected_clients", a.server.clients.len() - replicas);
    l.put("cluster_connections", 0);
    l.put("maxclients", s.config.maxclients);
    let [input, output] = s.stats.largest_buffers;
    l.put("client_recent_max_input_buffer", input);
    l.put("client_recent_max_output_buffer", output);
    l.put("blocked_clients", s.blocking.clients);
    l.put("tracking_clients", count(ClientFlags::TRACKING));
    l.put("pubsub_clients", count(ClientFlags::PUBSUB));
    let watching = a
        .clients()
        .filter(|c| c.multi.as_ref().is_some_and(|m| !m.watched.is_empty()));
    l.put("watching_clients", watching.count());
    l.put("clients_in_timeout_table", s.queues.deadlines.len());
    let watched: usize = s.ks.dbs.iter().map(|db| db.watched.len()).sum();
    l.put("total_watched_keys", watched);
    let (keys, on_nokey) = blocking::blocking_keys(s);
    l.put("total_blocking_keys", keys);
    l.put("total_blocking_keys_on_nokey", on_nokey);
}

pub(super) fn threads(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    l.raw(format_args!(
        "io_thread_0:clients={},reads={},writes={}",
        s.clients.len(),
        s.stats.reads,
        s.stats.writes
    ));
}

pub(super) fn cpu(l: &mut Lines, _: &Around<'_>) {
    let [own, children, main] = process::cpu_seconds();
    for (suffix, [user, sys]) in [("", own), ("_children", children), ("_main_thread", main)] {
        l.raw(format_args!("used_cpu_sys{suffix}:{sys:.6}"));
        l.raw(format_args!("used_cpu_user{suffix}:{user:.6}"));
    }
}
