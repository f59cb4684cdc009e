//! Listpack: the flat encoding of small lists, hashes, sets and sorted sets, and of the nodes of quicklists and streams.
//!
//! The bytes are the RDB / DUMP format itself, so saving one is a copy and loading one a check plus a copy.
//!
//! | offset | size | meaning                                                                     |
//! |-------:|-----:|-----------------------------------------------------------------------------|
//! |      0 |    4 | total bytes, u32 LE (this is the [`ThinBuf`] prefix)                        |
//! |      4 |    2 | number of entries, u16 LE; 65535 = unknown, count by walking                |
//! |      6 |    n | entries                                                                     |
//! |    6+n |    1 | 0xFF                                                                        |
//!
//! One entry is encoding + data ("body"), then the body length once more for walking backwards ("backlen"):
//!
//! | first byte  | body                                                             |
//! |-------------|------------------------------------------------------------------|
//! | `0xxxxxxx`  | unsigned 7-bit integer                                           |
//! | `10xxxxxx`  | string of 0..63 bytes                                            |
//! | `110xxxxx`  | signed 13-bit integer, low byte follows                          |
//! | `1110xxxx`  | string of up to 4095 bytes, low length byte follows              |
//! | `11110000`  | string, u32 LE length follows                                    |
//! | `11110001`.. `11110100` | signed integer of 2, 3, 4, 8 bytes LE                |
//!
//! The backlen holds 7 bits per byte, most significant byte first; every byte but the first has the top bit set, which is how
//! a reader coming from the right knows where to stop. Its size follows upstream's bounds exactly (see [`backlen_size`]).
//!
//! A [`Pos`] is the offset of an entry. It is good until the next mutation in front of it; every reader checks bounds again,
//! so a stale or foreign `Pos`, like a blob that was only checked shallowly, gives `None` or nonsense values but never panics
//! and never reads outside.

use super::numtext;
use super::thin::{PREFIX, ThinBuf};
use crate::sys::relocate::Mover;
use std::ops::Range;

const HEADER: usize = 6;
const END: u8 = 0xff;
/// Count value that says "unknown".
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Bytes of a listpack without entries.
pub const EMPTY_BYTES: usize = HEADER + 1;
/// No listpack may grow beyond this many bytes (upstream's safety limit, 1 GB).
pub const SAFETY_LIMIT: usize = 1 << 30;

/// Offset of an entry inside its listpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos(u32);

impl Pos {
    #[inline(always)]
    fn at(self) -> usize {
        self.0 as usize
    }
    #[inline(always)]
    fn new(at: usize) -> Self {
        Pos(at as u32) // blobs are shorter than 4 GiB
    }
}

/// The value of an entry, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An integer; its text is the canonical decimal one.
    Int(i64),
    /// A string.
    Bytes(&'a [u8]),
}

impl<'a> Entry<'a> {
    /// The entry as a client sees it; integers are printed into `buf`.
    #[inline]
    pub fn to_bytes<'b>(self, buf: &'b mut [u8; numtext::I64_TEXT_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Entry::Int(v) => numtext::write_i64(v, buf),
            Entry::Bytes(b) => b,
        }
    }

    /// Whether the entry reads as `needle`; `needle_int` is `parse_i64(needle)`, computed once by the caller.
    #[inline(always)]
    pub fn equals(self, needle: &[u8], needle_int: Option<i64>) -> bool {
        match self {
            Entry::Int(v) => needle_int == Some(v),
            Entry::Bytes(b) => b == needle,
        }
    }

    /// Owned copy of what a client sees.
    pub fn to_vec(self) -> Vec<u8> {
        self.to_bytes(&mut [0; numtext::I64_TEXT_MAX]).to_vec()
    }
}

/// Why bytes are not a listpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadListpack {
    /// Offset of the offending byte or entry.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl std::fmt::Display for BadListpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bad listpack at offset {}: {}", self.offset, self.what)
    }
}
impl std::error::Error for BadListpack {}

/// Bytes the backlen of a body of `body` bytes takes. The bounds are upstream's: they give up the largest value of each size
/// (checked against DUMP of 8.2.3 at 16382/16383), so they must not be "corrected".
#[inline(always)]
const fn backlen_size(body: usize) -> usize {
    if body <= 127 {
        1
    } else if body < 16_383 {
        2
    } else if body < 2_097_151 {
        3
    } else if body < 268_435_455 {
        4
    } else {
        5
    }
}

/// Writes the backlen of `body` and returns its size.
#[inline(always)]
fn write_backlen(body: usize, out: &mut [u8; 5]) -> usize {
    let size = backlen_size(body);
    let mut rest = body;
    for i in (0..size).rev() {
        out[i] = (rest & 127) as u8 | if i == 0 { 0 } else { 128 };
        rest >>= 7;
    }
    size
}

/// Reads the backlen that ends just before `end`: (body length, bytes of the backlen itself).
#[inline(always)]
fn read_backlen(blob: &[u8], end: usize) -> Option<(usize, usize)> {
    let mut value = 0usize;
    for i in 0..5 {
        let byte = *blob.get(end.checked_sub(i + 1)?)?;
        value |= usize::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// Decodes the body at `at`: the value and the body's length. `None` at the end mark, on an unknown encoding, or when the
/// body would leave the blob.
#[inline(always)]
fn decode(blob: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let tag = *blob.get(at)?;
    if tag < 0x80 {
        return Some((Entry::Int(i64::from(tag)), 1));
    }
    if tag < 0xc0 {
        return decode_string(blob, at, 1, usize::from(tag & 0x3f));
    }
    decode_wide(blob, at, tag)
}

#[inline(always)]
fn decode_string(blob: &[u8], at: usize, head: usize, len: usize) -> Option<(Entry<'_>, usize)> {
    let start = at + head;
    Some((Entry::Bytes(blob.get(start..start + len)?), head + len))
}

/// The encodings with more than one byte of head.
fn decode_wide(blob: &[u8], at: usize, tag: u8) -> Option<(Entry<'_>, usize)> {
    match tag {
        0xc0..=0xdf => {
            let raw = (i64::from(tag & 0x1f) << 8) | i64::from(*blob.get(at + 1)?);
            Some((Entry::Int((raw << 51) >> 51), 2))
        }
        0xe0..=0xef => {
            let len = (usize::from(tag & 0x0f) << 8) | usize::from(*blob.get(at + 1)?);
            decode_string(blob, at, 2, len)
        }
        0xf0 => {
            let len = blob.get(at + 1..at + 5)?.try_into().ok()?;
            decode_string(blob, at, 5, u32::from_le_bytes(len) as usize)
        }
        0xf1..=0xf4 => {
            let width = [2, 3, 4, 8][usize::from(tag - 0xf1)];
            let mut raw = [0u8; 8];
            raw[8 - width..].copy_from_slice(blob.get(at + 1..at + 1 + width)?);
            Some((
                Entry::Int(i64::from_le_bytes(raw) >> (64 - 8 * width)),
                1 + width,
            ))
        }
        _ => None,
    }
}

/// An element ready to be spliced in: head (or the whole integer), string data, backlen.
struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    back: [u8; 5],
    back_len: u8,
    data: &'a [u8],
}

impl<'a> Encoded<'a> {
    #[inline]
    fn bytes(value: &'a [u8]) -> Self {
        match numtext::parse_i64(value) {
            Some(v) => Self::int(v),
            None => Self::string(value),
        }
    }

    fn string(value: &'a [u8]) -> Self {
        let len = value.len();
        let mut head = [0; 9];
        let head_len = if len < 64 {
            head[0] = 0x80 | len as u8;
            1
        } else if len < 4096 {
            head[..2].copy_from_slice(&(0xe000 | len as u16).to_be_bytes());
            2
        } else {
            head[0] = 0xf0;
            let len = u32::try_from(len).expect("element beyond 4 GiB");
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        };
        Self::finish(head, head_len, value)
    }

    fn int(value: i64) -> Self {
        let mut head = [0; 9];
        let head_len = int_body_size(value);
        match head_len {
            1 => head[0] = value as u8,
            2 => head[..2].copy_from_slice(&(0xc000 | (value as u16 & 0x1fff)).to_be_bytes()),
            n => {
                // Widths 2, 3, 4, 8 carry the tags f1, f2, f3, f4.
                head[0] = if n == 9 { 0xf4 } else { 0xf0 + (n as u8 - 2) };
                head[1..n].copy_from_slice(&value.to_le_bytes()[..n - 1]);
            }
        }
        Self::finish(head, head_len, &[])
    }

    #[inline(always)]
    fn finish(head: [u8; 9], head_len: usize, data: &'a [u8]) -> Self {
        let mut back = [0; 5];
        let back_len = write_backlen(head_len + data.len(), &mut back) as u8;
        Encoded {
            head,
            head_len: head_len as u8,
            back,
            back_len,
            data,
        }
    }

    #[inline(always)]
    fn parts(&self) -> [&[u8]; 3] {
        [
            &self.head[..usize::from(self.head_len)],
            self.data,
            &self.back[..usize::from(self.back_len)],
        ]
    }
}

/// Body bytes (without backlen) of an integer.
fn int_body_size(value: i64) -> usize {
    match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -32_768..=32_767 => 3,
        -8_388_608..=8_388_607 => 4,
        -2_147_483_648..=2_147_483_647 => 5,
        _ => 9,
    }
}

/// Bytes the integer takes as an entry, backlen included.
pub fn int_entry_bytes(value: i64) -> usize {
    int_body_size(value) + 1
}

/// Bytes `value` takes as an entry, backlen included (integers are recognised as in a push).
pub fn entry_bytes(value: &[u8]) -> usize {
    match numtext::parse_i64(value) {
        Some(v) => int_entry_bytes(v),
        None => text_entry_bytes(value.len()),
    }
}

/// Bytes that `len` bytes which are no integer take as an entry, backlen included.
#[inline]
pub fn text_entry_bytes(len: usize) -> usize {
    let head = match len {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    };
    head + len + backlen_size(head + len)
}

/// Whether `add` more bytes may go into a listpack of `current` bytes (0 for a new one) without passing [`SAFETY_LIMIT`].
#[inline(always)]
pub fn safe_to_add(current: usize, add: usize) -> bool {
    current.saturating_add(add) <= SAFETY_LIMIT
}

/// A listpack in one word; see the file header for the format.
#[derive(Clone, PartialEq, Eq)]
pub struct Listpack {
    buf: ThinBuf,
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Listpack {
    /// An empty listpack (7 bytes).
    pub fn new() -> Self {
        Listpack {
            buf: ThinBuf::from_body(&[0, 0, END]),
        }
    }

    /// A copy of `blob` after the cheap checks: length field, end mark, minimal size. Entries are not looked at; a broken one
    /// ends iteration early later on.
    pub fn from_bytes_shallow(blob: &[u8]) -> Result<Self, BadListpack> {
        check_frame(blob)?;
        Ok(Listpack {
            buf: ThinBuf::from_slice(blob),
        })
    }

    /// A copy of `blob` after walking every entry: encodings, bounds, backlens, and the number of entries.
    pub fn from_bytes_deep(blob: &[u8]) -> Result<Self, BadListpack> {
        check_frame(blob)?;
        check_entries(blob)?;
        Ok(Listpack {
            buf: ThinBuf::from_slice(blob),
        })
    }

    /// Shallow or deep checking, as `sanitize-dump-payload` says.
    pub fn from_bytes_validated(blob: &[u8], deep: bool) -> Result<Self, BadListpack> {
        if deep {
            Self::from_bytes_deep(blob)
        } else {
            Self::from_bytes_shallow(blob)
        }
    }

    /// The blob as it is saved.
    #[inline(always)]
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.as_slice()
    }

    /// The blob's size in bytes.
    #[inline(always)]
    pub fn total_bytes(&self) -> usize {
        self.buf.len()
    }

    /// The owning buffer, for storing the word elsewhere.
    pub fn into_thin(self) -> ThinBuf {
        self.buf
    }

    /// Lets `mover` move the blob.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        self.buf.relocate(mover);
    }

    /// The counterpart of [`Listpack::into_thin`]; `buf` came from there.
    pub fn from_thin(buf: ThinBuf) -> Self {
        debug_assert!(buf.len() >= EMPTY_BYTES);
        Listpack { buf }
    }

    /// Number of entries; walks when the header does not know (65535 and more).
    #[inline]
    pub fn len(&self) -> usize {
        match self.stored_count() {
            COUNT_UNKNOWN => self.iter().count(),
            n => usize::from(n),
        }
    }

    /// Whether there is no entry.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == EMPTY_BYTES
    }

    #[inline(always)]
    fn stored_count(&self) -> u16 {
        let blob = self.as_bytes();
        u16::from_le_bytes([blob[4], blob[5]])
    }

    /// Sets the count; whatever does not fit becomes "unknown".
    fn store_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.buf.body_mut()[..2].copy_from_slice(&count.to_le_bytes());
    }

    /// Adds to a known count; an unknown one stays unknown until somebody counts again.
    fn adjust_count(&mut self, added: usize, removed: usize) {
        if self.stored_count() != COUNT_UNKNOWN {
            let count = usize::from(self.stored_count()) + added;
            self.store_count(count.saturating_sub(removed));
        }
    }

    // ---- navigation ----

    /// Offset of the end mark.
    #[inline(always)]
    fn end(&self) -> usize {
        self.total_bytes() - 1
    }

    /// The value at `pos`; `None` when `pos` is no entry.
    #[inline(always)]
    pub fn get(&self, pos: Pos) -> Option<Entry<'_>> {
        decode(self.as_bytes(), pos.at()).map(|(e, _)| e)
    }

    /// The first entry.
    #[inline(always)]
    pub fn first(&self) -> Option<Pos> {
        self.valid(HEADER)
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<Pos> {
        self.before(self.end())
    }

    /// The entry behind `pos`.
    #[inline(always)]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        self.valid(self.span(pos)?.end)
    }

    /// The entry in front of `pos`.
    #[inline]
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        self.before(pos.at())
    }

    #[inline(always)]
    fn valid(&self, at: usize) -> Option<Pos> {
        (at < self.end()).then(|| Pos::new(at))
    }

    fn before(&self, at: usize) -> Option<Pos> {
        if at <= HEADER {
            return None;
        }
        let (body, back) = read_backlen(self.as_bytes(), at)?;
        let start = at.checked_sub(body + back)?;
        (start >= HEADER).then(|| Pos::new(start))
    }

    /// Bytes from the start of the entry to the start of the next one; `None` unless all of it lies before the end mark.
    #[inline(always)]
    fn span(&self, pos: Pos) -> Option<Range<usize>> {
        let (_, body) = decode(self.as_bytes(), pos.at())?;
        let end = pos.at() + body + backlen_size(body);
        (pos.at() >= HEADER && end <= self.end()).then_some(pos.at()..end)
    }

    /// The entry at `index`; negative counts from the end (-1 is the last). Walks from the nearer end.
    pub fn seek(&self, index: isize) -> Option<Pos> {
        let mut index = index;
        if self.stored_count() != COUNT_UNKNOWN {
            let len = self.len() as isize;
            if index < 0 {
                index += len;
            }
            if index < 0 || index >= len {
                return None;
            }
            if index > len / 2 {
                index -= len;
            }
        }
        if index < 0 {
            let mut pos = self.last()?;
            for _ in index..-1 {
                pos = self.prev(pos)?;
            }
            Some(pos)
        } else {
            let mut pos = self.first()?;
            for _ in 0..index {
                pos = self.next(pos)?;
            }
            Some(pos)
        }
    }

    /// Iterates from the first entry.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            pack: self,
            next: self.first(),
        }
    }

    /// Iterates from the last entry backwards.
    pub fn iter_rev(&self) -> IterRev<'_> {
        IterRev {
            pack: self,
            next: self.last(),
        }
    }

    /// Calls `f` with up to `n` entries from the one at `offset` on: the quick way to read a range.
    #[inline]
    pub fn for_each(&self, offset: usize, n: usize, f: impl FnMut(Entry<'_>)) {
        if n == 0 {
            return;
        }
        let pos = isize::try_from(offset).ok().and_then(|i| self.seek(i));
        if let Some(pos) = pos {
            self.iter_from(pos).take(n).for_each(f);
        }
    }

    /// Iterates from `pos` forwards.
    pub fn iter_from(&self, pos: Pos) -> Iter<'_> {
        Iter {
            pack: self,
            next: self.valid(pos.at()),
        }
    }

    /// Iterates from `pos` backwards.
    pub fn iter_rev_from(&self, pos: Pos) -> IterRev<'_> {
        IterRev {
            pack: self,
            next: self.valid(pos.at()),
        }
    }

    /// The first entry equal to `needle`, looking at every (`skip` + 1)-th entry from the first on.
    #[inline]
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<Pos> {
        self.find_from(self.first()?, needle, skip)
    }

    /// Like [`Listpack::find`], starting at `pos`.
    pub fn find_from(&self, pos: Pos, needle: &[u8], skip: usize) -> Option<Pos> {
        let blob = &self.as_bytes()[..self.end()];
        let needle_int = numtext::parse_i64(needle);
        let mut at = pos.at();
        let mut skipping = 0;
        loop {
            let tag = *blob.get(at)?;
            let looked_at = skipping == 0;
            skipping = if looked_at { skip } else { skipping - 1 };
            // Short strings are the common case in hashes: one byte of head, one of backlen, no decoding.
            if tag & 0xc0 == 0x80 {
                let len = usize::from(tag & 0x3f);
                // Names of equal length often differ only in their last byte: it is looked at before all are compared.
                if looked_at
                    && len == needle.len()
                    && (len == 0 || blob.get(at + len)? == &needle[len - 1])
                    && blob.get(at + 1..at + 1 + len)? == needle
                {
                    return Some(Pos::new(at));
                }
                at += len + 2;
                continue;
            }
            let (entry, body) = decode(blob, at)?;
            if looked_at && entry.equals(needle, needle_int) {
                return Some(Pos::new(at));
            }
            at += body + backlen_size(body);
        }
    }

    // ---- changes ----

    /// Appends an element. Callers keep to [`safe_to_add`].
    #[inline]
    pub fn push_back(&mut self, value: &[u8]) {
        let end = self.end();
        self.splice(end..end, &Encoded::bytes(value), 0);
    }

    /// Appends an integer.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        let end = self.end();
        self.splice(end..end, &Encoded::int(value), 0);
    }

    /// Appends `count` entries of `bytes` bytes in all (sums of [`entry_bytes`] and [`int_entry_bytes`]), which `fill` writes:
    /// one reallocation for many entries. Bytes that `fill` leaves unwritten are cut off again; writing more than announced
    /// panics.
    #[inline]
    pub fn extend(&mut self, bytes: usize, count: usize, fill: impl FnOnce(&mut Encoder<'_>)) {
        let end = self.end();
        self.buf.resize(end + bytes + 1);
        let mut encoder = Encoder {
            out: &mut self.buf.body_mut()[end - PREFIX..],
            at: 0,
        };
        fill(&mut encoder);
        let written = encoder.at;
        encoder.out[written] = END;
        if written != bytes {
            debug_assert!(false, "announced {bytes} bytes, wrote {written}");
            self.buf.resize(end + written + 1);
        }
        self.adjust_count(count, 0);
    }

    /// Puts an element in front.
    pub fn push_front(&mut self, value: &[u8]) {
        self.splice(HEADER..HEADER, &Encoded::bytes(value), 0);
    }

    /// Inserts in front of `pos` and returns the new entry; `pos` itself is then the entry behind it. At the position of the
    /// end mark this appends.
    pub fn insert_before(&mut self, pos: Pos, value: &[u8]) -> Pos {
        let at = pos.at().clamp(HEADER, self.end());
        self.splice(at..at, &Encoded::bytes(value), 0);
        Pos::new(at)
    }

    /// Inserts behind `pos` and returns the new entry.
    pub fn insert_after(&mut self, pos: Pos, value: &[u8]) -> Pos {
        let at = self.span(pos).map_or(self.end(), |s| s.end);
        self.splice(at..at, &Encoded::bytes(value), 0);
        Pos::new(at)
    }

    /// Overwrites the entry at `pos`, which stays its position. False when `pos` is no entry.
    pub fn replace(&mut self, pos: Pos, value: &[u8]) -> bool {
        let Some(span) = self.span(pos) else {
            return false;
        };
        self.splice(span, &Encoded::bytes(value), 1);
        true
    }

    /// Deletes the entry at `pos`; returns the entry that took its place, if any.
    pub fn delete(&mut self, pos: Pos) -> Option<Pos> {
        self.delete_n(pos, 1)
    }

    /// Deletes up to `n` entries from `pos` on; returns the entry that then stands at `pos`, if any.
    pub fn delete_n(&mut self, pos: Pos, n: usize) -> Option<Pos> {
        let mut end = pos.at();
        let mut removed = 0;
        while removed < n {
            let Some(span) = self.valid(end).and_then(|p| self.span(p)) else {
                break;
            };
            end = span.end;
            removed += 1;
        }
        if removed > 0 {
            self.buf.splice(pos.at()..end, &[]);
            self.adjust_count(0, removed);
        }
        self.valid(pos.at())
    }

    /// Deletes up to `n` entries from `index` on (negative from the end); returns how many went.
    pub fn delete_range(&mut self, index: isize, n: usize) -> usize {
        let before = self.len();
        if let Some(pos) = self.seek(index) {
            self.delete_n(pos, n);
        }
        before - self.len()
    }

    /// Cuts the listpack in front of `pos`; returns what follows, `pos` included.
    pub fn split_off(&mut self, pos: Pos) -> Listpack {
        let at = pos.at().clamp(HEADER, self.end());
        let total = self.len();
        let mut tail = Listpack {
            buf: ThinBuf::from_parts(&[&[0, 0], &self.as_bytes()[at..]]),
        };
        let moved = tail.iter().count();
        tail.store_count(moved);
        let end = self.end();
        self.buf.splice(at..end, &[]);
        self.store_count(total.saturating_sub(moved));
        tail
    }

    /// Appends all entries of `other`.
    pub fn append(&mut self, other: &Listpack) {
        let count = self.len() + other.len();
        let end = self.end();
        self.buf
            .splice(end..end, &[&other.as_bytes()[HEADER..other.end()]]);
        self.store_count(count);
    }

    /// Puts all entries of `other` in front.
    pub fn prepend(&mut self, other: &Listpack) {
        let count = self.len() + other.len();
        self.buf
            .splice(HEADER..HEADER, &[&other.as_bytes()[HEADER..other.end()]]);
        self.store_count(count);
    }

    /// Bytes that the entry at `pos` takes; 0 when `pos` is no entry.
    pub fn entry_size(&self, pos: Pos) -> usize {
        self.span(pos).map_or(0, |s| s.len())
    }

    #[inline(always)]
    fn splice(&mut self, range: Range<usize>, encoded: &Encoded<'_>, removed: usize) {
        self.buf.splice(range, &encoded.parts());
        self.adjust_count(1, removed);
    }
}

/// Writes entries one behind the other into room made by [`Listpack::extend`].
pub struct Encoder<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Encoder<'_> {
    /// Writes `value` (as an integer when it reads as one).
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        self.put(&Encoded::bytes(value));
    }

    /// Writes an integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        // Small ones are one byte and a backlen of one: most of what a stream entry has besides its fields.
        if let 0..=127 = value {
            self.out[self.at] = value as u8;
            self.out[self.at + 1] = 1;
            self.at += 2;
        } else {
            self.put(&Encoded::int(value));
        }
    }

    /// Copies an entry that is already in a listpack.
    pub fn entry(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Int(v) => self.int(v),
            Entry::Bytes(b) => self.put(&Encoded::string(b)),
        }
    }

    #[inline]
    fn put(&mut self, encoded: &Encoded<'_>) {
        for part in encoded.parts() {
            self.out[self.at..self.at + part.len()].copy_from_slice(part);
            self.at += part.len();
        }
    }
}

/// Forward iterator over entries.
#[derive(Clone)]
pub struct Iter<'a> {
    pack: &'a Listpack,
    next: Option<Pos>,
}

impl<'a> Iter<'a> {
    /// The entry `next()` is going to return.
    pub fn pos(&self) -> Option<Pos> {
        self.next
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;
    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let pos = self.next.take()?;
        let (entry, body) = decode(self.pack.as_bytes(), pos.at())?;
        self.next = self.pack.valid(pos.at() + body + backlen_size(body));
        Some(entry)
    }
}

/// Backward iterator over entries.
#[derive(Clone)]
pub struct IterRev<'a> {
    pack: &'a Listpack,
    next: Option<Pos>,
}

impl<'a> IterRev<'a> {
    /// The entry `next()` is going to return.
    pub fn pos(&self) -> Option<Pos> {
        self.next
    }
}

impl<'a> Iterator for IterRev<'a> {
    type Item = Entry<'a>;
    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let pos = self.next.take()?;
        self.next = self.pack.prev(pos);
        self.pack.get(pos)
    }
}

/// The cheap checks: header, total bytes, end mark.
fn check_frame(blob: &[u8]) -> Result<(), BadListpack> {
    let bad = |offset, what| Err(BadListpack { offset, what });
    if blob.len() < EMPTY_BYTES {
        return bad(blob.len(), "shorter than an empty listpack");
    }
    let mut total = [0; PREFIX];
    total.copy_from_slice(&blob[..PREFIX]);
    if u32::from_le_bytes(total) as usize != blob.len() {
        return bad(0, "total bytes differ from the blob's size");
    }
    if blob[blob.len() - 1] != END {
        return bad(blob.len() - 1, "no end mark");
    }
    Ok(())
}

/// Walks all entries of a blob that passed [`check_frame`].
fn check_entries(blob: &[u8]) -> Result<(), BadListpack> {
    let bad = |offset, what| Err(BadListpack { offset, what });
    let end = blob.len() - 1;
    let body_area = &blob[..end];
    let (mut at, mut count) = (HEADER, 0usize);
    while at < end {
        let Some((_, body)) = decode(body_area, at) else {
            return bad(at, "entry with a bad encoding or beyond the end");
        };
        let next = at + body + backlen_size(body);
        let mut back = [0; 5];
        let size = write_backlen(body, &mut back);
        if body_area.get(at + body..next) != Some(&back[..size]) {
            return bad(at + body, "backlen does not match the entry");
        }
        at = next;
        count += 1;
    }
    let stored = u16::from_le_bytes([blob[4], blob[5]]);
    if stored != COUNT_UNKNOWN && usize::from(stored) != count {
        return bad(4, "wrong number of entries");
    }
    Ok(())
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
