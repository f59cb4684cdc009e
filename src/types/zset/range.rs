//! Ranges over a sorted set as commands write them: by score ("(1", "-inf") and by member text ("[a", "(b", "-", "+").
//!
//! A range is resolved to a window of ranks once (`ZSet::score_window`, `ZSet::lex_window`); counting, iterating in either
//! direction and removing are then the same code for all kinds of range.
//!
//! Compat: the text of a score bound is what Redis 8.2 takes: no hexadecimal (7.0 took it), an empty number is 0, and a number too
//! large is infinite rather than an error (ZADD refuses it).
use std::fmt;

use crate::ds::numtext;

/// Why the bounds of a range are refused; Display is the text behind "ERR ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeError {
    /// A bound by score is not a number.
    NotAFloat,
    /// A bound by text does not begin with '[' or '(', nor is "-" or "+".
    NotAString,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RangeError::NotAFloat => "min or max is not a float",
            RangeError::NotAString => "min or max not valid string range item",
        })
    }
}

impl std::error::Error for RangeError {}

/// A range of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// Lower bound; never NaN.
    pub min: f64,
    /// Upper bound; never NaN.
    pub max: f64,
    /// Whether `min` itself is outside.
    pub min_open: bool,
    /// Whether `max` itself is outside.
    pub max_open: bool,
}

impl ScoreRange {
    /// The range from `min` to `max` as arguments of a command.
    pub fn parse(min: &[u8], max: &[u8]) -> Result<Self, RangeError> {
        let ((min, min_open), (max, max_open)) = (parse_score_bound(min)?, parse_score_bound(max)?);
        Ok(ScoreRange {
            min,
            max,
            min_open,
            max_open,
        })
    }

    /// Whether `score` is inside.
    #[inline(always)]
    pub fn contains(&self, score: f64) -> bool {
        !self.is_below(score) && !self.is_above(score)
    }

    /// Whether `score` is below the range.
    #[inline(always)]
    pub fn is_below(&self, score: f64) -> bool {
        score < self.min || (self.min_open && score == self.min)
    }

    /// Whether `score` is above the range.
    #[inline(always)]
    pub fn is_above(&self, score: f64) -> bool {
        score > self.max || (self.max_open && score == self.max)
    }
}

fn parse_score_bound(text: &[u8]) -> Result<(f64, bool), RangeError> {
    let (open, number) = match text {
        [b'(', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let number = until_nul(number);
    if number.is_empty() {
        return Ok((0.0, open));
    }
    let digits = number
        .strip_prefix(b"-")
        .or_else(|| number.strip_prefix(b"+"))
        .unwrap_or(number);
    if digits.len() > 1 && digits[1].eq_ignore_ascii_case(&b'x') {
        return Err(RangeError::NotAFloat);
    }
    let out_of_range = || {
        let is_decimal = digits
            .first()
            .is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        std::str::from_utf8(number)
            .ok()
            .filter(|_| is_decimal)?
            .parse()
            .ok()
    };
    let value = numtext::parse_f64(number)
        .or_else(out_of_range)
        .ok_or(RangeError::NotAFloat)?;
    Ok((value, open))
}

/// Bounds end at a NUL, as upstream's strings do there.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

/// One end of a range of member texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// "-": before every text.
    Lowest,
    /// "+": after every text.
    Highest,
    /// "[text": this text included.
    Including(&'a [u8]),
    /// "(text": this text excluded.
    Excluding(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// A bound as an argument of a command.
    pub fn parse(text: &'a [u8]) -> Result<Self, RangeError> {
        match text {
            [b'-', rest @ ..] if until_nul(rest).is_empty() => Ok(LexBound::Lowest),
            [b'+', rest @ ..] if until_nul(rest).is_empty() => Ok(LexBound::Highest),
            [b'[', rest @ ..] => Ok(LexBound::Including(rest)),
            [b'(', rest @ ..] => Ok(LexBound::Excluding(rest)),
            _ => Err(RangeError::NotAString),
        }
    }
}

/// A range of member texts; meaningful when all scores are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Lower bound.
    pub min: LexBound<'a>,
    /// Upper bound.
    pub max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    /// The range from `min` to `max` as arguments of a command.
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, RangeError> {
        Ok(LexRange {
            min: LexBound::parse(min)?,
            max: LexBound::parse(max)?,
        })
    }

    /// Whether `member` is below the range.
    pub fn is_below(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Including(text) => member < text,
            LexBound::Excluding(text) => member <= text,
        }
    }

    /// Whether `member` is above the range.
    pub fn is_above(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Including(text) => member > text,
            LexBound::Excluding(text) => member >= text,
        }
    }
}

/// The ranks that `start` and `stop` (negative from the end, `stop` included) mean among `len` members.
pub fn rank_window(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len_i = i64::try_from(len).unwrap_or(i64::MAX);
    let start = if start < 0 {
        start.saturating_add(len_i).max(0)
    } else {
        start
    };
    let stop = if stop < 0 {
        stop.saturating_add(len_i)
    } else {
        stop.min(len_i - 1)
    };
    if start > stop || start >= len_i {
        0..0
    } else {
        start as usize..stop as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_bounds_as_redis_8_takes_them() {
        let ok = |text: &[u8]| parse_score_bound(text).unwrap();
        assert_eq!(ok(b"1.5"), (1.5, false));
        assert_eq!(ok(b"(-1e3"), (-1000.0, true));
        assert_eq!(ok(b"(+inf"), (f64::INFINITY, true));
        assert_eq!(ok(b"-inf"), (f64::NEG_INFINITY, false));
        assert_eq!(ok(b""), (0.0, false));
        assert_eq!(ok(b"("), (0.0, true));
        assert_eq!(ok(b"1e400"), (f64::INFINITY, false));
        assert_eq!(ok(b"-1e-400"), (0.0, false));
        assert_eq!(ok(b"(1\0z"), (1.0, true));
        assert_eq!(ok(b"\0z"), (0.0, false));
        for bad in [
            &b" 1"[..],
            b"1 ",
            b"nan",
            b"0x1",
            b"((",
            b"(a",
            b"\xff",
            b"1,5",
        ] {
            let e = parse_score_bound(bad).unwrap_err();
            assert_eq!(e.to_string(), "min or max is not a float", "{bad:?}");
        }
    }

    #[test]
    fn lex_bounds() {
        let r = LexRange::parse(b"[a", b"(c").unwrap();
        let inside: Vec<&[u8]> = [&b""[..], b"a", b"b", b"c", b"d"]
            .into_iter()
            .filter(|m| !r.is_below(m) && !r.is_above(m))
            .collect();
        assert_eq!(inside, [b"a", b"b"]);
        assert_eq!(LexBound::parse(b"-\0a"), Ok(LexBound::Lowest));
        assert_eq!(LexBound::parse(b"+\0"), Ok(LexBound::Highest));
        for bad in [&b""[..], b"a", b"++", b"--", b"\0-"] {
            assert_eq!(
                LexBound::parse(bad).unwrap_err().to_string(),
                "min or max not valid string range item"
            );
        }
    }

    #[test]
    fn rank_windows() {
        assert_eq!(rank_window(0, -1, 5), 0..5);
        assert_eq!(rank_window(-2, 100, 5), 3..5);
        assert_eq!(rank_window(3, 1, 5), 0..0);
        assert_eq!(rank_window(5, 6, 5), 0..0);
        assert_eq!(rank_window(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(rank_window(0, i64::MIN, 5), 0..0);
        assert_eq!(rank_window(0, 0, 0), 0..0);
    }
}
