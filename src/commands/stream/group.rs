//! XGROUP: making, moving and removing groups and consumers.

use super::{Value, id_arg, no_such_group, refused};
use crate::config::values::NotifyFlags as N;
use crate::ds::stream::StreamId;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, before_nul};
use crate::types::stream::{Stream, parse_bound};

/// The row of XGROUP.
pub static XGROUP: Command = Command {
    name: "xgroup",
    arity: -2,
    group: Group::Stream,
    since: "5.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about consumer groups.",
    subcommands: &[
        &XGROUP_CREATE,
        &XGROUP_CREATECONSUMER,
        &XGROUP_DELCONSUMER,
        &XGROUP_DESTROY,
        &XGROUP_HELP,
        &XGROUP_SETID,
    ],
    ..Command::DEFAULT
};

/// The row of XGROUP CREATE.
pub static XGROUP_CREATE: Command = Command {
    name: "xgroup|create",
    handler: xgroup_create,
    arity: -5,
    flags: flags("write denyoom"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RW insert")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Makes a consumer group.",
    args: "key@0 group id-selector(id | new-id='$') [MKSTREAM] \
        [ENTRIESREAD entriesread<entries-read>:int]",
    ..Command::DEFAULT
};

/// MKSTREAM (where allowed) and ENTRIESREAD, from argument 5 on.
fn parse_options(ctx: &Ctx<'_>, creates: bool) -> Result<(bool, Option<u64>), Error> {
    let (mut make, mut read, mut i) = (false, None, 5);
    while i < ctx.args.len() {
        if creates && ctx.is(i, "MKSTREAM") {
            make = true;
            i += 1;
        } else if ctx.is(i, "ENTRIESREAD") && i + 1 < ctx.args.len() {
            read = match ctx.int(i + 1)? {
                -1 => None,
                n => Some(
                    u64::try_from(n)
                        .map_err(|_| "ERR value for ENTRIESREAD must be positive or -1")?,
                ),
            };
            i += 2;
        } else {
            return Err(ctx.wrong_subcommand());
        }
    }
    Ok((make, read))
}

/// Runs `change` on the stream at argument 2, which must be there.
fn on_stream<R>(
    ctx: &mut Ctx<'_>,
    change: impl FnOnce(&mut Stream) -> Result<R, Error>,
) -> Result<R, Error> {
    let key = ctx.key(2);
    let mut db = ctx.db();
    match db.write_value::<Value>(key)? {
        Some(mut stream) => change(&mut stream),
        None => Err(Error::new(
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
             option to create an empty stream automatically.",
        )),
    }
}

/// Groups are no content of the key: transactions and cached copies do not mind.
fn changed(ctx: &mut Ctx<'_>, event: &'static str) {
    let key = ctx.key(2);
    let mut db = ctx.db();
    db.fx.dirty += 1;
    db.event(N::STREAM, event, key.bytes);
}

fn xgroup_create(ctx: &mut Ctx<'_>) -> Outcome {
    let (make, read) = parse_options(ctx, true)?;
    let (key, name, text) = (ctx.key(2), ctx.arg(3), before_nul(ctx.arg(4)));
    let parsed = match text {
        b"$" => Ok(None),
        _ => id_arg(ctx, 4).map(Some),
    };
    let there = ctx.db().write_value::<Value>(key)?.is_some();
    if make && !there {
        let id = parsed?.unwrap_or(StreamId::ZERO);
        let mut stream = Value::default();
        stream.create_group(name, id, read);
        let mut db = ctx.db();
        db.add(
            key,
            crate::keyspace::Entry::collection(key.bytes, stream, None),
        );
        db.modified_quietly(key.bytes, 0);
    } else {
        on_stream(ctx, |stream| {
            let id = parsed?.unwrap_or(stream.log.last_id());
            match stream.create_group(name, id, read) {
                true => Ok(()),
                false => Err(Error::new("BUSYGROUP Consumer Group name already exists")),
            }
        })?;
    }
    changed(ctx, "xgroup-create");
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of XGROUP SETID.
pub static XGROUP_SETID: Command = Command {
    name: "xgroup|setid",
    handler: xgroup_setid,
    arity: -5,
    flags: flags("write"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RW update")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Sets the last delivered id of a group.",
    args: "key@0 group id-selector(id | new-id='$') [ENTRIESREAD entriesread<entries-read>:int]",
    ..Command::DEFAULT
};

fn xgroup_setid(ctx: &mut Ctx<'_>) -> Outcome {
    let (_, read) = parse_options(ctx, false)?;
    let (key, name, text) = (ctx.key(2), ctx.arg(3), before_nul(ctx.arg(4)));
    on_stream(ctx, |stream| {
        let (log, group) = stream
            .group_mut(name)
            .ok_or_else(|| no_such_group(key.bytes, name))?;
        let id = match text {
            b"$" => log.last_id(),
            _ => parse_bound(text, 0).map_err(refused)?,
        };
        group.set_id(log, id, read);
        Ok(())
    })?;
    changed(ctx, "xgroup-setid");
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of XGROUP DESTROY.
pub static XGROUP_DESTROY: Command = Command {
    name: "xgroup|destroy",
    handler: xgroup_destroy,
    arity: 4,
    flags: flags("write"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RW delete")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
    summary: "Removes a consumer group.",
    args: "key@0 group",
    ..Command::DEFAULT
};

fn xgroup_destroy(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name) = (ctx.key(2), ctx.arg(3));
    let destroyed = on_stream(ctx, |stream| Ok(stream.destroy_group(name)))?;
    if destroyed {
        changed(ctx, "xgroup-destroy");
        // Who waits for the group's next entry is told that there will be none.
        ctx.db().wake(key.bytes);
    }
    ctx.reply().int(destroyed.into());
    Ok(Flow::Done)
}

/// The row of XGROUP CREATECONSUMER.
pub static XGROUP_CREATECONSUMER: Command = Command {
    name: "xgroup|createconsumer",
    handler: xgroup_createconsumer,
    arity: 5,
    flags: flags("write denyoom"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RW insert")],
    group: Group::Stream,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Makes a consumer in a group.",
    args: "key@0 group consumer",
    ..Command::DEFAULT
};

fn xgroup_createconsumer(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name, consumer, now) = (ctx.key(2), ctx.arg(3), ctx.arg(4), ctx.now_ms());
    let created = on_stream(ctx, |stream| {
        let (_, group) = stream
            .group_mut(name)
            .ok_or_else(|| no_such_group(key.bytes, name))?;
        Ok(group.create_consumer(consumer, now).is_some())
    })?;
    if created {
        changed(ctx, "xgroup-createconsumer");
    }
    ctx.reply().int(created.into());
    Ok(Flow::Done)
}

/// The row of XGROUP DELCONSUMER.
pub static XGROUP_DELCONSUMER: Command = Command {
    name: "xgroup|delconsumer",
    handler: xgroup_delconsumer,
    arity: 5,
    flags: flags("write"),
    acl: acl("stream"),
    keys: &[KeySpec::at(2, "RW delete")],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Removes a consumer from a group.",
    args: "key@0 group consumer",
    ..Command::DEFAULT
};

fn xgroup_delconsumer(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, name, consumer) = (ctx.key(2), ctx.arg(3), ctx.arg(4));
    let pending = on_stream(ctx, |stream| {
        let (_, group) = stream
            .group_mut(name)
            .ok_or_else(|| no_such_group(key.bytes, name))?;
        Ok(group.delete_consumer(consumer))
    })?;
    if pending.is_some() {
        changed(ctx, "xgroup-delconsumer");
    }
    ctx.reply().int(pending.unwrap_or(0) as i64);
    Ok(Flow::Done)
}

/// The row of XGROUP HELP.
pub static XGROUP_HELP: Command = Command {
    name: "xgroup|help",
    handler: xgroup_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("stream"),
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what XGROUP can do.",
    ..Command::DEFAULT
};

fn xgroup_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a consumer group that reads on from <id>. Options are:",
        "    * MKSTREAM",
        "      Make an empty stream when <key> is free.",
        "    * ENTRIESREAD entries_read",
        "      Say how many entries the group has read (for internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer in a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer with all it has pending.",
        "DESTROY <key> <groupname>",
        "    Remove a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set where a group reads on, and how many entries it has read.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
