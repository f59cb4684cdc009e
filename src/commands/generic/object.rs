//! What a key holds: TYPE and OBJECT.

use crate::config::Config;
use crate::ds::table::Item;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{Encoding, Entry, Type, lru};
use crate::resp::{Error, Reply};

/// The row of TYPE.
pub static TYPE: Command = Command {
    name: "type",
    handler: type_,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO")],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells the type of a key's value.",
    args: "key@0",
    ..Command::DEFAULT
};

fn type_(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    reply.simple(db.look(key).map_or("none", |e| e.ty().name()));
    Ok(Flow::Done)
}

/// The row of OBJECT.
pub static OBJECT: Command = Command {
    name: "object",
    arity: -2,
    since: "2.2.3",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that look inside a value.",
    subcommands: &[
        &OBJECT_ENCODING,
        &OBJECT_FREQ,
        &OBJECT_HELP,
        &OBJECT_IDLETIME,
        &OBJECT_REFCOUNT,
    ],
    ..Command::DEFAULT
};

/// The row of OBJECT HELP.
pub static OBJECT_HELP: Command = Command {
    name: "object|help",
    handler: object_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("keyspace"),
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Shows what OBJECT can do.",
    ..Command::DEFAULT
};

fn object_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Tell in which representation the value of <key> is held.",
        "FREQ <key>",
        "    Tell how often <key> was used lately, on the logarithmic LFU scale.",
        "    Works under an LFU eviction policy only.",
        "IDLETIME <key>",
        "    Tell for how many seconds nobody used <key>.",
        "REFCOUNT <key>",
        "    Tell how many references there are to the value of <key>.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

/// Replies what `tell` says of the key at argument 2, or null when it is not there. Counts as a lookup, touches nothing, and
/// a missing key is no `keymiss` event.
fn inspect(
    ctx: &mut Ctx<'_>,
    tell: impl FnOnce(&Entry, i64, &mut Reply<'_>, &crate::config::Config) -> Result<(), Error>,
) -> Outcome {
    let (key, now) = (ctx.key(2), ctx.now_ms());
    let (mut db, mut reply, config) = ctx.parts();
    if !db.exists(key) {
        db.stats.misses += 1;
        reply.null();
    } else if let Some(e) = db.look(key) {
        tell(&e, now, &mut reply, config)?;
    }
    Ok(Flow::Done)
}

/// The row of OBJECT ENCODING.
pub static OBJECT_ENCODING: Command = Command {
    name: "object|encoding",
    handler: object_encoding,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(2, "RO")],
    since: "2.2.3",
    complexity: "O(1)",
    summary: "Tells how a value is stored.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn object_encoding(ctx: &mut Ctx<'_>) -> Outcome {
    inspect(ctx, |e, _, reply, config| {
        reply.bulk(reported_encoding(e, config).as_bytes());
        Ok(())
    })
}

/// The row of OBJECT FREQ.
pub static OBJECT_FREQ: Command = Command {
    name: "object|freq",
    handler: object_freq,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(2, "RO")],
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Tells how often a key is used, in the LFU scale.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn object_freq(ctx: &mut Ctx<'_>) -> Outcome {
    inspect(ctx, |e, now, reply, config| {
        if !config.maxmemory_policy.is_lfu() {
            return Err(Error::new(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        let decay = u64::from(config.lfu_decay_time);
        reply.int(lru::lfu_counter(e.clock(), now, decay).into());
        Ok(())
    })
}

/// The row of OBJECT IDLETIME.
pub static OBJECT_IDLETIME: Command = Command {
    name: "object|idletime",
    handler: object_idletime,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(2, "RO")],
    since: "2.2.3",
    complexity: "O(1)",
    summary: "Tells for how many seconds a key was not touched.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn object_idletime(ctx: &mut Ctx<'_>) -> Outcome {
    inspect(ctx, |e, now, reply, config| {
        if config.maxmemory_policy.is_lfu() {
            return Err(Error::new(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        reply.int(lru::idle_seconds(e.clock(), now) as i64);
        Ok(())
    })
}

/// The row of OBJECT REFCOUNT.
pub static OBJECT_REFCOUNT: Command = Command {
    name: "object|refcount",
    handler: object_refcount,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(2, "RO")],
    since: "2.2.3",
    complexity: "O(1)",
    summary: "Tells how many references a value has.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn object_refcount(ctx: &mut Ctx<'_>) -> Outcome {
    // A value belongs to its key alone.
    inspect(ctx, |_, _, reply, _| {
        reply.int(1);
        Ok(())
    })
}

/// The encoding under the name that the release named by `redis-compat-version` has for it: before 7.2 a small list was a
/// quicklist of one node, and a small set of texts a hash table.
pub fn reported_encoding(e: &Entry, config: &Config) -> &'static str {
    let name = e.encoding().name();
    if e.encoding() == Encoding::Embstr && !config.compat_before(8, 0) && !embedded(e) {
        return Encoding::Raw.name();
    }
    if e.encoding() != Encoding::Listpack || !config.compat_before(7, 2) {
        return name;
    }
    match e.ty() {
        Type::List => "quicklist",
        Type::Set => "hashtable",
        _ => name,
    }
}

/// Whether 8.2 would keep a short string in one block with its key: it does as long as both fit into a cache line.
fn embedded(e: &Entry) -> bool {
    let room = if e.expire().is_some() { 33 } else { 41 };
    let mut digits = itoa::Buffer::new();
    let len = e.str().map_or(0, |s| s.bytes(&mut digits).len());
    e.key().len() + len <= room
}
