//! Tests of the listpack: a `Vec<Vec<u8>>` model under random operations, known bytes from a real server, hostile blobs.

use super::*;
use crate::ds::rng::Rng;

fn check_invariants(pack: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(Listpack::from_bytes_deep(pack.as_bytes()), Ok(pack.clone()));
    assert_eq!(pack.len(), model.len());
    assert_eq!(pack.is_empty(), model.is_empty());
    assert!(pack.iter().map(Entry::to_vec).eq(model.iter().cloned()));
    assert!(
        pack.iter_rev()
            .map(Entry::to_vec)
            .eq(model.iter().rev().cloned())
    );
    let bytes: usize = model.iter().map(|v| entry_bytes(v)).sum();
    assert_eq!(pack.total_bytes(), EMPTY_BYTES + bytes);
}

fn random_value(rng: &mut Rng) -> Vec<u8> {
    let letters = |rng: &mut Rng, n: usize| (0..n).map(|_| b'a' + rng.below(26) as u8).collect();
    match rng.below(12) {
        0..=3 => ((rng.next_u64() as i64) >> rng.below(64))
            .to_string()
            .into_bytes(),
        4 => b"007".to_vec(),
        5 => [
            60, 61, 62, 63, 64, 65, 124, 125, 126, 127, 128, 4094, 4095, 4096, 16_376, 16_378,
            16_380,
        ]
        .get(rng.below(17))
        .map(|&n| letters(rng, n))
        .unwrap_or_default(),
        _ => {
            let n = rng.below(12);
            letters(rng, n)
        }
    }
}

#[test]
fn random_operations_follow_the_model() {
    let mut rng = Rng::new(2);
    let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
    for step in 0..6000 {
        let value = random_value(&mut rng);
        let at = rng.below(model.len().max(1));
        let pos = pack.seek(at as isize);
        assert_eq!(pos.is_some(), at < model.len());
        match (rng.below(10), pos) {
            (0 | 1, _) | (_, None) => {
                pack.push_back(&value);
                model.push(value);
            }
            (2, _) => {
                pack.push_front(&value);
                model.insert(0, value);
            }
            (3, Some(pos)) => {
                let new = pack.insert_before(pos, &value);
                assert_eq!(pack.get(new).unwrap().to_vec(), value);
                model.insert(at, value);
            }
            (4, Some(pos)) => {
                let new = pack.insert_after(pos, &value);
                assert_eq!(pack.get(new).unwrap().to_vec(), value);
                model.insert(at + 1, value);
            }
            (5, Some(pos)) => {
                assert!(pack.replace(pos, &value));
                model[at] = value;
            }
            (6, Some(pos)) => {
                let next = pack.delete(pos);
                model.remove(at);
                assert_eq!(
                    next.map(|p| pack.get(p).unwrap().to_vec()),
                    model.get(at).cloned()
                );
            }
            (7, _) if model.len() > 20 => {
                let n = rng.below(12);
                let index = at as isize - model.len() as isize; // the same place, from the end
                assert_eq!(pack.delete_range(index, n), n.min(model.len() - at));
                model.drain(at..(at + n).min(model.len()));
            }
            (8, Some(pos)) => {
                let tail = pack.split_off(pos);
                check_invariants(&tail, &model[at..]);
                check_invariants(&pack, &model[..at]);
                pack.append(&tail);
            }
            (_, Some(_)) => {
                let skip = rng.below(3);
                let wanted = model
                    .iter()
                    .enumerate()
                    .find(|(i, v)| i % (skip + 1) == 0 && **v == model[at])
                    .map(|(i, _)| i as isize);
                let found = pack.find(&model[at], skip);
                assert_eq!(found, wanted.and_then(|i| pack.seek(i)));
            }
        }
        if step % 8 == 0 {
            check_invariants(&pack, &model);
        }
    }
    check_invariants(&pack, &model);
}

#[test]
fn bytes_are_those_of_a_real_server() {
    // RPUSH k 1 -1 4095 -4096 32767 100000 -2147483648 9223372036854775807 "" abc; bytes out of DUMP of 8.2.3.
    let mut pack = Listpack::new();
    for v in [
        1,
        -1,
        4095,
        -4096,
        32_767,
        100_000,
        -2_147_483_648,
        i64::MAX,
    ] {
        pack.push_back(v.to_string().as_bytes());
    }
    pack.push_back(b"");
    pack.push_back(b"abc");
    let hex: String = pack.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "320000000a000101dfff02cfff02d00002f1ff7f03f2a0860104f30000008005f4ffffffffffffff7f0980018361626304ff"
    );
}

#[test]
fn backlen_bounds_of_a_real_server() {
    // Bodies of 16382 and 16383 bytes: two, then already three bytes.
    for (body, want) in [
        (126, &[0x7e][..]),
        (127, &[0x7f]),
        (128, &[0x01, 0x80]),
        (16_382, &[0x7f, 0xfe]),
        (16_383, &[0x00, 0xff, 0xff]),
        (16_384, &[0x01, 0x80, 0x80]),
    ] {
        let mut out = [0; 5];
        let n = write_backlen(body, &mut out);
        assert_eq!(&out[..n], want);
        assert_eq!(read_backlen(&out, n), Some((body, n)));
    }
}

#[test]
fn more_entries_than_the_header_counts() {
    let mut pack = Listpack::new();
    for i in 0..65_534 {
        pack.push_int(i);
    }
    assert_eq!(pack.stored_count(), 65_534);
    pack.push_int(7);
    assert_eq!(pack.stored_count(), COUNT_UNKNOWN);
    pack.push_int(8);
    assert_eq!(pack.len(), 65_536);
    assert_eq!(pack.get(pack.seek(-1).unwrap()), Some(Entry::Int(8)));
    assert_eq!(pack.get(pack.seek(65_535).unwrap()), Some(Entry::Int(8)));
    assert_eq!(pack.seek(65_536), None);
    assert_eq!(pack.delete_range(10, 60_000), 60_000);
    assert_eq!(pack.len(), 5_536);
    assert!(Listpack::from_bytes_deep(pack.as_bytes()).is_ok());
}

/// Whatever was accepted must survive every reader and writer.
fn exercise(mut pack: Listpack, rng: &mut Rng) {
    let n = pack.iter().count() + pack.iter_rev().count() + pack.len();
    pack.find(b"abc", 1);
    pack.find(b"12", 0);
    for _ in 0..4 {
        let index = rng.below(n + 2) as isize - rng.below(n + 2) as isize;
        if let Some(pos) = pack.seek(index) {
            pack.get(pos);
            match rng.below(5) {
                0 => drop(pack.delete(pos)),
                1 => drop(pack.insert_after(pos, b"xyz")),
                2 => drop(pack.replace(pos, b"77777")),
                3 => drop(pack.split_off(pos)),
                _ => drop(pack.insert_before(pos, b"q")),
            }
        }
    }
    pack.push_front(b"f");
    pack.push_back(b"b");
    pack.delete_range(-2, 2);
}

#[test]
fn hostile_blobs_never_panic() {
    let mut rng = Rng::new(3);
    let mut good = Listpack::new();
    for _ in 0..40 {
        good.push_back(&random_value(&mut rng));
    }
    let (mut deep_ok, mut shallow_ok) = (0, 0);
    for round in 0..20_000 {
        let mut blob = good.as_bytes().to_vec();
        if round % 3 == 0 {
            blob = (0..rng.below(60)).map(|_| rng.next_u64() as u8).collect();
        } else if round % 3 == 1 {
            blob.truncate(rng.below(blob.len()));
        } else {
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(blob.len());
                blob[at] ^= 1 << rng.below(8);
            }
        }
        if rng.below(2) == 0 && blob.len() >= EMPTY_BYTES {
            // Repair the frame so that the damage gets past the cheap checks.
            let n = blob.len();
            blob[..4].copy_from_slice(&(n as u32).to_le_bytes());
            blob[n - 1] = END;
        }
        if let Ok(pack) = Listpack::from_bytes_deep(&blob) {
            deep_ok += 1;
            exercise(pack, &mut rng);
        }
        if let Ok(pack) = Listpack::from_bytes_shallow(&blob) {
            shallow_ok += 1;
            exercise(pack, &mut rng);
        }
    }
    assert!(deep_ok > 100 && shallow_ok > 5000, "{deep_ok} {shallow_ok}");
}

#[test]
fn errors_name_the_offset() {
    let mut pack = Listpack::new();
    pack.push_back(b"hello");
    let mut blob = pack.as_bytes().to_vec();
    blob[12] = 9; // the backlen
    let err = Listpack::from_bytes_deep(&blob).unwrap_err();
    assert_eq!(
        err.to_string(),
        "bad listpack at offset 12: backlen does not match the entry"
    );
    blob[12] = 6;
    blob[4] = 2;
    assert_eq!(Listpack::from_bytes_deep(&blob).unwrap_err().offset, 4);
}
