//! What SCAN, HSCAN, SSCAN and ZSCAN share: the cursor, the options, the shape of the reply.
//!
//! A cursor is an unsigned 64-bit number that the table understands (`ds::table::walk`): a lower bound of the hash, so every
//! number is a valid one. Packed collections are returned whole, with cursor 0, whatever cursor came in.
//!
//! Extending: an option is a field of [`ScanOptions`] and a branch in [`ScanOptions::parse`]; whoever does not know an option
//! must be refused there, as upstream does, so each command names what it takes by [`Scans`].

use crate::ds::glob;
use crate::exec::Ctx;
use crate::keyspace::Type;
use crate::resp::{Error, Reply};

/// What is walked: decides which options there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scans {
    /// The keys of a database: TYPE.
    Keys,
    /// The fields of a hash: NOVALUES.
    Fields,
    /// The members of a set or sorted set.
    Members,
}

/// The options of one call.
#[derive(Debug, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// How many elements to look at, about.
    pub count: usize,
    /// Which to return; None is all.
    pub pattern: Option<&'a [u8]>,
    /// SCAN: keys of that type only. Inner None: a name that no type has, which matches nothing.
    pub type_name: Option<Option<Type>>,
    /// HSCAN: fields without their values.
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Parses the options from argument `from` on.
    pub fn parse(ctx: &Ctx<'a>, from: usize, what: Scans) -> Result<Self, Error> {
        let mut o = ScanOptions {
            count: 10,
            pattern: None,
            type_name: None,
            no_values: false,
        };
        let mut i = from;
        while i < ctx.args.len() {
            let value = i + 1 < ctx.args.len();
            if ctx.is(i, "COUNT") && value {
                let n = ctx.int(i + 1)?;
                o.count = usize::try_from(n)
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or(Error::Syntax)?;
                i += 2;
            } else if ctx.is(i, "MATCH") && value {
                // A lone star is no filter.
                o.pattern = Some(ctx.arg(i + 1)).filter(|p| *p != b"*");
                i += 2;
            } else if ctx.is(i, "TYPE") && what == Scans::Keys && value {
                o.type_name = Some(Type::from_name(ctx.arg(i + 1)));
                i += 2;
            } else if ctx.is(i, "NOVALUES") {
                if what != Scans::Fields {
                    return Err(Error::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                o.no_values = true;
                i += 1;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(o)
    }

    /// Whether an element goes into the reply.
    #[inline]
    pub fn wants(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|p| glob::matches(p, element, false))
    }
}

/// Argument `i` as a cursor: an unsigned 64-bit number, with a plus sign or leading zeros if somebody likes.
pub fn cursor(ctx: &Ctx<'_>, i: usize) -> Result<u64, Error> {
    parse_cursor(ctx.arg(i)).ok_or(Error::new("ERR invalid cursor"))
}

fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Begins the reply: two elements, the first of which is the cursor to go on with. An array of elements must follow.
pub fn begin_reply(reply: &mut Reply<'_>, next: u64) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
}

/// Appends `element` as a bulk string to what a step found: the cursor comes first in the reply, and is known last.
pub fn gather(found: &mut Vec<u8>, element: &[u8]) {
    found.reserve(element.len() + 16);
    found.push(b'$');
    found.extend_from_slice(itoa::Buffer::new().format(element.len()).as_bytes());
    found.extend_from_slice(b"\r\n");
    found.extend_from_slice(element);
    found.extend_from_slice(b"\r\n");
}

/// The reply of a walk that found nothing to walk through.
pub fn empty_reply(reply: &mut Reply<'_>) {
    begin_reply(reply, 0);
    reply.array(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepted and refused by 8.2.3 in the same way.
    #[test]
    fn cursors() {
        assert_eq!(parse_cursor(b"0"), Some(0));
        assert_eq!(parse_cursor(b"+1"), Some(1));
        assert_eq!(parse_cursor(b"01"), Some(1));
        assert_eq!(parse_cursor(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+", "-1", "x", "1x", " 1", "1 ", "18446744073709551616"] {
            assert_eq!(parse_cursor(bad.as_bytes()), None, "{bad}");
        }
    }
}
