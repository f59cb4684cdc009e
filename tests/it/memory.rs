//! MEMORY from outside: what it tells must agree with what the allocator gave out.

use crate::harness::{Conn, Reply, Server};

fn used(c: &mut Conn) -> i64 {
    let info = c.cmd("INFO memory");
    let text = String::from_utf8_lossy(info.bytes().expect("a report")).into_owned();
    let line = text.lines().find_map(|l| l.strip_prefix("used_memory:"));
    line.expect("a figure").trim().parse().expect("a number")
}

/// Sends the commands in one pipeline, so that buffers do not differ before and after.
fn fill(c: &mut Conn, commands: impl Iterator<Item = Vec<String>>) {
    for chunk in commands.collect::<Vec<_>>().chunks(500) {
        let all: Vec<u8> = chunk
            .iter()
            .flat_map(|args| crate::harness::wire::encode(args))
            .collect();
        c.write(&all).expect("sent");
        for _ in chunk {
            let reply = c.read().expect("a reply");
            assert_eq!(reply.error_text(), None);
        }
    }
}

fn words(text: String) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[test]
fn usage_of_a_key_is_what_the_allocator_gave_for_it() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    type Line = fn(usize) -> String;
    let cases: [(&str, usize, Line); 12] = [
        ("string", 1, |_| format!("SET k {}", "x".repeat(3_000))),
        ("long string", 1, |_| {
            format!("SET k {}", "x".repeat(100_000))
        }),
        ("small hash", 20, |i| format!("HSET k field:{i} v")),
        ("hash", 20_000, |i| {
            format!("HSET k field:{i} value:{}", i * 7)
        }),
        ("expiring hash", 20_000, |i| {
            format!("HSETEX k EX {} FIELDS 1 field:{i} value:{i}", 1000 + i)
        }),
        ("set", 20_000, |i| format!("SADD k member:{i}")),
        ("intset", 500, |i| format!("SADD k {}", i * 1_000_000)),
        ("zset", 20_000, |i| format!("ZADD k {i} member:{i}")),
        ("list", 20_000, |i| format!("RPUSH k element:{i}")),
        ("list of big elements", 50, |_| {
            format!("RPUSH k {}", "y".repeat(20_000))
        }),
        ("stream", 20_000, |i| {
            format!("XADD k {}-1 temperature {i}", i + 1)
        }),
        ("stream with a group", 20_000, |i| match i {
            0 => "XGROUP CREATE k g 0 MKSTREAM".into(),
            19_999 => "XREADGROUP GROUP g me COUNT 30000 STREAMS k >".into(),
            _ => format!("XADD k {i}-1 temperature {i}"),
        }),
    ];
    for (what, n, line) in cases {
        // Once to have all buffers and the latency histogram of each command made, then to measure.
        used(&mut c);
        c.cmd("MEMORY USAGE k");
        c.cmd("FLUSHALL SYNC");
        fill(&mut c, (0..n).map(|i| words(line(i))));
        c.cmd("FLUSHALL SYNC");
        let before = used(&mut c);
        fill(&mut c, (0..n).map(|i| words(line(i))));
        let Reply::Int(told) = c.cmd("MEMORY USAGE k SAMPLES 0") else {
            panic!("{what}: no figure");
        };
        let truth = used(&mut c) - before;
        let off = (told - truth).abs();
        // Buffers of this very connection and the tables of the database come and go: a few KB.
        assert!(
            off < truth / 20 + 6_000,
            "{what}: told {told}, took {truth}"
        );
        let Reply::Int(sampled) = c.cmd("MEMORY USAGE k") else {
            panic!("{what}: no figure");
        };
        let off = (sampled - told).abs();
        assert!(off <= told / 5, "{what}: sampled {sampled}, all {told}");
    }
}

#[test]
fn small_keys_and_wrong_options() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    c.cmd("SET aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb");
    assert_eq!(c.cmd("MEMORY USAGE aaaaaaaaaaaaaaaa"), Reply::Int(52));
    assert_eq!(c.cmd("MEMORY USAGE none"), Reply::Bulk(None));
    for line in [
        "MEMORY USAGE k SAMPLES -1",
        "MEMORY USAGE k SAMPLES",
        "MEMORY USAGE k x 1",
    ] {
        assert_eq!(c.cmd(line), Reply::error("ERR syntax error"), "{line}");
    }
    let none = Reply::error("ERR value is not an integer or out of range");
    assert_eq!(c.cmd("MEMORY USAGE k SAMPLES x"), none);
    assert_eq!(c.cmd("MEMORY PURGE"), Reply::simple("OK"));
    let report = c.cmd("MEMORY MALLOC-STATS");
    let report = String::from_utf8_lossy(report.bytes().expect("a report")).into_owned();
    assert!(report.contains("jemalloc statistics"), "{report:.100}");
}

#[test]
fn what_the_rooms_hold_adds_up() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    fill(
        &mut c,
        (0..10_000).map(|i| words(format!("SET key:{i} {i} EX 1000"))),
    );
    let stats = c.cmd("MEMORY STATS");
    let items = stats.items().expect("a map").to_vec();
    let get = |name: &str| {
        let at = items
            .iter()
            .position(|i| i.bytes() == Some(name.as_bytes()));
        items[at.unwrap_or_else(|| panic!("{name} is missing")) + 1].clone()
    };
    let int = |name: &str| match get(name) {
        Reply::Int(n) => n,
        other => panic!("{name}: {other:?}"),
    };
    let db = get("db.0");
    let db = db.items().expect("a map");
    let (Reply::Int(main), Reply::Int(expires)) = (&db[1], &db[3]) else {
        panic!("{db:?}");
    };
    assert!(*main > 100_000 && *expires > 10_000, "{main} {expires}");
    // What the scripts' states took at start is part of that.
    let parts = int("startup.allocated")
        + int("clients.normal")
        + int("clients.slaves")
        + int("replication.backlog")
        + int("aof.buffer")
        + int("lua.caches")
        + int("functions.caches")
        + main
        + expires;
    assert_eq!(int("overhead.total"), parts);
    assert_eq!(
        int("total.allocated"),
        int("overhead.total") + int("dataset.bytes")
    );
    // 10,000 entries of 40 bytes are the data.
    assert!(
        (390_000..500_000).contains(&int("dataset.bytes")),
        "{}",
        int("dataset.bytes")
    );
}
