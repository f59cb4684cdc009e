//! Sizes as people write them: `64mb`, `1gb`, `100k`.
//!
//! The units (ASCII case ignored): none or `b` bytes, `k` 1000, `kb` 1024, and so on for `m`/`mb` and `g`/`gb`. No sign, no
//! space, no fraction. As upstream, no digits at all count as 0 (`""`, `kb`), digits beyond 2^64 saturate and the product
//! with the unit wraps; callers that keep signed sizes see the former as negative and refuse it.

/// Bytes named by `text`; None when it is not a size.
pub fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let value = number.iter().try_fold(0u64, |n, &d| {
        n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
    });
    Some(value.unwrap_or(u64::MAX).wrapping_mul(factor))
}

/// The shortest exact spelling with a binary unit: `64mb`, `1gb`, `1500`.
pub fn format_bytes(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_redis_8_2_3_reads_them() {
        let cases: [(&str, Option<u64>); 22] = [
            ("1b", Some(1)),
            ("1B", Some(1)),
            ("1K", Some(1000)),
            ("1kB", Some(1024)),
            ("1M", Some(1_000_000)),
            ("1mb", Some(1 << 20)),
            ("1g", Some(1_000_000_000)),
            ("1gB", Some(1 << 30)),
            ("00012", Some(12)),
            ("", Some(0)),
            ("k", Some(0)),
            ("1t", None),
            ("1kbb", None),
            ("1 kb", None),
            (" 1", None),
            ("1mb ", None),
            ("+1", None),
            ("-1", None),
            ("1e3", None),
            ("0x10", None),
            ("99999999999999999999", Some(u64::MAX)),
            ("20000000000gb", Some(3028092406290448384)),
        ];
        for (text, want) in cases {
            assert_eq!(parse_bytes(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn printed_sizes_read_back() {
        let mut rng = crate::ds::rng::Rng::new(7);
        for _ in 0..2000 {
            let n = rng.next_u64() >> rng.below(64) << rng.below(31);
            assert_eq!(parse_bytes(format_bytes(n).as_bytes()), Some(n));
        }
        assert_eq!(format_bytes(0), "0");
        assert_eq!(format_bytes(100 << 20), "100mb");
        assert_eq!(format_bytes((1 << 20) + 1), "1048577");
    }
}
