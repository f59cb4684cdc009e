//! MIGRATE between two servers of ours, and against a target that misbehaves.
//!
//! Replies and bytes sent are those of Redis 8.2.3 (it sends them in one piece).

use crate::harness::{Conn, Reply, Server};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

fn stat(conn: &mut Conn, field: &str) -> String {
    let info = conn.cmd("INFO stats");
    let text = String::from_utf8_lossy(info.bytes().expect("text")).into_owned();
    let prefix = format!("{field}:");
    let found = text.lines().find_map(|l| l.strip_prefix(&prefix));
    found.expect("the field").to_owned()
}

/// A target that answers each request it reads with the next of `answers` (None closes), and tells what it was sent.
fn target(answers: Vec<Option<&'static str>>) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let thread = thread::spawn(move || {
        let mut got = Vec::new();
        let mut stream: Option<TcpStream> = None;
        for answer in answers {
            let mut open = stream
                .take()
                .unwrap_or_else(|| listener.accept().expect("a connection").0);
            got.extend(request(&mut open));
            if let Some(text) = answer {
                open.write_all(text.as_bytes()).expect("sent");
                stream = Some(open);
            }
        }
        got
    });
    (port, thread)
}

/// Everything up to and with the last RESTORE of a MIGRATE of one key.
fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let mut chunk = [0; 4096];
    while !got.windows(7).any(|w| w == b"RESTORE") || !got.ends_with(b"\r\n") {
        match stream.read(&mut chunk).expect("a request") {
            0 => break,
            n => got.extend_from_slice(&chunk[..n]),
        }
    }
    got
}

#[test]
fn keys_move_with_their_time_to_live() {
    let (here, there) = (Server::start(&[]), Server::start(&["--requirepass", "pw"]));
    let (mut a, mut b) = (here.conn(), there.conn());
    b.cmd("AUTH pw");
    b.cmd("SELECT 3");
    a.cmd("MSET k1 v1 k2 v2 k3 v3");
    a.cmd("PEXPIRE k2 100000");
    a.cmd("HSET h f v g 5");
    let to = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", there.port);
    let call = |a: &mut Conn, key: &str, rest: &str| {
        let mut args = vec![
            "MIGRATE".to_owned(),
            "127.0.0.1".into(),
            there.port.to_string(),
        ];
        args.push(key.into());
        args.extend(rest.split(' ').map(str::to_owned));
        a.call(&args)
    };
    let refused = a.cmd(&to("k1 3 1000")).error_text().expect("an error");
    assert_eq!(
        refused,
        "ERR Target instance replied with error: NOAUTH Authentication required."
    );
    assert_eq!(a.cmd("EXISTS k1"), Reply::Int(1), "lost");
    let moved = call(&mut a, "", "3 1000 AUTH pw KEYS k1 none k2 h");
    assert_eq!(moved, Reply::simple("OK"));
    assert_eq!(stat(&mut a, "migrate_cached_sockets"), "1");
    assert_eq!(a.cmd("EXISTS k1 k2 h k3"), Reply::Int(1));
    assert_eq!(
        b.cmd("MGET k1 k2"),
        Reply::Array(Some(vec![Reply::bulk("v1"), Reply::bulk("v2")]))
    );
    let Reply::Int(ttl) = b.cmd("PTTL k2") else {
        panic!("no number")
    };
    assert!((90_000..=100_000).contains(&ttl), "{ttl}");
    assert_eq!(b.cmd("HGET h g"), Reply::bulk("5"));
    // COPY leaves the key here; what is there is replaced only on demand.
    a.cmd("SET k1 new");
    let busy = a.cmd(&to("k1 3 1000 COPY")).error_text().expect("an error");
    assert!(busy.contains("BUSYKEY"), "{busy}");
    assert_eq!(a.cmd(&to("k1 3 1000 COPY REPLACE")), Reply::simple("OK"));
    assert_eq!(b.cmd("GET k1"), Reply::bulk("new"));
    assert_eq!(a.cmd("GET k1"), Reply::bulk("new"));
    assert_eq!(a.cmd(&to("none 3 1000")), Reply::simple("NOKEY"));
}

#[test]
fn a_kept_connection_that_died_is_replaced_once() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let (port, seen) = target(vec![
        Some("+OK\r\n+OK\r\n"),
        None,
        Some("+OK\r\n+OK\r\n"),
        Some("-ERR no\r\n"),
        Some("+OK\r\n+OK\r\n"),
    ]);
    let line = format!("MIGRATE 127.0.0.1 {port} k 7 5000");
    let mut run = || {
        c.cmd("SET k v");
        c.cmd(&line)
    };
    assert_eq!(run(), Reply::simple("OK"));
    assert_eq!(run(), Reply::simple("OK"), "over a new connection");
    let refused = run().error_text().expect("an error");
    assert_eq!(refused, "ERR Target instance replied with error: ERR no");
    assert_eq!(run(), Reply::simple("OK"));
    let text = String::from_utf8_lossy(&seen.join().expect("the target")).into_owned();
    // New connection, new connection, and after an error: three times nobody knows what is selected.
    assert_eq!(text.matches("SELECT\r\n$1\r\n7\r\n").count(), 3);
    assert_eq!(text.matches("RESTORE").count(), 5);
}

#[test]
fn what_was_acknowledged_is_gone_whatever_comes_after() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let (port, seen) = target(vec![Some("+OK\r\n+OK\r\n"), Some("")]);
    c.cmd("MSET a 1 b 2");
    let port = port.to_string();
    let words = [
        "MIGRATE",
        "127.0.0.1",
        &port,
        "",
        "0",
        "200",
        "KEYS",
        "a",
        "b",
    ];
    let cut = c.call(&words).error_text().expect("an error");
    assert_eq!(cut, "IOERR error or timeout reading to target instance");
    assert_eq!(c.cmd("EXISTS a"), Reply::Int(0));
    assert_eq!(c.cmd("EXISTS b"), Reply::Int(1));
    seen.join().expect("the target");
    let gone = c.cmd("MIGRATE 127.0.0.1 1 b 0 200").error_text();
    assert_eq!(
        gone.expect("an error"),
        "IOERR error or timeout writing to target instance"
    );
    let nowhere = c.cmd("MIGRATE no.such.host.invalid 1 b 0 200").error_text();
    assert_eq!(
        nowhere.expect("an error"),
        "IOERR error or timeout connecting to the client"
    );
    assert_eq!(c.cmd("EXISTS b"), Reply::Int(1));
}
