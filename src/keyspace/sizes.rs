//! How many keys there are of each size, by type (INFO keysizes).
//!
//! The size of a string is its length in bytes, that of a collection its number of elements; streams are not counted, as upstream.
//! Sizes fall into classes by powers of two. The table of the keyspace counts its entries by class, whoever changes them
//! ([`crate::ds::table::Item::class`]), so that the figures are exact and cost no walk.

use super::entry::{Entry, StrRef};
use super::value::Type;
use crate::ds::table::Classes;
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::zset::ZSet;

/// Classes of one type: size 0, then one per power of two.
const PER_TYPE: usize = 48;
/// What is not counted.
const UNCOUNTED: u8 = u8::MAX;

/// Types in INFO's order, with what it calls their sizes.
pub const COUNTED: [(Type, &str); 5] = [
    (Type::String, "strings_sizes"),
    (Type::List, "lists_items"),
    (Type::Set, "sets_items"),
    (Type::ZSet, "zsets_items"),
    (Type::Hash, "hashes_items"),
];

/// The class of an entry.
#[inline]
pub(super) fn class_of(e: &Entry) -> u8 {
    let size = match e.ty() {
        Type::String => e.str().map_or(0, string_size),
        Type::List => e.value::<List>().map_or(0, |l| l.len()),
        Type::Set => e.value::<Set>().map_or(0, |s| s.len()),
        Type::ZSet => e.value::<ZSet>().map_or(0, |z| z.len()),
        Type::Hash => e.value::<Hash>().map_or(0, |h| h.len()),
        Type::Stream => return UNCOUNTED,
    };
    let power = (usize::BITS - size.leading_zeros()) as usize;
    (e.ty() as usize * PER_TYPE + power.min(PER_TYPE - 1)) as u8
}

/// Length of a string's text.
#[inline]
fn string_size(s: StrRef<'_>) -> usize {
    match s {
        StrRef::Int(i) => {
            let digits = i.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
            digits + usize::from(i < 0)
        }
        StrRef::Bytes(b) => b.len(),
        StrRef::Shared(b) => b.len(),
    }
}

/// The classes of a type that are not empty: the smallest size of each, and how many keys there are.
pub fn histogram(classes: &Classes, ty: Type) -> impl Iterator<Item = (u64, u64)> + '_ {
    let first = ty as usize * PER_TYPE;
    classes[first..first + PER_TYPE]
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0)
        .map(|(power, &n)| (if power == 0 { 0 } else { 1 << (power - 1) }, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::ds::quicklist::{End, Fill};
    use crate::ds::rng::Rng;
    use crate::ds::table::Table;
    use crate::keyspace::{NewStr, ValueMut};
    use crate::types::list::ListLimits;

    const _: () = assert!(COUNTED.len() * PER_TYPE < UNCOUNTED as usize);

    /// What the counts must be, by a walk.
    fn walked(table: &Table<Entry>) -> Classes {
        let mut all = [0; 256];
        table
            .iter()
            .for_each(|e| all[usize::from(class_of(&e))] += 1);
        all
    }

    #[test]
    fn counts_follow_random_changes() {
        let limits = ListLimits {
            fill: Fill::new(-2),
            compress_depth: 0,
        };
        let (mut table, mut rng) = (Table::<Entry>::new(), Rng::new(11));
        for step in 0..20_000 {
            let key = format!("key:{}", rng.below(200)).into_bytes();
            let h = hash(&key);
            let text = vec![b'x'; rng.below(70)];
            match (rng.below(6), table.contains(h, &key)) {
                (0, true) => drop(table.remove(h, &key)),
                (_, false) if rng.below(2) == 0 => {
                    table.insert_new(h, Entry::collection(&key, List::new(), None));
                }
                (_, false) => table.insert_new(h, Entry::string(&key, &NewStr::Copy(&text), None)),
                (choice, true) => {
                    let mut e = table.find_mut(h, &key).unwrap();
                    match e.ty() {
                        Type::String if choice == 1 => e.set_string(&NewStr::Int(step), None),
                        Type::String if choice == 2 => e.string_vec().extend_from_slice(&text),
                        Type::String => e.set_string(&NewStr::Copy(&text), None),
                        _ if choice == 1 => {
                            let other = Entry::string(&key, &NewStr::Copy(&text), None);
                            drop(e.replace(other));
                        }
                        _ => {
                            let mut l = ValueMut::<List>::of(e).unwrap();
                            for _ in 0..choice {
                                l.push(End::Tail, &text, &limits);
                            }
                        }
                    }
                }
            }
            if step % 500 == 0
                && let Some(counted) = table.classes()
            {
                assert_eq!(counted, &walked(&table));
            }
        }
        let full = table.take();
        assert!(table.classes().is_none() && full.classes() == Some(&walked(&full)));
    }

    #[test]
    fn sizes_fall_into_powers_of_two() {
        let mut table = Table::<Entry>::new();
        let texts: [&[u8]; 6] = [b"", b"1", b"-12", b"1234567", b"12345678", &[b'x'; 1024]];
        for (i, text) in texts.into_iter().enumerate() {
            let key = [b'a' + i as u8];
            table.insert_new(hash(&key), Entry::string(&key, &NewStr::Copy(text), None));
        }
        let found: Vec<_> = histogram(table.classes().unwrap(), Type::String).collect();
        let expected = [(0, 1), (1, 1), (2, 1), (4, 1), (8, 1), (1024, 1)];
        assert_eq!(found, expected);
        assert_eq!(histogram(table.classes().unwrap(), Type::Set).count(), 0);
    }
}
