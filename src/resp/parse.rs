//! Requests: multibulk and inline commands to argument ranges.
//!
//! The parser is fed the unread bytes from the start of a command. A complete command costs no allocation: ranges are pushed
//! onto a vector that the caller reuses. An incomplete one keeps its state and its ranges so far, and goes on where it stopped
//! when more bytes are there, so a command of a million arguments is still parsed once. A long argument that is not yet
//! here is read by the caller straight into the buffer that [`Parser::filling`] offers.
//!
//! Limits and error texts are upstream's. Invariant: no byte count from the peer is trusted with memory before
//! authentication (at most 10 arguments of 16 KB).

use super::args::{ArgRange, BIG_ARG, BigArg};
use std::fmt;
use std::sync::Arc;

/// A line (inline request or header) longer than this is refused.
const INLINE_MAX: usize = 64 * 1024;
/// Most arguments, and longest argument, before authentication.
const UNAUTH_ARGS: i64 = 10;
const UNAUTH_BULK: i64 = 16 * 1024;

/// What the peer may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `proto-max-bulk-len`, bytes.
    pub max_bulk: i64,
    /// False while the connection still has to authenticate.
    pub authenticated: bool,
    /// Commands stay whole in the buffer, long arguments too: whoever reads them wants their bytes as they came (the stream of
    /// a master). [`Step::Filling`] does not come then.
    pub whole: bool,
}

/// A request the peer must not send; the connection ends after the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// More than 64 KB without a line end.
    InlineTooBig,
    /// A quote that is not closed, or is followed by a letter.
    UnbalancedQuotes,
    /// More than 64 KB after `*` without a line end.
    MultibulkLineTooBig,
    /// `*` with something else than a count that fits.
    InvalidMultibulk,
    /// Too many arguments before AUTH.
    UnauthMultibulk,
    /// More than 64 KB after `$` without a line end.
    BulkLineTooBig,
    /// Something else where `$` must stand.
    ExpectedDollar(u8),
    /// `$` with something else than a length that is allowed.
    InvalidBulk,
    /// Too long an argument before AUTH.
    UnauthBulk,
}

impl ProtocolError {
    /// The wire text without the leading `-`.
    pub fn wire(&self) -> Vec<u8> {
        let what: &[u8] = match self {
            ProtocolError::InlineTooBig => b"too big inline request",
            ProtocolError::UnbalancedQuotes => b"unbalanced quotes in request",
            ProtocolError::MultibulkLineTooBig => b"too big mbulk count string",
            ProtocolError::InvalidMultibulk => b"invalid multibulk length",
            ProtocolError::UnauthMultibulk => b"unauthenticated multibulk length",
            ProtocolError::BulkLineTooBig => b"too big bulk count string",
            ProtocolError::ExpectedDollar(c) => {
                // A line end inside an error text would break the protocol.
                let c = if matches!(c, b'\r' | b'\n') { b' ' } else { *c };
                return [
                    b"ERR Protocol error: expected '$', got '".as_slice(),
                    &[c],
                    b"'",
                ]
                .concat();
            }
            ProtocolError::InvalidBulk => b"invalid bulk length",
            ProtocolError::UnauthBulk => b"unauthenticated bulk length",
        };
        [b"ERR Protocol error: ".as_slice(), what].concat()
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.wire()))
    }
}

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A command (perhaps of no arguments) ended after this many bytes.
    Complete(usize),
    /// More bytes are needed.
    Incomplete,
    /// The bytes from this offset on were moved into [`Parser::filling`]; the caller drops them and reads on into it.
    Filling(usize),
}

/// The state of one connection's request parsing.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments of the current multibulk still to come; 0 at the start of a command.
    left: i64,
    /// Length of the argument being read, when its header was.
    bulk: Option<usize>,
    /// Bytes of the current command parsed so far.
    pos: usize,
    partial: Vec<ArgRange>,
    partial_big: Vec<BigArg>,
    filling: Option<Vec<u8>>,
}

impl Parser {
    /// A parser at the start of a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// True between commands: nothing is kept.
    pub fn at_start(&self) -> bool {
        self.left == 0 && self.pos == 0
    }

    /// Bytes read of the long argument that is being read, and the room for more of it: part of the query buffer for those
    /// who look (`qbuf` and `qbuf-free` of CLIENT LIST).
    pub fn filled(&self) -> (usize, usize) {
        let v = self.filling.as_ref();
        v.map_or((0, 0), |v| (v.len(), v.capacity() - v.len()))
    }

    /// Bytes held for arguments that are whole (`argv-mem` of CLIENT LIST).
    pub fn argument_bytes(&self) -> usize {
        self.mem_bytes() - self.filling.as_ref().map_or(0, Vec::capacity)
    }

    /// Bytes held for the arguments so far, the long one that is being read included.
    pub fn mem_bytes(&self) -> usize {
        self.partial.capacity() * size_of::<ArgRange>()
            + self.partial_big.iter().map(|b| b.capacity()).sum::<usize>()
            + self.filling.as_ref().map_or(0, Vec::capacity)
    }

    /// The buffer of a long argument and how many bytes it still lacks (its line end included), while one is being read.
    pub fn filling(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let want = self.bulk? + 2;
        let v = self.filling.as_mut()?;
        let lacks = want - v.len();
        Some((v, lacks))
    }

    /// True when the bytes to come belong to a long argument.
    pub fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Parses on. `buf` starts at the current command's first byte; `ranges` and `big` receive its arguments (on top of what
    /// they hold) when it is complete, and are left as they were otherwise.
    #[inline]
    pub fn parse(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<ArgRange>,
        big: &mut Vec<BigArg>,
        limits: &Limits,
    ) -> Result<Step, ProtocolError> {
        let (r0, b0) = (ranges.len(), big.len());
        if self.left == 0 {
            match buf.first() {
                None => return Ok(Step::Incomplete),
                Some(b'*') => match self.multibulk_header(buf, limits)? {
                    Step::Incomplete => return Ok(Step::Incomplete),
                    step if self.left == 0 => {
                        self.pos = 0;
                        return Ok(step);
                    }
                    _ => ranges.reserve(self.left.min(1024) as usize),
                },
                Some(_) => return self.inline(buf, ranges, big),
            }
        } else {
            self.resume(ranges, big, b0);
        }
        let step = self.arguments(buf, ranges, big, b0, limits)?;
        if let Step::Complete(_) = step {
            self.pos = 0;
        } else {
            self.partial.extend(ranges.drain(r0..));
            self.partial_big.extend(big.drain(b0..));
        }
        Ok(step)
    }

    /// Takes the arguments found by earlier calls back, a filled long one included.
    #[cold]
    fn resume(&mut self, ranges: &mut Vec<ArgRange>, big: &mut Vec<BigArg>, _b0: usize) {
        ranges.append(&mut self.partial);
        self.partial = Vec::new();
        big.append(&mut self.partial_big);
        if let (Some(len), Some(v)) = (self.bulk, &self.filling)
            && v.len() == len + 2
            && let Some(mut v) = self.filling.take()
        {
            v.truncate(len);
            ranges.push(ArgRange::big(big.len() - _b0));
            big.push(Arc::new(v));
            self.bulk = None;
            self.left -= 1;
        }
    }

    fn multibulk_header(&mut self, buf: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
        let Some((count, next)) = header(buf, 1) else {
            return if buf.len() > INLINE_MAX {
                Err(ProtocolError::MultibulkLineTooBig)
            } else {
                Ok(Step::Incomplete)
            };
        };
        let count = count
            .filter(|n| *n <= i64::from(i32::MAX))
            .ok_or(ProtocolError::InvalidMultibulk)?;
        if count > UNAUTH_ARGS && !limits.authenticated {
            return Err(ProtocolError::UnauthMultibulk);
        }
        self.left = count.max(0);
        self.pos = next;
        Ok(Step::Complete(next))
    }

    #[inline]
    fn arguments(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<ArgRange>,
        big: &mut Vec<BigArg>,
        b0: usize,
        limits: &Limits,
    ) -> Result<Step, ProtocolError> {
        if self.filling.is_some() {
            return Ok(Step::Incomplete);
        }
        let mut pos = self.pos;
        while self.left > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => {
                    let Some(&c) = buf.get(pos) else { break };
                    if c != b'$' {
                        // Upstream looks at the line's end first.
                        if header(buf, pos).is_none() {
                            if buf.len() - pos > INLINE_MAX {
                                return Err(ProtocolError::BulkLineTooBig);
                            }
                            break;
                        }
                        return Err(ProtocolError::ExpectedDollar(c));
                    }
                    let Some((len, next)) = header(buf, pos + 1) else {
                        if buf.len() - pos > INLINE_MAX {
                            return Err(ProtocolError::BulkLineTooBig);
                        }
                        break;
                    };
                    let len = len
                        .filter(|n| *n >= 0 && *n <= limits.max_bulk)
                        .ok_or(ProtocolError::InvalidBulk)?;
                    if len > UNAUTH_BULK && !limits.authenticated {
                        return Err(ProtocolError::UnauthBulk);
                    }
                    pos = next;
                    self.bulk = Some(len as usize);
                    len as usize
                }
            };
            if buf.len() - pos < len + 2 {
                if len >= BIG_ARG && !limits.whole {
                    let mut v = Vec::with_capacity(len + 2);
                    v.extend_from_slice(&buf[pos..]);
                    self.filling = Some(v);
                    self.pos = pos;
                    return Ok(Step::Filling(pos));
                }
                break;
            }
            if pos >= u32::MAX as usize - BIG_ARG || len >= u32::MAX as usize {
                ranges.push(ArgRange::big(big.len() - b0));
                big.push(Arc::new(buf[pos..pos + len].to_vec()));
            } else {
                ranges.push(ArgRange::new(pos, len));
            }
            pos += len + 2;
            self.bulk = None;
            self.left -= 1;
        }
        self.pos = pos;
        Ok(if self.left == 0 {
            Step::Complete(pos)
        } else {
            Step::Incomplete
        })
    }

    /// A line of words with shell-like quotes. Its words are unescaped into buffers of their own: nobody pipelines these.
    #[cold]
    fn inline(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<ArgRange>,
        big: &mut Vec<BigArg>,
    ) -> Result<Step, ProtocolError> {
        let Some(eol) = memchr::memchr(b'\n', buf) else {
            return if buf.len() > INLINE_MAX {
                Err(ProtocolError::InlineTooBig)
            } else {
                Ok(Step::Incomplete)
            };
        };
        let line = buf[..eol].strip_suffix(b"\r").unwrap_or(&buf[..eol]);
        let words = split_words(line).ok_or(ProtocolError::UnbalancedQuotes)?;
        let b0 = big.len();
        for w in words {
            ranges.push(ArgRange::big(big.len() - b0));
            big.push(Arc::new(w));
        }
        Ok(Step::Complete(eol + 1))
    }
}

/// The number on the line that starts at `at`, and where the next line begins. The outer None: no line end yet (CR and one more
/// byte); the inner: not a canonical integer.
#[inline(always)]
fn header(buf: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    let mut i = at;
    let mut n: i64 = 0;
    // Up to 9 digits cannot overflow; anything else takes the slow path.
    while let Some(&c) = buf.get(i) {
        let d = c.wrapping_sub(b'0');
        if d > 9 || i - at >= 9 {
            break;
        }
        n = n * 10 + i64::from(d);
        i += 1;
    }
    if buf.get(i) == Some(&b'\r') && i > at && (i - at == 1 || buf[at] != b'0') {
        return (i + 1 < buf.len()).then_some((Some(n), i + 2));
    }
    slow_header(buf, at)
}

#[cold]
fn slow_header(buf: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    let end = at + memchr::memchr(b'\r', buf.get(at..)?)?;
    if end + 1 >= buf.len() {
        return None;
    }
    Some((parse_i64(&buf[at..end]), end + 2))
}

/// Strict decimal: no sign `+`, no leading zeros, no `-0`.
fn parse_i64(b: &[u8]) -> Option<i64> {
    let digits = b.strip_prefix(b"-").unwrap_or(b);
    let canonical = b == b"0" || digits.first().is_some_and(|c| (b'1'..=b'9').contains(c));
    if !canonical || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(b).ok()?.parse().ok()
}

/// Splits a line into words: double quotes with `\xHH`, `\n \r \t \b \a` and `\"` escapes, single quotes with `\'`.
/// None when a quote is not closed or not followed by white space. Used for inline requests and configuration lines.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut i = 0;
    let space = |c: u8| c.is_ascii_whitespace() || c == 0x0b;
    loop {
        while i < line.len() && space(line[i]) {
            i += 1;
        }
        if i >= line.len() || line[i] == 0 {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match line.get(i) {
                None => break,
                Some(&c) if space(c) || c == 0 => break,
                Some(b'"') => i = double_quoted(line, i + 1, &mut word)?,
                Some(b'\'') => i = single_quoted(line, i + 1, &mut word)?,
                Some(&c) => {
                    word.push(c);
                    i += 1;
                    continue;
                }
            }
            // A closing quote ends the word.
            if line.get(i).is_some_and(|c| !space(*c) && *c != 0) {
                return None;
            }
            break;
        }
        words.push(word);
    }
}

fn double_quoted(line: &[u8], mut i: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' => {
                let c = *line.get(i + 1)?;
                if c == b'x'
                    && let (Some(h), Some(l)) = (hex(line.get(i + 2)), hex(line.get(i + 3)))
                {
                    word.push(h << 4 | l);
                    i += 4;
                    continue;
                }
                word.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    c => c,
                });
                i += 2;
            }
            c => {
                word.push(c);
                i += 1;
            }
        }
    }
}

fn single_quoted(line: &[u8], mut i: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(i)? {
            b'\'' => return Some(i + 1),
            b'\\' if line.get(i + 1) == Some(&b'\'') => {
                word.push(b'\'');
                i += 2;
            }
            c => {
                word.push(c);
                i += 1;
            }
        }
    }
}

fn hex(c: Option<&u8>) -> Option<u8> {
    (*c? as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::resp::Args;

    const OPEN: Limits = Limits {
        max_bulk: 512 << 20,
        authenticated: true,
        whole: false,
    };

    /// Feeds `input` in pieces as a connection would and returns the commands, or the error after them.
    fn run(
        input: &[u8],
        mut cut: impl FnMut() -> usize,
        limits: Limits,
    ) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let (mut p, mut buf, mut cmds, mut fed) = (Parser::new(), Vec::new(), Vec::new(), 0);
        loop {
            let n = cut()
                .min(input.len() - fed)
                .max(usize::from(fed < input.len()));
            if let Some((v, lacks)) = p.filling() {
                let n = n.min(lacks);
                v.extend_from_slice(&input[fed..fed + n]);
                fed += n;
            } else {
                buf.extend_from_slice(&input[fed..fed + n]);
                fed += n;
            }
            loop {
                let (mut r, mut b) = (vec![], vec![]);
                match p.parse(&buf, &mut r, &mut b, &limits) {
                    Err(e) => return (cmds, Some(e)),
                    Ok(Step::Complete(used)) => {
                        if !r.is_empty() {
                            cmds.push(Args::new(&buf, &r, &b).iter().map(<[u8]>::to_vec).collect());
                        }
                        buf.drain(..used);
                    }
                    Ok(Step::Filling(at)) => {
                        buf.truncate(at);
                        break;
                    }
                    Ok(Step::Incomplete) => break,
                }
            }
            if fed == input.len() && n == 0 {
                return (cmds, None);
            }
        }
    }

    #[test]
    fn any_cut_gives_the_same_commands() {
        let mut rng = Rng::new(3);
        let long = vec![b'z'; BIG_ARG * 2];
        let mut input = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n*0\r\n*-1\r\n\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$65536\r\n".to_vec();
        input.extend_from_slice(&long);
        input.extend_from_slice(b"\r\nset \"a\\x41\\n\" 'b\\'c'\r\n*1\r\n$4\r\nQUIT\r\n");
        let (whole, e) = run(&input, || usize::MAX, OPEN);
        assert_eq!((whole.len(), e), (5, None));
        assert_eq!(whole[2][2], long);
        assert_eq!(
            whole[3],
            [b"set".to_vec(), b"aA\n".to_vec(), b"b'c".to_vec()]
        );
        for max in [1, 2, 3, 7, 1000] {
            assert_eq!(
                run(&input, || 1 + rng.below(max), OPEN),
                (whole.clone(), None)
            );
        }
    }

    #[test]
    fn errors() {
        let err = |s: &[u8], l| run(s, || usize::MAX, l).1;
        let unauth = Limits {
            authenticated: false,
            whole: false,
            ..OPEN
        };
        assert_eq!(
            err(b"*3000000000\r\n", OPEN),
            Some(ProtocolError::InvalidMultibulk)
        );
        assert_eq!(err(b"*x\r\n", OPEN), Some(ProtocolError::InvalidMultibulk));
        assert_eq!(
            err(b"*1\r\nfoo\r\n", OPEN),
            Some(ProtocolError::ExpectedDollar(b'f'))
        );
        assert_eq!(
            err(b"*1\r\n$-5\r\n", OPEN),
            Some(ProtocolError::InvalidBulk)
        );
        assert_eq!(
            err(b"*1\r\n$2000000000\r\n", OPEN),
            Some(ProtocolError::InvalidBulk)
        );
        assert_eq!(
            err(b"*11\r\n", unauth),
            Some(ProtocolError::UnauthMultibulk)
        );
        assert_eq!(
            err(b"*1\r\n$16385\r\n", unauth),
            Some(ProtocolError::UnauthBulk)
        );
        assert_eq!(
            err(b"set \"a\r\n", OPEN),
            Some(ProtocolError::UnbalancedQuotes)
        );
        assert_eq!(
            err(&[b'a'; INLINE_MAX + 1], OPEN),
            Some(ProtocolError::InlineTooBig)
        );
        assert_eq!(
            err(&[b"*".as_slice(), &[b'1'; INLINE_MAX + 1]].concat(), OPEN),
            Some(ProtocolError::MultibulkLineTooBig)
        );
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = Rng::new(11);
        let alphabet = b"*$123456789-0\r\n\r\n\r\nab\"'\\x ";
        for _ in 0..20_000 {
            let s: Vec<u8> = (0..rng.below(60))
                .map(|_| alphabet[rng.below(alphabet.len())])
                .collect();
            let whole = run(&s, || usize::MAX, OPEN);
            assert_eq!(
                run(&s, || 1, OPEN),
                whole,
                "{:?}",
                String::from_utf8_lossy(&s)
            );
        }
    }
}
