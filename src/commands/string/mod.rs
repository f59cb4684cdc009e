//! Strings: GET, SET and their kin.
//!
//! A row, then its function. Options of SET and GETEX are parsed by `options`, counters live in `counter`, ranges in `range`.
pub mod counter;
pub mod lcs;
pub mod options;
pub mod range;

use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, key_funcs};
use crate::keyspace::{Key, NewStr, StrRef};
use crate::resp::args::BIG_ARG;
use crate::resp::out::SHARE_FROM;
use crate::resp::{Error, OwnedArgs, Reply};
use options::{Expiry, SetOptions};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &GET,
    &SET,
    &SETNX,
    &SETEX,
    &PSETEX,
    &GETSET,
    &GETDEL,
    &GETEX,
    &MGET,
    &MSET,
    &MSETNX,
    &counter::INCR,
    &counter::DECR,
    &counter::INCRBY,
    &counter::DECRBY,
    &counter::INCRBYFLOAT,
    &lcs::LCS,
    &range::APPEND,
    &range::STRLEN,
    &range::SETRANGE,
    &range::GETRANGE,
    &range::SUBSTR,
];

/// The row of GET.
pub static GET: Command = Command {
    name: "get",
    handler: get,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Reads the string held by a key.",
    args: "key@0",
    ..Command::DEFAULT
};

fn get(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_str(key)? {
        Some(e) => reply_str(&mut reply, e.str()),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// Replies a string value, a big one by reference.
pub fn reply_str(reply: &mut Reply<'_>, value: Option<StrRef<'_>>) {
    match value {
        Some(StrRef::Bytes(b)) => reply.bulk(b),
        Some(StrRef::Int(i)) => reply.bulk_int(i),
        Some(StrRef::Shared(a)) if a.len() >= SHARE_FROM => reply.bulk_shared(&a.to_arc()),
        Some(StrRef::Shared(a)) => reply.bulk(&a),
        None => reply.null(),
    }
}

/// Argument `i` as a value to store: a big one is taken over without a copy.
pub fn new_value<'a>(ctx: &Ctx<'a>, i: usize) -> NewStr<'a> {
    match ctx.args.shared(i) {
        Some(a) if a.len() >= BIG_ARG => NewStr::Share(a.clone()),
        _ => NewStr::Copy(ctx.arg(i)),
    }
}

/// The row of SET.
pub static SET: Command = Command {
    name: "set",
    handler: set,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update variable_flags")
        .notes("RW and ACCESS due to the optional `GET` argument")],
    key_func: Some(key_funcs::set),
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Stores a string under a key, whatever the key held before.",
    args: "key@0 value [condition(NX | XX)]{2.6.12} [GET]{6.2.0} [expiration(EX \
        seconds:int{2.6.12} | PX milliseconds:int{2.6.12} | EXAT \
        unix-time-seconds:unix-time{6.2.0} | PXAT unix-time-milliseconds:unix-time{6.2.0} \
        | KEEPTTL{6.0.0})]",
    ..Command::DEFAULT
};

fn set(ctx: &mut Ctx<'_>) -> Outcome {
    let o = if ctx.args.len() == 3 {
        SetOptions::default()
    } else {
        SetOptions::parse(ctx)?
    };
    set_with(ctx, 2, &o)
}

/// SET and its short forms: stores argument `value_at` under argument 1.
fn set_with(ctx: &mut Ctx<'_>, value_at: usize, o: &SetOptions) -> Outcome {
    let key = ctx.key(1);
    let value = new_value(ctx, value_at);
    let (mut db, mut reply, _) = ctx.parts();
    let mark = reply.begin();
    if o.get {
        match db.read_str(key)? {
            Some(e) => reply_str(&mut reply, e.str()),
            None => reply.null(),
        }
    }
    if !o.condition.holds(&mut db, key)? {
        if !o.get {
            reply.null();
        }
        return Ok(Flow::Done);
    }
    let expire = match o.expiry {
        Expiry::None => None,
        Expiry::Keep => db.peek(key).and_then(|e| e.expire()),
        Expiry::At(at) => Some(at),
        Expiry::Persist => None,
    };
    // A time in the past is stored as any other: the key is gone when it is next looked at.
    db.set_str(key, &value, expire);
    db.modified(key.bytes, N::STRING, "set", 1);
    if matches!(o.expiry, Expiry::At(_)) {
        db.event(N::GENERIC, "expire", key.bytes);
    }
    if !o.get {
        reply.rewind(mark);
        reply.ok();
    }
    propagate_set(ctx, value_at, o);
    Ok(Flow::Done)
}

/// Relative times are propagated as absolute ones, GET and conditions are dropped: they were decided here.
fn propagate_set(ctx: &mut Ctx<'_>, value_at: usize, o: &SetOptions) {
    let plain = value_at == 2 && !o.get && matches!(o.expiry, Expiry::None | Expiry::Keep);
    if !ctx.propagates() || plain {
        return;
    }
    let mut a = OwnedArgs::from_iter([b"SET".as_slice(), ctx.arg(1), ctx.arg(value_at)]);
    match o.expiry {
        Expiry::At(at) => {
            a.push(b"PXAT");
            a.push_int(at);
        }
        Expiry::Keep => a.push(b"KEEPTTL"),
        _ => {}
    }
    ctx.propagate_as(vec![a]);
}

/// The row of SETNX.
pub static SETNX: Command = Command {
    name: "setnx",
    handler: setnx,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "OW insert")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Stores a string only if the key is free.",
    deprecated_since: "2.6.12",
    replaced_by: "`SET` with the `NX` argument",
    args: "key@0 value",
    ..Command::DEFAULT
};

fn setnx(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, value) = (ctx.key(1), new_value(ctx, 2));
    let (mut db, mut reply, _) = ctx.parts();
    let absent = !db.exists(key);
    if absent {
        db.set_str(key, &value, None);
        db.modified(key.bytes, N::STRING, "set", 1);
    }
    reply.int(i64::from(absent));
    Ok(Flow::Done)
}

/// The row of SETEX.
pub static SETEX: Command = Command {
    name: "setex",
    handler: setex,
    arity: 4,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "OW update")],
    group: Group::String,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Stores a string that expires after so many seconds.",
    deprecated_since: "2.6.12",
    replaced_by: "`SET` with the `EX` argument",
    args: "key@0 seconds:int value",
    ..Command::DEFAULT
};

fn setex(ctx: &mut Ctx<'_>) -> Outcome {
    let expiry = Expiry::At(options::expire_at(ctx, 2, 1000, false)?);
    set_with(
        ctx,
        3,
        &SetOptions {
            expiry,
            ..SetOptions::default()
        },
    )
}

/// The row of PSETEX.
pub static PSETEX: Command = Command {
    name: "psetex",
    handler: psetex,
    arity: 4,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "OW update")],
    group: Group::String,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Stores a string that expires after so many milliseconds.",
    deprecated_since: "2.6.12",
    replaced_by: "`SET` with the `PX` argument",
    args: "key@0 milliseconds:int value",
    ..Command::DEFAULT
};

fn psetex(ctx: &mut Ctx<'_>) -> Outcome {
    let expiry = Expiry::At(options::expire_at(ctx, 2, 1, false)?);
    set_with(
        ctx,
        3,
        &SetOptions {
            expiry,
            ..SetOptions::default()
        },
    )
}

/// The row of GETSET.
pub static GETSET: Command = Command {
    name: "getset",
    handler: getset,
    arity: 3,
    flags: flags("write denyoom fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Swaps the string of a key for a new one and replies with the old.",
    deprecated_since: "6.2.0",
    replaced_by: "`SET` with the `!GET` argument",
    args: "key@0 value",
    ..Command::DEFAULT
};

fn getset(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, value) = (ctx.key(1), new_value(ctx, 2));
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_str(key)? {
        Some(e) => reply_str(&mut reply, e.str()),
        None => reply.null(),
    }
    db.set_str(key, &value, None);
    db.modified(key.bytes, N::STRING, "set", 1);
    if ctx.propagates() {
        ctx.propagate_as(vec![OwnedArgs::from_iter([
            b"SET".as_slice(),
            ctx.arg(1),
            ctx.arg(2),
        ])]);
    }
    Ok(Flow::Done)
}

/// The row of GETDEL.
pub static GETDEL: Command = Command {
    name: "getdel",
    handler: getdel,
    arity: 2,
    flags: flags("write fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::String,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Reads a string and removes its key in one step.",
    args: "key@0",
    ..Command::DEFAULT
};

fn getdel(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_str(key)? {
        Some(e) => reply_str(&mut reply, e.str()),
        None => {
            reply.null();
            return Ok(Flow::Done);
        }
    }
    db.delete(key, db.config.lazyfree_lazy_server_del);
    db.modified(key.bytes, N::GENERIC, "del", 1);
    if ctx.propagates() {
        ctx.propagate_as(vec![OwnedArgs::from_iter([b"DEL".as_slice(), ctx.arg(1)])]);
    }
    Ok(Flow::Done)
}

/// The row of GETEX.
pub static GETEX: Command = Command {
    name: "getex",
    handler: getex,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RW access update").notes("RW and UPDATE because it changes the TTL")],
    group: Group::String,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Reads a string and sets or clears the expiry of its key.",
    args: "key@0 [expiration(EX seconds:int | PX milliseconds:int | EXAT \
        unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)]",
    ..Command::DEFAULT
};

fn getex(ctx: &mut Ctx<'_>) -> Outcome {
    let expiry = options::parse_getex(ctx)?;
    let (key, now) = (ctx.key(1), ctx.now_ms());
    let (mut db, mut reply, _) = ctx.parts();
    let (expiry, had_expire) = match db.read_str(key)? {
        Some(e) => {
            let expiry = expiry?;
            reply_str(&mut reply, e.str());
            (expiry, e.expire().is_some())
        }
        None => {
            reply.null();
            return Ok(Flow::Done);
        }
    };
    match expiry {
        Expiry::At(at) if at <= now && db.deletes_expired() => {
            let lazy = db.config.lazyfree_lazy_expire;
            db.delete(key, lazy);
            db.modified(key.bytes, N::GENERIC, "del", 1);
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            ctx.propagate_as(vec![OwnedArgs::from_iter([verb, ctx.arg(1)])]);
        }
        Expiry::At(at) => {
            db.set_expire(key, Some(at));
            db.modified(key.bytes, N::GENERIC, "expire", 1);
            let mut a = OwnedArgs::from_iter([b"PEXPIREAT".as_slice(), ctx.arg(1)]);
            a.push_int(at);
            ctx.propagate_as(vec![a]);
        }
        Expiry::Persist if had_expire => {
            db.set_expire(key, None);
            db.modified(key.bytes, N::GENERIC, "persist", 1);
            ctx.propagate_as(vec![OwnedArgs::from_iter([
                b"PERSIST".as_slice(),
                ctx.arg(1),
            ])]);
        }
        _ => {}
    }
    Ok(Flow::Done)
}

/// The row of MGET.
pub static MGET: Command = Command {
    name: "mget",
    handler: mget,
    arity: -2,
    flags: flags("readonly fast"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO access").range(-1, 1, 0)],
    group: Group::String,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys to retrieve.",
    summary: "Reads the strings of many keys at once.",
    tips: &["request_policy:multi_shard"],
    args: "key@0...",
    ..Command::DEFAULT
};

fn mget(ctx: &mut Ctx<'_>) -> Outcome {
    let args = ctx.args;
    let (mut db, mut reply, _) = ctx.parts();
    reply.array(args.len() - 1);
    // Keys are hashed a batch ahead so that the cache misses of their lookups overlap.
    let mut keys = [Key {
        bytes: b"",
        hash: 0,
    }; PREFETCH];
    for start in (1..args.len()).step_by(PREFETCH) {
        let n = PREFETCH.min(args.len() - start);
        for (i, k) in keys[..n].iter_mut().enumerate() {
            *k = Key::new(args.at(start + i));
        }
        db.prefetch(&keys[..n]);
        for k in &keys[..n] {
            match db.read(*k) {
                Some(e) => reply_str(&mut reply, e.str()),
                None => reply.null(),
            }
        }
    }
    Ok(Flow::Done)
}

/// Keys looked up at once by commands of many keys.
pub const PREFETCH: usize = 16;

/// The row of MSET.
pub static MSET: Command = Command {
    name: "mset",
    handler: mset,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "OW update").range(-1, 2, 0)],
    group: Group::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys to set.",
    summary: "Stores strings under many keys at once.",
    tips: &[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ],
    args: "data(key@0 value)...",
    ..Command::DEFAULT
};

fn mset(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len().is_multiple_of(2) {
        return Err(wrong_pairs("mset"));
    }
    set_pairs(ctx);
    ctx.reply().ok();
    Ok(Flow::Done)
}

fn wrong_pairs(name: &str) -> Error {
    Error::text(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

fn set_pairs(ctx: &mut Ctx<'_>) {
    let args = ctx.args;
    let mut keys = [Key {
        bytes: b"",
        hash: 0,
    }; PREFETCH];
    for start in (1..args.len()).step_by(2 * PREFETCH) {
        let n = PREFETCH.min((args.len() - start) / 2);
        for (i, k) in keys[..n].iter_mut().enumerate() {
            *k = Key::new(args.at(start + 2 * i));
        }
        ctx.db().prefetch(&keys[..n]);
        for (i, k) in keys[..n].iter().enumerate() {
            let value = new_value(ctx, start + 2 * i + 1);
            let mut db = ctx.db();
            db.set_str(*k, &value, None);
            db.modified(k.bytes, N::STRING, "set", 1);
        }
    }
}

/// The row of MSETNX.
pub static MSETNX: Command = Command {
    name: "msetnx",
    handler: msetnx,
    arity: -3,
    flags: flags("write denyoom"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "OW insert").range(-1, 2, 0)],
    group: Group::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys to set.",
    summary: "Stores strings under many keys, but only if none of the keys is taken.",
    args: "data(key@0 value)...",
    ..Command::DEFAULT
};

fn msetnx(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len().is_multiple_of(2) {
        return Err(wrong_pairs("msetnx"));
    }
    let args = ctx.args;
    let mut db = ctx.db();
    let any = (1..args.len())
        .step_by(2)
        .any(|i| db.exists(Key::new(args.at(i))));
    if !any {
        set_pairs(ctx);
    }
    ctx.reply().int(i64::from(!any));
    Ok(Flow::Done)
}
