//! Reading by id: XLEN, XRANGE, XREVRANGE; and how entries look in replies.

use super::{Value, refused, reply_id};
use crate::ds::listpack::Entry;
use crate::ds::stream::StreamId;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::stream::{Fields, Range, RawEntry, parse_end, parse_start};

/// Replies one entry: its id and the array of its names and values. Gives the fields back for [`Range::resume`].
#[inline]
pub(super) fn reply_entry<'a>(reply: &mut Reply<'_>, entry: RawEntry<'a>) -> Fields<'a> {
    reply.array(2);
    reply_id(reply, entry.id);
    let mut fields = entry.fields;
    reply.array(2 * fields.size_hint().0);
    for (name, value) in &mut fields {
        reply_item(reply, name);
        reply_item(reply, value);
    }
    fields
}

#[inline]
fn reply_item(reply: &mut Reply<'_>, item: Entry<'_>) {
    match item {
        Entry::Bytes(b) => reply.bulk(b),
        Entry::Int(v) => reply.bulk_int(v),
    }
}

/// Replies an array of at most `count` entries (0: all).
pub(super) fn reply_range(reply: &mut Reply<'_>, mut range: Range<'_>, count: u64) {
    let at = reply.begin();
    let mut n = 0;
    while (count == 0 || n < count)
        && let Some(entry) = range.next()
    {
        let fields = reply_entry(reply, entry);
        range.resume(fields);
        n += 1;
    }
    reply.end_array(at, n as usize);
}

/// The row of XLEN.
pub static XLEN: Command = Command {
    name: "xlen",
    handler: xlen,
    arity: 2,
    flags: flags("readonly fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RO")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Counts the messages of a stream.",
    args: "key@0",
    ..Command::DEFAULT
};

fn xlen(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let n = db.read_value::<Value>(key)?.map_or(0, |s| s.log.len());
    reply.int(n as i64);
    Ok(Flow::Done)
}

/// The row of XRANGE.
pub static XRANGE: Command = Command {
    name: "xrange",
    handler: xrange,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) with N being the number of elements being returned. If N is constant \
        (e.g. always asking for the first 10 elements with COUNT), you can consider it \
        O(1).",
    summary: "Reads the messages between two ids.",
    args: "key@0 start end [COUNT count:int]",
    ..Command::DEFAULT
};

fn xrange(ctx: &mut Ctx<'_>) -> Outcome {
    let start = parse_start(ctx.arg(2)).map_err(refused)?;
    let end = parse_end(ctx.arg(3)).map_err(refused)?;
    reply_between(ctx, start, end, false)
}

/// The row of XREVRANGE.
pub static XREVRANGE: Command = Command {
    name: "xrevrange",
    handler: xrevrange,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) with N being the number of elements returned. If N is constant (e.g. \
        always asking for the first 10 elements with COUNT), you can consider it O(1).",
    summary: "Reads the messages between two ids, newest first.",
    args: "key@0 end start [COUNT count:int]",
    ..Command::DEFAULT
};

fn xrevrange(ctx: &mut Ctx<'_>) -> Outcome {
    let start = parse_start(ctx.arg(3)).map_err(refused)?;
    let end = parse_end(ctx.arg(2)).map_err(refused)?;
    reply_between(ctx, start, end, true)
}

fn reply_between(ctx: &mut Ctx<'_>, start: StreamId, end: StreamId, reverse: bool) -> Outcome {
    let count = count_option(ctx)?;
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let Some(stream) = db.read_value::<Value>(key)? else {
        reply.array(0);
        return Ok(Flow::Done);
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(Flow::Done);
    }
    let range = match reverse {
        false => stream.log.range(start, end),
        true => stream.log.range_rev(start, end),
    };
    reply_range(&mut reply, range, count.unwrap_or(0));
    Ok(Flow::Done)
}

/// COUNT, from argument 4 on; a negative one is 0, which asks for nothing.
fn count_option(ctx: &Ctx<'_>) -> Result<Option<u64>, Error> {
    let (mut count, mut i) = (None, 4);
    while i < ctx.args.len() {
        if !ctx.is(i, "COUNT") || i + 1 == ctx.args.len() {
            return Err(Error::Syntax);
        }
        count = Some(ctx.int(i + 1)?.max(0) as u64);
        i += 2;
    }
    Ok(count)
}
