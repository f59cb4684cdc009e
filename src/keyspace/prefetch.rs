//! Warming the cache for a batch of commands, so that their misses overlap instead of adding up.
//!
//! A lookup touches a bucket and then what the bucket points to. For a batch each step is started for all before the next
//! begins: the buckets of the keys, the entries, and where commands name an element of a collection (a field, a member) the
//! same two steps again in the table inside the value. Nothing here changes anything or expires keys: a prefetch in vain costs
//! its time and nothing else.

use super::Db;
use super::entry::Entry;
use crate::ds::hash::hash;
use crate::ds::table::{Item, Table};
use crate::resp::Args;
use crate::types::hash::Hash;
use crate::types::set::Set;
use crate::types::zset::ZSet;

/// What a command at hand will look up.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Hash of the key.
    pub hash: u64,
    /// The key, and the element looked up in its collection.
    pub element: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Lookup<'a> {
    /// What a command with key 1 of hash `hash` will look up; `element`: the argument that names one, or 0.
    #[inline]
    pub fn new(hash: u64, args: Args<'a>, element: u8) -> Self {
        let element = match element {
            0 => None,
            i => args.get(1).zip(args.get(i as usize)),
        };
        Lookup { hash, element }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Bucket,
    Item,
}

impl Step {
    #[inline(always)]
    fn of<T: Item>(self, table: &Table<T>, h: u64) {
        match self {
            Step::Bucket => table.prefetch_bucket(h),
            Step::Item => table.prefetch_item(h),
        }
    }

    /// Does this step for an element of the collection in an entry. Packed collections lie in the entry, or are one block that
    /// is read from its start.
    #[inline]
    fn of_element(self, entry: &Entry, element: &[u8]) {
        if let Some(set) = entry.value::<Set>() {
            if let Set::Table(t) = &*set {
                self.of(t, hash(element));
            }
        } else if let Some(fields) = entry.value::<Hash>() {
            if let Hash::Table(t) = &*fields {
                self.of(t.fields(), hash(element));
            }
        } else if let Some(scores) = entry.value::<ZSet>()
            && let ZSet::Tree(m) = &*scores
        {
            self.of(m.index(), hash(element));
        }
    }
}

impl Db {
    /// Warms the cache for these lookups; `elements`: some of them have one.
    pub fn prefetch<'a>(&self, lookups: impl Iterator<Item = Lookup<'a>> + Clone, elements: bool) {
        for step in [Step::Bucket, Step::Item] {
            lookups.clone().for_each(|l| step.of(&self.keys, l.hash));
        }
        if elements {
            for step in [Step::Bucket, Step::Item] {
                self.prefetch_elements(step, lookups.clone());
            }
        }
    }

    fn prefetch_elements<'a>(&self, step: Step, lookups: impl Iterator<Item = Lookup<'a>>) {
        // Many commands of a pipeline often work on one collection.
        let mut last = None;
        for l in lookups {
            let Some((key, element)) = l.element else {
                continue;
            };
            if last.as_ref().is_none_or(|(h, _)| *h != l.hash) {
                last = Some((l.hash, self.keys.find(l.hash, key)));
            }
            if let Some((_, Some(entry))) = &last {
                step.of_element(entry, element);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::set::SetLimits;

    /// A prefetch shows in no result, so what can be tested is that it meets every kind of value without harm.
    #[test]
    fn every_kind_of_value_and_none() {
        let limits = SetLimits {
            max_intset: 2,
            max_entries: 2,
            max_value: 64,
        };
        let mut db = Db::new(0);
        let mut big = Set::new();
        for i in 0..1000 {
            big.add(format!("member:{i}").as_bytes(), &limits);
        }
        assert!(matches!(big, Set::Table(_)));
        let entries = [
            Entry::collection(b"big", big, None),
            Entry::collection(b"small", Set::new(), None),
            Entry::collection(b"hash", Hash::default(), None),
            Entry::string(b"text", &crate::keyspace::NewStr::Copy(b"x"), None),
        ];
        for e in entries {
            let h = hash(e.key());
            db.keys.insert_new(h, e);
        }
        let names: [&[u8]; 5] = [b"big", b"small", b"hash", b"text", b"none"];
        let lookups = names.iter().map(|k| Lookup {
            hash: hash(k),
            element: Some((*k, b"member:7")),
        });
        db.prefetch(lookups, true);
        assert_eq!(db.keys.len(), 4);
    }
}
