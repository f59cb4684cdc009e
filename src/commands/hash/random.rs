//! Random fields: HRANDFIELD.

use super::{alive, reply_element};
use crate::ds::listpack::Entry as Element;
use crate::ds::rng::Rng;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::hash::{Field, Hash};

/// The row of HRANDFIELD.
pub static HRANDFIELD: Command = Command {
    name: "hrandfield",
    handler: hrandfield,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "6.2.0",
    complexity: "O(N) where N is the number of fields returned",
    summary: "Picks fields of a hash at random.",
    tips: &["nondeterministic_output"],
    args: "key@0 [options(count:int [WITHVALUES])]",
    ..Command::DEFAULT
};

fn hrandfield(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() == 2 {
        return draw(ctx, None);
    }
    let range = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    let count = ctx.int_in(2, -i64::MAX, i64::MAX, range)?;
    let values = ctx.args.len() == 4 && ctx.is(3, "WITHVALUES");
    if ctx.args.len() > 3 && !values {
        return Err(Error::Syntax);
    }
    // With values the reply has twice as many elements, which must still be countable.
    if values && count.abs() > i64::MAX / 2 {
        return Err(Error::OutOfRange);
    }
    draw(ctx, Some((count, values)))
}

/// One field, or so many with or without their values.
fn draw(ctx: &mut Ctx<'_>, how: Option<(i64, bool)>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    db.read_value::<Hash>(key)?;
    db.remove_due(key, usize::MAX);
    let due = db.fields_due();
    let mut rng = db.rng.clone();
    let entry = db.peek(key);
    if let Some(hash) = entry.as_ref().and_then(|e| e.value::<Hash>()) {
        // Due and still there: not ours to remove, so they are only passed over.
        let hidden = hash.has_due(due).then(|| {
            let seen = hash.iter().filter(|(_, f)| alive(f, due));
            seen.collect::<Vec<_>>()
        });
        match (how, hidden) {
            (None, None) => match hash.random(&mut rng) {
                Some((name, _)) => reply_element(&mut reply, name),
                None => reply.null(),
            },
            (None, Some(seen)) => match seen.get(rng.below(seen.len())) {
                Some((name, _)) => reply_element(&mut reply, *name),
                None => reply.null(),
            },
            (Some((n, values)), None) => draw_many(&mut reply, &hash, n, values, &mut rng),
            (Some((n, values)), Some(seen)) => draw_seen(&mut reply, &seen, n, values, &mut rng),
        }
    } else if how.is_some() {
        reply.array(0);
    } else {
        reply.null();
    }
    *db.rng = rng;
    Ok(Flow::Done)
}

fn draw_many(reply: &mut Reply<'_>, hash: &Hash, count: i64, values: bool, rng: &mut Rng) {
    let n = count.unsigned_abs() as usize;
    if count >= 0 {
        begin(reply, n.min(hash.len()), values);
        hash.random_distinct(rng, n, &mut |name, f| one(reply, name, f, values));
    } else {
        begin(reply, n, values);
        hash.random_repeated(rng, n, &mut |name, f| {
            one(reply, name, f, values);
            !reply.choked()
        });
    }
}

/// The same from the fields that are seen.
fn draw_seen(
    reply: &mut Reply<'_>,
    seen: &[(Element<'_>, Field<'_>)],
    count: i64,
    values: bool,
    rng: &mut Rng,
) {
    let n = count.unsigned_abs() as usize;
    if seen.is_empty() || count >= 0 {
        let n = n.min(seen.len());
        begin(reply, n, values);
        for &(name, field) in &seen[..n] {
            one(reply, name, field, values);
        }
        return;
    }
    begin(reply, n, values);
    for _ in 0..n {
        let (name, f) = seen[rng.below(seen.len())];
        one(reply, name, f, values);
        if reply.choked() {
            break;
        }
    }
}

fn begin(reply: &mut Reply<'_>, n: usize, values: bool) {
    if values && !reply.resp3() {
        reply.array(2 * n);
    } else {
        reply.array(n);
    }
}

fn one(reply: &mut Reply<'_>, name: Element<'_>, field: Field<'_>, values: bool) {
    if values && reply.resp3() {
        reply.array(2);
    }
    reply_element(reply, name);
    if values {
        reply_element(reply, field.value);
    }
}
