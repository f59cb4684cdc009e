//! The sessions a server remembers, so that a client that comes again needs no full handshake: at most so many, each for so
//! long (`tls-session-cache-size`, `tls-session-cache-timeout`).

use rustls::server::StoresServerSessions;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The cache. rustls shares it between sessions, hence the lock; all of them live on one thread, so it is never contended.
#[derive(Debug)]
pub struct SessionCache {
    size: usize,
    lifetime: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// Keys by age, oldest first; those taken meanwhile are passed over.
    ages: VecDeque<(Instant, Vec<u8>)>,
}

impl SessionCache {
    /// A cache of `size` sessions (0: no limit) that are good for `timeout_s` seconds.
    pub fn new(size: usize, timeout_s: u64) -> Self {
        SessionCache {
            size: if size == 0 { usize::MAX } else { size },
            lifetime: Duration::from_secs(timeout_s),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves nothing half done here.
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Kept {
    /// Forgets the oldest until fewer than `size` are left, and whatever is older than `lifetime`.
    fn shrink(&mut self, size: usize, lifetime: Duration, now: Instant) {
        while let Some((born, key)) = self.ages.front() {
            if self.ages.len() < size && now.duration_since(*born) < lifetime {
                break;
            }
            if self.sessions.get(key).is_some_and(|(b, _)| b == born) {
                self.sessions.remove(key);
            }
            self.ages.pop_front();
        }
    }
}

impl StoresServerSessions for SessionCache {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.shrink(self.size, self.lifetime, now);
        kept.ages.push_back((now, key.clone()));
        kept.sessions.insert(key, (now, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept();
        let (born, value) = kept.sessions.get(key)?;
        (born.elapsed() < self.lifetime).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (born, value) = self.kept().sessions.remove(key)?;
        (born.elapsed() < self.lifetime).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_time_ends_all() {
        let cache = SessionCache::new(3, 1000);
        for i in 0..10u8 {
            assert!(cache.put(vec![i], vec![i, i]));
        }
        assert_eq!(cache.get(&[6]), None);
        assert_eq!(cache.get(&[9]), Some(vec![9, 9]));
        assert_eq!(cache.take(&[9]), Some(vec![9, 9]));
        assert_eq!(cache.take(&[9]), None);
        assert!(cache.kept().sessions.len() <= 3);
        let brief = SessionCache::new(3, 0);
        brief.put(vec![1], vec![2]);
        assert_eq!(brief.get(&[1]), None);
    }
}
