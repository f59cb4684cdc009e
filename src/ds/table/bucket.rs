//! Buckets, segments and the arithmetic of positions: the ground of the table.
//!
//! A bucket is one cache line:
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 7 | tag of each slot, 0 = slot is empty |
//! | 7 | 1 | overflow: how many entries whose probe passed this bucket lie further on (255 sticks) |
//! | 8 | 56 | seven slots: `position:16 | pointer:45 | 0:2 | mark:1` |
//!
//! A directory word is `depth:7 | mantissa:9 | pointer:42 | shift:6` with `buckets = mantissa << shift`: ordinary segments
//! (up to 511 buckets) need no shift; it lets a segment of colliding hashes grow without bound.
//!
//! The position bits kept beside the pointer are the 16 hash bits from bit `depth & !3` on, so a rebuild at the same
//! depth, and three of four splits and merges, read no item at all.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// Slots of a bucket.
pub(super) const SLOTS: usize = 7;
/// The pointer's bits in a slot: 48-bit addresses, 8-byte aligned.
pub(super) const POINTER: u64 = 0x0000_ffff_ffff_fff8;
/// The mark bit of a slot.
pub(super) const MARK: u64 = 1;
/// A segment reaches this many buckets (14336 bytes, jemalloc's largest small class) before it is split.
pub(super) const SPLIT_AT: usize = 224;
/// Deepest directory: 36 + 16 position bits leave the 12 bits that a cursor drops, and the 8 of the tag.
pub(super) const MAX_DEPTH: u32 = 36;

const SEGMENT_POINTER: u64 = 0x0000_ffff_ffff_ffc0;
const STICKY: u8 = 255;
const WINDOW: u32 = 3;

/// One cache line of seven slots.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub tags: [u8; 8],
    pub slots: [u64; SLOTS],
}

impl Bucket {
    /// Bit set of the slots whose tag is `t`.
    #[inline(always)]
    #[cfg(target_arch = "x86_64")]
    pub fn matches(&self, t: u8) -> u32 {
        use core::arch::x86_64::*;
        // SAFETY: SSE2 is part of x86_64.
        unsafe {
            let v = _mm_cvtsi64_si128(i64::from_ne_bytes(self.tags));
            _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(t as i8))) as u32 & 0x7f
        }
    }

    /// Bit set of the slots whose tag is `t`.
    #[inline(always)]
    #[cfg(not(target_arch = "x86_64"))]
    pub fn matches(&self, t: u8) -> u32 {
        swar_matches(self.tags, t)
    }

    /// Bit set of the occupied slots.
    #[inline(always)]
    pub fn used(&self) -> u32 {
        !self.matches(0) & 0x7f
    }

    /// Entries that passed this bucket; 0 ends every probe.
    #[inline(always)]
    pub fn overflow(&self) -> u8 {
        self.tags[SLOTS]
    }

    #[inline(always)]
    fn passed(&mut self) {
        self.tags[SLOTS] = self.tags[SLOTS].saturating_add(1);
    }

    /// Takes back one [`Self::passed`]; a count that saturated stays until the segment is rebuilt.
    #[inline(always)]
    pub fn unpassed(&mut self) {
        if self.tags[SLOTS] != STICKY {
            self.tags[SLOTS] -= 1;
        }
    }
}

/// Tag comparison in a plain 64-bit word, for machines without SSE2.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn swar_matches(tags: [u8; 8], t: u8) -> u32 {
    const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let x = u64::from_le_bytes(tags) ^ (u64::from(t) * 0x0101_0101_0101_0101);
    let zero = !(((x & LOW7) + LOW7) | x | LOW7) >> 7;
    (zero.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32 & 0x7f
}

/// Bits of the occupied slots, lowest first.
#[derive(Clone, Copy)]
pub(super) struct Bits(pub u32);

impl Iterator for Bits {
    type Item = usize;
    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let i = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(i)
    }
}

/// The tag of a hash: its low byte, with 0 reserved for empty slots.
#[inline(always)]
pub(super) fn tag(h: u64) -> u8 {
    (h as u8).max(1)
}

/// The 16 position bits kept in a slot of a segment at `depth`.
#[inline(always)]
pub(super) fn position(h: u64, depth: u32) -> u64 {
    (h << (depth & !WINDOW)) >> 48
}

/// Whether two depths keep the same position bits.
#[inline(always)]
pub(super) fn same_window(a: u32, b: u32) -> bool {
    a & !WINDOW == b & !WINDOW
}

/// The half an entry of a segment at `depth` falls into when that segment is split, from its position bits.
#[inline(always)]
pub(super) fn side_of_position(pos: u64, depth: u32) -> usize {
    (pos >> (15 - (depth & WINDOW))) as usize & 1
}

/// How many low bits of a 16-bit home position are always zero at `depth`.
#[inline(always)]
pub(super) fn grain(depth: u32) -> u32 {
    depth & WINDOW
}

/// Smallest bucket count of an allocator class that is at least `n` (and at least 1).
pub(super) fn class_at_least(n: usize) -> usize {
    const SMALL: [u16; 19] = [
        1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224,
    ];
    if let Some(c) = SMALL.iter().find(|c| usize::from(**c) >= n) {
        return usize::from(*c);
    }
    let mut quarter = 64;
    loop {
        if let Some(c) = (4..8).map(|m| m * quarter).find(|c| *c >= n) {
            return c;
        }
        quarter *= 2;
    }
}

/// A segment: `n` buckets that hold all hashes sharing their first `depth` bits, in hash order up to probing.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub ptr: *mut Bucket,
    pub n: usize,
    pub depth: u32,
}

impl Segment {
    /// A segment of `n` empty buckets; `n` is a class of [`class_at_least`].
    pub fn alloc(n: usize, depth: u32) -> Segment {
        let layout = Self::layout(n);
        // SAFETY: the layout has a size above zero.
        let ptr = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
        if ptr.is_null() {
            handle_alloc_error(layout);
        }
        Segment { ptr, n, depth }
    }

    fn layout(n: usize) -> Layout {
        Layout::array::<Bucket>(n).expect("segment size fits the address space")
    }

    /// The layout of its block.
    pub fn block_layout(self) -> Layout {
        Self::layout(self.n)
    }

    /// Frees the buckets, not the items.
    ///
    /// # Safety
    /// The segment is live and not used afterwards.
    pub unsafe fn free(self) {
        // SAFETY: allocated in `alloc` with this layout.
        unsafe { dealloc(self.ptr.cast(), Self::layout(self.n)) }
    }

    #[inline(always)]
    pub fn pack(self) -> u64 {
        let mut shift = 0;
        while self.n >> shift > 511 {
            shift += 1;
        }
        debug_assert_eq!(self.n >> shift << shift, self.n);
        self.ptr as u64 | shift | ((self.n >> shift) as u64) << 48 | u64::from(self.depth) << 57
    }

    #[inline(always)]
    pub fn unpack(word: u64) -> Segment {
        Segment {
            ptr: (word & SEGMENT_POINTER) as *mut Bucket,
            n: ((word >> 48) as usize & 0x1ff) << (word & 63),
            depth: (word >> 57) as u32,
        }
    }

    /// The bucket where an entry with these position bits belongs.
    #[inline(always)]
    pub fn home(self, pos: u64) -> usize {
        ((((pos << (self.depth & WINDOW)) & 0xffff) * self.n as u64) >> 16) as usize
    }

    /// The bucket `b`.
    ///
    /// # Safety
    /// The segment is live, `b < n`, and nobody holds a mutable reference to the bucket.
    #[inline(always)]
    pub unsafe fn bucket<'a>(self, b: usize) -> &'a Bucket {
        debug_assert!(b < self.n);
        // SAFETY: promised by the caller.
        unsafe { &*self.ptr.add(b) }
    }

    /// The bucket `b`, to change.
    ///
    /// # Safety
    /// As [`Self::bucket`], and nobody else holds a reference to it.
    #[inline(always)]
    pub unsafe fn bucket_mut<'a>(self, b: usize) -> &'a mut Bucket {
        debug_assert!(b < self.n);
        // SAFETY: promised by the caller.
        unsafe { &mut *self.ptr.add(b) }
    }

    #[inline(always)]
    pub fn after(self, b: usize) -> usize {
        if b + 1 == self.n { 0 } else { b + 1 }
    }

    /// Puts a slot word at or after its home.
    ///
    /// # Safety
    /// The segment is live, exclusively held, and has a free slot.
    #[inline(always)]
    pub unsafe fn put(self, t: u8, word: u64) {
        let mut b = self.home(word >> 48);
        loop {
            // SAFETY: `b < n`; exclusive by the caller's promise.
            let bucket = unsafe { self.bucket_mut(b) };
            let free = bucket.matches(0);
            if free != 0 {
                let i = free.trailing_zeros() as usize;
                bucket.tags[i] = t;
                bucket.slots[i] = word;
                return;
            }
            bucket.passed();
            b = self.after(b);
        }
    }

    /// Calls `f` with the tag and word of every occupied slot, in position order.
    ///
    /// # Safety
    /// The segment is live and not changed meanwhile.
    #[inline(always)]
    pub unsafe fn each(self, mut f: impl FnMut(u8, u64)) {
        for b in 0..self.n {
            // SAFETY: `b < n`.
            let bucket = unsafe { self.bucket(b) };
            for i in Bits(bucket.used()) {
                f(bucket.tags[i], bucket.slots[i]);
            }
        }
    }
}

/// Asks the processor to fetch the cache line at `p`; any address is allowed.
#[inline(always)]
pub(super) fn prefetch<P>(p: *const P) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(p.cast())
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_match_like_sse() {
        let mut r = crate::ds::rng::Rng::new(3);
        for _ in 0..crate::ds::rng::rounds(20_000) {
            let mut tags = r.next_u64().to_le_bytes();
            if r.below(2) == 0 {
                tags.iter_mut().for_each(|t| *t &= 0x81);
            }
            let t = tags[r.below(8)];
            let naive = (0..7).filter(|i| tags[*i] == t).fold(0, |m, i| m | 1 << i);
            let bucket = Bucket {
                tags,
                slots: [0; SLOTS],
            };
            assert_eq!(bucket.matches(t), naive);
            assert_eq!(swar_matches(tags, t), naive);
        }
    }

    #[test]
    fn directory_words_round_trip() {
        let mut n = 0;
        while n < 3_000_000 {
            n = class_at_least(n + 1);
            let s = Segment {
                ptr: 0x7fff_ffff_ffc0 as *mut Bucket,
                n,
                depth: MAX_DEPTH,
            };
            let u = Segment::unpack(s.pack());
            assert_eq!((u.ptr, u.n, u.depth), (s.ptr, s.n, s.depth));
        }
    }
}
