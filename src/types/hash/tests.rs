//! The hash value against a naive model.

use super::*;
use crate::ds::rng::Rng;
use crate::sys::relocate::MoveAll;
use std::collections::BTreeMap;

const LIMITS: HashLimits = HashLimits {
    entries: 24,
    value: 12,
};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn contents(h: &Hash) -> Model {
    let all: Vec<_> = h
        .iter()
        .map(|(n, f)| (n.to_vec(), (f.value.to_vec(), f.expire_ms)))
        .collect();
    let n = all.len();
    let map: Model = all.into_iter().collect();
    assert_eq!((map.len(), h.len()), (n, n));
    map
}

fn check(h: &Hash, model: &Model) {
    assert_eq!(&contents(h), model);
    let next = model.values().filter_map(|(_, t)| *t).min();
    assert_eq!(h.next_expiry(), next);
    match h {
        Hash::Listpack(_) => assert_eq!(next, None),
        Hash::ListpackEx(p) => {
            let times: Vec<_> = h
                .iter()
                .map(|(_, f)| f.expire_ms.unwrap_or(i64::MAX))
                .collect();
            assert!(times.is_sorted());
            assert_eq!(p.pack().len() % 3, 0);
        }
        Hash::Table(t) => t.check_invariants(),
    }
}

#[test]
fn random_operations_follow_a_btree() {
    let mut rng = Rng::new(4);
    let (mut forms, mut mover) = ([0; 3], MoveAll::default());
    for round in 0..600 {
        let (mut h, mut model) = (Hash::default(), Model::new());
        let mut place = 0;
        for _ in 0..rng.below(150) {
            let field = match rng.below(3) {
                0 => rng.below(30).to_string().into_bytes(),
                1 => format!("f{}", rng.below(if round % 3 == 0 { 40 } else { 8 })).into_bytes(),
                _ => vec![b'y'; rng.below(if round % 4 == 0 { 14 } else { 6 })],
            };
            let value = vec![b'0' + rng.below(10) as u8; rng.below(12)];
            // Goes on where it was, whatever happened to the hash meanwhile.
            place = h.relocate(&mut mover, place, 10);
            let at = 1 + rng.below(9) as i64;
            match rng.below(if round % 5 == 0 { 4 } else { 9 }) {
                0..=2 => {
                    let old = model.insert(field.clone(), (value.clone(), None));
                    assert_eq!(
                        h.set(&field, &value, FieldTtl::Clear, &LIMITS),
                        old.is_none()
                    );
                }
                3 => assert_eq!(h.remove(&field), model.remove(&field).is_some()),
                4 => {
                    let time = model.get(&field).and_then(|(_, t)| *t);
                    model.insert(field.clone(), (value.clone(), time));
                    h.set(&field, &value, FieldTtl::Keep, &LIMITS);
                }
                5 => {
                    model.insert(field.clone(), (value.clone(), Some(at)));
                    h.set(&field, &value, FieldTtl::At(at), &LIMITS);
                }
                6 | 7 => {
                    let at = Some(at).filter(|at| *at > 3);
                    let there = model.get_mut(&field).map(|(_, t)| *t = at).is_some();
                    assert_eq!(h.set_expire(&field, at), there);
                }
                _ => {
                    let limit = rng.below(4);
                    let mut gone = Vec::new();
                    let n = h.remove_due(at / 2, limit, &mut |f| gone.push(f.to_vec()));
                    let due = |(_, t): &(Vec<u8>, Option<i64>)| t.is_some_and(|t| t <= at / 2);
                    assert_eq!(n, limit.min(model.values().filter(|v| due(v)).count()));
                    assert_eq!(gone.len(), n);
                    for f in gone {
                        assert!(due(&model.remove(&f).unwrap()));
                    }
                }
            }
            let got = h.get(&field).map(|f| (f.value.to_vec(), f.expire_ms));
            assert_eq!(got.as_ref(), model.get(&field));
            forms[match h {
                Hash::Listpack(_) => 0,
                Hash::ListpackEx(_) => 1,
                Hash::Table(_) => 2,
            }] += 1;
        }
        check(&h, &model);
        check(&h.clone(), &model);
        let n = rng.below(model.len() + 3);
        let mut some = Model::new();
        h.random_distinct(&mut rng, n, &mut |name, f| {
            some.insert(name.to_vec(), (f.value.to_vec(), f.expire_ms));
        });
        assert_eq!(some.len(), n.min(model.len()));
        assert!(some.iter().all(|(k, v)| model.get(k) == Some(v)));
        h.random_repeated(&mut rng, 5, &mut |name, _| {
            assert!(model.contains_key(&name.to_vec()));
            true
        });
    }
    assert!(forms.iter().all(|n| *n > 2000), "{forms:?}");
}

#[test]
fn a_big_table_finds_its_due_fields() {
    let mut h = Hash::default();
    let mut rng = Rng::new(8);
    let n = 20_000;
    for i in 0..n {
        let at = 1 + rng.below(1000) as i64;
        h.set(
            format!("field:{i}").as_bytes(),
            b"v",
            FieldTtl::At(at),
            &LIMITS,
        );
    }
    let mut removed = 0;
    for now in (0..=1000).step_by(50) {
        removed += h.remove_due(now, usize::MAX, &mut |_| ());
        assert!(h.iter().all(|(_, f)| f.expire_ms > Some(now)));
        assert_eq!(h.len() + removed, n);
    }
    assert!(h.is_empty());
}

/// As 8.2.3 orders them (HGETALL after each step of the same kind).
#[test]
fn triplets_are_sorted_by_time() {
    let mut h = Hash::default();
    for f in ["z", "y", "x", "w"] {
        h.set(f.as_bytes(), b"1", FieldTtl::Clear, &LIMITS);
    }
    let order = |h: &Hash| -> String {
        h.iter()
            .map(|(n, _)| String::from_utf8(n.to_vec()).unwrap())
            .collect()
    };
    for (field, at, want) in [
        ("w", Some(300), "wzyx"),
        ("y", Some(200), "ywzx"),
        ("z", Some(200), "zywx"),
        ("x", Some(100), "xzyw"),
        ("w", None, "xzyw"),
        ("x", None, "zywx"),
    ] {
        h.set_expire(field.as_bytes(), at);
        assert_eq!(order(&h), want);
    }
}
