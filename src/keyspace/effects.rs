//! What a command leaves behind besides its reply: recorded here while it runs, acted on by `exec` when it ends.
//!
//! Everything that has no listener costs a branch: `listening` is zero on a server where nobody watches, tracks, blocks or
//! subscribes to keyspace events.

use super::events::Event;
use crate::resp::OwnedArgs;
use bitflags::bitflags;

bitflags! {
    /// Who wants to hear of changes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Listening: u8 {
        /// Some client WATCHes some key.
        const WATCH = 1;
        /// Some client is blocked on some key.
        const BLOCKED = 2;
        /// Some client caches keys (CLIENT TRACKING).
        const TRACKING = 4;
        /// `notify-keyspace-events` is not empty.
        const EVENTS = 8;
    }
}

/// The handle of a client: slot and generation in the client table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientRef {
    /// Slot in the table.
    pub slot: u32,
    /// Guards against a slot used again.
    pub generation: u32,
}

/// Cached copies that are no longer right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// Of every key (FLUSHALL).
    All,
    /// Of a key that the running command changed.
    Changed(Box<[u8]>),
    /// Of a key that expired or was evicted: nobody's own doing, even if a command was the occasion.
    Gone(Box<[u8]>),
}

/// The record of effects since they were last acted on.
#[derive(Debug, Default)]
pub struct Effects {
    /// Changes since the last successful save (upstream's `dirty`, `rdb_changes_since_last_save`).
    pub dirty: i64,
    /// Who listens.
    pub listening: Listening,
    /// Keyspace events in order.
    pub events: Vec<Event>,
    /// Clients whose watched key was touched.
    pub touched: Vec<ClientRef>,
    /// Keys on which somebody is blocked and that may now serve them.
    pub ready: Vec<(u32, Box<[u8]>)>,
    /// What is stale in the caches of clients.
    pub invalid: Vec<Stale>,
    /// Commands to propagate on their own before the running one: deletions by expiry.
    pub before: Vec<(u32, OwnedArgs)>,
    /// What the running command is propagated as, when not as it is.
    pub instead: Option<Vec<(u32, OwnedArgs)>>,
    /// The running command must be propagated although it changed nothing (or must not although it did).
    pub force: Option<bool>,
    /// True when deletions by expiry and the like have anybody to be told to (AOF, replicas).
    pub propagating: bool,
}

impl Effects {
    /// True when there is something for `exec` to act on besides the dirty count.
    #[inline(always)]
    pub fn pending(&self) -> bool {
        self.listening != Listening::empty() || self.propagating
    }
}
