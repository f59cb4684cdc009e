//! Pub/sub commands. The replies of the subscribing commands are pushes themselves, one per name.

use crate::client::ClientFlags;
use crate::exec::command::{Command, Group, KeySpec, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::pubsub::{Kind, Name};
use crate::resp::{Error, Reply};
use crate::server::Server;
use crate::server::publish::{Payload, publish as send, publish_shard};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &SUBSCRIBE,
    &UNSUBSCRIBE,
    &PSUBSCRIBE,
    &PUNSUBSCRIBE,
    &SSUBSCRIBE,
    &SUNSUBSCRIBE,
    &PUBLISH,
    &SPUBLISH,
    &PUBSUB,
];

/// The row of SUBSCRIBE.
pub static SUBSCRIBE: Command = Command {
    name: "subscribe",
    handler: subscribe,
    arity: -2,
    flags: flags("pubsub noscript loading stale"),
    group: Group::Pubsub,
    since: "2.0.0",
    complexity: "O(N) where N is the number of channels to subscribe to.",
    summary: "Listens to channels.",
    args: "channel...",
    ..Command::DEFAULT
};

fn subscribe(ctx: &mut Ctx<'_>) -> Outcome {
    subscribe_to(ctx, Kind::Channel, "subscribe")
}

/// The row of PSUBSCRIBE.
pub static PSUBSCRIBE: Command = Command {
    name: "psubscribe",
    handler: psubscribe,
    arity: -2,
    flags: flags("pubsub noscript loading stale"),
    group: Group::Pubsub,
    since: "2.0.0",
    complexity: "O(N) where N is the number of patterns to subscribe to.",
    summary: "Listens to all channels that match patterns.",
    args: "pattern:pattern...",
    ..Command::DEFAULT
};

fn psubscribe(ctx: &mut Ctx<'_>) -> Outcome {
    subscribe_to(ctx, Kind::Pattern, "psubscribe")
}

/// The row of SSUBSCRIBE.
pub static SSUBSCRIBE: Command = Command {
    name: "ssubscribe",
    handler: ssubscribe,
    arity: -2,
    flags: flags("pubsub noscript loading stale"),
    keys: &[KeySpec::at(1, "not_key").range(-1, 1, 0)],
    group: Group::Pubsub,
    since: "7.0.0",
    complexity: "O(N) where N is the number of shard channels to subscribe to.",
    summary: "Listens to shard channels.",
    args: "shardchannel...",
    ..Command::DEFAULT
};

fn ssubscribe(ctx: &mut Ctx<'_>) -> Outcome {
    subscribe_to(ctx, Kind::Shard, "ssubscribe")
}

/// The row of UNSUBSCRIBE.
pub static UNSUBSCRIBE: Command = Command {
    name: "unsubscribe",
    handler: unsubscribe,
    arity: -1,
    flags: flags("pubsub noscript loading stale"),
    group: Group::Pubsub,
    since: "2.0.0",
    complexity: "O(N) where N is the number of channels to unsubscribe.",
    summary: "Stops listening to channels.",
    args: "[channel...]",
    ..Command::DEFAULT
};

fn unsubscribe(ctx: &mut Ctx<'_>) -> Outcome {
    unsubscribe_from(ctx, Kind::Channel, "unsubscribe")
}

/// The row of PUNSUBSCRIBE.
pub static PUNSUBSCRIBE: Command = Command {
    name: "punsubscribe",
    handler: punsubscribe,
    arity: -1,
    flags: flags("pubsub noscript loading stale"),
    group: Group::Pubsub,
    since: "2.0.0",
    complexity: "O(N) where N is the number of patterns to unsubscribe.",
    summary: "Stops listening to patterns.",
    args: "[pattern:pattern...]",
    ..Command::DEFAULT
};

fn punsubscribe(ctx: &mut Ctx<'_>) -> Outcome {
    unsubscribe_from(ctx, Kind::Pattern, "punsubscribe")
}

/// The row of SUNSUBSCRIBE.
pub static SUNSUBSCRIBE: Command = Command {
    name: "sunsubscribe",
    handler: sunsubscribe,
    arity: -1,
    flags: flags("pubsub noscript loading stale"),
    keys: &[KeySpec::at(1, "not_key").range(-1, 1, 0)],
    group: Group::Pubsub,
    since: "7.0.0",
    complexity: "O(N) where N is the number of shard channels to unsubscribe.",
    summary: "Stops listening to shard channels.",
    args: "[shardchannel...]",
    ..Command::DEFAULT
};

fn sunsubscribe(ctx: &mut Ctx<'_>) -> Outcome {
    unsubscribe_from(ctx, Kind::Shard, "sunsubscribe")
}

/// Adds subscriptions, answering one push per name.
fn subscribe_to(ctx: &mut Ctx<'_>, kind: Kind, verb: &'static str) -> Outcome {
    // A script cannot wait for messages; inside a transaction subscribing takes effect after it, which is fine.
    if ctx.client.has(ClientFlags::FAKE | ClientFlags::SCRIPT) {
        return Err(Error::text(format!(
            "ERR {} isn't allowed for a DENY BLOCKING client",
            verb.to_ascii_uppercase()
        )));
    }
    for name in ctx.args.from(1).iter() {
        let handle = ctx.client.handle;
        let own = ctx.client.subs_mut();
        ctx.server.pubsub.subscribe(kind, name, handle, own);
        ctx.client.flags.insert(ClientFlags::PUBSUB);
        answer(ctx, kind, verb, Some(name));
    }
    Ok(Flow::Done)
}

/// Removes the named subscriptions of a kind, or all of them when none is named.
fn unsubscribe_from(ctx: &mut Ctx<'_>, kind: Kind, verb: &'static str) -> Outcome {
    let names = ctx.args.from(1);
    if !names.is_empty() {
        for name in names.iter() {
            unsubscribe_one(ctx, kind, name);
            answer(ctx, kind, verb, Some(name));
        }
    } else {
        let all: Vec<Name> = match &ctx.client.subs {
            Some(own) => own.of(kind).iter().cloned().collect(),
            None => Vec::new(),
        };
        for name in &all {
            unsubscribe_one(ctx, kind, name);
            answer(ctx, kind, verb, Some(name));
        }
        if all.is_empty() {
            answer(ctx, kind, verb, None);
        }
    }
    leave_mode(ctx.client);
    Ok(Flow::Done)
}

fn unsubscribe_one(ctx: &mut Ctx<'_>, kind: Kind, name: &[u8]) {
    if let Some(own) = ctx.client.subs.as_deref_mut() {
        ctx.server
            .pubsub
            .unsubscribe(kind, name, ctx.client.handle, own);
    }
}

/// Without subscriptions a client is an ordinary one again.
fn leave_mode(client: &mut crate::client::Client) {
    if client.subs.as_ref().is_none_or(|s| s.is_empty()) {
        client.subs = None;
        client.flags.remove(ClientFlags::PUBSUB);
    }
}

/// Removes every subscription of a client without a word (RESET).
pub fn unsubscribe_all(server: &mut Server, client: &mut crate::client::Client) {
    if let Some(own) = client.subs.take() {
        server.pubsub.forget(client.handle, &own);
    }
    client.flags.remove(ClientFlags::PUBSUB);
}

/// The push that answers about one name. It is sent even to a client whose replies are switched off.
fn answer(ctx: &mut Ctx<'_>, kind: Kind, verb: &str, name: Option<&[u8]>) {
    let count = ctx.client.subs.as_ref().map_or(0, |s| s.count_of(kind)) as i64;
    let write = |r: &mut Reply<'_>| {
        r.push(3);
        r.bulk(verb.as_bytes());
        match name {
            Some(n) => r.bulk(n),
            None => r.null(),
        }
        r.int(count);
    };
    if ctx
        .client
        .has(ClientFlags::REPLY_OFF | ClientFlags::REPLY_SKIP)
    {
        // What it replies is dropped, what is sent to it is not.
        ctx.server.door().deliver(ctx.client.handle, write);
    } else {
        write(&mut ctx.reply());
    }
}

/// The row of PUBLISH.
pub static PUBLISH: Command = Command {
    name: "publish",
    handler: publish,
    arity: 3,
    flags: flags("pubsub loading stale fast may_replicate"),
    group: Group::Pubsub,
    since: "2.0.0",
    complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel \
        and M is the total number of subscribed patterns (by any client).",
    summary: "Sends a message to a channel.",
    args: "channel message",
    ..Command::DEFAULT
};

fn publish(ctx: &mut Ctx<'_>) -> Outcome {
    let (channel, payload) = (ctx.arg(1), payload(ctx));
    let receivers = send(ctx.server, channel, payload);
    ctx.force_propagation(true);
    ctx.reply().int(receivers as i64);
    Ok(Flow::Done)
}

/// The message: by reference when it came in a buffer of its own.
fn payload<'a>(ctx: &Ctx<'a>) -> Payload<'a> {
    match ctx.args.shared(2) {
        Some(big) => Payload::Shared(big),
        None => Payload::Plain(ctx.arg(2)),
    }
}

/// The row of SPUBLISH.
pub static SPUBLISH: Command = Command {
    name: "spublish",
    handler: spublish,
    arity: 3,
    flags: flags("pubsub loading stale fast may_replicate"),
    keys: &[KeySpec::at(1, "not_key")],
    group: Group::Pubsub,
    since: "7.0.0",
    complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
    summary: "Sends a message to a shard channel.",
    args: "shardchannel message",
    ..Command::DEFAULT
};

fn spublish(ctx: &mut Ctx<'_>) -> Outcome {
    let (channel, payload) = (ctx.arg(1), payload(ctx));
    let receivers = publish_shard(ctx.server, channel, payload);
    ctx.force_propagation(true);
    ctx.reply().int(receivers as i64);
    Ok(Flow::Done)
}

/// The row of PUBSUB.
pub static PUBSUB: Command = Command {
    name: "pubsub",
    arity: -2,
    group: Group::Pubsub,
    since: "2.8.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that look at Pub/Sub.",
    subcommands: &[
        &PUBSUB_CHANNELS,
        &PUBSUB_HELP,
        &PUBSUB_NUMPAT,
        &PUBSUB_NUMSUB,
        &PUBSUB_SHARDCHANNELS,
        &PUBSUB_SHARDNUMSUB,
    ],
    ..Command::DEFAULT
};

/// The row of PUBSUB CHANNELS.
pub static PUBSUB_CHANNELS: Command = Command {
    name: "pubsub|channels",
    handler: pubsub_channels,
    arity: -2,
    flags: flags("pubsub loading stale"),
    group: Group::Pubsub,
    since: "2.8.0",
    complexity: "O(N) where N is the number of active channels, and assuming constant time \
        pattern matching (relatively short channels and patterns)",
    summary: "Lists the channels somebody listens to.",
    args: "[pattern:pattern]",
    ..Command::DEFAULT
};

fn pubsub_channels(ctx: &mut Ctx<'_>) -> Outcome {
    active(ctx, Kind::Channel)
}

/// The row of PUBSUB SHARDCHANNELS.
pub static PUBSUB_SHARDCHANNELS: Command = Command {
    name: "pubsub|shardchannels",
    handler: pubsub_shardchannels,
    arity: -2,
    flags: flags("pubsub loading stale"),
    group: Group::Pubsub,
    since: "7.0.0",
    complexity: "O(N) where N is the number of active shard channels, and assuming constant \
        time pattern matching (relatively short shard channels).",
    summary: "Lists the shard channels somebody listens to.",
    args: "[pattern:pattern]",
    ..Command::DEFAULT
};

fn pubsub_shardchannels(ctx: &mut Ctx<'_>) -> Outcome {
    active(ctx, Kind::Shard)
}

fn active(ctx: &mut Ctx<'_>, kind: Kind) -> Outcome {
    if ctx.args.len() > 3 {
        let word = String::from_utf8_lossy(ctx.arg(1)).into_owned();
        return Err(Error::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
        )));
    }
    let pattern = ctx.args.get(2);
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    let at = r.begin();
    let mut n = 0;
    for name in ctx.server.pubsub.active(kind, pattern) {
        r.bulk(name);
        n += 1;
    }
    r.end_array(at, n);
    Ok(Flow::Done)
}

/// The row of PUBSUB NUMSUB.
pub static PUBSUB_NUMSUB: Command = Command {
    name: "pubsub|numsub",
    handler: pubsub_numsub,
    arity: -2,
    flags: flags("pubsub loading stale"),
    group: Group::Pubsub,
    since: "2.8.0",
    complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
    summary: "Counts the listeners of channels.",
    args: "[channel...]",
    ..Command::DEFAULT
};

fn pubsub_numsub(ctx: &mut Ctx<'_>) -> Outcome {
    count_listeners(ctx, Kind::Channel)
}

/// The row of PUBSUB SHARDNUMSUB.
pub static PUBSUB_SHARDNUMSUB: Command = Command {
    name: "pubsub|shardnumsub",
    handler: pubsub_shardnumsub,
    arity: -2,
    flags: flags("pubsub loading stale"),
    group: Group::Pubsub,
    since: "7.0.0",
    complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested \
        shard channels",
    summary: "Counts the listeners of shard channels.",
    args: "[shardchannel...]",
    ..Command::DEFAULT
};

fn pubsub_shardnumsub(ctx: &mut Ctx<'_>) -> Outcome {
    count_listeners(ctx, Kind::Shard)
}

fn count_listeners(ctx: &mut Ctx<'_>, kind: Kind) -> Outcome {
    let names = ctx.args.from(2);
    let mut r = Reply::new(&mut ctx.client.out, ctx.client.proto);
    r.array(2 * names.len());
    for name in names.iter() {
        r.bulk(name);
        r.int(ctx.server.pubsub.listeners(kind, name).len() as i64);
    }
    Ok(Flow::Done)
}

/// The row of PUBSUB NUMPAT.
pub static PUBSUB_NUMPAT: Command = Command {
    name: "pubsub|numpat",
    handler: pubsub_numpat,
    arity: 2,
    flags: flags("pubsub loading stale"),
    group: Group::Pubsub,
    since: "2.8.0",
    complexity: "O(1)",
    summary: "Counts the patterns somebody listens to.",
    ..Command::DEFAULT
};

fn pubsub_numpat(ctx: &mut Ctx<'_>) -> Outcome {
    let n = ctx.server.pubsub.len(Kind::Pattern);
    ctx.reply().int(n as i64);
    Ok(Flow::Done)
}

/// The row of PUBSUB HELP.
pub static PUBSUB_HELP: Command = Command {
    name: "pubsub|help",
    handler: pubsub_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Pubsub,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Shows what PUBSUB can do.",
    ..Command::DEFAULT
};

fn pubsub_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Names of the channels somebody listens to, all or those matching a pattern.",
        "NUMPAT",
        "    How many patterns somebody listens to.",
        "NUMSUB [<channel> ...]",
        "    How many clients listen to each of these channels, patterns not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Names of the shard channels somebody listens to, all or those matching a pattern.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many clients listen to each of these shard channels.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
