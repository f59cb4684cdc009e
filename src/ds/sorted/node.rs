//! The nodes of the counted B+tree: plain blocks moved about through raw pointers, and nothing that knows the order.
//!
//! Sizes are chosen for the allocator's classes: a leaf is 24 bytes of header and 61 handles, 512 bytes; an inner node is 8 bytes of
//! header and 36 slots of 28 bytes, 1016 bytes in the 1024 class. An inner slot is a child, the number of members below it, and the
//! first member below it with a copy of its score, so that a descent through distinct scores reads no member block.
//! Leaves deliberately hold no scores: it saves 8 bytes per member, and deletion and rank find their slot by identity.
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use std::alloc::Layout;

use crate::sys::relocate::{Mover, relocate};

use super::Scored;

/// Handles per leaf.
pub(super) const LEAF_CAP: usize = 61;
/// Children per inner node.
pub(super) const INNER_CAP: usize = 36;

/// A block of handles in order, linked with its neighbours.
#[repr(C)]
pub(super) struct Leaf<E> {
    pub len: u64,
    pub next: *mut Leaf<E>,
    pub prev: *mut Leaf<E>,
    slots: [MaybeUninit<E>; LEAF_CAP],
}

/// A block of children with what is known about each. The arrays are parallel; only the first `len` of each are set.
#[repr(C)]
pub(super) struct Inner<E> {
    pub len: u64,
    counts: [MaybeUninit<u32>; INNER_CAP],
    scores: [MaybeUninit<f64>; INNER_CAP],
    firsts: [MaybeUninit<E>; INNER_CAP],
    children: [MaybeUninit<Node>; INNER_CAP],
}

/// A leaf or an inner node; the height at which it is met tells which.
pub(super) type Node = *mut u8;

/// One slot of an inner node, outside of it.
pub(super) struct Slot<E> {
    pub count: u32,
    pub first: E,
    pub child: Node,
}

const _: () = assert!(size_of::<Leaf<*const u8>>() == 512 && size_of::<Inner<*const u8>>() == 1016);

/// Asks the CPU to fetch the cache line at `address`; any address will do.
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint and never faults; SSE is part of the x86-64 baseline.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

// SAFETY (all functions below): `leaf` and `node` arguments come from `alloc` and are not freed yet; index arguments are within the
// node's capacity, and those that are read are below its `len`. The tree, the only caller, keeps both.
impl<E: Scored> Leaf<E> {
    /// A new empty leaf, unlinked.
    pub fn alloc() -> *mut Leaf<E> {
        let leaf: *mut Leaf<E> = Box::into_raw(Box::<Leaf<E>>::new_uninit()).cast();
        // SAFETY: freshly allocated; the slots stay uninitialised, as their type allows.
        unsafe {
            (*leaf).len = 0;
            (*leaf).next = ptr::null_mut();
            (*leaf).prev = ptr::null_mut();
        }
        leaf
    }

    /// Frees a leaf.
    pub unsafe fn free(leaf: *mut Leaf<E>) {
        // SAFETY: see above; handles have no destructor (they are Copy).
        unsafe { drop(Box::from_raw(leaf)) }
    }

    #[inline(always)]
    pub unsafe fn len(leaf: *const Leaf<E>) -> usize {
        // SAFETY: see above.
        unsafe { (*leaf).len as usize }
    }

    #[inline(always)]
    unsafe fn slot(leaf: *mut Leaf<E>, i: usize) -> *mut E {
        // SAFETY: see above.
        unsafe { (&raw mut (*leaf).slots).cast::<E>().add(i) }
    }

    /// The handle in slot `i`.
    #[inline(always)]
    pub unsafe fn get(leaf: *const Leaf<E>, i: usize) -> E {
        // SAFETY: see above.
        unsafe { *(&raw const (*leaf).slots).cast::<E>().add(i) }
    }

    /// Writes the handle in slot `i`, which is set already.
    pub unsafe fn set(leaf: *mut Leaf<E>, i: usize, e: E) {
        // SAFETY: see above.
        unsafe { Self::slot(leaf, i).write(e) }
    }

    /// Lets `mover` move the leaf and tells its neighbours; its new place, for the one that points to it.
    pub unsafe fn relocate(leaf: *mut Leaf<E>, mover: &mut dyn Mover) -> Option<*mut Leaf<E>> {
        // SAFETY: see above; leaves are boxes of this layout. The neighbours of a live leaf are live.
        unsafe {
            let at = NonNull::new_unchecked(leaf).cast();
            let moved: *mut Leaf<E> = relocate(mover, at, Layout::new::<Leaf<E>>())?
                .cast()
                .as_ptr();
            if !(*moved).next.is_null() {
                (*(*moved).next).prev = moved;
            }
            if !(*moved).prev.is_null() {
                (*(*moved).prev).next = moved;
            }
            Some(moved)
        }
    }

    /// All handles of the leaf.
    #[inline(always)]
    pub unsafe fn all<'a>(leaf: *const Leaf<E>) -> &'a [E] {
        // SAFETY: the first `len` slots are set; the caller does not keep the slice across a change.
        unsafe {
            core::slice::from_raw_parts((&raw const (*leaf).slots).cast::<E>(), Self::len(leaf))
        }
    }

    /// Copies `n` handles from slot `i` of `from` to slot `j` of `to` (which may be the same leaf); lengths are the caller's.
    pub unsafe fn copy(from: *mut Leaf<E>, i: usize, to: *mut Leaf<E>, j: usize, n: usize) {
        // SAFETY: see above; `copy` allows overlap.
        unsafe { ptr::copy(Self::slot(from, i), Self::slot(to, j), n) }
    }

    /// Puts `e` into slot `i`, moving the later ones up; the leaf is not full.
    pub unsafe fn put(leaf: *mut Leaf<E>, i: usize, e: E) {
        // SAFETY: see above.
        unsafe {
            let n = Self::len(leaf);
            Self::copy(leaf, i, leaf, i + 1, n - i);
            Self::slot(leaf, i).write(e);
            (*leaf).len += 1;
        }
    }

    /// Takes `n` handles out at slot `i`, moving the later ones down.
    pub unsafe fn cut(leaf: *mut Leaf<E>, i: usize, n: usize) {
        // SAFETY: see above.
        unsafe {
            Self::copy(leaf, i + n, leaf, i, Self::len(leaf) - i - n);
            (*leaf).len -= n as u64;
        }
    }

    /// Puts `right` into the chain just after `leaf`.
    pub unsafe fn link_after(leaf: *mut Leaf<E>, right: *mut Leaf<E>) {
        // SAFETY: see above; the neighbours of a live leaf are live.
        unsafe {
            (*right).next = (*leaf).next;
            (*right).prev = leaf;
            if !(*leaf).next.is_null() {
                (*(*leaf).next).prev = right;
            }
            (*leaf).next = right;
        }
    }

    /// Takes the leaf after `leaf` out of the chain.
    pub unsafe fn unlink_next(leaf: *mut Leaf<E>) {
        // SAFETY: see above; the caller knows that there is a next leaf.
        unsafe {
            let next = (*(*leaf).next).next;
            (*leaf).next = next;
            if !next.is_null() {
                (*next).prev = leaf;
            }
        }
    }
}

// SAFETY (all functions below): as for leaves.
impl<E: Scored> Inner<E> {
    /// A new inner node without children.
    pub fn alloc() -> *mut Inner<E> {
        let node: *mut Inner<E> = Box::into_raw(Box::<Inner<E>>::new_uninit()).cast();
        // SAFETY: freshly allocated; the arrays stay uninitialised, as their types allow.
        unsafe { (*node).len = 0 }
        node
    }

    /// Frees the node alone, not its children.
    pub unsafe fn free(node: *mut Inner<E>) {
        // SAFETY: see above; nothing in it has a destructor.
        unsafe { drop(Box::from_raw(node)) }
    }

    #[inline(always)]
    pub unsafe fn len(node: *const Inner<E>) -> usize {
        // SAFETY: see above.
        unsafe { (*node).len as usize }
    }

    /// Numbers of members below each child.
    #[inline(always)]
    pub unsafe fn counts<'a>(node: *mut Inner<E>) -> &'a mut [u32] {
        // SAFETY: the first `len` are set; the caller does not keep the slice across a change.
        unsafe {
            core::slice::from_raw_parts_mut(
                (&raw mut (*node).counts).cast::<u32>(),
                Self::len(node),
            )
        }
    }

    /// The number of members below the node.
    pub unsafe fn total(node: *mut Inner<E>) -> u32 {
        // SAFETY: see above.
        unsafe { Self::counts(node).iter().sum() }
    }

    /// Score of the first member below child `i`.
    #[inline(always)]
    pub unsafe fn score(node: *const Inner<E>, i: usize) -> f64 {
        // SAFETY: see above.
        unsafe { *(&raw const (*node).scores).cast::<f64>().add(i) }
    }

    /// The first member below child `i`.
    #[inline(always)]
    pub unsafe fn first(node: *const Inner<E>, i: usize) -> E {
        // SAFETY: see above.
        unsafe { *(&raw const (*node).firsts).cast::<E>().add(i) }
    }

    /// Child `i`.
    #[inline(always)]
    pub unsafe fn child(node: *const Inner<E>, i: usize) -> Node {
        // SAFETY: see above.
        unsafe { *(&raw const (*node).children).cast::<Node>().add(i) }
    }

    /// Puts `node` in the place of child `i`.
    pub unsafe fn set_child(inner: *mut Inner<E>, i: usize, node: Node) {
        // SAFETY: see above.
        unsafe {
            (&raw mut (*inner).children)
                .cast::<Node>()
                .add(i)
                .write(node)
        }
    }

    /// Lets `mover` move the node alone; its new place, for the one that points to it.
    pub unsafe fn relocate(node: *mut Inner<E>, mover: &mut dyn Mover) -> Option<*mut Inner<E>> {
        // SAFETY: see above; inner nodes are boxes of this layout.
        let moved = unsafe {
            let at = NonNull::new_unchecked(node).cast();
            relocate(mover, at, Layout::new::<Inner<E>>())?
        };
        Some(moved.cast().as_ptr())
    }

    /// Notes that `first` is now the first member below child `i`.
    pub unsafe fn set_first(node: *mut Inner<E>, i: usize, first: E) {
        // SAFETY: see above; a member in the tree is alive.
        unsafe {
            (&raw mut (*node).firsts).cast::<E>().add(i).write(first);
            (&raw mut (*node).scores)
                .cast::<f64>()
                .add(i)
                .write(first.score());
        }
    }

    /// Copies `n` slots from slot `i` of `from` to slot `j` of `to` (which may be the same node); lengths are the caller's.
    pub unsafe fn copy(from: *mut Inner<E>, i: usize, to: *mut Inner<E>, j: usize, n: usize) {
        macro_rules! each {
            ($($field:ident: $t:ty),*) => {$(
                ptr::copy((&raw const (*from).$field).cast::<$t>().add(i), (&raw mut (*to).$field).cast::<$t>().add(j), n);
            )*};
        }
        // SAFETY: see above; `copy` allows overlap.
        unsafe {
            each!(counts: u32, scores: f64, firsts: E, children: Node);
        }
    }

    /// Puts `slot` at `i`, moving the later ones up; the node is not full.
    pub unsafe fn put(node: *mut Inner<E>, i: usize, slot: Slot<E>) {
        // SAFETY: see above.
        unsafe {
            let n = Self::len(node);
            Self::copy(node, i, node, i + 1, n - i);
            (&raw mut (*node).counts)
                .cast::<u32>()
                .add(i)
                .write(slot.count);
            (&raw mut (*node).children)
                .cast::<Node>()
                .add(i)
                .write(slot.child);
            Self::set_first(node, i, slot.first);
            (*node).len += 1;
        }
    }

    /// Takes slot `i` out, moving the later ones down.
    pub unsafe fn cut(node: *mut Inner<E>, i: usize) {
        // SAFETY: see above.
        unsafe {
            let n = Self::len(node);
            Self::copy(node, i + 1, node, i, n - i - 1);
            (*node).len -= 1;
        }
    }
}
