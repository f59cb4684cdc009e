//! A real Sentinel (7.0.15) watches our master and our replicas, and fails over when the master dies or hangs. Skipped where
//! there is no such server.

use super::harness::server::reference_named;
use super::harness::{Conn, Server};
use super::replication_load::{Dice, assert_same, info, text, wait_until, wait_up, write_some};
use std::path::Path;

const NAME: &str = "mymaster";

fn sentinel(binary: &Path, master: u16) -> Server {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("sentinel.conf");
    let lines = [
        format!("sentinel monitor {NAME} 127.0.0.1 {master} 1"),
        format!("sentinel down-after-milliseconds {NAME} 1000"),
        format!("sentinel failover-timeout {NAME} 10000"),
    ];
    std::fs::write(&file, lines.join("\n")).expect("a file");
    // It rewrites its file: the folder stays as long as the process.
    let path = file.to_str().expect("a name").to_owned();
    let mut s = Server::start_binary(binary, &[&path, "--sentinel"]);
    s.log_on_failure = false;
    std::mem::forget(dir);
    s
}

/// Port of the master as the sentinel knows it.
fn known_master(conn: &mut Conn) -> u16 {
    let reply = conn.cmd(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"));
    let items = reply.items().expect("an address").to_vec();
    text(&items[1]).parse().expect("a port")
}

/// Whether these are lines of INFO replication. The sentinel ends connections of clients when it changes a role, so each look is by
/// its own, and may come to nothing.
fn says(server: &Server, lines: &[&str]) -> bool {
    let look = || {
        Conn::open(server.port)
            .ok()?
            .try_cmd("INFO replication")
            .ok()
    };
    look().is_some_and(|reply| {
        let said = text(&reply);
        lines.iter().all(|l| said.lines().any(|s| s == *l))
    })
}

/// Three of ours under the eyes of a sentinel; the master dies, or hangs and comes back.
fn fails_over(dies: bool) {
    let Some(binary) = reference_named("redis-server") else {
        return;
    };
    let start = || Server::start(&["--enable-debug-command", "yes"]);
    let (mut master, one, two) = (start(), start(), start());
    for r in [&one, &two] {
        r.conn()
            .cmd(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        wait_up(r);
    }
    let mut dice = Dice::new(9);
    write_some(&mut master.conn(), &mut dice, 500);
    let watch = sentinel(&binary, master.port);
    let mut conn = watch.conn();
    wait_until("the sentinel knows both replicas", || {
        let reply = conn.cmd(&format!("SENTINEL REPLICAS {NAME}"));
        reply.items().is_some_and(|r| r.len() == 2)
    });
    assert_same(&master, &one);
    assert_same(&master, &two);
    let before = known_master(&mut conn);
    assert_eq!(before, master.port);
    if dies {
        master.kill();
    } else {
        master.signal("STOP");
    }
    wait_until("another master is chosen", || {
        known_master(&mut conn) != before
    });
    let (new, other) = match known_master(&mut conn) == one.port {
        true => (&one, &two),
        false => (&two, &one),
    };
    wait_until("it is the master", || says(new, &["role:master"]));
    let follows = format!("master_port:{}", new.port);
    wait_until("the other one follows it", || {
        says(other, &["role:slave", &follows])
    });
    wait_up(other);
    write_some(&mut new.conn(), &mut dice, 300);
    assert_same(new, other);
    // The histories are one: nobody needed a snapshot for the change.
    assert_eq!(info(&mut new.conn(), "sync_full"), "0");
    if !dies {
        master.signal("CONT");
        wait_until("the old master follows the new one", || {
            says(&master, &["role:slave", &follows])
        });
        wait_up(&master);
        assert_same(new, &master);
    }
}

#[test]
fn when_the_master_is_killed() {
    fails_over(true);
}

#[test]
fn when_the_master_hangs_and_comes_back() {
    fails_over(false);
}
