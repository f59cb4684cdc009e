//! A whole keyspace as commands: the base file of an AOF without RDB (`aof-use-rdb-preamble no`).
//!
//! Each key becomes the fewest commands that make it again: collections in pieces of [`ITEMS_PER_COMMAND`] elements, streams with
//! their counters, groups, consumers and pending entries. Forms and order are those that 8.2.3 writes, so that what reads its
//! files reads ours.
//!
//! Extending: a new type gets an arm in `put_entry` that ends in the state it began with when its commands are run in order.

use super::encode::{arg, int, start};
use crate::ds::dtoa::{F64_TEXT_MAX, write_f64};
use crate::ds::listpack::Entry as Element;
use crate::ds::numtext::I64_TEXT_MAX;
use crate::ds::stream::StreamId;
use crate::ds::table::Item;
use crate::keyspace::{Db, Entry, Keyspace, StrRef, Type};
use crate::persist::snapshot::{self, Plan};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{Group, Stream};
use crate::types::zset::ZSet;
use std::io::{self, Write};

/// Elements per command.
const ITEMS_PER_COMMAND: usize = 64;
/// Bytes gathered before they are written.
const WRITE_FROM: usize = 256 * 1024;
/// Bytes between two calls of `sync`.
const SYNC_EVERY: usize = 4 << 20;
/// Keys between two looks at the time, for progress.
const PROGRESS_EVERY: u64 = 1024;

/// Where the commands go.
struct Out<'a, W: Write> {
    buf: Vec<u8>,
    inner: &'a mut W,
    /// Called now and then with the output, to sync it little by little.
    sync: &'a mut dyn FnMut(&mut W) -> io::Result<()>,
    since_sync: usize,
}

impl<W: Write> Out<'_, W> {
    fn write_if_much(&mut self) -> io::Result<()> {
        if self.buf.len() < WRITE_FROM {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.buf)?;
        self.since_sync += self.buf.len();
        self.buf.clear();
        if self.since_sync >= SYNC_EVERY {
            self.since_sync = 0;
            (self.sync)(self.inner)?;
        }
        Ok(())
    }
}

/// Writes functions and all databases as commands. `annotate_s`: the time to begin with, Unix seconds. `sync` is called every few
/// megabytes, `progress` every thousand keys or so with their number.
pub fn write_commands<W: Write>(
    inner: &mut W,
    ks: &Keyspace,
    plan: &Plan,
    annotate_s: Option<i64>,
    sync: &mut dyn FnMut(&mut W) -> io::Result<()>,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut out = Out {
        buf: Vec::with_capacity(WRITE_FROM + WRITE_FROM / 4),
        inner,
        sync,
        since_sync: 0,
    };
    if let Some(now_s) = annotate_s {
        super::encode::timestamp(&mut out.buf, now_s);
    }
    for source in &plan.functions {
        start(&mut out.buf, 3);
        arg(&mut out.buf, b"FUNCTION");
        arg(&mut out.buf, b"LOAD");
        arg(&mut out.buf, source);
        out.write_if_much()?;
    }
    let mut keys = 0;
    for db in ks.dbs.iter().filter(|db| !db.is_empty()) {
        put_db(&mut out, db, plan, &mut keys, progress)?;
    }
    out.write()
}

fn put_db<W: Write>(
    out: &mut Out<'_, W>,
    db: &Db,
    plan: &Plan,
    keys: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    super::encode::select(&mut out.buf, db.id);
    for entry in db.keys.iter() {
        put_entry(out, entry.key(), &entry)?;
        *keys += 1;
        snapshot::delay(plan.key_delay_us, *keys);
        if keys.is_multiple_of(PROGRESS_EVERY) {
            progress(*keys);
        }
    }
    Ok(())
}

/// The commands of one key.
fn put_entry<W: Write>(out: &mut Out<'_, W>, key: &[u8], entry: &Entry) -> io::Result<()> {
    let wrong = || io::Error::other("an entry does not hold the value its type says");
    match entry.ty() {
        Type::String => put_string(&mut out.buf, key, entry.str().ok_or_else(wrong)?),
        Type::List => put_list(out, key, &*entry.value::<List>().ok_or_else(wrong)?)?,
        Type::Set => put_set(out, key, &*entry.value::<Set>().ok_or_else(wrong)?)?,
        Type::ZSet => put_zset(out, key, &*entry.value::<ZSet>().ok_or_else(wrong)?)?,
        Type::Hash => put_hash(out, key, &*entry.value::<Hash>().ok_or_else(wrong)?)?,
        Type::Stream => {
            let stream = entry.value::<Box<Stream>>().ok_or_else(wrong)?;
            put_stream(out, key, &stream)?;
        }
    }
    if let Some(at) = entry.expire() {
        start(&mut out.buf, 3);
        arg(&mut out.buf, b"PEXPIREAT");
        arg(&mut out.buf, key);
        int(&mut out.buf, at);
    }
    out.write_if_much()
}

fn put_string(buf: &mut Vec<u8>, key: &[u8], value: StrRef<'_>) {
    start(buf, 3);
    arg(buf, b"SET");
    arg(buf, key);
    match value {
        StrRef::Int(n) => int(buf, n),
        StrRef::Bytes(bytes) => arg(buf, bytes),
        StrRef::Shared(shared) => arg(buf, &shared),
    }
}

fn element(buf: &mut Vec<u8>, e: Element<'_>) {
    arg(buf, e.to_bytes(&mut [0; I64_TEXT_MAX]));
}

/// Begins a command of a collection for the element `i` of `all` when a piece begins there; each element has `width`
/// arguments.
fn piece(buf: &mut Vec<u8>, name: &[u8], key: &[u8], i: usize, all: usize, width: usize) {
    if i.is_multiple_of(ITEMS_PER_COMMAND) {
        start(buf, 2 + (all - i).min(ITEMS_PER_COMMAND) * width);
        arg(buf, name);
        arg(buf, key);
    }
}

fn put_list<W: Write>(out: &mut Out<'_, W>, key: &[u8], list: &List) -> io::Result<()> {
    let all = list.len();
    let mut elements = list.iter_from(0, false);
    for i in 0..all {
        let Some(e) = elements.next_entry() else {
            break;
        };
        piece(&mut out.buf, b"RPUSH", key, i, all, 1);
        element(&mut out.buf, e);
        out.write_if_much()?;
    }
    Ok(())
}

fn put_set<W: Write>(out: &mut Out<'_, W>, key: &[u8], set: &Set) -> io::Result<()> {
    let all = set.len();
    for (i, member) in set.iter().enumerate() {
        piece(&mut out.buf, b"SADD", key, i, all, 1);
        element(&mut out.buf, member);
        out.write_if_much()?;
    }
    Ok(())
}

fn put_zset<W: Write>(out: &mut Out<'_, W>, key: &[u8], zset: &ZSet) -> io::Result<()> {
    let all = zset.len();
    for (i, (member, score)) in zset.iter().enumerate() {
        piece(&mut out.buf, b"ZADD", key, i, all, 2);
        arg(&mut out.buf, write_f64(score, &mut [0; F64_TEXT_MAX]));
        element(&mut out.buf, member);
        out.write_if_much()?;
    }
    Ok(())
}

/// With expiring fields each field gets a command of its own, and its time right behind it.
fn put_hash<W: Write>(out: &mut Out<'_, W>, key: &[u8], hash: &Hash) -> io::Result<()> {
    let expires = hash.next_expiry().is_some();
    let all = hash.len();
    for (i, (name, field)) in hash.iter().enumerate() {
        if expires {
            piece(&mut out.buf, b"HMSET", key, 0, 1, 2);
        } else {
            piece(&mut out.buf, b"HMSET", key, i, all, 2);
        }
        element(&mut out.buf, name);
        element(&mut out.buf, field.value);
        if let Some(at) = field.expire_ms {
            start(&mut out.buf, 6);
            arg(&mut out.buf, b"HPEXPIREAT");
            arg(&mut out.buf, key);
            int(&mut out.buf, at);
            arg(&mut out.buf, b"FIELDS");
            arg(&mut out.buf, b"1");
            element(&mut out.buf, name);
        }
        out.write_if_much()?;
    }
    Ok(())
}

fn id(buf: &mut Vec<u8>, id: StreamId) {
    arg(buf, id.to_string().as_bytes());
}

fn words(buf: &mut Vec<u8>, n: usize, words: &[&[u8]]) {
    start(buf, n);
    words.iter().for_each(|w| arg(buf, w));
}

fn put_stream<W: Write>(out: &mut Out<'_, W>, key: &[u8], stream: &Stream) -> io::Result<()> {
    let log = &stream.log;
    let mut entries = log.range(StreamId::ZERO, StreamId::MAX);
    let mut any = false;
    while let Some(entry) = entries.next() {
        any = true;
        let mut fields = entry.fields;
        let pairs: Vec<_> = (&mut fields).collect();
        start(&mut out.buf, 3 + 2 * pairs.len());
        arg(&mut out.buf, b"XADD");
        arg(&mut out.buf, key);
        id(&mut out.buf, entry.id);
        for (name, value) in pairs {
            element(&mut out.buf, name);
            element(&mut out.buf, value);
        }
        entries.resume(fields);
        out.write_if_much()?;
    }
    if !any {
        // A stream is there without entries only after one was added and went.
        words(
            &mut out.buf,
            7,
            &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"],
        );
    }
    words(&mut out.buf, 7, &[b"XSETID", key]);
    id(&mut out.buf, log.last_id());
    arg(&mut out.buf, b"ENTRIESADDED");
    arg(&mut out.buf, log.entries_added().to_string().as_bytes());
    arg(&mut out.buf, b"MAXDELETEDID");
    id(&mut out.buf, log.max_deleted_id());
    stream.groups().try_for_each(|g| put_group(out, key, g))
}

fn put_group<W: Write>(out: &mut Out<'_, W>, key: &[u8], group: &Group) -> io::Result<()> {
    words(&mut out.buf, 7, &[b"XGROUP", b"CREATE", key, group.name()]);
    id(&mut out.buf, group.last_id());
    arg(&mut out.buf, b"ENTRIESREAD");
    let read = group.entries_read().map_or(-1, |n| n as i64);
    int(&mut out.buf, read);
    for (_, consumer) in group.consumers() {
        if consumer.pending_len() == 0 {
            words(
                &mut out.buf,
                5,
                &[
                    b"XGROUP",
                    b"CREATECONSUMER",
                    key,
                    group.name(),
                    consumer.name(),
                ],
            );
        }
        for pending in consumer.pending_from(StreamId::ZERO) {
            let Some(nack) = group.nack(pending) else {
                continue;
            };
            words(
                &mut out.buf,
                12,
                &[b"XCLAIM", key, group.name(), consumer.name(), b"0"],
            );
            id(&mut out.buf, pending);
            arg(&mut out.buf, b"TIME");
            int(&mut out.buf, nack.delivery_time_ms);
            arg(&mut out.buf, b"RETRYCOUNT");
            int(&mut out.buf, nack.delivery_count.into());
            arg(&mut out.buf, b"JUSTID");
            arg(&mut out.buf, b"FORCE");
            out.write_if_much()?;
        }
    }
    out.write_if_much()
}
