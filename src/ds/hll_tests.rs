//! HyperLogLog against golden values of redis-8.2.3 (made with PFADD g e:0, e:1, ... one by one), a model, and corrupted strings.
use sha1::{Digest, Sha1};

use super::*;
use crate::ds::rng::Rng;

/// `hll-sparse-max-bytes`, elements added, STRLEN, PFCOUNT, SHA-1 of GET before and after that PFCOUNT.
const GOLDEN: &[(usize, usize, usize, u64, &str, &str)] = &[
    (
        3000,
        0,
        18,
        0,
        "e2c2a4d6f667db2d3180523f3c7a9bda5a4db0fc",
        "6892f6e9ee148f17be8c469006bf9a299ecaeeea",
    ),
    (
        3000,
        1,
        21,
        1,
        "01a78b4a378011b082dcb95b86a997a32887398f",
        "748dc5c88f23d2270655b65e53fbce1b46f4badb",
    ),
    (
        3000,
        7,
        39,
        7,
        "5061ac7774df18a97c8b39152967e885209b5952",
        "330d6fdaae91d71791e4d0f0c807238322a0a536",
    ),
    (
        3000,
        50,
        158,
        50,
        "0f217b59fd02ca91901565f165f486c683b52148",
        "64819e6b8c83cb3f821474218649409a35daac44",
    ),
    (
        3000,
        300,
        686,
        301,
        "8ffc6bf163aa149d0e0cb8bcdbe698d327c1e0f5",
        "3ba0f5912d5c31c945c0996afc3c4fcd90882a0f",
    ),
    (
        3000,
        700,
        1376,
        697,
        "21a70d197d052ebf33e42a1083d777d1f2f2e02f",
        "665fc4db59082a977eabc4f0e0704fe0e51b1cc6",
    ),
    (
        3000,
        1000,
        1880,
        995,
        "4f99f016dcd8ad98dcdc321a3e6848f1eb2b040a",
        "bc14f59b816ad03b6a24fe85cedbfa5d29dd09a5",
    ),
    (
        3000,
        1500,
        2683,
        1484,
        "39630e4b5cf69bfe3b8649e7c919d96dbf2cab5f",
        "8a2e77945df4de6b0758c6eb89cbbe85e2a5f5d0",
    ),
    (
        3000,
        5000,
        12304,
        5027,
        "ad4288e44a60c2328244dbd4a21bea8167d4731e",
        "745f95175ae4ea138e625fb1da5bbf3cd150b5d0",
    ),
    (
        3000,
        40000,
        12304,
        40177,
        "415c468c8b965b8b4d502549fe2867b60df03719",
        "5cbba12da9ca0cf34cabc26413e8cd3b5dfb1f64",
    ),
    (
        3000,
        200000,
        12304,
        200564,
        "5f1526cf1b82163081ae659ffaf2318a856d8014",
        "36c9bc0bf56fd31708530ff09b32f67d23565887",
    ),
    (
        200,
        0,
        18,
        0,
        "e2c2a4d6f667db2d3180523f3c7a9bda5a4db0fc",
        "6892f6e9ee148f17be8c469006bf9a299ecaeeea",
    ),
    (
        200,
        1,
        21,
        1,
        "01a78b4a378011b082dcb95b86a997a32887398f",
        "748dc5c88f23d2270655b65e53fbce1b46f4badb",
    ),
    (
        200,
        7,
        39,
        7,
        "5061ac7774df18a97c8b39152967e885209b5952",
        "330d6fdaae91d71791e4d0f0c807238322a0a536",
    ),
    (
        200,
        50,
        158,
        50,
        "0f217b59fd02ca91901565f165f486c683b52148",
        "64819e6b8c83cb3f821474218649409a35daac44",
    ),
    (
        200,
        300,
        12304,
        301,
        "3654d6756108d3215805157bd2d3c5975c87ccb2",
        "d5f3eacd82f880eaae764460b56833099984b681",
    ),
    (
        200,
        700,
        12304,
        697,
        "afcb348282e6d7c6a98520ae27739a1cec9affbd",
        "6512a7c68a91cc884ce8aa6d90ae23453762f90f",
    ),
    (
        200,
        1000,
        12304,
        995,
        "ebff24fed580cf700cdf91b22acf7f8245bdfeb0",
        "1e83b225d4fd724f08cba6bf059142ec5b5c212d",
    ),
    (
        200,
        1500,
        12304,
        1484,
        "e55bd49f91f7c69c3ef87aed924ee1a7efdf9500",
        "407529bc4fb32ac58eedd261e18fb795ce60586e",
    ),
    (
        200,
        5000,
        12304,
        5027,
        "ad4288e44a60c2328244dbd4a21bea8167d4731e",
        "745f95175ae4ea138e625fb1da5bbf3cd150b5d0",
    ),
    (
        200,
        40000,
        12304,
        40177,
        "415c468c8b965b8b4d502549fe2867b60df03719",
        "5cbba12da9ca0cf34cabc26413e8cd3b5dfb1f64",
    ),
    (
        200,
        200000,
        12304,
        200564,
        "5f1526cf1b82163081ae659ffaf2318a856d8014",
        "36c9bc0bf56fd31708530ff09b32f67d23565887",
    ),
    (
        20,
        0,
        18,
        0,
        "e2c2a4d6f667db2d3180523f3c7a9bda5a4db0fc",
        "6892f6e9ee148f17be8c469006bf9a299ecaeeea",
    ),
    (
        20,
        1,
        12304,
        1,
        "e0bcb267688baaa39273234ecd7f7adf82e4579f",
        "dde742fd702da6919ed1696e0d9c13bb7c090dab",
    ),
    (
        20,
        7,
        12304,
        7,
        "949a85f63e0df4b334e988e3c6a1bea2b76d4cd1",
        "e9a7dd8841544a8fca5fa80f1e171a9e05787ea6",
    ),
    (
        20,
        50,
        12304,
        50,
        "c9d379aadf28ded08762008d72eff8123d9ac198",
        "8694a57ead5023b4d4c65521837245f04b60c22d",
    ),
    (
        20,
        300,
        12304,
        301,
        "3654d6756108d3215805157bd2d3c5975c87ccb2",
        "d5f3eacd82f880eaae764460b56833099984b681",
    ),
    (
        20,
        700,
        12304,
        697,
        "afcb348282e6d7c6a98520ae27739a1cec9affbd",
        "6512a7c68a91cc884ce8aa6d90ae23453762f90f",
    ),
    (
        20,
        1000,
        12304,
        995,
        "ebff24fed580cf700cdf91b22acf7f8245bdfeb0",
        "1e83b225d4fd724f08cba6bf059142ec5b5c212d",
    ),
    (
        20,
        1500,
        12304,
        1484,
        "e55bd49f91f7c69c3ef87aed924ee1a7efdf9500",
        "407529bc4fb32ac58eedd261e18fb795ce60586e",
    ),
    (
        20,
        5000,
        12304,
        5027,
        "ad4288e44a60c2328244dbd4a21bea8167d4731e",
        "745f95175ae4ea138e625fb1da5bbf3cd150b5d0",
    ),
    (
        20,
        40000,
        12304,
        40177,
        "415c468c8b965b8b4d502549fe2867b60df03719",
        "5cbba12da9ca0cf34cabc26413e8cd3b5dfb1f64",
    ),
    (
        20,
        200000,
        12304,
        200564,
        "5f1526cf1b82163081ae659ffaf2318a856d8014",
        "36c9bc0bf56fd31708530ff09b32f67d23565887",
    ),
];

fn sha1_hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[test]
fn strings_are_those_of_redis() {
    let mut added = 0;
    let mut hll = new();
    for &(limit, upto, len, cardinality, before, after) in GOLDEN {
        if upto == 0 {
            (hll, added) = (new(), 0);
            invalidate(&mut hll); // as PFADD does when it creates the key
        }
        for i in added..upto {
            add(&mut hll, format!("e:{i}").as_bytes(), limit).unwrap();
        }
        added = upto;
        assert_eq!(hll.len(), len, "{limit} {upto}");
        assert_eq!(sha1_hex(&hll), before, "{limit} {upto}");
        assert_eq!(count(&hll), Ok(cardinality), "{limit} {upto}");
        assert!(cached(&hll).is_none_or(|c| c == cardinality));
        set_cached(&mut hll, cardinality);
        assert_eq!(sha1_hex(&hll), after, "{limit} {upto}");
        assert_eq!(cached(&hll), Some(cardinality));
    }
}

#[test]
fn sparse_and_dense_hold_the_same_registers() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let (mut sparse, mut dense, mut model) = (new(), new(), [0u8; REGISTERS]);
        to_dense(&mut dense).unwrap();
        for _ in 0..rng.below(800) {
            let (index, value) = (
                rng.below(if seed % 2 == 0 { 60 } else { REGISTERS }),
                rng.below(33) as u8 + 1,
            );
            let is_higher = model[index] < value;
            model[index] = model[index].max(value);
            assert_eq!(raise(&mut sparse, index, value, 3000), Ok(is_higher));
            assert_eq!(raise(&mut dense, index, value, 3000), Ok(is_higher));
        }
        assert!(*registers(&sparse).unwrap() == model);
        assert!(*registers(&dense).unwrap() == model);
        assert_eq!(count(&sparse), count(&dense));
        assert_eq!(count_registers(&model), count(&dense).unwrap());
        let mut copy = new();
        store(&mut copy, &model, 3000).unwrap();
        assert!(*registers(&copy).unwrap() == model);
        assert_eq!(cached(&copy), None);
        to_dense(&mut sparse).unwrap();
        assert_eq!(sparse[HEADER..], dense[HEADER..]);
    }
}

#[test]
fn corrupted_strings_are_errors() {
    let mut hll = new();
    for e in [b"a", b"b", b"c"] {
        add(&mut hll, e, 3000).unwrap();
    }
    assert_eq!(describe(&new()).unwrap(), "Z:16384");
    let mut tail = hll.clone();
    tail.extend_from_slice(b"hello");
    assert_eq!(count(&tail), Err(HllError::Corrupted));
    for (at, byte) in [(0, b'0'), (4, b'x'), (4, 0)] {
        let mut broken = hll.clone();
        broken[at] = byte;
        assert_eq!(count(&broken), Err(HllError::WrongType));
    }
    assert_eq!(check(b"HYLL\x01"), Err(HllError::WrongType));
    let mut rng = Rng::new(5);
    let mut refused = 0;
    for _ in 0..4000 {
        let mut broken = new();
        for _ in 0..rng.below(400) {
            add(
                &mut broken,
                &rng.next_u64().to_le_bytes(),
                [3000, 100][rng.below(2)],
            )
            .unwrap();
        }
        for _ in 0..rng.below(5) + 1 {
            let at = rng.below(broken.len());
            broken[at] = rng.next_u64() as u8;
        }
        broken.truncate(broken.len() - rng.below(3));
        refused += usize::from(count(&broken).is_err());
        let mut max = [0; REGISTERS];
        let _ = merge_into(&mut max, &broken);
        let _ = describe(&broken);
        for _ in 0..20 {
            let _ = add(&mut broken, &rng.next_u64().to_le_bytes(), 3000);
        }
        let _ = to_dense(&mut broken);
    }
    assert!(refused > 1000);
}

#[test]
fn murmur_places_are_spread() {
    let mut hits = vec![0usize; 16];
    for i in 0..16_000u32 {
        let (index, value) = place(&i.to_le_bytes()[..1 + i as usize % 4]);
        assert!((1..=51).contains(&value));
        hits[index >> 10] += usize::from(i % 4 == 3);
    }
    assert!(hits.iter().all(|&n| (150..350).contains(&n)), "{hits:?}");
}

#[test]
fn eight_opcodes_at_once_cover_what_they_cover_singly() {
    let mut rng = Rng::new(88);
    for _ in 0..20_000 {
        let ops: [u8; 8] = std::array::from_fn(|_| match rng.below(40) {
            0 => 0x40 | rng.below(64) as u8,
            1..20 => rng.below(64) as u8,
            _ => 0x80 | rng.below(128) as u8,
        });
        let singly = ops.iter().try_fold(0, |sum, op| match op >> 6 {
            0 => Some(sum + usize::from(op & 0x3f) + 1),
            1 => None,
            _ => Some(sum + usize::from(op & 3) + 1),
        });
        assert_eq!(covered_by_eight(ops), singly, "{ops:x?}");
    }
}
