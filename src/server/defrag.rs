//! Active defragmentation: when it runs and for how long. `keyspace::defrag` walks, `sys::relocate` moves.
//!
//! Once a second it is decided whether and how much: fragmentation is what the allocator keeps in use beyond what was allocated. From
//! `active-defrag-threshold-lower` (and `active-defrag-ignore-bytes`) on it runs, with a share of the processor between
//! `active-defrag-cycle-min` and `-max` that grows to the upper threshold. The share is kept by short slices ([`SLICE_NS`]) with
//! pauses between, at the end of turns, so that no client waits longer than a slice; a share above a third takes longer slices, because
//! the loop does not sleep for less than a millisecond. It rests while a child shares the pages.
//!
//! A pass that freed little (what is left belongs to Lua, to buffers, to the allocator's own choice) halves the share of the next
//! one, down to one percent, until there is something to gain again.
//!
//! **After mass deletions** (`compact-after-deletes yes`, the default; upstream has no such thing): with `activedefrag no` the same
//! walk runs at [`COMPACT_PERCENT`] when two thirds of the keys there were are gone and most of the memory is empty.

use super::{Server, ServerState};
use crate::keyspace::defrag::Walk;
use crate::observe::Event;
use crate::sys::alloc::{self, AllocStats};
use crate::sys::clock::{mono_ns, mono_us};
use crate::sys::relocate::Packer;

/// Length of a slice, ns.
const SLICE_NS: u64 = 500_000;
/// Length of a slice for large shares, ns, at most.
const LONG_SLICE_NS: u64 = 2_000_000;
/// What a sleep of the loop takes at least, ns.
const SLEEP_NS: u64 = 1_000_000;
/// Time between two decisions, ns.
const DECIDE_NS: u64 = 1_000_000_000;
/// How old the knowledge of the slabs may be, ns.
const KNOWN_NS: u64 = 10_000_000;
/// A pass that lowers the fragmentation by less than this part of it was in vain.
const WORTHWHILE: usize = 20;

/// Share of the processor for `compact-after-deletes`, percent.
const COMPACT_PERCENT: u32 = 5;
/// Fragmentation from which on it is worth anything, bytes.
const COMPACT_BYTES: usize = 100 << 20;

/// State of active defragmentation.
#[derive(Default)]
pub struct Defrag {
    packer: Option<Packer>,
    walk: Walk,
    /// The share of the processor it may take until the next decision, percent; 0 while it does not run.
    pub percent: u32,
    /// The last pass left nothing to do: it waits for the decision that ends it.
    idle: bool,
    /// By `compact-after-deletes`, not by `activedefrag`.
    compacting: bool,
    /// Passes in a row that were in vain.
    vain: u32,
    /// The most keys there were since keys were last compacted.
    peak_keys: usize,
    decide_at_ns: u64,
    not_before_ns: u64,
    known_at_ns: u64,
    pass: Pass,
    /// Time it ran before this pass, ms.
    total_ms: u64,
}

/// The present pass.
#[derive(Default)]
struct Pass {
    started_us: u64,
    /// Since when its time counts (CONFIG RESETSTAT).
    counted_us: u64,
    hits: u64,
    frag_bytes: usize,
}

/// What INFO tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Blocks moved.
    pub hits: u64,
    /// Blocks left.
    pub misses: u64,
    /// Keys of which something was moved.
    pub key_hits: u64,
    /// Keys left.
    pub key_misses: u64,
    /// Time spent running, the present pass included, ms.
    pub total_ms: u64,
    /// Time since the present pass began, ms; 0 while none runs.
    pub current_ms: u64,
}

/// Fragmentation in percent of what was allocated, and in bytes.
fn fragmentation(stats: &AllocStats) -> (f64, usize) {
    let bytes = stats.active.saturating_sub(stats.allocated);
    (bytes as f64 * 100.0 / stats.allocated.max(1) as f64, bytes)
}

/// The share for a fragmentation: `min` at `lower`, `max` from `upper` on.
fn share(frag: f64, (lower, upper): (u32, u32), (min, max): (u32, u32)) -> u32 {
    let (lower, upper) = (f64::from(lower), f64::from(upper));
    let (min, max) = (f64::from(min), f64::from(max.max(min)));
    let part = if upper > lower {
        ((frag - lower) / (upper - lower)).clamp(0.0, 1.0)
    } else {
        1.0
    };
    (min + (max - min) * part) as u32
}

/// Whether most of the memory is empty, and that is much.
fn worth_compacting(stats: &AllocStats) -> bool {
    let (frag, bytes) = fragmentation(stats);
    frag >= 100.0 && bytes >= COMPACT_BYTES
}

/// Length of a slice with which the share can be kept.
fn slice_ns(percent: u32) -> u64 {
    let percent = u64::from(percent.min(99));
    (SLEEP_NS * percent / (100 - percent)).clamp(SLICE_NS, LONG_SLICE_NS)
}

impl Defrag {
    /// Makes the mover when it is first wanted. False when the allocator does not answer what it asks.
    pub fn prepare(&mut self) -> bool {
        if self.packer.is_none() {
            self.packer = Packer::new();
        }
        self.packer.is_some()
    }

    /// What INFO tells.
    pub fn figures(&self) -> Figures {
        let counts = self.packer.as_ref().map(|p| p.counts).unwrap_or_default();
        let now = mono_us();
        let since = |us: u64| match self.percent == 0 || self.idle {
            true => 0,
            false => now.saturating_sub(us) / 1000,
        };
        Figures {
            hits: counts.hits,
            misses: counts.misses,
            key_hits: self.walk.key_hits,
            key_misses: self.walk.key_misses,
            total_ms: self.total_ms + since(self.pass.counted_us),
            current_ms: since(self.pass.started_us),
        }
    }

    /// Counts from here on (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        if let Some(packer) = &mut self.packer {
            packer.counts = Default::default();
        }
        (self.walk.key_hits, self.walk.key_misses) = (0, 0);
        (self.total_ms, self.pass.hits) = (0, 0);
        self.pass.counted_us = mono_us();
    }

    fn begin_pass(&mut self, stats: &AllocStats) {
        let now = mono_us();
        self.idle = false;
        let hits = self.packer.as_ref().map_or(0, |p| p.counts.hits);
        self.pass = Pass {
            started_us: now,
            counted_us: now,
            hits,
            frag_bytes: fragmentation(stats).1,
        };
        self.walk.restart();
        self.known_at_ns = 0;
        if let Some(packer) = &self.packer {
            packer.flush_cache();
        }
    }

    fn end_pass(&mut self, stats: &AllocStats) {
        let (frag, bytes) = fragmentation(stats);
        let now = mono_us();
        self.total_ms += now.saturating_sub(self.pass.counted_us) / 1000;
        self.pass.counted_us = now;
        let hits = self.packer.as_ref().map_or(0, |p| p.counts.hits);
        log::debug!(
            "Active defrag done in {}ms, reallocated={}, frag={frag:.0}%, frag_bytes={bytes}",
            now.saturating_sub(self.pass.started_us) / 1000,
            hits.saturating_sub(self.pass.hits),
        );
        let gained = self.pass.frag_bytes.saturating_sub(bytes);
        if gained >= self.pass.frag_bytes / WORTHWHILE {
            self.vain = 0;
        } else {
            self.vain = (self.vain + 1).min(16);
        }
    }

    fn stop(&mut self) {
        if self.percent != 0 && !self.idle {
            self.total_ms += mono_us().saturating_sub(self.pass.counted_us) / 1000;
        }
        self.percent = 0;
        (self.compacting, self.idle) = (false, false);
    }
}

impl Server {
    /// When defragmentation goes on, monotonic ns; None while it does not run.
    pub(super) fn next_defrag_ns(&self) -> Option<u64> {
        let resting = self.child_is_saving || self.defrag.percent == 0 || self.defrag.idle;
        (!resting).then_some(self.defrag.not_before_ns)
    }

    /// Runs a slice, if it is time for one.
    pub(super) fn defrag_slice(&mut self) {
        let start = mono_ns();
        if self.defrag.decide_at_ns <= start {
            self.defrag.decide_at_ns = start + DECIDE_NS;
            self.decide_defrag();
        }
        let d = &mut self.defrag;
        if d.percent == 0 || d.idle || self.child_is_saving || start < d.not_before_ns {
            return;
        }
        let Some(packer) = &mut d.packer else { return };
        if d.known_at_ns + KNOWN_NS <= start {
            packer.refresh();
            d.known_at_ns = start;
        }
        let fields = usize::try_from(self.config.active_defrag_max_scan_fields);
        let fields = fields.unwrap_or(usize::MAX);
        let deadline = start + slice_ns(d.percent);
        let mut now = start;
        let mut over = false;
        while !over && now < deadline {
            over = d.walk.step(&mut self.ks, fields, packer);
            now = mono_ns();
        }
        let spent = now - start;
        d.not_before_ns = start + spent * 100 / u64::from(d.percent.max(1));
        let now_s = self.clock.now_s();
        self.latency
            .note(Event::ActiveDefragCycle, spent / 1_000_000, now_s);
        if over {
            self.pass_is_over();
        }
    }

    /// Begins another pass if there is more to do. If not, the next decision ends it, so that whoever looks at INFO a few times a
    /// second sees that it ran.
    fn pass_is_over(&mut self) {
        let stats = alloc::stats();
        self.defrag.end_pass(&stats);
        let more = match self.defrag.compacting {
            true => self.defrag.vain == 0 && worth_compacting(&stats),
            false => self.fragmented(&stats),
        };
        // After one that was in vain the next waits for the decision, so that a small keyspace is not gone through all the time.
        if more && self.defrag.vain == 0 {
            if !self.defrag.compacting {
                self.defrag.percent = self.share_of(&stats);
            }
            self.defrag.begin_pass(&stats);
        } else if self.defrag.compacting {
            self.end_compaction();
        } else {
            self.defrag.idle = true;
        }
    }

    /// CONFIG SET activedefrag: decides at the end of this turn.
    pub fn defrag_switched(&mut self) {
        self.defrag.decide_at_ns = 0;
    }

    /// Starts, stops or goes on with another share, as fragmentation and configuration are now.
    fn decide_defrag(&mut self) {
        if self.config.activedefrag {
            self.decide_active_defrag();
        } else if self.config.compact_after_deletes {
            self.decide_compaction();
        } else {
            self.defrag.stop();
        }
    }

    fn decide_active_defrag(&mut self) {
        if !self.defrag.prepare() {
            return self.defrag.stop();
        }
        let stats = alloc::stats();
        if !self.fragmented(&stats) {
            self.defrag.vain = 0;
            return self.defrag.stop();
        }
        let starts = self.defrag.percent == 0 || self.defrag.idle;
        self.defrag.compacting = false;
        self.defrag.percent = self.share_of(&stats);
        if starts {
            self.start_defrag(&stats);
        }
    }

    /// Whether there is enough to gain for active defragmentation to run.
    fn fragmented(&self, stats: &AllocStats) -> bool {
        let (frag, bytes) = fragmentation(stats);
        let c = &self.config;
        frag >= f64::from(c.active_defrag_threshold_lower)
            && bytes >= c.active_defrag_ignore_bytes as usize
    }

    /// The share of the processor it may take now.
    fn share_of(&self, stats: &AllocStats) -> u32 {
        let c = &self.config;
        let thresholds = (
            c.active_defrag_threshold_lower,
            c.active_defrag_threshold_upper,
        );
        let shares = (c.active_defrag_cycle_min, c.active_defrag_cycle_max);
        (share(fragmentation(stats).0, thresholds, shares) >> self.defrag.vain).max(1)
    }

    fn start_defrag(&mut self, stats: &AllocStats) {
        let (frag, bytes) = fragmentation(stats);
        log::debug!(
            "Starting active defrag, frag={frag:.0}%, frag_bytes={bytes}, cpu={}%",
            self.defrag.percent
        );
        self.defrag.begin_pass(stats);
    }

    fn decide_compaction(&mut self) {
        let keys = self.ks.total_keys();
        self.defrag.peak_keys = self.defrag.peak_keys.max(keys);
        if self.defrag.percent != 0 && !self.defrag.compacting {
            self.defrag.stop();
        }
        let shrunk = keys < self.defrag.peak_keys / 3;
        if !shrunk || self.state.contains(ServerState::LOADING) {
            return self.defrag.stop();
        }
        let stats = alloc::stats();
        if self.defrag.percent == 0 && worth_compacting(&stats) && self.defrag.prepare() {
            self.defrag.percent = COMPACT_PERCENT;
            self.defrag.compacting = true;
            self.start_defrag(&stats);
        }
    }

    fn end_compaction(&mut self) {
        self.defrag.peak_keys = self.ks.total_keys();
        self.defrag.vain = 0;
        self.defrag.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_between_the_thresholds() {
        let at = |frag| share(frag, (10, 100), (1, 25));
        assert_eq!((at(10.0), at(55.0), at(100.0), at(900.0)), (1, 13, 25, 25));
        assert_eq!(share(50.0, (60, 60), (5, 9)), 9, "no way between them");
        assert_eq!(share(80.0, (10, 100), (30, 20)), 30, "the wrong way round");
    }

    #[test]
    fn slices_are_short_unless_the_share_wants_more() {
        assert_eq!((slice_ns(1), slice_ns(25)), (SLICE_NS, SLICE_NS));
        assert_eq!(slice_ns(50), 1_000_000);
        assert_eq!(
            (slice_ns(75), slice_ns(100)),
            (LONG_SLICE_NS, LONG_SLICE_NS)
        );
    }
}
