//! What an entry can hold: types, encodings, and how a collection becomes the one word that lies in the entry.

use super::entry::Entry;
use crate::ds::intset::Intset;
use crate::ds::listpack::Listpack;
use crate::ds::thin::ThinBuf;
use crate::sys::relocate::{self, Mover};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::zset::ZSet;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

/// The type of a value, as TYPE reports it.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A string or integer.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    ZSet = 3,
    /// A hash.
    Hash = 4,
    /// A stream.
    Stream = 5,
}

impl Type {
    /// Every type, in order.
    pub const ALL: [Type; 6] = [
        Type::String,
        Type::List,
        Type::Set,
        Type::ZSet,
        Type::Hash,
        Type::Stream,
    ];

    #[inline(always)]
    pub(super) fn from_nibble(n: u8) -> Self {
        match n {
            0 => Type::String,
            1 => Type::List,
            2 => Type::Set,
            3 => Type::ZSet,
            4 => Type::Hash,
            _ => Type::Stream,
        }
    }

    /// The name TYPE replies.
    pub fn name(self) -> &'static str {
        ["string", "list", "set", "zset", "hash", "stream"][self as usize]
    }

    /// The type of that name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|t| crate::resp::is_word(name, t.name().as_bytes()))
    }
}

/// The representation of a value, as OBJECT ENCODING reports it.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A string in a block of its own, or one that was changed in place.
    Raw = 0,
    /// A short string inside the entry.
    Embstr = 1,
    /// A string that is a canonical 64-bit integer.
    Int = 2,
    /// A packed sequence of small elements.
    Listpack = 3,
    /// A sorted array of integers.
    Intset = 4,
    /// A list of packed nodes.
    Quicklist = 5,
    /// A hash table.
    Hashtable = 6,
    /// A sorted set with an index. (The name is upstream's; ours is a B+tree.)
    Skiplist = 7,
    /// A packed hash whose fields can expire.
    ListpackEx = 8,
    /// A stream.
    Stream = 9,
}

impl Encoding {
    #[inline(always)]
    pub(super) fn from_nibble(n: u8) -> Self {
        match n {
            0 => Encoding::Raw,
            1 => Encoding::Embstr,
            2 => Encoding::Int,
            3 => Encoding::Listpack,
            4 => Encoding::Intset,
            5 => Encoding::Quicklist,
            6 => Encoding::Hashtable,
            7 => Encoding::Skiplist,
            8 => Encoding::ListpackEx,
            _ => Encoding::Stream,
        }
    }

    /// The name OBJECT ENCODING replies.
    pub fn name(self) -> &'static str {
        [
            "raw",
            "embstr",
            "int",
            "listpack",
            "intset",
            "quicklist",
            "hashtable",
            "skiplist",
            "listpackex",
            "stream",
        ][self as usize]
    }
}

/// A collection whose variants boil down to one word each.
///
/// # Safety
/// `into_word` must give an encoding and an owned word from which `from_word` makes the same value again, and the
/// encoding must be used by that type for that representation only.
pub unsafe trait Value: Sized {
    /// The type it is.
    const TYPE: Type;
    /// Takes the value apart.
    fn into_word(self) -> (Encoding, u64);
    /// Puts it together again.
    ///
    /// # Safety
    /// The pair must come from `into_word`, and the result must be dropped at most once.
    unsafe fn from_word(enc: Encoding, word: u64) -> Self;
}

/// A representation that is one owned word: a box, or a thin blob.
///
/// # Safety
/// `from_raw_word(into_raw_word(x))` must be `x`.
unsafe trait Word {
    fn into_raw_word(self) -> u64;
    /// # Safety
    /// `w` must come from `into_raw_word` and be used once.
    unsafe fn from_raw_word(w: u64) -> Self;
}

// SAFETY: a box of a sized type is one pointer, given away and taken back.
unsafe impl<T> Word for Box<T> {
    fn into_raw_word(self) -> u64 {
        Box::into_raw(self) as u64
    }
    unsafe fn from_raw_word(w: u64) -> Self {
        // SAFETY: by the caller's contract this is the box's pointer.
        unsafe { Box::from_raw(w as *mut T) }
    }
}

// SAFETY: a thin blob gives its one pointer away and takes it back.
unsafe impl Word for Listpack {
    fn into_raw_word(self) -> u64 {
        self.into_thin().into_raw().as_ptr() as u64
    }
    unsafe fn from_raw_word(w: u64) -> Self {
        // SAFETY: by the caller's contract this is the blob's pointer, never null.
        unsafe { Listpack::from_thin(ThinBuf::from_raw(NonNull::new_unchecked(w as *mut u8))) }
    }
}

// SAFETY: as for Listpack.
unsafe impl Word for Intset {
    fn into_raw_word(self) -> u64 {
        self.into_thin().into_raw().as_ptr() as u64
    }
    unsafe fn from_raw_word(w: u64) -> Self {
        // SAFETY: by the caller's contract this is the blob's pointer, never null.
        unsafe { Intset::from_thin(ThinBuf::from_raw(NonNull::new_unchecked(w as *mut u8))) }
    }
}

/// Implements [`Value`] for an enum whose variants are one word each: `Type, Variant = Encoding, ...`.
macro_rules! value {
    ($ty:ident, $($variant:ident = $enc:ident),+) => {
        // SAFETY: each variant has an encoding of its own, and its payload is a `Word`.
        unsafe impl Value for $ty {
            const TYPE: Type = Type::$ty;
            fn into_word(self) -> (Encoding, u64) {
                match self {
                    $($ty::$variant(v) => (Encoding::$enc, v.into_raw_word()),)+
                }
            }
            unsafe fn from_word(enc: Encoding, word: u64) -> Self {
                // SAFETY: by the caller's contract the word belongs to that encoding of this type.
                unsafe {
                    match enc {
                        $(Encoding::$enc => $ty::$variant(Word::from_raw_word(word)),)+
                        other => unreachable!("a {} with encoding {}", Type::$ty.name(), other.name()),
                    }
                }
            }
        }
    };
}

value!(List, Listpack = Listpack, Quicklist = Quicklist);
value!(
    Hash,
    Listpack = Listpack,
    ListpackEx = ListpackEx,
    Table = Hashtable
);
value!(Set, Intset = Intset, Listpack = Listpack, Table = Hashtable);
value!(ZSet, Listpack = Listpack, Tree = Skiplist);

// A stream has one representation, so the box itself is the value: `db.write_value::<Box<Stream>>(key)`.
// SAFETY: one encoding, and a box is a `Word`.
unsafe impl Value for Box<Stream> {
    const TYPE: Type = Type::Stream;
    fn into_word(self) -> (Encoding, u64) {
        (Encoding::Stream, self.into_raw_word())
    }
    unsafe fn from_word(_: Encoding, word: u64) -> Self {
        // SAFETY: by the caller's contract the word is a stream's.
        unsafe { Word::from_raw_word(word) }
    }
}

/// Listpacks up to this size (bytes) lie inside the entry: it saves their block, its rounding and the word, and a cache miss
/// on every read, for two short copies on every change.
const INLINE_PACK_MAX: usize = 128;

/// A listpack blob on its way into or out of an entry.
pub(super) enum Packed<'a> {
    /// Owned: freed when this is dropped.
    Owned(ThinBuf),
    /// Lying in an entry.
    Borrowed(&'a [u8]),
}

impl<'a> Packed<'a> {
    /// The blob behind an owned word, when it is a listpack small enough to lie inline; then the word is used up.
    pub(super) fn small(enc: Encoding, word: u64) -> Option<Packed<'static>> {
        if enc != Encoding::Listpack {
            return None;
        }
        // SAFETY: the word of a listpack encoding is its blob's pointer, owned by the caller.
        let blob = unsafe { ThinBuf::from_raw(NonNull::new(word as *mut u8)?) };
        if blob.len() <= INLINE_PACK_MAX {
            return Some(Packed::Owned(blob));
        }
        let _still_the_callers = blob.into_raw();
        None
    }

    pub(super) fn borrowed(bytes: &'a [u8]) -> Self {
        Packed::Borrowed(bytes)
    }

    /// The whole blob.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Packed::Owned(b) => b.as_slice(),
            Packed::Borrowed(b) => b,
        }
    }

    /// The word of an owned copy.
    pub(super) fn thawed(&self) -> u64 {
        ThinBuf::from_slice(self.bytes()).into_raw().as_ptr() as u64
    }
}

/// Frees a value by its parts.
///
/// # Safety
/// The parts must be an owned value's, used once.
pub(super) unsafe fn drop_word(ty: Type, enc: Encoding, word: u64) {
    // SAFETY: by the caller's contract; a string with a pointer word is an Arc<Vec<u8>>.
    unsafe {
        match ty {
            Type::String => drop(Arc::from_raw(word as *const Vec<u8>)),
            Type::List => drop(List::from_word(enc, word)),
            Type::Hash => drop(Hash::from_word(enc, word)),
            Type::Set => drop(Set::from_word(enc, word)),
            Type::Stream => drop(Box::<Stream>::from_word(enc, word)),
            Type::ZSet => drop(ZSet::from_word(enc, word)),
        }
    }
}

/// The word of a deep copy of a value, given by its parts; the copy has the same encoding.
///
/// # Safety
/// The parts must be a live value's, which keeps its word.
pub(super) unsafe fn clone_word(ty: Type, enc: Encoding, word: u64) -> u64 {
    /// # Safety
    /// As for `clone_word`, of type `T`.
    unsafe fn copy<T: Value + Clone>(enc: Encoding, word: u64) -> u64 {
        // SAFETY: by the caller's contract; ManuallyDrop leaves the ownership where it is.
        let v = ManuallyDrop::new(unsafe { T::from_word(enc, word) });
        let (copied, word) = T::clone(&v).into_word();
        debug_assert_eq!(copied, enc);
        word
    }
    // SAFETY: by the caller's contract; a string with a pointer word is an Arc<Vec<u8>>.
    unsafe {
        match ty {
            Type::String => {
                Arc::increment_strong_count(word as *const Vec<u8>);
                word
            }
            Type::List => copy::<List>(enc, word),
            Type::Hash => copy::<Hash>(enc, word),
            Type::Set => copy::<Set>(enc, word),
            Type::Stream => copy::<Box<Stream>>(enc, word),
            Type::ZSet => copy::<ZSet>(enc, word),
        }
    }
}

/// Lets `mover` move the blocks of a value, about `count` elements from `from` on (0 starts); where to go on, 0 at the end.
///
/// # Safety
/// The parts must be a live value's, whose owner puts `word` back when this returns.
pub(super) unsafe fn relocate_word(
    ty: Type,
    enc: Encoding,
    word: &mut u64,
    mover: &mut dyn Mover,
    from: u64,
    count: usize,
) -> u64 {
    /// # Safety
    /// As for `relocate_word`, of type `T`.
    unsafe fn within<T: Value>(
        enc: Encoding,
        word: &mut u64,
        f: impl FnOnce(&mut T) -> u64,
    ) -> u64 {
        // SAFETY: by the caller's contract; the value is taken apart again, so it has one owner all the time.
        let mut v = ManuallyDrop::new(unsafe { T::from_word(enc, *word) });
        let next = f(&mut v);
        let (now, moved) = ManuallyDrop::into_inner(v).into_word();
        debug_assert_eq!(now, enc);
        *word = moved;
        next
    }
    // SAFETY: by the caller's contract; a string with a pointer word is an Arc<Vec<u8>>.
    unsafe {
        match ty {
            Type::String => {
                let mut bytes = ManuallyDrop::new(Arc::from_raw(*word as *const Vec<u8>));
                relocate::shared_bytes(mover, &mut bytes);
                *word = Arc::into_raw(ManuallyDrop::into_inner(bytes)) as u64;
                0
            }
            Type::List => within::<List>(enc, word, |v| v.relocate(mover, from, count)),
            Type::Hash => within::<Hash>(enc, word, |v| v.relocate(mover, from, count)),
            Type::Set => within::<Set>(enc, word, |v| v.relocate(mover, from, count)),
            Type::ZSet => within::<ZSet>(enc, word, |v| v.relocate(mover, from, count)),
            Type::Stream => within::<Box<Stream>>(enc, word, |v| {
                if from == 0 {
                    relocate::boxed(mover, v);
                }
                v.relocate(mover, from, count)
            }),
        }
    }
}

/// Bytes of the blocks that a collection owns beside its entry; elements from the mean of `samples` of them.
pub(super) fn mem_bytes(e: &Entry, samples: usize) -> usize {
    match e.ty() {
        Type::List => e.value::<List>().map_or(0, |l| l.mem_bytes(samples)),
        Type::Hash => e.value::<Hash>().map_or(0, |h| h.mem_bytes(samples)),
        Type::Set => e.value::<Set>().map_or(0, |s| s.mem_bytes(samples)),
        Type::Stream => e.value::<Box<Stream>>().map_or(0, |s| s.mem_bytes(samples)),
        Type::ZSet => e.value::<ZSet>().map_or(0, |z| z.mem_bytes(samples)),
        Type::String => 0,
    }
}

/// Allocations that freeing a value costs: what decides whether the background thread does it.
pub(super) fn free_effort(e: &Entry) -> usize {
    match e.ty() {
        Type::List => e.value::<List>().map_or(1, |l| l.free_effort()),
        Type::Hash => e.value::<Hash>().map_or(1, |h| h.free_effort()),
        Type::Set => e.value::<Set>().map_or(1, |s| s.free_effort()),
        Type::Stream => e.value::<Box<Stream>>().map_or(1, |s| s.free_effort()),
        Type::ZSet => e.value::<ZSet>().map_or(1, |z| z.free_effort()),
        _ => 1,
    }
}
