//! Random members: SPOP and SRANDMEMBER.

use super::{limits, reply_member};
use crate::config::values::NotifyFlags as N;
use crate::ds::rng::Rng;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::{Error, OwnedArgs};
use crate::types::set::{Set, SetLimits};
use std::collections::HashSet;

/// Members removed per propagated SREM.
const BATCH: usize = 1024;
/// SPOP of all but a fraction 1/KEEP of the members picks those that stay instead of those that go.
const KEEP: usize = 5;
/// SRANDMEMBER of more than 1/PICK of the members removes from a copy instead of picking distinct ones.
const PICK: usize = 3;

/// The row of SPOP.
pub static SPOP: Command = Command {
    name: "spop",
    handler: spop,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the \
        passed count.",
    summary: "Takes members out of a set at random.",
    tips: &["nondeterministic_output"],
    args: "key@0 [count:int]{3.2.0}",
    ..Command::DEFAULT
};

fn spop(ctx: &mut Ctx<'_>) -> Outcome {
    match ctx.args.len() {
        2 => pop_one(ctx),
        3 => pop_many(ctx),
        _ => Err(Error::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut rng = db.rng.clone();
    let Some(mut set) = db.write_value::<Set>(key)? else {
        reply.null();
        return Ok(Flow::Done);
    };
    let member = set.random(&mut rng).map(|m| m.to_vec()).unwrap_or_default();
    set.remove(&member);
    let emptied = set.is_empty();
    drop(set);
    *db.rng = rng;
    reply.bulk(&member);
    db.modified(key.bytes, N::SET, "spop", 1);
    if emptied {
        db.delete_emptied(key);
    }
    // Which member it was is decided here and nowhere else.
    ctx.propagate_as(vec![OwnedArgs::from_iter([
        b"SREM".as_slice(),
        key.bytes,
        &member,
    ])]);
    Ok(Flow::Done)
}

fn pop_many(ctx: &mut Ctx<'_>) -> Outcome {
    let count = ctx.int(2).ok().and_then(|n| usize::try_from(n).ok());
    let count = count.ok_or(Error::new("ERR value is out of range, must be positive"))?;
    let key = ctx.key(1);
    let limits = limits(&ctx.server.config);
    let (mut db, mut reply, _) = ctx.parts();
    let len = db.write_value::<Set>(key)?.map_or(0, |s| s.len());
    if len == 0 || count == 0 {
        reply.set(0);
        return Ok(Flow::Done);
    }
    if count >= len {
        return pop_all(ctx, key);
    }
    let mut rng = db.rng.clone();
    let mut popped = Vec::new();
    if let Some(mut set) = db.write_value::<Set>(key)? {
        popped = take(&mut set, count, &mut rng, &limits);
    }
    *db.rng = rng;
    reply.set(popped.len());
    popped.iter().for_each(|m| reply.bulk(m));
    db.modified(key.bytes, N::SET, "spop", popped.len() as i64);
    if ctx.propagates() {
        let srem = |batch: &[Vec<u8>]| {
            let mut a = OwnedArgs::from_iter([b"SREM".as_slice(), key.bytes]);
            batch.iter().for_each(|m| a.push(m));
            a
        };
        ctx.propagate_as(popped.chunks(BATCH).map(srem).collect());
    }
    Ok(Flow::Done)
}

/// The whole set goes: the key is deleted, and that is what is propagated.
fn pop_all(ctx: &mut Ctx<'_>, key: Key<'_>) -> Outcome {
    let (mut db, mut reply, config) = ctx.parts();
    let lazy = config.lazyfree_lazy_server_del;
    let mut n = 0;
    if let Some(set) = db.read_value::<Set>(key)? {
        n = set.len();
        reply.set(n);
        set.iter().for_each(|m| reply_member(&mut reply, m));
    }
    db.event(N::SET, "spop", key.bytes);
    db.delete(key, lazy);
    db.modified(key.bytes, N::GENERIC, "del", n as i64);
    let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
    ctx.propagate_as(vec![OwnedArgs::from_iter([verb, key.bytes])]);
    Ok(Flow::Done)
}

/// Takes `count` random members out of a set that has more.
fn take(set: &mut Set, count: usize, rng: &mut Rng, limits: &SetLimits) -> Vec<Vec<u8>> {
    let keep = set.len() - count;
    if keep * KEEP > count {
        return pick_and_remove(set, count, rng);
    }
    let kept = pick_and_remove(set, keep, rng);
    let gone = set.iter().map(|m| m.to_vec()).collect();
    let mut rest = kept
        .first()
        .map_or_else(Set::new, |m| Set::new_for(m, keep, limits));
    for m in &kept {
        rest.add(m, limits);
    }
    *set = rest;
    gone
}

fn pick_and_remove(set: &mut Set, count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let Some(m) = set.random(rng).map(|m| m.to_vec()) else {
            break;
        };
        set.remove(&m);
        out.push(m);
    }
    out
}

/// The row of SRANDMEMBER.
pub static SRANDMEMBER: Command = Command {
    name: "srandmember",
    handler: srandmember,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("set"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Set,
    since: "1.0.0",
    complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute \
        value of the passed count.",
    summary: "Picks members of a set at random.",
    tips: &["nondeterministic_output"],
    args: "key@0 [count:int]{2.6.0}",
    ..Command::DEFAULT
};

fn srandmember(ctx: &mut Ctx<'_>) -> Outcome {
    match ctx.args.len() {
        2 => random_one(ctx),
        3 => random_many(ctx),
        _ => Err(Error::Syntax),
    }
}

fn random_one(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut rng = db.rng.clone();
    match db
        .read_value::<Set>(key)?
        .as_ref()
        .and_then(|s| s.random(&mut rng))
    {
        Some(m) => reply_member(&mut reply, m),
        None => reply.null(),
    }
    *db.rng = rng;
    Ok(Flow::Done)
}

fn random_many(ctx: &mut Ctx<'_>) -> Outcome {
    let range = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    let count = ctx.int_in(2, -i64::MAX, i64::MAX, range)?;
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut rng = db.rng.clone();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    match db.read_value::<Set>(key)? {
        Some(set) if count < 0 => {
            reply.array(wanted);
            for _ in 0..wanted {
                if let Some(m) = set.random(&mut rng) {
                    reply_member(&mut reply, m);
                }
                if reply.choked() {
                    break;
                }
            }
        }
        Some(set) if wanted >= set.len() => {
            reply.array(set.len());
            set.iter().for_each(|m| reply_member(&mut reply, m));
        }
        Some(set) => {
            reply.array(wanted);
            distinct(&set, wanted, &mut rng)
                .iter()
                .for_each(|m| reply.bulk(m));
        }
        None => reply.array(0),
    }
    *db.rng = rng;
    Ok(Flow::Done)
}

/// `count` different members of a set that has more.
fn distinct(set: &Set, count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    if count * PICK <= set.len() {
        let mut picked = HashSet::with_capacity(count);
        while picked.len() < count {
            picked.extend(set.random(rng).map(|m| m.to_vec()));
        }
        return picked.into_iter().collect();
    }
    let mut all: Vec<Vec<u8>> = set.iter().map(|m| m.to_vec()).collect();
    for i in 0..count {
        let j = i + rng.below(all.len() - i);
        all.swap(i, j);
    }
    all.truncate(count);
    all
}
