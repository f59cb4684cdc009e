//! The x87 80-bit extended float of INCRBYFLOAT and HINCRBYFLOAT, in software.
//!
//! Upstream computes these commands in C `long double` and prints with "%.17Lf". The visible digits depend on the 64-bit
//! significand (0.1 + 0.2 reads 0.3; with doubles it would not), so the type is emulated here: values are
//! `mantissa * 2^exp`, every operation is exact and then rounded once to 64 bits, ties to even, as the hardware does. Text is
//! read with the grammar and range errors of `strtold` (decimal, hexadecimal, inf), checked against a running 8.2.3.
//!
//! Common numbers go through u128 arithmetic; only long digit strings and large exponents need the small [`Big`] integer.
//! It is written here (four operations, 60 lines) because nothing else in the server needs a big-number crate.
//!
//! Invariant: `mantissa` is 0 with `exp` 0, or has its top bit set unless the number is subnormal (`exp` == [`MIN_EXP`]).

use super::numtext;

/// Exponent of the lowest bit of subnormal numbers.
const MIN_EXP: i64 = -16_445;
/// Numbers of 2^MAX_EXP and more are infinite.
const MAX_EXP: i64 = 16_384;
/// Longest text that is looked at; upstream copies into a buffer of 5120 bytes and refuses what does not fit.
const TEXT_MAX: usize = 5119;
/// Digits behind the point when printing.
const DECIMALS: usize = 17;
const TEN_17: u128 = 100_000_000_000_000_000;

/// An 80-bit extended float; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    infinite: bool,
    mantissa: u64,
    exp: i64,
}

impl LongDouble {
    /// Reads a number. `None`: not one, NaN, longer than 5119 bytes, or out of range (overflow, or underflow to zero).
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::infinity(negative));
        }
        let exact = match body {
            [b'0', b'x' | b'X', hex @ ..] => numtext::parse_hex_float(hex)?,
            _ => parse_decimal(body)?,
        };
        let value = Self::rounded(negative, exact);
        let underflow = value.mantissa == 0 && !value.infinite && exact.mantissa != 0;
        (!value.infinite && !underflow).then_some(value)
    }

    fn infinity(negative: bool) -> Self {
        LongDouble {
            negative,
            infinite: true,
            mantissa: 0,
            exp: 0,
        }
    }

    /// Rounds an exact value to 64 bits.
    fn rounded(negative: bool, exact: Exact) -> Self {
        let (mantissa, exp) = exact.round(64, MIN_EXP);
        let bits = i64::from(64 - mantissa.leading_zeros());
        if mantissa != 0 && exp + bits > MAX_EXP {
            return Self::infinity(negative);
        }
        // Normalise: a short exact mantissa moves up, but not below the subnormal exponent.
        let up = i64::from(mantissa.leading_zeros()).min(exp - MIN_EXP);
        let (mantissa, exp) = match mantissa {
            0 => (0, 0),
            _ => (mantissa << up, exp - up),
        };
        LongDouble {
            negative,
            infinite: false,
            mantissa,
            exp,
        }
    }

    /// The sum, rounded; `None` when it is not a finite number ("increment would produce NaN or Infinity").
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        if self.mantissa == 0 && other.mantissa == 0 {
            // Zero keeps its sign only beside a zero of the same sign.
            let negative = self.negative && other.negative;
            return Some(LongDouble { negative, ..self });
        }
        if self.mantissa == 0 {
            return Some(other);
        }
        if other.mantissa == 0 {
            return Some(self);
        }
        let self_larger = (self.exp, self.mantissa) >= (other.exp, other.mantissa);
        let (big, small) = if self_larger {
            (self, other)
        } else {
            (other, self)
        };
        // 63 guard bits; what falls off the smaller one below them sticks to the lowest bit.
        let high = u128::from(big.mantissa) << 63;
        let shift = (big.exp - small.exp).min(127) as u32;
        let full = u128::from(small.mantissa) << 63;
        let lost = shift > 0 && full << (128 - shift) != 0;
        let low = (full >> shift) | u128::from(lost);
        let sum = if big.negative == small.negative {
            high + low
        } else {
            high.abs_diff(low)
        };
        let negative = if high >= low {
            big.negative
        } else {
            small.negative
        };
        let exact = Exact {
            mantissa: sum,
            exp: big.exp - 63,
            sticky: false,
        };
        let value = Self::rounded(negative && sum != 0, exact);
        (!value.infinite).then_some(value)
    }

    /// Appends the number with up to 17 decimals, trailing zeros and point removed, zero without sign.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.infinite {
            out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
            return;
        }
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        if self.exp >= 64 {
            let mut whole = Big::from_u64(self.mantissa);
            whole.shl(self.exp as usize);
            whole.write_decimal(out);
        } else if self.exp >= 0 {
            let whole = u128::from(self.mantissa) << self.exp;
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        } else if !self.write_fixed(out) {
            out.truncate(start);
            out.push(b'0');
        }
    }

    /// The case exp < 0: the value times 10^17 fits 121 bits. False when that rounds to zero.
    fn write_fixed(&self, out: &mut Vec<u8>) -> bool {
        let scaled = Exact {
            mantissa: u128::from(self.mantissa) * TEN_17,
            exp: self.exp,
            sticky: false,
        };
        let units = scaled.units();
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(units / TEN_17).as_bytes());
        let mut fraction = [b'0'; DECIMALS];
        let text = digits.format(units % TEN_17).as_bytes();
        fraction[DECIMALS - text.len()..].copy_from_slice(text);
        if let Some(last) = fraction.iter().rposition(|&d| d != b'0') {
            out.push(b'.');
            out.extend_from_slice(&fraction[..=last]);
        }
        units != 0
    }

    /// The text as a fresh vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        self.write(&mut out);
        out
    }
}

/// A number before rounding: `mantissa * 2^exp`, plus something less than one unit of it when `sticky`. A sticky mantissa has
/// more bits than it will be rounded to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact {
    pub mantissa: u128,
    pub exp: i64,
    pub sticky: bool,
}

impl Exact {
    /// Rounds to at most `bits` bits (<= 64), ties to even, with no bit below 2^`min_exp`: (mantissa, exponent).
    pub fn round(self, bits: u32, min_exp: i64) -> (u64, i64) {
        let len = 128 - self.mantissa.leading_zeros();
        let shift = i64::from(len.saturating_sub(bits)).max(min_exp.saturating_sub(self.exp));
        if shift <= 0 {
            return (self.mantissa as u64, self.exp);
        }
        if shift > 128 {
            return (0, 0);
        }
        let kept = self.shifted(shift as u32);
        let exp = self.exp + shift;
        if kept >> bits != 0 {
            return ((kept >> 1) as u64, exp + 1); // the carry made 2^bits, a power of two
        }
        (kept as u64, exp)
    }

    /// The value in whole units, ties to even. Only for negative exponents.
    fn units(self) -> u128 {
        match u32::try_from(-self.exp) {
            Ok(shift @ 1..=128) => self.shifted(shift),
            _ => 0,
        }
    }

    /// Mantissa shifted right by 1..=128 bits, rounded.
    fn shifted(self, shift: u32) -> u128 {
        let kept = self.mantissa.checked_shr(shift).unwrap_or(0);
        let rest = self.mantissa << (128 - shift);
        let half = 1u128 << 127;
        let up = rest > half || (rest == half && (self.sticky || kept & 1 == 1));
        kept + u128::from(up)
    }
}

/// Reads `digits[.digits][e[+-]digits]` as an exact enough value.
fn parse_decimal(body: &[u8]) -> Option<Exact> {
    let (mantissa_text, exp10) = numtext::split_exponent(body, b'e')?;
    let point = mantissa_text.iter().position(|&b| b == b'.');
    let (whole, fraction) = match point {
        Some(p) => (&mantissa_text[..p], &mantissa_text[p + 1..]),
        None => (mantissa_text, &[][..]),
    };
    let digits = || whole.iter().chain(fraction);
    if whole.len() + fraction.len() == 0 || !digits().all(u8::is_ascii_digit) {
        return None;
    }
    let exp10 = exp10.saturating_sub(fraction.len() as i64);
    let significant = digits().skip_while(|&&d| d == b'0').count();
    if significant <= 18 {
        let value = digits().fold(0u64, |v, d| v * 10 + u64::from(d - b'0'));
        if let Some(exact) = decimal_fast(value, exp10) {
            return Some(exact);
        }
    }
    let mut value = Big::default();
    digits().for_each(|d| value.mul_add(10, u64::from(d - b'0')));
    Some(decimal_slow(value, significant as i64, exp10))
}

/// value * 10^exp10 within 128 bits, for small exponents.
fn decimal_fast(value: u64, exp10: i64) -> Option<Exact> {
    if value == 0 {
        return Some(Exact {
            mantissa: 0,
            exp: 0,
            sticky: false,
        });
    }
    if (0..=19).contains(&exp10) {
        return Some(Exact {
            mantissa: u128::from(value) * 10u128.pow(exp10 as u32),
            exp: 0,
            sticky: false,
        });
    }
    if (-18..0).contains(&exp10) {
        // A numerator of 128 bits over a divisor of at most 60 leaves 68 bits at least: enough to round 64.
        let divisor = 10u128.pow(-exp10 as u32);
        let shift = u128::from(value).leading_zeros();
        let numerator = u128::from(value) << shift;
        return Some(Exact {
            mantissa: numerator / divisor,
            exp: -i64::from(shift),
            sticky: numerator % divisor != 0,
        });
    }
    None
}

/// value * 10^exp10 with big integers; values out of every range are cut short.
fn decimal_slow(mut value: Big, significant: i64, exp10: i64) -> Exact {
    let magnitude = significant.saturating_add(exp10);
    if !(-5000..=5000).contains(&magnitude) {
        // Surely over- or underflows; the exponent says which.
        let exp = if magnitude > 0 { 1 << 20 } else { -(1 << 20) };
        return Exact {
            mantissa: 1,
            exp,
            sticky: false,
        };
    }
    if exp10 >= 0 {
        (0..exp10).for_each(|_| value.mul_add(10, 0));
        return value.top();
    }
    let mut divisor = Big::from_u64(1);
    (0..-exp10).for_each(|_| divisor.mul_add(10, 0));
    // Align so that the quotient has 67 or 68 bits, then divide bit by bit.
    let shift = 67 + divisor.bits() as i64 - value.bits() as i64;
    if shift >= 0 {
        value.shl(shift as usize);
    } else {
        divisor.shl(-shift as usize);
    }
    divisor.shl(68);
    let mut quotient = 0u128;
    for _ in 0..=68 {
        quotient <<= 1;
        if value.subtract_if_not_less(&divisor) {
            quotient |= 1;
        }
        value.shl(1);
    }
    Exact {
        mantissa: quotient,
        exp: -shift,
        sticky: value.bits() != 0,
    }
}

/// A natural number, little-endian 64-bit limbs, no leading zero limb.
#[derive(Debug, Clone, Default)]
struct Big(Vec<u64>);

impl Big {
    fn from_u64(value: u64) -> Self {
        Big(if value == 0 { vec![] } else { vec![value] })
    }

    fn bits(&self) -> usize {
        self.0
            .last()
            .map_or(0, |top| self.0.len() * 64 - top.leading_zeros() as usize)
    }

    /// self = self * factor + add
    fn mul_add(&mut self, factor: u64, add: u64) {
        let mut carry = u128::from(add);
        for limb in &mut self.0 {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    fn shl(&mut self, bits: usize) {
        if self.0.is_empty() {
            return;
        }
        let (limbs, bits) = (bits / 64, bits % 64);
        if bits > 0 {
            let mut carry = 0;
            for limb in &mut self.0 {
                let next = *limb >> (64 - bits);
                *limb = (*limb << bits) | carry;
                carry = next;
            }
            if carry != 0 {
                self.0.push(carry);
            }
        }
        self.0.splice(0..0, std::iter::repeat_n(0, limbs));
    }

    /// Subtracts `other` if the result is not negative; says whether it did.
    fn subtract_if_not_less(&mut self, other: &Big) -> bool {
        let order = self.0.len().cmp(&other.0.len());
        let order = order.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()));
        if order.is_lt() {
            return false;
        }
        let mut borrow = false;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let (value, a) = limb.overflowing_sub(other.0.get(i).copied().unwrap_or(0));
            let (value, b) = value.overflowing_sub(u64::from(borrow));
            *limb = value;
            borrow = a || b;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        true
    }

    /// The highest 128 bits, the rest as `sticky`.
    fn top(&self) -> Exact {
        let limb = |i: usize| u128::from(self.0.get(i).copied().unwrap_or(0));
        let drop = self.bits().saturating_sub(128);
        let (limbs, bits) = (drop / 64, drop % 64);
        let mut mantissa = (limb(limbs) | limb(limbs + 1) << 64) >> bits;
        if bits > 0 {
            mantissa |= limb(limbs + 2) << (128 - bits);
        }
        let below = self.0.iter().take(limbs).any(|&l| l != 0);
        Exact {
            mantissa,
            exp: drop as i64,
            sticky: below || (limb(limbs) & ((1u128 << bits) - 1)) != 0,
        }
    }

    fn write_decimal(mut self, out: &mut Vec<u8>) {
        const GROUP: u64 = 10_000_000_000_000_000_000;
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0u128;
            for limb in self.0.iter_mut().rev() {
                rest = (rest << 64) | u128::from(*limb);
                *limb = (rest / u128::from(GROUP)) as u64;
                rest %= u128::from(GROUP);
            }
            groups.push(rest as u64);
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
        }
        for (i, group) in groups.iter().rev().enumerate() {
            let mut digits = itoa::Buffer::new();
            let text = digits.format(*group).as_bytes();
            if i > 0 {
                out.extend(std::iter::repeat_n(b'0', 19 - text.len()));
            }
            out.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    fn add(a: &str, b: &str) -> Option<String> {
        let sum = LongDouble::parse(a.as_bytes())?.checked_add(LongDouble::parse(b.as_bytes())?)?;
        Some(String::from_utf8(sum.to_vec()).unwrap())
    }

    #[test]
    fn as_a_real_server_adds() {
        for (a, b, want) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0x10", "0", "16"),
            ("-0x1.8p1", "0", "-3"),
            ("1e-400", "0", "0"),
            ("-0", "0", "0"),
            ("0", "-0", "0"),
            ("3.0", "1.000000000000000005", "4.00000000000000001"),
            ("1e308", "0", "9999999999999999999668587965584564566056"),
            ("1", "-1", "0"),
            ("17179869184", "1.5", "17179869185.5"),
        ] {
            let got = add(a, b).unwrap();
            assert!(
                got == want || (got.len() > 40 && got.starts_with(want) && want.len() == 40),
                "{a} {b} {got}"
            );
        }
        for bad in [
            "",
            "-",
            "+",
            ".",
            "0x",
            "0x1p",
            "1e",
            "1e+",
            "e5",
            " 1",
            "1 ",
            "++1",
            "nan",
            "infx",
            "1e5000",
            "1e-5000",
            "1e-4952",
            "1.2e4932",
            "0x1p16384",
            "0x1p-16446",
            "1_0",
            "1e99999999999999999999",
            "0xg",
            "1.2.3",
        ] {
            assert_eq!(LongDouble::parse(bad.as_bytes()), None, "{bad}");
        }
        for good in [
            "1e-4940",
            "3e-4951",
            "0x1p-16445",
            "0x1p16383",
            "1e4932",
            "0e99999999999",
            "0x0p99999999999",
        ] {
            assert!(LongDouble::parse(good.as_bytes()).is_some(), "{good}");
        }
        assert_eq!(add("inf", "1"), None);
        assert_eq!(add("0x1p16383", "0x1p16383"), None);
    }

    #[test]
    fn fast_and_slow_parsing_agree() {
        let mut rng = Rng::new(6);
        for _ in 0..20_000 {
            let value = (rng.next_u64() >> rng.below(60)) % 1_000_000_000_000_000_000;
            let exp10 = rng.below(38) as i64 - 18;
            let Some(fast) = decimal_fast(value, exp10) else {
                panic!("{value} {exp10} is small");
            };
            let digits = value.to_string().len() as i64;
            let slow = decimal_slow(Big::from_u64(value), digits, exp10);
            let (fast, slow) = (
                LongDouble::rounded(false, fast),
                LongDouble::rounded(false, slow),
            );
            assert_eq!(fast, slow, "{value}e{exp10}");
        }
    }

    #[test]
    fn integers_are_exact_up_to_64_bits() {
        let mut rng = Rng::new(8);
        for _ in 0..20_000 {
            let a = (rng.next_u64() as i64) >> (1 + rng.below(62));
            let b = (rng.next_u64() as i64) >> (1 + rng.below(62));
            assert_eq!(
                add(&a.to_string(), &b.to_string()),
                Some((a + b).to_string())
            );
        }
    }

    /// Replays chains recorded from a real server: lines "<stored> <increment> <reply>".
    #[test]
    #[ignore = "needs a file of replies from a real server in REDSTART_INCRBYFLOAT"]
    fn same_bytes_as_recorded_replies() {
        let path = std::env::var_os("REDSTART_INCRBYFLOAT").expect("names the file");
        let recorded = std::fs::read_to_string(path).unwrap();
        for line in recorded.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(
                add(fields[0], fields[1]).as_deref(),
                Some(fields[2]),
                "{line}"
            );
        }
        assert!(recorded.lines().count() > 5000);
    }

    #[test]
    fn garbage_never_panics() {
        let mut rng = Rng::new(10);
        let alphabet = b"0123456789.eE+-xXpPinfa \0\xff";
        let mut parsed = 0;
        for _ in 0..200_000 {
            let text: Vec<u8> = (0..rng.below(14))
                .map(|_| alphabet[rng.below(alphabet.len())])
                .collect();
            if let Some(v) = LongDouble::parse(&text) {
                parsed += 1;
                assert!(!v.to_vec().is_empty());
            }
        }
        assert!(parsed > 1000);
    }
}
