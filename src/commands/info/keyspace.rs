//! Sections about the data: Keyspace, Keysizes.

use super::{Around, Lines};

pub(super) fn keyspace(l: &mut Lines, a: &Around<'_>) {
    for db in a.server.ks.dbs.iter().filter(|db| !db.is_empty()) {
        l.raw(format_args!(
            "db{}:keys={},expires={},avg_ttl={},subexpiry={}",
            db.id,
            db.len(),
            db.volatile(),
            db.avg_ttl_ms,
            db.fields.len()
        ));
    }
}

/// Compat: upstream counts keys by size here, at a cost on every write; that is not done yet, so the section is empty.
pub(super) fn keysizes(_: &mut Lines, _: &Around<'_>) {}
