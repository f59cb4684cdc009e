//! The invalidation table: key to the clients that read it.
//!
//! Beside the map, the keys lie in a vector, so that a random one can be dropped when there are more than
//! `tracking-table-max-keys`. Most keys are read by one client, which costs no allocation of its own.
//!
//! Invariants: `order` holds every key of the map once, at the position the map tells; `items` is the sum of the clients.

use crate::ds::dense::DenseSet;
use crate::ds::rng::Rng;
use crate::keyspace::effects::ClientRef;
use std::collections::HashMap;
use std::sync::Arc;

/// Those who read one key.
#[derive(Debug)]
pub enum Readers {
    /// One client.
    One(ClientRef),
    /// Several.
    Many(Box<DenseSet<ClientRef>>),
}

impl Readers {
    /// The clients.
    pub fn as_slice(&self) -> &[ClientRef] {
        match self {
            Readers::One(c) => std::slice::from_ref(c),
            Readers::Many(s) => s.as_slice(),
        }
    }

    /// Adds a client; false when it was there.
    fn insert(&mut self, client: ClientRef) -> bool {
        match self {
            Readers::One(c) if *c == client => false,
            Readers::One(c) => {
                let mut set = DenseSet::new();
                set.insert(*c);
                set.insert(client);
                *self = Readers::Many(Box::new(set));
                true
            }
            Readers::Many(s) => s.insert(client),
        }
    }
}

#[derive(Debug)]
struct Tracked {
    at: u32,
    readers: Readers,
}

/// The table. See the file header.
#[derive(Debug, Default)]
pub struct KeyTable {
    map: HashMap<Arc<[u8]>, Tracked, foldhash::quality::RandomState>,
    order: Vec<Arc<[u8]>>,
    items: usize,
}

impl KeyTable {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of pairs of a key and a client.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Remembers that a client read a key.
    pub fn remember(&mut self, key: &[u8], client: ClientRef) {
        if let Some(t) = self.map.get_mut(key) {
            self.items += usize::from(t.readers.insert(client));
            return;
        }
        let name: Arc<[u8]> = key.into();
        let tracked = Tracked {
            at: self.order.len() as u32,
            readers: Readers::One(client),
        };
        self.order.push(name.clone());
        self.map.insert(name, tracked);
        self.items += 1;
    }

    /// Takes a key out, with those who read it.
    pub fn take(&mut self, key: &[u8]) -> Option<Readers> {
        let t = self.map.remove(key)?;
        self.order.swap_remove(t.at as usize);
        if let Some(moved) = self.order.get(t.at as usize)
            && let Some(m) = self.map.get_mut(moved)
        {
            m.at = t.at;
        }
        self.items -= t.readers.as_slice().len();
        Some(t.readers)
    }

    /// Any key.
    pub fn random(&self, rng: &mut Rng) -> Option<Arc<[u8]>> {
        if self.order.is_empty() {
            return None;
        }
        self.order.get(rng.below(self.order.len())).cloned()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    fn check_invariants(&self) {
        assert_eq!(self.map.len(), self.order.len());
        for (i, k) in self.order.iter().enumerate() {
            assert_eq!(self.map[k].at as usize, i);
        }
        let items: usize = self.map.values().map(|t| t.readers.as_slice().len()).sum();
        assert_eq!(items, self.items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn as_a_plain_map() {
        let mut rng = Rng::new(2);
        let (mut t, mut model) = (
            KeyTable::default(),
            BTreeMap::<Vec<u8>, BTreeSet<u32>>::new(),
        );
        for step in 0..20_000 {
            let key = format!("k{}", rng.below(200)).into_bytes();
            if rng.below(3) > 0 {
                let slot = rng.below(40) as u32;
                t.remember(
                    &key,
                    ClientRef {
                        slot,
                        generation: 1,
                    },
                );
                model.entry(key).or_default().insert(slot);
            } else {
                let key = match (rng.below(2), t.random(&mut rng)) {
                    (0, Some(k)) => k.to_vec(),
                    _ => key,
                };
                let got: Option<BTreeSet<u32>> = t
                    .take(&key)
                    .map(|r| r.as_slice().iter().map(|c| c.slot).collect());
                assert_eq!(got, model.remove(&key));
            }
            assert_eq!(t.len(), model.len());
            assert_eq!(t.items(), model.values().map(BTreeSet::len).sum::<usize>());
            if step % 64 == 0 {
                t.check_invariants();
            }
        }
        t.clear();
        assert_eq!(
            (t.is_empty(), t.items(), t.random(&mut rng).is_none()),
            (true, 0, true)
        );
    }
}
