//! Asking for the time to live: TTL, PTTL, EXPIRETIME, PEXPIRETIME.
//!
//! -2 stands for no such key, -1 for a key that never expires. Seconds are rounded to the nearest.

use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};

/// The row of TTL.
pub static TTL: Command = Command {
    name: "ttl",
    handler: ttl,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access")],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells how many seconds a key has left.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn ttl(ctx: &mut Ctx<'_>) -> Outcome {
    tell(ctx, |at, now| seconds((at - now).max(0)))
}

/// The row of PTTL.
pub static PTTL: Command = Command {
    name: "pttl",
    handler: pttl,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access")],
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Tells how many milliseconds a key has left.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn pttl(ctx: &mut Ctx<'_>) -> Outcome {
    tell(ctx, |at, now| (at - now).max(0))
}

/// The row of EXPIRETIME.
pub static EXPIRETIME: Command = Command {
    name: "expiretime",
    handler: expiretime,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access")],
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Tells at which Unix time in seconds a key expires.",
    args: "key@0",
    ..Command::DEFAULT
};

fn expiretime(ctx: &mut Ctx<'_>) -> Outcome {
    tell(ctx, |at, _| seconds(at))
}

/// The row of PEXPIRETIME.
pub static PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    handler: pexpiretime,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access")],
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Tells at which Unix time in milliseconds a key expires.",
    args: "key@0",
    ..Command::DEFAULT
};

fn pexpiretime(ctx: &mut Ctx<'_>) -> Outcome {
    tell(ctx, |at, _| at)
}

/// Milliseconds, never negative here, to the nearest second.
fn seconds(ms: i64) -> i64 {
    ms / 1000 + (ms % 1000 + 500) / 1000
}

/// Replies what `f` makes of the key's expire and the time now.
fn tell(ctx: &mut Ctx<'_>, f: impl FnOnce(i64, i64) -> i64) -> Outcome {
    let (key, now) = (ctx.key(1), ctx.now_ms());
    let (mut db, mut reply, _) = ctx.parts();
    reply.int(match db.look(key).map(|e| e.expire()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => f(at, now),
    });
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn seconds_to_the_nearest() {
        let pairs = [
            (0, 0),
            (499, 0),
            (500, 1),
            (1499, 1),
            (i64::MAX - 308, i64::MAX / 1000),
            (i64::MAX, i64::MAX / 1000 + 1),
        ];
        for (ms, s) in pairs {
            assert_eq!(seconds(ms), s, "{ms}");
        }
    }
}
