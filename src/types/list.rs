//! The list value: a listpack while it fits one node, a quicklist beyond.
//!
//! Conversion (as upstream since 7.2): before elements are added, a listpack whose bytes or count would exceed
//! `list-max-listpack-size` becomes a quicklist ([`List::grow`]); after elements were removed or replaced, a quicklist of a
//! single packed node at half the limit or less becomes a listpack again ([`List::shrink`]). The gap keeps a list at the limit
//! from flapping. Every changing method below does this itself, so callers only choose what to change.
//!
//! Indexes here are plain offsets from the head; [`List::index`] resolves the clients' negative ones. An emptied list stays a
//! value; deleting the key is the keyspace's business.

use crate::ds::listpack::{self, Entry, Listpack};
use crate::ds::numtext;
use crate::ds::quicklist::{self, End, Fill, Quicklist};
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};

/// The directives that shape lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListLimits {
    /// `list-max-listpack-size`.
    pub fill: Fill,
    /// `list-compress-depth`.
    pub compress_depth: u16,
}

/// A list; see the file header.
#[derive(Debug, Clone)]
pub enum List {
    /// OBJECT ENCODING "listpack".
    Listpack(Listpack),
    /// OBJECT ENCODING "quicklist".
    Quicklist(Box<Quicklist>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        List::Listpack(Listpack::new())
    }

    /// Wraps a loaded quicklist, as a listpack where it is small enough.
    pub fn from_quicklist(list: Quicklist, limits: &ListLimits) -> Self {
        let mut list = List::Quicklist(Box::new(list));
        list.convert_back(limits, 1);
        list
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            List::Listpack(pack) => pack.len(),
            List::Quicklist(list) => list.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the blocks it owns (MEMORY USAGE); nodes from the mean of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        match self {
            List::Listpack(pack) => class_bytes(pack.total_bytes()),
            List::Quicklist(list) => {
                class_bytes(size_of::<Quicklist>()) + list.memory_bytes(samples)
            }
        }
    }

    /// Lets `mover` move its blocks, about `count` nodes from `from` on (0 starts); where to go on, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        match self {
            List::Listpack(pack) => {
                pack.relocate(mover);
                0
            }
            List::Quicklist(list) => {
                if from == 0 {
                    relocate::boxed(mover, list);
                }
                list.relocate(mover, from, count)
            }
        }
    }

    /// Allocations that freeing it costs.
    pub fn free_effort(&self) -> usize {
        match self {
            List::Listpack(_) => 1,
            List::Quicklist(list) => list.nodes().len(),
        }
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match self {
            List::Listpack(_) => "listpack",
            List::Quicklist(_) => "quicklist",
        }
    }

    /// Resolves a client's index (negative from the tail) to an offset; `None` when it is outside.
    pub fn index(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let offset = if index < 0 {
            len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(index).ok()?
        };
        (offset < len).then_some(offset)
    }

    /// Calls `f` with the element at `offset` (a compressed node is unpacked for the call, hence no plain return value).
    pub fn with<R>(&self, offset: usize, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        match self {
            List::Listpack(pack) => Some(f(pack.get(pack.seek(isize::try_from(offset).ok()?)?)?)),
            List::Quicklist(list) => list.with(offset, f),
        }
    }

    /// The element at an end.
    pub fn peek(&self, end: End) -> Option<Entry<'_>> {
        match (self, end) {
            (List::Listpack(pack), End::Head) => pack.get(pack.first()?),
            (List::Listpack(pack), End::Tail) => pack.get(pack.last()?),
            (List::Quicklist(list), _) => list.peek(end),
        }
    }

    /// Reads from `offset` towards the tail, or towards the head when `reverse`.
    pub fn iter_from(&self, offset: usize, reverse: bool) -> ListIter<'_> {
        match self {
            List::Quicklist(list) => ListIter::Quick(list.iter_from(offset, reverse)),
            List::Listpack(pack) => {
                let pos = isize::try_from(offset).ok().and_then(|i| pack.seek(i));
                match (pos, reverse) {
                    (Some(pos), false) => ListIter::Forward(pack.iter_from(pos)),
                    (Some(pos), true) => ListIter::Backward(pack.iter_rev_from(pos)),
                    (None, _) => ListIter::Empty,
                }
            }
        }
    }

    /// Calls `f` with up to `n` elements from `offset` on.
    #[inline]
    pub fn for_each(&self, offset: usize, n: usize, f: impl FnMut(Entry<'_>)) {
        match self {
            List::Listpack(pack) => pack.for_each(offset, n, f),
            List::Quicklist(list) => list.for_each(offset, n, f),
        }
    }

    /// Calls `found` with the offset of elements equal to `needle`, as LPOS: matches number `rank` and later (1 is the first;
    /// negative counts and searches from the tail; 0 is taken as 1), comparing at most `max_len` elements (0: all), until
    /// `found` returns false.
    pub fn positions(
        &self,
        needle: &[u8],
        rank: i64,
        max_len: usize,
        mut found: impl FnMut(usize) -> bool,
    ) {
        let len = self.len();
        let reverse = rank < 0;
        let mut to_skip = rank.unsigned_abs().max(1) - 1;
        let needle_int = numtext::parse_i64(needle);
        let start = if reverse { len.saturating_sub(1) } else { 0 };
        let mut iter = self.iter_from(start, reverse);
        let limit = if max_len == 0 { len } else { max_len.min(len) };
        for step in 0..limit {
            let Some(entry) = iter.next_entry() else {
                return;
            };
            if !entry.equals(needle, needle_int) {
                continue;
            }
            if to_skip > 0 {
                to_skip -= 1;
                continue;
            }
            let offset = if reverse { len - 1 - step } else { step };
            if !found(offset) {
                return;
            }
        }
    }

    // ---- changes ----

    /// Adds the values one after the other at an end (so at the head the last one ends up first).
    pub fn push_all<'v>(
        &mut self,
        end: End,
        values: impl Iterator<Item = &'v [u8]> + Clone,
        limits: &ListLimits,
    ) {
        let (mut bytes, mut count) = (0, 0);
        for value in values.clone() {
            bytes += value.len();
            count += 1;
        }
        self.grow(bytes, count, limits);
        for value in values {
            match (&mut *self, end) {
                (List::Listpack(pack), End::Head) => pack.push_front(value),
                (List::Listpack(pack), End::Tail) => pack.push_back(value),
                (List::Quicklist(list), _) => list.push(end, value),
            }
        }
    }

    /// Adds one value at an end.
    pub fn push(&mut self, end: End, value: &[u8], limits: &ListLimits) {
        self.push_all(end, std::iter::once(value), limits);
    }

    /// Removes the element at an end and returns a copy. To reply without a copy: [`List::peek`], then [`List::drop_ends`].
    pub fn pop(&mut self, end: End, limits: &ListLimits) -> Option<Vec<u8>> {
        let value = self.peek(end)?.to_vec();
        self.drop_ends(end, 1, limits);
        Some(value)
    }

    /// Removes up to `n` elements at an end; returns how many.
    pub fn drop_ends(&mut self, end: End, n: usize, limits: &ListLimits) -> usize {
        let n = n.min(self.len());
        let from = match end {
            End::Head => 0,
            End::Tail => self.len() - n,
        };
        self.remove_range(from, n, limits)
    }

    /// Inserts so that `value` has `offset` (at most `len`).
    pub fn insert(&mut self, offset: usize, value: &[u8], limits: &ListLimits) {
        self.grow(value.len(), 1, limits);
        match self {
            List::Quicklist(list) => list.insert(offset, value),
            List::Listpack(pack) => match isize::try_from(offset).ok().and_then(|i| pack.seek(i)) {
                Some(pos) => drop(pack.insert_before(pos, value)),
                None => pack.push_back(value),
            },
        }
    }

    /// LINSERT: puts `value` before or behind the first element equal to `pivot`; false when there is none.
    pub fn insert_beside(
        &mut self,
        pivot: &[u8],
        before: bool,
        value: &[u8],
        limits: &ListLimits,
    ) -> bool {
        self.grow(value.len(), 1, limits); // even if the pivot is missing, as upstream
        let mut place = None;
        self.positions(pivot, 1, 0, |offset| {
            place = Some(offset);
            false
        });
        let Some(offset) = place else {
            return false;
        };
        self.insert(offset + usize::from(!before), value, limits);
        true
    }

    /// Overwrites the element at `offset`; false when there is none.
    pub fn set(&mut self, offset: usize, value: &[u8], limits: &ListLimits) -> bool {
        self.grow(value.len(), 1, limits);
        let done = match self {
            List::Quicklist(list) => list.set(offset, value),
            List::Listpack(pack) => isize::try_from(offset)
                .ok()
                .and_then(|i| pack.seek(i))
                .is_some_and(|pos| pack.replace(pos, value)),
        };
        self.shrink(limits);
        done
    }

    /// Removes up to `limit` elements equal to `needle` (LREM), starting at an end; returns how many.
    pub fn remove_value(
        &mut self,
        needle: &[u8],
        limit: usize,
        from: End,
        limits: &ListLimits,
    ) -> usize {
        let removed = match self {
            List::Quicklist(list) => list.remove_value(needle, limit, from),
            List::Listpack(pack) => remove_from_pack(pack, needle, limit, from),
        };
        self.shrink(limits);
        removed
    }

    /// Removes up to `n` elements from `offset` on; returns how many.
    pub fn remove_range(&mut self, offset: usize, n: usize, limits: &ListLimits) -> usize {
        let removed = match self {
            List::Quicklist(list) => list.remove_range(offset, n),
            List::Listpack(pack) => {
                isize::try_from(offset).map_or(0, |offset| pack.delete_range(offset, n))
            }
        };
        self.shrink(limits);
        removed
    }

    /// Keeps `n` elements from `offset` on (LTRIM).
    pub fn trim(&mut self, offset: usize, n: usize, limits: &ListLimits) {
        let end = offset.saturating_add(n).min(self.len());
        match self {
            List::Quicklist(list) => list.trim(offset, n),
            List::Listpack(pack) => {
                pack.delete_range(end as isize, usize::MAX);
                pack.delete_range(0, offset.min(end));
            }
        }
        self.shrink(limits);
    }

    // ---- conversion ----

    /// Makes room for `count` more elements of `bytes` in total: a listpack that would grow too large becomes a quicklist.
    fn grow(&mut self, bytes: usize, count: usize, limits: &ListLimits) {
        let List::Listpack(pack) = self else {
            return;
        };
        let bytes = pack.total_bytes().saturating_add(bytes);
        if limits.fill.exceeded(bytes, pack.len() + count) {
            let pack = std::mem::take(pack);
            let list = Quicklist::from_listpack(pack, limits.fill, limits.compress_depth);
            *self = List::Quicklist(Box::new(list));
        }
    }

    /// After a removal: a quicklist of one packed node at half the limits becomes a listpack.
    fn shrink(&mut self, limits: &ListLimits) {
        self.convert_back(limits, 2);
    }

    fn convert_back(&mut self, limits: &ListLimits, divisor: usize) {
        let List::Quicklist(list) = self else {
            return;
        };
        if !list.is_one_node() {
            return;
        }
        let (max_bytes, max_count) = limits.fill.limits();
        if list.uncompressed_bytes() > max_bytes / divisor || list.len() > max_count / divisor {
            return;
        }
        let taken = std::mem::replace(&mut **list, Quicklist::new(limits.fill, 0));
        match taken.into_listpack() {
            Ok(pack) => *self = List::Listpack(pack),
            Err(plain) => **list = plain,
        }
    }
}

fn remove_from_pack(pack: &mut Listpack, needle: &[u8], limit: usize, from: End) -> usize {
    let needle_int = numtext::parse_i64(needle);
    let mut removed = 0;
    let mut pos = match from {
        End::Head => pack.find(needle, 0),
        End::Tail => pack.last(),
    };
    while let Some(at) = pos.filter(|_| removed < limit) {
        if from == End::Head {
            removed += 1;
            pos = pack.delete(at);
            pos = pos.and_then(|next| pack.find_from(next, needle, 0));
            continue;
        }
        pos = pack.prev(at);
        if pack.get(at).is_some_and(|e| e.equals(needle, needle_int)) {
            pack.delete(at);
            removed += 1;
        }
    }
    removed
}

/// Reads elements in order; lends each until the next call (see [`quicklist::Iter`]).
pub enum ListIter<'a> {
    /// Out of range.
    Empty,
    /// A listpack towards its tail.
    Forward(listpack::Iter<'a>),
    /// A listpack towards its head.
    Backward(listpack::IterRev<'a>),
    /// A quicklist, either way.
    Quick(quicklist::Iter<'a>),
}

impl ListIter<'_> {
    /// The next element, `None` at the end.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        match self {
            ListIter::Empty => None,
            ListIter::Forward(iter) => iter.next(),
            ListIter::Backward(iter) => iter.next(),
            ListIter::Quick(iter) => iter.next_entry(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    const fn limits(fill: Fill, compress_depth: u16) -> ListLimits {
        ListLimits {
            fill,
            compress_depth,
        }
    }

    fn collect(list: &List, offset: usize, reverse: bool) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut iter = list.iter_from(offset, reverse);
        while let Some(entry) = iter.next_entry() {
            out.push(entry.to_vec());
        }
        out
    }

    #[test]
    fn random_operations_follow_a_vec() {
        for (seed, fill, depth) in [(1, 8, 0), (2, -1, 1), (3, 1, 0), (4, -2, 0), (5, 128, 2)] {
            let limits = limits(Fill::new(fill), depth);
            let mut rng = Rng::new(seed);
            let (mut list, mut model) = (List::new(), Vec::<Vec<u8>>::new());
            let mut encodings = [0, 0];
            for step in 0..6000 {
                let growing = step % 1000 < 600;
                let value = match rng.below(6) {
                    0 => vec![b'b'; rng.below(700)],
                    1 => b"pivot".to_vec(),
                    _ => rng.below(30).to_string().into_bytes(),
                };
                let at = rng.below(model.len() + 1);
                match rng.below(if growing { 7 } else { 12 }) {
                    0 | 1 => {
                        list.push_all(End::Tail, [&value[..], b"7"].into_iter(), &limits);
                        model.extend([value, b"7".to_vec()]);
                    }
                    2 => {
                        list.push(End::Head, &value, &limits);
                        model.insert(0, value);
                    }
                    3 => {
                        list.insert(at, &value, &limits);
                        model.insert(at, value);
                    }
                    4 => {
                        let before = rng.below(2) == 0;
                        let place = model.iter().position(|v| v == b"pivot");
                        let done = list.insert_beside(b"pivot", before, &value, &limits);
                        assert_eq!(done, place.is_some());
                        if let Some(i) = place {
                            model.insert(i + usize::from(!before), value);
                        }
                    }
                    5 => {
                        assert_eq!(list.set(at, &value, &limits), at < model.len());
                        if let Some(slot) = model.get_mut(at) {
                            *slot = value;
                        }
                    }
                    6 => {
                        let (rank, max) = (rng.below(7) as i64 - 3, rng.below(40));
                        check_positions(&list, &model, &value, rank, max);
                    }
                    7 => {
                        let want = (!model.is_empty()).then(|| model.remove(0));
                        assert_eq!(list.pop(End::Head, &limits), want);
                    }
                    8 => {
                        let n = rng.below(30);
                        let gone = n.min(model.len());
                        assert_eq!(list.drop_ends(End::Tail, n, &limits), gone);
                        model.truncate(model.len() - gone);
                    }
                    9 => {
                        let removed = list.remove_value(&value, 2, End::Tail, &limits);
                        for done in 0..2 {
                            match model.iter().rposition(|v| *v == value) {
                                Some(i) => drop(model.remove(i)),
                                None => {
                                    assert_eq!(removed, done);
                                    break;
                                }
                            }
                        }
                    }
                    10 => {
                        list.remove_value(&value, usize::MAX, End::Head, &limits);
                        model.retain(|v| *v != value);
                    }
                    _ => {
                        let n = model.len() - at / 8;
                        list.trim(at / 8, n, &limits);
                        model.drain(..at / 8);
                    }
                }
                encodings[usize::from(list.encoding() == "quicklist")] += 1;
                if step % 16 == 0 {
                    assert_eq!(list.len(), model.len());
                    assert_eq!(collect(&list, 0, false), model);
                    let at = rng.below(model.len() + 1);
                    let want: Vec<_> = model.iter().take(at + 1).rev().cloned().collect();
                    assert!(at == model.len() || collect(&list, at, true) == want);
                }
            }
            assert!(encodings[0] > 0 && encodings[1] > 300, "{encodings:?}");
        }
    }

    fn check_positions(list: &List, model: &[Vec<u8>], needle: &[u8], rank: i64, max: usize) {
        let compared = if max == 0 {
            model.len()
        } else {
            max.min(model.len())
        };
        let mut all: Vec<usize> = (0..model.len()).collect();
        if rank < 0 {
            all.reverse();
        }
        all.truncate(compared);
        all.retain(|&i| model[i] == needle);
        let skip = rank.unsigned_abs().max(1) as usize - 1;
        let want: Vec<usize> = all.into_iter().skip(skip).take(2).collect();
        let mut got = Vec::new();
        list.positions(needle, rank, max, |i| {
            got.push(i);
            got.len() < 2
        });
        assert_eq!(got, want);
    }

    #[test]
    fn conversion_has_a_gap() {
        let limits = limits(Fill::new(4), 0);
        let mut list = List::new();
        list.push_all(
            End::Tail,
            [&b"a"[..], b"b", b"c", b"d"].into_iter(),
            &limits,
        );
        assert_eq!(list.encoding(), "listpack");
        list.push(End::Tail, b"e", &limits);
        assert_eq!(list.encoding(), "quicklist");
        list.drop_ends(End::Head, 2, &limits);
        assert_eq!(list.encoding(), "quicklist");
        list.drop_ends(End::Head, 1, &limits);
        assert_eq!(list.encoding(), "quicklist"); // two elements, but still in two nodes
        assert_eq!(list.index(-2), Some(0));
        assert_eq!(list.index(-3), None);
        assert_eq!(list.index(i64::MIN), None);
        assert_eq!(list.index(2), None);
        list.drop_ends(End::Head, 1, &limits);
        assert_eq!(list.encoding(), "listpack");
    }

    /// Replays "<fill> <operation> <arguments> <encoding afterwards>" lines recorded from a real server.
    #[test]
    #[ignore = "needs a file of recorded operations in REDSTART_LISTS"]
    fn same_encodings_as_recorded() {
        let path = std::env::var_os("REDSTART_LISTS").expect("names the file");
        let recorded = std::fs::read_to_string(path).unwrap();
        let mut list = List::new();
        let mut lines = 0;
        for (number, line) in recorded.lines().enumerate() {
            let f: Vec<&str> = line.split(' ').collect();
            let limits = limits(Fill::new(f[0].parse().unwrap()), 0);
            let int = |i: usize| f[i].parse::<i64>().unwrap();
            let values = || f[2..f.len() - 1].iter().map(|v| v.as_bytes());
            match f[1] {
                "new" => list = List::new(),
                "rpush" => list.push_all(End::Tail, values(), &limits),
                "lpush" => list.push_all(End::Head, values(), &limits),
                "lpop" => _ = list.drop_ends(End::Head, int(2) as usize, &limits),
                "rpop" => _ = list.drop_ends(End::Tail, int(2) as usize, &limits),
                "lset" => assert!(list.set(int(2) as usize, f[3].as_bytes(), &limits)),
                "linsert" => {
                    _ = list.insert_beside(
                        f[3].as_bytes(),
                        f[2] == "before",
                        f[4].as_bytes(),
                        &limits,
                    )
                }
                "lrem" => {
                    _ = list.remove_value(f[3].as_bytes(), int(2) as usize, End::Head, &limits)
                }
                _ => list.trim(
                    int(2) as usize,
                    (int(3) - int(2) + 1).max(0) as usize,
                    &limits,
                ),
            }
            if f[1] != "new" && !list.is_empty() {
                assert_eq!(list.encoding(), f[f.len() - 1], "line {number}: {line}");
                lines += 1;
            }
        }
        assert!(lines > 1000);
    }
}
