//! Sections about the data: Keyspace, Keysizes.

use super::{Around, Lines};
use crate::keyspace::sizes;

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

/// Keys by size and type: a line for each type that a database holds, `size=keys` for each power of two.
pub(super) fn keysizes(l: &mut Lines, a: &Around<'_>) {
    for db in &a.server.ks.dbs {
        let Some(classes) = db.keys.classes() else {
            continue;
        };
        for (ty, name) in sizes::COUNTED {
            let bins: Vec<String> = sizes::histogram(classes, ty)
                .map(|(size, keys)| format!("{}={keys}", short(size)))
                .collect();
            if !bins.is_empty() {
                l.raw(format_args!(
                    "db{}_distrib_{name}:{}",
                    db.id,
                    bins.join(",")
                ));
            }
        }
    }
}

/// A power of two with a unit: `512`, `1K`, `2M`.
fn short(n: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let unit = n.checked_ilog2().unwrap_or(0) as usize / 10;
    format!("{}{}", n >> (10 * unit), units[unit])
}
