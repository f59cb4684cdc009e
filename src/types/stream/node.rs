//! One node of a stream: a listpack with a master entry and the entries behind it.
//!
//! The layout is upstream's and is what RDB files and DUMP payloads carry (checked against DUMP of 8.2.3):
//!
//! | part           | elements                                                                                |
//! |----------------|-----------------------------------------------------------------------------------------|
//! | master entry   | count of live entries, count of deleted ones, number of fields, the field names, 0      |
//! | entry          | flags, ms - node.ms, seq - node.seq, [number of fields], values or fields and values, n |
//!
//! `flags` is [`DELETED`] | [`SAME_FIELDS`]. With `SAME_FIELDS` the names are the master entry's, and only values follow; without
//! it the number of pairs and the pairs follow. `n` is the number of elements of the entry in front of it: it lets a reader
//! walk backwards. The master entry's final 0 tells that reader to stop. Differences wrap around 2^64.
//!
//! The node's key (kept outside, in the index) is the id of the first entry ever added to it; the master entry's names are
//! that entry's. Entries are deleted by flag; a node without live entries is dropped by the owner.
//!
//! Everything here reads foreign bytes (RESTORE, RDB): a field missing or of the wrong kind ends a walk, it never panics.
use crate::ds::listpack::{self, Entry, Iter, Listpack, Pos, entry_bytes, int_entry_bytes};
use crate::ds::stream::StreamId;

/// Entry flag: deleted, to be skipped.
pub const DELETED: i64 = 1;
/// Entry flag: the names are the master entry's.
pub const SAME_FIELDS: i64 = 2;

/// When a node is full: the limits of `stream-node-max-bytes` and `stream-node-max-entries`; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Bytes of listpack plus the names and values to add.
    pub max_bytes: usize,
    /// Entries, deleted ones included.
    pub max_entries: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits {
            max_bytes: 4096,
            max_entries: 100,
        }
    }
}

/// A node: its key and its listpack.
#[derive(Debug, Clone)]
pub struct Node {
    /// Id of the first entry ever added.
    pub key: StreamId,
    /// Master entry and entries.
    pub pack: Listpack,
}

/// The numbers of a master entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Master {
    /// Live entries.
    pub count: u64,
    /// Deleted entries still in the listpack.
    pub deleted: u64,
    /// Field names in the master entry.
    pub fields: usize,
}

#[inline(always)]
pub(super) fn int(entry: Option<Entry<'_>>) -> Option<i64> {
    match entry {
        Some(Entry::Int(v)) => Some(v),
        _ => None,
    }
}

impl Node {
    /// A node whose first entry is going to be `id` with the names of `pairs` (name, value, name, ...); it has no entry yet.
    pub(super) fn new<'f>(id: StreamId, pairs: impl Iterator<Item = &'f [u8]> + Clone) -> Self {
        let names = pairs.step_by(2);
        let (mut bytes, mut count) = (0, 0);
        for name in names.clone() {
            bytes += entry_bytes(name);
            count += 1;
        }
        bytes += 3 * int_entry_bytes(0) + int_entry_bytes(count as i64);
        let mut pack = Listpack::new();
        pack.extend(bytes, count + 4, |out| {
            out.int(0);
            out.int(0);
            out.int(count as i64);
            names.for_each(|name| out.bytes(name));
            out.int(0);
        });
        Node { key: id, pack }
    }

    /// The master entry's numbers, and an iterator that stands at its first name.
    #[inline]
    pub fn master(&self) -> Option<(Master, Iter<'_>)> {
        let mut it = self.pack.iter();
        let count = int(it.next())?;
        let deleted = int(it.next())?;
        let fields = int(it.next())?;
        let master = Master {
            count: u64::try_from(count).ok()?,
            deleted: u64::try_from(deleted).ok()?,
            fields: usize::try_from(fields).ok()?,
        };
        Some((master, it))
    }

    /// Live entries, as the master entry says; 0 for a broken one.
    #[inline]
    pub fn count(&self) -> u64 {
        self.master().map_or(0, |(m, _)| m.count)
    }

    /// Whether an entry with `added` bytes of names and values still goes into this node.
    #[inline]
    pub(super) fn has_room(&self, added: usize, limits: NodeLimits) -> bool {
        let max_bytes = match limits.max_bytes {
            0 => listpack::SAFETY_LIMIT,
            n => n.min(listpack::SAFETY_LIMIT),
        };
        if self.pack.total_bytes().saturating_add(added) >= max_bytes {
            return false;
        }
        limits.max_entries == 0
            || self
                .master()
                .is_some_and(|(m, _)| m.count.saturating_add(m.deleted) < limits.max_entries)
    }

    /// Appends an entry; `pairs` yields name, value, name, ...
    pub(super) fn append<'f>(
        &mut self,
        id: StreamId,
        pairs: impl Iterator<Item = &'f [u8]> + Clone,
        num_fields: usize,
    ) {
        let Some((master, names)) = self.master() else {
            debug_assert!(false, "append to a broken node");
            return;
        };
        let same = master.fields == num_fields && same_names(names, pairs.clone());
        let ms = id.ms.wrapping_sub(self.key.ms) as i64;
        let seq = id.seq.wrapping_sub(self.key.seq) as i64;
        let (skip, head, elements) = match same {
            true => (1, SAME_FIELDS, num_fields + 3),
            false => (0, 0, 2 * num_fields + 4),
        };
        let mut bytes = int_entry_bytes(head)
            + int_entry_bytes(ms)
            + int_entry_bytes(seq)
            + int_entry_bytes(elements as i64);
        if !same {
            bytes += int_entry_bytes(num_fields as i64);
        }
        let stored = pairs.skip(skip).step_by(1 + skip);
        bytes += stored.clone().map(entry_bytes).sum::<usize>();
        self.pack.extend(bytes, elements + 1, |out| {
            out.int(head);
            out.int(ms);
            out.int(seq);
            if !same {
                out.int(num_fields as i64);
            }
            stored.for_each(|value| out.bytes(value));
            out.int(elements as i64);
        });
        self.set_counts(master.count.saturating_add(1), master.deleted);
    }

    /// Writes the master entry's two counts.
    pub(super) fn set_counts(&mut self, count: u64, deleted: u64) {
        let Some(first) = self.pack.first() else {
            return;
        };
        if int(self.pack.get(first)) != Some(count as i64) {
            self.pack.replace_int(first, count as i64);
        }
        if let Some(second) = self.pack.next(first)
            && int(self.pack.get(second)) != Some(deleted as i64)
        {
            self.pack.replace_int(second, deleted as i64);
        }
    }

    /// Sets the deleted flag of the entry at `flags`. The flag integer never changes its size, so other positions stay good.
    pub(super) fn mark_deleted(&mut self, flags: Pos, old: i64) {
        self.pack.replace_int(flags, old | DELETED);
    }

    /// A cursor in front of the first entry.
    #[inline]
    pub fn entries(&self) -> Cursor<'_> {
        let names = self.names();
        let place = names.clone().and_then(|(count, mut it)| {
            for _ in 0..count {
                it.next()?;
            }
            it.next()?; // the terminator
            it.pos()
        });
        Cursor {
            node: self,
            names,
            place: Place::At(place),
        }
    }

    /// A backward cursor behind the last entry.
    #[inline]
    pub fn entries_rev(&self) -> CursorRev<'_> {
        CursorRev {
            node: self,
            names: self.names(),
            at: self.pack.last(),
        }
    }

    #[inline]
    fn names(&self) -> Names<'_> {
        self.master().map(|(m, it)| (m.fields, it))
    }

    /// Reads the entry at `flags`.
    #[inline]
    fn read<'a>(&'a self, flags: Pos, names: &Names<'a>) -> Option<RawEntry<'a>> {
        let mut it = self.pack.iter_from(flags);
        let bits = int(it.next())?;
        let ms = int(it.next())?;
        let seq = int(it.next())?;
        let (left, names) = match bits & SAME_FIELDS {
            0 => (usize::try_from(int(it.next())?).ok()?, None),
            _ => names.clone().map(|(count, it)| (count, Some(it)))?,
        };
        Some(RawEntry {
            flags: bits,
            at: flags,
            id: StreamId {
                ms: self.key.ms.wrapping_add(ms as u64),
                seq: self.key.seq.wrapping_add(seq as u64),
            },
            fields: Fields {
                left,
                names,
                values: it,
            },
        })
    }
}

/// Number of master names and an iterator at the first; `None` in a broken node.
type Names<'a> = Option<(usize, Iter<'a>)>;

/// Whether the names of `pairs` are exactly those of the master entry.
#[inline]
fn same_names<'f>(names: Iter<'_>, pairs: impl Iterator<Item = &'f [u8]>) -> bool {
    pairs
        .step_by(2)
        .zip(names)
        .all(|(name, stored)| match stored {
            Entry::Bytes(b) => b == name,
            Entry::Int(v) => crate::ds::numtext::parse_i64(name) == Some(v),
        })
}

/// An entry as it stands in a node, deleted or not.
#[derive(Clone)]
pub struct RawEntry<'a> {
    /// [`DELETED`] | [`SAME_FIELDS`].
    pub flags: i64,
    /// Where the flags stand.
    pub at: Pos,
    /// The entry's id.
    pub id: StreamId,
    /// Its names and values.
    pub fields: Fields<'a>,
}

/// The (name, value) pairs of an entry, in order.
#[derive(Clone)]
pub struct Fields<'a> {
    left: usize,
    names: Option<Iter<'a>>,
    values: Iter<'a>,
}

impl Fields<'_> {
    /// Walks past what is left of the entry; returns the position behind its element count. The outer `None` means broken
    /// bytes, the inner one the end of the node.
    #[inline]
    fn finish(&mut self) -> Option<Option<Pos>> {
        let per_field = if self.names.is_some() { 1 } else { 2 };
        // A foreign count may be huge, but the walk ends with the listpack.
        while self.left > 0 {
            for _ in 0..per_field {
                self.values.next()?;
            }
            self.left -= 1;
        }
        int(self.values.next())?;
        Some(self.values.pos())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Entry<'a>, Entry<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let name = match &mut self.names {
            Some(names) => names.next()?,
            None => self.values.next()?,
        };
        let value = self.values.next()?;
        self.left -= 1;
        Some((name, value))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Forward walk over all entries of a node, deleted ones included.
///
/// The next entry's place is only known once the fields of the last one were walked. A caller that reads the fields hands them
/// back with [`Cursor::resume`], so that nothing is decoded twice; one that does not may forget about it.
#[derive(Clone)]
pub struct Cursor<'a> {
    node: &'a Node,
    names: Names<'a>,
    place: Place<'a>,
}

#[derive(Clone)]
enum Place<'a> {
    At(Option<Pos>),
    Behind(Fields<'a>),
}

impl<'a> Cursor<'a> {
    /// Takes back the fields of the entry returned last, read in part or in full.
    #[inline]
    pub fn resume(&mut self, fields: Fields<'a>) {
        self.place = Place::Behind(fields);
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        let pos = match std::mem::replace(&mut self.place, Place::At(None)) {
            Place::At(pos) => pos?,
            Place::Behind(mut fields) => fields.finish()??,
        };
        let entry = self.node.read(pos, &self.names)?;
        self.place = Place::Behind(entry.fields.clone());
        Some(entry)
    }
}

/// Backward walk over all entries of a node, deleted ones included.
#[derive(Clone)]
pub struct CursorRev<'a> {
    node: &'a Node,
    names: Names<'a>,
    /// The element count of the entry to come.
    at: Option<Pos>,
}

impl<'a> Iterator for CursorRev<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        let pack = &self.node.pack;
        let mut pos = self.at.take()?;
        // 0 is the master entry's terminator.
        let elements = int(pack.get(pos)).filter(|n| *n > 0)?;
        for _ in 0..elements {
            pos = pack.prev(pos)?;
        }
        self.at = pack.prev(pos);
        self.node.read(pos, &self.names)
    }
}
