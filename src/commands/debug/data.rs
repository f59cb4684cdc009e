//! DEBUG subcommands that look at data or make some.

use super::done;
use crate::commands::generic::object::reported_encoding;
use crate::ds::numtext::parse_i64;
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::entry::NewStr;
use crate::keyspace::lru::idle_seconds;
use crate::keyspace::{Encoding, Entry, ExpiredKeys, Key, Type};
use crate::persist::rdb::dump;
use crate::persist::values;
use crate::resp::Error;

/// Version and checksum at the end of a payload, and the type byte at its start, bytes.
const AROUND_VALUE: usize = 10 + 1;

/// The payload of a value, as DUMP makes it, uncompressed unless asked for.
pub(super) fn payload(entry: &Entry, compress: bool) -> Vec<u8> {
    dump::encode_with(|out| values::put_bare(out, entry), compress)
}

pub(super) fn object(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    let (mut db, mut reply, config) = ctx.parts();
    let now_ms = db.now_ms;
    // What lies there, expired or not.
    db.expired = ExpiredKeys::Show;
    let entry = db.peek(key).ok_or(Error::NoSuchKey)?;
    let serialized = payload(&entry, config.rdbcompression).len() - AROUND_VALUE;
    let entry: &Entry = &entry;
    reply.simple(&format!(
        "Value at:{entry:p} refcount:1 encoding:{} serializedlength:{serialized} lru:{} lru_seconds_idle:{}",
        reported_encoding(entry, config),
        entry.clock(),
        idle_seconds(entry.clock(), now_ms),
    ));
    Ok(Flow::Done)
}

pub(super) fn listpack(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    let mut db = ctx.db();
    let entry = db.peek(key).ok_or(Error::NoSuchKey)?;
    if entry.encoding() != Encoding::Listpack {
        return Err(Error::new("ERR Not a listpack encoded object."));
    }
    println!("{}", payload(&entry, false).escape_ascii());
    ctx.reply().simple("Listpack structure printed on stdout");
    Ok(Flow::Done)
}

pub(super) fn sdslen(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    let (mut db, mut reply, _) = ctx.parts();
    let entry = db.peek(key).ok_or(Error::NoSuchKey)?;
    let text = entry.str().filter(|_| entry.encoding() != Encoding::Int);
    let text = text.ok_or(Error::new("ERR Not an sds encoded string."))?;
    // Key and value share one block and have no room to spare.
    reply.simple(&format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{}, val_sds_avail:0, val_zmalloc: 0",
        key.bytes.len(),
        entry.block_bytes(),
        text.text_len(),
    ));
    Ok(Flow::Done)
}

pub(super) fn htstats(ctx: &mut Ctx<'_>) -> Outcome {
    let n = usize::try_from(ctx.int(2)?).unwrap_or(usize::MAX);
    let Some(db) = ctx.server.ks.dbs.get(n) else {
        return Err(Error::new("ERR Out of range database"));
    };
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n number of elements: {}\n[Expires HT]\n number of elements: {}\n",
        db.len(),
        db.volatile()
    );
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

pub(super) fn htstats_key(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(2);
    let (mut db, mut reply, _) = ctx.parts();
    let entry = db.peek(key).ok_or(Error::NoSuchKey)?;
    if !matches!(entry.encoding(), Encoding::Hashtable | Encoding::Skiplist) {
        return Err(Error::new(
            "ERR The value stored at the specified key is not represented using an hash table",
        ));
    }
    let text = format!(
        "Hash table 0 stats (main hash table):\n number of elements: {}\n",
        entry.free_effort()
    );
    reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

pub(super) fn populate(ctx: &mut Ctx<'_>) -> Outcome {
    let positive = |i: usize| {
        parse_i64(ctx.arg(i))
            .filter(|&n| n >= 0)
            .ok_or(Error::new("ERR value is out of range, must be positive"))
    };
    let count = positive(2)?;
    let prefix = ctx.args.get(3).unwrap_or(b"key");
    let size = if ctx.args.len() == 5 { positive(4)? } else { 0 };
    let mut db = ctx.db();
    for i in 0..count {
        let key = [prefix, b":", i.to_string().as_bytes()].concat();
        let key = Key::new(&key);
        if db.exists(key) {
            continue;
        }
        let mut value = format!("value:{i}").into_bytes();
        if size > 0 {
            value.resize(size as usize, 0);
        }
        db.set_str(key, &NewStr::Copy(&value), None);
        // Upstream does not count these as changes, so no replica gets them.
        db.modified_quietly(key.bytes, 0);
    }
    done(ctx)
}

/// Upstream's number of a type, in digests.
pub(super) fn type_number(ty: Type) -> u32 {
    match ty {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::ZSet => 3,
        Type::Hash => 4,
        Type::Stream => 6,
    }
}
