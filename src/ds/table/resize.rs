//! Growth and shrink: segments change their class, split and merge; the directory doubles and halves.
//!
//! A full segment is rebuilt one class up, or split once it has 224 buckets. A segment below 45 % of its room is merged
//! with its buddy (the other half of their common prefix) when both fit well into one, or rebuilt smaller. Position bits kept in
//! the slots make most of this copy words without reading items.

use super::bucket::{
    MAX_DEPTH, POINTER, SLOTS, SPLIT_AT, Segment, class_at_least, position, prefetch, same_window,
    side_of_position,
};
use super::{Item, Table, lend, take};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// A slot on its way to another segment.
struct Moved {
    word: u64,
    tag: u8,
    side: u8,
}

impl<T: Item> Table<T> {
    /// Entries a segment of `n` buckets may hold now. Leaves at least one slot free, except in a lone bucket.
    #[inline(always)]
    pub(super) fn room(&self, n: usize) -> usize {
        if n == 1 {
            return SLOTS;
        }
        let percent = if self.paused { 95 } else { T::LOAD_PERCENT };
        n * SLOTS * percent / 100
    }

    /// Class for `count` entries at `fill` percent of the load limit.
    fn class_for(count: usize, fill: usize) -> usize {
        class_at_least((count * 10_000).div_ceil(SLOTS * T::LOAD_PERCENT * fill))
    }

    /// Entries of the segment whose first directory index is `first`.
    #[inline(always)]
    pub(super) fn count(&self, first: usize) -> usize {
        if self.lgd == 0 {
            return self.len;
        }
        // SAFETY: counts follow the words; `first < 1 << lgd`.
        unsafe { *self.counts().add(first) as usize }
    }

    /// Adds to a segment's count; a lone segment's count is `len`, which the caller keeps.
    #[inline(always)]
    pub(super) fn add_count(&mut self, first: usize, delta: i32) {
        if self.lgd != 0 {
            // SAFETY: as in `count`, and `self` is exclusively borrowed.
            unsafe {
                let c = self.counts().add(first);
                *c = (*c).wrapping_add_signed(delta);
            }
        }
    }

    #[inline(always)]
    fn counts(&self) -> *mut u32 {
        debug_assert_ne!(self.lgd, 0);
        ((self.head as usize) + (8 << self.lgd)) as *mut u32
    }

    fn set_count(&mut self, first: usize, count: usize) {
        if self.lgd != 0 {
            // SAFETY: as in `count`.
            unsafe { *self.counts().add(first) = count as u32 };
        }
    }

    /// Makes `segment` the only one.
    pub(super) fn install_only(&mut self, segment: Segment) {
        debug_assert_eq!(self.lgd, 0);
        self.head = segment.pack();
        self.widest = segment.n as u64;
    }

    /// Enters `segment` at its directory indexes, from `first` on.
    fn install(&mut self, first: usize, segment: Segment, count: usize) {
        if self.lgd == 0 {
            return self.install_only(segment);
        }
        self.point_at(first, segment);
        self.set_count(first, count);
        self.widest = self.widest.max(Self::width(segment));
    }

    /// Writes the word of `segment` to all its directory indexes, from `first` on.
    pub(super) fn point_at(&mut self, first: usize, segment: Segment) {
        if self.lgd == 0 {
            self.head = segment.pack();
            return;
        }
        let span = 1usize << (u32::from(self.lgd) - segment.depth);
        for i in first..first + span {
            // SAFETY: a segment's indexes lie inside the directory.
            unsafe { *(self.head as *mut u64).add(i) = segment.pack() };
        }
    }

    fn width(s: Segment) -> u64 {
        (s.n as u64).saturating_mul(1 << s.depth)
    }

    /// Whether a segment of this depth may be split: guards the directory against hashes that share a long prefix.
    fn may_split(&self, depth: u32) -> bool {
        depth < MAX_DEPTH && depth < self.len.max(1).ilog2().saturating_sub(4)
    }

    /// Makes room in the segment of directory index `i`.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&mut self, i: usize) {
        let segment = self.segment_at(i);
        let first = self.first(i, segment.depth);
        if segment.n < SPLIT_AT || !self.may_split(segment.depth) {
            return self.rebuild(first, segment, class_at_least(segment.n + 1));
        }
        if segment.depth == u32::from(self.lgd) {
            self.resize_directory(self.lgd + 1);
            return self.split(first * 2, segment);
        }
        self.split(first, segment);
    }

    /// Same prefix, other bucket count: no item is read.
    fn rebuild(&mut self, first: usize, old: Segment, n: usize) {
        let new = Segment::alloc(n, old.depth);
        // SAFETY: `old` is live and ours, `new` has more room than `old` has entries; `old` is forgotten below.
        unsafe {
            old.each(|tag, word| new.put(tag, word));
            old.free();
        }
        let count = self.count(first);
        self.install(first, new, count);
    }

    /// Reads the slots of `old` as they must be stored at `depth` (one more or one less than now).
    fn gather(old: Segment, depth: u32, out: &mut Vec<Moved>) {
        let start = out.len();
        // SAFETY: the segment is live and nobody changes it.
        unsafe {
            old.each(|tag, word| {
                let side = side_of_position(word >> 48, old.depth) as u8;
                out.push(Moved { word, tag, side });
            });
        }
        if same_window(old.depth, depth) {
            return;
        }
        let moved = &mut out[start..];
        for i in 0..moved.len() {
            if let Some(ahead) = moved.get(i + 16) {
                prefetch((ahead.word & POINTER) as *const u8);
            }
            let m = &mut moved[i];
            // SAFETY: an occupied slot of the live segment.
            let h = unsafe { lend::<T>(m.word) }.hash();
            m.word = m.word & (u64::MAX >> 16) | position(h, depth) << 48;
            m.side = (h >> (63 - old.depth)) as u8 & 1;
        }
    }

    /// Splits the segment at `first` in two by its next hash bit; the directory is deep enough.
    fn split(&mut self, first: usize, old: Segment) {
        let depth = old.depth + 1;
        let mut moved = Vec::with_capacity(self.count(first));
        Self::gather(old, depth, &mut moved);
        let ones = moved.iter().filter(|m| m.side == 1).count();
        let counts = [moved.len() - ones, ones];
        let halves = counts.map(|c| Segment::alloc(Self::class_for(c, 90), depth));
        // SAFETY: each half has room for its entries; `old` is freed once and not used again.
        unsafe {
            for m in &moved {
                halves[usize::from(m.side)].put(m.tag, m.word);
            }
            old.free();
        }
        let span = 1usize << (u32::from(self.lgd) - depth);
        self.install(first, halves[0], counts[0]);
        self.install(first + span, halves[1], counts[1]);
        if depth == u32::from(self.lgd) {
            self.deepest += 2;
        }
    }

    /// Merges the segment at `first` while its buddy allows, or makes it smaller.
    #[cold]
    #[inline(never)]
    pub(super) fn shrink(&mut self, first: usize) {
        if self.len == 0 {
            return self.free_memory();
        }
        let mut first = first;
        while let Some(merged) = self.merge(first) {
            first = merged;
        }
        let segment = self.segment_at(first);
        let n = Self::class_for(self.count(first), 80);
        if n < segment.n {
            self.rebuild(first, segment, n);
        }
    }

    /// Merges a segment with its buddy if both have the same depth and fill one segment below 80 %; the first index then.
    fn merge(&mut self, first: usize) -> Option<usize> {
        let a = self.segment_at(first);
        if a.depth == 0 {
            return None;
        }
        let other = first ^ (1 << (u32::from(self.lgd) - a.depth));
        let b = self.segment_at(other);
        let total = self.count(first) + self.count(other);
        if b.depth != a.depth || total * 10 >= self.room(SPLIT_AT) * 8 {
            return None;
        }
        let depth = a.depth - 1;
        let mut moved = Vec::with_capacity(total);
        Self::gather(a, depth, &mut moved);
        Self::gather(b, depth, &mut moved);
        let new = Segment::alloc(Self::class_for(total, 90), depth);
        // SAFETY: `new` has room for all; the old ones are freed once and not used again.
        unsafe {
            moved.iter().for_each(|m| new.put(m.tag, m.word));
            a.free();
            b.free();
        }
        let (low, high) = (first.min(other), first.max(other));
        self.set_count(high, 0);
        self.install(low, new, total);
        Some(if a.depth == u32::from(self.lgd) {
            self.left_deepest(low)
        } else {
            low
        })
    }

    /// Two of the deepest segments are gone: halves the directory while none is left. Returns the new index of `first`.
    fn left_deepest(&mut self, mut first: usize) -> usize {
        self.deepest -= 2;
        while self.lgd > 0 && self.deepest == 0 {
            self.resize_directory(self.lgd - 1);
            first /= 2;
        }
        first
    }

    /// Shrinks every segment that deletes left too empty, as they would have been had the table not been paused.
    pub fn compact(&mut self) {
        if self.head == 0 {
            return;
        }
        let mut i = 0;
        while i < 1 << self.lgd {
            let segment = self.segment_at(i);
            let (first, lgd) = (self.first(i, segment.depth), self.lgd);
            if self.count(first) * 100 < 45 * self.room(segment.n) {
                self.shrink(first);
                if self.head == 0 {
                    return;
                }
            }
            // The directory may have been halved; what now lies at `i` may begin before it, which `first` handles.
            i >>= lgd - self.lgd;
            let depth = self.segment_at(i).depth;
            i = self.first(i, depth) + (1 << (u32::from(self.lgd) - depth));
        }
    }

    pub(super) fn directory_layout(lgd: u8) -> Layout {
        Layout::from_size_align(12 << lgd, 8).expect("directory size fits the address space")
    }

    /// A zeroed directory of `1 << lgd` words and counts.
    fn alloc_directory(lgd: u8) -> u64 {
        let layout = Self::directory_layout(lgd);
        // SAFETY: the layout has a size above zero.
        let p = unsafe { alloc_zeroed(layout) };
        if p.is_null() {
            handle_alloc_error(layout);
        }
        p as u64
    }

    /// Doubles or halves the directory; halving needs every depth below `lgd`.
    fn resize_directory(&mut self, lgd: u8) {
        let (old_head, old_lgd) = (self.head, self.lgd);
        let size = 1usize << lgd;
        let source = |i: usize| if lgd > old_lgd { i / 2 } else { i * 2 };
        let words: Vec<u64> = (0..size).map(|i| self.word_at(source(i))).collect();
        // A count stays at its segment's first index: the even one of a doubled pair.
        let counts: Vec<usize> = (0..size)
            .map(|i| {
                if lgd > old_lgd && i % 2 == 1 {
                    0
                } else {
                    self.count(source(i))
                }
            })
            .collect();
        self.lgd = lgd;
        if lgd == 0 {
            self.head = words[0];
        } else {
            self.head = Self::alloc_directory(lgd);
            for (i, (word, count)) in words.into_iter().zip(counts).enumerate() {
                // SAFETY: the new directory has `size` words.
                unsafe { *(self.head as *mut u64).add(i) = word };
                self.set_count(i, count);
            }
        }
        if old_lgd > 0 {
            // SAFETY: the old directory is not reachable any more.
            unsafe { dealloc(old_head as *mut u8, Self::directory_layout(old_lgd)) };
        }
        self.recount();
    }

    /// Works out `deepest` and `widest` afresh.
    fn recount(&mut self) {
        let (mut deepest, mut widest) = (0, 0);
        self.each_segment(|_, s| {
            deepest += u32::from(s.depth == u32::from(self.lgd));
            widest = widest.max(Self::width(s));
        });
        (self.deepest, self.widest) = (deepest, widest);
    }

    /// Calls `f` with the first directory index of every segment and the segment, in hash order.
    pub(super) fn each_segment(&self, mut f: impl FnMut(usize, Segment)) {
        let mut i = 0;
        while self.head != 0 && i < 1 << self.lgd {
            let s = self.segment_at(i);
            f(i, s);
            i += 1 << (u32::from(self.lgd) - s.depth);
        }
    }

    /// Lays out empty segments for `n` items in a table without memory.
    pub(super) fn reserve_empty(&mut self, n: usize) {
        let limit = self.room(SPLIT_AT) * 85 / 100;
        let depth = n.div_ceil(limit).next_power_of_two().ilog2().min(MAX_DEPTH);
        let each = class_at_least((n >> depth) * 100 / (SLOTS * T::LOAD_PERCENT) + 1);
        if depth == 0 {
            return self.install_only(Segment::alloc(each, 0));
        }
        self.head = Self::alloc_directory(depth as u8);
        self.lgd = depth as u8;
        for i in 0..1 << depth {
            self.install(i, Segment::alloc(each, depth), 0);
        }
        self.deepest = 1 << depth;
    }

    /// Bytes of the table's own allocations (not the items); walks the directory.
    pub fn mem_bytes(&self) -> usize {
        let mut bytes = if self.lgd == 0 { 0 } else { 12 << self.lgd };
        self.each_segment(|_, s| bytes += s.n * 64);
        bytes + self.classes.as_ref().map_or(0, |c| size_of_val(&**c))
    }

    /// Drops the items, fetching ahead; the slots are dead afterwards.
    pub(super) fn drop_items(&mut self) {
        if !std::mem::needs_drop::<T>() || self.len == 0 {
            return;
        }
        const AHEAD: usize = 16;
        let mut ring = [0u64; AHEAD];
        let mut at = 0;
        self.each_segment(|_, s| {
            // SAFETY: every occupied slot is taken exactly once; the caller does not use the slots again.
            unsafe {
                s.each(|_, word| {
                    prefetch((word & POINTER) as *const u8);
                    let due = std::mem::replace(&mut ring[at % AHEAD], word);
                    at += 1;
                    if due != 0 {
                        drop(take::<T>(due));
                    }
                });
            }
        });
        for word in ring.into_iter().filter(|w| *w != 0) {
            // SAFETY: as above, the last words of the ring.
            drop(unsafe { take::<T>(word) });
        }
    }

    /// Frees segments and directory; the items are gone already.
    pub(super) fn free_memory(&mut self) {
        // SAFETY: each segment is freed once; `head` forgets them.
        self.each_segment(|_, s| unsafe { s.free() });
        if self.lgd > 0 {
            // SAFETY: allocated by `alloc_directory` with this layout.
            unsafe { dealloc(self.head as *mut u8, Self::directory_layout(self.lgd)) };
        }
        (self.head, self.lgd, self.deepest, self.widest) = (0, 0, 0, 0);
    }

    /// Panics when an invariant of the table (see the head of `table`) does not hold. For tests and DEBUG commands.
    pub fn check_invariants(&self) {
        let (mut len, mut marked, mut deepest) = (0, 0, 0);
        self.each_segment(|first, s| {
            let (count, marks) = self.check_segment(first, s);
            assert_eq!(self.count(first), count, "count of segment {first}");
            assert!(count < s.n * SLOTS || s.n == 1, "segment {first} is full");
            let span = 1usize << (u32::from(self.lgd) - s.depth);
            for i in first..first + span {
                assert_eq!(self.word_at(i), self.word_at(first), "copy {i} of {first}");
            }
            assert!(Self::width(s) <= self.widest);
            deepest += u32::from(s.depth == u32::from(self.lgd));
            (len, marked) = (len + count, marked + marks);
        });
        assert_eq!((self.len, self.marked), (len, marked), "len, marked");
        assert!(self.lgd == 0 || (self.deepest == deepest && deepest > 0));
    }

    /// Checks one segment; its entries and marked entries.
    fn check_segment(&self, first: usize, s: Segment) -> (usize, usize) {
        let (mut count, mut marks) = (0, 0);
        let mut passed = vec![0usize; s.n];
        for b in 0..s.n {
            // SAFETY: `b < n` of a live segment.
            let bucket = unsafe { s.bucket(b) };
            for i in super::Bits(bucket.used()) {
                let word = bucket.slots[i];
                // SAFETY: an occupied slot.
                let h = unsafe { lend::<T>(word) }.hash();
                assert_eq!(bucket.tags[i], super::tag(h), "tag in {first}/{b}/{i}");
                assert_eq!(word >> 48, position(h, s.depth), "position {first}/{b}/{i}");
                assert_eq!(self.first(self.index(h), s.depth), first, "wrong segment");
                let mut at = s.home(word >> 48);
                while at != b {
                    passed[at] += 1;
                    at = s.after(at);
                }
                count += 1;
                marks += usize::from(word & super::MARK != 0);
            }
        }
        for (b, passed) in passed.into_iter().enumerate() {
            // SAFETY: `b < n` of a live segment.
            let overflow = usize::from(unsafe { s.bucket(b) }.overflow());
            assert!(
                overflow == passed || overflow == 255,
                "overflow {first}/{b}"
            );
        }
        (count, marks)
    }
}
