//! Replication: what a server knows of the history of writes it makes or follows. State and formats only; what happens with
//! them is the server's (`server::replica` for the replica's side).
pub mod feed;
pub mod handshake;
pub mod id;
pub mod link;
pub mod transfer;

pub use id::ReplId;
pub use link::MasterLink;

/// The history this server makes (a master) or follows (a replica).
pub struct Replication {
    /// Its id.
    pub id: ReplId,
    /// The id it had before, good for whoever is behind `second_offset`.
    pub id2: ReplId,
    /// First offset at which the two differ; -1 without a second one.
    pub second_offset: i64,
    /// Bytes of the stream so far.
    pub offset: i64,
    /// The link to our master.
    pub link: MasterLink,
}

impl Default for Replication {
    fn default() -> Self {
        Replication {
            id: ReplId::random(),
            id2: ReplId::NONE,
            second_offset: -1,
            offset: 0,
            link: MasterLink::default(),
        }
    }
}
