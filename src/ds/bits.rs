//! Kernels over bit strings: counting, searching, combining, and integers of any width at any bit.
//!
//! Bit 0 is the most significant bit of byte 0, as the commands count. Long inputs are taken eight bytes at a time in loops the
//! compiler unrolls and vectorises; on x86 the hardware's population count is used where the processor has it (found at run
//! time), because the baseline instruction set only has the shift-and-add form.
//!
//! Extending: a new combination is a variant of [`BitOp`] and one arm in [`combine`].

/// Words of one round of a kernel.
const LANES: usize = 8;

/// Number of bits set in `bytes`.
pub fn popcount(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if bytes.len() >= 64 && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { popcount_avx2(bytes) };
        }
        if std::arch::is_x86_feature_detected!("popcnt") {
            // SAFETY: as above.
            return unsafe { popcount_hardware(bytes) };
        }
    }
    popcount_plain(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn popcount_hardware(bytes: &[u8]) -> u64 {
    popcount_plain(bytes)
}

// The portable loop again: with these features the compiler turns it into 32-byte table lookups.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn popcount_avx2(bytes: &[u8]) -> u64 {
    popcount_plain(bytes)
}

#[inline(always)]
fn popcount_plain(bytes: &[u8]) -> u64 {
    let (rounds, rest) = bytes.as_chunks::<{ 8 * LANES }>();
    let mut sums = [0u64; LANES];
    for round in rounds {
        let (words, _) = round.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum += u64::from(u64::from_ne_bytes(*word).count_ones());
        }
    }
    let rest: u64 = rest.iter().map(|b| u64::from(b.count_ones())).sum();
    sums.iter().sum::<u64>() + rest
}

/// Position of the first bit that is `bit`; None when there is none.
pub fn first(bytes: &[u8], bit: bool) -> Option<u64> {
    let skip = if bit { 0 } else { u64::MAX };
    // Long runs are passed a cache line at a time.
    let (lines, _) = bytes.as_chunks::<{ 8 * LANES }>();
    let differs = |line: &[u8; 8 * LANES]| {
        let (words, _) = line.as_chunks::<8>();
        let differing = words.iter().map(|w| u64::from_ne_bytes(*w) ^ skip);
        differing.fold(0, |all, w| all | w) != 0
    };
    let passed = lines.iter().take_while(|line| !differs(line)).count() * 8 * LANES;
    let (words, rest) = bytes[passed..].as_chunks::<8>();
    let at_word = words.iter().position(|w| u64::from_ne_bytes(*w) != skip);
    let at = match at_word {
        Some(i) => {
            let word = u64::from_be_bytes(words[i]) ^ skip;
            return Some(passed as u64 * 8 + i as u64 * 64 + u64::from(word.leading_zeros()));
        }
        None => bytes.len() - rest.len(),
    };
    let i = rest.iter().position(|b| *b != skip as u8)?;
    let byte = rest[i] ^ skip as u8;
    Some((at + i) as u64 * 8 + u64::from(byte.leading_zeros()))
}

/// A combination of bit strings (BITOP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitOp {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number.
    Xor,
    /// Not set in the only one.
    Not,
    /// Set in the first and in none of the others.
    Diff,
    /// Set in some of the others and not in the first.
    Diff1,
    /// Set in the first and in some of the others.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Bytes combined before going on: the inputs' and the result's stretch stay in the first-level cache.
const STRETCH: usize = 4096;

/// Combines `inputs` (at least one; shorter ones count as padded with zeros) into a string as long as the longest. `room`:
/// a vector whose memory the result may use; what it holds does not matter.
pub fn combine(op: BitOp, inputs: &[&[u8]], room: Vec<u8>) -> Vec<u8> {
    let len = inputs.iter().map(|i| i.len()).max().unwrap_or(0);
    let mut out = sized(room, len);
    let mut twice = [0; STRETCH];
    for (k, out) in out.chunks_mut(STRETCH).enumerate() {
        let part = |input: usize| {
            let bytes = inputs[input];
            let start = (k * STRETCH).min(bytes.len());
            &bytes[start..bytes.len().min(start + out_len(len, k))]
        };
        let others = 1..inputs.len();
        match op {
            BitOp::Not => {
                put(out, part(0));
                out.iter_mut().for_each(|o| *o = !*o);
            }
            BitOp::And => {
                put(out, part(0));
                others.for_each(|i| fold_padded(out, part(i), |a, b| a & b));
            }
            BitOp::Or => {
                put(out, part(0));
                others.for_each(|i| fold(out, part(i), |a, b| a | b));
            }
            BitOp::Xor => {
                put(out, part(0));
                others.for_each(|i| fold(out, part(i), |a, b| a ^ b));
            }
            BitOp::Diff | BitOp::Diff1 | BitOp::AndOr => {
                out.fill(0);
                others.for_each(|i| fold(out, part(i), |a, b| a | b));
                match op {
                    BitOp::Diff => fold_padded(out, part(0), |others, first| first & !others),
                    BitOp::Diff1 => fold_padded(out, part(0), |others, first| others & !first),
                    _ => fold_padded(out, part(0), |others, first| others & first),
                }
            }
            BitOp::One => {
                let twice = &mut twice[..out.len()];
                twice.fill(0);
                put(out, part(0));
                for i in others {
                    let input = part(i);
                    for ((t, o), b) in twice.iter_mut().zip(&mut *out).zip(input) {
                        *t |= *o & b;
                        *o |= b;
                    }
                }
                fold(out, twice, |a, t| a & !t);
            }
        }
    }
    out
}

/// Length of stretch `k` of a result of `len` bytes.
fn out_len(len: usize, k: usize) -> usize {
    STRETCH.min(len - k * STRETCH)
}

/// A vector of this length with any content, in `room` if that is large enough: memory that was written before costs no page
/// faults, which are most of the time of a large result.
fn sized(mut room: Vec<u8>, len: usize) -> Vec<u8> {
    if room.capacity() < len || room.capacity() / 2 > len {
        return vec![0; len];
    }
    room.resize(len, 0);
    room
}

fn put(out: &mut [u8], input: &[u8]) {
    let (inside, beyond) = out.split_at_mut(input.len());
    inside.copy_from_slice(input);
    beyond.fill(0);
}

/// Folds an input in where it reaches; zeros beyond it must change nothing.
#[inline(always)]
fn fold(out: &mut [u8], input: &[u8], f: impl Fn(u8, u8) -> u8) {
    out.iter_mut().zip(input).for_each(|(o, b)| *o = f(*o, *b));
}

/// Folds an input in, zeros beyond its end included.
#[inline(always)]
fn fold_padded(out: &mut [u8], input: &[u8], f: impl Fn(u8, u8) -> u8) {
    let (inside, beyond) = out.split_at_mut(input.len());
    fold(inside, input, &f);
    beyond.iter_mut().for_each(|o| *o = f(*o, 0));
}

/// The `width` bits (1 to 64) at bit `offset`, most significant first; bits past the end are zeros.
pub fn get_bits(bytes: &[u8], offset: u64, width: u32) -> u64 {
    // Nine bytes cover 64 bits at any bit of the first.
    let start = offset / 8;
    let mut window = [0; 16];
    if let Some(tail) = usize::try_from(start).ok().and_then(|s| bytes.get(s..)) {
        let n = tail.len().min(9);
        window[..n].copy_from_slice(&tail[..n]);
    }
    let all = u128::from_be_bytes(window) << (offset % 8);
    (all >> (128 - width)) as u64
}

/// Writes the low `width` bits (1 to 64) of `value` at bit `offset`. All of them must lie inside `bytes`.
pub fn set_bits(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let start = (offset / 8) as usize;
    let n = (bytes.len() - start).min(9);
    let part = &mut bytes[start..start + n];
    let mut window = [0; 16];
    window[..n].copy_from_slice(part);
    let shift = 128 - width - (offset % 8) as u32;
    let mask = (u128::MAX >> (128 - width)) << shift;
    let all = u128::from_be_bytes(window) & !mask | (u128::from(value) << shift) & mask;
    part.copy_from_slice(&all.to_be_bytes()[..n]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::{Rng, rounds};

    fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
        let dense = rng.below(3);
        (0..len)
            .map(|_| match dense {
                0 => 0,
                1 => 0xff,
                _ => rng.next_u64() as u8,
            })
            .collect()
    }

    fn bit(bytes: &[u8], i: usize) -> bool {
        bytes.get(i / 8).is_some_and(|b| b >> (7 - i % 8) & 1 == 1)
    }

    #[test]
    fn counts_and_finds_as_bit_by_bit() {
        let mut rng = Rng::new(1);
        for _ in 0..rounds(500) {
            let len = rng.below(300);
            let mut b = random(&mut rng, len);
            if len > 0 {
                let at = rng.below(len);
                b[at] ^= 1 << rng.below(8);
            }
            let bits = || (0..len * 8).map(|i| bit(&b, i));
            let count = bits().filter(|x| *x).count() as u64;
            assert_eq!(popcount(&b), count);
            assert_eq!(popcount_plain(&b), count);
            for want in [false, true] {
                let at = bits().position(|x| x == want).map(|i| i as u64);
                assert_eq!(first(&b, want), at);
            }
        }
    }

    #[test]
    fn combinations_as_bit_by_bit() {
        let mut rng = Rng::new(2);
        let ops = [
            BitOp::And,
            BitOp::Or,
            BitOp::Xor,
            BitOp::Not,
            BitOp::Diff,
            BitOp::Diff1,
            BitOp::AndOr,
            BitOp::One,
        ];
        for round in 0..rounds(400) {
            let op = ops[round % ops.len()];
            let n = match op {
                BitOp::Not => 1,
                _ => 2 + rng.below(3),
            };
            let most = if round % 20 == 0 && !cfg!(miri) {
                3 * STRETCH
            } else {
                40
            };
            let inputs: Vec<Vec<u8>> = (0..n)
                .map(|_| {
                    let len = rng.below(most);
                    random(&mut rng, len)
                })
                .collect();
            let slices: Vec<&[u8]> = inputs.iter().map(|i| &i[..]).collect();
            let len = inputs.iter().map(Vec::len).max().unwrap();
            // With no room, with old bytes in enough of it, with too little.
            let old = rng.below(2 * len + 2);
            let room = random(&mut rng, old);
            let got = combine(op, &slices, room);
            assert_eq!(got.len(), len);
            for i in 0..len * 8 {
                let set = inputs.iter().filter(|b| bit(b, i)).count();
                let head = bit(&inputs[0], i);
                let others = set - usize::from(head);
                let want = match op {
                    BitOp::And => set == n,
                    BitOp::Or => set > 0,
                    BitOp::Xor => set % 2 == 1,
                    BitOp::Not => !head,
                    BitOp::Diff => head && others == 0,
                    BitOp::Diff1 => !head && others > 0,
                    BitOp::AndOr => head && others > 0,
                    BitOp::One => set == 1,
                };
                assert_eq!(bit(&got, i), want, "{op:?} bit {i}");
            }
        }
    }

    #[test]
    fn integers_at_any_bit() {
        let mut rng = Rng::new(3);
        for _ in 0..rounds(2000) {
            let len = 1 + rng.below(30);
            let mut b = random(&mut rng, len);
            let width = 1 + rng.below(64.min(len * 8)) as u32;
            let offset = rng.below(len * 8 - width as usize + 1);
            let value = rng.next_u64() >> (64 - width);
            let before = b.clone();
            set_bits(&mut b, offset as u64, width, value);
            assert_eq!(get_bits(&b, offset as u64, width), value);
            for i in 0..len * 8 {
                let inside = (offset..offset + width as usize).contains(&i);
                let want = if inside {
                    value >> (offset + width as usize - 1 - i) & 1 == 1
                } else {
                    bit(&before, i)
                };
                assert_eq!(bit(&b, i), want);
            }
        }
        assert_eq!(get_bits(b"\xff", 4, 8), 0xf0);
        assert_eq!(get_bits(b"\xff", 1 << 40, 64), 0);
    }
}
