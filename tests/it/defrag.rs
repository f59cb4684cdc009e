//! Active defragmentation from outside: it moves the values of every type and changes none; INFO, CONFIG and the log tell of it.

use crate::harness::{Conn, Reply, Server};
use std::time::Duration;

fn figure(c: &mut Conn, name: &str) -> i64 {
    let info = c.cmd("INFO everything");
    let text = String::from_utf8_lossy(info.bytes().expect("a report")).into_owned();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    line.expect("a figure").trim().parse().expect("a number")
}

fn send(c: &mut Conn, lines: impl Iterator<Item = String>) {
    for chunk in lines.collect::<Vec<_>>().chunks(500) {
        let all: Vec<u8> = chunk
            .iter()
            .flat_map(|line| crate::harness::wire::encode(&line.split(' ').collect::<Vec<_>>()))
            .collect();
        c.write(&all).expect("sent");
        for line in chunk {
            let reply = c.read().expect("a reply");
            assert_eq!(reply.error_text(), None, "{line}");
        }
    }
}

/// Looks until `done` says so; gives up after a minute.
fn until(c: &mut Conn, what: &str, mut done: impl FnMut(&mut Conn) -> bool) {
    for _ in 0..1200 {
        if done(c) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen within a minute");
}

fn digest(c: &mut Conn) -> String {
    let reply = c.cmd("DEBUG DIGEST");
    assert_eq!(reply.error_text(), None);
    format!("{reply:?}")
}

/// The i-th key of a mixed set: small and big values of every type and encoding.
fn lines(i: usize) -> Vec<String> {
    let long = "x".repeat(20_000);
    let elements = |n: usize| (0..n).map(move |j| format!("element:{i}:{j}"));
    let pairs = |n: usize| (0..n).map(move |j| format!("{j} member:{i}:{j}"));
    let join = |words: &mut dyn Iterator<Item = String>| words.collect::<Vec<_>>().join(" ");
    let big = if i.is_multiple_of(50) { 2_000 } else { 3 };
    match i % 10 {
        0 => vec![format!("SET k{i} {}", "v".repeat(i % 300))],
        1 => vec![format!("SET k{i} {i} EX 10000")],
        2 => vec![format!("RPUSH k{i} {}", join(&mut elements(big * 3)))],
        3 => vec![format!("SADD k{i} {}", join(&mut elements(big + 140)))],
        4 => vec![format!("ZADD k{i} {}", join(&mut pairs(big + 130)))],
        5 => vec![
            format!("HSET k{i} {}", join(&mut elements(600))),
            format!("HEXPIRE k{i} 10000 FIELDS 1 element:{i}:0"),
        ],
        6 => vec![format!("SADD k{i} 1 2 {i}"), format!("EXPIRE k{i} 9999")],
        7 if i < 500 => vec![format!("SET k{i} {long}")],
        7 => vec![
            format!("HSET k{i} a 1 b 2"),
            format!("HEXPIRE k{i} 10000 FIELDS 1 a"),
        ],
        8 if i < 2_000 => (0..40)
            .map(|j| format!("XADD k{i} {}-1 field {j} other {i}", j + 1))
            .chain([
                format!("XGROUP CREATE k{i} g 0"),
                format!("XREADGROUP GROUP g me COUNT 30 STREAMS k{i} >"),
            ])
            .collect(),
        8 => vec![format!("XADD k{i} 1-1 a b")],
        _ => vec![format!("ZADD k{i} {}", join(&mut pairs(5)))],
    }
}

#[test]
fn values_of_every_type_survive_being_moved() {
    const KEYS: usize = 6_000;
    let args = "--loglevel verbose --list-max-listpack-size 5 --enable-debug-command yes";
    let server = Server::start(&args.split(' ').collect::<Vec<_>>());
    let mut c = server.conn();
    send(&mut c, (0..KEYS).flat_map(lines));
    let gone = (0..KEYS).filter(|i| i * 7 % 10 != 0);
    send(&mut c, gone.map(|i| format!("DEL k{i}")));
    let before = digest(&mut c);
    assert_eq!(figure(&mut c, "active_defrag_hits"), 0);
    for (name, value) in [
        ("active-defrag-ignore-bytes", "1"),
        ("active-defrag-threshold-lower", "0"),
        ("active-defrag-cycle-min", "20"),
        ("active-defrag-max-scan-fields", "100"),
    ] {
        assert_eq!(
            c.cmd(&format!("CONFIG SET {name} {value}")),
            Reply::simple("OK")
        );
    }
    assert_eq!(c.cmd("CONFIG SET activedefrag yes"), Reply::simple("OK"));
    until(&mut c, "three passes", |c| {
        // Readers and writers go on meanwhile, on other keys and on these.
        send(c, (0..50).map(|i| format!("SET other:{i} {i}")));
        send(c, (0..50).map(|i| format!("DEL other:{i}")));
        assert_eq!(digest(c), before);
        figure(c, "active_defrag_key_hits") + figure(c, "active_defrag_key_misses")
            > 3 * KEYS as i64 / 10
    });
    assert!(figure(&mut c, "active_defrag_hits") > 100);
    assert!(figure(&mut c, "active_defrag_misses") > 0);
    assert!(figure(&mut c, "active_defrag_running") > 0);
    assert!(server.log().contains("Starting active defrag, frag="));
    assert_eq!(c.cmd("CONFIG SET activedefrag no"), Reply::simple("OK"));
    until(&mut c, "the end", |c| {
        figure(c, "active_defrag_running") == 0
    });
    assert!(server.log().contains("Active defrag done in "));
    assert!(figure(&mut c, "total_active_defrag_time") > 0);
    assert_eq!(figure(&mut c, "current_active_defrag_time"), 0);
    assert_eq!(digest(&mut c), before);
    // Everything can be changed, saved and loaded.
    send(
        &mut c,
        (0..KEYS).step_by(10).flat_map(|i| lines(i + 20_000)),
    );
    let now = digest(&mut c);
    assert_eq!(c.cmd("DEBUG RELOAD"), Reply::simple("OK"));
    assert_eq!(digest(&mut c), now);
    c.cmd("CONFIG RESETSTAT");
    for name in ["hits", "misses", "key_hits", "key_misses"] {
        assert_eq!(figure(&mut c, &format!("active_defrag_{name}")), 0);
    }
    assert_eq!(figure(&mut c, "total_active_defrag_time"), 0);
    assert_eq!(c.cmd("FLUSHALL SYNC"), Reply::simple("OK"));
}

#[test]
fn nothing_moves_unless_asked() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    send(
        &mut c,
        (0..20_000).map(|i| format!("SET key:{i} {i}{i}{i}x")),
    );
    send(
        &mut c,
        (0..20_000)
            .filter(|i| i % 10 != 0)
            .map(|i| format!("DEL key:{i}")),
    );
    assert_eq!(figure(&mut c, "active_defrag_running"), 0);
    assert_eq!(figure(&mut c, "active_defrag_hits"), 0);
    let told = c.cmd("CONFIG GET compact-after-deletes");
    assert_eq!(told.items().map(<[_]>::len), Some(2));
}
