//! The set value: an intset while all members are integers and few, a listpack while they are few and short, else a table.
//!
//! Conversion as upstream since 7.2, in one direction only: intset to listpack when a short text comes in while both limits
//! allow it, anything to table past `set-max-intset-entries`, `set-max-listpack-entries` or `set-max-listpack-value`.
//! Members are handed out as [`Entry`], because a packed member may be held as an integer.

use crate::ds::hash::hash;
use crate::ds::intset::Intset;
use crate::ds::item::SetMember;
use crate::ds::listpack::{self, Entry, Listpack};
use crate::ds::numtext::parse_i64;
use crate::ds::rng::Rng;
use crate::ds::table::Table;
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};

/// The directives that shape sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLimits {
    /// `set-max-intset-entries`.
    pub max_intset: usize,
    /// `set-max-listpack-entries`.
    pub max_entries: usize,
    /// `set-max-listpack-value`.
    pub max_value: usize,
}

/// An intset is never let grow beyond this, whatever is configured.
const INTSET_CAP: usize = 1 << 30;

/// A set; see the file header.
pub enum Set {
    /// OBJECT ENCODING "intset".
    Intset(Intset),
    /// OBJECT ENCODING "listpack".
    Listpack(Listpack),
    /// OBJECT ENCODING "hashtable".
    Table(Box<Table<SetMember>>),
}

impl Clone for Set {
    fn clone(&self) -> Self {
        match self {
            Set::Intset(s) => Set::Intset(s.clone()),
            Set::Listpack(l) => Set::Listpack(l.clone()),
            Set::Table(t) => {
                let mut copy = Table::with_capacity(t.len());
                for m in t.iter() {
                    copy.insert_new(hash(m.member()), SetMember::new(m.member()));
                }
                Set::Table(Box::new(copy))
            }
        }
    }
}

impl Set {
    /// An empty set in the form that suits a first member and the number of members expected.
    pub fn new_for(first: &[u8], expected: usize, limits: &SetLimits) -> Self {
        if expected <= limits.max_intset && parse_i64(first).is_some() {
            Set::Intset(Intset::new())
        } else if expected <= limits.max_entries {
            Set::Listpack(Listpack::new())
        } else {
            Set::Table(Box::new(Table::with_capacity(expected.min(1 << 20))))
        }
    }

    /// An empty set that starts as an intset.
    pub fn new() -> Self {
        Set::Intset(Intset::new())
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            Set::Intset(s) => s.len(),
            Set::Listpack(l) => l.len(),
            Set::Table(t) => t.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Allocations that freeing it costs.
    pub fn free_effort(&self) -> usize {
        match self {
            Set::Table(t) => t.len(),
            _ => 1,
        }
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            Set::Intset(s) => parse_i64(member).is_some_and(|v| s.contains(v)),
            Set::Listpack(l) => l.find(member, 0).is_some(),
            Set::Table(t) => t.contains(hash(member), member),
        }
    }

    /// Whether an entry of another set is in this one.
    #[inline]
    pub fn contains_entry(&self, member: Entry<'_>) -> bool {
        match (self, member) {
            (Set::Intset(s), Entry::Int(v)) => s.contains(v),
            _ => self.contains(member.to_bytes(&mut [0; 20])),
        }
    }

    /// Prepares for adding `n` members at once: more than a packed form may hold are not even tried there, as upstream.
    pub fn reserve(&mut self, n: usize, limits: &SetLimits) {
        let too_many = match self {
            Set::Intset(_) => n > limits.max_intset.min(INTSET_CAP),
            Set::Listpack(_) => n > limits.max_entries,
            Set::Table(_) => false,
        };
        if too_many {
            self.convert_to_table(n);
        }
    }

    /// Adds a member; false when it is there already.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match self {
            Set::Table(t) => {
                let h = hash(member);
                if t.contains(h, member) {
                    return false;
                }
                t.insert_new(h, SetMember::new(member));
                true
            }
            Set::Listpack(l) => {
                if l.find(member, 0).is_some() {
                    return false;
                }
                if l.len() < limits.max_entries && fits(l, member, limits) {
                    l.push_back(member);
                    return true;
                }
                self.convert_to_table(1);
                self.add(member, limits)
            }
            Set::Intset(s) => match parse_i64(member) {
                Some(v) => {
                    if !s.add(v) {
                        return false;
                    }
                    if s.len() > limits.max_intset.min(INTSET_CAP) {
                        self.convert_to_table(0);
                    }
                    true
                }
                None => {
                    self.leave_intset(member, limits);
                    self.add(member, limits)
                }
            },
        }
    }

    /// An intset that must hold a text becomes a listpack if that fits, else a table.
    fn leave_intset(&mut self, member: &[u8], limits: &SetLimits) {
        let Set::Intset(s) = self else { return };
        let mut buf = [0u8; 20];
        let longest = [s.min(), s.max()]
            .into_iter()
            .flatten()
            .map(|v| Entry::Int(v).to_bytes(&mut buf).len())
            .max()
            .unwrap_or(0);
        let mut l = Listpack::new();
        if s.len() < limits.max_entries
            && member.len() <= limits.max_value
            && longest <= limits.max_value
        {
            for v in s.iter() {
                l.push_int(v);
            }
            if fits(&l, member, limits) {
                *self = Set::Listpack(l);
                return;
            }
        }
        self.convert_to_table(1);
    }

    /// Makes it a table with room for `more` members.
    fn convert_to_table(&mut self, more: usize) {
        let mut t = Table::with_capacity(self.len() + more);
        let mut buf = [0u8; 20];
        for m in self.iter() {
            let bytes = m.to_bytes(&mut buf);
            t.insert_new(hash(bytes), SetMember::new(bytes));
        }
        *self = Set::Table(Box::new(t));
    }

    /// Removes a member; false when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Intset(s) => parse_i64(member).is_some_and(|v| s.remove(v)),
            Set::Listpack(l) => match l.find(member, 0) {
                Some(at) => {
                    l.delete(at);
                    true
                }
                None => false,
            },
            Set::Table(t) => t.remove(hash(member), member).is_some(),
        }
    }

    /// Every member.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Entry<'_>> + '_> {
        match self {
            Set::Intset(s) => Box::new(s.iter().map(Entry::Int)),
            Set::Listpack(l) => Box::new(l.iter()),
            Set::Table(t) => Box::new(t.iter().map(|m| Entry::Bytes(m.into_key()))),
        }
    }

    /// A member drawn at random, each as likely as the others; None of an empty set.
    pub fn random(&self, rng: &mut Rng) -> Option<Entry<'_>> {
        match self {
            Set::Intset(s) => s.random(rng).map(Entry::Int),
            Set::Listpack(l) if l.is_empty() => None,
            Set::Listpack(l) => l.seek(rng.below(l.len()) as isize).and_then(|at| l.get(at)),
            Set::Table(t) => t.random(rng).map(|m| Entry::Bytes(m.into_key())),
        }
    }

    /// Goes over some members from `cursor` on, about `count`; returns where to go on (0: at the end). A packed set is
    /// gone over whole.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(Entry<'_>)) -> u64 {
        match self {
            Set::Table(t) => t.scan(cursor, count, &mut |m| f(Entry::Bytes(m.member()))),
            _ => {
                self.iter().for_each(f);
                0
            }
        }
    }

    /// Lets `mover` move its blocks, about `count` elements from `from` on (0 starts); where to go on, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        match self {
            Set::Intset(ints) => ints.relocate(mover),
            Set::Listpack(pack) => pack.relocate(mover),
            Set::Table(table) => {
                if from == 0 {
                    relocate::boxed(mover, table);
                }
                return table.relocate(from, count, mover, &mut |m, mover| m.relocate(mover));
            }
        }
        0
    }

    /// Bytes of the blocks it owns (MEMORY USAGE); members from the mean of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        match self {
            Set::Intset(s) => class_bytes(s.total_bytes()),
            Set::Listpack(l) => class_bytes(l.total_bytes()),
            Set::Table(t) => {
                class_bytes(size_of::<Table<SetMember>>())
                    + t.mem_bytes()
                    + t.items_bytes(samples, SetMember::class_size)
            }
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

fn fits(l: &Listpack, member: &[u8], limits: &SetLimits) -> bool {
    member.len() <= limits.max_value && listpack::safe_to_add(l.total_bytes(), member.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LIMITS: SetLimits = SetLimits {
        max_intset: 16,
        max_entries: 12,
        max_value: 20,
    };

    #[test]
    fn random_operations_follow_a_model() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            let kinds = rng.below(3);
            for _ in 0..400 {
                let m = match rng.below(kinds + 1) {
                    0 => rng.below(40).to_string(),
                    1 => format!("m{}", rng.below(30)),
                    _ => "x".repeat(rng.below(30)),
                }
                .into_bytes();
                if rng.below(3) > 0 {
                    assert_eq!(set.add(&m, &LIMITS), model.insert(m.clone()));
                } else {
                    assert_eq!(set.remove(&m), model.remove(&m));
                }
                assert_eq!(
                    (set.len(), set.contains(&m)),
                    (model.len(), model.contains(&m))
                );
            }
            let mut got: Vec<Vec<u8>> = set.iter().map(|e| e.to_vec()).collect();
            got.sort();
            assert!(got.iter().eq(model.iter()));
            assert_eq!(set.clone().len(), set.len());
            if let Some(r) = set.random(&mut rng) {
                assert!(model.contains(&r.to_vec()));
            }
        }
    }

    #[test]
    fn conversions_happen_at_the_limits() {
        let mut s = Set::new_for(b"1", 1, &LIMITS);
        for i in 0..16 {
            s.add(i.to_string().as_bytes(), &LIMITS);
            assert!(matches!(s, Set::Intset(_)));
        }
        s.add(b"16", &LIMITS);
        assert!(matches!(s, Set::Table(_)));
        let mut s = Set::new_for(b"1", 1, &LIMITS);
        s.add(b"1", &LIMITS);
        s.add(b"text", &LIMITS);
        assert!(matches!(s, Set::Listpack(_)));
        s.add(&[b'x'; 21], &LIMITS);
        assert!(matches!(s, Set::Table(_)) && s.len() == 3);
        assert!(matches!(Set::new_for(b"a", 13, &LIMITS), Set::Table(_)));
    }
}
