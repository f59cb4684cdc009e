//! Adding members and changing scores: ZADD, ZINCRBY.

use super::limits;
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_f64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::zset::{AddFlags, Added, ZSet};

/// Scores kept on the stack while all of them are checked; more go to the heap.
const SCORES_ON_STACK: usize = 16;

/// The row of ZADD.
pub static ZADD: Command = Command {
    name: "zadd",
    handler: zadd,
    arity: -4,
    flags: flags("write denyoom fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW update")],
    element: 3,
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)) for each item added, where N is the number of elements in the \
        sorted set.",
    summary: "Puts scored members into a sorted set, or changes their scores.",
    args: "key@0 [condition(NX | XX)]{3.0.2} [comparison(GT | LT)]{6.2.0} [change=CH]{3.0.2} \
        [increment=INCR]{3.0.2} data(score:double member)...",
    ..Command::DEFAULT
};

fn zadd(ctx: &mut Ctx<'_>) -> Outcome {
    let o = AddOptions::parse(ctx);
    o.check(ctx)?;
    add(ctx, o)
}

/// The row of ZINCRBY.
pub static ZINCRBY: Command = Command {
    name: "zincrby",
    handler: zincrby,
    arity: 4,
    flags: flags("write denyoom fast"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RW access update")],
    element: 3,
    group: Group::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)) where N is the number of elements in the sorted set.",
    summary: "Adds to the score of a member.",
    args: "key@0 increment:int member",
    ..Command::DEFAULT
};

fn zincrby(ctx: &mut Ctx<'_>) -> Outcome {
    // Compat: to upstream it is ZADD with INCR, whose words it takes.
    let mut o = AddOptions::parse(ctx);
    o.flags.incr = true;
    o.check(ctx)?;
    add(ctx, o)
}

/// The words before the pairs of ZADD.
#[derive(Default, Clone, Copy)]
pub(in crate::commands) struct AddOptions {
    /// NX, XX, GT, LT, INCR
    pub flags: AddFlags,
    /// CH: reply the number of changed members, too.
    pub changed: bool,
    /// The argument of the first score.
    pub first: usize,
}

impl AddOptions {
    fn parse(ctx: &Ctx<'_>) -> Self {
        let mut o = AddOptions::default();
        let mut i = 2;
        while i < ctx.args.len() {
            let word = if ctx.is(i, "NX") {
                &mut o.flags.nx
            } else if ctx.is(i, "XX") {
                &mut o.flags.xx
            } else if ctx.is(i, "GT") {
                &mut o.flags.gt
            } else if ctx.is(i, "LT") {
                &mut o.flags.lt
            } else if ctx.is(i, "CH") {
                &mut o.changed
            } else if ctx.is(i, "INCR") {
                &mut o.flags.incr
            } else {
                break;
            };
            *word = true;
            i += 1;
        }
        o.first = i;
        o
    }

    fn check(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let (f, left) = (self.flags, ctx.args.len() - self.first);
        if left == 0 || !left.is_multiple_of(2) {
            return Err(Error::Syntax);
        }
        if f.nx && f.xx {
            return Err(Error::new(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if (f.nx && (f.gt || f.lt)) || (f.gt && f.lt) {
            return Err(Error::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if f.incr && left > 2 {
            return Err(Error::new(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }
}

fn add(ctx: &mut Ctx<'_>, o: AddOptions) -> Outcome {
    let pairs = ctx.args.from(o.first);
    let n = pairs.len() / 2;
    // Every score is checked before anything changes.
    let (mut stack, mut heap) = ([0.0; SCORES_ON_STACK], Vec::new());
    let scores = if n <= SCORES_ON_STACK {
        &mut stack[..n]
    } else {
        heap.resize(n, 0.0);
        &mut heap[..]
    };
    for (i, s) in scores.iter_mut().enumerate() {
        *s = parse_f64(pairs.at(2 * i)).ok_or(Error::NotFloat)?;
    }
    apply(ctx, o, scores, |i| pairs.at(2 * i + 1))
}

/// Adds the `i`-th member with the `i`-th score, as ZADD does, and replies. No score is NaN.
pub(in crate::commands) fn apply<'a>(
    ctx: &mut Ctx<'_>,
    o: AddOptions,
    scores: &[f64],
    members: impl Fn(usize) -> &'a [u8],
) -> Outcome {
    let n = scores.len();
    // As upstream only the first member decides how a set begins; that shows in the signs of zeros that came before a long one.
    let first = if n > 0 { members(0).len() } else { 0 };
    let key = ctx.key(1);
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    if o.flags.xx && db.write_value::<ZSet>(key)?.is_none() {
        match o.flags.incr {
            true => reply.null(),
            false => reply.int(0),
        }
        return Ok(Flow::Done);
    }
    let mut zset = db.write_or_create(key, |_| ZSet::new(n, first, limits))?;
    if n > limits.max_entries {
        // As upstream: so many pairs make a tree, even if they name few members.
        zset.to_tree();
    }
    let (mut added, mut updated) = (0, 0);
    let mut score = None;
    let mut failed = None;
    for (i, s) in scores.iter().enumerate() {
        match zset.add(members(i), *s, o.flags, limits) {
            Ok(Added::New(s)) => {
                added += 1;
                score = Some(s);
            }
            Ok(Added::Updated(s)) => {
                updated += 1;
                score = Some(s);
            }
            Ok(Added::Same(s)) => score = Some(s),
            Ok(Added::Refused) => {}
            Err(e) => {
                // Only an increment can fail, and it is the only pair.
                failed = Some(Error::text(format!("ERR {e}")));
                break;
            }
        }
    }
    drop(zset);
    if added + updated > 0 {
        let event = if o.flags.incr { "zincr" } else { "zadd" };
        db.modified(key.bytes, N::ZSET, event, added + updated);
    }
    match (failed, score) {
        (Some(e), _) => return Err(e),
        (_, Some(s)) if o.flags.incr => reply.double(s),
        (_, None) if o.flags.incr => reply.null(),
        _ => reply.int(if o.changed { added + updated } else { added }),
    }
    Ok(Flow::Done)
}
