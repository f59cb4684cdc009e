//! Numbers as text: strict parsing and exact printing, as clients see them.
//!
//! Integers: [`parse_i64`] accepts only the canonical form (what printing the number would give), because encodings depend on
//! it: "007" or "+7" must stay a string.

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
