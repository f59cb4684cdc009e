//! Fields read: HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HSTRLEN, HEXISTS.

use super::{alive, reply_element};
use crate::ds::listpack::Entry as Element;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::hash::Hash;

/// Replies what `show` makes of the value of one field, or of none. An expired field is removed on the way.
#[inline(always)]
fn reply_field(
    ctx: &mut Ctx<'_>,
    show: impl FnOnce(&mut Reply<'_>, Option<Element<'_>>),
) -> Outcome {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    let mut expired = false;
    if let Some(hash) = db.read_value::<Hash>(key)? {
        match hash.get(name) {
            Some(f) if alive(&f, due) => {
                show(&mut reply, Some(f.value));
                return Ok(Flow::Done);
            }
            found => expired = found.is_some(),
        }
    }
    show(&mut reply, None);
    if expired {
        db.remove_expired(key, [name].into_iter());
    }
    Ok(Flow::Done)
}

/// The row of HGET.
pub static HGET: Command = Command {
    name: "hget",
    handler: hget,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Reads a field of a hash.",
    args: "key@0 field",
    ..Command::DEFAULT
};

fn hget(ctx: &mut Ctx<'_>) -> Outcome {
    reply_field(ctx, |reply, value| match value {
        Some(v) => reply_element(reply, v),
        None => reply.null(),
    })
}

/// The row of HSTRLEN.
pub static HSTRLEN: Command = Command {
    name: "hstrlen",
    handler: hstrlen,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO")],
    element: 2,
    group: Group::Hash,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Tells how many bytes the value of a hash field has.",
    args: "key@0 field",
    ..Command::DEFAULT
};

fn hstrlen(ctx: &mut Ctx<'_>) -> Outcome {
    reply_field(ctx, |reply, value| {
        let len = match value {
            Some(Element::Bytes(b)) => b.len(),
            Some(Element::Int(v)) => itoa::Buffer::new().format(v).len(),
            None => 0,
        };
        reply.int(len as i64);
    })
}

/// The row of HEXISTS.
pub static HEXISTS: Command = Command {
    name: "hexists",
    handler: hexists,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Tells whether a hash has a field.",
    args: "key@0 field",
    ..Command::DEFAULT
};

fn hexists(ctx: &mut Ctx<'_>) -> Outcome {
    reply_field(ctx, |reply, value| reply.int(i64::from(value.is_some())))
}

/// The row of HMGET.
pub static HMGET: Command = Command {
    name: "hmget",
    handler: hmget,
    arity: -3,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    element: 2,
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields being requested.",
    summary: "Reads many fields of a hash.",
    args: "key@0 field...",
    ..Command::DEFAULT
};

fn hmget(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, fields) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    let mut expired = false;
    let hash = db.read_value::<Hash>(key)?;
    reply.array(fields.len());
    if let Some(hash) = &hash {
        for f in fields.iter() {
            match hash.get(f) {
                Some(f) if alive(&f, due) => reply_element(&mut reply, f.value),
                found => {
                    expired |= found.is_some();
                    reply.null();
                }
            }
        }
    } else {
        (0..fields.len()).for_each(|_| reply.null());
    }
    if expired {
        db.remove_expired(key, fields.iter());
    }
    Ok(Flow::Done)
}

/// The row of HLEN.
pub static HLEN: Command = Command {
    name: "hlen",
    handler: hlen,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Counts the fields of a hash.",
    args: "key@0",
    ..Command::DEFAULT
};

fn hlen(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let n = db.read_value::<Hash>(key)?.map_or(0, |h| h.len());
    reply.int(n as i64);
    Ok(Flow::Done)
}

/// The row of HGETALL.
pub static HGETALL: Command = Command {
    name: "hgetall",
    handler: hgetall,
    arity: 2,
    flags: flags("readonly"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Reads all fields and values of a hash.",
    tips: &["nondeterministic_output_order"],
    args: "key@0",
    ..Command::DEFAULT
};

fn hgetall(ctx: &mut Ctx<'_>) -> Outcome {
    let begin = |reply: &mut Reply<'_>, n| reply.map(n);
    reply_all(ctx, begin, |reply, name, value| {
        reply_element(reply, name);
        reply_element(reply, value);
    })
}

/// The row of HKEYS.
pub static HKEYS: Command = Command {
    name: "hkeys",
    handler: hkeys,
    arity: 2,
    flags: flags("readonly"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Lists the fields of a hash.",
    tips: &["nondeterministic_output_order"],
    args: "key@0",
    ..Command::DEFAULT
};

fn hkeys(ctx: &mut Ctx<'_>) -> Outcome {
    let begin = |reply: &mut Reply<'_>, n| reply.array(n);
    reply_all(ctx, begin, |reply, name, _| reply_element(reply, name))
}

/// The row of HVALS.
pub static HVALS: Command = Command {
    name: "hvals",
    handler: hvals,
    arity: 2,
    flags: flags("readonly"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Lists the values of a hash.",
    tips: &["nondeterministic_output_order"],
    args: "key@0",
    ..Command::DEFAULT
};

fn hvals(ctx: &mut Ctx<'_>) -> Outcome {
    let begin = |reply: &mut Reply<'_>, n| reply.array(n);
    reply_all(ctx, begin, |reply, _, value| reply_element(reply, value))
}

/// Replies all fields that are alive: `begin` writes the header for so many, `each` one of them.
fn reply_all(
    ctx: &mut Ctx<'_>,
    begin: impl Fn(&mut Reply<'_>, usize),
    each: impl Fn(&mut Reply<'_>, Element<'_>, Element<'_>),
) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    let hash: Result<_, Error> = db.read_value::<Hash>(key);
    let Some(hash) = hash? else {
        begin(&mut reply, 0);
        return Ok(Flow::Done);
    };
    let n = if hash.has_due(due) {
        hash.iter().filter(|(_, f)| alive(f, due)).count()
    } else {
        hash.len()
    };
    begin(&mut reply, n);
    for (name, f) in hash.iter() {
        if alive(&f, due) {
            each(&mut reply, name, f.value);
        }
    }
    Ok(Flow::Done)
}
