//! What is done `hz` times a second. Nothing here is proportional to clients or keys: walks go on where they stopped.

use super::{Server, shutdown};
use crate::client::ClientFlags;

impl Server {
    /// One tick of cron.
    pub fn cron(&mut self) {
        if self.debug.cron_paused {
            return;
        }
        let start = crate::sys::clock::mono_us();
        self.cron_steps();
        self.stats.cron_us += crate::sys::clock::mono_us() - start;
    }

    fn cron_steps(&mut self) {
        self.cron_loops += 1;
        if self.config.watchdog_period > 0 {
            crate::sys::crash::watchdog::wind_up(self.config.watchdog_period as u64);
        }
        if self.cron_loops.is_multiple_of(100) {
            crate::sys::process::refresh_utc_offset(self.clock.now_s());
        }
        self.sample_rates();
        self.dismiss_idle_visitors();
        self.note_memory();
        if self.debug.check_sizes {
            self.check_sizes();
        }
        self.sample_ttls();
        self.clients_cron();
        self.queues.accept.append(&mut self.queues.accept_later);
        self.links.close_idle(self.clock.now_s());
        shutdown::on_signal(self);
        shutdown::go_on(self);
        self.expire_own_keys();
        if self.cron_loops.is_multiple_of(self.config.hz.max(1) as u64) {
            self.replica_cron();
            self.master_cron();
        }
        self.persist_cron();
        crate::script::debugger::reap(self);
        super::tracked::limit(self);
    }

    fn sample_rates(&mut self) {
        // Every 100 ms or so, whatever hz is.
        let every = (self.config.hz.max(1) as u64 / 10).max(1);
        if self.cron_loops.is_multiple_of(every) {
            let values = [self.stats.commands, self.stats.net_in, self.stats.net_out];
            for (rate, v) in self.stats.rates.iter_mut().zip(values) {
                rate.sample(v, self.clock.now_ms);
            }
            let loops = self.stats.loops;
            self.stats.loop_rate.sample(loops, self.clock.now_ms);
        }
    }

    /// DEBUG KEYSIZES-HIST-ASSERT-ON-EMPTY: the counts of INFO keysizes must have come back to nothing.
    fn check_sizes(&self) {
        for db in self.ks.dbs.iter().filter(|db| db.is_empty()) {
            let left = db.keys.classes().map_or(0, |c| c.iter().sum::<u64>());
            assert_eq!(left, 0, "empty database {} counts sizes of keys", db.id);
        }
    }

    fn note_memory(&mut self) {
        let used = self.used_memory();
        if used > self.stats.peak_memory {
            self.stats.peak_memory = used;
            self.stats.peak_memory_s = self.clock.now_s();
        }
    }

    /// Looks at a few clients each tick, all of them about once a second: idle ones are closed (`timeout`).
    fn clients_cron(&mut self) {
        let per_tick = (self.clients.len() / self.config.hz.max(1) as usize)
            .max(5)
            .min(self.clients.len());
        let bound = self.clients.slot_bound();
        let mut slot = self.queues.cron_slot;
        for _ in 0..per_tick {
            let mut tried = 0;
            let h = loop {
                slot = if slot + 1 >= bound { 0 } else { slot + 1 };
                tried += 1;
                match self.clients.at_slot(slot) {
                    Some(h) => break Some(h),
                    None if tried > bound => break None,
                    None => {}
                }
            };
            let Some(h) = h else { break };
            self.client_cron(h);
        }
        self.queues.cron_slot = slot;
    }

    fn client_cron(&mut self, h: crate::client::ClientRef) {
        let Some(mut c) = self.clients.take(h) else {
            return;
        };
        let idle = self.clock.now_s() - c.last_interaction_s;
        let exempt =
            ClientFlags::REPLICA | ClientFlags::MASTER | ClientFlags::BLOCKED | ClientFlags::PUBSUB;
        if self.config.timeout > 0 && idle > i64::from(self.config.timeout) && !c.has(exempt) {
            log::debug!("Closing idle client");
            self.close_soon(&mut c);
        }
        if !c.out.is_empty() {
            self.check_output_limit(&mut c);
        }
        self.client_memory.note(&mut c);
        self.clients.put_back(c);
    }
}
