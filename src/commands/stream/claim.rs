//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use super::deliver::{claim_form, position_form, seen};
use super::range::reply_entry;
use super::{Value, id_arg, no_group, refused, reply_id};
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_i64;
use crate::ds::stream::StreamId;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key};
use crate::resp::{Error, OwnedArgs, Reply};
use crate::types::stream::{
    Claim, ClaimOptions, Group as StreamGroup, Log, parse_start, parse_strict,
};

/// The row of XCLAIM.
pub static XCLAIM: Command = Command {
    name: "xclaim",
    handler: xclaim,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
    summary: "Hands over pending messages to a consumer.",
    tips: &["nondeterministic_output"],
    args: "key@0 group consumer min-idle-time id... [IDLE ms:int] \
        [TIME unix-time-milliseconds:unix-time] [RETRYCOUNT count:int] [FORCE] [JUSTID] \
        [LASTID lastid]",
    ..Command::DEFAULT
};

/// XCLAIM's ids and options.
struct Request {
    ids: Vec<StreamId>,
    options: ClaimOptions,
    last_id: Option<StreamId>,
}

fn min_idle(ctx: &Ctx<'_>) -> Result<i64, Error> {
    match parse_i64(ctx.arg(4)) {
        Some(n) => Ok(n.max(0)),
        None => Err(Error::text(format!(
            "ERR Invalid min-idle-time argument for {}",
            ctx.command.name.to_ascii_uppercase()
        ))),
    }
}

fn parse_claim(ctx: &Ctx<'_>) -> Result<Request, Error> {
    let now = ctx.now_ms();
    let mut options = ClaimOptions {
        min_idle_ms: min_idle(ctx)?,
        delivery_time_ms: now,
        retry_count: None,
        force: false,
        just_id: false,
    };
    // Ids end where the first word is none.
    let ids: Vec<StreamId> = (5..ctx.args.len())
        .map_while(|i| parse_strict(ctx.arg(i), 0).ok())
        .collect();
    let mut last_id = None;
    let mut i = 5 + ids.len();
    while i < ctx.args.len() {
        let more = i + 1 < ctx.args.len();
        let number = |name: &str| {
            parse_i64(ctx.arg(i + 1)).ok_or_else(|| {
                Error::text(format!("ERR Invalid {name} option argument for XCLAIM"))
            })
        };
        if ctx.is(i, "FORCE") {
            options.force = true;
            i += 1;
            continue;
        } else if ctx.is(i, "JUSTID") {
            options.just_id = true;
            i += 1;
            continue;
        } else if ctx.is(i, "IDLE") && more {
            options.delivery_time_ms = now.wrapping_sub(number("IDLE")?);
        } else if ctx.is(i, "TIME") && more {
            options.delivery_time_ms = number("TIME")?;
        } else if ctx.is(i, "RETRYCOUNT") && more {
            options.retry_count = u64::try_from(number("RETRYCOUNT")?).ok();
        } else if ctx.is(i, "LASTID") && more {
            last_id = Some(id_arg(ctx, i + 1)?);
        } else {
            let parts: [&[u8]; 3] = [b"ERR Unrecognized XCLAIM option '", ctx.arg(i), b"'"];
            return Err(Error::Bytes(parts.concat()));
        }
        i += 2;
    }
    // A time ahead of us, or none at all, is now.
    if !(0..=now).contains(&options.delivery_time_ms) {
        options.delivery_time_ms = now;
    }
    Ok(Request {
        ids,
        options,
        last_id,
    })
}

fn xclaim(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let there = ctx
        .db()
        .read_value::<Value>(key)?
        .is_some_and(|s| s.group(name).is_some());
    if !there {
        return Err(no_group(key.bytes, name));
    }
    let request = parse_claim(ctx)?;
    let (consumer, now, propagates) = (ctx.arg(3), ctx.now_ms(), ctx.propagates());
    let (mut db, mut reply, _) = ctx.parts();
    let mut told = Vec::new();
    let (mut created, mut dirty) = (false, 0);
    if let Some(mut stream) = db.write_value::<Value>(key)?
        && let Some((log, group)) = stream.group_mut(name)
    {
        let moved = request.last_id.is_some_and(|id| id > group.last_id());
        if let Some(id) = request.last_id {
            group.raise_last_id(id);
        }
        dirty += i64::from(moved);
        let id;
        (id, created) = seen(group, consumer, now);
        let at = reply.begin();
        let mut n = 0;
        for entry in &request.ids {
            let claim = group.claim(log, *entry, id, &request.options, now);
            dirty += i64::from(claim != Claim::Skipped);
            n += usize::from(matches!(claim, Claim::Claimed(_)));
            if propagates {
                told.extend(form_of(key, group, *entry, claim));
            }
            reply_claim(&mut reply, log, *entry, claim, request.options.just_id);
        }
        reply.end_array(at, n);
        if moved && told.is_empty() && propagates {
            told.push(position_form(key.bytes, group));
        }
    }
    finish(&mut db, key, created, dirty);
    ctx.propagate_as(told);
    Ok(Flow::Done)
}

/// What is propagated for one id. A dropped reference names the consumer that had it.
fn form_of(key: Key<'_>, group: &StreamGroup, id: StreamId, claim: Claim) -> Option<OwnedArgs> {
    let nack = match claim {
        Claim::Skipped => return None,
        Claim::Deleted(nack) | Claim::Claimed(nack) => nack,
    };
    let owner = group.consumer(nack.consumer)?;
    Some(claim_form(key.bytes, group, owner.name(), id, &nack))
}

fn reply_claim(reply: &mut Reply<'_>, log: &Log, id: StreamId, claim: Claim, just_id: bool) {
    if !matches!(claim, Claim::Claimed(_)) {
        return;
    }
    if just_id {
        return reply_id(reply, id);
    }
    match log.range(id, id).next() {
        Some(entry) => drop(reply_entry(reply, entry)),
        None => reply.null_array(),
    }
}

/// Counts the changes. Pending lists are no content of the key: nobody else is told.
fn finish(db: &mut DbView<'_>, key: Key<'_>, created: bool, dirty: i64) {
    db.fx.dirty += dirty + i64::from(created);
    if created {
        db.event(N::STREAM, "xgroup-createconsumer", key.bytes);
    }
}

/// The row of XAUTOCLAIM.
pub static XAUTOCLAIM: Command = Command {
    name: "xautoclaim",
    handler: xautoclaim,
    arity: -6,
    flags: flags("write fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::Stream,
    since: "6.2.0",
    complexity: "O(1) if COUNT is small.",
    summary: "Hands over messages that were pending for too long.",
    tips: &["nondeterministic_output"],
    args: "key@0 group consumer min-idle-time start [COUNT count:int] [JUSTID]",
    ..Command::DEFAULT
};

/// Ids that XAUTOCLAIM keeps track of take 16 bytes each; so many cannot be had.
const TOO_MANY: i64 = 1 << 40;

fn parse_autoclaim(ctx: &Ctx<'_>) -> Result<(ClaimOptions, StreamId, u64), Error> {
    let mut options = ClaimOptions {
        min_idle_ms: min_idle(ctx)?,
        delivery_time_ms: ctx.now_ms(),
        retry_count: None,
        force: false,
        just_id: false,
    };
    let start = parse_start(ctx.arg(5)).map_err(refused)?;
    let (mut count, mut i) = (100, 6);
    while i < ctx.args.len() {
        if ctx.is(i, "COUNT") && i + 1 < ctx.args.len() {
            const WRONG: &str = "ERR COUNT must be > 0";
            count = ctx.int(i + 1).map_err(|_| WRONG)?;
            // Upstream's other bound: sixteen bytes of each must be countable.
            if !(1..=i64::MAX / 16).contains(&count) {
                return Err(Error::new(WRONG));
            }
            i += 2;
        } else if ctx.is(i, "JUSTID") {
            options.just_id = true;
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok((options, start, count as u64))
}

fn xautoclaim(ctx: &mut Ctx<'_>) -> Outcome {
    let (options, start, count) = parse_autoclaim(ctx)?;
    let (key, name, consumer) = (ctx.key(1), ctx.arg(2), ctx.arg(3));
    let (now, propagates) = (ctx.now_ms(), ctx.propagates());
    let (mut db, mut reply, _) = ctx.parts();
    let there = db
        .read_value::<Value>(key)?
        .is_some_and(|s| s.group(name).is_some());
    if !there {
        return Err(no_group(key.bytes, name));
    }
    if count > TOO_MANY as u64 {
        return Err(Error::new(
            "ERR Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    let mut told = Vec::new();
    let (mut created, mut dirty) = (false, 0);
    if let Some(mut stream) = db.write_value::<Value>(key)?
        && let Some((log, group)) = stream.group_mut(name)
    {
        let id;
        (id, created) = seen(group, consumer, now);
        let result = group.auto_claim(log, start, count, id, &options, now);
        dirty = result.done.len() as i64;
        if propagates {
            let forms = result.done.iter();
            told.extend(forms.filter_map(|(id, claim)| form_of(key, group, *id, *claim)));
        }
        reply.array(3);
        reply_id(&mut reply, result.cursor);
        let gone = |claim: &Claim| matches!(claim, Claim::Deleted(_));
        let deleted = result.done.iter().filter(|(_, c)| gone(c)).count();
        reply.array(result.done.len() - deleted);
        for (id, claim) in &result.done {
            reply_claim(&mut reply, log, *id, *claim, options.just_id);
        }
        reply.array(deleted);
        for (id, _) in result.done.iter().filter(|(_, c)| gone(c)) {
            reply_id(&mut reply, *id);
        }
    }
    finish(&mut db, key, created, dirty);
    ctx.propagate_as(told);
    Ok(Flow::Done)
}
