//! Clocks. Wall time in milliseconds for expiry, monotonic time in microseconds for durations.
//!
//! Both go through the vDSO (about 20 ns). The server reads them once per loop turn or per command and keeps the result in
//! its `Clock`, so that every effect of a command sees one instant.

/// Wall-clock microseconds since the Unix epoch.
#[inline]
pub fn wall_us() -> i64 {
    let t = read(libc::CLOCK_REALTIME);
    t.tv_sec * 1_000_000 + t.tv_nsec / 1000
}

/// Wall-clock milliseconds since the Unix epoch.
#[inline]
pub fn wall_ms() -> i64 {
    wall_us() / 1000
}

/// Microseconds of a clock that never jumps; its zero is arbitrary.
#[inline]
pub fn mono_us() -> u64 {
    let t = read(libc::CLOCK_MONOTONIC);
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
}

/// Nanoseconds of the same clock as [`mono_us`].
#[inline]
pub fn mono_ns() -> u64 {
    let t = read(libc::CLOCK_MONOTONIC);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `t` is a valid timespec to write to; these clocks always exist on Linux.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t
}
