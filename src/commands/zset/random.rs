//! Members by chance: ZRANDMEMBER.

use super::{reply_element, reply_list, reply_member};
use crate::ds::numtext::parse_i64;
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
    let count = parse_i64(ctx.arg(2)).ok_or(Error::NotInteger)?;
    let with_scores = match ctx.args.len() {
        3 => false,
        4 if ctx.is(3, "WITHSCORES") => true,
        _ => return Err(Error::Syntax),
    };
    // The number of elements replied must be one, both ways.
    let most = if with_scores { i64::MAX / 2 } else { i64::MAX };
    if count < -most || count > most {
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
