//! The table against `HashMap` under random operations, SCAN under churn, fairness of draws, colliding hashes.

use super::*;
use crate::ds::hash::hash;
use crate::ds::item::SetMember;
use crate::ds::rng::{Rng, rounds};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

thread_local! { static LIVE: Cell<isize> = const { Cell::new(0) }; }

/// A key that carries its own hash, counts its instances and can move.
struct Probe(NonNull<u8>);
struct Body {
    hash: u64,
    key: u64,
    value: u64,
}

impl Probe {
    fn new(hash: u64, key: u64, value: u64) -> Probe {
        LIVE.with(|l| l.set(l.get() + 1));
        let body = Box::new(Body { hash, key, value });
        Probe(NonNull::from(Box::leak(body)).cast())
    }
    fn body(&self) -> &Body {
        // SAFETY: made from a Box<Body> in `new`.
        unsafe { self.0.cast::<Body>().as_ref() }
    }
    /// Replaces the allocation, as a growing item would.
    fn relocate(&mut self, value: u64) {
        *self = Probe::new(self.body().hash, self.body().key, value);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        LIVE.with(|l| l.set(l.get() - 1));
        // SAFETY: made from a Box<Body> in `new`, dropped once.
        drop(unsafe { Box::from_raw(self.0.cast::<Body>().as_ptr()) });
    }
}

// SAFETY: a Box in other clothes; the key lies inside the box.
unsafe impl Item for Probe {
    fn key(&self) -> &[u8] {
        // SAFETY: eight plain bytes inside the box.
        unsafe { std::slice::from_raw_parts((&raw const self.body().key).cast(), 8) }
    }
    fn hash(&self) -> u64 {
        self.body().hash
    }
    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0
    }
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Probe(raw)
    }
}

type Hasher = fn(u64) -> u64;
fn good(k: u64) -> u64 {
    hash(&k.to_ne_bytes())
}

fn check(t: &Table<Probe>, model: &HashMap<u64, (u64, bool)>) {
    t.check_invariants();
    assert_eq!(t.len(), model.len());
    assert_eq!(t.iter().len(), model.len());
    let seen: HashMap<u64, u64> = t.iter().map(|p| (p.body().key, p.body().value)).collect();
    assert_eq!(seen.len(), model.len());
    assert!(model.iter().all(|(k, (v, _))| seen[k] == *v));
    assert_eq!(t.marked(), model.values().filter(|m| m.1).count());
    assert_eq!(LIVE.with(Cell::get), model.len() as isize);
}

/// Random operations; the number of keys swings between empty and `range`.
fn model_run(seed: u64, range: usize, ops: usize, h: Hasher) {
    let (range, ops) = (rounds(range).max(range.min(300)), rounds(ops));
    let mut r = Rng::new(seed);
    let (mut t, mut model) = (Table::<Probe>::new(), HashMap::new());
    let every = (ops / 12).max(1);
    for op in 0..ops {
        let k = r.below(range) as u64;
        let (hk, key) = (h(k), k.to_ne_bytes());
        let growing = (op / (ops / 6).max(1)).is_multiple_of(2);
        match r.below(12) {
            0..=4 if growing => {
                let mark = model.get(&k).map(|m: &(u64, bool)| m.1);
                let old = t.insert(hk, Probe::new(hk, k, op as u64));
                assert_eq!(old.map(|o| o.body().value), model.get(&k).map(|m| m.0));
                model.insert(k, (op as u64, mark.unwrap_or(false)));
            }
            0..=4 => {
                let old = t.remove(hk, &key).map(|o| o.body().value);
                assert_eq!(old, model.remove(&k).map(|m| m.0));
            }
            5 | 6 if !model.contains_key(&k) && growing => {
                let mark = r.below(3) == 0;
                t.insert_marked(hk, Probe::new(hk, k, 1), mark);
                model.insert(k, (1, mark));
            }
            5 | 6 => {
                let mark = r.below(2) == 0;
                assert_eq!(t.set_mark(hk, &key, mark), model.contains_key(&k));
                model.entry(k).and_modify(|m| m.1 = mark);
            }
            7 => {
                if let Some(mut p) = t.find_mut(hk, &key) {
                    p.relocate(op as u64);
                    assert_eq!(p.mark(), model[&k].1);
                    model.get_mut(&k).unwrap().0 = op as u64;
                }
            }
            8 => {
                assert_eq!(t.contains(hk, &key), model.contains_key(&k));
                assert_eq!(t.is_marked(hk, &key), model.get(&k).is_some_and(|m| m.1));
                t.prefetch_bucket(hk);
                t.prefetch_item(hk);
            }
            9 if r.below(2000) == 0 => {
                t.set_resize_paused(r.below(2) == 0);
                t.compact();
            }
            _ => {
                let found = t.find(hk, &key).map(|p| p.body().value);
                assert_eq!(found, model.get(&k).map(|m| m.0));
            }
        }
        if op % every == 0 {
            check(&t, &model);
        }
    }
    check(&t, &model);
    t.set_resize_paused(false);
    for k in model.keys().copied().collect::<Vec<_>>() {
        assert!(t.remove(h(k), &k.to_ne_bytes()).is_some());
        model.remove(&k);
    }
    check(&t, &model);
    assert_eq!((t.mem_bytes(), t.marked()), (0, 0));
}

#[test]
fn agrees_with_a_model() {
    assert!(size_of::<Table<SetMember>>() <= 48);
    model_run(1, 5, 4_000, good);
    model_run(2, 60, 20_000, good);
    model_run(3, 2_000, 60_000, good);
    model_run(4, 40_000, 400_000, good);
}

#[test]
fn agrees_with_a_model_when_hashes_collide() {
    model_run(5, 1_500, 30_000, |_| 0);
    model_run(6, 1_500, 30_000, |_| u64::MAX);
    model_run(7, 4_000, 60_000, |k| k & 3);
    model_run(8, 20_000, 150_000, |k| good(k) >> 30);
    model_run(9, 20_000, 150_000, |k| good(k) | 0xfff0 << 48);
    model_run(10, 20_000, 150_000, |k| {
        if k % 2 == 0 { good(k) } else { good(k) >> 21 }
    });
    model_run(11, 8_000, 60_000, |k| good(k) & 0xff);
}

#[test]
#[cfg_attr(miri, ignore = "it needs a big table")]
fn colliding_prefixes_do_not_explode() {
    let mut t = Table::<Probe>::new();
    for k in 0..60_000u64 {
        let h = good(k) >> 40;
        t.insert_new(h, Probe::new(h, k, 0));
    }
    t.check_invariants();
    assert!(t.mem_bytes() < 60_000 * 20, "{}", t.mem_bytes());
    for k in 0..60_000u64 {
        assert!(t.remove(good(k) >> 40, &k.to_ne_bytes()).is_some());
    }
    assert_eq!(t.mem_bytes(), 0);
}

#[test]
#[cfg_attr(miri, ignore = "it needs a big table")]
fn memory_follows_the_length_up_and_down() {
    let mut t = Table::<Probe>::new();
    let n = 200_000u64;
    for k in 0..n {
        t.insert_new(good(k), Probe::new(good(k), k, 0));
        if k > 1000 && k % 5_000 == 0 {
            assert!(t.mem_bytes() < 14 * t.len(), "{} at {k}", t.mem_bytes());
        }
    }
    let lgd = t.lgd;
    assert!(lgd >= 6);
    for k in 0..n - 1_500 {
        t.remove(good(k), &k.to_ne_bytes()).unwrap();
        if k % 5_000 == 0 {
            assert!(t.mem_bytes() < 26 * t.len(), "{} at {k}", t.mem_bytes());
        }
    }
    assert!(t.lgd <= 2, "the directory halves again: {}", t.lgd);
    t.check_invariants();
    t.clear();
    assert_eq!((t.len(), t.mem_bytes(), LIVE.with(Cell::get)), (0, 0, 0));
}

#[test]
#[cfg_attr(miri, ignore = "it needs a big table")]
fn paused_tables_shrink_when_compacted() {
    let mut t = Table::<Probe>::with_capacity(50_000);
    t.check_invariants();
    let reserved = t.mem_bytes();
    assert!(reserved > 50_000 * 9);
    for k in 0..50_000u64 {
        t.insert_new(good(k), Probe::new(good(k), k, 0));
    }
    assert!(t.mem_bytes() < 50_000 * 14);
    t.set_resize_paused(true);
    for k in 10..50_000u64 {
        t.remove(good(k), &k.to_ne_bytes()).unwrap();
    }
    assert!(t.mem_bytes() >= reserved / 2);
    t.set_resize_paused(false);
    t.compact();
    t.check_invariants();
    assert!(t.mem_bytes() <= 256, "{}", t.mem_bytes());
    assert_eq!(t.len(), 10);
}

#[test]
fn into_iter_and_drain_own_the_items() {
    let mut t = Table::<Probe>::new();
    for k in 0..5_000u64 {
        t.insert_marked(good(k), Probe::new(good(k), k, 0), k % 2 == 0);
    }
    let taken: HashSet<u64> = t.drain().take(2_000).map(|p| p.body().key).collect();
    assert_eq!((taken.len(), t.len(), t.marked()), (2_000, 0, 0));
    assert_eq!(
        LIVE.with(Cell::get),
        0,
        "the rest is dropped with the iterator"
    );
    t.insert_new(good(1), Probe::new(good(1), 1, 0));
    assert_eq!(t.into_iter().count(), 1);
    assert_eq!(LIVE.with(Cell::get), 0);
}

/// One full scan while `churn` runs between the calls; how often each key was seen.
fn scan_all(
    t: &mut Table<Probe>,
    count: usize,
    marked: bool,
    mut churn: impl FnMut(&mut Table<Probe>),
) -> HashMap<u64, usize> {
    let (mut seen, mut cursor, mut calls) = (HashMap::new(), 0, 0);
    loop {
        let mut f = |p: &Probe| *seen.entry(p.body().key).or_insert(0) += 1;
        cursor = match marked {
            true => t.scan_marked(cursor, count, &mut f),
            false => t.scan(cursor, count, &mut f),
        };
        assert!(cursor < 1 << 52);
        calls += 1;
        assert!(calls < 1_000_000);
        if cursor == 0 {
            return seen;
        }
        churn(t);
    }
}

fn scan_under_churn(seed: u64, h: Hasher, stable: u64, transient: u64) {
    let (stable, transient) = (
        rounds(stable as usize) as u64,
        rounds(transient as usize) as u64,
    );
    let mut r = Rng::new(seed);
    for round in 0..6 {
        let mut t = Table::<Probe>::new();
        let mut extra: Vec<u64> = Vec::new();
        let mut next = stable;
        for k in 0..stable {
            t.insert_marked(h(k), Probe::new(h(k), k, 0), k % 3 == 0);
        }
        if round % 2 == 1 {
            for _ in 0..transient {
                t.insert_new(h(next), Probe::new(h(next), next, 0));
                extra.push(next);
                next += 1;
            }
        }
        let seen = scan_all(&mut t, 1 + r.below(30), round % 3 == 2, |t| {
            for _ in 0..r.below(transient as usize / 8 + 2) {
                if round % 2 == 1 && !extra.is_empty() {
                    let k = extra.swap_remove(r.below(extra.len()));
                    assert!(t.remove(h(k), &k.to_ne_bytes()).is_some());
                } else if next < stable + transient {
                    t.insert_marked(
                        h(next),
                        Probe::new(h(next), next, 0),
                        next.is_multiple_of(2),
                    );
                    extra.push(next);
                    next += 1;
                }
            }
        });
        for k in (0..stable).filter(|k| round % 3 != 2 || k % 3 == 0) {
            assert_eq!(seen.get(&k), Some(&1), "key {k} in round {round}");
        }
        assert!(seen.values().all(|n| *n == 1));
    }
}

#[test]
fn scan_returns_stable_keys_once_under_growth_and_shrink() {
    scan_under_churn(1, good, 3, 50);
    scan_under_churn(2, good, 300, 4_000);
    scan_under_churn(3, good, 5_000, 60_000);
    scan_under_churn(4, |k| good(k) >> 25, 2_000, 5_000);
    scan_under_churn(5, |k| good(k) & 0xf, 500, 500);
    scan_under_churn(6, |_| u64::MAX, 300, 300);
}

#[test]
fn any_cursor_is_valid() {
    let mut t = Table::<Probe>::new();
    let mut r = Rng::new(9);
    assert_eq!(t.scan(77, 10, &mut |_| ()), 0);
    for k in 0..rounds(3_000) as u64 {
        t.insert_new(good(k), Probe::new(good(k), k, 0));
        let cursor = r.next_u64() >> r.below(64);
        assert!(t.scan(cursor, 5, &mut |_| ()) < 1 << 52);
    }
    assert_eq!(t.scan(u64::MAX, 10, &mut |_| ()), 0);
}

/// chi2 / degrees of freedom of counts that should be equal.
fn chi2(counts: &HashMap<u64, u64>, keys: u64) -> f64 {
    let total: u64 = counts.values().sum();
    let expected = total as f64 / keys as f64;
    let square = |k| (counts.get(&k).copied().unwrap_or(0) as f64 - expected).powi(2);
    (0..keys).map(square).sum::<f64>() / expected / (keys - 1) as f64
}

#[test]
#[cfg_attr(miri, ignore = "it needs a big table")]
fn draws_are_uniform() {
    let lopsided = |k: u64| if k < 1_500 { good(k) >> 12 } else { good(k) };
    let cases: [(u64, Hasher); 5] = [
        (1, good),
        (30, good),
        (1_000, good),
        (9_000, good),
        (4_000, lopsided),
    ];
    for (n, h) in cases {
        let mut r = Rng::new(n);
        let mut t = Table::<Probe>::new();
        assert!(t.random(&mut r).is_none());
        for k in 0..n {
            t.insert_new(h(k), Probe::new(h(k), k, 0));
        }
        let (mut draws, mut runs) = (HashMap::new(), HashMap::new());
        for _ in 0..n * 100 {
            *draws
                .entry(t.random(&mut r).unwrap().body().key)
                .or_insert(0) += 1;
        }
        for _ in 0..n * 20 {
            t.sample_run(&mut r, 5, &mut |p| {
                *runs.entry(p.body().key).or_insert(0) += 1
            });
        }
        if n == 1 {
            continue;
        }
        let limit = 1.0 + 6.0 * (2.0 / n as f64).sqrt();
        let x = chi2(&draws, n);
        assert!(x < limit, "chi2/df {x} of {n} keys");
        assert_eq!(runs.len(), n as usize, "no key is starved");
    }
}

#[test]
fn runs_are_distinct_and_complete() {
    let mut r = Rng::new(5);
    for n in [1u64, 7, 8, 100, 3_000] {
        let mut t = Table::<Probe>::new();
        for k in 0..n {
            t.insert_marked(good(k), Probe::new(good(k), k, 0), k % 10 == 0);
        }
        for want in [1, 5, n as usize / 2, n as usize, n as usize + 9] {
            let mut seen = Vec::new();
            t.sample_run(&mut r, want, &mut |p| seen.push(p.body().key));
            assert_eq!(seen.len(), want.min(n as usize));
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
            let mut marked = Vec::new();
            let got = t.sample_marked(&mut r, want, usize::MAX, &mut |p| marked.push(p.body().key));
            assert_eq!(got, want.min(t.marked()));
            assert!(marked.len() == got && marked.iter().all(|k| k % 10 == 0));
            assert_eq!(marked.iter().collect::<HashSet<_>>().len(), got);
        }
        assert_eq!(t.sample_marked(&mut r, 5, 0, &mut |_| ()), 0);
    }
}

#[test]
fn borrowed_keys_outlive_the_guard() {
    let mut t = Table::<SetMember>::new();
    let h = hash(b"abc");
    assert!(t.insert(h, SetMember::new(b"abc")).is_none());
    assert!(t.insert(h, SetMember::new(b"abc")).is_some());
    let key: &[u8] = t.find(h, b"abc").unwrap().into_key();
    assert_eq!(key, b"abc");
}

/// Time this thread ran, without what other processes took: the machines are shared.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// Speed against the spike: `cargo test --profile quick --lib table::tests::speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    for n in [1_000u64, 100_000, 1_000_000] {
        // Made by arithmetic, so that only the table's own cache misses count.
        let key = |i: usize| (i as u128 * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_ne_bytes();
        let rounds = (2_000_000 / n).max(1);
        let mut t = Table::<SetMember>::new();
        let start = cpu_ns();
        for _ in 0..rounds {
            t.clear();
            for i in 0..n as usize {
                let (k, h) = (key(i), hash(&key(i)));
                if !t.contains(h, &k) {
                    t.insert_new(h, SetMember::new(&k));
                }
            }
        }
        let insert = (cpu_ns() - start) as f64 / (rounds * n) as f64;
        let mut r = Rng::new(1);
        let mut line = format!(
            "n {n} mem {:.2} insert+free {insert:.0}",
            t.mem_bytes() as f64 / n as f64
        );
        let mut dependent = 0;
        let start = cpu_ns();
        for _ in 0..2_000_000 {
            let k = key((r.below(n as usize) + dependent) % n as usize);
            dependent = t.find(hash(&k), &k).unwrap().member().len() & 1;
        }
        line += &format!(" hit {:.0}", (cpu_ns() - start) as f64 / 2e6);
        let start = cpu_ns();
        for i in 0..2_000_000u64 {
            let k = (r.next_u64() | 1).to_ne_bytes();
            assert!(!t.contains(hash(&k), &k), "{i}");
        }
        line += &format!(" miss {:.0}", (cpu_ns() - start) as f64 / 2e6);
        let start = cpu_ns();
        let mut batch = [0usize; 32];
        for _ in 0..2_000_000 / 32 {
            batch.fill_with(|| r.below(n as usize));
            let hashes = batch.map(|i| hash(&key(i)));
            hashes.iter().for_each(|h| t.prefetch_bucket(*h));
            hashes.iter().for_each(|h| t.prefetch_item(*h));
            for (i, h) in batch.iter().zip(hashes) {
                assert!(t.find(h, &key(*i)).is_some());
            }
        }
        line += &format!(" batch32 {:.0}", (cpu_ns() - start) as f64 / 2e6);
        let start = cpu_ns();
        let bytes: usize = t.iter().map(|m| m.member().len()).sum();
        line += &format!(" iter {:.1}", (cpu_ns() - start) as f64 / n as f64);
        assert_eq!(bytes as u64, n * 16);
        println!("{line}");
    }
}
