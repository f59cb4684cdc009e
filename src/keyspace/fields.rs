//! Hash fields whose time has come: who finds them, and how they go.
//!
//! A hash knows the earliest time of its fields (`types::hash`). A database keeps the hashes that have one in [`FieldTimes`],
//! ordered by a time at or before that one: taking a field's time away leaves the note as it is, and the next visit corrects
//! it. A database without such hashes owns nothing here, and a command that gives no field a time pays nothing.
//!
//! A field goes lazily, when a command asks for it, or actively, when cron calls [`DbView::expire_fields`]. Either way its
//! deletion is propagated as HDEL, one per field, ahead of the running command; the event is `hexpired`, once per visit.
//!
//! Invariant: a hash in the database is noted at most once, under the time that [`Hash::registered`] tells. Whatever puts an
//! entry into a database or takes one out calls [`FieldTimes::entered`] or [`FieldTimes::left`].

use super::effects::Listening;
use super::entry::{Entry, ValueMut};
use super::value::Type;
use super::view::{DbView, ExpiredKeys, Key};
use crate::config::values::NotifyFlags as N;
use crate::resp::OwnedArgs;
use crate::types::hash::Hash;
use std::collections::BTreeSet;

/// The hashes of a database that have fields with a time, by the time of the next visit (Unix ms).
#[derive(Debug, Default)]
pub struct FieldTimes {
    visits: BTreeSet<(i64, Box<[u8]>)>,
}

impl FieldTimes {
    /// Number of hashes noted (INFO `subexpiry`).
    pub fn len(&self) -> usize {
        self.visits.len()
    }

    /// Bytes the notes take, about: an entry of a B-tree three quarters full, and a short name.
    pub fn mem_bytes(&self) -> usize {
        const NOTE: usize = 32 + 24;
        self.visits.len() * NOTE
    }

    /// Whether no hash is noted.
    pub fn is_empty(&self) -> bool {
        self.visits.is_empty()
    }

    /// When the next visit is due, Unix ms.
    pub fn next_ms(&self) -> Option<i64> {
        self.visits.first().map(|(at, _)| *at)
    }

    /// An entry is about to enter the database, or a hash in it was given times.
    #[inline(always)]
    pub fn entered(&mut self, entry: &Entry) {
        if entry.ty() == Type::Hash {
            self.hash_entered(entry);
        }
    }

    fn hash_entered(&mut self, entry: &Entry) {
        let Some(hash) = entry.value::<Hash>() else {
            return;
        };
        if let Some(at) = hash.next_expiry() {
            use crate::ds::table::Item;
            hash.set_registered(Some(at));
            self.visits.insert((at, entry.key().into()));
        }
    }

    /// An entry has left the database.
    #[inline(always)]
    pub fn left(&mut self, entry: &Entry) {
        if !self.visits.is_empty() && entry.ty() == Type::Hash {
            self.hash_left(entry);
        }
    }

    #[cold]
    fn hash_left(&mut self, entry: &Entry) {
        let Some(hash) = entry.value::<Hash>() else {
            return;
        };
        if let Some(at) = hash.registered() {
            use crate::ds::table::Item;
            hash.set_registered(None);
            self.visits.remove(&(at, entry.key().into()));
        }
    }

    /// Forgets everything (FLUSHDB).
    pub fn clear(&mut self) {
        self.visits.clear();
    }
}

impl DbView<'_> {
    /// Fields with a time up to this one are not seen (Unix ms).
    #[inline(always)]
    pub fn fields_due(&self) -> i64 {
        if self.expired == ExpiredKeys::Show {
            i64::MIN
        } else {
            self.now_ms
        }
    }

    /// Notes the hash under `key` after its fields were given times.
    pub fn note_field_times(&mut self, key: Key<'_>) {
        let Some(entry) = self.db.keys.find(key.hash, key.bytes) else {
            return;
        };
        let Some(hash) = entry.value::<Hash>() else {
            return;
        };
        let (known, next) = (hash.registered(), hash.next_expiry());
        if next.is_some_and(|at| known.is_none_or(|known| at < known)) {
            self.db.fields.left(&entry);
            self.db.fields.entered(&entry);
        }
    }

    /// Removes those of the fields whose time has come, when that is ours to do.
    #[inline]
    pub fn remove_expired<'f>(&mut self, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
        if !self.db.fields.is_empty() && self.expired == ExpiredKeys::Delete {
            self.remove_listed(key, fields);
        }
    }

    #[cold]
    fn remove_listed<'f>(&mut self, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
        let now_ms = self.now_ms;
        let due = |h: &Hash| h.has_due(now_ms);
        if !self
            .peek(key)
            .and_then(|e| e.value().map(|h| due(&h)))
            .unwrap_or(false)
        {
            return;
        }
        let (mut gone, mut emptied) = (Vec::new(), false);
        if let Some(mut hash) = self.peek_mut(key).and_then(ValueMut::<Hash>::of) {
            for name in fields {
                let time = hash.get(name).and_then(|f| f.expire_ms);
                if time.is_some_and(|at| at <= now_ms) && hash.remove(name) {
                    gone.push(name.to_vec());
                }
            }
            emptied = hash.is_empty();
        }
        self.fields_expired(key, &gone, emptied);
    }

    /// Removes up to `limit` fields of one hash whose time has come, when that is ours to do; how many went.
    pub fn remove_due(&mut self, key: Key<'_>, limit: usize) -> usize {
        if self.db.fields.is_empty() || self.expired != ExpiredKeys::Delete {
            return 0;
        }
        let now_ms = self.now_ms;
        let (mut gone, mut emptied) = (Vec::new(), false);
        let due = |h: &Hash| h.has_due(now_ms);
        if !self
            .peek(key)
            .and_then(|e| e.value().map(|h| due(&h)))
            .unwrap_or(false)
        {
            return 0;
        }
        if let Some(mut hash) = self.peek_mut(key).and_then(ValueMut::<Hash>::of) {
            hash.remove_due(now_ms, limit, &mut |name| gone.push(name.to_vec()));
            emptied = hash.is_empty();
        }
        self.fields_expired(key, &gone, emptied);
        gone.len()
    }

    /// Counts, propagates and publishes that fields expired; the key goes with its last field.
    fn fields_expired(&mut self, key: Key<'_>, gone: &[Vec<u8>], emptied: bool) {
        if gone.is_empty() {
            return;
        }
        self.stats.expired_fields += gone.len() as u64;
        if self.fx.propagating {
            for name in gone {
                let hdel = OwnedArgs::from_iter([b"HDEL", key.bytes, name]);
                self.fx.before.push((self.db.id, hdel));
            }
        }
        if self.fx.listening != Listening::empty() {
            self.modified_quietly(key.bytes, 0);
            self.event(N::HASH, "hexpired", key.bytes);
        }
        if emptied {
            self.delete_emptied(key);
        }
    }

    /// Active expiry of fields: removes up to `budget` of those whose time has come; true when more are due.
    pub fn expire_fields(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0 {
            let due = |(at, _): &&(i64, Box<[u8]>)| *at <= self.now_ms;
            let Some((at, name)) = self.db.fields.visits.first().filter(due).cloned() else {
                return false;
            };
            let key = Key::new(&name);
            // A visit that finds nothing counts too: the note was early, and is corrected.
            left -= self.remove_due(key, left).clamp(1, left);
            self.revisit(key, at);
        }
        self.db.fields.next_ms().is_some_and(|at| at <= self.now_ms)
    }

    /// After a visit noted for `at_ms`: notes the hash under its next time, or forgets it.
    fn revisit(&mut self, key: Key<'_>, at_ms: i64) {
        self.db.fields.visits.remove(&(at_ms, key.bytes.into()));
        if let Some(entry) = self.db.keys.find(key.hash, key.bytes) {
            if let Some(hash) = entry.value::<Hash>() {
                hash.set_registered(None);
            }
            self.db.fields.entered(&entry);
        }
    }
}
