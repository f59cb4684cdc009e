//! The one keyed hash of the house: foldhash (quality variant), randomly seeded at start-up.
//!
//! The seed must be random: SCAN cursors expose hash order, and colliding keys chosen by a client would lengthen probes.
//! Tables of one process share the seed, so a hash computed once (parse-ahead) is good for every table.

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

static STATE: OnceLock<SeedableRandomState> = OnceLock::new();
static SHARED: OnceLock<SharedSeed> = OnceLock::new();

/// Seeds the hash for this process. The first call wins; later calls do nothing. Call it once at start-up with entropy.
pub fn seed(per_hasher: u64, shared: u64) {
    let shared = SHARED.get_or_init(|| SharedSeed::from_u64(shared));
    let _ = STATE.set(SeedableRandomState::with_seed(per_hasher, shared));
}

/// The 64-bit hash of `bytes` under this process' seed.
#[inline(always)]
pub fn hash(bytes: &[u8]) -> u64 {
    match STATE.get() {
        Some(s) => s.hash_one(ByteKey(bytes)),
        None => seed_from_entropy(bytes),
    }
}

#[cold]
fn seed_from_entropy(bytes: &[u8]) -> u64 {
    use std::collections::hash_map::RandomState;
    let (a, b) = (
        RandomState::new().hash_one(1),
        RandomState::new().hash_one(2),
    );
    seed(a, b);
    hash(bytes)
}

/// Hashes the bytes alone, without the length prefix that `[u8]: Hash` would add.
struct ByteKey<'a>(&'a [u8]);

impl std::hash::Hash for ByteKey<'_> {
    #[inline(always)]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_bytes_same_hash() {
        assert_eq!(hash(b"abc"), hash(b"abc"));
        assert_ne!(hash(b"abc"), hash(b"abd"));
        assert_ne!(hash(b""), hash(b"\0"));
    }
}
