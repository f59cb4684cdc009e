//! What clients hold in memory, sorted by size, for `maxmemory-clients`.
//!
//! Clients lie in buckets by the power of two of their size, from [`FIRST_BIT`] on, so the biggest are found without looking at
//! the others. A client is noted again whenever its buffers may have changed; while the directive is 0 nothing is noted and that
//! costs a branch.
//!
//! Invariants: while enabled, `total` is the sum of `accounted_mem` over the clients in buckets, and a client lies in the bucket
//! of its `accounted_mem`; clients that may not be evicted (replicas, masters, CLIENT NO-EVICT) are in no bucket and not in
//! `total`.

use super::{Client, ClientFlags, ClientRef};
use crate::ds::dense::DenseSet;

/// Everything up to 2^15 bytes is in the first bucket: a plain client is no worse than another.
const FIRST_BIT: u32 = 15;
/// Everything from 2^33 bytes on is in the last one.
const LAST_BIT: u32 = 33;
/// Number of buckets.
const BUCKETS: usize = (LAST_BIT - FIRST_BIT + 1) as usize;

/// The clients by size. See the file header.
#[derive(Debug, Default)]
pub struct ClientMemory {
    enabled: bool,
    total: usize,
    buckets: Vec<DenseSet<ClientRef>>,
}

fn bucket_of(bytes: usize) -> usize {
    let bit = bytes.checked_ilog2().unwrap_or(0);
    (bit.clamp(FIRST_BIT, LAST_BIT) - FIRST_BIT) as usize
}

/// Whether a client counts, and may be evicted.
fn counts(client: &Client) -> bool {
    !client
        .has(ClientFlags::NO_EVICT | ClientFlags::REPLICA | ClientFlags::MASTER | ClientFlags::FAKE)
}

impl ClientMemory {
    /// Whether clients are noted.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Bytes held by all clients that count.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Begins to note clients; the caller notes all there are.
    pub fn enable(&mut self) {
        if !self.enabled {
            self.enabled = true;
            self.buckets = (0..BUCKETS).map(|_| DenseSet::new()).collect();
        }
    }

    /// Stops noting. Clients keep a stale `accounted_mem`, which counts for nothing.
    pub fn disable(&mut self) {
        *self = Self::default();
    }

    /// Notes what a client holds now.
    #[inline(always)]
    pub fn note(&mut self, client: &mut Client) {
        if self.enabled {
            self.note_now(client);
        }
    }

    #[cold]
    fn note_now(&mut self, client: &mut Client) {
        if !counts(client) || client.has(ClientFlags::CLOSE_ASAP) {
            return self.forget(client);
        }
        let new = client.mem_bytes();
        let noted = std::mem::replace(&mut client.accounted_mem, new);
        let old = if self.holds(client.handle, noted) {
            noted
        } else {
            0
        };
        self.total = self.total - old + new;
        let (from, to) = (bucket_of(old), bucket_of(new));
        if old == 0 {
            self.buckets[to].insert(client.handle);
        } else if from != to {
            self.buckets[from].remove(client.handle);
            self.buckets[to].insert(client.handle);
        }
    }

    /// Whether a client was noted with this size since noting began. One that was running when noting stopped and began anew
    /// carries the size of then.
    fn holds(&self, client: ClientRef, bytes: usize) -> bool {
        bytes > 0 && self.buckets[bucket_of(bytes)].contains(client)
    }

    /// A client goes away, or counts no longer.
    pub fn forget(&mut self, client: &mut Client) {
        let old = std::mem::take(&mut client.accounted_mem);
        if self.enabled && old > 0 && self.buckets[bucket_of(old)].remove(client.handle) {
            self.total -= old;
        }
    }

    /// One of the biggest clients.
    pub fn biggest(&self) -> Option<ClientRef> {
        self.buckets
            .iter()
            .rev()
            .find_map(|b| b.as_slice().last().copied())
    }

    /// Sizes of the buckets from the smallest on, each with the number of its clients (DEBUG and tests).
    pub fn sizes(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .map(|(i, b)| (1u64 << (FIRST_BIT as usize + i), b.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::net::Conn;

    fn client(n: u32) -> Client {
        let mut c = Client::new(u64::from(n), Conn::None, 0);
        c.handle = ClientRef {
            slot: n,
            generation: 1,
        };
        c
    }

    #[test]
    fn buckets_follow_sizes() {
        let mut rng = Rng::new(3);
        let mut m = ClientMemory::default();
        let mut all: Vec<Client> = (0..60).map(client).collect();
        m.note(&mut all[0]);
        assert_eq!(
            (m.total(), all[0].accounted_mem),
            (0, 0),
            "off: nothing is noted"
        );
        m.enable();
        for _ in 0..5000 {
            let c = &mut all[rng.below(60)];
            match rng.below(6) {
                0 => m.forget(c),
                1 => {
                    c.flags.toggle(ClientFlags::NO_EVICT);
                    m.note(c);
                }
                _ => {
                    c.query = Vec::with_capacity(1 << rng.below(20));
                    m.note(c);
                }
            }
            let sum: usize = all.iter().map(|c| c.accounted_mem).sum();
            assert_eq!(m.total(), sum);
            let members: usize = m.sizes().map(|(_, n)| n).sum();
            assert_eq!(members, all.iter().filter(|c| c.accounted_mem > 0).count());
            if let Some(big) = m.biggest() {
                let most = all.iter().map(|c| c.accounted_mem).max().unwrap_or(0);
                assert_eq!(
                    bucket_of(all[big.slot as usize].accounted_mem),
                    bucket_of(most)
                );
            }
        }
    }

    #[test]
    fn a_size_of_earlier_counts_for_nothing() {
        let (mut m, mut c) = (ClientMemory::default(), client(1));
        m.enable();
        m.note(&mut c);
        m.disable();
        m.enable();
        m.note(&mut c);
        assert_eq!(m.total(), c.accounted_mem);
        m.disable();
        m.enable();
        m.forget(&mut c);
        assert_eq!((m.total(), c.accounted_mem), (0, 0));
    }

    #[test]
    fn bounds_of_buckets() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of((1 << 16) - 1), 0);
        assert_eq!(bucket_of(1 << 16), 1);
        assert_eq!(bucket_of(usize::MAX), BUCKETS - 1);
    }
}
