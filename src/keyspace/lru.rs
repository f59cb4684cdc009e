//! The access clock of an entry: 24 bits that hold either LRU time or an LFU counter, as upstream packs them.
//!
//! LRU: seconds of wall time modulo 2^24 (resolution 1 s). LFU: minutes modulo 2^16 of the last decrement in the high 16 bits,
//! a logarithmic counter in the low 8 (Morris counting, new keys start at [`LFU_INIT`]). Which one it is follows
//! `maxmemory-policy`.

use crate::ds::rng::Rng;

/// Counter of a new key under LFU.
pub const LFU_INIT: u8 = 5;
const LRU_MAX: u32 = (1 << 24) - 1;

/// The LRU clock at a wall time.
#[inline]
pub fn lru_clock(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & LRU_MAX
}

/// Seconds since the access that left `clock`.
pub fn idle_seconds(clock: u32, now_ms: i64) -> u64 {
    u64::from(lru_clock(now_ms).wrapping_sub(clock) & LRU_MAX)
}

/// The clock of a key not accessed for `idle` seconds (RDB, RESTORE IDLETIME).
pub fn clock_of_idle(idle: u64, now_ms: i64) -> u32 {
    lru_clock(now_ms).wrapping_sub(idle.min(u64::from(LRU_MAX)) as u32) & LRU_MAX
}

fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// The clock of a key with this LFU counter, decremented now.
pub fn lfu_clock(counter: u8, now_ms: i64) -> u32 {
    minutes(now_ms) << 8 | u32::from(counter)
}

/// The LFU counter after the decay due since it was last decremented (`lfu-decay-time` minutes a step; 0 never).
pub fn lfu_counter(clock: u32, now_ms: i64, decay_minutes: u64) -> u8 {
    let counter = clock as u8;
    if decay_minutes == 0 {
        return counter;
    }
    let elapsed = u64::from(minutes(now_ms).wrapping_sub(clock >> 8) & 0xffff);
    counter.saturating_sub((elapsed / decay_minutes).min(255) as u8)
}

/// The clock after one more access under LFU.
pub fn lfu_access(
    clock: u32,
    now_ms: i64,
    decay_minutes: u64,
    log_factor: u64,
    rng: &mut Rng,
) -> u32 {
    let counter = lfu_counter(clock, now_ms, decay_minutes);
    lfu_clock(lfu_increment(counter, log_factor, rng), now_ms)
}

/// Morris: an increment happens with probability 1 / ((counter - init) * factor + 1).
fn lfu_increment(counter: u8, log_factor: u64, rng: &mut Rng) -> u8 {
    if counter == 255 {
        return 255;
    }
    let base = u64::from(counter.saturating_sub(LFU_INIT));
    let p = 1.0 / (base as f64 * log_factor as f64 + 1.0);
    let r = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    if r < p { counter + 1 } else { counter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lfu_decays_and_grows() {
        let mut rng = Rng::new(1);
        let t = 100_000_000;
        let mut c = lfu_clock(LFU_INIT, t);
        for _ in 0..1000 {
            c = lfu_access(c, t, 1, 10, &mut rng);
        }
        let n = lfu_counter(c, t, 1);
        assert!((12..40).contains(&n), "{n}");
        assert_eq!(lfu_counter(c, t + 60_000 * 3, 1), n - 3);
        assert_eq!(lfu_counter(c, t + 60_000 * 3, 0), n);
    }

    #[test]
    fn idle_wraps() {
        assert_eq!(idle_seconds(clock_of_idle(500, 1_000), 1_000), 500);
        assert_eq!(idle_seconds(lru_clock(5_000), 9_000), 4);
    }
}
