//! Intset: a sorted array of integers, the encoding of small all-integer sets.
//!
//! | offset | size | meaning                                                    |
//! |-------:|-----:|------------------------------------------------------------|
//! |      0 |    4 | bytes per integer, u32 LE: 2, 4 or 8                       |
//! |      4 |    4 | number of integers, u32 LE                                 |
//! |      8 |    n | the integers, signed LE, ascending, no duplicates          |
//!
//! These are the bytes of RDB and DUMP (`as_bytes`). In memory they are the body of a [`ThinBuf`], so an intset is one word.
//! The width is that of the widest integer ever added; it never narrows, as upstream.
//!
//! Invariant: the blob has exactly `8 + width * len` bytes with a valid width. `from_bytes_validated` checks that even for
//! shallow loads; order is checked deeply only, and an unsorted blob gives wrong answers but no panic.

use super::rng::Rng;
use super::thin::{PREFIX, ThinBuf};
use crate::sys::relocate::Mover;

const HEADER: usize = 8;

/// Why bytes are not an intset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadIntset {
    /// Offset of the offending field or integer.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl std::fmt::Display for BadIntset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bad intset at offset {}: {}", self.offset, self.what)
    }
}
impl std::error::Error for BadIntset {}

/// A sorted set of integers in one word; see the file header.
#[derive(Clone, PartialEq, Eq)]
pub struct Intset {
    buf: ThinBuf,
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

/// Narrowest width in bytes that holds `value`.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// Reads integer `index`; the slice is long enough by the invariant.
#[inline(always)]
fn read(ints: &[u8], width: usize, index: usize) -> i64 {
    let at = index * width;
    match width {
        2 => i64::from(i16::from_le_bytes([ints[at], ints[at + 1]])),
        4 => {
            let raw = &ints[at..at + 4];
            i64::from(i32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]))
        }
        _ => {
            let mut raw = [0; 8];
            raw.copy_from_slice(&ints[at..at + 8]);
            i64::from_le_bytes(raw)
        }
    }
}

impl Intset {
    /// An empty set of width 2.
    pub fn new() -> Self {
        Intset {
            buf: ThinBuf::from_body(&[2, 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// A copy of `blob` after checking width and size, and with `deep` also that the integers ascend strictly.
    pub fn from_bytes_validated(blob: &[u8], deep: bool) -> Result<Self, BadIntset> {
        let bad = |offset, what| Err(BadIntset { offset, what });
        let Some((header, ints)) = blob.split_first_chunk::<HEADER>() else {
            return bad(blob.len(), "shorter than its header");
        };
        let width = match header[..4] {
            [w @ (2 | 4 | 8), 0, 0, 0] => usize::from(w),
            _ => return bad(0, "unknown width"),
        };
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if len.checked_mul(width) != Some(ints.len()) {
            return bad(4, "length differs from the blob's size");
        }
        if len == 0 {
            return bad(4, "no integers");
        }
        if deep {
            let unsorted = (1..len).find(|&i| read(ints, width, i - 1) >= read(ints, width, i));
            if let Some(i) = unsorted {
                return bad(HEADER + i * width, "integers do not ascend");
            }
        }
        Ok(Intset {
            buf: ThinBuf::from_body(blob),
        })
    }

    /// The bytes as they are saved.
    #[inline(always)]
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.body()
    }

    /// Size of the saved bytes.
    #[inline(always)]
    pub fn total_bytes(&self) -> usize {
        self.as_bytes().len()
    }

    /// The owning buffer, for storing the word elsewhere.
    pub fn into_thin(self) -> ThinBuf {
        self.buf
    }

    /// Lets `mover` move the blob.
    pub fn relocate(&mut self, mover: &mut dyn Mover) {
        self.buf.relocate(mover);
    }

    /// The counterpart of [`Intset::into_thin`]; `buf` came from there.
    pub fn from_thin(buf: ThinBuf) -> Self {
        debug_assert!(buf.len() >= PREFIX + HEADER);
        Intset { buf }
    }

    /// Bytes per integer: 2, 4 or 8.
    #[inline(always)]
    pub fn width(&self) -> usize {
        usize::from(self.as_bytes()[0])
    }

    /// Number of integers.
    #[inline(always)]
    pub fn len(&self) -> usize {
        let b = self.as_bytes();
        u32::from_le_bytes([b[4], b[5], b[6], b[7]]) as usize
    }

    /// Whether the set is empty.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    fn ints(&self) -> &[u8] {
        &self.as_bytes()[HEADER..]
    }

    /// The `index`-th smallest integer.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| read(self.ints(), self.width(), index))
    }

    /// The smallest integer.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest integer.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// A uniformly drawn member.
    pub fn random(&self, rng: &mut Rng) -> Option<i64> {
        self.get(rng.below(self.len()))
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        let (ints, width) = (self.ints(), self.width());
        (0..self.len()).map(move |i| read(ints, width, i))
    }

    /// Index of `value`, or the index where it belongs.
    #[inline]
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (ints, width) = (self.ints(), self.width());
        let (mut low, mut high) = (0, self.len());
        // Appending in order is the common way to fill a set.
        if high > 0 && value > read(ints, width, high - 1) {
            return Err(high);
        }
        while low < high {
            let mid = (low + high) / 2;
            match read(ints, width, mid).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(mid),
                std::cmp::Ordering::Less => low = mid + 1,
                std::cmp::Ordering::Greater => high = mid,
            }
        }
        Err(low)
    }

    /// Index of `value`.
    pub fn find(&self, value: i64) -> Option<usize> {
        self.search(value).ok()
    }

    /// Whether `value` is a member.
    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds `value`; false when it was there. Panics past `u32::MAX` bytes (sets convert long before).
    pub fn add(&mut self, value: i64) -> bool {
        let width = self.width();
        let wider = width_of(value);
        if wider > width {
            self.widen_and_add(wider, value);
            return true;
        }
        let Err(index) = self.search(value) else {
            return false;
        };
        let at = PREFIX + HEADER + index * width;
        self.buf.splice(at..at, &[&value.to_le_bytes()[..width]]);
        self.set_len(self.len() + 1);
        true
    }

    /// A value that needs more bytes than all others lies outside their range: it becomes the first or the last.
    fn widen_and_add(&mut self, width: usize, value: i64) {
        let mut blob = Vec::with_capacity(HEADER + (self.len() + 1) * width);
        blob.extend_from_slice(&(width as u32).to_le_bytes());
        blob.extend_from_slice(&[0; 4]);
        let edge = std::iter::once(value);
        let (front, back) = (edge.clone().filter(|v| *v < 0), edge.filter(|v| *v >= 0));
        for v in front.chain(self.iter()).chain(back) {
            blob.extend_from_slice(&v.to_le_bytes()[..width]);
        }
        let len = self.len() + 1;
        self.buf = ThinBuf::from_body(&blob);
        self.set_len(len);
    }

    /// Removes `value`; false when it was not there.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else {
            return false;
        };
        let at = PREFIX + HEADER + index * self.width();
        let end = at + self.width();
        let len = self.len() - 1;
        self.buf.splice(at..end, &[]);
        self.set_len(len);
        true
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("intset beyond 2^32 members");
        self.buf.body_mut()[4..HEADER].copy_from_slice(&len.to_le_bytes());
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn check_invariants(set: &Intset, model: &BTreeSet<i64>) {
        assert!(set.iter().eq(model.iter().copied()));
        assert_eq!(set.len(), model.len());
        assert_eq!(set.min(), model.first().copied());
        assert_eq!(set.max(), model.last().copied());
        assert_eq!(set.total_bytes(), HEADER + set.len() * set.width());
        if !model.is_empty() {
            assert_eq!(
                Intset::from_bytes_validated(set.as_bytes(), true),
                Ok(set.clone())
            );
        }
    }

    #[test]
    fn random_operations_follow_the_model() {
        for (seed, shift) in [(1, 56), (2, 50), (3, 40), (4, 0)] {
            let mut rng = Rng::new(seed);
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for step in 0..4000 {
                // Small numbers first, so that widening meets filled sets.
                let shift = shift.max(60 - step / 60);
                let value = (rng.next_u64() as i64) >> shift;
                match rng.below(3) {
                    0 => assert_eq!(set.remove(value), model.remove(&value)),
                    1 => assert_eq!(set.add(value), model.insert(value)),
                    _ => {
                        assert_eq!(set.contains(value), model.contains(&value));
                        let index = model.range(..value).count();
                        assert_eq!(set.find(value), model.contains(&value).then_some(index));
                        set.add(value);
                        model.insert(value);
                    }
                }
                if step % 16 == 0 {
                    check_invariants(&set, &model);
                    assert!(
                        model.contains(&set.random(&mut rng).unwrap_or(value)) || model.is_empty()
                    );
                }
            }
            check_invariants(&set, &model);
        }
    }

    #[test]
    fn widths_and_bytes() {
        let mut set = Intset::new();
        set.add(5);
        set.add(-1);
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0");
        set.add(32_768);
        assert_eq!(set.width(), 4);
        set.add(i64::MIN);
        assert_eq!(set.width(), 8);
        assert!(set.iter().eq([i64::MIN, -1, 5, 32_768]));
        set.remove(i64::MIN);
        assert_eq!(set.width(), 8); // never narrows
    }

    #[test]
    fn random_is_fair() {
        let mut set = Intset::new();
        for v in 0..8 {
            set.add(v);
        }
        let mut hits = [0; 8];
        let mut rng = Rng::new(9);
        for _ in 0..8000 {
            hits[set.random(&mut rng).unwrap() as usize] += 1;
        }
        assert!(hits.iter().all(|&n| (850..1150).contains(&n)), "{hits:?}");
        assert_eq!(Intset::new().random(&mut rng), None);
    }

    #[test]
    fn hostile_blobs_never_panic() {
        let mut good = Intset::new();
        for v in 0..20 {
            good.add(v * 1000);
        }
        let mut rng = Rng::new(4);
        let mut accepted = 0;
        for round in 0..20_000 {
            let mut blob = good.as_bytes().to_vec();
            match round % 3 {
                0 => blob = (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect(),
                1 => blob.truncate(rng.below(blob.len())),
                _ => {
                    let at = rng.below(blob.len());
                    blob[at] ^= 1 << rng.below(8);
                }
            }
            let deep = round % 2 == 0;
            if let Ok(mut set) = Intset::from_bytes_validated(&blob, deep) {
                accepted += 1;
                set.contains(7);
                set.add(i64::MAX);
                set.add(3);
                set.remove(3);
                assert_eq!(set.iter().count(), set.len());
            }
        }
        assert!(accepted > 1000);
        let err = Intset::from_bytes_validated(b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0", true);
        assert_eq!(
            err.unwrap_err().to_string(),
            "bad intset at offset 10: integers do not ascend"
        );
    }
}
