//! Tests of the quicklist: a `VecDeque<Vec<u8>>` model under random operations for every fill and compress depth.

use super::*;
use crate::ds::rng::Rng;
use crate::sys::relocate::MoveAll;

fn collect(list: &Quicklist, from: End) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut iter = list.iter(from);
    while let Some(entry) = iter.next_entry() {
        out.push(entry.to_vec());
    }
    out
}

fn check(list: &Quicklist, model: &[Vec<u8>]) {
    list.check_invariants();
    assert_eq!(list.len(), model.len());
    assert_eq!(collect(list, End::Head), model);
    let mut back = collect(list, End::Tail);
    back.reverse();
    assert_eq!(back, model);
}

fn random_value(rng: &mut Rng, big: usize) -> Vec<u8> {
    match rng.below(20) {
        0 => vec![b'x'; big - 5 + rng.below(10)],
        1 => vec![b'y'; rng.below(big / 2)],
        2..=8 => rng.below(50).to_string().into_bytes(),
        _ => format!("element-{}", rng.below(300)).into_bytes(),
    }
}

/// One random operation on both.
fn operate(rng: &mut Rng, list: &mut Quicklist, model: &mut Vec<Vec<u8>>, big: usize, step: usize) {
    let value = random_value(rng, big);
    let at = rng.below(model.len() + 1);
    // Long stretches in which the list grows to many nodes, then shorter ones in which it shrinks.
    let growing = step % 1000 < 800;
    let operation = match rng.below(14) {
        5 | 6 | 11 if growing && rng.below(5) > 0 => 7,
        other => other,
    };
    match operation {
        0..=2 => {
            list.push(End::Tail, &value);
            model.push(value);
        }
        3 | 4 => {
            list.push(End::Head, &value);
            model.insert(0, value);
        }
        5 => {
            assert_eq!(
                list.peek(End::Head).map(Entry::to_vec).as_ref(),
                model.first()
            );
            let want = (!model.is_empty()).then(|| model.remove(0));
            assert_eq!(list.pop(End::Head), want);
        }
        6 => assert_eq!(list.pop(End::Tail), model.pop()),
        7..=9 => {
            list.insert(at, &value);
            model.insert(at, value);
        }
        10 => {
            assert_eq!(list.set(at, &value), at < model.len());
            if let Some(slot) = model.get_mut(at) {
                *slot = value;
            }
        }
        11 => {
            let n = rng.below(12);
            let want = n.min(model.len() - at);
            assert_eq!(list.remove_range(at, n), want);
            model.drain(at..at + want);
        }
        12 => {
            let limit = 1 + rng.below(4);
            let from = if rng.below(2) == 0 {
                End::Head
            } else {
                End::Tail
            };
            let mut hits: Vec<usize> = (0..model.len()).filter(|&i| model[i] == value).collect();
            if from == End::Tail {
                hits.reverse();
            }
            hits.truncate(limit);
            hits.sort_unstable();
            assert_eq!(list.remove_value(&value, limit, from), hits.len());
            hits.iter().rev().for_each(|&i| drop(model.remove(i)));
        }
        _ => assert_eq!(list.with(at, |e| e.to_vec()).as_ref(), model.get(at)),
    }
}

#[test]
fn random_operations_follow_the_model() {
    for (seed, fill, depth) in [
        (1, -2, 0),
        (2, -1, 1),
        (3, -5, 2),
        (4, 1, 0),
        (5, 3, 1),
        (6, 16, 3),
        (7, 128, 0),
        (8, 0, 2),
        (9, 32_767, 1),
    ] {
        let mut rng = Rng::new(seed);
        let (mut list, mut model) = (Quicklist::new(Fill::new(fill), depth), Vec::new());
        let big = if fill == -1 { 4096 } else { 8192 };
        let (mut longest, mut mover, mut place) = (0, MoveAll::default(), 0);
        for step in 0..4000 {
            operate(&mut rng, &mut list, &mut model, big, step);
            longest = longest.max(list.nodes().len());
            if step % 5 == 0 {
                // Goes on where it was, whatever happened to the list meanwhile.
                place = list.relocate(&mut mover, place, 3);
            }
            if step % 64 == 0 {
                check(&list, &model);
                let from = rng.below(model.len() + 1);
                let mut iter = list.iter_from(from, true);
                let first = iter.next_entry().map(Entry::to_vec);
                assert_eq!(first.as_ref(), model.get(from));
            }
            if step % 1000 == 999 {
                let (from, n) = (rng.below(model.len() + 1), rng.below(model.len() + 1));
                list.trim(from, n);
                let end = (from + n).min(model.len());
                model = model[from..end].to_vec();
                check(&list, &model);
            }
        }
        assert!(longest > 4, "only {longest} nodes");
        check(&list, &model);
        for node in list.nodes() {
            let bytes = node.uncompressed_bytes();
            let replaced = bytes / REPLACED_SLACK;
            assert!(node.count() == 1 || !list.fill().exceeded(replaced, node.count()));
        }
    }
}

#[test]
fn nodes_fill_to_their_limit() {
    let mut list = Quicklist::new(Fill::new(-2), 0);
    for i in 0..100_000 {
        list.push(End::Tail, format!("value:{i:011}").as_bytes());
    }
    let per_element = list.memory_bytes(usize::MAX) as f64 / 100_000.0;
    assert!(per_element < 19.5, "{per_element}"); // 17 bytes + encoding + backlen
    assert_eq!(
        list.with(70_000, |e| e.to_vec()).unwrap(),
        b"value:00000070000"
    );
}

#[test]
fn depth_compresses_inner_nodes_only() {
    let mut list = Quicklist::new(Fill::new(10), 2);
    for i in 0..200 {
        list.push(End::Tail, format!("repetitive-{}", i % 3).as_bytes());
    }
    let compressed = |list: &Quicklist| -> Vec<bool> {
        list.nodes()
            .map(|n| matches!(n.bytes(), NodeBytes::Compressed { .. }))
            .collect()
    };
    let mut want = vec![true; 20];
    for i in [0, 1, 18, 19] {
        want[i] = false;
    }
    assert_eq!(compressed(&list), want);
    list.remove_range(0, 100);
    want.drain(2..12);
    assert_eq!(compressed(&list), want);
    list.push(End::Head, &[b'z'; 100]);
    list.check_invariants();
}

#[test]
fn loaded_nodes_and_conversion() {
    let mut pack = Listpack::new();
    pack.push_back(b"a");
    pack.push_back(b"2");
    let list = Quicklist::from_listpack(pack.clone(), Fill::new(-2), 0);
    assert_eq!(list.into_listpack().unwrap(), pack);
    let mut list = Quicklist::new(Fill::new(-2), 0);
    list.push_packed_node(pack.clone()).unwrap();
    list.push_packed_node(Listpack::new()).unwrap();
    list.push_plain_node(b"big");
    assert_eq!(list.nodes().len(), 2);
    assert_eq!(list.len(), 3);
    assert!(list.into_listpack().is_err());
    let mut blob = pack.as_bytes().to_vec();
    blob[4] = 9;
    let wrong = Listpack::from_bytes_shallow(&blob).unwrap();
    assert!(
        Quicklist::new(Fill::new(-2), 0)
            .push_packed_node(wrong)
            .is_err()
    );
}

#[test]
fn every_node_is_moved_once() {
    let mut list = Quicklist::new(Fill::new(4), 1);
    let model: Vec<_> = (0..100)
        .map(|i| format!("element:{i:060}").into_bytes())
        .collect();
    model.iter().for_each(|e| list.push(End::Tail, e));
    let (mut mover, mut place, mut steps) = (MoveAll::default(), 0, 0);
    loop {
        place = list.relocate(&mut mover, place, 10);
        steps += 1;
        if place == 0 {
            break;
        }
    }
    // 25 nodes, and the list of them.
    assert_eq!((steps, mover.moved), (3, 26));
    check(&list, &model);
}

#[test]
fn pushes_at_the_head_fill_nodes_and_a_front_counts_as_part_of_the_next() {
    let mut list = Quicklist::new(Fill::new(-2), 0);
    let model: Vec<Vec<u8>> = (0..5000)
        .map(|i| format!("element:{i:05}").into_bytes())
        .collect();
    model.iter().rev().for_each(|v| list.push(End::Head, v));
    check(&list, &model);
    let sizes: Vec<usize> = list.nodes().map(Node::stored_bytes).collect();
    // All but the front, and the node that it is being poured into, are as full as they can be.
    assert!(sizes[2..].iter().all(|s| *s > 8192 - 20), "{sizes:?}");
    assert!(sizes.len() <= 5000 * 15 / 8192 + 3, "{sizes:?}");
    // What is in the front and the node behind is one node for those who ask.
    while list.nodes().len() > 2 || !list.has_front {
        list.pop(End::Tail);
    }
    let left = list.len();
    assert!(list.is_one_node() && left > 50);
    assert_eq!(list.into_listpack().unwrap().len(), left);
}

#[test]
fn two_nodes_that_no_push_made_stay_two() {
    let mut list = Quicklist::new(Fill::new(4), 0);
    (0..8).for_each(|i| list.push(End::Tail, format!("{i}").as_bytes()));
    list.remove_range(1, 2);
    list.remove_range(4, 2);
    assert_eq!(list.nodes().count(), 2);
    assert!(!list.is_one_node());
    assert!(list.into_listpack().is_err());
}
