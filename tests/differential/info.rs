//! INFO beside the version we follow: which sections and fields there are, in which order, whatever the server is doing.

use crate::harness::server::{ours, reference_named};
use crate::harness::{Conn, Server};
use std::path::Path;

/// What only one of the two shows: our own fields, its module, its arena for Lua alone.
const OWN: &[&str] = &[
    "server_name",
    "redstart_version",
    "module",
    "allocator_allocated_lua",
    "allocator_active_lua",
    "allocator_resident_lua",
    "allocator_frag_bytes_lua",
];
/// Sections whose order is that of a hash table there.
const UNORDERED: &[&str] = &["# Commandstats", "# Errorstats", "# Latencystats"];

/// Headings and names of the fields of one report.
fn names(conn: &mut Conn, sections: &str) -> Vec<String> {
    let reply = conn.cmd(&format!("INFO {sections}"));
    let text = String::from_utf8_lossy(reply.bytes().expect("a report")).into_owned();
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    for line in text.lines() {
        let name = line.split(':').next().unwrap_or_default().to_string();
        if line.starts_with("# ") {
            all.push(Vec::new());
        }
        if !name.is_empty() && !OWN.contains(&name.as_str()) {
            all.last_mut().expect("a section").push(name);
        }
    }
    for section in &mut all {
        if section
            .first()
            .is_some_and(|title| UNORDERED.contains(&title.as_str()))
        {
            section[1..].sort();
        }
    }
    all.concat()
}

const ASKED: &[&str] = &[
    "",
    "default",
    "all",
    "everything",
    "server",
    "clients memory",
    "STATS all",
    "keysizes keyspace",
    "commandstats default",
    "nope",
    "modules threads debug",
    "cluster server cpu",
];

/// The names in many states, each with a word for the state.
fn reports(binary: &Path) -> Vec<(String, Vec<String>)> {
    let debug = ["--enable-debug-command", "yes", "--appendonly", "no"];
    let master = Server::start_binary(binary, &debug);
    let mut c = master.conn();
    let mut all: Vec<(String, Vec<String>)> = ASKED
        .iter()
        .map(|sections| (format!("fresh, {sections:?}"), names(&mut c, sections)))
        .collect();
    let mut note = |state: &str, conn: &mut Conn| {
        all.push((state.to_string(), names(conn, "everything")));
    };
    for line in [
        "SET a b",
        "LPUSH l x",
        "LPUSH a x",
        "NOSUCH",
        "SELECT 2",
        "SET q 1",
        "SELECT 0",
    ] {
        c.cmd(line);
    }
    note("used", &mut c);
    for line in [
        "DEBUG POPULATE 2000",
        "CONFIG SET rdb-key-save-delay 1000",
        "BGSAVE",
    ] {
        c.cmd(line);
    }
    note("saving", &mut c);
    c.cmd("CONFIG SET appendonly yes");
    note("with an AOF to come", &mut c);
    let master_at = format!("127.0.0.1 {}", master.port);
    let replica = Server::start_binary(binary, &debug);
    let mut r = replica.conn();
    r.cmd(&format!("REPLICAOF {}", master_at));
    note("replica without link", &mut r);
    r.cmd("REPLICAOF NO ONE");
    r.cmd("DEBUG POPULATE 20000");
    for line in [
        "CONFIG SET maxmemory-policy allkeys-lru",
        "CONFIG SET maxmemory 3mb",
        "SET x y",
    ] {
        r.cmd(line);
    }
    note("evicting", &mut r);
    all
}

#[test]
fn info_shows_the_same_fields() {
    let Some(theirs) = reference_named("redis-8.2.3") else {
        return;
    };
    for ((state, ours), (_, theirs)) in reports(&ours()).into_iter().zip(reports(&theirs)) {
        assert_eq!(ours, theirs, "{state}");
    }
}
