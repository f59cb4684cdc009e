//! Moving blocks of memory to better places: what active defragmentation does to one allocation.
//!
//! The allocator cuts slabs of pages into regions of one size. After many deletions a slab may hold a few regions only, and stays.
//! Moving those to slabs that are nearly full frees its pages. A [`Mover`] decides and copies; the owner of the block writes
//! the new address where the old one stood. [`Packer`] is the mover that asks jemalloc (`packer`); tests have one that
//! always moves, so that every structure is tried on small data and under Miri.
//!
//! The unsafe part is [`Mover::copy`] and [`Mover::free`]; owners that are one pointer (boxes, vectors, boxed slices) are moved by the
//! safe functions of `dyn Mover`. Moving the bytes of a value is what Rust itself does with values, so any content will do; only
//! pointers to the inside of a block must be known to whoever moves it.

mod packer;

pub use packer::{Counts, Packer};

use std::alloc::Layout;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

/// Largest block that lies in a slab with others, bytes: larger ones have pages of their own and gain nothing.
pub const LARGEST: usize = 14 * 1024;

/// Decides whether a block is to be moved, and moves it.
pub trait Mover {
    /// A copy of the block `p` in a better place, if there is one; `p` stays for [`Mover::free`].
    ///
    /// # Safety
    /// `p` is a live block of the global allocator with this layout. The caller makes the copy the owner, or frees it.
    unsafe fn copy(&mut self, p: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>>;

    /// Frees the original of a copy.
    ///
    /// # Safety
    /// `copy` was given `p` and this layout and made a copy; nobody uses `p` any more.
    unsafe fn free(&mut self, p: NonNull<u8>, layout: Layout);

    /// Blocks moved so far.
    fn moved(&self) -> u64;

    /// These live blocks are shown next: a mover that asks the allocator about all of them at once has their cache misses overlap.
    fn expect(&mut self, _blocks: &[NonNull<u8>]) {}

    /// Makes a value that allocates by itself, from what lies at `at`, in a better place; `make` is called if that would help.
    /// For owners whose layout is not known here (`Arc`).
    fn remake(&mut self, at: NonNull<u8>, bytes: usize, make: &mut dyn FnMut());
}

/// The bytes of a live block moved, its old place freed: the new address, if it moved.
///
/// # Safety
/// `p` is a live block of the global allocator with this layout, and the caller replaces the only pointer to it by the result.
pub unsafe fn relocate(
    mover: &mut dyn Mover,
    p: NonNull<u8>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise; the original is not used any more.
    unsafe {
        let new = mover.copy(p, layout)?;
        mover.free(p, layout);
        Some(new)
    }
}

/// Moves what a box holds.
pub fn boxed<T>(mover: &mut dyn Mover, owner: &mut Box<T>) {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return;
    }
    // SAFETY: the box is taken apart and put together again around its own pointer or the new place of its bytes; nothing between
    // can unwind (a failed allocation aborts), so it is never owned twice.
    unsafe {
        let raw = NonNull::new_unchecked(Box::into_raw(std::ptr::read(owner)));
        let new = relocate(mover, raw.cast(), layout).map_or(raw, NonNull::cast);
        std::ptr::write(owner, Box::from_raw(new.as_ptr()));
    }
}

/// Moves the elements of a vector, its spare room included.
pub fn vec<T>(mover: &mut dyn Mover, owner: &mut Vec<T>) {
    let bytes = owner.capacity().saturating_mul(size_of::<T>());
    if bytes == 0 || bytes > LARGEST {
        return;
    }
    let mut parts = ManuallyDrop::new(std::mem::take(owner));
    let (len, capacity) = (parts.len(), parts.capacity());
    // SAFETY: the parts are those of the vector, which owns its block alone; spare room is copied as the bytes it is. The pointer is
    // not null, and the vector is put together once.
    unsafe {
        let raw = NonNull::new_unchecked(parts.as_mut_ptr());
        let layout = Layout::from_size_align_unchecked(bytes, align_of::<T>());
        let new = relocate(mover, raw.cast(), layout).map_or(raw, NonNull::cast);
        *owner = Vec::from_raw_parts(new.as_ptr(), len, capacity);
    }
}

/// Moves the elements of a boxed slice.
pub fn slice<T>(mover: &mut dyn Mover, owner: &mut Box<[T]>) {
    if size_of_val(&**owner) > LARGEST || owner.is_empty() {
        return;
    }
    // Neither way copies: a boxed slice is a vector without spare room.
    let mut elements = std::mem::take(owner).into_vec();
    vec(mover, &mut elements);
    *owner = elements.into_boxed_slice();
}

/// Moves the elements of a deque. They may be rotated in their block first, which is at most [`LARGEST`] bytes.
pub fn deque<T>(mover: &mut dyn Mover, owner: &mut VecDeque<T>) {
    if owner.capacity().saturating_mul(size_of::<T>()) > LARGEST || owner.capacity() == 0 {
        return;
    }
    let mut elements = Vec::from(std::mem::take(owner));
    vec(mover, &mut elements);
    *owner = elements.into();
}

/// Moves shared bytes that nobody shares; those that a reply holds are left alone.
pub fn shared_bytes(mover: &mut dyn Mover, owner: &mut Arc<Vec<u8>>) {
    let Some(bytes) = Arc::get_mut(owner) else {
        return;
    };
    vec(mover, bytes);
    let at = NonNull::from(&*bytes).cast();
    mover.remake(at, size_of::<Vec<u8>>() + 16, &mut || {
        if let Some(bytes) = Arc::get_mut(owner) {
            *owner = Arc::new(std::mem::take(bytes));
        }
    });
}

/// Moves every block it is shown: for tests, and it runs under Miri.
#[cfg(test)]
#[derive(Default)]
pub struct MoveAll {
    /// Blocks moved so far.
    pub moved: u64,
    /// Copies whose original is not freed yet.
    open: usize,
}

#[cfg(test)]
impl Mover for MoveAll {
    unsafe fn copy(&mut self, p: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the layout is not empty; the new block does not overlap the old one, and both have its size.
        let new = unsafe {
            let new = NonNull::new(std::alloc::alloc(layout))?;
            // Typed as what may be uninitialised: spare room of vectors is.
            let from = p.cast::<std::mem::MaybeUninit<u8>>().as_ptr();
            std::ptr::copy_nonoverlapping(from, new.cast().as_ptr(), layout.size());
            new
        };
        (self.moved, self.open) = (self.moved + 1, self.open + 1);
        Some(new)
    }

    unsafe fn free(&mut self, p: NonNull<u8>, layout: Layout) {
        self.open -= 1;
        // SAFETY: the caller's promise.
        unsafe { std::alloc::dealloc(p.as_ptr(), layout) }
    }

    fn moved(&self) -> u64 {
        self.moved
    }

    fn remake(&mut self, _: NonNull<u8>, _: usize, make: &mut dyn FnMut()) {
        self.moved += 1;
        make();
    }
}

#[cfg(test)]
impl Drop for MoveAll {
    fn drop(&mut self) {
        assert_eq!(self.open, 0, "every original of a copy was freed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_keep_what_they_own() {
        let mut m = MoveAll::default();
        let mut b = Box::new((7u64, String::from("text")));
        let before = &raw const *b;
        boxed(&mut m, &mut b);
        assert!(*b == (7, "text".into()) && &raw const *b != before);
        let mut v = Vec::with_capacity(10);
        v.extend(["a".to_string(), "b".to_string()]);
        vec(&mut m, &mut v);
        v.push("c".into());
        assert_eq!((v.join(""), v.capacity()), ("abc".into(), 10));
        let mut s: Box<[u16]> = (0..100).collect();
        slice(&mut m, &mut s);
        assert!(s.iter().copied().eq(0..100));
        let mut d: VecDeque<String> = (0..5).map(|i| i.to_string()).collect();
        d.rotate_left(2);
        d.push_front("x".into());
        deque(&mut m, &mut d);
        assert_eq!(Vec::from(d).join(""), "x23401");
        assert_eq!(m.moved, 4);
        let mut a = Arc::new(vec![1u8, 2, 3]);
        shared_bytes(&mut m, &mut a);
        assert_eq!((a.as_slice(), m.moved), ([1, 2, 3].as_slice(), 6));
        let held = a.clone();
        shared_bytes(&mut m, &mut a);
        assert!(Arc::ptr_eq(&held, &a) && m.moved == 6, "shared: left alone");
    }

    #[test]
    fn what_owns_nothing_is_left_alone() {
        let mut m = MoveAll::default();
        boxed(&mut m, &mut Box::new(()));
        vec(&mut m, &mut Vec::<u64>::new());
        vec(&mut m, &mut vec![(); 9]);
        slice(&mut m, &mut Box::<[u8]>::default());
        deque(&mut m, &mut VecDeque::<u8>::new());
        vec(&mut m, &mut vec![0u8; LARGEST + 1]);
        assert_eq!(m.moved, 0);
    }
}
