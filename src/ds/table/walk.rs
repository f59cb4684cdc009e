//! Ways through the whole table: SCAN cursors, iterators.
//!
//! A cursor is a lower bound of the hash (`>> 12`, so below 2^52 and exact in a double): everything below it has been
//! returned. One step covers the homes from the cursor's bucket up to the first bucket that nothing passes, and
//! emits the hashes in `[cursor, next)` only. Growth, splits and merges keep hash order, so a cursor stays exact.

use super::bucket::{Bits, Bucket, MARK, MAX_DEPTH, POINTER, Segment, grain, position, prefetch};
use super::{Item, Ref, Table, lend, take};

/// Low hash bits that a cursor does not carry.
pub(super) const CURSOR_DROPS: u32 = 64 - MAX_DEPTH - 16;

/// The part of a segment that one scan step covers.
pub(super) struct Step {
    pub segment: Segment,
    /// First bucket.
    pub from: usize,
    /// How many, around the end of the segment.
    pub buckets: usize,
    /// First hash not covered; 0 is the end of the table.
    pub next: u64,
}

impl<T: Item> Table<T> {
    /// Calls `f` for the items from `cursor` on (0 starts) until at least `count` were seen or a bounded number of buckets
    /// visited; returns the cursor to go on with, 0 at the end. An item present from the first to the last call is returned
    /// exactly once, whatever happens to the table in between. Any number is a valid cursor.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&T)) -> u64 {
        self.scan_words(cursor, count, false, f)
    }

    /// As [`Self::scan`] for marked items only; the others are passed without being read.
    pub fn scan_marked(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&T)) -> u64 {
        self.scan_words(cursor, count, true, f)
    }

    fn scan_words(&self, cursor: u64, count: usize, marked: bool, f: &mut dyn FnMut(&T)) -> u64 {
        if self.head == 0 || cursor >> (64 - CURSOR_DROPS) != 0 {
            return 0;
        }
        let mut from = cursor << CURSOR_DROPS;
        let (mut got, mut visits_left) = (0, count.saturating_mul(4).max(64));
        loop {
            let step = self.step(from);
            for k in 0..step.buckets {
                let b = (step.from + k) % step.segment.n;
                // SAFETY: `b < n` of a live segment that nobody changes while `self` is borrowed.
                let bucket = unsafe { step.segment.bucket(b) };
                got += emit::<T>(bucket, marked, from, step.next, f);
            }
            visits_left = visits_left.saturating_sub(step.buckets);
            if step.next == 0 || got >= count || visits_left == 0 {
                return step.next >> CURSOR_DROPS;
            }
            from = step.next;
        }
    }

    /// The next stretch of whole probe runs from hash `from` on.
    pub(super) fn step(&self, from: u64) -> Step {
        let segment = self.segment_at(self.index(from));
        let (n, depth) = (segment.n, segment.depth);
        let home = segment.home(position(from, depth));
        let (mut buckets, mut b) = (1, home);
        // SAFETY: `b < n` of a live segment.
        while unsafe { segment.bucket(b) }.overflow() != 0 && buckets < n {
            b = segment.after(b);
            buckets += 1;
        }
        let prefix = if depth == 0 { 0 } else { from >> (64 - depth) };
        // First 16-bit position whose home is not covered, rounded up to the positions that occur at this depth.
        let end = ((home + buckets) as u64) << 16;
        let position = end.div_ceil(n as u64).next_multiple_of(1 << grain(depth));
        let next = if position <= 0xffff {
            let base = if depth == 0 {
                0
            } else {
                prefix << (64 - depth)
            };
            base | position << 48 >> depth
        } else if depth == 0 || prefix + 1 == 1 << depth {
            0
        } else {
            (prefix + 1) << (64 - depth)
        };
        Step {
            segment,
            from: home,
            buckets,
            next,
        }
    }

    /// All items, in bucket order (hash order but for probing), fetching ahead.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            table: self,
            walk: Walk::start(self),
            left: self.len,
        }
    }

    /// Empties the table and yields what it held; what is not taken is dropped with the iterator.
    pub fn drain(&mut self) -> IntoIter<T> {
        let paused = self.paused;
        let full = std::mem::take(self);
        self.paused = paused;
        full.into_iter()
    }
}

/// Calls `f` for the items of one bucket with a hash in `[from, next)`; how many.
fn emit<T: Item>(
    bucket: &Bucket,
    marked: bool,
    from: u64,
    next: u64,
    f: &mut dyn FnMut(&T),
) -> usize {
    let wanted = |word: u64| !marked || word & MARK != 0;
    for i in Bits(bucket.used()).filter(|i| wanted(bucket.slots[*i])) {
        prefetch((bucket.slots[i] & POINTER) as *const u8);
    }
    let mut got = 0;
    for i in Bits(bucket.used()).filter(|i| wanted(bucket.slots[*i])) {
        // SAFETY: an occupied slot of a bucket borrowed from the table.
        let item = unsafe { lend::<T>(bucket.slots[i]) };
        let h = item.hash();
        if h >= from && (next == 0 || h < next) {
            f(&item);
            got += 1;
        }
    }
    got
}

/// A position in the walk over all buckets, and the slots of the present bucket still to visit.
pub(super) struct Walk {
    index: usize,
    segment: Option<Segment>,
    b: usize,
    bits: Bits,
}

impl Walk {
    fn start<T: Item>(table: &Table<T>) -> Walk {
        let mut walk = Walk {
            index: 0,
            segment: None,
            b: 0,
            bits: Bits(0),
        };
        if table.head != 0 {
            let segment = table.segment_at(0);
            walk.enter(segment);
        }
        walk
    }

    /// A walk that begins at slot `slot` of bucket `b` of the segment at directory index `index`.
    pub(super) fn at<T: Item>(table: &Table<T>, index: usize, b: usize, slot: usize) -> Walk {
        let segment = table.segment_at(index);
        let mut walk = Walk {
            index: table.first(index, segment.depth),
            segment: Some(segment),
            b,
            bits: Bits(0),
        };
        walk.load(segment);
        walk.bits.0 &= u32::MAX << slot;
        walk
    }

    fn enter(&mut self, segment: Segment) {
        (self.segment, self.b) = (Some(segment), 0);
        self.load(segment);
        prefetch_items(segment, 0);
        prefetch_items(segment, 1);
    }

    fn load(&mut self, segment: Segment) {
        // SAFETY: `b < n` of a live segment.
        self.bits = Bits(unsafe { segment.bucket(self.b) }.used());
        prefetch_items(segment, self.b + 2);
    }

    /// Moves to the next bucket, if there is one.
    pub(super) fn advance<T: Item>(&mut self, table: &Table<T>) -> bool {
        let Some(segment) = self.segment else {
            return false;
        };
        if self.b + 1 < segment.n {
            self.b += 1;
            self.load(segment);
            return true;
        }
        let next = self.index + (1 << (u32::from(table.lgd) - segment.depth));
        if next >> table.lgd != 0 {
            return false;
        }
        self.index = next;
        self.enter(table.segment_at(next));
        true
    }

    /// Moves to the next bucket, from the last to the first.
    pub(super) fn advance_around<T: Item>(&mut self, table: &Table<T>) {
        if !self.advance(table) {
            *self = Walk::start(table);
        }
    }

    /// The next slot word of the present bucket.
    #[inline(always)]
    pub(super) fn word_here(&mut self) -> Option<u64> {
        let segment = self.segment?;
        let slot = self.bits.next()?;
        // SAFETY: `b < n` of a live segment.
        Some(unsafe { segment.bucket(self.b) }.slots[slot])
    }

    /// The next slot word, going on through the buckets; none at the end.
    #[inline(always)]
    fn next_word<T: Item>(&mut self, table: &Table<T>) -> Option<u64> {
        loop {
            if let Some(word) = self.word_here() {
                return Some(word);
            }
            if !self.advance(table) {
                return None;
            }
        }
    }
}

fn prefetch_items(segment: Segment, b: usize) {
    if b < segment.n {
        // SAFETY: `b < n` of a live segment.
        let bucket = unsafe { segment.bucket(b) };
        for i in Bits(bucket.used()) {
            prefetch((bucket.slots[i] & POINTER) as *const u8);
        }
    }
}

/// Iterator of [`Table::iter`].
pub struct Iter<'a, T: Item> {
    table: &'a Table<T>,
    walk: Walk,
    left: usize,
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = Ref<'a, T>;

    #[inline]
    fn next(&mut self) -> Option<Ref<'a, T>> {
        let word = self.walk.next_word(self.table)?;
        self.left -= 1;
        // SAFETY: an occupied slot of the table borrowed for `'a`.
        Some(unsafe { Ref::new(word) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T: Item> IntoIterator for &'a Table<T> {
    type Item = Ref<'a, T>;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Owning iterator of a table; frees the memory when dropped.
pub struct IntoIter<T: Item> {
    table: Table<T>,
    walk: Walk,
}

impl<T: Item> IntoIterator for Table<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter {
            walk: Walk::start(&self),
            table: self,
        }
    }
}

impl<T: Item> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let word = self.walk.next_word(&self.table)?;
        let (segment, b) = (self.walk.segment?, self.walk.b);
        // SAFETY: the iterator owns the table. Only the visited slots of the present bucket are emptied, so that
        // dropping the table later takes the rest, each once.
        unsafe {
            let bucket = segment.bucket_mut(b);
            let slot = (0..bucket.slots.len()).find(|i| bucket.slots[*i] == word)?;
            bucket.tags[slot] = 0;
            bucket.slots[slot] = 0;
            self.table.len -= 1;
            Some(take(word))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.table.len, Some(self.table.len))
    }
}

impl<T: Item> ExactSizeIterator for IntoIter<T> {}
