//! Keys not by name: DBSIZE, RANDOMKEY, KEYS, SCAN.

use crate::commands::scan::{ScanOf, ScanOptions};
use crate::ds::glob;
use crate::ds::table::Item;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key};

/// The row of DBSIZE.
pub static DBSIZE: Command = Command {
    name: "dbsize",
    handler: dbsize,
    arity: 1,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Counts the keys of the database.",
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    ..Command::DEFAULT
};

fn dbsize(ctx: &mut Ctx<'_>) -> Outcome {
    let n = ctx.db().db.len();
    ctx.reply().int(n as i64);
    Ok(Flow::Done)
}

/// Draws after which RANDOMKEY settles for an expired key that is not ours to delete.
const MAX_DRAWS: usize = 100;

/// The row of RANDOMKEY.
pub static RANDOMKEY: Command = Command {
    name: "randomkey",
    handler: randomkey,
    arity: 1,
    flags: flags("readonly touches_arbitrary_keys"),
    acl: acl("keyspace"),
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Picks a key at random.",
    tips: &[
        "request_policy:all_shards",
        "response_policy:special",
        "nondeterministic_output",
    ],
    ..Command::DEFAULT
};

fn randomkey(ctx: &mut Ctx<'_>) -> Outcome {
    let (mut db, mut reply, _) = ctx.parts();
    match random_live(&mut db) {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// A random key; expired ones met on the way are deleted.
fn random_live(db: &mut DbView<'_>) -> Option<Vec<u8>> {
    let mut draws = 0;
    loop {
        let e = db.db.keys.random(db.rng)?;
        let (expired, key) = (db.is_expired(&e), e.key().to_vec());
        draws += 1;
        if !expired || !db.deletes_expired() && draws >= MAX_DRAWS {
            return Some(key);
        }
        if db.deletes_expired() {
            db.delete_expired(Key::new(&key));
        }
    }
}

/// The row of KEYS.
pub static KEYS: Command = Command {
    name: "keys",
    handler: keys,
    arity: 2,
    flags: flags("readonly touches_arbitrary_keys"),
    acl: acl("keyspace dangerous"),
    since: "1.0.0",
    complexity: "O(N) with N being the number of keys in the database, under the assumption \
        that the key names in the database and the given pattern have limited length.",
    summary: "Lists every key that matches a pattern.",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    args: "pattern:pattern",
    ..Command::DEFAULT
};

fn keys(ctx: &mut Ctx<'_>) -> Outcome {
    let pattern = ctx.arg(1);
    let (db, mut reply, _) = ctx.parts();
    let all = pattern == b"*";
    let (mark, mut n) = (reply.begin(), 0);
    for e in &db.db.keys {
        if (all || glob::matches(pattern, e.key(), false)) && !db.is_expired(&e) {
            reply.bulk(e.key());
            n += 1;
        }
    }
    reply.end_array(mark, n);
    Ok(Flow::Done)
}

/// The row of SCAN.
pub static SCAN: Command = Command {
    name: "scan",
    handler: scan,
    arity: -2,
    flags: flags("readonly touches_arbitrary_keys"),
    acl: acl("keyspace"),
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
        calls for the cursor to return back to 0. N is the number of elements inside the \
        collection.",
    summary: "Walks through the keys of the database bit by bit.",
    tips: &[
        "nondeterministic_output",
        "request_policy:special",
        "response_policy:special",
    ],
    args: "cursor:int [MATCH pattern:pattern] [COUNT count:int] [TYPE type]{6.0.0}",
    ..Command::DEFAULT
};

fn scan(ctx: &mut Ctx<'_>) -> Outcome {
    let o = ScanOptions::parse(ctx, 1, ScanOf::Keys)?;
    let (mut db, mut reply, _) = ctx.parts();
    let (mark, mut n, mut expired) = (reply.begin(), 0, Vec::new());
    let next = db.db.keys.scan(o.cursor, o.count, &mut |e: &Entry| {
        let wanted = o.wants(e.key()) && o.wants_type(e.ty());
        if wanted && db.is_expired(e) {
            expired.push(e.key().to_vec());
        } else if wanted {
            reply.bulk(e.key());
            n += 1;
        }
    });
    reply.end_scan(mark, next, n);
    if db.deletes_expired() {
        expired.iter().for_each(|k| db.delete_expired(Key::new(k)));
    }
    Ok(Flow::Done)
}
