//! A small, fast generator (wyrand) for sampling and random commands. Not for secrets.

/// Generator state; one lives in the server and is handed down where randomness is needed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that continues from `seed`; equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next 64 random bits.
    #[inline(always)]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let t = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (t >> 64) as u64 ^ t as u64
    }

    /// A uniform number below `n`; 0 when `n` is 0.
    #[inline(always)]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }
}

/// How many rounds a long test takes: far fewer under Miri, which is some hundred times slower.
#[cfg(test)]
pub fn rounds(n: usize) -> usize {
    if cfg!(miri) { (n / 100).max(4) } else { n }
}

/// Selection sampling: whether each of a known number of elements, in turn, is among those chosen. Every subset of the wanted
/// size has the same chance, in one pass and without memory.
pub struct Selection<'r> {
    rng: &'r mut Rng,
    wanted: usize,
    left: usize,
}

impl<'r> Selection<'r> {
    /// Chooses `wanted` of `len` elements.
    pub fn new(rng: &'r mut Rng, wanted: usize, len: usize) -> Self {
        Selection {
            rng,
            wanted,
            left: len,
        }
    }
}

impl Iterator for Selection<'_> {
    type Item = bool;
    #[inline]
    fn next(&mut self) -> Option<bool> {
        let chosen = self.rng.below(self.left) < self.wanted;
        self.left = self.left.checked_sub(1)?;
        self.wanted -= usize::from(chosen);
        Some(chosen)
    }
}
