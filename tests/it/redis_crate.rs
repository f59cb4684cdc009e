//! What applications do, through the `redis` client crate: cache-aside, hashes, a leaderboard, pipelines, transactions, scans.

use crate::harness::Server;
use redis::{Commands, RedisResult, Value, pipe};
use std::collections::{HashMap, HashSet};

#[test]
fn cache_aside() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let miss: Option<String> = con.get("user:1").expect("GET");
    assert_eq!(miss, None);
    let () = con.set_ex("user:1", "Ada", 100).expect("SETEX");
    let hit: Option<String> = con.get("user:1").expect("GET");
    assert_eq!(hit.as_deref(), Some("Ada"));
    let ttl: i64 = con.ttl("user:1").expect("TTL");
    assert!((99..=100).contains(&ttl), "{ttl}");
    let () = con.pset_ex("user:2", "Grace", 30).expect("PSETEX");
    std::thread::sleep(std::time::Duration::from_millis(60));
    let gone: bool = con.exists("user:2").expect("EXISTS");
    assert!(!gone);
    let taken: bool = con.set_nx("lock", "me").expect("SETNX");
    let again: bool = con.set_nx("lock", "you").expect("SETNX");
    assert!(taken && !again);
    let removed: i64 = con.del(&["user:1", "lock", "none"]).expect("DEL");
    assert_eq!(removed, 2);
}

#[test]
fn counters_and_errors() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let n: i64 = con.incr("hits", 41).expect("INCRBY");
    assert_eq!(
        (n, con.incr::<_, _, i64>("hits", 1).expect("INCRBY")),
        (41, 42)
    );
    let () = con.set("word", "abc").expect("SET");
    let error = con.incr::<_, _, i64>("word", 1).expect_err("not a number");
    assert_eq!(
        (error.code(), error.detail()),
        (Some("ERR"), Some("value is not an integer or out of range"))
    );
    let error = con.lpush::<_, _, i64>("word", 1).expect_err("not a list");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let half: f64 = con.incr("rate", 0.5).expect("INCRBYFLOAT");
    assert!((half - 0.5).abs() < 1e-12);
}

#[test]
fn hashes_of_objects() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let () = con
        .hset_multiple(
            "user:1",
            &[("name", "Ada"), ("city", "London"), ("born", "1815")],
        )
        .expect("HSET");
    let all: HashMap<String, String> = con.hgetall("user:1").expect("HGETALL");
    assert_eq!(all.len(), 3);
    assert_eq!(all["name"], "Ada");
    let age: i64 = con.hincr("user:1", "born", 1).expect("HINCRBY");
    assert_eq!(age, 1816);
    let some: Vec<Option<String>> = con.hmget("user:1", &["city", "none"]).expect("HMGET");
    assert_eq!(some, [Some("London".to_string()), None]);
    let left: i64 = con.hdel("user:1", &["name", "city", "born"]).expect("HDEL");
    assert_eq!(left, 3);
    assert!(
        !con.exists::<_, bool>("user:1").expect("EXISTS"),
        "an empty hash is no key"
    );
}

#[test]
fn leaderboard() {
    let server = Server::start(&[]);
    let mut con = server.client();
    for (name, score) in [("ada", 10.0), ("grace", 30.5), ("linus", 20.0)] {
        let added: i64 = con.zadd("board", name, score).expect("ZADD");
        assert_eq!(added, 1);
    }
    let _: f64 = con.zincr("board", "ada", 15).expect("ZINCRBY");
    let top: Vec<(String, f64)> = con.zrevrange_withscores("board", 0, 1).expect("ZREVRANGE");
    assert_eq!(
        top,
        [("grace".to_string(), 30.5), ("ada".to_string(), 25.0)]
    );
    let rank: Option<i64> = con.zrevrank("board", "linus").expect("ZREVRANK");
    assert_eq!(rank, Some(2));
    let middle: Vec<String> = con
        .zrangebyscore("board", "(20", "+inf")
        .expect("ZRANGEBYSCORE");
    assert_eq!(middle, ["ada", "grace"]);
}

#[test]
fn lists_and_sets() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let _: i64 = con.rpush("queue", &["a", "b", "c"]).expect("RPUSH");
    let first: String = con.lpop("queue", None).expect("LPOP");
    let rest: Vec<String> = con.lrange("queue", 0, -1).expect("LRANGE");
    assert_eq!(
        (first.as_str(), rest),
        ("a", vec!["b".to_string(), "c".to_string()])
    );
    let _: i64 = con.sadd("s1", &["x", "y"]).expect("SADD");
    let _: i64 = con.sadd("s2", &["y", "z"]).expect("SADD");
    let both: HashSet<String> = con.sinter(&["s1", "s2"]).expect("SINTER");
    assert_eq!(both, HashSet::from(["y".to_string()]));
}

#[test]
fn pipelines_and_transactions() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let got: (String, i64, i64, Vec<String>) = pipe()
        .set("k", "v")
        .ignore()
        .get("k")
        .incr("n", 5)
        .incr("n", 5)
        .rpush("l", &["a", "b"])
        .ignore()
        .lrange("l", 0, -1)
        .query(&mut con)
        .expect("a pipeline");
    assert_eq!(got, ("v".into(), 5, 10, vec!["a".into(), "b".into()]));
    let mut long = pipe();
    for i in 0..5_000 {
        long.set(format!("p:{i}"), i).ignore();
    }
    let () = long.query(&mut con).expect("a long pipeline");
    assert_eq!(con.get::<_, i64>("p:4999").expect("GET"), 4999);
    let got: (i64, i64) = pipe()
        .atomic()
        .incr("n", 1)
        .incr("n", 1)
        .query(&mut con)
        .expect("MULTI");
    assert_eq!(got, (11, 12));
    let failed: RedisResult<Value> = pipe().atomic().cmd("NOSUCH").query(&mut con);
    assert!(failed.is_err(), "EXEC of a queue with an error aborts");
}

#[test]
fn scan_finds_every_key() {
    let server = Server::start(&[]);
    let mut con = server.client();
    let mut fill = pipe();
    for i in 0..3_000 {
        fill.set(format!("key:{i}"), i).ignore();
    }
    let () = fill.query(&mut con).expect("a pipeline");
    let found: HashSet<String> = con
        .scan_match::<_, String>("key:*")
        .expect("SCAN")
        .map(|key| key.expect("a key"))
        .collect();
    assert_eq!(found.len(), 3_000);
    let size: i64 = redis::cmd("DBSIZE").query(&mut con).expect("DBSIZE");
    assert_eq!(size, 3_000);
}

#[test]
fn data_is_there_after_a_restart() {
    let mut server = Server::start(&[]);
    let mut con = server.client();
    let () = con.set_ex("cached", "value", 1000).expect("SETEX");
    let _: i64 = con.zadd("board", "ada", 1.25).expect("ZADD");
    let () = con.hset_multiple("h", &[("f", "v")]).expect("HSET");
    let () = redis::cmd("SAVE").query(&mut con).expect("SAVE");
    server.restart();
    let mut con = server.client();
    assert_eq!(con.get::<_, String>("cached").expect("GET"), "value");
    assert!(con.ttl::<_, i64>("cached").expect("TTL") > 900);
    assert_eq!(
        con.zscore::<_, _, f64>("board", "ada").expect("ZSCORE"),
        1.25
    );
    assert_eq!(con.hget::<_, _, String>("h", "f").expect("HGET"), "v");
}
