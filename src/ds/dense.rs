//! A set of small copyable values that is walked often: the subscribers of a channel, the clients of a memory class.
//!
//! The members lie in one vector, so a walk is a walk over memory and a random member is one index away. A small set is searched
//! by scanning; past [`SCAN_MAX`] members an index (value to position) is kept, so adding and removing stay O(1). Removing moves
//! the last member into the gap: the order is arbitrary.
//!
//! Invariants: no member twice; the index, when there is one, holds exactly the members with their positions.

use std::collections::HashMap;
use std::hash::Hash;

/// Members up to which a set has no index: scanning 16 eight-byte values beats hashing one.
const SCAN_MAX: usize = 16;

type Index<T> = HashMap<T, u32, foldhash::fast::RandomState>;

/// A set in one vector. See the file header.
#[derive(Debug, Clone)]
pub struct DenseSet<T> {
    members: Vec<T>,
    index: Option<Box<Index<T>>>,
}

impl<T> Default for DenseSet<T> {
    fn default() -> Self {
        DenseSet {
            members: Vec::new(),
            index: None,
        }
    }
}

impl<T: Copy + Eq + Hash> DenseSet<T> {
    /// An empty set; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, in no particular order.
    pub fn as_slice(&self) -> &[T] {
        &self.members
    }

    fn position(&self, value: T) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&value).map(|p| *p as usize),
            None => self.members.iter().position(|m| *m == value),
        }
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: T) -> bool {
        self.position(value).is_some()
    }

    /// Adds a member; false when it was one already.
    pub fn insert(&mut self, value: T) -> bool {
        if self.contains(value) {
            return false;
        }
        if let Some(index) = &mut self.index {
            index.insert(value, self.members.len() as u32);
        }
        self.members.push(value);
        if self.index.is_none() && self.members.len() > SCAN_MAX {
            let pairs = self.members.iter().enumerate();
            self.index = Some(Box::new(pairs.map(|(p, m)| (*m, p as u32)).collect()));
        }
        true
    }

    /// Removes a member; false when it was none.
    pub fn remove(&mut self, value: T) -> bool {
        let Some(at) = self.position(value) else {
            return false;
        };
        self.members.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&value);
            if let Some(moved) = self.members.get(at) {
                index.insert(*moved, at as u32);
            }
            // Half the bound, so that a set around it does not build an index again and again.
            if self.members.len() < SCAN_MAX / 2 {
                self.index = None;
            }
        }
        if self.members.is_empty() {
            self.members = Vec::new();
        }
        true
    }

    /// Heap bytes held.
    pub fn mem_bytes(&self) -> usize {
        let per_index = size_of::<(T, u32)>() + 1;
        self.members.capacity() * size_of::<T>()
            + self
                .index
                .as_ref()
                .map_or(0, |i| size_of::<Index<T>>() + i.capacity() * per_index)
    }

    /// Panics when an invariant of the file header is broken.
    #[cfg(test)]
    fn check_invariants(&self) {
        if let Some(index) = &self.index {
            assert_eq!(index.len(), self.members.len());
            for (p, m) in self.members.iter().enumerate() {
                assert_eq!(index.get(m), Some(&(p as u32)));
            }
        } else {
            assert!(self.members.len() <= SCAN_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn as_a_plain_set() {
        let mut rng = Rng::new(11);
        let (mut set, mut model) = (DenseSet::new(), BTreeSet::new());
        for step in 0..30_000 {
            // The set grows and shrinks in waves, across the bound of the index.
            let range = if step % 2000 < 1000 { 12 } else { 60 };
            let v = rng.below(range) as u64;
            if rng.below(2) == 0 {
                assert_eq!(set.insert(v), model.insert(v));
            } else {
                assert_eq!(set.remove(v), model.remove(&v));
            }
            assert_eq!(set.contains(v), model.contains(&v));
            set.check_invariants();
            let members: BTreeSet<u64> = set.as_slice().iter().copied().collect();
            assert_eq!(members, model);
        }
    }
}
