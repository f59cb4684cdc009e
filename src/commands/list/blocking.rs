//! Waiting for an element: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP. Each tries once; if there is nothing it says what to wait
//! for, and `exec::blocking` runs it again when that may have come. What is propagated is the form that does not wait.

use super::ends::pop_one;
use super::moving::transfer;
use super::multipop::MultiPop;
use super::{end_of, limits, pop_verb, popped};
use crate::client::blocked::BlockKind;
use crate::ds::quicklist::End;
use crate::exec::blocking::{Unit, deadline, may_wait, wait_for};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::{Error, OwnedArgs};
use crate::types::list::List;

/// The row of BLPOP.
pub static BLPOP: Command = Command {
    name: "blpop",
    handler: blpop,
    arity: -3,
    flags: flags("write blocking"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW access delete").range(-2, 1, 0)],
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of provided keys.",
    summary: "Takes the head of the first list that has one, waiting if none has.",
    args: "key@0... timeout:double",
    ..Command::DEFAULT
};

fn blpop(ctx: &mut Ctx<'_>) -> Outcome {
    pop_first(ctx, End::Head)
}

/// The row of BRPOP.
pub static BRPOP: Command = Command {
    name: "brpop",
    handler: brpop,
    arity: -3,
    flags: flags("write blocking"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW access delete").range(-2, 1, 0)],
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of provided keys.",
    summary: "Takes the tail of the first list that has one, waiting if none has.",
    args: "key@0... timeout:double",
    ..Command::DEFAULT
};

fn brpop(ctx: &mut Ctx<'_>) -> Outcome {
    pop_first(ctx, End::Tail)
}

fn pop_first(ctx: &mut Ctx<'_>, end: End) -> Outcome {
    let last = ctx.args.len() - 1;
    let until = deadline(ctx, last, Unit::Seconds)?;
    for i in 1..last {
        let key = ctx.key(i);
        if pop_from(ctx, key, end)? {
            if ctx.propagates() {
                ctx.propagate_as(vec![OwnedArgs::from_iter([pop_verb(end), key.bytes])]);
            }
            return Ok(Flow::Done);
        }
    }
    let keys = ctx.args.slice(1, last);
    wait_for(ctx, BlockKind::List, keys, until)
}

fn pop_from(ctx: &mut Ctx<'_>, key: Key<'_>, end: End) -> Result<bool, Error> {
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let emptied = if let Some(mut list) = db.write_value::<List>(key)? {
        reply.array(2);
        reply.bulk(key.bytes);
        pop_one(&mut list, end, &limits, &mut reply);
        list.is_empty()
    } else {
        return Ok(false);
    };
    popped(&mut db, key, end, 1, emptied);
    Ok(true)
}

/// The row of BLMOVE.
pub static BLMOVE: Command = Command {
    name: "blmove",
    handler: blmove,
    arity: 6,
    flags: flags("write denyoom blocking"),
    acl: acl("list"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "RW insert"),
    ],
    group: Group::List,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Moves an element between lists, waiting for one if need be.",
    args: "source@0 destination@1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT) timeout:double",
    ..Command::DEFAULT
};

fn blmove(ctx: &mut Ctx<'_>) -> Outcome {
    let (from, to) = (end_of(ctx.arg(3))?, end_of(ctx.arg(4))?);
    let until = deadline(ctx, 5, Unit::Seconds)?;
    move_or_wait(ctx, from, to, until)
}

/// The row of BRPOPLPUSH.
pub static BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    handler: brpoplpush,
    arity: 4,
    flags: flags("write denyoom blocking"),
    acl: acl("list"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "RW insert"),
    ],
    group: Group::List,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Moves the tail of a list to the head of another, waiting for one if need be.",
    deprecated_since: "6.2.0",
    replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    args: "source@0 destination@1 timeout:double",
    ..Command::DEFAULT
};

fn brpoplpush(ctx: &mut Ctx<'_>) -> Outcome {
    let until = deadline(ctx, 3, Unit::Seconds)?;
    move_or_wait(ctx, End::Tail, End::Head, until)
}

fn move_or_wait(ctx: &mut Ctx<'_>, from: End, to: End, until: Option<i64>) -> Outcome {
    if transfer(ctx, from, to)? {
        if ctx.propagates() {
            let form = if ctx.command.name == "blmove" {
                let words = [
                    b"LMOVE".as_slice(),
                    ctx.arg(1),
                    ctx.arg(2),
                    ctx.arg(3),
                    ctx.arg(4),
                ];
                OwnedArgs::from_iter(words)
            } else {
                OwnedArgs::from_iter([b"RPOPLPUSH".as_slice(), ctx.arg(1), ctx.arg(2)])
            };
            ctx.propagate_as(vec![form]);
        }
        return Ok(Flow::Done);
    }
    if !may_wait(ctx) {
        // Unlike a wait that came to nothing, which replies no array.
        ctx.reply().null();
        return Ok(Flow::Done);
    }
    let keys = ctx.args.slice(1, 2);
    wait_for(ctx, BlockKind::List, keys, until)
}

/// The row of BLMPOP.
pub static BLMPOP: Command = Command {
    name: "blmpop",
    handler: blmpop,
    arity: -5,
    flags: flags("write blocking"),
    acl: acl("list"),
    keys: &[KeySpec::at(2, "RW access delete").counted()],
    group: Group::List,
    since: "7.0.0",
    complexity: "O(N+M) where N is the number of provided keys and M is the number of \
        elements returned.",
    summary: "Takes elements from the first list that has any, waiting if none has.",
    args: "timeout:double numkeys:int key@0... where(LEFT | RIGHT) [COUNT count:int]",
    ..Command::DEFAULT
};

fn blmpop(ctx: &mut Ctx<'_>) -> Outcome {
    let request = MultiPop::parse(ctx, 2)?;
    let until = deadline(ctx, 1, Unit::Seconds)?;
    if request.run(ctx)? {
        return Ok(Flow::Done);
    }
    let keys = ctx.args.slice(request.first, request.first + request.keys);
    wait_for(ctx, BlockKind::List, keys, until)
}
