//! XPENDING: a group's pending list, as a summary or entry by entry.

use super::{Value, no_group, refused, reply_id};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::stream::{Group as StreamGroup, PendingFilter, parse_end, parse_start};

/// The row of XPENDING.
pub static XPENDING: Command = Command {
    name: "xpending",
    handler: xpending,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) with N being the number of elements returned, so asking for a small \
        fixed number of entries per call is O(1). O(M), where M is the total number of \
        entries scanned when used with the IDLE filter. When the command returns just the \
        summary and the list of consumers is small, it runs in O(1) time; otherwise, an \
        additional O(N) time for iterating every consumer.",
    summary: "Tells which messages are delivered but not settled.",
    tips: &["nondeterministic_output"],
    args: "key@0 group [filters([IDLE min-idle-time:int]{6.2.0} start end count:int [consumer])]",
    ..Command::DEFAULT
};

fn xpending(ctx: &mut Ctx<'_>) -> Outcome {
    let (mut filter, consumer) = match ctx.args.len() {
        3 => (None, None),
        _ => parse_filter(ctx)?,
    };
    let (key, name, now) = (ctx.key(1), ctx.arg(2), ctx.now_ms());
    let (mut db, mut reply, _) = ctx.parts();
    let stream = db.read_value::<Value>(key)?;
    let Some(group) = stream.as_ref().and_then(|s| s.group(name)) else {
        return Err(no_group(key.bytes, name));
    };
    let Some(filter) = &mut filter else {
        summary(group, &mut reply);
        return Ok(Flow::Done);
    };
    if let Some(consumer) = consumer {
        filter.consumer = group.consumer_id(consumer);
        if filter.consumer.is_none() {
            reply.array(0);
            return Ok(Flow::Done);
        }
    }
    let at = reply.begin();
    let mut n = 0;
    group.list_pending(filter, now, |item| {
        n += 1;
        reply.array(4);
        reply_id(&mut reply, item.id);
        reply.bulk(group.consumer(item.nack.consumer).map_or(b"", |c| c.name()));
        reply.int(item.idle_ms);
        reply.int(item.nack.delivery_count.into());
    });
    reply.end_array(at, n);
    Ok(Flow::Done)
}

/// `[IDLE ms] start end count [consumer]`. What stands behind the consumer is not looked at, as upstream does not.
fn parse_filter<'a>(ctx: &Ctx<'a>) -> Result<(Option<PendingFilter>, Option<&'a [u8]>), Error> {
    let argc = ctx.args.len();
    if !(6..=9).contains(&argc) {
        return Err(Error::Syntax);
    }
    let (mut at, mut min_idle_ms) = (3, 0);
    if ctx.is(3, "IDLE") {
        min_idle_ms = ctx.int(4)?;
        if argc < 8 {
            return Err(Error::Syntax);
        }
        at = 5;
    }
    let count = ctx.int(at + 2)?.max(0) as u64;
    let filter = PendingFilter {
        start: parse_start(ctx.arg(at)).map_err(refused)?,
        end: parse_end(ctx.arg(at + 1)).map_err(refused)?,
        count,
        consumer: None,
        min_idle_ms,
    };
    Ok((Some(filter), ctx.args.get(at + 3)))
}

fn summary(group: &StreamGroup, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.int(group.pending_len() as i64);
    let Some((first, last)) = group.pending_bounds() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let busy = || group.consumers().filter(|(_, c)| c.pending_len() > 0);
    reply.array(busy().count());
    for (_, consumer) in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_len() as i64);
    }
}
