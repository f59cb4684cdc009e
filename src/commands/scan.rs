//! Arguments of the SCAN family: cursor, MATCH, COUNT, and TYPE (SCAN) or NOVALUES (HSCAN).
//!
//! A cursor is a lower bound of the hash order (`ds::table`), so any number is a valid one.

use crate::ds::{glob, numtext};
use crate::exec::Ctx;
use crate::keyspace::Type;
use crate::resp::Error;

/// What the options may be besides MATCH and COUNT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanOf {
    /// SCAN: TYPE.
    Keys,
    /// HSCAN: NOVALUES.
    Hash,
    /// SSCAN, ZSCAN: nothing.
    Members,
}

/// Everything that may follow the name (and key) of a SCAN command.
#[derive(Debug, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// Where to go on.
    pub cursor: u64,
    /// How many elements to look at, about.
    pub count: usize,
    /// MATCH, unless it matches everything.
    pub pattern: Option<&'a [u8]>,
    /// TYPE; Some(None) is a type that no key has.
    pub ty: Option<Option<Type>>,
    /// NOVALUES
    pub no_values: bool,
}

/// The reply for a key that is not there: as upstream, the cursor must be one, the options are not looked at.
pub fn missing(ctx: &mut Ctx<'_>, i: usize) -> Result<(), Error> {
    cursor(ctx.arg(i))?;
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
    Ok(())
}

impl<'a> ScanOptions<'a> {
    /// Parses from argument `i` (the cursor) on.
    pub fn parse(ctx: &Ctx<'a>, i: usize, of: ScanOf) -> Result<Self, Error> {
        let mut o = ScanOptions {
            cursor: cursor(ctx.arg(i))?,
            count: 10,
            pattern: None,
            ty: None,
            no_values: false,
        };
        let mut i = i + 1;
        while i < ctx.args.len() {
            let value = ctx.args.get(i + 1);
            match value {
                Some(_) if ctx.is(i, "COUNT") => {
                    let n = ctx.int(i + 1)?;
                    o.count = usize::try_from(n)
                        .ok()
                        .filter(|n| *n > 0)
                        .ok_or(Error::Syntax)?;
                }
                Some(p) if ctx.is(i, "MATCH") => o.pattern = (p != b"*").then_some(p),
                Some(t) if ctx.is(i, "TYPE") && of == ScanOf::Keys => {
                    o.ty = Some(Type::from_name(t))
                }
                _ if ctx.is(i, "NOVALUES") && of == ScanOf::Hash => {
                    o.no_values = true;
                    i += 1;
                    continue;
                }
                _ if ctx.is(i, "NOVALUES") => {
                    return Err(Error::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                _ => return Err(Error::Syntax),
            }
            i += 2;
        }
        Ok(o)
    }

    /// Whether an element of this name is asked for.
    #[inline]
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|p| glob::matches(p, name, false))
    }

    /// Whether a key of this type is asked for.
    #[inline]
    pub fn wants_type(&self, ty: Type) -> bool {
        self.ty.is_none_or(|wanted| wanted == Some(ty))
    }
}

/// A cursor as text: a number below 2^64; blanks before it, a plus sign and leading zeros are allowed, as upstream reads it. The text
/// ends at a NUL; a negative number is refused in its plain form only ("-1", not " -1" or "-01") and else taken as C's strtoull takes it.
pub fn cursor(text: &[u8]) -> Result<u64, Error> {
    let refused = || Error::new("ERR invalid cursor");
    if numtext::parse_i64(text).is_some_and(|n| n < 0) {
        return Err(refused());
    }
    let text = text.split(|b| *b == 0).next().unwrap_or_default();
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let n: Option<u64> = std::str::from_utf8(digits)
        .ok()
        .filter(|d| d.bytes().all(|c| c.is_ascii_digit()))
        .and_then(|d| d.parse().ok());
    n.map(|n| if negative { n.wrapping_neg() } else { n })
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let max = u64::MAX;
        let taken: &[(&[u8], u64)] = &[
            (b"0", 0),
            (b" \t1", 1),
            (b"+018", 18),
            (b"-0", 0),
            (b"-01", max),
            (b" -1", max),
            (b"18446744073709551615", max),
            (b"-18446744073709551615", 1),
            (b"1\x002", 1),
            (b"-9223372036854775809", (1 << 63) - 1),
        ];
        for (text, n) in taken {
            assert_eq!(cursor(text), Ok(*n), "{}", text.escape_ascii());
        }
        let refused: &[&[u8]] = &[
            b"",
            b"\x00",
            b"-1",
            b"-9223372036854775808",
            b"1 ",
            b"0x1",
            b"- 1",
            b"++1",
            b"18446744073709551616",
            b"-99999999999999999999",
        ];
        for text in refused {
            assert!(cursor(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
