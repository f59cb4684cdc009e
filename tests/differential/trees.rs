//! Templates out of the argument trees that the reference tells in COMMAND DOCS: every command it has, with every option in every
//! combination, also those nobody thought of when writing `families`.
//!
//! What an argument may hold is guessed from its type and name (`class`). Commands on data are compared as always; those of
//! administration, whose answers are each server's own, get `QUIET` in front: only errors are compared then. Left out (`SKIPPED`): what
//! waits, ends, stops or disconnects a server, talks to others, or answers from the clock.

use crate::grammar::{Family, Node, parse};
use crate::harness::{Conn, Reply};

/// Before steps of which only errors are compared.
pub const QUIET: &str = "?";

const SKIPPED: &[&str] = &[
    // Waiting: see the family `waiting`.
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "WAIT",
    "WAITAOF",
    // They change how the connection's replies are to be read, or close it.
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "MONITOR",
    "QUIT",
    "RESET",
    "HELLO",
    "CLIENT KILL",
    "CLIENT REPLY",
    "CLIENT PAUSE",
    "CLIENT TRACKING",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    // Other servers and files.
    "MIGRATE",
    "REPLICAOF",
    "SLAVEOF",
    "REPLCONF",
    "SYNC",
    "PSYNC",
    "FAILOVER",
    "SHUTDOWN",
    "SAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "DEBUG",
    "MODULE LOAD",
    "MODULE LOADEX",
    "MODULE UNLOAD",
    "CONFIG SET",
    "CONFIG REWRITE",
    "ACL LOAD",
    "ACL SAVE",
    "SCRIPT DEBUG",
    // Answers of their own: `OBJECT FREQ` and the like hang on the clock, payloads and scripts have templates below.
    "OBJECT FREQ",
    "OBJECT IDLETIME",
    "RESTORE",
    "RESTORE-ASKING",
    "DUMP",
    "EVAL",
    "EVAL_RO",
    "FUNCTION LOAD",
    "PFDEBUG",
    "PFSELFTEST",
    "SELECT",
    "XINFO HELP",
    "XGROUP HELP",
    "OBJECT HELP",
];

/// Groups of commands on data: the group, its keys, and what fills them.
const GROUPS: &[(&str, &[&str], &[&str])] = &[
    ("string", &["s1", "s2", "s3", "b1"], &["SET {k} {v}"]),
    (
        "bitmap",
        &["b1", "b2", "s1"],
        &["SET {k} {v}", "SETBIT {k} {off} 1"],
    ),
    ("list", &["l1", "l2"], &["RPUSH {k} {e}* {e}* {e}*"]),
    ("set", &["t1", "t2", "t3"], &["SADD {k} {e}* {e}*"]),
    (
        "sorted-set",
        &["z1", "z2", "z3"],
        &["ZADD {k} ({x} {e})* ({x} {e})*", "ZADD {k} (0 {e})*"],
    ),
    (
        "hash",
        &["h1", "h2"],
        &[
            "HSET {k} ({f} {v})* ({f} {v})*",
            "HEXPIRE {k} {ttl} FIELDS 1 {f}",
        ],
    ),
    (
        "stream",
        &["x1", "x2"],
        &[
            "XADD {k} {id} {f} {v}",
            "XADD {k} {id} {f} {v}",
            "XGROUP CREATE {k} {grp} 0 MKSTREAM",
            "XREADGROUP GROUP {grp} {con} COUNT 2 STREAMS {k} >",
        ],
    ),
    (
        "hyperloglog",
        &["p1", "p2"],
        &["PFADD {k} {e}* {v}* {f}*", "SET {k} {v}"],
    ),
    ("geo", &["g1", "g2"], &["GEOADD {k} ({lon} {lat} {f})*"]),
    (
        "generic",
        &["s1", "l1", "t1", "h1", "z1", "x1"],
        &[
            "SET s1 {v}",
            "RPUSH l1 {i}* {n}*",
            "SADD t1 {e}*",
            "HSET h1 ({f} {v})*",
            "ZADD z1 ({x} {n})*",
            "XADD x1 {id} {f} {v}",
            "MSET (w{n} {x})*",
            "DEBUG RELOAD",
        ],
    ),
];

/// Groups of which only errors are compared.
const ADMINISTRATION: &[&str] = &["server", "connection", "scripting", "pubsub", "cluster"];

/// What trees do not say about administration.
const FILL_ADMINISTRATION: &[&str] = &[
    "? ACL SETUSER {user} {rule}* {rule}*",
    "? ACL DRYRUN {user} GET {k}",
    "ACL DRYRUN {user} (GET|SET|COPY|PING|ACL|CONFIG) {k} {k}",
    "ACL GETUSER {user}",
    "? FUNCTION LOAD [REPLACE|x] {library}",
    "FCALL (f1|f2) (0|1|-1|x) {k}",
    "EVAL {lua} (1|1|1|0|2|-1|x) {k} {v}",
    "EVAL_RO {lua} 1 {k}",
    "? CLIENT KILL (TYPE|ID|SKIPME|ADDR|LADDR|USER|MAXAGE|x) (x|9999999|replica)",
    "? CLIENT KILL 1.2.3.4:5",
    "? CONFIG SET (hz|nope|appendonly) (x|-1)",
    "CONFIG SET (hz) (10|x) [hz]",
    "? HELLO (1|4|x)",
    "? DEBUG (nope|JMAP) [x]",
    "? CLIENT (REPLY|TRACKING|KILL) [x]",
];

/// All families that the reference's trees give.
pub fn families(reference: &mut Conn) -> Vec<Family> {
    let docs = reference.cmd("COMMAND DOCS");
    let mut commands = Vec::new();
    for (name, told) in fields(&docs) {
        collect(&name, &told, &mut commands);
    }
    // They come in another order from every start of a server, which would make another script of the same seed.
    commands.sort_by(|a, b| a.name.cmp(&b.name));
    let mut all: Vec<Family> = GROUPS
        .iter()
        .map(|&(name, keys, fillers)| {
            let mut templates = of_groups(&commands, &[name], None);
            fill(&mut templates, fillers);
            Family {
                name,
                keys,
                templates,
            }
        })
        .collect();
    let mut templates = of_groups(&commands, ADMINISTRATION, Some(QUIET));
    fill(&mut templates, FILL_ADMINISTRATION);
    all.push(Family {
        name: "administration",
        keys: &["s1", "l1", "h1"],
        templates,
    });
    assert!(
        all.iter().all(|f| f.templates.len() > 3),
        "COMMAND DOCS told too little"
    );
    all
}

/// One command or subcommand of COMMAND DOCS.
struct Told {
    name: String,
    group: String,
    arguments: Reply,
}

fn of_groups(commands: &[Told], groups: &[&str], before: Option<&str>) -> Vec<Vec<Node>> {
    commands
        .iter()
        .filter(|c| groups.contains(&c.group.as_str()) && !SKIPPED.contains(&c.name.as_str()))
        .map(|c| {
            let words = before.into_iter().chain(c.name.split(' '));
            let mut nodes: Vec<Node> = words.map(|w| Node::Word(w.into())).collect();
            nodes.extend(sequence(&c.arguments, &c.name));
            nodes
        })
        .collect()
}

/// Adds fillers until they are about a quarter of all.
fn fill(templates: &mut Vec<Vec<Node>>, fillers: &[&str]) {
    for i in 0..(templates.len() / 3).max(fillers.len()) {
        templates.push(parse(fillers[i % fillers.len()]));
    }
}

fn collect(name: &str, told: &Reply, out: &mut Vec<Told>) {
    let subcommands = field(told, "subcommands");
    if let Some(subcommands) = subcommands {
        for (name, told) in fields(&subcommands) {
            collect(&name, &told, out);
        }
        return;
    }
    out.push(Told {
        name: name.to_uppercase().replace('|', " "),
        group: text(field(told, "group")),
        arguments: field(told, "arguments").unwrap_or(Reply::Array(None)),
    });
}

/// Names and values of a flattened map.
fn fields(reply: &Reply) -> Vec<(String, Reply)> {
    reply
        .items()
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| (text(Some(pair[0].clone())), pair[1].clone()))
        .collect()
}

fn field(reply: &Reply, name: &str) -> Option<Reply> {
    let found = fields(reply).into_iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value)
}

fn text(reply: Option<Reply>) -> String {
    let bytes = reply.as_ref().and_then(Reply::bytes).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// An argument as the tree tells it.
struct Argument {
    name: String,
    kind: String,
    token: Option<String>,
    optional: bool,
    multiple: bool,
    repeats_token: bool,
    inner: Reply,
}

impl Argument {
    fn of(told: &Reply) -> Argument {
        let flags = field(told, "flags");
        let flagged = |word: &str| {
            flags
                .as_ref()
                .and_then(Reply::items)
                .is_some_and(|f| f.iter().any(|f| f.bytes() == Some(word.as_bytes())))
        };
        Argument {
            name: text(field(told, "name")),
            kind: text(field(told, "type")),
            token: field(told, "token").map(|t| text(Some(t))),
            optional: flagged("optional"),
            multiple: flagged("multiple"),
            repeats_token: flagged("multiple_token"),
            inner: field(told, "arguments").unwrap_or(Reply::Array(None)),
        }
    }
}

fn sequence(arguments: &Reply, command: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut counted = false;
    for told in arguments.items().unwrap_or_default() {
        let argument = Argument::of(told);
        // It would wait.
        if argument.token.as_deref() == Some("BLOCK") {
            continue;
        }
        // A number of keys, fields or ids belongs to what follows.
        if argument.name.starts_with("num") && argument.kind == "integer" {
            counted = true;
            nodes.extend(argument.token.map(Node::Word));
            continue;
        }
        let mut one = alone(&argument, command);
        let wrapped = |inner| Node::OneOf(vec![inner], false);
        if std::mem::take(&mut counted) {
            one = vec![Node::Counted(Box::new(wrapped(one)))];
        } else if argument.multiple {
            one = vec![Node::Many(Box::new(wrapped(one)))];
        }
        if let Some(token) = &argument.token
            && !argument.repeats_token
            && argument.kind != "pure-token"
        {
            one.insert(0, Node::Word(token.clone()));
        }
        if argument.optional {
            nodes.push(Node::OneOf(vec![one], true));
        } else {
            nodes.extend(one);
        }
    }
    nodes
}

/// The argument once, without its token unless that is repeated.
fn alone(argument: &Argument, command: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    if argument.repeats_token || argument.kind == "pure-token" {
        nodes.extend(argument.token.clone().map(Node::Word));
    }
    match argument.kind.as_str() {
        "pure-token" => {}
        "block" => nodes.extend(sequence(&argument.inner, command)),
        "oneof" => {
            let choices = argument.inner.items().unwrap_or_default().iter();
            let choices: Vec<Vec<Node>> = choices
                .filter(|told| Argument::of(told).token.as_deref() != Some("*"))
                .map(|told| sequence(&Reply::Array(Some(vec![told.clone()])), command))
                .collect();
            nodes.push(Node::OneOf(choices, false));
        }
        kind => nodes.push(class(kind, &argument.name, command)),
    }
    nodes
}

/// What to put for an argument of this type and name.
fn class(kind: &str, name: &str, command: &str) -> Node {
    let stream = command.starts_with('X');
    let class = match (kind, name) {
        ("key", _) => "k",
        ("unix-time", _) if name.contains("milli") => "atms",
        ("unix-time", _) => "at",
        ("pattern", "by-pattern") | ("pattern", "get-pattern") => {
            return choice("w{star}|o{star}->f|#|{pat}");
        }
        ("pattern", _) => "pat",
        ("integer", "seconds") => return choice("{ttl}|{ttl}|0"),
        ("integer", "milliseconds") => return choice("{ms}|{ms}|-1"),
        ("integer", "cursor") => return choice("0|0|0|{i}"),
        ("integer", "min-idle-time" | "ms") | ("string", "min-idle-time") => {
            return choice("0|0|1000000");
        }
        ("integer", "offset") if command.contains("BIT") => "off",
        ("string", "offset") => return choice("{off}|#{n}"),
        ("integer", "bit") => "bit",
        ("integer", "count") => return choice("{pos}|{i}"),
        ("integer", "value") if command == "SETBIT" => "bit",
        ("integer", _) => "i",
        ("double", "longitude") => "lon",
        ("double", "latitude") => "lat",
        ("double", "radius" | "width" | "height") => "dist",
        ("double", "min" | "max") => "range",
        ("double", _) => "x",
        (_, "start" | "stop") if command.starts_with("ZRANGE") => {
            return choice("{i}|{i}|{range}|{lex}");
        }
        (_, "min" | "max") => return choice("{lex}|{range}|{i}"),
        (_, "encoding") => "type",
        (_, "group") => "grp",
        (_, "consumer") => "con",
        (_, "start") if stream => "from",
        (_, "end") if stream => "to",
        (_, "threshold") => return choice("{n}|{id}"),
        (_, "id" | "last-id" | "lastid" | "max-deleted-id") if stream => {
            return choice("{id}|{id}|$|>");
        }
        (_, "field" | "member1" | "member2") => "f",
        (_, "member") if command.starts_with("GEO") => "f",
        (_, "type") => return choice("string|list|hash|zset|set|stream|x"),
        (_, "username") => "user",
        (_, "rule") => "rule",
        (_, "script") => "lua",
        (_, "function-code") => "library",
        (_, "value") if command.starts_with('H') || !stream => "v",
        (_, _) => "e",
    };
    Node::Word(format!("{{{class}}}"))
}

fn choice(words: &str) -> Node {
    let choices = words.split('|').map(|w| vec![Node::Word(w.into())]);
    Node::OneOf(choices.collect(), false)
}
