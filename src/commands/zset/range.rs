//! Reading and storing ranges: ZRANGE in all its forms, the older commands it replaces, ZRANGESTORE.
//!
//! The arguments of all of them are parsed by one function ([`Request::parse`]): an older command is a request some of whose
//! choices are made already. A request is resolved to a window of ranks; whoever asked is one of two sinks, a reply or a key.

use super::{limits, reply_element, reply_list};
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::{I64_TEXT_MAX, parse_i64};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key};
use crate::resp::{Error, Reply};
use crate::types::zset::{LexRange, ScoreRange, ZSet, rank_window};
use std::ops::Range;

/// What the bounds of a range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeKind {
    /// Ranks, negative ones from the end.
    Rank,
    /// Scores.
    Score,
    /// Names of members.
    Lex,
}

/// A range with its bounds.
#[derive(Debug, Clone, Copy)]
pub enum RangeSpec<'a> {
    /// First and last rank.
    Rank(i64, i64),
    /// Scores.
    Score(ScoreRange),
    /// Names.
    Lex(LexRange<'a>),
}

impl<'a> RangeSpec<'a> {
    /// The range from `min` to `max` as arguments of a command.
    pub fn parse(kind: RangeKind, min: &'a [u8], max: &'a [u8]) -> Result<Self, Error> {
        let rank = |text| parse_i64(text).ok_or(Error::NotInteger);
        Ok(match kind {
            RangeKind::Rank => RangeSpec::Rank(rank(min)?, rank(max)?),
            RangeKind::Score => RangeSpec::Score(
                ScoreRange::parse(min, max).map_err(|e| Error::text(format!("ERR {e}")))?,
            ),
            RangeKind::Lex => RangeSpec::Lex(
                LexRange::parse(min, max).map_err(|e| Error::text(format!("ERR {e}")))?,
            ),
        })
    }

    /// The ranks (from the lowest score) it means in `zset`. With `reverse`, ranks in the bounds count from the highest.
    pub fn window(&self, zset: &ZSet, reverse: bool) -> Range<usize> {
        match self {
            RangeSpec::Rank(start, stop) => {
                let len = zset.len();
                let w = rank_window(*start, *stop, len);
                if reverse {
                    len - w.end..len - w.start
                } else {
                    w
                }
            }
            RangeSpec::Score(r) => zset.score_window(r),
            RangeSpec::Lex(r) => zset.lex_window(r),
        }
    }
}

/// A parsed command of the ZRANGE family.
struct Request<'a> {
    range: RangeSpec<'a>,
    reverse: bool,
    /// LIMIT: members to skip and to take at most; negative values skip everything, take everything.
    limit: (i64, i64),
    with_scores: bool,
}

impl<'a> Request<'a> {
    /// Parses `min max [options]` from argument `at` on; `kind` and `reverse` are what the command's name says already.
    fn parse(
        ctx: &Ctx<'a>,
        at: usize,
        kind: Option<RangeKind>,
        reverse: Option<bool>,
        stores: bool,
    ) -> Result<Self, Error> {
        let (mut by, mut rev) = (kind, reverse);
        let (mut limit, mut with_scores) = ((0, -1), false);
        let mut i = at + 2;
        while i < ctx.args.len() {
            if !stores && ctx.is(i, "WITHSCORES") {
                with_scores = true;
            } else if ctx.is(i, "LIMIT") && i + 2 < ctx.args.len() {
                limit = (ctx.int(i + 1)?, ctx.int(i + 2)?);
                i += 2;
            } else if reverse.is_none() && rev.is_none() && ctx.is(i, "REV") {
                rev = Some(true);
            } else if kind.is_none() && by.is_none() && ctx.is(i, "BYLEX") {
                by = Some(RangeKind::Lex);
            } else if kind.is_none() && by.is_none() && ctx.is(i, "BYSCORE") {
                by = Some(RangeKind::Score);
            } else {
                return Err(Error::Syntax);
            }
            i += 1;
        }
        let (kind, reverse) = (by.unwrap_or(RangeKind::Rank), rev.unwrap_or(false));
        if limit.1 != -1 && kind == RangeKind::Rank {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && kind == RangeKind::Lex {
            return Err(Error::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // Backwards, the upper bound is written first; ranks count from the other end instead.
        let swap = reverse && kind != RangeKind::Rank;
        let (min, max) = (
            ctx.arg(at + usize::from(swap)),
            ctx.arg(at + usize::from(!swap)),
        );
        Ok(Request {
            range: RangeSpec::parse(kind, min, max)?,
            reverse,
            limit,
            with_scores,
        })
    }

    fn window(&self, zset: &ZSet) -> Range<usize> {
        let w = self.range.window(zset, self.reverse);
        if matches!(self.range, RangeSpec::Rank(..)) {
            return w;
        }
        let skip = usize::try_from(self.limit.0)
            .unwrap_or(usize::MAX)
            .min(w.len());
        let take = usize::try_from(self.limit.1)
            .unwrap_or(usize::MAX)
            .min(w.len() - skip);
        if self.reverse {
            w.end - skip - take..w.end - skip
        } else {
            w.start + skip..w.start + skip + take
        }
    }

    fn reply(&self, zset: &ZSet, reply: &mut Reply<'_>) {
        let w = self.window(zset);
        reply_list(reply, w.len(), self.with_scores);
        for (member, score) in zset.range(w, self.reverse) {
            reply_element(reply, member, score, self.with_scores);
        }
    }
}

fn read(ctx: &mut Ctx<'_>, kind: Option<RangeKind>, reverse: Option<bool>) -> Outcome {
    let request = Request::parse(ctx, 2, kind, reverse, false)?;
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    match db.read_value::<ZSet>(key)? {
        Some(zset) => request.reply(&zset, &mut reply),
        None => reply.array(0),
    }
    Ok(Flow::Done)
}

/// The row of ZRANGE.
pub static ZRANGE: Command = Command {
    name: "zrange",
    handler: zrange,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements returned.",
    summary: "Reads members of a sorted set by rank, score or name.",
    args: "key@0 start stop [sortby(BYSCORE | BYLEX)]{6.2.0} [REV]{6.2.0} \
        [LIMIT limit(offset:int count:int)]{6.2.0} [WITHSCORES]",
    ..Command::DEFAULT
};

fn zrange(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, None, None)
}

/// The row of ZREVRANGE.
pub static ZREVRANGE: Command = Command {
    name: "zrevrange",
    handler: zrevrange,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements returned.",
    summary: "Reads members by rank, highest score first.",
    deprecated_since: "6.2.0",
    replaced_by: "`ZRANGE` with the `REV` argument",
    args: "key@0 start:int stop:int [WITHSCORES]",
    ..Command::DEFAULT
};

fn zrevrange(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, Some(RangeKind::Rank), Some(true))
}

/// The row of ZRANGEBYSCORE.
pub static ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    handler: zrangebyscore,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "1.0.5",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements being returned. If M is constant (e.g. always asking for the \
        first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Reads the members with scores between two bounds.",
    deprecated_since: "6.2.0",
    replaced_by: "`ZRANGE` with the `BYSCORE` argument",
    args: "key@0 min:double max:double [WITHSCORES]{2.0.0} [LIMIT limit(offset:int count:int)]",
    ..Command::DEFAULT
};

fn zrangebyscore(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, Some(RangeKind::Score), Some(false))
}

/// The row of ZREVRANGEBYSCORE.
pub static ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    handler: zrevrangebyscore,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements being returned. If M is constant (e.g. always asking for the \
        first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Reads the members with scores between two bounds, highest first.",
    deprecated_since: "6.2.0",
    replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
    args: "key@0 max:double min:double [WITHSCORES] [LIMIT limit(offset:int count:int)]",
    ..Command::DEFAULT
};

fn zrevrangebyscore(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, Some(RangeKind::Score), Some(true))
}

/// The row of ZRANGEBYLEX.
pub static ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    handler: zrangebylex,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements being returned. If M is constant (e.g. always asking for the \
        first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Reads the members between two names.",
    deprecated_since: "6.2.0",
    replaced_by: "`ZRANGE` with the `BYLEX` argument",
    args: "key@0 min max [LIMIT limit(offset:int count:int)]",
    ..Command::DEFAULT
};

fn zrangebylex(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, Some(RangeKind::Lex), Some(false))
}

/// The row of ZREVRANGEBYLEX.
pub static ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    handler: zrevrangebylex,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements being returned. If M is constant (e.g. always asking for the \
        first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Reads the members between two names, backwards.",
    deprecated_since: "6.2.0",
    replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
    args: "key@0 max min [LIMIT limit(offset:int count:int)]",
    ..Command::DEFAULT
};

fn zrevrangebylex(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, Some(RangeKind::Lex), Some(true))
}

/// The row of ZRANGESTORE.
pub static ZRANGESTORE: Command = Command {
    name: "zrangestore",
    handler: zrangestore,
    arity: -5,
    flags: flags("write denyoom"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "OW update"), KeySpec::at(2, "RO access")],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
        number of elements stored into the destination key.",
    summary: "Stores members chosen by rank, score or name.",
    args: "dst@0 src@1 min max [sortby(BYSCORE | BYLEX)] [REV] [LIMIT limit(offset:int count:int)]",
    ..Command::DEFAULT
};

fn zrangestore(ctx: &mut Ctx<'_>) -> Outcome {
    let request = Request::parse(ctx, 3, None, None, true)?;
    let (to, from) = (ctx.key(1), ctx.key(2));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let mut result = None;
    if let Some(zset) = db.read_value::<ZSet>(from)? {
        let w = request.window(&zset);
        let mut new = ZSet::new(w.len(), 0, limits);
        let mut buf = [0; I64_TEXT_MAX];
        for (member, score) in zset.range(w, request.reverse) {
            new.insert_new(member.to_bytes(&mut buf), score, limits);
        }
        result = Some(new);
    }
    let n = store(&mut db, to, result.filter(|z| !z.is_empty()), "zrangestore");
    reply.int(n);
    Ok(Flow::Done)
}

/// Puts a result under its key and emits `event`, or deletes the key when there is none. The number of members.
pub fn store(db: &mut DbView<'_>, to: Key<'_>, result: Option<ZSet>, event: &'static str) -> i64 {
    let Some(zset) = result else {
        if db.delete(to, db.config.lazyfree_lazy_server_del) {
            db.modified(to.bytes, N::GENERIC, "del", 1);
        }
        return 0;
    };
    let n = zset.len() as i64;
    db.store(to, Entry::collection(to.bytes, zset, None));
    db.modified(to.bytes, N::ZSET, event, 1);
    n
}
