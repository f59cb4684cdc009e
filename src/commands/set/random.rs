//! Random members: SPOP, SRANDMEMBER.
//!
//! SPOP is propagated as what it took out: SREM in batches, or DEL (UNLINK when big values are freed in the background) when
//! nothing is left of a call with a count.

use super::{limits, removed, reply_entry};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::{Error, OwnedArgs};
use crate::types::set::Set;

/// Members per propagated SREM.
const BATCH: usize = 1024;

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
        2 => spop_one(ctx),
        3 => match ctx.int(2).map(usize::try_from) {
            Ok(Ok(n)) => spop_count(ctx, n),
            _ => Err(Error::new("ERR value is out of range, must be positive")),
        },
        _ => Err(Error::Syntax),
    }
}

fn spop_one(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let mut rng = ctx.server.ks.rng.clone();
    let (mut db, mut reply, _) = ctx.parts();
    let (mut member, mut emptied) = (None, false);
    if let Some(mut set) = db.write_value::<Set>(key)? {
        member = set.pop(&mut rng);
        emptied = set.is_empty();
    }
    *db.rng = rng;
    let Some(member) = member else {
        reply.null();
        return Ok(Flow::Done);
    };
    removed(&mut db, key, "spop", 1, emptied);
    reply.bulk(&member);
    if ctx.propagates() {
        ctx.propagate_as(vec![OwnedArgs::from_iter([b"SREM", key.bytes, &member])]);
    }
    Ok(Flow::Done)
}

fn spop_count(ctx: &mut Ctx<'_>, n: usize) -> Outcome {
    let key = ctx.key(1);
    let len = ctx.db().write_value::<Set>(key)?.map_or(0, |s| s.len());
    if n == 0 || len == 0 {
        ctx.reply().set(0);
    } else if n >= len {
        spop_all(ctx, key, len);
    } else {
        spop_some(ctx, key, n)?;
    }
    Ok(Flow::Done)
}

fn spop_all(ctx: &mut Ctx<'_>, key: Key<'_>, len: usize) {
    let (mut db, mut reply, config) = ctx.parts();
    reply.set(len);
    if let Some(entry) = db.peek(key)
        && let Some(set) = entry.value::<Set>()
    {
        set.iter().for_each(|m| reply_entry(&mut reply, m));
    }
    let lazy = config.lazyfree_lazy_server_del;
    removed(&mut db, key, "spop", len, true);
    if ctx.propagates() {
        let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        ctx.propagate_as(vec![OwnedArgs::from_iter([verb, key.bytes])]);
    }
}

fn spop_some(ctx: &mut Ctx<'_>, key: Key<'_>, n: usize) -> Result<(), Error> {
    let propagates = ctx.propagates();
    let mut rng = ctx.server.ks.rng.clone();
    let (mut db, mut reply, config) = ctx.parts();
    let mut commands: Vec<OwnedArgs> = Vec::new();
    let mut note = |m: &[u8]| {
        let full = |c: &OwnedArgs| c.len() >= BATCH + 2;
        if commands.last().is_none_or(full) {
            commands.push(OwnedArgs::from_iter([b"SREM", key.bytes]));
        }
        if let Some(c) = commands.last_mut() {
            c.push(m);
        }
    };
    reply.set(n);
    if let Some(mut set) = db.write_value::<Set>(key)? {
        set.pop_many(&mut rng, n, &limits(config), &mut |m| {
            reply.bulk(m);
            if propagates {
                note(m);
            }
        });
    }
    *db.rng = rng;
    removed(&mut db, key, "spop", n, false);
    if propagates {
        ctx.propagate_as(commands);
    }
    Ok(())
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
        2 => srandmember_one(ctx),
        3 => srandmember_count(ctx),
        _ => Err(Error::Syntax),
    }
}

fn srandmember_one(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let mut rng = ctx.server.ks.rng.clone();
    let (mut db, mut reply, _) = ctx.parts();
    if let Some(set) = db.read_value::<Set>(key)?
        && let Some(m) = set.random(&mut rng)
    {
        reply_entry(&mut reply, m);
    } else {
        reply.null();
    }
    *db.rng = rng;
    Ok(Flow::Done)
}

/// The count of SRANDMEMBER, HRANDFIELD and the like: how many, and whether all must be different.
pub(crate) fn random_count(ctx: &Ctx<'_>, i: usize) -> Result<(usize, bool), Error> {
    let n = ctx.int_in(
        i,
        -i64::MAX,
        i64::MAX,
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    )?;
    Ok((n.unsigned_abs() as usize, n >= 0))
}

fn srandmember_count(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, (n, distinct)) = (ctx.key(1), random_count(ctx, 2)?);
    let mut rng = ctx.server.ks.rng.clone();
    let (mut db, mut reply, _) = ctx.parts();
    if let Some(set) = db.read_value::<Set>(key)? {
        if distinct {
            reply.array(n.min(set.len()));
            set.random_distinct(&mut rng, n, &mut |m| reply_entry(&mut reply, m));
        } else {
            reply.array(n);
            set.random_repeated(&mut rng, n, &mut |m| reply_entry(&mut reply, m));
        }
    } else {
        reply.array(0);
    }
    *db.rng = rng;
    Ok(Flow::Done)
}
