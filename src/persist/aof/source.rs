//! Reading an AOF file back: annotations, then commands, each with the offset after it.
//!
//! The form is the request protocol in its strict multibulk form (`*N`, then N times `$len`, bytes), with annotation lines
//! (`#TS:seconds`) between commands. A file that ends inside a command is *torn* ([`AofError::Torn`]) and can be cut back to
//! the last whole command; anything else that is wrong is *bad* ([`AofError::Bad`]) and is never skipped.

use std::fmt;
use std::io::{self, BufRead};

/// Arguments and bytes per argument that a file may ask for at once; more is taken for damage.
const MAX_ARGS: i64 = 1024 * 1024 * 1024;
/// Memory reserved for an argument before its bytes were seen.
const RESERVE_MAX: usize = 1 << 20;

/// Why reading stopped.
#[derive(Debug)]
pub enum AofError {
    /// The file ends inside a command.
    Torn,
    /// The bytes at this offset are no command.
    Bad(u64),
    /// The file could not be read.
    Io(io::Error),
}

impl fmt::Display for AofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AofError::Torn => f.write_str("Unexpected end of file reading the append only file"),
            AofError::Bad(at) => write!(
                f,
                "Bad file format reading the append only file at offset {at}"
            ),
            AofError::Io(e) => write!(f, "Unrecoverable error reading the append only file: {e}"),
        }
    }
}

impl std::error::Error for AofError {}

/// One piece of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A command; its arguments are in [`Source::args`].
    Command,
    /// `#TS:`: commands from here on were written at or after this Unix time (seconds).
    Timestamp(i64),
}

/// Commands of a file, one after the other.
pub struct Source<R> {
    input: R,
    /// The arguments of the last command.
    pub args: Vec<Vec<u8>>,
    /// Offset behind the last whole piece.
    pub valid_up_to: u64,
    offset: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Source<R> {
    /// Reads commands from `input`, whose first byte lies at `offset` of the file (behind an RDB preamble).
    pub fn new(input: R, offset: u64) -> Self {
        Source {
            input,
            args: Vec::new(),
            valid_up_to: offset,
            offset,
            line: Vec::new(),
        }
    }

    /// The next piece; None at a clean end.
    pub fn next_item(&mut self) -> Result<Option<Item>, AofError> {
        let start = self.offset;
        if !self.read_line()? {
            return Ok(None);
        }
        let item = match self.line.first() {
            Some(b'#') => self.annotation(),
            Some(b'*') => {
                let n = self
                    .number(start)
                    .filter(|n| (1..=MAX_ARGS).contains(n))
                    .ok_or(AofError::Bad(start))?;
                self.arguments(n)?;
                Some(Item::Command)
            }
            _ => return Err(AofError::Bad(start)),
        };
        self.valid_up_to = self.offset;
        match item {
            Some(i) => Ok(Some(i)),
            // An annotation of a kind we do not know.
            None => self.next_item(),
        }
    }

    fn annotation(&self) -> Option<Item> {
        let text = self.line.strip_prefix(b"#TS:")?.trim_ascii();
        Some(Item::Timestamp(
            std::str::from_utf8(text).ok()?.parse().ok()?,
        ))
    }

    fn arguments(&mut self, n: i64) -> Result<(), AofError> {
        self.args.clear();
        for _ in 0..n {
            let at = self.offset;
            if !self.read_line()? {
                return Err(AofError::Torn);
            }
            if self.line.first() != Some(&b'$') {
                return Err(AofError::Bad(at));
            }
            let len = self
                .number(at)
                .filter(|n| *n >= 0)
                .ok_or(AofError::Bad(at))?;
            let arg = self.bytes(len as u64)?;
            self.args.push(arg);
        }
        Ok(())
    }

    /// `len` bytes and a line end.
    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, AofError> {
        let mut out =
            Vec::with_capacity(usize::try_from(len).unwrap_or(RESERVE_MAX).min(RESERVE_MAX));
        let mut left = len;
        while left > 0 {
            let chunk = self.input.fill_buf().map_err(AofError::Io)?;
            if chunk.is_empty() {
                return Err(AofError::Torn);
            }
            let n = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.extend_from_slice(&chunk[..n]);
            self.input.consume(n);
            self.offset += n as u64;
            left -= n as u64;
        }
        let at = self.offset;
        if !self.read_line()? {
            return Err(AofError::Torn);
        }
        if self.line != b"\r\n" {
            return Err(AofError::Bad(at));
        }
        Ok(out)
    }

    /// Reads a line with its end into `line`; false at the end of the file.
    fn read_line(&mut self) -> Result<bool, AofError> {
        self.line.clear();
        let n = self.input.by_ref_read_until(&mut self.line)?;
        self.offset += n as u64;
        if n == 0 {
            return Ok(false);
        }
        if self.line.last() != Some(&b'\n') {
            return Err(AofError::Torn);
        }
        Ok(true)
    }

    /// The number on the line behind its first byte.
    fn number(&self, _at: u64) -> Option<i64> {
        let text = self.line.get(1..)?.strip_suffix(b"\r\n")?;
        crate::ds::numtext::parse_i64(text)
    }
}

/// `read_until` with a bound: a line of a sane file is short.
trait ReadLine {
    fn by_ref_read_until(&mut self, line: &mut Vec<u8>) -> Result<usize, AofError>;
}

impl<R: BufRead> ReadLine for R {
    fn by_ref_read_until(&mut self, line: &mut Vec<u8>) -> Result<usize, AofError> {
        const LINE_MAX: u64 = 1024;
        io::Read::take(self, LINE_MAX)
            .read_until(b'\n', line)
            .map_err(AofError::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, u64, Result<(), String>) {
        let mut s = Source::new(bytes, 0);
        let mut got = Vec::new();
        loop {
            match s.next_item() {
                Ok(Some(Item::Command)) => got.push(s.args.clone()),
                Ok(Some(Item::Timestamp(_))) => {}
                Ok(None) => return (got, s.valid_up_to, Ok(())),
                Err(e) => return (got, s.valid_up_to, Err(e.to_string())),
            }
        }
    }

    #[test]
    fn every_cut_is_torn_and_every_flip_is_told_or_harmless() {
        let whole = b"#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na\r\n\r\n".to_vec();
        let (cmds, end, r) = read(&whole);
        assert_eq!((cmds.len(), end, r), (2, whole.len() as u64, Ok(())));
        let bounds = [0, 16, 39];
        for cut in 0..whole.len() {
            let (_, valid, r) = read(&whole[..cut]);
            let want = *bounds.iter().rfind(|b| **b <= cut).unwrap();
            assert_eq!(valid, want as u64, "{cut}");
            assert_eq!(r.is_ok(), bounds.contains(&cut), "{cut}");
        }
        for i in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[i] ^= 1 << bit;
                let _ = read(&bad);
            }
        }
    }
}
