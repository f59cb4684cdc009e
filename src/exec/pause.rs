//! Pausing clients: CLIENT PAUSE, a failover, the end of a shutdown.
//!
//! Each purpose may hold a pause of its own; what is paused is what any of them asks for. A command that is held back parks
//! its client (`BlockKind::Postponed`) with a copy of its arguments; when the pause ends, it goes through the guards afresh.
//! While anything is paused nothing changes by itself: keys do not expire (they are only hidden) and none is evicted, so that
//! a replica can catch up. Replicas are never held back.

use super::command::CommandFlags as F;
use super::{BlockOn, Ctx, blocking, intent};
use crate::client::blocked::BlockKind;
use crate::client::{Client, ClientFlags, CommandId};
use crate::keyspace::ExpiredKeys;
use crate::resp::OwnedArgs;
use crate::server::{Server, ServerState};

/// What is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Commands that may change something, here or on the replicas.
    Write,
    /// Every command.
    All,
}

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// CLIENT PAUSE.
    Client,
    /// A shutdown that waits for its replicas.
    Shutdown,
    /// A failover.
    Failover,
}

/// The pauses in force.
#[derive(Debug, Default)]
pub struct Pause {
    /// By purpose: what is held back, and until when (Unix ms).
    by: [Option<(Mode, i64)>; 3],
    /// The strictest of them.
    mode: Option<Mode>,
    /// When the first of them ends (Unix ms); `i64::MAX` without any.
    next_end_ms: i64,
}

impl Pause {
    /// What is held back now.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Until when clients are held back by this purpose, and what.
    pub fn of(&self, purpose: Purpose) -> Option<(Mode, i64)> {
        self.by[purpose as usize]
    }

    /// When to look again (Unix ms).
    pub fn next_end_ms(&self) -> i64 {
        if self.mode.is_some() {
            self.next_end_ms
        } else {
            i64::MAX
        }
    }

    fn refresh(&mut self) {
        let all = || self.by.iter().flatten();
        let mode = all().map(|p| p.0).max();
        self.next_end_ms = all().map(|p| p.1).min().unwrap_or(i64::MAX);
        self.mode = mode;
    }
}

/// Starts a pause, or changes the one of this purpose. Of CLIENT PAUSE given twice the stricter mode and the later end hold.
pub fn pause(server: &mut Server, purpose: Purpose, mode: Mode, until_ms: i64) {
    end_due(server);
    let slot = &mut server.pause.by[purpose as usize];
    *slot = match *slot {
        Some((old, end)) => Some((old.max(mode), end.max(until_ms))),
        None => Some((mode, until_ms)),
    };
    changed(server);
}

/// Ends the pause of this purpose.
pub fn unpause(server: &mut Server, purpose: Purpose) {
    if server.pause.by[purpose as usize].take().is_some() {
        changed(server);
    }
}

/// Ends the pauses whose time is over. Costs a compare while nothing is paused.
#[inline]
pub fn end_due(server: &mut Server) {
    if server.state.contains(ServerState::PAUSED) && server.pause.next_end_ms <= server.clock.now_ms
    {
        let now = server.clock.now_ms;
        for slot in &mut server.pause.by {
            if slot.is_some_and(|(_, end)| end <= now) {
                *slot = None;
            }
        }
        changed(server);
    }
}

fn changed(server: &mut Server) {
    let before = server.pause.mode;
    server.pause.refresh();
    let after = server.pause.mode;
    server.state.set(ServerState::PAUSED, after.is_some());
    server.expired_keys = expired_keys(server);
    if after < before {
        resume_all(server);
    }
}

/// What becomes of expired keys: only a master that is not paused deletes them.
pub fn expired_keys(server: &Server) -> ExpiredKeys {
    if server
        .state
        .intersects(ServerState::PAUSED | ServerState::REPLICA)
    {
        ExpiredKeys::Hide
    } else {
        ExpiredKeys::Delete
    }
}

/// Those held back go through the guards again, in the order they came: the pause may be over, or milder now.
fn resume_all(server: &mut Server) {
    for handle in blocking::clients_waiting(server, BlockKind::Postponed) {
        let Some(mut client) = server.clients.take(handle) else {
            continue;
        };
        if let Some(held) = blocking::unlink(server, &mut client) {
            client.blocked = Some(held);
            blocking::go_on(server, &mut client);
        }
        server.clients.put_back(client);
    }
}

/// The command of a client that was held back and may try again: its id and arguments.
pub fn take_held(client: &mut Client) -> Option<(CommandId, OwnedArgs)> {
    if client.has(ClientFlags::BLOCKED) {
        return None;
    }
    client.blocked.take().map(|b| (b.command, b.args))
}

/// Whether the command of `ctx` has to wait for the end of a pause.
pub fn holds_back(ctx: &mut Ctx<'_>) -> bool {
    if !ctx.server.state.contains(ServerState::PAUSED) {
        return false;
    }
    end_due(ctx.server);
    if ctx.client.has(ClientFlags::REPLICA | ClientFlags::FAKE) {
        return false;
    }
    const CHANGES: F = F::WRITE.union(F::MAY_REPLICATE);
    match ctx.server.pause.mode {
        None => false,
        Some(Mode::All) => true,
        Some(Mode::Write) => intent::any(ctx, CHANGES),
    }
}

/// Parks the client of `ctx` until the pause ends.
pub fn hold_back(ctx: &mut Ctx<'_>, id: CommandId) {
    blocking::park(ctx, id, BlockOn::without_keys(BlockKind::Postponed), 0);
}
