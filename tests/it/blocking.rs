//! Waiting for a key: who is served, in which order, with what, and what ends the waiting otherwise. Also EXEC and WATCH, as
//! far as several connections are needed to see them.
//!
//! Every expected reply was seen on Redis 8.2.3; `REDSTART_IT_BIN=redis-8.2.3 cargo test --test it blocking` shows it again
//! (only that deadlines are kept even at `hz 1` is our own promise).

use crate::harness::{Conn, Reply, Server, wire};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sends a command without waiting for its reply.
fn send(conn: &mut Conn, line: &str) {
    conn.write(&wire::encode(&wire::words(line)))
        .expect("the connection is open");
}

/// The next reply.
#[track_caller]
fn next(conn: &mut Conn) -> Reply {
    conn.read().expect("a reply")
}

fn pair(key: &str, value: &str) -> Reply {
    Reply::Array(Some(vec![Reply::bulk(key), Reply::bulk(value)]))
}

/// Waits until the server has taken in what was sent before: a parked client is parked.
fn settle() {
    sleep(Duration::from_millis(30));
}

fn parked(server: &Server, line: &str) -> Conn {
    let mut conn = server.conn();
    send(&mut conn, line);
    settle();
    conn
}

#[test]
fn served_in_order_of_arrival() {
    let server = Server::start(&[]);
    let mut waiting: Vec<Conn> = (0..5)
        .map(|_| parked(&server, "BLPOP nothing q 0"))
        .collect();
    let mut c = server.conn();
    assert_eq!(c.cmd("RPUSH q a b c"), Reply::Int(3));
    assert_eq!(c.cmd("LLEN q"), Reply::Int(0));
    for (conn, value) in waiting.iter_mut().zip(["a", "b", "c"]) {
        assert_eq!(next(conn), pair("q", value));
    }
    assert_eq!(c.cmd("RPUSH q d"), Reply::Int(1));
    assert_eq!(next(&mut waiting[3]), pair("q", "d"));
    // One that was served waits behind those who came before.
    send(&mut waiting[0], "BLPOP q 0");
    settle();
    assert_eq!(c.cmd("RPUSH q e f"), Reply::Int(2));
    assert_eq!(next(&mut waiting[4]), pair("q", "e"));
    assert_eq!(next(&mut waiting[0]), pair("q", "f"));
}

#[test]
fn a_pipeline_sees_what_the_woken_ones_did() {
    let server = Server::start(&[]);
    let mut waiting = parked(&server, "BLMOVE src dst LEFT RIGHT 0");
    let mut c = server.conn();
    for line in ["RPUSH src x", "LLEN src", "LRANGE dst 0 -1"] {
        send(&mut c, line);
    }
    assert_eq!(next(&mut c), Reply::Int(1));
    assert_eq!(next(&mut c), Reply::Int(0));
    assert_eq!(next(&mut c), Reply::Array(Some(vec![Reply::bulk("x")])));
    assert_eq!(next(&mut waiting), Reply::bulk("x"));
}

#[test]
fn a_chain_of_moves_is_followed_to_its_end() {
    let server = Server::start(&[]);
    let mut chain: Vec<Conn> = (0..20)
        .map(|i| parked(&server, &format!("BLMOVE l{i} l{} LEFT RIGHT 0", i + 1)))
        .collect();
    let mut last = parked(&server, "BLPOP l20 0");
    let mut c = server.conn();
    assert_eq!(c.cmd("RPUSH l0 x"), Reply::Int(1));
    assert_eq!(next(&mut last), pair("l20", "x"));
    for conn in &mut chain {
        assert_eq!(next(conn), Reply::bulk("x"));
    }
    assert_eq!(c.cmd("LLEN l20"), Reply::Int(0));
}

#[test]
fn a_move_onto_itself_does_not_spin() {
    let server = Server::start(&[]);
    let mut a = parked(&server, "BLMOVE q q LEFT RIGHT 0");
    let mut c = server.conn();
    assert_eq!(c.cmd("RPUSH q 1 2"), Reply::Int(2));
    assert_eq!(next(&mut a), Reply::bulk("1"));
    let both = vec![Reply::bulk("2"), Reply::bulk("1")];
    assert_eq!(c.cmd("LRANGE q 0 -1"), Reply::Array(Some(both)));
}

#[test]
fn exec_is_seen_as_a_whole() {
    let server = Server::start(&[]);
    let mut a = parked(&server, "BLPOP q 0");
    let mut c = server.conn();
    for line in [
        "MULTI",
        "RPUSH q 1",
        "DEL q",
        "RPUSH q 2 3",
        "LLEN q",
        "EXEC",
    ] {
        send(&mut c, line);
    }
    (0..5).for_each(|_| drop(next(&mut c)));
    let replies = [1, 1, 2, 2].map(Reply::Int).to_vec();
    assert_eq!(next(&mut c), Reply::Array(Some(replies)));
    assert_eq!(next(&mut a), pair("q", "2"));
    // Gone again before anybody could have it, or of another type.
    let mut b = parked(&server, "BLPOP p 0");
    for line in ["MULTI", "RPUSH p 1", "DEL p", "SET p x", "EXEC"] {
        c.cmd(line);
    }
    settle();
    b.set_timeout_ms(50);
    assert!(b.read().is_err(), "nothing to be served with");
    b.set_timeout_ms(5000);
    assert_eq!(c.cmd("GETDEL p"), Reply::bulk("x"));
    assert_eq!(c.cmd("RPUSH p y"), Reply::Int(1));
    assert_eq!(next(&mut b), pair("p", "y"));
}

#[test]
fn nothing_waits_inside_exec() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    for line in [
        "MULTI",
        "BLPOP q 0",
        "BLMOVE q r LEFT LEFT 0",
        "BLMPOP 0 1 q LEFT",
    ] {
        c.cmd(line);
    }
    let nothing = vec![Reply::Array(None), Reply::Bulk(None), Reply::Array(None)];
    assert_eq!(c.cmd("EXEC"), Reply::Array(Some(nothing)));
}

#[test]
fn time_runs_out_to_the_millisecond() {
    let server = Server::start(&["--hz", "1"]);
    for ms in [1u64, 20, 105] {
        let mut c = server.conn();
        let start = Instant::now();
        assert_eq!(c.cmd(&format!("BLPOP q 0.{ms:03}")), Reply::Array(None));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(ms), "{ms} ms: {took:?}");
        // The machine may be busy; cron alone (hz 1) would take up to a second.
        assert!(took < Duration::from_millis(ms + 200), "{ms} ms: {took:?}");
    }
    let mut c = server.conn();
    assert_eq!(c.cmd("BLMOVE q r LEFT LEFT 0.01"), Reply::Array(None));
    for (timeout, text) in [
        ("-1", "ERR timeout is negative"),
        ("x", "ERR timeout is not a float or out of range"),
        ("1e400", "ERR timeout is out of range"),
        ("0x7FFFFFFFFFFFFFFF", "ERR timeout is out of range"),
    ] {
        assert_eq!(c.cmd(&format!("BLPOP q {timeout}")), Reply::error(text));
    }
}

#[test]
fn buffered_input_goes_on() {
    let server = Server::start(&[]);
    let mut a = server.conn();
    for line in [
        "BLPOP q 0",
        "ECHO one",
        "BLPOP q 0.01",
        "ECHO two",
        "BLPOP q 0",
        "ECHO three",
    ] {
        send(&mut a, line);
    }
    settle();
    a.set_timeout_ms(50);
    assert!(a.read().is_err(), "nothing before the first is served");
    a.set_timeout_ms(5000);
    let mut c = server.conn();
    assert_eq!(c.cmd("LPUSH q x"), Reply::Int(1));
    assert_eq!(next(&mut a), pair("q", "x"));
    assert_eq!(next(&mut a), Reply::bulk("one"));
    assert_eq!(next(&mut a), Reply::Array(None));
    assert_eq!(next(&mut a), Reply::bulk("two"));
    assert_eq!(c.cmd("LPUSH q y"), Reply::Int(1));
    assert_eq!(next(&mut a), pair("q", "y"));
    assert_eq!(next(&mut a), Reply::bulk("three"));
}

#[test]
fn who_left_is_not_served() {
    let server = Server::start(&[]);
    drop(parked(&server, "BLPOP q 0"));
    let mut half_gone = parked(&server, "BLPOP q 0");
    settle();
    let mut c = server.conn();
    assert_eq!(c.cmd("RPUSH q a"), Reply::Int(1));
    assert_eq!(next(&mut half_gone), pair("q", "a"));
    drop(half_gone);
    assert_eq!(c.cmd("RPUSH q b"), Reply::Int(1));
    assert_eq!(
        c.cmd("LRANGE q 0 -1"),
        Reply::Array(Some(vec![Reply::bulk("b")]))
    );
}

#[test]
fn a_wrong_destination_frees_the_next_one() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    c.cmd("SET str x");
    let mut bad = parked(&server, "BLMOVE q str LEFT LEFT 0");
    let mut good = parked(&server, "BLPOP q 0");
    assert_eq!(c.cmd("RPUSH q v"), Reply::Int(1));
    let wrong = next(&mut bad).error_text().unwrap_or_default();
    assert!(wrong.starts_with("WRONGTYPE"), "{wrong}");
    assert_eq!(next(&mut good), pair("q", "v"));
}

#[test]
fn a_woken_client_fails_the_transaction_of_the_one_that_woke_it() {
    let server = Server::start(&[]);
    let mut waiting = parked(&server, "BLMOVE src watched LEFT LEFT 0");
    let mut c = server.conn();
    for line in ["WATCH watched", "RPUSH src x", "MULTI", "PING", "EXEC"] {
        send(&mut c, line);
    }
    (0..4).for_each(|_| drop(next(&mut c)));
    assert_eq!(next(&mut c), Reply::Array(None));
    assert_eq!(next(&mut waiting), Reply::bulk("x"));
}

#[test]
fn watch_tells_changes_by_others() {
    let server = Server::start(&[]);
    let (mut a, mut b) = (server.conn(), server.conn());
    let exec = |c: &mut Conn| {
        c.cmd("MULTI");
        c.cmd("PING");
        c.cmd("EXEC")
    };
    let done = || Reply::Array(Some(vec![Reply::simple("PONG")]));
    for (before, by_other, fails) in [
        ("GETDEL k", "SET k 1", true),
        ("SET k 1", "GET k", false),
        ("SET k 1", "SET k 1", true),
        ("SET k 1", "GETDEL k", true),
        ("GETDEL k", "GETDEL k", false),
        ("GETDEL k", "RPUSH k x", true),
        ("LPOP k", "LPOP k", false),
    ] {
        a.cmd(before);
        a.cmd("WATCH other k k");
        b.cmd(by_other);
        let expected = if fails { Reply::Array(None) } else { done() };
        assert_eq!(exec(&mut a), expected, "{before}, then {by_other}");
    }
    // EXEC, DISCARD and UNWATCH forget.
    a.cmd("WATCH k");
    b.cmd("SET k 2");
    assert_eq!(a.cmd("UNWATCH"), Reply::simple("OK"));
    assert_eq!(exec(&mut a), done());
    // A key that expires by itself.
    a.cmd("SET k v PX 20");
    a.cmd("WATCH k");
    sleep(Duration::from_millis(40));
    assert_eq!(exec(&mut a), Reply::Array(None));
}

#[test]
fn who_leaves_right_after_asking_takes_nothing() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let clients = |c: &mut Conn| {
        let text = c.cmd("CLIENT LIST");
        let text = String::from_utf8_lossy(text.bytes().expect("a list")).into_owned();
        text.lines().count()
    };
    // The command and the end of the connection are there in one event.
    for _ in 0..20 {
        let mut leaver = server.conn();
        leaver.cmd("PING");
        send(&mut leaver, "BLPOP queue 0");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while clients(&mut c) > 1 {
        assert!(Instant::now() < deadline, "they are still there");
        settle();
    }
    assert_eq!(c.cmd("RPUSH queue x"), Reply::Int(1));
    assert_eq!(c.cmd("LLEN queue"), Reply::Int(1));
}

#[test]
fn many_waiting_clients_cost_the_others_nothing() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let time = |c: &mut Conn| {
        let start = Instant::now();
        for _ in 0..300 {
            assert_eq!(c.cmd("RPUSH other x"), Reply::Int(1));
            assert_eq!(c.cmd("LPOP other"), Reply::bulk("x"));
        }
        start.elapsed()
    };
    let alone = time(&mut c);
    let mut waiting: Vec<Conn> = (0..800).map(|_| server.conn()).collect();
    for conn in &mut waiting {
        send(conn, "BLPOP q other2 0");
    }
    settle();
    let crowded = time(&mut c);
    assert!(
        crowded < 5 * alone + Duration::from_millis(300),
        "{alone:?} alone, {crowded:?} with 800 waiting"
    );
    // Which socket is read first is the kernel's business: everybody gets one, that is all.
    for i in 0..waiting.len() {
        assert_eq!(c.call(&["RPUSH", "q", &i.to_string()]), Reply::Int(1));
    }
    let mut got: Vec<Reply> = waiting.iter_mut().map(next).collect();
    let mut expected: Vec<Reply> = (0..got.len()).map(|i| pair("q", &i.to_string())).collect();
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}
