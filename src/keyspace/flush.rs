//! Whole databases: emptied (FLUSHDB, FLUSHALL) or exchanged (SWAPDB).
//!
//! What clients hold on to stays with the number of the database: watched keys, clients blocked on keys. For them the change
//! is as if every key had been deleted, or replaced by what the other database holds.

use super::db::{Db, Keyspace};
use super::effects::{Effects, Listening};
use super::entry::Entry;
use super::lazyfree::Garbage;
use super::waiting::Presence;
use crate::ds::hash::hash;
use crate::ds::table::Table;
use std::mem::swap;
use std::ops::Range;

/// What a table holds under `key`.
pub fn presence(keys: &Table<Entry>, key: &[u8], now_ms: i64) -> Presence {
    match keys.find(hash(key), key) {
        None => Presence::Absent,
        Some(e) if e.expire().is_some_and(|at| at <= now_ms) => Presence::Expired,
        Some(_) => Presence::Live,
    }
}

/// Records what became of the keys of a database that others hold on to: it held `old` and now holds `db.keys`.
fn replaced(db: &mut Db, old: &Table<Entry>, fx: &mut Effects, now_ms: i64) {
    if fx.listening.contains(Listening::WATCH) {
        for (key, watchers) in &mut db.watched {
            let (before, after) = (presence(old, key, now_ms), presence(&db.keys, key, now_ms));
            fx.touched.extend(watchers.replaced(before, after));
        }
    }
    if fx.listening.contains(Listening::BLOCKED) {
        for key in db.blocked.keys() {
            let h = hash(key);
            if old.contains(h, key) || db.keys.contains(h, key) {
                fx.ready.push((db.id, key.clone()));
            }
        }
    }
}

impl Keyspace {
    /// Empties these databases; `in_background` leaves the freeing to the other thread. Returns the number of keys there were.
    /// The caller counts the change and propagates it.
    pub fn flush(&mut self, dbs: Range<u32>, now_ms: i64, in_background: bool) -> usize {
        let mut removed = 0;
        for i in dbs {
            let db = &mut self.dbs[i as usize];
            let old = db.keys.take();
            db.avg_ttl_ms = 0;
            db.expire_cursor = 0;
            removed += old.len();
            replaced(db, &old, &mut self.fx, now_ms);
            if in_background {
                self.lazy.free(Garbage::Table(old));
            }
        }
        if self.fx.listening.contains(Listening::TRACKING) {
            self.fx.invalid.push(None);
        }
        removed
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: u32, b: u32, now_ms: i64) {
        let (low, high) = (a.min(b) as usize, a.max(b) as usize);
        if low == high {
            return;
        }
        let (left, right) = self.dbs.split_at_mut(high);
        let (a, b) = (&mut left[low], &mut right[0]);
        swap(&mut a.keys, &mut b.keys);
        swap(&mut a.avg_ttl_ms, &mut b.avg_ttl_ms);
        swap(&mut a.expire_cursor, &mut b.expire_cursor);
        replaced(a, &b.keys, &mut self.fx, now_ms);
        replaced(b, &a.keys, &mut self.fx, now_ms);
    }
}
