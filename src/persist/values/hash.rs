//! Hashes to and from the RDB format: packed pairs, packed triplets with times, or fields one by one.
//!
//! A hash is written with times only when a field has one: a packed hash that lost its last one is written as triplets still (its
//! blob goes out as it is), a table as plain pairs. Due fields are written too; who loads them decides.
//!
//! Invariant: a field that comes twice is an error.

use super::{Head, Limits};
use crate::ds::listpack::{self, Listpack};
use crate::persist::rdb::value::{Elements, entry_u64};
use crate::persist::rdb::{Encoder, RdbError, RdbType, Reason};
use crate::types::hash::{FieldTtl, Hash, HashTable, PackEx};
use std::io::{self, Read, Write};

/// Writes type byte (with the key, as `head` says) and body.
pub(super) fn put<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, hash: &Hash) -> io::Result<()> {
    match hash {
        Hash::Listpack(pack) => {
            head.put(out, RdbType::HashListpack)?;
            out.put_string(pack.as_bytes())
        }
        Hash::ListpackEx(triplets) => {
            head.put(out, RdbType::HashListpackTtl)?;
            out.put_hash_packed_ttl(triplets.pack())
        }
        Hash::Table(table) => put_table(out, head, hash, table),
    }
}

fn put_table<W: Write>(
    out: &mut Encoder<W>,
    head: &Head<'_>,
    hash: &Hash,
    table: &HashTable,
) -> io::Result<()> {
    let (mut a, mut b) = ([0; 20], [0; 20]);
    let Some(min_ms) = hash.next_expiry().map(|ms| ms as u64) else {
        head.put(out, RdbType::Hash)?;
        out.put_len(table.len() as u64)?;
        return hash.iter().try_for_each(|(field, at)| {
            out.put_string(field.to_bytes(&mut a))?;
            out.put_string(at.value.to_bytes(&mut b))
        });
    };
    head.put(out, RdbType::HashTtl)?;
    out.put_hash_ttl_start(min_ms, table.len() as u64)?;
    hash.iter().try_for_each(|(field, at)| {
        let expire_ms = at.expire_ms.map(|ms| ms as u64);
        let (name, value) = (field.to_bytes(&mut a), at.value.to_bytes(&mut b));
        out.put_ttl_field(min_ms, expire_ms, name, value)
    })
}

fn duplicate() -> RdbError {
    RdbError::new(0, Reason::Corrupt("Duplicate hash fields detected"))
}

fn ttl_of(expire_ms: Option<u64>) -> FieldTtl {
    match expire_ms.and_then(|ms| i64::try_from(ms).ok()) {
        Some(ms) => FieldTtl::At(ms),
        None => FieldTtl::Clear,
    }
}

/// The hash of a checked listpack of pairs, or of triplets; a table when it exceeds the present limits.
pub(super) fn of_pack(pack: Listpack, triplets: bool, limits: &Limits) -> Result<Hash, RdbError> {
    let width = if triplets { 3 } else { 2 };
    let mut buf = [0; 20];
    let longest = pack.iter().map(|e| e.to_bytes(&mut buf).len()).max();
    let fits = longest.unwrap_or(0) <= limits.hash.value;
    if fits && pack.len() / width <= limits.hash.entries {
        return Ok(match triplets {
            true => Hash::ListpackEx(Box::new(PackEx::from_triplets(pack))),
            false => Hash::Listpack(pack),
        });
    }
    let mut table = HashTable::with_capacity(pack.len() / width);
    let (mut it, mut other) = (pack.iter(), [0; 20]);
    while let (Some(field), Some(value)) = (it.next(), it.next()) {
        let time = if triplets {
            it.next().and_then(entry_u64)
        } else {
            None
        };
        let ttl = ttl_of(time.filter(|&ms| ms != 0));
        if !table.set(text(&field, &mut buf), text(&value, &mut other), ttl) {
            return Err(duplicate());
        }
    }
    Ok(Hash::Table(Box::new(table)))
}

fn text<'a>(entry: &'a listpack::Entry<'a>, buf: &'a mut [u8; 20]) -> &'a [u8] {
    entry.to_bytes(buf)
}

/// The hash of fields one by one; packed again where the limits allow it. None when there are none.
pub(super) fn of_elements<R: Read>(
    mut elements: Elements<'_, R>,
    limits: &Limits,
) -> Result<Option<Hash>, RdbError> {
    let mut hash = Hash::default();
    if elements.remaining() > limits.hash.entries as u64 {
        hash.convert_to_table(elements.reserve_hint());
    }
    while let Some(e) = elements.next()? {
        if !hash.set(e.member, e.value, ttl_of(e.expire_ms), &limits.hash) {
            return Err(duplicate());
        }
    }
    Ok((!hash.is_empty()).then_some(hash))
}
