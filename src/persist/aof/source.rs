//! Reading an AOF file back: commands in batches, as ranges into one buffer, without an allocation per argument.
//!
//! The form is the request protocol in its strict multibulk form (`*N`, then N times `$len`, bytes), with annotation lines
//! (`#TS:seconds`) between commands. A file that ends inside a command is *torn* ([`AofError::Torn`]) and can be cut back to
//! the last whole command; anything else that is wrong is *bad* ([`AofError::Bad`]) and is never skipped.
//!
//! A batch holds only whole commands; what is wrong is told when all commands before it were taken. Arguments of
//! [`BIG_ARG`] bytes and more are read into buffers of their own, which may become the stored value, in pieces: a damaged length
//! reserves no memory that the file does not fill.

use crate::ds::numtext::parse_i64;
use crate::resp::args::BIG_ARG;
use crate::resp::{ArgRange, Args};
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// Most arguments of a command; more is taken for damage.
const MAX_ARGS: i64 = 1024 * 1024 * 1024;
/// Longest argument.
const MAX_LEN: i64 = i64::MAX / 2;
/// Longest line that can be a length or an annotation.
const LINE_MAX: usize = 128;
/// Bytes read at once.
const READ_SIZE: usize = 128 * 1024;
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

/// One command of a batch.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it begins and ends in the buffer (big arguments left out).
    start: usize,
    end: usize,
    /// Its ranges and big arguments: up to these indices, from where the previous one's ended.
    ranges_end: usize,
    big_end: usize,
    /// Offset in the file behind it.
    offset: u64,
}

/// Commands of a file, batch by batch.
pub struct Source<R> {
    input: R,
    buf: Vec<u8>,
    /// What was taken of `buf`.
    pos: usize,
    /// Offset in the file of the start of `buf`; big arguments that were taken out count as if they lay before it.
    base: u64,
    ended: bool,
    ranges: Vec<ArgRange>,
    big: Vec<Arc<Vec<u8>>>,
    pieces: Vec<Piece>,
    failed: Option<AofError>,
}

/// A step of parsing failed, or needs more bytes.
enum Lack {
    Bytes,
    Bad(usize),
}

impl<R: Read> Source<R> {
    /// Reads commands from `input`, whose first byte lies at `offset` of the file (behind an RDB preamble).
    pub fn new(input: R, offset: u64) -> Self {
        Source {
            input,
            buf: Vec::new(),
            pos: 0,
            base: offset,
            ended: false,
            ranges: Vec::new(),
            big: Vec::new(),
            pieces: Vec::new(),
            failed: None,
        }
    }

    /// Takes up to `most` commands. Their number; 0 at a clean end. An error comes when everything before it was taken.
    pub fn next_batch(&mut self, most: usize) -> Result<usize, AofError> {
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        if self.pos > READ_SIZE / 2 {
            // Not each time: the rest is moved to the front.
            self.buf.drain(..self.pos);
            self.base += self.pos as u64;
            self.pos = 0;
        }
        self.ranges.clear();
        self.big.clear();
        self.pieces.clear();
        while self.pieces.len() < most {
            match self.parse() {
                Ok(true) => {}
                // Only a whole read is waited for when there is nothing to run meanwhile.
                Ok(false) if !self.pieces.is_empty() && !self.ended => break,
                Ok(false) => match self.more() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(e) => {
                        self.failed = Some(e);
                        break;
                    }
                },
                Err(e) => {
                    self.failed = Some(e);
                    break;
                }
            }
        }
        match self.failed.take() {
            Some(e) if self.pieces.is_empty() => Err(e),
            failed => {
                self.failed = failed;
                Ok(self.pieces.len())
            }
        }
    }

    /// Arguments of the `i`-th command of the batch, and the offset in the file behind it.
    pub fn command(&self, i: usize) -> (Args<'_>, u64) {
        let p = self.pieces[i];
        let (r0, b0) = match i {
            0 => (0, 0),
            _ => (self.pieces[i - 1].ranges_end, self.pieces[i - 1].big_end),
        };
        let args = Args::new(
            &self.buf[p.start..p.end],
            &self.ranges[r0..p.ranges_end],
            &self.big[b0..p.big_end],
        );
        (args, p.offset)
    }

    /// Reads on. False at the end of the file, which is in order only between two commands.
    fn more(&mut self) -> Result<bool, AofError> {
        if self.ended {
            return if self.pos == self.buf.len() {
                Ok(false)
            } else {
                Err(AofError::Torn)
            };
        }
        // As much again as there is of a long command, so that parsing it anew each time stays cheap.
        let wanted = READ_SIZE.max(self.buf.len() - self.pos);
        self.buf.reserve(wanted);
        let mut piece = self.input.by_ref().take(wanted as u64);
        let n = piece.read_to_end(&mut self.buf).map_err(AofError::Io)?;
        // `read_to_end` stops early only at the end.
        self.ended = n < wanted;
        Ok(true)
    }

    /// Parses one piece at `pos`. False: more bytes are needed, or there are none.
    fn parse(&mut self) -> Result<bool, AofError> {
        let (r0, b0) = (self.ranges.len(), self.big.len());
        let mut at = self.pos;
        let result = self.parse_at(&mut at, b0);
        match result {
            Ok(()) => {
                self.pos = at;
                Ok(true)
            }
            Err(Stop::Lack(Lack::Bytes)) => {
                self.ranges.truncate(r0);
                Ok(false)
            }
            Err(Stop::Lack(Lack::Bad(at))) => Err(AofError::Bad(self.base + at as u64)),
            Err(Stop::Error(e)) => Err(e),
        }
    }

    fn parse_at(&mut self, at: &mut usize, b0: usize) -> Result<(), Stop> {
        let start = *at;
        if self.buf.get(start) == Some(&b'#') {
            *at = line_end(&self.buf, start)?;
            return Ok(());
        }
        let n = number(&self.buf, at, b'*')?;
        if !(1..=MAX_ARGS).contains(&n) {
            return Err(Lack::Bad(start).into());
        }
        let mut taken = 0;
        while taken < n {
            match self.parse_arg(at, start, b0) {
                Ok(()) => taken += 1,
                // With a big argument taken out there is no way back to the start of the command.
                Err(Stop::Lack(Lack::Bytes)) if self.big.len() > b0 => {
                    if !self.more().map_err(Stop::Error)? {
                        return Err(Stop::Error(AofError::Torn));
                    }
                }
                Err(e) => return Err(e),
            }
        }
        self.pieces.push(Piece {
            start,
            end: *at,
            ranges_end: self.ranges.len(),
            big_end: self.big.len(),
            offset: self.base + *at as u64,
        });
        Ok(())
    }

    /// Parses one argument at `at`, which is moved behind it only when it is whole.
    #[inline]
    fn parse_arg(&mut self, at: &mut usize, start: usize, b0: usize) -> Result<(), Stop> {
        let mut from = *at;
        let len = number(&self.buf, &mut from, b'$')?;
        if !(0..=MAX_LEN).contains(&len) {
            return Err(Lack::Bad(*at).into());
        }
        if len >= BIG_ARG as i64 {
            self.take_big(from, len as u64, b0)?;
            *at = from;
            return Ok(());
        }
        let end = from + len as usize;
        match self.buf.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Lack::Bad(end).into()),
            None => return Err(Lack::Bytes.into()),
        }
        self.ranges.push(ArgRange::new(from - start, len as usize));
        *at = end + 2;
        Ok(())
    }

    /// Takes a big argument that begins at `at` out of the buffer into one of its own, reading on as far as it goes.
    fn take_big(&mut self, at: usize, len: u64, b0: usize) -> Result<(), Stop> {
        let have = self.buf.len() - at;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(len.min(RESERVE_MAX));
        bytes.extend_from_slice(&self.buf[at..at + have.min(len)]);
        if have < len {
            let lacks = (len - have) as u64;
            let n = self
                .input
                .by_ref()
                .take(lacks)
                .read_to_end(&mut bytes)
                .map_err(|e| Stop::Error(AofError::Io(e)))?;
            if (n as u64) < lacks {
                return Err(Stop::Error(AofError::Torn));
            }
        }
        self.buf.drain(at..at + have.min(len));
        self.base += len as u64;
        self.expect_line_end(at)?;
        self.ranges.push(ArgRange::big(self.big.len() - b0));
        self.big.push(Arc::new(bytes));
        Ok(())
    }

    /// Removes the line end that stands at `at`, where a big argument was taken out.
    fn expect_line_end(&mut self, at: usize) -> Result<(), Stop> {
        while self.buf.len() < at + 2 {
            // The rest of the buffer was taken with the argument, so this reads behind it.
            let got = self.more().map_err(Stop::Error)?;
            if !got || self.ended && self.buf.len() < at + 2 {
                return Err(Stop::Error(AofError::Torn));
            }
        }
        if &self.buf[at..at + 2] != b"\r\n" {
            return Err(Lack::Bad(at).into());
        }
        self.buf.drain(at..at + 2);
        self.base += 2;
        Ok(())
    }
}

enum Stop {
    Lack(Lack),
    Error(AofError),
}

impl From<Lack> for Stop {
    fn from(lack: Lack) -> Stop {
        Stop::Lack(lack)
    }
}

/// The end of the line that begins at `at`, its line end included.
#[inline]
fn line_end(buf: &[u8], at: usize) -> Result<usize, Lack> {
    let rest = &buf[at.min(buf.len())..];
    match memchr::memchr(b'\n', &rest[..rest.len().min(LINE_MAX)]) {
        Some(n) => Ok(at + n + 1),
        None if rest.len() < LINE_MAX => Err(Lack::Bytes),
        None => Err(Lack::Bad(at)),
    }
}

/// The number behind `mark` on the line at `at`, which is moved behind it.
#[inline]
fn number(buf: &[u8], at: &mut usize, mark: u8) -> Result<i64, Lack> {
    let start = *at;
    match buf.get(start) {
        None => return Err(Lack::Bytes),
        Some(&b) if b != mark => return Err(Lack::Bad(start)),
        Some(_) => {}
    }
    // Nearly every length has one digit.
    if let Some(&[d @ b'0'..=b'9', b'\r', b'\n']) = buf.get(start + 1..start + 4) {
        *at = start + 4;
        return Ok(i64::from(d - b'0'));
    }
    let end = line_end(buf, start)?;
    let text = buf[start + 1..end]
        .strip_suffix(b"\r\n")
        .ok_or(Lack::Bad(start))?;
    *at = end;
    parse_i64(text).ok_or(Lack::Bad(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::persist::aof::encode;
    use crate::resp::OwnedArgs;

    type Commands = Vec<Vec<Vec<u8>>>;

    fn read(bytes: &[u8], most: usize) -> (Commands, u64, Result<(), AofError>) {
        read_from(Source::new(bytes, 0), most)
    }

    fn read_from<R: Read>(mut s: Source<R>, most: usize) -> (Commands, u64, Result<(), AofError>) {
        let (mut got, mut valid) = (Vec::new(), 0);
        loop {
            match s.next_batch(most) {
                Ok(0) => return (got, valid, Ok(())),
                Ok(n) => {
                    for i in 0..n {
                        let (args, offset) = s.command(i);
                        got.push(args.iter().map(<[u8]>::to_vec).collect());
                        valid = offset;
                    }
                }
                Err(e) => return (got, valid, Err(e)),
            }
        }
    }

    #[test]
    fn every_cut_is_torn_and_every_flip_is_told_or_harmless() {
        let whole = b"#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na\r\n\r\n".to_vec();
        let (cmds, end, r) = read(&whole, 9);
        assert_eq!((cmds.len(), end, r.is_ok()), (2, whole.len() as u64, true));
        let clean = [0, 16, 39];
        for cut in 0..whole.len() {
            let (_, valid, r) = read(&whole[..cut], 9);
            assert_eq!(valid, if cut < 39 { 0 } else { 39 }, "{cut}");
            assert_eq!(r.is_ok(), clean.contains(&cut), "{cut}");
            assert!(matches!(r, Ok(()) | Err(AofError::Torn)), "{cut}");
        }
        for i in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[i] ^= 1 << bit;
                let _ = read(&bad, 9);
            }
        }
    }

    /// Gives few bytes at a time.
    struct Dribble<'a>(&'a [u8], Rng);

    impl Read for Dribble<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = (1 + self.1.below(3000)).min(buf.len()).min(self.0.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn random_commands_big_and_small_however_they_are_read() {
        let mut rng = Rng::new(5);
        for round in 0..20 {
            let (mut bytes, mut want) = (Vec::new(), Vec::new());
            for _ in 0..rng.below(60) {
                if rng.below(5) == 0 {
                    encode::timestamp(&mut bytes, rng.below(1 << 31) as i64);
                }
                let args: Vec<Vec<u8>> = (0..1 + rng.below(5))
                    .map(|_| {
                        let len = match rng.below(30) {
                            0 => BIG_ARG + rng.below(200_000),
                            1 => rng.below(20_000),
                            _ => rng.below(20),
                        };
                        vec![b'\r' + rng.below(3) as u8; len]
                    })
                    .collect();
                encode::command(&mut bytes, OwnedArgs::from_iter(&args).view());
                want.push(args);
            }
            let seeded = Rng::new(round);
            let (got, valid, r) = read_from(Source::new(Dribble(&bytes, seeded), 0), 7);
            assert!(r.is_ok(), "{r:?}");
            assert_eq!(got, want);
            if bytes.last().is_some() && !want.is_empty() {
                assert!(valid <= bytes.len() as u64);
            }
            // Torn anywhere: what comes is a beginning, and the offset is the end of it.
            let cut = rng.below(bytes.len() + 1);
            let (got, valid, r) = read(&bytes[..cut], 7);
            assert!(want.starts_with(&got));
            assert!(matches!(r, Ok(()) | Err(AofError::Torn)), "{r:?}");
            let (again, _, r) = read(&bytes[..valid as usize], 7);
            assert!(r.is_ok());
            assert_eq!(again, got);
        }
    }

    #[test]
    fn damage_is_named_by_its_offset() {
        let at = |bytes: &[u8]| match read(bytes, 9).2 {
            Err(AofError::Bad(at)) => at,
            other => panic!("{other:?}"),
        };
        assert_eq!(at(b"*1\r\n$4\r\nping\r\n!!!"), 14);
        assert_eq!(at(b"*0\r\n"), 0);
        assert_eq!(at(b"*1\r\n$-1\r\n"), 4);
        assert_eq!(at(b"*1\r\n$4\r\npingxx"), 12);
        assert_eq!(at(b"*99999999999\r\n$4"), 0);
        assert_eq!(at(&[b'*'; 300]), 0);
        let huge = format!("*1\r\n${}\r\nabc", 1u64 << 60);
        assert!(matches!(read(huge.as_bytes(), 9).2, Err(AofError::Torn)));
        let mut big = format!("*1\r\n${BIG_ARG}\r\n").into_bytes();
        big.resize(big.len() + BIG_ARG, b'x');
        big.extend_from_slice(b"??");
        assert_eq!(at(&big), (big.len() - 2) as u64);
    }
}
