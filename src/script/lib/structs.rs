//! `struct`: C structures as strings, with the semantics of Roberto Ierusalimschy's struct library as Redis ships it.
//!
//! A format is read byte by byte ([`Format`]): sizes and alignment come from it, the bytes from [`pack`], [`unpack`] and
//! [`size`]. Whatever the format says, sizes stay below 2^31, and data is looked at only within its bounds.
//!
//! | option | meaning |
//! |---|---|
//! | `<` `>` | little endian, big endian from here on |
//! | `!n` | alignment up to n (a power of two) from here on, 8 without n; none at first |
//! | `b` `h` `l` `T` `in` | signed integers of 1, 2, 8, 8 and n bytes (4 without n, at most 32); capitals unsigned |
//! | `f` `d` | float, double |
//! | `x` | a byte of padding |
//! | `cn` | n bytes (1 without n); `c0`: all of them when packing, as many as the number before says when unpacking |
//! | `s` | a string that ends with a zero byte |

use super::build::Build;
use super::cjson::whole;
use crate::script::lua::{Kind, Lua, NativeFn, Raise};
use std::fmt;

/// Largest size of `i` and `I`.
const MAX_INTEGER: usize = 32;
/// What `!` without a number aligns to.
const MAX_ALIGN: usize = 8;

/// Why a format or data is refused. Its Display is what the script is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructError {
    /// A number in the format over 2^31 - 1.
    SizeOverflow,
    /// An integer wider than 32 bytes.
    IntegerSize(usize),
    /// An alignment that is no power of two.
    Alignment(usize),
    /// An unknown option.
    BadOption(u8),
    /// `struct.size` of something without a fixed size.
    NoFixedSize(&'static str),
    /// The data ends before the format.
    ShortData,
    /// `c0` without a number before it.
    NoSizeBefore,
    /// No zero byte after a string.
    Unfinished,
    /// More values than fit the script's stack.
    TooManyResults,
}

impl fmt::Display for StructError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StructError::SizeOverflow => f.write_str("integral size overflow"),
            StructError::IntegerSize(n) => {
                write!(f, "integral size {n} is larger than limit of {MAX_INTEGER}")
            }
            StructError::Alignment(n) => write!(f, "alignment {n} is not a power of 2"),
            StructError::BadOption(c) => write!(f, "invalid format option '{}'", char::from(*c)),
            StructError::NoFixedSize(option) => write!(f, "option '{option}' has no fixed size"),
            StructError::ShortData => f.write_str("data string too short"),
            StructError::NoSizeBefore => f.write_str("format 'c0' needs a previous size"),
            StructError::Unfinished => f.write_str("unfinished string in data"),
            StructError::TooManyResults => f.write_str("stack overflow (too many results)"),
        }
    }
}

impl From<StructError> for Raise {
    fn from(e: StructError) -> Self {
        match e {
            StructError::BadOption(_) | StructError::NoFixedSize(_) => Raise::Arg(1, e.to_string()),
            StructError::ShortData => Raise::Arg(2, e.to_string()),
            _ => Raise::text(e.to_string()),
        }
    }
}

const FUNCTIONS: &[(&str, NativeFn)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// Pushes the library's table.
pub fn install(lua: &mut Lua<'_>) {
    lua.new_table(0, FUNCTIONS.len());
    for (name, f) in FUNCTIONS {
        lua.push_fn(*f);
        lua.set_field(-2, name);
    }
}

/// A format being read, with the endianness and alignment in force.
struct Format<'f> {
    text: &'f [u8],
    at: usize,
    big_endian: bool,
    align: usize,
}

impl<'f> Format<'f> {
    /// A format ends at its first zero byte.
    fn new(text: &'f [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Format {
            text: &text[..end],
            at: 0,
            big_endian: cfg!(target_endian = "big"),
            align: 1,
        }
    }

    /// The next option and its size in bytes (0 for strings, settings and unknown ones).
    fn next(&mut self) -> Result<Option<(u8, usize)>, StructError> {
        let Some(&option) = self.text.get(self.at) else {
            return Ok(None);
        };
        self.at += 1;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => match self.number(4)? {
                n if n > MAX_INTEGER => return Err(StructError::IntegerSize(n)),
                n => n,
            },
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number at hand, `default` if there is none.
    fn number(&mut self, default: usize) -> Result<usize, StructError> {
        const MOST: usize = i32::MAX as usize;
        let mut n = 0;
        let mut any = false;
        while let Some(d) = self.text.get(self.at).filter(|c| c.is_ascii_digit()) {
            let d = usize::from(d - b'0');
            if n > (MOST - d) / 10 {
                return Err(StructError::SizeOverflow);
            }
            n = n * 10 + d;
            any = true;
            self.at += 1;
        }
        Ok(if any { n } else { default })
    }

    /// Padding before an option when `before` bytes are there already.
    fn padding(&self, before: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let to = size.min(self.align);
        // For sizes that are no power of two this is no multiple of anything, but it is what upstream does.
        to.wrapping_sub(before & (to - 1)) & (to - 1)
    }

    /// Takes an option that is a setting.
    fn setting(&mut self, option: u8) -> Result<(), StructError> {
        match option {
            b' ' => {}
            b'<' => self.big_endian = false,
            b'>' => self.big_endian = true,
            b'!' => match self.number(MAX_ALIGN)? {
                n if n.is_power_of_two() => self.align = n,
                n => return Err(StructError::Alignment(n)),
            },
            other => return Err(StructError::BadOption(other)),
        }
        Ok(())
    }
}

/// A double as C casts it to 64 unsigned bits on x86-64: negative numbers wrap, what is too large becomes 0.
fn unsigned(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value >= HALF {
        whole(value - HALF) as u64 ^ 1 << 63
    } else {
        whole(value) as u64
    }
}

/// `struct.pack(format, ...)`
fn pack(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let mut format = Format::new(lua.check_bytes(1)?);
    let mut out = Vec::new();
    let mut arg = 2;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(
                    unsigned(number(lua, arg)?),
                    size,
                    format.big_endian,
                    &mut out,
                );
                arg += 1;
            }
            b'x' => out.push(0),
            b'f' | b'd' => {
                let n = number(lua, arg)?;
                let bits = if option == b'f' {
                    u64::from((n as f32).to_bits())
                } else {
                    n.to_bits()
                };
                put_integer(bits, size, format.big_endian, &mut out);
                arg += 1;
            }
            b'c' | b's' => {
                let text = string(lua, arg)?;
                arg += 1;
                let size = if size == 0 { text.len() } else { size };
                let text = text
                    .get(..size)
                    .ok_or_else(|| Raise::Arg(arg, "string too short".into()))?;
                out.extend_from_slice(text);
                out.extend((option == b's').then_some(0));
            }
            other => format.setting(other)?,
        }
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// Argument `i`; one that is missing is spoken of as nil.
fn number(lua: &Lua<'_>, i: usize) -> Result<f64, Raise> {
    if i > lua.nargs() {
        return Err(Raise::Arg(i, "number expected, got nil".into()));
    }
    lua.check_number(i)
}

/// Argument `i`; one that is missing is spoken of as nil.
fn string<'c>(lua: &mut Lua<'c>, i: usize) -> Result<&'c [u8], Raise> {
    if i > lua.nargs() {
        return Err(Raise::Arg(i, "string expected, got nil".into()));
    }
    lua.check_bytes(i)
}

/// Appends `value` in `size` bytes; beyond 8 there are zeros, whatever the sign.
fn put_integer(value: u64, size: usize, big_endian: bool, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend(value.to_le_bytes().iter().take(size));
    out.resize(from + size, 0);
    if big_endian {
        out[from..].reverse();
    }
}

/// `struct.unpack(format, data, position)`: the values, and the position after them.
fn unpack(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let format = lua.check_bytes(1)?;
    let data = lua.check_bytes(2)?;
    let from = match lua.kind(3) {
        Kind::None | Kind::Nil => 1,
        _ => whole(lua.check_number(3)?),
    };
    // A negative position is far beyond the data, as upstream.
    let Some(from) = (from as u64).checked_sub(1) else {
        return Err(Raise::Arg(3, "offset must be 1 or greater".into()));
    };
    let (n, end) = decode(format, data, from as usize, lua)?;
    if !lua.reserve(1) {
        return Err(StructError::TooManyResults.into());
    }
    lua.push_number(end.wrapping_add(1) as i64 as f64);
    Ok(n + 1)
}

/// Unpacks `data` from offset `at` on; returns how many values were pushed on `out` and the offset after them.
pub fn decode(
    format: &[u8],
    data: &[u8],
    mut at: usize,
    out: &mut impl Build,
) -> Result<(usize, usize), StructError> {
    let mut format = Format::new(format);
    let mut pushed = 0;
    while let Some((option, mut size)) = format.next()? {
        at = at.wrapping_add(format.padding(at, option, size));
        let rest = data
            .get(at..)
            .filter(|r| size <= r.len())
            .ok_or(StructError::ShortData)?;
        if !out.reserve(2) {
            return Err(StructError::TooManyResults);
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                out.number(integer(
                    &rest[..size],
                    format.big_endian,
                    option.is_ascii_lowercase(),
                ));
            }
            b'x' => {
                at += size;
                continue;
            }
            b'f' => out.number(f64::from(f32::from_bits(
                assemble(&rest[..size], format.big_endian) as u32,
            ))),
            b'd' => out.number(f64::from_bits(assemble(&rest[..size], format.big_endian))),
            b'c' => {
                if size == 0 {
                    if pushed == 0 {
                        return Err(StructError::NoSizeBefore);
                    }
                    size = unsigned(out.take_number().ok_or(StructError::NoSizeBefore)?) as usize;
                    pushed -= 1;
                }
                out.bytes(rest.get(..size).ok_or(StructError::ShortData)?);
            }
            b's' => {
                let n = memchr::memchr(0, rest).ok_or(StructError::Unfinished)?;
                out.bytes(&rest[..n]);
                size = n + 1;
            }
            other => {
                format.setting(other)?;
                continue;
            }
        }
        pushed += 1;
        at += size;
    }
    Ok((pushed, at))
}

/// The low 64 bits of an integer.
fn assemble(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
    if big_endian {
        bytes.iter().fold(0, add)
    } else {
        bytes.iter().rev().fold(0, add)
    }
}

fn integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let n = assemble(bytes, big_endian);
    if !signed {
        return n as f64;
    }
    // All bits from the sign on. Shifts count modulo 64, which shows for sizes that are not 8: as upstream on x86-64.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    (if n & sign != 0 { n | sign } else { n }) as i64 as f64
}

/// `struct.size(format)`
fn size(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let total = size_of_format(lua.check_bytes(1)?)?;
    lua.push_number(total as f64);
    Ok(1)
}

/// Bytes that a format of fixed size takes.
pub fn size_of_format(text: &[u8]) -> Result<usize, StructError> {
    let mut format = Format::new(text);
    let mut total = 0;
    while let Some((option, size)) = format.next()? {
        total += format.padding(total, option, size) + size;
        match option {
            b's' => return Err(StructError::NoFixedSize("s")),
            b'c' if size == 0 => return Err(StructError::NoFixedSize("c0")),
            // Unknown letters and digits count nothing here, as upstream.
            o if o.is_ascii_alphanumeric() => {}
            other => format.setting(other)?,
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::script::lib::build::Sketch;

    #[test]
    fn sizes() {
        assert_eq!(size_of_format(b"!bd"), Ok(16));
        assert_eq!(size_of_format(b"!4bd"), Ok(12));
        assert_eq!(size_of_format(b"c2147483647c2147483647"), Ok(4294967294));
        assert_eq!(
            size_of_format(b"c2147483648"),
            Err(StructError::SizeOverflow)
        );
        assert_eq!(size_of_format(b"i33"), Err(StructError::IntegerSize(33)));
    }

    #[test]
    fn garbage_stays_within_bounds() {
        const LETTERS: &[u8] = b"bBhHlLTiIfdscx<>! 0123456789z=\xff";
        let mut rng = Rng::new(5);
        let mut good = 0;
        for _ in 0..100_000 {
            let format: Vec<u8> = (0..rng.below(8))
                .map(|_| LETTERS[rng.below(LETTERS.len())])
                .collect();
            let data: Vec<u8> = (0..rng.below(40))
                .map(|_| [0, 1, 5, 200, 255][rng.below(5)])
                .collect();
            let at = [0, 1, 3, 39, usize::MAX, usize::MAX - 7][rng.below(6)];
            let mut out = Sketch::default();
            if let Ok((n, _)) = decode(&format, &data, at, &mut out) {
                assert_eq!(n, out.len());
                good += 1;
            }
            let _ = size_of_format(&format);
        }
        assert!(good > 5_000, "{good}");
    }
}
