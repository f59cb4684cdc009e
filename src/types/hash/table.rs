//! A big hash: a table of fields, and an ordered index of the times of those that can expire.
//!
//! The index holds (time, hash of the field's name), 16 bytes instead of a copy of the name: the table lies in hash order, so
//! the field of a hash is found by a scan of one step from there. Two fields of equal hash and equal time share an index
//! entry; then the second is removed when somebody reads it.

use super::{Field, FieldTtl, Registered};
use crate::ds::hash::hash;
use crate::ds::item::HashField;
use crate::ds::listpack::Entry;
use crate::ds::table::{Item, Table};
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
use std::collections::BTreeSet;

/// Low bits of a hash that a scan cursor does not carry.
const CURSOR_DROPS: u32 = 12;

/// See the head of this file.
#[derive(Default)]
pub struct HashTable {
    fields: Table<HashField>,
    /// Present once some field was given a time.
    expiring: Option<Box<Expiring>>,
}

#[derive(Clone, Default)]
struct Expiring {
    index: BTreeSet<(i64, u64)>,
    registered: Registered,
}

impl Clone for HashTable {
    fn clone(&self) -> Self {
        let mut copy = Self::with_capacity(self.len());
        for f in self.fields.iter() {
            let item = HashField::new(f.field(), f.value(), f.expire());
            copy.fields.insert_new(f.hash(), item);
        }
        copy.expiring = self.expiring.clone();
        copy
    }
}

impl HashTable {
    /// An empty table with room for `n` fields.
    pub fn with_capacity(n: usize) -> Self {
        HashTable {
            fields: Table::with_capacity(n),
            expiring: None,
        }
    }

    /// The fields.
    pub fn fields(&self) -> &Table<HashField> {
        &self.fields
    }

    /// Lets `mover` move fields and table, about `count` fields from `from` on (0 starts); where to go on, 0 at the end. The nodes of
    /// the index of times stay where they are.
    pub(super) fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        if from == 0
            && let Some(expiring) = &mut self.expiring
        {
            relocate::boxed(mover, expiring);
        }
        self.fields
            .relocate(from, count, mover, &mut |f, mover| f.relocate(mover))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn registered(&self) -> Option<&Registered> {
        self.expiring.as_ref().map(|e| &e.registered)
    }

    #[inline]
    pub(super) fn get(&self, field: &[u8]) -> Option<Field<'_>> {
        let item = self.fields.find(hash(field), field)?;
        let expire_ms = item.expire();
        Some(Field {
            value: Entry::Bytes(item.into_value()),
            expire_ms,
        })
    }

    /// Sets a field; true when it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], ttl: FieldTtl) -> bool {
        let h = hash(field);
        let at = match ttl {
            FieldTtl::At(at) => Some(at),
            FieldTtl::Clear | FieldTtl::Keep => None,
        };
        let Some(mut item) = self.fields.find_mut(h, field) else {
            self.fields.insert_new(h, HashField::new(field, value, at));
            self.reindex(h, None, at);
            return true;
        };
        item.set_value(value);
        let old = item.expire();
        if ttl == FieldTtl::Keep || old == at {
            return false;
        }
        item.set_expire(at);
        drop(item);
        self.reindex(h, old, at);
        false
    }

    #[inline]
    fn reindex(&mut self, h: u64, old: Option<i64>, new: Option<i64>) {
        if old != new {
            self.move_in_index(h, old, new);
        }
    }

    fn move_in_index(&mut self, h: u64, old: Option<i64>, new: Option<i64>) {
        let e = self.expiring.get_or_insert_default();
        if let Some(at) = old {
            e.index.remove(&(at, h));
        }
        if let Some(at) = new {
            e.index.insert((at, h));
        }
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let h = hash(field);
        match self.fields.remove(h, field) {
            Some(item) => {
                self.reindex(h, item.expire(), None);
                true
            }
            None => false,
        }
    }

    pub(super) fn set_expire(&mut self, field: &[u8], at: Option<i64>) -> bool {
        let h = hash(field);
        let Some(mut item) = self.fields.find_mut(h, field) else {
            return false;
        };
        let old = item.expire();
        item.set_expire(at);
        drop(item);
        self.reindex(h, old, at);
        true
    }

    /// Bytes of table, fields (from the mean of `samples` of them) and the index of times.
    pub(super) fn mem_bytes(&self, samples: usize) -> usize {
        // Measured: a B-tree of 16-byte entries filled in ascending order, as times come, is half full.
        const INDEX_ENTRY: usize = 35;
        let times = self.expiring.as_ref().map_or(0, |e| {
            class_bytes(size_of::<Expiring>()) + e.index.len() * INDEX_ENTRY
        });
        self.fields.mem_bytes() + self.fields.items_bytes(samples, HashField::class_size) + times
    }

    /// The earliest time of any field, Unix ms.
    pub fn next_expiry(&self) -> Option<i64> {
        self.expiring.as_ref()?.index.first().map(|(at, _)| *at)
    }

    pub(super) fn remove_due(
        &mut self,
        now_ms: i64,
        limit: usize,
        f: &mut dyn FnMut(&[u8]),
    ) -> usize {
        let mut n = 0;
        while n < limit {
            let Some(e) = &mut self.expiring else { break };
            let Some(&(at, h)) = e.index.first().filter(|(at, _)| *at <= now_ms) else {
                break;
            };
            e.index.remove(&(at, h));
            let mut name = None;
            self.fields.scan(h >> CURSOR_DROPS, 1, &mut |item| {
                if item.expire() == Some(at) && item.hash() == h {
                    name = Some(item.field().to_vec());
                }
            });
            if let Some(name) = name {
                self.fields.remove(h, &name);
                f(&name);
                n += 1;
            }
        }
        n
    }

    /// Checks that the index holds the times of the fields and nothing else.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let times: BTreeSet<(i64, u64)> = self
            .fields
            .iter()
            .filter_map(|f| Some((f.expire()?, f.hash())))
            .collect();
        let index = self.expiring.as_ref().map(|e| &e.index);
        assert_eq!(&times, index.unwrap_or(&BTreeSet::new()));
    }
}
