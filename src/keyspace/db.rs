//! Databases and what they share.

use super::effects::Effects;
use super::entry::Entry;
use super::expire::Expires;
use super::fields::FieldTimes;
use super::lazyfree::LazyFree;
use super::waiting::{Waiters, Watchers};
use crate::ds::rng::Rng;
use crate::ds::table::Table;
use std::collections::HashMap;

/// Something kept for a few keys, under the fast keyed hash.
pub type KeyMap<T> = HashMap<Box<[u8]>, T, foldhash::quality::RandomState>;

/// One database.
pub struct Db {
    /// Its number.
    pub id: u32,
    /// The keys. Those with an expire carry the table's mark.
    pub keys: Table<Entry>,
    /// Who watches which key.
    pub watched: KeyMap<Watchers>,
    /// Clients blocked on keys.
    pub blocked: KeyMap<Waiters>,
    /// Running estimate of the mean TTL, ms (INFO keyspace).
    pub avg_ttl_ms: i64,
    /// Finds the keys whose time has come.
    pub expires: Expires,
    /// Finds the hashes with fields whose time has come.
    pub fields: FieldTimes,
}

impl Db {
    /// An empty database.
    pub fn new(id: u32) -> Self {
        Db {
            id,
            keys: Table::new(),
            watched: KeyMap::default(),
            blocked: KeyMap::default(),
            avg_ttl_ms: 0,
            expires: Expires::default(),
            fields: FieldTimes::default(),
        }
    }

    /// Number of keys, those that expired and were not found yet included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True without any key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of keys with an expire.
    pub fn volatile(&self) -> usize {
        self.keys.marked()
    }
}

/// Counters of lookups and deletions (INFO stats).
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyspaceStats {
    /// Lookups for reading that found a key.
    pub hits: u64,
    /// Lookups for reading that did not.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    /// Hash fields deleted because their time had come.
    pub expired_fields: u64,
    /// Keys deleted to stay below `maxmemory`.
    pub evicted: u64,
    /// The slowest deletion of an expired key since the server last looked, ms; measured while LATENCY is on.
    pub expire_del_ms: u64,
}

/// All databases and what they share.
pub struct Keyspace {
    /// The databases, by number.
    pub dbs: Vec<Db>,
    /// Effects recorded since they were last acted on.
    pub fx: Effects,
    /// Lookup counters.
    pub stats: KeyspaceStats,
    /// Randomness for sampling and random commands.
    pub rng: Rng,
    /// The door to the freeing thread.
    pub lazy: LazyFree,
}

impl Keyspace {
    /// `n` empty databases.
    pub fn new(n: usize, seed: u64, lazy: LazyFree) -> Self {
        Keyspace {
            dbs: (0..n as u32).map(Db::new).collect(),
            fx: Effects::default(),
            stats: KeyspaceStats::default(),
            rng: Rng::new(seed),
            lazy,
        }
    }

    /// Number of keys in all databases.
    pub fn total_keys(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }
}
