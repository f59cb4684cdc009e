//! Dialogues: written scripts of several connections, replayed here and on the version we follow, byte for byte.
//!
//! What random scripts seldom reach: broken protocol, transactions with errors, who of several waiting clients is served, what
//! a caching or listening connection is told and in which order, every error of every option, encodings at their thresholds.
//! The files in `dialogues/` hold one step per line, `A COMMAND args` for connection A (quoted like in redis-cli); `A!` sends raw
//! bytes, `A+` waits for something to arrive (answers that come from another thread), `A?` compares errors only, `A~` takes
//! arrays, sets and maps without their order; `wait 0.1` lets time pass. A line that is empty or begins with `#` begins a new dialogue on
//! an empty server. `<x:9000>` stands for 9000 times x. Every dialogue runs over RESP2 and RESP3.
//!
//! After a step two PINGs of a further connection pass by: whatever the step caused has been written by then, to whomever.

use crate::harness::server::{ours, reference_named};
use crate::harness::{Conn, Reply, Server, wire};
use crate::scripts::split;
use std::collections::BTreeMap;
use std::time::Duration;

/// What every connection was sent by a step.
type Said = BTreeMap<char, Vec<u8>>;

/// Bytes of an answer that a difference shows.
const SHOWN: usize = 600;

/// What `Conn::take` says of a connection that ended.
const END: &[u8] = b"<end>";

const FILES: &[(&str, &str)] = &[
    ("protocol", include_str!("dialogues/protocol.txt")),
    ("clients", include_str!("dialogues/clients.txt")),
    ("several", include_str!("dialogues/several.txt")),
    ("scripting", include_str!("dialogues/scripting.txt")),
    ("data", include_str!("dialogues/data.txt")),
    ("words", include_str!("dialogues/words.txt")),
    ("server", include_str!("dialogues/server.txt")),
];

/// One server with its connections.
struct World {
    server: Server,
    look: Conn,
    conns: BTreeMap<char, Conn>,
    resp3: bool,
}

impl World {
    fn new(binary: &std::path::Path, resp3: bool) -> World {
        let args = ["--enable-debug-command", "yes", "--appendonly", "no"];
        let mut server = Server::start_binary(binary, &args);
        server.log_on_failure = false;
        World {
            look: server.conn(),
            server,
            conns: BTreeMap::new(),
            resp3,
        }
    }

    /// Empties the server; connections are opened anew as they are named.
    fn reset(&mut self) {
        self.conns.clear();
        for line in [
            "CLIENT UNPAUSE",
            "FUNCTION FLUSH",
            "SCRIPT FLUSH",
            "FLUSHALL",
        ] {
            self.look.cmd(line);
        }
    }

    fn conn(&mut self, name: char) -> &mut Conn {
        let (server, resp3) = (&self.server, self.resp3);
        self.conns.entry(name).or_insert_with(|| {
            let mut conn = server.conn();
            if resp3 {
                // Refused where a password is asked for.
                conn.cmd("HELLO 3");
            }
            conn
        })
    }

    fn send(&mut self, name: char, bytes: &[u8]) {
        // A connection that the server closed stays closed: that was compared when it happened.
        let _ = self.conn(name).write(bytes);
    }

    /// What all connections were sent since the last look.
    fn heard(&mut self, wait_for: Option<char>) -> Said {
        if let Some(name) = wait_for {
            for _ in 0..2_000 {
                if self.conn(name).is_readable() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        for _ in 0..2 {
            assert_eq!(self.look.cmd("PING"), Reply::simple("PONG"));
        }
        let said = self
            .conns
            .iter_mut()
            .map(|(name, conn)| (*name, conn.take()));
        said.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

/// One line of a dialogue.
enum Step {
    Wait(Duration),
    Say {
        who: char,
        how: char,
        bytes: Vec<u8>,
    },
}

fn step(line: &str) -> Step {
    if let Some(seconds) = line.strip_prefix("wait ") {
        return Step::Wait(Duration::from_secs_f64(seconds.parse().expect("seconds")));
    }
    let mut chars = line.chars();
    let who = chars.next().expect("a connection");
    let (how, rest) = match chars.next() {
        Some(' ') => (' ', &line[2..]),
        Some(how) => (how, &line[3..]),
        None => panic!("what does {who} say?"),
    };
    let bytes = match how {
        '!' => split(&format!("\"{}\"", rest.replace('"', "\\\""))).remove(0),
        _ => {
            let args: Vec<Vec<u8>> = split(rest).iter().map(|arg| long(arg)).collect();
            wire::encode(&args)
        }
    };
    Step::Say { who, how, bytes }
}

/// `<x:9000>` is 9000 times x.
fn long(arg: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(arg).unwrap_or_default();
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
    let parts = inner.and_then(|t| t.split_once(':'));
    match parts.map(|(what, n)| (what, n.parse())) {
        Some((what, Ok(n))) => what.repeat(n).into_bytes(),
        _ => arg.to_vec(),
    }
}

/// A reply without the order of what it holds.
fn unordered(reply: &Reply) -> Reply {
    let sorted = |items: &[Reply]| {
        let mut items: Vec<Reply> = items.iter().map(unordered).collect();
        items.sort();
        items
    };
    match reply {
        Reply::Array(Some(items)) => Reply::Array(Some(sorted(items))),
        Reply::Set(items) => Reply::Set(sorted(items)),
        Reply::Map(pairs) => {
            let mut pairs: Vec<_> = pairs
                .iter()
                .map(|(k, v)| (unordered(k), unordered(v)))
                .collect();
            pairs.sort();
            Reply::Map(pairs)
        }
        other => other.clone(),
    }
}

fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut all = Vec::new();
    while let Ok(Some((reply, used))) = wire::parse(bytes) {
        all.push(reply);
        bytes = &bytes[used..];
    }
    all
}

fn same(how: char, ours: &Said, theirs: &Said) -> bool {
    let parsed = |said: &Said, f: &dyn Fn(&Reply) -> Option<Reply>| -> Vec<(char, Vec<Reply>)> {
        said.iter()
            .map(|(name, bytes)| (*name, replies(bytes).iter().filter_map(f).collect()))
            .collect()
    };
    let error = |reply: &Reply| matches!(reply, Reply::Error(_)).then(|| reply.clone());
    ours == theirs
        || match how {
            '?' => parsed(ours, &error) == parsed(theirs, &error),
            '~' => parsed(ours, &|r| Some(unordered(r))) == parsed(theirs, &|r| Some(unordered(r))),
            _ => false,
        }
}

/// Adds what came later; an end counts once.
fn join(said: &mut Said, later: Said) {
    for (name, bytes) in later {
        let before = said.entry(name).or_default();
        if !(before.ends_with(END) && bytes == END) {
            before.extend_from_slice(&bytes);
        }
    }
}

fn shown(said: &Said) -> String {
    let one = |(name, bytes): (&char, &Vec<u8>)| {
        let start = &bytes[..bytes.len().min(SHOWN)];
        format!("{name}: {}", start.escape_ascii())
    };
    said.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Replays one dialogue; the steps whose answers differ. The rest of a dialogue is played on: most steps stand alone.
fn play(worlds: &mut [World; 2], lines: &[&str]) -> Vec<String> {
    worlds.iter_mut().for_each(World::reset);
    let mut found = Vec::new();
    for line in lines {
        let (mut way, mut wait_for) = (' ', None);
        match step(line) {
            Step::Wait(time) => std::thread::sleep(time),
            Step::Say { who, how, bytes } => {
                way = how;
                wait_for = (how == '+').then_some(who);
                worlds.iter_mut().for_each(|w| w.send(who, &bytes));
            }
        }
        let [mut ours, mut theirs] = worlds.each_mut().map(|w| w.heard(wait_for));
        // A connection is closed when it is closed, and a reply may come from another thread: who is late gets a little time.
        for _ in 0..10 {
            if same(way, &ours, &theirs) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            let [more_ours, more_theirs] = worlds.each_mut().map(|w| w.heard(None));
            join(&mut ours, more_ours);
            join(&mut theirs, more_theirs);
        }
        if !same(way, &ours, &theirs) {
            found.push(format!(
                "{line}\n  ours:   {}\n  theirs: {}",
                shown(&ours),
                shown(&theirs)
            ));
        }
    }
    found
}

fn check(resp3: bool) {
    let Some(theirs) = reference_named("redis-8.2.3") else {
        return;
    };
    let mut worlds = [World::new(&ours(), resp3), World::new(&theirs, resp3)];
    let mut found = Vec::new();
    for (name, text) in FILES {
        let lines: Vec<&str> = text.lines().collect();
        for dialogue in lines.split(|line| line.is_empty() || line.starts_with('#')) {
            let differences = play(&mut worlds, dialogue);
            found.extend(differences.into_iter().map(|d| format!("{name}: {d}")));
        }
    }
    assert!(
        found.is_empty(),
        "{} differences to {}:\n{}",
        found.len(),
        theirs.display(),
        found.join("\n")
    );
}

#[test]
fn dialogues_resp2() {
    check(false);
}

#[test]
fn dialogues_resp3() {
    check(true);
}
