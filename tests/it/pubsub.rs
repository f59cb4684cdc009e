//! Pub/sub, keyspace events and MONITOR from outside: through the `redis` crate and on raw sockets.
//!
//! What is expected was seen on Redis 8.2.3.

use crate::harness::{Conn, Reply, Server};

fn words(conn: &mut Conn) -> Vec<String> {
    let reply = conn.read().expect("a message");
    let items = reply.items().expect("an array or push");
    items
        .iter()
        .map(|i| match i {
            Reply::Int(n) => n.to_string(),
            other => String::from_utf8_lossy(other.bytes().unwrap_or(b"nil")).into_owned(),
        })
        .collect()
}

#[test]
fn messages_reach_channels_patterns_and_shards() {
    let server = Server::start(&[]);
    let (mut sub, mut publisher) = (server.conn(), server.conn());
    sub.write(b"SUBSCRIBE a b a\r\nPSUBSCRIBE a*\r\nSSUBSCRIBE a\r\n")
        .expect("sent");
    assert_eq!(words(&mut sub), ["subscribe", "a", "1"]);
    assert_eq!(words(&mut sub), ["subscribe", "b", "2"]);
    assert_eq!(words(&mut sub), ["subscribe", "a", "2"]);
    assert_eq!(words(&mut sub), ["psubscribe", "a*", "3"]);
    assert_eq!(words(&mut sub), ["ssubscribe", "a", "1"]);
    assert_eq!(publisher.cmd("PUBLISH a hi"), Reply::Int(2));
    assert_eq!(words(&mut sub), ["message", "a", "hi"]);
    assert_eq!(words(&mut sub), ["pmessage", "a*", "a", "hi"]);
    assert_eq!(publisher.cmd("SPUBLISH a yo"), Reply::Int(1));
    assert_eq!(words(&mut sub), ["smessage", "a", "yo"]);
    assert_eq!(publisher.cmd("PUBLISH none hi"), Reply::Int(0));
    let refused = sub.cmd("GET x").error_text().expect("refused");
    assert!(refused.starts_with("ERR Can't execute 'get'"), "{refused}");
    assert_eq!(publisher.cmd("PUBSUB NUMPAT"), Reply::Int(1));
    drop(sub);
    let gone = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        publisher.cmd("PUBSUB NUMPAT") == Reply::Int(0)
    });
    assert!(gone, "a closed client still listens");
}

#[test]
fn a_transaction_is_not_interrupted_by_its_own_messages() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    for line in ["MULTI", "SUBSCRIBE ch", "PUBLISH ch x", "PING"] {
        c.cmd(line);
    }
    let answers = c.cmd("EXEC");
    let answers = answers.items().expect("an array");
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[1], Reply::Int(1));
    assert_eq!(words(&mut c), ["message", "ch", "x"]);
}

#[test]
fn big_messages_arrive_whole() {
    let server = Server::start(&[]);
    let mut subs: Vec<Conn> = (0..3).map(|_| server.conn()).collect();
    for s in &mut subs {
        s.cmd("SUBSCRIBE ch");
    }
    let mut publisher = server.conn();
    for size in [1, 16 * 1024, 40_000, 1_000_000] {
        let payload = vec![b'x'; size];
        assert_eq!(
            publisher.call(&[b"PUBLISH", b"ch".as_slice(), &payload]),
            Reply::Int(3)
        );
        for s in &mut subs {
            let message = s.read().expect("a message");
            assert_eq!(
                message.items().and_then(|i| i[2].bytes()),
                Some(&payload[..])
            );
        }
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let limit = ["--client-output-buffer-limit", "pubsub 100000 0 0"];
    let server = Server::start(&limit);
    let (mut sub, mut publisher) = (server.conn(), server.conn());
    sub.cmd("SUBSCRIBE ch");
    let payload = vec![b'x'; 200_000];
    // One message beyond the limit is enough: the limit is looked at when it is appended.
    publisher.call(&[b"PUBLISH", b"ch".as_slice(), &payload]);
    let closed = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        publisher.cmd("PUBLISH ch y") == Reply::Int(0)
    });
    assert!(closed && server.log().contains("overcoming of output buffer limits"));
}

#[test]
fn keyspace_events_in_order() {
    let server = Server::start(&["--notify-keyspace-events", "KEA"]);
    let (mut sub, mut c) = (server.conn(), server.conn());
    sub.cmd("PSUBSCRIBE *");
    c.cmd("MULTI");
    c.cmd("SET k 1");
    c.cmd("INCR k");
    c.cmd("EXEC");
    let expected = [
        ["pmessage", "*", "__keyspace@0__:k", "set"],
        ["pmessage", "*", "__keyevent@0__:set", "k"],
        ["pmessage", "*", "__keyspace@0__:k", "incrby"],
        ["pmessage", "*", "__keyevent@0__:incrby", "k"],
    ];
    for e in expected {
        assert_eq!(words(&mut sub), e);
    }
}

#[test]
fn monitor_shows_what_ran() {
    let server = Server::start(&[]);
    let (mut watcher, mut c) = (server.conn(), server.conn());
    assert_eq!(watcher.cmd("MONITOR"), Reply::simple("OK"));
    c.cmd("SET k v");
    c.cmd("MULTI");
    c.cmd("GET k");
    c.cmd("EXEC");
    for end in [
        "\"SET\" \"k\" \"v\"",
        "\"MULTI\"",
        "\"GET\" \"k\"",
        "\"EXEC\"",
    ] {
        let line = watcher.read().expect("a line");
        let line = String::from_utf8_lossy(line.bytes().expect("a simple string")).into_owned();
        assert!(
            line.contains(" [0 127.0.0.1:") && line.ends_with(end),
            "{line}"
        );
    }
    let refused = watcher.cmd("GET k").error_text();
    assert_eq!(
        refused.as_deref(),
        Some("ERR Replica can't interact with the keyspace")
    );
}

#[test]
fn through_the_client_crate() {
    let server = Server::start(&[]);
    let (mut listening, mut con) = (server.client(), server.client());
    let mut sub = listening.as_pubsub();
    sub.subscribe("jobs").expect("SUBSCRIBE");
    sub.psubscribe("ch*").expect("PSUBSCRIBE");
    let n: i64 = redis::cmd("PUBLISH")
        .arg("jobs")
        .arg("1")
        .query(&mut con)
        .expect("PUBLISH");
    let m: i64 = redis::cmd("PUBLISH")
        .arg("chat")
        .arg("2")
        .query(&mut con)
        .expect("PUBLISH");
    assert_eq!((n, m), (1, 1));
    let (first, second) = (
        sub.get_message().expect("one"),
        sub.get_message().expect("two"),
    );
    assert_eq!(first.get_payload::<String>().expect("text"), "1");
    assert_eq!(second.get_pattern::<String>().expect("a pattern"), "ch*");
    assert_eq!(second.get_channel_name(), "chat");
}

/// Subscribers of `ch`, more than are written to as to a client with a reply.
fn crowd(server: &Server) -> Vec<Conn> {
    let mut subs: Vec<Conn> = (0..30).map(|_| server.conn()).collect();
    for s in &mut subs {
        s.cmd("SUBSCRIBE ch");
    }
    subs
}

#[test]
fn many_subscribers_get_every_message_in_order_however_fast_they_come() {
    let server = Server::start(&[]);
    let mut subs = crowd(&server);
    let (mut one, mut other) = (server.conn(), server.conn());
    for n in 0..300 {
        assert_eq!(one.cmd(&format!("PUBLISH ch {n}")), Reply::Int(30));
        if n % 7 == 0 {
            other.cmd("SET k v");
        }
        if n % 10 == 0 {
            // Its answer takes along the messages that it waits for.
            subs[5].write(b"PING\r\n").expect("sent");
        }
    }
    for (i, s) in subs.iter_mut().enumerate() {
        let mut pongs = 0;
        for n in 0..300 {
            let mut message = words(s);
            while message[0] == "pong" {
                pongs += 1;
                message = words(s);
            }
            assert_eq!(message, ["message", "ch", &n.to_string()], "subscriber {i}");
        }
        assert!(pongs <= if i == 5 { 30 } else { 0 });
        assert!(s.leftover().is_empty() || i == 5);
    }
}

#[test]
fn messages_sent_before_the_end_arrive_before_it() {
    let server = Server::start(&[]);
    let mut subs = crowd(&server);
    let mut publisher = server.conn();
    for n in 0..5 {
        publisher.cmd(&format!("PUBLISH ch {n}"));
    }
    let listed = publisher.cmd("CLIENT LIST TYPE pubsub");
    let listed = String::from_utf8_lossy(listed.bytes().expect("text")).into_owned();
    let first = listed.split(' ').next().expect("an id").replace("id=", "");
    // So soon after those before that its writing is put off.
    publisher.cmd("PUBLISH ch 5");
    publisher.cmd(&format!("CLIENT KILL ID {first}"));
    publisher.cmd("PUBLISH ch 6");
    publisher
        .write(b"PUBLISH ch 7\r\nSHUTDOWN NOSAVE\r\n")
        .expect("sent");
    for (i, s) in subs.iter_mut().enumerate() {
        let last = if i == 0 { 5 } else { 7 };
        for n in 0..=last {
            let n = n.to_string();
            assert_eq!(words(s), ["message", "ch", &n], "subscriber {i}");
        }
        assert!(s.is_closed_by_peer(), "subscriber {i}");
    }
}
