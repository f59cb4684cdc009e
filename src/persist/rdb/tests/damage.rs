//! Damaged input: an error with an offset, never a panic, never a silent half.
use super::*;
use crate::ds::rng::Rng;

const FILES: [&str; 4] = [
    "redis-7.0.15.rdb",
    "redis-8.2.3.rdb",
    "valkey-9.1.2.rdb",
    "old-formats.rdb",
];

#[test]
fn cut_anywhere_it_is_torn() {
    for name in FILES {
        let bytes = data(name);
        for len in 0..bytes.len() {
            let error = load(&bytes[..len], LoadOptions::default())
                .err()
                .unwrap_or_else(|| panic!("{name} cut at {len}"));
            assert!(error.is_truncated(), "{name} cut at {len}: {error}");
            assert!(
                error.offset <= len as u64 && error.offset + 600 > len as u64,
                "{name} cut at {len}: {error}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for name in FILES {
        let bytes = data(name);
        for at in 0..bytes.len() {
            for bit in [0, 1, 3, 6, 7] {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let error = load(&bad, LoadOptions::default()).err();
                let error =
                    error.unwrap_or_else(|| panic!("{name}: byte {at} bit {bit} went unnoticed"));
                assert!(error.offset <= bytes.len() as u64);
                // Without the checksum it may pass, but whatever passes can be saved and loaded again.
                if let Ok(file) = load(
                    &bad,
                    LoadOptions {
                        checksum: false,
                        deep: false,
                        skip_modules: true,
                    },
                ) {
                    let (again, _) = save(&file, SaveOptions::default());
                    assert!(
                        load(&again, LoadOptions::default()).is_ok(),
                        "{name}: byte {at} bit {bit}"
                    );
                }
            }
        }
    }
}

/// Payload bodies of all servers and the old encodings.
fn bodies() -> Vec<(u16, Vec<u8>)> {
    let mut out = Vec::new();
    for name in ["redis-7.0.15", "redis-8.2.3", "valkey-9.1.2"] {
        for line in String::from_utf8(data(&format!("{name}.dumps")))
            .unwrap()
            .lines()
        {
            let payload = unhex(line.split_once('\t').unwrap().1);
            let verified = dump::verify(&payload, true).unwrap();
            out.push((verified.version, verified.body.to_vec()));
        }
    }
    let old: [&[u8]; 5] = [
        b"\x0a\x12\x12\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\x02bc\xff",
        b"\x0d\x1b\x1b\x00\x00\x00\x16\x00\x00\x00\x04\x00\x00\x02a\x00\x04\x02b\x00\x04\x02c\x00\x04\x02d\x00\xff",
        b"\x0c\x12\x12\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xc0\x05\x00\xff",
        b"\x09\x0c\x01\x01a\x03\x02bcd\x00\x00\x00\xff",
        b"\x03\x02\x01a\x031.5\x01b\xfe",
    ];
    out.extend(old.iter().map(|b| (9, b.to_vec())));
    out
}

fn with_footer(version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = body.to_vec();
    out.extend_from_slice(&version.to_le_bytes());
    let crc = crate::ds::crc64::checksum(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

#[test]
fn mutated_payloads_with_right_checksums_never_panic() {
    let bodies = bodies();
    let mut rng = Rng::new(0x5eed_0001);
    let mut accepted = 0;
    for round in 0..60_000 {
        let (version, body) = &bodies[rng.below(bodies.len())];
        let mut body = body.clone();
        for _ in 0..1 + rng.below(4) {
            mutate(&mut body, &mut rng);
        }
        for deep in [false, true] {
            if let Ok(value) = dump::decode(&with_footer(*version, &body), deep) {
                accepted += 1;
                let again = dump::decode(&dump::encode(&value, round % 2 == 0), false);
                let again =
                    again.unwrap_or_else(|e| panic!("round {round}: {e:?} after {}", hex(&body)));
                // Not `value == again`: NaN-free but reordered TTL minima and versions are normalised.
                assert!(
                    describe_value(&value) == describe_value(&again),
                    "round {round}: {}",
                    hex(&body)
                );
            }
        }
    }
    assert!(
        accepted > 1000,
        "mutations too wild to test anything: {accepted}"
    );
}

fn mutate(body: &mut Vec<u8>, rng: &mut Rng) {
    if body.is_empty() {
        return body.push(rng.next_u64() as u8);
    }
    let at = rng.below(body.len());
    match rng.below(6) {
        0 => body[at] ^= 1 << rng.below(8),
        1 => body[at] = rng.next_u64() as u8,
        2 => body[at] = [0, 1, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0xc3][rng.below(8)],
        3 => drop(body.remove(at)),
        4 => body.insert(at, rng.next_u64() as u8),
        _ => body.truncate(at + 1),
    }
}

#[test]
fn random_bytes_behind_a_header_never_panic() {
    let mut rng = Rng::new(0x5eed_0002);
    for _ in 0..20_000 {
        let mut bytes = b"REDIS0012".to_vec();
        if rng.below(3) == 0 {
            bytes = b"VALKEY080".to_vec();
        }
        bytes.extend((0..rng.below(200)).map(|_| match rng.below(3) {
            0 => rng.below(26) as u8,
            1 => 0xF0 + rng.below(16) as u8,
            _ => rng.next_u64() as u8,
        }));
        let _ = load(
            &bytes,
            LoadOptions {
                checksum: false,
                deep: true,
                skip_modules: true,
            },
        );
    }
}

#[test]
fn lying_lengths_cost_nothing() {
    for body in [
        &b"\x00\x81\x00\x00\x7f\xff\xff\xff\xff\xffx"[..],
        b"\x02\x81\x00\x00\x7f\xff\xff\xff\xff\xff\x01x",
        b"\x12\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x15\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\xc3\x05\x81\x00\x00\x7f\xff\xff\xff\xff\xffaaaaa",
        b"\x04\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x01b",
    ] {
        assert!(dump::decode(&with_footer(12, body), true).is_err());
    }
}

#[test]
fn deep_checks_see_what_shallow_ones_need_not() {
    let payload = |ty: u8, items: &[&[u8]]| {
        let mut blob = Listpack::new();
        items.iter().for_each(|item| blob.push_back(item));
        let mut body = vec![ty, blob.as_bytes().len() as u8];
        body.extend_from_slice(blob.as_bytes());
        with_footer(12, &body)
    };
    let cases: [(u8, &[&[u8]]); 5] = [
        (16, &[b"f", b"1", b"f", b"2"]),
        (17, &[b"a", b"1", b"a", b"2"]),
        (17, &[b"a", b"2", b"b", b"1"]),
        (17, &[b"b", b"1", b"a", b"1"]),
        (20, &[b"x", b"5", b"x"]),
    ];
    for (ty, items) in cases {
        assert!(
            dump::decode(&payload(ty, items), false).is_ok(),
            "{ty} {items:?}"
        );
        assert!(
            dump::decode(&payload(ty, items), true).is_err(),
            "{ty} {items:?}"
        );
    }
    let always: [(u8, &[&[u8]]); 4] = [
        (16, &[b"f", b"1", b"g"]),
        (17, &[b"a"]),
        (17, &[b"a", b"word"]),
        (23, &[b"f", b"v", b"-5"]),
    ];
    for (ty, items) in always {
        assert!(
            dump::decode(&payload(ty, items), false).is_err(),
            "{ty} {items:?}"
        );
    }
}

#[test]
fn the_official_suites_damaged_assets() {
    let folder =
        std::env::var("REDIS_SUITE").unwrap_or_else(|_| "/opt/ref/src/redis-7.0.15/tests".into());
    let read = |name: &str| std::fs::read(format!("{folder}/assets/{name}")).ok();
    let Some(bad) = read("corrupt_ziplist.rdb") else {
        return eprintln!("skipped: no official suite at {folder}");
    };
    let error = load(&bad, LoadOptions::default()).err().unwrap();
    assert_eq!(
        (error.offset, error.reason_text().as_str()),
        (494, "Hash ziplist integrity check failed.")
    );
    assert!(
        load(
            &read("corrupt_empty_keys.rdb").unwrap(),
            LoadOptions::default()
        )
        .unwrap()
        .records
        .is_empty()
    );
    for (name, keys) in [
        ("encodings.rdb", 13),
        ("hash-ziplist.rdb", 1),
        ("hash-zipmap.rdb", 1),
        ("list-quicklist.rdb", 2),
        ("zset-ziplist.rdb", 1),
    ] {
        let deep = LoadOptions {
            deep: true,
            ..Default::default()
        };
        assert_eq!(
            load(&read(name).unwrap(), deep).unwrap().records.len(),
            keys,
            "{name}"
        );
    }
}

/// The bytes of a Tcl string with `\xHH` and single-character escapes.
fn tcl_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
        } else if bytes[at + 1] == b'x' {
            let digits = bytes[at + 2..]
                .iter()
                .take(2)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            out.push(u8::from_str_radix(&text[at + 2..at + 2 + digits], 16).unwrap());
            at += 2 + digits;
        } else {
            out.push(match bytes[at + 1] {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 7,
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                other => other,
            });
            at += 2;
        }
    }
    out
}

/// Does an owned value hold an element twice (what building a table from it would find)?
fn has_duplicates(value: &RdbValue) -> bool {
    let keys: Vec<&Vec<u8>> = match value {
        RdbValue::Set(members) => members.iter().collect(),
        RdbValue::Hash(fields) => fields.iter().map(|f| &f.0).collect(),
        RdbValue::Zset(members) => members.iter().map(|m| &m.0).collect(),
        _ => return false,
    };
    keys.iter().collect::<std::collections::HashSet<_>>().len() < keys.len()
}

#[test]
fn the_official_suites_damaged_payloads() {
    let folder =
        std::env::var("REDIS_SUITE").unwrap_or_else(|_| "/opt/ref/src/redis-7.0.15/tests".into());
    let Ok(script) = std::fs::read(format!("{folder}/integration/corrupt-dump.tcl")) else {
        return eprintln!("skipped: no official suite at {folder}");
    };
    let script = String::from_utf8_lossy(&script).into_owned();
    let (mut met, mut refused) = (0, 0);
    for test in script.split("\ntest {").skip(1) {
        let name = test.split('}').next().unwrap_or("");
        for line in test.lines().filter(|line| line.contains("restore")) {
            let Some((_, rest)) = line.split_once('"') else {
                continue;
            };
            let Some((text, _)) = rest.rsplit_once('"') else {
                continue;
            };
            let payload = tcl_bytes(text);
            met += 1;
            let _ = dump::decode(&payload, false);
            let deep = dump::decode(&payload, true);
            if test.contains("*Bad data format*") && !test.contains("sanitize_dump no") {
                let sound = deep.is_ok_and(|value| !has_duplicates(&value));
                assert!(!sound, "{name}");
                refused += 1;
            }
        }
    }
    assert!(
        met > 35 && refused >= 30,
        "{met} payloads, {refused} to be refused: is the script read right?"
    );
}

/// The first layout of hashes with times holds them as they are (type 22): one that no other layout can hold is refused, or the next
/// file would not load.
#[test]
fn a_field_time_beyond_what_can_be_saved_is_refused() {
    let payload = |ms: u64| {
        let mut body = vec![22, 1, 0x81];
        body.extend_from_slice(&ms.to_be_bytes());
        body.extend_from_slice(b"\x01f\x01v");
        dump::add_footer(body)
    };
    let latest = (1 << 46) - 1;
    assert!(dump::decode(&payload(latest), true).is_ok());
    assert!(dump::decode(&payload(latest + 1), true).is_err());
    assert!(dump::decode(&payload(u64::MAX), true).is_err());
}
