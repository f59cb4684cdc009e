//! Doubles as text, digit for digit as Redis 8 replies them (ZSCORE and friends, RESP2 bulk strings and RESP3 doubles alike).
//!
//! Redis prints integers below 2^62 in full and everything else with the Grisu2 algorithm (F. Loitsch, "Printing
//! floating-point numbers quickly and accurately with integers", PLDI 2010). Grisu2 always round-trips but in rare cases is
//! not the shortest text: 1e23 reads 99999999999999990000000. A shortest-digits crate (ryu, zmij) would differ there and the
//! replies would not be the same bytes, which is why the algorithm stands here. The layout rules were found by comparing with
//! a running 8.2.3 (see the tests):
//!
//! With `n` digits and value = digits * 10^k, e = exponent in d.ddd form = k + n - 1:
//! * k >= 0 and |e| < n + 7: the digits and k zeros;
//! * k < 0 and (k > -7 or |e| < 4): plain decimals, "0.00ddd" or "dd.ddd";
//! * else d.ddde+x or d.ddde-x, exponent without padding.

/// Longest text: sign, 17 digits, point, "e-324"; or sign, "0.", zeros and digits.
pub const F64_TEXT_MAX: usize = 40;

/// Largest magnitude up to which whole numbers print as integers (2^62, as a double).
const WHOLE_MAX: f64 = 4_611_686_018_427_387_904.0;

/// Writes `value` into `buf` and returns the part used. "inf", "-inf", "nan" for the special ones, "-0" for negative zero.
pub fn write_f64(value: f64, buf: &mut [u8; F64_TEXT_MAX]) -> &[u8] {
    if value.is_nan() {
        return put(buf, b"nan");
    }
    if value.is_infinite() {
        return put(buf, if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 && value.is_sign_negative() {
        return put(buf, b"-0");
    }
    if let Some(whole) = whole_number(value) {
        return put(buf, itoa::Buffer::new().format(whole).as_bytes());
    }
    let mut digits = [0; 18];
    let (n, k) = grisu2(value.abs(), &mut digits);
    let used = layout(value < 0.0, &digits[..n], k, buf);
    &buf[..used]
}

/// The integer equal to `value`, if it is one of magnitude 2^62 at most. Negative zero gives 0: a score kept as an integer in a
/// listpack loses its sign, as upstream, while other encodings keep it.
#[inline]
pub fn whole_number(value: f64) -> Option<i64> {
    let whole = value as i64;
    (value.abs() <= WHOLE_MAX && value == whole as f64).then_some(whole)
}

/// `value` with up to 17 significant digits, as C's `%.17g` writes it: the form of ZSCAN's scores out of a tree.
pub fn seventeen_digits(value: f64) -> String {
    let point = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if !value.is_finite() {
        return value.to_string().to_ascii_lowercase();
    }
    let exact = format!("{value:.16e}");
    let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        return point(format!("{value:.*}", (16 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let digits = point(digits.to_owned());
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn put<'b>(buf: &'b mut [u8; F64_TEXT_MAX], text: &[u8]) -> &'b [u8] {
    let out = &mut buf[..text.len()];
    out.copy_from_slice(text);
    out
}

/// Appends to a fixed buffer.
struct Out<'b> {
    buf: &'b mut [u8; F64_TEXT_MAX],
    len: usize,
}

impl Out<'_> {
    fn put(&mut self, text: &[u8]) {
        self.buf[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }
    fn zeros(&mut self, n: usize) {
        self.buf[self.len..self.len + n].fill(b'0');
        self.len += n;
    }
}

/// Lays out digits * 10^k by the rules in the file header; returns the bytes used.
fn layout(negative: bool, digits: &[u8], k: i32, buf: &mut [u8; F64_TEXT_MAX]) -> usize {
    let n = digits.len();
    let e = k + n as i32 - 1;
    let mut out = Out { buf, len: 0 };
    if negative {
        out.put(b"-");
    }
    if k >= 0 && e.unsigned_abs() < n as u32 + 7 {
        out.put(digits);
        out.zeros(k as usize);
    } else if k < 0 && (k > -7 || e.unsigned_abs() < 4) {
        let decimals = k.unsigned_abs() as usize;
        if decimals >= n {
            out.put(b"0.");
            out.zeros(decimals - n);
            out.put(digits);
        } else {
            out.put(&digits[..n - decimals]);
            out.put(b".");
            out.put(&digits[n - decimals..]);
        }
    } else {
        out.put(&digits[..1]);
        if n > 1 {
            out.put(b".");
            out.put(&digits[1..]);
        }
        out.put(if e < 0 { b"e-" } else { b"e+" });
        out.put(itoa::Buffer::new().format(e.unsigned_abs()).as_bytes());
    }
    out.len
}

/// A "do-it-yourself" float: frac * 2^exp.
#[derive(Clone, Copy)]
struct Fp {
    frac: u64,
    exp: i32,
}

impl Fp {
    /// Shifts the top bit to bit 63.
    fn normalized(self) -> Fp {
        let shift = self.frac.leading_zeros();
        Fp {
            frac: self.frac << shift,
            exp: self.exp - shift as i32,
        }
    }

    /// The upper 64 bits of the product, rounded half up.
    fn times(self, other: Fp) -> Fp {
        let product = u128::from(self.frac) * u128::from(other.frac) + (1 << 63);
        Fp {
            frac: (product >> 64) as u64,
            exp: self.exp + other.exp + 64,
        }
    }
}

const HIDDEN_BIT: u64 = 1 << 52;

/// Splits a finite, positive double.
fn split(value: f64) -> Fp {
    let bits = value.to_bits();
    let (biased, frac) = ((bits >> 52) as i32 & 0x7ff, bits & (HIDDEN_BIT - 1));
    if biased == 0 {
        Fp { frac, exp: -1074 }
    } else {
        Fp {
            frac: frac | HIDDEN_BIT,
            exp: biased - 1075,
        }
    }
}

/// Grisu2: digits of a finite, positive double as ASCII; returns (number of digits, k) with value ~ digits * 10^k.
fn grisu2(value: f64, digits: &mut [u8; 18]) -> (usize, i32) {
    let fp = split(value);
    let w = fp.normalized();
    // The neighbours' midpoints; below a power of two the lower one is half as far.
    let upper = Fp {
        frac: (fp.frac << 1) + 1,
        exp: fp.exp - 1,
    }
    .normalized();
    let shift = if fp.frac == HIDDEN_BIT { 2 } else { 1 };
    let lower_exp = fp.exp - shift;
    let lower = Fp {
        frac: ((fp.frac << shift) - 1) << (lower_exp - upper.exp),
        exp: upper.exp,
    };
    let (power, k) = cached_power(upper.exp);
    let w = w.times(power);
    // One unit inwards covers the rounding of the cached power and of the product.
    let mut upper = upper.times(power);
    upper.frac -= 1;
    let lower = lower.times(power).frac + 1;
    let (n, kappa) = generate(upper, upper.frac - w.frac, upper.frac - lower, digits);
    (n, kappa - k)
}

/// Digits of `upper` until the rest is within `delta`; `distance` is how far below `upper` the value itself lies.
fn generate(upper: Fp, distance: u64, delta: u64, digits: &mut [u8; 18]) -> (usize, i32) {
    let shift = -upper.exp; // 32..=60
    let one = 1u64 << shift;
    let (mut whole, mut part) = (upper.frac >> shift, upper.frac & (one - 1));
    let (mut n, mut kappa) = (0, 10);
    let mut divisor = 1_000_000_000u64;
    while kappa > 0 {
        let digit = whole / divisor;
        whole %= divisor;
        if digit != 0 || n != 0 {
            digits[n] = b'0' + digit as u8;
            n += 1;
        }
        kappa -= 1;
        let rest = (whole << shift) + part;
        if rest <= delta {
            round(&mut digits[..n], delta, rest, divisor << shift, distance);
            return (n, kappa);
        }
        divisor /= 10;
    }
    let (mut delta, mut unit) = (delta, 1u64);
    loop {
        part *= 10;
        delta = delta.wrapping_mul(10);
        unit = unit.wrapping_mul(10);
        kappa -= 1;
        let digit = part >> shift;
        if digit != 0 || n != 0 {
            digits[n] = b'0' + digit as u8;
            n += 1;
        }
        part &= one - 1;
        if part < delta {
            let distance = distance.wrapping_mul(unit);
            round(&mut digits[..n], delta, part, one, distance);
            return (n, kappa);
        }
    }
}

/// Lowers the last digit while that brings the text closer to the value and stays inside the interval.
fn round(digits: &mut [u8], delta: u64, mut rest: u64, step: u64, distance: u64) {
    let Some(last) = digits.last_mut() else {
        return;
    };
    while rest < distance
        && delta - rest >= step
        && (rest.wrapping_add(step) < distance
            || distance - rest > rest.wrapping_add(step).wrapping_sub(distance))
    {
        *last -= 1;
        rest += step;
    }
}

/// A power 10^k that brings a product with a number of binary exponent `exp` into the exponent range -60..=-32.
fn cached_power(exp: i32) -> (Fp, i32) {
    const FIRST: i32 = -348;
    const STEP: i32 = 8;
    let guess = f64::from(-(exp + POWERS.len() as i32)) * std::f64::consts::LOG10_2;
    let mut index = ((guess as i32 - FIRST) / STEP).clamp(0, POWERS.len() as i32 - 1);
    loop {
        let (frac, power_exp) = POWERS[index as usize];
        let reached = exp + power_exp + 64;
        if reached < -60 {
            index += 1;
        } else if reached > -32 {
            index -= 1;
        } else {
            let power = Fp {
                frac,
                exp: power_exp,
            };
            return (power, FIRST + index * STEP);
        }
    }
}

/// 10^-348, 10^-340 .. 10^340 as (64-bit fraction rounded to nearest, binary exponent); computed with exact rationals.
#[rustfmt::skip]
const POWERS: [(u64, i32); 87] = [
    (0xfa8fd5a0081c0288, -1220),
    (0xbaaee17fa23ebf76, -1193),
    (0x8b16fb203055ac76, -1166),
    (0xcf42894a5dce35ea, -1140),
    (0x9a6bb0aa55653b2d, -1113),
    (0xe61acf033d1a45df, -1087),
    (0xab70fe17c79ac6ca, -1060),
    (0xff77b1fcbebcdc4f, -1034),
    (0xbe5691ef416bd60c, -1007),
    (0x8dd01fad907ffc3c, -980),
    (0xd3515c2831559a83, -954),
    (0x9d71ac8fada6c9b5, -927),
    (0xea9c227723ee8bcb, -901),
    (0xaecc49914078536d, -874),
    (0x823c12795db6ce57, -847),
    (0xc21094364dfb5637, -821),
    (0x9096ea6f3848984f, -794),
    (0xd77485cb25823ac7, -768),
    (0xa086cfcd97bf97f4, -741),
    (0xef340a98172aace5, -715),
    (0xb23867fb2a35b28e, -688),
    (0x84c8d4dfd2c63f3b, -661),
    (0xc5dd44271ad3cdba, -635),
    (0x936b9fcebb25c996, -608),
    (0xdbac6c247d62a584, -582),
    (0xa3ab66580d5fdaf6, -555),
    (0xf3e2f893dec3f126, -529),
    (0xb5b5ada8aaff80b8, -502),
    (0x87625f056c7c4a8b, -475),
    (0xc9bcff6034c13053, -449),
    (0x964e858c91ba2655, -422),
    (0xdff9772470297ebd, -396),
    (0xa6dfbd9fb8e5b88f, -369),
    (0xf8a95fcf88747d94, -343),
    (0xb94470938fa89bcf, -316),
    (0x8a08f0f8bf0f156b, -289),
    (0xcdb02555653131b6, -263),
    (0x993fe2c6d07b7fac, -236),
    (0xe45c10c42a2b3b06, -210),
    (0xaa242499697392d3, -183),
    (0xfd87b5f28300ca0e, -157),
    (0xbce5086492111aeb, -130),
    (0x8cbccc096f5088cc, -103),
    (0xd1b71758e219652c, -77),
    (0x9c40000000000000, -50),
    (0xe8d4a51000000000, -24),
    (0xad78ebc5ac620000, 3),
    (0x813f3978f8940984, 30),
    (0xc097ce7bc90715b3, 56),
    (0x8f7e32ce7bea5c70, 83),
    (0xd5d238a4abe98068, 109),
    (0x9f4f2726179a2245, 136),
    (0xed63a231d4c4fb27, 162),
    (0xb0de65388cc8ada8, 189),
    (0x83c7088e1aab65db, 216),
    (0xc45d1df942711d9a, 242),
    (0x924d692ca61be758, 269),
    (0xda01ee641a708dea, 295),
    (0xa26da3999aef774a, 322),
    (0xf209787bb47d6b85, 348),
    (0xb454e4a179dd1877, 375),
    (0x865b86925b9bc5c2, 402),
    (0xc83553c5c8965d3d, 428),
    (0x952ab45cfa97a0b3, 455),
    (0xde469fbd99a05fe3, 481),
    (0xa59bc234db398c25, 508),
    (0xf6c69a72a3989f5c, 534),
    (0xb7dcbf5354e9bece, 561),
    (0x88fcf317f22241e2, 588),
    (0xcc20ce9bd35c78a5, 614),
    (0x98165af37b2153df, 641),
    (0xe2a0b5dc971f303a, 667),
    (0xa8d9d1535ce3b396, 694),
    (0xfb9b7cd9a4a7443c, 720),
    (0xbb764c4ca7a44410, 747),
    (0x8bab8eefb6409c1a, 774),
    (0xd01fef10a657842c, 800),
    (0x9b10a4e5e9913129, 827),
    (0xe7109bfba19c0c9d, 853),
    (0xac2820d9623bf429, 880),
    (0x80444b5e7aa7cf85, 907),
    (0xbf21e44003acdd2d, 933),
    (0x8e679c2f5e44ff8f, 960),
    (0xd433179d9c8cb841, 986),
    (0x9e19db92b4e31ba9, 1013),
    (0xeb96bf6ebadf77d9, 1039),
    (0xaf87023b9bf0ee6b, 1066),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    fn text(value: f64) -> String {
        String::from_utf8(write_f64(value, &mut [0; F64_TEXT_MAX]).to_vec()).unwrap()
    }

    #[test]
    fn seventeen_digits_as_c_prints_them() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.10000000000000001"),
            (3000.0, "3000"),
            (123456.789, "123456.789"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (-1e15, "-1000000000000000"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (1e-7, "9.9999999999999995e-08"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1e100, "1e+100"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(seventeen_digits(value), want);
        }
    }

    #[test]
    fn as_a_real_server_prints_them() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e15, "1000000000000000"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1e23, "99999999999999990000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4611686018427389000"),
            (-4611686018427388928.0, "-4611686018427389000"),
            (9223372036854775807.0, "9223372036854776000"),
            (123456789012345680000.0, "123456789012345680000"),
            (1234567890123456.7, "1234567890123456.7"),
            (0.1, "0.1"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (1.5e-5, "0.000015"),
            (1.5e-6, "1.5e-6"),
            (123456.789e-10, "1.23456789e-5"),
            (-1e100, "-1e+100"),
            (0.000123456789, "1.23456789e-4"),
            (12e20, "1.2e+21"),
            (123e20, "12300000000000001000000"),
            (3.14159265358979e5, "3.14159265358979e+5"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(text(value), want);
        }
    }

    #[test]
    fn every_text_reads_back_as_the_same_double() {
        let mut rng = Rng::new(5);
        let mut finite = 0;
        while finite < 300_000 {
            let value = f64::from_bits(rng.next_u64());
            if value.is_finite() {
                finite += 1;
                assert_eq!(
                    text(value).parse::<f64>().unwrap().to_bits(),
                    value.to_bits()
                );
            }
        }
    }

    /// Compares with what a server replied. Make the file with lines "<16 hex digits of the double> <text>" and name it in
    /// REDSTART_DOUBLES; without it the test has nothing to compare and says so.
    #[test]
    #[ignore = "needs a file of replies from a real server, see the comment"]
    fn same_bytes_as_recorded_replies() {
        let path = std::env::var_os("REDSTART_DOUBLES").expect("REDSTART_DOUBLES names the file");
        let recorded = std::fs::read_to_string(path).unwrap();
        let mut lines = 0;
        for line in recorded.lines() {
            let (bits, want) = line.split_once(' ').unwrap();
            let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
            assert_eq!(text(value), want, "{bits}");
            lines += 1;
        }
        assert!(lines > 20_000);
    }
}
