//! Buffered input for the decoder: primitives of the format, the running checksum, the offset.
//!
//! One buffer of 64 KB. Strings that fit are handed out as ranges of it (no copy); longer ones are collected in a vector
//! that grows only as bytes arrive, so a length that lies costs nothing. The checksum runs over consumed bytes in whole
//! stretches (at refills and at the end) rather than per primitive.
//! Invariant: `crc_pos <= pos <= end <= buf.len()`; a range handed out stays valid until the next primitive is read.
use super::error::{RdbError, Reason};
use super::format::enc;
use crate::ds::numtext::parse_f64;
use crate::ds::{crc64, lzf};
use std::io::Read;
use std::ops::Range;

const BUF_LEN: usize = 64 << 10;
/// Memory reserved ahead of arrived bytes, at most (or as much as has arrived already, if that is more).
const RESERVE_STEP: usize = 1 << 20;
/// The best LZF can do: 3 bytes for a match of 264.
const LZF_MAX_RATIO: u64 = 88;

/// A length, or the announcement of a specially encoded string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Len {
    /// A plain length or number.
    Is(u64),
    /// One of `format::enc`.
    Special(u8),
}

/// Where a string was left by `Source::string`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// In the buffer: `Source::bytes`.
    Buffer(Range<usize>),
    /// In the scratch vector given.
    Scratch,
    /// It was an integer.
    Int(i64),
}

/// Buffered, counted, checksummed input.
pub struct Source<R> {
    inner: R,
    buf: Box<[u8]>,
    pos: usize,
    end: usize,
    base: u64,
    crc: u64,
    crc_pos: usize,
    checked: bool,
}

impl<R: Read> Source<R> {
    /// Reads from `inner`, which stands at offset 0. `checked`: compute the checksum.
    pub fn new(inner: R, checked: bool) -> Source<R> {
        Source::with_buffer(inner, BUF_LEN, checked)
    }

    /// As `new` with a buffer of `len` bytes (small payloads need no 64 KB).
    pub fn with_buffer(inner: R, len: usize, checked: bool) -> Source<R> {
        let buf = vec![0; len.clamp(64, BUF_LEN)].into_boxed_slice();
        Source {
            inner,
            buf,
            pos: 0,
            end: 0,
            base: 0,
            crc: 0,
            crc_pos: 0,
            checked,
        }
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// The reader, and the bytes read from it but not consumed.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let rest = self.buf[self.pos..self.end].to_vec();
        (self.inner, rest)
    }

    /// The reader, to look at.
    pub fn input(&self) -> &R {
        &self.inner
    }

    /// Access to the reader.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// An error at the current offset.
    #[cold]
    pub fn fail(&self, reason: Reason) -> RdbError {
        RdbError::new(self.offset(), reason)
    }

    /// A violated rule at the current offset.
    #[cold]
    pub fn corrupt(&self, what: &'static str) -> RdbError {
        self.fail(Reason::Corrupt(what))
    }

    /// CRC-64 of everything consumed so far (0 if not asked for).
    pub fn checksum(&mut self) -> u64 {
        if self.checked {
            self.crc = crc64::update(self.crc, &self.buf[self.crc_pos..self.pos]);
        }
        self.crc_pos = self.pos;
        self.crc
    }

    /// Makes `need` unread bytes available (at most the buffer's size).
    #[inline]
    fn ensure(&mut self, need: usize) -> Result<(), RdbError> {
        if self.end - self.pos >= need {
            Ok(())
        } else {
            self.refill(need)
        }
    }

    #[cold]
    fn refill(&mut self, need: usize) -> Result<(), RdbError> {
        self.checksum();
        self.buf.copy_within(self.pos..self.end, 0);
        self.base += self.pos as u64;
        self.end -= self.pos;
        self.pos = 0;
        self.crc_pos = 0;
        while self.end < need {
            match read_some(&mut self.inner, &mut self.buf[self.end..]) {
                Ok(0) => return Err(self.fail(Reason::Truncated)),
                Ok(n) => self.end += n,
                Err(reason) => return Err(self.fail(reason)),
            }
        }
        Ok(())
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, RdbError> {
        self.ensure(1)?;
        let byte = self.buf[self.pos];
        self.pos += 1;
        Ok(byte)
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        self.ensure(N)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.buf[self.pos..self.pos + N]);
        self.pos += N;
        Ok(out)
    }

    /// A length or special encoding.
    #[inline]
    pub fn len_or_special(&mut self) -> Result<Len, RdbError> {
        let first = self.byte()?;
        match first >> 6 {
            0 => Ok(Len::Is(u64::from(first))),
            1 => Ok(Len::Is(
                u64::from(first & 63) << 8 | u64::from(self.byte()?),
            )),
            3 => Ok(Len::Special(first & 63)),
            _ => match first {
                0x80 => Ok(Len::Is(u64::from(u32::from_be_bytes(self.array()?)))),
                0x81 => Ok(Len::Is(u64::from_be_bytes(self.array()?))),
                _ => Err(self.corrupt("Unknown length encoding 2 in rdbLoadLen()")),
            },
        }
    }

    /// A plain length or number.
    #[inline]
    pub fn number(&mut self) -> Result<u64, RdbError> {
        match self.len_or_special()? {
            Len::Is(n) => Ok(n),
            Len::Special(_) => {
                Err(self.corrupt("String encoding found where a length was expected"))
            }
        }
    }

    /// A millisecond time or other 64-bit little-endian number.
    pub fn i64_le(&mut self) -> Result<i64, RdbError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A binary double.
    pub fn double(&mut self) -> Result<f64, RdbError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double as text, the old way.
    pub fn old_double(&mut self) -> Result<f64, RdbError> {
        let len = match self.byte()? {
            253 => return Ok(f64::NAN),
            254 => return Ok(f64::INFINITY),
            255 => return Ok(f64::NEG_INFINITY),
            n => usize::from(n),
        };
        let mut text = Vec::new();
        self.collect(len as u64, &mut text)?;
        parse_f64(&text).ok_or_else(|| self.corrupt("Invalid double in a sorted set"))
    }

    /// A string, left where it is cheapest. `scratch` is cleared.
    #[inline]
    pub fn string(&mut self, scratch: &mut Vec<u8>) -> Result<Piece, RdbError> {
        match self.len_or_special()? {
            Len::Is(n) if n <= self.buf.len() as u64 => {
                let n = n as usize;
                self.ensure(n)?;
                let start = self.pos;
                self.pos += n;
                Ok(Piece::Buffer(start..self.pos))
            }
            Len::Is(n) => {
                scratch.clear();
                self.collect(n, scratch)?;
                Ok(Piece::Scratch)
            }
            Len::Special(enc::LZF) => {
                scratch.clear();
                self.lzf(scratch)?;
                Ok(Piece::Scratch)
            }
            Len::Special(kind) => self.special_int(kind).map(Piece::Int),
        }
    }

    /// The bytes of a `Piece::Buffer`.
    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buf[range]
    }

    /// A string appended to `out` whatever its encoding.
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        match self.len_or_special()? {
            Len::Is(n) => self.collect(n, out),
            Len::Special(enc::LZF) => self.lzf(out),
            Len::Special(kind) => {
                let n = self.special_int(kind)?;
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
                Ok(())
            }
        }
    }

    /// A string as a vector of its own.
    pub fn string_vec(&mut self) -> Result<Vec<u8>, RdbError> {
        let mut out = Vec::new();
        self.string_into(&mut out)?;
        Ok(out)
    }

    fn special_int(&mut self, kind: u8) -> Result<i64, RdbError> {
        match kind {
            enc::INT8 => Ok(i64::from(self.byte()? as i8)),
            enc::INT16 => Ok(i64::from(i16::from_le_bytes(self.array()?))),
            enc::INT32 => Ok(i64::from(i32::from_le_bytes(self.array()?))),
            _ => Err(self.fail(Reason::StringEncoding(kind))),
        }
    }

    fn lzf(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let packed_len = self.number()?;
        let len = self.number()?;
        if len > packed_len.saturating_mul(LZF_MAX_RATIO) {
            return Err(self.corrupt("Invalid LZF compressed string"));
        }
        let plain = if packed_len <= self.buf.len() as u64 {
            self.ensure(packed_len as usize)?;
            let packed = self.pos..self.pos + packed_len as usize;
            self.pos = packed.end;
            lzf::decompress(&self.buf[packed], len as usize)
        } else {
            let mut packed = Vec::new();
            self.collect(packed_len, &mut packed)?;
            lzf::decompress(&packed, len as usize)
        };
        let plain = plain.map_err(|_| self.corrupt("Invalid LZF compressed string"))?;
        if out.is_empty() {
            *out = plain;
        } else {
            out.extend_from_slice(&plain);
        }
        Ok(())
    }

    /// Appends the next `len` bytes to `out`, growing it only as they arrive.
    pub fn collect(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        if len <= self.buf.len() as u64 {
            self.ensure(len as usize)?;
        }
        let mut left = len;
        while left > 0 {
            if self.pos == self.end {
                self.refill(1)?;
            }
            let n = left.min((self.end - self.pos) as u64) as usize;
            if out.capacity() - out.len() < n {
                let ahead = left.min(RESERVE_STEP.max(out.len()) as u64) as usize;
                out.reserve_exact(ahead);
            }
            out.extend_from_slice(&self.buf[self.pos..self.pos + n]);
            self.pos += n;
            left -= n as u64;
        }
        Ok(())
    }

    /// Passes over the next string without keeping it.
    pub fn skip_string(&mut self) -> Result<(), RdbError> {
        let mut left = match self.len_or_special()? {
            Len::Is(n) => n,
            Len::Special(enc::LZF) => {
                let packed_len = self.number()?;
                self.number()?;
                packed_len
            }
            Len::Special(kind) => return self.special_int(kind).map(|_| ()),
        };
        while left > 0 {
            self.ensure(1)?;
            let n = left.min((self.end - self.pos) as u64);
            self.pos += n as usize;
            left -= n;
        }
        Ok(())
    }
}

/// One successful read, repeated when a signal interrupts it.
fn read_some<R: Read>(inner: &mut R, into: &mut [u8]) -> Result<usize, Reason> {
    loop {
        match inner.read(into) {
            Ok(n) => return Ok(n),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(e) => return Err(Reason::Io(e.kind(), e.to_string())),
        }
    }
}
