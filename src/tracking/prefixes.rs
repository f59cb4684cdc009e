//! Broadcasting mode: prefixes, who listens to each, and the keys below it that changed in this tick.
//!
//! Prefixes and changed keys are kept in order, which is the order clients are told them in.
//!
//! Invariants: a prefix without clients is not kept; `changed` is true exactly when some prefix has changed keys.

use crate::ds::dense::DenseSet;
use crate::keyspace::effects::ClientRef;
use std::collections::BTreeMap;

/// Keys that changed, each with the client that changed it last (None: the server itself).
pub type Changed = BTreeMap<Box<[u8]>, Option<ClientRef>>;

/// One prefix.
#[derive(Debug, Default)]
pub struct Prefix {
    /// Who listens.
    pub clients: DenseSet<ClientRef>,
    /// What changed since the last tick.
    pub changed: Changed,
}

/// All prefixes. See the file header.
#[derive(Debug, Default)]
pub struct Prefixes {
    by_text: BTreeMap<Box<[u8]>, Prefix>,
    changed: bool,
}

impl Prefixes {
    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// True without prefixes.
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Adds a client to a prefix.
    pub fn join(&mut self, prefix: &[u8], client: ClientRef) {
        self.by_text
            .entry(prefix.into())
            .or_default()
            .clients
            .insert(client);
    }

    /// Removes a client from a prefix.
    pub fn leave(&mut self, prefix: &[u8], client: ClientRef) {
        if let Some(p) = self.by_text.get_mut(prefix) {
            p.clients.remove(client);
            if p.clients.is_empty() {
                self.by_text.remove(prefix);
            }
        }
    }

    /// Notes that `writer` changed a key.
    pub fn note(&mut self, key: &[u8], writer: Option<ClientRef>) {
        for (text, p) in &mut self.by_text {
            if key.starts_with(text) {
                p.changed.insert(key.into(), writer);
                self.changed = true;
            }
        }
    }

    /// Takes what changed since the last call: per prefix its listeners and the keys, in order.
    pub fn take_changed(&mut self) -> Vec<(Vec<ClientRef>, Changed)> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        self.by_text
            .values_mut()
            .filter(|p| !p.changed.is_empty())
            .map(|p| {
                (
                    p.clients.as_slice().to_vec(),
                    std::mem::take(&mut p.changed),
                )
            })
            .collect()
    }
}

/// The first pair of prefixes that overlap: one of `new` with one of `old`, else two of `new`. `Err` tells the pair and whether
/// the second is an old one. A client's prefixes must not overlap, or it would be told a key twice.
pub fn overlap<'a>(
    new: &[&'a [u8]],
    old: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(), (&'a [u8], &'a [u8], bool)> {
    let meet = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    for (i, p) in new.iter().enumerate() {
        if let Some(o) = old.clone().find(|o| meet(o, p)) {
            return Err((p, o, true));
        }
        if let Some(o) = new[i + 1..].iter().find(|o| meet(o, p)) {
            return Err((p, o, false));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping() {
        let old: [&[u8]; 2] = [b"foo", b"bar"];
        let of = |new: &[&'static [u8]]| overlap(new, old.iter().copied());
        assert_eq!(of(&[b"zoo", b"q"]), Ok(()));
        assert_eq!(of(&[b"foobar"]), Err((&b"foobar"[..], &b"foo"[..], true)));
        assert_eq!(of(&[b"zoo", b"z"]), Err((&b"zoo"[..], &b"z"[..], false)));
        assert_eq!(of(&[b""]), Err((&b""[..], &b"foo"[..], true)));
    }

    #[test]
    fn changes_are_gathered_per_prefix() {
        let c = ClientRef {
            slot: 1,
            generation: 1,
        };
        let mut p = Prefixes::default();
        p.join(b"k", c);
        p.join(b"m", c);
        p.note(b"k2", None);
        p.note(b"k1", Some(c));
        p.note(b"x", None);
        let told = p.take_changed();
        assert_eq!(told.len(), 1);
        let keys: Vec<&[u8]> = told[0].1.keys().map(|k| &k[..]).collect();
        assert_eq!(keys, [b"k1".as_slice(), b"k2"]);
        assert!(p.take_changed().is_empty());
        p.leave(b"k", c);
        assert_eq!(p.len(), 1);
    }
}
