//! Hashes to and from the RDB format.
//!
//! A packed hash is its blob, with the smallest time in front when its fields can expire. A table is written field by field,
//! with times only when some field has one. Fields whose time has passed are written and loaded like the others: the active
//! expiry of who loads them (or the master of that) removes them.

use super::{Head, Limits, wrong_type};
use crate::ds::listpack::Listpack;
use crate::ds::numtext::I64_TEXT_MAX;
use crate::keyspace::Entry;
use crate::persist::rdb::value::Elements;
use crate::persist::rdb::{Encoder, RdbError, RdbType, Reason};
use crate::types::hash::{FieldTtl, Hash, HashTable, PackEx};
use std::io::{self, Read, Write};

pub(super) fn put<W: Write>(
    out: &mut Encoder<W>,
    head: &Head<'_>,
    entry: &Entry,
) -> io::Result<()> {
    let hash = entry.value::<Hash>().ok_or_else(wrong_type)?;
    match &*hash {
        Hash::Listpack(pack) => {
            head.put(out, RdbType::HashListpack)?;
            out.put_string(pack.as_bytes())
        }
        Hash::ListpackEx(pack) => {
            head.put(out, RdbType::HashListpackTtl)?;
            out.put_hash_packed_ttl(pack.pack())
        }
        Hash::Table(table) => put_table(out, head, table),
    }
}

fn put_table<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, table: &HashTable) -> io::Result<()> {
    let Some(min) = table.next_expiry() else {
        head.put(out, RdbType::Hash)?;
        out.put_len(table.len() as u64)?;
        return table.fields().iter().try_for_each(|f| {
            out.put_string(f.field())?;
            out.put_string(f.value())
        });
    };
    let min = min.max(0) as u64;
    head.put(out, RdbType::HashTtl)?;
    out.put_hash_ttl_start(min, table.len() as u64)?;
    table.fields().iter().try_for_each(|f| {
        let at = f.expire().map(|at| at.max(0) as u64);
        out.put_ttl_field(min, at, f.field(), f.value())
    })
}

fn duplicate() -> RdbError {
    RdbError::new(0, Reason::Corrupt("Duplicate hash fields detected"))
}

/// Packed pairs as they are, or as a table when they exceed the present limits.
pub(super) fn of_pairs(pack: Listpack, limits: &Limits) -> Result<Hash, RdbError> {
    within(Hash::Listpack(pack), limits)
}

/// Packed triplets as they are, or as a table when they exceed the present limits.
pub(super) fn of_triplets(pack: Listpack, limits: &Limits) -> Result<Hash, RdbError> {
    within(
        Hash::ListpackEx(Box::new(PackEx::from_triplets(pack))),
        limits,
    )
}

fn within(mut hash: Hash, limits: &Limits) -> Result<Hash, RdbError> {
    let n = hash.len();
    let long = |e: crate::ds::listpack::Entry<'_>| {
        e.to_bytes(&mut [0; I64_TEXT_MAX]).len() > limits.hash.value
    };
    if n > limits.hash.entries || hash.iter().any(|(name, f)| long(name) || long(f.value)) {
        hash.convert_to_table(0);
        if hash.len() != n {
            let what = "Hash listpack with dup elements";
            return Err(RdbError::new(0, Reason::Corrupt(what)));
        }
    }
    Ok(hash)
}

/// A hash from single fields.
pub(super) fn of_elements<R: Read>(
    mut elements: Elements<'_, R>,
    limits: &Limits,
) -> Result<Hash, RdbError> {
    let mut hash = Hash::default();
    if elements.remaining() > limits.hash.entries as u64 {
        hash.convert_to_table(elements.reserve_hint());
    }
    while let Some(e) = elements.next()? {
        let at = e.expire_ms.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        let ttl = at.map_or(FieldTtl::Clear, FieldTtl::At);
        if !hash.set(e.member, e.value, ttl, &limits.hash) {
            return Err(duplicate());
        }
    }
    Ok(hash)
}
