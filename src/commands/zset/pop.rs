//! Taking the outermost members: ZPOPMIN, ZPOPMAX, ZMPOP, and the ones that wait: BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! What is propagated is the form that neither chooses among keys nor waits.

use super::remove::removed;
use super::{reply_list, reply_member};
use crate::client::blocked::BlockKind;
use crate::ds::numtext::parse_i64;
use crate::exec::blocking::{Unit, deadline, wait_for};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::{Error, OwnedArgs, Reply, is_word};
use crate::types::zset::ZSet;

/// Which end members are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// The argument MIN or MAX.
    fn parse(text: &[u8]) -> Result<Self, Error> {
        if is_word(text, b"MIN") {
            Ok(End::Min)
        } else if is_word(text, b"MAX") {
            Ok(End::Max)
        } else {
            Err(Error::Syntax)
        }
    }

    fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }

    fn verb(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

/// The reply around the members that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Members and scores in one row.
    Flat,
    /// A pair per member in RESP3, one row in RESP2.
    Pairs,
    /// The key, then member and score, in one row.
    KeyFlat,
    /// The key, then a list of pairs.
    KeyPairs,
}

/// Takes up to `count` members and replies; how many, or None when there is no such key (nothing was replied).
fn pop_from(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
    shape: Shape,
) -> Result<Option<usize>, Error> {
    let (mut db, mut reply, _) = ctx.parts();
    let (n, emptied) = if let Some(mut zset) = db.write_value::<ZSet>(key)? {
        let n = count.min(zset.len());
        let nested = head(&mut reply, key, n, shape);
        zset.pop(end == End::Max, n, &mut |member, score| {
            if nested {
                reply.array(2);
            }
            reply_member(&mut reply, member);
            reply.double(score);
        });
        (n, zset.is_empty())
    } else {
        return Ok(None);
    };
    removed(&mut db, key, end.event(), n, emptied);
    Ok(Some(n))
}

/// Writes what comes before `n` members; whether each of them is a pair of its own.
fn head(reply: &mut Reply<'_>, key: Key<'_>, n: usize, shape: Shape) -> bool {
    match shape {
        Shape::Flat => reply.array(2 * n),
        Shape::Pairs => reply_list(reply, n, true),
        Shape::KeyFlat => {
            reply.array(1 + 2 * n);
            reply.bulk(key.bytes);
        }
        Shape::KeyPairs => {
            reply.array(2);
            reply.bulk(key.bytes);
            reply.array(n);
        }
    }
    shape == Shape::KeyPairs || (shape == Shape::Pairs && reply.resp3())
}

/// The row of ZPOPMIN.
pub static ZPOPMIN: Command = Command {
    name: "zpopmin",
    handler: zpopmin,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M \
        being the number of elements popped.",
    summary: "Takes the members with the lowest scores.",
    args: "key@0 [count:int]",
    ..Command::DEFAULT
};

fn zpopmin(ctx: &mut Ctx<'_>) -> Outcome {
    pop(ctx, End::Min)
}

/// The row of ZPOPMAX.
pub static ZPOPMAX: Command = Command {
    name: "zpopmax",
    handler: zpopmax,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M \
        being the number of elements popped.",
    summary: "Takes the members with the highest scores.",
    args: "key@0 [count:int]",
    ..Command::DEFAULT
};

fn zpopmax(ctx: &mut Ctx<'_>) -> Outcome {
    pop(ctx, End::Max)
}

fn pop(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let (count, shape) = match ctx.args.len() {
        2 => (1, Shape::Flat),
        3 => {
            const NEGATIVE: &str = "ERR value is out of range, must be positive";
            let n = parse_i64(ctx.arg(2)).ok_or(Error::new(NEGATIVE))?;
            let n = usize::try_from(n).map_err(|_| Error::new(NEGATIVE))?;
            (n, Shape::Pairs)
        }
        _ => return Err(Error::Syntax),
    };
    let key = ctx.key(1);
    if pop_from(ctx, key, end, count, shape)?.is_none() {
        ctx.reply().array(0);
    }
    Ok(Flow::Done)
}

/// The arguments of ZMPOP and BZMPOP.
struct MultiPop {
    /// Argument of the first key, and how many keys there are.
    first: usize,
    keys: usize,
    end: End,
    count: usize,
}

impl MultiPop {
    /// Reads `numkeys key... MIN|MAX [COUNT count]` from argument `at` on.
    fn parse(ctx: &Ctx<'_>, at: usize) -> Result<Self, Error> {
        let keys = positive(ctx.arg(at), "ERR numkeys should be greater than 0")?;
        let first = at + 1;
        if keys >= ctx.args.len() - first {
            return Err(Error::Syntax);
        }
        let end = End::parse(ctx.arg(first + keys))?;
        let mut count = None;
        let mut i = first + keys + 1;
        while i < ctx.args.len() {
            if count.is_some() || !ctx.is(i, "COUNT") || i + 1 == ctx.args.len() {
                return Err(Error::Syntax);
            }
            count = Some(positive(
                ctx.arg(i + 1),
                "ERR count should be greater than 0",
            )?);
            i += 2;
        }
        Ok(MultiPop {
            first,
            keys,
            end,
            count: count.unwrap_or(1),
        })
    }

    /// Pops from the first sorted set that is there and replies; false when there is none (nothing was replied).
    fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, Error> {
        for i in self.first..self.first + self.keys {
            let key = Key::new(ctx.arg(i));
            if let Some(n) = pop_from(ctx, key, self.end, self.count, Shape::KeyPairs)? {
                if ctx.propagates() {
                    let mut form = OwnedArgs::from_iter([self.end.verb(), key.bytes]);
                    form.push_int(n as i64);
                    ctx.propagate_as(vec![form]);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A number of at least one; the same error for everything else.
fn positive(text: &[u8], error: &'static str) -> Result<usize, Error> {
    parse_i64(text)
        .filter(|n| *n > 0)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(Error::new(error))
}

/// The row of ZMPOP.
pub static ZMPOP: Command = Command {
    name: "zmpop",
    handler: zmpop,
    arity: -4,
    flags: flags("write"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access delete").counted()],
    group: Group::SortedSet,
    since: "7.0.0",
    complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the \
        number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Takes members from the first sorted set that has any.",
    args: "numkeys:int key@0... where(MIN | MAX) [COUNT count:int]",
    ..Command::DEFAULT
};

fn zmpop(ctx: &mut Ctx<'_>) -> Outcome {
    let request = MultiPop::parse(ctx, 1)?;
    if !request.run(ctx)? {
        ctx.reply().null_array();
    }
    Ok(Flow::Done)
}

/// The row of BZPOPMIN.
pub static BZPOPMIN: Command = Command {
    name: "bzpopmin",
    handler: bzpopmin,
    arity: -3,
    flags: flags("write blocking fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access delete").range(-2, 1, 0)],
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Takes the lowest scored member of the first sorted set that has one, waiting if \
        none has.",
    args: "key@0... timeout:double",
    ..Command::DEFAULT
};

fn bzpopmin(ctx: &mut Ctx<'_>) -> Outcome {
    pop_or_wait(ctx, End::Min)
}

/// The row of BZPOPMAX.
pub static BZPOPMAX: Command = Command {
    name: "bzpopmax",
    handler: bzpopmax,
    arity: -3,
    flags: flags("write blocking fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access delete").range(-2, 1, 0)],
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Takes the top scored member of the first sorted set that has one, waiting if \
        none has.",
    args: "key@0... timeout:double",
    ..Command::DEFAULT
};

fn bzpopmax(ctx: &mut Ctx<'_>) -> Outcome {
    pop_or_wait(ctx, End::Max)
}

fn pop_or_wait(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let last = ctx.args.len() - 1;
    let until = deadline(ctx, last, Unit::Seconds)?;
    for i in 1..last {
        let key = ctx.key(i);
        if pop_from(ctx, key, end, 1, Shape::KeyFlat)?.is_some() {
            if ctx.propagates() {
                ctx.propagate_as(vec![OwnedArgs::from_iter([end.verb(), key.bytes])]);
            }
            return Ok(Flow::Done);
        }
    }
    let keys = ctx.args.slice(1, last);
    wait_for(ctx, BlockKind::ZSet, keys, until)
}

/// The row of BZMPOP.
pub static BZMPOP: Command = Command {
    name: "bzmpop",
    handler: bzmpop,
    arity: -5,
    flags: flags("write blocking"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(2, "RW access delete").counted()],
    group: Group::SortedSet,
    since: "7.0.0",
    complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the \
        number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Takes members from the first sorted set that has any, waiting if none has.",
    args: "timeout:double numkeys:int key@0... where(MIN | MAX) [COUNT count:int]",
    ..Command::DEFAULT
};

fn bzmpop(ctx: &mut Ctx<'_>) -> Outcome {
    let request = MultiPop::parse(ctx, 2)?;
    let until = deadline(ctx, 1, Unit::Seconds)?;
    if request.run(ctx)? {
        return Ok(Flow::Done);
    }
    let keys = ctx.args.slice(request.first, request.first + request.keys);
    wait_for(ctx, BlockKind::ZSet, keys, until)
}
