//! MessagePack to values, without recursion: nesting ends where the script's stack does.
//!
//! Lengths are never trusted with room: elements are read one by one until the bytes end. Binary and extension types are
//! refused, as upstream; integers beyond 63 bits become negative, as there.

use crate::script::lib::build::Build;
use std::fmt;

/// Why bytes are not unpacked. Its Display is what the script is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnpackError {
    /// The bytes end within a value.
    Missing,
    /// A type byte that is not known.
    BadFormat,
    /// The script's stack is full, and who found out.
    Stack(&'static str),
    /// A map's key is nil or not a number.
    Index(&'static str),
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnpackError::Missing => f.write_str("Missing bytes in input."),
            UnpackError::BadFormat => f.write_str("Bad data format in input."),
            UnpackError::Stack(what) => write!(f, "stack overflow ({what})"),
            UnpackError::Index(what) => write!(f, "table index is {what}"),
        }
    }
}

/// What the complaint about a full stack names when values are many.
pub const TOO_MANY: &str =
    "too many return values at once; use unpack_one or unpack_limit instead.";

/// An open array or map; its table is on the stack.
enum Frame {
    /// Next index (its number is on the stack), length.
    Array(u32, u32),
    /// Members left; whether the key is on the stack already, and what is wrong with it.
    Map(u32, Key),
}

#[derive(Clone, Copy)]
enum Key {
    Awaited,
    Good,
    Bad(&'static str),
}

/// What a value that is no table was.
#[derive(Clone, Copy, PartialEq)]
enum Leaf {
    Nil,
    NaN,
    Other,
}

/// Reads values from bytes.
#[derive(Debug, Clone)]
pub struct Unpacker<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Unpacker<'b> {
    /// Reads `bytes` from offset `at` on (at most their length).
    pub fn new(bytes: &'b [u8], at: usize) -> Self {
        Unpacker {
            bytes,
            at: at.min(bytes.len()),
        }
    }

    /// Offset of what was not read yet.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// True when all is read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, n: usize) -> Result<&'b [u8], UnpackError> {
        let end = self
            .at
            .checked_add(n)
            .filter(|e| *e <= self.bytes.len())
            .ok_or(UnpackError::Missing)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A big-endian number of `n` bytes (at most 8).
    fn unsigned(&mut self, n: usize) -> Result<u64, UnpackError> {
        Ok(self.take(n)?.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
    }

    /// Reads one value and pushes it on `out`. After an error `out` holds part of it.
    pub fn value(&mut self, out: &mut impl Build) -> Result<(), UnpackError> {
        let mut frames = Vec::new();
        loop {
            if !out.reserve(1) {
                return Err(UnpackError::Stack(TOO_MANY));
            }
            let leaf = match self.take(1)?[0] {
                b @ 0x80..=0x8f => self.open_map(u32::from(b & 15), &mut frames, out),
                0xde => {
                    let n = self.unsigned(2)? as u32;
                    self.open_map(n, &mut frames, out)
                }
                0xdf => {
                    let n = self.unsigned(4)? as u32;
                    self.open_map(n, &mut frames, out)
                }
                b @ 0x90..=0x9f => self.open_array(u32::from(b & 15), &mut frames, out)?,
                0xdc => {
                    let n = self.unsigned(2)? as u32;
                    self.open_array(n, &mut frames, out)?
                }
                0xdd => {
                    let n = self.unsigned(4)? as u32;
                    self.open_array(n, &mut frames, out)?
                }
                b => Some(self.leaf(b, out)?),
            };
            if let Some(leaf) = leaf
                && Self::after(leaf, &mut frames, out)?
            {
                return Ok(());
            }
        }
    }

    /// Pushes a table; an empty one is complete.
    fn open_map(&self, n: u32, frames: &mut Vec<Frame>, out: &mut impl Build) -> Option<Leaf> {
        out.table();
        if n == 0 {
            return Some(Leaf::Other);
        }
        frames.push(Frame::Map(n, Key::Awaited));
        None
    }

    fn open_array(
        &self,
        n: u32,
        frames: &mut Vec<Frame>,
        out: &mut impl Build,
    ) -> Result<Option<Leaf>, UnpackError> {
        if !out.reserve(2) {
            return Err(UnpackError::Stack("in function mp_decode_to_lua_array"));
        }
        out.table();
        if n == 0 {
            return Ok(Some(Leaf::Other));
        }
        out.number(1.0);
        frames.push(Frame::Array(1, n));
        Ok(None)
    }

    /// A value is complete: stores it and what ends with it. True when nothing is open any more.
    fn after(
        leaf: Leaf,
        frames: &mut Vec<Frame>,
        out: &mut impl Build,
    ) -> Result<bool, UnpackError> {
        while let Some(frame) = frames.last_mut() {
            match frame {
                Frame::Array(next, n) => {
                    out.set();
                    if next < n {
                        *next += 1;
                        out.number((*next).into());
                        return Ok(false);
                    }
                }
                Frame::Map(_, key @ Key::Awaited) => {
                    // A table that ended just now is a fine key.
                    *key = match leaf {
                        Leaf::Nil => Key::Bad("nil"),
                        Leaf::NaN => Key::Bad("NaN"),
                        Leaf::Other => Key::Good,
                    };
                    return Ok(false);
                }
                Frame::Map(_, Key::Bad(what)) => return Err(UnpackError::Index(what)),
                Frame::Map(left, key @ Key::Good) => {
                    out.set();
                    *left -= 1;
                    if *left > 0 {
                        *key = Key::Awaited;
                        return Ok(false);
                    }
                }
            }
            frames.pop();
        }
        Ok(true)
    }

    /// Pushes the value of type byte `b`, which is no table.
    fn leaf(&mut self, b: u8, out: &mut impl Build) -> Result<Leaf, UnpackError> {
        match b {
            0x00..=0x7f | 0xe0..=0xff => out.number(f64::from(b as i8)),
            0xc0 => {
                out.nil();
                return Ok(Leaf::Nil);
            }
            0xc2 | 0xc3 => out.boolean(b == 0xc3),
            0xcc..=0xcf => out.number(self.unsigned(1 << (b & 3))? as i64 as f64),
            0xd0..=0xd3 => {
                let bytes = 1 << (b & 3);
                let unused = 64 - 8 * bytes as u32;
                let n = (self.unsigned(bytes)? << unused) as i64 >> unused;
                out.number(n as f64);
            }
            0xca | 0xcb => {
                let n = if b == 0xca {
                    f64::from(f32::from_bits(self.unsigned(4)? as u32))
                } else {
                    f64::from_bits(self.unsigned(8)?)
                };
                out.number(n);
                return Ok(if n.is_nan() { Leaf::NaN } else { Leaf::Other });
            }
            0xa0..=0xbf => out.bytes(self.take(usize::from(b & 31))?),
            0xd9..=0xdb => {
                let n = self.unsigned(1 << (b - 0xd9))?;
                out.bytes(self.take(n as usize)?);
            }
            _ => return Err(UnpackError::BadFormat),
        }
        Ok(Leaf::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::script::lib::build::Sketch;

    fn one(bytes: &[u8]) -> Result<usize, UnpackError> {
        let mut out = Sketch::default();
        // The argument's slot.
        out.nil();
        let mut unpacker = Unpacker::new(bytes, 0);
        unpacker.value(&mut out)?;
        assert_eq!(out.len(), 2);
        Ok(unpacker.offset())
    }

    #[test]
    fn lengths_that_lie_are_missing_bytes() {
        for bytes in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff\x01",
            b"\xdb\xff\xff\xff\xffab",
            b"\xa3ab",
            b"\xcb\x00",
            b"",
        ] {
            assert_eq!(one(bytes), Err(UnpackError::Missing));
        }
    }

    #[test]
    fn nesting_ends_at_the_stack() {
        let deep = [0x91; 100_000];
        assert_eq!(
            one(&deep),
            Err(UnpackError::Stack("in function mp_decode_to_lua_array"))
        );
        let deep = [0x81, 0x01].repeat(100_000);
        assert_eq!(one(&deep), Err(UnpackError::Stack(TOO_MANY)));
    }

    #[test]
    fn garbage_is_an_error_or_one_value() {
        let mut rng = Rng::new(3);
        let mut good = 0;
        for _ in 0..100_000 {
            let bytes: Vec<u8> = (0..rng.below(12))
                .map(|_| {
                    [
                        rng.below(256),
                        0x80 + rng.below(0x20),
                        0xc0 + rng.below(0x20),
                        1,
                    ][rng.below(4)] as u8
                })
                .collect();
            match one(&bytes) {
                Ok(used) => {
                    good += 1;
                    assert!(used <= bytes.len());
                }
                Err(e) => assert!(!matches!(e, UnpackError::Stack(_))),
            }
        }
        assert!(good > 10_000, "{good}");
    }
}
