//! Random draws.
//!
//! Single draws are exactly uniform: a directory index and a virtual bucket below `widest` are drawn, and rejected unless the
//! bucket exists in that segment, so every slot has the same chance whatever the depth and size of its segment.
//! Runs start at a uniform *slot* (runs from a bucket's first slot would never begin with a sixth of the keys).

use super::bucket::{MARK, SLOTS};
use super::walk::Walk;
use super::{Item, Ref, Table, lend};
use crate::ds::rng::Rng;

/// Rejections after which a draw counts its way instead: only lopsided tables of colliding hashes get there.
const MAX_REJECTS: usize = 400;

impl<T: Item> Table<T> {
    /// Bytes of all items, from the mean of the first `samples` in hash order (which is as good as a random choice).
    pub fn items_bytes(&self, samples: usize, bytes_of: impl Fn(&T) -> usize) -> usize {
        let n = samples.min(self.len);
        if n == 0 {
            return 0;
        }
        let seen: usize = self.iter().take(n).map(|item| bytes_of(&item)).sum();
        (seen as u128 * self.len as u128 / n as u128) as usize
    }

    /// A uniform random slot, occupied or not: directory index, bucket, slot.
    fn random_slot(&self, rng: &mut Rng) -> Option<(usize, usize, usize)> {
        let index = self.index(rng.next_u64());
        let segment = self.segment_at(index);
        let virtual_bucket = rng.below(self.widest as usize) >> segment.depth;
        (virtual_bucket < segment.n).then(|| (index, virtual_bucket, rng.below(SLOTS)))
    }

    /// One item, each with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<Ref<'_, T>> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..MAX_REJECTS {
            if let Some((index, b, slot)) = self.random_slot(rng) {
                // SAFETY: `b < n` of a live segment.
                let bucket = unsafe { self.segment_at(index).bucket(b) };
                if bucket.used() >> slot & 1 != 0 {
                    // SAFETY: an occupied slot of this borrowed table.
                    return Some(unsafe { Ref::new(bucket.slots[slot]) });
                }
            }
        }
        self.nth(rng.below(self.len))
    }

    /// The `n`-th item in bucket order; walks the directory.
    fn nth(&self, n: usize) -> Option<Ref<'_, T>> {
        let (mut before, mut found) = (0, None);
        self.each_segment(|first, _| {
            let count = self.count(first);
            if found.is_none() && n < before + count {
                found = Some((first, n - before));
            }
            before += count;
        });
        let (first, mut skip) = found?;
        let mut walk = Walk::at(self, first, 0, 0);
        loop {
            match walk.word_here() {
                // SAFETY: an occupied slot of this borrowed table.
                Some(word) if skip == 0 => return Some(unsafe { Ref::new(word) }),
                Some(_) => skip -= 1,
                None if walk.advance(self) => {}
                None => return None,
            }
        }
    }

    fn random_start(&self, rng: &mut Rng) -> Walk {
        for _ in 0..MAX_REJECTS {
            if let Some((index, b, slot)) = self.random_slot(rng) {
                return Walk::at(self, index, b, slot);
            }
        }
        let index = self.index(rng.next_u64());
        Walk::at(self, index, rng.below(self.segment_at(index).n), 0)
    }

    /// Calls `f` for `n` different neighbouring items (all, if there are fewer), from a uniform random slot on.
    /// Cheaper than `n` draws, and the items are not independent.
    pub fn sample_run(&self, rng: &mut Rng, n: usize, f: &mut dyn FnMut(&T)) {
        let mut left = n.min(self.len);
        if left == 0 {
            return;
        }
        let mut walk = self.random_start(rng);
        loop {
            while let Some(word) = walk.word_here() {
                // SAFETY: an occupied slot of this borrowed table.
                f(&*unsafe { lend::<T>(word) });
                left -= 1;
                if left == 0 {
                    return;
                }
            }
            walk.advance_around(self);
        }
    }

    /// Calls `f` for up to `n` different marked items from a uniform random slot on, without reading the others. Gives up
    /// after about `max_visits` slots; returns how many items `f` saw.
    pub fn sample_marked(
        &self,
        rng: &mut Rng,
        n: usize,
        max_visits: usize,
        f: &mut dyn FnMut(&T),
    ) -> usize {
        let wanted = n.min(self.marked);
        let (mut got, mut visits_left) = (0, max_visits.div_ceil(SLOTS));
        if wanted == 0 {
            return 0;
        }
        let mut walk = self.random_start(rng);
        while visits_left > 0 {
            while let Some(word) = walk.word_here() {
                if word & MARK != 0 {
                    // SAFETY: an occupied slot of this borrowed table.
                    f(&*unsafe { lend::<T>(word) });
                    got += 1;
                    if got == wanted {
                        return got;
                    }
                }
            }
            walk.advance_around(self);
            visits_left -= 1;
        }
        got
    }
}
