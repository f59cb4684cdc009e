//! The hash table of the house: keyspace, hashes, sets and the member index of sorted sets.
//!
//! Shape: a directory indexed by the top hash bits points to **segments** of cache-line buckets (see `bucket`). A segment
//! grows through allocator classes up to 224 buckets, then splits in two (`resize`). The home of an entry inside its
//! segment is a fixed-point product of the next 16 hash bits and the bucket count, so the whole table lies in hash order
//! and any bucket count will do. There is no second table and no incremental rehash: the work of one insert is bounded by
//! one segment, memory never doubles, and a forked child's pages are not all touched by growth.
//!
//! Colliding neighbours go to the next bucket of the same segment; a per-bucket overflow count tells a probe when to stop
//! (no tombstones). Small tables are one segment whose word is kept in the table itself: no directory, and an empty
//! table owns no memory.
//!
//! Cursors of [`Table::scan`] are lower bounds of the hash (`walk`), valid under any growth or shrink. Draws are in `sample`.
//!
//! Items are thin owning pointers ([`Item`]). A slot keeps one caller-defined **mark** bit beside the pointer (the keyspace
//! marks keys that have a TTL), so marked entries can be found by walking buckets without reading the others.
//!
//! Invariants (checked by `check_invariants`): an entry lies at its home or after it with every bucket in between counting
//! it in its overflow (255 sticks); per-segment counts live at the first directory index of the segment; `len` and `marked` are
//! the sums; a segment always has a free slot unless it is a single bucket; `widest >= n << depth` of every segment.
//!
//! Worst cases: hashes sharing a long prefix would double the directory at every split, so splitting stops at depth
//! `log2(len) - 4` (ordinary depth is `log2(len) - 10`) and the segment grows instead, without bound. Such a table is slow
//! on the colliding keys and bounded in memory; the seed of `ds::hash` is what keeps clients from building one.

mod bucket;
mod relocate;
mod resize;
mod sample;
#[cfg(test)]
mod tests;
mod walk;

use bucket::{Bits, Bucket, MARK, POINTER, Segment, position, prefetch, tag};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
pub use walk::{IntoIter, Iter};

/// An owning thin pointer that a [`Table`] can store: the table keeps the pointer's 45 bits and rebuilds the value from them.
///
/// # Safety
/// - The type is `repr(transparent)` over `NonNull<u8>`; `from_raw(into_raw(x))` is `x`.
/// - The pointer is 8-byte aligned and below 2^48.
/// - `key` points into the owned allocation (not into the handle) and stays valid and equal until the item is changed
///   through `&mut` or dropped; changing an item never changes its key or its hash.
pub unsafe trait Item: Sized {
    /// How full a segment may become, in percent, before it grows: 88 trades a little speed for memory.
    const LOAD_PERCENT: usize = 88;

    /// Whether the table counts its items by [`Item::class`].
    const COUNTED: bool = false;

    /// The class this item is counted in; it may change with the item, which the table notices (INFO keysizes).
    #[inline(always)]
    fn class(&self) -> u8 {
        0
    }

    /// The bytes this item is found by.
    fn key(&self) -> &[u8];

    /// The hash of the key; must equal the `h` that callers pass along with that key.
    #[inline(always)]
    fn hash(&self) -> u64 {
        crate::ds::hash::hash(self.key())
    }

    /// Gives up the ownership as a pointer.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes the ownership back.
    ///
    /// # Safety
    /// `raw` came from `into_raw`, and its owner is gone.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;
}

/// Where an item lies; see [`Table::locate`].
#[derive(Clone, Copy)]
pub struct Place(Hit);

/// How many items there are of each class.
pub type Classes = [u64; 256];

/// An item went from one class (if it was there) to another (if it still is).
#[inline]
fn recount(classes: &mut Option<Box<Classes>>, from: Option<u8>, to: Option<u8>) {
    let classes = classes.get_or_insert_with(|| Box::new([0; 256]));
    if let Some(from) = from {
        debug_assert!(classes[usize::from(from)] > 0, "class {from} is empty");
        classes[usize::from(from)] = classes[usize::from(from)].saturating_sub(1);
    }
    if let Some(to) = to {
        classes[usize::from(to)] += 1;
    }
}

/// A borrowed item, as `&'a T` would be if slots held plain pointers.
pub struct Ref<'a, T: Item> {
    item: ManuallyDrop<T>,
    table: PhantomData<&'a T>,
}

impl<'a, T: Item> Ref<'a, T> {
    /// # Safety
    /// `word` is an occupied slot of a table borrowed for `'a`.
    #[inline(always)]
    unsafe fn new(word: u64) -> Self {
        Ref {
            // SAFETY: the slot owns the item; ManuallyDrop keeps this copy from dropping it.
            item: unsafe { lend(word) },
            table: PhantomData,
        }
    }

    /// The key, for as long as the table is borrowed (not only this guard).
    #[inline(always)]
    pub fn into_key(self) -> &'a [u8] {
        // SAFETY: `Item::key` points into the allocation, which lives and rests while the table is borrowed.
        unsafe { self.project(T::key) }
    }

    /// A part of the item for as long as the table is borrowed.
    ///
    /// # Safety
    /// What `part` returns must point into the item's allocation, never at the handle it is given.
    #[inline(always)]
    pub unsafe fn project<R: ?Sized>(self, part: impl FnOnce(&T) -> &R) -> &'a R {
        let r: *const R = part(&self.item);
        // SAFETY: the allocation outlives `'a`, promised by the caller.
        unsafe { &*r }
    }
}

impl<T: Item> Clone for Ref<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        // SAFETY: a second shared borrow of the same item; neither copy drops it.
        let item = unsafe { std::ptr::read(&self.item) };
        Ref {
            item,
            table: PhantomData,
        }
    }
}

impl<T: Item> Deref for Ref<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.item
    }
}

/// An item borrowed to change it. The item may move (reallocate): its pointer is written back to the slot when the guard
/// is dropped, so never `mem::forget` one.
pub struct RefMut<'a, T: Item> {
    item: ManuallyDrop<T>,
    slot: &'a mut u64,
    marked: &'a mut usize,
    classes: &'a mut Option<Box<Classes>>,
    class: u8,
}

impl<'a, T: Item> RefMut<'a, T> {
    /// # Safety
    /// `slot` is an occupied slot of the table whose counts are given, and borrowed by nobody else.
    #[inline(always)]
    unsafe fn new(
        slot: &'a mut u64,
        marked: &'a mut usize,
        classes: &'a mut Option<Box<Classes>>,
    ) -> Self {
        // SAFETY: occupied slot; the guard writes the pointer back.
        let item = unsafe { lend::<T>(*slot) };
        let class = if T::COUNTED { item.class() } else { 0 };
        RefMut {
            item,
            slot,
            marked,
            classes,
            class,
        }
    }
}

impl<T: Item> RefMut<'_, T> {
    /// Puts `item`, which has an equal key, in the place of the present one and hands that out. The mark stays.
    #[inline(always)]
    pub fn replace(&mut self, item: T) -> T {
        debug_assert!(self.item.key() == item.key());
        std::mem::replace(&mut *self.item, item)
    }

    /// Whether the slot is marked.
    #[inline(always)]
    pub fn mark(&self) -> bool {
        *self.slot & MARK != 0
    }

    /// Sets or clears the slot's mark.
    #[inline(always)]
    pub fn set_mark(&mut self, mark: bool) {
        *self.marked = *self.marked + usize::from(mark) - usize::from(self.mark());
        *self.slot = *self.slot & !MARK | u64::from(mark);
    }
}

impl<T: Item> Deref for RefMut<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Item> DerefMut for RefMut<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: Item> Drop for RefMut<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if T::COUNTED {
            let class = self.item.class();
            if class != self.class {
                recount(self.classes, Some(self.class), Some(class));
            }
        }
        // SAFETY: taken once, here; the slot becomes the owner again.
        let raw = unsafe { ManuallyDrop::take(&mut self.item) }
            .into_raw()
            .as_ptr() as u64;
        debug_assert_eq!(raw & !POINTER, 0);
        *self.slot = *self.slot & !POINTER | raw;
    }
}

/// Rebuilds the item of an occupied slot without taking it from the slot.
///
/// # Safety
/// `word` is an occupied slot, alive as long as the result is used.
#[inline(always)]
unsafe fn lend<T: Item>(word: u64) -> ManuallyDrop<T> {
    // SAFETY: occupied slots hold pointers from `into_raw`; ManuallyDrop leaves the ownership in the slot.
    unsafe { ManuallyDrop::new(take(word)) }
}

/// Takes the item out of a slot word.
///
/// # Safety
/// `word` was an occupied slot, and is not used as one afterwards.
#[inline(always)]
unsafe fn take<T: Item>(word: u64) -> T {
    // SAFETY: the pointer came from `into_raw` and is never null.
    unsafe { T::from_raw(NonNull::new_unchecked((word & POINTER) as *mut u8)) }
}

/// A hash table of owning thin pointers; see the head of this file.
pub struct Table<T: Item> {
    /// No memory: 0. One segment (`lgd == 0`): its directory word. Else the address of the directory:
    /// `1 << lgd` words, then as many `u32` entry counts (a segment's count is at its first index).
    head: u64,
    len: usize,
    marked: usize,
    classes: Option<Box<Classes>>,
    /// At least `n << depth` of every segment: what draws are rejected against.
    widest: u64,
    /// Segments whose depth is `lgd`; at 0 the directory can be halved. Unused while `lgd == 0`.
    deepest: u32,
    /// log2 of the directory size.
    lgd: u8,
    paused: bool,
    items: PhantomData<T>,
}

/// Where a key was found.
#[derive(Clone, Copy)]
struct Hit {
    segment: Segment,
    home: usize,
    bucket: usize,
    slot: usize,
}

impl Hit {
    #[inline(always)]
    fn bucket_ptr(&self) -> *mut Bucket {
        // SAFETY: a hit's bucket lies inside its segment.
        unsafe { self.segment.ptr.add(self.bucket) }
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        // SAFETY: a hit points at a live bucket of the table it came from.
        unsafe { (*self.bucket_ptr()).slots[self.slot] }
    }
}

impl<T: Item> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item> Table<T> {
    /// An empty table; allocates nothing.
    pub const fn new() -> Self {
        Table {
            head: 0,
            len: 0,
            marked: 0,
            classes: None,
            widest: 0,
            deepest: 0,
            lgd: 0,
            paused: false,
            items: PhantomData,
        }
    }

    /// A table with room for about `n` items. The memory is taken now, so `n` must not be an unchecked foreign number.
    pub fn with_capacity(n: usize) -> Self {
        let mut t = Self::new();
        if n > 0 {
            t.reserve_empty(n);
        }
        t
    }

    /// Number of items.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no item.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Items by class; None when none was ever counted.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes.as_deref()
    }

    /// Number of marked items.
    #[inline(always)]
    pub fn marked(&self) -> usize {
        self.marked
    }

    #[inline(always)]
    fn index(&self, h: u64) -> usize {
        (h >> 1 >> (63 - u32::from(self.lgd))) as usize
    }

    #[inline(always)]
    fn word_at(&self, i: usize) -> u64 {
        if self.lgd == 0 {
            return self.head;
        }
        debug_assert!(i < 1 << self.lgd);
        // SAFETY: the directory has `1 << lgd` words and `i` is below that.
        unsafe { *(self.head as *const u64).add(i) }
    }

    /// The segment of directory index `i`; the table is not memoryless.
    #[inline(always)]
    fn segment_at(&self, i: usize) -> Segment {
        debug_assert_ne!(self.head, 0);
        Segment::unpack(self.word_at(i))
    }

    /// First directory index of the segment that `i` belongs to.
    #[inline(always)]
    fn first(&self, i: usize, depth: u32) -> usize {
        let s = u32::from(self.lgd) - depth;
        i >> s << s
    }

    #[inline(always)]
    fn probe(&self, h: u64, key: &[u8]) -> Option<Hit> {
        if self.head == 0 {
            return None;
        }
        let segment = self.segment_at(self.index(h));
        let pos = position(h, segment.depth);
        let (home, t) = (segment.home(pos), tag(h));
        if self.lgd != 0 {
            prefetch(segment.ptr.wrapping_add(home + 1));
        }
        let (mut b, mut left) = (home, segment.n);
        loop {
            // SAFETY: `b < n` of a live segment, shared with no writer while `self` is borrowed.
            let bucket = unsafe { segment.bucket(b) };
            for slot in Bits(bucket.matches(t)) {
                let word = bucket.slots[slot];
                // SAFETY: a tag that is not 0 says the slot is occupied.
                if word >> 48 == pos && same(unsafe { lend::<T>(word) }.key(), key) {
                    return Some(Hit {
                        segment,
                        home,
                        bucket: b,
                        slot,
                    });
                }
            }
            left -= 1;
            if bucket.overflow() == 0 || left == 0 {
                return None;
            }
            b = segment.after(b);
        }
    }

    /// The item whose key is `key`, with hash `h`.
    #[inline(always)]
    pub fn find(&self, h: u64, key: &[u8]) -> Option<Ref<'_, T>> {
        let hit = self.probe(h, key)?;
        // SAFETY: a hit is an occupied slot of this borrowed table.
        Some(unsafe { Ref::new(hit.word()) })
    }

    /// Calls `f` for every item with hash `h`: one, as a rule, or none.
    pub fn each_of_hash(&self, h: u64, f: &mut dyn FnMut(&T)) {
        if self.head == 0 {
            return;
        }
        let segment = self.segment_at(self.index(h));
        let (pos, t) = (position(h, segment.depth), tag(h));
        let (mut b, mut left) = (segment.home(pos), segment.n);
        loop {
            // SAFETY: `b < n` of a live segment, shared with no writer while `self` is borrowed.
            let bucket = unsafe { segment.bucket(b) };
            for slot in Bits(bucket.matches(t)) {
                let word = bucket.slots[slot];
                if word >> 48 == pos {
                    // SAFETY: a tag that is not 0 says the slot is occupied.
                    let item = unsafe { lend::<T>(word) };
                    if item.hash() == h {
                        f(&item);
                    }
                }
            }
            left -= 1;
            if bucket.overflow() == 0 || left == 0 {
                return;
            }
            b = segment.after(b);
        }
    }

    /// Where the item with this key lies; valid until the table is changed.
    #[inline(always)]
    pub fn locate(&self, h: u64, key: &[u8]) -> Option<Place> {
        self.probe(h, key).map(Place)
    }

    /// The item at a place.
    ///
    /// # Safety
    /// `place` came from [`Table::locate`] of this table, which was not changed since (changing items in place is allowed).
    #[inline(always)]
    pub unsafe fn at(&self, place: Place) -> Ref<'_, T> {
        // SAFETY: by the contract the place is an occupied slot.
        unsafe { Ref::new(place.0.word()) }
    }

    /// The item at a place, to change it.
    ///
    /// # Safety
    /// As for [`Table::at`].
    #[inline(always)]
    pub unsafe fn at_mut(&mut self, place: Place) -> RefMut<'_, T> {
        // SAFETY: by the contract the place is an occupied slot, and the table is exclusively borrowed.
        let slot = unsafe { &mut (*place.0.bucket_ptr()).slots[place.0.slot] };
        // SAFETY: as above.
        unsafe { RefMut::new(slot, &mut self.marked, &mut self.classes) }
    }

    /// The item whose key is `key`, to change it.
    #[inline(always)]
    pub fn find_mut(&mut self, h: u64, key: &[u8]) -> Option<RefMut<'_, T>> {
        let hit = self.probe(h, key)?;
        // SAFETY: the table is exclusively borrowed, so this is the only reference to the slot.
        let slot = unsafe { &mut (*hit.bucket_ptr()).slots[hit.slot] };
        // SAFETY: as above; a hit is an occupied slot.
        Some(unsafe { RefMut::new(slot, &mut self.marked, &mut self.classes) })
    }

    /// Whether there is an item with this key.
    #[inline(always)]
    pub fn contains(&self, h: u64, key: &[u8]) -> bool {
        self.probe(h, key).is_some()
    }

    /// Adds an item whose key is known to be absent, unmarked.
    #[inline(always)]
    pub fn insert_new(&mut self, h: u64, item: T) {
        self.insert_marked(h, item, false);
    }

    /// Adds an item whose key is known to be absent, with this mark.
    #[inline]
    pub fn insert_marked(&mut self, h: u64, item: T, mark: bool) {
        debug_assert_eq!(h, item.hash());
        debug_assert!(!self.contains(h, item.key()));
        if T::COUNTED {
            recount(&mut self.classes, None, Some(item.class()));
        }
        let raw = item.into_raw().as_ptr() as u64;
        debug_assert_eq!(raw & !POINTER, 0);
        let (segment, first) = self.make_room(h);
        let word = raw | position(h, segment.depth) << 48 | u64::from(mark);
        // SAFETY: the table is exclusively borrowed and `make_room` left a free slot in this segment.
        unsafe { segment.put(tag(h), word) };
        self.len += 1;
        self.marked += usize::from(mark);
        self.add_count(first, 1);
    }

    /// The segment of `h` with a free slot, and its first directory index.
    #[inline(always)]
    fn make_room(&mut self, h: u64) -> (Segment, usize) {
        if self.head == 0 {
            self.install_only(Segment::alloc(1, 0));
        }
        loop {
            let i = self.index(h);
            let segment = self.segment_at(i);
            let first = self.first(i, segment.depth);
            if self.count(first) < self.room(segment.n) {
                return (segment, first);
            }
            self.grow(i);
        }
    }

    /// Adds `item`, or puts it in the place of the one with an equal key (whose mark stays) and hands that out.
    pub fn insert(&mut self, h: u64, item: T) -> Option<T> {
        if let Some(mut present) = self.find_mut(h, item.key()) {
            return Some(present.replace(item));
        }
        self.insert_new(h, item);
        None
    }

    /// Takes the item with this key out of the table.
    pub fn remove(&mut self, h: u64, key: &[u8]) -> Option<T> {
        let hit = self.probe(h, key)?;
        let (segment, word) = (hit.segment, hit.word());
        // SAFETY: the table is exclusively borrowed; every index is inside the segment, the slot is taken once.
        let item: T = unsafe {
            segment.bucket_mut(hit.bucket).tags[hit.slot] = 0;
            segment.bucket_mut(hit.bucket).slots[hit.slot] = 0;
            let mut b = hit.home;
            while b != hit.bucket {
                segment.bucket_mut(b).unpassed();
                b = segment.after(b);
            }
            take(word)
        };
        if T::COUNTED {
            recount(&mut self.classes, Some(item.class()), None);
        }
        self.len -= 1;
        self.marked -= usize::from(word & MARK != 0);
        let first = self.first(self.index(h), segment.depth);
        self.add_count(first, -1);
        if !self.paused && self.count(first) * 100 < 45 * self.room(segment.n) {
            self.shrink(first);
        }
        Some(item)
    }

    /// Sets or clears the mark of the item with this key; false when there is none.
    pub fn set_mark(&mut self, h: u64, key: &[u8], mark: bool) -> bool {
        match self.find_mut(h, key) {
            Some(mut r) => {
                r.set_mark(mark);
                true
            }
            None => false,
        }
    }

    /// Whether the item with this key exists and is marked.
    pub fn is_marked(&self, h: u64, key: &[u8]) -> bool {
        self.probe(h, key).is_some_and(|hit| hit.word() & MARK != 0)
    }

    /// Drops every item and frees all memory.
    pub fn clear(&mut self) {
        drop(self.take());
    }

    /// Leaves the table empty and hands out what it held.
    pub fn take(&mut self) -> Self {
        let paused = self.paused;
        let full = std::mem::take(self);
        self.paused = paused;
        full
    }

    /// While paused (a forked child shares the pages) nothing shrinks or merges, and segments fill further before they grow.
    /// Memory that deletes left unused meanwhile comes back with later deletes, or at once with [`Self::compact`].
    pub fn set_resize_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Starts to fetch the bucket of hash `h`: first step of a batch of lookups.
    #[inline(always)]
    pub fn prefetch_bucket(&self, h: u64) {
        if self.head != 0 {
            let segment = self.segment_at(self.index(h));
            let home = segment.home(position(h, segment.depth));
            prefetch(segment.ptr.wrapping_add(home));
            prefetch(segment.ptr.wrapping_add(home + 1));
        }
    }

    /// Starts to fetch the item that probably has hash `h`: second step, when the bucket has arrived.
    #[inline(always)]
    pub fn prefetch_item(&self, h: u64) {
        if self.head == 0 {
            return;
        }
        let segment = self.segment_at(self.index(h));
        let (pos, t) = (position(h, segment.depth), tag(h));
        let mut b = segment.home(pos);
        for _ in 0..2 {
            // SAFETY: `b < n` of a live segment that nobody changes while `self` is borrowed.
            let bucket = unsafe { segment.bucket(b) };
            for slot in Bits(bucket.matches(t)) {
                if bucket.slots[slot] >> 48 == pos {
                    return prefetch((bucket.slots[slot] & POINTER) as *const u8);
                }
            }
            if bucket.overflow() == 0 {
                return;
            }
            b = segment.after(b);
        }
    }
}

impl<T: Item> Drop for Table<T> {
    fn drop(&mut self) {
        self.drop_items();
        self.free_memory();
    }
}

/// Byte equality with a short cut for the usual key sizes.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    if n != b.len() {
        return false;
    }
    if let (8..=16, Some(a0), Some(b0), Some(a1), Some(b1)) = (
        n,
        a.first_chunk::<8>(),
        b.first_chunk::<8>(),
        a.last_chunk::<8>(),
        b.last_chunk::<8>(),
    ) {
        let diff = |x: &[u8; 8], y: &[u8; 8]| u64::from_ne_bytes(*x) ^ u64::from_ne_bytes(*y);
        return diff(a0, b0) | diff(a1, b1) == 0;
    }
    a == b
}
