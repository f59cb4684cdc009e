//! Numbers as Lua itself writes them, `%.14g`.

use super::lib::number::write_general;

/// `%.14g`, Lua's form of a number: `tostring`, concatenation, arguments made from numbers.
pub fn lua_text(n: f64) -> String {
    let mut text = Vec::new();
    write_general(n, 14, &mut text);
    String::from_utf8(text).unwrap_or_default()
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
    }
}
