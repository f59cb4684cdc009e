//! Appending and what shapes the log: XADD, XTRIM, XSETID.

use super::trim::TrimOptions;
use super::{Value, id_arg, limits, refused, reply_id};
use crate::config::values::NotifyFlags as N;
use crate::ds::stream::StreamId;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::types::stream::{AddError, AddId, Stream, TrimTo};

/// The row of XADD.
pub static XADD: Command = Command {
    name: "xadd",
    handler: xadd,
    arity: -5,
    flags: flags("write denyoom fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW update")
        .notes("UPDATE instead of INSERT because of the optional trimming feature")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of \
        entries evicted.",
    summary: "Adds a message to a stream.",
    tips: &["nondeterministic_output"],
    args: "key@0 [NOMKSTREAM]{6.2.0} [condition(KEEPREF | DELREF | ACKED)] \
        [trim(strategy(MAXLEN | MINID{6.2.0}) [operator(equal='=' | approximately='~')] \
        threshold [LIMIT count:int]{6.2.0})] id-selector(auto-id='*' | id) \
        data(field value)...",
    ..Command::DEFAULT
};

/// What an XADD did.
struct Added {
    id: StreamId,
    trimmed: u64,
    threshold: TrimTo,
}

fn xadd(ctx: &mut Ctx<'_>) -> Outcome {
    let (options, id_at, spec) = TrimOptions::of_xadd(ctx)?;
    let pairs = ctx.args.from(id_at + 1);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Error::new(
            "ERR wrong number of arguments for 'xadd' command",
        ));
    }
    if spec == AddId::Exact(StreamId::ZERO) {
        return Err(refused(AddError::Zero));
    }
    let (key, now) = (ctx.key(1), ctx.now_ms() as u64);
    let (mut db, mut reply, config) = ctx.parts();
    let (limits, per_node) = (limits(config), config.stream_node_max_entries);
    let append = |stream: &mut Stream| -> Result<Added, AddError> {
        let id = stream.log.add(spec, now, pairs.iter(), limits)?;
        let trimmed = options.apply(stream, per_node);
        let threshold = options.outcome(&stream.log);
        Ok(Added {
            id,
            trimmed,
            threshold,
        })
    };
    let added = if let Some(mut stream) = db.write_value::<Value>(key)? {
        append(&mut stream)
    } else if options.no_create {
        reply.null();
        return Ok(Flow::Done);
    } else {
        append(&mut *db.write_or_create(key, |_| Value::default())?)
    };
    let added = added.map_err(refused)?;
    reply_id(&mut reply, added.id);
    db.modified(key.bytes, N::STREAM, "xadd", 1);
    if added.trimmed > 0 {
        db.event(N::STREAM, "xtrim", key.bytes);
    }
    let exact = matches!(spec, AddId::Exact(_)) && !options.is_approximate();
    if ctx.propagates() && !exact {
        let form = options.exact_form(ctx, added.threshold, Some((id_at, added.id)));
        ctx.propagate_as(vec![form]);
    }
    Ok(Flow::Done)
}

/// The row of XTRIM.
pub static XTRIM: Command = Command {
    name: "xtrim",
    handler: xtrim,
    arity: -4,
    flags: flags("write"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW delete")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N), with N being the number of evicted entries. Constant times are very \
        small however, since entries are organized in macro nodes containing multiple \
        entries that can be released with a single deallocation.",
    summary: "Removes the oldest messages of a stream.",
    tips: &["nondeterministic_output"],
    args: "key@0 trim(strategy(MAXLEN | MINID{6.2.0}) [operator(equal='=' | \
        approximately='~')] threshold [LIMIT count:int]{6.2.0} [condition(KEEPREF | DELREF \
        | ACKED)])",
    ..Command::DEFAULT
};

fn xtrim(ctx: &mut Ctx<'_>) -> Outcome {
    let options = TrimOptions::of_xtrim(ctx)?;
    let key = ctx.key(1);
    let (mut db, mut reply, config) = ctx.parts();
    let per_node = config.stream_node_max_entries;
    let (trimmed, outcome) = if let Some(mut stream) = db.write_value::<Value>(key)? {
        let n = options.apply(&mut stream, per_node);
        (n, options.outcome(&stream.log))
    } else {
        reply.int(0);
        return Ok(Flow::Done);
    };
    reply.int(trimmed as i64);
    if trimmed > 0 {
        db.modified(key.bytes, N::STREAM, "xtrim", trimmed as i64);
        if ctx.propagates() && options.is_approximate() {
            let form = options.exact_form(ctx, outcome, None);
            ctx.propagate_as(vec![form]);
        }
    }
    Ok(Flow::Done)
}

/// The row of XSETID.
pub static XSETID: Command = Command {
    name: "xsetid",
    handler: xsetid,
    arity: -3,
    flags: flags("write denyoom fast"),
    acl: acl("stream"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Sets the last id of a stream.",
    args: "key@0 last-id [ENTRIESADDED entries-added:int]{7.0.0} \
        [MAXDELETEDID max-deleted-id]{7.0.0}",
    ..Command::DEFAULT
};

fn xsetid(ctx: &mut Ctx<'_>) -> Outcome {
    let id = id_arg(ctx, 2)?;
    let (mut added, mut max_deleted) = (None, None);
    let mut i = 3;
    while i < ctx.args.len() {
        let more = i + 1 < ctx.args.len();
        if ctx.is(i, "ENTRIESADDED") && more {
            let n = u64::try_from(ctx.int(i + 1)?);
            added = Some(n.map_err(|_| "ERR entries_added must be positive")?);
        } else if ctx.is(i, "MAXDELETEDID") && more {
            let deleted = id_arg(ctx, i + 1)?;
            if id < deleted {
                return Err(Error::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted = Some(deleted);
        } else {
            return Err(Error::Syntax);
        }
        i += 2;
    }
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    if let Some(mut stream) = db.write_value::<Value>(key)? {
        stream.set_id(id, added, max_deleted).map_err(refused)?;
    } else {
        return Err(Error::NoSuchKey);
    }
    reply.ok();
    db.fx.dirty += 1;
    db.event(N::STREAM, "xsetid", key.bytes);
    Ok(Flow::Done)
}
