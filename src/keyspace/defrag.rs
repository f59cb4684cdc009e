//! The walk of active defragmentation over all keys: who is shown to the mover, and where the walk goes on.
//!
//! A pass goes through the databases by the order of their tables; a [`Walk`] holds the place, so that it can stop after every
//! step. A step is a handful of keys, or a stretch of one big collection: those with more than `max_fields` elements (at
//! most [`AT_ONCE`]) are noted by name when the walk meets them, and come at once after the step, so the list of them stays short.
//!
//! **Who points where.** The walk may move a block only because everybody who knows its address is told. An entry is known to its
//! slot of the table; everything else (the expiry wheel, watches, blocked clients, indexes of times) knows keys by name or hash.
//! What an entry's word owns is known to nobody else, inside of it each structure knows its own (`relocate` of the types). Long
//! strings may be shared with replies: those are left alone. No reference into the keyspace outlives a command, and no step happens
//! within one.
//!
//! Not moved: the notes about times of keys and fields ([`super::expire`], [`super::fields`]), which are few large blocks or
//! nodes of the standard library's trees.

use super::db::Keyspace;
use super::entry::Entry;
use crate::ds::hash::hash;
use crate::ds::table::Item;
use crate::sys::relocate::Mover;
use std::collections::VecDeque;

/// Elements of a collection done at once, and keys visited in a step.
const AT_ONCE: usize = 128;
const KEYS_AT_ONCE: usize = 16;

/// Where a pass is, and what it met.
#[derive(Debug, Default)]
pub struct Walk {
    db: usize,
    cursor: u64,
    /// Big collections met in the last step.
    later: VecDeque<Later>,
    /// Keys with something that moved (INFO `active_defrag_key_hits`).
    pub key_hits: u64,
    /// Keys without (INFO `active_defrag_key_misses`).
    pub key_misses: u64,
}

/// A big collection, and how far it is done.
#[derive(Debug)]
struct Later {
    db: usize,
    key: Box<[u8]>,
    from: u64,
    moved: bool,
}

impl Walk {
    /// Goes back to the start.
    pub fn restart(&mut self) {
        (self.db, self.cursor) = (0, 0);
        self.later.clear();
    }

    /// One bounded step of the pass. `max_fields`: collections of more elements are done in several steps. True when the pass is
    /// over; the next step begins another one.
    pub fn step(&mut self, ks: &mut Keyspace, max_fields: usize, mover: &mut dyn Mover) -> bool {
        if let Some(later) = self.later.pop_front() {
            self.go_on_with(later, ks, mover);
            return false;
        }
        let Some(db) = ks.dbs.get_mut(self.db) else {
            self.restart();
            return true;
        };
        let (number, later) = (self.db, &mut self.later);
        let (mut hits, mut misses) = (0, 0);
        self.cursor = db
            .keys
            .relocate(self.cursor, KEYS_AT_ONCE, mover, &mut |e, mover| {
                let before = mover.moved();
                e.relocate(mover);
                let moved = || mover.moved() != before;
                if e.free_effort() > max_fields.min(AT_ONCE) {
                    later.push_back(Later {
                        db: number,
                        key: e.key().into(),
                        from: 0,
                        moved: moved(),
                    });
                    return;
                }
                let _all_at_once = e.relocate_value(mover, 0, usize::MAX);
                if mover.moved() != before {
                    hits += 1;
                } else {
                    misses += 1;
                }
            });
        self.key_hits += hits;
        self.key_misses += misses;
        if self.cursor == 0 {
            self.db += 1;
        }
        false
    }

    fn go_on_with(&mut self, mut later: Later, ks: &mut Keyspace, mover: &mut dyn Mover) {
        let before = mover.moved();
        let table = &mut ks.dbs[later.db].keys;
        // Gone, or another value by now: its place in it means little, which does no harm.
        if let Some(mut e) = table.find_mut(hash(&later.key), &later.key) {
            let e: &mut Entry = &mut e;
            later.from = e.relocate_value(mover, later.from, AT_ONCE);
        } else {
            later.from = 0;
        }
        later.moved |= mover.moved() != before;
        if later.from != 0 {
            self.later.push_front(later);
        } else if later.moved {
            self.key_hits += 1;
        } else {
            self.key_misses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::ds::quicklist::{End, Fill};
    use crate::ds::rng::{Rng, rounds};
    use crate::ds::stream::StreamId;
    use crate::keyspace::entry::{NewStr, StrRef};
    use crate::keyspace::lazyfree::LazyFree;
    use crate::sys::relocate::MoveAll;
    use crate::types::list::{List, ListLimits};
    use crate::types::set::{Set, SetLimits};
    use crate::types::stream::{AddId, NodeLimits, Stream};
    use crate::types::zset::{self, ZSet};

    const SET: SetLimits = SetLimits {
        max_intset: 16,
        max_entries: 8,
        max_value: 64,
    };
    const ZSETS: zset::Limits = zset::Limits {
        max_entries: 8,
        max_value: 64,
    };

    /// A value of `n` elements; what kind is up to `i`.
    fn entry(key: &[u8], i: usize, n: usize) -> Entry {
        let expire = i.is_multiple_of(3).then_some(1 << 50);
        let text = |j: usize| format!("element:{i}:{j}").into_bytes();
        match i % 7 {
            0 => Entry::string(key, &NewStr::Copy(&text(n)), expire),
            1 => Entry::string(key, &NewStr::Copy(&vec![b'x'; n * 100]), expire),
            2 => {
                let mut list = List::new();
                let limits = ListLimits {
                    fill: Fill::new(5),
                    compress_depth: 0,
                };
                (0..n).for_each(|j| list.push(End::Tail, &text(j), &limits));
                Entry::collection(key, list, expire)
            }
            3 => {
                let mut set = Set::new();
                (0..n).for_each(|j| assert!(set.add(&text(j), &SET)));
                Entry::collection(key, set, expire)
            }
            4 => {
                let mut set = ZSet::new(0, 0, ZSETS);
                (0..n).for_each(|j| set.insert_new(&text(j), (j % 5) as f64, ZSETS));
                Entry::collection(key, set, expire)
            }
            5 => {
                let mut ints = Set::new_for(b"1", 1, &SET);
                (0..n.min(16)).for_each(|j| {
                    assert!(ints.add((j * i).to_string().as_bytes(), &SET) || i == 0)
                });
                Entry::collection(key, ints, expire)
            }
            _ => {
                let mut stream = Box::new(Stream::new());
                for j in 0..n {
                    let pair = [b"field".as_slice(), &text(j)];
                    let id = AddId::Exact(StreamId::new(j as u64 + 1, 0));
                    let added = stream.log.add(
                        id,
                        0,
                        pair.into_iter(),
                        NodeLimits {
                            max_bytes: 300,
                            max_entries: 7,
                        },
                    );
                    assert!(added.is_ok());
                }
                stream.create_group(b"group", StreamId::ZERO, None);
                Entry::collection(key, stream, expire)
            }
        }
    }

    /// The elements as one text.
    fn picture(e: &Entry) -> String {
        let mut out = format!("{:?} {:?} ", e, e.expire());
        if let Some(s) = e.str() {
            out += &String::from_utf8_lossy(&s.to_vec());
        } else if let Some(l) = e.value::<List>() {
            l.for_each(0, l.len(), |x| out += &format!("{:?} ", x.to_vec()));
        } else if let Some(s) = e.value::<Set>() {
            let mut all: Vec<_> = s.iter().map(|m| m.to_vec()).collect();
            all.sort();
            out += &format!("{all:?}");
        } else if let Some(z) = e.value::<ZSet>() {
            z.check_invariants();
            z.iter()
                .for_each(|(m, s)| out += &format!("{:?} {s} ", m.to_vec()));
        } else if let Some(s) = e.value::<Box<Stream>>() {
            s.check_invariants();
            for x in s.log.range(StreamId::ZERO, StreamId::MAX) {
                out += &format!(
                    "{} {:?} ",
                    x.id,
                    x.fields.map(|(_, v)| v.to_vec()).collect::<Vec<_>>()
                );
            }
        }
        out
    }

    /// Values of every kind, nine of ten deleted, everything moved: all is as it was, found under its key, in its database.
    #[test]
    fn a_pass_moves_everything_and_changes_nothing() {
        let (mut rng, mut mover) = (Rng::new(6), MoveAll::default());
        let mut ks = Keyspace::new(3, 1, LazyFree::inline());
        let n = rounds(4_000).max(70);
        let key = |i: usize| format!("key:{i}").into_bytes();
        for i in 0..n {
            let db = &mut ks.dbs[i % 2 * 2];
            let size = [1, 5, 40, 300][rng.below(4)];
            let e = entry(&key(i), i, size);
            db.keys.insert_marked(hash(&key(i)), e, i % 3 == 0);
        }
        let mut kept = Vec::new();
        for i in 0..n {
            let db = &mut ks.dbs[i % 2 * 2];
            if rng.below(10) > 0 {
                assert!(db.keys.remove(hash(&key(i)), &key(i)).is_some());
            } else {
                let e = db.keys.find(hash(&key(i)), &key(i)).unwrap();
                kept.push((i, picture(&e)));
            }
        }
        let mut walk = Walk::default();
        while !walk.step(&mut ks, 20, &mut mover) {}
        assert!(walk.key_hits as usize >= kept.len() && walk.key_misses == 0);
        assert!(mover.moved > walk.key_hits);
        for (i, before) in &kept {
            let db = &ks.dbs[i % 2 * 2];
            let e = db.keys.find(hash(&key(*i)), &key(*i)).unwrap();
            assert_eq!(&picture(&e), before);
        }
        for db in &ks.dbs {
            db.keys.check_invariants();
        }
        assert_eq!(ks.total_keys(), kept.len());
    }

    /// A long string that a reply still holds stays where it is; a collection that goes while it waits for its turn does no harm.
    #[test]
    fn what_is_shared_or_gone_is_left_alone() {
        let (mut mover, mut walk) = (MoveAll::default(), Walk::default());
        let mut ks = Keyspace::new(1, 1, LazyFree::inline());
        let long = vec![b'x'; crate::keyspace::entry::INLINE_MAX];
        let table = &mut ks.dbs[0].keys;
        table.insert_new(hash(b"s"), Entry::string(b"s", &NewStr::Copy(&long), None));
        let held = match table.find(hash(b"s"), b"s").unwrap().str() {
            Some(StrRef::Shared(s)) => s.to_arc(),
            other => panic!("{other:?}"),
        };
        while !walk.step(&mut ks, 10, &mut mover) {}
        let now = match ks.dbs[0].keys.find(hash(b"s"), b"s").unwrap().str() {
            Some(StrRef::Shared(s)) => s.to_arc(),
            other => panic!("{other:?}"),
        };
        assert!(std::sync::Arc::ptr_eq(&held, &now) && *held == long);

        ks.dbs[0].keys.clear();
        let table = &mut ks.dbs[0].keys;
        table.insert_new(hash(b"z"), entry(b"z", 4, 2_000));
        walk.step(&mut ks, 10, &mut mover);
        walk.step(&mut ks, 10, &mut mover);
        let replaced = entry(b"z", 2, 900);
        drop(ks.dbs[0].keys.insert(hash(b"z"), replaced));
        walk.step(&mut ks, 10, &mut mover);
        assert!(ks.dbs[0].keys.remove(hash(b"z"), b"z").is_some());
        while !walk.step(&mut ks, 10, &mut mover) {}
    }
}
