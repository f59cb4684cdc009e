//! Staying below `maxmemory`: evicting keys until the memory in use fits, for a bounded time.
//!
//! Before a command of a client runs, and at the end of turns while there is more to free. How long one go may take follows
//! `maxmemory-eviction-tenacity` (500 us by default); what is left is done in the next turns, and commands meanwhile run as
//! upstream lets them. `keyspace::evict` chooses the keys.

use super::{Server, ServerState};
use crate::config::values::EvictionPolicy;
use crate::exec::propagate;
use crate::keyspace::evict::Pool;
use crate::keyspace::{ExpiredKeys, Key};
use crate::observe::Event;
use crate::sys::clock::mono_ns;

/// Evictions between two looks at the clock.
const BATCH: usize = 16;

/// State of eviction.
#[derive(Default)]
pub struct Eviction {
    pool: Pool,
    policy: Option<EvictionPolicy>,
    /// More is to be freed in the next turn.
    pub unfinished: bool,
    /// Since when the memory in use has been above the limit, monotonic ns; 0 when it is not.
    exceeded_since_ns: u64,
    /// How long it was above in all, ns, the present time not included (INFO `total_eviction_exceeded_time`).
    pub exceeded_ns: u64,
}

impl Eviction {
    /// How long the memory in use has been above the limit now, ns (INFO `current_eviction_exceeded_time`).
    pub fn exceeded_now_ns(&self, mono_ns: u64) -> u64 {
        match self.exceeded_since_ns {
            0 => 0,
            since => mono_ns.saturating_sub(since),
        }
    }
}

/// Longest time of one go, ns: linear up to tenacity 10 (500 us), then 15 % more for each step, 100 without bound.
fn time_limit_ns(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => 50_000 * u64::from(tenacity),
        100.. => u64::MAX,
        t => (500_000.0 * 1.15f64.powi(t as i32 - 10)) as u64,
    }
}

impl Server {
    /// Bytes in use that count against `maxmemory`.
    pub fn counted_memory(&self) -> usize {
        self.used_memory().saturating_sub(self.memory_not_counted())
    }

    /// Bytes in use that do not (INFO `mem_not_counted_for_evict`): output buffers that wait for their next use, the AOF's buffer
    /// and what replicas hold of the stream beyond the backlog. Evicting fills these two: counted, it would make eviction feed
    /// itself.
    pub fn memory_not_counted(&self) -> usize {
        let backlog = self.config.repl_backlog_size as usize;
        let stream = self.repl.mem_bytes().saturating_sub(backlog + backlog / 64);
        self.queues.spare_bytes + self.persist.aof.log.buffer_bytes() + stream
    }

    /// Makes room below `maxmemory`. False when nothing can be evicted, so that commands that need memory must fail; true also
    /// when there is more to evict in later turns.
    pub fn free_memory(&mut self) -> bool {
        self.eviction.unfinished = false;
        let limit = self.config.maxmemory as usize;
        let ignored =
            self.state.contains(ServerState::REPLICA) && self.config.replica_ignore_maxmemory;
        if limit == 0 || ignored || self.counted_memory() <= limit {
            self.note_below_limit();
            return true;
        }
        // Replies and messages that only wait for the end of the turn take memory that no key need go for. Those behind a
        // change that the AOF does not hold yet have to wait.
        if self.persist.aof.log.buffered() == 0 {
            self.write_all_pending();
        }
        let too_much = self.counted_memory().saturating_sub(limit);
        let start = mono_ns();
        if self.eviction.exceeded_since_ns == 0 {
            self.eviction.exceeded_since_ns = start;
        }
        if self.eviction.policy != Some(self.config.maxmemory_policy) {
            self.eviction.policy = Some(self.config.maxmemory_policy);
            self.eviction.pool.clear();
        }
        let deadline = start.saturating_add(time_limit_ns(self.config.maxmemory_eviction_tenacity));
        let enough = self.evict_until(limit, too_much, deadline);
        let took_ms = (mono_ns() - start) / 1_000_000;
        self.latency
            .note(Event::EvictionCycle, took_ms, self.clock.now_s());
        enough
    }

    /// Evicts until the memory in use is at most `limit`, `too_much` was freed, or the time is over; see
    /// [`Server::free_memory`].
    fn evict_until(&mut self, limit: usize, too_much: usize, deadline_ns: u64) -> bool {
        // What is recorded of each deletion (for those who cache the key, for replicas) takes memory too, for a moment: it is
        // not counted against what the deletions freed, or evicting would feed itself.
        let mut freed = 0;
        let pending = self.ks.lazy.pending();
        loop {
            let found = (0..BATCH).all(|_| {
                freed >= too_much || self.counted_memory() <= limit || self.evict_one(&mut freed)
            });
            propagate::flush_deletions(self);
            if !self.config.lazyfree_lazy_eviction && self.ks.lazy.pending() > pending {
                // A value too big for the loop went to the other thread: what it held is as good as free.
                self.eviction.unfinished = true;
                break true;
            }
            if freed >= too_much || self.counted_memory() <= limit {
                self.note_below_limit();
                break true;
            }
            if !found {
                // What the freeing thread still holds will be enough, perhaps.
                let pending = self.ks.lazy.pending() > 0;
                self.eviction.unfinished = pending;
                break pending;
            }
            if mono_ns() >= deadline_ns {
                self.eviction.unfinished = true;
                break true;
            }
        }
    }

    fn note_below_limit(&mut self) {
        let now = mono_ns();
        self.eviction.exceeded_ns += self.eviction.exceeded_now_ns(now);
        self.eviction.exceeded_since_ns = 0;
    }

    /// Evicts one key and adds what that freed to `freed`; false when there is none.
    fn evict_one(&mut self, freed: &mut usize) -> bool {
        let now_ms = self.clock.now_ms;
        let Some(v) = self.eviction.pool.pick(&mut self.ks, &self.config, now_ms) else {
            return false;
        };
        let key = Key {
            bytes: &v.key,
            hash: v.hash,
        };
        let start = if self.latency.on() { mono_ns() } else { 0 };
        let before = self.memory.used();
        let mut view = self
            .ks
            .view(v.db, &self.config, now_ms, ExpiredKeys::Show, false);
        if view.remove_evicted(key) {
            *freed += before.saturating_sub(self.memory.used());
            view.announce_evicted(key);
        }
        if start != 0 {
            let took_ms = (mono_ns() - start) / 1_000_000;
            self.latency
                .note(Event::EvictionDel, took_ms, self.clock.now_s());
        }
        true
    }

    /// Goes on with what the last go left over.
    pub fn evict_more(&mut self) {
        if self.eviction.unfinished {
            self.free_memory();
            self.deliver_background_effects();
        }
    }
}
