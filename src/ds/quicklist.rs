//! Quicklist: a long list as a sequence of listpack nodes.
//!
//! Nodes fill up to `list-max-listpack-size` ([`Fill`]); an element that no node may hold becomes a plain node of its own; with
//! `list-compress-depth` d > 0 all nodes but the first and last d are LZF-compressed when that saves bytes. RDB stores exactly
//! the nodes, see [`Quicklist::nodes`].
//!
//! The nodes stand in a `VecDeque` rather than in a linked list: the ends are O(1) as before, and finding an index walks a
//! contiguous array of counts (32 bytes a node, from the nearer end) instead of chasing pointers. Inserting a node in the
//! middle moves node headers only: a million elements are some 2,500 nodes.
//!
//! Invariants (`check_invariants`): no empty node; `len` is the sum of the nodes' counts, each the count of its listpack; the
//! nodes within the compress depth of an end are not compressed.
//!
//! Reading never changes a node: readers decompress into a temporary. That is why [`Iter`] lends its entries.
//! Compat: plain nodes are not compressed.

mod front;
mod node;

pub use node::{Fill, Node, NodeBytes, set_plain_threshold};

use super::listpack::{BadListpack, Entry, Listpack, Pos};
use super::numtext;
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
use node::Data;
use std::collections::VecDeque;

/// How many times the limit a node may take after LSET.
const REPLACED_SLACK: usize = 8;

/// Which end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Index 0.
    Head,
    /// The last index.
    Tail,
}

/// A list of nodes; see the file header.
#[derive(Debug, Clone)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
    fill: Fill,
    compress_depth: u16,
    /// See `front.rs`.
    has_front: bool,
}

impl Quicklist {
    /// An empty list with the directives of the moment (they stay with the list, as upstream).
    pub fn new(fill: Fill, compress_depth: u16) -> Self {
        Quicklist {
            nodes: VecDeque::new(),
            len: 0,
            fill,
            compress_depth,
            has_front: false,
        }
    }

    /// A list with `pack` as its only node, however large; empty if `pack` is.
    pub fn from_listpack(pack: Listpack, fill: Fill, compress_depth: u16) -> Self {
        let mut list = Self::new(fill, compress_depth);
        if !pack.is_empty() {
            list.add_node(0, Node::packed(pack));
        }
        list
    }

    /// The listpack of a list that is a single packed node; otherwise the list again.
    pub fn into_listpack(mut self) -> Result<Listpack, Self> {
        if self.has_front {
            self.pour_front();
        }
        if self.nodes.len() > 1 {
            return Err(self);
        }
        match self.nodes.pop_front() {
            None => Ok(Listpack::new()),
            Some(Node {
                data: Data::Packed(pack),
                ..
            }) => Ok(pack),
            Some(other) => {
                self.nodes.push_front(other);
                Err(self)
            }
        }
    }

    /// Appends a loaded listpack as a node. The entries are counted once; a wrong count in the header is an error even where
    /// deep checking is off, because indexes rest on it. Empty packs are skipped.
    pub fn push_packed_node(&mut self, pack: Listpack) -> Result<(), BadListpack> {
        let count = pack.len();
        if pack.iter().count() != count {
            return Err(BadListpack {
                offset: 4,
                what: "wrong number of entries",
            });
        }
        // Not `is_empty`, which looks at the bytes only.
        if count > 0 {
            self.add_node(self.nodes.len(), Node::packed(pack));
        }
        Ok(())
    }

    /// Appends a loaded plain node.
    pub fn push_plain_node(&mut self, value: &[u8]) {
        self.add_node(self.nodes.len(), Node::plain(value));
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The nodes in order, for saving and for DEBUG.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The fill the list was made with.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// The compress depth the list was made with; 0 is off.
    pub fn compress_depth(&self) -> u16 {
        self.compress_depth
    }

    /// Bytes of all nodes before compression (`ql_uncompressed_size`); walks the nodes.
    pub fn uncompressed_bytes(&self) -> usize {
        self.nodes.iter().map(Node::uncompressed_bytes).sum()
    }

    /// Bytes of memory owned by it, node headers included; blobs from the mean of the first `samples` nodes.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let n = samples.min(self.nodes.len()).max(1);
        let blobs = self
            .nodes
            .iter()
            .take(n)
            .map(|node| class_bytes(node.stored_bytes()));
        let blobs = blobs.sum::<usize>() as u128 * self.nodes.len() as u128 / n as u128;
        class_bytes(self.nodes.capacity() * size_of::<Node>()) + blobs as usize
    }

    /// Lets `mover` move the nodes from number `from` on, about `count` of them, and at 0 the list of nodes; the number to go on
    /// with, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        if from == 0 {
            relocate::deque(mover, &mut self.nodes);
        }
        let from = (from as usize).min(self.nodes.len());
        let end = self.nodes.len().min(from.saturating_add(count.max(1)));
        for node in self.nodes.range_mut(from..end) {
            node.relocate(mover);
        }
        if end < self.nodes.len() {
            end as u64
        } else {
            0
        }
    }

    // ---- reading ----

    /// Node and offset of element `index`, from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut left = index;
            for (i, node) in self.nodes.iter().enumerate() {
                if left < node.count() {
                    return Some((i, left));
                }
                left -= node.count();
            }
            return None;
        }
        let mut behind = self.len - index; // elements from `index` to the end
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if behind <= node.count() {
                return Some((i, node.count() - behind));
            }
            behind -= node.count();
        }
        None
    }

    /// Calls `f` with the element at `index`.
    pub fn with<R>(&self, index: usize, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let (i, offset) = self.locate(index)?;
        self.nodes[i].with(offset, f)
    }

    /// The element at an end (end nodes are never compressed, so it can be borrowed).
    pub fn peek(&self, end: End) -> Option<Entry<'_>> {
        let node = match end {
            End::Head => self.nodes.front()?,
            End::Tail => self.nodes.back()?,
        };
        match &node.data {
            Data::Plain(value) => Some(Entry::Bytes(value)),
            Data::Packed(pack) => pack.get(match end {
                End::Head => pack.first()?,
                End::Tail => pack.last()?,
            }),
            Data::Compressed { .. } => None,
        }
    }

    /// Reads from `index` on, towards the tail or (`reverse`) towards the head.
    pub fn iter_from(&self, index: usize, reverse: bool) -> Iter<'_> {
        let mut iter = Iter {
            list: self,
            node: usize::MAX,
            next: Next::Enter,
            unpacked: None,
            reverse,
        };
        if let Some((node, offset)) = self.locate(index) {
            iter.node = node;
            iter.unpack();
            let pos = iter.pack().and_then(|p| p.seek(offset as isize));
            iter.next = pos.map_or(Next::Enter, Next::At);
        }
        iter
    }

    /// Calls `f` with up to `n` elements from `index` on: the quick way to read a range, node by node.
    pub fn for_each(&self, index: usize, n: usize, mut f: impl FnMut(Entry<'_>)) {
        let Some((first, mut offset)) = self.locate(index) else {
            return;
        };
        let mut left = n;
        for node in self.nodes.range(first..) {
            if left == 0 {
                return;
            }
            let take = left.min(node.count() - offset);
            match (node.pack(), &node.data) {
                (Some(pack), _) => pack.for_each(offset, take, &mut f),
                (None, Data::Plain(value)) => f(Entry::Bytes(value)),
                (None, _) => {}
            }
            left -= take;
            offset = 0;
        }
    }

    /// Reads from an end to the other.
    pub fn iter(&self, from: End) -> Iter<'_> {
        match from {
            End::Head => self.iter_from(0, false),
            End::Tail => self.iter_from(self.len.wrapping_sub(1), true),
        }
    }

    // ---- changes ----

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, value: &[u8]) {
        if end == End::Head {
            return self.push_head(value);
        }
        let fill = self.fill;
        let last = self.nodes.back_mut();
        if let Some(node) = last.filter(|n| n.allows(value.len(), fill))
            && let Some(pack) = node.pack_mut()
        {
            pack.push_back(value);
            node.count += 1;
            self.len += 1;
            return;
        }
        self.add_node(self.nodes.len(), Node::of(value, fill));
    }

    /// Removes the element at an end; false when the list is empty. Look at it with [`Quicklist::peek`] first.
    pub fn drop_end(&mut self, end: End) -> bool {
        let Some(last) = self.nodes.len().checked_sub(1) else {
            return false;
        };
        let i = match end {
            End::Head => 0,
            End::Tail => last,
        };
        let offset = match end {
            End::Head => 0,
            End::Tail => self.nodes[i].count() - 1,
        };
        self.remove_in_node(i, offset, 1);
        true
    }

    /// Removes the element at an end and returns a copy.
    pub fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        let value = self.peek(end)?.to_vec();
        self.drop_end(end);
        Some(value)
    }

    /// Inserts so that `value` has `index`; at `len` and beyond it appends.
    pub fn insert(&mut self, index: usize, value: &[u8]) {
        let Some((i, offset)) = self.locate(index) else {
            return self.push(End::Tail, value);
        };
        let (len, fill) = (value.len(), self.fill);
        if self.nodes[i].allows(len, fill) {
            return self.insert_in_node(i, offset, value);
        }
        if offset == 0 {
            if i > 0 && self.nodes[i - 1].allows(len, fill) {
                let end = self.nodes[i - 1].count();
                return self.insert_in_node(i - 1, end, value);
            }
            return self.add_node(i, Node::of(value, fill));
        }
        // In the middle of a full node: cut it, and put the element at the cut.
        self.split(i, offset);
        if self.nodes[i].allows(len, fill) {
            self.insert_in_node(i, offset, value);
        } else if self.nodes[i + 1].allows(len, fill) {
            self.insert_in_node(i + 1, 0, value);
        } else {
            self.add_node(i + 1, Node::of(value, fill));
            self.merge(i + 2);
        }
        self.merge(i + 1);
        self.merge(i);
        self.settle(i);
    }

    /// Overwrites the element at `index`; false when there is none.
    pub fn set(&mut self, index: usize, value: &[u8]) -> bool {
        let Some((i, offset)) = self.locate(index) else {
            return false;
        };
        let plain = self.fill.is_plain(value.len());
        let node = &mut self.nodes[i];
        match (plain, node.is_plain()) {
            (true, true) => node.data = Data::Plain(value.into()),
            (false, false) => {
                if let Some(pack) = node.pack_mut()
                    && let Some(pos) = pack.seek(offset as isize)
                {
                    pack.replace(pos, value);
                }
                self.shrink_to_limit(i, offset);
            }
            _ => {
                // Behind the old one, as upstream: which neighbour takes it shows in OBJECT ENCODING.
                self.insert(index + 1, value);
                self.remove_range(index, 1);
            }
        }
        true
    }

    /// Removes up to `n` elements from `index` on; returns how many.
    pub fn remove_range(&mut self, index: usize, n: usize) -> usize {
        let before = self.len;
        let Some((mut i, offset)) = self.locate(index) else {
            return 0;
        };
        let mut left = n.min(self.len - index);
        if offset > 0 {
            let part = left.min(self.nodes[i].count() - offset);
            self.remove_in_node(i, offset, part);
            left -= part;
            i += 1;
        }
        // Whole nodes go in one move.
        let mut end = i;
        while let Some(node) = self.nodes.get(end).filter(|n| n.count() <= left) {
            left -= node.count();
            self.len -= node.count();
            end += 1;
        }
        self.nodes.drain(i..end);
        self.fix_ends();
        if left > 0 && i < self.nodes.len() {
            self.remove_in_node(i, 0, left);
        }
        before - self.len
    }

    /// Keeps `n` elements from `index` on and removes all others.
    pub fn trim(&mut self, index: usize, n: usize) {
        let end = index.saturating_add(n).min(self.len);
        self.remove_range(end, self.len - end);
        self.remove_range(0, index.min(end));
    }

    /// Removes up to `limit` elements equal to `needle`, starting at `from`; returns how many.
    pub fn remove_value(&mut self, needle: &[u8], limit: usize, from: End) -> usize {
        let mut removed = 0;
        let mut i = match from {
            End::Head => 0,
            End::Tail => self.nodes.len().wrapping_sub(1),
        };
        while removed < limit && i < self.nodes.len() {
            let (gone, emptied) = self.remove_value_in_node(i, needle, limit - removed, from);
            removed += gone;
            i = match from {
                End::Head if emptied => i,
                End::Head => i + 1,
                End::Tail => i.wrapping_sub(1),
            };
        }
        removed
    }

    fn remove_value_in_node(
        &mut self,
        i: usize,
        needle: &[u8],
        limit: usize,
        from: End,
    ) -> (usize, bool) {
        let needle_int = numtext::parse_i64(needle);
        let present = match self.nodes[i].pack() {
            Some(pack) => pack.find(needle, 0).is_some(),
            None => matches!(&self.nodes[i].data, Data::Plain(v) if **v == *needle),
        };
        if !present {
            return (0, false);
        }
        let mut removed = 0;
        match self.nodes[i].pack_mut() {
            None => {
                self.remove_in_node(i, 0, 1);
                return (1, true);
            }
            Some(pack) if from == End::Head => {
                let mut pos = pack.find(needle, 0);
                while let Some(found) = pos.filter(|_| removed < limit) {
                    removed += 1;
                    pos = pack
                        .delete(found)
                        .and_then(|next| pack.find_from(next, needle, 0));
                }
            }
            Some(pack) => {
                let mut pos = pack.last();
                while let Some(at) = pos.filter(|_| removed < limit) {
                    pos = pack.prev(at);
                    if pack.get(at).is_some_and(|e| e.equals(needle, needle_int)) {
                        pack.delete(at);
                        removed += 1;
                    }
                }
            }
        }
        (removed, self.sync(i))
    }

    // ---- nodes ----

    /// Inserts a node at place `i`.
    fn add_node(&mut self, i: usize, node: Node) {
        self.len += node.count();
        if i == 0 {
            self.has_front = false;
            self.nodes.push_front(node);
        } else if i == self.nodes.len() {
            self.nodes.push_back(node);
        } else {
            self.nodes.insert(i, node);
        }
        self.fix_ends();
        self.settle(i);
    }

    /// Inserts into a node that allows it.
    fn insert_in_node(&mut self, i: usize, offset: usize, value: &[u8]) {
        if let Some(pack) = self.nodes[i].pack_mut() {
            match pack.seek(offset as isize) {
                Some(pos) => drop(pack.insert_before(pos, value)),
                None => pack.push_back(value),
            }
            self.sync(i);
        }
    }

    /// Removes `n` elements from `offset` on, all within node `i`.
    fn remove_in_node(&mut self, i: usize, offset: usize, n: usize) {
        if n >= self.nodes[i].count() {
            self.delete_node(i);
        } else if let Some(pack) = self.nodes[i].pack_mut() {
            pack.delete_range(offset as isize, n);
            self.sync(i);
        }
    }

    fn delete_node(&mut self, i: usize) {
        if let Some(node) = self.nodes.remove(i) {
            self.len -= node.count();
            self.has_front &= i != 0;
            self.fix_ends();
        }
    }

    /// Takes over the count of a changed listpack, deletes the node when nothing is left (then true), compresses it again.
    fn sync(&mut self, i: usize) -> bool {
        let node = &mut self.nodes[i];
        let Some(pack) = node.pack_mut() else {
            return false;
        };
        let count = pack.len();
        self.len = self.len - node.count as usize + count;
        node.count = count as u32;
        if count == 0 {
            self.delete_node(i);
            return true;
        }
        self.settle(i);
        false
    }

    /// Cuts node `i` in front of `offset` (not 0): two nodes.
    fn split(&mut self, i: usize, offset: usize) {
        let Some(pack) = self.nodes[i].pack_mut() else {
            return;
        };
        let Some(pos) = pack.seek(offset as isize) else {
            return;
        };
        let tail = Node::packed(pack.split_off(pos));
        self.nodes[i].count -= tail.count;
        self.nodes.insert(i + 1, tail);
        self.fix_ends();
        self.settle(i);
        self.settle(i + 1);
    }

    /// Joins nodes `i - 1` and `i` when both are packed and fit one node.
    fn merge(&mut self, i: usize) {
        if i == 0 || i >= self.nodes.len() {
            return;
        }
        let (a, b) = (&self.nodes[i - 1], &self.nodes[i]);
        let bytes = a.uncompressed_bytes() + b.uncompressed_bytes();
        if a.is_plain() || b.is_plain() || self.fill.exceeded(bytes, a.count() + b.count()) {
            return;
        }
        let Some(tail) = self.nodes.remove(i) else {
            return;
        };
        self.has_front &= i != 1;
        let (Some(tail_pack), Some(pack)) = (tail.pack(), self.nodes[i - 1].pack_mut()) else {
            return;
        };
        pack.append(&tail_pack);
        self.nodes[i - 1].count += tail.count;
        self.fix_ends();
        self.settle(i - 1);
    }

    /// After a replacement: a node that became far too large is cut around the new element. Upstream lets it grow without end; up
    /// to [`REPLACED_SLACK`] times the limit we do so too, as OBJECT ENCODING shows how many nodes there are.
    fn shrink_to_limit(&mut self, i: usize, offset: usize) {
        let node = &self.nodes[i];
        let bytes = node.uncompressed_bytes() / REPLACED_SLACK;
        if !self.fill.exceeded(bytes, node.count()) || node.count() == 1 {
            return self.settle(i);
        }
        if offset + 1 < node.count() {
            self.split(i, offset + 1);
        }
        let node = &self.nodes[i];
        let too_large = self.fill.exceeded(node.uncompressed_bytes(), node.count());
        if offset > 0 && too_large {
            self.split(i, offset);
        }
    }

    // ---- compression ----

    /// Whether node `i` is far enough from both ends to be compressed.
    fn is_inner(&self, i: usize) -> bool {
        let depth = usize::from(self.compress_depth);
        depth > 0 && i >= depth && i + depth < self.nodes.len()
    }

    /// Brings node `i` into the state its place asks for.
    fn settle(&mut self, i: usize) {
        if self.compress_depth == 0 || i >= self.nodes.len() {
            return;
        }
        if self.is_inner(i) {
            self.nodes[i].compress();
        } else {
            self.nodes[i].decompress();
        }
    }

    /// After the number of nodes changed: nodes that came near an end open up, those that left it are compressed.
    fn fix_ends(&mut self) {
        if self.compress_depth == 0 {
            return;
        }
        let (depth, last) = (usize::from(self.compress_depth), self.nodes.len());
        for k in 0..=depth.min(last) {
            self.settle(k);
            self.settle(last.wrapping_sub(k + 1));
        }
    }

    /// Asserts the invariants of the file header (tests, DEBUG).
    pub fn check_invariants(&self) {
        let mut sum = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            assert!(node.count() > 0, "empty node");
            if let Some(pack) = node.pack() {
                assert_eq!(pack.len(), node.count(), "count of node {i}");
            }
            let compressed = matches!(node.data, Data::Compressed { .. });
            assert!(!compressed || self.is_inner(i), "compressed end node");
            sum += node.count();
        }
        assert_eq!(sum, self.len);
    }
}

/// Where an iterator stands in its node.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// Nothing read yet: start at the near end.
    Enter,
    At(Pos),
    Exhausted,
}

/// Reads elements in order. It lends each entry until the next call, because a compressed node is unpacked into the iterator;
/// hence not an `Iterator`: use `while let Some(entry) = iter.next_entry()`.
pub struct Iter<'a> {
    list: &'a Quicklist,
    node: usize,
    next: Next,
    unpacked: Option<Listpack>,
    reverse: bool,
}

impl Iter<'_> {
    fn pack(&self) -> Option<&Listpack> {
        match &self.list.nodes.get(self.node)?.data {
            Data::Packed(pack) => Some(pack),
            Data::Plain(_) => None,
            Data::Compressed { .. } => self.unpacked.as_ref(),
        }
    }

    /// Unpacks the current node if it is compressed.
    fn unpack(&mut self) {
        if let Some(node) = self.list.nodes.get(self.node)
            && matches!(node.data, Data::Compressed { .. })
            && self.unpacked.is_none()
        {
            self.unpacked = node.pack().map(|p| p.into_owned());
        }
    }

    /// The next element, or `None` at the end.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let pos = self.step()?;
        match pos {
            Some(pos) => self.pack()?.get(pos),
            None => match &self.list.nodes.get(self.node)?.data {
                Data::Plain(value) => Some(Entry::Bytes(value)),
                _ => None,
            },
        }
    }

    /// Moves on; the outer `None` is the end of the list, the inner one stands for a plain node.
    fn step(&mut self) -> Option<Option<Pos>> {
        loop {
            self.list.nodes.get(self.node)?;
            self.unpack();
            let found = match (self.pack(), self.next) {
                (_, Next::Exhausted) => None,
                (None, _) => Some((None, None)),
                (Some(pack), next) => {
                    let pos = match next {
                        Next::At(pos) => Some(pos),
                        _ if self.reverse => pack.last(),
                        _ => pack.first(),
                    };
                    pos.map(|p| {
                        let after = if self.reverse {
                            pack.prev(p)
                        } else {
                            pack.next(p)
                        };
                        (Some(p), after)
                    })
                }
            };
            if let Some((pos, after)) = found {
                self.next = after.map_or(Next::Exhausted, Next::At);
                return Some(pos);
            }
            self.unpacked = None;
            self.next = Next::Enter;
            self.node = if self.reverse {
                self.node.wrapping_sub(1)
            } else {
                self.node + 1
            };
        }
    }
}

#[cfg(test)]
#[path = "quicklist_tests.rs"]
mod tests;
