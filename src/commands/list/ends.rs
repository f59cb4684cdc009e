//! Pushing and popping at the ends: LPUSH, RPUSH, their X forms, LPOP, RPOP.

use super::{limits, pop_event, popped, push_event, reply_entry};
use crate::config::values::NotifyFlags as N;
use crate::ds::quicklist::End;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::list::{List, ListLimits};

/// The row of LPUSH.
pub static LPUSH: Command = Command {
    name: "lpush",
    handler: lpush,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts elements at the head of a list, making it if missing.",
    args: "key@0 element...",
    ..Command::DEFAULT
};

fn lpush(ctx: &mut Ctx<'_>) -> Outcome {
    push(ctx, End::Head)
}

/// The row of RPUSH.
pub static RPUSH: Command = Command {
    name: "rpush",
    handler: rpush,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts elements at the tail of a list, making it if missing.",
    args: "key@0 element...",
    ..Command::DEFAULT
};

fn rpush(ctx: &mut Ctx<'_>) -> Outcome {
    push(ctx, End::Tail)
}

fn push(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let (key, values) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let mut list = db.write_or_create::<List>(key, |_| List::new())?;
    list.push_all(end, values.iter(), &limits);
    let len = list.len();
    drop(list);
    db.modified(key.bytes, N::LIST, push_event(end), values.len() as i64);
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of LPUSHX.
pub static LPUSHX: Command = Command {
    name: "lpushx",
    handler: lpushx,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::List,
    since: "2.2.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts elements at the head of a list that exists.",
    args: "key@0 element...",
    ..Command::DEFAULT
};

fn lpushx(ctx: &mut Ctx<'_>) -> Outcome {
    push_existing(ctx, End::Head)
}

/// The row of RPUSHX.
pub static RPUSHX: Command = Command {
    name: "rpushx",
    handler: rpushx,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::List,
    since: "2.2.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
        called with multiple arguments.",
    summary: "Puts elements at the tail of a list that exists.",
    args: "key@0 element...",
    ..Command::DEFAULT
};

fn rpushx(ctx: &mut Ctx<'_>) -> Outcome {
    push_existing(ctx, End::Tail)
}

fn push_existing(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let (key, values) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let len = if let Some(mut list) = db.write_value::<List>(key)? {
        list.push_all(end, values.iter(), &limits);
        list.len()
    } else {
        reply.int(0);
        return Ok(Flow::Done);
    };
    db.modified(key.bytes, N::LIST, push_event(end), values.len() as i64);
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The row of LPOP.
pub static LPOP: Command = Command {
    name: "lpop",
    handler: lpop,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements returned",
    summary: "Takes elements from the head of a list.",
    args: "key@0 [count:int]{6.2.0}",
    ..Command::DEFAULT
};

fn lpop(ctx: &mut Ctx<'_>) -> Outcome {
    pop(ctx, End::Head)
}

/// The row of RPOP.
pub static RPOP: Command = Command {
    name: "rpop",
    handler: rpop,
    arity: -2,
    flags: flags("write fast"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW access delete")],
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements returned",
    summary: "Takes elements from the tail of a list.",
    args: "key@0 [count:int]{6.2.0}",
    ..Command::DEFAULT
};

fn rpop(ctx: &mut Ctx<'_>) -> Outcome {
    pop(ctx, End::Tail)
}

fn pop(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(pop_count(ctx)?),
        _ => {
            let name = ctx.command.name;
            return Err(Error::text(format!(
                "ERR wrong number of arguments for '{name}' command"
            )));
        }
    };
    let key = ctx.key(1);
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let (n, emptied) = if let Some(mut list) = db.write_value::<List>(key)? {
        let n = match count {
            None => pop_one(&mut list, end, &limits, &mut reply),
            Some(count) => pop_some(&mut list, end, count, &limits, &mut reply),
        };
        (n, list.is_empty())
    } else {
        match count {
            None => reply.null(),
            Some(_) => reply.null_array(),
        }
        return Ok(Flow::Done);
    };
    if n > 0 {
        popped(&mut db, key, end, n, emptied);
    }
    debug_assert!(n > 0 || count == Some(0), "{} of nothing", pop_event(end));
    Ok(Flow::Done)
}

fn pop_count(ctx: &Ctx<'_>) -> Result<usize, Error> {
    const TEXT: &str = "ERR value is out of range, must be positive";
    match crate::ds::numtext::parse_i64(ctx.arg(2)) {
        Some(n) => usize::try_from(n).map_err(|_| Error::new(TEXT)),
        None => Err(Error::new(TEXT)),
    }
}

/// Pops the element at `end` straight into the reply; returns how many were popped (0 or 1).
pub(super) fn pop_one(
    list: &mut List,
    end: End,
    limits: &ListLimits,
    reply: &mut Reply<'_>,
) -> usize {
    match list.peek(end) {
        Some(entry) => reply_entry(reply, entry),
        None => return 0,
    }
    list.drop_ends(end, 1, limits)
}

/// Pops up to `count` elements at `end` into the reply, as an array in the order of popping; returns how many.
pub(super) fn pop_some(
    list: &mut List,
    end: End,
    count: usize,
    limits: &ListLimits,
    reply: &mut Reply<'_>,
) -> usize {
    let n = count.min(list.len());
    reply.array(n);
    let start = match end {
        End::Head => 0,
        End::Tail => list.len().saturating_sub(1),
    };
    let mut iter = list.iter_from(start, end == End::Tail);
    for _ in 0..n {
        if let Some(entry) = iter.next_entry() {
            reply_entry(reply, entry);
        }
    }
    list.drop_ends(end, n, limits)
}
