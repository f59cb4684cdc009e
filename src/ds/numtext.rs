//! Numbers as text: strict parsing and exact printing, as clients see them.
//!
//! Integers: [`parse_i64`] accepts only the canonical form (what printing the number would give), because encodings depend on
//! it: "007" or "+7" must stay a string. Scores and float increments have the grammar of C's `strtod`, hexadecimal floats
//! included; see [`parse_f64`]. Printing doubles is in `dtoa`, 80-bit floats are in `longdouble`.

use super::longdouble::Exact;

/// Longest text of an i64 ("-9223372036854775808").
pub const I64_TEXT_MAX: usize = 20;

/// Parses the canonical decimal text of an i64: no '+', no leading zeros, no "-0", no spaces, nothing out of range.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = parse_u64(digits)?;
    if negative {
        // "-0" is not canonical; i64::MIN has magnitude 2^63.
        if magnitude == 0 || magnitude > 1 << 63 {
            return None;
        }
        Some((magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Parses the canonical decimal text of a u64 (same strictness as [`parse_i64`], no sign at all).
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    if first == b'0' {
        return rest.is_empty().then_some(0);
    }
    if !first.is_ascii_digit() || text.len() > 20 {
        return None;
    }
    // Nineteen digits always fit; only a twentieth can overflow.
    let mut value = u64::from(first - b'0');
    for &byte in rest.iter().take(18) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if let Some(&byte) = rest.get(18) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Writes the decimal text of `value` into `buf` and returns the part used.
#[inline]
pub fn write_i64(value: i64, buf: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let mut digits = itoa::Buffer::new();
    let text = digits.format(value).as_bytes();
    let out = &mut buf[..text.len()];
    out.copy_from_slice(text);
    out
}

/// Parses a double as upstream takes scores and the like: what `strtod` reads completely, without leading space, so decimal,
/// hexadecimal ("0x1.8p3"), "inf" and "infinity" in any case, each with a sign. `None` also for NaN and for numbers out of
/// range: overflow ("1e400") and underflow to zero ("1e-400").
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = match body.first()? {
        b'0'..=b'9' | b'.' => match body {
            [b'0', b'x' | b'X', hex @ ..] => hex_to_f64(hex)?,
            _ => decimal_to_f64(body)?,
        },
        _ if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") => {
            f64::INFINITY
        }
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

fn decimal_to_f64(body: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(body).ok()?.parse().ok()?;
    let underflow = || {
        let mut mantissa = body.iter().take_while(|b| !matches!(b, b'e' | b'E'));
        value == 0.0 && mantissa.any(|b| matches!(b, b'1'..=b'9'))
    };
    (value.is_finite() && !underflow()).then_some(value)
}

fn hex_to_f64(hex: &[u8]) -> Option<f64> {
    let exact = parse_hex_float(hex)?;
    let (mantissa, exp) = exact.round(53, -1074);
    if mantissa == 0 {
        return (exact.mantissa == 0).then_some(0.0);
    }
    if exp + i64::from(64 - mantissa.leading_zeros()) > 1024 {
        return None;
    }
    // Both factors are exact powers of two; two steps keep the intermediate result a normal number.
    let half = exp / 2;
    Some(mantissa as f64 * 2f64.powi(half as i32) * 2f64.powi((exp - half) as i32))
}

/// Splits `mantissa[e[+-]digits]` at the exponent letter (`letter` is lower case); a saturated exponent stands for itself.
pub(super) fn split_exponent(body: &[u8], letter: u8) -> Option<(&[u8], i64)> {
    let Some(at) = body.iter().position(|b| b.to_ascii_lowercase() == letter) else {
        return Some((body, 0));
    };
    let (negative, digits) = match &body[at + 1..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Beyond a billion every number with at most gigabytes of digits over- or underflows.
    let magnitude = digits
        .iter()
        .fold(0i64, |v, d| (v * 10 + i64::from(d - b'0')).min(1 << 40));
    Some((&body[..at], if negative { -magnitude } else { magnitude }))
}

/// Reads what follows "0x" in a hexadecimal float: `digits[.digits][p[+-]decimal]`.
pub(super) fn parse_hex_float(hex: &[u8]) -> Option<Exact> {
    let (mantissa_text, mut exp) = split_exponent(hex, b'p')?;
    let mut exact = Exact {
        mantissa: 0,
        exp: 0,
        sticky: false,
    };
    let (mut digits, mut behind_point) = (0usize, false);
    for &byte in mantissa_text {
        if byte == b'.' && !behind_point {
            behind_point = true;
            continue;
        }
        let digit = u128::from(char::from(byte).to_digit(16)?);
        digits += 1;
        exp -= if behind_point { 4 } else { 0 };
        if exact.mantissa >> 120 == 0 {
            exact.mantissa = (exact.mantissa << 4) | digit;
        } else {
            exact.sticky |= digit != 0;
            exp += 4;
        }
    }
    exact.exp = exp;
    (digits > 0).then_some(exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    #[test]
    fn only_canonical_integers() {
        for bad in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "184467440737095516150",
            "--1",
            "1\0",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
        for good in [0, 1, -1, 9, 10, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(parse_i64(good.to_string().as_bytes()), Some(good));
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn doubles_as_a_real_server_takes_them() {
        for (text, want) in [
            ("0x10", 16.0),
            ("0X1P3", 8.0),
            ("-0x1.8p1", -3.0),
            ("0x1.", 1.0),
            ("0x.8", 0.5),
            ("1.", 1.0),
            ("+.5", 0.5),
            ("-.5", -0.5),
            ("INFINITY", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("00001", 1.0),
            ("4.9e-324", 5e-324),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffff7fffp0", 1.9999999999999998),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0e99999999999", 0.0),
            ("0x0p99999999999", 0.0),
            ("1e308", 1e308),
            ("0x1p-1075", f64::NAN),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p1023", f64::NAN),
        ] {
            let got = parse_f64(text.as_bytes());
            assert_eq!(got, Some(want).filter(|w| !w.is_nan()), "{text}");
        }
        for bad in [
            "",
            "-",
            "+",
            ".",
            "0x",
            "0xg",
            "0x1p",
            "1e",
            "1e+",
            "e5",
            "++1",
            "infinit",
            "infx",
            "nan",
            "-nan",
            "nan(1)",
            " 1",
            "1 ",
            "1\0",
            "1e400",
            "1e-400",
            "2e-324",
            "1.8e308",
            "1,5",
            "1_0",
            "1d",
            "0x1p2000",
            "0x1p-1080",
            "+-1",
        ] {
            assert_eq!(parse_f64(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn integers_round_trip() {
        let mut rng = Rng::new(7);
        let mut buf = [0; I64_TEXT_MAX];
        for _ in 0..20_000 {
            let v = (rng.next_u64() as i64) >> rng.below(64);
            assert_eq!(write_i64(v, &mut buf), v.to_string().as_bytes());
            assert_eq!(parse_i64(v.to_string().as_bytes()), Some(v));
        }
    }
}
