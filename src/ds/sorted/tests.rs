//! The tree against a `BTreeSet`, with random operations of all kinds; blocks are poisoned when freed, so a stale separator shows.
use std::collections::BTreeSet;

use super::{Scored, Tree};
use crate::ds::rng::{Rng, rounds};
use crate::sys::relocate::MoveAll;

/// A member block as the tests own it.
struct Block {
    score: f64,
    member: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Handle(*const Block);

impl Scored for Handle {
    unsafe fn score(self) -> f64 {
        unsafe { (*self.0).score }
    }
    unsafe fn member<'a>(self) -> &'a [u8] {
        unsafe { &(*self.0).member }
    }
    fn address(self) -> *const u8 {
        self.0.cast()
    }
}

/// Order of the model: total order of floats with both zeros made one.
type Key = (i64, Vec<u8>);

fn key(score: f64, member: &[u8]) -> Key {
    let bits = (score + 0.0).to_bits() as i64;
    (
        if bits < 0 { bits ^ i64::MAX } else { bits },
        member.to_vec(),
    )
}

struct Both {
    tree: Tree<Handle>,
    model: BTreeSet<Key>,
    blocks: std::collections::BTreeMap<Key, Handle>,
}

impl Both {
    fn new() -> Self {
        Both {
            tree: Tree::new(),
            model: BTreeSet::new(),
            blocks: Default::default(),
        }
    }

    fn insert(&mut self, score: f64, member: Vec<u8>) {
        let k = key(score, &member);
        if self.model.insert(k.clone()) {
            let h = Handle(Box::into_raw(Box::new(Block { score, member })));
            self.blocks.insert(k, h);
            unsafe { self.tree.insert(h) };
        }
    }

    fn free(h: Handle) {
        unsafe {
            let block = h.0.cast_mut();
            (*block).score = f64::NAN;
            (*block).member.fill(0xee);
            drop(Box::from_raw(block));
        }
    }

    fn remove(&mut self, k: &Key) {
        assert!(self.model.remove(k));
        let h = self.blocks.remove(k).unwrap();
        assert!(unsafe { self.tree.remove(h) });
        assert!(!unsafe { self.tree.remove(h) });
        Self::free(h);
    }

    /// Puts the member of rank `rank` into another block.
    fn replace(&mut self, rank: usize) {
        let Some(old) = self.tree.by_rank(rank) else {
            return;
        };
        let (score, member) = unsafe { (old.score(), old.member().to_vec()) };
        let k = key(score, &member);
        let new = Handle(Box::into_raw(Box::new(Block { score, member })));
        unsafe {
            assert!(self.tree.replace(old, new));
            assert!(!self.tree.replace(old, new), "it is gone");
        }
        self.blocks.insert(k, new);
        Self::free(old);
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        let want: Vec<Key> = self.model.iter().skip(start).take(count).cloned().collect();
        let mut got = Vec::new();
        self.tree.remove_range(start, count, |h| {
            got.push(unsafe { key(h.score(), h.member()) });
            Self::free(h);
        });
        assert_eq!(got, want);
        for k in want {
            self.model.remove(&k);
            self.blocks.remove(&k);
        }
    }

    fn compare(&self, rng: &mut Rng) {
        self.tree.check_invariants();
        let keys: Vec<&Key> = self.model.iter().collect();
        assert_eq!(self.tree.len(), keys.len());
        let of = |h: Handle| unsafe { key(h.score(), h.member()) };
        assert!(
            self.tree
                .iter()
                .map(of)
                .eq(keys.iter().map(|k| (*k).clone()))
        );
        assert!(
            self.tree
                .end()
                .backward(usize::MAX)
                .map(of)
                .eq(keys.iter().rev().map(|k| (*k).clone()))
        );
        assert_eq!(
            self.tree.first().map(of),
            keys.first().map(|k| (*k).clone())
        );
        assert_eq!(self.tree.last().map(of), keys.last().map(|k| (*k).clone()));
        assert!(self.tree.by_rank(keys.len()).is_none());
        for _ in 0..8.min(keys.len()) {
            let r = rng.below(keys.len());
            let h = self.blocks[keys[r]];
            assert_eq!(unsafe { self.tree.rank(h) }, Some(r));
            assert_eq!(self.tree.by_rank(r), Some(h));
            let n = rng.below(100);
            let at = self.tree.position(r);
            assert_eq!(at.rank, r);
            assert!(
                at.forward(n)
                    .map(of)
                    .eq(keys[r..].iter().take(n).map(|k| (*k).clone()))
            );
            assert!(
                at.backward(n)
                    .map(of)
                    .eq(keys[..r].iter().rev().take(n).map(|k| (*k).clone()))
            );
            let score = unsafe { h.score() };
            let low = keys.iter().filter(|k| k.0 < key(score, b"").0).count();
            let high = keys.iter().filter(|k| k.0 <= key(score, b"").0).count();
            assert_eq!(self.tree.lower_bound(score, true).rank, low);
            assert_eq!(self.tree.lower_bound(score, false).rank, high);
        }
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        self.tree.clear();
        assert!(self.tree.is_empty() && self.tree.node_bytes() == 512);
        self.blocks.values().for_each(|&h| Self::free(h));
    }
}

fn score(kind: usize, rng: &mut Rng) -> f64 {
    match kind {
        0 => 0.0,
        1 => [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            5e-324,
        ][rng.below(8)],
        2 => rng.below(50) as f64 - 25.0,
        _ => rng.next_u64() as i64 as f64 / 1e6,
    }
}

fn member(kind: usize, rng: &mut Rng) -> Vec<u8> {
    let n = if kind == 1 {
        rng.below(400)
    } else {
        rng.below(6)
    };
    (0..n)
        .map(|_| {
            if kind == 2 {
                rng.below(256) as u8
            } else {
                b'a' + rng.below(4) as u8
            }
        })
        .collect()
}

#[test]
fn random_operations_agree_with_a_btreeset() {
    for seed in 0..if cfg!(miri) { 4 } else { 24 } {
        let mut rng = Rng::new(seed);
        let (score_kind, member_kind) = (seed as usize % 4, rng.below(3));
        let mut both = Both::new();
        let (mut mover, mut place) = (MoveAll::default(), 0);
        for phase in 0..6 {
            let delete_weight = [10, 90, 45, 70, 20, 95][phase];
            for _ in 0..if cfg!(miri) { 60 } else { 1500 } {
                // Blocks and nodes move meanwhile.
                both.replace(rng.below(both.tree.len() + 1));
                place = both.tree.relocate(&mut mover, place, 20);
                if rng.below(100) >= delete_weight {
                    let m = if score_kind == 0 {
                        rng.next_u64().to_be_bytes().to_vec()
                    } else {
                        member(member_kind, &mut rng)
                    };
                    both.insert(score(score_kind, &mut rng), m);
                } else if !both.model.is_empty() {
                    let n = both.tree.len();
                    if rng.below(40) == 0 {
                        both.remove_range(rng.below(n), rng.below(n / 3 + 2));
                    } else {
                        let h = both.tree.by_rank(rng.below(n)).unwrap();
                        both.remove(&unsafe { key(h.score(), h.member()) });
                    }
                }
            }
            both.compare(&mut rng);
        }
        both.remove_range(0, usize::MAX);
        both.compare(&mut rng);
    }
}

#[test]
#[cfg_attr(miri, ignore = "it needs a big tree")]
fn many_levels_grow_and_collapse_again() {
    for pattern in 0..3 {
        let mut both = Both::new();
        let mut rng = Rng::new(7);
        let n = 120_000usize;
        for i in 0..n {
            let s = match pattern {
                0 => i as f64,
                1 => -(i as f64),
                _ => rng.next_u64() as f64,
            };
            both.insert(s, i.to_be_bytes().to_vec());
        }
        both.compare(&mut rng);
        let per_member = both.tree.node_bytes() as f64 / n as f64;
        assert!(
            per_member < 12.7,
            "{per_member} bytes of nodes per member, pattern {pattern}"
        );
        while both.tree.len() > 10 {
            let len = both.tree.len();
            for _ in 0..(len / 2).max(1) {
                let h = match pattern {
                    0 => both.tree.first().unwrap(),
                    1 => both.tree.last().unwrap(),
                    _ => both.tree.by_rank(rng.below(both.tree.len())).unwrap(),
                };
                both.remove(&unsafe { key(h.score(), h.member()) });
            }
            both.compare(&mut rng);
            assert!(
                both.tree.node_bytes() <= 2048 + both.tree.len() * 40,
                "nodes are released"
            );
        }
    }
}

#[test]
fn lexicographic_bounds() {
    let mut both = Both::new();
    let mut rng = Rng::new(3);
    for _ in 0..rounds(3000) {
        both.insert(0.0, member(0, &mut rng));
        both.insert(-0.0, rng.next_u64().to_string().into_bytes());
    }
    for _ in 0..rounds(500) {
        let m = member(0, &mut rng);
        assert_eq!(
            both.tree.lower_bound_lex(&m, true).rank,
            both.model.iter().filter(|k| k.1 < m).count()
        );
        assert_eq!(
            both.tree.lower_bound_lex(&m, false).rank,
            both.model.iter().filter(|k| k.1 <= m).count()
        );
    }
}
