//! Texts and numbers in a node, one behind the other.
//!
//! | first byte        | what                                                                    |
//! |-------------------|-------------------------------------------------------------------------|
//! | `0vvvvvvv`        | the integer v, 0 to 127                                                 |
//! | `10llllll`        | l bytes, 0 to 63                                                        |
//! | `110nnnnn`, n 1-8 | an integer of n bytes, little endian, two's complement                  |
//! | `11000000`        | bytes; their number follows as a varint                                 |
//! | `111hhhhh`        | the integer 256 h + the next byte, 0 to 8191                            |
//!
//! Texts that are the canonical form of an i64 are kept as integers, as in listpacks; they read back the same. Unlike there
//! nothing says how long a cell is from behind: nodes are read forwards. Varints are LEB128, 7 bits to a byte, low ones first.

use crate::ds::listpack::Entry;
use crate::ds::numtext::parse_i64;

const SHORT_TEXT: u8 = 0x80;
const INTEGER: u8 = 0xc0;
const LONG_TEXT: u8 = 0xc0;
const TWO_BYTES: u8 = 0xe0;
/// Most bytes of a varint.
const VARINT_MAX: usize = 10;

/// A text as it is stored.
#[inline]
pub fn cell(text: &[u8]) -> Entry<'_> {
    parse_i64(text).map_or(Entry::Bytes(text), Entry::Int)
}

/// Bytes of an integer beyond the short forms.
#[inline]
fn int_bytes(v: i64) -> usize {
    let magnitude = (if v < 0 { !v } else { v }) as u64;
    // One bit more for the sign.
    (65 - magnitude.leading_zeros() as usize).div_ceil(8)
}

/// Bytes a varint takes.
#[inline]
pub fn varint_bytes(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes a cell takes.
#[inline]
pub fn cell_bytes(cell: Entry<'_>) -> usize {
    match cell {
        Entry::Int(0..=127) => 1,
        Entry::Int(128..=8191) => 2,
        Entry::Int(v) => 1 + int_bytes(v),
        Entry::Bytes(b) if b.len() < 64 => 1 + b.len(),
        Entry::Bytes(b) => 1 + varint_bytes(b.len() as u64) + b.len(),
    }
}

/// Signed as unsigned, so that small ones of either sign have few bits.
#[inline]
pub fn zigzag(v: i64) -> u64 {
    (v << 1 ^ v >> 63) as u64
}

#[inline]
fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

/// Writes into room that was measured before.
pub struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Writer<'o> {
    /// Writes from the start of `out`, which the caller made big enough.
    pub fn new(out: &'o mut [u8]) -> Self {
        Writer { out, at: 0 }
    }

    #[inline]
    pub fn byte(&mut self, b: u8) {
        self.out[self.at] = b;
        self.at += 1;
    }

    #[inline]
    fn bytes(&mut self, b: &[u8]) {
        self.out[self.at..self.at + b.len()].copy_from_slice(b);
        self.at += b.len();
    }

    #[inline]
    pub fn varint(&mut self, mut v: u64) {
        while v > 0x7f {
            self.byte(v as u8 | 0x80);
            v >>= 7;
        }
        self.byte(v as u8);
    }

    #[inline]
    pub fn cell(&mut self, cell: Entry<'_>) {
        match cell {
            Entry::Int(v @ 0..=127) => self.byte(v as u8),
            Entry::Int(v @ 128..=8191) => {
                self.byte(TWO_BYTES | (v >> 8) as u8);
                self.byte(v as u8);
            }
            Entry::Int(v) => {
                let n = int_bytes(v);
                self.byte(INTEGER | n as u8);
                self.bytes(&v.to_le_bytes()[..n]);
            }
            Entry::Bytes(b) => {
                match b.len() {
                    n @ 0..64 => self.byte(SHORT_TEXT | n as u8),
                    n => {
                        self.byte(LONG_TEXT);
                        self.varint(n as u64);
                    }
                }
                self.bytes(b);
            }
        }
    }

    /// Everything measured was written.
    pub fn is_full(&self) -> bool {
        self.at == self.out.len()
    }
}

/// Reads forwards. Nothing panics on bytes that no [`Writer`] wrote: the walk ends.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from `at` on.
    #[inline]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Reader { bytes, at }
    }

    /// Where it stands.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let b = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(b)
    }

    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let mut v = 0;
        for i in 0..VARINT_MAX {
            let b = self.byte()?;
            v |= u64::from(b & 0x7f) << (7 * i);
            if b < 0x80 {
                return Some(v);
            }
        }
        None
    }

    /// A varint that was written with [`zigzag`].
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    #[inline]
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    #[inline]
    pub fn cell(&mut self) -> Option<Entry<'a>> {
        let first = self.byte()?;
        Some(match first {
            0..SHORT_TEXT => Entry::Int(i64::from(first)),
            SHORT_TEXT..LONG_TEXT => Entry::Bytes(self.take(usize::from(first & 0x3f))?),
            LONG_TEXT => {
                let n = usize::try_from(self.varint()?).ok()?;
                Entry::Bytes(self.take(n)?)
            }
            TWO_BYTES.. => Entry::Int(i64::from(first & 0x1f) << 8 | i64::from(self.byte()?)),
            _ => Entry::Int(self.long_int(usize::from(first & 0x1f))?),
        })
    }

    /// Walks past cells.
    #[inline]
    pub fn skip(&mut self, cells: usize) -> Option<()> {
        for _ in 0..cells {
            let first = self.byte()?;
            let more = match first {
                0..SHORT_TEXT => continue,
                SHORT_TEXT..LONG_TEXT => usize::from(first & 0x3f),
                LONG_TEXT => usize::try_from(self.varint()?).ok()?,
                TWO_BYTES.. => 1,
                _ => usize::from(first & 0x1f),
            };
            self.at = self.at.checked_add(more)?;
        }
        Some(())
    }

    #[inline]
    fn long_int(&mut self, n: usize) -> Option<i64> {
        let mut word = [0; 8];
        word.get_mut(..n)?.copy_from_slice(self.take(n)?);
        let unused = 64 - 8 * n as u32;
        Some(i64::from_le_bytes(word) << unused >> unused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(c: Entry<'_>) -> Vec<u8> {
        let mut out = vec![0xaa; cell_bytes(c)];
        let mut w = Writer::new(&mut out);
        w.cell(c);
        assert!(w.is_full());
        out
    }

    fn skipped(bytes: &[u8]) -> usize {
        let mut r = Reader::new(bytes, 0);
        assert_eq!(r.skip(1), Some(()));
        r.at()
    }

    #[test]
    fn integers_of_every_size_read_back() {
        let mut values = vec![0, 127, 128, 8191, 8192, -1, -128, -129, i64::MAX, i64::MIN];
        for shift in 0..63 {
            values.extend([
                1i64 << shift,
                (1 << shift) - 1,
                -(1 << shift),
                -(1 << shift) - 1,
            ]);
        }
        for v in values {
            let bytes = written(Entry::Int(v));
            let mut r = Reader::new(&bytes, 0);
            assert_eq!(r.cell(), Some(Entry::Int(v)));
            assert_eq!(r.at(), bytes.len());
            assert_eq!(skipped(&bytes), bytes.len());
            assert_eq!(unzigzag(zigzag(v)), v);
        }
        assert_eq!(written(Entry::Int(1_000_000)).len(), 4);
    }

    #[test]
    fn texts_of_every_length_read_back() {
        for n in [0, 1, 63, 64, 127, 128, 16_383, 16_384, 100_000] {
            let text = vec![b'x'; n];
            let bytes = written(cell(&text));
            assert_eq!(Reader::new(&bytes, 0).cell(), Some(Entry::Bytes(&text)));
            assert_eq!(skipped(&bytes), bytes.len());
        }
        assert_eq!(cell(b"12"), Entry::Int(12));
        assert_eq!(cell(b"012"), Entry::Bytes(b"012"));
    }

    #[test]
    fn varints() {
        for v in [0, 1, 127, 128, 16_383, 16_384, u64::MAX / 2, u64::MAX] {
            let mut out = vec![0; varint_bytes(v)];
            let mut w = Writer::new(&mut out);
            w.varint(v);
            assert!(w.is_full());
            assert_eq!(Reader::new(&out, 0).varint(), Some(v));
        }
    }

    #[test]
    fn foreign_bytes_end_the_walk() {
        for first in 0..=255u8 {
            for second in [0, 0x7f, 0x80, 0xff] {
                let bytes = [first, second, second];
                let mut r = Reader::new(&bytes, 0);
                while r.cell().is_some() {}
                assert!(r.at() <= bytes.len());
            }
        }
        assert_eq!(Reader::new(&[0xff; 11], 0).varint(), None);
    }
}
