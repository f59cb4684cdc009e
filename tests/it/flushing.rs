//! FLUSHALL and FLUSHDB: another thread frees, whoever asked waits for it, nobody else does.
//!
//! Seen on Redis 8.2.3 as well: `REDSTART_IT_BIN=redis-8.2.3 cargo test --test it flushing`.

use crate::harness::{Conn, Reply, Server};

fn freed(c: &mut Conn) -> String {
    let info = c.cmd("INFO memory");
    let info = String::from_utf8_lossy(info.bytes().expect("text")).into_owned();
    let line = info.lines().find(|l| l.starts_with("lazyfreed_objects:"));
    line.expect("the field is there")["lazyfreed_objects:".len()..].to_owned()
}

fn filled(c: &mut Conn, keys: u32) {
    c.cmd("CONFIG RESETSTAT");
    assert_eq!(
        c.call(&["DEBUG", "POPULATE", &keys.to_string()]),
        Reply::simple("OK")
    );
}

#[test]
fn what_is_flushed_is_freed_by_another_thread() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn();
    for command in ["FLUSHALL", "FLUSHDB", "FLUSHALL SYNC", "FLUSHDB SYNC"] {
        filled(&mut c, 1000);
        assert_eq!(c.cmd(command), Reply::simple("OK"));
        // The reply says that they are gone.
        assert_eq!(freed(&mut c), "1000", "{command}");
        assert_eq!(c.cmd("DBSIZE"), Reply::Int(0));
    }
}

#[test]
fn where_nobody_can_wait_it_is_done_on_the_spot() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn();
    filled(&mut c, 1000);
    c.cmd("MULTI");
    c.cmd("FLUSHALL");
    c.cmd("EXEC");
    assert_eq!(freed(&mut c), "0");
    filled(&mut c, 1000);
    c.call(&["EVAL", "return redis.call('flushall')", "0"]);
    assert_eq!(freed(&mut c), "0");
    assert_eq!(c.cmd("DBSIZE"), Reply::Int(0));
}

#[test]
fn a_pipeline_goes_on_in_order_afterwards() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn();
    filled(&mut c, 200_000);
    c.write(b"SET a 1\r\nFLUSHALL\r\nEXISTS a\r\nSET b 2\r\nFLUSHDB SYNC\r\nDBSIZE\r\n")
        .expect("the connection is open");
    let replies: Vec<Reply> = (0..6).map(|_| c.read().expect("a reply")).collect();
    let ok = || Reply::simple("OK");
    assert_eq!(
        replies,
        [ok(), ok(), Reply::Int(0), ok(), ok(), Reply::Int(0)]
    );
    // It counts as a call once.
    let info = c.cmd("INFO commandstats");
    let info = String::from_utf8_lossy(info.bytes().expect("text")).into_owned();
    assert!(info.contains("cmdstat_flushall:calls=1,"), "{info}");
}

#[test]
fn who_leaves_in_the_middle_harms_nobody() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn();
    for _ in 0..5 {
        filled(&mut c, 200_000);
        let mut other = server.conn();
        other
            .write(b"FLUSHALL\r\n")
            .expect("the connection is open");
        drop(other);
        // Behind the other's, so what it freed is gone as well.
        while c.cmd("DBSIZE") != Reply::Int(0) {}
        assert_eq!(c.cmd("FLUSHALL"), Reply::simple("OK"));
        assert_eq!(freed(&mut c), "200000");
    }
}

#[test]
fn a_server_that_becomes_a_replica_answers_first() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.conn();
    filled(&mut c, 1_000_000);
    let mut other = server.conn();
    c.write(b"FLUSHALL\r\n").expect("the connection is open");
    assert_eq!(other.cmd("REPLICAOF 127.0.0.1 1"), Reply::simple("OK"));
    assert_eq!(c.read().expect("a reply"), Reply::simple("OK"));
}
