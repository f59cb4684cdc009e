//! [`Members`]: scored members by name and by order. The table owns the blocks and finds them by name; the tree keeps them in order.
//!
//! This is the only place that ties the lifetimes of both together, so everything outside `ds/sorted` is safe code. Invariant: the
//! tree holds exactly the handles of the table's items. A member leaves the tree before its block is freed or its score changes.
use super::{Backward, Forward, Scored, Tree};
use crate::ds::hash::hash;
use crate::ds::item::{ScoredMember, ScoredPtr};
use crate::ds::rng::Rng;
use crate::ds::table::Table;
use crate::sys::relocate::Mover;

impl Scored for ScoredPtr {
    #[inline(always)]
    unsafe fn score(self) -> f64 {
        // SAFETY: the same contract.
        unsafe { ScoredPtr::score(self) }
    }
    #[inline(always)]
    unsafe fn member<'a>(self) -> &'a [u8] {
        // SAFETY: the same contract.
        unsafe { ScoredPtr::member(self) }
    }
    #[inline(always)]
    fn address(self) -> *const u8 {
        self.as_raw().as_ptr()
    }
}

/// Members with scores, found by name, rank, score or text.
#[derive(Default)]
pub struct Members {
    tree: Tree<ScoredPtr>,
    index: Table<ScoredMember>,
}

/// Members in order, upwards or downwards.
pub enum Entries<'a> {
    /// From low to high.
    Up(Forward<'a, ScoredPtr>),
    /// From high to low.
    Down(Backward<'a, ScoredPtr>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], f64);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let e = match self {
            Entries::Up(it) => it.next(),
            Entries::Down(it) => it.next(),
        }?;
        // SAFETY: the iterator borrows the `Members`, so the block lives and rests for 'a.
        Some(unsafe { (e.member(), e.score()) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Entries::Up(it) => it.size_hint(),
            Entries::Down(it) => it.size_hint(),
        }
    }
}

impl ExactSizeIterator for Entries<'_> {}

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// No members yet, with room for `n` in the index.
    pub fn with_capacity(n: usize) -> Self {
        Members {
            tree: Tree::default(),
            index: Table::with_capacity(n),
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The score of `member`.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.index.find(hash(member), member).map(|m| m.score())
    }

    /// Adds a member that is known to be absent. `score` is not NaN.
    pub fn insert_new(&mut self, member: &[u8], score: f64) {
        let item = ScoredMember::new(score, member);
        // SAFETY: the table owns the block from the next line on and gives it up only after `tree` let go of it.
        unsafe { self.tree.insert(item.as_ptr()) };
        self.index.insert_new(hash(member), item);
    }

    /// Gives `member` the score `score` (not NaN), adding it if need be; its score before.
    pub fn set(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let Some(mut item) = self.index.find_mut(hash(member), member) else {
            self.insert_new(member, score);
            return None;
        };
        let old = item.score();
        // SAFETY: the block is the table's, hence alive; its score changes while it is out of the tree.
        unsafe {
            self.tree.remove(item.as_ptr());
            item.set_score(score);
            self.tree.insert(item.as_ptr());
        }
        Some(old)
    }

    /// Removes `member`; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let item = self.index.remove(hash(member), member)?;
        // SAFETY: `item` is alive to the end of this function.
        unsafe { self.tree.remove(item.as_ptr()) };
        Some(item.score())
    }

    /// Rank of `member` from the lowest, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let item = self.index.find(hash(member), member)?;
        // SAFETY: the table's item is alive.
        let rank = unsafe { self.tree.rank(item.as_ptr()) }?;
        Some((rank, item.score()))
    }

    /// The member of rank `rank` from the lowest.
    pub fn by_rank(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.up(rank, 1).next()
    }

    /// Members from rank `rank` upwards, at most `limit`.
    pub fn up(&self, rank: usize, limit: usize) -> Entries<'_> {
        Entries::Up(self.tree.position(rank).forward(limit))
    }

    /// Members below rank `rank` downwards (so `len` starts at the highest), at most `limit`.
    pub fn down(&self, rank: usize, limit: usize) -> Entries<'_> {
        Entries::Down(self.tree.position(rank).backward(limit))
    }

    /// Number of members below `score`, or with `or_equal` up to it.
    pub fn count_below(&self, score: f64, or_equal: bool) -> usize {
        self.tree.lower_bound(score, !or_equal).rank
    }

    /// Number of members whose bytes are before `member`, or with `or_equal` up to it; all scores must be equal.
    pub fn count_before(&self, member: &[u8], or_equal: bool) -> usize {
        self.tree.lower_bound_lex(member, !or_equal).rank
    }

    /// Removes the members of ranks `start..start + count`, in order, telling `gone` each; how many there were.
    pub fn remove_range(
        &mut self,
        start: usize,
        count: usize,
        gone: &mut dyn FnMut(&[u8], f64),
    ) -> usize {
        let index = &mut self.index;
        let before = self.tree.len();
        self.tree.remove_range(start, count, |e| {
            // SAFETY: the block is the table's until it is dropped at the end of this closure, and the tree let go of it.
            let (member, score) = unsafe { (e.member(), e.score()) };
            gone(member, score);
            let removed = index.remove(hash(member), member);
            debug_assert!(removed.is_some());
        });
        before - self.tree.len()
    }

    /// A member, each with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<(&[u8], f64)> {
        let item = self.index.random(rng)?;
        let score = item.score();
        Some((item.into_key(), score))
    }

    /// Calls `f` for members from `cursor` on, about `count`; the next cursor, 0 at the end (see `Table::scan`).
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.index
            .scan(cursor, count, &mut |m| f(m.member(), m.score()))
    }

    /// The members by name.
    pub fn index(&self) -> &Table<ScoredMember> {
        &self.index
    }

    /// Lets `mover` move members, index and tree, about `count` members from `from` on (0 starts); where to go on, 0 at the end.
    /// First come the members by the index, then the nodes of the tree.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        /// Cursors of the index are below it, ranks in the tree too.
        const IN_TREE: u64 = 1 << 62;
        if from & IN_TREE == 0 {
            let tree = &mut self.tree;
            let next = self.index.relocate(from, count, mover, &mut |item, mover| {
                item.relocate(mover, &mut |old, new| {
                    // SAFETY: both blocks are alive until this closure has ended, and equal.
                    let found = unsafe { tree.replace(old, new) };
                    assert!(found, "a member of the index is not in the tree");
                });
            });
            return if next == 0 { IN_TREE } else { next };
        }
        match self.tree.relocate(mover, (from & !IN_TREE) as usize, count) {
            0 => 0,
            rank => IN_TREE | rank as u64,
        }
    }

    /// While paused (a forked child shares the pages) the index does not shrink.
    pub fn set_resize_paused(&mut self, paused: bool) {
        self.index.set_resize_paused(paused);
    }

    /// Bytes allocated for index and tree, without the members' blocks.
    pub fn overhead_bytes(&self) -> usize {
        self.index.mem_bytes() + self.tree.node_bytes()
    }

    /// Bytes of everything it owns; members' blocks from the mean of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        self.overhead_bytes() + self.index.items_bytes(samples, ScoredMember::class_size)
    }

    /// Asserts that index and tree agree and are sound each; for tests and DEBUG.
    pub fn check_invariants(&self) {
        self.tree.check_invariants();
        self.index.check_invariants();
        assert_eq!(self.tree.len(), self.index.len());
        for e in self.tree.iter() {
            // SAFETY: by the invariant; if it is broken this is a test that dies.
            let member = unsafe { e.member() };
            let found = self.index.find(hash(member), member).map(|m| m.as_ptr());
            assert_eq!(found, Some(e));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::rounds;
    use crate::sys::relocate::MoveAll;
    use std::collections::BTreeMap;

    /// Every block moves, a stretch at a time, while members come, go and change their scores.
    #[test]
    fn members_and_nodes_move() {
        let (mut rng, mut mover, mut place) = (Rng::new(4), MoveAll::default(), 0);
        let (mut members, mut model) = (Members::new(), BTreeMap::new());
        let mut passes = 0;
        for step in 0..rounds(60_000) {
            let member = format!("member:{}", rng.below(4_000)).into_bytes();
            let shrinking = step / rounds(15_000) % 2 == 1;
            if shrinking && rng.below(10) > 0 {
                assert_eq!(members.remove(&member), model.remove(&member));
            } else {
                let score = rng.below(300) as f64;
                assert_eq!(members.set(&member, score), model.insert(member, score));
            }
            if step % 10 == 0 {
                place = members.relocate(&mut mover, place, 60);
                passes += usize::from(place == 0);
            }
            if step % rounds(5_000) == 0 {
                members.check_invariants();
            }
        }
        assert!(passes > 2, "{passes} passes");
        members.check_invariants();
        let moved = mover.moved;
        while place != 0 {
            place = members.relocate(&mut mover, place, 60);
        }
        loop {
            place = members.relocate(&mut mover, place, 7);
            members.check_invariants();
            if place == 0 {
                break;
            }
        }
        assert!(
            mover.moved - moved > model.len() as u64,
            "members and nodes"
        );
        let mut want: Vec<_> = model.iter().map(|(m, s)| (*s, m.clone())).collect();
        want.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let got = members.up(0, usize::MAX).map(|(m, s)| (s, m.to_vec()));
        assert!(got.eq(want));
    }

    #[test]
    fn an_empty_set_moves_its_one_leaf() {
        let (mut members, mut mover) = (Members::new(), MoveAll::default());
        let next = members.relocate(&mut mover, 0, 10);
        assert_ne!(next, 0);
        assert_eq!(members.relocate(&mut mover, next, 10), 0);
        assert_eq!(mover.moved, 1);
        members.insert_new(b"m", 1.0);
        members.check_invariants();
    }
}
