//! RDB and append only files between us and the real servers, both ways: what one wrote the other reads, value for value; and our own restarts,
//! damaged files and shutdowns. Servers that are not installed are skipped.
//!
//! To add a type: commands that fill it in `FILL`, and a question that shows all of it in `contents`.

use super::harness::server::{ours, reference_named};
use super::harness::{Reply, Server};
use std::fs;
use std::path::Path;

/// Fills every type that exists, in every encoding. All servers must answer without an error.
const FILL: &[&str] = &[
    "SET int 123456",
    "SET negative -9223372036854775808",
    "SET text hello",
    "SET soon value PX 1000000000",
    "SETRANGE holes 3000 end",
    "RPUSH small a b 3 -70000 5.5",
    "ZADD ranks 1 a 2.5 b -inf low inf high",
    "SADD ints 1 -5 70000 9223372036854775807",
    "SADD words a bb 7 ccc",
    "XADD log 5-1 f v g w",
    "XADD log 5-2 f v2 g w2",
    "XADD log 6-0 other x",
    "XADD log 18446744073709551615-3 f v g w",
    "XDEL log 5-2",
    "XGROUP CREATE log readers 0",
    "XGROUP CREATE log ahead $ ENTRIESREAD 4",
    "XREADGROUP GROUP readers ann COUNT 2 STREAMS log >",
    "XREADGROUP GROUP readers bob STREAMS log >",
    "XREADGROUP GROUP readers ann STREAMS log 0",
    "XCLAIM log readers ann 0 6-0 TIME 1700000000000 RETRYCOUNT 7 JUSTID",
    "XDEL log 6-0",
    "XADD emptied 1-1 a b",
    "XDEL emptied 1-1",
    "SELECT 9",
    "SET elsewhere 1",
    "SELECT 0",
];

/// A consumer that never got anything: its times differ, which files that 7.0 reads cannot say, so ours say it in version 11.
const IDLE_CONSUMER: &str = "XGROUP CREATECONSUMER log readers idle";

fn fill(server: &Server) {
    let mut conn = server.conn();
    for line in FILL {
        assert_eq!(conn.cmd(line).error_text(), None, "{line}");
    }
    for i in 0..3000 {
        conn.call(&[
            "RPUSH",
            "long",
            &format!("element {i} {}", "x".repeat(i % 50)),
        ]);
        conn.call(&[
            "ZADD",
            "tree",
            &format!("{}", f64::from(i as u32) / 8.0),
            &format!("m{i}"),
        ]);
        let id = format!("{}-{i}", 1000 + i / 2);
        conn.call(&["XADD", "events", &id, "number", &i.to_string(), "n", "1"]);
        conn.call(&["SADD", "table", &format!("member {i}")]);
        conn.call(&["SADD", "manyints", &(i * 1000).to_string()]);
    }
    conn.cmd("XTRIM events MINID 1100");
    conn.cmd("XGROUP CREATE events g 0");
    for i in 0..20 {
        let name = format!("consumer {}", i % 3);
        let read = ["XREADGROUP", "GROUP", "g", &name, "COUNT", "40"];
        conn.call(&[&read[..], &["STREAMS", "events", ">"]].concat());
    }
    conn.cmd("XACK events g 1101-202 1102-205");
    conn.call(&["RPUSH", "plain", &"y".repeat(70_000), "short"]);
    conn.call(&["SET", "big", &"z".repeat(200_000)]);
}

/// Everything a client can see of what `fill` made.
fn contents(server: &Server) -> Vec<Reply> {
    let mut conn = server.conn();
    let sets = ["words", "table", "manyints"].map(|key| sorted(conn.call(&["SMEMBERS", key])));
    let pending = ["log readers", "log ahead", "events g"]
        .map(|of| without_idle(conn.cmd(&format!("XPENDING {of} - + 5000"))));
    let counters =
        ["log", "emptied", "events"].map(|key| counters(&conn.call(&["XINFO", "STREAM", key])));
    let plain = [
        "DBSIZE",
        "GET int",
        "GET negative",
        "GET text",
        "GET soon",
        "PEXPIRETIME soon",
        "GET holes",
        "GET big",
        "LRANGE small 0 -1",
        "LRANGE long 0 -1",
        "LRANGE plain 0 -1",
        "ZRANGE ranks 0 -1 WITHSCORES",
        "ZRANGE tree 0 -1 WITHSCORES",
        "OBJECT ENCODING int",
        "OBJECT ENCODING long",
        "OBJECT ENCODING tree",
        "OBJECT ENCODING ranks",
        "SMEMBERS ints",
        "OBJECT ENCODING ints",
        "OBJECT ENCODING manyints",
        "OBJECT ENCODING table",
        "XRANGE log - +",
        "XREVRANGE events + -",
        "XINFO GROUPS log",
        "XINFO GROUPS events",
        "XPENDING log readers",
        "XPENDING events g",
        "SELECT 9",
        "GET elsewhere",
    ]
    .map(|line| conn.cmd(line));
    [&sets[..], &pending, &counters, &plain].concat()
}

fn items(reply: &Reply) -> &[Reply] {
    reply
        .items()
        .unwrap_or_else(|| panic!("no array: {reply:?}"))
}

fn sorted(reply: Reply) -> Reply {
    let mut members = items(&reply).to_vec();
    assert!(!members.is_empty());
    members.sort_by_key(|m| m.bytes().map(<[u8]>::to_vec));
    Reply::Array(Some(members))
}

/// Id, consumer and delivery count of each pending entry: how long ago that was depends on when one asks.
fn without_idle(reply: Reply) -> Reply {
    let kept = items(&reply).iter().map(|item| match items(item) {
        [id, consumer, _, count] => {
            Reply::Array(Some(vec![id.clone(), consumer.clone(), count.clone()]))
        }
        other => panic!("{other:?}"),
    });
    Reply::Array(Some(kept.collect()))
}

/// What XINFO STREAM says about a stream as such; the rest is about its representation, and differs between versions.
fn counters(reply: &Reply) -> Reply {
    let names = [
        "length",
        "last-generated-id",
        "max-deleted-entry-id",
        "entries-added",
        "recorded-first-entry-id",
        "first-entry",
        "last-entry",
    ];
    let of = |name: &str| {
        let mut pairs = items(reply).chunks_exact(2);
        let pair = pairs.find(|pair| pair[0] == Reply::bulk(name));
        pair.unwrap_or_else(|| panic!("{name} in {reply:?}"))[1].clone()
    };
    Reply::Array(Some(names.map(of).to_vec()))
}

/// Starts `reader` on a copy of what `writer` saved and compares.
fn passes(writer: &Path, reader: &Path, more: &[&str]) {
    let from = Server::start_binary(writer, &[]);
    fill(&from);
    for line in more {
        assert_eq!(from.conn().cmd(line).error_text(), None, "{line}");
    }
    assert_eq!(from.conn().cmd("SAVE"), Reply::simple("OK"));
    let mut to = Server::start_binary(reader, &[]);
    fs::copy(from.dir().join("dump.rdb"), to.dir().join("dump.rdb")).expect("a copy");
    to.restart();
    for (i, (a, b)) in contents(&from).iter().zip(contents(&to)).enumerate() {
        // Not assert_eq: some of these are megabytes.
        assert!(
            *a == b,
            "answer {i}: {} to {}",
            writer.display(),
            reader.display()
        );
    }
}

fn both_ways(name: &str, more: &[&str]) {
    if let Some(theirs) = reference_named(name) {
        passes(&theirs, &ours(), more);
        passes(&ours(), &theirs, more);
    }
}

/// The same with an append only file, its base as RDB or as commands; some of what is in it was rewritten, some was not.
fn aof_passes(writer: &Path, reader: &Path) {
    for preamble in ["yes", "no"] {
        let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let mut from = Server::start_binary(writer, &args);
        from.conn().cmd("RPUSH before 1 2 3");
        fill(&from);
        let rewritten = from.conn().cmd("BGREWRITEAOF");
        assert_eq!(rewritten.error_text(), None);
        from.wait_log("Background AOF rewrite finished successfully");
        for line in [
            "LPOP before",
            "APPEND text !",
            "HSET hash f v",
            "LPUSH small z",
        ] {
            assert_eq!(from.conn().cmd(line).error_text(), None, "{line}");
        }
        // Commands cannot say everything (what of a deleted entry is pending is lost): what counts is what the writer itself reads.
        from.restart();
        let mut to = Server::start_binary(reader, &args);
        to.kill();
        let dir = |s: &Server| s.dir().join("appendonlydir");
        fs::remove_dir_all(dir(&to)).expect("removed");
        fs::create_dir(dir(&to)).expect("made");
        for file in fs::read_dir(dir(&from)).expect("files").flatten() {
            fs::copy(file.path(), dir(&to).join(file.file_name())).expect("a copy");
        }
        to.restart();
        let how = format!("{} to {}", writer.display(), reader.display());
        for (i, (a, b)) in contents(&from).iter().zip(contents(&to)).enumerate() {
            assert!(*a == b, "preamble {preamble}, answer {i}: {how}");
        }
        for question in ["LRANGE before 0 -1", "HGETALL hash"] {
            assert_eq!(from.conn().cmd(question), to.conn().cmd(question), "{how}");
        }
    }
}

fn aof_both_ways(name: &str) {
    if let Some(theirs) = reference_named(name) {
        aof_passes(&theirs, &ours());
        aof_passes(&ours(), &theirs);
    }
}

#[test]
fn aof_of_redis_7_0() {
    aof_both_ways("redis-server");
}

#[test]
fn aof_of_redis_8_2() {
    aof_both_ways("redis-8.2.3");
}

#[test]
fn aof_of_valkey_9_1() {
    aof_both_ways("valkey-9.1.2");
}

#[test]
fn redis_7_0() {
    both_ways("redis-server", &[]);
}

#[test]
fn redis_8_2() {
    both_ways("redis-8.2.3", &[IDLE_CONSUMER]);
}

#[test]
fn valkey_9_1() {
    both_ways("valkey-9.1.2", &[IDLE_CONSUMER]);
}

#[test]
fn a_background_save_survives_a_kill() {
    let mut server = Server::start(&[]);
    fill(&server);
    let before = contents(&server);
    let mut conn = server.conn();
    assert_eq!(
        conn.cmd("BGSAVE"),
        Reply::simple("Background saving started")
    );
    server.wait_log("Background saving terminated with success");
    assert!(conn.cmd("LASTSAVE").error_text().is_none());
    server.restart();
    assert_eq!(contents(&server), before);
    let left: Vec<_> = fs::read_dir(server.dir())
        .expect("the folder")
        .flatten()
        .collect();
    assert!(
        !left
            .iter()
            .any(|f| f.file_name().to_string_lossy().starts_with("temp-")),
        "{left:?}"
    );
}

#[test]
fn a_damaged_file_is_refused() {
    let mut server = Server::start(&[]);
    server.log_on_failure = false;
    fill(&server);
    server.conn().cmd("SAVE");
    let path = server.dir().join("dump.rdb");
    let mut bytes = fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    fs::write(&path, &bytes).expect("written");
    server.kill();
    let status = std::process::Command::new(ours())
        .args(["--port", "0", "--unixsocket", "s"])
        .current_dir(server.dir())
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&status.stdout);
    assert_eq!(status.status.code(), Some(1), "{log}");
    assert_eq!(
        log.matches("Terminating server after rdb file reading failure.")
            .count(),
        1,
        "{log}"
    );
    assert!(log.contains("--- RDB ERROR DETECTED ---"), "{log}");
}

#[test]
fn a_shutdown_saves_what_it_should() {
    let mut server = Server::start(&[]);
    server.conn().cmd("SET k v");
    assert_eq!(server.terminate(), Some(0));
    assert!(
        !server.dir().join("dump.rdb").exists(),
        "no save points, no file"
    );
    server.restart();
    server.conn().cmd("SET k v");
    server.conn().write(b"SHUTDOWN SAVE\r\n").expect("sent");
    assert_eq!(server.wait_exit(), Some(0));
    server.restart();
    assert_eq!(server.conn().cmd("GET k"), Reply::bulk("v"));
}

#[test]
fn dump_and_restore_between_servers() {
    let Some(theirs) = reference_named("redis-8.2.3") else {
        return;
    };
    // The format leaves it to the writer how well it compresses; without compression payloads are equal to the byte.
    let plain = ["--rdbcompression", "no"];
    let (a, b) = (Server::start(&plain), Server::start_binary(&theirs, &plain));
    fill(&a);
    fill(&b);
    let (mut ours, mut theirs) = (a.conn(), b.conn());
    for key in [
        "int", "negative", "text", "big", "small", "long", "plain", "ranks", "ints", "words",
        "emptied",
    ] {
        let (x, y) = (ours.call(&["DUMP", key]), theirs.call(&["DUMP", key]));
        assert!(x == y, "{key}");
        let payload = y.bytes().expect("a payload").to_vec();
        let restore = [&b"RESTORE"[..], key.as_bytes(), b"0", &payload];
        assert_eq!(
            ours.call(&restore).error_text().as_deref(),
            Some("BUSYKEY Target key name already exists.")
        );
        let replace = [&restore[..], &[&b"REPLACE"[..]]].concat();
        assert_eq!(ours.call(&replace), Reply::simple("OK"), "{key}");
        assert!(ours.call(&["DUMP", key]) == y, "{key} again");
    }
}

#[test]
fn a_stream_of_redis_5_tells_how_far_its_groups_are() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    // Six entries, the third deleted and all but two trimmed; g1 read four, g2 nothing. DUMP of Redis 5.
    let payload: &[u8] = b"\x0F\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\xC3\x40\x4A\x40\x57\x16\x57\x00\x00\x00\x23\x00\x02\x01\x04\x01\x01\x01\x84\x64\x61\x74\x61\x05\x00\x01\x03\x01\x00\x20\x01\x03\x81\x61\x02\x04\x20\x0A\x00\x01\x40\x0A\x00\x62\x60\x0A\x00\x02\x40\x0A\x00\x63\x60\x0A\x40\x22\x01\x81\x64\x20\x0A\x40\x39\x20\x0A\x00\x65\x60\x0A\x00\x05\x40\x0A\x00\x66\x20\x0A\x00\xFF\x02\x06\x00\x02\x02\x67\x31\x05\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x3E\xF7\x83\x43\x7A\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x3E\xF7\x83\x43\x7A\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x3E\xF7\x83\x43\x7A\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x3E\xF7\x83\x43\x7A\x01\x00\x00\x01\x01\x03\x63\x31\x31\x3E\xF7\x83\x43\x7A\x01\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x02\x67\x32\x00\x00\x00\x00\x09\x00\x3D\x52\xEF\x68\x67\x52\x1D\xFA";
    let made = c.call(&[b"RESTORE".as_slice(), b"x", b"0", payload]);
    assert_eq!(made, Reply::simple("OK"));
    let groups = c.cmd("XINFO GROUPS x");
    let told: Vec<Vec<Reply>> = groups
        .items()
        .expect("groups")
        .iter()
        .map(|g| g.items().expect("fields")[8..].to_vec())
        .collect();
    let says = |read: i64, lag: i64| {
        let field = |name: &str, n| [Reply::bulk(name), Reply::Int(n)];
        [field("entries-read", read), field("lag", lag)].concat()
    };
    assert_eq!(told, [says(1, 1), says(0, 2)]);
}
