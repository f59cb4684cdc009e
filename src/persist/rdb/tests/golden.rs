//! Files and payloads of real servers: everything in them is understood, and comes back out.
use super::*;

const SERVERS: [(&str, u16); 3] = [
    ("redis-7.0.15", 10),
    ("redis-8.2.3", 12),
    ("valkey-9.1.2", 80),
];
const DEEP: LoadOptions = LoadOptions {
    checksum: true,
    deep: true,
    skip_modules: false,
};

fn assert_as_expected(name: &str, file: &File) {
    let expected = String::from_utf8(data(&format!("{name}.expect"))).unwrap();
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let found = describe(file);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.trim_end(), *expected, "{name}");
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

#[test]
fn files_of_all_servers_hold_what_the_servers_say() {
    for (name, version) in SERVERS {
        let bytes = data(&format!("{name}.rdb"));
        let file = load(&bytes, DEEP).unwrap();
        assert_eq!(file.version, version);
        assert_eq!(file.consumed, bytes.len() as u64);
        assert_eq!(file.functions.len(), 1, "{name}");
        assert_as_expected(name, &file);
    }
}

#[test]
fn old_encodings_hold_what_7_0_15_loads_from_them() {
    let file = load(&data("old-formats.rdb"), DEEP).unwrap();
    assert_as_expected("old-formats", &file);
    let meta = |key: &[u8]| file.records.iter().find(|r| r.key == key).unwrap().meta;
    assert_eq!(meta(b"idle").idle_s, Some(5));
    assert_eq!(meta(b"freq").freq, Some(7));
}

#[test]
fn saved_again_in_either_style_nothing_is_lost() {
    for name in ["redis-7.0.15", "redis-8.2.3", "valkey-9.1.2", "old-formats"] {
        let file = load(&data(&format!("{name}.rdb")), DEEP).unwrap();
        for widest in [false, true] {
            for compress in [false, true] {
                let (bytes, version) = save(
                    &file,
                    SaveOptions {
                        widest,
                        compress,
                        ..Default::default()
                    },
                );
                let again = load(&bytes, DEEP).unwrap();
                assert_eq!(again.version, version);
                assert_as_expected(name, &again);
            }
        }
    }
}

#[test]
fn the_version_is_the_lowest_that_holds_the_data() {
    let file = load(&data("redis-8.2.3.rdb"), DEEP).unwrap();
    let version_of = |keep: &dyn Fn(&RdbValue) -> bool| {
        let records: Vec<Record> = file
            .records
            .iter()
            .filter(|r| keep(&r.value))
            .cloned()
            .collect();
        let (bytes, version) = save(
            &File {
                records,
                ..Default::default()
            },
            SaveOptions::default(),
        );
        assert_eq!(bytes[..9], *format!("REDIS{version:04}").as_bytes());
        load(&bytes, DEEP).unwrap(); // with its checksum, which the changed header is part of
        version
    };
    assert_eq!(
        version_of(&|v| matches!(
            v,
            RdbValue::Str(_) | RdbValue::Set(_) | RdbValue::SetPacked(_)
        )),
        9
    );
    assert_eq!(
        version_of(&|v| matches!(v, RdbValue::List(_) | RdbValue::HashPacked(_))),
        10
    );
    assert_eq!(version_of(&|v| matches!(v, RdbValue::Stream(_))), 11); // bob never read
    assert_eq!(version_of(&|v| matches!(v, RdbValue::HashPackedTtl(_))), 12);
    assert_eq!(version_of(&|_| true), 12);
}

#[test]
fn dump_payloads_are_byte_for_byte_those_of_8_2_3() {
    for line in String::from_utf8(data("redis-8.2.3.dumps"))
        .unwrap()
        .lines()
    {
        let (key, payload) = line.split_once('\t').unwrap();
        let payload = unhex(payload);
        let value = dump::decode(&payload, true).unwrap_or_else(|e| panic!("{key}: {e:?}"));
        if key == "list:compressed" {
            continue; // its nodes are LZF in memory; our LZF makes other (equally valid) bytes
        }
        assert_eq!(hex(&dump::encode(&value, false)), hex(&payload), "{key}");
    }
}

#[test]
fn payloads_of_other_servers_are_understood() {
    for name in ["redis-7.0.15", "valkey-9.1.2"] {
        for line in String::from_utf8(data(&format!("{name}.dumps")))
            .unwrap()
            .lines()
        {
            let (key, payload) = line.split_once('\t').unwrap();
            let value = dump::decode(&unhex(payload), true)
                .unwrap_or_else(|e| panic!("{name} {key}: {e:?}"));
            let again = dump::decode(&dump::encode(&value, true), true).unwrap();
            assert!(
                describe_value(&value) == describe_value(&again),
                "{name} {key}"
            );
        }
    }
}

/// An old list from single elements: the empty one among them has to find a node that may be empty.
#[test]
fn old_lists_of_empty_elements_are_dumped_again() {
    let payload = dump::add_footer(b"\x01\x02\x00\x01a".to_vec());
    let value = dump::decode(&payload, true).expect("a list");
    let again = dump::decode(&dump::encode(&value, true), true).expect("the same list");
    assert!(matches!(&again, RdbValue::List(nodes) if nodes.len() == 2));
    assert!(again == value);
}

#[test]
fn footers_decide() {
    let good = dump::encode(&RdbValue::Str(b"x".to_vec()), true);
    assert!(dump::decode(&good, true).is_ok());
    for (at, bit) in (0..good.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bad = good.clone();
        bad[at] ^= 1 << bit;
        assert_eq!(
            dump::decode(&bad, true).err(),
            Some(dump::DumpError::Footer),
            "byte {at} bit {bit}"
        );
    }
    for len in 0..good.len() {
        assert_eq!(
            dump::verify(&good[..len], true),
            Err(dump::DumpError::Footer)
        );
    }
    let mut newer = good[..good.len() - 10].to_vec();
    newer.extend_from_slice(&13u16.to_le_bytes());
    newer.extend_from_slice(&crate::ds::crc64::checksum(&newer).to_le_bytes());
    let error = dump::decode(&newer, true).err().unwrap();
    assert_eq!(
        error.to_string(),
        "DUMP payload version or checksum are wrong"
    );
    for body in [
        &b"\x02\x00"[..],
        b"\x63\x01a",
        b"\x00\x01aZ",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x00\x05a",
        b"",
    ] {
        let error = dump::decode(&dump::add_footer(body.to_vec()), false)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "Bad data format", "{body:?}");
    }
}

#[test]
fn functions_survive_their_dump() {
    let sources: [&[u8]; 2] = [b"#!lua name=a\nreturn 1", b"#!lua name=b\n"];
    let payload = dump::encode_functions(sources.iter().copied(), true);
    assert_eq!(dump::decode_functions(&payload).unwrap(), sources);
    assert!(dump::decode_functions(&dump::encode(&RdbValue::Str(b"x".to_vec()), true)).is_err());
}

#[test]
fn strangers_are_refused_by_name() {
    let text = |bytes: &[u8]| {
        load(bytes, LoadOptions::default())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(text(b"REDIS0013\xff"), "Can't handle RDB format version 13");
    assert_eq!(text(b"REDIS0080\xff"), "Can't handle RDB format version 80");
    assert_eq!(text(b"VALKEY081\xff"), "Can't handle RDB format version 81");
    assert_eq!(text(b"REDIS00x9\xff"), "Can't handle RDB format version 0");
    assert_eq!(
        text(b"hello world"),
        "Wrong signature trying to load DB from file"
    );
    let module = b"REDIS0010\xfe\x00\x07\x01a\x81\x01\x02\x03\x04\x05\x06\x07\x08\x00\xff";
    assert!(
        text(module).ends_with("no matching module type 'AQIDBAUGB'"),
        "{}",
        text(module)
    );
    let aux = b"REDIS0010\xf7\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x02\x00\xff";
    assert_eq!(
        text(aux),
        "The RDB file contains AUX module data I can't load: no matching module 'AQIDBAUGB'"
    );
}

#[test]
fn long_strings_and_values_left_unread() {
    let big: Vec<u8> = (0..300_000u32)
        .flat_map(|i| i.wrapping_mul(2654435761).to_le_bytes())
        .collect();
    let members: Vec<Vec<u8>> = (0..5000u32).map(|i| i.to_string().into_bytes()).collect();
    let record = |key: &[u8], value| Record {
        db: 0,
        key: key.to_vec(),
        meta: EntryMeta::default(),
        value,
    };
    let file = File {
        records: vec![
            record(b"big", RdbValue::Str(big.clone())),
            record(b"set", RdbValue::Set(members)),
            record(b"after", RdbValue::Str(b"x".to_vec())),
            record(&big, RdbValue::Str(vec![b'z'; 200_000])),
        ],
        ..Default::default()
    };
    let (bytes, _) = save(&file, SaveOptions::default());
    assert!(load(&bytes, LoadOptions::default()).unwrap().records == file.records);
    // A caller that looks at keys only still ends at the right place, checksum included.
    let mut decoder = Decoder::new(&bytes[..], LoadOptions::default());
    let mut keys = 0;
    loop {
        match decoder.next().unwrap() {
            Event::Entry(entry) => {
                if let Value::SetElements(mut elements) = entry.value {
                    assert_eq!(elements.remaining(), 5000);
                    elements.next().unwrap();
                }
                keys += 1;
            }
            Event::Eof(checksum) => break assert_eq!(checksum, reader::Checksum::Ok),
            _ => {}
        }
    }
    assert_eq!(keys, 4);
}

#[test]
fn the_hook_runs_every_four_megabytes() {
    let calls = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = calls.clone();
    let hook = Box::new(move |_: &mut Vec<u8>, at| {
        seen.borrow_mut().push(at);
        Ok(())
    });
    let mut encoder = Encoder::new(
        Vec::new(),
        SaveOptions {
            compress: false,
            ..Default::default()
        },
    )
    .with_hook(hook);
    encoder.header().unwrap();
    for i in 0..20u32 {
        let key = i.to_le_bytes();
        encoder
            .put_entry(
                &key,
                &EntryMeta::default(),
                &RdbValue::Str(vec![i as u8; 1 << 20]),
            )
            .unwrap();
    }
    encoder
        .put_entry(
            b"huge",
            &EntryMeta::default(),
            &RdbValue::Str(vec![7; 20 << 20]),
        )
        .unwrap();
    let bytes = encoder.finish().unwrap();
    let calls = calls.borrow();
    assert!(
        calls
            .windows(2)
            .all(|w| (4 << 20..6 << 20).contains(&(w[1] - w[0]))),
        "{calls:?}"
    );
    assert!((8..=10).contains(&calls.len()), "{calls:?}");
    assert_eq!(
        load(&bytes, LoadOptions::default()).unwrap().records.len(),
        21
    );
}

/// Not a test of correctness: `cargo test --lib five_million -- --ignored --nocapture` says how quick decoding alone is.
#[test]
#[ignore = "a measurement"]
fn five_million_small_strings() {
    let start = std::time::Instant::now();
    let mut encoder = Encoder::new(Vec::with_capacity(256 << 20), SaveOptions::default());
    encoder.header().unwrap();
    for i in 0..5_000_000u32 {
        let key = format!("key:{i:012}");
        encoder
            .entry(key.as_bytes(), &EntryMeta::default(), RdbType::String)
            .unwrap();
        encoder.put_string(b"a value of 16 by").unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let saved = start.elapsed();
    let start = std::time::Instant::now();
    let mut decoder = Decoder::new(&bytes[..], LoadOptions::default());
    let mut total = 0;
    while let Event::Entry(entry) = decoder.next().unwrap() {
        let Value::Str(Text::Bytes(value)) = entry.value else {
            unreachable!()
        };
        total += entry.key.len() + value.len();
    }
    assert_eq!(total, 160_000_000);
    eprintln!(
        "encoded in {saved:?}, decoded in {:?}, {} MB",
        start.elapsed(),
        bytes.len() >> 20
    );
}
