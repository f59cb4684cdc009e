//! XREAD and XREADGROUP: arguments, resolving `$`, `+` and `>`, serving what there is, waiting for what there is not.
//!
//! A client that waits runs the same command again when a key may serve it, with ids in place of `$` and `+`: what was the end
//! of the stream when it asked stays its starting point.
//!
//! A waiting XREADGROUP whose key goes is replied what the command would get if it came now (NOGROUP or WRONGTYPE); before 7.2
//! (`redis-compat-version`) that was an error of its own.

use super::deliver::{self, Delivery};
use super::range::reply_range;
use super::{Value, id_arg};
use crate::client::blocked::{BlockKind, OnTimeout};
use crate::config::values::NotifyFlags as N;
use crate::ds::stream::StreamId;
use crate::exec::blocking::{Unit, deadline, may_wait, was_woken};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{BlockOn, Ctx, Flow, Outcome};
use crate::keyspace::{Key, Type};
use crate::resp::{Error, OwnedArgs, before_nul};
use crate::types::stream::Log;

/// The row of XREAD.
pub static XREAD: Command = Command {
    name: "xread",
    handler: xread,
    arity: -4,
    flags: flags("readonly blocking"),
    acl: acl("stream"),
    keys: &[KeySpec::after("STREAMS", 1, "RO access").range(-1, 1, 2)],
    group: Group::Stream,
    since: "5.0.0",
    summary: "Reads messages newer than given ids, waiting if asked.",
    args: "[COUNT count:int] [BLOCK milliseconds:int] STREAMS streams(key@0... id...)",
    ..Command::DEFAULT
};

fn xread(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, false)
}

/// The row of XREADGROUP.
pub static XREADGROUP: Command = Command {
    name: "xreadgroup",
    handler: xreadgroup,
    arity: -7,
    flags: flags("write blocking"),
    acl: acl("stream"),
    keys: &[KeySpec::after("STREAMS", 4, "RO access").range(-1, 1, 2)],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "For each stream mentioned: O(M) with M being the number of elements \
        returned. If M is constant (e.g. always asking for the first 10 elements with \
        COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD \
        will pay the O(N) time in order to serve the N clients blocked on the stream \
        getting new data.",
    summary: "Reads messages as a consumer of a group, waiting if asked.",
    args: "GROUP group-block(group consumer) [COUNT count:int] [BLOCK milliseconds:int] \
        [NOACK] STREAMS streams(key@0... id...)",
    ..Command::DEFAULT
};

fn xreadgroup(ctx: &mut Ctx<'_>) -> Outcome {
    read(ctx, true)
}

/// The parsed arguments.
#[derive(Default)]
struct Request<'a> {
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Entries per stream at most, 0 for all.
    count: u64,
    /// Some when it may wait; then until when, in Unix ms, None for ever.
    block: Option<Option<i64>>,
    /// Where the keys stand; as many ids follow them.
    keys_at: usize,
    streams: usize,
}

/// Where to read from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind this id: of the stream, or in a group of what is pending.
    After(StreamId),
    /// `>`: what the group was not given yet.
    New,
}

fn parse<'a>(ctx: &Ctx<'a>, grouped: bool) -> Result<Request<'a>, Error> {
    let mut r = Request::default();
    let (mut i, argc) = (1, ctx.args.len());
    while i < argc {
        let more = argc - 1 - i;
        if ctx.is(i, "BLOCK") && more > 0 {
            r.block = Some(deadline(ctx, i + 1, Unit::Millis)?);
            i += 2;
        } else if ctx.is(i, "COUNT") && more > 0 {
            r.count = ctx.int(i + 1)?.max(0) as u64;
            i += 2;
        } else if ctx.is(i, "STREAMS") && more > 0 {
            (r.keys_at, r.streams) = (i + 1, more / 2);
            if !more.is_multiple_of(2) {
                return Err(unbalanced(ctx, grouped));
            }
            break;
        } else if ctx.is(i, "GROUP") && more >= 2 {
            if !grouped {
                return Err(only_for_groups("GROUP"));
            }
            r.group = Some((ctx.arg(i + 1), ctx.arg(i + 2)));
            i += 3;
        } else if ctx.is(i, "NOACK") {
            if !grouped {
                return Err(only_for_groups("NOACK"));
            }
            r.no_ack = true;
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
    }
    if r.keys_at == 0 {
        return Err(Error::Syntax);
    }
    if grouped && r.group.is_none() {
        return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
    }
    Ok(r)
}

fn unbalanced(ctx: &Ctx<'_>, grouped: bool) -> Error {
    let what = if grouped {
        "an ID or '>'"
    } else {
        "an ID, '+', or '$'"
    };
    Error::text(format!(
        "ERR Unbalanced '{}' list of streams: for each stream key {what} must be specified.",
        ctx.command.name
    ))
}

fn only_for_groups(option: &str) -> Error {
    Error::text(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

fn meaningless(sign: char) -> Error {
    Error::text(format!(
        "ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
         specifying a proper ID, or use the > ID to get new messages. The {sign} ID would just return an empty result set."
    ))
}

/// Looks at stream `n` of the request: type and group must be right, then its id is resolved.
fn resolve(ctx: &mut Ctx<'_>, r: &Request<'_>, n: usize) -> Result<From, Error> {
    let key = ctx.key(r.keys_at + n);
    let id_at = r.keys_at + r.streams + n;
    let text = before_nul(ctx.arg(id_at));
    let old_form = ctx.server.config.compat_before(7, 2);
    let woken = old_form && r.group.is_some() && was_woken(ctx);
    let mut db = ctx.db();
    if woken && db.peek(key).is_none_or(|e| e.ty() != Type::Stream) {
        return Err(Error::new("UNBLOCKED the stream key no longer exists"));
    }
    let stream = db.read_value::<Value>(key)?;
    if let Some((group, _)) = r.group
        && stream.as_ref().is_none_or(|s| s.group(group).is_none())
    {
        return Err(no_group_to_read(key.bytes, group));
    }
    match text {
        b"$" | b"+" if r.group.is_some() => Err(meaningless(char::from(text[0]))),
        b"$" => Ok(From::After(
            stream.map_or(StreamId::ZERO, |s| s.log.last_id()),
        )),
        b"+" => Ok(From::After(
            stream.map_or(StreamId::ZERO, |s| before_last(&s.log)),
        )),
        b">" if r.group.is_some() => Ok(From::New),
        b">" => Err(Error::new(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => Ok(match id_arg(ctx, id_at)? {
            // Compat: the id that > stands for upstream.
            StreamId::MAX if r.group.is_some() => From::New,
            id => From::After(id),
        }),
    }
}

/// Where to start so that the last entry is read, or the next one when there is none.
fn before_last(log: &Log) -> StreamId {
    match log.last_entry_id() {
        Some(id) => id.pred().unwrap_or(StreamId::ZERO),
        None => log.last_id(),
    }
}

fn no_group_to_read(key: &[u8], group: &[u8]) -> Error {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        before_nul(key),
        b"' or consumer group '",
        before_nul(group),
        b"' in XREADGROUP with GROUP option",
    ];
    Error::Bytes(parts.concat())
}

fn read(ctx: &mut Ctx<'_>, grouped: bool) -> Outcome {
    let r = parse(ctx, grouped)?;
    let from: Vec<From> = (0..r.streams)
        .map(|n| resolve(ctx, &r, n))
        .collect::<Result<_, _>>()?;
    let mark = ctx.reply().begin();
    let mut served = 0;
    let mut propagated = Vec::new();
    for (n, from) in from.iter().enumerate() {
        let key = ctx.key(r.keys_at + n);
        served += usize::from(match r.group {
            None => serve(ctx, key, *from, r.count)?,
            Some(names) => {
                let delivery = Delivery {
                    key,
                    names,
                    no_ack: r.no_ack,
                    count: r.count,
                };
                serve_group(ctx, &delivery, *from, &mut propagated)?
            }
        });
    }
    if grouped {
        // Never as it came: what was delivered is told entry by entry.
        ctx.propagate_as(propagated);
    }
    if served > 0 {
        let mut reply = ctx.reply();
        match reply.resp3() {
            true => reply.end_map(mark, served),
            false => reply.end_array(mark, served),
        }
        return Ok(Flow::Done);
    }
    wait_or_nothing(ctx, &r, &from)
}

/// The header of one stream's part: a pair of the outer map, in RESP2 an array of two.
fn begin_stream(ctx: &mut Ctx<'_>, key: Key<'_>) {
    let mut reply = ctx.reply();
    if !reply.resp3() {
        reply.array(2);
    }
    reply.bulk(key.bytes);
}

/// XREAD of one stream; false when there is nothing new.
fn serve(ctx: &mut Ctx<'_>, key: Key<'_>, from: From, count: u64) -> Result<bool, Error> {
    let From::After(id) = from else {
        return Ok(false);
    };
    let mut db = ctx.db();
    // The last id may be ahead of what was deleted: only an entry itself tells.
    let new = match db.read_value::<Value>(key)? {
        Some(s) => id < s.log.last_id() && s.log.last_entry_id().is_some_and(|last| id < last),
        None => false,
    };
    let Some(start) = id.succ().filter(|_| new) else {
        return Ok(false);
    };
    begin_stream(ctx, key);
    let (mut db, mut reply, _) = ctx.parts();
    if let Some(e) = db.peek(key)
        && let Some(stream) = e.value::<Value>()
    {
        reply_range(&mut reply, stream.log.range(start, StreamId::MAX), count);
    }
    Ok(true)
}

/// XREADGROUP of one stream: new entries are delivered, a history is told again.
fn serve_group(
    ctx: &mut Ctx<'_>,
    delivery: &Delivery<'_>,
    from: From,
    propagated: &mut Vec<OwnedArgs>,
) -> Result<bool, Error> {
    let (key, (group, consumer)) = (delivery.key, delivery.names);
    let (now, propagates) = (ctx.now_ms(), ctx.propagates());
    let (mut db, mut reply, _) = ctx.parts();
    db.read(key);
    let (mut created, mut new) = (false, false);
    if let Some(mut stream) = db.write_value::<Value>(key)?
        && let Some((log, group)) = stream.group_mut(group)
    {
        let id;
        (id, created) = deliver::seen(group, consumer, now);
        if created && delivery.no_ack && propagates {
            propagated.push(delivery.consumer_form());
        }
        let served = match from {
            From::New => {
                new = log
                    .last_entry_id()
                    .is_some_and(|last| last > group.last_id());
                new
            }
            From::After(_) => true,
        };
        if served {
            if !reply.resp3() {
                reply.array(2);
            }
            reply.bulk(key.bytes);
        }
        match from {
            From::After(after) => {
                deliver::history(log, group, id, after, delivery, now, &mut reply)
            }
            From::New if new => {
                let told = propagates.then_some(propagated);
                deliver::new_entries(log, group, id, delivery, now, told, &mut reply);
            }
            From::New => {}
        }
    }
    if created {
        db.fx.dirty += 1;
        db.event(N::STREAM, "xgroup-createconsumer", key.bytes);
    }
    db.fx.dirty += i64::from(new);
    Ok(new || matches!(from, From::After(_)))
}

/// Nothing to serve: waits if asked to, else replies that there is nothing.
fn wait_or_nothing(ctx: &mut Ctx<'_>, r: &Request<'_>, from: &[From]) -> Outcome {
    let Some(until) = r.block.filter(|_| may_wait(ctx)) else {
        ctx.reply().null_array();
        return Ok(Flow::Done);
    };
    let ids_at = r.keys_at + r.streams;
    let mut args = OwnedArgs::copy_of(ctx.args.slice(0, ids_at));
    for from in from {
        match from {
            From::After(id) => super::push_id(&mut args, *id),
            From::New => args.push(b">"),
        }
    }
    let keys = ctx.args.slice(r.keys_at, ids_at);
    Ok(Flow::Block(Box::new(BlockOn {
        kind: BlockKind::Stream,
        keys: OwnedArgs::copy_of(keys),
        deadline_ms: until,
        on_timeout: OnTimeout::Reply(|reply| reply.null_array()),
        args: Some(args),
        wake_on_delete: r.group.is_some(),
        wait: None,
    })))
}
