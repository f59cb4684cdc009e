//! One node of a stream: some counts, the field names of its first entry, and the entries one behind the other.
//!
//! | part    | layout                                                                                        |
//! |---------|-----------------------------------------------------------------------------------------------|
//! | counts  | live entries, deleted ones, size as a listpack without the two: u32 little endian each        |
//! | names   | varint number, as many cells                                                                  |
//! | entry   | flags, [ms, if not [`SAME_MS`]], [seq, if not [`NEXT_SEQ`]], [varint number of pairs], cells     |
//!
//! With [`SAME_FIELDS`] the entry's names are the node's and only its values follow; without it the number of pairs and the pairs.
//! `ms` is the zigzag varint of what the entry before has less; `seq`, where `ms` is the same, likewise, else the number itself. So
//! an entry like those before it costs one byte beside its values. Cells and varints are those of `cells.rs`.
//!
//! Upstream keeps nodes as listpacks, and RDB files and DUMP payloads hold them so: `packed.rs` makes the one of the other. Where a
//! node is full follows from its size as a listpack, which is why that is kept: trimming by whole nodes must remove what it removes
//! there.
//!
//! The node's key (kept outside, in the index) is the id of the first entry ever added to it; the names are that entry's. Entries
//! are deleted by flag; a node without live entries is dropped by the owner.
use super::cells::{Reader, Writer, cell, cell_bytes, varint_bytes, zigzag};
use crate::ds::listpack::{self, Entry, int_entry_bytes};
use crate::ds::stream::StreamId;
use crate::ds::thin::ThinBuf;

/// Entry flag: deleted, to be skipped.
pub const DELETED: u8 = 1;
/// Entry flag: the names are the node's.
pub const SAME_FIELDS: u8 = 2;
/// Entry flag: `ms` is that of the entry before (of the key, for the first).
const SAME_MS: u8 = 4;
/// Entry flag: `seq` is the next one if `ms` is the same, else 0.
const NEXT_SEQ: u8 = 8;

/// Bytes of the counts.
const COUNTS: usize = 12;

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

/// A node: its key and its bytes.
#[derive(Debug, Clone)]
pub struct Node {
    /// Id of the first entry ever added.
    pub key: StreamId,
    data: ThinBuf,
}

/// The counts of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Live entries.
    pub live: u32,
    /// Deleted entries still there.
    pub deleted: u32,
    /// Bytes of the listpack without the elements for the other two.
    packed: u32,
}

/// Where an entry is, and the id of the one before, which its own is told by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    at: u32,
    before: StreamId,
}

/// The quick walk: past ids, without looking at fields.
#[derive(Clone)]
struct Walk<'a> {
    reader: Reader<'a>,
    before: StreamId,
    names: usize,
}

impl Walk<'_> {
    /// Where the next entry is, if there is one.
    #[inline]
    fn spot(&self) -> Spot {
        Spot {
            at: self.reader.at() as u32,
            before: self.before,
        }
    }

    /// Walks past the next entry; its id.
    #[inline]
    fn step(&mut self) -> Option<StreamId> {
        let flags = self.reader.byte()?;
        let id = Step::read(flags, self.before, &mut self.reader)?;
        let cells = match flags & SAME_FIELDS {
            0 => usize::try_from(self.reader.varint()?)
                .ok()?
                .checked_mul(2)?,
            _ => self.names,
        };
        self.reader.skip(cells)?;
        self.before = id;
        Some(id)
    }
}

impl Node {
    /// A node whose first entry is going to be `id` with the names of `pairs` (name, value, name, ...); it has no entry yet.
    pub(super) fn new<'f>(id: StreamId, pairs: impl Iterator<Item = &'f [u8]> + Clone) -> Self {
        let names = pairs.step_by(2).map(cell);
        Self::with_names(id, names)
    }

    /// The same of the names alone.
    pub(super) fn with_names<'f>(
        id: StreamId,
        names: impl Iterator<Item = Entry<'f>> + Clone,
    ) -> Self {
        let (mut bytes, mut packed, mut number) = (0, 0, 0);
        for name in names.clone() {
            bytes += cell_bytes(name);
            packed += packed_bytes(name);
            number += 1u64;
        }
        // The number of names, and the 0 behind them.
        packed += listpack::EMPTY_BYTES + int_entry_bytes(number as i64) + int_entry_bytes(0);
        let mut data = ThinBuf::from_body(&[0; COUNTS]);
        let out = grow(&mut data, varint_bytes(number) + bytes);
        let mut out = Writer::new(out);
        out.varint(number);
        names.for_each(|name| out.cell(name));
        debug_assert!(out.is_full());
        let mut node = Node { key: id, data };
        node.set_counts(Counts {
            live: 0,
            deleted: 0,
            packed: packed as u32,
        });
        node
    }

    /// The counts.
    #[inline]
    pub fn counts(&self) -> Counts {
        let body = self.data.body();
        let word = |at: usize| {
            let bytes = body.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        Counts {
            live: word(0),
            deleted: word(4),
            packed: word(8),
        }
    }

    fn set_counts(&mut self, counts: Counts) {
        let words = [counts.live, counts.deleted, counts.packed];
        let room = self.data.body_mut()[..COUNTS].chunks_exact_mut(4);
        for (place, word) in room.zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Live entries.
    #[inline]
    pub fn live(&self) -> u64 {
        u64::from(self.counts().live)
    }

    /// Bytes of the node's one block.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The block, for who moves it.
    pub(super) fn block(&mut self) -> &mut ThinBuf {
        &mut self.data
    }

    /// Whether an entry with `added` bytes of names and values still goes into this node.
    #[inline]
    pub(super) fn has_room(&self, added: usize, limits: NodeLimits) -> bool {
        let max_bytes = match limits.max_bytes {
            0 => listpack::SAFETY_LIMIT,
            n => n.min(listpack::SAFETY_LIMIT),
        };
        let counts = self.counts();
        if counts.packed_bytes().saturating_add(added) >= max_bytes {
            return false;
        }
        let entries = u64::from(counts.live) + u64::from(counts.deleted);
        limits.max_entries == 0 || entries < limits.max_entries
    }

    /// Appends an entry behind the one whose id is `before`; `pairs` yields name, value, name, ... Tells where it stands.
    pub(super) fn append<'f>(
        &mut self,
        before: StreamId,
        id: StreamId,
        pairs: impl Iterator<Item = &'f [u8]> + Clone,
    ) -> Spot {
        let at = self.data.body().len() as u32;
        self.append_cells(before, id, 0, pairs.map(cell));
        Spot { at, before }
    }

    /// The same of cells, with [`DELETED`] in `flags` for an entry that is no more.
    pub(super) fn append_cells<'f>(
        &mut self,
        before: StreamId,
        id: StreamId,
        flags: u8,
        pairs: impl Iterator<Item = Entry<'f>> + Clone,
    ) {
        let names = self.names();
        let (mut number, mut same) = (0usize, true);
        let mut stored = names.reader;
        for name in pairs.clone().step_by(2) {
            number += 1;
            same = same && number <= names.number && stored.cell() == Some(name);
        }
        let same = same && number == names.number;
        let skip = usize::from(same);
        let cells = pairs.skip(skip).step_by(1 + skip);

        let mut packed = int_entry_bytes(id.ms.wrapping_sub(self.key.ms) as i64)
            + int_entry_bytes(id.seq.wrapping_sub(self.key.seq) as i64)
            + int_entry_bytes(0)
            + int_entry_bytes(elements(number, same) as i64);
        if !same {
            packed += int_entry_bytes(number as i64);
        }
        let mut bytes = 0;
        for c in cells.clone() {
            bytes += cell_bytes(c);
            packed += packed_bytes(c);
        }
        let step = Step::between(before, id);
        let head = flags | step.flags() | if same { SAME_FIELDS } else { 0 };
        let pairs_bytes = if same { 0 } else { varint_bytes(number as u64) };
        let out = grow(&mut self.data, 1 + step.bytes() + pairs_bytes + bytes);
        let mut out = Writer::new(out);
        out.byte(head);
        step.write(&mut out);
        if !same {
            out.varint(number as u64);
        }
        cells.for_each(|c| out.cell(c));
        debug_assert!(out.is_full());
        let mut counts = self.counts();
        counts.packed = counts.packed.saturating_add(packed as u32);
        match flags & DELETED {
            0 => counts.live += 1,
            _ => counts.deleted += 1,
        }
        self.set_counts(counts);
    }

    /// Sets the deleted flag of the live entry at `place`.
    pub(super) fn delete(&mut self, place: usize) {
        let Some(flags) = self.data.body_mut().get_mut(place) else {
            return;
        };
        *flags |= DELETED;
        let mut counts = self.counts();
        counts.live = counts.live.saturating_sub(1);
        counts.deleted = counts.deleted.saturating_add(1);
        self.set_counts(counts);
    }

    /// The field names.
    #[inline]
    pub(super) fn names(&self) -> Names<'_> {
        let mut reader = Reader::new(self.data.body(), COUNTS);
        let number = reader.varint().unwrap_or(0) as usize;
        Names { number, reader }
    }

    /// A walk that stands in front of the first entry.
    #[inline]
    fn walk(&self) -> Walk<'_> {
        let Names { number, mut reader } = self.names();
        reader.skip(number);
        Walk {
            reader,
            // So that the key itself is next.
            before: StreamId::new(self.key.ms, self.key.seq.wrapping_sub(1)),
            names: number,
        }
    }

    /// Where the last entry is, and its id, which the next one would be told by; None when there is none yet.
    pub(super) fn last(&self) -> (Option<Spot>, StreamId) {
        let mut walk = self.walk();
        let mut last = None;
        loop {
            let (spot, before) = (walk.spot(), walk.before);
            if walk.step().is_none() {
                return (last, before);
            }
            last = Some(spot);
        }
    }

    /// Whether the entry at `spot` is live.
    #[inline]
    pub(super) fn is_live(&self, spot: Spot) -> bool {
        let flags = self.data.body().get(spot.at as usize);
        flags.is_some_and(|f| f & DELETED == 0)
    }

    /// A cursor in front of the first entry.
    #[inline]
    pub fn entries(&self) -> Cursor<'_> {
        self.entries_at(self.walk().spot())
    }

    /// A cursor in front of the first entry that is not below `id`. Deleted ones may be out of order; live ones before it are below.
    #[inline]
    pub fn entries_from(&self, id: StreamId) -> Cursor<'_> {
        let mut walk = self.walk();
        loop {
            let spot = walk.spot();
            if walk.step().is_none_or(|found| found >= id) {
                return self.entries_at(spot);
            }
        }
    }

    #[inline]
    fn entries_at(&self, spot: Spot) -> Cursor<'_> {
        Cursor {
            node: self,
            names: self.names(),
            place: Place::At(spot),
        }
    }

    /// A backward cursor behind the last entry, whose place the caller may know.
    pub(super) fn entries_rev(&self, last: Option<Spot>) -> CursorRev<'_> {
        CursorRev {
            node: self,
            names: self.names(),
            back: last.map_or(Back::Before(None), Back::Last),
        }
    }

    /// The places of the entries in front of `end`.
    fn spots(&self, end: Option<Spot>) -> Vec<Spot> {
        let counts = self.counts();
        let mut spots = Vec::with_capacity(counts.live as usize + counts.deleted as usize);
        let mut walk = self.walk();
        loop {
            let spot = walk.spot();
            if end.is_some_and(|end| spot.at >= end.at) || walk.step().is_none() {
                return spots;
            }
            spots.push(spot);
        }
    }

    /// Reads the entry at `spot`; None at the end.
    #[inline]
    fn read<'a>(&'a self, spot: Spot, names: Names<'a>) -> Option<RawEntry<'a>> {
        let mut values = Reader::new(self.data.body(), spot.at as usize);
        let flags = values.byte()?;
        let id = Step::read(flags, spot.before, &mut values)?;
        let (left, names) = match flags & SAME_FIELDS {
            0 => (usize::try_from(values.varint()?).ok()?, None),
            _ => (names.number, Some(names.reader)),
        };
        Some(RawEntry {
            flags,
            at: spot.at as usize,
            id,
            fields: Fields {
                left,
                names,
                values,
            },
        })
    }
}

impl Counts {
    /// Bytes the node takes as a listpack.
    #[inline]
    pub(super) fn packed_bytes(&self) -> usize {
        let counts = int_entry_bytes(self.live.into()) + int_entry_bytes(self.deleted.into());
        self.packed as usize + counts
    }
}

/// Bytes a cell takes in a listpack.
#[inline]
fn packed_bytes(cell: Entry<'_>) -> usize {
    match cell {
        Entry::Int(v) => int_entry_bytes(v),
        Entry::Bytes(b) => listpack::text_entry_bytes(b.len()),
    }
}

/// Elements of an entry in a listpack, but the last one, which says how many they are.
pub(super) fn elements(pairs: usize, same_fields: bool) -> usize {
    if same_fields {
        pairs + 3
    } else {
        2 * pairs + 4
    }
}

/// Makes the blob `bytes` longer and gives the new end.
fn grow(data: &mut ThinBuf, bytes: usize) -> &mut [u8] {
    let body = data.body().len();
    data.resize(data.len() + bytes);
    &mut data.body_mut()[body..]
}

/// From one id to the next.
enum Step {
    SameMs(Option<i64>),
    NewMs(i64, Option<u64>),
}

impl Step {
    #[inline]
    fn between(before: StreamId, id: StreamId) -> Step {
        if id.ms == before.ms {
            let more = id.seq.wrapping_sub(before.seq);
            Step::SameMs((more != 1).then_some(more as i64))
        } else {
            let more = id.ms.wrapping_sub(before.ms) as i64;
            Step::NewMs(more, (id.seq != 0).then_some(id.seq))
        }
    }

    #[inline]
    fn flags(&self) -> u8 {
        match self {
            Step::SameMs(None) => SAME_MS | NEXT_SEQ,
            Step::SameMs(Some(_)) => SAME_MS,
            Step::NewMs(_, None) => NEXT_SEQ,
            Step::NewMs(_, Some(_)) => 0,
        }
    }

    #[inline]
    fn bytes(&self) -> usize {
        match *self {
            Step::SameMs(seq) => seq.map_or(0, |s| varint_bytes(zigzag(s))),
            Step::NewMs(ms, seq) => varint_bytes(zigzag(ms)) + seq.map_or(0, varint_bytes),
        }
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        match *self {
            Step::SameMs(seq) => seq.into_iter().for_each(|s| out.varint(zigzag(s))),
            Step::NewMs(ms, seq) => {
                out.varint(zigzag(ms));
                seq.into_iter().for_each(|s| out.varint(s));
            }
        }
    }

    #[inline]
    fn read(flags: u8, before: StreamId, from: &mut Reader<'_>) -> Option<StreamId> {
        let next = flags & NEXT_SEQ != 0;
        if flags & SAME_MS != 0 {
            let more = if next { 1 } else { from.signed()? };
            return Some(StreamId::new(
                before.ms,
                before.seq.wrapping_add(more as u64),
            ));
        }
        let ms = before.ms.wrapping_add(from.signed()? as u64);
        let seq = if next { 0 } else { from.varint()? };
        Some(StreamId::new(ms, seq))
    }
}

/// The names of a node: how many, and a reader at the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) number: usize,
    reader: Reader<'a>,
}

impl<'a> Names<'a> {
    /// Calls `f` for each.
    pub(super) fn for_each(mut self, f: impl FnMut(Entry<'a>)) {
        std::iter::from_fn(|| self.reader.cell())
            .take(self.number)
            .for_each(f);
    }
}

/// An entry as it stands in a node, deleted or not.
#[derive(Clone)]
pub struct RawEntry<'a> {
    /// [`DELETED`] and [`SAME_FIELDS`] are of interest outside.
    pub flags: u8,
    /// Where it stands.
    pub at: usize,
    /// The entry's id.
    pub id: StreamId,
    /// Its names and values.
    pub fields: Fields<'a>,
}

impl RawEntry<'_> {
    /// Whether it is no more.
    #[inline]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Whether its names are the node's.
    #[inline]
    pub fn has_same_fields(&self) -> bool {
        self.flags & SAME_FIELDS != 0
    }
}

/// The (name, value) pairs of an entry, in order.
#[derive(Clone)]
pub struct Fields<'a> {
    left: usize,
    names: Option<Reader<'a>>,
    values: Reader<'a>,
}

impl Fields<'_> {
    /// Walks past what is left of the entry; the place behind it.
    #[inline]
    fn finish(&mut self) -> Option<usize> {
        let per_pair = if self.names.is_some() { 1 } else { 2 };
        self.values.skip(self.left.checked_mul(per_pair)?)?;
        self.left = 0;
        Some(self.values.at())
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
            Some(names) => names.cell()?,
            None => self.values.cell()?,
        };
        let value = self.values.cell()?;
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
    At(Spot),
    Behind(StreamId, Fields<'a>),
    Over,
}

impl<'a> Cursor<'a> {
    /// Takes back the fields of the entry returned last, read in part or in full.
    #[inline]
    pub fn resume(&mut self, fields: Fields<'a>) {
        if let Place::Behind(_, place) = &mut self.place {
            *place = fields;
        }
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        let spot = match std::mem::replace(&mut self.place, Place::Over) {
            Place::At(spot) => spot,
            Place::Behind(before, mut fields) => Spot {
                at: fields.finish()? as u32,
                before,
            },
            Place::Over => return None,
        };
        let entry = self.node.read(spot, self.names)?;
        self.place = Place::Behind(entry.id, entry.fields.clone());
        Some(entry)
    }
}

/// Backward walk over all entries of a node, deleted ones included.
///
/// Entries know nothing of those before them: the places of all are noted on a walk from the start, which a caller that wants the
/// last one only, and knows where it is, is spared.
#[derive(Clone)]
pub struct CursorRev<'a> {
    node: &'a Node,
    names: Names<'a>,
    back: Back,
}

#[derive(Clone)]
enum Back {
    /// The last entry is next, and its place is known.
    Last(Spot),
    /// Those in front of this one are next (of the end, if none), and their places are to be noted.
    Before(Option<Spot>),
    /// The places of the entries to come, the next one last.
    Noted(Vec<Spot>),
}

impl<'a> Iterator for CursorRev<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        if let Back::Last(spot) = self.back {
            self.back = Back::Before(Some(spot));
            return self.node.read(spot, self.names);
        }
        if let Back::Before(end) = self.back {
            self.back = Back::Noted(self.node.spots(end));
        }
        match &mut self.back {
            Back::Noted(spots) => self.node.read(spots.pop()?, self.names),
            _ => None,
        }
    }
}
