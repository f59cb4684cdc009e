//! Two servers side by side: the one under test and the reference. Runs scripts on both, compares, and shrinks what differs.

use crate::aside::{self, Aside};
use crate::compare::{self, Asked};
use crate::harness::{Conn, Reply, Server, wire};
use crate::known;
use crate::trees::QUIET;
use std::path::Path;

/// Every how many scripts the state is compared after DEBUG RELOAD too.
const RELOAD_EVERY: usize = 4;
/// Databases the scripts can reach.
const DATABASES: usize = 10;

/// A difference that no rule allows.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Which step of the script, or its length for the comparison of all keys afterwards.
    pub step: usize,
    pub what: String,
    pub ours: String,
    pub theirs: String,
    /// The connection broke: a crash, most likely.
    pub fatal: bool,
}

/// A script: commands, one after the other.
pub type Script = Vec<Vec<Vec<u8>>>;

/// Both servers, with a working connection and a second one to look around.
pub struct Pair {
    servers: [Server; 2],
    work: [Conn; 2],
    look: [Conn; 2],
    /// The second connection, for steps that begin with `@`.
    aside: Aside,
    resp3: bool,
    /// The reference's version, as (major, minor); and whether the two are the same build.
    pub reference_version: (u32, u32),
    same: bool,
    /// An allowed difference left the servers with different data: the rest of the script says nothing.
    diverged: bool,
    /// Scripts run to their end.
    scripts: usize,
    /// While a script is shrunk: reload after each run.
    reloads: bool,
    /// Popped members were evened out, so members of small sets no longer stand in the same order.
    shuffled: bool,
}

impl Pair {
    /// Starts both and connects.
    pub fn start(ours: &Path, theirs: &Path, resp3: bool) -> Pair {
        let args = [
            "--enable-debug-command",
            "yes",
            "--appendonly",
            "no",
            "--maxmemory",
            "0",
        ];
        let mut servers = [
            Server::start_binary(ours, &args),
            Server::start_binary(theirs, &args),
        ];
        servers
            .iter_mut()
            .for_each(|server| server.log_on_failure = false);
        let version = version_of(&mut servers[1].conn());
        let same = ours == theirs
            || (version_of(&mut servers[0].conn()) == version
                && !is_redstart(&mut servers[0].conn()));
        let (work, look) = (
            [connect(&servers[0], resp3), connect(&servers[1], resp3)],
            [servers[0].conn(), servers[1].conn()],
        );
        let aside = Aside::new([connect(&servers[0], resp3), connect(&servers[1], resp3)]);
        Pair {
            servers,
            work,
            look,
            aside,
            resp3,
            reference_version: version,
            same,
            diverged: false,
            scripts: 0,
            reloads: false,
            shuffled: false,
        }
    }

    /// Empties both and opens new connections, so that nothing of an earlier script is left (MULTI, WATCH, SELECT).
    pub fn reset(&mut self) {
        self.aside = Aside::new([0, 1].map(|i| connect(&self.servers[i], self.resp3)));
        for i in 0..2 {
            self.work[i] = connect(&self.servers[i], self.resp3);
            self.look[i] = self.servers[i].conn();
            assert_eq!(self.look[i].cmd("FLUSHALL"), Reply::simple("OK"));
        }
    }

    /// Restarts a server that died.
    pub fn revive(&mut self) {
        for server in &mut self.servers {
            server.restart();
        }
        self.reset();
    }

    /// Runs a script on empty servers; the first difference ends it.
    pub fn run(&mut self, script: &Script) -> Option<Difference> {
        self.reset();
        (self.diverged, self.shuffled) = (false, false);
        for (step, args) in script.iter().enumerate() {
            let differs = match args.split_first() {
                Some((word, args)) if word == aside::WORD => {
                    let sent = self.aside.send(args);
                    sent.err().map(|e| self.broken_aside(step, args, &e))
                }
                Some((word, args)) if word == QUIET.as_bytes() => self.step(step, args, true),
                _ => self.step(step, args, false),
            };
            if let Some(difference) = differs.or_else(|| self.told(step, args)) {
                return Some(difference);
            }
            if self.diverged {
                return None;
            }
        }
        if let Some(difference) = self.state(script.len()) {
            return Some(difference);
        }
        // What a save and a load make of it, now and then: it costs more than the script.
        self.scripts = self.scripts.wrapping_add(1);
        if !self.reloads && !self.scripts.is_multiple_of(RELOAD_EVERY) {
            return None;
        }
        for which in 0..2 {
            for line in ["SELECT 0", "DEBUG RELOAD"] {
                let sent = self.look[which].write(&wire::encode(&wire::words(line)));
                if let Err(error) = sent.and_then(|()| self.look[which].read()) {
                    let words = [b"DEBUG".to_vec(), b"RELOAD".to_vec()];
                    let asked = Asked::new(&words);
                    return Some(self.broken(script.len(), &asked, which, &error.to_string()));
                }
            }
        }
        let mut found = self.state(script.len())?;
        found.what.insert_str(0, "after DEBUG RELOAD, ");
        Some(found)
    }

    /// Runs one command on both; with `quiet` everything that is not an error counts as the same.
    fn step(&mut self, step: usize, args: &[Vec<u8>], quiet: bool) -> Option<Difference> {
        let asked = Asked::new(args);
        if matches!(asked.name.as_str(), "SCAN" | "SSCAN" | "HSCAN" | "ZSCAN") {
            return self.scan(step, &asked);
        }
        // Texts that end at a NUL there are whole here; of data that shows nothing.
        let cut = quiet && args.iter().any(|arg| arg.contains(&0));
        if args.is_empty() || cut || compare::is_undefined(&asked, &mut self.look[1]) {
            return None;
        }
        let mut replies = Vec::new();
        let request = wire::encode(args);
        // Both at once: they work in parallel, and their clocks hardly differ.
        let written = [0, 1].map(|i| self.work[i].write(&request));
        for (i, sent) in written.into_iter().enumerate() {
            match sent.and_then(|()| self.work[i].read_raw()) {
                Ok(reply) => replies.push(reply),
                Err(error) => return Some(self.broken(step, &asked, i, &error.to_string())),
            }
        }
        let ((theirs, theirs_raw), (ours, ours_raw)) = (replies.pop()?, replies.pop()?);
        let look = &mut self.look[1];
        let error = |reply: &Reply| matches!(reply, Reply::Error(_));
        let fine = quiet && !error(&ours) && !error(&theirs)
            || ours_raw == theirs_raw && !compare::is_random(&asked)
            || if compare::is_random(&asked) {
                self.random(&asked, &ours, &theirs)
            } else {
                compare::allowed(&asked, &ours, &theirs, look, self.shuffled)
            }
            || self.excused(&asked, &ours, &theirs);
        (!fine).then(|| Difference {
            step,
            what: show(args),
            ours: format!("{ours:?}"),
            theirs: format!("{theirs:?}"),
            fatal: false,
        })
    }

    /// What the second connection was told by a step.
    fn told(&mut self, step: usize, args: &[Vec<u8>]) -> Option<Difference> {
        let [ours, theirs] = match self.aside.listen(&mut self.look) {
            Ok(said) => said?,
            Err(e) => return Some(self.broken_aside(step, args, &e)),
        };
        let asked = Asked::new(args);
        let same = ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .all(|(a, b)| a == b || known::alike(a, b));
        let excused = !same
            && !self.same
            && ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(a, b)| {
                a == b || known::alike(a, b) || known::told(&asked, a, b, self.reference_version)
            });
        // One of the two went on, and took what the other still waits for.
        self.diverged |= excused;
        (!same && !excused).then(|| Difference {
            step,
            what: format!("the second connection after {}", show(asked.args)),
            ours: format!("{ours:?}"),
            theirs: format!("{theirs:?}"),
            fatal: false,
        })
    }

    fn broken_aside(&self, step: usize, args: &[Vec<u8>], error: &std::io::Error) -> Difference {
        let tails = [0, 1].map(|i| {
            let log = self.servers[i].log();
            let tail: Vec<&str> = log.lines().rev().take(6).collect();
            format!("{error}; log, newest first:\n{}", tail.join("\n"))
        });
        let [ours, theirs] = tails;
        Difference {
            step,
            what: format!("the second connection broke after {}", show(args)),
            ours,
            theirs,
            fatal: true,
        }
    }

    /// Whether the version explains the difference; then one of the two may have done something and the other not.
    fn excused(&mut self, asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
        let excused = known::reply(asked, ours, theirs, self.reference_version).is_some();
        let refused = |reply: &Reply| matches!(reply, Reply::Error(_));
        self.diverged |= excused && refused(ours) != refused(theirs);
        !self.same && excused
    }

    fn broken(&self, step: usize, asked: &Asked, which: usize, error: &str) -> Difference {
        let (mut ours, mut theirs) = (String::from("a reply"), String::from("a reply"));
        let log = self.servers[which].log();
        let tail: Vec<&str> = log.lines().rev().take(12).collect();
        let text = format!(
            "connection broken: {error}; log, newest first:\n{}",
            tail.join("\n")
        );
        if which == 0 {
            ours = text
        } else {
            theirs = text
        }
        Difference {
            step,
            what: show(asked.args),
            ours,
            theirs,
            fatal: true,
        }
    }

    /// A random answer: judged by membership; what SPOP took on one side is then made equal on the other.
    fn random(&mut self, asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
        if asked.name != "SPOP" {
            return compare::random_allowed(asked, ours, theirs, &mut self.work[1]);
        }
        let (Some(ours), Some(theirs)) = (members(ours), members(theirs)) else {
            return ours == theirs;
        };
        let (extra, lacking): (Vec<_>, Vec<_>) =
            (difference(&theirs, &ours), difference(&ours, &theirs));
        if ours.len() != theirs.len() {
            return false;
        }
        if extra.is_empty() {
            return true;
        }
        let key = &asked.args[1];
        let with = |name: &[u8], items: &[Vec<u8>]| {
            [vec![name.to_vec(), key.clone()], items.to_vec()].concat()
        };
        // Add first, so that the key does not vanish in between.
        self.shuffled = true;
        let added = self.work[1].call(&with(b"SADD", &extra));
        let removed = self.work[1].call(&with(b"SREM", &lacking));
        // A long or textual member that came and went may have left another encoding behind.
        let encodings = self
            .look
            .each_mut()
            .map(|look| look.call(&[b"OBJECT".as_slice(), b"ENCODING", key]));
        self.diverged |= encodings[0] != encodings[1];
        let count = Reply::Int(i64::try_from(extra.len()).expect("a small count"));
        added == count && removed == count
    }

    /// A whole iteration instead of one call, as cursors are each server's own; elements are compared as a set.
    fn scan(&mut self, step: usize, asked: &Asked) -> Option<Difference> {
        let mut found: Vec<Reply> = Vec::new();
        for i in 0..2 {
            match scan_all(&mut self.work[i], asked) {
                Ok(all) => found.push(all),
                Err(error) => return Some(self.broken(step, asked, i, &error)),
            }
        }
        let (theirs, ours) = (found.pop()?, found.pop()?);
        let error = |reply: &Reply| matches!(reply, Reply::Error(_));
        let at = if asked.name == "SCAN" { 1 } else { 2 };
        // From the middle on, each server's cursors are its own.
        let from_start = asked.args.get(at).is_none_or(|cursor| cursor == b"0");
        if !from_start && !error(&ours) && !error(&theirs) {
            return None;
        }
        let excused =
            || !self.same && known::reply(asked, &ours, &theirs, self.reference_version).is_some();
        (ours != theirs && !excused()).then(|| Difference {
            step,
            what: show(asked.args),
            ours: format!("{ours:?}"),
            theirs: format!("{theirs:?}"),
            fatal: false,
        })
    }

    /// Compares every key of every database: type, encoding, value, expiry.
    fn state(&mut self, step: usize) -> Option<Difference> {
        for db in 0..DATABASES {
            let mut lists = Vec::new();
            for look in &mut self.look {
                look.call(&["SELECT", &db.to_string()]);
                lists.push(compare::sorted(&look.cmd("KEYS *")));
            }
            let differs = |what: String, a: &Reply, b: &Reply| {
                Some(Difference {
                    step,
                    what: format!("afterwards in db {db}: {what}"),
                    ours: format!("{a:?}"),
                    theirs: format!("{b:?}"),
                    fatal: false,
                })
            };
            if lists[0] != lists[1] {
                return differs("KEYS *".into(), &lists[0], &lists[1]);
            }
            for key in lists[0].items().unwrap_or_default() {
                let key = key.bytes().unwrap_or_default();
                if let Some((what, a, b)) = self.key_differs(key) {
                    return differs(format!("{what} {}", key.escape_ascii()), &a, &b);
                }
            }
        }
        None
    }

    fn key_differs(&mut self, key: &[u8]) -> Option<(String, Reply, Reply)> {
        let both = |look: &mut [Conn; 2], args: &[&[u8]]| (look[0].call(args), look[1].call(args));
        let (a, b) = both(&mut self.look, &[b"TYPE", key]);
        if a != b {
            return Some(("TYPE".into(), a, b));
        }
        let (ours, theirs) = both(&mut self.look, &[b"OBJECT", b"ENCODING", key]);
        if ours != theirs
            && (self.same || !known::encoding(ours.bytes(), theirs.bytes(), self.reference_version))
        {
            return Some(("OBJECT ENCODING".into(), ours, theirs));
        }
        let has_field_times = self.same || self.reference_version >= (7, 4);
        let reads: &[&[&[u8]]] = match a.bytes() {
            Some(b"string") => &[&[b"GET", key]],
            Some(b"list") => &[&[b"LRANGE", key, b"0", b"-1"], &[b"LLEN", key]],
            Some(b"set") => &[&[b"SMEMBERS", key], &[b"SCARD", key]],
            Some(b"hash") if has_field_times => &[
                &[b"HGETALL", key],
                &[b"HLEN", key],
                &[
                    b"HPEXPIRETIME",
                    key,
                    b"FIELDS",
                    b"7",
                    b"f0",
                    b"f1",
                    b"f2",
                    b"f3",
                    b"f4",
                    b"f5",
                    b"f6",
                ],
            ],
            Some(b"hash") => &[&[b"HGETALL", key], &[b"HLEN", key]],
            Some(b"zset") => &[
                &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
                &[b"ZCARD", key],
            ],
            Some(b"stream") if self.same || self.reference_version >= (7, 2) => &[
                &[b"XRANGE", key, b"-", b"+"],
                &[b"XINFO", b"STREAM", key, b"FULL", b"0"],
            ],
            Some(b"stream") => &[
                &[b"XRANGE", key, b"-", b"+"],
                &[b"XLEN", key],
                &[b"XINFO", b"GROUPS", key],
            ],
            _ => &[],
        };
        for read in reads {
            let (a, b) = both(&mut self.look, read);
            let same = match read[0] {
                b"SMEMBERS" => compare::sorted(&a) == compare::sorted(&b),
                b"HGETALL" => compare::pairs(&a) == compare::pairs(&b),
                b"HPEXPIRETIME" | b"XINFO" => {
                    let asked: Vec<Vec<u8>> = read.iter().map(|arg| arg.to_vec()).collect();
                    a == b
                        || compare::allowed(&Asked::new(&asked), &a, &b, &mut self.look[1], false)
                }
                _ => a == b,
            };
            let asked: Vec<Vec<u8>> = read.iter().map(|arg| arg.to_vec()).collect();
            let excused = || {
                !self.same
                    && known::reply(&Asked::new(&asked), &a, &b, self.reference_version).is_some()
            };
            if !same && !excused() {
                return Some((String::from_utf8_lossy(read[0]).into(), a, b));
            }
        }
        let (a, b) = both(&mut self.look, &[b"PTTL", key]);
        let ttl = [b"PTTL".to_vec(), key.to_vec()];
        if a != b && !compare::allowed(&Asked::new(&ttl), &a, &b, &mut self.look[1], false) {
            return Some(("PTTL".into(), a, b));
        }
        self.dump_differs(key)
    }

    /// What one server dumps, the other restores to the same value; only between ours and a real one, or two of a kind: real servers of
    /// different versions refuse each other's payloads.
    fn dump_differs(&mut self, key: &[u8]) -> Option<(String, Reply, Reply)> {
        if !self.same && !is_redstart(&mut self.look[0]) {
            return None;
        }
        // That a key expires is part of its digest, when is not.
        let expires =
            matches!(self.look[1].call(&[b"PTTL".as_slice(), key]), Reply::Int(ms) if ms > 0);
        let ttl_ms: &[u8] = if expires { b"1000000" } else { b"0" };
        let copies: [&[u8]; 2] = [b"differential:ours", b"differential:theirs"];
        let mut restored = Vec::new();
        for (from, copy) in copies.iter().enumerate() {
            let payload = self.look[from].call(&[b"DUMP".as_slice(), key]);
            restored.push(self.look[1].call(&[
                b"RESTORE".as_slice(),
                copy,
                ttl_ms,
                payload.bytes().unwrap_or_default(),
                b"REPLACE",
            ]));
        }
        // Compared with the copy of their own dump, not with the value: even there a -0 score comes back as 0.
        let digests =
            self.look[1].call(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", copies[0], copies[1]]);
        self.look[1].call(&[b"DEL".as_slice(), copies[0], copies[1]]);
        // Payloads are stamped as 8.2.3 stamps them, and a server before 8 refuses those of 8.2.3 too.
        let refused = b"-ERR DUMP payload version or checksum are wrong";
        let newer_than_theirs = version_of(&mut self.look[1]) < (8, 0)
            && restored[0] == Reply::Error(refused[1..].to_vec());
        match digests.items() {
            _ if newer_than_theirs => None,
            Some([ours, theirs]) if ours == theirs && restored[0] == Reply::simple("OK") => None,
            _ => Some((
                "DUMP here and there, RESTORE there: reply and digests of".into(),
                restored.swap_remove(0),
                digests,
            )),
        }
    }

    /// Drops commands as long as the script still shows a difference; returns what is left and its difference.
    pub fn shrink(&mut self, script: &Script, first: Difference) -> (Script, Difference) {
        let mut best: Script = script[..script.len().min(first.step + 1)].to_vec();
        self.reloads = first.what.starts_with("after DEBUG RELOAD");
        let mut shown = first;
        let mut size = best.len() / 2;
        let mut budget = 600;
        while size > 0 {
            let mut at = 0;
            while at < best.len() && budget > 0 {
                budget -= 1;
                let mut shorter = best.clone();
                shorter.drain(at..(at + size).min(best.len()));
                match self.run(&shorter) {
                    Some(difference) if difference.fatal => return (shorter, difference),
                    Some(difference) => (best, shown) = (shorter, difference),
                    None => at += size,
                }
            }
            size /= 2;
        }
        self.reloads = false;
        (best, shown)
    }
}

fn connect(server: &Server, resp3: bool) -> Conn {
    if resp3 { server.conn3() } else { server.conn() }
}

fn info_field(conn: &mut Conn, field: &str) -> Option<String> {
    let info = conn.cmd("INFO server");
    let text = String::from_utf8_lossy(info.bytes()?).into_owned();
    text.lines().find_map(|line| {
        line.strip_prefix(field)?
            .strip_prefix(':')
            .map(str::to_owned)
    })
}

fn version_of(conn: &mut Conn) -> (u32, u32) {
    let text = info_field(conn, "redis_version").unwrap_or_default();
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn is_redstart(conn: &mut Conn) -> bool {
    info_field(conn, "redstart_version").is_some()
}

fn members(reply: &Reply) -> Option<Vec<Vec<u8>>> {
    match reply {
        Reply::Bulk(Some(one)) => Some(vec![one.clone()]),
        other => other
            .items()?
            .iter()
            .map(|r| r.bytes().map(<[u8]>::to_vec))
            .collect(),
    }
}

fn difference(of: &[Vec<u8>], without: &[Vec<u8>]) -> Vec<Vec<u8>> {
    of.iter()
        .filter(|item| !without.contains(item))
        .cloned()
        .collect()
}

fn scan_all(conn: &mut Conn, asked: &Asked) -> Result<Reply, String> {
    let at = if asked.name == "SCAN" { 1 } else { 2 };
    let mut args = asked.args.to_vec();
    let mut all = Vec::new();
    for _ in 0..10_000 {
        conn.write(&wire::encode(&args))
            .map_err(|e| e.to_string())?;
        let reply = conn.read().map_err(|e| e.to_string())?;
        let Some([cursor, items]) = reply.items() else {
            return Ok(reply);
        };
        let width = usize::from(matches!(asked.name.as_str(), "HSCAN" | "ZSCAN")) + 1;
        all.extend(
            items
                .items()
                .unwrap_or_default()
                .chunks(width)
                .map(|c| Reply::Array(Some(c.to_vec()))),
        );
        let next = cursor.bytes().unwrap_or_default().to_vec();
        // A cursor that was not 0 to begin with means nothing to the other server.
        if next == b"0" || asked.args[at] != b"0" {
            break;
        }
        args[at] = next;
    }
    all.sort();
    all.dedup();
    Ok(Reply::Array(Some(all)))
}

/// A command as redis-cli reads it.
pub fn show(args: &[Vec<u8>]) -> String {
    let one = |arg: &Vec<u8>| {
        let plain = !arg.is_empty()
            && arg
                .iter()
                .all(|b| b.is_ascii_graphic() && !b"\"'\\".contains(b));
        if plain {
            String::from_utf8_lossy(arg).into_owned()
        } else {
            format!("\"{}\"", arg.escape_ascii())
        }
    };
    args.iter().map(one).collect::<Vec<_>>().join(" ")
}
