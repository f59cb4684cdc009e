//! Random members of a set: one, several different ones, several independent ones, and taking some out.
//!
//! Different members of a packed set (or most of a table) are drawn by selection sampling: one pass in which the k-th of n is
//! taken with probability wanted / left, so that every subset has the same chance and nothing is copied. A few members of a
//! big table are single uniform draws; repeated ones are drawn again.

use super::{Set, SetLimits};
use crate::ds::intset::Intset;
use crate::ds::listpack::{Entry, Listpack};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::ds::rng::Rng;
use std::collections::HashSet;

/// Below this share of the members (one in ...) single draws beat a walk over the table.
const SINGLE_DRAWS: usize = 3;

/// Taking out all but one in this many (or fewer) members of a table is done by building it anew.
const REBUILD: usize = 5;

impl Set {
    /// One member, each with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<Entry<'_>> {
        match self {
            Set::Intset(s) => s.random(rng).map(Entry::Int),
            Set::Listpack(p) => p.get(p.seek(rng.below(p.len()) as isize)?),
            Set::Table(t) => t.random(rng).map(|m| Entry::Bytes(m.into_key())),
        }
    }

    /// Calls `f` for `n` independent draws (of a set that is not empty).
    pub fn random_repeated<'a>(&'a self, rng: &mut Rng, n: usize, f: &mut dyn FnMut(Entry<'a>)) {
        if let Set::Listpack(p) = self {
            let members: Vec<Entry<'a>> = p.iter().collect();
            if !members.is_empty() {
                (0..n).for_each(|_| f(members[rng.below(members.len())]));
            }
            return;
        }
        (0..n).filter_map(|_| self.random(rng)).for_each(f);
    }

    /// Calls `f` for `n` different members (all, if there are fewer).
    pub fn random_distinct<'a>(&'a self, rng: &mut Rng, n: usize, f: &mut dyn FnMut(Entry<'a>)) {
        let len = self.len();
        if n >= len {
            return self.iter().for_each(f);
        }
        if let Set::Table(t) = self
            && n.saturating_mul(SINGLE_DRAWS) < len
        {
            let mut seen = HashSet::with_capacity(n);
            while seen.len() < n {
                let Some(m) = t.random(rng) else { return };
                let m = m.into_key();
                if seen.insert(m.as_ptr()) {
                    f(Entry::Bytes(m));
                }
            }
            return;
        }
        for (m, chosen) in self.iter().zip(Selection::new(rng, n, len)) {
            if chosen {
                f(m);
            }
        }
    }

    /// Takes one random member out, as the client sees it.
    pub fn pop(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let member = self.random(rng)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Takes `n` random members out and gives each to `f`; `n` must be below the number of members.
    pub fn pop_many(
        &mut self,
        rng: &mut Rng,
        n: usize,
        limits: &SetLimits,
        f: &mut dyn FnMut(&[u8]),
    ) {
        let keep = self.len().saturating_sub(n);
        match self {
            Set::Intset(ints) => {
                let mut left = Intset::new();
                let chosen = Selection::new(rng, n, ints.len());
                for (v, chosen) in ints.iter().zip(chosen) {
                    if chosen {
                        f(Entry::Int(v).to_bytes(&mut [0; I64_TEXT_MAX]));
                    } else {
                        left.add(v);
                    }
                }
                *ints = left;
            }
            Set::Listpack(pack) => {
                let mut left = Listpack::new();
                let chosen = Selection::new(rng, n, pack.len());
                for (m, chosen) in pack.iter().zip(chosen) {
                    let mut text = [0; I64_TEXT_MAX];
                    let m = m.to_bytes(&mut text);
                    if chosen {
                        f(m);
                    } else {
                        left.push_back(m);
                    }
                }
                *pack = left;
            }
            Set::Table(_) if keep.saturating_mul(REBUILD) <= n => {
                self.pop_most(rng, keep, limits, f)
            }
            Set::Table(_) => {
                for _ in 0..n {
                    let Some(m) = self.pop(rng) else { return };
                    f(&m);
                }
            }
        }
    }

    /// Leaves `keep` random members in a table built anew.
    fn pop_most(
        &mut self,
        rng: &mut Rng,
        keep: usize,
        limits: &SetLimits,
        f: &mut dyn FnMut(&[u8]),
    ) {
        let mut left: Option<Set> = None;
        for _ in 0..keep {
            let Some(m) = self.pop(rng) else { break };
            left.get_or_insert_with(|| Set::for_members(&m, keep, limits))
                .add(&m, limits);
        }
        self.iter()
            .for_each(|m| f(m.to_bytes(&mut [0; I64_TEXT_MAX])));
        if let Some(left) = left {
            *self = left;
        }
    }
}

/// Whether each of `left` elements in turn is among the `wanted` chosen ones.
pub(crate) struct Selection<'r> {
    rng: &'r mut Rng,
    wanted: usize,
    left: usize,
}

impl<'r> Selection<'r> {
    /// Chooses `wanted` of `len`.
    pub(crate) fn new(rng: &'r mut Rng, wanted: usize, len: usize) -> Self {
        Selection {
            rng,
            wanted,
            left: len,
        }
    }
}

impl Iterator for Selection<'_> {
    type Item = bool;
    fn next(&mut self) -> Option<bool> {
        let chosen = self.rng.below(self.left) < self.wanted;
        self.left = self.left.checked_sub(1)?;
        self.wanted -= usize::from(chosen);
        Some(chosen)
    }
}
