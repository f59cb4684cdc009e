//! The client table: a slab whose slots carry a generation, so that a stale handle meets nobody.
//!
//! The running client is moved out while its command executes ([`Clients::take`], [`Clients::put_back`]): nothing can alias it,
//! and others reach it only through what is queued for it.

use super::{Client, ClientRef};
use slab::Slab;
use std::collections::HashMap;

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// None while the client is out running.
    client: Option<Box<Client>>,
}

/// All connected clients.
#[derive(Debug, Default)]
pub struct Clients {
    slots: Slab<Slot>,
    by_id: HashMap<u64, ClientRef>,
    next_generation: u32,
    next_id: u64,
}

impl Clients {
    /// An empty table.
    pub fn new() -> Self {
        Clients {
            next_generation: 1,
            next_id: 1,
            ..Default::default()
        }
    }

    /// The id of the next client; ids are never used again.
    pub fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Takes a client in and fills in its handle.
    pub fn insert(&mut self, mut client: Box<Client>) -> ClientRef {
        let generation = self.next_generation;
        self.next_generation = (generation + 1) & 0x3fff_ffff;
        let entry = self.slots.vacant_entry();
        let handle = ClientRef {
            slot: entry.key() as u32,
            generation,
        };
        client.handle = handle;
        self.by_id.insert(client.id, handle);
        entry.insert(Slot {
            generation,
            client: Some(client),
        });
        handle
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without any client.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[inline(always)]
    fn slot(&self, h: ClientRef) -> Option<&Slot> {
        self.slots
            .get(h.slot as usize)
            .filter(|s| s.generation == h.generation)
    }

    /// The client, unless it is gone or running.
    #[inline(always)]
    pub fn get(&self, h: ClientRef) -> Option<&Client> {
        self.slot(h)?.client.as_deref()
    }

    /// The client, unless it is gone or running.
    #[inline(always)]
    pub fn get_mut(&mut self, h: ClientRef) -> Option<&mut Client> {
        self.slots
            .get_mut(h.slot as usize)
            .filter(|s| s.generation == h.generation)?
            .client
            .as_deref_mut()
    }

    /// Whether the client still exists, running or not.
    pub fn contains(&self, h: ClientRef) -> bool {
        self.slot(h).is_some()
    }

    /// The handle of the client with this id.
    pub fn by_id(&self, id: u64) -> Option<ClientRef> {
        self.by_id.get(&id).copied()
    }

    /// Moves a client out to run it.
    #[inline(always)]
    pub fn take(&mut self, h: ClientRef) -> Option<Box<Client>> {
        self.slots
            .get_mut(h.slot as usize)
            .filter(|s| s.generation == h.generation)?
            .client
            .take()
    }

    /// Puts a client back after it ran.
    #[inline(always)]
    pub fn put_back(&mut self, client: Box<Client>) {
        let slot = self
            .slots
            .get_mut(client.handle.slot as usize)
            .filter(|s| s.generation == client.handle.generation);
        if let Some(s) = slot {
            s.client = Some(client);
        }
    }

    /// Removes a client for good. It must not be running.
    pub fn remove(&mut self, h: ClientRef) -> Option<Box<Client>> {
        self.get(h)?;
        let client = self.slots.remove(h.slot as usize).client?;
        self.by_id.remove(&client.id);
        Some(client)
    }

    /// Every client that is not running.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().filter_map(|(_, s)| s.client.as_deref())
    }

    /// Every client that is not running.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.slots
            .iter_mut()
            .filter_map(|(_, s)| s.client.as_deref_mut())
    }

    /// The handle of the client in a slot, for walks that go on in a later tick.
    pub fn at_slot(&self, slot: usize) -> Option<ClientRef> {
        let s = self.slots.get(slot)?;
        Some(ClientRef {
            slot: slot as u32,
            generation: s.generation,
        })
    }

    /// One past the highest slot in use or free for reuse.
    pub fn slot_bound(&self) -> usize {
        self.slots.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Conn;

    #[test]
    fn stale_handles_meet_nobody() {
        let mut t = Clients::new();
        let id = t.new_id();
        let a = t.insert(Box::new(Client::new(id, Conn::None, 0)));
        assert!(t.get(a).is_some() && t.by_id(id) == Some(a));
        t.remove(a);
        let id2 = t.new_id();
        let b = t.insert(Box::new(Client::new(id2, Conn::None, 0)));
        assert_eq!(a.slot, b.slot);
        assert!(t.get(a).is_none() && t.get(b).is_some() && id != id2);
        let out = t.take(b).unwrap();
        assert!(t.get(b).is_none() && t.contains(b));
        t.put_back(out);
        assert!(t.get(b).is_some());
    }
}
