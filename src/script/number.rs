//! Numbers as C's `%.<digits>g` writes them, which is Lua's own form (`%.14g`) and that of replies made from numbers.

/// `%.14g`, Lua's form of a number: `tostring`, concatenation, arguments made from numbers.
pub fn lua_text(n: f64) -> String {
    general(n, 14)
}

/// `%.<digits>g`: at most `digits` (from 1) significant digits, no trailing zeros, an exponent where that is shorter.
pub fn general(n: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let sign = if n.is_sign_negative() { "-" } else { "" };
    if n.is_nan() {
        return format!("{sign}nan");
    }
    if n.is_infinite() {
        return format!("{sign}inf");
    }
    // Rust's exponent form is exactly rounded: one digit, a point, the rest, `e`, the exponent.
    let exact = format!("{:.*e}", digits - 1, n.abs());
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let figures = mantissa.replace('.', "");
    let figures = match figures.trim_end_matches('0') {
        "" => "0",
        f => f,
    };
    if exponent < -4 || exponent >= digits as i32 {
        let (first, rest) = figures.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let way = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{way}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(-exponent as usize - 1);
        return format!("{sign}0.{zeros}{figures}");
    }
    let whole = exponent as usize + 1;
    if figures.len() <= whole {
        return format!("{sign}{figures}{}", "0".repeat(whole - figures.len()));
    }
    format!("{sign}{}.{}", &figures[..whole], &figures[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_c_writes_them() {
        for (n, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (100.0, "100"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e14, "1e+14"),
            (99999999999999.0, "99999999999999"),
            (1e15, "1e+15"),
            (-1.5e300, "-1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (2.24159265358979, "2.2415926535898"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (5e-324, "4.9406564584125e-324"),
            (123456.5, "123456.5"),
        ] {
            assert_eq!(lua_text(n), text, "{n:?}");
        }
        assert_eq!(general(3.0000000000000004, 17), "3.0000000000000004");
        assert_eq!(general(0.1, 17), "0.10000000000000001");
        assert_eq!(general(12345.0, 3), "1.23e+04");
    }
}
