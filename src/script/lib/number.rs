//! Numbers as text the way C's `%.<n>g` writes and `strtod` reads them, which is what scripts see of `cjson`.
//!
//! Writing leaves the digits to Rust's exact `{:e}` and does the layout of `%g`; reading finds the longest prefix that is a
//! number (decimal, hexadecimal, `inf`, `nan`) and leaves decimal ones to Rust's exact parser.

use std::io::Write;

/// Appends `value` as `%.<digits>g` does: `digits` significant digits (1 to 17), trailing zeros dropped, exponent below -4 or
/// from `digits` on.
pub fn write_general(value: f64, digits: usize, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(if value.is_sign_negative() {
            b"-nan"
        } else {
            b"nan"
        });
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    let whole = value as i64;
    if whole as f64 == value
        && whole.unsigned_abs() < POW10[digits.min(17)]
        && (whole != 0 || value.is_sign_positive())
    {
        return out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    }
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    // "-d.ddddde-324": at most 1 + 18 + 5 bytes.
    let _ = write!(rest, "{:.*e}", digits.clamp(1, 17) - 1, value);
    let left = rest.len();
    let text = &text[..32 - left];
    layout(text, digits, out);
}

const POW10: [u64; 18] = {
    let mut t = [1; 18];
    let mut i = 1;
    while i < 18 {
        t[i] = t[i - 1] * 10;
        i += 1;
    }
    t
};

/// Lays out Rust's `-d.dddde-x` as `%g` does.
fn layout(text: &[u8], digits: usize, out: &mut Vec<u8>) {
    let (mantissa, exponent) = match memchr::memchr(b'e', text) {
        Some(i) => (
            &text[..i],
            std::str::from_utf8(&text[i + 1..])
                .ok()
                .and_then(|e| e.parse().ok())
                .unwrap_or(0),
        ),
        None => (text, 0i32),
    };
    let mantissa = match mantissa.strip_prefix(b"-") {
        Some(m) => {
            out.push(b'-');
            m
        }
        None => mantissa,
    };
    let mut room = [0; 24];
    let mut n = 0;
    for &c in mantissa.iter().filter(|c| **c != b'.') {
        if let Some(slot) = room.get_mut(n) {
            *slot = c;
            n += 1;
        }
    }
    let mut figures = &room[..n];
    while figures.len() > 1 && figures.last() == Some(&b'0') {
        figures = &figures[..figures.len() - 1];
    }
    if exponent < -4 || exponent >= digits as i32 {
        out.push(figures[0]);
        if figures.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&figures[1..]);
        }
        let _ = write!(
            out,
            "e{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.unsigned_abs()
        );
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
        out.extend_from_slice(figures);
    } else {
        let before = exponent as usize + 1;
        for i in 0..before.max(figures.len()) {
            if i == before {
                out.push(b'.');
            }
            out.push(figures.get(i).copied().unwrap_or(b'0'));
        }
    }
}

/// Reads the longest number at the start of `text`: its value and its length in bytes. None if there is none.
pub fn read_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let rest = &text[sign..];
    let (value, used) = if let Some(word) = read_word(rest) {
        word
    } else if let Some(hex) = read_hex(rest) {
        hex
    } else {
        let n = decimal_len(rest);
        // Only digits, a point and an exponent: Rust reads all of them.
        let digits = std::str::from_utf8(&rest[..n]).ok()?;
        (digits.parse().ok()?, n)
    };
    let value = if text.first() == Some(&b'-') {
        -value
    } else {
        value
    };
    Some((value, sign + used))
}

fn starts_with_fold(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|t| t.eq_ignore_ascii_case(word))
}

/// `inf`, `infinity`, `nan`, `nan(..)`.
fn read_word(text: &[u8]) -> Option<(f64, usize)> {
    if starts_with_fold(text, b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if starts_with_fold(text, b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if !starts_with_fold(text, b"nan") {
        return None;
    }
    let inside = text[3..].strip_prefix(b"(").unwrap_or_default();
    let n = inside
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || **c == b'_')
        .count();
    let closed = inside.get(n) == Some(&b')');
    Some((f64::NAN, if closed { 3 + n + 2 } else { 3 }))
}

fn digits_at(text: &[u8], from: usize) -> usize {
    text[from..]
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .count()
}

/// An exponent (`e+12`, after the letter already matched) at `from`; its length with letter and sign, 0 if it has no digits.
fn exponent_len(text: &[u8], from: usize, letter: u8) -> usize {
    if !text
        .get(from)
        .is_some_and(|c| c.eq_ignore_ascii_case(&letter))
    {
        return 0;
    }
    let sign = usize::from(matches!(text.get(from + 1), Some(b'+' | b'-')));
    let n = digits_at(text, (from + 1 + sign).min(text.len()));
    if n == 0 { 0 } else { 1 + sign + n }
}

fn decimal_len(text: &[u8]) -> usize {
    let whole = digits_at(text, 0);
    let mut n = whole;
    let mut fraction = 0;
    if text.get(n) == Some(&b'.') {
        fraction = digits_at(text, n + 1);
        n += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    n + exponent_len(text, n, b'e')
}

/// `0x1f.8p3`: value and length.
fn read_hex(text: &[u8]) -> Option<(f64, usize)> {
    if !starts_with_fold(text, b"0x") {
        return None;
    }
    let (mut mantissa, mut exponent, mut sticky) = (0u64, 0i64, false);
    let (mut at, mut any, mut point) = (2, false, false);
    while let Some(&c) = text.get(at) {
        if c == b'.' && !point {
            point = true;
        } else if let Some(d) = (c as char).to_digit(16) {
            any = true;
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(d);
                exponent -= if point { 4 } else { 0 };
            } else {
                sticky |= d != 0;
                exponent += if point { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if !any {
        return None;
    }
    let n = exponent_len(text, at, b'p');
    if n > 0 {
        let digits = std::str::from_utf8(&text[at + 1..at + n]).ok()?;
        // Beyond any double: what matters is the sign.
        let far = if digits.starts_with('-') {
            -1_000_000
        } else {
            1_000_000
        };
        exponent += digits
            .parse::<i64>()
            .map_or(far, |e| e.clamp(-1_000_000, 1_000_000));
        at += n;
    }
    Some((scale(mantissa | u64::from(sticky), exponent), at))
}

/// `mantissa * 2^exponent`, rounded once (to even).
fn scale(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let m = mantissa << shift;
    // value = m * 2^e with the top bit of m set: m * 2^-63 is in [1, 2).
    let top = exponent - i64::from(shift) + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    if top < -1075 {
        return 0.0;
    }
    // Bits that do not fit: 11, more for subnormals.
    let drop = if top >= -1022 {
        11
    } else {
        (11 + (-1022 - top)).min(64)
    } as u32;
    let (kept, lost) = if drop == 64 {
        (0, m)
    } else {
        (m >> drop, m << (64 - drop))
    };
    let half = 1u64 << 63;
    let up = lost > half || (lost == half && kept & 1 == 1);
    let kept = kept + u64::from(up);
    // `kept` below 2^53 is exact; two factors, since 2^-1074 itself is the smallest there is.
    let e = exponent - i64::from(shift) + i64::from(drop);
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    if e < -1022 {
        kept as f64 * power(e.max(-1074) + 1022) * power(-1022)
    } else if e > 1023 {
        kept as f64 * power(1023) * power((e - 1023).min(1023))
    } else {
        kept as f64 * power(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(value: f64, digits: usize) -> String {
        let mut out = Vec::new();
        write_general(value, digits, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_as_printf_does() {
        for (value, digits, text) in [
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1e14, 14, "1e+14"),
            (99999999999999.0, 14, "99999999999999"),
            (123456789012345678.0, 14, "1.2345678901235e+17"),
            (-0.0, 14, "-0"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (5e-324, 14, "4.9406564584125e-324"),
            (1.23456, 3, "1.23"),
            (-203.0, 1, "-2e+02"),
            (9.99, 2, "10"),
            (1e300, 17, "1.0000000000000001e+300"),
            (1024.5, 14, "1024.5"),
            (3.0000000000000004, 17, "3.0000000000000004"),
            (0.1, 17, "0.10000000000000001"),
            (12345.0, 3, "1.23e+04"),
        ] {
            assert_eq!(general(value, digits), text);
        }
    }

    #[test]
    fn reads_as_strtod_does() {
        for (text, value, used) in [
            ("1", 1.0, 1),
            ("1.", 1.0, 2),
            ("-.5x", -0.5, 3),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1e5x", 1e5, 3),
            ("0x10", 16.0, 4),
            ("0x1p4", 16.0, 5),
            ("0x", 0.0, 1),
            ("0xg", 0.0, 1),
            ("0x.8", 0.5, 4),
            ("+1", 1.0, 2),
            ("1e400", f64::INFINITY, 5),
            ("infinit", f64::INFINITY, 3),
            ("-Infinity,", f64::NEG_INFINITY, 9),
            ("0x1p-1074", 5e-324, 9),
            ("0x1p-1075", 0.0, 9),
            ("0x1.8p-1075", 5e-324, 11),
            ("0x1fffffffffffffp971", f64::MAX, 20),
            ("0x3fffffffffffffp970", f64::INFINITY, 20),
            ("0x1p99999999999999999999", f64::INFINITY, 24),
        ] {
            assert_eq!(read_prefix(text.as_bytes()), Some((value, used)), "{text}");
        }
        for text in ["", "-", "- 1", ".", "e5", "+.", "x"] {
            assert_eq!(read_prefix(text.as_bytes()), None, "{text}");
        }
        assert!(read_prefix(b"nan(12)").is_some_and(|(v, n)| v.is_nan() && n == 7));
        assert!(read_prefix(b"NaN(1").is_some_and(|(v, n)| v.is_nan() && n == 3));
    }

    #[test]
    fn what_is_written_with_all_digits_reads_back() {
        let mut rng = crate::ds::rng::Rng::new(7);
        for _ in 0..20_000 {
            let value = f64::from_bits(rng.next_u64());
            if value.is_finite() {
                let text = general(value, 17);
                assert_eq!(
                    read_prefix(text.as_bytes()),
                    Some((value, text.len())),
                    "{text}"
                );
            }
        }
    }
}
