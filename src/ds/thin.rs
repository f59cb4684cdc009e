//! `ThinBuf`: an owned byte blob behind one machine word.
//!
//! A `Vec<u8>` is three words; a value word in a keyspace entry has room for one. The blob therefore carries its own length:
//!
//! | offset | size | meaning                                                   |
//! |-------:|-----:|-----------------------------------------------------------|
//! |      0 |    4 | total length of the allocation, u32 little-endian, >= 4   |
//! |      4 |    n | body                                                      |
//!
//! The listpack header starts with exactly this field, so a listpack *is* a `ThinBuf`; other blobs (intset) use the body and
//! pay four bytes. The allocation is as long as the allocator's size class for that length ([`room`]), which it would be anyhow:
//! so a blob grows without a call into the allocator until the class is full, there is no capacity to store and no slack to waste.
//!
//! Invariant: `ptr` comes from the global allocator with `layout(len)`, where `len` is what the first four bytes say. Safe code
//! sees the prefix only for reading (`as_slice`); `body_mut` starts behind it, so nothing outside this file can break it.

use crate::sys::relocate::{self, Mover};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ops::Range;
use std::ptr::NonNull;

/// Size of the length prefix in bytes; body offsets start here.
pub const PREFIX: usize = 4;

/// One-word owner of a length-prefixed blob; see the file header.
pub struct ThinBuf {
    ptr: NonNull<u8>,
}

// SAFETY: ThinBuf owns its bytes exclusively, like Box<[u8]>; there is no shared or thread-bound state behind the pointer.
unsafe impl Send for ThinBuf {}
// SAFETY: as above; `&ThinBuf` gives out only `&[u8]`.
unsafe impl Sync for ThinBuf {}

/// Bytes allocated for a blob of `len` bytes in total: jemalloc's size class. Source: jemalloc(3), table of size classes (8, then
/// multiples of 8 up to 64, then four to each doubling up to 32 KB, then pages).
#[inline]
fn room(len: usize) -> usize {
    if len <= 8 {
        return 8;
    }
    let step = 1 << (len - 1).ilog2().saturating_sub(2).clamp(3, 12);
    len.next_multiple_of(step)
}

/// The layout of a blob of `len` bytes in total. Eight-byte alignment keeps the low pointer bits free for callers' tags.
#[inline]
fn layout(len: usize) -> Layout {
    Layout::from_size_align(room(len), 8).expect("blob length within isize")
}

fn check_len(len: usize) -> u32 {
    assert!(len >= PREFIX, "blob shorter than its prefix");
    u32::try_from(len).expect("blob longer than 4 GiB")
}

impl ThinBuf {
    /// A blob whose body is `body`. Panics when the whole exceeds `u32::MAX` bytes (callers keep limits far below).
    pub fn from_body(body: &[u8]) -> Self {
        Self::from_parts(&[body])
    }

    /// A blob from its complete bytes. The first four are replaced by the true length; `whole` has at least four bytes.
    pub fn from_slice(whole: &[u8]) -> Self {
        Self::from_parts(&[&whole[PREFIX..]])
    }

    /// A blob whose body is the concatenation of `parts`.
    pub fn from_parts(parts: &[&[u8]]) -> Self {
        let len = PREFIX + parts.iter().map(|p| p.len()).sum::<usize>();
        let prefix = check_len(len);
        // SAFETY: the layout has non-zero size (len >= 4).
        let raw = unsafe { alloc(layout(len)) };
        let Some(ptr) = NonNull::new(raw) else {
            handle_alloc_error(layout(len))
        };
        // SAFETY: the allocation has `len` bytes at least: the prefix, then exactly the parts; it is fresh, so it overlaps nothing.
        unsafe {
            write_prefix(ptr, prefix);
            write_parts(ptr, PREFIX, parts);
        }
        ThinBuf { ptr }
    }

    /// Total length including the prefix.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty)] // a blob always has its prefix
    pub fn len(&self) -> usize {
        // SAFETY: by the invariant the first four bytes are initialised and readable.
        let prefix = unsafe { self.ptr.cast::<[u8; PREFIX]>().read() };
        u32::from_le_bytes(prefix) as usize
    }

    /// The whole blob, prefix included.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the invariant: `len` initialised bytes at `ptr`, owned by self.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len()) }
    }

    /// The blob behind the prefix.
    #[inline(always)]
    pub fn body(&self) -> &[u8] {
        &self.as_slice()[PREFIX..]
    }

    /// The blob behind the prefix, writable. The prefix itself is not reachable, see the invariant.
    #[inline(always)]
    pub fn body_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        // SAFETY: `len - PREFIX` initialised bytes follow the prefix; &mut self makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().add(PREFIX), len - PREFIX) }
    }

    /// Replaces the bytes at `range` (offsets in the whole blob, not below [`PREFIX`]) by the concatenation of `parts`.
    /// Panics on a range outside the blob, or when the result would exceed `u32::MAX` bytes.
    pub fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) {
        let old = self.len();
        assert!(
            PREFIX <= range.start && range.start <= range.end && range.end <= old,
            "range outside the blob"
        );
        let added = parts.iter().map(|p| p.len()).sum::<usize>();
        let new = old - range.len() + added;
        let prefix = check_len(new);
        let tail = old - range.end;
        if new > old {
            self.reallocate(old, new);
        }
        // SAFETY: at this point the allocation holds at least max(old, new) bytes. The tail [range.end, old) is initialised and moves to
        // [range.start + added, new), both inside; the gap is then filled completely by the parts, which borrow other memory.
        unsafe {
            let p = self.ptr.as_ptr();
            if new != old {
                std::ptr::copy(p.add(range.end), p.add(range.start + added), tail);
            }
            write_parts(self.ptr, range.start, parts);
        }
        if new < old {
            self.reallocate(old, new);
        }
        // SAFETY: four bytes at least; this restores the invariant after the size changed.
        unsafe { write_prefix(self.ptr, prefix) };
    }

    /// Grows with zero bytes or cuts the end so that the whole blob has `len` bytes (at least [`PREFIX`]).
    pub fn resize(&mut self, len: usize) {
        let old = self.len();
        let prefix = check_len(len);
        if len == old {
            return;
        }
        self.reallocate(old, len);
        // SAFETY: the allocation now has `len` bytes at least; bytes past `old` are fresh and get initialised here.
        unsafe {
            if len > old {
                self.ptr.as_ptr().add(old).write_bytes(0, len - old);
            }
            write_prefix(self.ptr, prefix);
        }
    }

    /// Lets `mover` move the blob.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        let layout = layout(self.len());
        // SAFETY: the invariant: allocated with this layout, and `self` is the only owner.
        if let Some(new) = unsafe { relocate::relocate(mover, self.ptr, layout) } {
            self.ptr = new;
        }
    }

    /// Gives up ownership; the word must come back through [`ThinBuf::from_raw`] to be freed.
    pub fn into_raw(self) -> NonNull<u8> {
        let ptr = self.ptr;
        std::mem::forget(self);
        ptr
    }

    /// Takes ownership back.
    ///
    /// # Safety
    /// `ptr` comes from [`ThinBuf::into_raw`] and nobody else uses or frees it.
    pub unsafe fn from_raw(ptr: NonNull<u8>) -> Self {
        ThinBuf { ptr }
    }

    /// Makes the allocation that of a blob of `new` bytes, which was of `old`; the caller sets the prefix afterwards.
    #[inline]
    fn reallocate(&mut self, old: usize, new: usize) {
        if room(old) == room(new) {
            return;
        }
        // SAFETY: the block was allocated with layout(old); new is non-zero and its room fits isize (checked by check_len).
        let raw = unsafe { realloc(self.ptr.as_ptr(), layout(old), room(new)) };
        self.ptr = NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout(new)));
    }
}

/// # Safety
/// At least four bytes are writable at `ptr`.
#[inline(always)]
unsafe fn write_prefix(ptr: NonNull<u8>, len: u32) {
    // SAFETY: the caller's promise.
    unsafe { ptr.cast::<[u8; PREFIX]>().write(len.to_le_bytes()) }
}

/// # Safety
/// From `at` on, as many bytes as all parts together are writable at `ptr`, and none of the parts lies there.
#[inline(always)]
unsafe fn write_parts(ptr: NonNull<u8>, mut at: usize, parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), ptr.as_ptr().add(at), part.len()) };
        at += part.len();
    }
}

impl Drop for ThinBuf {
    fn drop(&mut self) {
        let len = self.len();
        // SAFETY: the invariant: allocated with layout(len), owned by self, not used after.
        unsafe { dealloc(self.ptr.as_ptr(), layout(len)) }
    }
}

impl Clone for ThinBuf {
    fn clone(&self) -> Self {
        Self::from_body(self.body())
    }
}

impl PartialEq for ThinBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}
impl Eq for ThinBuf {}

impl std::fmt::Debug for ThinBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ThinBuf({:02x?})", self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::{Rng, rounds};

    fn check_invariants(buf: &ThinBuf, model: &[u8]) {
        assert_eq!(buf.body(), model);
        assert_eq!(buf.len(), model.len() + PREFIX);
        assert_eq!(
            &buf.as_slice()[..PREFIX],
            (buf.len() as u32).to_le_bytes().as_slice()
        );
    }

    #[test]
    #[cfg(not(miri))]
    fn no_more_is_asked_for_than_the_allocator_gives_anyhow() {
        for len in (PREFIX..70_000).chain([1 << 20, (1 << 20) + 1, 100_000_000, u32::MAX as usize])
        {
            assert_eq!(room(len), crate::sys::alloc::class_bytes(len), "{len}");
        }
    }

    #[test]
    fn one_word() {
        assert_eq!(size_of::<ThinBuf>(), 8);
        assert_eq!(size_of::<Option<ThinBuf>>(), 8);
    }

    #[test]
    fn random_splices_follow_a_vec() {
        let mut rng = Rng::new(1);
        let mut buf = ThinBuf::from_body(b"");
        let mut model: Vec<u8> = Vec::new();
        for step in 0..rounds(3000) {
            let a = rng.below(model.len() + 1);
            let b = a + rng.below(model.len() - a + 1).min(40);
            let one: Vec<u8> = (0..rng.below(30)).map(|_| rng.next_u64() as u8).collect();
            let two: Vec<u8> = (0..rng.below(9)).map(|_| rng.next_u64() as u8).collect();
            buf.splice(a + PREFIX..b + PREFIX, &[&one, &two]);
            model.splice(a..b, one.iter().chain(&two).copied());
            if step % 50 == 0 {
                let n = rng.below(model.len() * 2 + 1);
                buf.resize(n + PREFIX);
                model.resize(n, 0);
            }
            if step % 7 == 0 {
                let p = buf.into_raw();
                // SAFETY: p was handed out one line above.
                buf = unsafe { ThinBuf::from_raw(p) }.clone();
            }
            check_invariants(&buf, &model);
        }
    }

    #[test]
    fn body_mut_leaves_the_prefix_alone() {
        let mut buf = ThinBuf::from_slice(b"\0\0\0\0abc");
        buf.body_mut().fill(0xff);
        check_invariants(&buf, &[0xff; 3]);
    }

    #[test]
    #[should_panic(expected = "range outside the blob")]
    fn the_prefix_cannot_be_spliced() {
        ThinBuf::from_body(b"abc").splice(0..4, &[]);
    }
}
