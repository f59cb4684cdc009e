//! XINFO: what a stream, its groups and its consumers look like inside.
//!
//! Compat: `radix-tree-keys` and `radix-tree-nodes` describe upstream's index, which we do not have; they are what it would
//! have for the same nodes ([`radix_nodes`]).

use super::range::reply_entry;
use super::{Value, no_such_group, reply_id};
use crate::ds::stream::StreamId;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};
use crate::types::stream::{Consumer, Group as StreamGroup, Log, RawEntry, Stream};

/// The row of XINFO.
pub static XINFO: Command = Command {
    name: "xinfo",
    arity: -2,
    group: Group::Stream,
    since: "5.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that look inside streams.",
    subcommands: &[&XINFO_CONSUMERS, &XINFO_GROUPS, &XINFO_HELP, &XINFO_STREAM],
    ..Command::DEFAULT
};

/// The row of XINFO STREAM.
pub static XINFO_STREAM: Command = Command {
    name: "xinfo|stream",
    handler: xinfo_stream,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Describes a stream.",
    args: "key@0 [full-block(FULL [COUNT count:int])]",
    ..Command::DEFAULT
};

fn xinfo_stream(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    if ctx.db().read_value::<Value>(key)?.is_none() {
        return Err(Error::NoSuchKey);
    }
    let full = parse_full(ctx)?;
    let (mut db, mut reply, _) = ctx.parts();
    if let Some(e) = db.peek(key)
        && let Some(stream) = e.value::<Value>()
    {
        match full {
            None => describe(&stream, &mut reply),
            Some(count) => describe_fully(&stream, count, &mut reply),
        }
    }
    Ok(Flow::Done)
}

/// `FULL [COUNT n]`: how many entries and pending entries to show, 0 for all.
fn parse_full(ctx: &Ctx<'_>) -> Result<Option<usize>, Error> {
    match ctx.args.len() {
        3 => Ok(None),
        4 if ctx.is(3, "FULL") => Ok(Some(10)),
        6 if ctx.is(3, "FULL") && ctx.is(4, "COUNT") => match ctx.int(5)? {
            n if n < 0 => Ok(Some(10)),
            n => Ok(Some(n as usize)),
        },
        _ => Err(ctx.wrong_subcommand()),
    }
}

/// The numbers both forms begin with.
fn describe_log(log: &Log, reply: &mut Reply<'_>) {
    reply.bulk(b"length");
    reply.int(log.len() as i64);
    let keys: Vec<[u8; 16]> = log.nodes().map(|n| n.key.to_be_bytes()).collect();
    reply.bulk(b"radix-tree-keys");
    reply.int(keys.len() as i64);
    reply.bulk(b"radix-tree-nodes");
    reply.int(radix_nodes(&keys) as i64);
    reply.bulk(b"last-generated-id");
    reply_id(reply, log.last_id());
    reply.bulk(b"max-deleted-entry-id");
    reply_id(reply, log.max_deleted_id());
    reply.bulk(b"entries-added");
    reply.int(log.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, log.first_id());
}

/// Nodes of a radix tree over these sorted keys in which a run of bytes without a branch is one node.
fn radix_nodes(keys: &[[u8; 16]]) -> usize {
    match keys {
        [] => 1,
        _ => subtree(keys, 0),
    }
}

fn subtree(keys: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return 0;
    };
    // Sorted keys share what the first and the last one share.
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let run = usize::from(shared > depth);
    if shared == 16 {
        return run + 1;
    }
    let children = keys.chunk_by(|a, b| a[shared] == b[shared]);
    run + 1 + children.map(|c| subtree(c, shared + 1)).sum::<usize>()
}

fn describe(stream: &Stream, reply: &mut Reply<'_>) {
    reply.map(10);
    describe_log(&stream.log, reply);
    reply.bulk(b"groups");
    reply.int(stream.groups().len() as i64);
    let (low, high) = (StreamId::ZERO, StreamId::MAX);
    reply.bulk(b"first-entry");
    reply_or_null(reply, stream.log.range(low, high).next());
    reply.bulk(b"last-entry");
    reply_or_null(reply, stream.log.range_rev(low, high).next());
}

fn reply_or_null(reply: &mut Reply<'_>, entry: Option<RawEntry<'_>>) {
    match entry {
        Some(entry) => drop(reply_entry(reply, entry)),
        None => reply.null(),
    }
}

fn describe_fully(stream: &Stream, count: usize, reply: &mut Reply<'_>) {
    reply.map(9);
    describe_log(&stream.log, reply);
    reply.bulk(b"entries");
    let all = stream.log.range(StreamId::ZERO, StreamId::MAX);
    super::range::reply_range(reply, all, count as u64);
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    let limit = if count == 0 { usize::MAX } else { count };
    for group in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(group.name());
        describe_position(&stream.log, group, reply);
        reply.bulk(b"pel-count");
        reply.int(group.pending_len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(limit));
        for (id, nack) in group.pending().take(limit) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(group.consumer(nack.consumer).map_or(b"", |c| c.name()));
            reply.int(nack.delivery_time_ms);
            reply.int(nack.delivery_count.into());
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        for (_, consumer) in group.consumers() {
            describe_consumer(group, consumer, limit, reply);
        }
    }
}

fn describe_consumer(
    group: &StreamGroup,
    consumer: &Consumer,
    limit: usize,
    reply: &mut Reply<'_>,
) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_time_ms);
    reply.bulk(b"active-time");
    reply.int(consumer.active_time_ms);
    reply.bulk(b"pel-count");
    reply.int(consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(limit));
    for id in consumer.pending_from(StreamId::ZERO).take(limit) {
        let nack = group.nack(id);
        reply.array(3);
        reply_id(reply, id);
        reply.int(nack.map_or(0, |n| n.delivery_time_ms));
        reply.int(nack.map_or(0, |n| n.delivery_count.into()));
    }
}

/// Where a group is, how much it has read and how far behind it is.
fn describe_position(log: &Log, group: &StreamGroup, reply: &mut Reply<'_>) {
    reply.bulk(b"last-delivered-id");
    reply_id(reply, group.last_id());
    for (name, value) in [
        ("entries-read", group.entries_read()),
        ("lag", log.lag(group)),
    ] {
        reply.bulk(name.as_bytes());
        match value {
            Some(n) => reply.int(n as i64),
            None => reply.null(),
        }
    }
}

/// The row of XINFO GROUPS.
pub static XINFO_GROUPS: Command = Command {
    name: "xinfo|groups",
    handler: xinfo_groups,
    arity: 3,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Describes the consumer groups of a stream.",
    args: "key@0",
    ..Command::DEFAULT
};

fn xinfo_groups(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    let (mut db, mut reply, _) = ctx.parts();
    let stream = db.read_value::<Value>(key)?.ok_or(Error::NoSuchKey)?;
    reply.array(stream.groups().len());
    for group in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(group.name());
        reply.bulk(b"consumers");
        reply.int(group.consumers_len() as i64);
        reply.bulk(b"pending");
        reply.int(group.pending_len() as i64);
        describe_position(&stream.log, group, &mut reply);
    }
    Ok(Flow::Done)
}

/// The row of XINFO CONSUMERS.
pub static XINFO_CONSUMERS: Command = Command {
    name: "xinfo|consumers",
    handler: xinfo_consumers,
    arity: 4,
    flags: flags("readonly"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RO access")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Describes the consumers of a group.",
    tips: &["nondeterministic_output"],
    args: "key@0 group",
    ..Command::DEFAULT
};

fn xinfo_consumers(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name, now) = (ctx.key(2), ctx.arg(3), ctx.now_ms());
    let (mut db, mut reply, _) = ctx.parts();
    let stream = db.read_value::<Value>(key)?.ok_or(Error::NoSuchKey)?;
    let group = stream
        .group(name)
        .ok_or_else(|| no_such_group(key.bytes, name))?;
    reply.array(group.consumers_len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"pending");
        reply.int(consumer.pending_len() as i64);
        reply.bulk(b"idle");
        reply.int(now.saturating_sub(consumer.seen_time_ms).max(0));
        reply.bulk(b"inactive");
        reply.int(match consumer.active_time_ms {
            -1 => -1,
            at => now.saturating_sub(at).max(0),
        });
    }
    Ok(Flow::Done)
}

/// The row of XINFO HELP.
pub static XINFO_HELP: Command = Command {
    name: "xinfo|help",
    handler: xinfo_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("stream"),
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what XINFO can do.",
    ..Command::DEFAULT
};

fn xinfo_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Describe the consumers of a group.",
        "GROUPS <key>",
        "    Describe the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Describe a stream.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts are what XINFO STREAM of 8.2.3 said of streams with one entry per node.
    #[test]
    fn nodes_of_the_radix_tree() {
        let keys = |ids: &[(u64, u64)]| -> Vec<[u8; 16]> {
            ids.iter()
                .map(|(ms, seq)| StreamId::new(*ms, *seq).to_be_bytes())
                .collect()
        };
        assert_eq!(radix_nodes(&[]), 1);
        assert_eq!(radix_nodes(&keys(&[(1, 0)])), 2);
        assert_eq!(radix_nodes(&keys(&[(1, 0), (1, 1)])), 4);
    }
}
