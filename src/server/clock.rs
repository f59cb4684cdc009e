//! The server's idea of now. Read once per turn and once per command; everything a command does sees one instant.

use crate::sys::clock::wall_us;
use crate::sys::ticks::Ticks;

/// Cached time.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Wall time, Unix ms.
    pub now_ms: i64,
    /// Wall time, Unix us.
    pub now_us: i64,
    /// Monotonic time, ns.
    pub mono_ns: u64,
    /// Wall minus monotonic time, us, as of the last turn: a command needs one clock read for both.
    offset_us: i64,
    /// A script runs: to its commands the wall clock stands still.
    frozen: bool,
    ticks: Ticks,
}

impl Clock {
    /// The time now.
    pub fn new() -> Self {
        let mut c = Clock {
            now_ms: 0,
            now_us: 0,
            mono_ns: 0,
            offset_us: 0,
            frozen: false,
            ticks: Ticks::new(),
        };
        c.resync();
        c
    }

    /// Reads both clocks: at the start of a turn, so that a changed wall clock is noticed.
    pub fn resync(&mut self) {
        self.mono_ns = self.ticks.anchor();
        self.now_us = wall_us();
        self.now_ms = self.now_us / 1000;
        self.offset_us = self.now_us - (self.mono_ns / 1000) as i64;
    }

    /// Reads the monotonic clock, moves wall time along, and returns the monotonic time in ns.
    #[inline(always)]
    pub fn tick(&mut self) -> u64 {
        self.mono_ns = self.ticks.now();
        if self.frozen {
            return self.mono_ns;
        }
        self.now_us = (self.mono_ns / 1000) as i64 + self.offset_us;
        self.now_ms = self.now_us / 1000;
        self.mono_ns
    }

    /// From now on [`Clock::tick`] moves only the monotonic time.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Ends [`Clock::freeze`]; true when it was on.
    pub fn thaw(&mut self) -> bool {
        std::mem::replace(&mut self.frozen, false)
    }

    /// Wall time, Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms / 1000
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
