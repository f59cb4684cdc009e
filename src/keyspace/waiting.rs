//! Who waits for a key: clients blocked on it, and clients that WATCH it.
//!
//! Both are kept per key so that a change costs others nothing: with 10,000 parked clients a push looks at one queue, and a
//! client leaves its queues by the number under which it arrived, without a search.

use super::effects::ClientRef;
use super::value::Type;
use std::collections::BTreeMap;

/// One client blocked on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// Who.
    pub client: ClientRef,
    /// The type of value that can serve it.
    pub wants: Type,
    /// Woken also when the key is deleted or holds another type (XREADGROUP).
    pub on_delete: bool,
}

/// The clients blocked on one key, by number of arrival.
#[derive(Debug, Default)]
pub struct Waiters {
    queue: BTreeMap<u64, Waiter>,
    /// How many want a list, a sorted set, a stream: a key of another type need not walk the queue.
    wanting: [u32; Type::ALL.len()],
    on_delete: u32,
    /// The key is on the list of ready keys already.
    pub signalled: bool,
}

impl Waiters {
    /// Adds a client under its number of arrival. False when it waits here already (a key named twice).
    pub fn add(&mut self, arrival: u64, waiter: Waiter) -> bool {
        if self.queue.insert(arrival, waiter).is_some() {
            return false;
        }
        self.wanting[waiter.wants as usize] += 1;
        self.on_delete += u32::from(waiter.on_delete);
        true
    }

    /// Removes the client that arrived under this number.
    pub fn remove(&mut self, arrival: u64) {
        if let Some(w) = self.queue.remove(&arrival) {
            self.wanting[w.wants as usize] -= 1;
            self.on_delete -= u32::from(w.on_delete);
        }
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether somebody is to be woken when the key goes.
    pub fn any_on_delete(&self) -> bool {
        self.on_delete > 0
    }

    /// The number under which the last one arrived.
    pub fn last(&self) -> Option<u64> {
        self.queue.last_key_value().map(|(n, _)| *n)
    }

    /// The first client that arrived in `from..=to` and is served by a key holding `there` (None: by a missing key).
    pub fn next(&self, from: u64, to: u64, there: Option<Type>) -> Option<(u64, ClientRef)> {
        let served = there.map_or(0, |t| self.wanting[t as usize]);
        if from > to || served == 0 && self.on_delete == 0 {
            return None;
        }
        self.queue
            .range(from..=to)
            .find(|(_, w)| there == Some(w.wants) || w.on_delete)
            .map(|(n, w)| (*n, w.client))
    }
}

/// Who watches one key. The flag: the key was expired already when WATCH was called, so that its deletion changes nothing.
#[derive(Debug, Default)]
pub struct Watchers(BTreeMap<ClientRef, bool>);

impl Watchers {
    /// Adds a client; nothing happens when it watches already.
    pub fn add(&mut self, client: ClientRef, expired: bool) {
        self.0.entry(client).or_insert(expired);
    }

    /// Removes a client.
    pub fn remove(&mut self, client: ClientRef) {
        self.0.remove(&client);
    }

    /// Whether this client watches, and if so whether the key was expired when it began to.
    pub fn get(&self, client: ClientRef) -> Option<bool> {
        self.0.get(&client).copied()
    }

    /// True when nobody watches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key changed; `there` tells whether it exists now. Yields those whose transaction fails by that.
    pub fn touched(&mut self, there: bool) -> impl Iterator<Item = ClientRef> {
        self.0.iter_mut().filter_map(move |(client, expired)| {
            if *expired && !there {
                // What had expired before is now gone: no logical change.
                *expired = false;
                return None;
            }
            Some(*client)
        })
    }

    /// The key of another database took this one's place (SWAPDB, a replaced dataset). `before` and `after` say what was
    /// there and what is. Yields those whose transaction fails by that.
    pub fn replaced(
        &mut self,
        before: Presence,
        after: Presence,
    ) -> impl Iterator<Item = ClientRef> {
        self.0.iter_mut().filter_map(move |(client, expired)| {
            match (*expired, before, after) {
                (_, Presence::Absent, Presence::Absent) => return None,
                (true, _, Presence::Absent) => *expired = false,
                (true, _, Presence::Expired) => {}
                (false, Presence::Absent, Presence::Expired) => *expired = true,
                _ => return Some(*client),
            }
            None
        })
    }
}

/// What a database holds under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// A key whose time has come.
    Expired,
    /// A live key.
    Live,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(slot: u32) -> ClientRef {
        ClientRef {
            slot,
            generation: 1,
        }
    }

    fn waiter(slot: u32, wants: Type, on_delete: bool) -> Waiter {
        Waiter {
            client: client(slot),
            wants,
            on_delete,
        }
    }

    #[test]
    fn first_come_first_served_by_type() {
        let mut w = Waiters::default();
        assert!(w.add(3, waiter(1, Type::List, false)));
        assert!(!w.add(3, waiter(1, Type::List, false)));
        assert!(w.add(5, waiter(2, Type::ZSet, false)) && w.add(7, waiter(3, Type::List, false)));
        assert_eq!(w.next(0, 9, Some(Type::List)), Some((3, client(1))));
        assert_eq!(w.next(4, 9, Some(Type::List)), Some((7, client(3))));
        assert_eq!(w.next(4, 6, Some(Type::List)), None);
        assert_eq!(w.next(0, 9, Some(Type::ZSet)), Some((5, client(2))));
        assert_eq!(w.next(0, 9, Some(Type::Stream)), None);
        assert_eq!(w.next(0, 9, None), None);
        w.add(8, waiter(4, Type::Stream, true));
        assert_eq!(w.next(0, 9, None), Some((8, client(4))));
        assert_eq!(w.next(0, 9, Some(Type::String)), Some((8, client(4))));
        for n in [3, 5, 7, 8, 8] {
            w.remove(n);
        }
        assert!(w.is_empty() && !w.any_on_delete() && w.wanting == [0; 6]);
    }

    #[test]
    fn what_had_expired_may_go() {
        let mut w = Watchers::default();
        w.add(client(1), true);
        w.add(client(2), false);
        w.add(client(1), false);
        assert_eq!(w.touched(false).collect::<Vec<_>>(), [client(2)]);
        assert_eq!(w.get(client(1)), Some(false));
        assert_eq!(w.touched(false).count(), 2);
        let mut w = Watchers::default();
        w.add(client(1), false);
        let gone = |w: &mut Watchers, a, b| w.replaced(a, b).count();
        assert_eq!(gone(&mut w, Presence::Absent, Presence::Absent), 0);
        assert_eq!(gone(&mut w, Presence::Absent, Presence::Expired), 0);
        assert_eq!(w.get(client(1)), Some(true));
        assert_eq!(gone(&mut w, Presence::Expired, Presence::Expired), 0);
        assert_eq!(gone(&mut w, Presence::Expired, Presence::Live), 1);
        assert_eq!(gone(&mut w, Presence::Expired, Presence::Absent), 0);
        assert_eq!(w.get(client(1)), Some(false));
        assert_eq!(gone(&mut w, Presence::Live, Presence::Absent), 1);
    }
}
