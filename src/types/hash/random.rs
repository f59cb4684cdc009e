//! Random fields of a hash (HRANDFIELD), by the same methods as random members of a set.

use super::{Field, Hash};
use crate::ds::listpack::Entry;
use crate::ds::rng::{Rng, Selection};
use std::collections::HashSet;

/// Below this share of the fields (one in ...) single draws beat a walk over the table.
const SINGLE_DRAWS: usize = 3;

impl Hash {
    /// One field, each with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<(Entry<'_>, Field<'_>)> {
        if let Hash::Table(t) = self {
            let item = t.fields().random(rng)?;
            let expire_ms = item.expire();
            let name = Entry::Bytes(item.clone().into_key());
            let value = Entry::Bytes(item.into_value());
            return Some((name, Field { value, expire_ms }));
        }
        self.iter().nth(rng.below(self.len()))
    }

    /// Calls `f` for `n` independent draws (of a hash that is not empty), until it returns false.
    pub fn random_repeated<'a>(
        &'a self,
        rng: &mut Rng,
        n: usize,
        f: &mut dyn FnMut(Entry<'a>, Field<'a>) -> bool,
    ) {
        if let Hash::Table(_) = self {
            (0..n)
                .filter_map(|_| self.random(rng))
                .all(|(name, field)| f(name, field));
            return;
        }
        let all: Vec<_> = self.iter().collect();
        if !all.is_empty() {
            (0..n).all(|_| {
                let (name, field) = all[rng.below(all.len())];
                f(name, field)
            });
        }
    }

    /// Calls `f` for `n` different fields (all, if there are fewer).
    pub fn random_distinct<'a>(
        &'a self,
        rng: &mut Rng,
        n: usize,
        f: &mut dyn FnMut(Entry<'a>, Field<'a>),
    ) {
        let len = self.len();
        if n >= len {
            return self.iter().for_each(|(name, field)| f(name, field));
        }
        if let Hash::Table(_) = self
            && n.saturating_mul(SINGLE_DRAWS) < len
        {
            let mut seen = HashSet::with_capacity(n);
            while seen.len() < n {
                let Some((Entry::Bytes(name), field)) = self.random(rng) else {
                    return;
                };
                if seen.insert(name.as_ptr()) {
                    f(Entry::Bytes(name), field);
                }
            }
            return;
        }
        for ((name, field), chosen) in self.iter().zip(Selection::new(rng, n, len)) {
            if chosen {
                f(name, field);
            }
        }
    }
}
