//! Our server as the master of real replicas (and of a peer that speaks the protocol by hand): full and partial resyncs, snapshots by
//! file and by pipe, links cut at random, the exact stream, acknowledgements, roles that change. Servers that are not installed are
//! skipped.

use super::harness::server::reference_named;
use super::harness::{Conn, Reply, Server, wire};
use super::replication_load::{
    Dice, assert_follows_through_cuts, assert_same, follow, info, wait_until, wait_up, write_some,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

const REPLICAS: [&str; 4] = ["redis-server", "redis-8.2.3", "valkey-9.1.2", "ours"];
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn master(more: &[&str]) -> Server {
    let mut args = vec!["--repl-diskless-sync-delay", "0"];
    args.extend(DEBUG);
    args.extend(more);
    Server::start(&args)
}

fn replica(name: &str) -> Option<Server> {
    if name == "ours" {
        return Some(Server::start(&DEBUG));
    }
    let mut server = Server::start_binary(&reference_named(name)?, &DEBUG);
    server.log_on_failure = false;
    Some(server)
}

#[test]
fn every_replica_through_cut_links() {
    for (round, name) in REPLICAS.into_iter().enumerate() {
        for diskless in ["yes", "no"] {
            let m = master(&["--repl-diskless-sync", diskless]);
            let Some(r) = replica(name) else { continue };
            let mut dice = Dice::new(91 + round as u64);
            let mut conn = m.conn();
            write_some(&mut conn, &mut dice, 2000);
            follow(&r, &m);
            assert_follows_through_cuts(&m, &r, &mut dice, &format!("{name} {diskless}"));
        }
    }
}

#[test]
fn a_backlog_too_short_means_a_full_resync() {
    let m = master(&["--repl-backlog-size", "16384"]);
    for name in REPLICAS {
        let Some(r) = replica(name) else { continue };
        follow(&r, &m);
        let mut conn = m.conn();
        let before: i64 = info(&mut conn, "sync_full").parse().unwrap();
        conn.cmd("MULTI");
        conn.cmd("CLIENT KILL TYPE replica");
        for i in 0..20 {
            conn.call(&["SET", &format!("k{i}"), &"v".repeat(5000)]);
        }
        conn.cmd("EXEC");
        wait_until("another full resync", || {
            info(&mut conn, "sync_full") == (before + 1).to_string()
        });
        wait_up(&r);
        assert_same(&m, &r);
    }
}

#[test]
fn several_replicas_share_a_snapshot() {
    for diskless in ["yes", "no"] {
        let m = master(&["--repl-diskless-sync", diskless]);
        let mut conn = m.conn();
        conn.cmd("CONFIG SET repl-diskless-sync-delay 60");
        conn.cmd("CONFIG SET repl-diskless-sync-max-replicas 3");
        conn.cmd("DEBUG POPULATE 20000 key 300");
        // Long enough for all of them to come while the file is being written.
        conn.cmd("CONFIG SET rdb-key-save-delay 50");
        let all: Vec<Server> = (0..3).map(|_| replica("ours").unwrap()).collect();
        for r in &all {
            r.conn().cmd(&format!("REPLICAOF 127.0.0.1 {}", m.port));
        }
        let mut dice = Dice::new(5);
        for r in &all {
            write_some(&mut conn, &mut dice, 300);
            wait_up(r);
        }
        all.iter().for_each(|r| assert_same(&m, r));
        assert_eq!(info(&mut conn, "sync_full"), "3");
        assert_eq!(info(&mut conn, "total_forks"), "1", "diskless {diskless}");
    }
}

// ---- by hand ----

/// A peer that says it is a replica.
struct Peer {
    socket: TcpStream,
    seen: Vec<u8>,
}

impl Peer {
    fn open(server: &Server) -> Peer {
        let socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Peer {
            socket,
            seen: Vec::new(),
        }
    }

    fn say(&mut self, words: &str) {
        let bytes = wire::encode(&wire::words(words));
        self.socket.write_all(&bytes).unwrap();
    }

    fn more(&mut self) -> bool {
        let mut buf = [0; 65536];
        let n = self.socket.read(&mut buf).unwrap_or(0);
        self.seen.extend_from_slice(&buf[..n]);
        n > 0
    }

    /// The next line that is not empty (empty ones say that the master lives).
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !text.is_empty() {
                    return text;
                }
            } else if !self.more() {
                return "the end".into();
            }
        }
    }

    /// The snapshot that comes now, of either kind.
    fn snapshot(&mut self) -> Vec<u8> {
        let head = self.line();
        let body = head.strip_prefix('$').expect("the head of a snapshot");
        if let Some(mark) = body.strip_prefix("EOF:") {
            loop {
                let at = self.seen.windows(40).position(|w| w == mark.as_bytes());
                if let Some(at) = at {
                    let rdb = self.seen.drain(..at).collect();
                    self.seen.drain(..40);
                    return rdb;
                }
                assert!(self.more());
            }
        }
        let len: usize = body.parse().unwrap();
        while self.seen.len() < len {
            assert!(self.more());
        }
        self.seen.drain(..len).collect()
    }

    /// The next command of the stream, its words joined by blanks.
    fn command(&mut self) -> String {
        loop {
            match wire::parse(&self.seen).unwrap() {
                Some((reply, used)) => {
                    self.seen.drain(..used);
                    let words = reply.items().expect("a command");
                    let text = |w: &Reply| String::from_utf8_lossy(w.bytes().unwrap()).into_owned();
                    return words.iter().map(text).collect::<Vec<_>>().join(" ");
                }
                None => assert!(self.more(), "the stream ended"),
            }
        }
    }
}

#[test]
fn the_stream_word_by_word() {
    let m = master(&[]);
    let mut peer = Peer::open(&m);
    peer.say("SYNC");
    assert!(peer.snapshot().starts_with(b"REDIS"));
    let mut conn = m.conn();
    for line in [
        "SET a 1",
        "GET a",
        "INCRBYFLOAT a 0.5",
        "SPOP nothing",
        "SADD s x",
        "SPOP s",
        "SELECT 2",
        "MULTI",
        "SET b 1",
        "DEL nothing",
        "SET c 2",
        "EXEC",
        "SELECT 2",
        "SET gone v PXAT 1",
        "DEBUG SET-ACTIVE-EXPIRE 0",
        "PSETEX soon 1 v",
    ] {
        conn.cmd(line);
    }
    sleep(Duration::from_millis(10));
    conn.cmd("GET soon");
    conn.cmd("SET end 1");
    let want = [
        "SELECT 0",
        "SET a 1",
        "SET a 1.5 KEEPTTL",
        "SADD s x",
        "SREM s x",
        "SELECT 2",
        "MULTI",
        "SET b 1",
        "SET c 2",
        "EXEC",
    ];
    for w in want {
        assert_eq!(peer.command(), w);
    }
    // How a time in the past is told is the commands' business; that it ends in deletions is what counts here.
    let mut rest = Vec::new();
    while rest.last().is_none_or(|c| c != "SET end 1") {
        rest.push(peer.command());
    }
    assert!(rest.iter().any(|c| c == "DEL soon"), "{rest:?}");
}

fn id_and_offset(conn: &mut Conn) -> (String, i64) {
    let offset = info(conn, "master_repl_offset").parse().unwrap();
    (info(conn, "master_replid"), offset)
}

#[test]
fn what_psync_answers() {
    let m = master(&[]);
    let mut conn = m.conn();
    let mut first = Peer::open(&m);
    first.say("REPLCONF capa eof capa psync2 listening-port 7");
    assert_eq!(first.line(), "+OK");
    first.say("PSYNC ? -1");
    let (id, offset) = id_and_offset(&mut conn);
    assert_eq!(first.line(), format!("+FULLRESYNC {id} {offset}"));
    first.snapshot();
    // A snapshot through the pipe is acknowledged before the stream flows.
    conn.cmd("SET k v");
    wait_until("it is online", || {
        info(&mut conn, "slave0").contains("state=online")
    });
    first.say("REPLCONF ACK 0");
    assert_eq!(first.command(), "SELECT 0");
    assert_eq!(first.command(), "SET k v");
    let (_, end) = id_and_offset(&mut conn);

    let ask = |line: &str, capa: bool| {
        let mut peer = Peer::open(&m);
        if capa {
            peer.say("REPLCONF capa psync2");
            assert_eq!(peer.line(), "+OK");
        }
        peer.say(line);
        let answer = peer.line();
        (peer, answer)
    };
    let (mut peer, answer) = ask(&format!("PSYNC {id} 1"), true);
    assert_eq!(answer, format!("+CONTINUE {id}"));
    assert_eq!(peer.command(), "SELECT 0");
    let (_, answer) = ask(&format!("PSYNC {} {}", id.to_uppercase(), end + 1), false);
    assert_eq!(answer, "+CONTINUE");
    for line in [
        format!("PSYNC {id} {}", end + 100),
        format!("PSYNC {id} 0"),
        format!("PSYNC {} 1", "a".repeat(40)),
    ] {
        let (mut peer, answer) = ask(&line, true);
        assert!(answer.starts_with("+FULLRESYNC"), "{line}: {answer}");
        assert!(peer.snapshot().starts_with(b"REDIS"));
    }
    let (_, answer) = ask(&format!("PSYNC {id} x"), false);
    assert_eq!(answer, "-ERR value is not an integer or out of range");
    let (_, answer) = ask(&format!("PSYNC {id} 1 FAILOVER"), false);
    assert_eq!(answer, "-ERR PSYNC FAILOVER can't be sent to a master.");
    assert_eq!(info(&mut conn, "sync_partial_ok"), "2");
    assert_eq!(info(&mut conn, "sync_partial_err"), "3");
}

#[test]
fn replconf_word_by_word() {
    let m = master(&[]);
    let mut conn = m.conn();
    let ok = Reply::simple("OK");
    for (line, answer) in [
        ("REPLCONF", ok.clone()),
        ("REPLCONF a", Reply::error("ERR syntax error")),
        (
            "REPLCONF foo bar",
            Reply::error("ERR Unrecognized REPLCONF option: foo"),
        ),
        (
            "REPLCONF listening-port x",
            Reply::error("ERR value is not an integer or out of range"),
        ),
        (
            "REPLCONF listening-port 1 capa unknown capa eof",
            ok.clone(),
        ),
        (
            "REPLCONF rdb-only 2",
            Reply::error("ERR value is out of range, value must between 0 and 1"),
        ),
        (
            "REPLCONF rdb-filter-only keys",
            Reply::error("ERR Unsupported rdb-filter-only option: keys"),
        ),
        ("REPLCONF rdb-filter-only functions", ok),
    ] {
        assert_eq!(conn.cmd(line), answer, "{line}");
    }
    let long = "a".repeat(300);
    assert_eq!(
        conn.call(&["REPLCONF", "ip-address", &long]),
        Reply::error("ERR REPLCONF ip-address provided by replica instance is too long: 300 bytes")
    );
    // Whatever is no replica's acknowledgement is not answered.
    conn.write(b"REPLCONF ACK 1\r\nREPLCONF GETACK *\r\nPING\r\n")
        .unwrap();
    assert_eq!(conn.read().unwrap(), Reply::simple("PONG"));
}

#[test]
fn snapshots_for_tools() {
    let m = master(&[]);
    m.conn().cmd("SET a-key value");
    // Only the functions, as redis-cli --functions-rdb asks for.
    let mut peer = Peer::open(&m);
    peer.say("REPLCONF rdb-filter-only functions");
    assert_eq!(peer.line(), "+OK");
    peer.say("SYNC");
    assert_eq!(peer.line(), "-ERR Filtered replica requires EOF capability");
    peer.say("REPLCONF capa eof rdb-only 1");
    assert_eq!(peer.line(), "+OK");
    peer.say("SYNC");
    let rdb = peer.snapshot();
    assert!(!rdb.windows(5).any(|w| w == b"a-key"));
    // Whoever wants only the snapshot is let go after it.
    assert_eq!(peer.line(), "the end");
    let mut peer = Peer::open(&m);
    peer.say("REPLCONF rdb-only 1");
    assert_eq!(peer.line(), "+OK");
    peer.say("SYNC");
    assert!(peer.snapshot().windows(5).any(|w| w == b"a-key"));
    assert_eq!(peer.line(), "the end");
}

#[test]
fn nothing_is_replied_into_the_stream() {
    let m = master(&[]);
    for command in ["PING", "GET k", "PSYNC", "NOSUCH x"] {
        let mut peer = Peer::open(&m);
        peer.say("SYNC");
        peer.snapshot();
        peer.say(command);
        assert_eq!(peer.line(), "the end", "{command}");
    }
    let log = m.log();
    assert!(log.contains("Replica generated a reply to command 'get', disconnecting it"));
    assert!(log.contains("== CRITICAL == This master is sending an error to its replica"));
    let mut conn = m.conn();
    assert_eq!(info(&mut conn, "connected_slaves"), "0");
}

#[test]
fn acknowledgements_count() {
    let m = master(&[]);
    let mut conn = m.conn();
    let mut peer = Peer::open(&m);
    peer.say("REPLCONF listening-port 1234");
    peer.line();
    peer.say("PSYNC ? -1");
    peer.line();
    peer.snapshot();
    conn.cmd("SET k v");
    assert_eq!(conn.cmd("WAIT 1 100"), Reply::Int(0));
    conn.cmd("SET k w");
    let (_, offset) = id_and_offset(&mut conn);
    let mut waiting = m.conn();
    waiting.cmd("SET k x");
    waiting.write(b"WAIT 1 0\r\n").unwrap();
    loop {
        if peer.command() == "SET k x" {
            break;
        }
    }
    assert_eq!(peer.command(), "REPLCONF GETACK *");
    peer.say(&format!("REPLCONF ACK {}", offset + 500));
    assert_eq!(waiting.read().unwrap(), Reply::Int(1));
    assert_eq!(conn.cmd("WAIT 1 0"), Reply::Int(1));
    let role = conn.cmd("ROLE");
    let shown = role.items().unwrap()[2].items().unwrap()[0]
        .items()
        .unwrap();
    assert_eq!(shown[1], Reply::bulk("1234"));
    assert_eq!(shown[2], Reply::bulk((offset + 500).to_string()));

    // Enough of them, or no writes.
    conn.cmd("CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 2");
    assert_eq!(conn.cmd("SET k y"), Reply::simple("OK"));
    let too_few = Reply::error("NOREPLICAS Not enough good replicas to write.");
    wait_until("it lags", || conn.cmd("SET k z") == too_few);
    conn.cmd("MULTI");
    assert_eq!(conn.cmd("SET k z"), too_few);
    conn.cmd("DISCARD");
    assert_eq!(conn.cmd("GET k"), Reply::bulk("z"));
    conn.cmd("CONFIG SET min-replicas-to-write 0");
    assert_eq!(conn.cmd("SET k z"), Reply::simple("OK"));
}

#[test]
fn who_takes_nothing_is_let_go() {
    let m = master(&["--client-output-buffer-limit", "replica 2mb 0 0"]);
    let mut conn = m.conn();
    let mut peer = Peer::open(&m);
    peer.say("SYNC");
    peer.snapshot();
    for _ in 0..200 {
        conn.call(&["SET", "k", &"v".repeat(100_000)]);
        if info(&mut conn, "connected_slaves") == "0" {
            break;
        }
    }
    assert_eq!(info(&mut conn, "connected_slaves"), "0");
    assert_eq!(
        info(&mut conn, "client_output_buffer_limit_disconnections"),
        "1"
    );
    // What was kept for it goes.
    wait_until("the stream is short again", || {
        let len: usize = info(&mut conn, "repl_backlog_histlen").parse().unwrap();
        len < 2_000_000
    });
}

#[test]
fn a_child_without_anybody_to_send_to_is_stopped() {
    let m = master(&[]);
    let mut conn = m.conn();
    conn.cmd("DEBUG POPULATE 5000 key 100");
    conn.cmd("CONFIG SET rdb-key-save-delay 10000");
    let mut peer = Peer::open(&m);
    peer.say("REPLCONF capa eof");
    peer.line();
    peer.say("PSYNC ? -1");
    peer.line();
    assert_eq!(info(&mut conn, "rdb_bgsave_in_progress"), "1");
    drop(peer);
    wait_until("the child is gone", || {
        info(&mut conn, "rdb_bgsave_in_progress") == "0"
    });
    m.wait_log("last replica dropped, killing fork child");
    assert_eq!(conn.cmd("SET k v"), Reply::simple("OK"));
    assert_eq!(info(&mut conn, "rdb_last_bgsave_status"), "ok");
}

// ---- roles ----

#[test]
fn failover_hands_over_in_good_order() {
    for name in ["redis-server", "redis-8.2.3", "ours"] {
        let Some(r) = replica(name) else { continue };
        let m = master(&[]);
        follow(&r, &m);
        let mut conn = m.conn();
        let refused = conn.cmd("FAILOVER TO 127.0.0.1 1");
        assert_eq!(
            refused,
            Reply::error("ERR FAILOVER target HOST and PORT is not a replica.")
        );
        write_some(&mut conn, &mut Dice::new(3), 500);
        // The replica knows of its end of the snapshot first; the master hears of it by the first acknowledgement.
        wait_until("the master knows that it is online", || {
            info(&mut conn, "slave0").contains("state=online")
        });
        assert_eq!(
            conn.cmd(&format!("FAILOVER TO 127.0.0.1 {}", r.port)),
            Reply::simple("OK")
        );
        wait_until("it is over", || {
            info(&mut conn, "master_failover_state") == "no-failover"
        });
        assert_eq!(info(&mut conn, "role"), "slave", "{name}");
        assert_eq!(info(&mut r.conn(), "role"), "master", "{name}");
        wait_up(&m);
        write_some(&mut r.conn(), &mut Dice::new(4), 200);
        assert_same(&r, &m);
        assert_eq!(info(&mut r.conn(), "sync_full"), "0");
        assert_eq!(info(&mut r.conn(), "sync_partial_ok"), "1");
    }
}

#[test]
fn a_failover_that_nobody_wants_ends() {
    let m = master(&[]);
    let mut conn = m.conn();
    let mut peer = Peer::open(&m);
    peer.say("SYNC");
    peer.snapshot();
    assert_eq!(
        conn.cmd("FAILOVER ABORT"),
        Reply::error("ERR No failover in progress.")
    );
    // Something that the peer never acknowledges.
    conn.cmd("SET k u");
    assert_eq!(conn.cmd("FAILOVER TIMEOUT 300"), Reply::simple("OK"));
    assert_eq!(info(&mut conn, "master_failover_state"), "waiting-for-sync");
    // The write waits for the end of it.
    assert_eq!(conn.cmd("SET k v"), Reply::simple("OK"));
    assert_eq!(info(&mut conn, "master_failover_state"), "no-failover");
    assert!(m.log().contains("Replica never caught up before timeout"));
    assert_eq!(conn.cmd("FAILOVER"), Reply::simple("OK"));
    assert_eq!(conn.cmd("FAILOVER ABORT"), Reply::simple("OK"));
    assert_eq!(conn.cmd("SET k w"), Reply::simple("OK"));
}

#[test]
fn a_master_that_starts_again_is_gone_on_with() {
    let mut m = master(&["--save", "3600 1"]);
    let r = replica("redis-server").unwrap_or_else(|| replica("ours").unwrap());
    let mut dice = Dice::new(8);
    write_some(&mut m.conn(), &mut dice, 500);
    follow(&r, &m);
    write_some(&mut m.conn(), &mut dice, 100);
    assert_same(&m, &r);
    let before = info(&mut m.conn(), "master_replid");
    assert_eq!(m.terminate(), Some(0));
    m.restart();
    wait_up(&r);
    let mut conn = m.conn();
    assert_eq!(info(&mut conn, "master_replid2"), before);
    write_some(&mut conn, &mut dice, 100);
    assert_same(&m, &r);
    assert_eq!(info(&mut conn, "sync_full"), "0");
    assert_eq!(info(&mut conn, "sync_partial_ok"), "1");
}

#[test]
fn a_shutdown_waits_for_its_replicas() {
    let mut m = master(&["--shutdown-timeout", "20"]);
    let r = replica("ours").unwrap();
    follow(&r, &m);
    let mut conn = m.conn();
    r.signal("STOP");
    sleep(Duration::from_millis(100));
    conn.cmd("SET last word");
    conn.write(b"SHUTDOWN\r\n").unwrap();
    let mut other = m.conn();
    wait_until("it waits", || info(&mut other, "blocked_clients") == "1");
    assert_eq!(other.cmd("SHUTDOWN ABORT"), Reply::simple("OK"));
    let told = conn.read().unwrap();
    assert_eq!(
        told,
        Reply::error("ERR Errors trying to SHUTDOWN. Check logs.")
    );
    conn.write(b"SHUTDOWN\r\n").unwrap();
    r.signal("CONT");
    assert_eq!(m.wait_exit(), Some(0));
    assert!(m.log().contains("1 of 1 replicas are in sync"));
    assert_eq!(r.conn().cmd("GET last"), Reply::bulk("word"));
}
