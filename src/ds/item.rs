//! Elements of the big collections: set members, hash fields, sorted-set members. One exact allocation each.
//!
//! | item | layout | example |
//! |---|---|---|
//! | [`SetMember`] | `len varint`, bytes | 16 bytes: 17, class 24 |
//! | [`HashField`] | `field len varint`, `value len * 2 + has expire varint`, `[expire i64 ms]`, field, value | 16 + 16: 34, class 40 |
//! | [`ScoredMember`] | `score f64`, `len varint`, bytes | 17 bytes: 26, class 32 |
//!
//! Varints are little-endian groups of 7 bits, high bit = more; one byte up to 127 (63 for values). Allocations are
//! aligned to 8 and exactly as long as their content, so the allocator's classes of 8-byte steps fit tightly.
//! All three are thin owning pointers ([`Item`]) that the table stores.

use super::table::{Item, Ref};
use crate::sys::relocate::Mover;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

/// Longest varint of a `u64`.
const MAX_VARINT: usize = 10;

/// Bytes that `v` takes as a varint.
#[inline(always)]
fn varint_len(v: u64) -> usize {
    (63 - (v | 1).leading_zeros() as usize) / 7 + 1
}

/// Writes `v` at `p`; the position behind it.
///
/// # Safety
/// `varint_len(v)` bytes at `p` may be written.
#[inline(always)]
unsafe fn put_varint(mut p: *mut u8, mut v: u64) -> *mut u8 {
    // SAFETY: as many bytes as `varint_len` counts.
    unsafe {
        while v >= 0x80 {
            *p = v as u8 | 0x80;
            p = p.add(1);
            v >>= 7;
        }
        *p = v as u8;
        p.add(1)
    }
}

/// Reads the varint at `p`; the value and the position behind it.
///
/// # Safety
/// A varint written by [`put_varint`] lies at `p`.
#[inline(always)]
unsafe fn get_varint(p: *const u8) -> (usize, *const u8) {
    // SAFETY: the varint ends before the allocation does.
    unsafe {
        let first = *p;
        if first < 0x80 {
            return (first as usize, p.add(1));
        }
        long_varint(p)
    }
}

/// # Safety
/// As [`get_varint`].
#[cold]
unsafe fn long_varint(mut p: *const u8) -> (usize, *const u8) {
    let mut v = 0;
    for shift in (0..7 * MAX_VARINT).step_by(7) {
        // SAFETY: as in `get_varint`.
        let byte = unsafe { *p };
        // SAFETY: one behind a byte of the allocation.
        p = unsafe { p.add(1) };
        v |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    (v, p)
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("item size fits the address space")
}

fn allocate(size: usize) -> NonNull<u8> {
    let layout = layout(size);
    // SAFETY: every item has at least one byte.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Writes `bytes` at `p`; the position behind them.
///
/// # Safety
/// That many bytes at `p` may be written and do not overlap `bytes`.
#[inline(always)]
unsafe fn put_bytes(p: *mut u8, bytes: &[u8]) -> *mut u8 {
    // SAFETY: promised by the caller.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), p, bytes.len());
        p.add(bytes.len())
    }
}

macro_rules! thin_item {
    ($name:ident) => {
        // SAFETY: the item owns its allocation alone, like a Box.
        unsafe impl Send for $name {}

        // SAFETY: transparent over NonNull, 8-byte aligned allocations of user space, keys inside the allocation and
        // never changed.
        unsafe impl Item for $name {
            #[inline(always)]
            fn key(&self) -> &[u8] {
                self.key_bytes()
            }
            #[inline(always)]
            fn into_raw(self) -> NonNull<u8> {
                let raw = self.0;
                std::mem::forget(self);
                raw
            }
            #[inline(always)]
            unsafe fn from_raw(raw: NonNull<u8>) -> Self {
                $name(raw)
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: allocated with exactly this size.
                unsafe { dealloc(self.0.as_ptr(), layout(self.size())) }
            }
        }

        impl $name {
            /// Bytes of the allocation as asked for (the allocator rounds up to a class).
            pub fn alloc_size(&self) -> usize {
                self.size()
            }

            /// Another block with the same bytes, if there is a better place: until [`Self::settle`] both exist.
            fn copied(&self, mover: &mut dyn Mover) -> Option<NonNull<u8>> {
                // SAFETY: allocated with exactly this size; the caller frees the one or the other.
                unsafe { mover.copy(self.0, layout(self.size())) }
            }

            /// Frees the old block and owns the copy.
            fn settle(&mut self, copy: NonNull<u8>, mover: &mut dyn Mover) {
                let size = self.size();
                let old = std::mem::replace(&mut self.0, copy);
                // SAFETY: `copied` made the copy of this block, which nobody points to any more.
                unsafe { mover.free(old, layout(size)) }
            }

            /// Bytes of the allocator's class that holds it.
            pub fn class_size(&self) -> usize {
                crate::sys::alloc::class_bytes(self.size())
            }
        }
    };
}

/// A member of a set.
#[repr(transparent)]
pub struct SetMember(NonNull<u8>);
thin_item!(SetMember);

impl SetMember {
    /// A copy of `member`.
    pub fn new(member: &[u8]) -> Self {
        let len = member.len() as u64;
        let p = allocate(varint_len(len) + member.len());
        // SAFETY: the allocation is as long as what is written.
        unsafe { put_bytes(put_varint(p.as_ptr(), len), member) };
        SetMember(p)
    }

    #[inline(always)]
    fn key_bytes(&self) -> &[u8] {
        // SAFETY: the layout written by `new`.
        unsafe {
            let (len, p) = get_varint(self.0.as_ptr());
            std::slice::from_raw_parts(p, len)
        }
    }

    /// The member's bytes.
    #[inline(always)]
    pub fn member(&self) -> &[u8] {
        self.key_bytes()
    }

    fn size(&self) -> usize {
        let len = self.member().len();
        varint_len(len as u64) + len
    }
}

/// A field of a hash with its value and perhaps an expire time.
#[repr(transparent)]
pub struct HashField(NonNull<u8>);
thin_item!(HashField);

/// Where the parts of a hash field lie.
struct FieldParts {
    expire: Option<*mut u8>,
    field: *mut u8,
    field_len: usize,
    value_len: usize,
}

impl SetMember {
    /// Lets `mover` move the block.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        if let Some(copy) = self.copied(mover) {
            self.settle(copy, mover);
        }
    }
}

impl HashField {
    /// Lets `mover` move the block.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        if let Some(copy) = self.copied(mover) {
            self.settle(copy, mover);
        }
    }

    /// A copy of `field` and `value`; `expire_ms` is absolute Unix time.
    pub fn new(field: &[u8], value: &[u8], expire_ms: Option<i64>) -> Self {
        let value_word = Self::value_word(value.len(), expire_ms.is_some());
        let p = allocate(Self::size_of(field.len(), value.len(), expire_ms.is_some()));
        // SAFETY: the allocation is as long as what is written.
        unsafe {
            let mut at = put_varint(p.as_ptr(), field.len() as u64);
            at = put_varint(at, value_word);
            if let Some(ms) = expire_ms {
                at = put_bytes(at, &ms.to_ne_bytes());
            }
            put_bytes(put_bytes(at, field), value);
        }
        HashField(p)
    }

    fn value_word(value_len: usize, expires: bool) -> u64 {
        (value_len as u64) << 1 | u64::from(expires)
    }

    fn size_of(field_len: usize, value_len: usize, expires: bool) -> usize {
        varint_len(field_len as u64)
            + varint_len(Self::value_word(value_len, expires))
            + if expires { 8 } else { 0 }
            + field_len
            + value_len
    }

    #[inline(always)]
    fn parts(&self) -> FieldParts {
        // SAFETY: the layout written by `new`.
        unsafe {
            let (field_len, p) = get_varint(self.0.as_ptr());
            let (word, p) = get_varint(p);
            let (p, expires) = (p.cast_mut(), word & 1 != 0);
            FieldParts {
                expire: expires.then_some(p),
                field: if expires { p.add(8) } else { p },
                field_len,
                value_len: word >> 1,
            }
        }
    }

    #[inline(always)]
    fn key_bytes(&self) -> &[u8] {
        let parts = self.parts();
        // SAFETY: the field's bytes inside the allocation.
        unsafe { std::slice::from_raw_parts(parts.field, parts.field_len) }
    }

    /// The field's name.
    #[inline(always)]
    pub fn field(&self) -> &[u8] {
        self.key_bytes()
    }

    /// The value.
    #[inline(always)]
    pub fn value(&self) -> &[u8] {
        let parts = self.parts();
        // SAFETY: the value's bytes follow the field inside the allocation.
        unsafe { std::slice::from_raw_parts(parts.field.add(parts.field_len), parts.value_len) }
    }

    /// When the field expires, in absolute Unix milliseconds.
    #[inline(always)]
    pub fn expire(&self) -> Option<i64> {
        // SAFETY: eight bytes of the allocation, any alignment.
        let read = |p: *mut u8| unsafe { p.cast::<i64>().read_unaligned() };
        self.parts().expire.map(read)
    }

    fn size(&self) -> usize {
        let p = self.parts();
        Self::size_of(p.field_len, p.value_len, p.expire.is_some())
    }

    /// Replaces the value; field and expire time stay. The allocation may move.
    pub fn set_value(&mut self, value: &[u8]) {
        let parts = self.parts();
        let expires = parts.expire.is_some();
        let old = varint_len(Self::value_word(parts.value_len, expires));
        if varint_len(Self::value_word(value.len(), expires)) != old {
            *self = HashField::new(self.field(), value, self.expire());
            return;
        }
        let size = Self::size_of(parts.field_len, parts.value_len, expires);
        let new_size = size - parts.value_len + value.len();
        if new_size != size {
            let layout_now = layout(size);
            let wanted = layout(new_size);
            // SAFETY: allocated with `layout_now`; the new size is a valid layout above zero.
            let p = unsafe { realloc(self.0.as_ptr(), layout_now, wanted.size()) };
            self.0 = NonNull::new(p).unwrap_or_else(|| handle_alloc_error(wanted));
        }
        // SAFETY: the header is as wide as before, and the allocation fits the new value; `value` cannot overlap it, as it
        // is borrowed from elsewhere while `self` is exclusive.
        unsafe {
            let at = self.0.as_ptr().add(varint_len(parts.field_len as u64));
            let at = put_varint(at, Self::value_word(value.len(), expires));
            let at = at.add(if expires { 8 } else { 0 } + parts.field_len);
            put_bytes(at, value);
        }
    }

    /// Sets or removes the expire time. The allocation moves when one appears or goes.
    pub fn set_expire(&mut self, expire_ms: Option<i64>) {
        match (self.parts().expire, expire_ms) {
            // SAFETY: eight bytes of the allocation, any alignment.
            (Some(p), Some(ms)) => unsafe { p.cast::<i64>().write_unaligned(ms) },
            (None, None) => {}
            _ => *self = HashField::new(self.field(), self.value(), expire_ms),
        }
    }
}

impl<'a> Ref<'a, HashField> {
    /// The value, for as long as the table is borrowed (not only this guard).
    #[inline(always)]
    pub fn into_value(self) -> &'a [u8] {
        // SAFETY: the value lies in the item's allocation.
        unsafe { self.project(HashField::value) }
    }
}

/// A member of a sorted set with its score. It moves by [`ScoredMember::relocate`] only, which tells the ordered index: that one keeps
/// [`ScoredPtr`]s to it.
#[repr(transparent)]
pub struct ScoredMember(NonNull<u8>);
thin_item!(ScoredMember);

impl ScoredMember {
    /// Lets `mover` move the block; `moved` is told the old and the new address while both blocks are there, if so.
    pub fn relocate(&mut self, mover: &mut dyn Mover, moved: &mut dyn FnMut(ScoredPtr, ScoredPtr)) {
        if let Some(copy) = self.copied(mover) {
            moved(ScoredPtr(self.0), ScoredPtr(copy));
            self.settle(copy, mover);
        }
    }

    /// A copy of `member` with this score.
    pub fn new(score: f64, member: &[u8]) -> Self {
        let len = member.len() as u64;
        let p = allocate(8 + varint_len(len) + member.len());
        // SAFETY: the allocation is as long as what is written, and aligned to 8.
        unsafe {
            p.cast::<f64>().write(score);
            put_bytes(put_varint(p.as_ptr().add(8), len), member);
        }
        ScoredMember(p)
    }

    #[inline(always)]
    fn key_bytes(&self) -> &[u8] {
        // SAFETY: alive while `self` is.
        unsafe { self.as_ptr().member() }
    }

    /// The member's bytes.
    #[inline(always)]
    pub fn member(&self) -> &[u8] {
        self.key_bytes()
    }

    /// The score.
    #[inline(always)]
    pub fn score(&self) -> f64 {
        // SAFETY: alive while `self` is.
        unsafe { self.as_ptr().score() }
    }

    /// Changes the score in place. An ordered index must have let go of the member before.
    #[inline(always)]
    pub fn set_score(&mut self, score: f64) {
        // SAFETY: the first eight bytes of the allocation, aligned.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    /// A copyable handle, good until the member is dropped.
    #[inline(always)]
    pub fn as_ptr(&self) -> ScoredPtr {
        ScoredPtr(self.0)
    }

    fn size(&self) -> usize {
        let len = self.member().len();
        8 + varint_len(len as u64) + len
    }
}

/// A plain pointer to a [`ScoredMember`]'s bytes (`score f64, len varint, bytes`), for indexes that do not own it.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScoredPtr(NonNull<u8>);

// SAFETY: a plain address; whoever dereferences it promises that the member lives and is not changed meanwhile.
unsafe impl Send for ScoredPtr {}

impl ScoredPtr {
    /// The address of the member's bytes.
    #[inline(always)]
    pub fn as_raw(self) -> NonNull<u8> {
        self.0
    }

    /// A handle from an address that [`Self::as_raw`] gave.
    ///
    /// # Safety
    /// `raw` is the address of a [`ScoredMember`]'s bytes.
    #[inline(always)]
    pub unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        ScoredPtr(raw)
    }

    /// The score.
    ///
    /// # Safety
    /// The member is alive.
    #[inline(always)]
    pub unsafe fn score(self) -> f64 {
        // SAFETY: the first eight bytes of a live member, aligned.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// The member's bytes.
    ///
    /// # Safety
    /// The member is alive for `'a`.
    #[inline(always)]
    pub unsafe fn member<'a>(self) -> &'a [u8] {
        // SAFETY: the layout written by `ScoredMember::new`.
        unsafe {
            let (len, p) = get_varint(self.0.as_ptr().add(8));
            std::slice::from_raw_parts(p, len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::ds::rng::{Rng, rounds};
    use crate::ds::table::Table;
    use std::collections::HashMap;

    fn bytes(r: &mut Rng, len: usize) -> Vec<u8> {
        // Both ends at random; the middle of a long one is all the same, which Miri makes a thousand times quicker.
        let mut all = vec![r.next_u64() as u8; len];
        let end = len.saturating_sub(20);
        all.iter_mut()
            .take(20)
            .for_each(|b| *b = r.next_u64() as u8);
        all[end..].iter_mut().for_each(|b| *b = r.next_u64() as u8);
        all
    }

    #[test]
    fn sizes_fit_the_allocator_classes() {
        assert_eq!(SetMember::new(&[1; 16]).alloc_size(), 17);
        assert_eq!(HashField::new(&[1; 16], &[2; 16], None).alloc_size(), 34);
        assert_eq!(HashField::new(&[1; 16], &[2; 14], Some(1)).alloc_size(), 40);
        assert_eq!(ScoredMember::new(1.0, &[1; 17]).alloc_size(), 26);
        assert_eq!(size_of::<Option<SetMember>>(), 8);
    }

    #[test]
    fn varints_round_trip() {
        let edges = (0..64).flat_map(|s| [(1u64 << s) - 1, 1 << s, (1 << s) + 1]);
        for v in edges.chain([u64::MAX]) {
            let mut buf = [0xaau8; MAX_VARINT + 1];
            // SAFETY: the buffer holds the longest varint.
            unsafe {
                let end = put_varint(buf.as_mut_ptr(), v);
                let len = end.offset_from(buf.as_ptr()) as usize;
                assert_eq!(len, varint_len(v));
                assert_eq!(buf[len], 0xaa);
                assert_eq!(get_varint(buf.as_ptr()), (v as usize, end.cast_const()));
            }
        }
    }

    #[test]
    fn members_of_every_length() {
        let mut r = Rng::new(1);
        for len in (0..300).chain([16_383, 16_384, 2_097_151, 2_097_152]) {
            let b = bytes(&mut r, len);
            assert_eq!(SetMember::new(&b).member(), b);
            let mut m = ScoredMember::new(-1.5, &b);
            assert_eq!((m.member(), m.score()), (&b[..], -1.5));
            m.set_score(f64::INFINITY);
            let p = m.as_ptr();
            // SAFETY: `m` is alive.
            let (member, score) = unsafe { (p.member(), p.score()) };
            assert_eq!((member, score), (&b[..], f64::INFINITY));
        }
    }

    #[test]
    fn hash_fields_agree_with_a_model() {
        type Model = HashMap<Vec<u8>, (Vec<u8>, Option<i64>)>;
        let mut r = Rng::new(2);
        let (mut t, mut model) = (Table::<HashField>::new(), Model::new());
        for _ in 0..rounds(30_000) {
            let len = r.below(200) * usize::from(r.below(3) == 0);
            let field = format!("{}{}", r.below(300), "f".repeat(len / 10)).into_bytes();
            let h = hash(&field);
            let lens = [0, 5, 62, 63, 64, 65, 8_190, 8_191, 8_192, r.below(300)];
            let value_len = lens[r.below(lens.len())];
            let value = bytes(&mut r, value_len);
            let expire = (r.below(2) == 0).then(|| r.next_u64() as i64);
            let action = r.below(6);
            if !t.contains(h, &field) {
                t.insert_new(h, HashField::new(&field, &value, expire));
                model.insert(field, (value, expire));
                continue;
            }
            if action == 4 {
                let gone = t.remove(h, &field).unwrap();
                let (value, expire) = model.remove(&field).unwrap();
                assert_eq!((gone.value(), gone.expire()), (&value[..], expire));
                continue;
            }
            let mut f = t.find_mut(h, &field).unwrap();
            match action {
                0..=1 => {
                    f.set_value(&value);
                    model.get_mut(&field).unwrap().0 = value;
                }
                2 => {
                    f.set_expire(expire);
                    model.get_mut(&field).unwrap().1 = expire;
                }
                3 => {
                    drop(f.replace(HashField::new(&field, &value, expire)));
                    model.insert(field, (value, expire));
                }
                _ => {
                    let (value, expire) = &model[&field];
                    let size = HashField::size_of(field.len(), value.len(), expire.is_some());
                    assert_eq!((f.field(), f.alloc_size()), (&field[..], size));
                    assert_eq!((f.value(), f.expire()), (&value[..], *expire));
                }
            }
        }
        t.check_invariants();
        assert!(t.len() > 100 && t.len() == model.len());
        for f in &t {
            let (value, expire) = &model[f.field()];
            assert_eq!((f.value(), f.expire()), (&value[..], *expire));
            assert_eq!(f.clone().into_value(), &value[..]);
        }
    }
}
