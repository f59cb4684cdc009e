//! Our server as the replica of real ones (and of a peer that lies): full and partial resyncs, every way to load a snapshot,
//! links cut at random, roles that change. Servers that are not installed are skipped.

use super::harness::server::reference_named;
use super::harness::{Reply, Server};
use super::replication_load::{
    Dice, assert_follows_through_cuts, assert_same, follow, info, wait_until, wait_up, write_some,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MASTERS: [&str; 3] = ["redis-server", "redis-8.2.3", "valkey-9.1.2"];
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn master(name: &str, more: &[&str]) -> Option<Server> {
    let binary = reference_named(name)?;
    let mut args = vec!["--repl-diskless-sync-delay", "0"];
    args.extend(DEBUG);
    args.extend(more);
    let mut server = Server::start_binary(&binary, &args);
    server.log_on_failure = false;
    Some(server)
}

fn replica(more: &[&str]) -> Server {
    let mut args = DEBUG.to_vec();
    args.extend(more);
    Server::start(&args)
}

#[test]
fn every_master_through_cut_links() {
    for (round, name) in MASTERS.into_iter().enumerate() {
        for (i, load) in ["disabled", "on-empty-db", "swapdb"]
            .into_iter()
            .enumerate()
        {
            let diskless = if (round + i) % 2 == 0 { "yes" } else { "no" };
            let Some(m) = master(name, &["--repl-diskless-sync", diskless]) else {
                continue;
            };
            let mut dice = Dice::new(17 + round as u64 * 3 + i as u64);
            let mut conn = m.conn();
            write_some(&mut conn, &mut dice, 2000);
            let r = replica(&["--repl-diskless-load", load]);
            follow(&r, &m);
            assert_follows_through_cuts(&m, &r, &mut dice, &format!("{name} {load}"));
        }
    }
}

#[test]
fn big_values_and_long_transactions_arrive_whole() {
    let Some(m) = master("redis-server", &[]) else {
        return;
    };
    let r = replica(&[]);
    follow(&r, &m);
    let mut conn = m.conn();
    let big = vec![b'x'; 3_000_000];
    conn.call(&[b"SET".as_slice(), b"big", &big]);
    conn.cmd("MULTI");
    for i in 0..2000 {
        conn.cmd(&format!("RPUSH list {i}"));
    }
    conn.call(&[b"APPEND".as_slice(), b"big", &big]);
    conn.cmd("SELECT 3");
    conn.cmd("SET elsewhere 1");
    conn.cmd("EXEC");
    assert_same(&m, &r);
    // The stream had another database selected when the link broke.
    conn.cmd("CLIENT KILL TYPE replica");
    conn.cmd("SET behind 1");
    wait_up(&r);
    assert_same(&m, &r);
    assert_eq!(info(&mut conn, "sync_full"), "1");
}

#[test]
fn passwords_and_announced_addresses() {
    let Some(m) = master("redis-server", &["--requirepass", "secret"]) else {
        return;
    };
    let mut conn = m.conn();
    conn.cmd("AUTH secret");
    conn.cmd("ACL SETUSER rep on >pw ~* &* +@all");
    for auth in [
        vec!["--masterauth", "secret"],
        vec!["--masterauth", "pw", "--masteruser", "rep"],
    ] {
        let mut args = vec!["--replica-announce-ip", "10.1.2.3"];
        args.extend(["--replica-announce-port", "7777"]);
        args.extend(auth);
        let r = replica(&args);
        follow(&r, &m);
        let shown = info(&mut conn, "slave0");
        assert!(shown.starts_with("ip=10.1.2.3,port=7777"), "{shown}");
    }
    let wrong = replica(&["--masterauth", "wrong"]);
    wrong.conn().cmd(&format!("REPLICAOF 127.0.0.1 {}", m.port));
    wrong.wait_log("Unable to AUTH to MASTER");
}

#[test]
fn what_clients_of_a_replica_may_do() {
    let Some(mut m) = master("redis-server", &[]) else {
        return;
    };
    let r = replica(&[]);
    m.conn().cmd("SET k v");
    follow(&r, &m);
    let mut conn = r.conn();
    let read_only = Reply::error("READONLY You can't write against a read only replica.");
    assert_eq!(conn.cmd("SET a b"), read_only);
    conn.cmd("MULTI");
    assert_eq!(conn.cmd("SET a b"), read_only);
    assert!(
        conn.cmd("EXEC")
            .error_text()
            .unwrap()
            .starts_with("EXECABORT")
    );
    assert_eq!(conn.cmd("GET k"), Reply::bulk("v"));
    let again = conn.cmd(&format!("REPLICAOF 127.0.0.1 {}", m.port));
    assert_eq!(
        again,
        Reply::simple("OK Already connected to specified master")
    );
    assert_eq!(
        conn.cmd("REPLICAOF localhost x"),
        Reply::error("ERR Invalid master port")
    );
    m.kill();
    wait_until("the link is down", || {
        info(&mut conn, "master_link_status") == "down"
    });
    assert_eq!(conn.cmd("GET k"), Reply::bulk("v"));
    conn.cmd("CONFIG SET replica-serve-stale-data no");
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(conn.cmd("GET k"), Reply::error(down));
    assert!(conn.cmd("INFO").error_text().is_none());
    assert_eq!(conn.cmd("REPLICAOF NO ONE"), Reply::simple("OK"));
    assert_eq!(conn.cmd("SET k w"), Reply::simple("OK"));
}

#[test]
fn expired_keys_wait_for_the_master() {
    let Some(m) = master("redis-server", &[]) else {
        return;
    };
    let r = replica(&[]);
    follow(&r, &m);
    let mut conn = m.conn();
    conn.cmd("DEBUG SET-ACTIVE-EXPIRE 0");
    conn.cmd("SET soon v PX 100");
    assert_same(&m, &r);
    std::thread::sleep(Duration::from_millis(200));
    let mut mine = r.conn();
    // It is hidden, not gone.
    assert_eq!(mine.cmd("GET soon"), Reply::Bulk(None));
    assert_eq!(mine.cmd("DBSIZE"), Reply::Int(1));
    assert_eq!(conn.cmd("GET soon"), Reply::Bulk(None));
    wait_until("the master's DEL comes", || {
        mine.cmd("DBSIZE") == Reply::Int(0)
    });
    // What a writable replica's own clients make is its own business.
    mine.cmd("CONFIG SET replica-read-only no");
    mine.cmd("SET own v PX 100");
    conn.cmd("SET theirs v PX 100");
    assert_eq!(info(&mut mine, "slave_expires_tracked_keys"), "1");
    wait_until("the replica deletes its own key", || {
        mine.cmd("DBSIZE") == Reply::Int(1)
    });
    // A write meets no ghost: the expired key of the master goes first.
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(mine.cmd("INCR theirs"), Reply::Int(1));
    assert_eq!(mine.cmd("DBSIZE"), Reply::Int(1));
}

#[test]
fn a_chain_of_masters_keeps_its_history() {
    let Some(first) = master("redis-server", &[]) else {
        return;
    };
    let Some(second) = master("redis-server", &[]) else {
        return;
    };
    second
        .conn()
        .cmd(&format!("REPLICAOF 127.0.0.1 {}", first.port));
    let r = replica(&[]);
    follow(&r, &second);
    let mut dice = Dice::new(4);
    write_some(&mut first.conn(), &mut dice, 300);
    assert_same(&first, &r);
    // The middle one becomes the master: a new id for the same history.
    second.conn().cmd("REPLICAOF NO ONE");
    write_some(&mut second.conn(), &mut dice, 100);
    wait_up(&r);
    assert_same(&second, &r);
    assert_eq!(info(&mut second.conn(), "sync_full"), "1");
    let id = |s: &Server, field| info(&mut s.conn(), field);
    assert_eq!(id(&r, "master_replid"), id(&second, "master_replid"));
    assert_eq!(id(&r, "master_replid2"), id(&first, "master_replid"));
    assert_eq!(
        id(&r, "second_repl_offset"),
        id(&second, "second_repl_offset")
    );
}

#[test]
fn role_and_waiting_clients_change_together() {
    let Some(m) = master("redis-server", &[]) else {
        return;
    };
    let r = replica(&[]);
    let mut waiting = r.conn();
    waiting.write(b"BLPOP list 0\r\n").unwrap();
    let mut for_replicas = r.conn();
    for_replicas.write(b"WAIT 3 0\r\n").unwrap();
    let mut conn = r.conn();
    wait_until("they wait", || info(&mut conn, "blocked_clients") == "2");
    follow(&r, &m);
    for mut c in [waiting, for_replicas] {
        let told = c.read().unwrap().error_text().unwrap();
        assert!(told.starts_with("UNBLOCKED"), "{told}");
        assert!(c.is_closed_by_peer());
    }
    let Reply::Array(Some(role)) = conn.cmd("ROLE") else {
        panic!("ROLE is no array");
    };
    assert_eq!(role[0], Reply::bulk("slave"));
    assert_eq!(role[2], Reply::Int(i64::from(m.port)));
    assert_eq!(role[3], Reply::bulk("connected"));
}

// ---- a peer that is no good master ----

/// Answers the handshake up to PSYNC, then sends `bytes` and closes.
fn bad_master(bytes: Vec<u8>) -> u16 {
    counting_master(bytes, Duration::from_millis(50)).0
}

/// The same, with the time between bytes and end; counts who came.
fn counting_master(bytes: Vec<u8>, patience: Duration) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    std::thread::spawn(move || {
        while let Ok((mut peer, _)) = listener.accept() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = shake(&mut peer).and_then(|()| peer.write_all(&bytes));
            std::thread::sleep(patience);
        }
    });
    (port, came)
}

fn shake(peer: &mut TcpStream) -> std::io::Result<()> {
    peer.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut seen = Vec::new();
    let mut buf = [0; 4096];
    let mut answered = 0;
    loop {
        let n = peer.read(&mut buf)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&buf[..n]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains("PSYNC") {
            return Ok(());
        }
        let wanted = text.matches("PING").count() + text.matches("REPLCONF").count();
        for i in answered..wanted {
            peer.write_all(if i == 0 { b"+PONG\r\n" } else { b"+OK\r\n" })?;
        }
        answered = wanted;
    }
}

#[test]
fn bad_snapshots_do_no_harm() {
    let id = "0123456789012345678901234567890123456789";
    let mark = "m".repeat(40);
    let full = format!("+FULLRESYNC {id} 10\r\n");
    let cases: Vec<Vec<u8>> = vec![
        b"+FULLRESYNC nonsense\r\n".to_vec(),
        b"+CONTINUE\r\n".to_vec(),
        [full.as_bytes(), b"-ERR no\r\n"].concat(),
        [full.as_bytes(), b"$99999999999999999999\r\n"].concat(),
        [full.as_bytes(), b"$20\r\nREDIS0011garbagegarb"].concat(),
        [full.as_bytes(), b"$200\r\nREDIS0011"].concat(),
        [
            full.as_bytes(),
            b"$EOF:",
            mark.as_bytes(),
            b"\r\nREDIS0009\xfe\x00\x00\x01k\x01v",
        ]
        .concat(),
        [
            full.as_bytes(),
            b"$EOF:",
            mark.as_bytes(),
            b"\r\nnot an rdb file",
            mark.as_bytes(),
        ]
        .concat(),
        vec![b'\n'; 3000],
        vec![b'x'; 3000],
    ];
    for load in ["disabled", "swapdb", "on-empty-db"] {
        let r = replica(&["--repl-diskless-load", load]);
        let mut conn = r.conn();
        for (i, case) in cases.iter().enumerate() {
            let port = bad_master(case.clone());
            conn.cmd("REPLICAOF NO ONE");
            conn.cmd("FLUSHALL");
            if load == "swapdb" {
                conn.cmd("SET kept 1");
            }
            conn.cmd(&format!("REPLICAOF 127.0.0.1 {port}"));
            std::thread::sleep(Duration::from_millis(150));
            // Between two attempts.
            wait_until("it answers", || conn.cmd("GET kept").error_text().is_none());
            if load == "swapdb" {
                assert_eq!(conn.cmd("GET kept"), Reply::bulk("1"), "case {i}");
            }
            wait_until("it can be told", || {
                conn.cmd("REPLICAOF NO ONE") == Reply::simple("OK")
            });
        }
        assert_eq!(conn.cmd("PING"), Reply::simple("PONG"));
        let left: Vec<_> = std::fs::read_dir(r.dir())
            .unwrap()
            .flatten()
            .filter(|f| f.file_name().to_string_lossy().starts_with("temp-"))
            .collect();
        assert!(left.is_empty(), "files left: {left:?}");
    }
}

#[test]
fn a_library_that_does_not_load_fails_the_sync() {
    let library = b"#!lua name=bad\nthis is no Lua";
    let rdb = [
        b"REDIS0010\xf5".as_slice(),
        &[library.len() as u8],
        library,
        // The end, and no checksum.
        b"\xff\0\0\0\0\0\0\0\0",
    ]
    .concat();
    let id = "0123456789012345678901234567890123456789";
    let head = format!("+FULLRESYNC {id} 10\r\n${}\r\n", rdb.len());
    let port = bad_master([head.as_bytes(), &rdb].concat());
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let r = replica(&["--repl-diskless-load", load]);
        let mut conn = r.conn();
        if load == "swapdb" {
            conn.cmd("SET kept 1");
            let mine = [
                "FUNCTION",
                "LOAD",
                "#!lua name=mine\nredis.register_function('f', function() return 7 end)",
            ];
            assert_eq!(conn.call(&mine), Reply::bulk("mine"));
        }
        conn.cmd(&format!("REPLICAOF 127.0.0.1 {port}"));
        r.wait_log("Failed creating a function library");
        r.wait_log("Failed trying to load the MASTER synchronization DB");
        assert!(!r.log().contains("Finished with success"), "{load}");
        conn.cmd("REPLICAOF NO ONE");
        if load == "swapdb" {
            // All of the old data stay, or none.
            assert_eq!(conn.cmd("GET kept"), Reply::bulk("1"));
            assert_eq!(conn.cmd("FCALL f 0"), Reply::Int(7));
        }
    }
}

#[test]
fn a_master_that_refuses_is_not_stormed() {
    let id = "0123456789012345678901234567890123456789";
    let full = format!("+FULLRESYNC {id} 10\r\n");
    for bytes in [full.clone(), full + "-ERR no\r\n", "-ERR no\r\n".into()] {
        let (port, came) = counting_master(bytes.into_bytes(), Duration::ZERO);
        let r = replica(&[]);
        let begun = Instant::now();
        r.conn().cmd(&format!("REPLICAOF 127.0.0.1 {port}"));
        wait_until("it comes again", || came.load(Ordering::SeqCst) > 3);
        std::thread::sleep(Duration::from_secs(1));
        // Cron comes by once a second: one attempt of its own, and three that do not wait for it.
        let n = came.load(Ordering::SeqCst);
        let ticks = begun.elapsed().as_secs() as usize + 2;
        assert!(n <= 4 * ticks, "{n} attempts in {ticks} seconds");
    }
}

#[test]
fn a_broken_stream_is_not_gone_on_with() {
    let id = "0123456789012345678901234567890123456789";
    let empty = b"REDIS0009\xff\0\0\0\0\0\0\0\0";
    let head = format!("+FULLRESYNC {id} 10\r\n${}\r\n", empty.len());
    let bytes = [head.as_bytes(), empty, b"*1\r\n!oops\r\n"].concat();
    let port = bad_master(bytes);
    let r = replica(&[]);
    r.conn().cmd(&format!("REPLICAOF 127.0.0.1 {port}"));
    r.wait_log("Connection with master lost");
    r.wait_log("Finished with success");
    std::thread::sleep(Duration::from_millis(300));
    let log = r.log();
    let (_, after) = log.split_once("Connection with master lost").unwrap();
    assert!(!after.contains("Caching the disconnected") && !after.contains("Trying a partial"));
    assert_eq!(r.conn().cmd("PING"), Reply::simple("PONG"));
}
