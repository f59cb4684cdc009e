//! Tests of the RDB room against files made by real servers (tests/data/rdb, see generate.py there), against damage, and
//! against the servers themselves where they are installed.
mod damage;
mod golden;
mod live;
mod tool;

use super::stream::{Id, StreamValue};
use super::*;
use crate::ds::listpack::Listpack;
use std::path::PathBuf;

/// A golden file's contents.
fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/rdb")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A key of a file, owned.
#[derive(Clone, PartialEq)]
struct Record {
    db: u64,
    key: Vec<u8>,
    meta: EntryMeta,
    value: RdbValue,
}

/// Everything in a file.
#[derive(Default, PartialEq)]
struct File {
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<Vec<u8>>,
    records: Vec<Record>,
    version: u16,
    consumed: u64,
}

fn load(bytes: &[u8], options: LoadOptions) -> Result<File, RdbError> {
    let mut decoder = Decoder::new(bytes, options);
    let (mut file, mut db) = (File::default(), 0);
    loop {
        match decoder.next()? {
            Event::Aux(k, v) => file.aux.push((k.to_vec(), v.to_vec())),
            Event::SelectDb(n) => db = n,
            Event::Function(source) => file.functions.push(source.to_vec()),
            Event::Entry(entry) => {
                let meta = EntryMeta {
                    expire_ms: entry.expire_ms,
                    idle_s: entry.idle_s,
                    freq: entry.freq,
                };
                let key = entry.key.to_vec();
                if let Some(value) = entry.value.into_owned()? {
                    file.records.push(Record {
                        db,
                        key,
                        meta,
                        value,
                    });
                }
            }
            Event::Eof(_) => break,
            _ => {}
        }
    }
    file.version = decoder.version();
    file.consumed = decoder.offset();
    Ok(file)
}

/// A file from records, as the server would save it.
fn save(file: &File, options: SaveOptions) -> (Vec<u8>, u16) {
    let mut encoder = Encoder::new(std::io::Cursor::new(Vec::new()), options);
    encoder.header().unwrap();
    for (name, value) in &file.aux {
        encoder.aux(name, value).unwrap();
    }
    for source in &file.functions {
        encoder.function(source).unwrap();
    }
    let mut db = None;
    for record in &file.records {
        if db != Some(record.db) {
            db = Some(record.db);
            encoder.select_db(record.db, 1, 0).unwrap();
        }
        encoder
            .put_entry(&record.key, &record.meta, &record.value)
            .unwrap();
    }
    let (out, version) = encoder.finish_file().unwrap();
    (out.into_inner(), version)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn entries(blob: &Listpack) -> Vec<Vec<u8>> {
    blob.iter().map(|e| e.to_vec()).collect()
}

fn id_text(id: Id) -> String {
    format!("{}-{}", id.0, id.1)
}

/// The lines of an `.expect` file for what was loaded.
fn describe(file: &File) -> Vec<String> {
    let mut sorted: Vec<&Record> = file.records.iter().collect();
    sorted.sort_by(|a, b| (a.db, &a.key).cmp(&(b.db, &b.key)));
    sorted
        .iter()
        .map(|r| {
            let (kind, content) = describe_value(&r.value);
            let expire = r.meta.expire_ms.unwrap_or(-1);
            format!("{}\t{kind}\t{}\t{expire}\t{content}", r.db, hex(&r.key))
        })
        .collect()
}

fn sorted_join(mut parts: Vec<String>) -> String {
    parts.sort();
    parts.join(",")
}

fn hash_text(fields: impl Iterator<Item = (Vec<u8>, Vec<u8>, Option<u64>)>) -> String {
    sorted_join(
        fields
            .map(|(f, v, ms)| {
                format!(
                    "{}={}{}",
                    hex(&f),
                    hex(&v),
                    ms.map_or(String::new(), |ms| format!("@{ms}"))
                )
            })
            .collect(),
    )
}

fn zset_text(mut members: Vec<(Vec<u8>, f64)>) -> String {
    members.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let parts: Vec<String> = members
        .iter()
        .map(|(m, s)| format!("{}={:016x}", hex(m), s.to_bits()))
        .collect();
    parts.join(",")
}

fn describe_value(value: &RdbValue) -> (&'static str, String) {
    match value {
        RdbValue::Str(bytes) => ("string", hex(bytes)),
        RdbValue::List(nodes) => {
            let all = nodes.iter().flat_map(|node| match node {
                ListNode::Plain(element) => vec![element.clone()],
                ListNode::Packed(blob) => entries(blob),
            });
            ("list", all.map(|e| hex(&e)).collect::<Vec<_>>().join(","))
        }
        RdbValue::SetInts(ints) => (
            "set",
            sorted_join(ints.iter().map(|n| hex(n.to_string().as_bytes())).collect()),
        ),
        RdbValue::SetPacked(blob) => (
            "set",
            sorted_join(entries(blob).iter().map(|m| hex(m)).collect()),
        ),
        RdbValue::Set(members) => ("set", sorted_join(members.iter().map(|m| hex(m)).collect())),
        RdbValue::HashPacked(blob) => (
            "hash",
            hash_text(
                entries(blob)
                    .chunks(2)
                    .map(|p| (p[0].clone(), p[1].clone(), None)),
            ),
        ),
        RdbValue::HashPackedTtl(blob) => {
            let expire = |text: &[u8]| crate::ds::numtext::parse_u64(text).filter(|&ms| ms != 0);
            (
                "hash",
                hash_text(
                    entries(blob)
                        .chunks(3)
                        .map(|p| (p[0].clone(), p[1].clone(), expire(&p[2]))),
                ),
            )
        }
        RdbValue::Hash(fields) => ("hash", hash_text(fields.iter().cloned())),
        RdbValue::ZsetPacked(blob) => {
            let scores = blob
                .iter()
                .skip(1)
                .step_by(2)
                .map(|e| blob::entry_score(e).unwrap());
            (
                "zset",
                zset_text(entries(blob).into_iter().step_by(2).zip(scores).collect()),
            )
        }
        RdbValue::Zset(members) => ("zset", zset_text(members.clone())),
        RdbValue::Stream(stream) => ("stream", describe_stream(stream)),
    }
}

/// The live entries of a stream, walked here once more and independently of the decoder's own check.
fn stream_entries(stream: &StreamValue) -> Vec<String> {
    let mut out = Vec::new();
    for node in &stream.nodes {
        let items = entries(&node.entries);
        let number = |i: usize| {
            std::str::from_utf8(&items[i])
                .unwrap()
                .parse::<i64>()
                .unwrap()
        };
        let fields = number(2) as usize;
        let master = &items[3..3 + fields];
        let mut at = 4 + fields;
        for _ in 0..number(0) + number(1) {
            let flags = number(at);
            let id = (
                node.first.0.wrapping_add_signed(number(at + 1)),
                node.first.1.wrapping_add_signed(number(at + 2)),
            );
            let (pairs, end): (Vec<String>, usize) = if flags & 2 != 0 {
                let values = &items[at + 3..at + 3 + fields];
                (
                    master
                        .iter()
                        .zip(values)
                        .flat_map(|(f, v)| [hex(f), hex(v)])
                        .collect(),
                    at + 4 + fields,
                )
            } else {
                let count = number(at + 3) as usize;
                (
                    items[at + 4..at + 4 + 2 * count]
                        .iter()
                        .map(|i| hex(i))
                        .collect(),
                    at + 5 + 2 * count,
                )
            };
            if flags & 1 == 0 {
                out.push(format!("{}:{}", id_text(id), pairs.join(",")));
            }
            at = end;
        }
    }
    out
}

fn describe_stream(stream: &StreamValue) -> String {
    let groups = stream.groups.iter().map(|group| {
        let consumers = group.consumers.iter().enumerate().map(|(i, consumer)| {
            let own = group.pending.iter().filter(|p| p.consumer as usize == i);
            format!(
                "{}:{}",
                hex(&consumer.name),
                own.map(|p| id_text(p.id)).collect::<Vec<_>>().join("+")
            )
        });
        format!(
            "{}@{}({})",
            hex(&group.name),
            id_text(group.last_id),
            consumers.collect::<Vec<_>>().join(";")
        )
    });
    let groups = groups.collect::<Vec<_>>().join(" ");
    let text = format!(
        "{} {} {} {groups}",
        stream.length,
        id_text(stream.last_id),
        stream_entries(stream).join("/")
    );
    text.trim_end().to_string()
}
