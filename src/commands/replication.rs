//! SYNC, PSYNC, REPLCONF, ROLE, WAIT and FAILOVER: what replicas say to their master, and what users ask of one.

use crate::client::ClientFlags;
use crate::client::blocked::{BlockKind, WaitFor};
use crate::client::replica::{Capa, RdbFilter, ReplicaStage};
use crate::config::values::MasterAddr;
use crate::ds::numtext::parse_i64;
use crate::exec::blocking::{self, Unit};
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{BlockOn, Ctx, Flow, Outcome};
use crate::resp::{Error, before_nul};
use crate::server::master::failover::Wish;
use crate::server::master::{ip_of, name_of};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&SYNC, &PSYNC, &REPLCONF, &ROLE, &WAIT, &FAILOVER];

/// The row of SYNC.
pub static SYNC: Command = Command {
    name: "sync",
    handler: sync,
    arity: 1,
    flags: flags("admin noscript no_async_loading no_multi"),
    group: Group::Server,
    since: "1.0.0",
    summary: "Asks for a full copy and the stream of writes, the older way.",
    ..Command::DEFAULT
};

fn sync(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.client.has(ClientFlags::REPLICA) {
        return Ok(Flow::Done);
    }
    ctx.server.may_synchronize(ctx.client)?;
    log::info!("Replica {} asks for synchronization", name_of(ctx.client));
    ctx.client.replica_mut().pre_psync = true;
    ctx.server.wait_for_snapshot(ctx.client);
    Ok(Flow::Done)
}

/// The row of PSYNC.
pub static PSYNC: Command = Command {
    name: "psync",
    handler: psync,
    arity: -3,
    flags: flags("admin noscript no_async_loading no_multi"),
    group: Group::Server,
    since: "2.8.0",
    summary: "Asks for the stream of writes from an offset on, as a replica does.",
    args: "replicationid offset:int",
    ..Command::DEFAULT
};

fn psync(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.client.has(ClientFlags::REPLICA) {
        return Ok(Flow::Done);
    }
    if ctx.args.len() > 3 && ctx.is(3, "failover") {
        take_over(ctx)?;
    }
    ctx.server.may_synchronize(ctx.client)?;
    let who = name_of(ctx.client);
    log::info!("Replica {who} asks for synchronization");
    let Some(next) = parse_i64(ctx.arg(2)) else {
        log::warn!("Replica {who} asks for synchronization but with a wrong offset");
        return Err(Error::NotInteger);
    };
    let id = ctx.arg(1);
    if ctx.server.go_on_with(ctx.client, id, next) {
        return Ok(Flow::Done);
    }
    // An id of "?" says that the replica has nothing to go on with.
    if id.first() != Some(&b'?') {
        ctx.server.master.sync_partial_err += 1;
    }
    ctx.server.wait_for_snapshot(ctx.client);
    Ok(Flow::Done)
}

/// Our master hands over to us.
fn take_over(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    log::warn!(
        "Failover request received for replid {}.",
        String::from_utf8_lossy(ctx.arg(1))
    );
    if !ctx.server.is_replica() {
        return Err(Error::new("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    if !ctx.arg(1).eq_ignore_ascii_case(&ctx.server.repl.id.0) {
        return Err(Error::new(
            "ERR PSYNC FAILOVER replid must match my replid.",
        ));
    }
    ctx.server.stop_replicating();
    log::info!(
        "MASTER MODE enabled (failover request from '{}')",
        super::client::list::line(ctx.server, ctx.client).trim_end()
    );
    Ok(())
}

/// The row of REPLCONF.
pub static REPLCONF: Command = Command {
    name: "replconf",
    handler: replconf,
    arity: -1,
    flags: flags("admin noscript loading stale allow_busy"),
    group: Group::Server,
    since: "3.0.0",
    complexity: "O(1)",
    summary: "Exchanges settings and offsets between replica and master.",
    syscmd: true,
    ..Command::DEFAULT
};

/// Longest address a replica may announce, bytes (a numeric IPv6 address, or a host name).
const ADDRESS_MAX: usize = 255;

fn replconf(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    for i in (1..ctx.args.len()).step_by(2) {
        match () {
            () if ctx.is(i, "ack") => return acknowledge(ctx, i),
            () if ctx.is(i, "getack") => {
                // Only our master may ask; its question is answered when it was applied.
                if ctx.client.has(ClientFlags::MASTER) {
                    ctx.server.repl.link.ack_now = true;
                }
                return Ok(Flow::Done);
            }
            () => option(ctx, i)?,
        }
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// REPLCONF ACK offset [FACK offset]: nothing is replied.
fn acknowledge(ctx: &mut Ctx<'_>, i: usize) -> Outcome {
    if !ctx.client.has(ClientFlags::REPLICA) {
        return Ok(Flow::Done);
    }
    let Some(applied) = parse_i64(ctx.arg(i + 1)) else {
        return Ok(Flow::Done);
    };
    let fack = (i + 3 < ctx.args.len() && ctx.is(i + 2, "fack"))
        .then(|| parse_i64(ctx.arg(i + 3)))
        .flatten();
    ctx.server.note_ack(ctx.client, applied, fack);
    Ok(Flow::Done)
}

/// One pair of REPLCONF: something a replica tells about itself.
fn option(ctx: &mut Ctx<'_>, i: usize) -> Result<(), Error> {
    let value = ctx.arg(i + 1);
    if ctx.is(i, "listening-port") {
        let port = ctx.int(i + 1)?;
        ctx.client.replica_mut().port = port as u16;
    } else if ctx.is(i, "ip-address") {
        if value.len() > ADDRESS_MAX {
            return Err(Error::text(format!(
                "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                value.len()
            )));
        }
        ctx.client.replica_mut().ip = Some(value.into());
    } else if ctx.is(i, "capa") {
        // What we do not know is ignored: so are all who are older than it.
        let capa = match () {
            () if ctx.is(i + 1, "eof") => Capa::EOF,
            () if ctx.is(i + 1, "psync2") => Capa::PSYNC2,
            () => Capa::empty(),
        };
        ctx.client.replica_mut().capa |= capa;
    } else if ctx.is(i, "rdb-only") {
        const RANGE: &str = "ERR value is out of range, value must between 0 and 1";
        let on = ctx.int_in(i + 1, 0, 1, RANGE)?;
        ctx.client.replica_mut().rdb_only = on == 1;
    } else if ctx.is(i, "rdb-filter-only") {
        ctx.client.replica_mut().filter = filter(value)?;
    } else if ctx.is(i, "version") {
        ctx.client.replica_mut().version = version(value)?;
    } else {
        return Err(Error::Bytes(
            [
                b"ERR Unrecognized REPLCONF option: ".as_slice(),
                before_nul(ctx.arg(i)),
            ]
            .concat(),
        ));
    }
    Ok(())
}

/// `functions`, or nothing at all: what is not named is left out.
fn filter(text: &[u8]) -> Result<RdbFilter, Error> {
    let mut filter = RdbFilter::all();
    for word in text.split(|b| b.is_ascii_whitespace()) {
        if word.eq_ignore_ascii_case(b"functions") {
            filter.remove(RdbFilter::NO_FUNCTIONS);
        } else if !word.is_empty() {
            return Err(Error::Bytes(
                [b"ERR Unsupported rdb-filter-only option: ".as_slice(), word].concat(),
            ));
        }
    }
    Ok(filter)
}

/// `major.minor.patch`, as Valkey's replicas tell it.
fn version(text: &[u8]) -> Result<u32, Error> {
    let parts: Option<Vec<u32>> = text
        .split(|b| *b == b'.')
        .map(|p| {
            parse_i64(p)
                .and_then(|n| u8::try_from(n).ok())
                .map(u32::from)
        })
        .collect();
    match parts.as_deref() {
        Some([major, minor, patch]) => Ok(major << 16 | minor << 8 | patch),
        _ => Err(Error::Bytes(
            [b"ERR Unrecognized version format: ".as_slice(), text].concat(),
        )),
    }
}

/// The row of ROLE.
pub static ROLE: Command = Command {
    name: "role",
    handler: role,
    arity: 1,
    flags: flags("noscript loading stale fast"),
    acl: acl("admin dangerous"),
    group: Group::Server,
    since: "2.8.12",
    complexity: "O(1)",
    summary: "Tells whether the server is master or replica, and how far.",
    ..Command::DEFAULT
};

fn role(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.is_replica() {
        return role_of_replica(ctx);
    }
    let server = &*ctx.server;
    let rows: Vec<(String, u16, i64)> = server
        .repl
        .replicas
        .iter()
        .filter_map(|h| {
            let client = server.clients.get(*h)?;
            let r = client.replica.as_ref()?;
            (r.stage == ReplicaStage::Online).then(|| (ip_of(client), r.port, r.ack_offset))
        })
        .collect();
    let offset = server.repl.offset;
    let mut reply = ctx.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.int(offset);
    reply.array(rows.len());
    for (ip, port, acked) in rows {
        reply.array(3);
        reply.bulk(ip.as_bytes());
        reply.bulk(port.to_string().as_bytes());
        reply.bulk(acked.to_string().as_bytes());
    }
    Ok(Flow::Done)
}

fn role_of_replica(ctx: &mut Ctx<'_>) -> Outcome {
    let link = &ctx.server.repl.link;
    let (stage, applied) = (link.stage.name(), link.offsets().0);
    let offset = if link.is_up() { applied } else { -1 };
    let master = ctx.server.config.replicaof.clone();
    let mut reply = ctx.reply();
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(master.as_ref().map_or(b"", |m| m.host.as_bytes()));
    reply.int(master.map_or(0, |m| i64::from(m.port)));
    reply.bulk(stage.as_bytes());
    reply.int(offset);
    Ok(Flow::Done)
}

/// The row of WAIT.
pub static WAIT: Command = Command {
    name: "wait",
    handler: wait,
    arity: 3,
    flags: flags("blocking"),
    acl: acl("connection"),
    since: "3.0.0",
    complexity: "O(1)",
    summary: "Waits until enough replicas have the writes of this connection.",
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: "numreplicas:int timeout:int",
    ..Command::DEFAULT
};

fn wait(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.is_replica() {
        return Err(Error::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
    let wanted = ctx.int(1)?;
    let deadline_ms = blocking::deadline(ctx, 2, Unit::Millis)?;
    let offset = ctx.client.woff;
    let have = ctx.server.count_acks(offset);
    if have as i64 >= wanted || !blocking::may_wait(ctx) {
        ctx.reply().int(have as i64);
        return Ok(Flow::Done);
    }
    ctx.server.request_acks();
    Ok(Flow::Block(Box::new(BlockOn {
        deadline_ms,
        wait: Some(WaitFor {
            replicas: wanted as usize,
            offset,
            aof_local: None,
        }),
        ..BlockOn::without_keys(BlockKind::Wait)
    })))
}

/// The row of FAILOVER.
pub static FAILOVER: Command = Command {
    name: "failover",
    handler: failover,
    arity: -1,
    flags: flags("admin noscript stale"),
    group: Group::Server,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Hands over to a replica in good order.",
    args: "[TO target(host port:int [FORCE])] [ABORT] [TIMEOUT milliseconds:int]",
    ..Command::DEFAULT
};

fn failover(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.config.cluster_enabled {
        return Err(Error::new("ERR FAILOVER not allowed in cluster mode."));
    }
    if ctx.args.len() == 2 && ctx.is(1, "abort") {
        if !ctx.server.failover_under_way() {
            return Err(Error::new("ERR No failover in progress."));
        }
        ctx.server.abort_failover("Failover manually aborted");
        ctx.reply().ok();
        return Ok(Flow::Done);
    }
    let wish = wish(ctx)?;
    ctx.server.begin_failover(wish)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

fn wish(ctx: &Ctx<'_>) -> Result<Wish, Error> {
    let mut wish = Wish::default();
    let (mut i, n) = (1, ctx.args.len());
    while i < n {
        if ctx.is(i, "timeout") && i + 1 < n && wish.timeout_ms.is_none() {
            let ms = ctx.int(i + 1)?;
            if ms <= 0 {
                return Err(Error::new("ERR FAILOVER timeout must be greater than 0"));
            }
            wish.timeout_ms = Some(ms);
            i += 2;
        } else if ctx.is(i, "to") && i + 2 < n && wish.target.is_none() {
            wish.target = Some(MasterAddr {
                host: ctx.arg(i + 1).into(),
                port: ctx.int(i + 2)? as u16,
            });
            i += 3;
        } else if ctx.is(i, "force") && !wish.force {
            wish.force = true;
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(wish)
}
