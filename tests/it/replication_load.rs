//! Random writes of every type for replication tests: what is sent to a master, and when two servers hold the same.

use super::harness::{Conn, Reply, Server};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long two servers may take to become equal, seconds.
const PATIENCE_S: u64 = 60;

/// A small random number generator: tests must repeat.
pub struct Dice(u64);

impl Dice {
    /// Seeded.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn key(&mut self, kind: &str) -> String {
        format!("{kind}{}", self.below(12))
    }

    fn value(&mut self) -> String {
        match self.below(5) {
            0 => self.below(1_000_000).to_string(),
            1 => format!("-{}", self.below(70_000)),
            2 => "x".repeat(self.below(400) as usize),
            3 => format!("{}.{}", self.below(100), self.below(10) + 1),
            _ => format!("member-{}", self.below(60)),
        }
    }

    /// A command that changes something (often), as words. It may fail with WRONGTYPE only where keys are renamed.
    pub fn write(&mut self) -> Vec<String> {
        let (s, l, h) = (self.key("str"), self.key("list"), self.key("hash"));
        let (set, z, x) = (self.key("set"), self.key("zset"), self.key("stream"));
        let (v, w) = (self.value(), self.value());
        let n = self.below(100).to_string();
        let words: Vec<&str> = match self.below(48) {
            0..=3 => vec!["SET", &s, &v],
            4 => vec!["SET", &s, &v, "PX", "100000"],
            5 => vec!["APPEND", &s, &v],
            6 => vec!["INCRBY", "counter", &n],
            7 => vec!["INCRBYFLOAT", "float", "0.1"],
            8 => vec!["SETRANGE", &s, &n, &v],
            9 => vec!["GETDEL", &s],
            10 => vec!["GETEX", &s, "EX", "1000"],
            11 => vec!["BITFIELD", "bits", "SET", "u8", &n, "77"],
            12 => vec!["SETBIT", "bits", &n, "1"],
            13 | 14 => vec!["RPUSH", &l, &v, &w],
            15 => vec!["LPUSH", &l, &v],
            16 => vec!["LPOP", &l],
            17 => vec!["LMOVE", &l, "list0", "LEFT", "RIGHT"],
            18 => vec!["LINSERT", &l, "BEFORE", &v, &w],
            19 => vec!["LTRIM", &l, "0", "200"],
            20 | 21 => vec!["HSET", &h, &v, &w, "f", &n],
            22 => vec!["HDEL", &h, &v],
            23 => vec!["HINCRBYFLOAT", &h, "float", "0.25"],
            24 | 25 => vec!["SADD", &set, &v, &w],
            26 => vec!["SPOP", &set],
            27 => vec!["SPOP", &set, "5"],
            28 => vec!["SMOVE", &set, "set0", &v],
            29 => vec!["SUNIONSTORE", "set-all", &set, "set1", "set2"],
            30 | 31 => vec!["ZADD", &z, &n, &v, "3.5", &w],
            32 => vec!["ZINCRBY", &z, "1.25", &v],
            33 => vec!["ZPOPMIN", &z],
            34 => vec!["ZUNIONSTORE", "zset-all", "2", &z, "zset1"],
            35 => vec!["ZREMRANGEBYRANK", &z, "0", "1"],
            36 | 37 => vec!["XADD", &x, "*", "field", &v, "g", &w],
            38 => vec!["XTRIM", &x, "MAXLEN", "~", "50"],
            39 => vec!["XADD", &x, "MAXLEN", "20", "*", "f", &v],
            40 => vec!["PFADD", "hll", &v, &w],
            41 => vec!["GEOADD", "geo", "13.36", "38.11", &v],
            42 => vec!["EXPIRE", &h, "5000"],
            43 => vec!["PERSIST", &s],
            44 => vec!["DEL", &s, &l],
            45 => vec!["UNLINK", &z],
            46 => vec!["COPY", &s, "copied", "REPLACE"],
            _ => vec!["SORT", &set, "ALPHA", "STORE", "sorted"],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// Sends `n` random writes, now and then in another database or in a transaction; they must not fail but for the type.
pub fn write_some(conn: &mut Conn, dice: &mut Dice, n: usize) {
    for _ in 0..n {
        match dice.below(40) {
            0 => drop(conn.cmd(&format!("SELECT {}", dice.below(3)))),
            1 => {
                conn.cmd("MULTI");
                for _ in 0..dice.below(4) + 1 {
                    conn.call(&dice.write());
                }
                conn.cmd("EXEC");
            }
            _ => {
                let command = dice.write();
                let reply = conn.call(&command);
                if let Some(text) = reply.error_text() {
                    let expected = ["WRONGTYPE", "ERR value is not", "ERR hash value is not"];
                    assert!(
                        expected.iter().any(|e| text.starts_with(e)),
                        "{command:?}: {text}"
                    );
                }
            }
        }
    }
}

/// A reply as text.
pub fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

/// A field of INFO.
#[track_caller]
pub fn info(conn: &mut Conn, field: &str) -> String {
    let text = text(&conn.cmd("INFO"));
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {field} in INFO")).into()
}

/// Waits until `done` holds.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_S);
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Waits until the link of `replica` is up.
#[track_caller]
pub fn wait_up(replica: &Server) {
    let mut conn = replica.conn();
    wait_until("the link is up", || {
        info(&mut conn, "master_link_status") == "up"
    });
}

/// Makes `replica` follow `master` and waits for the link.
#[track_caller]
pub fn follow(replica: &Server, master: &Server) {
    let line = format!("REPLICAOF 127.0.0.1 {}", master.port);
    assert_eq!(replica.conn().cmd(&line), Reply::simple("OK"));
    wait_up(replica);
}

/// Writes at random while the link is cut, now from this side and now from that; both hold the same at the end, and nothing but the
/// first synchronisation was a full one.
#[track_caller]
pub fn assert_follows_through_cuts(m: &Server, r: &Server, dice: &mut Dice, what: &str) {
    let mut conn = m.conn();
    let mut cuts = 0;
    for _ in 0..6 {
        let n = dice.below(500) as usize;
        write_some(&mut conn, dice, n);
        let killed = if dice.below(2) == 0 {
            conn.cmd("CLIENT KILL TYPE replica")
        } else {
            r.conn().cmd("CLIENT KILL TYPE master")
        };
        cuts += i64::from(killed != Reply::Int(0));
        write_some(&mut conn, dice, 20);
        wait_up(r);
    }
    assert_same(m, r);
    assert!(cuts > 2, "{what}: the link was hardly cut");
    assert_eq!(info(&mut conn, "sync_full"), "1", "{what}");
    // A cut that comes before either side has noticed the last one is no other.
    let partial: i64 = info(&mut conn, "sync_partial_ok").parse().unwrap();
    assert!((1..=cuts).contains(&partial), "{what}: {partial} of {cuts}");
}

/// Waits until `replica` applied all of `master`'s stream, and compares their digests.
#[track_caller]
pub fn assert_same(master: &Server, replica: &Server) {
    let (mut m, mut r) = (master.conn(), replica.conn());
    wait_until("the replica has everything", || {
        info(&mut m, "master_repl_offset") == info(&mut r, "slave_repl_offset")
    });
    let (here, there) = (m.cmd("DEBUG DIGEST"), r.cmd("DEBUG DIGEST"));
    if here != there {
        show_difference(&mut m, &mut r);
    }
    assert_eq!(here, there, "the digests differ");
}

/// Names the first key that differs, so that a failure says more than a digest.
fn show_difference(m: &mut Conn, r: &mut Conn) {
    for db in 0..3 {
        m.cmd(&format!("SELECT {db}"));
        r.cmd(&format!("SELECT {db}"));
        let (Reply::Array(Some(keys)), theirs) = (m.cmd("KEYS *"), r.cmd("DBSIZE")) else {
            continue;
        };
        eprintln!("database {db}: {} keys, the replica {theirs:?}", keys.len());
        for key in keys {
            let key = text(&key);
            let one = |c: &mut Conn| c.call(&["DEBUG", "DIGEST-VALUE", &key]);
            let (a, b) = (one(m), one(r));
            if a != b {
                eprintln!("{key}: {a:?} {b:?}");
            }
        }
    }
}
