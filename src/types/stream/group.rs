//! Consumer groups: what was delivered to whom and not yet acknowledged.
//!
//! A group's pending list maps ids to [`Nack`]s; every consumer has, besides, the set of its own ids, so that its history is read
//! without walking the others'. A pending entry costs 32 + 16 bytes. A consumer is named by its slot number ([`ConsumerId`]) in
//! `slots`; `order` holds the slots by name. Slots of deleted consumers are reused.
//!
//! Invariants ([`Group::check_invariants`]): the consumers' sets are disjoint and their union is the pending list, each id in the
//! set of the consumer its NACK names; `order` is sorted by name and holds exactly the slots in use.
//!
//! Read counters: `entries_read` counts what the group was given since the stream began, and with it the lag is one subtraction.
//! It is only known as long as no deletion made the count ambiguous ([`Log::distance`], [`Log::lag`]); rules checked against 8.2.3.
use super::log::Log;
use crate::ds::stream::{IdMap, StreamId};
use crate::sys::relocate::{self, Mover};

/// Slot of a consumer in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerId(pub(super) u32);

/// A delivery that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    /// Unix time of the last delivery.
    pub delivery_time_ms: i64,
    /// Number of deliveries. `// Compat:` counts stop at 4294967295 (upstream: 64 bits).
    pub delivery_count: u32,
    /// Who has it.
    pub consumer: ConsumerId,
}

/// A consumer of a group.
#[derive(Debug, Clone)]
pub struct Consumer {
    name: Box<[u8]>,
    /// Unix time of the last attempt to read, claim or the like.
    pub seen_time_ms: i64,
    /// Unix time of the last successful one; -1 for never.
    pub active_time_ms: i64,
    pub(super) pending: IdMap<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of entries it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids it has not acknowledged, from `id` on.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.iter_from(id).map(|(id, ())| id)
    }
}

/// A consumer group; see the file header.
#[derive(Debug, Clone)]
pub struct Group {
    name: Box<[u8]>,
    pub(super) last_id: StreamId,
    pub(super) entries_read: Option<u64>,
    pub(super) pending: IdMap<Nack>,
    slots: Vec<Option<Box<Consumer>>>,
    order: Vec<u32>,
}

impl Group {
    pub(super) fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Self {
        Group {
            name: name.into(),
            last_id,
            entries_read,
            pending: IdMap::new(),
            slots: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The last id delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The logical read counter, when known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// XGROUP SETID. A read counter beyond the number of entries ever added is cut to that.
    pub fn set_id(&mut self, log: &Log, last_id: StreamId, entries_read: Option<u64>) {
        self.last_id = last_id;
        self.entries_read = entries_read.map(|n| n.min(log.entries_added()));
    }

    /// XCLAIM's LASTID: only ever moves forward.
    pub fn raise_last_id(&mut self, id: StreamId) {
        self.last_id = self.last_id.max(id);
    }

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending list in order.
    pub fn pending(&self) -> impl Iterator<Item = (StreamId, Nack)> + '_ {
        self.pending.iter()
    }

    /// The NACK of `id`.
    pub fn nack(&self, id: StreamId) -> Option<Nack> {
        self.pending.get(id)
    }

    /// Whether the group has yet to read or to acknowledge `id`: ACKED keeps such entries.
    #[inline]
    pub(super) fn wants(&self, id: StreamId) -> bool {
        id > self.last_id || self.pending.contains(id)
    }

    fn find_consumer(&self, name: &[u8]) -> Result<usize, usize> {
        self.order
            .binary_search_by(|&slot| match &self.slots[slot as usize] {
                Some(c) => (*c.name).cmp(name),
                None => std::cmp::Ordering::Less, // excluded by the invariant
            })
    }

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.order.len()
    }

    /// The consumers in order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        let slots = &self.slots;
        self.order
            .iter()
            .filter_map(|&slot| Some((ConsumerId(slot), slots[slot as usize].as_deref()?)))
    }

    /// The consumer `name`.
    pub fn consumer_id(&self, name: &[u8]) -> Option<ConsumerId> {
        Some(ConsumerId(self.order[self.find_consumer(name).ok()?]))
    }

    /// The consumer in slot `id`.
    #[inline]
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    /// The consumer in slot `id`, to change its times.
    #[inline]
    pub fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Adds a consumer last seen at `now_ms`; `None` when the name is taken.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: i64) -> Option<ConsumerId> {
        let Err(at) = self.find_consumer(name) else {
            return None;
        };
        let consumer = Box::new(Consumer {
            name: name.into(),
            seen_time_ms: now_ms,
            active_time_ms: -1,
            pending: IdMap::new(),
        });
        // In use are as many slots as `order` has; only when some are free is it worth looking for one.
        let free = match self.order.len() < self.slots.len() {
            true => self.slots.iter().position(Option::is_none),
            false => None,
        };
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(Some(consumer));
        } else {
            self.slots[slot] = Some(consumer);
        }
        self.order.insert(at, slot as u32);
        Some(ConsumerId(slot as u32))
    }

    /// Removes a consumer with all it has pending; returns how much that was, `None` when there is no such consumer.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.find_consumer(name).ok()?;
        let slot = self.order.remove(at) as usize;
        let consumer = self.slots[slot].take()?;
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        Some(consumer.pending.len())
    }

    /// Acknowledges `id`; false when it was not pending.
    #[inline]
    pub fn ack(&mut self, id: StreamId) -> bool {
        let Some(nack) = self.pending.remove(id) else {
            return false;
        };
        if let Some(consumer) = self.consumer_mut(nack.consumer) {
            consumer.pending.remove(id);
        }
        true
    }

    /// Sets the NACK of `id`, moving the id from its old consumer's set to the new one's.
    #[inline]
    pub(super) fn assign(&mut self, id: StreamId, nack: Nack) {
        let old = self.pending.insert(id, nack);
        if let Some(old) = old.filter(|o| o.consumer != nack.consumer)
            && let Some(consumer) = self.consumer_mut(old.consumer)
        {
            consumer.pending.remove(id);
        }
        if old.is_none_or(|o| o.consumer != nack.consumer)
            && let Some(consumer) = self.consumer_mut(nack.consumer)
        {
            consumer.pending.insert(id, ());
        }
    }

    /// Lets `mover` move the blocks of `part`, at most `count` runs of its pending list from `run` on: part 0 is the group itself,
    /// part n the consumer in slot n - 1. Tells the next part and run, None behind the last.
    pub(super) fn relocate(
        &mut self,
        mover: &mut dyn Mover,
        (part, run): (usize, usize),
        count: usize,
    ) -> Option<(usize, usize)> {
        let next = match part.checked_sub(1) {
            None => {
                if run == 0 {
                    relocate::slice(mover, &mut self.name);
                    relocate::vec(mover, &mut self.slots);
                    relocate::vec(mover, &mut self.order);
                }
                self.pending.relocate(mover, run, count)
            }
            Some(slot) => match self.slots.get_mut(slot)? {
                None => 0,
                Some(consumer) => {
                    if run == 0 {
                        relocate::boxed(mover, consumer);
                        relocate::slice(mover, &mut consumer.name);
                    }
                    consumer.pending.relocate(mover, run, count)
                }
            },
        };
        Some(if next == 0 {
            (part + 1, 0)
        } else {
            (part, next)
        })
    }

    /// Heap bytes owned.
    pub fn heap_bytes(&self) -> usize {
        let consumers: usize = self
            .consumers()
            .map(|(_, c)| size_of::<Consumer>() + c.name.len() + c.pending.heap_bytes())
            .sum();
        self.name.len()
            + self.pending.heap_bytes()
            + self.slots.capacity() * size_of::<usize>()
            + self.order.capacity() * size_of::<u32>()
            + consumers
    }

    /// Panics when an invariant of the file header does not hold. For tests.
    pub fn check_invariants(&self) {
        self.pending.check_invariants();
        assert_eq!(self.order.len(), self.slots.iter().flatten().count());
        assert_eq!(self.consumers().count(), self.order.len());
        assert!(
            self.consumers()
                .map(|(_, c)| c.name())
                .is_sorted_by(|a, b| a < b)
        );
        let mut owned = 0;
        for (slot, consumer) in self.consumers() {
            consumer.pending.check_invariants();
            for (id, ()) in consumer.pending.iter() {
                assert_eq!(self.pending.get(id).map(|n| n.consumer), Some(slot));
            }
            owned += consumer.pending.len();
        }
        assert_eq!(owned, self.pending.len());
    }
}

impl Log {
    /// Whether a deleted entry lies at or behind `start` among the entries there are, as far as `max_deleted_id` tells.
    pub(super) fn tombstone_from(&self, start: StreamId) -> bool {
        let deleted = self.max_deleted_id;
        !self.is_empty()
            && deleted != StreamId::ZERO
            && self.first_id <= deleted
            && start <= deleted
    }

    /// How many entries were ever added up to `id`, when that can be told.
    pub fn distance(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || self.is_empty() {
            return Some(self.entries_added);
        }
        // A deleted entry among those there are makes any other position unknowable.
        let intact = self.max_deleted_id == StreamId::ZERO || self.max_deleted_id < self.first_id;
        let before = self.entries_added.saturating_sub(self.length);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less if intact => Some(before),
            std::cmp::Ordering::Equal if intact => Some(before.wrapping_add(1)),
            _ => None,
        }
    }

    /// Entries `group` has yet to read, when that can be told (XINFO's lag).
    pub fn lag(&self, group: &Group) -> Option<u64> {
        if self.entries_added == 0 || self.is_empty() {
            return Some(0);
        }
        let read = match group.entries_read {
            // Everything is ahead: whatever the counter says.
            Some(_) if group.last_id < self.first_id && !self.tombstone_from(group.last_id) => {
                return Some(self.length);
            }
            Some(read) if !self.tombstone_from(group.last_id) => read,
            _ => self.distance(group.last_id)?,
        };
        Some(self.entries_added.wrapping_sub(read))
    }
}
