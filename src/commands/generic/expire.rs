//! Giving keys a time to live: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST.
//!
//! Every form boils down to a Unix time in ms, which is also what is propagated. A time that has passed deletes the key at
//! once (on a master).

use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, OwnedArgs};

/// The row of EXPIRE.
pub static EXPIRE: Command = Command {
    name: "expire",
    handler: expire,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW update")],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Gives a key so many seconds to live.",
    args: "key@0 seconds:int [condition(NX | XX | GT | LT)]{7.0.0}",
    ..Command::DEFAULT
};

fn expire(ctx: &mut Ctx<'_>) -> Outcome {
    expire_at(ctx, 1000, true)
}

/// The row of PEXPIRE.
pub static PEXPIRE: Command = Command {
    name: "pexpire",
    handler: pexpire,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW update")],
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Gives a key so many milliseconds to live.",
    args: "key@0 milliseconds:int [condition(NX | XX | GT | LT)]{7.0.0}",
    ..Command::DEFAULT
};

fn pexpire(ctx: &mut Ctx<'_>) -> Outcome {
    expire_at(ctx, 1, true)
}

/// The row of EXPIREAT.
pub static EXPIREAT: Command = Command {
    name: "expireat",
    handler: expireat,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW update")],
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Lets a key expire at a Unix time in seconds.",
    args: "key@0 unix-time-seconds:unix-time [condition(NX | XX | GT | LT)]{7.0.0}",
    ..Command::DEFAULT
};

fn expireat(ctx: &mut Ctx<'_>) -> Outcome {
    expire_at(ctx, 1000, false)
}

/// The row of PEXPIREAT.
pub static PEXPIREAT: Command = Command {
    name: "pexpireat",
    handler: pexpireat,
    arity: -3,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW update")],
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Lets a key expire at a Unix time in milliseconds.",
    args: "key@0 unix-time-milliseconds:unix-time [condition(NX | XX | GT | LT)]{7.0.0}",
    ..Command::DEFAULT
};

fn pexpireat(ctx: &mut Ctx<'_>) -> Outcome {
    expire_at(ctx, 1, false)
}

/// NX, XX, GT, LT as given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(ctx: &Ctx<'_>) -> Result<Self, Error> {
        let mut c = Conditions::default();
        for i in 3..ctx.args.len() {
            let flag = [
                ("NX", &mut c.nx),
                ("XX", &mut c.xx),
                ("GT", &mut c.gt),
                ("LT", &mut c.lt),
            ]
            .into_iter()
            .find(|(word, _)| ctx.is(i, word));
            match flag {
                Some((_, flag)) => *flag = true,
                None => {
                    // Upstream prints it as a C string.
                    let word = ctx.arg(i).split(|c| *c == 0).next().unwrap_or_default();
                    return Err(Error::Bytes(
                        [b"ERR Unsupported option ".as_slice(), word].concat(),
                    ));
                }
            }
        }
        if c.nx && (c.xx || c.gt || c.lt) {
            return Err(Error::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if c.gt && c.lt {
            return Err(Error::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(c)
    }

    /// Whether a key that expires at `old` (None: never, which is later than any time) may get `new`.
    fn allow(self, old: Option<i64>, new: i64) -> bool {
        match old {
            Some(old) => !(self.nx || self.gt && new <= old || self.lt && new >= old),
            None => !self.xx && !self.gt,
        }
    }
}

/// Argument 2 in units of `unit_ms`, relative to now or absolute, as a Unix time in ms.
fn when(ctx: &Ctx<'_>, unit_ms: i64, relative: bool) -> Result<i64, Error> {
    let v = parse_i64(ctx.arg(2)).ok_or(Error::NotInteger)?;
    let base = if relative { ctx.now_ms() } else { 0 };
    v.checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base))
        .ok_or_else(|| {
            Error::text(format!(
                "ERR invalid expire time in '{}' command",
                ctx.command.name
            ))
        })
}

fn expire_at(ctx: &mut Ctx<'_>, unit_ms: i64, relative: bool) -> Outcome {
    let conditions = Conditions::parse(ctx)?;
    let (key, at) = (ctx.key(1), when(ctx, unit_ms, relative)?);
    let now = ctx.now_ms();
    let (mut db, mut reply, _) = ctx.parts();
    let old = db.write(key).map(|e| e.expire());
    if !old.is_some_and(|old| conditions.allow(old, at)) {
        reply.int(0);
        return Ok(Flow::Done);
    }
    reply.int(1);
    if at <= now && db.deletes_expired() {
        let lazy = db.config.lazyfree_lazy_expire;
        db.delete(key, lazy);
        db.modified(key.bytes, N::GENERIC, "del", 1);
        let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        ctx.propagate_as(vec![OwnedArgs::from_iter([verb, key.bytes])]);
    } else {
        db.set_expire(key, Some(at));
        db.modified(key.bytes, N::GENERIC, "expire", 1);
        if ctx.propagates() {
            let mut a = OwnedArgs::from_iter([b"PEXPIREAT".as_slice(), key.bytes]);
            a.push_int(at);
            ctx.args.from(3).iter().for_each(|option| a.push(option));
            ctx.propagate_as(vec![a]);
        }
    }
    Ok(Flow::Done)
}

/// The row of PERSIST.
pub static PERSIST: Command = Command {
    name: "persist",
    handler: persist,
    arity: 2,
    flags: flags("write fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RW update")],
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Takes the expiry off a key.",
    args: "key@0",
    ..Command::DEFAULT
};

fn persist(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let volatile = db.write(key).is_some_and(|e| e.expire().is_some());
    if volatile {
        db.set_expire(key, None);
        db.modified(key.bytes, N::GENERIC, "persist", 1);
    }
    reply.int(i64::from(volatile));
    Ok(Flow::Done)
}
