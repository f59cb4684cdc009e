//! Reading lists: LLEN, LINDEX, LRANGE, LPOS.

use super::reply_entry;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::list::List;

/// The row of LLEN.
pub static LLEN: Command = Command {
    name: "llen",
    handler: llen,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells how long a list is.",
    args: "key@0",
    ..Command::DEFAULT
};

fn llen(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let len = db.read_value::<List>(key)?.map_or(0, |l| l.len());
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of LINDEX.
pub static LINDEX: Command = Command {
    name: "lindex",
    handler: lindex,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements to traverse to get to the element at \
        index. This makes asking for the first or the last element of the list O(1).",
    summary: "Reads the list element at a position.",
    args: "key@0 index:int",
    ..Command::DEFAULT
};

fn lindex(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, index) = (ctx.key(1), parse_i64(ctx.arg(2)));
    let (mut db, mut reply, _) = ctx.parts();
    let Some(list) = db.read_value::<List>(key)? else {
        reply.null();
        return Ok(Flow::Done);
    };
    // A missing key answers before the index is looked at.
    let index = index.ok_or(Error::NotInteger)?;
    match list.index(index) {
        Some(at) => drop(list.with(at, |entry| reply_entry(&mut reply, entry))),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// The row of LRANGE.
pub static LRANGE: Command = Command {
    name: "lrange",
    handler: lrange,
    arity: 4,
    flags: flags("readonly"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, \
        from nearest end (HEAD or TAIL) for large lists; and N is the number of elements \
        in the specified range.",
    summary: "Reads the list elements between two positions.",
    args: "key@0 start:int stop:int",
    ..Command::DEFAULT
};

fn lrange(ctx: &mut Ctx<'_>) -> Outcome {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let Some(list) = db.read_value::<List>(key)? else {
        reply.array(0);
        return Ok(Flow::Done);
    };
    let (from, n) = range(start, stop, list.len());
    reply.array(n);
    list.for_each(from, n, |entry| reply_entry(&mut reply, entry));
    Ok(Flow::Done)
}

/// What `[start, stop]` (negative from the tail) covers in a list of `len` elements: the first offset, and how many.
pub(super) fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let n = len as i64;
    let from = if start < 0 {
        start.saturating_add(n).max(0)
    } else {
        start
    };
    let to = if stop < 0 {
        stop.saturating_add(n)
    } else {
        stop.min(n - 1)
    };
    if from > to || from >= n {
        return (len, 0);
    }
    (from as usize, (to - from + 1) as usize)
}

/// The row of LPOS.
pub static LPOS: Command = Command {
    name: "lpos",
    handler: lpos,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::List,
    since: "6.0.6",
    complexity: "O(N) where N is the number of elements in the list, for the average case. \
        When searching for elements near the head or the tail of the list, or when the \
        MAXLEN option is provided, the command may run in constant time.",
    summary: "Finds the positions of an element in a list.",
    args: "key@0 element [RANK rank:int] [COUNT num-matches:int] [MAXLEN len:int]",
    ..Command::DEFAULT
};

/// Options of LPOS.
struct LposOptions {
    rank: i64,
    count: Option<usize>,
    max_len: usize,
}

impl LposOptions {
    fn parse(ctx: &Ctx<'_>) -> Result<Self, Error> {
        const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
        const RANGE: &str = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        let mut o = LposOptions {
            rank: 1,
            count: None,
            max_len: 0,
        };
        let mut i = 3;
        while i < ctx.args.len() {
            if i + 1 == ctx.args.len() {
                return Err(Error::Syntax);
            }
            if ctx.is(i, "RANK") {
                o.rank = ctx.int_in(i + 1, -i64::MAX, i64::MAX, RANGE)?;
                if o.rank == 0 {
                    return Err(Error::new(RANK_ZERO));
                }
            } else if ctx.is(i, "COUNT") {
                o.count = Some(positive(ctx, i + 1, "ERR COUNT can't be negative")?);
            } else if ctx.is(i, "MAXLEN") {
                o.max_len = positive(ctx, i + 1, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(Error::Syntax);
            }
            i += 2;
        }
        Ok(o)
    }
}

fn positive(ctx: &Ctx<'_>, i: usize, error: &'static str) -> Result<usize, Error> {
    // Compat: upstream says the same about text that is no number at all.
    parse_i64(ctx.arg(i))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(Error::new(error))
}

fn lpos(ctx: &mut Ctx<'_>) -> Outcome {
    let o = LposOptions::parse(ctx)?;
    let (key, needle) = (ctx.key(1), ctx.arg(2));
    let (mut db, mut reply, _) = ctx.parts();
    let Some(list) = db.read_value::<List>(key)? else {
        match o.count {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return Ok(Flow::Done);
    };
    let Some(count) = o.count else {
        let mut first = None;
        list.positions(needle, o.rank, o.max_len, |at| {
            first = Some(at);
            false
        });
        match first {
            Some(at) => reply.int(at as i64),
            None => reply.null(),
        }
        return Ok(Flow::Done);
    };
    let (mark, mut found) = (reply.begin(), 0);
    list.positions(needle, o.rank, o.max_len, |at| {
        reply.int(at as i64);
        found += 1;
        count == 0 || found < count
    });
    reply.end_array(mark, found);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_cut_to_the_list() {
        assert_eq!(range(0, -1, 3), (0, 3));
        assert_eq!(range(-100, 100, 3), (0, 3));
        assert_eq!(range(2, 1, 3), (3, 0));
        assert_eq!(range(3, 9, 3), (3, 0));
        assert_eq!(range(0, -4, 3), (3, 0));
        assert_eq!(range(i64::MIN, i64::MAX, 3), (0, 3));
        assert_eq!(range(-2, -2, 3), (1, 1));
        assert_eq!(range(0, -1, 0), (0, 0));
    }
}
