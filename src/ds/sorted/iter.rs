//! Walking the leaf chain. Both directions know how many members are left, so a walk never looks past its range, and both ask for
//! member blocks some slots ahead, because blocks are scattered and a walk would wait for each.
use core::marker::PhantomData;

use super::Scored;
use super::node::{Leaf, prefetch};
use super::tree::{Position, Tree};

/// How many members ahead blocks are asked for.
const AHEAD: usize = 8;

/// Members upwards; see `Position::forward`.
pub struct Forward<'a, E: Scored> {
    leaf: *const Leaf<E>,
    slot: usize,
    left: usize,
    _tree: PhantomData<&'a Tree<E>>,
}

/// Members downwards; see `Position::backward`.
pub struct Backward<'a, E: Scored> {
    leaf: *const Leaf<E>,
    /// One past the slot that comes next.
    slot: usize,
    left: usize,
    _tree: PhantomData<&'a Tree<E>>,
}

// SAFETY (both): the lifetime keeps the tree unchanged; `left` never exceeds what follows `slot` in the chain.
impl<'a, E: Scored> Forward<'a, E> {
    pub(super) fn new(at: Position<'a, E>, left: usize) -> Self {
        let it = Forward {
            leaf: at.leaf,
            slot: at.slot,
            left,
            _tree: PhantomData,
        };
        it.prefetch_from(at.slot, AHEAD.min(left));
        it
    }

    fn prefetch_from(&self, slot: usize, n: usize) {
        // SAFETY: see above.
        unsafe {
            Leaf::all(self.leaf)
                .iter()
                .skip(slot)
                .take(n)
                .for_each(|e| prefetch(e.address()))
        }
    }
}

impl<E: Scored> Iterator for Forward<'_, E> {
    type Item = E;

    #[inline(always)]
    fn next(&mut self) -> Option<E> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        // SAFETY: see above.
        unsafe {
            if self.slot == Leaf::len(self.leaf) {
                self.leaf = (*self.leaf).next;
                self.slot = 0;
                self.prefetch_from(0, AHEAD.min(self.left + 1));
            }
            let ahead = self.slot + AHEAD;
            if AHEAD <= self.left && ahead < Leaf::len(self.leaf) {
                prefetch(Leaf::get(self.leaf, ahead).address());
            }
            self.slot += 1;
            Some(Leaf::get(self.leaf, self.slot - 1))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, E: Scored> Backward<'a, E> {
    pub(super) fn new(at: Position<'a, E>, left: usize) -> Self {
        Backward {
            leaf: at.leaf,
            slot: at.slot,
            left,
            _tree: PhantomData,
        }
    }
}

impl<E: Scored> Iterator for Backward<'_, E> {
    type Item = E;

    #[inline(always)]
    fn next(&mut self) -> Option<E> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        // SAFETY: see above.
        unsafe {
            if self.slot == 0 {
                self.leaf = (*self.leaf).prev;
                self.slot = Leaf::len(self.leaf);
            }
            self.slot -= 1;
            if AHEAD <= self.left && self.slot >= AHEAD {
                prefetch(Leaf::get(self.leaf, self.slot - AHEAD).address());
            }
            Some(Leaf::get(self.leaf, self.slot))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<E: Scored> ExactSizeIterator for Forward<'_, E> {}
impl<E: Scored> ExactSizeIterator for Backward<'_, E> {}
