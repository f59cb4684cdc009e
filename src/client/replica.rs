//! What a master knows of one of its replicas: a client that asked for the stream with SYNC or PSYNC, or announced that it will
//! (REPLCONF).
//!
//! ```text
//! REPLCONF   SYNC/PSYNC                 snapshot begins        it is written         sent
//!    None ───────────────► WaitStart ───────────────► WaitEnd ───────────► SendBulk ─────► Online
//!                 │                                     └── (through a pipe: no file) ────────┘ ▲
//!                 └──────────────────────── the history goes on where it stopped ───────────────┘
//! ```
//!
//! From `WaitEnd` on the replica has a cursor in the stream: what is written meanwhile waits there.

use crate::ds::history::Cursor;
use bitflags::bitflags;
use std::fs::File;

bitflags! {
    /// What a replica can do, as it says by REPLCONF capa.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Capa: u8 {
        /// It takes a snapshot whose length is not known ahead, with a mark at the end.
        const EOF = 1;
        /// It understands +CONTINUE with a new id.
        const PSYNC2 = 2;
    }
}

bitflags! {
    /// What a snapshot leaves out, as asked by REPLCONF rdb-filter-only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct RdbFilter: u8 {
        /// No keys.
        const NO_DATA = 1;
        /// No function libraries.
        const NO_FUNCTIONS = 2;
    }
}

/// How far a replica has come. See the head of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicaStage {
    /// It has not asked for anything.
    #[default]
    None,
    /// It waits for a snapshot to begin.
    WaitStart,
    /// The snapshot is being made (and, through a pipe, sent).
    WaitEnd,
    /// The file is being sent.
    SendBulk,
    /// It gets the stream.
    Online,
    /// It got the snapshot it asked for, and wants nothing more (REPLCONF rdb-only).
    RdbSent,
}

impl ReplicaStage {
    /// What INFO replication calls it; None for one that is not listed.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            ReplicaStage::None => return None,
            ReplicaStage::WaitStart | ReplicaStage::WaitEnd => "wait_bgsave",
            ReplicaStage::SendBulk => "send_bulk",
            ReplicaStage::Online => "online",
            ReplicaStage::RdbSent => "rdb_transmitted",
        })
    }
}

/// A snapshot file on its way to a replica.
#[derive(Debug)]
pub struct Bulk {
    /// The file; each replica has its own, as each reads at its own place.
    pub file: File,
    /// Its length, bytes.
    pub len: u64,
    /// Bytes read from it.
    pub read: u64,
}

/// One replica. Times are Unix seconds unless their names say otherwise.
#[derive(Debug, Default)]
pub struct ReplicaState {
    /// How far it has come.
    pub stage: ReplicaStage,
    /// Its place in the stream; None before a snapshot for it began.
    pub cursor: Option<Cursor>,
    /// The stream flows; before, an acknowledgement is awaited.
    pub streaming: bool,
    /// The snapshot comes through the child's pipe.
    pub by_pipe: bool,
    /// The file being sent.
    pub bulk: Option<Bulk>,
    /// The offset of its snapshot.
    pub snapshot_offset: i64,
    /// The last byte it says to have applied.
    pub ack_offset: i64,
    /// The last byte it says to have on disk.
    pub fack_offset: i64,
    /// When it last acknowledged.
    pub ack_s: i64,
    /// Since when its socket has taken nothing of what there is to write during a snapshot; 0 when it takes all.
    pub stuck_since_s: i64,
    /// The port it listens on (0: it did not say).
    pub port: u16,
    /// The address it announces.
    pub ip: Option<Box<[u8]>>,
    /// What it can do.
    pub capa: Capa,
    /// What it does not want in its snapshot.
    pub filter: RdbFilter,
    /// It wants a snapshot and no stream.
    pub rdb_only: bool,
    /// It asked with SYNC: it acknowledges nothing.
    pub pre_psync: bool,
    /// Its version as a number, `0xMMmmpp` (0: it did not say).
    pub version: u32,
}

impl ReplicaState {
    /// True when a snapshot is made, or to be made, for it.
    pub fn waits_for_snapshot(&self) -> bool {
        matches!(self.stage, ReplicaStage::WaitStart | ReplicaStage::WaitEnd)
    }
}
