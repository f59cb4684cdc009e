//! Snapshots and loading against each other: what was saved is what is loaded, byte for byte where it can be said, and no
//! damage passes unnoticed.

use super::load::{LoadPlan, Loader, Step};
use super::rdb::{Encoder, EntryMeta, RdbError, Reason, SaveOptions};
use super::snapshot::{self, AccessClock, Plan};
use super::values::{self, Limits};
use crate::config::Config;
use crate::config::values::EvictionPolicy;
use crate::ds::hash::hash;
use crate::ds::rng::Rng;
use crate::ds::stream::StreamId;
use crate::ds::table::Item;
use crate::keyspace::lazyfree::LazyFree;
use crate::keyspace::{Entry, Keyspace, NewStr, lru};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{AddId, NodeLimits, RefPolicy, Stream};
use crate::types::zset::{AddFlags, ZSet};
use std::io::Cursor;

const NOW_MS: i64 = 1_700_000_000_000;

fn keyspace() -> Keyspace {
    Keyspace::new(16, 1, LazyFree::inline())
}

fn add(ks: &mut Keyspace, db: usize, entry: Entry) {
    let volatile = entry.expire().is_some();
    let h = hash(entry.key());
    if !ks.dbs[db].keys.contains(h, entry.key()) {
        ks.dbs[db].keys.insert_marked(h, entry, volatile);
    }
}

fn bytes(rng: &mut Rng, max: usize) -> Vec<u8> {
    let n = rng.below(max);
    match rng.below(3) {
        0 => rng.below(1 << 40).to_string().into_bytes(),
        1 => vec![b'a'; n],
        _ => (0..n).map(|_| rng.below(256) as u8).collect(),
    }
}

fn random_value(rng: &mut Rng, key: &[u8], config: &Config) -> Entry {
    let expire = (rng.below(3) == 0).then(|| NOW_MS + 1 + rng.below(1 << 30) as i64);
    let limits = Limits::of(config);
    if rng.below(3) > 0 {
        let max = if rng.below(20) == 0 { 40_000 } else { 100 };
        let value = bytes(rng, max);
        return Entry::string(key, &NewStr::Copy(&value), expire);
    }
    match rng.below(4) {
        0 => Entry::collection(key, random_set(rng, &limits), expire),
        1 => Entry::collection(key, random_zset(rng, &limits), expire),
        2 => Entry::collection(key, Box::new(random_stream(rng)), expire),
        _ => {
            let mut list = List::new();
            for _ in 0..1 + rng.below(200) {
                let max = if rng.below(50) == 0 { 20_000 } else { 60 };
                let value = bytes(rng, max);
                list.push(crate::ds::quicklist::End::Tail, &value, &limits.list);
            }
            Entry::collection(key, list, expire)
        }
    }
}

fn random_set(rng: &mut Rng, limits: &Limits) -> Set {
    let (count, ints) = (1 + rng.below(200), rng.below(2) == 0);
    let mut set = None;
    for _ in 0..count {
        let member = match ints {
            true => rng.below(1 << 20).to_string().into_bytes(),
            false => bytes(rng, 70),
        };
        set.get_or_insert_with(|| Set::new_for(&member, 1, &limits.set))
            .add(&member, &limits.set);
    }
    set.unwrap_or_default()
}

fn random_zset(rng: &mut Rng, limits: &Limits) -> ZSet {
    let mut zset = ZSet::new(0, 0, limits.zset);
    for _ in 0..1 + rng.below(200) {
        let score = rng.below(1000) as f64 / 8.0 - 60.0;
        let member = bytes(rng, 70);
        zset.add(&member, score, AddFlags::default(), limits.zset)
            .unwrap();
    }
    zset
}

/// With deleted entries, groups that have read up to somewhere, and consumers of all kinds.
fn random_stream(rng: &mut Rng) -> Stream {
    let mut stream = Stream::new();
    let mut ids = Vec::new();
    for i in 0..rng.below(300) as u64 {
        let id = StreamId::new(1000 + i / 3 * 7, 5 + i);
        let value = bytes(rng, 60);
        let name = [&b"same"[..], b"other"][usize::from(rng.below(5) == 0)];
        let pairs = [name, &value, b"n", b"1"];
        let limits = NodeLimits::default();
        let added = stream
            .log
            .add(AddId::Exact(id), 0, pairs.into_iter(), limits);
        ids.push(added.unwrap());
    }
    for g in 0..rng.below(4) {
        let at = ids.get(rng.below(400)).copied().unwrap_or_default();
        let name = format!("group {g}");
        let read = (rng.below(2) == 0).then_some(3);
        stream.create_group(name.as_bytes(), at, read);
        let Some((_, group)) = stream.group_mut(name.as_bytes()) else {
            continue;
        };
        let consumers: Vec<_> = (0..rng.below(5))
            .filter_map(|c| group.create_consumer(format!("c{c}").as_bytes(), NOW_MS - 9))
            .collect();
        for id in ids.iter().filter(|_| !consumers.is_empty()) {
            if rng.below(3) == 0 {
                let owner = consumers[rng.below(consumers.len())];
                group.deliver(*id, owner, NOW_MS - rng.below(1000) as i64);
            }
        }
    }
    for id in &ids {
        if rng.below(4) == 0 {
            stream.delete(*id, RefPolicy::KeepRef);
        }
    }
    stream
}

fn filled(seed: u64, keys: usize, config: &Config) -> Keyspace {
    let mut rng = Rng::new(seed);
    let mut ks = keyspace();
    for i in 0..keys {
        let mut key = bytes(&mut rng, 300);
        key.extend_from_slice(i.to_string().as_bytes());
        let mut entry = random_value(&mut rng, &key, config);
        entry.set_clock(lru::clock_of_idle(rng.below(1000) as u64, NOW_MS));
        add(&mut ks, rng.below(3), entry);
    }
    ks
}

fn save(ks: &Keyspace, plan: &Plan) -> Vec<u8> {
    let mut out = Encoder::new(Cursor::new(Vec::new()), plan.options);
    snapshot::write_snapshot(&mut out, ks, plan, &mut |_| {}).unwrap();
    out.finish_file().unwrap().0.into_inner()
}

fn plan(config: &Config) -> Plan {
    Plan::of(config, NOW_MS, 1 << 20, &[b"#!lua name=x\n".to_vec()])
}

fn load(file: &[u8], config: &Config) -> Result<(Keyspace, super::load::Loaded), RdbError> {
    let mut ks = keyspace();
    let mut plan = LoadPlan::of(config, NOW_MS, file.len() as u64, true);
    plan.step_bytes = 777;
    let mut loader = Loader::new(file, plan);
    while loader.step(&mut ks)? == Step::More {}
    ks.dbs.iter().for_each(|db| db.keys.check_invariants());
    Ok((ks, loader.loaded))
}

/// Type byte and body of a value: equal bytes are equal values in equal encodings.
fn body(entry: &Entry) -> Vec<u8> {
    super::rdb::dump::encode_with(|out| values::put_bare(out, entry), false)
}

/// Equal bodies, save for sets in tables: those have no order of their own.
fn assert_same(found: &Entry, saved: &Entry) {
    let members = |entry: &Entry| {
        let set = entry.value::<Set>()?;
        match &*set {
            Set::Table(table) => {
                let mut all: Vec<_> = table.iter().map(|m| m.member().to_vec()).collect();
                all.sort();
                Some(all)
            }
            _ => None,
        }
    };
    match members(saved) {
        Some(all) => assert_eq!(members(found), Some(all)),
        None => assert_eq!(body(found), body(saved)),
    }
    if let Some(stream) = found.value::<Box<Stream>>() {
        stream.check_invariants();
    }
}

/// A stream of two nodes' worth of entries with everything a group can have.
fn small_stream() -> Stream {
    let mut stream = Stream::new();
    let one = |ms| StreamId::new(ms, 1);
    for ms in 1..=3 {
        let limits = NodeLimits {
            max_bytes: 0,
            max_entries: 2,
        };
        let pairs = [&b"f"[..], b"v"].into_iter();
        let added = stream.log.add(AddId::Exact(one(ms)), 0, pairs, limits);
        added.unwrap();
    }
    stream.create_group(b"g", one(2), Some(2));
    let (_, group) = stream.group_mut(b"g").unwrap();
    let reader = group.create_consumer(b"reader", NOW_MS).unwrap();
    group.create_consumer(b"idle", NOW_MS).unwrap();
    group.deliver(one(1), reader, NOW_MS - 5);
    group.deliver(one(2), reader, NOW_MS - 4);
    group.redeliver(one(2), NOW_MS - 3);
    group.consumer_mut(reader).unwrap().active_time_ms = NOW_MS - 3;
    stream.delete(one(1), RefPolicy::KeepRef);
    stream
}

#[test]
fn streams_keep_groups_consumers_and_pending_entries() {
    let config = Config::default();
    let mut ks = keyspace();
    let stream = Box::new(small_stream());
    add(&mut ks, 0, Entry::collection(b"s", stream, None));
    let (back, _) = load(&save(&ks, &plan(&config)), &config).unwrap();
    let found = back.dbs[0].keys.find(hash(b"s"), b"s").unwrap();
    let stream = found.value::<Box<Stream>>().unwrap();
    stream.check_invariants();
    let one = |ms| StreamId::new(ms, 1);
    let log = &stream.log;
    assert_eq!(
        (log.nodes().len(), log.len(), log.entries_added()),
        (2, 2, 3)
    );
    assert_eq!((log.first_id(), log.last_id()), (one(2), one(3)));
    assert_eq!(log.max_deleted_id(), one(1));
    let group = stream.group(b"g").unwrap();
    assert_eq!((group.last_id(), group.entries_read()), (one(2), Some(2)));
    let reader = group.consumer_id(b"reader").unwrap();
    let pending: Vec<_> = group
        .pending()
        .map(|(id, n)| (id, n.delivery_time_ms, n.delivery_count, n.consumer))
        .collect();
    let expected = [
        (one(1), NOW_MS - 5, 1, reader),
        (one(2), NOW_MS - 3, 2, reader),
    ];
    assert_eq!(pending, expected);
    let consumers: Vec<_> = group
        .consumers()
        .map(|(_, c)| (c.name(), c.pending_len(), c.seen_time_ms, c.active_time_ms))
        .collect();
    let idle = (&b"idle"[..], 0, NOW_MS, -1);
    assert_eq!(consumers, [idle, (b"reader", 2, NOW_MS, NOW_MS - 3)]);
}

#[test]
fn what_is_saved_is_loaded() {
    for seed in 0..4 {
        let config = Config {
            list_compress_depth: if seed == 3 { 1 } else { 0 },
            rdbcompression: seed % 2 == 0,
            ..Config::default()
        };
        let ks = filled(seed, 600, &config);
        let file = save(&ks, &plan(&config));
        let (back, loaded) = load(&file, &config).unwrap();
        assert_eq!(loaded.keys, ks.total_keys() as u64);
        assert_eq!(loaded.functions, [b"#!lua name=x\n".to_vec()]);
        assert_eq!((loaded.expired, loaded.used_memory), (0, 1 << 20));
        for (a, b) in ks.dbs.iter().zip(&back.dbs) {
            assert_eq!((a.len(), a.volatile()), (b.len(), b.volatile()));
            for entry in a.keys.iter() {
                let found = b
                    .keys
                    .find(hash(entry.key()), entry.key())
                    .expect("the key");
                assert_eq!(found.expire(), entry.expire());
                assert_eq!(found.encoding(), entry.encoding());
                assert_same(&found, &entry);
            }
        }
    }
}

#[test]
fn a_step_of_no_bytes_goes_on_all_the_same() {
    let config = Config::default();
    let file = save(&filled(3, 50, &config), &plan(&config));
    let mut ks = keyspace();
    let mut loader = Loader::new(
        file.as_slice(),
        LoadPlan::of(&config, NOW_MS, file.len() as u64, true),
    );
    // What a replica asks for when all has come and the decoder holds the last of it already.
    loader.set_step_bytes(0);
    let steps = (0..1_000).find(|_| loader.step(&mut ks).unwrap() == Step::Done);
    assert!(steps.is_some(), "it stands still");
    assert_eq!(ks.total_keys(), 50);
}

#[test]
fn access_clocks_travel() {
    let config = Config {
        maxmemory_policy: EvictionPolicy::AllkeysLru,
        ..Config::default()
    };
    let ks = filled(7, 50, &config);
    let (back, _) = load(&save(&ks, &plan(&config)), &config).unwrap();
    for (a, b) in ks.dbs.iter().zip(&back.dbs) {
        for entry in a.keys.iter() {
            let found = b.keys.find(hash(entry.key()), entry.key()).unwrap();
            assert_eq!(found.clock(), entry.clock());
        }
    }
    let lfu = Config {
        maxmemory_policy: EvictionPolicy::AllkeysLfu,
        ..Config::default()
    };
    let mut ks = keyspace();
    let mut entry = Entry::string(b"k", &NewStr::Int(1), None);
    entry.set_clock(lru::lfu_clock(99, NOW_MS));
    add(&mut ks, 0, entry);
    let the_plan = plan(&lfu);
    assert_eq!(the_plan.clock, AccessClock::Lfu { decay_minutes: 1 });
    let (back, _) = load(&save(&ks, &the_plan), &lfu).unwrap();
    let found = back.dbs[0].keys.find(hash(b"k"), b"k").unwrap();
    assert_eq!(lru::lfu_counter(found.clock(), NOW_MS, 1), 99);
}

#[test]
fn every_cut_and_every_flipped_byte_is_noticed() {
    let config = Config::default();
    // Small, as the work grows with the square of its size.
    let mut ks = keyspace();
    let mut list = List::new();
    for value in [&b"1"[..], b"22222222", &[b'z'; 100]] {
        list.push(
            crate::ds::quicklist::End::Tail,
            value,
            &Limits::of(&config).list,
        );
    }
    add(&mut ks, 0, Entry::collection(b"list", list, None));
    add(
        &mut ks,
        1,
        Entry::string(b"int", &NewStr::Int(-70_000), Some(NOW_MS + 5)),
    );
    add(
        &mut ks,
        1,
        Entry::string(b"text", &NewStr::Copy(&[b'x'; 200]), None),
    );
    let stream = Box::new(small_stream());
    add(&mut ks, 1, Entry::collection(b"stream", stream, None));
    let limits = Limits::of(&config);
    let mut rng = Rng::new(3);
    let set = random_set(&mut rng, &limits);
    add(&mut ks, 1, Entry::collection(b"set", set, None));
    let file = save(&ks, &plan(&config));
    for end in 0..file.len() {
        let error = load(&file[..end], &config).err().expect("a cut file");
        assert!(error.offset <= end as u64, "{error}");
    }
    for at in 0..file.len() - 8 {
        let mut broken = file.clone();
        broken[at] ^= 0x40;
        assert!(load(&broken, &config).is_err(), "byte {at}");
    }
}

fn by_hand(write: impl FnOnce(&mut Encoder<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut out = Encoder::new(Cursor::new(Vec::new()), SaveOptions::default());
    out.header().unwrap();
    write(&mut out);
    out.finish_file().unwrap().0.into_inner()
}

fn put(out: &mut Encoder<Cursor<Vec<u8>>>, key: &[u8], expire_ms: Option<i64>) {
    let meta = EntryMeta {
        expire_ms,
        ..EntryMeta::default()
    };
    values::put(out, key, &meta, &Entry::string(key, &NewStr::Int(5), None)).unwrap();
}

#[test]
fn duplicates_and_foreign_databases_are_errors() {
    let config = Config::default();
    let twice = by_hand(|out| {
        out.select_db(3, 2, 0).unwrap();
        put(out, b"same", None);
        put(out, b"other", None);
        put(out, b"same", None);
    });
    let error = load(&twice, &config).err().unwrap();
    assert_eq!(error.reason, Reason::DuplicateKey(b"same".to_vec(), 3));
    let far = by_hand(|out| out.select_db(16, 1, 0).unwrap());
    assert!(load(&far, &config).is_err());
}

#[test]
fn expired_keys_stay_out_and_lying_hints_cost_nothing() {
    let config = Config::default();
    let file = by_hand(|out| {
        out.select_db(0, u64::MAX / 2, u64::MAX / 2).unwrap();
        put(out, b"gone", Some(NOW_MS - 1));
        put(out, b"due", Some(NOW_MS));
        put(out, b"there", Some(NOW_MS + 1));
    });
    let (ks, loaded) = load(&file, &config).unwrap();
    assert_eq!((loaded.keys, loaded.expired), (2, 1));
    assert_eq!((ks.dbs[0].len(), ks.dbs[0].volatile()), (2, 2));
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let config = Config::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.rdb");
    let ks = filled(5, 40, &config);
    let mut told = 0;
    snapshot::save_file(&ks, &plan(&config), &path, &mut |n| told = n).unwrap();
    let (back, _) = load(&std::fs::read(&path).unwrap(), &config).unwrap();
    assert_eq!(back.total_keys(), ks.total_keys());
    // A folder in the way: the save fails, says so, and leaves nothing behind.
    let blocked = folder.path().join("blocked");
    std::fs::create_dir(&blocked).unwrap();
    let error = snapshot::save_file(&ks, &plan(&config), &blocked, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().starts_with("Error moving temp DB file"),
        "{error}"
    );
    assert!(error.to_string().ends_with(": Is a directory"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
