//! Ids as clients write them: `ms-seq`, `ms`, `ms-*`, `*`, `-`, `+`, and a leading `(` for exclusive bounds.
//!
//! `$` and `>` mean something different per command and are left to the callers.
use crate::ds::stream::StreamId;
use crate::resp::before_nul;
use std::fmt;

/// Why an id argument was refused; displays as the error reply's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// Not an id at all (or one the command does not take).
    Invalid,
    /// An exclusive start at the last possible id.
    InvalidStart,
    /// An exclusive end at 0-0.
    InvalidEnd,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdError::Invalid => "ERR Invalid stream ID specified as stream command argument",
            IdError::InvalidStart => "ERR invalid start ID for the interval",
            IdError::InvalidEnd => "ERR invalid end ID for the interval",
        })
    }
}
impl std::error::Error for IdError {}

/// The id argument of XADD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddId {
    /// `*`: time and sequence are the server's.
    Auto,
    /// `ms-*`: only the sequence is.
    AutoSeq(u64),
    /// Given in full; `ms` alone means `ms-0`.
    Exact(StreamId),
}

/// A number as upstream's `string2ull` takes it: first as a signed integer in canonical form, then leniently as an unsigned.
/// The lenient path is only reached by what an i64 cannot hold, so it accepts exactly the canonical u64 texts that matter,
/// plus leading white space, zeros and a '+', which `strtoull` swallows.
fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(v) = crate::ds::numtext::parse_i64(text) {
        return u64::try_from(v).ok();
    }
    let spaces = text
        .iter()
        .take_while(|b| matches!(b, b' ' | 9..=13))
        .count();
    let digits = text[spaces..].strip_prefix(b"+").unwrap_or(&text[spaces..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Parses `ms-seq`, or `ms` with `missing_seq` as the sequence. Nothing else: see [`parse_bound`] for `-` and `+`.
pub fn parse_strict(text: &[u8], missing_seq: u64) -> Result<StreamId, IdError> {
    // Upstream copies the text into a buffer of 128 bytes and refuses what does not fit.
    if text.len() > 127 {
        return Err(IdError::Invalid);
    }
    let text = before_nul(text);
    let (ms, seq) = match memchr::memchr(b'-', text) {
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
        None => (text, None),
    };
    let ms = parse_number(ms).ok_or(IdError::Invalid)?;
    let seq = match seq {
        Some(seq) => parse_number(seq).ok_or(IdError::Invalid)?,
        None => missing_seq,
    };
    Ok(StreamId { ms, seq })
}

/// Like [`parse_strict`], and `-` and `+` are the first and the last possible id.
pub fn parse_bound(text: &[u8], missing_seq: u64) -> Result<StreamId, IdError> {
    match before_nul(text) {
        b"-" => Ok(StreamId::ZERO),
        b"+" => Ok(StreamId::MAX),
        _ => parse_strict(text, missing_seq),
    }
}

/// The lower end of a range, made inclusive. A missing sequence is 0; `(` excludes the id itself.
pub fn parse_start(text: &[u8]) -> Result<StreamId, IdError> {
    match text.strip_prefix(b"(") {
        Some(rest) => parse_strict(rest, 0)?.succ().ok_or(IdError::InvalidStart),
        None => parse_bound(text, 0),
    }
}

/// The upper end of a range, made inclusive. A missing sequence is the last one; `(` excludes the id itself.
pub fn parse_end(text: &[u8]) -> Result<StreamId, IdError> {
    match text.strip_prefix(b"(") {
        Some(rest) => parse_strict(rest, u64::MAX)?
            .pred()
            .ok_or(IdError::InvalidEnd),
        None => parse_bound(text, u64::MAX),
    }
}

/// The id argument of XADD.
pub fn parse_add(text: &[u8]) -> Result<AddId, IdError> {
    let text = before_nul(text);
    if text == b"*" {
        return Ok(AddId::Auto);
    }
    match text.strip_suffix(b"-*") {
        Some(ms) => Ok(AddId::AutoSeq(parse_strict_ms(ms)?)),
        None => parse_strict(text, 0).map(AddId::Exact),
    }
}

fn parse_strict_ms(text: &[u8]) -> Result<u64, IdError> {
    if text.len() > 125 {
        return Err(IdError::Invalid);
    }
    parse_number(text).ok_or(IdError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let id = StreamId::new;
        assert_eq!(parse_strict(b"5", 7), Ok(id(5, 7)));
        assert_eq!(parse_strict(b"5-6", 7), Ok(id(5, 6)));
        let max = b"18446744073709551615-18446744073709551615";
        assert_eq!(parse_strict(max, 0), Ok(StreamId::MAX));
        for bad in [
            &b""[..],
            b"-",
            b"+",
            b"*",
            b"5-",
            b"-5",
            b"5-6-7",
            b"a",
            b"5-*",
            b"18446744073709551616",
            b"-1-1",
            b"1--1",
            b"1 ",
            b"+ 1",
            b"$",
            b">",
        ] {
            assert_eq!(parse_strict(bad, 0), Err(IdError::Invalid), "{bad:?}");
        }
        assert_eq!(parse_strict(b" 007-+08", 0), Ok(id(7, 8)));
        assert_eq!(parse_start(b"-"), Ok(StreamId::ZERO));
        assert_eq!(parse_end(b"+"), Ok(StreamId::MAX));
        assert_eq!(parse_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(parse_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!(parse_end(b"(0-0"), Err(IdError::InvalidEnd));
        assert_eq!(
            parse_start(&[b"(", &max[..]].concat()),
            Err(IdError::InvalidStart)
        );
        assert_eq!(parse_start(b"(-"), Err(IdError::Invalid));
        assert_eq!(parse_add(b"*"), Ok(AddId::Auto));
        assert_eq!(parse_add(b"9-*"), Ok(AddId::AutoSeq(9)));
        assert_eq!(parse_add(b"9"), Ok(AddId::Exact(id(9, 0))));
        assert_eq!(parse_add(b"*-9"), Err(IdError::Invalid));
        assert_eq!(parse_add(b"-*"), Err(IdError::Invalid));
    }
}
