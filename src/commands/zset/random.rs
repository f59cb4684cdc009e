//! Members by chance and bit by bit: ZRANDMEMBER, ZSCAN.

use super::{reply_element, reply_list, reply_member};
use crate::commands::scan::{self, ScanOf, ScanOptions};
use crate::ds::dtoa::{F64_TEXT_MAX, seventeen_digits, write_f64};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::ds::rng::Rng;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::zset::ZSet;

/// The row of ZRANDMEMBER.
pub static ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    handler: zrandmember,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(N) where N is the number of members returned",
    summary: "Picks members of a sorted set at random.",
    tips: &["nondeterministic_output"],
    args: "key@0 [options(count:int [WITHSCORES])]",
    ..Command::DEFAULT
};

fn zrandmember(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 2 {
        return some(ctx);
    }
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut rng = Rng::new(db.rng.next_u64());
    match db
        .read_value::<ZSet>(key)?
        .as_ref()
        .and_then(|z| z.random(&mut rng))
    {
        Some((member, _)) => reply_member(&mut reply, member),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

fn some(ctx: &mut Ctx<'_>) -> Outcome {
    const RANGE: &str = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    let count = ctx.int_in(2, -i64::MAX, i64::MAX, RANGE)?;
    let with_scores = match ctx.args.len() {
        3 => false,
        4 if ctx.is(3, "WITHSCORES") => true,
        _ => return Err(Error::Syntax),
    };
    // The number of elements replied must fit, too.
    if with_scores && count.abs() > i64::MAX / 2 {
        return Err(Error::OutOfRange);
    }
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut rng = Rng::new(db.rng.next_u64());
    let Some(zset) = db.read_value::<ZSet>(key)? else {
        reply.array(0);
        return Ok(Flow::Done);
    };
    if count < 0 {
        // Each draw is on its own: members may repeat.
        let n = count.unsigned_abs() as usize;
        reply_list(&mut reply, n, with_scores);
        for _ in 0..n {
            if let Some((member, score)) = zset.random(&mut rng) {
                reply_element(&mut reply, member, score, with_scores);
            }
            if reply.choked() {
                break;
            }
        }
    } else {
        let n = (count as usize).min(zset.len());
        reply_list(&mut reply, n, with_scores);
        zset.random_unique(&mut rng, n, &mut |member, score| {
            reply_element(&mut reply, member, score, with_scores);
        });
    }
    Ok(Flow::Done)
}

/// The row of ZSCAN.
pub static ZSCAN: Command = Command {
    name: "zscan",
    handler: zscan,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::SortedSet,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
        calls for the cursor to return back to 0. N is the number of elements inside the \
        collection.",
    summary: "Walks through the members of a sorted set bit by bit.",
    tips: &["nondeterministic_output"],
    args: "key@0 cursor:int [MATCH pattern:pattern] [COUNT count:int]",
    ..Command::DEFAULT
};

fn zscan(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    scan::cursor(ctx.arg(2))?;
    if ctx.db().read_value::<ZSet>(key)?.is_none() {
        scan::missing(ctx, 2)?;
        return Ok(Flow::Done);
    }
    let o = ScanOptions::parse(ctx, 2, ScanOf::Members)?;
    let (mut db, mut reply, _) = ctx.parts();
    let (mark, mut n, mut next) = (reply.begin(), 0, 0);
    let entry = db.peek(key);
    if let Some(zset) = entry.as_ref().and_then(|e| e.value::<ZSet>()) {
        let packed = matches!(&*zset, ZSet::Listpack(_));
        next = zset.scan(o.cursor, o.count, &mut |member, score| {
            if o.wants(member.to_bytes(&mut [0; I64_TEXT_MAX])) {
                reply_member(&mut reply, member);
                // Compat: a score is text here, in RESP3 too, and more digits of it come out of a tree.
                if packed {
                    reply.bulk(write_f64(score, &mut [0; F64_TEXT_MAX]));
                } else {
                    reply.bulk(seventeen_digits(score).as_bytes());
                }
                n += 2;
            }
        });
    }
    reply.end_scan(mark, next, n);
    Ok(Flow::Done)
}
