//! One key with its value: one allocation.
//!
//! | offset | size | what |
//! |--|--|--|
//! | 0 | 1 | low nibble: [`Type`], high nibble: [`Encoding`] |
//! | 1 | 1 | flags: 1 an expire follows, 2 a value word follows, 4 the key's length follows as u32 |
//! | 2 | 3 | access clock: LRU seconds, or LFU minutes (16 bits) and counter (8 bits) |
//! | 5 | 1 | key length, when below 256 |
//! | 6 | 2 | length of an inline string value |
//! | 8 | 8 | expire, Unix ms, if flagged |
//! | . | 8 | value word, if flagged: an i64, or the one word that the value's representation boils down to |
//! | . | 4 | key length, if flagged |
//! | . | n | key |
//! | . | n | inline string value |
//!
//! A 16-byte key with a 16-byte value takes a 40-byte class. Strings below [`INLINE_MAX`] lie inline; longer ones are an
//! `Arc<Vec<u8>>`, so that a reply can hold them without a copy. Collections are enums of the `types` room whose variants are
//! one word each: the word lies here and the variant is the encoding nibble. They are handed out through guards that put the
//! enum together and store it back ([`ValueRef`], [`ValueMut`]). A small listpack (hash, set, sorted set or list of a few
//! elements) has no block of its own: it lies inline like a string, is read in place, and is copied out and back to be changed.
//!
//! Invariants: the block's size is always what the header says (`size`); the word of a pointer encoding is owned by the entry.

use crate::ds::table::{Item, Ref, RefMut};
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::value::{Encoding, Packed, Type, Value};

const EXPIRE: u8 = 1;
const WORD: u8 = 2;
const LONG_KEY: u8 = 4;

/// Strings at least this long (bytes) get a block of their own.
pub const INLINE_MAX: usize = 16 * 1024;
/// Longest string that OBJECT ENCODING calls `embstr` when it was set whole.
const EMBSTR_MAX: usize = 44;

/// An owned key with its value; a thin pointer.
#[repr(transparent)]
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns its block and value exclusively; every value type is Send (boxes, listpacks, Arc<Vec<u8>>).
unsafe impl Send for Entry {}

/// A string value as it lies in its entry.
#[derive(Debug, Clone, Copy)]
pub enum StrRef<'a> {
    /// Held as an integer; its text is the canonical decimal.
    Int(i64),
    /// Held as bytes.
    Bytes(&'a [u8]),
    /// Held as bytes that can be shared.
    Shared(SharedStr<'a>),
}

/// Bytes that lie in an `Arc` owned by an entry. It keeps the pointer of the `Arc`, as a reference to the vector would not reach the
/// counts before it.
#[derive(Debug, Clone, Copy)]
pub struct SharedStr<'a>(*const Vec<u8>, PhantomData<&'a Entry>);

impl<'a> SharedStr<'a> {
    /// The bytes.
    #[inline]
    pub fn get(self) -> &'a Vec<u8> {
        // SAFETY: only `Entry::str` makes a SharedStr, from the pointer that `Arc::into_raw` gave; the entry, borrowed for 'a, owns a
        // count.
        unsafe { &*self.0 }
    }

    /// Another owner of the same bytes.
    pub fn to_arc(self) -> Arc<Vec<u8>> {
        // SAFETY: as in `get`.
        unsafe {
            Arc::increment_strong_count(self.0);
            Arc::from_raw(self.0)
        }
    }
}

impl Deref for SharedStr<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.get()
    }
}

impl<'a> StrRef<'a> {
    /// The bytes; an integer is formatted into `buf`.
    #[inline]
    pub fn bytes<'b>(self, buf: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StrRef::Int(i) => buf.format(i).as_bytes(),
            StrRef::Bytes(b) => b,
            StrRef::Shared(b) => b.get(),
        }
    }

    /// Length of the text in bytes.
    pub fn text_len(self) -> usize {
        self.bytes(&mut itoa::Buffer::new()).len()
    }

    /// The text as an owned vector.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }
}

/// A string value to be stored.
#[derive(Debug, Clone)]
pub enum NewStr<'a> {
    /// Copied; stored as an integer when it is a canonical one.
    Copy(&'a [u8]),
    /// Stored as an integer.
    Int(i64),
    /// Stored by reference when long enough.
    Share(Arc<Vec<u8>>),
    /// Copied, never turned into an integer (results of INCRBYFLOAT).
    Text(&'a [u8]),
    /// Copied, never turned into an integer, reported as `raw` (results of APPEND, SETRANGE, SETBIT).
    Raw(&'a [u8]),
}

/// What a string becomes in the entry.
enum Form<'a> {
    Int(i64),
    Inline(&'a [u8], Encoding),
    Shared(Arc<Vec<u8>>),
}

impl<'a> NewStr<'a> {
    fn form(&'a self) -> Form<'a> {
        match self {
            NewStr::Int(i) => Form::Int(*i),
            NewStr::Raw(b) if b.len() < INLINE_MAX => Form::Inline(b, Encoding::Raw),
            NewStr::Raw(b) => Form::Shared(Arc::new(b.to_vec())),
            NewStr::Share(a) if a.len() >= INLINE_MAX => Form::Shared(a.clone()),
            NewStr::Share(a) => Self::copied(a),
            NewStr::Copy(b) if b.len() >= INLINE_MAX => Form::Shared(Arc::new(b.to_vec())),
            NewStr::Copy(b) => Self::copied(b),
            NewStr::Text(b) if b.len() >= INLINE_MAX => Form::Shared(Arc::new(b.to_vec())),
            NewStr::Text(b) => Self::text(b),
        }
    }

    #[inline(always)]
    fn copied(b: &[u8]) -> Form<'_> {
        if b.len() <= 20
            && let Some(i) = crate::ds::numtext::parse_i64(b)
        {
            return Form::Int(i);
        }
        Self::text(b)
    }

    #[inline(always)]
    fn text(b: &[u8]) -> Form<'_> {
        Form::Inline(
            b,
            if b.len() <= EMBSTR_MAX {
                Encoding::Embstr
            } else {
                Encoding::Raw
            },
        )
    }
}

#[derive(Clone, Copy)]
struct Header(u64);

impl Header {
    fn new(ty: Type, enc: Encoding, flags: u8, klen: usize, vlen: usize) -> Self {
        let flags = flags | if klen > 255 { LONG_KEY } else { 0 };
        let k8 = if klen > 255 { 0 } else { klen as u64 };
        Header(
            u64::from(ty as u8 | (enc as u8) << 4)
                | u64::from(flags) << 8
                | k8 << 40
                | (vlen as u64) << 48,
        )
    }
    #[inline(always)]
    fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }
    #[inline(always)]
    fn has(self, flag: u8) -> bool {
        self.flags() & flag != 0
    }
    #[inline(always)]
    fn vlen(self) -> usize {
        (self.0 >> 48) as usize
    }
    #[inline(always)]
    fn word_off(self) -> usize {
        8 + 8 * usize::from(self.has(EXPIRE))
    }
    /// Where the key starts: 8, plus 8 for an expire, 8 for a word, 4 for a long key's length.
    #[inline(always)]
    fn key_off(self) -> usize {
        let f = self.flags() as usize;
        8 + (f & 1) * 8 + (f >> 1 & 1) * 8 + (f >> 2 & 1) * 4
    }
}

impl Entry {
    #[inline(always)]
    fn header(&self) -> Header {
        // SAFETY: every entry starts with its initialised 8-byte header.
        Header(unsafe { self.0.cast::<u64>().read() })
    }

    #[inline(always)]
    fn put_header(&mut self, h: Header) {
        // SAFETY: as above, and `&mut self` is exclusive.
        unsafe { self.0.cast::<u64>().write(h.0) }
    }

    #[inline(always)]
    fn at(&self, off: usize) -> *mut u8 {
        // SAFETY: callers stay inside the block (`size`).
        unsafe { self.0.as_ptr().add(off) }
    }

    #[inline(always)]
    fn klen(&self, h: Header) -> usize {
        if h.has(LONG_KEY) {
            // SAFETY: the flag says that a u32 stands right before the key; it is 4-aligned since all before it are words.
            unsafe { self.at(h.key_off() - 4).cast::<u32>().read() as usize }
        } else {
            (h.0 >> 40) as u8 as usize
        }
    }

    fn size(&self, h: Header) -> usize {
        h.key_off() + self.klen(h) + h.vlen()
    }

    fn layout(size: usize) -> Layout {
        // SAFETY: 8 is a power of two and no block comes near isize::MAX (keys are at most 4 GB).
        unsafe { Layout::from_size_align_unchecked(size, 8) }
    }

    /// A block with the header and key written; expire, word and value are the caller's to write.
    fn allocate(h: Header, key: &[u8]) -> Self {
        let size = h.key_off() + key.len() + h.vlen();
        // SAFETY: size is at least 8; the writes stay inside it.
        unsafe {
            let p = NonNull::new(alloc(Self::layout(size)))
                .unwrap_or_else(|| handle_alloc_error(Self::layout(size)));
            p.cast::<u64>().write(h.0);
            let k = p.as_ptr().add(h.key_off());
            if h.has(LONG_KEY) {
                k.sub(4).cast::<u32>().write(key.len() as u32);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), k, key.len());
            Entry(p)
        }
    }

    /// A string entry. `expire` is a Unix time in ms.
    pub fn string(key: &[u8], value: &NewStr<'_>, expire: Option<i64>) -> Self {
        let x = if expire.is_some() { EXPIRE } else { 0 };
        let mut e = match value.form() {
            Form::Inline(b, enc) => {
                let mut e =
                    Self::allocate(Header::new(Type::String, enc, x, key.len(), b.len()), key);
                e.fill_inline(b);
                e
            }
            Form::Int(i) => Self::allocate(
                Header::new(Type::String, Encoding::Int, x | WORD, key.len(), 0),
                key,
            )
            .with_word(i as u64),
            Form::Shared(a) => Self::allocate(
                Header::new(Type::String, Encoding::Raw, x | WORD, key.len(), 0),
                key,
            )
            .with_word(Arc::into_raw(a) as u64),
        };
        e.fill_expire(expire);
        e
    }

    /// An entry that holds a collection.
    pub fn collection<T: Value>(key: &[u8], value: T, expire: Option<i64>) -> Self {
        let x = if expire.is_some() { EXPIRE } else { 0 };
        let (enc, word) = value.into_word();
        let mut e = match Packed::small(enc, word) {
            Some(blob) => {
                let h = Header::new(T::TYPE, enc, x, key.len(), blob.bytes().len());
                let mut e = Self::allocate(h, key);
                e.fill_inline(blob.bytes());
                e
            }
            None => Self::allocate(Header::new(T::TYPE, enc, x | WORD, key.len(), 0), key)
                .with_word(word),
        };
        e.fill_expire(expire);
        e
    }

    fn with_word(mut self, word: u64) -> Self {
        self.put_word(word);
        self
    }

    fn fill_expire(&mut self, expire: Option<i64>) {
        if let Some(x) = expire {
            // SAFETY: the EXPIRE flag was set for it, so the 8 bytes at 8 are there.
            unsafe { self.at(8).cast::<i64>().write(x) }
        }
    }

    fn fill_inline(&mut self, b: &[u8]) {
        let h = self.header();
        let off = h.key_off() + self.klen(h);
        debug_assert_eq!(h.vlen(), b.len());
        // SAFETY: the block has vlen bytes after the key, and `b` is not part of it (it would need `&self`).
        unsafe { ptr::copy_nonoverlapping(b.as_ptr(), self.at(off), b.len()) }
    }

    /// The word that stands for the value: the stored one, or for an inline listpack where its blob lies (good for reading
    /// only, and only while the entry is borrowed).
    #[inline(always)]
    fn word(&self) -> u64 {
        let h = self.header();
        if !h.has(WORD) {
            return self.at(h.key_off() + self.klen(h)) as u64;
        }
        // SAFETY: the flag says the word is there.
        unsafe { self.at(h.word_off()).cast::<u64>().read() }
    }

    #[inline(always)]
    fn put_word(&mut self, w: u64) {
        let h = self.header();
        debug_assert!(h.has(WORD));
        // SAFETY: as above.
        unsafe { self.at(h.word_off()).cast::<u64>().write(w) }
    }

    /// The type of the value.
    #[inline(always)]
    pub fn ty(&self) -> Type {
        Type::from_nibble(self.header().0 as u8 & 15)
    }

    /// The encoding of the value.
    #[inline(always)]
    pub fn encoding(&self) -> Encoding {
        Encoding::from_nibble((self.header().0 as u8) >> 4)
    }

    /// When the key expires (Unix ms), if ever.
    #[inline(always)]
    pub fn expire(&self) -> Option<i64> {
        // SAFETY: the flag says the 8 bytes are there.
        self.header()
            .has(EXPIRE)
            .then(|| unsafe { self.at(8).cast::<i64>().read() })
    }

    /// The 24-bit access clock.
    #[inline(always)]
    pub fn clock(&self) -> u32 {
        (self.header().0 >> 16) as u32 & 0xff_ffff
    }

    /// Sets the 24-bit access clock.
    #[inline(always)]
    pub fn set_clock(&mut self, clock: u32) {
        let h = self.header();
        self.put_header(Header(
            h.0 & !(0xff_ffff << 16) | u64::from(clock & 0xff_ffff) << 16,
        ));
    }

    /// How much work freeing the value is, in allocations: what decides whether the background thread does it.
    pub fn free_effort(&self) -> usize {
        match self.ty() {
            Type::String => 1,
            _ => super::value::free_effort(self),
        }
    }

    /// Bytes of the allocator's blocks that hold key and value (MEMORY USAGE); elements of a collection are counted from the mean
    /// of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        let h = self.header();
        let own = class_bytes(self.size(h));
        // Integers and what lies inline own nothing more.
        if !h.has(WORD) || self.encoding() == Encoding::Int {
            return own;
        }
        match self.str() {
            // The counts of the Arc and the Vec they count.
            Some(StrRef::Shared(s)) => {
                own + class_bytes(16 + size_of::<Vec<u8>>()) + class_bytes(s.get().capacity())
            }
            Some(_) => own,
            None => own + super::value::mem_bytes(self, samples),
        }
    }

    /// Bytes of this entry's own block (not of what its word points to).
    pub fn block_bytes(&self) -> usize {
        self.size(self.header())
    }

    /// The string value, or None when it is another type.
    #[inline(always)]
    pub fn str(&self) -> Option<StrRef<'_>> {
        let h = self.header();
        if h.0 as u8 & 15 != Type::String as u8 {
            return None;
        }
        if !h.has(WORD) {
            let off = h.key_off() + self.klen(h);
            // SAFETY: an inline value of vlen bytes follows the key.
            return Some(StrRef::Bytes(unsafe {
                std::slice::from_raw_parts(self.at(off), h.vlen())
            }));
        }
        if self.encoding() == Encoding::Int {
            return Some(StrRef::Int(self.word() as i64));
        }
        // A string with a word that is no integer holds what `Arc::into_raw` gave, and the entry owns that count.
        let shared = SharedStr(self.word() as *const Vec<u8>, PhantomData);
        Some(StrRef::Shared(shared))
    }

    /// The string's bytes to change in place, when they lie inline.
    pub fn inline_mut(&mut self) -> Option<&mut [u8]> {
        let h = self.header();
        if h.0 as u8 & 15 != Type::String as u8 || h.has(WORD) {
            return None;
        }
        let off = h.key_off() + self.klen(h);
        // SAFETY: as in `str`, exclusively borrowed.
        Some(unsafe { std::slice::from_raw_parts_mut(self.at(off), h.vlen()) })
    }

    /// Reports an inline string as `raw` from now on: it was changed in place.
    pub fn set_raw(&mut self) {
        let h = self.header();
        if !h.has(WORD) {
            self.put_header(Header(h.0 & !0xf0 | u64::from(Encoding::Raw as u8) << 4));
        }
    }

    /// Changes the integer of an integer string in place; false when it is none.
    #[inline]
    pub fn set_int_in_place(&mut self, v: i64) -> bool {
        if self.ty() != Type::String || self.encoding() != Encoding::Int {
            return false;
        }
        self.put_word(v as u64);
        true
    }

    /// The string's bytes as a vector to grow or change: turned into a block of its own if it was inline or an integer, copied
    /// first if a reply still holds it. The encoding becomes `raw`. Panics when the value is no string.
    pub fn string_vec(&mut self) -> &mut Vec<u8> {
        let made = match self.str() {
            Some(StrRef::Shared(_)) => None,
            Some(s) => Some(Arc::new(s.to_vec())),
            None => panic!("string_vec of a collection"),
        };
        if let Some(a) = made {
            self.reform(Type::String, Encoding::Raw, self.expire(), true, 0);
            self.put_word(Arc::into_raw(a) as u64);
        }
        // SAFETY: the word is what `Arc::into_raw` gave; the count moves into `arc` and back into the word, as making the
        // value unique may replace it.
        let mut arc = ManuallyDrop::new(unsafe { Arc::from_raw(self.word() as *const Vec<u8>) });
        let unique: *mut Vec<u8> = Arc::make_mut(&mut arc);
        self.put_word(Arc::as_ptr(&arc) as u64);
        // SAFETY: the vector is owned by the entry alone now, which is exclusively borrowed.
        unsafe { &mut *unique }
    }

    /// Takes the vector out of a string that has a block of its own and that no reply holds; the string is empty then.
    pub fn take_string_room(&mut self) -> Option<Vec<u8>> {
        if !matches!(self.str(), Some(StrRef::Shared(_))) {
            return None;
        }
        // SAFETY: the word is what `Arc::into_raw` gave; the count stays with the entry.
        let mut arc = ManuallyDrop::new(unsafe { Arc::from_raw(self.word() as *const Vec<u8>) });
        Arc::get_mut(&mut arc).map(std::mem::take)
    }

    /// Replaces the value by a string and sets the expire.
    #[inline]
    pub fn set_string(&mut self, value: &NewStr<'_>, expire: Option<i64>) {
        match value.form() {
            Form::Inline(b, enc) => {
                self.drop_value();
                self.reform(Type::String, enc, expire, false, b.len());
                self.fill_inline(b);
            }
            Form::Int(i) => {
                self.drop_value();
                self.reform(Type::String, Encoding::Int, expire, true, 0);
                self.put_word(i as u64);
            }
            Form::Shared(a) => {
                self.drop_value();
                self.reform(Type::String, Encoding::Raw, expire, true, 0);
                self.put_word(Arc::into_raw(a) as u64);
            }
        }
    }

    /// Replaces the value by a collection; the expire stays.
    pub fn set_collection<T: Value>(&mut self, value: T) {
        self.drop_value();
        let (enc, word) = value.into_word();
        self.store(T::TYPE, enc, word);
    }

    /// Stores the word of a collection, a small listpack inline. What was stored before must be gone.
    fn store(&mut self, ty: Type, enc: Encoding, word: u64) {
        let h = self.header();
        if let Some(blob) = Packed::small(enc, word) {
            let len = blob.bytes().len();
            if h.has(WORD) || h.vlen() != len {
                self.reform(ty, enc, self.expire(), false, len);
            } else {
                self.put_header(Header(h.0 & !0xff | u64::from(ty as u8 | (enc as u8) << 4)));
            }
            return self.fill_inline(blob.bytes());
        }
        if !h.has(WORD) {
            self.reform(ty, enc, self.expire(), true, 0);
        } else {
            self.put_header(Header(h.0 & !0xff | u64::from(ty as u8 | (enc as u8) << 4)));
        }
        self.put_word(word);
    }

    /// Sets or clears the expire (Unix ms).
    pub fn set_expire(&mut self, expire: Option<i64>) {
        let h = self.header();
        if h.has(EXPIRE) == expire.is_some() {
            return self.fill_expire(expire);
        }
        let (old_off, tail) = (h.key_off(), self.klen(h) + h.vlen());
        let word = h.has(WORD).then(|| self.word());
        let long = h.has(LONG_KEY).then(|| self.klen(h) as u32);
        let new = Header(h.0 ^ (u64::from(EXPIRE) << 8));
        self.shift(old_off, new.key_off(), tail);
        self.put_header(new);
        self.fill_expire(expire);
        if let Some(w) = word {
            self.put_word(w);
        }
        if let Some(n) = long {
            // SAFETY: LONG_KEY is set, so the u32 stands before the key.
            unsafe { self.at(new.key_off() - 4).cast::<u32>().write(n) }
        }
    }

    /// Moves the `tail` bytes at `from` (to the block's end) to `to` and resizes the block to fit.
    fn shift(&mut self, from: usize, to: usize, tail: usize) {
        // SAFETY: the block holds from+tail bytes now and max(from, to)+tail while moving; the copy may overlap.
        unsafe {
            if to > from {
                self.resize(from + tail, to + tail);
                ptr::copy(self.at(from), self.at(to), tail);
            } else {
                ptr::copy(self.at(from), self.at(to), tail);
                self.resize(from + tail, to + tail);
            }
        }
    }

    /// # Safety
    /// `old` must be the block's size.
    #[inline]
    unsafe fn resize(&mut self, old: usize, new: usize) {
        if old == new {
            return;
        }
        // SAFETY: the block was allocated with `old` bytes and this alignment; new is at least 8.
        let p = unsafe { realloc(self.0.as_ptr(), Self::layout(old), new) };
        self.0 = NonNull::new(p).unwrap_or_else(|| handle_alloc_error(Self::layout(new)));
    }

    /// Gives the block another shape: the key and clock stay, word and value are left for the caller to write. The old value
    /// must have been dropped or read out.
    #[inline]
    fn reform(&mut self, ty: Type, enc: Encoding, expire: Option<i64>, word: bool, vlen: usize) {
        let h = self.header();
        let klen = self.klen(h);
        let flags = if expire.is_some() { EXPIRE } else { 0 } | if word { WORD } else { 0 };
        let new = Header(Header::new(ty, enc, flags, klen, vlen).0 | h.0 & (0xff_ffff << 16));
        let (from, to) = (h.key_off(), new.key_off());
        let (old_size, new_size) = (from + klen + h.vlen(), to + klen + vlen);
        // SAFETY: the key stays inside the larger of the two sizes while it moves.
        unsafe {
            if from == to {
                self.resize(old_size, new_size);
            } else if new_size > old_size {
                self.resize(old_size, new_size);
                ptr::copy(self.at(from), self.at(to), klen);
            } else {
                ptr::copy(self.at(from), self.at(to), klen);
                self.resize(old_size, new_size);
            }
            if new.has(LONG_KEY) {
                self.at(to - 4).cast::<u32>().write(klen as u32);
            }
        }
        self.put_header(new);
        self.fill_expire(expire);
    }

    /// Frees what the word points to, if anything. Afterwards the word is stale: the caller reforms or frees the block.
    #[inline]
    fn drop_value(&mut self) {
        let h = self.header();
        if h.has(WORD) && self.encoding() != Encoding::Int {
            self.drop_pointer();
        }
    }

    #[inline(never)]
    fn drop_pointer(&mut self) {
        let (enc, word) = (self.encoding(), self.word());
        // SAFETY: type and encoding say what the owned word is; it is dropped once (see callers).
        unsafe { super::value::drop_word(self.ty(), enc, word) }
    }

    /// Lets `mover` move the entry's own block.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        let layout = Self::layout(self.block_bytes());
        // SAFETY: the block was allocated with this size and alignment, and only this handle points to it.
        if let Some(new) = unsafe { relocate::relocate(mover, self.0, layout) } {
            self.0 = new;
        }
    }

    /// Lets `mover` move the blocks of the value, about `count` elements from `from` on (0 starts); where to go on, 0 at the end.
    pub fn relocate_value(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        let enc = self.encoding();
        if !self.header().has(WORD) || enc == Encoding::Int {
            return 0;
        }
        let mut word = self.word();
        // SAFETY: type and encoding say what the owned word is; what it has become is put back.
        let next =
            unsafe { super::value::relocate_word(self.ty(), enc, &mut word, mover, from, count) };
        self.put_word(word);
        next
    }

    /// The inline listpack of a collection without a word.
    fn inline_pack(&self) -> Packed<'_> {
        let h = self.header();
        let off = h.key_off() + self.klen(h);
        // SAFETY: an inline value of vlen bytes follows the key; `store` put a listpack blob there.
        Packed::borrowed(unsafe { std::slice::from_raw_parts(self.at(off), h.vlen()) })
    }

    /// The collection, or None when it is another type.
    pub fn value<T: Value>(&self) -> Option<ValueRef<'_, T>> {
        if self.ty() != T::TYPE {
            return None;
        }
        // SAFETY: type and encoding match; ManuallyDrop keeps the entry the owner.
        Some(ValueRef {
            v: ManuallyDrop::new(unsafe { T::from_word(self.encoding(), self.word()) }),
            entry: PhantomData,
        })
    }

    /// The same value under another key (RENAME, MOVE): the value moves, the expire and clock go along.
    pub fn with_key(mut self, key: &[u8]) -> Entry {
        let h = self.header();
        let e = self.under(key, h.has(WORD).then(|| self.word()));
        if h.has(WORD) {
            // The word has moved: what is left of the old entry must not free it.
            let emptied = u64::from(Type::String as u8 | (Encoding::Int as u8) << 4);
            self.put_header(Header(h.0 & !0xff | emptied));
        }
        e
    }

    /// A deep copy of the value under another key (COPY); the expire and clock go along. A shared string is shared once more.
    pub fn duplicate(&self, key: &[u8]) -> Entry {
        let word = match (self.header().has(WORD), self.encoding()) {
            (false, _) => None,
            (true, Encoding::Int) => Some(self.word()),
            // SAFETY: type and encoding say what the word is, and it stays ours.
            (true, enc) => Some(unsafe { super::value::clone_word(self.ty(), enc, self.word()) }),
        };
        self.under(key, word)
    }

    /// A new entry with our shape, expire and clock, and with `word` (given if we have one) or our inline value.
    fn under(&self, key: &[u8], word: Option<u64>) -> Entry {
        let h = self.header();
        let new = Header::new(
            self.ty(),
            self.encoding(),
            h.flags() & (EXPIRE | WORD),
            key.len(),
            h.vlen(),
        );
        let mut e = Self::allocate(new, key);
        match word {
            Some(word) => e.put_word(word),
            None => {
                let off = h.key_off() + self.klen(h);
                // SAFETY: an inline value of vlen bytes follows the key.
                e.fill_inline(unsafe { std::slice::from_raw_parts(self.at(off), h.vlen()) });
            }
        }
        e.fill_expire(self.expire());
        e.set_clock(self.clock());
        e
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.drop_value();
        let size = self.size(self.header());
        // SAFETY: the block was allocated with this size and alignment and is not used again.
        unsafe { dealloc(self.0.as_ptr(), Self::layout(size)) }
    }
}

// SAFETY: into_raw/from_raw move the one owning pointer, which fits 48 bits and is 8-aligned as every heap block.
unsafe impl Item for Entry {
    const COUNTED: bool = true;

    #[inline]
    fn class(&self) -> u8 {
        super::sizes::class_of(self)
    }

    #[inline(always)]
    fn key(&self) -> &[u8] {
        let h = self.header();
        // SAFETY: the key lies there, initialised since `allocate`.
        unsafe { std::slice::from_raw_parts(self.at(h.key_off()), self.klen(h)) }
    }
    #[inline(always)]
    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0
    }
    #[inline(always)]
    unsafe fn from_raw(p: NonNull<u8>) -> Self {
        Entry(p)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Entry({:?}, {:?}, {:?})",
            String::from_utf8_lossy(self.key()),
            self.ty(),
            self.encoding()
        )
    }
}

/// A collection borrowed from its entry.
pub struct ValueRef<'a, T: Value> {
    v: ManuallyDrop<T>,
    entry: PhantomData<&'a Entry>,
}

impl<'a, T: Value> ValueRef<'a, T> {
    /// The collection of an entry of a table, for as long as the table is borrowed; None when it is another type.
    #[inline]
    pub fn of(e: Ref<'a, Entry>) -> Option<Self> {
        let v = e.value::<T>()?.v;
        Some(ValueRef {
            v,
            entry: PhantomData,
        })
    }
}

impl<T: Value> Deref for ValueRef<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.v
    }
}

/// A collection borrowed from its entry to be changed; the entry takes the result back when this is dropped.
pub struct ValueMut<'a, T: Value> {
    v: ManuallyDrop<T>,
    entry: RefMut<'a, Entry>,
}

impl<'a, T: Value> ValueMut<'a, T> {
    /// The collection of an entry of a table, to change it; None when it is another type.
    #[inline]
    pub fn of(entry: RefMut<'a, Entry>) -> Option<Self> {
        if entry.ty() != T::TYPE {
            return None;
        }
        let word = if entry.header().has(WORD) {
            entry.word()
        } else {
            entry.inline_pack().thawed()
        };
        // SAFETY: type and encoding match; the guard stores the perhaps changed word back when it ends. An inline listpack
        // was copied to a block of its own to be changed there.
        let v = ManuallyDrop::new(unsafe { T::from_word(entry.encoding(), word) });
        Some(ValueMut { v, entry })
    }

    /// The entry it lies in (its encoding is that of before the change).
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl<T: Value> Deref for ValueMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.v
    }
}

impl<T: Value> DerefMut for ValueMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.v
    }
}

impl<T: Value> Drop for ValueMut<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard ends here, so the value is taken out once.
        let (enc, word) = unsafe { ManuallyDrop::take(&mut self.v) }.into_word();
        self.entry.store(T::TYPE, enc, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::{Rng, rounds};

    fn text(e: &Entry) -> Vec<u8> {
        e.str().unwrap().to_vec()
    }

    #[test]
    fn random_reshaping_keeps_key_value_and_expire() {
        let mut rng = Rng::new(5);
        for round in 0..rounds(300) {
            let key = vec![b'k'; [0, 1, 16, 255, 256, 5000][rng.below(6)]];
            let mut e = Entry::string(&key, &NewStr::Copy(b"start"), None);
            e.set_clock(round as u32);
            let (mut want, mut exp) = (b"start".to_vec(), None);
            for _ in 0..40 {
                match rng.below(6) {
                    0 => {
                        exp = (rng.below(2) == 0).then_some(rng.below(1 << 40) as i64);
                        e.set_expire(exp);
                    }
                    1 => {
                        want = vec![b'v'; rng.below(100)];
                        exp = (rng.below(2) == 0).then_some(9);
                        e.set_string(&NewStr::Copy(&want), exp);
                    }
                    2 => {
                        want = vec![b'w'; INLINE_MAX - 2 + rng.below(5)];
                        e.set_string(&NewStr::Copy(&want), exp);
                    }
                    3 => {
                        let i = rng.next_u64() as i64;
                        want = i.to_string().into_bytes();
                        e.set_string(&NewStr::Int(i), exp);
                        assert_eq!(e.encoding(), Encoding::Int);
                    }
                    4 => {
                        e.string_vec().push(b'!');
                        want.push(b'!');
                        assert_eq!(e.encoding(), Encoding::Raw);
                    }
                    _ => e = e.with_key(&key),
                }
                assert!(
                    e.key() == key
                        && text(&e) == want
                        && e.expire() == exp
                        && e.clock() == round as u32
                );
            }
        }
    }

    #[test]
    fn small_string_is_forty_bytes() {
        assert_eq!(
            Entry::string(&[b'k'; 16], &NewStr::Copy(&[b'v'; 16]), None).block_bytes(),
            40
        );
        assert_eq!(
            Entry::string(&[b'k'; 16], &NewStr::Copy(b"12"), None).block_bytes(),
            32
        );
    }

    #[test]
    fn a_list_moves_between_the_entry_and_a_block_of_its_own() {
        use crate::ds::quicklist::{End, Fill};
        use crate::ds::table::Table;
        use crate::types::list::{List, ListLimits};
        let limits = ListLimits {
            fill: Fill::new(-2),
            compress_depth: 0,
        };
        let mut table = Table::new();
        let h = crate::ds::hash::hash(b"key");
        table.insert_new(h, Entry::collection(b"key", List::new(), None));
        let (mut model, mut rng) = (std::collections::VecDeque::new(), Rng::new(2));
        for step in 0..rounds(20_000) as u32 {
            let grow = (step / 2000) % 2 == 0;
            let mut e = table.find_mut(h, b"key").unwrap();
            if rng.below(10) == 0 {
                e.set_expire((rng.below(2) == 0).then_some(i64::from(step)));
            }
            let expire = e.expire();
            let mut l = ValueMut::<List>::of(e).unwrap();
            if grow == (rng.below(4) > 0) {
                let text = format!("element:{step}").into_bytes();
                l.push(End::Tail, &text, &limits);
                model.push_back(text);
            } else if l.pop(End::Head, &limits).is_some() {
                model.pop_front();
            }
            drop(l);
            let e = table.find(h, b"key").unwrap();
            assert_eq!((e.key(), e.expire()), (b"key".as_slice(), expire));
            assert_eq!(ValueRef::<List>::of(e).unwrap().len(), model.len());
            if step % 1000 == 0 {
                let e = table
                    .remove(h, b"key")
                    .unwrap()
                    .with_key(b"other")
                    .with_key(b"key");
                table.insert_new(h, e);
            }
        }
    }

    #[test]
    fn shared_value_is_copied_before_change() {
        let mut e = Entry::string(b"k", &NewStr::Copy(&[b'x'; INLINE_MAX]), None);
        let Some(StrRef::Shared(a)) = e.str() else {
            panic!()
        };
        let held = a.to_arc();
        e.string_vec().push(b'y');
        assert_eq!((held.len(), text(&e).len()), (INLINE_MAX, INLINE_MAX + 1));
    }
}
