//! The append only file on the real binary: kill -9 at any time, damaged files, a full disk, switching on and off.

use super::harness::server::ours;
use super::harness::{Conn, Reply, Server, wire};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

fn int(reply: &Reply) -> i64 {
    match reply {
        Reply::Int(n) => *n,
        Reply::Bulk(Some(text)) => String::from_utf8_lossy(text).parse().expect("a number"),
        other => panic!("{other:?}"),
    }
}

fn aof_file(server: &Server, name: &str) -> PathBuf {
    server.dir().join("appendonlydir").join(name)
}

fn info(server: &Server, field: &str) -> String {
    let reply = server.conn().cmd("INFO persistence");
    let text = String::from_utf8_lossy(reply.bytes().expect("text")).into_owned();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("{field} in {text}"))
        .to_owned()
}

/// Writers count up, each its own key, some in transactions; the server is killed while they do.
fn count_until_killed(server: &mut Server, run_ms: u64) -> Vec<i64> {
    const WRITERS: usize = 6;
    let acked: Vec<AtomicI64> = (0..WRITERS).map(|_| AtomicI64::new(0)).collect();
    let over = AtomicBool::new(false);
    let port = server.port;
    scope(|s| {
        for (i, acked) in acked.iter().enumerate() {
            let over = &over;
            s.spawn(move || {
                let Ok(mut conn) = Conn::open(port) else {
                    return;
                };
                let (one, two) = (format!("INCR n{i}\r\n"), format!("INCR m{i}\r\n"));
                let several = format!("MULTI\r\n{one}{two}EXEC\r\n");
                while !over.load(Ordering::SeqCst) {
                    let before = acked.load(Ordering::SeqCst);
                    let (text, replies) = match before % 3 {
                        0 => (&several, 4),
                        _ => (&one, 1),
                    };
                    if conn.write(text.as_bytes()).is_err() {
                        return;
                    }
                    let mut last = None;
                    for _ in 0..replies {
                        match conn.read() {
                            Ok(reply) => last = Some(reply),
                            Err(_) => return,
                        }
                    }
                    if let Some(reply) = last {
                        let n = reply
                            .items()
                            .map_or_else(|| int(&reply), |all| int(&all[0]));
                        acked.store(n, Ordering::SeqCst);
                    }
                }
            });
        }
        s.spawn(|| {
            let mut conn = Conn::open(port).expect("a connection");
            for _ in 0..run_ms / 40 {
                sleep(Duration::from_millis(40));
                if conn.write(b"BGREWRITEAOF\r\n").is_err() || conn.read().is_err() {
                    return;
                }
            }
        });
        sleep(Duration::from_millis(run_ms));
        server.kill();
        over.store(true, Ordering::SeqCst);
    });
    acked.iter().map(|a| a.load(Ordering::SeqCst)).collect()
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    for fsync in ["always", "everysec"] {
        for preamble in ["yes", "no"] {
            let args = [
                "--appendonly",
                "yes",
                "--appendfsync",
                fsync,
                "--aof-use-rdb-preamble",
                preamble,
            ];
            let mut server = Server::start(&args);
            for round in 0..3 {
                let acked = count_until_killed(&mut server, 150 + 70 * round);
                server.restart();
                let mut conn = server.conn();
                for (i, acked) in acked.iter().enumerate() {
                    let n = match conn.cmd(&format!("GET n{i}")) {
                        Reply::Bulk(None) => 0,
                        reply => int(&reply),
                    };
                    // One more may have been on its way. Under everysec what the last sync held up may be missing.
                    let lost = fsync == "always" && n < *acked;
                    assert!(
                        !lost && n <= acked + 1,
                        "{fsync}, preamble {preamble}, round {round}: {acked} acknowledged, {n} there"
                    );
                    // A transaction is there whole or not at all.
                    let m = match conn.cmd(&format!("GET m{i}")) {
                        Reply::Bulk(None) => 0,
                        reply => int(&reply),
                    };
                    assert_eq!(m, (n + 2) / 3, "{fsync}, beside {n}");
                }
                // From the same number on again.
                conn.cmd("FLUSHALL");
            }
            assert!(!server.log().contains("Bad file format"));
        }
    }
}

#[test]
fn a_damaged_middle_is_refused_and_a_torn_end_is_cut() {
    // Under everysec what is written while a sync runs may wait in memory, and be lost by the kill.
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(&args);
    server.log_on_failure = false;
    let mut conn = server.conn();
    for i in 0..100 {
        conn.cmd(&format!("SET key{i} value"));
    }
    server.kill();
    let path = aof_file(&server, "appendonly.aof.1.incr.aof");
    let good = fs::read(&path).expect("the file");
    let run = || {
        let out = std::process::Command::new(ours())
            .args(["--port", "0", "--unixsocket", "s", "--appendonly", "yes"])
            .current_dir(server.dir())
            .output()
            .expect("it runs");
        let log = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.code(), log)
    };
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    let at = middle
        + bad[middle..]
            .iter()
            .position(|b| *b == b'*')
            .expect("a command");
    bad[at] = b'!';
    fs::write(&path, &bad).expect("written");
    let (code, log) = run();
    assert_eq!(code, Some(1), "{log}");
    let said = format!("appendonly.aof.1.incr.aof at offset {at}: make a backup");
    assert!(log.contains(&said), "{said} in {log}");
    assert_eq!(fs::read(&path).expect("the file"), bad, "left as it was");
    // Torn: nothing but the last command is missing.
    fs::write(&path, &good[..good.len() - 3]).expect("written");
    server.restart();
    let mut conn = server.conn();
    assert_eq!(conn.cmd("DBSIZE"), Reply::Int(99));
    assert!(server.log().contains("!!! Truncating the AOF"));
    conn.cmd("SET key99 value");
    server.restart();
    assert_eq!(server.conn().cmd("DBSIZE"), Reply::Int(100));
}

#[test]
fn a_full_disk_refuses_writes_and_says_so() {
    let server = Server::start(&["--appendonly", "yes"]);
    let mut conn = server.conn();
    assert_eq!(conn.cmd("SET a 1"), Reply::simple("OK"));
    symlink("/dev/full", aof_file(&server, "appendonly.aof.2.incr.aof")).expect("a link");
    conn.cmd("BGREWRITEAOF");
    server.wait_log("Background AOF rewrite finished successfully");
    // This one meets the full disk; everysec had promised nothing yet.
    conn.cmd("SET a 2");
    let refused = "MISCONF Errors writing to the AOF file: No space left on device";
    for line in ["SET a 3", "PING"] {
        assert_eq!(
            conn.cmd(line).error_text().as_deref(),
            Some(refused),
            "{line}"
        );
    }
    conn.cmd("MULTI");
    conn.cmd("SET a 4");
    assert_eq!(conn.cmd("GET a").error_text(), None);
    let exec = conn.cmd("EXEC").error_text().unwrap_or_default();
    assert!(exec.starts_with("EXECABORT"), "{exec}");
    assert_eq!(conn.cmd("GET a"), Reply::bulk("2"));
    assert_eq!(info(&server, "aof_last_write_status"), "err");
    assert_eq!(conn.cmd("CONFIG SET appendonly no"), Reply::simple("OK"));
    assert_eq!(conn.cmd("SET a 5"), Reply::simple("OK"));
}

#[test]
fn always_ends_rather_than_promise_what_no_file_holds() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut conn = server.conn();
    assert_eq!(conn.cmd("SET a 1"), Reply::simple("OK"));
    symlink("/dev/full", aof_file(&server, "appendonly.aof.2.incr.aof")).expect("a link");
    conn.cmd("BGREWRITEAOF");
    server.wait_log("Background AOF rewrite finished successfully");
    conn.write(b"SET a 2\r\n").expect("sent");
    assert!(conn.read().is_err(), "an answer to what was not written");
    assert_eq!(server.wait_exit(), Some(1));
    server.wait_log("Can't recover from AOF write error when the AOF fsync policy is 'always'");
}

/// Runs these in one turn of the loop, each for a client of its own, on a server whose AOF cannot be written: nobody may be told
/// that a write was done.
fn none_is_acknowledged(mut server: Server, commands: &[Vec<u8>]) {
    symlink("/dev/full", aof_file(&server, "appendonly.aof.2.incr.aof")).expect("a link");
    server.conn().cmd("BGREWRITEAOF");
    server.wait_log("Background AOF rewrite finished successfully");
    let mut clients: Vec<Conn> = commands.iter().map(|_| server.conn()).collect();
    // Connected, and their input arrives while the server is busy.
    clients.iter_mut().for_each(|c| drop(c.cmd("PING")));
    let mut busy = server.conn();
    busy.write(b"DEBUG SLEEP 0.3\r\n").expect("sent");
    sleep(Duration::from_millis(50));
    for (client, command) in clients.iter_mut().zip(commands) {
        client.write(command).expect("sent");
    }
    for (client, command) in clients.iter_mut().zip(commands) {
        let answer = client.read();
        let text = String::from_utf8_lossy(&command[..command.len().min(40)]);
        assert!(answer.is_err(), "{answer:?} to {text}");
    }
    assert_eq!(server.wait_exit(), Some(1));
}

#[test]
fn making_room_acknowledges_nothing_early() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut conn = server.conn();
    conn.cmd("CONFIG SET maxmemory-policy allkeys-random maxmemory 20mb");
    // The third one meets a full memory.
    let commands = [
        wire::encode(&["SET", "a", "1"]),
        wire::encode(&["SETRANGE", "b", "30000000", "x"]),
        wire::encode(&["SET", "c", "1"]),
    ];
    none_is_acknowledged(server, &commands);
}

#[test]
fn a_busy_script_lets_nothing_be_acknowledged_early() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    server.conn().cmd("CONFIG SET busy-reply-threshold 1");
    let script = "local n = 0 while n < 3e7 do n = n + 1 end return n";
    let commands = [
        wire::encode(&["SET", "a", "1"]),
        wire::encode(&["EVAL", script, "0"]),
    ];
    none_is_acknowledged(server, &commands);
}

#[test]
fn switched_on_and_off_while_it_runs() {
    let mut server = Server::start(&[]);
    let mut conn = server.conn();
    conn.cmd("SET before 1");
    assert_eq!(conn.cmd("CONFIG SET appendonly yes"), Reply::simple("OK"));
    server.wait_log("Background AOF rewrite finished successfully");
    conn.cmd("SET after 2");
    assert_eq!(
        conn.cmd("WAITAOF 1 0 5000"),
        Reply::Array(Some(vec![Reply::Int(1), Reply::Int(0)]))
    );
    server.set_args(&["--appendonly", "yes"]);
    server.restart();
    let mut conn = server.conn();
    assert_eq!(conn.cmd("MGET before after").items().expect("two").len(), 2);
    assert_eq!(conn.cmd("GET before"), Reply::bulk("1"));
    assert_eq!(conn.cmd("GET after"), Reply::bulk("2"));
    assert_eq!(conn.cmd("CONFIG SET appendonly no"), Reply::simple("OK"));
    assert_eq!(info(&server, "aof_enabled"), "0");
    let off = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    assert_eq!(conn.cmd("WAITAOF 1 0 0").error_text().as_deref(), Some(off));
    conn.cmd("SET after 3");
    server.restart();
    assert_eq!(
        server.conn().cmd("GET after"),
        Reply::bulk("2"),
        "it was off"
    );
}

#[test]
fn waitaof_waits_for_the_sync_of_its_own_writes() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]);
    let mut conn = server.conn();
    let pair = |a, b| Reply::Array(Some(vec![Reply::Int(a), Reply::Int(b)]));
    assert_eq!(conn.cmd("WAITAOF 1 0 1"), pair(1, 0), "it wrote nothing");
    conn.cmd("SET a 1");
    assert_eq!(conn.cmd("WAITAOF 1 0 60"), pair(0, 0), "nobody syncs");
    assert_eq!(conn.cmd("WAITAOF 0 0 0"), pair(0, 0));
    let mut other = server.conn();
    conn.write(b"WAITAOF 1 0 0\r\n").expect("sent");
    sleep(Duration::from_millis(50));
    assert_eq!(
        other.cmd("CONFIG SET appendfsync always"),
        Reply::simple("OK")
    );
    other.cmd("SET b 1");
    assert_eq!(conn.read().expect("an answer"), pair(1, 0));
    let bad = conn.cmd("WAITAOF 2 0 0").error_text();
    assert_eq!(
        bad.as_deref(),
        Some("ERR value is out of range, value must between 0 and 1")
    );
    for replicas in ["x", "-1"] {
        let bad = conn.cmd(&format!("WAITAOF 0 {replicas} 0")).error_text();
        assert_eq!(
            bad.as_deref(),
            Some("ERR value is out of range, must be positive")
        );
    }
}
