//! Limits on memory: output buffers, `maxmemory`, room that a huge command needed.

use crate::harness::{Conn, Reply, Server, wire};

fn info(conn: &mut Conn, field: &str) -> i64 {
    let text = conn.cmd("INFO everything");
    let text = String::from_utf8_lossy(text.bytes().expect("text")).into_owned();
    let prefix = format!("{field}:");
    let found = text.lines().find_map(|l| l.strip_prefix(&prefix));
    found.expect("the field").parse().expect("a number")
}

#[test]
fn a_reply_beyond_the_limit_ends_the_client_and_holds_no_memory() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut c = server.conn();
    c.cmd("HSET h a b c d");
    c.cmd("SADD s a b c");
    c.cmd("ZADD z 1 a 2 b");
    for line in [
        "HRANDFIELD h -999999999",
        "SRANDMEMBER s -999999999",
        "ZRANDMEMBER z -999999999 WITHSCORES",
    ] {
        let mut greedy = server.conn();
        greedy
            .write(&wire::encode(&wire::words(line)))
            .expect("sent");
        assert!(greedy.is_closed_by_peer(), "{line}");
        assert!(greedy.leftover().is_empty(), "{line}: got a part of it");
    }
    assert!(info(&mut c, "used_memory_peak") < 20_000_000);
    assert_eq!(info(&mut c, "client_output_buffer_limit_disconnections"), 3);
    // A reply below the limit comes whole, and what is written does not count.
    c.call(&["SET", "big", &"x".repeat(90_000)]);
    for _ in 0..5 {
        assert_eq!(c.cmd("STRLEN big"), Reply::Int(90_000));
        assert_eq!(c.cmd("GET big").bytes().map(<[u8]>::len), Some(90_000));
    }
}

#[test]
fn a_transaction_runs_to_its_end_even_if_its_reply_is_too_long() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let (mut c, mut other) = (server.conn(), server.conn());
    c.call(&["SET", "big", &"x".repeat(60_000)]);
    for line in ["MULTI", "GET big", "GET big", "GET big", "SET after 1"] {
        c.cmd(line);
    }
    c.write(b"EXEC\r\nSET never 1\r\n").expect("sent");
    assert!(c.is_closed_by_peer());
    assert_eq!(other.cmd("EXISTS after never"), Reply::Int(1));
}

#[test]
fn messages_about_evicted_keys_evict_no_further_ones() {
    let server = Server::start(&[
        "--maxmemory-policy",
        "allkeys-lru",
        "--latency-tracking",
        "no",
    ]);
    let mut c = server.conn();
    let mut caching: Vec<Conn> = (0..10)
        .map(|_| {
            let mut conn = server.conn3();
            conn.cmd("CLIENT TRACKING ON");
            conn
        })
        .collect();
    for i in 0..300 {
        let key = format!("{i}{}", "x".repeat(1000));
        c.call(&["SET", &key, "x"]);
        for conn in &mut caching {
            conn.call(&["GET", &key]);
        }
    }
    let limit = info(&mut c, "used_memory") - 40_000;
    c.cmd(&format!("CONFIG SET maxmemory {limit}"));
    // More commands must not go on either.
    for _ in 0..5 {
        c.cmd("PING");
    }
    let evicted = info(&mut c, "evicted_keys");
    assert!((10..=60).contains(&evicted), "{evicted} evicted");
}

#[test]
fn the_room_of_a_huge_command_is_given_back() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    c.cmd("DEL warm");
    let before = info(&mut c, "used_memory");
    let mut words = vec!["DEL".to_owned()];
    words.extend((0..200_000).map(|i| i.to_string()));
    assert_eq!(c.call(&words), Reply::Int(0));
    let after = info(&mut c, "used_memory");
    assert!(after - before < 500_000, "{before} to {after}");
}

#[test]
fn the_biggest_clients_go_before_the_next_command_runs() {
    let server = Server::start(&["--maxmemory-clients", "2mb"]);
    let mut c = server.conn();
    let mut hog = server.conn();
    hog.cmd("CLIENT SETNAME hog");
    let half = 1024 * 1024;
    hog.write(format!("*1\r\n${half}\r\n{}", "v".repeat(half)).as_bytes())
        .expect("sent");
    let list = |c: &mut Conn| {
        let text = c.cmd("CLIENT LIST");
        String::from_utf8_lossy(text.bytes().expect("text")).into_owned()
    };
    // The long argument that is not whole yet is the query buffer.
    let wanted = format!("qbuf={half} ");
    let seen = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        list(&mut c).contains(&wanted)
    });
    assert!(seen, "{}", list(&mut c));
    assert!(list(&mut c).contains("name=hog"));
    c.cmd("CONFIG SET maxmemory-clients 1mb");
    assert!(!list(&mut c).contains("name=hog"));
    assert!(hog.is_closed_by_peer());
    // So do those that gather prefixes.
    c.cmd("CONFIG SET maxmemory-clients 100kb");
    let mut many = server.conn3();
    let gone = (0..5000).any(|i| {
        many.write(format!("CLIENT TRACKING ON BCAST PREFIX {i:06}\r\n").as_bytes())
            .is_err()
            || many.read().is_err()
    });
    assert!(gone);
    assert_eq!(info(&mut c, "evicted_clients"), 2);
}

#[test]
fn a_tiny_limit_of_clients_shuts_out_nobody() {
    let server = Server::start(&["--maxmemory-clients", "1"]);
    let mut c = server.conn();
    assert_eq!(c.cmd("CONFIG SET maxmemory-clients 2"), Reply::simple("OK"));
    assert_eq!(c.cmd("PING"), Reply::simple("PONG"));
    assert_eq!(info(&mut c, "evicted_clients"), 0);
}

#[test]
fn an_eviction_is_told_before_the_reply_of_the_command_that_caused_it() {
    let server = Server::start(&["--maxmemory-policy", "volatile-random"]);
    let mut c = server.conn3();
    c.cmd("CLIENT TRACKING ON");
    c.cmd("SETEX soon 10000 x");
    c.cmd("GET soon");
    c.cmd("SETBIT big 1600000 0");
    let limit = info(&mut c, "used_memory") - 50_000;
    c.cmd(&format!("CONFIG SET maxmemory {limit}"));
    c.write(b"GETBIT big 0\r\n").expect("sent");
    let stale = Reply::Push(vec![
        Reply::bulk("invalidate"),
        Reply::Array(Some(vec![Reply::bulk("soon")])),
    ]);
    assert_eq!(c.read().expect("a push"), stale);
    assert_eq!(c.read().expect("the reply"), Reply::Int(0));
}

#[test]
fn noloop_does_not_hide_what_expired() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn3();
    c.cmd("CLIENT TRACKING ON BCAST NOLOOP");
    c.cmd("DEBUG SET-ACTIVE-EXPIRE 0");
    c.cmd("SET own 1");
    c.cmd("SET k v PX 1");
    std::thread::sleep(std::time::Duration::from_millis(20));
    c.write(b"GET k\r\n").expect("sent");
    assert_eq!(c.read().expect("the reply"), Reply::Null);
    let stale = Reply::Push(vec![
        Reply::bulk("invalidate"),
        Reply::Array(Some(vec![Reply::bulk("k")])),
    ]);
    assert_eq!(c.read().expect("a push"), stale);
}

#[test]
fn without_descriptors_connections_wait_and_the_log_does_not_fill() {
    let server = Server::start(&[]);
    let mut served = server.conn();
    let path = |n: u32| format!("/proc/{}/fd/{n}", server.pid());
    let first_free = (0..)
        .find(|n| std::fs::symlink_metadata(path(*n)).is_err())
        .expect("one");
    let (pid, limit) = (
        server.pid().to_string(),
        format!("--nofile={}:4096", first_free + 3),
    );
    let done = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(done.expect("prlimit runs").success());
    // Some more fit; the last one waits.
    let mut others: Vec<Conn> = (0..20).map(|_| server.conn()).collect();
    server.wait_log("Error accepting a client connection");
    let mut last = others.pop().expect("twenty");
    last.write(b"PING\r\n").expect("sent");
    // Served as ever meanwhile, for some ticks of cron.
    for _ in 0..10 {
        served.cmd("BLPOP nothing 0.05");
    }
    let lines = server
        .log()
        .matches("Error accepting a client connection")
        .count();
    assert!(lines < 5, "{lines} lines");
    drop(others);
    assert_eq!(last.read().expect("taken"), Reply::simple("PONG"));
}
