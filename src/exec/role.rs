//! What a replica lets commands do: guards for clients, and what becomes of expired keys under a command.
//!
//! | who runs what on a replica                      | expired keys                                              |
//! |-------------------------------------------------|-----------------------------------------------------------|
//! | the master's stream                             | are seen: only the master deletes them                    |
//! | a client's write (a writable replica)           | are deleted when met: the write must not find them        |
//! | everything else                                 | are hidden                                                |

use super::command::CommandFlags as F;
use super::{Ctx, multi};
use crate::client::ClientFlags;
use crate::keyspace::ExpiredKeys;
use crate::resp::Error;
use crate::server::ServerState;
use crate::server::replica::expires;

/// A replica refuses the writes of clients (`replica-read-only`).
pub fn read_only(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !ctx.server.state.contains(ServerState::REPLICA) || !ctx.server.config.replica_read_only {
        return Ok(());
    }
    let writes = ctx.command.flags.contains(F::WRITE)
        || ctx.command.name == "exec" && multi::queue_has(ctx, F::WRITE);
    if writes {
        return Err(Error::new(
            "READONLY You can't write against a read only replica.",
        ));
    }
    Ok(())
}

/// A replica without its master may be told to serve nothing rather than old data (`replica-serve-stale-data no`).
pub fn stale(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let s = &*ctx.server;
    if !s.state.contains(ServerState::REPLICA)
        || s.config.replica_serve_stale_data
        || s.repl.link.is_up()
    {
        return Ok(());
    }
    let serves = ctx.command.flags.contains(F::STALE)
        && !(ctx.command.name == "exec" && multi::queue_lacks(ctx, F::STALE));
    if serves {
        return Ok(());
    }
    Err(Error::new(
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ))
}

/// Before a command of a replica.
#[cold]
pub fn begin(ctx: &mut Ctx<'_>) {
    ctx.server.expired_keys = if ctx.client.has(ClientFlags::MASTER) {
        ExpiredKeys::Show
    } else if ctx.command.flags.contains(F::WRITE) {
        ExpiredKeys::Delete
    } else {
        ExpiredKeys::Hide
    };
}

/// After it, if this still is a replica.
#[cold]
pub fn end(ctx: &mut Ctx<'_>) {
    ctx.server.expired_keys = ExpiredKeys::Hide;
    if ctx.command.flags.contains(F::WRITE)
        && !ctx.client.has(ClientFlags::MASTER | ClientFlags::FAKE)
    {
        expires::remember(ctx);
    }
}
