//! The sorted set against a map, in both representations and across the conversion.
use std::collections::BTreeMap;

use super::*;

type Model = BTreeMap<Vec<u8>, f64>;

fn sorted(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<_> = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
    all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    all
}

fn collect<'a>(it: impl Iterator<Item = (Entry<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
    it.map(|(m, s)| (m.to_vec(), s)).collect()
}

fn random_score(rng: &mut Rng) -> f64 {
    match rng.below(8) {
        0 => [f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1e300, 5e-324][rng.below(6)],
        1..=4 => rng.below(20) as f64 - 10.0,
        _ => rng.next_u64() as i64 as f64 / 1e12,
    }
}

fn random_member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => rng.below(40).to_string().into_bytes(),
        1 => vec![b'x'; rng.below(60)],
        _ => (0..rng.below(4))
            .map(|_| b'a' + rng.below(5) as u8)
            .collect(),
    }
}

/// What ZADD should do, from its documentation.
fn model_add(
    model: &mut Model,
    member: &[u8],
    score: f64,
    f: AddFlags,
) -> Result<Added, ScoreIsNan> {
    match model.get(member).copied() {
        None if f.xx => Ok(Added::Refused),
        None => {
            model.insert(member.to_vec(), score);
            Ok(Added::New(score))
        }
        Some(_) if f.nx => Ok(Added::Refused),
        Some(now) => {
            let new = if f.incr { now + score } else { score };
            if new.is_nan() {
                return Err(ScoreIsNan);
            }
            let blocked = f.gt && (new <= now) || f.lt && (new >= now);
            if blocked {
                return Ok(Added::Refused);
            }
            model.insert(member.to_vec(), if new == now { now } else { new });
            Ok(if new == now {
                Added::Same(new)
            } else {
                Added::Updated(new)
            })
        }
    }
}

fn compare(set: &ZSet, model: &Model, rng: &mut Rng) {
    set.check_invariants();
    let all = sorted(model);
    assert_eq!(collect(set.iter()), all);
    let (a, b) = (random_score(rng), random_score(rng));
    let range = ScoreRange {
        min: a,
        max: b,
        min_open: rng.below(2) == 0,
        max_open: rng.below(2) == 0,
    };
    let inside: Vec<_> = all
        .iter()
        .filter(|(_, s)| range.contains(*s))
        .cloned()
        .collect();
    let window = set.score_window(&range);
    assert_eq!(collect(set.range(window.clone(), false)), inside);
    assert_eq!(
        collect(set.range(window, true)),
        inside.into_iter().rev().collect::<Vec<_>>()
    );
    let i = rng.below(all.len() + 2);
    let n = rng.below(10);
    let some: Vec<_> = all.iter().skip(i).take(n).cloned().collect();
    assert_eq!(collect(set.range(i..i + n, false)), some);
    assert_eq!(
        collect(set.range(i..i + n, true)),
        some.into_iter().rev().collect::<Vec<_>>()
    );
    let member = random_member(rng);
    let at = all.iter().position(|(m, _)| *m == member);
    assert_eq!(set.rank(&member, false), at.map(|r| (r, all[r].1)));
    assert_eq!(
        set.rank(&member, true),
        at.map(|r| (all.len() - 1 - r, all[r].1))
    );
    assert_eq!(set.score(&member), model.get(&member).copied());
}

fn step(set: &mut ZSet, model: &mut Model, rng: &mut Rng, limits: Limits) {
    let all = sorted(model);
    match rng.below(20) {
        0..=13 => {
            let (member, score) = (random_member(rng), random_score(rng));
            let bits = rng.below(64);
            let f = AddFlags {
                nx: bits < 8,
                xx: (8..16).contains(&bits),
                gt: (12..20).contains(&bits),
                lt: (20..26).contains(&bits),
                incr: bits.is_multiple_of(3),
            };
            assert_eq!(
                set.add(&member, score, f, limits),
                model_add(model, &member, score, f)
            );
        }
        14..=16 => {
            let member = random_member(rng);
            assert_eq!(set.remove(&member), model.remove(&member));
        }
        17 => {
            let (start, n) = (rng.below(all.len() + 3), rng.below(5));
            let mut gone = Vec::new();
            let want: Vec<_> = all.into_iter().skip(start).take(n).collect();
            assert_eq!(
                set.remove_window(start..start + n, &mut |m, s| gone.push((m.to_vec(), s))),
                want.len()
            );
            assert_eq!(gone, want);
            gone.iter()
                .for_each(|(m, _)| assert!(model.remove(m).is_some()));
        }
        _ => {
            let (highest, n) = (rng.below(2) == 0, rng.below(4));
            let mut gone = Vec::new();
            let want: Vec<_> = if highest {
                all.into_iter().rev().take(n).collect()
            } else {
                all.into_iter().take(n).collect()
            };
            assert_eq!(
                set.pop(highest, n, &mut |m, s| gone.push((m.to_vec(), s))),
                want.len()
            );
            assert_eq!(gone, want);
            gone.iter()
                .for_each(|(m, _)| assert!(model.remove(m).is_some()));
        }
    }
}

#[test]
fn random_operations_agree_with_a_map() {
    for seed in 0..if cfg!(miri) { 3 } else { 60 } {
        let mut rng = Rng::new(seed);
        let limits = [
            Limits {
                max_entries: 128,
                max_value: 64,
            },
            Limits {
                max_entries: 20,
                max_value: 40,
            },
            Limits {
                max_entries: 0,
                max_value: 64,
            },
        ][seed as usize % 3];
        let (mut set, mut model) = (ZSet::new(1, 1, limits), Model::new());
        for i in 0..if cfg!(miri) { 100 } else { 600 } {
            step(&mut set, &mut model, &mut rng, limits);
            if i % 20 == 0 {
                compare(&set, &model, &mut rng);
            }
        }
        let is_packed = matches!(set, ZSet::Listpack(_));
        assert!(!is_packed || set.len() <= limits.max_entries);
        set.to_tree();
        compare(&set, &model, &mut rng);
        set.pack_if_fits(Limits {
            max_entries: 10_000,
            max_value: 1000,
        });
        assert_eq!(set.encoding(), "listpack");
        compare(&set, &model, &mut rng);
    }
}

#[test]
fn limits_convert_at_the_right_member() {
    let limits = Limits {
        max_entries: 3,
        max_value: 4,
    };
    let mut set = ZSet::new(0, 0, limits);
    for (i, m) in [b"a", b"b", b"c"].iter().enumerate() {
        set.add(*m, i as f64, AddFlags::default(), limits).unwrap();
        assert_eq!(set.encoding(), "listpack");
    }
    set.add(b"a", 9.0, AddFlags::default(), limits).unwrap();
    assert_eq!(set.encoding(), "listpack");
    set.add(b"d", 0.0, AddFlags::default(), limits).unwrap();
    assert_eq!(set.encoding(), "skiplist");
    let mut long = ZSet::new(0, 0, limits);
    long.add(b"12345", 0.0, AddFlags::default(), limits)
        .unwrap();
    assert_eq!(long.encoding(), "skiplist");
    assert_eq!(ZSet::new(4, 0, limits).encoding(), "skiplist");
}

#[test]
fn minus_zero_is_kept_by_the_tree_only() {
    let flags = AddFlags::default();
    for (entries, negative) in [(128, false), (0, true)] {
        let limits = Limits {
            max_entries: entries,
            max_value: 64,
        };
        let mut set = ZSet::new(1, 1, limits);
        assert_eq!(set.add(b"z", -0.0, flags, limits), Ok(Added::New(0.0)));
        assert_eq!(set.score(b"z").unwrap().is_sign_negative(), negative);
        assert_eq!(set.add(b"z", 0.0, flags, limits), Ok(Added::Same(0.0)));
        assert_eq!(set.score(b"z").unwrap().is_sign_negative(), negative);
    }
}

#[test]
fn nan_never_gets_in() {
    let limits = Limits {
        max_entries: 128,
        max_value: 64,
    };
    let mut set = ZSet::new(1, 1, limits);
    assert_eq!(
        set.add(b"a", f64::NAN, AddFlags::default(), limits),
        Err(ScoreIsNan)
    );
    set.add(b"a", f64::INFINITY, AddFlags::default(), limits)
        .unwrap();
    let incr = AddFlags {
        incr: true,
        ..AddFlags::default()
    };
    let e = set.add(b"a", f64::NEG_INFINITY, incr, limits).unwrap_err();
    assert_eq!(e.to_string(), "resulting score is not a number (NaN)");
    assert_eq!(set.score(b"a"), Some(f64::INFINITY));
}

#[test]
fn lex_windows_in_both_forms() {
    let mut rng = Rng::new(9);
    for entries in [1000, 0] {
        let limits = Limits {
            max_entries: entries,
            max_value: 64,
        };
        let mut set = ZSet::new(0, 0, limits);
        let mut all = Vec::new();
        for _ in 0..200 {
            let m = random_member(&mut rng);
            if set.add(&m, 0.0, AddFlags::default(), limits) == Ok(Added::New(0.0)) {
                all.push(m);
            }
        }
        all.sort();
        let texts: Vec<Vec<u8>> = (0..40).map(|_| random_member(&mut rng)).collect();
        let bound = |rng: &mut Rng| -> LexBound<'_> {
            let t = &texts[rng.below(texts.len())];
            [
                LexBound::Lowest,
                LexBound::Highest,
                LexBound::Including(t),
                LexBound::Excluding(t),
                LexBound::Including(t),
            ][rng.below(5)]
        };
        for _ in 0..if cfg!(miri) { 20 } else { 400 } {
            let range = LexRange {
                min: bound(&mut rng),
                max: bound(&mut rng),
            };
            let want: Vec<_> = all
                .iter()
                .filter(|m| !range.is_below(m) && !range.is_above(m))
                .cloned()
                .collect();
            let got: Vec<_> = collect(set.range(set.lex_window(&range), false))
                .into_iter()
                .map(|(m, _)| m)
                .collect();
            assert_eq!(got, want, "{range:?}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "what is fair shows in many rounds only")]
fn random_members_are_fair_and_different() {
    for entries in [1000, 0] {
        let limits = Limits {
            max_entries: entries,
            max_value: 64,
        };
        let mut set = ZSet::new(0, 0, limits);
        (0..200).for_each(|i| set.insert_new(i.to_string().as_bytes(), i as f64, limits));
        let mut rng = Rng::new(4);
        let (mut single, mut unique) = (vec![0usize; 200], vec![0usize; 200]);
        for round in 0..4000 {
            single[set.random(&mut rng).unwrap().1 as usize] += 1;
            let n = if round % 2 == 0 { 10 } else { 60 };
            let mut seen = std::collections::BTreeSet::new();
            set.random_unique(&mut rng, n, &mut |_, s| {
                assert!(seen.insert(s as usize));
                unique[s as usize] += 1;
            });
            assert_eq!(seen.len(), n);
        }
        assert!(single.iter().all(|&n| (2..60).contains(&n)), "{single:?}"); // mean 20
        assert!(
            unique.iter().all(|&n| (500..900).contains(&n)),
            "{unique:?}"
        ); // mean 700
        let mut all = 0;
        set.random_unique(&mut rng, 1000, &mut |_, _| all += 1);
        assert_eq!(all, 200);
    }
}

#[test]
fn foreign_listpacks_are_checked() {
    let limits = Limits {
        max_entries: 2,
        max_value: 64,
    };
    let of = |parts: &[&[u8]]| {
        let mut p = Listpack::new();
        parts.iter().for_each(|e| p.push_back(e));
        p
    };
    assert!(ZSet::from_listpack(of(&[]), false, limits).is_err());
    assert!(ZSet::from_listpack(of(&[b"a"]), false, limits).is_err());
    assert!(ZSet::from_listpack(of(&[b"a", b"nan"]), false, limits).is_err());
    assert!(ZSet::from_listpack(of(&[b"a", b"1", b"a", b"2"]), true, limits).is_err());
    let set = ZSet::from_listpack(of(&[b"a", b"1", b"b", b"2.5"]), true, limits).unwrap();
    assert_eq!((set.encoding(), set.score(b"b")), ("listpack", Some(2.5)));
    let set =
        ZSet::from_listpack(of(&[b"a", b"1", b"b", b"2.5", b"a", b"3"]), false, limits).unwrap();
    assert_eq!((set.encoding(), set.len()), ("skiplist", 2));
    set.check_invariants();
}
