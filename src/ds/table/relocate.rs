//! Moving the blocks of a table, a stretch at a time: directory, segments, and the items through whoever knows them.
//!
//! The walk uses the cursors of `scan`, but goes by buckets: every bucket from the cursor's on is visited once, and nobody's hash is
//! worked out. Whoever changes places meanwhile may be visited twice or not at all, which does no harm here.

use super::bucket::{Bits, POINTER, prefetch};
use super::{Item, Table, lend};
use crate::sys::relocate::{self, Mover};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

impl<T: Item> Table<T> {
    /// Lets `mover` move the table's own blocks and calls `f` for the items, from `cursor` on (0 starts), until about `count` were
    /// visited; returns the cursor to go on with, 0 at the end. `f` may move an item's block, but changes neither its key nor
    /// its class nor what it costs.
    pub fn relocate(
        &mut self,
        cursor: u64,
        count: usize,
        mover: &mut dyn Mover,
        f: &mut dyn FnMut(&mut T, &mut dyn Mover),
    ) -> u64 {
        if cursor == 0 {
            self.relocate_directory(mover);
            if let Some(classes) = &mut self.classes {
                relocate::boxed(mover, classes);
            }
        }
        if self.head == 0 || cursor >> (64 - super::walk::CURSOR_DROPS) != 0 {
            return 0;
        }
        let mut from = cursor << super::walk::CURSOR_DROPS;
        let (mut seen, mut visits_left) = (0, count.saturating_mul(4).max(64));
        loop {
            let mut step = self.step(from);
            if step.from == 0 && self.tend_segment(from, mover) {
                if self.head == 0 {
                    return 0;
                }
                step = self.step(from);
            }
            for k in 0..step.buckets {
                let b = (step.from + k) % step.segment.n;
                // SAFETY: `b < n` of a live segment of the table, which is exclusively borrowed; the reference ends with the call.
                seen += visit(unsafe { step.segment.bucket_mut(b) }, mover, f);
            }
            visits_left = visits_left.saturating_sub(step.buckets);
            if step.next == 0 || seen >= count || visits_left == 0 {
                return step.next >> super::walk::CURSOR_DROPS;
            }
            from = step.next;
        }
    }

    fn relocate_directory(&mut self, mover: &mut dyn Mover) {
        if self.lgd == 0 {
            return;
        }
        let layout = Self::directory_layout(self.lgd);
        if let Some(p) = NonNull::new(self.head as *mut u8) {
            // SAFETY: while `lgd` is not 0 `head` is the directory's address, of this layout; the new one replaces it.
            if let Some(new) = unsafe { relocate::relocate(mover, p, layout) } {
                self.head = new.as_ptr() as u64;
            }
        }
    }

    /// Makes the segment of hash `from` smaller if deletions left it too empty while the table was paused, and moves it. Whether it is
    /// another one now.
    fn tend_segment(&mut self, from: u64, mover: &mut dyn Mover) -> bool {
        let before = self.segment_at(self.index(from));
        let first = self.first(self.index(from), before.depth);
        if !self.paused && self.count(first) * 100 < 45 * self.room(before.n) {
            self.shrink(first);
            if self.head == 0 {
                return true;
            }
        }
        let depth = self.segment_at(self.index(from)).depth;
        self.relocate_segment(self.first(self.index(from), depth), mover);
        let now = self.segment_at(self.index(from));
        (now.ptr, now.n, now.depth) != (before.ptr, before.n, before.depth)
    }

    /// Moves the segment whose first directory index is `first`.
    fn relocate_segment(&mut self, first: usize, mover: &mut dyn Mover) {
        let segment = self.segment_at(first);
        let Some(p) = NonNull::new(segment.ptr.cast::<u8>()) else {
            return;
        };
        // SAFETY: a live segment of that layout; every word that holds its address is written anew.
        if let Some(new) = unsafe { relocate::relocate(mover, p, segment.block_layout()) } {
            let moved = super::Segment {
                ptr: new.cast().as_ptr(),
                ..segment
            };
            self.point_at(first, moved);
        }
    }
}

/// Calls `f` for the items of a bucket and stores where they are now; how many.
fn visit<T: Item>(
    bucket: &mut super::Bucket,
    mover: &mut dyn Mover,
    f: &mut dyn FnMut(&mut T, &mut dyn Mover),
) -> usize {
    let mut blocks = [NonNull::dangling(); super::bucket::SLOTS];
    let mut n = 0;
    for i in Bits(bucket.used()) {
        let block = (bucket.slots[i] & POINTER) as *mut u8;
        prefetch(block);
        if let Some(block) = NonNull::new(block) {
            blocks[n] = block;
            n += 1;
        }
    }
    mover.expect(&blocks[..n]);
    let mut seen = 0;
    for i in Bits(bucket.used()) {
        // SAFETY: an occupied slot; the item goes back into the slot below and is not dropped here.
        let mut item = unsafe { lend::<T>(bucket.slots[i]) };
        f(&mut item, mover);
        let raw = ManuallyDrop::into_inner(item).into_raw().as_ptr() as u64;
        debug_assert_eq!(raw & !POINTER, 0);
        bucket.slots[i] = bucket.slots[i] & !POINTER | raw;
        seen += 1;
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::ds::item::SetMember;
    use crate::ds::rng::{Rng, rounds};
    use crate::sys::relocate::MoveAll;
    use std::collections::BTreeSet;

    /// Filled, nine of ten deleted, every block moved, again and again; then compared with a set.
    #[test]
    fn every_block_moves_and_nothing_is_lost() {
        let mut rng = Rng::new(21);
        let (mut table, mut model) = (Table::<SetMember>::new(), BTreeSet::new());
        for round in 0..4usize {
            for i in 0..rounds(30_000) {
                let key = format!("{round}:{i}").into_bytes();
                let marked = i % 3 == 0;
                table.insert_marked(hash(&key), SetMember::new(&key), marked);
                model.insert((key, marked));
            }
            let keep = |_: &(Vec<u8>, bool)| rng.below(10) == 0;
            let (kept, gone): (BTreeSet<_>, BTreeSet<_>) =
                std::mem::take(&mut model).into_iter().partition(keep);
            for (key, _) in &gone {
                assert!(table.remove(hash(key), key).is_some());
            }
            model = kept;
            let mut m = MoveAll::default();
            let (mut cursor, mut seen) = (0, 0);
            loop {
                cursor = table.relocate(cursor, 20, &mut m, &mut |item, m| {
                    seen += 1;
                    item.relocate(m);
                });
                table.check_invariants();
                if cursor == 0 {
                    break;
                }
            }
            assert!(seen >= model.len(), "{seen} of {}", model.len());
            assert!(m.moved as usize > model.len(), "items and segments");
            for (key, mark) in &model {
                assert_eq!(table.is_marked(hash(key), key), *mark);
                assert!(table.contains(hash(key), key));
            }
            assert_eq!(table.len(), model.len());
        }
    }

    #[test]
    fn small_tables_and_wild_cursors() {
        let mut m = MoveAll::default();
        let mut table = Table::<SetMember>::new();
        let f = &mut |item: &mut SetMember, m: &mut dyn Mover| item.relocate(m);
        assert_eq!(table.relocate(0, 10, &mut m, f), 0);
        for i in 0..8u8 {
            table.insert_new(hash(&[i]), SetMember::new(&[i]));
            assert_eq!(table.relocate(u64::MAX, 10, &mut m, f), 0);
            assert_eq!(table.relocate(0, 100, &mut m, f), 0);
            table.check_invariants();
        }
        // More when a stretch of full buckets goes around the end, and its items are visited twice.
        assert!(m.moved >= (1..=8).sum::<u64>() + 8);
    }

    /// What deletions left while a child shared the pages is given back by the next walk.
    #[test]
    fn empty_segments_shrink() {
        let mut table = Table::<SetMember>::new();
        let keys: Vec<_> = (0..rounds(20_000)).map(|i| i.to_string()).collect();
        for key in &keys {
            table.insert_new(hash(key.as_bytes()), SetMember::new(key.as_bytes()));
        }
        let full = table.mem_bytes();
        table.set_resize_paused(true);
        for key in &keys[..keys.len() * 19 / 20] {
            table.remove(hash(key.as_bytes()), key.as_bytes());
        }
        let walk = |table: &mut Table<SetMember>| {
            let (mut cursor, mut m) = (0, MoveAll::default());
            loop {
                cursor = table.relocate(cursor, 30, &mut m, &mut |item, m| item.relocate(m));
                table.check_invariants();
                if cursor == 0 {
                    break;
                }
            }
        };
        walk(&mut table);
        assert_eq!(table.mem_bytes(), full);
        table.set_resize_paused(false);
        walk(&mut table);
        assert!(
            table.mem_bytes() * 8 < full,
            "{} of {full}",
            table.mem_bytes()
        );
        assert_eq!(table.len(), keys.len() - keys.len() * 19 / 20);
    }
}
