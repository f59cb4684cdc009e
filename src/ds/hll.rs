//! HyperLogLog: 16384 registers of 6 bits in a string value, dense or sparse, byte for byte as upstream keeps them.
//!
//! | offset | size | meaning                                                                        |
//! |-------:|-----:|--------------------------------------------------------------------------------|
//! |      0 |    4 | "HYLL"                                                                         |
//! |      4 |    1 | encoding: 0 dense, 1 sparse                                                    |
//! |      5 |    3 | unused                                                                         |
//! |      8 |    8 | cached cardinality, little-endian; the top bit says that it is out of date     |
//! |     16 |      | dense: 12288 bytes, register i at bit 6i, lowest bits first; sparse: opcodes   |
//!
//! Opcodes: `00nnnnnn` n+1 zeros; `01nnnnnn nnnnnnnn` n+1 zeros; `1vvvvvnn` n+1 registers of value v+1. They cover 16384 registers.
//!
//! The value is a user's string (SETRANGE can write anything), so everything here takes foreign bytes and answers with an error.
//! The estimator is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, section 4). Elements are hashed
//! with MurmurHash64A, seed 0xadc83b19; the low 14 bits choose the register, the run of zeros above gives the value.
//! Sparse strings stay as upstream would have them (same splits, same merges of neighbours), so replicas and dumps agree.
use std::fmt;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of the hash that make the value of a register; the largest value is one more.
const VALUE_BITS: u32 = 64 - INDEX_BITS;
const HEADER: usize = 16;
/// Length of a dense HyperLogLog in bytes.
pub const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u8 = 0x80;

const ZERO_MAX: usize = 64;
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;

/// Why a string is no HyperLogLog; Display is the whole error reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HllError {
    /// No header, or a dense one of the wrong length.
    WrongType,
    /// The opcodes do not cover the registers.
    Corrupted,
}

impl fmt::Display for HllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HllError::WrongType => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            HllError::Corrupted => "INVALIDOBJ Corrupted HLL object detected",
        })
    }
}

impl std::error::Error for HllError {}

/// A new, empty HyperLogLog: sparse, with a valid cached cardinality of 0. (PFADD counts creation as a change and calls
/// [`invalidate`] even without elements.)
pub fn new() -> Vec<u8> {
    let mut hll = vec![0; HEADER];
    hll[..4].copy_from_slice(b"HYLL");
    hll[4] = SPARSE;
    Run::zeros(REGISTERS).write(&mut hll);
    hll
}

/// Whether the string looks like a HyperLogLog; opcodes are not checked.
pub fn check(hll: &[u8]) -> Result<(), HllError> {
    match hll {
        [b'H', b'Y', b'L', b'L', SPARSE, ..] if hll.len() >= HEADER => Ok(()),
        [b'H', b'Y', b'L', b'L', DENSE, ..] if hll.len() == DENSE_BYTES => Ok(()),
        _ => Err(HllError::WrongType),
    }
}

/// Whether a checked HyperLogLog is sparse.
pub fn is_sparse(hll: &[u8]) -> bool {
    hll.get(4) == Some(&SPARSE)
}

/// MurmurHash64A (Austin Appleby, public domain) of `data`, little-endian.
pub fn murmur64a(data: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut h = seed ^ (data.len() as u64).wrapping_mul(M);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = (h ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        h = (h ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    h ^= h >> R;
    h = h.wrapping_mul(M);
    h ^ (h >> R)
}

/// Register of an element, and the value it asks for (1 to 51).
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, 0xadc8_3b19);
    let index = hash as usize & (REGISTERS - 1);
    let above = (hash >> INDEX_BITS) | 1 << VALUE_BITS;
    (index, above.trailing_zeros() as u8 + 1)
}

/// Some registers in a row with one value, 0 among them: an opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
}

impl Run {
    fn zeros(len: usize) -> Self {
        Run { value: 0, len }
    }

    /// The opcode at the start of `bytes` and its length in bytes.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<(Run, usize)> {
        let &op = bytes.first()?;
        Some(match op >> 6 {
            0 => (Run::zeros(usize::from(op) + 1), 1),
            1 => (
                Run::zeros((usize::from(op & 0x3f) << 8 | usize::from(*bytes.get(1)?)) + 1),
                2,
            ),
            _ => (
                Run {
                    value: (op >> 2 & 0x1f) + 1,
                    len: usize::from(op & 3) + 1,
                },
                1,
            ),
        })
    }

    /// Appends the opcode; nothing for an empty run.
    fn write(self, out: &mut Vec<u8>) {
        match (self.value, self.len) {
            (_, 0) => {}
            (0, 1..=ZERO_MAX) => out.push(self.len as u8 - 1),
            (0, _) => {
                out.extend_from_slice(&[0x40 | ((self.len - 1) >> 8) as u8, (self.len - 1) as u8])
            }
            _ => out.push(0x80 | (self.value - 1) << 2 | (self.len as u8 - 1)),
        }
    }
}

/// Calls `f` with the first register and the run of every opcode; an error when they do not cover the registers exactly.
fn each_run(hll: &[u8], mut f: impl FnMut(usize, Run)) -> Result<(), HllError> {
    let mut rest = &hll[HEADER..];
    let mut index = 0;
    while !rest.is_empty() {
        let (run, size) = Run::read(rest).ok_or(HllError::Corrupted)?;
        if index + run.len > REGISTERS {
            return Err(HllError::Corrupted);
        }
        f(index, run);
        index += run.len;
        rest = &rest[size..];
    }
    if index == REGISTERS {
        Ok(())
    } else {
        Err(HllError::Corrupted)
    }
}

#[inline(always)]
fn dense_get(registers: &[u8], i: usize) -> u8 {
    let (byte, shift) = (i * 6 / 8, i * 6 % 8);
    let low = u16::from(registers[byte]);
    let high = u16::from(registers.get(byte + 1).copied().unwrap_or(0));
    ((low | high << 8) >> shift) as u8 & 0x3f
}

#[inline(always)]
fn dense_put(registers: &mut [u8], i: usize, value: u8) {
    let (byte, shift) = (i * 6 / 8, i * 6 % 8);
    let (mask, bits) = (0x3fu16 << shift, u16::from(value) << shift);
    registers[byte] = registers[byte] & !(mask as u8) | bits as u8;
    if shift > 2 {
        registers[byte + 1] = registers[byte + 1] & !((mask >> 8) as u8) | (bits >> 8) as u8;
    }
}

/// Calls `f` with every register; four registers are three bytes.
fn each_register(registers: &[u8], mut f: impl FnMut(usize, u8)) {
    for (i, [a, b, c]) in registers.as_chunks::<3>().0.iter().enumerate() {
        let word = u32::from(*a) | u32::from(*b) << 8 | u32::from(*c) << 16;
        for k in 0..4 {
            f(i * 4 + k, (word >> (6 * k)) as u8 & 0x3f);
        }
    }
}

/// Makes a sparse HyperLogLog dense; the header stays. A dense one is left alone.
pub fn to_dense(hll: &mut Vec<u8>) -> Result<(), HllError> {
    check(hll)?;
    if !is_sparse(hll) {
        return Ok(());
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER].copy_from_slice(&hll[..HEADER]);
    dense[4] = DENSE;
    each_run(hll, |first, run| {
        if run.value != 0 {
            (first..first + run.len).for_each(|i| dense_put(&mut dense[HEADER..], i, run.value));
        }
    })?;
    *hll = dense;
    Ok(())
}

/// Marks the cached cardinality out of date. `hll` was checked.
pub fn invalidate(hll: &mut [u8]) {
    hll[15] |= STALE;
}

/// Raises a register to `value` if it is lower; whether it was. A sparse one becomes dense when the value is above 32 or the
/// string would grow beyond `sparse_max_bytes` (`hll-sparse-max-bytes`).
pub fn raise(
    hll: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_max_bytes: usize,
) -> Result<bool, HllError> {
    check(hll)?;
    if is_sparse(hll) {
        match sparse_raise(hll, index, value, sparse_max_bytes)? {
            Raised::No => return Ok(false),
            Raised::Yes => {
                invalidate(hll);
                return Ok(true);
            }
            Raised::TooLarge => to_dense(hll)?,
        }
    }
    let registers = &mut hll[HEADER..];
    if dense_get(registers, index) >= value {
        return Ok(false);
    }
    dense_put(registers, index, value);
    invalidate(hll);
    Ok(true)
}

/// Adds an element; whether a register changed. See [`raise`].
pub fn add(hll: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, HllError> {
    let (index, value) = place(element);
    raise(hll, index, value, sparse_max_bytes)
}

enum Raised {
    No,
    Yes,
    TooLarge,
}

/// Where in `ops` the opcode for register `index` starts, or the last one: the offset of the opcode before it, its own, and the
/// first register it covers. Eight opcodes of one byte are passed at once. Of those taken singly the only branch is on the one
/// of two bytes: where the processor guesses it, the next opcode is read before this one's length is known.
fn seek(ops: &[u8], index: usize) -> (usize, usize, usize) {
    let (mut previous, mut at, mut first) = (0, 0, 0);
    while let [op, next, ..] = ops[at..] {
        // One more must follow: the last opcode is never passed.
        if at + 8 < ops.len()
            && let Some(eight) = ops[at..].first_chunk()
            && let Some(covered) = covered_by_eight(*eight)
            && index >= first + covered
        {
            (previous, at, first) = (at + 7, at + 8, first + covered);
            continue;
        }
        if op & 0xc0 == 0x40 {
            let end = first + (usize::from(op & 0x3f) << 8 | usize::from(next)) + 1;
            if index < end || at + 2 >= ops.len() {
                break;
            }
            (previous, at, first) = (at, at + 2, end);
            continue;
        }
        let mask = if op & 0x80 == 0 { 0x3f } else { 3 };
        let end = first + usize::from(op & mask) + 1;
        if index < end {
            break;
        }
        (previous, at, first) = (at, at + 1, end);
    }
    (previous, at, first)
}

/// Registers that eight opcodes cover; None when one of them is the kind of two bytes. All eight are decoded at once, each in
/// its byte of a word.
fn covered_by_eight(ops: [u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(ops);
    // Bit 7 clear and bit 6 set.
    if !word & (word << 1) & (EACH << 7) != 0 {
        return None;
    }
    let value_ops = (word >> 7 & EACH) * 0xff;
    let less_one = word & (value_ops & (EACH * 3) | !value_ops & (EACH * 0x3f));
    let pairs = (less_one & 0x00ff_00ff_00ff_00ff) + (less_one >> 8 & 0x00ff_00ff_00ff_00ff);
    let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    Some(sum as usize + 8)
}

fn sparse_raise(
    hll: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_max_bytes: usize,
) -> Result<Raised, HllError> {
    if value > VALUE_MAX {
        return Ok(Raised::TooLarge);
    }
    let (previous, at, first) = seek(&hll[HEADER..], index);
    let (previous, at) = (HEADER + previous, HEADER + at);
    let (run, size) = Run::read(&hll[at..]).ok_or(HllError::Corrupted)?;
    if index >= first + run.len {
        return Err(HllError::Corrupted);
    }
    if run.value >= value {
        return Ok(Raised::No);
    }
    let mut ops = Vec::with_capacity(5);
    Run {
        value: run.value,
        len: index - first,
    }
    .write(&mut ops);
    Run { value, len: 1 }.write(&mut ops);
    Run {
        value: run.value,
        len: first + run.len - index - 1,
    }
    .write(&mut ops);
    if ops.len() > size && hll.len() + ops.len() - size > sparse_max_bytes {
        return Ok(Raised::TooLarge);
    }
    hll.splice(at..at + size, ops);
    merge_values(hll, previous);
    Ok(Raised::Yes)
}

/// Joins neighbouring value opcodes with the same value, looking at five opcodes from `at` on.
fn merge_values(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some((run, size)) = Run::read(&hll[at..]) else {
            return;
        };
        if run.value != 0
            && let Some((next, _)) = Run::read(&hll[at + 1..])
            && next.value == run.value
            && run.len + next.len <= VALUE_RUN_MAX
        {
            let mut op = Vec::with_capacity(1);
            Run {
                value: run.value,
                len: run.len + next.len,
            }
            .write(&mut op);
            hll.splice(at..at + 2, op);
            continue;
        }
        at += size;
    }
}

/// Registers as bytes, for unions.
pub type Registers = [u8; REGISTERS];

/// Raises every register of `max` to the one of `hll`.
pub fn merge_into(max: &mut Registers, hll: &[u8]) -> Result<(), HllError> {
    check(hll)?;
    if !is_sparse(hll) {
        each_register(&hll[HEADER..], |i, value| max[i] = max[i].max(value));
        return Ok(());
    }
    each_run(hll, |first, run| {
        if run.value != 0 {
            max[first..first + run.len]
                .iter_mut()
                .for_each(|r| *r = (*r).max(run.value));
        }
    })
}

/// Raises the registers of `hll` to those of `max` and marks the cached cardinality out of date (PFMERGE's last step).
pub fn store(hll: &mut Vec<u8>, max: &Registers, sparse_max_bytes: usize) -> Result<(), HllError> {
    check(hll)?;
    for (i, &value) in max.iter().enumerate().filter(|(_, v)| **v != 0) {
        raise(hll, i, value, sparse_max_bytes)?;
    }
    invalidate(hll);
    Ok(())
}

/// The value of every register (PFDEBUG GETREG).
pub fn registers(hll: &[u8]) -> Result<Box<Registers>, HllError> {
    let mut max = Box::new([0; REGISTERS]);
    merge_into(&mut max, hll)?;
    Ok(max)
}

/// The opcodes of a sparse HyperLogLog as PFDEBUG DECODE shows them: "z:len", "Z:len" and "v:value,len", separated by spaces.
pub fn describe(hll: &[u8]) -> Result<String, HllError> {
    check(hll)?;
    let mut text = Vec::new();
    each_run(hll, |_, run| {
        text.push(match run.value {
            0 if run.len > ZERO_MAX => format!("Z:{}", run.len),
            0 => format!("z:{}", run.len),
            value => format!("v:{},{}", value, run.len),
        });
    })?;
    Ok(text.join(" "))
}

/// The cached cardinality, if it is up to date. `hll` was checked.
pub fn cached(hll: &[u8]) -> Option<u64> {
    let card: [u8; 8] = hll.get(8..HEADER)?.try_into().ok()?;
    (card[7] & STALE == 0).then(|| u64::from_le_bytes(card))
}

/// Puts a cardinality into the cache. `hll` was checked.
pub fn set_cached(hll: &mut [u8], cardinality: u64) {
    hll[8..HEADER].copy_from_slice(&cardinality.to_le_bytes());
}

/// The estimated cardinality, computed afresh.
pub fn count(hll: &[u8]) -> Result<u64, HllError> {
    check(hll)?;
    let mut histogram = [0; 64];
    if is_sparse(hll) {
        each_run(hll, |_, run| histogram[usize::from(run.value)] += run.len)?;
    } else {
        each_register(&hll[HEADER..], |_, value| {
            histogram[usize::from(value)] += 1
        });
    }
    Ok(estimate(&histogram))
}

/// The estimated cardinality of a union.
pub fn count_registers(max: &Registers) -> u64 {
    let mut histogram = [0; 64];
    max.iter()
        .for_each(|&value| histogram[usize::from(value & 0x3f)] += 1);
    estimate(&histogram)
}

/// Ertl's improved raw estimator over the numbers of registers with each value.
fn estimate(histogram: &[usize; 64]) -> u64 {
    const ALPHA_INF: f64 = 0.721_347_520_444_481_7; // 1 / (2 ln 2)
    let m = REGISTERS as f64;
    let q = VALUE_BITS as usize;
    let mut z = m * tau((m - histogram[q + 1] as f64) / m);
    for &n in histogram[1..=q].iter().rev() {
        z = 0.5 * (z + n as f64);
    }
    z += m * sigma(histogram[0] as f64 / m);
    (ALPHA_INF * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
#[path = "hll_tests.rs"]
mod tests;
