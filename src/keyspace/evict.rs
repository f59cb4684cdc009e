//! Choosing a key to evict: the policies, and the pool of good candidates.
//!
//! LRU, LFU and TTL are approximated: some keys are drawn, those that are better to evict than what the pool holds enter it, and
//! the best one goes. The pool keeps good finds from one draw to the next, so that after a while it holds keys from the far
//! end of the whole database. Draws of neighbouring slots are cheap here (their cache misses overlap), so three keys are looked
//! at for each one that `maxmemory-samples` asks for.
//!
//! Volatile policies draw from marked slots while those are common, else from the index of expires, which finds them however
//! few they are. `volatile-ttl` draws among those that the index says expire first.
//!
//! Invariant: the pool is sorted by score, the best candidate last. A candidate may be stale: it is checked when it is taken.

use super::db::Keyspace;
use super::entry::Entry;
use super::lru;
use crate::config::Config;
use crate::config::values::EvictionPolicy as Policy;
use crate::ds::table::Item;

/// Candidates kept.
const POOL: usize = 16;
/// Keys looked at for each of `maxmemory-samples`.
const PER_SAMPLE: usize = 3;
/// Draws until a random volatile key is given up (the index may hold stale hashes).
const MAX_DRAWS: usize = 64;

/// A key that may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// Its database.
    pub db: u32,
    /// Its hash.
    pub hash: u64,
    /// The key.
    pub key: Box<[u8]>,
}

/// Good candidates, the best one last.
#[derive(Default)]
pub struct Pool {
    items: Vec<(u64, Victim)>,
    next_db: usize,
}

/// How much an entry deserves to go: more is better to evict.
fn score(e: &Entry, config: &Config, now_ms: i64) -> u64 {
    match config.maxmemory_policy {
        Policy::VolatileTtl => u64::MAX - e.expire().unwrap_or(i64::MAX).max(0) as u64,
        p if p.is_lfu() => {
            let decay = u64::from(config.lfu_decay_time);
            255 - u64::from(lru::lfu_counter(e.clock(), now_ms, decay))
        }
        _ => lru::idle_seconds(e.clock(), now_ms),
    }
}

impl Pool {
    fn offer(&mut self, db: u32, e: &Entry, score: u64) {
        if self.items.len() == POOL && score <= self.items[0].0 {
            return;
        }
        let known = |i: &(u64, Victim)| i.1.db == db && *i.1.key == *e.key();
        if let Some(i) = self.items.iter().position(known) {
            self.items.remove(i);
        } else if self.items.len() == POOL {
            self.items.remove(0);
        }
        let at = self.items.partition_point(|i| i.0 < score);
        let (hash, key) = (e.hash(), e.key().into());
        self.items.insert(at, (score, Victim { db, hash, key }));
    }

    /// Forgets all candidates: the policy changed.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    fn fill(&mut self, ks: &mut Keyspace, config: &Config, now_ms: i64) {
        let n = config.maxmemory_samples.max(1) as usize * PER_SAMPLE;
        let policy = config.maxmemory_policy;
        for db in &ks.dbs {
            let (rng, id) = (&mut ks.rng, db.id);
            let mut offer = |e: &Entry| self.offer(id, e, score(e, config, now_ms));
            if !policy.is_volatile() {
                db.keys.sample_run(rng, n, &mut offer);
            } else if policy != Policy::VolatileTtl && db.volatile() * 8 >= db.len() {
                db.keys.sample_marked(rng, n, 64 * n, &mut offer);
            } else if db.volatile() > 0 {
                let mut hashes = Vec::with_capacity(n);
                if policy == Policy::VolatileTtl {
                    db.expires.draw_first(rng, n, &mut hashes);
                }
                db.expires.draw(rng, n, &mut hashes);
                hashes.iter().for_each(|h| db.keys.prefetch_bucket(*h));
                hashes.iter().for_each(|h| db.keys.prefetch_item(*h));
                for h in hashes {
                    db.keys.each_of_hash(h, &mut |e| {
                        if e.expire().is_some() {
                            offer(e);
                        }
                    });
                }
            }
        }
    }

    /// The key to evict next, or None when there is none to evict.
    pub fn pick(&mut self, ks: &mut Keyspace, config: &Config, now_ms: i64) -> Option<Victim> {
        let policy = config.maxmemory_policy;
        match policy {
            Policy::NoEviction => return None,
            Policy::AllkeysRandom | Policy::VolatileRandom => {
                return self.random(ks, policy.is_volatile());
            }
            _ => {}
        }
        loop {
            self.fill(ks, config, now_ms);
            if self.items.is_empty() {
                return None;
            }
            while let Some((_, v)) = self.items.pop() {
                let there = ks.dbs[v.db as usize].keys.find(v.hash, &v.key);
                if there.is_some_and(|e| !policy.is_volatile() || e.expire().is_some()) {
                    return Some(v);
                }
            }
        }
    }

    /// A random key of one database after the other.
    fn random(&mut self, ks: &mut Keyspace, volatile: bool) -> Option<Victim> {
        for _ in 0..ks.dbs.len() {
            self.next_db = (self.next_db + 1) % ks.dbs.len();
            let db = &ks.dbs[self.next_db];
            let mut found = None;
            let mut take = |e: &Entry| {
                if !volatile || e.expire().is_some() {
                    found = Some((e.hash(), Box::from(e.key())));
                }
            };
            if !volatile {
                db.keys.random(&mut ks.rng).iter().for_each(|e| take(e));
            } else if db.volatile() > 0 {
                let mut hashes = Vec::with_capacity(1);
                for _ in 0..MAX_DRAWS {
                    db.expires.draw(&mut ks.rng, 1, &mut hashes);
                    hashes
                        .drain(..)
                        .for_each(|h| db.keys.each_of_hash(h, &mut take));
                }
            }
            if let Some((hash, key)) = found {
                return Some(Victim {
                    db: db.id,
                    hash,
                    key,
                });
            }
        }
        None
    }
}
