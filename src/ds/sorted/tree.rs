//! The counted B+tree: where members go, leave, and stand.
//!
//! Invariants (`check_invariants` holds them in tests): every leaf but a lone root holds a member, every inner node two children or
//! more; slot i of an inner node knows exactly how many members are below it and which is the first; leaves are chained in order.
//! Nodes are joined or evened out when they fall below a third, so that memory follows the number of members down.
//! Unlike a textbook tree a split is lopsided at both ends, because scores that only grow (or only fall) are the common case:
//! ascending insertion leaves full leaves behind.
//!
//! Handles are compared through their blocks only on the way down and in the leaf of an insertion. The separators in inner nodes
//! are handles too, so a member must be taken out before its block is freed, and before its score changes.
use core::cmp::Ordering;
use core::marker::PhantomData;

use crate::sys::relocate::Mover;

use super::Scored;
use super::iter::{Backward, Forward};
use super::node::{INNER_CAP, Inner, LEAF_CAP, Leaf, Node, Slot, prefetch};

/// Inner levels that can ever be needed: with 12 children or more off the right edge, 2^32 members fit in fewer.
const MAX_HEIGHT: usize = 12;
const LEAF_MIN: usize = LEAF_CAP / 3;
const LEAF_JOIN: usize = LEAF_CAP * 4 / 5;
const INNER_MIN: usize = INNER_CAP / 3;
const INNER_JOIN: usize = INNER_CAP * 4 / 5;

/// A set of handles in the order (score, member), with ranks.
pub struct Tree<E: Scored> {
    root: Node,
    height: usize,
    len: usize,
    _owns: PhantomData<Leaf<E>>,
}

// SAFETY: the tree owns its nodes outright and has no interior mutability; handles are only followed by methods that the owner of
// the blocks calls, and `Members` (which owns both) decides for itself whether it may cross threads.
unsafe impl<E: Scored + Send> Send for Tree<E> {}

/// A place in the tree: before the member of rank `rank`, or the end.
#[derive(Debug, Clone, Copy)]
pub struct Position<'a, E: Scored> {
    /// Members before this place.
    pub rank: usize,
    /// Members of the tree.
    pub(super) total: usize,
    pub(super) leaf: *const Leaf<E>,
    pub(super) slot: usize,
    pub(super) tree: PhantomData<&'a Tree<E>>,
}

impl<'a, E: Scored> Position<'a, E> {
    /// Members from here upwards, at most `limit`.
    pub fn forward(self, limit: usize) -> Forward<'a, E> {
        Forward::new(self, limit.min(self.total - self.rank))
    }

    /// Members before this place downwards, at most `limit`.
    pub fn backward(self, limit: usize) -> Backward<'a, E> {
        Backward::new(self, limit.min(self.rank))
    }
}

/// The inner nodes from the root to a leaf, each with the index of the child taken.
struct Path<E> {
    steps: [(*mut Inner<E>, usize); MAX_HEIGHT],
    height: usize,
}

impl<E: Scored> Path<E> {
    fn new() -> Self {
        Path {
            steps: [(core::ptr::null_mut(), 0); MAX_HEIGHT],
            height: 0,
        }
    }

    #[inline(always)]
    fn push(&mut self, node: *mut Inner<E>, i: usize) {
        self.steps[self.height] = (node, i);
        self.height += 1;
    }

    #[inline(always)]
    fn steps(&self) -> &[(*mut Inner<E>, usize)] {
        &self.steps[..self.height]
    }

    /// Notes `first` as the first member below the step at `level` (counted from the root) and wherever that is the first child.
    unsafe fn set_first(&self, level: usize, first: E) {
        for &(node, i) in self.steps[..=level].iter().rev() {
            // SAFETY: the path is of live nodes.
            unsafe { Inner::set_first(node, i, first) };
            if i != 0 {
                break;
            }
        }
    }
}

/// Whether the member `e` stands before (`score`, `member`).
#[inline(always)]
unsafe fn is_before<E: Scored>(e_score: f64, e: E, score: f64, member: &[u8]) -> bool {
    // SAFETY: members in the tree are alive.
    e_score < score || (e_score == score && unsafe { e.member() } < member)
}

impl<E: Scored> Default for Tree<E> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY (every block below): nodes reachable from `root` are live and of the kind their height tells; blocks of the handles in the
// tree are alive by the contract of `insert`; indices are below the lengths just read.
impl<E: Scored> Tree<E> {
    /// An empty tree.
    pub fn new() -> Self {
        Tree {
            root: Leaf::<E>::alloc().cast(),
            height: 0,
            len: 0,
            _owns: PhantomData,
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of tree nodes now allocated, by their own sizes.
    pub fn node_bytes(&self) -> usize {
        // SAFETY: see above.
        unsafe { Self::weigh(self.root, self.height) }
    }

    unsafe fn weigh(node: Node, height: usize) -> usize {
        if height == 0 {
            return size_of::<Leaf<E>>();
        }
        let inner: *mut Inner<E> = node.cast();
        // SAFETY: see above.
        unsafe {
            size_of::<Inner<E>>()
                + (0..Inner::len(inner))
                    .map(|i| Self::weigh(Inner::child(inner, i), height - 1))
                    .sum::<usize>()
        }
    }

    /// Child of `node` under which (`score`, `member`) is or would be.
    #[inline(always)]
    unsafe fn child_for(node: *mut Inner<E>, score: f64, member: &[u8]) -> usize {
        // SAFETY: see above.
        unsafe {
            let (mut low, mut high) = (1, Inner::len(node));
            while low < high {
                let mid = (low + high) / 2;
                let there = Inner::score(node, mid);
                if there < score || (there == score && Inner::first(node, mid).member() <= member) {
                    low = mid + 1;
                } else {
                    high = mid;
                }
            }
            low - 1
        }
    }

    /// The leaf where (`score`, `member`) is or would be, and the way to it.
    #[inline(always)]
    fn descend(&self, score: f64, member: &[u8]) -> (Path<E>, *mut Leaf<E>) {
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            // SAFETY: see above.
            unsafe {
                let i = Self::child_for(node.cast(), score, member);
                path.push(node.cast(), i);
                node = Inner::<E>::child(node.cast(), i);
            }
        }
        (path, node.cast())
    }

    /// The leaf and slot of the member of rank `rank` (below `len`), and the way to it.
    fn descend_rank(&self, mut rank: usize) -> (Path<E>, *mut Leaf<E>, usize) {
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            // SAFETY: see above; the counts add up to more than `rank`, so the search ends at a child.
            unsafe {
                let mut i = 0;
                for &count in Inner::<E>::counts(node.cast()).iter() {
                    if rank < count as usize {
                        break;
                    }
                    rank -= count as usize;
                    i += 1;
                }
                path.push(node.cast(), i);
                node = Inner::<E>::child(node.cast(), i);
            }
        }
        (path, node.cast(), rank)
    }

    /// First slot of the leaf that does not stand before (`score`, `member`).
    #[inline(always)]
    unsafe fn leaf_slot(leaf: *mut Leaf<E>, score: f64, member: &[u8]) -> usize {
        // SAFETY: see above.
        unsafe {
            let slots = Leaf::all(leaf);
            let (mut low, mut high) = (0, slots.len());
            while low < high {
                let mid = (low + high) / 2;
                if high - low > 2 {
                    prefetch(slots[(low + mid) / 2].address());
                    prefetch(slots[(mid + 1 + high) / 2 - 1].address());
                }
                if is_before(slots[mid].score(), slots[mid], score, member) {
                    low = mid + 1;
                } else {
                    high = mid;
                }
            }
            low
        }
    }

    /// Adds a member. It must not be there yet.
    ///
    /// # Safety
    /// The block of `e` must stay alive, with the same score (not NaN) and member, until it is removed or the tree is cleared or
    /// dropped.
    pub unsafe fn insert(&mut self, e: E) {
        // SAFETY: see above, and the contract of this function.
        unsafe {
            let (score, member) = (e.score(), e.member());
            debug_assert!(!score.is_nan());
            assert!(
                self.len < u32::MAX as usize,
                "a sorted set is limited to 2^32 members"
            );
            loop {
                let (path, leaf) = self.descend(score, member);
                let slot = Self::leaf_slot(leaf, score, member);
                if Leaf::len(leaf) == LEAF_CAP {
                    self.make_room(&path, leaf, slot);
                    continue;
                }
                Leaf::put(leaf, slot, e);
                for &(node, i) in path.steps() {
                    Inner::counts(node)[i] += 1;
                }
                if slot == 0 && path.height > 0 {
                    path.set_first(path.height - 1, e);
                }
                self.len += 1;
                return;
            }
        }
    }

    /// Makes room in a full leaf, near `slot`: a neighbour with the same parent takes some, or the leaf is split.
    unsafe fn make_room(&mut self, path: &Path<E>, leaf: *mut Leaf<E>, slot: usize) {
        const ROOMY: usize = LEAF_CAP - LEAF_CAP / 8;
        // SAFETY: see above.
        unsafe {
            if let Some(&(parent, i)) = path.steps().last() {
                if i + 1 < Inner::len(parent)
                    && Leaf::<E>::len(Inner::child(parent, i + 1).cast()) <= ROOMY
                {
                    return Self::even_leaves(parent, i);
                }
                if i > 0 && Leaf::<E>::len(Inner::child(parent, i - 1).cast()) <= ROOMY {
                    return Self::even_leaves(parent, i - 1);
                }
            }
            let is_last = (*leaf).next.is_null() && slot == LEAF_CAP;
            let is_first = (*leaf).prev.is_null() && slot == 0;
            let keep = if is_last {
                LEAF_CAP - 1
            } else if is_first {
                LEAF_CAP / 8
            } else {
                LEAF_CAP / 2
            };
            let right = Leaf::alloc();
            Leaf::copy(leaf, keep, right, 0, LEAF_CAP - keep);
            (*right).len = (LEAF_CAP - keep) as u64;
            (*leaf).len = keep as u64;
            Leaf::link_after(leaf, right);
            let slot = Slot {
                count: (LEAF_CAP - keep) as u32,
                first: Leaf::get(right, 0),
                child: right.cast(),
            };
            self.add_right(path, path.height, slot, is_last);
        }
    }

    /// Hangs `right`, split off the node that `path` leads to at `level`, beside it. `is_last` tells that it is the right edge.
    unsafe fn add_right(&mut self, path: &Path<E>, level: usize, right: Slot<E>, is_last: bool) {
        // SAFETY: see above.
        unsafe {
            if level == 0 {
                let root = Inner::alloc();
                let first = if self.height == 0 {
                    Leaf::get(self.root.cast(), 0)
                } else {
                    Inner::first(self.root.cast(), 0)
                };
                Inner::put(
                    root,
                    0,
                    Slot {
                        count: self.len as u32 - right.count,
                        first,
                        child: self.root,
                    },
                );
                Inner::put(root, 1, right);
                self.root = root.cast();
                self.height += 1;
                return;
            }
            let (node, i) = path.steps[level - 1];
            Inner::counts(node)[i] -= right.count;
            if Inner::len(node) < INNER_CAP {
                return Inner::put(node, i + 1, right);
            }
            let keep = if is_last {
                INNER_CAP - 2
            } else {
                INNER_CAP / 2
            };
            let split = Inner::alloc();
            Inner::copy(node, keep, split, 0, INNER_CAP - keep);
            (*split).len = (INNER_CAP - keep) as u64;
            (*node).len = keep as u64;
            if i + 1 > keep {
                Inner::put(split, i + 1 - keep, right)
            } else {
                Inner::put(node, i + 1, right)
            }
            let slot = Slot {
                count: Inner::total(split),
                first: Inner::first(split, 0),
                child: split.cast(),
            };
            self.add_right(path, level - 1, slot, is_last);
        }
    }

    /// Moves members between the leaves under children `i` and `i + 1` of `parent` so that both hold about the same number.
    unsafe fn even_leaves(parent: *mut Inner<E>, i: usize) {
        // SAFETY: see above.
        unsafe {
            let (left, right): (*mut Leaf<E>, *mut Leaf<E>) = (
                Inner::child(parent, i).cast(),
                Inner::child(parent, i + 1).cast(),
            );
            let (l, r) = (Leaf::len(left), Leaf::len(right));
            let half = (l + r) / 2;
            if l > half {
                Leaf::copy(right, 0, right, l - half, r);
                Leaf::copy(left, half, right, 0, l - half);
            } else {
                Leaf::copy(right, 0, left, l, half - l);
                Leaf::copy(right, half - l, right, 0, r - (half - l));
            }
            (*left).len = half as u64;
            (*right).len = (l + r - half) as u64;
            let counts = Inner::counts(parent);
            counts[i] = half as u32;
            counts[i + 1] = (l + r - half) as u32;
            Inner::set_first(parent, i + 1, Leaf::get(right, 0));
        }
    }

    /// Removes the member `e`; false when it is not there.
    ///
    /// # Safety
    /// The block of `e` is alive and, if it is in the tree, has the score it was inserted with.
    pub unsafe fn remove(&mut self, e: E) -> bool {
        // SAFETY: see above, and the contract of this function.
        unsafe {
            let (path, leaf) = self.descend(e.score(), e.member());
            match Leaf::all(leaf).iter().position(|&x| x == e) {
                Some(slot) => self.take(path, leaf, slot, 1),
                None => return false,
            }
        }
        true
    }

    /// Removes the members with ranks `start..start + count` (cut to what there is). `freed` gets each of them, in order; it is
    /// called when the tree no longer refers to it, so it may free the block.
    pub fn remove_range(&mut self, start: usize, count: usize, mut freed: impl FnMut(E)) {
        let mut left = count.min(self.len.saturating_sub(start));
        while left > 0 {
            let (path, leaf, slot) = self.descend_rank(start);
            // SAFETY: see above.
            unsafe {
                let n = left.min(Leaf::len(leaf) - slot);
                let mut gone = [Leaf::get(leaf, slot); LEAF_CAP];
                gone[..n].copy_from_slice(&Leaf::all(leaf)[slot..slot + n]);
                self.take(path, leaf, slot, n);
                left -= n;
                gone[..n].iter().for_each(|&e| freed(e));
            }
        }
    }

    /// Takes `n` members out of the leaf that `path` leads to.
    unsafe fn take(&mut self, mut path: Path<E>, leaf: *mut Leaf<E>, slot: usize, n: usize) {
        // SAFETY: see above.
        unsafe {
            Leaf::cut(leaf, slot, n);
            self.len -= n;
            for &(node, i) in path.steps() {
                Inner::counts(node)[i] -= n as u32;
            }
            if path.height == 0 {
                return;
            }
            let level = path.height - 1;
            if slot == 0 && Leaf::len(leaf) > 0 {
                path.set_first(level, Leaf::get(leaf, 0));
            }
            if Leaf::len(leaf) >= LEAF_MIN {
                return;
            }
            let (parent, i) = path.steps[level];
            let l = if i + 1 < Inner::len(parent) { i } else { i - 1 };
            let left: *mut Leaf<E> = Inner::child(parent, l).cast();
            if Leaf::len(left) + Leaf::<E>::len(Inner::child(parent, l + 1).cast()) <= LEAF_JOIN {
                Self::join_leaves(parent, l);
            } else {
                Self::even_leaves(parent, l);
            }
            path.steps[level].1 = l;
            path.set_first(level, Leaf::get(left, 0));
            self.mend_inner(&mut path, level);
        }
    }

    /// Moves all of the leaf under child `i + 1` of `parent` into its left neighbour and frees it.
    unsafe fn join_leaves(parent: *mut Inner<E>, i: usize) {
        // SAFETY: see above.
        unsafe {
            let (left, right): (*mut Leaf<E>, *mut Leaf<E>) = (
                Inner::child(parent, i).cast(),
                Inner::child(parent, i + 1).cast(),
            );
            let (l, r) = (Leaf::len(left), Leaf::len(right));
            Leaf::copy(right, 0, left, l, r);
            (*left).len = (l + r) as u64;
            Leaf::unlink_next(left);
            Leaf::free(right);
            Inner::counts(parent)[i] = (l + r) as u32;
            Inner::cut(parent, i + 1);
        }
    }

    /// Restores the least fill of the inner node at `level` of the path after it lost a child, and of those above it.
    unsafe fn mend_inner(&mut self, path: &mut Path<E>, level: usize) {
        // SAFETY: see above.
        unsafe {
            let (node, _) = path.steps[level];
            if level == 0 {
                if Inner::len(node) == 1 {
                    self.root = Inner::child(node, 0);
                    self.height -= 1;
                    Inner::free(node);
                }
                return;
            }
            if Inner::len(node) >= INNER_MIN {
                return;
            }
            let (parent, i) = path.steps[level - 1];
            let l = if i + 1 < Inner::len(parent) { i } else { i - 1 };
            let (left, right): (*mut Inner<E>, *mut Inner<E>) = (
                Inner::child(parent, l).cast(),
                Inner::child(parent, l + 1).cast(),
            );
            let (a, b) = (Inner::len(left), Inner::len(right));
            if a + b > INNER_JOIN {
                return Self::even_inners(parent, l);
            }
            Inner::copy(right, 0, left, a, b);
            (*left).len = (a + b) as u64;
            Inner::free(right);
            let moved = Inner::counts(parent)[l + 1];
            Inner::counts(parent)[l] += moved;
            Inner::cut(parent, l + 1);
            self.mend_inner(path, level - 1);
        }
    }

    /// Moves children between children `i` and `i + 1` of `parent` so that both have about the same number.
    unsafe fn even_inners(parent: *mut Inner<E>, i: usize) {
        // SAFETY: see above.
        unsafe {
            let (left, right): (*mut Inner<E>, *mut Inner<E>) = (
                Inner::child(parent, i).cast(),
                Inner::child(parent, i + 1).cast(),
            );
            let (l, r) = (Inner::len(left), Inner::len(right));
            let half = (l + r) / 2;
            if l > half {
                Inner::copy(right, 0, right, l - half, r);
                Inner::copy(left, half, right, 0, l - half);
            } else {
                Inner::copy(right, 0, left, l, half - l);
                Inner::copy(right, half - l, right, 0, r - (half - l));
            }
            (*left).len = half as u64;
            (*right).len = (l + r - half) as u64;
            let (a, b) = (Inner::total(left), Inner::total(right));
            Inner::counts(parent)[i] = a;
            Inner::counts(parent)[i + 1] = b;
            Inner::set_first(parent, i + 1, Inner::first(right, 0));
        }
    }

    /// Rank of the member `e` from the lowest, if it is there.
    ///
    /// # Safety
    /// The block of `e` is alive.
    pub unsafe fn rank(&self, e: E) -> Option<usize> {
        // SAFETY: see above.
        unsafe {
            let (path, leaf) = self.descend(e.score(), e.member());
            let before: usize = path
                .steps()
                .iter()
                .map(|&(node, i)| Inner::counts(node)[..i].iter().sum::<u32>() as usize)
                .sum();
            Leaf::all(leaf)
                .iter()
                .position(|&x| x == e)
                .map(|slot| before + slot)
        }
    }

    /// The member of rank `rank` from the lowest.
    pub fn by_rank(&self, rank: usize) -> Option<E> {
        if rank >= self.len {
            return None;
        }
        let (_, leaf, slot) = self.descend_rank(rank);
        // SAFETY: see above.
        Some(unsafe { Leaf::get(leaf, slot) })
    }

    fn place(&self, rank: usize, leaf: *const Leaf<E>, slot: usize) -> Position<'_, E> {
        Position {
            rank,
            total: self.len,
            leaf,
            slot,
            tree: PhantomData,
        }
    }

    /// The place before the member of rank `rank`; the end when there are not so many.
    pub fn position(&self, rank: usize) -> Position<'_, E> {
        if rank < self.len {
            let (_, leaf, slot) = self.descend_rank(rank);
            return self.place(rank, leaf, slot);
        }
        self.end()
    }

    /// The place after the last member.
    pub fn end(&self) -> Position<'_, E> {
        let mut node = self.root;
        // SAFETY: see above.
        unsafe {
            for _ in 0..self.height {
                node = Inner::<E>::child(node.cast(), Inner::<E>::len(node.cast()) - 1);
            }
            self.place(self.len, node.cast(), Leaf::<E>::len(node.cast()))
        }
    }

    /// The place before the first member for which `before` is false. `before` must be true for a prefix of the order and false for
    /// the rest; it gets the score and the handle (whose block is alive).
    pub fn partition(&self, before: impl Fn(f64, E) -> bool) -> Position<'_, E> {
        let mut node = self.root;
        let mut rank = 0;
        // SAFETY: see above.
        unsafe {
            for _ in 0..self.height {
                let inner: *mut Inner<E> = node.cast();
                let (mut low, mut high) = (1, Inner::len(inner));
                while low < high {
                    let mid = (low + high) / 2;
                    if before(Inner::score(inner, mid), Inner::first(inner, mid)) {
                        low = mid + 1
                    } else {
                        high = mid
                    }
                }
                rank += Inner::counts(inner)[..low - 1].iter().sum::<u32>() as usize;
                node = Inner::child(inner, low - 1);
            }
            let leaf: *const Leaf<E> = node.cast();
            let slot = Leaf::all(leaf).partition_point(|&e| before(e.score(), e));
            self.place(rank + slot, leaf, slot)
        }
    }

    /// Place of the first member with a score of `score` or more; with `or_equal` false, of more than `score`.
    pub fn lower_bound(&self, score: f64, or_equal: bool) -> Position<'_, E> {
        self.partition(|there, _| there < score || (!or_equal && there == score))
    }

    /// Place of the first member whose bytes are `member` or later; with `or_equal` false, later than `member`. Only meaningful when
    /// all scores are equal, as for all lexicographic ranges.
    pub fn lower_bound_lex(&self, member: &[u8], or_equal: bool) -> Position<'_, E> {
        // SAFETY: members in the tree are alive.
        self.partition(|_, e| match unsafe { e.member() }.cmp(member) {
            Ordering::Less => true,
            Ordering::Equal => !or_equal,
            Ordering::Greater => false,
        })
    }

    /// The lowest member.
    pub fn first(&self) -> Option<E> {
        self.by_rank(0)
    }

    /// The highest member.
    pub fn last(&self) -> Option<E> {
        self.by_rank(self.len.checked_sub(1)?)
    }

    /// All members from the lowest.
    pub fn iter(&self) -> Forward<'_, E> {
        self.position(0).forward(self.len)
    }

    /// Puts the handle `new` in the place of `old`; false when that is not there.
    ///
    /// # Safety
    /// Both blocks are alive, with the same score and member; that of `old` may go afterwards, that of `new` is as one inserted.
    pub unsafe fn replace(&mut self, old: E, new: E) -> bool {
        // SAFETY: see above, and the contract of this function.
        unsafe {
            let (path, leaf) = self.descend(new.score(), new.member());
            let Some(slot) = Leaf::all(leaf).iter().position(|&x| x == old) else {
                return false;
            };
            Leaf::set(leaf, slot, new);
            if slot == 0 && path.height > 0 {
                path.set_first(path.height - 1, new);
            }
        }
        true
    }

    /// Lets `mover` move the nodes of the members from `rank` on, about `count` members (whole leaves); the rank to go on with, 0
    /// at the end. An inner node goes with its first leaf.
    pub fn relocate(&mut self, mover: &mut dyn Mover, rank: usize, count: usize) -> usize {
        let end = rank.saturating_add(count.max(1));
        let mut rank = rank;
        loop {
            let (path, leaf, slot) = if rank < self.len {
                self.descend_rank(rank)
            } else if self.len == 0 && rank == 0 {
                (Path::new(), self.root.cast(), 0)
            } else {
                return 0;
            };
            // SAFETY: see above; the path was just walked, and nothing changed but the places of nodes on it.
            unsafe {
                // How far up this leaf is the first of its node.
                let inner_first = path.steps().iter().rposition(|&(_, i)| i != 0);
                let fresh = inner_first.map_or(0, |level| level + 1);
                rank += Leaf::len(leaf) - slot;
                self.relocate_nodes(path, leaf, fresh, mover);
            }
            if rank >= self.len {
                return 0;
            }
            if rank >= end {
                return rank;
            }
        }
    }

    /// Moves the inner nodes of the path from level `fresh` on, and the leaf.
    unsafe fn relocate_nodes(
        &mut self,
        mut path: Path<E>,
        leaf: *mut Leaf<E>,
        fresh: usize,
        mover: &mut dyn Mover,
    ) {
        // SAFETY: see above; each node has one parent (or is the root), whose pointer is written anew. Leaves have their neighbours
        // besides, which `Leaf::relocate` tells.
        unsafe {
            for level in fresh..path.height {
                let (node, i) = path.steps[level];
                if let Some(moved) = Inner::relocate(node, mover) {
                    self.hang(&path, level, moved.cast());
                    path.steps[level] = (moved, i);
                }
            }
            if let Some(moved) = Leaf::relocate(leaf, mover) {
                self.hang(&path, path.height, moved.cast());
            }
        }
    }

    /// Makes `node` the child that the path took to `level`, or the root.
    unsafe fn hang(&mut self, path: &Path<E>, level: usize, node: Node) {
        match level.checked_sub(1) {
            None => self.root = node,
            Some(above) => {
                let (parent, i) = path.steps[above];
                // SAFETY: see above.
                unsafe { Inner::set_child(parent, i, node) }
            }
        }
    }

    /// Forgets all members.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    unsafe fn free(node: Node, height: usize) {
        // SAFETY: see above; the caller forgets `node`.
        unsafe {
            if height == 0 {
                return Leaf::<E>::free(node.cast());
            }
            let inner: *mut Inner<E> = node.cast();
            for i in 0..Inner::len(inner) {
                Self::free(Inner::child(inner, i), height - 1);
            }
            Inner::free(inner);
        }
    }

    /// Asserts every invariant of the structure; for tests and `DEBUG` use, linear in the number of members.
    pub fn check_invariants(&self) {
        // SAFETY: see above.
        unsafe {
            let mut leaves = Vec::new();
            assert_eq!(
                Self::check_node(self.root, self.height, true, &mut leaves),
                self.len
            );
            let mut previous: Option<E> = None;
            for (i, &leaf) in leaves.iter().enumerate() {
                assert_eq!(
                    (*leaf).prev,
                    if i == 0 {
                        core::ptr::null_mut()
                    } else {
                        leaves[i - 1]
                    },
                    "prev link"
                );
                assert_eq!(
                    (*leaf).next,
                    leaves.get(i + 1).copied().unwrap_or(core::ptr::null_mut()),
                    "next link"
                );
                for &e in Leaf::all(leaf) {
                    assert!(!e.score().is_nan());
                    if let Some(p) = previous {
                        assert!(is_before(p.score(), p, e.score(), e.member()), "order");
                    }
                    previous = Some(e);
                }
            }
        }
    }

    unsafe fn check_node(
        node: Node,
        height: usize,
        is_root: bool,
        leaves: &mut Vec<*mut Leaf<E>>,
    ) -> usize {
        // SAFETY: see above.
        unsafe {
            if height == 0 {
                let n = Leaf::<E>::len(node.cast());
                assert!(n <= LEAF_CAP && (is_root || n > 0), "leaf of {n}");
                leaves.push(node.cast());
                return n;
            }
            let inner: *mut Inner<E> = node.cast();
            let n = Inner::len(inner);
            assert!((2..=INNER_CAP).contains(&n), "inner node of {n}");
            for i in 0..n {
                let below = leaves.len();
                let count = Self::check_node(Inner::child(inner, i), height - 1, false, leaves);
                assert_eq!(count, Inner::counts(inner)[i] as usize, "count");
                let first = Leaf::get(leaves[below], 0);
                assert!(Inner::first(inner, i) == first, "separator");
                assert_eq!(
                    Inner::score(inner, i),
                    first.score(),
                    "score of the separator"
                );
            }
            Inner::total(inner) as usize
        }
    }
}

impl<E: Scored> Drop for Tree<E> {
    fn drop(&mut self) {
        // SAFETY: the nodes are the tree's own and nobody uses them after this.
        unsafe { Self::free(self.root, self.height) }
    }
}
