//! Active expiry: deleting keys whose time has come, a short slice at a time.
//!
//! `keyspace::expire` knows what is due; here is decided when to look and for how long. The loop wakes when the first tick of any
//! database is over, so nothing is polled. A slice lasts a millisecond at most; when more is due, the next slice comes after a
//! pause that keeps expiry within its share of the processor: a quarter, up to 43 % with `active-expire-effort` 10.
//! On a replica, while loading and while writes are paused nobody is deleted here: the master, or a later turn, will.

use super::{Server, ServerState};
use crate::exec::{blocking, effects, propagate};
use crate::keyspace::expire::{Due, Step};
use crate::keyspace::{ExpiredKeys, Key};
use crate::observe::Event;
use crate::sys::clock::mono_ns;

/// Longest slice, ns.
const SLICE_NS: u64 = 1_000_000;
/// Keys looked at for the mean TTL of a database, each tick of cron.
const TTL_SAMPLES: usize = 16;

/// Hash fields removed between two looks at the clock.
const FIELDS_AT_ONCE: usize = 64;

/// State of active expiry.
#[derive(Default)]
pub struct Expiry {
    /// DEBUG SET-ACTIVE-EXPIRE 0 was given.
    pub disabled: bool,
    /// No slice before this monotonic time, ns.
    not_before_ns: u64,
    due: Due,
    /// Keys with a time to live that a writable replica made itself.
    pub own: super::replica::expires::OwnExpires,
    /// Share of volatile keys that are due and still there, percent, smoothed (INFO `expired_stale_perc`).
    pub stale_percent: f64,
    /// Slices that ended before the work did (INFO `expired_time_cap_reached_count`).
    pub time_cap_reached: u64,
    /// Time spent, ns (INFO `expire_cycle_cpu_milliseconds`).
    pub spent_ns: u64,
}

/// When a database has something to expire, Unix ms.
fn next_of(db: &crate::keyspace::Db) -> Option<i64> {
    let keys = (db.volatile() > 0).then(|| db.expires.next_ms().unwrap_or(0));
    keys.into_iter().chain(db.fields.next_ms()).min()
}

impl Server {
    fn expires_actively(&self) -> bool {
        !self.expiry.disabled
            && self.expired_keys == ExpiredKeys::Delete
            && !self
                .state
                .intersects(ServerState::LOADING | ServerState::PAUSED | ServerState::REPLICA)
    }

    /// When active expiry has something to do (Unix ms); None if never.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        if !self.expires_actively() {
            return None;
        }
        let first = self.ks.dbs.iter().filter_map(next_of).min()?;
        let pause_ns = self.expiry.not_before_ns.saturating_sub(self.clock.mono_ns);
        let allowed = self.clock.now_ms + pause_ns.div_ceil(1_000_000) as i64;
        Some(first.max(allowed))
    }

    /// Deletes what is due, for a slice of time.
    pub fn expire_slice(&mut self) {
        if self
            .next_expiry_ms()
            .is_none_or(|at| at > self.clock.now_ms)
        {
            return;
        }
        let start = mono_ns();
        let deadline = start + SLICE_NS;
        let mut due = std::mem::take(&mut self.expiry.due);
        let capped =
            (0..self.ks.dbs.len() as u32).any(|db| !self.expire_db(db, deadline, &mut due));
        self.expiry.due = due;
        self.deliver_background_effects();
        let spent = mono_ns() - start;
        self.expiry.spent_ns += spent;
        let now_s = self.clock.now_s();
        self.latency
            .note(Event::ExpireCycle, spent / 1_000_000, now_s);
        self.note_expired_deletion();
        if capped {
            self.expiry.time_cap_reached += 1;
            let percent = 25 + 2 * (u64::from(self.config.active_expire_effort.max(1)) - 1);
            self.expiry.not_before_ns = start + spent * 100 / percent;
        }
        self.note_stale();
    }

    /// Notes the slowest deletion of an expired key since the last look.
    pub fn note_expired_deletion(&mut self) {
        let took_ms = std::mem::take(&mut self.ks.stats.expire_del_ms);
        self.latency
            .note(Event::ExpireDel, took_ms, self.clock.now_s());
    }

    /// Works on one database; false when the time was over first.
    fn expire_db(&mut self, db: u32, deadline_ns: u64, due: &mut Due) -> bool {
        let now_ms = self.clock.now_ms;
        loop {
            if self.ks.dbs[db as usize].volatile() == 0
                || self.ks.dbs[db as usize].expire_step(now_ms, due) == Step::Idle
            {
                return self.expire_fields_of(db, deadline_ns);
            }
            let mut view = self
                .ks
                .view(db, &self.config, now_ms, ExpiredKeys::Delete, false);
            for (hash, bytes) in due.iter() {
                view.delete_expired(Key { bytes, hash });
            }
            due.clear();
            propagate::flush_deletions(self);
            if mono_ns() >= deadline_ns {
                return false;
            }
        }
    }

    /// Works on the hash fields of one database; false when the time was over first.
    fn expire_fields_of(&mut self, db: u32, deadline_ns: u64) -> bool {
        while self.ks.dbs[db as usize]
            .fields
            .next_ms()
            .is_some_and(|at| at <= self.clock.now_ms)
        {
            let now_ms = self.clock.now_ms;
            self.ks
                .view(db, &self.config, now_ms, ExpiredKeys::Delete, false)
                .expire_fields(FIELDS_AT_ONCE);
            propagate::flush_deletions(self);
            if mono_ns() >= deadline_ns {
                return false;
            }
        }
        true
    }

    /// Acts on what was recorded outside of any command: by expiry, by eviction.
    pub fn deliver_background_effects(&mut self) {
        if self.ks.fx.pending() {
            propagate::flush_deletions(self);
            effects::deliver_outside(self);
            blocking::serve_ready(self, None);
        }
    }

    fn note_stale(&mut self) {
        let now_ms = self.clock.now_ms;
        let sum =
            |f: &dyn Fn(&crate::keyspace::Db) -> usize| self.ks.dbs.iter().map(f).sum::<usize>();
        let (backlog, all) = (sum(&|d| d.expire_backlog(now_ms)), sum(&|d| d.volatile()));
        let now = if all == 0 {
            0.0
        } else {
            backlog as f64 * 100.0 / all as f64
        };
        self.expiry.stale_percent = now * 0.05 + self.expiry.stale_percent * 0.95;
    }

    /// Keeps the running mean of the TTLs of every database (INFO keyspace `avg_ttl`).
    pub fn sample_ttls(&mut self) {
        let now_ms = self.clock.now_ms;
        for db in &mut self.ks.dbs {
            let (mut sum, mut n) = (0i64, 0);
            db.keys
                .sample_marked(&mut self.ks.rng, TTL_SAMPLES, 8 * TTL_SAMPLES, &mut |e| {
                    if let Some(left) = e
                        .expire()
                        .map(|at| at.saturating_sub(now_ms))
                        .filter(|l| *l > 0)
                    {
                        sum = sum.saturating_add(left);
                        n += 1;
                    }
                });
            if db.volatile() == 0 {
                db.avg_ttl_ms = 0;
            } else if n > 0 {
                let mean = sum / n;
                // The first sample counts in full, later ones a fiftieth.
                db.avg_ttl_ms = match db.avg_ttl_ms {
                    0 => mean,
                    old => old / 50 * 49 + mean / 50,
                };
            }
        }
    }
}
