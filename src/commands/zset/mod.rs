//! Sorted sets: ZADD and its kin.
//!
//! Additions live in `add`, removals in `remove`, everything that reads or stores a range in `range`, pops in `pop`, unions,
//! intersections and differences in `algebra`, random members and ZSCAN in `random`; here are the lookups of single members and counts.
//! A range of any kind is a `range::RangeSpec`, resolved to a window of ranks once per command.
pub mod add;
pub mod algebra;
pub mod pop;
pub mod random;
pub mod range;
pub mod remove;

use crate::config::Config;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::zset::{Entry as Member, Limits, ZSet};
use range::{RangeKind, RangeSpec};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &ZCARD,
    &ZSCORE,
    &ZMSCORE,
    &ZRANK,
    &ZREVRANK,
    &ZCOUNT,
    &ZLEXCOUNT,
    &add::ZADD,
    &add::ZINCRBY,
    &remove::ZREM,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &remove::ZREMRANGEBYLEX,
    &range::ZRANGE,
    &range::ZRANGESTORE,
    &range::ZREVRANGE,
    &range::ZRANGEBYSCORE,
    &range::ZREVRANGEBYSCORE,
    &range::ZRANGEBYLEX,
    &range::ZREVRANGEBYLEX,
    &pop::ZPOPMIN,
    &pop::ZPOPMAX,
    &pop::ZMPOP,
    &pop::BZPOPMIN,
    &pop::BZPOPMAX,
    &pop::BZMPOP,
    &algebra::ZUNION,
    &algebra::ZINTER,
    &algebra::ZDIFF,
    &algebra::ZUNIONSTORE,
    &algebra::ZINTERSTORE,
    &algebra::ZDIFFSTORE,
    &algebra::ZINTERCARD,
    &random::ZRANDMEMBER,
    &random::ZSCAN,
];

/// When a sorted set may be a listpack.
pub fn limits(config: &Config) -> Limits {
    Limits {
        max_entries: config.zset_max_listpack_entries,
        max_value: config.zset_max_listpack_value,
    }
}

/// Replies a member.
#[inline(always)]
pub fn reply_member(reply: &mut Reply<'_>, member: Member<'_>) {
    match member {
        Member::Bytes(b) => reply.bulk(b),
        Member::Int(i) => reply.bulk_int(i),
    }
}

/// Replies the header of a list of `n` members, scores or not: RESP2 has them in one row, RESP3 as pairs.
pub fn reply_list(reply: &mut Reply<'_>, n: usize, with_scores: bool) {
    if with_scores && !reply.resp3() {
        reply.array(2 * n);
    } else {
        reply.array(n);
    }
}

/// Replies one element of a list begun by [`reply_list`].
#[inline(always)]
pub fn reply_element(reply: &mut Reply<'_>, member: Member<'_>, score: f64, with_scores: bool) {
    if with_scores && reply.resp3() {
        reply.array(2);
    }
    reply_member(reply, member);
    if with_scores {
        reply.double(score);
    }
}

/// The row of ZCARD.
pub static ZCARD: Command = Command {
    name: "zcard",
    handler: zcard,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Counts the members of a sorted set.",
    args: "key@0",
    ..Command::DEFAULT
};

fn zcard(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let n = db.read_value::<ZSet>(key)?.map_or(0, |z| z.len());
    reply.int(n as i64);
    Ok(Flow::Done)
}

/// The row of ZSCORE.
pub static ZSCORE: Command = Command {
    name: "zscore",
    handler: zscore,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Reads the score of a member.",
    args: "key@0 member",
    ..Command::DEFAULT
};

fn zscore(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_value::<ZSet>(key)?.and_then(|z| z.score(member)) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// The row of ZMSCORE.
pub static ZMSCORE: Command = Command {
    name: "zmscore",
    handler: zmscore,
    arity: -3,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(N) where N is the number of members being requested.",
    summary: "Reads the scores of many members.",
    args: "key@0 member...",
    ..Command::DEFAULT
};

fn zmscore(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let zset = db.read_value::<ZSet>(key)?;
    reply.array(members.len());
    for m in members.iter() {
        match zset.as_ref().and_then(|z| z.score(m)) {
            Some(score) => reply.double(score),
            None => reply.null(),
        }
    }
    Ok(Flow::Done)
}

/// The row of ZRANK.
pub static ZRANK: Command = Command {
    name: "zrank",
    handler: zrank,
    arity: -3,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N))",
    summary: "Tells the place of a member, lowest score first.",
    args: "key@0 member [WITHSCORE]",
    ..Command::DEFAULT
};

fn zrank(ctx: &mut Ctx<'_>) -> Outcome {
    rank(ctx, false)
}

/// The row of ZREVRANK.
pub static ZREVRANK: Command = Command {
    name: "zrevrank",
    handler: zrevrank,
    arity: -3,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N))",
    summary: "Tells the place of a member, highest score first.",
    args: "key@0 member [WITHSCORE]",
    ..Command::DEFAULT
};

fn zrevrank(ctx: &mut Ctx<'_>) -> Outcome {
    rank(ctx, true)
}

fn rank(ctx: &mut Ctx<'_>, reverse: bool) -> Outcome {
    let with_score = match ctx.args.len() {
        3 => false,
        4 if ctx.is(3, "WITHSCORE") => true,
        4 => return Err(Error::Syntax),
        _ => {
            let name = ctx.command.name;
            return Err(Error::text(format!(
                "ERR wrong number of arguments for '{name}' command"
            )));
        }
    };
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let (mut db, mut reply, _) = ctx.parts();
    let found = db
        .read_value::<ZSet>(key)?
        .and_then(|z| z.rank(member, reverse));
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.int(rank as i64);
            reply.double(score);
        }
        Some((rank, _)) => reply.int(rank as i64),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// The row of ZCOUNT.
pub static ZCOUNT: Command = Command {
    name: "zcount",
    handler: zcount,
    arity: 4,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Counts the members with scores between two bounds.",
    args: "key@0 min:double max:double",
    ..Command::DEFAULT
};

fn zcount(ctx: &mut Ctx<'_>) -> Outcome {
    count(ctx, RangeKind::Score)
}

/// The row of ZLEXCOUNT.
pub static ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    handler: zlexcount,
    arity: 4,
    flags: flags("readonly fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Counts the members between two names.",
    args: "key@0 min max",
    ..Command::DEFAULT
};

fn zlexcount(ctx: &mut Ctx<'_>) -> Outcome {
    count(ctx, RangeKind::Lex)
}

fn count(ctx: &mut Ctx<'_>, kind: RangeKind) -> Outcome {
    let key = ctx.key(1);
    let range = RangeSpec::parse(kind, ctx.arg(2), ctx.arg(3))?;
    let (mut db, mut reply, _) = ctx.parts();
    let n = db
        .read_value::<ZSet>(key)?
        .map_or(0, |z| range.window(&z, false).len());
    reply.int(n as i64);
    Ok(Flow::Done)
}
