//! The entries of a stream: an index of nodes and the counters that belong to it. Consumer groups know nothing of nodes and
//! are kept beside ([`super::Stream`]), so that a group can be changed while a range of the log is being read.
//!
//! Nodes stand in a deque ordered by key. Appending and trimming happen at its two ends; 24 bytes per node of up to a hundred
//! entries are a quarter of a byte per entry, and a lookup is a binary search. Upstream keeps a radix tree here.
//!
//! Invariants ([`Log::check_invariants`]): keys ascend; every live entry of a node lies between its key and the next node's key
//! (deleted ones may be out of order, as an old server's XSETID could go back behind them);
//! `length` is the sum of the nodes' counts; `first_id` is the first live entry or 0-0;
//! no id is above `last_id`.
use super::id::AddId;
use super::node::{CursorRev, Node, NodeLimits, Spot};
use super::range::Range;
use crate::ds::listpack::SAFETY_LIMIT;
use crate::ds::stream::StreamId;
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
use std::collections::VecDeque;
use std::fmt;

/// Why XADD was refused; displays as the error reply's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddError {
    /// 0-0 was given.
    Zero,
    /// The id is not above the last one.
    NotGreater,
    /// There is no id above the last one.
    Exhausted,
    /// Names and values exceed what a node may hold.
    TooLarge,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddError::Zero => "ERR The ID specified in XADD must be greater than 0-0",
            AddError::NotGreater => {
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            }
            AddError::Exhausted => {
                "ERR The stream has exhausted the last possible ID, unable to add more items"
            }
            AddError::TooLarge => "ERR Elements are too large to be stored",
        })
    }
}
impl std::error::Error for AddError {}

/// The entries; see the file header.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub(super) nodes: VecDeque<Node>,
    pub(super) length: u64,
    pub(super) last_id: StreamId,
    pub(super) first_id: StreamId,
    pub(super) max_deleted_id: StreamId,
    pub(super) entries_added: u64,
    newest: Option<Newest>,
}

/// The last entry of the last node, deleted or not: additions go behind it, and readers mostly ask for it.
#[derive(Debug, Clone, Copy)]
struct Newest {
    /// The node's key: it may have gone since.
    node: StreamId,
    spot: Spot,
    id: StreamId,
}

impl Log {
    /// Live entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no live entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The highest id ever given (or set by XSETID).
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The first live entry's id; 0-0 when there is none ("recorded-first-entry-id").
    #[inline]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The highest id ever deleted by XDEL and its like; trimming does not count.
    #[inline]
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever added (or set by XSETID).
    #[inline]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The nodes in order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Lets `mover` move the nodes from number `from` on, at most `count`, and at 0 the list of nodes; the number to go on with, 0 at
    /// the end.
    pub(super) fn relocate(&mut self, mover: &mut dyn Mover, from: usize, count: usize) -> usize {
        if from == 0 {
            relocate::deque(mover, &mut self.nodes);
        }
        let from = from.min(self.nodes.len());
        let end = self.nodes.len().min(from.saturating_add(count.max(1)));
        for node in self.nodes.range_mut(from..end) {
            node.block().relocate(mover);
        }
        if end < self.nodes.len() { end } else { 0 }
    }

    /// The id XADD would give for `spec` at `now_ms`.
    pub fn resolve_id(&self, spec: AddId, now_ms: u64) -> Result<StreamId, AddError> {
        let last = self.last_id;
        if spec == AddId::Exact(StreamId::ZERO) {
            return Err(AddError::Zero);
        }
        if last == StreamId::MAX {
            return Err(AddError::Exhausted);
        }
        let id = match spec {
            AddId::Auto if now_ms > last.ms => StreamId::new(now_ms, 0),
            AddId::Auto => last.succ().ok_or(AddError::Exhausted)?,
            AddId::AutoSeq(ms) if ms == last.ms => {
                let seq = last.seq.checked_add(1).ok_or(AddError::NotGreater)?;
                StreamId::new(ms, seq)
            }
            AddId::AutoSeq(ms) => StreamId::new(ms, 0),
            AddId::Exact(id) => id,
        };
        if id <= last {
            return Err(AddError::NotGreater);
        }
        Ok(id)
    }

    /// Appends an entry; `pairs` yields name, value, name, ... (an even number). Returns its id. Nothing changes on error.
    pub fn add<'f, I>(
        &mut self,
        spec: AddId,
        now_ms: u64,
        pairs: I,
        limits: NodeLimits,
    ) -> Result<StreamId, AddError>
    where
        I: Iterator<Item = &'f [u8]> + Clone,
    {
        let id = self.resolve_id(spec, now_ms)?;
        let bytes = pairs
            .clone()
            .fold(0, |n: usize, text| n.saturating_add(text.len()));
        if bytes > SAFETY_LIMIT {
            return Err(AddError::TooLarge);
        }
        if !self.nodes.back().is_some_and(|n| n.has_room(bytes, limits)) {
            if self.nodes.is_empty() {
                self.nodes.reserve_exact(1);
            }
            self.nodes.push_back(Node::new(id, pairs.clone()));
            self.newest = None;
        }
        let newest = self.newest();
        if let Some(node) = self.nodes.back_mut() {
            let before = newest.map_or_else(|| node.last().1, |n| n.id);
            let spot = node.append(before, id, pairs);
            self.newest = Some(Newest {
                node: node.key,
                spot,
                id,
            });
        }
        self.length = self.length.saturating_add(1);
        self.entries_added = self.entries_added.wrapping_add(1); // may come from a file or XSETID
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        Ok(id)
    }

    /// The last entry of the last node, if it is known.
    #[inline]
    fn newest(&self) -> Option<Newest> {
        let node = self.nodes.back()?;
        self.newest.filter(|n| n.node == node.key)
    }

    /// Looks for it.
    pub(super) fn note_newest(&mut self) {
        self.newest = self.nodes.back().and_then(|node| {
            let (spot, id) = node.last();
            spot.map(|spot| Newest {
                node: node.key,
                spot,
                id,
            })
        });
    }

    /// A backward cursor at the end of node `index`.
    pub(super) fn entries_rev(&self, index: usize) -> Option<CursorRev<'_>> {
        let node = self.nodes.get(index)?;
        let newest = self.newest().filter(|n| n.node == node.key);
        Some(node.entries_rev(newest.map(|n| n.spot)))
    }

    /// The node that holds `id` if any does: the last one whose key is not above it.
    #[inline]
    pub(super) fn node_of(&self, id: StreamId) -> Option<usize> {
        // Readers mostly want what was added last.
        match self.nodes.back() {
            Some(last) if last.key <= id => Some(self.nodes.len() - 1),
            _ => self.nodes.partition_point(|n| n.key <= id).checked_sub(1),
        }
    }

    /// Reads entries from `start` to `end`, both included, forwards.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::forward(self, start, end)
    }

    /// Reads entries from `end` down to `start`, both included.
    pub fn range_rev(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::backward(self, start, end)
    }

    /// Whether the live entry `id` exists.
    #[inline]
    pub fn contains(&self, id: StreamId) -> bool {
        self.first_id <= id && id <= self.last_id && self.range(id, id).next().is_some()
    }

    /// The last live entry's id: what `XREAD +` starts from.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        if let (Some(newest), Some(node)) = (self.newest(), self.nodes.back())
            && node.is_live(newest.spot)
        {
            return Some(newest.id);
        }
        self.range_rev(StreamId::ZERO, StreamId::MAX)
            .next()
            .map(|e| e.id)
    }

    /// Deletes the entry `id`; false when it is not there. Remembers the highest id deleted.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.remove(id) {
            return false;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.refresh_first_id();
        }
        true
    }

    /// Deletes without touching `first_id` and `max_deleted_id`.
    fn remove(&mut self, id: StreamId) -> bool {
        if id < self.first_id || id > self.last_id {
            return false;
        }
        let Some(index) = self.node_of(id) else {
            return false;
        };
        let node = &mut self.nodes[index];
        let found = node
            .entries_from(id)
            .filter(|e| !e.is_deleted())
            .take_while(|e| e.id <= id)
            .find(|e| e.id == id);
        let Some(at) = found.map(|e| e.at) else {
            return false;
        };
        if node.live() <= 1 {
            self.nodes.remove(index);
        } else {
            node.delete(at);
        }
        self.length = self.length.saturating_sub(1);
        true
    }

    pub(super) fn refresh_first_id(&mut self) {
        self.first_id = self
            .range(StreamId::ZERO, StreamId::MAX)
            .next()
            .map_or(StreamId::ZERO, |e| e.id);
    }

    /// XSETID: see [`super::Stream::set_id`] for the checks.
    pub(super) fn set_id(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) {
        self.last_id = last_id;
        if let Some(added) = entries_added {
            self.entries_added = added;
        }
        if let Some(id) = max_deleted.filter(|id| *id != StreamId::ZERO) {
            self.max_deleted_id = id;
        }
    }

    /// Heap bytes owned: the index, and blobs from the mean of the first `samples` of all but the last, and the last, which
    /// is rarely full.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        let bytes = |n: &Node| class_bytes(n.bytes());
        let last = self.nodes.back().map_or(0, bytes);
        let full = self.nodes.len().saturating_sub(1);
        let n = samples.min(full).max(1);
        let packs: usize = self.nodes.iter().take(n.min(full)).map(bytes).sum();
        let packs = (packs as u128 * full as u128 / n as u128) as usize;
        packs + last + class_bytes(self.nodes.capacity() * size_of::<Node>())
    }

    /// Panics when an invariant of the file header does not hold. For tests.
    pub fn check_invariants(&self) {
        let mut last = None;
        let mut first_live = StreamId::ZERO;
        let mut live = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            let counts = node.counts();
            let (mut count, mut deleted) = (0, 0);
            for entry in node.entries() {
                if entry.is_deleted() {
                    deleted += 1;
                } else {
                    assert!(last < Some(entry.id) && node.key <= entry.id);
                    assert!(entry.id <= self.last_id);
                    last = Some(entry.id);
                    if live == 0 && count == 0 {
                        first_live = entry.id;
                    }
                    count += 1;
                }
            }
            assert_eq!(
                (count, deleted),
                (u64::from(counts.live), counts.deleted),
                "node {i}"
            );
            let pack = node.to_listpack();
            assert_eq!(pack.total_bytes(), counts.packed_bytes(), "node {i}");
            let back: Vec<_> = self
                .entries_rev(i)
                .expect("it is there")
                .map(|e| e.id)
                .collect();
            assert!(node.entries().map(|e| e.id).eq(back.into_iter().rev()));
            live += count;
        }
        assert_eq!(live, self.length);
        assert_eq!(first_live, self.first_id);
    }
}
