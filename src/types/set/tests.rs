use super::*;
use crate::ds::rng::Rng;
use std::collections::BTreeSet;

const LIMITS: SetLimits = SetLimits {
    intset_entries: 30,
    listpack_entries: 20,
    listpack_value: 12,
};

fn members(s: &Set) -> BTreeSet<Vec<u8>> {
    let all: Vec<_> = s.iter().map(Entry::to_vec).collect();
    let set: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(all.len(), set.len());
    set
}

fn form(s: &Set) -> usize {
    match s {
        Set::Intset(_) => 0,
        Set::Listpack(_) => 1,
        Set::Table(_) => 2,
    }
}

#[test]
fn random_operations_follow_a_btree() {
    let mut rng = Rng::new(3);
    let mut seen = [0; 3];
    for round in 0..400 {
        let mut model = BTreeSet::new();
        let mut set = Set::for_members(b"1", 1, &LIMITS);
        for _ in 0..rng.below(120) {
            let member = match rng.below(if round % 2 == 0 { 2 } else { 4 }) {
                0 | 1 => (rng.below(90) as i64 - 20).to_string().into_bytes(),
                2 => format!("m{}", rng.below(30)).into_bytes(),
                _ => vec![b'x'; rng.below(14)],
            };
            match rng.below(5) {
                0 => assert_eq!(set.remove(&member), model.remove(&member)),
                1 if !model.is_empty() => {
                    let n = rng.below(model.len());
                    let mut gone = Vec::new();
                    set.pop_many(&mut rng, n, &LIMITS, &mut |m| gone.push(m.to_vec()));
                    assert_eq!(gone.len(), n);
                    gone.iter().for_each(|m| assert!(model.remove(m)));
                }
                _ => assert_eq!(set.add(&member, &LIMITS), model.insert(member.clone())),
            }
            assert_eq!(set.contains(&member), model.contains(&member));
            seen[form(&set)] += 1;
        }
        assert_eq!(members(&set), model);
        assert_eq!(members(&set.clone()), model);
        for m in &model {
            let entry = parse_i64(m).map_or(Entry::Bytes(m), Entry::Int);
            assert!(set.contains_entry(entry));
        }
        let n = rng.below(model.len() + 3);
        let mut some = BTreeSet::new();
        set.random_distinct(&mut rng, n, &mut |m| assert!(some.insert(m.to_vec())));
        assert_eq!(some.len(), n.min(model.len()));
        assert!(some.is_subset(&model));
    }
    assert!(seen.iter().all(|n| *n > 1000), "{seen:?}");
}

/// Steps observed on 8.2.3 by OBJECT ENCODING.
#[test]
fn conversions() {
    let mut s = Set::for_members(b"1", 1, &LIMITS);
    (0..30).for_each(|i| _ = s.add(i.to_string().as_bytes(), &LIMITS));
    assert_eq!(form(&s), 0);
    s.add(b"30", &LIMITS);
    assert_eq!(form(&s), 2);
    let mut s = Set::for_members(b"1", 1, &LIMITS);
    (0..19).for_each(|i| _ = s.add(i.to_string().as_bytes(), &LIMITS));
    s.add(b"x", &LIMITS);
    assert_eq!(form(&s), 1);
    s.add(b"y", &LIMITS);
    assert_eq!(form(&s), 2);
    let mut s = Set::for_members(b"x", 1, &LIMITS);
    s.add(b"thirteenbytes", &LIMITS);
    assert_eq!(form(&s), 2);
    let mut s = Set::for_members(b"1", 1, &LIMITS);
    s.add(b"-123456789012", &LIMITS);
    assert_eq!(form(&s), 0);
    s.add(b"x", &LIMITS);
    assert_eq!(form(&s), 2);
}

#[test]
fn draws_are_fair() {
    let mut rng = Rng::new(9);
    for n in [8usize, 15, 100] {
        let mut set = Set::for_members(b"1", 1, &LIMITS);
        let name = |i: usize| {
            if n == 15 {
                format!("m{i}")
            } else {
                i.to_string()
            }
        };
        (0..n).for_each(|i| _ = set.add(name(i).as_bytes(), &LIMITS));
        for wanted in [1, n / 4, n - 1] {
            let mut hits = std::collections::HashMap::new();
            let rounds = 60_000 / n;
            for _ in 0..rounds {
                set.random_distinct(&mut rng, wanted, &mut |m| {
                    *hits.entry(m.to_vec()).or_insert(0) += 1
                });
            }
            let want = (rounds * wanted) as f64 / n as f64;
            let chi: f64 = hits
                .values()
                .map(|h| (f64::from(*h) - want).powi(2) / want)
                .sum();
            assert_eq!(hits.len(), n);
            assert!(
                chi < n as f64 + 6.0 * (2.0 * n as f64).sqrt(),
                "{n} {wanted} {chi}"
            );
        }
    }
}
