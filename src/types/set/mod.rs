//! The set value: sorted integers, a packed sequence, or a table of members.
//!
//! | representation | while | order of iteration |
//! |---|---|---|
//! | [`Intset`] | every member is a canonical integer, at most `set-max-intset-entries` | ascending |
//! | [`Listpack`] | at most `set-max-listpack-entries` members of at most `set-max-listpack-value` bytes | of insertion |
//! | [`Table`] | otherwise | of hashes |
//!
//! Conversions go one way, with one exception: what SINTERSTORE and SPOP build anew starts from the smallest again. They
//! follow upstream step by step, as OBJECT ENCODING and DUMP show them; the tests replay recorded steps.
//!
//! Invariant: a set in an entry is never empty; commands delete the key with its last member.
//! Random choice lives in `random`.

mod random;
pub(super) use random::Selection;
#[cfg(test)]
mod tests;

use crate::ds::hash::hash;
use crate::ds::intset::Intset;
use crate::ds::item::SetMember;
use crate::ds::listpack::{self, Entry, Listpack};
use crate::ds::numtext::{I64_TEXT_MAX, parse_i64};
use crate::ds::table::{self, Table};

/// No intset may hold more integers than this, whatever is configured (upstream's safety limit).
const INTSET_SAFETY_LIMIT: usize = 1 << 30;

/// The directives that shape sets.
#[derive(Debug, Clone, Copy)]
pub struct SetLimits {
    /// `set-max-intset-entries`
    pub intset_entries: usize,
    /// `set-max-listpack-entries`
    pub listpack_entries: usize,
    /// `set-max-listpack-value`, bytes
    pub listpack_value: usize,
}

impl SetLimits {
    fn intset_max(&self) -> usize {
        self.intset_entries.min(INTSET_SAFETY_LIMIT)
    }
}

/// A set; see the head of this file.
pub enum Set {
    /// Sorted integers.
    Intset(Intset),
    /// Packed members.
    Listpack(Listpack),
    /// Members found by hash.
    Table(Box<Table<SetMember>>),
}

impl Set {
    /// An empty set for about `n` members, the first of which is `member`.
    pub fn for_members(member: &[u8], n: usize, limits: &SetLimits) -> Self {
        if n <= limits.intset_max() && parse_i64(member).is_some() {
            Set::Intset(Intset::new())
        } else if n <= limits.listpack_entries {
            Set::Listpack(Listpack::new())
        } else {
            Set::Table(Box::new(Table::with_capacity(n)))
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Set::Intset(s) => s.len(),
            Set::Listpack(p) => p.len(),
            Set::Table(t) => t.len(),
        }
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Set::Intset(s) => s.is_empty(),
            Set::Listpack(p) => p.is_empty(),
            Set::Table(t) => t.is_empty(),
        }
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            Set::Intset(s) => parse_i64(member).is_some_and(|v| s.contains(v)),
            Set::Listpack(p) => p.find(member, 0).is_some(),
            Set::Table(t) => t.contains(hash(member), member),
        }
    }

    /// As [`Set::contains`], for a member of another set.
    #[inline]
    pub fn contains_entry(&self, member: Entry<'_>) -> bool {
        match (self, member) {
            (Set::Intset(s), Entry::Int(v)) => s.contains(v),
            (Set::Listpack(p), Entry::Int(v)) => p.iter().any(|e| match e {
                Entry::Int(w) => v == w,
                Entry::Bytes(_) => false,
            }),
            (_, m) => self.contains(m.to_bytes(&mut [0; I64_TEXT_MAX])),
        }
    }

    /// Starts to fetch what looking up `members` (of another set) will touch.
    pub fn prefetch(&self, members: &[Entry<'_>]) {
        let Set::Table(t) = self else { return };
        let hash_of = |m: &Entry<'_>| hash(m.to_bytes(&mut [0; I64_TEXT_MAX]));
        members.iter().for_each(|m| t.prefetch_bucket(hash_of(m)));
        members.iter().for_each(|m| t.prefetch_item(hash_of(m)));
    }

    /// Prepares for adding `n` members at once: beyond the limits of the packed forms they need not be tried.
    pub fn reserve(&mut self, n: usize, limits: &SetLimits) {
        let too_many = match self {
            Set::Intset(_) => n > limits.intset_max(),
            Set::Listpack(_) => n > limits.listpack_entries,
            Set::Table(_) => false,
        };
        if too_many {
            self.convert_to_table(n);
        }
    }

    /// Adds `member`; false when it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match self {
            Set::Intset(_) => self.add_to_ints(member, limits),
            Set::Listpack(_) => self.add_to_pack(member, limits),
            Set::Table(t) => {
                let h = hash(member);
                let new = !t.contains(h, member);
                if new {
                    t.insert_new(h, SetMember::new(member));
                }
                new
            }
        }
    }

    /// As [`Set::add`], for a member of another set.
    pub fn add_entry(&mut self, member: Entry<'_>, limits: &SetLimits) -> bool {
        if let (Set::Intset(s), Entry::Int(v)) = (&mut *self, member) {
            let new = s.add(v);
            if new && s.len() > limits.intset_max() {
                self.convert_to_table(0);
            }
            return new;
        }
        self.add(member.to_bytes(&mut [0; I64_TEXT_MAX]), limits)
    }

    fn add_to_ints(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        let Set::Intset(ints) = self else {
            return false;
        };
        if let Some(v) = parse_i64(member) {
            return self.add_entry(Entry::Int(v), limits);
        }
        if fits_listpack(ints, member.len(), limits) {
            let mut pack = pack_of(ints);
            pack.push_back(member);
            *self = Set::Listpack(pack);
            return true;
        }
        let n = ints.len() + 1;
        self.convert_to_table(n);
        self.add(member, limits)
    }

    fn add_to_pack(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        let Set::Listpack(pack) = self else {
            return false;
        };
        if pack.find(member, 0).is_some() {
            return false;
        }
        let n = pack.len();
        if n < limits.listpack_entries
            && member.len() <= limits.listpack_value
            && listpack::safe_to_add(pack.total_bytes(), member.len())
        {
            pack.push_back(member);
            return true;
        }
        self.convert_to_table(n + 1);
        self.add(member, limits)
    }

    /// Removes `member`; false when it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Intset(s) => parse_i64(member).is_some_and(|v| s.remove(v)),
            Set::Listpack(p) => match p.find(member, 0) {
                Some(pos) => {
                    p.delete(pos);
                    true
                }
                None => false,
            },
            Set::Table(t) => t.remove(hash(member), member).is_some(),
        }
    }

    /// The members, lent for as long as the set.
    pub fn iter(&self) -> SetIter<'_> {
        match self {
            Set::Intset(s) => SetIter::Ints(s, 0),
            Set::Listpack(p) => SetIter::Pack(p.iter()),
            Set::Table(t) => SetIter::Table(t.iter()),
        }
    }

    /// One step of SSCAN: calls `f` for the members from `cursor` on and returns the cursor to go on with. Packed sets are
    /// given whole.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(Entry<'_>)) -> u64 {
        match self {
            Set::Table(t) => t.scan(cursor, count, &mut |m| f(Entry::Bytes(m.member()))),
            packed => {
                packed.iter().for_each(f);
                0
            }
        }
    }

    /// Turns the set into a table with room for `n` members (at least those it has).
    pub fn convert_to_table(&mut self, n: usize) {
        if let Set::Table(_) = self {
            return;
        }
        let mut t = Box::new(Table::with_capacity(n.max(self.len())));
        for m in self.iter() {
            let mut text = [0; I64_TEXT_MAX];
            let bytes = m.to_bytes(&mut text);
            let h = hash(bytes);
            // A damaged listpack may hold a member twice.
            if !t.contains(h, bytes) {
                t.insert_new(h, SetMember::new(bytes));
            }
        }
        *self = Set::Table(t);
    }

    /// A stored result whose members are all integers becomes an intset, when they are few enough.
    pub fn try_ints(&mut self, limits: &SetLimits) {
        if matches!(self, Set::Intset(_)) || self.len() > limits.intset_max() {
            return;
        }
        let mut ints = Intset::new();
        for m in self.iter() {
            let v = match m {
                Entry::Int(v) => Some(v),
                Entry::Bytes(b) => parse_i64(b),
            };
            match v {
                Some(v) => ints.add(v),
                None => return,
            };
        }
        *self = Set::Intset(ints);
    }

    /// Allocations that freeing it costs.
    pub fn free_effort(&self) -> usize {
        match self {
            Set::Table(t) => t.len(),
            _ => 1,
        }
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        match self {
            Set::Intset(s) => Set::Intset(s.clone()),
            Set::Listpack(p) => Set::Listpack(p.clone()),
            Set::Table(t) => {
                let mut copy = Box::new(Table::with_capacity(t.len()));
                for m in t.iter() {
                    let m = m.into_key();
                    copy.insert_new(hash(m), SetMember::new(m));
                }
                Set::Table(copy)
            }
        }
    }
}

/// Whether an intset that gets a member of `len` bytes that is no integer may become a listpack.
fn fits_listpack(ints: &Intset, len: usize, limits: &SetLimits) -> bool {
    let n = ints.len();
    let edges = || ints.min().into_iter().chain(ints.max());
    let digits = |v: i64| itoa::Buffer::new().format(v).len();
    let longest = edges().map(digits).max().unwrap_or(0);
    let bytes = edges()
        .map(|v| listpack::estimate_ints(v, n))
        .max()
        .unwrap_or(0);
    n < limits.listpack_entries
        && len <= limits.listpack_value
        && longest <= limits.listpack_value
        && listpack::safe_to_add(0, bytes.saturating_add(len))
}

fn pack_of(ints: &Intset) -> Listpack {
    let bytes = ints.iter().map(listpack::int_entry_bytes).sum();
    let mut pack = Listpack::new();
    pack.extend(bytes, ints.len(), |out| {
        ints.iter().for_each(|v| out.int(v))
    });
    pack
}

/// Iterator of [`Set::iter`].
pub enum SetIter<'a> {
    /// Over an intset: the next index.
    Ints(&'a Intset, usize),
    /// Over a listpack.
    Pack(listpack::Iter<'a>),
    /// Over a table.
    Table(table::Iter<'a, SetMember>),
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        match self {
            SetIter::Ints(s, i) => {
                let v = s.get(*i)?;
                *i += 1;
                Some(Entry::Int(v))
            }
            SetIter::Pack(p) => p.next(),
            SetIter::Table(t) => t.next().map(|m| Entry::Bytes(m.into_key())),
        }
    }
}
