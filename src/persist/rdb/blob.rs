//! Checks of the packed encodings that arrive from outside: structure always, meaning as `sanitize-dump-payload` asks.
//!
//! Compat: upstream walks a blob only when sanitizing; here the walk (encodings, bounds, backlens, counts, pairing, scores)
//! is always done, since it costs about what copying the bytes costs and keeps damaged files from being loaded half. Only
//! the search for duplicates and the check of the order are left to `deep`.
use super::value::entry_u64;
use crate::ds::intset::Intset;
use crate::ds::listpack::{Entry, Listpack};
use crate::ds::numtext::parse_f64;
use std::collections::HashSet;

/// Longest blob accepted, in bytes: the buffers of listpacks count in 32 bits.
const BLOB_MAX: usize = u32::MAX as usize - 64;

/// A listpack whose every entry is sound. `what` names the check in the error.
pub fn listpack(blob: &[u8], what: &'static str) -> Result<Listpack, &'static str> {
    if blob.len() > BLOB_MAX {
        return Err(what);
    }
    Listpack::from_bytes_deep(blob).map_err(|_| what)
}

/// An intset, sorted and of the size it says.
pub fn intset(blob: &[u8]) -> Result<Intset, &'static str> {
    const WHAT: &str = "Intset integrity check failed.";
    if blob.len() > BLOB_MAX {
        return Err(WHAT);
    }
    Intset::from_bytes_validated(blob, true).map_err(|_| WHAT)
}

/// Does every `step`-th entry differ from all others of its rank, and is the count a multiple of `step`?
fn distinct(blob: &Listpack, step: usize, deep: bool) -> bool {
    let len = blob.len();
    if !len.is_multiple_of(step) {
        return false;
    }
    if !deep {
        return true;
    }
    let mut seen = HashSet::with_capacity(len / step);
    blob.iter()
        .step_by(step)
        .all(|entry| seen.insert(entry.to_vec()))
}

/// A set's members: no duplicates.
pub fn check_set(blob: &Listpack, deep: bool) -> Result<(), &'static str> {
    if distinct(blob, 1, deep) {
        Ok(())
    } else {
        Err("Set listpack integrity check failed.")
    }
}

/// A hash's fields and values: complete pairs, no field twice.
pub fn check_hash(blob: &Listpack, deep: bool) -> Result<(), &'static str> {
    if distinct(blob, 2, deep) {
        Ok(())
    } else {
        Err("Hash listpack integrity check failed.")
    }
}

/// Fields, values and expirations: complete triples, sound expirations; `deep` also: in their order, no field twice.
pub fn check_hash_ttl(blob: &Listpack, deep: bool) -> Result<(), &'static str> {
    const WHAT: &str = "Hash listpack integrity check failed.";
    if !distinct(blob, 3, deep) {
        return Err(WHAT);
    }
    let mut last = 0;
    for entry in blob.iter().skip(2).step_by(3) {
        let ms = match entry {
            Entry::Int(0) => u64::MAX,
            entry => entry_u64(entry)
                .filter(|&ms| ms <= super::value::MAX_FIELD_EXPIRE_MS)
                .ok_or(WHAT)?,
        };
        if deep && ms < last {
            return Err(WHAT);
        }
        last = ms;
    }
    Ok(())
}

/// Members and scores: complete pairs, scores that are numbers; `deep` also: ascending, no member twice.
pub fn check_zset(blob: &Listpack, deep: bool) -> Result<(), &'static str> {
    const WHAT: &str = "Zset listpack integrity check failed.";
    if !distinct(blob, 2, deep) {
        return Err(WHAT);
    }
    let mut last: Option<(f64, Vec<u8>)> = None;
    let mut entries = blob.iter();
    while let (Some(member), Some(score)) = (entries.next(), entries.next()) {
        let score = entry_score(score).ok_or(WHAT)?;
        if deep {
            let member = member.to_vec();
            if last.is_some_and(|(s, m)| score < s || (score == s && member < m)) {
                return Err(WHAT);
            }
            last = Some((score, member));
        }
    }
    Ok(())
}

/// The score an entry holds, if it is a number.
pub fn entry_score(entry: Entry<'_>) -> Option<f64> {
    match entry {
        Entry::Int(n) => Some(n as f64),
        Entry::Bytes(text) => parse_f64(text).filter(|score| !score.is_nan()),
    }
}
