//! LZF: the byte-oriented compression of RDB strings and of quicklist nodes.
//!
//! A compressed block is a sequence of
//!
//! | first byte      | then                   | meaning                                                               |
//! |-----------------|------------------------|-----------------------------------------------------------------------|
//! | `000LLLLL`      | L + 1 bytes            | literal run of 1..=32 bytes                                           |
//! | `LLLOOOOO`      | offset low byte        | L in 1..=6: copy L + 2 bytes from `O` (13 bits) + 1 bytes back        |
//! | `111OOOOO`      | length, offset low     | copy length + 9 bytes (up to 264)                                     |
//!
//! A copy may overlap its own output. The block does not store the decompressed length; RDB does, beside it.
//!
//! The compressor is greedy with one candidate per three-byte hash, like upstream's, so ratios are close; its bytes are not
//! the same, and need not be. The table is sized by the input because clearing it must not cost more than compressing a
//! short string.

/// Why a block could not be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLzf {
    /// Offset in the compressed input.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl std::fmt::Display for BadLzf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bad LZF data at offset {}: {}", self.offset, self.what)
    }
}
impl std::error::Error for BadLzf {}

const MAX_LITERALS: usize = 32;
const MAX_OFFSET: usize = 1 << 13;
const MAX_COPY: usize = 264;

/// Compresses `input`, appending at most `limit` bytes to `out`. Returns the bytes appended, or `None` (and `out` as it was)
/// when the result would be larger.
pub fn compress_into(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Option<usize> {
    let start = out.len();
    let fits = match input.len() {
        0..4 => false,
        4..=256 => compress_with(input, limit, out, &mut [0u32; 1 << 8]),
        257..=2048 => compress_with(input, limit, out, &mut [0u32; 1 << 10]),
        2049..=16_384 => compress_with(input, limit, out, &mut [0u32; 1 << 12]),
        _ => compress_with(input, limit, out, &mut [0u32; 1 << 14]),
    };
    if fits {
        Some(out.len() - start)
    } else {
        out.truncate(start);
        None
    }
}

/// Compresses `input`; `None` unless at least four bytes are saved (the least RDB bothers with).
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let limit = input.len().checked_sub(4)?;
    let mut out = Vec::with_capacity(limit);
    compress_into(input, limit, &mut out)?;
    out.shrink_to_fit();
    Some(out)
}

/// `table[hash of three bytes]` is the last position + 1 with that hash, 0 for none. Positions wrap at 4 GiB inputs, which at
/// worst misses matches because every candidate is compared byte for byte.
fn compress_with<const N: usize>(
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
    table: &mut [u32; N],
) -> bool {
    let shift = 32 - N.trailing_zeros();
    let slot = |at: usize| {
        let v = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
        (v.wrapping_mul(0x9e37_79b1) >> shift) as usize
    };
    let end = out.len() + limit;
    let (mut at, mut literals) = (0, 0); // literals: start of bytes not yet written
    while at + 2 < input.len() {
        let slot_now = slot(at);
        let candidate = table[slot_now] as usize;
        table[slot_now] = (at + 1) as u32;
        let len = match candidate.checked_sub(1) {
            Some(back) if back < at && at - back <= MAX_OFFSET => match_len(input, back, at),
            _ => 0,
        };
        if len < 3 {
            at += 1;
            continue;
        }
        write_literals(&input[literals..at], out);
        write_copy(at - candidate, len, out); // candidate is one too high, the stored offset one too low
        if out.len() > end {
            return false;
        }
        // Remember the last places of the copy too, so that runs continue.
        let next = at + len;
        for seen in (at + 1).max(next.saturating_sub(2))..next {
            if seen + 2 < input.len() {
                table[slot(seen)] = (seen + 1) as u32;
            }
        }
        at = next;
        literals = next;
    }
    write_literals(&input[literals..], out);
    out.len() <= end
}

/// How many bytes at `at` repeat those at `back`, at most [`MAX_COPY`].
#[inline]
fn match_len(input: &[u8], back: usize, at: usize) -> usize {
    let (old, new) = (&input[back..], &input[at..]);
    let same = old.iter().zip(new).take(MAX_COPY);
    same.take_while(|(a, b)| a == b).count()
}

fn write_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(MAX_LITERALS) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// `offset` is the distance minus one.
fn write_copy(offset: usize, len: usize, out: &mut Vec<u8>) {
    let high = (offset >> 8) as u8;
    if len <= 8 {
        out.push(((len - 2) << 5) as u8 | high);
    } else {
        out.extend_from_slice(&[0xe0 | high, (len - 9) as u8]);
    }
    out.push(offset as u8);
}

/// Decompresses a block that must give exactly `len` bytes. Nothing is allocated for a `len` that `input` cannot reach.
pub fn decompress(input: &[u8], len: usize) -> Result<Vec<u8>, BadLzf> {
    let bad = |offset, what| Err(BadLzf { offset, what });
    if len > input.len().saturating_mul(MAX_COPY) {
        return bad(0, "stated length is out of reach");
    }
    let mut out = Vec::with_capacity(len);
    let mut at = 0;
    while let Some(&control) = input.get(at) {
        let op = at;
        at += 1;
        if control < 32 {
            let run = usize::from(control) + 1;
            let Some(bytes) = input.get(at..at + run) else {
                return bad(op, "literal run beyond the input");
            };
            if out.len() + run > len {
                return bad(op, "more output than stated");
            }
            out.extend_from_slice(bytes);
            at += run;
            continue;
        }
        let mut count = usize::from(control >> 5) + 2;
        if count == 9 {
            let Some(&more) = input.get(at) else {
                return bad(op, "copy cut off");
            };
            count += usize::from(more);
            at += 1;
        }
        let Some(&low) = input.get(at) else {
            return bad(op, "copy cut off");
        };
        at += 1;
        let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
        if out.len() + count > len {
            return bad(op, "more output than stated");
        }
        let Some(from) = out.len().checked_sub(distance) else {
            return bad(op, "copy from before the start");
        };
        copy_within(&mut out, from, distance, count);
    }
    if out.len() != len {
        return bad(at, "less output than stated");
    }
    Ok(out)
}

/// Appends `count` bytes from `from` on; the source may run into what is being written.
#[inline]
fn copy_within(out: &mut Vec<u8>, from: usize, distance: usize, count: usize) {
    if count <= distance {
        out.extend_from_within(from..from + count);
        return;
    }
    let mut left = count;
    while left > 0 {
        // The repeated pattern doubles each turn.
        let n = left.min(out.len() - from);
        out.extend_from_within(from..from + n);
        left -= n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    fn sample(rng: &mut Rng) -> Vec<u8> {
        let n = match rng.below(4) {
            0 => rng.below(40),
            1 => rng.below(600),
            2 => rng.below(9000),
            _ => rng.below(40_000),
        };
        let letters = 1 + rng.below(5) * rng.below(40);
        let mut out: Vec<u8> = Vec::with_capacity(n);
        while out.len() < n {
            if rng.below(3) == 0 && !out.is_empty() {
                let from = rng.below(out.len());
                let len = rng.below(400).min(n - out.len());
                let len = len.min(out.len() - from);
                copy_within(&mut out, from, n, len);
            }
            out.push(rng.below(letters) as u8);
        }
        out.truncate(n);
        out
    }

    #[test]
    fn round_trips() {
        let mut rng = Rng::new(11);
        let mut compressed = 0;
        for _ in 0..2000 {
            let input = sample(&mut rng);
            if let Some(block) = compress(&input) {
                compressed += 1;
                assert!(block.len() + 4 <= input.len());
                assert_eq!(decompress(&block, input.len()), Ok(input));
            }
        }
        assert!(compressed > 1000, "{compressed}");
    }

    #[test]
    fn long_runs_shrink_to_almost_nothing() {
        let input = vec![b'x'; 100_000];
        let block = compress(&input).unwrap();
        assert!(block.len() < 100_000 / 80, "{}", block.len());
        assert_eq!(decompress(&block, input.len()), Ok(input));
        let noise: Vec<u8> = (0..200u32)
            .map(|i| (i * i * 7919 >> 5) as u8 ^ i as u8)
            .collect();
        assert!(compress(&noise).is_none_or(|b| b.len() + 4 <= noise.len()));
        assert_eq!(compress(b"abc"), None);
        let mut out = b"keep".to_vec();
        assert_eq!(compress_into(&[7; 1000], 5, &mut out), None);
        assert_eq!(out, b"keep");
    }

    #[test]
    fn a_block_of_a_real_server() {
        // The payload of `SET k <"abcabcabc..." 60 bytes>` saved by 8.2.3: literals, then one overlapping copy.
        let block = b"\x03abca\xe0\x2d\x02\x01bc";
        let text: Vec<u8> = b"abc".iter().copied().cycle().take(60).collect();
        assert_eq!(decompress(block, 60), Ok(text));
    }

    #[test]
    fn hostile_blocks_never_panic() {
        let mut rng = Rng::new(12);
        let mut good = 0;
        for round in 0..30_000 {
            let input: Vec<u8> = (0..100)
                .map(|i| (i % 7) as u8 ^ rng.below(2) as u8)
                .collect();
            let mut block = match round % 3 {
                0 => (0..rng.below(50)).map(|_| rng.next_u64() as u8).collect(),
                _ => compress(&input).unwrap(),
            };
            if round % 3 == 1 {
                block.truncate(rng.below(block.len()));
            } else if round % 3 == 2 {
                let at = rng.below(block.len());
                block[at] ^= 1 << rng.below(8);
            }
            let len = if rng.below(2) == 0 {
                100
            } else {
                rng.below(300)
            };
            match decompress(&block, len) {
                Ok(out) => {
                    assert_eq!(out.len(), len);
                    good += 1;
                }
                Err(e) => assert!(e.offset <= block.len()),
            }
        }
        assert!(good > 100);
        assert_eq!(decompress(b"\0a", usize::MAX).unwrap_err().offset, 0);
        assert_eq!(
            decompress(b"\0a\x20\x05", 4).unwrap_err().to_string(),
            "bad LZF data at offset 2: copy from before the start"
        );
    }
}
