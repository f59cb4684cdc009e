//! The hash value: packed pairs, packed triplets when fields can expire, or a table of fields.
//!
//! | representation | OBJECT ENCODING | while |
//! |---|---|---|
//! | [`Listpack`]: field, value, ... | `listpack` | at most `hash-max-listpack-entries` fields, nothing longer than `hash-max-listpack-value` |
//! | [`PackEx`]: field, value, time, ... | `listpackex` | the same, once some field was given a time to live |
//! | [`HashTable`] | `hashtable` | otherwise |
//!
//! Conversions go one way. A field's time is absolute, in Unix ms. What is stored is stored: an expired field stays until
//! somebody removes it, and counts in [`Hash::len`] (as HLEN does upstream); the commands decide what is visible.
//!
//! **Who finds due fields.** Every form knows its earliest time ([`Hash::next_expiry`]): the triplets are sorted by it, the
//! table keeps an ordered index. The database keeps a set of the hashes by it (`keyspace::fields`), under the time noted in
//! [`Hash::registered`]: at or before the earliest one, so removing times needs no visit there.
//!
//! Invariant: a hash in an entry is never empty; commands delete the key with its last field.

mod pack_ex;
mod random;
mod table;
#[cfg(test)]
mod tests;

pub use pack_ex::PackEx;
pub use table::HashTable;

use crate::ds::listpack::{self, Entry, Listpack, Pos};
use crate::ds::table as ds_table;
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
use std::cell::Cell;

/// The directives that shape hashes.
#[derive(Debug, Clone, Copy)]
pub struct HashLimits {
    /// `hash-max-listpack-entries`, fields
    pub entries: usize,
    /// `hash-max-listpack-value`, bytes
    pub value: usize,
}

/// What becomes of a field's time when its value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldTtl {
    /// It goes (HSET).
    Clear,
    /// It stays (HINCRBY, KEEPTTL).
    Keep,
    /// It becomes this, Unix ms.
    At(i64),
}

/// A field as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The value.
    pub value: Entry<'a>,
    /// When it expires, Unix ms.
    pub expire_ms: Option<i64>,
}

/// A hash; see the head of this file.
#[derive(Clone)]
pub enum Hash {
    /// Packed pairs.
    Listpack(Listpack),
    /// Packed triplets.
    ListpackEx(Box<PackEx>),
    /// Fields found by hash.
    Table(Box<HashTable>),
}

impl Default for Hash {
    fn default() -> Self {
        Hash::Listpack(Listpack::new())
    }
}

/// The time under which the database has noted a hash; not copied with it.
#[derive(Debug)]
pub(super) struct Registered(Cell<i64>);

impl Default for Registered {
    fn default() -> Self {
        Registered(Cell::new(i64::MAX))
    }
}

impl Clone for Registered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Hash {
    /// Number of fields, expired ones that nobody removed yet included.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Listpack(p) => p.len() / 2,
            Hash::ListpackEx(p) => p.len(),
            Hash::Table(t) => t.len(),
        }
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Hash::Listpack(p) => p.is_empty(),
            Hash::ListpackEx(p) => p.is_empty(),
            Hash::Table(t) => t.is_empty(),
        }
    }

    /// The field, expired or not.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Field<'_>> {
        match self {
            Hash::Listpack(p) => {
                let pos = p.find(field, 1)?;
                Some(Field {
                    value: p.get(p.next(pos)?)?,
                    expire_ms: None,
                })
            }
            Hash::ListpackEx(p) => p.get(field),
            Hash::Table(t) => t.get(field),
        }
    }

    /// Prepares for setting pairs: a packed form is given up now when it could not hold them.
    pub fn reserve<'a>(
        &mut self,
        pairs: impl Iterator<Item = &'a [u8]> + Clone,
        limits: &HashLimits,
    ) {
        let bytes_now = match self {
            Hash::Listpack(p) => p.total_bytes(),
            Hash::ListpackEx(p) => p.pack().total_bytes(),
            Hash::Table(_) => return,
        };
        let (mut n, mut bytes, mut longest) = (0, 0usize, 0);
        for text in pairs {
            n += 1;
            bytes = bytes.saturating_add(text.len());
            longest = longest.max(text.len());
        }
        let safe = listpack::safe_to_add(bytes_now, bytes);
        if n / 2 > limits.entries || longest > limits.value || !safe {
            self.convert_to_table(n / 2);
        }
    }

    /// Sets a field; true when it is new.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], ttl: FieldTtl, limits: &HashLimits) -> bool {
        if let Hash::Table(t) = self {
            return t.set(field, value, ttl);
        }
        if field.len() > limits.value || value.len() > limits.value {
            self.convert_to_table(0);
            return self.set(field, value, ttl, limits);
        }
        if let (Hash::Listpack(_), FieldTtl::At(_)) = (&*self, ttl) {
            self.make_expirable();
        }
        let new = match self {
            Hash::Listpack(p) => set_pair(p, field, value),
            Hash::ListpackEx(p) => p.set(field, value, ttl),
            Hash::Table(_) => false,
        };
        if self.len() > limits.entries {
            self.convert_to_table(0);
        }
        new
    }

    /// Removes a field; false when it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Listpack(p) => match p.find(field, 1) {
                Some(pos) => {
                    p.delete_n(pos, 2);
                    true
                }
                None => false,
            },
            Hash::ListpackEx(p) => p.remove(field),
            Hash::Table(t) => t.remove(field),
        }
    }

    /// Packed pairs become packed triplets.
    pub fn make_expirable(&mut self) {
        if let Hash::Listpack(p) = self {
            *self = Hash::ListpackEx(Box::new(PackEx::from_pairs(p)));
        }
    }

    /// Sets or removes a field's time; false when the field is not there.
    pub fn set_expire(&mut self, field: &[u8], expire_ms: Option<i64>) -> bool {
        if expire_ms.is_some() {
            self.make_expirable();
        }
        match self {
            Hash::Listpack(p) => p.find(field, 1).is_some(),
            Hash::ListpackEx(p) => p.set_expire(field, expire_ms),
            Hash::Table(t) => t.set_expire(field, expire_ms),
        }
    }

    /// The earliest time of any field, Unix ms.
    #[inline]
    pub fn next_expiry(&self) -> Option<i64> {
        match self {
            Hash::Listpack(_) => None,
            Hash::ListpackEx(p) => p.next_expiry(),
            Hash::Table(t) => t.next_expiry(),
        }
    }

    /// Whether some field is due at `now_ms`.
    #[inline]
    pub fn has_due(&self, now_ms: i64) -> bool {
        self.next_expiry().is_some_and(|at| at <= now_ms)
    }

    /// Removes up to `limit` fields that are due at `now_ms`, the earliest first, and gives their names to `f`.
    pub fn remove_due(&mut self, now_ms: i64, limit: usize, f: &mut dyn FnMut(&[u8])) -> usize {
        match self {
            Hash::Listpack(_) => 0,
            Hash::ListpackEx(p) => p.remove_due(now_ms, limit, f),
            Hash::Table(t) => t.remove_due(now_ms, limit, f),
        }
    }

    fn registration(&self) -> Option<&Cell<i64>> {
        match self {
            Hash::Listpack(_) => None,
            Hash::ListpackEx(p) => Some(&p.registered.0),
            Hash::Table(t) => t.registered().map(|r| &r.0),
        }
    }

    /// The time under which the database has noted this hash.
    pub fn registered(&self) -> Option<i64> {
        self.registration()
            .map(Cell::get)
            .filter(|at| *at != i64::MAX)
    }

    /// Notes the time under which the database knows this hash; for `keyspace::fields` only.
    pub fn set_registered(&self, at_ms: Option<i64>) {
        if let Some(r) = self.registration() {
            r.set(at_ms.unwrap_or(i64::MAX));
        }
    }

    /// Fields, values and times, lent for as long as the hash.
    pub fn iter(&self) -> HashIter<'_> {
        match self {
            Hash::Listpack(p) => HashIter::Pack(p.iter(), false),
            Hash::ListpackEx(p) => HashIter::Pack(p.pack().iter(), true),
            Hash::Table(t) => HashIter::Table(t.fields().iter()),
        }
    }

    /// One step of HSCAN: calls `f` with the fields from `cursor` on, their values and times, and returns the cursor to go on
    /// with. Packed hashes are given whole.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(Entry<'_>, Field<'_>)) -> u64 {
        match self {
            Hash::Table(t) => t.fields().scan(cursor, count, &mut |i| {
                let field = Field {
                    value: Entry::Bytes(i.value()),
                    expire_ms: i.expire(),
                };
                f(Entry::Bytes(i.field()), field)
            }),
            packed => {
                packed.iter().for_each(|(name, field)| f(name, field));
                0
            }
        }
    }

    /// Turns the hash into a table with room for `n` fields (at least those it has).
    pub fn convert_to_table(&mut self, n: usize) {
        if let Hash::Table(_) = self {
            return;
        }
        let mut t = Box::new(HashTable::with_capacity(n.max(self.len())));
        for (name, field) in self.iter() {
            let ttl = field.expire_ms.map_or(FieldTtl::Clear, FieldTtl::At);
            // A damaged listpack may hold a field twice: the first stays.
            let name = name.to_vec();
            if t.get(&name).is_none() {
                t.set(&name, &field.value.to_vec(), ttl);
            }
        }
        let registered = self.registered();
        *self = Hash::Table(t);
        self.set_registered(registered);
    }

    /// Lets `mover` move its blocks, about `count` elements from `from` on (0 starts); where to go on, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        match self {
            Hash::Listpack(pack) => pack.relocate(mover),
            Hash::ListpackEx(pack) => {
                relocate::boxed(mover, pack);
                pack.relocate(mover);
            }
            Hash::Table(table) => {
                if from == 0 {
                    relocate::boxed(mover, table);
                }
                return table.relocate(mover, from, count);
            }
        }
        0
    }

    /// Bytes of the blocks it owns (MEMORY USAGE); fields from the mean of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        match self {
            Hash::Listpack(p) => class_bytes(p.total_bytes()),
            Hash::ListpackEx(p) => {
                class_bytes(size_of::<PackEx>()) + class_bytes(p.pack().total_bytes())
            }
            Hash::Table(t) => class_bytes(size_of::<HashTable>()) + t.mem_bytes(samples),
        }
    }

    /// Allocations that freeing it costs.
    pub fn free_effort(&self) -> usize {
        match self {
            Hash::Table(t) => t.len(),
            _ => 1,
        }
    }
}

/// Sets one pair of a plain pack; true when the field is new.
#[inline]
fn set_pair(p: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    if let Some(at) = p.find(field, 1).and_then(|pos| p.next(pos)) {
        p.replace(at, value);
        return false;
    }
    let bytes = listpack::entry_bytes(field) + listpack::entry_bytes(value);
    p.extend(bytes, 2, |out| {
        out.bytes(field);
        out.bytes(value);
    });
    true
}

/// Iterator of [`Hash::iter`].
pub enum HashIter<'a> {
    /// Over a pack; true when it holds triplets.
    Pack(listpack::Iter<'a>, bool),
    /// Over a table.
    Table(ds_table::Iter<'a, crate::ds::item::HashField>),
}

impl<'a> Iterator for HashIter<'a> {
    type Item = (Entry<'a>, Field<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            HashIter::Pack(p, triplets) => {
                let name = p.next()?;
                let value = p.next()?;
                let expire_ms = if *triplets { time(p.next()?) } else { None };
                Some((name, Field { value, expire_ms }))
            }
            HashIter::Table(t) => {
                let item = t.next()?;
                let expire_ms = item.expire();
                let name = Entry::Bytes(item.clone().into_key());
                let value = Entry::Bytes(item.into_value());
                Some((name, Field { value, expire_ms }))
            }
        }
    }
}

/// The time in the third place of a triplet; 0 stands for none.
#[inline]
fn time(e: Entry<'_>) -> Option<i64> {
    match e {
        Entry::Int(0) | Entry::Bytes(_) => None,
        Entry::Int(at) => Some(at),
    }
}

/// The position of the `n`-th entry behind `pos`.
#[inline]
fn skip(p: &Listpack, pos: Pos, n: usize) -> Option<Pos> {
    (0..n).try_fold(pos, |at, _| p.next(at))
}
