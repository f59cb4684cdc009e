//! MEMORY: how much a key takes, where the memory goes, what the allocator says.
//!
//! The figures come from `server::memory_report`, the same that INFO shows; what a key takes from `Entry::mem_bytes`, which
//! counts the allocator's own size classes.

mod doctor;

use crate::exec::command::{Command, Group, KeySpec, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::server::memory_report::{DbOverhead, MemoryReport, difference, ratio};
use crate::sys::alloc;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&MEMORY];

/// The row of MEMORY.
pub static MEMORY: Command = Command {
    name: "memory",
    arity: -2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about memory.",
    subcommands: &[
        &MEMORY_DOCTOR,
        &MEMORY_HELP,
        &MEMORY_MALLOC_STATS,
        &MEMORY_PURGE,
        &MEMORY_STATS,
        &MEMORY_USAGE,
    ],
    ..Command::DEFAULT
};

/// The row of MEMORY USAGE.
pub static MEMORY_USAGE: Command = Command {
    name: "memory|usage",
    handler: memory_usage,
    arity: -3,
    flags: flags("readonly"),
    keys: &[KeySpec::at(2, "RO")],
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(N) where N is the number of samples.",
    summary: "Estimates the bytes a key takes.",
    args: "key@0 [SAMPLES count:int]",
    ..Command::DEFAULT
};

/// What a key costs in the keyspace's table, bytes: its slot, at the fill the table usually has (DESIGN 4: 11.1 to 12.3).
const TABLE_SHARE: usize = 12;
/// Elements looked at unless SAMPLES says otherwise.
const SAMPLES: usize = 5;

fn memory_usage(ctx: &mut Ctx<'_>) -> Outcome {
    let mut samples = SAMPLES;
    let mut i = 3;
    while i < ctx.args.len() {
        if !ctx.is(i, "samples") || i + 1 >= ctx.args.len() {
            return Err(Error::Syntax);
        }
        samples = match ctx.int(i + 1)? {
            0 => usize::MAX,
            n => usize::try_from(n).map_err(|_| Error::Syntax)?,
        };
        i += 2;
    }
    let key = ctx.key(2);
    let (mut db, mut reply, _) = ctx.parts();
    match db.peek(key).map(|e| e.mem_bytes(samples) + TABLE_SHARE) {
        Some(bytes) => reply.int(bytes as i64),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// The row of MEMORY STATS.
pub static MEMORY_STATS: Command = Command {
    name: "memory|stats",
    handler: memory_stats,
    arity: 2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Reports what memory is used for.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn memory_stats(ctx: &mut Ctx<'_>) -> Outcome {
    let m = MemoryReport::of(ctx.server, Some(ctx.client));
    let mut pairs = Pairs::new(ctx.reply());
    holders(&mut pairs, &m);
    m.dbs.iter().for_each(|db| pairs.db(db));
    totals(&mut pairs, &m);
    allocator(&mut pairs, &m);
    pairs.end();
    Ok(Flow::Done)
}

/// A map whose size shows only at its end.
struct Pairs<'a> {
    reply: Reply<'a>,
    begin: crate::resp::out::Mark,
    n: usize,
}

impl<'a> Pairs<'a> {
    fn new(mut reply: Reply<'a>) -> Self {
        let begin = reply.begin();
        Pairs { reply, begin, n: 0 }
    }

    fn name(&mut self, name: &str) {
        self.n += 1;
        self.reply.bulk(name.as_bytes());
    }

    fn int(&mut self, name: &str, value: usize) {
        self.signed(name, value as i64);
    }

    fn signed(&mut self, name: &str, value: i64) {
        self.name(name);
        self.reply.int(value);
    }

    /// Upstream computes these in single precision, and clients see that in the digits.
    fn double(&mut self, name: &str, value: f64) {
        self.name(name);
        self.reply.double(f64::from(value as f32));
    }

    fn db(&mut self, db: &DbOverhead) {
        self.name(&format!("db.{}", db.id));
        self.reply.map(2);
        self.reply.bulk(b"overhead.hashtable.main");
        self.reply.int(db.main as i64);
        self.reply.bulk(b"overhead.hashtable.expires");
        self.reply.int(db.expires as i64);
    }

    fn end(mut self) {
        self.reply.end_map(self.begin, self.n);
    }
}

fn holders(p: &mut Pairs<'_>, m: &MemoryReport) {
    p.int("peak.allocated", m.peak);
    p.int("total.allocated", m.used);
    p.int("startup.allocated", m.startup);
    p.int("replication.backlog", m.backlog);
    p.int("replica.fullsync.buffer", 0);
    p.int("clients.slaves", m.replicas);
    p.int("clients.normal", m.clients);
    p.int("cluster.links", 0);
    p.int("aof.buffer", m.aof_buffer);
    p.int("lua.caches", m.script_caches.0);
    p.int("functions.caches", m.script_caches.1);
    p.int("script.VMs", m.script_vms);
}

fn totals(p: &mut Pairs<'_>, m: &MemoryReport) {
    p.int("overhead.db.hashtable.lut", m.tables());
    p.int("overhead.db.hashtable.rehashing", 0);
    p.int("overhead.total", m.overhead());
    p.int("db.dict.rehashing.count", 0);
    p.int("keys.count", m.keys);
    p.int(
        "keys.bytes-per-key",
        m.net().checked_div(m.keys).unwrap_or(0),
    );
    p.int("dataset.bytes", m.dataset());
    p.double("dataset.percentage", m.dataset_percent());
    p.double("peak.percentage", m.peak_percent());
}

fn allocator(p: &mut Pairs<'_>, m: &MemoryReport) {
    let je = &m.allocator;
    p.int("allocator.allocated", je.allocated);
    p.int("allocator.active", je.active);
    p.int("allocator.resident", je.resident);
    p.int("allocator.muzzy", je.muzzy);
    let mut pair = |ratio_name: &str, bytes_name: &str, a: usize, b: usize| {
        p.double(ratio_name, ratio(a, b));
        p.signed(bytes_name, difference(a, b));
    };
    pair(
        "allocator-fragmentation.ratio",
        "allocator-fragmentation.bytes",
        je.active,
        je.allocated,
    );
    pair(
        "allocator-rss.ratio",
        "allocator-rss.bytes",
        je.resident,
        je.active,
    );
    pair(
        "rss-overhead.ratio",
        "rss-overhead.bytes",
        m.rss,
        je.resident,
    );
    pair("fragmentation", "fragmentation.bytes", m.rss, m.used);
}

/// The row of MEMORY DOCTOR.
pub static MEMORY_DOCTOR: Command = Command {
    name: "memory|doctor",
    handler: memory_doctor,
    arity: 2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Judges the use of memory in words.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn memory_doctor(ctx: &mut Ctx<'_>) -> Outcome {
    let m = MemoryReport::of(ctx.server, Some(ctx.client));
    let text = doctor::report(&m, &doctor::Counts::of(ctx.server));
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// The row of MEMORY MALLOC-STATS.
pub static MEMORY_MALLOC_STATS: Command = Command {
    name: "memory|malloc-stats",
    handler: memory_malloc_stats,
    arity: 2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on how much memory is allocated, could be slow",
    summary: "Reports what the allocator knows.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn memory_malloc_stats(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().verbatim("txt", &alloc::report());
    Ok(Flow::Done)
}

/// The row of MEMORY PURGE.
pub static MEMORY_PURGE: Command = Command {
    name: "memory|purge",
    handler: memory_purge,
    arity: 2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on how much memory is allocated, could be slow",
    summary: "Asks the allocator to give memory back.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    ..Command::DEFAULT
};

fn memory_purge(ctx: &mut Ctx<'_>) -> Outcome {
    if !alloc::purge() {
        return Err(Error::new("ERR Error purging dirty pages"));
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of MEMORY HELP.
pub static MEMORY_HELP: Command = Command {
    name: "memory|help",
    handler: memory_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Shows what MEMORY can do.",
    ..Command::DEFAULT
};

fn memory_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Judge the use of memory in words.",
        "MALLOC-STATS",
        "    Show what the allocator knows about itself.",
        "PURGE",
        "    Give unused pages back to the system.",
        "STATS",
        "    Show what memory is used for.",
        "USAGE <key> [SAMPLES <count>]",
        "    Tell how many bytes <key> takes with its value. Of a collection <count> elements",
        "    are looked at and the others taken to be alike (default 5, 0 for all).",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
