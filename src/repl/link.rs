//! A replica's side of the link to its master: how far it has come, and what is known of the history it follows.
//!
//! State only: who moves bytes is `server::replica`. One value lives in the server all the time; on a master it is at rest
//! (`Stage::Connect` without any attempt) and may still hold a [`Cached`] history.
//!
//! Offsets count bytes of the master's stream since its beginning; "at offset n" means that byte n is the last one applied, so
//! the next one wanted is n + 1.

use super::ReplId;
use super::feed::Feed;
use super::handshake::Handshake;
use super::transfer::Transfer;
use crate::client::ClientRef;
use crate::keyspace::Keyspace;
use crate::net::Conn;
use crate::persist::load::{Loaded, Loader};
use std::fs::File;
use std::path::PathBuf;

/// Where the link is.
#[derive(Default)]
pub enum Stage {
    /// Not connected: cron tries.
    #[default]
    Connect,
    /// The socket is connecting.
    Connecting,
    /// Words are exchanged.
    Handshake(Box<Handshake>),
    /// A snapshot comes.
    Receiving(Box<Receiving>),
    /// A snapshot is being loaded from disk, in nested turns of the loop.
    Loading,
    /// The stream flows into the client [`MasterLink::client`].
    Connected,
}

impl Stage {
    /// What ROLE calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Connect => "connect",
            Stage::Connecting => "connecting",
            Stage::Handshake(_) => "handshake",
            Stage::Receiving(_) | Stage::Loading => "sync",
            Stage::Connected => "connected",
        }
    }
}

/// A snapshot on its way.
pub struct Receiving {
    /// Framing and progress.
    pub transfer: Transfer,
    /// Where it goes.
    pub sink: Sink,
    /// The history behind it; None with a master that knows only SYNC.
    pub history: Option<(ReplId, i64)>,
    /// The header has come.
    pub begun: bool,
}

/// Where a snapshot goes.
pub enum Sink {
    /// The header is awaited.
    Undecided,
    /// A temporary file.
    File {
        /// It.
        file: File,
        /// Its name.
        path: PathBuf,
        /// Bytes written since it was last synced.
        unsynced: u64,
    },
    /// Straight into the loader.
    Loader(Box<Parsing>),
}

/// A snapshot that is loaded as it comes.
pub struct Parsing {
    /// The loader, which owns the connection meanwhile.
    pub loader: Loader<Feed>,
    /// Where the keys go while the old ones are still served; None: they replace the old ones at once.
    pub aside: Option<Box<Keyspace>>,
    /// What the loader came to, once it is through.
    pub loaded: Option<Loaded>,
}

/// A history whose stream broke off: enough to ask a master to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cached {
    /// Its id.
    pub id: ReplId,
    /// The last byte applied.
    pub offset: i64,
    /// The database the stream had selected.
    pub db: u32,
}

/// The link; see the head of this file. Times are Unix seconds.
#[derive(Default)]
pub struct MasterLink {
    /// How far it has come.
    pub stage: Stage,
    /// The connection until it belongs to a client or a feed.
    pub conn: Option<Conn>,
    /// Received and not used.
    pub inbox: Vec<u8>,
    /// To be sent.
    pub outbox: Vec<u8>,
    /// The master as a client, while connected.
    pub client: Option<ClientRef>,
    /// Where to go on after the stream broke off.
    pub cached: Option<Cached>,
    /// The last byte of the stream that was read.
    pub read: i64,
    /// The last byte of the stream that was applied.
    pub applied: i64,
    /// Bytes run but not applied as a whole: the transaction is still open, or the command is held back.
    pub open_unit: Vec<u8>,
    /// The master speaks only SYNC: it is told no offsets.
    pub old_master: bool,
    /// An acknowledgement is wanted at once.
    pub ack_now: bool,
    /// There may be more to read: the next turn does not wait.
    pub again: bool,
    /// When a byte last came, during handshake and transfer.
    pub last_io_s: i64,
    /// When the last sign of life was sent during a load.
    pub last_newline_s: i64,
    /// Since when the link is down; 0 when it was never up.
    pub down_since_s: i64,
    /// Since when it is up.
    pub up_since_s: i64,
    /// Time it was down between being up, seconds.
    pub down_total_s: i64,
    /// Attempts to connect since it was up.
    pub attempts: u64,
    /// Attempts to connect to this master.
    pub attempts_total: u64,
    /// Attempts that did not wait for cron, since cron last looked.
    pub hasty: u32,
    /// We hand over to this master: PSYNC says so.
    pub failover: bool,
}

impl MasterLink {
    /// True while the stream flows.
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Connected)
    }

    /// True while a snapshot comes or is loaded (`master_sync_in_progress`).
    pub fn is_syncing(&self) -> bool {
        matches!(self.stage, Stage::Receiving(_) | Stage::Loading)
    }

    /// Bytes of the snapshot so far, and its size if that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.stage {
            Stage::Receiving(r) => match &r.sink {
                Sink::Loader(p) => {
                    let t = p.loader.feed();
                    (t.transfer.received, t.transfer.total())
                }
                _ => (r.transfer.received, r.transfer.total()),
            },
            _ => (0, None),
        }
    }

    /// Offsets applied and read: of the stream, else of the history that waits to go on (`slave_repl_offset`).
    pub fn offsets(&self) -> (i64, i64) {
        match (self.client, self.cached) {
            (Some(_), _) => (self.applied, self.read),
            (None, Some(c)) => (c.offset, c.offset),
            (None, None) => (1, 1),
        }
    }
}

impl std::fmt::Debug for MasterLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterLink")
            .field("stage", &self.stage.name())
            .field("applied", &self.applied)
            .field("cached", &self.cached)
            .finish_non_exhaustive()
    }
}
