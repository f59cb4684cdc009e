//! Hashes: fields written, read, counted up, drawn, walked, and given a time to live.
//!
//! One file per kind of command, rows beside functions. What they share is here: the directives that shape a hash, replies of
//! fields, pairs written at once.
//!
//! **Expired fields.** Commands that name fields and change something call `db.remove_expired` first, so that what they see is
//! alive. Readers look, and only when they meet a field that is due have it removed. HLEN and the writers that do not care
//! what was there (HSET, HDEL) take fields as stored, as upstream does. `db.fields_due()` is the time up to which fields are
//! not seen: on a replica, nothing is removed, only hidden.
pub mod counter;
pub mod edit;
pub mod expire;
pub mod field_args;
pub mod getex;
pub mod random;
pub mod read;
pub mod ttl;
pub mod walk;

use crate::config::Config;
use crate::ds::listpack::Entry as Element;
use crate::exec::command::Command;
use crate::keyspace::{DbView, Entry, Key};
use crate::resp::{Args, Error, Reply};
use crate::types::hash::{Field, FieldTtl, Hash, HashLimits};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &edit::HSET,
    &edit::HMSET,
    &edit::HSETNX,
    &edit::HDEL,
    &read::HGET,
    &read::HMGET,
    &read::HGETALL,
    &read::HKEYS,
    &read::HVALS,
    &read::HLEN,
    &read::HSTRLEN,
    &read::HEXISTS,
    &counter::HINCRBY,
    &counter::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &walk::HSCAN,
    &expire::HEXPIRE,
    &expire::HPEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPEXPIREAT,
    &ttl::HPERSIST,
    &ttl::HTTL,
    &ttl::HPTTL,
    &ttl::HEXPIRETIME,
    &ttl::HPEXPIRETIME,
    &getex::HGETEX,
    &getex::HSETEX,
    &getex::HGETDEL,
];

/// The directives that shape hashes, as of now.
pub fn limits(config: &Config) -> HashLimits {
    HashLimits {
        entries: config.hash_max_listpack_entries,
        value: config.hash_max_listpack_value,
    }
}

/// Replies a field's name or value.
#[inline]
fn reply_element(reply: &mut Reply<'_>, e: Element<'_>) {
    match e {
        Element::Bytes(b) => reply.bulk(b),
        Element::Int(v) => reply.bulk_int(v),
    }
}

/// Whether a field is seen when those up to `due` (Unix ms) are not.
#[inline(always)]
fn alive(field: &Field<'_>, due: i64) -> bool {
    field.expire_ms.is_none_or(|at| at > due)
}

/// Sets pairs of a hash that is made if missing; how many fields are new.
fn set_pairs(
    db: &mut DbView<'_>,
    key: Key<'_>,
    pairs: Args<'_>,
    ttl: FieldTtl,
    limits: &HashLimits,
) -> Result<usize, Error> {
    if let Some(mut hash) = db.write_value::<Hash>(key)? {
        return Ok(set_all(&mut hash, pairs, ttl, limits));
    }
    let mut hash = Hash::default();
    let new = set_all(&mut hash, pairs, ttl, limits);
    db.add(key, Entry::collection(key.bytes, hash, None));
    Ok(new)
}

#[inline]
fn set_all(hash: &mut Hash, pairs: Args<'_>, ttl: FieldTtl, limits: &HashLimits) -> usize {
    hash.reserve(pairs.iter(), limits);
    (0..pairs.len() / 2)
        .filter(|i| hash.set(pairs.at(2 * i), pairs.at(2 * i + 1), ttl, limits))
        .count()
}
