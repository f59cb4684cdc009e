//! Counting and finding bits in a part of a string: BITCOUNT, BITPOS.

use crate::ds::bits;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;

/// A part of a string as arguments of a command give it.
struct Part {
    start: i64,
    /// None is the end of the string.
    end: Option<i64>,
    /// Indices count bits, not bytes.
    in_bits: bool,
}

impl Part {
    /// Reads `[start [end [BYTE|BIT]]]` from argument `i` on. `end_first`: of a bad end and a bad unit, the end is the error.
    fn parse(ctx: &Ctx<'_>, i: usize, end_first: bool) -> Result<Self, Error> {
        let n = ctx.args.len();
        if n > i + 3 {
            return Err(Error::Syntax);
        }
        let start = if n > i { ctx.int(i)? } else { 0 };
        if end_first && n > i + 1 {
            ctx.int(i + 1)?;
        }
        let in_bits = match n > i + 2 {
            false => false,
            true if ctx.is(i + 2, "BIT") => true,
            true if ctx.is(i + 2, "BYTE") => false,
            true => return Err(Error::Syntax),
        };
        let end = if n > i + 1 {
            Some(ctx.int(i + 1)?)
        } else {
            None
        };
        Ok(Part {
            start,
            end,
            in_bits,
        })
    }

    /// Whether the end is written before the start, both counted from the end: nothing, even if both lie before the string.
    fn is_reversed(&self) -> bool {
        self.start < 0 && self.end.is_some_and(|end| end < 0 && self.start > end)
    }

    /// First and last bit of the part in a string of `len` bytes; None when it is empty.
    fn bits(&self, len: usize) -> Option<(u64, u64)> {
        let unit = if self.in_bits { 1 } else { 8 };
        let total = len as i64 * 8 / unit;
        let from_end = |i: i64| {
            if i < 0 {
                i.saturating_add(total).max(0)
            } else {
                i
            }
        };
        let end = self.end.unwrap_or(-1);
        let (start, end) = (from_end(self.start), from_end(end).min(total - 1));
        (start <= end).then(|| ((start * unit) as u64, (end * unit + unit - 1) as u64))
    }
}

/// The bytes that hold bits `first` to `last`, and masks of the bits of the first and last byte that are inside.
fn bytes_of(bytes: &[u8], first: u64, last: u64) -> (&[u8], u8, u8) {
    let part = &bytes[(first / 8) as usize..=(last / 8) as usize];
    (part, 0xff >> (first % 8), 0xff << (7 - last % 8))
}

fn count(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (part, head, tail) = bytes_of(bytes, first, last);
    let outside = match part {
        [only] => (only & !(head & tail)).count_ones(),
        [start, .., end] => (start & !head).count_ones() + (end & !tail).count_ones(),
        [] => 0,
    };
    bits::popcount(part) - u64::from(outside)
}

fn position(bytes: &[u8], first: u64, last: u64, bit: bool) -> Option<u64> {
    let (part, head, _) = bytes_of(bytes, first, last);
    let (start, rest) = part.split_first()?;
    let base = first / 8 * 8;
    // Bits before the part read as the value that is not wanted.
    let start = if bit { start & head } else { start | !head };
    let found = bits::first(&[start], bit)
        .or_else(|| bits::first(rest, bit).map(|i| i + 8))
        .map(|i| i + base);
    found.filter(|i| *i <= last)
}

/// The row of BITCOUNT.
pub static BITCOUNT: Command = Command {
    name: "bitcount",
    handler: bitcount,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Bitmap,
    since: "2.6.0",
    complexity: "O(N)",
    summary: "Counts the bits set in a string or a part of it.",
    args: "key@0 [range(start:int end:int [unit(BYTE | BIT)]{7.0.0})]",
    ..Command::DEFAULT
};

fn bitcount(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() == 3 {
        return Err(Error::Syntax);
    }
    let part = Part::parse(ctx, 2, true)?;
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut digits = itoa::Buffer::new();
    let n = match db.read_str(key)? {
        // BITPOS does not look at that.
        Some(_) if part.is_reversed() => 0,
        Some(e) => {
            let bytes = e.str().map_or(&b""[..], |s| s.bytes(&mut digits));
            part.bits(bytes.len())
                .map_or(0, |(first, last)| count(bytes, first, last))
        }
        None => 0,
    };
    reply.int(n as i64);
    Ok(Flow::Done)
}

/// The row of BITPOS.
pub static BITPOS: Command = Command {
    name: "bitpos",
    handler: bitpos,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Bitmap,
    since: "2.8.7",
    complexity: "O(N)",
    summary: "Finds the first bit of a given value in a string.",
    args: "key@0 bit:int [range(start:int [end-unit-block(end:int [unit(BYTE | BIT)]{7.0.0})])]",
    ..Command::DEFAULT
};

fn bitpos(ctx: &mut Ctx<'_>) -> Outcome {
    let bit = match ctx.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(ctx, 3, false)?;
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut digits = itoa::Buffer::new();
    let at = match db.read_str(key)? {
        Some(e) => {
            let bytes = e.str().map_or(&b""[..], |s| s.bytes(&mut digits));
            match part.bits(bytes.len()) {
                None => None,
                Some((first, last)) => position(bytes, first, last, bit)
                    // A string without end is followed by zeros.
                    .or_else(|| (!bit && part.end.is_none()).then_some(bytes.len() as u64 * 8)),
            }
        }
        None => (!bit).then_some(0),
    };
    reply.int(at.map_or(-1, |i| i as i64));
    Ok(Flow::Done)
}
