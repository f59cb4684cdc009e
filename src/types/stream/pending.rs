//! What commands do to pending lists: deliver (XREADGROUP), list (XPENDING), claim (XCLAIM, XAUTOCLAIM).
//!
//! Replies and propagation belong to the commands; these functions change the group and say what happened.
use super::group::{ConsumerId, Group, Nack};
use super::log::Log;
use crate::ds::stream::StreamId;

/// XCLAIM's options. XAUTOCLAIM is the one with neither `retry_count` nor `force`.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// Entries delivered less than this ago are left alone.
    pub min_idle_ms: i64,
    /// The delivery time to set (IDLE, TIME or now).
    pub delivery_time_ms: i64,
    /// The delivery count to set; counted up when not given, unless `just_id`.
    pub retry_count: Option<u64>,
    /// Create the NACK when the entry exists but is not pending.
    pub force: bool,
    /// JUSTID: do not count this as a delivery.
    pub just_id: bool,
}

/// What became of one id of XCLAIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: not pending, or not idle for long enough.
    Skipped,
    /// The entry is gone from the stream: it was taken off the pending list; the NACK is what it was.
    Deleted(Nack),
    /// Claimed; the NACK is the new one.
    Claimed(Nack),
}

/// Which part of a pending list XPENDING shows.
#[derive(Debug, Clone, Copy)]
pub struct PendingFilter {
    /// First id.
    pub start: StreamId,
    /// Last id.
    pub end: StreamId,
    /// Entries at most.
    pub count: u64,
    /// Of this consumer only.
    pub consumer: Option<ConsumerId>,
    /// Idle for at least so long; 0 for any.
    pub min_idle_ms: i64,
}

/// One line of XPENDING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingItem {
    /// The entry's id.
    pub id: StreamId,
    /// Time since the last delivery, never negative.
    pub idle_ms: i64,
    /// Its delivery.
    pub nack: Nack,
}

/// What XAUTOCLAIM did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoClaim {
    /// Where to go on; 0-0 when the list was seen to its end.
    pub cursor: StreamId,
    /// What was looked at with an effect, in order: claimed, or deleted from the pending list as its entry is gone.
    pub done: Vec<(StreamId, Claim)>,
}

impl Group {
    /// Records that `id` is the next entry read with `>`: moves the last id and the read counter.
    #[inline]
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id <= self.last_id {
            return;
        }
        match self.entries_read {
            // Counting on is only right from within the entries there are, with no deleted one ahead.
            Some(read) if self.last_id >= log.first_id() && !log.tombstone_from(self.last_id) => {
                self.entries_read = Some(read.wrapping_add(1))
            }
            _ if log.entries_added() > 0 => self.entries_read = log.distance(id),
            _ => {}
        }
        self.last_id = id;
    }

    /// Puts `id` on `consumer`'s pending list as a first delivery. An id that is pending already (after XGROUP SETID moved
    /// back) changes hands.
    #[inline]
    pub fn deliver(&mut self, id: StreamId, consumer: ConsumerId, now_ms: i64) {
        self.assign(
            id,
            Nack {
                delivery_time_ms: now_ms,
                delivery_count: 1,
                consumer,
            },
        );
    }

    /// Counts a delivery from the history (XREADGROUP with an id): the entry exists and is sent again.
    pub fn redeliver(&mut self, id: StreamId, now_ms: i64) {
        if let Some(nack) = self.pending.get_mut(id) {
            nack.delivery_time_ms = now_ms;
            nack.delivery_count = nack.delivery_count.saturating_add(1);
        }
    }

    /// The lowest and the highest pending id (XPENDING's summary).
    pub fn pending_bounds(&self) -> Option<(StreamId, StreamId)> {
        Some((self.pending.first()?.0, self.pending.last()?.0))
    }

    /// XPENDING's extended form, one item per call of `emit`.
    pub fn list_pending(
        &self,
        filter: &PendingFilter,
        now_ms: i64,
        mut emit: impl FnMut(PendingItem),
    ) {
        let mut left = filter.count;
        let mut show = |id: StreamId, nack: Nack| {
            if left == 0 || id > filter.end {
                return false;
            }
            let idle_ms = now_ms.saturating_sub(nack.delivery_time_ms).max(0);
            if filter.min_idle_ms == 0 || idle_ms >= filter.min_idle_ms {
                left -= 1;
                emit(PendingItem { id, idle_ms, nack });
            }
            true
        };
        match filter.consumer.and_then(|c| self.consumer(c)) {
            Some(consumer) => {
                let mut ids = consumer.pending_from(filter.start);
                ids.all(|id| self.nack(id).is_none_or(|nack| show(id, nack)));
            }
            None if filter.consumer.is_some() => {}
            None => {
                self.pending
                    .iter_from(filter.start)
                    .all(|(id, nack)| show(id, nack));
            }
        }
    }

    /// XCLAIM for one id.
    pub fn claim(
        &mut self,
        log: &Log,
        id: StreamId,
        consumer: ConsumerId,
        options: &ClaimOptions,
        now_ms: i64,
    ) -> Claim {
        let pending = self.pending.get(id);
        if !log.contains(id) {
            self.ack(id);
            return pending.map_or(Claim::Skipped, Claim::Deleted);
        }
        let old_count = match pending {
            Some(nack) => {
                let idle_ms = now_ms.saturating_sub(nack.delivery_time_ms);
                if options.min_idle_ms > 0 && idle_ms < options.min_idle_ms {
                    return Claim::Skipped;
                }
                nack.delivery_count
            }
            None if options.force => 1,
            None => return Claim::Skipped,
        };
        let nack = Nack {
            delivery_time_ms: options.delivery_time_ms,
            delivery_count: match options.retry_count {
                Some(count) => u32::try_from(count).unwrap_or(u32::MAX),
                None => old_count.saturating_add(u32::from(!options.just_id)),
            },
            consumer,
        };
        self.assign(id, nack);
        if let Some(consumer) = self.consumer_mut(consumer) {
            consumer.active_time_ms = now_ms;
        }
        Claim::Claimed(nack)
    }

    /// XAUTOCLAIM: looks at up to ten times `count` pending entries from `start` on.
    pub fn auto_claim(
        &mut self,
        log: &Log,
        start: StreamId,
        count: u64,
        consumer: ConsumerId,
        options: &ClaimOptions,
        now_ms: i64,
    ) -> AutoClaim {
        let mut result = AutoClaim::default();
        let (mut attempts, mut left) = (count.saturating_mul(10), count);
        let mut next = self.pending.at_or_after(start);
        while let Some((id, _)) = next {
            if attempts == 0 || left == 0 {
                result.cursor = id;
                return result;
            }
            attempts -= 1;
            let claim = self.claim(log, id, consumer, options, now_ms);
            if claim != Claim::Skipped {
                left -= 1;
                result.done.push((id, claim));
            }
            next = id.succ().and_then(|id| self.pending.at_or_after(id));
        }
        result
    }
}
