//! Samples of slow moments, by event, for `latency-monitor-threshold` (ms; 0 is off).
//!
//! Per event the last [`SAMPLES`] are kept, at most one per second: of several in the same second the slowest. While the directive
//! is 0 nothing is noted and callers need not even measure ([`Latency::on`]).

use std::collections::VecDeque;

/// Samples kept per event.
pub const SAMPLES: usize = 160;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// What can be slow. Names as upstream's, in the order LATENCY LATEST lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event { $($(#[$doc])* $variant),+ }
        impl Event {
            /// Every event.
            pub const ALL: &[Event] = &[$(Event::$variant),+];
            /// The name LATENCY knows it by.
            pub fn name(self) -> &'static str {
                match self { $(Event::$variant => $name),+ }
            }
        }
    };
}

events! {
    /// A command that may take long.
    Command = "command",
    /// A command flagged as fast.
    FastCommand = "fast-command",
    /// The fork of a child.
    Fork = "fork",
    /// A slice of active expiry.
    ExpireCycle = "expire-cycle",
    /// Deletion of one expired key.
    ExpireDel = "expire-del",
    /// One go of eviction.
    EvictionCycle = "eviction-cycle",
    /// Deletion of one evicted key.
    EvictionDel = "evict-del",
    /// A slice of active defragmentation.
    ActiveDefragCycle = "active-defrag-cycle",
    /// Removal of a temporary snapshot file.
    RdbUnlinkTempFile = "rdb-unlink-temp-file",
    /// Any write to the AOF.
    AofWrite = "aof-write",
    /// A write while an fsync was under way.
    AofWritePendingFsync = "aof-write-pending-fsync",
    /// A write while a child was saving.
    AofWriteActiveChild = "aof-write-active-child",
    /// A write while neither was the case.
    AofWriteAlone = "aof-write-alone",
    /// An fsync in the loop (`appendfsync always`).
    AofFsyncAlways = "aof-fsync-always",
    /// Asking for the size of the AOF.
    AofFstat = "aof-fstat",
    /// Renaming an AOF file.
    AofRename = "aof-rename",
    /// Cron while the loop was blocked (loading, a slow script).
    WhileBlockedCron = "while-blocked-cron",
}

impl Event {
    /// The event of that name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let is = |e: &&Event| e.name().as_bytes().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(is).copied()
    }
}

/// One slow moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, Unix seconds.
    pub at_s: i64,
    /// How long it took, ms.
    pub took_ms: u64,
}

/// The samples of one event, oldest first; never empty.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The last samples.
    pub samples: VecDeque<Sample>,
    /// The slowest since the last reset, ms.
    pub max_ms: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Latency {
    threshold_ms: u64,
    series: [Option<Box<Series>>; Event::ALL.len()],
}

impl Latency {
    /// Follows the directive.
    pub fn set_threshold_ms(&mut self, threshold_ms: u64) {
        self.threshold_ms = threshold_ms;
    }

    /// Whether anything is noted.
    #[inline(always)]
    pub fn on(&self) -> bool {
        self.threshold_ms != 0
    }

    /// Notes that something took `took_ms`, unless that is below the threshold.
    #[inline]
    pub fn note(&mut self, event: Event, took_ms: u64, now_s: i64) {
        if self.threshold_ms != 0 && took_ms >= self.threshold_ms {
            self.keep(event, took_ms, now_s);
        }
    }

    #[cold]
    fn keep(&mut self, event: Event, took_ms: u64, at_s: i64) {
        let s = self.series[event as usize].get_or_insert_default();
        s.max_ms = s.max_ms.max(took_ms);
        if let Some(last) = s.samples.back_mut().filter(|l| l.at_s == at_s) {
            last.took_ms = last.took_ms.max(took_ms);
            return;
        }
        if s.samples.len() == SAMPLES {
            s.samples.pop_front();
        }
        s.samples.push_back(Sample { at_s, took_ms });
    }

    /// The samples of an event, if there are any.
    pub fn series(&self, event: Event) -> Option<&Series> {
        self.series[event as usize].as_deref()
    }

    /// Events with samples.
    pub fn seen(&self) -> impl Iterator<Item = (Event, &Series)> {
        Event::ALL
            .iter()
            .filter_map(|&e| Some((e, self.series(e)?)))
    }

    /// Forgets an event; whether there was anything to forget.
    pub fn reset(&mut self, event: Event) -> bool {
        self.series[event as usize].take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_slowest_of_a_second_and_the_last_samples() {
        let mut l = Latency::default();
        l.note(Event::Fork, 1000, 1);
        assert!(!l.on() && l.series(Event::Fork).is_none());
        l.set_threshold_ms(10);
        l.note(Event::Fork, 9, 1);
        assert!(l.series(Event::Fork).is_none());
        for (ms, at) in [(10, 1), (30, 1), (20, 1), (15, 2)] {
            l.note(Event::Fork, ms, at);
        }
        let s = l.series(Event::Fork).unwrap();
        let kept: Vec<_> = s.samples.iter().map(|s| (s.at_s, s.took_ms)).collect();
        assert_eq!((kept, s.max_ms), (vec![(1, 30), (2, 15)], 30));
        (0..500).for_each(|at| l.note(Event::Command, 11, at));
        let s = l.series(Event::Command).unwrap();
        assert_eq!((s.samples.len(), s.samples[0].at_s), (SAMPLES, 340));
        assert_eq!(l.seen().count(), 2);
        assert!(l.reset(Event::Fork) && !l.reset(Event::Fork));
    }

    #[test]
    fn names_are_found_again() {
        for &e in Event::ALL {
            assert_eq!(
                Event::from_name(e.name().to_uppercase().as_bytes()),
                Some(e)
            );
        }
        assert_eq!(Event::from_name(b"blabla"), None);
    }
}
