//! Moving an element from list to list: LMOVE, RPOPLPUSH; their blocking forms use [`transfer`] too.

use super::{end_of, limits, popped, push_event};
use crate::config::values::NotifyFlags as N;
use crate::ds::quicklist::End;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::Error;
use crate::types::list::List;

/// The row of LMOVE.
pub static LMOVE: Command = Command {
    name: "lmove",
    handler: lmove,
    arity: 5,
    flags: flags("write denyoom"),
    acl: acl("list"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "RW insert"),
    ],
    group: Group::List,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Moves an end element of a list to an end of another.",
    args: "source@0 destination@1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT)",
    ..Command::DEFAULT
};

fn lmove(ctx: &mut Ctx<'_>) -> Outcome {
    let (from, to) = (end_of(ctx.arg(3))?, end_of(ctx.arg(4))?);
    move_or_null(ctx, from, to)
}

/// The row of RPOPLPUSH.
pub static RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    handler: rpoplpush,
    arity: 3,
    flags: flags("write denyoom"),
    acl: acl("list"),
    keys: &[
        KeySpec::at(1, "RW access delete"),
        KeySpec::at(2, "RW insert"),
    ],
    group: Group::List,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Moves the tail of a list to the head of another.",
    deprecated_since: "6.2.0",
    replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
    args: "source@0 destination@1",
    ..Command::DEFAULT
};

fn rpoplpush(ctx: &mut Ctx<'_>) -> Outcome {
    move_or_null(ctx, End::Tail, End::Head)
}

fn move_or_null(ctx: &mut Ctx<'_>, from: End, to: End) -> Outcome {
    if !transfer(ctx, from, to)? {
        ctx.reply().null();
    }
    Ok(Flow::Done)
}

/// Moves one element from argument 1 to argument 2 and replies it; false when the source is empty (nothing was replied).
pub(super) fn transfer(ctx: &mut Ctx<'_>, from: End, to: End) -> Result<bool, Error> {
    let (source, destination) = (ctx.key(1), ctx.key(2));
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    if db.write_value::<List>(source)?.is_none() {
        return Ok(false);
    }
    // The destination's type is checked before anything is taken.
    drop(db.write_value::<List>(destination)?);
    let (value, mut emptied) = if let Some(mut list) = db.write_value::<List>(source)? {
        let value = list.pop(from, &limits).ok_or(Error::NoSuchKey)?;
        (value, list.is_empty())
    } else {
        return Ok(false);
    };
    if source.bytes == destination.bytes {
        // The one element of a list goes back into it: the key never disappears.
        emptied = false;
    }
    add(&mut db, destination, to, &value, &limits)?;
    db.modified(destination.bytes, N::LIST, push_event(to), 1);
    popped(&mut db, source, from, 1, emptied);
    reply.bulk(&value);
    Ok(true)
}

fn add(
    db: &mut crate::keyspace::DbView<'_>,
    key: Key<'_>,
    end: End,
    value: &[u8],
    limits: &crate::types::list::ListLimits,
) -> Result<(), Error> {
    let mut list = db.write_or_create::<List>(key, |_| List::new())?;
    list.push(end, value, limits);
    Ok(())
}
