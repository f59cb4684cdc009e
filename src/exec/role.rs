//! What a replica lets commands do: guards for clients, and what becomes of expired keys under a command.
//!
//! | who runs what on a replica                      | expired keys                                              |
//! |-------------------------------------------------|-----------------------------------------------------------|
//! | the master's stream                             | are seen: only the master deletes them                    |
//! | a client's write (a writable replica)           | are deleted when met: the write must not find them        |
//! | everything else                                 | are hidden                                                |

use super::command::CommandFlags as F;
use super::{Ctx, intent};
use crate::client::ClientFlags;
use crate::keyspace::ExpiredKeys;
use crate::resp::Error;
use crate::server::replica::expires;
use crate::server::{Server, ServerState};

/// A write on a read-only replica.
pub const READ_ONLY: Error = Error::new("READONLY You can't write against a read only replica.");

/// A command on a replica that serves nothing without its master.
pub const STALE: Error =
    Error::new("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// Whether this is a replica that takes no writes of clients.
pub fn is_read_only(server: &Server) -> bool {
    server.state.contains(ServerState::REPLICA) && server.config.replica_read_only
}

/// Whether this is a replica without its master that is to serve nothing.
pub fn is_stale(server: &Server) -> bool {
    server.state.contains(ServerState::REPLICA)
        && !server.config.replica_serve_stale_data
        && !server.repl.link.is_up()
}

/// A replica refuses the writes of clients (`replica-read-only`).
pub fn read_only(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !is_read_only(ctx.server) {
        return Ok(());
    }
    if intent::any(ctx, F::WRITE) {
        return Err(READ_ONLY);
    }
    Ok(())
}

/// A replica without its master may be told to serve nothing rather than old data (`replica-serve-stale-data no`).
pub fn stale(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !is_stale(ctx.server) {
        return Ok(());
    }
    if intent::all(ctx, F::STALE) {
        return Ok(());
    }
    Err(STALE)
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
