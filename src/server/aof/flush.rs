//! The end of a turn: what was propagated goes to the file, and under `appendfsync always` to the disk, before any reply leaves.
//!
//! **Group commit.** One sync serves all commands of a turn. Where a sync takes long (a disk, not a RAM disk) the clients that got
//! their replies together would come back one after the other and be served by two or three syncs; so before a slow sync the loop looks
//! for a moment (a small part of what the sync will take) whether more is coming, and takes it along ([`Server::gather`]).
//! No reply leaves meanwhile: replies are written by `write_pending` only, after the sync.

use super::super::input::Scratch;
use crate::config::values::AppendFsync;
use crate::exec::propagate;
use crate::observe::Event;
use crate::persist::aof::log::{FlushPlan, Flushed};
use crate::server::Server;
use std::time::{Duration, Instant};

/// Syncs quicker than this (us) are not worth waiting for company.
const SLOW_SYNC_US: u64 = 400;
/// At most this part of the time of the last sync is spent on looking for more.
const GATHER_PART: u64 = 8;
/// And at most this long, us.
const GATHER_MAX_US: u64 = 2000;

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
        let timed = self.latency.on() && self.persist.aof.log.buffered() > 0;
        let start = timed.then(|| (Instant::now(), self.persist.aof.syncer.syncing() > 0));
        let aof = &mut self.persist.aof;
        let failed_before = aof.error().is_some();
        if let Flushed::Fatal(line) = aof.log.flush(&plan, &aof.syncer) {
            log::error!("{line}");
            // No reply may leave: clients would believe in what no file holds.
            std::process::exit(1);
        }
        if let Some((start, syncing)) = start {
            self.note_aof_latency(start.elapsed(), syncing);
        }
        if self.persist.aof.error().is_some() != failed_before {
            self.update_disk_error();
        }
    }

    /// Tells LATENCY how long a write took, and the sync behind it. `syncing`: another sync was under way.
    fn note_aof_latency(&mut self, took: Duration, syncing: bool) {
        let now_s = self.clock.now_s();
        let mut took_ms = took.as_millis() as u64;
        if self.config.appendfsync == AppendFsync::Always {
            let sync_ms = self.persist.aof.log.last_sync_us / 1000;
            self.latency.note(Event::AofFsyncAlways, sync_ms, now_s);
            took_ms = took_ms.saturating_sub(sync_ms);
        }
        let when = match (syncing, self.persist.child.is_some()) {
            (true, _) => Event::AofWritePendingFsync,
            (false, true) => Event::AofWriteActiveChild,
            (false, false) => Event::AofWriteAlone,
        };
        self.latency.note(Event::AofWrite, took_ms, now_s);
        self.latency.note(when, took_ms, now_s);
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

    /// Before a slow sync: serves what comes in within a moment, so that the sync is for that as well.
    pub fn gather(&mut self, scratch: &mut Scratch) {
        let log = &self.persist.aof.log;
        let took_us = log.last_sync_us;
        if log.buffered() == 0 || took_us < SLOW_SYNC_US || !self.replies_wait_for_sync() {
            return;
        }
        let patience = Duration::from_micros((took_us / GATHER_PART).min(GATHER_MAX_US));
        let start = Instant::now();
        let mut last_seen = start;
        let mut batch = Vec::new();
        while start.elapsed() < patience && last_seen.elapsed() < patience / 2 {
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
            last_seen = Instant::now();
        }
    }
}
