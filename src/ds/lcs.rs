//! Longest common subsequence of two byte strings, with the matching ranges.
//!
//! The classic table of (a + 1) x (b + 1) lengths, walked back from its far corner. The walk's tie rule (step in `b` when both
//! neighbours are equal) and the order of matches (from the end of the strings to their start) are what clients see and were
//! checked against 8.2.3. Cells are 16 bits wide when the shorter string allows it; when only the length is asked for, one row
//! is enough. [`too_large`] refuses by upstream's measure, 4 bytes per cell, whatever is really used here.

/// A run of equal bytes in both strings; the ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// First byte in the first string.
    pub a_start: usize,
    /// Last byte in the first string.
    pub a_end: usize,
    /// First byte in the second string.
    pub b_start: usize,
    /// Last byte in the second string.
    pub b_end: usize,
}

impl Match {
    /// Number of bytes.
    #[allow(clippy::len_without_is_empty)] // a match has at least one byte
    pub fn len(&self) -> usize {
        self.a_end - self.a_start + 1
    }
}

/// The subsequence and where its runs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lcs {
    /// The subsequence itself.
    pub text: Vec<u8>,
    /// Its runs, the last one first.
    pub matches: Vec<Match>,
}

/// Whether the table would exceed `limit` bytes (`proto-max-bulk-len`); LCS is then refused with
/// "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".
pub fn too_large(a_len: usize, b_len: usize, limit: usize) -> bool {
    let cells = (a_len as u128 + 1).saturating_mul(b_len as u128 + 1);
    cells.saturating_mul(4) > limit as u128
}

/// Length of the longest common subsequence.
pub fn lcs_len(a: &[u8], b: &[u8]) -> usize {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut row = vec![0u32; short.len() + 1];
    for &x in long {
        let mut diagonal = 0;
        for (j, &y) in short.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = match x == y {
                true => diagonal + 1,
                false => above.max(row[j]),
            };
            diagonal = above;
        }
    }
    row[short.len()] as usize
}

/// The longest common subsequence; matches shorter than `min_match_len` are left out of the list (not of the text).
pub fn lcs(a: &[u8], b: &[u8], min_match_len: usize) -> Lcs {
    // Lengths in the table never exceed the shorter string's.
    match u16::try_from(a.len().min(b.len())) {
        Ok(_) => walk_back::<u16>(a, b, min_match_len),
        Err(_) => walk_back::<u32>(a, b, min_match_len),
    }
}

/// A table cell.
trait Cell: Copy + Ord + Default {
    fn plus_one(self) -> Self;
}
impl Cell for u16 {
    #[inline(always)]
    fn plus_one(self) -> Self {
        self.wrapping_add(1)
    }
}
impl Cell for u32 {
    #[inline(always)]
    fn plus_one(self) -> Self {
        self.wrapping_add(1)
    }
}

fn fill_table<C: Cell>(a: &[u8], b: &[u8]) -> Vec<C> {
    let width = b.len() + 1;
    let mut table = vec![C::default(); (a.len() + 1) * width];
    for (i, &x) in a.iter().enumerate() {
        let (done, rest) = table.split_at_mut((i + 1) * width);
        let above = &done[i * width..];
        let row = &mut rest[..width];
        for (j, &y) in b.iter().enumerate() {
            row[j + 1] = match x == y {
                true => above[j].plus_one(),
                false => above[j + 1].max(row[j]),
            };
        }
    }
    table
}

fn walk_back<C: Cell>(a: &[u8], b: &[u8], min_match_len: usize) -> Lcs {
    let table = fill_table::<C>(a, b);
    let width = b.len() + 1;
    let mut out = Lcs::default();
    let mut run: Option<Match> = None;
    let mut close = |run: &mut Option<Match>| {
        let keep = |m: &Match| m.len() >= min_match_len;
        out.matches.extend(run.take().filter(keep));
    };
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            out.text.push(a[i]);
            let m = run.get_or_insert(Match {
                a_start: i,
                a_end: i,
                b_start: j,
                b_end: j,
            });
            // Anything else than a match ends the run, so an open run always touches this byte.
            (m.a_start, m.b_start) = (i, j);
        } else {
            close(&mut run);
            match table[(i - 1) * width + j] > table[i * width + j - 1] {
                true => i -= 1,
                false => j -= 1,
            }
        }
    }
    close(&mut run);
    out.text.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    /// The pair and the reply of `LCS IDX` on 8.2.3.
    #[test]
    fn known_pair() {
        let r = lcs(b"ohmytext", b"mynewtext", 0);
        let m = |a_start, a_end, b_start, b_end| Match {
            a_start,
            a_end,
            b_start,
            b_end,
        };
        assert_eq!(r.text, b"mytext");
        assert_eq!(r.matches, [m(4, 7, 5, 8), m(2, 3, 0, 1)]);
        assert_eq!(lcs(b"ohmytext", b"mynewtext", 4).matches, [m(4, 7, 5, 8)]);
        assert_eq!(lcs(b"", b"x", 0), Lcs::default());
        assert_eq!(lcs_len(b"ohmytext", b"mynewtext"), 6);
    }

    fn naive_len(a: &[u8], b: &[u8]) -> usize {
        match (a.split_last(), b.split_last()) {
            (Some((x, a1)), Some((y, b1))) if x == y => 1 + naive_len(a1, b1),
            (Some((_, a1)), Some((_, b1))) => naive_len(a1, b).max(naive_len(a, b1)),
            _ => 0,
        }
    }

    #[test]
    fn text_and_matches_agree() {
        let mut rng = Rng::new(3);
        for _ in 0..400 {
            let mut word = |max: usize| -> Vec<u8> {
                (0..rng.below(max))
                    .map(|_| b'a' + rng.below(3) as u8)
                    .collect()
            };
            let (a, b) = (word(10), word(10));
            let r = lcs(&a, &b, 0);
            assert_eq!(r.text.len(), naive_len(&a, &b));
            assert_eq!(r.text.len(), lcs_len(&a, &b));
            assert_eq!(walk_back::<u32>(&a, &b, 0), r);
            let mut text = Vec::new();
            for m in r.matches.iter().rev() {
                assert_eq!(a[m.a_start..=m.a_end], b[m.b_start..=m.b_end]);
                text.extend_from_slice(&a[m.a_start..=m.a_end]);
            }
            assert_eq!(text, r.text);
        }
    }

    #[test]
    fn limit_counts_four_bytes_per_cell() {
        assert!(!too_large(9, 9, 400));
        assert!(too_large(9, 9, 399));
        assert!(too_large(usize::MAX, usize::MAX, usize::MAX));
    }
}
