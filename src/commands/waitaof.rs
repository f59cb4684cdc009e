//! WAITAOF: waits until what this client wrote is on disk, here and on replicas.
//!
//! Durable here means: synced, as `persist::aof` knows it by the offset of the replication stream. Nothing is forced: with
//! `appendfsync no` it may wait for as long as it was told to.

use crate::client::blocked::{BlockKind, WaitFor};
use crate::ds::numtext::parse_i64;
use crate::exec::blocking::{self, Unit};
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{BlockOn, Ctx, Flow, Outcome};
use crate::persist::aof::AofState;
use crate::resp::Error;
use crate::server::ServerState;
use crate::server::aof::AOF_IS_OFF;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&WAITAOF];

/// The row of WAITAOF.
pub static WAITAOF: Command = Command {
    name: "waitaof",
    handler: waitaof,
    arity: 4,
    flags: flags("blocking"),
    acl: acl("connection"),
    group: Group::Generic,
    since: "7.2.0",
    complexity: "O(1)",
    summary: "Waits until the writes of this connection are on disk, here and on replicas.",
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: "numlocal:int numreplicas:int timeout:int",
    ..Command::DEFAULT
};

fn waitaof(ctx: &mut Ctx<'_>) -> Outcome {
    let local = ctx.int_in(
        1,
        0,
        1,
        "ERR value is out of range, value must between 0 and 1",
    )?;
    let replicas = parse_i64(ctx.arg(2)).and_then(|n| usize::try_from(n).ok());
    let replicas = replicas.ok_or(Error::new("ERR value is out of range, must be positive"))?;
    let deadline_ms = blocking::deadline(ctx, 3, Unit::Millis)?;
    if ctx.server.state.contains(ServerState::REPLICA) {
        return Err(Error::new(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.",
        ));
    }
    if local > 0 && ctx.server.persist.aof.state == AofState::Off {
        return Err(Error::new(AOF_IS_OFF));
    }
    let wait = WaitFor {
        replicas,
        offset: ctx.client.woff,
        aof_local: Some(local as usize),
    };
    if ctx.server.wait_is_over(&wait) || !blocking::may_wait(ctx) {
        let durable = ctx.server.durable_at(wait.offset);
        durable.put(&mut ctx.reply());
        return Ok(Flow::Done);
    }
    if replicas > 0 {
        ctx.server.request_acks();
    }
    Ok(Flow::Block(Box::new(BlockOn {
        deadline_ms,
        wait: Some(wait),
        ..BlockOn::without_keys(BlockKind::Wait)
    })))
}
