//! Monotonic time from the processor's cycle counter, for the two clock reads that every command pays.
//!
//! The vDSO costs about 20 ns a read, a twentieth of a pipelined GET; the counter costs 8. It is used only where the kernel
//! itself trusts it as its clock source (invariant, the same on every core), and only to go on from the last reading of the
//! kernel's clock: [`Ticks::anchor`] is called once per loop turn, so that an error of the measured rate cannot add up.
//! Everywhere else (other processors, virtual machines without a stable counter, the first milliseconds of a process) it
//! reads the kernel's clock.

use super::clock::mono_ns;

/// How long the rate is measured before it is used.
const CALIBRATION_NS: u64 = 20_000_000;
/// Fraction bits of the rate.
const SHIFT: u32 = 24;

/// A monotonic clock in nanoseconds, never running backwards.
#[derive(Debug, Clone)]
pub struct Ticks {
    /// The first reading of both clocks, what the rate is measured from; None where the counter is not to be used.
    first: Option<(u64, u64)>,
    /// The last reading of both: (kernel's ns, cycles).
    anchor: (u64, u64),
    /// Nanoseconds per cycle, `SHIFT` bits of fraction; 0 while it is not known.
    rate: u64,
    /// What was given out last.
    last_ns: u64,
}

impl Ticks {
    /// A clock; whether the counter can be used is decided here.
    pub fn new() -> Self {
        let now = (mono_ns(), cycles());
        Ticks {
            first: counter_is_trusted().then_some(now),
            anchor: now,
            rate: 0,
            last_ns: now.0,
        }
    }

    /// Reads the kernel's clock and goes on from there.
    pub fn anchor(&mut self) -> u64 {
        let now = (mono_ns(), cycles());
        if let Some((ns, cycles)) = self.first {
            let (ns, cycles) = (now.0.saturating_sub(ns), now.1.saturating_sub(cycles));
            if ns >= CALIBRATION_NS && cycles > 0 {
                self.rate = ((u128::from(ns) << SHIFT) / u128::from(cycles)) as u64;
            }
        }
        self.anchor = now;
        self.advance(now.0)
    }

    /// The time now, in ns of the kernel's monotonic clock.
    #[inline(always)]
    pub fn now(&mut self) -> u64 {
        if self.rate == 0 {
            return self.advance(mono_ns());
        }
        let passed = cycles().saturating_sub(self.anchor.1);
        // 2^40 cycles are minutes; a turn that took so long reads the kernel's clock.
        if passed >> 40 != 0 {
            return self.anchor();
        }
        self.advance(self.anchor.0 + ((passed * self.rate) >> SHIFT))
    }

    #[inline(always)]
    fn advance(&mut self, ns: u64) -> u64 {
        self.last_ns = self.last_ns.max(ns);
        self.last_ns
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::new()
    }
}

/// The cycle counter.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn cycles() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 processor and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    0
}

/// Whether the kernel keeps its own time by the counter.
fn counter_is_trusted() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "x86_64")
        && std::fs::read_to_string(SOURCE).is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synthetic(rate: u64) -> Ticks {
        Ticks {
            first: None,
            anchor: (1000, cycles()),
            rate,
            last_ns: 0,
        }
    }

    #[test]
    fn never_runs_backwards() {
        let mut t = Ticks::new();
        let mut last = 0;
        for i in 0..200_000 {
            let now = if i % 1000 == 0 { t.anchor() } else { t.now() };
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn agrees_with_the_kernel_after_calibration() {
        let mut t = Ticks::new();
        std::thread::sleep(std::time::Duration::from_nanos(2 * CALIBRATION_NS));
        t.anchor();
        let before = mono_ns();
        let now = t.now();
        let after = mono_ns();
        // A generous bound: the thread may be moved off its processor between the readings.
        assert!(now + 1_000_000 >= before && now <= after + 1_000_000);
    }

    #[test]
    fn a_silly_rate_is_put_right_by_the_next_anchor() {
        let mut t = synthetic(1 << SHIFT);
        let ahead = t.now();
        assert!(ahead >= 1000);
        assert!(t.anchor() >= ahead);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_very_long_turn_reads_the_kernel() {
        let mut t = synthetic(u64::MAX >> 30);
        t.anchor = (0, cycles().saturating_sub(1 << 41));
        if cycles() > 1 << 41 {
            assert!(t.now() >= t.anchor.0 && t.anchor.0 > 0);
        }
    }
}
