//! Fields read or written together with their times, or read and removed: HGETEX, HSETEX, HGETDEL.

use super::expire::fields_deleted;
use super::field_args::{self, BAD_COUNT};
use super::{alive, limits, reply_element, set_pairs};
use crate::config::values::NotifyFlags as N;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key, Type};
use crate::resp::{Args, Error, OwnedArgs};
use crate::types::hash::{FieldTtl, Hash};

fn check_type(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<(), Error> {
    match ctx.db().write(key) {
        Some(e) if e.ty() != Type::Hash => Err(Error::WrongType),
        _ => Ok(()),
    }
}

fn hdels<'a>(key: Key<'_>, fields: impl Iterator<Item = &'a [u8]>) -> Vec<OwnedArgs> {
    fields
        .map(|name| OwnedArgs::from_iter([b"HDEL", key.bytes, name]))
        .collect()
}

/// The row of HGETDEL.
pub static HGETDEL: Command = Command {
    name: "hgetdel",
    handler: hgetdel,
    arity: -5,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Reads fields of a hash and removes them.",
    args: "key@0 FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hgetdel(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    check_type(ctx, key)?;
    let fields = field_args::fields(ctx, 2, BAD_COUNT)?;
    let (mut db, mut reply, _) = ctx.parts();
    db.remove_expired(key, fields.iter());
    let due = db.fields_due();
    reply.array(fields.len());
    let mut n = 0;
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        for name in fields.iter() {
            match hash.get(name).filter(|f| alive(f, due)) {
                Some(f) => {
                    reply_element(&mut reply, f.value);
                    hash.remove(name);
                    n += 1;
                }
                None => reply.null(),
            }
        }
    } else {
        (0..fields.len()).for_each(|_| reply.null());
    }
    if n > 0 {
        fields_deleted(&mut db, key, n);
        if ctx.propagates() {
            let words = [b"HDEL".as_slice(), key.bytes].into_iter();
            ctx.propagate_as(vec![OwnedArgs::from_iter(words.chain(fields.iter()))]);
        }
    }
    Ok(Flow::Done)
}

/// What HGETEX does to the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewTime {
    Same,
    Persist,
    At(i64),
}

/// The row of HGETEX.
pub static HGETEX: Command = Command {
    name: "hgetex",
    handler: hgetex,
    arity: -5,
    flags: flags("write fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW access update").notes("RW and UPDATE because it changes the TTL")],
    group: Group::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Reads fields of a hash and sets or clears their expiry.",
    args: "key@0 [expiration(EX seconds:int | PX milliseconds:int | EXAT \
        unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)] \
        FIELDS fields(numfields:int field...)",
    ..Command::DEFAULT
};

fn hgetex(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    check_type(ctx, key)?;
    let timed = field_args::time_word(ctx, 2).is_some();
    if timed && ctx.args.len() < 6 {
        return Err(Error::new(
            "ERR wrong number of arguments for 'hgetex' command",
        ));
    }
    let (time, first) = match field_args::time_word(ctx, 2) {
        Some((unit, absolute)) => (NewTime::At(field_args::time(ctx, 3, unit, absolute)?), 4),
        None if ctx.is(2, "PERSIST") => (NewTime::Persist, 3),
        None => (NewTime::Same, 2),
    };
    let fields = field_args::fields(ctx, first, BAD_COUNT)?;
    let (mut db, mut reply, _) = ctx.parts();
    db.remove_expired(key, fields.iter());
    let (due, past) = (db.fields_due(), passed(&db, time));
    reply.array(fields.len());
    let mut changed = Vec::new();
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        if time != NewTime::Same {
            // Even if no field turns out to be there, as upstream.
            hash.make_expirable();
        }
        for name in fields.iter() {
            let Some(f) = hash.get(name).filter(|f| alive(f, due)) else {
                reply.null();
                continue;
            };
            reply_element(&mut reply, f.value);
            let had_time = f.expire_ms.is_some();
            let changes = match time {
                NewTime::Same => false,
                NewTime::Persist => had_time && hash.set_expire(name, None),
                NewTime::At(_) if past => hash.remove(name),
                NewTime::At(at) => hash.set_expire(name, Some(at)),
            };
            if changes {
                changed.push(name);
            }
        }
    } else {
        (0..fields.len()).for_each(|_| reply.null());
    }
    if !changed.is_empty() {
        record_getex(ctx, key, time, past, fields, &changed);
    }
    Ok(Flow::Done)
}

fn passed(db: &DbView<'_>, time: NewTime) -> bool {
    matches!(time, NewTime::At(at) if at <= db.now_ms && db.deletes_expired())
}

fn record_getex(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    time: NewTime,
    past: bool,
    fields: Args<'_>,
    changed: &[&[u8]],
) {
    let (mut db, n) = (ctx.db(), changed.len());
    let mut words = OwnedArgs::new();
    match time {
        NewTime::Same => return,
        NewTime::Persist => {
            db.modified(key.bytes, N::HASH, "hpersist", n as i64);
            words.push(b"HPERSIST");
            words.push(key.bytes);
        }
        NewTime::At(_) if past => {
            fields_deleted(&mut db, key, n);
            if ctx.propagates() {
                ctx.propagate_as(hdels(key, changed.iter().copied()));
            }
            return;
        }
        NewTime::At(at) => {
            db.note_field_times(key);
            db.modified(key.bytes, N::HASH, "hexpire", n as i64);
            words.push(b"HPEXPIREAT");
            words.push(key.bytes);
            words.push_int(at);
        }
    }
    if ctx.propagates() {
        words.push(b"FIELDS");
        words.push_int(fields.len() as i64);
        fields.iter().for_each(|name| words.push(name));
        ctx.propagate_as(vec![words]);
    }
}

/// The arguments of HSETEX.
struct SetEx<'a> {
    /// FNX (false) or FXX (true): whether all the fields must be missing or there.
    must_exist: Option<bool>,
    ttl: FieldTtl,
    /// Where the time stands among the arguments.
    time_at: Option<usize>,
    pairs: Args<'a>,
}

impl<'a> SetEx<'a> {
    fn parse(ctx: &Ctx<'a>) -> Result<Self, Error> {
        let arity = || Error::new("ERR wrong number of arguments for 'hsetex' command");
        let (mut must_exist, mut ttl, mut time_at) = (None, None, None);
        let mut i = 2;
        while i < ctx.args.len() {
            let time_word = field_args::time_word(ctx, i);
            if ctx.is(i, "FIELDS") {
                if i + 1 == ctx.args.len() {
                    return Err(arity());
                }
                let count = ctx.args.get(i + 1).and_then(crate::ds::numtext::parse_i64);
                let Some(n) = count.filter(|n| (1..=i64::from(i32::MAX)).contains(n)) else {
                    return Err(Error::new("ERR invalid number of fields"));
                };
                let pairs = ctx.args.from(i + 2);
                if pairs.len() as i64 != 2 * n {
                    return Err(arity());
                }
                return Ok(SetEx {
                    must_exist,
                    ttl: ttl.unwrap_or(FieldTtl::Clear),
                    time_at,
                    pairs,
                });
            } else if ctx.is(i, "FNX") || ctx.is(i, "FXX") {
                if must_exist.is_some() {
                    return Err(Error::new(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                must_exist = Some(ctx.is(i, "FXX"));
            } else if ctx.is(i, "KEEPTTL") || time_word.is_some() {
                if ttl.is_some() {
                    return Err(Error::new(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                ttl = Some(match time_word {
                    None => FieldTtl::Keep,
                    Some(_) if i + 1 == ctx.args.len() => return Err(arity()),
                    Some((unit, absolute)) => {
                        i += 1;
                        time_at = Some(i);
                        FieldTtl::At(field_args::time(ctx, i, unit, absolute)?)
                    }
                });
            } else {
                return Err(Error::Bytes(
                    [b"ERR unknown argument: ", ctx.arg(i)].concat(),
                ));
            }
            i += 1;
        }
        Err(arity())
    }

    fn names(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.pairs.iter().step_by(2)
    }
}

/// The row of HSETEX.
pub static HSETEX: Command = Command {
    name: "hsetex",
    handler: hsetex,
    arity: -6,
    flags: flags("write denyoom fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of fields being set.",
    summary: "Writes fields of a hash together with their expiry.",
    args: "key@0 [condition(FNX | FXX)] [expiration(EX seconds:int | PX milliseconds:int | \
        EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | \
        KEEPTTL)] FIELDS fields(numfields:int data(field value)...)",
    ..Command::DEFAULT
};

fn hsetex(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let o = SetEx::parse(ctx)?;
    check_type(ctx, key)?;
    let (mut db, mut reply, config) = ctx.parts();
    if let Some(must) = o.must_exist {
        db.remove_expired(key, o.names());
        let hash = db.write(key);
        let hash = hash.as_ref().and_then(|e| e.value::<Hash>());
        let exists = |name| hash.as_ref().is_some_and(|h| h.get(name).is_some());
        if o.names().any(|name| exists(name) != must) {
            reply.int(0);
            return Ok(Flow::Done);
        }
    }
    let n = o.pairs.len() / 2;
    let limits = limits(config);
    match o.ttl {
        FieldTtl::At(at) if at <= db.now_ms && db.deletes_expired() => {
            set_past(&mut db, key, &o, &limits)?;
            if ctx.propagates() {
                ctx.propagate_as(hdels(key, o.names()));
            }
        }
        ttl => {
            set_pairs(&mut db, key, o.pairs, ttl, &limits)?;
            db.modified(key.bytes, N::HASH, "hset", n as i64);
            if let FieldTtl::At(at) = ttl {
                db.note_field_times(key);
                db.event(N::HASH, "hexpire", key.bytes);
                propagate_time(ctx, o.time_at, at);
            }
        }
    }
    ctx.reply().int(1);
    Ok(Flow::Done)
}

/// Fields set with a time that has passed: they come and go, and the events say so.
fn set_past(
    db: &mut DbView<'_>,
    key: Key<'_>,
    o: &SetEx<'_>,
    limits: &crate::types::hash::HashLimits,
) -> Result<(), Error> {
    let mut hash = db.write_or_create(key, |_| Hash::default())?;
    hash.reserve(o.pairs.iter(), limits);
    hash.make_expirable();
    // One by one, as upstream: what it may convert to on the way depends on it.
    for i in (0..o.pairs.len()).step_by(2) {
        hash.set(o.pairs.at(i), o.pairs.at(i + 1), FieldTtl::Clear, limits);
        hash.remove(o.pairs.at(i));
    }
    drop(hash);
    db.modified(key.bytes, N::HASH, "hset", o.pairs.len() as i64 / 2);
    fields_deleted(db, key, 0);
    Ok(())
}

/// Propagates the running command with its time (argument `i`) made absolute.
fn propagate_time(ctx: &mut Ctx<'_>, i: Option<usize>, at: i64) {
    let Some(i) = i.filter(|_| ctx.propagates()) else {
        return;
    };
    let mut words = OwnedArgs::new();
    for j in 0..ctx.args.len() {
        match j {
            j if j + 1 == i => words.push(b"PXAT"),
            j if j == i => words.push_int(at),
            j => words.push(ctx.arg(j)),
        }
    }
    ctx.propagate_as(vec![words]);
}
