//! The room against a list of (kind, name, client) triples, with random operations.

use super::*;
use crate::ds::rng::Rng;
use std::collections::BTreeSet;

const KINDS: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

fn client(n: usize) -> ClientRef {
    ClientRef {
        slot: n as u32,
        generation: 7,
    }
}

#[test]
fn both_sides_agree_with_a_list() {
    let mut rng = Rng::new(5);
    let mut room = PubSub::new();
    let mut own: Vec<Subscriptions> = (0..40).map(|_| Subscriptions::default()).collect();
    let mut model: BTreeSet<(usize, Vec<u8>, usize)> = BTreeSet::new();
    for _ in 0..20_000 {
        let (c, k, n) = (rng.below(40), rng.below(3), rng.below(6));
        let name = format!("ch*{n}").into_bytes();
        match rng.below(20) {
            0 => {
                room.forget(client(c), &own[c]);
                own[c] = Subscriptions::default();
                model.retain(|(_, _, who)| *who != c);
            }
            1..=10 => assert_eq!(
                room.subscribe(KINDS[k], &name, client(c), &mut own[c]),
                model.insert((k, name.clone(), c))
            ),
            _ => assert_eq!(
                room.unsubscribe(KINDS[k], &name, client(c), &mut own[c]),
                model.remove(&(k, name.clone(), c))
            ),
        }
        let listening: BTreeSet<usize> = room
            .listeners(KINDS[k], &name)
            .iter()
            .map(|c| c.slot as usize)
            .collect();
        let wanted: BTreeSet<usize> = model
            .iter()
            .filter(|(kk, nn, _)| *kk == k && *nn == name)
            .map(|(_, _, c)| *c)
            .collect();
        assert_eq!(listening, wanted);
        let names: BTreeSet<&[u8]> = model
            .iter()
            .filter(|m| m.0 == k)
            .map(|m| &m.1[..])
            .collect();
        assert_eq!(room.len(KINDS[k]), names.len());
        assert_eq!(
            own[c].of(KINDS[k]).len(),
            model.iter().filter(|m| m.0 == k && m.2 == c).count()
        );
        assert_eq!(own[c].is_empty(), !model.iter().any(|m| m.2 == c));
    }
}

#[test]
fn patterns_and_listing() {
    let (mut room, mut own) = (PubSub::new(), Subscriptions::default());
    for p in ["news.*", "news.?", "other"] {
        room.subscribe(Kind::Pattern, p.as_bytes(), client(1), &mut own);
    }
    let mut found: Vec<&[u8]> = room.matching(b"news.x").map(|(p, _)| &p[..]).collect();
    found.sort_unstable();
    assert_eq!(found, [b"news.*".as_slice(), b"news.?"]);
    assert!(room.listeners(Kind::Channel, b"news.*").is_empty());
    room.subscribe(Kind::Channel, b"abc", client(1), &mut own);
    assert_eq!(room.active(Kind::Channel, Some(b"a*")).count(), 1);
    assert_eq!(room.active(Kind::Channel, Some(b"b*")).count(), 0);
    assert_eq!(
        (own.count_of(Kind::Channel), own.count_of(Kind::Shard)),
        (4, 0)
    );
}
