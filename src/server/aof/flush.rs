//! The end of a turn: what was propagated goes to the file, and under `appendfsync always` to the disk, before any reply leaves.
//!
//! **Group commit.** One sync serves all commands of a turn. Where a sync takes long (a disk, not a RAM disk) the clients that got
//! their replies together come back one after the other, and would be served by two syncs where one is enough; so before a slow sync
//! the loop waits until as many are back as there were the last times, for a part of what the sync will take at most
//! ([`Server::gather`]). A single client never waits. No reply leaves meanwhile: replies are written by `write_pending` only, after the sync.

use super::super::input::Scratch;
use crate::config::values::AppendFsync;
use crate::exec::propagate;
use crate::observe::Event;
use crate::persist::aof::log::{FlushPlan, Flushed};
use crate::server::Server;
use std::time::{Duration, Instant};

/// Syncs quicker than this (us) are not worth waiting for company.
const SLOW_SYNC_US: u64 = 400;
/// At most this part of the time of the last sync is spent on waiting for more.
const GATHER_PART: u64 = 4;
/// And at most this long, us.
const GATHER_MAX_US: u64 = 2000;

/// What is known before a flush, for LATENCY.
struct Timing {
    start: Instant,
    /// The circumstances.
    kind: Event,
    wrote_any: bool,
    syncs: u64,
}

impl Server {
    /// Writes and syncs as configured. `force`: without waiting for a sync under way.
    pub fn flush_aof(&mut self, force: bool) {
        if !self.persist.aof.takes_commands() {
            return;
        }
        let sleep_us = self.debug.aof_flush_sleep_us;
        if sleep_us > 0 && self.persist.aof.log.buffered() > 0 {
            std::thread::sleep(Duration::from_micros(sleep_us));
        }
        let plan = FlushPlan {
            fsync: self.config.appendfsync,
            may_sync: !(self.config.no_appendfsync_on_rewrite && self.persist.child.is_some()),
            force,
            now_ms: self.clock.mono_ns / 1_000_000,
            repl_offset: propagate::stream_offset(self),
        };
        let timed = self.latency.on().then(|| self.begin_timing());
        let aof = &mut self.persist.aof;
        let failed_before = aof.error().is_some();
        let flushed = aof.log.flush(&plan, &aof.syncer);
        if let Some(timed) = timed {
            self.note_times(&timed);
        }
        if let Flushed::Fatal(line) = flushed {
            log::error!("{line}");
            // No reply may leave: clients would believe in what no file holds.
            std::process::exit(1);
        }
        if self.persist.aof.error().is_some() != failed_before {
            self.update_disk_error();
        }
    }

    fn begin_timing(&self) -> Timing {
        let aof = &self.persist.aof;
        Timing {
            start: Instant::now(),
            kind: if aof.syncer.syncing() > 0 {
                Event::AofWritePendingFsync
            } else if self.persist.child.is_some() {
                Event::AofWriteActiveChild
            } else {
                Event::AofWriteAlone
            },
            wrote_any: aof.log.buffered() > 0,
            syncs: aof.log.syncs_here,
        }
    }

    /// Notes for LATENCY how long writing and syncing took.
    fn note_times(&mut self, t: &Timing) {
        let (now_s, log) = (self.clock.now_s(), &self.persist.aof.log);
        let mut took_us = t.start.elapsed().as_micros() as u64;
        if log.syncs_here != t.syncs {
            let sync_us = log.last_sync_us;
            took_us = took_us.saturating_sub(sync_us);
            self.latency
                .note(Event::AofFsyncAlways, sync_us / 1000, now_s);
        }
        if t.wrote_any {
            for event in [t.kind, Event::AofWrite] {
                self.latency.note(event, took_us / 1000, now_s);
            }
        }
    }

    /// The AOF's part of the end of a turn.
    pub fn commit_turn(&mut self) {
        self.flush_aof(false);
        // The background thread may have met an error, or got over it.
        let failing = self.persist.aof.error().is_some();
        if failing != self.persist.aof_failed {
            self.persist.aof_failed = failing;
            self.update_disk_error();
        }
        if self.persist.aof.syncer.take_recovered() {
            log::warn!(
                "A sync of the AOF failed and the next one did not: what the system dropped in between is written anew by a rewrite."
            );
            self.persist.aof.rewrite_scheduled = true;
        }
        let durable = self.persist.aof.durable_repl_offset();
        if durable != self.persist.aof_durable_seen {
            self.persist.aof_durable_seen = durable;
            self.serve_waitaof();
        }
    }

    /// Whether replies have to wait for a sync at the end of the turn.
    #[inline]
    pub fn replies_wait_for_sync(&self) -> bool {
        self.config.appendfsync == AppendFsync::Always && self.persist.aof.takes_commands()
    }

    /// Before a slow sync: serves those who are about to come, so that the sync is for them as well.
    pub fn gather(&mut self, scratch: &mut Scratch) {
        let log = &self.persist.aof.log;
        let took_us = log.last_sync_us;
        if log.buffered() == 0 || took_us < SLOW_SYNC_US || !self.replies_wait_for_sync() {
            return;
        }
        let patience = Duration::from_micros((took_us / GATHER_PART).min(GATHER_MAX_US));
        let (expected, start) = (self.persist.aof_company, Instant::now());
        let mut batch = Vec::new();
        while self.queues.write.len() < expected && start.elapsed() < patience {
            if self.shutdown.done().is_some() {
                return;
            }
            batch.clear();
            match self.poller.wait(Some(Duration::ZERO), &mut batch) {
                Ok(()) => {}
                Err(e) => return log::error!("Waiting for events failed: {e}"),
            }
            if batch.is_empty() && self.queues.read.is_empty() {
                std::thread::yield_now();
                continue;
            }
            self.clock.resync();
            self.serve(&batch, scratch);
        }
        // Those who stay away are waited for ever less.
        let came = self.queues.write.len();
        self.persist.aof_company = came.max(expected - expected / 8).max(1);
        if came < expected && expected < 8 {
            self.persist.aof_company = came.max(1);
        }
    }
}
