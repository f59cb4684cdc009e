//! A pattern and a text (split at the first NUL): the matcher agrees with a table that tries everything, and its cost stays
//! within pattern times text, whatever the pattern.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::ds::glob::matches;
use nix::sys::resource::{UsageWho, getrusage};

/// Processor time of this thread: a loaded machine must not look like a slow matcher.
fn spent_us() -> i64 {
    let used = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux tells a thread's usage").user_time();
    used.tv_sec() * 1_000_000 + used.tv_usec()
}

/// Stars and plain bytes only, by dynamic programming.
fn plain(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for &p in pattern {
        let mut next = vec![false; text.len() + 1];
        for i in 0..=text.len() {
            next[i] = match p {
                b'*' => row[i] || i > 0 && next[i - 1],
                b'?' => i > 0 && row[i - 1],
                p => i > 0 && row[i - 1] && text[i - 1] == p,
            };
        }
        row = next;
    }
    row[text.len()]
}

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (pattern, text) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let hit = matches(pattern, text, false);
    let _ = matches(pattern, text, true);
    let stars = pattern.iter().filter(|b| **b == b'*').count();
    if !pattern.iter().any(|b| matches!(b, b'[' | b'\\')) && !text.is_empty() && stars < 1000 {
        assert_eq!(hit, plain(pattern, text));
    }
    // The same pattern on a long text: 10 ns per step (with the sanitizer), and a second for the rest.
    let long = text.repeat(64);
    let start = spent_us();
    let _ = matches(pattern, &long, false);
    let steps = (pattern.len() + 1) * (long.len() + 1);
    assert!(spent_us() - start < 1_000_000 + steps as i64 / 100);
});
