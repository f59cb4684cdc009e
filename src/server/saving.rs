//! Saving snapshots: at once (SAVE, shutdown), in a child (BGSAVE, save points), and what becomes of a child's result.
//!
//! While a child lives, pages are shared with it: access clocks stay unwritten (`child_is_saving`) and tables do not shrink. Both
//! end with the child. The child's pipe is watched by the poller, so its end is noticed at once; cron looks as well.

use super::host::{self, OomRole};
use super::{Server, ServerState};
use crate::net::{Listener, Token};
use crate::observe::Event;
use crate::persist::child::{self, Heard};
use crate::persist::snapshot::{self, Plan};
use crate::persist::state::{Child, ChildKind};
use crate::sys::fork::{self, Ended, Side};
use crate::sys::{process, signal};
use std::fs;
use std::io::PipeWriter;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

/// The poller's name for the pipe of the child.
pub const CHILD_PIPE: u32 = 1;
/// After a failed background save the next automatic one waits this long, seconds.
const BGSAVE_RETRY_DELAY_S: i64 = 5;

impl Server {
    pub(super) fn plan(&self) -> Plan {
        let used = self.used_memory();
        let mut plan = Plan::of(
            &self.config,
            self.clock.now_ms,
            used,
            &self.persist.functions,
        );
        plan.history = self.history_of_snapshot();
        plan
    }

    fn rdb_path(&self) -> PathBuf {
        self.config.dbfilename.as_path().to_owned()
    }

    /// Saves now, in this process. False when that failed; the log says why.
    pub fn save_now(&mut self) -> bool {
        self.clock.resync();
        let plan = self.plan();
        signal::unlink_when_insisted(Some(&snapshot::temp_name(std::process::id())));
        let saved = snapshot::save_file(&self.ks, &plan, &self.rdb_path(), &mut |_| {});
        signal::unlink_when_insisted(None);
        self.clock.resync();
        match saved {
            Ok(()) => {
                log::info!("DB saved on disk");
                self.ks.fx.dirty = 0;
                self.saved_well();
                true
            }
            Err(e) => {
                log::warn!("{e}");
                false
            }
        }
    }

    fn saved_well(&mut self) {
        self.persist.last_save_s = self.clock.now_s();
        self.persist.last_bgsave_ok = true;
        self.persist.rdb_saves += 1;
        self.update_disk_error();
    }

    /// Starts a child that saves. False when it could not be started; the log says why. There must be no other child.
    pub fn save_in_background(&mut self) -> bool {
        self.persist.last_bgsave_try_s = self.clock.now_s();
        match self.start_child(ChildKind::Rdb) {
            Ok(pid) => {
                log::info!("Background saving started by pid {pid}");
                true
            }
            Err(e) => {
                log::warn!("Can't save in background: fork: {e}");
                self.persist.last_bgsave_ok = false;
                self.update_disk_error();
                false
            }
        }
    }

    /// Forks a child for this work; gives its process id. There must be no other child.
    pub(super) fn start_child(&mut self, kind: ChildKind) -> std::io::Result<i32> {
        let (reports, writer) = child::pipe()?;
        self.poller.add_fd(reports.fd(), Token::Other(CHILD_PIPE))?;
        let plan = self.plan_of(kind);
        let start = Instant::now();
        match fork::fork() {
            Ok(Side::Child) => self.be_the_child(kind, &plan, writer),
            Ok(Side::Parent(pid)) => {
                self.persist.latest_fork_us = start.elapsed().as_micros() as u64;
                let took_ms = self.persist.latest_fork_us / 1000;
                self.latency.note(Event::Fork, took_ms, self.clock.now_s());
                self.stats.forks += 1;
                self.persist.child = Some(Child {
                    pid,
                    kind,
                    rdb_base: self.config.aof_use_rdb_preamble,
                    reports,
                    started_s: self.clock.now_s(),
                    dirty: self.ks.fx.dirty,
                    keys_total: self.ks.total_keys() as u64,
                    keys: 0,
                    cow: 0,
                    cow_peak: 0,
                    cow_at: None,
                });
                self.set_sharing_pages(true);
                Ok(pid)
            }
            Err(e) => {
                self.poller.remove_fd(reports.fd())?;
                Err(e)
            }
        }
    }

    /// The child's whole life.
    fn be_the_child(&mut self, kind: ChildKind, plan: &Plan, writer: PipeWriter) -> ! {
        fork::child_signals();
        // A child that lives on must not keep a new server from listening.
        for listener in self.listeners.iter().chain(self.metrics.listeners()) {
            fork::close_inherited(listener_fd(listener));
        }
        let cpus = match kind {
            ChildKind::Aof => &self.config.aof_rewrite_cpulist,
            ChildKind::Rdb | ChildKind::Replicas => &self.config.bgsave_cpulist,
        };
        host::bind(cpus, "the saving child");
        let oom = &mut self.host.oom;
        oom.write(&self.config, OomRole::Child);
        if self.config.set_proc_title {
            let title = match kind {
                ChildKind::Rdb => "redis-rdb-bgsave",
                ChildKind::Replicas => "redis-rdb-to-slaves",
                ChildKind::Aof => "redis-aof-rewrite",
            };
            process::set_title(&host::title(&self.config, "", title));
        }
        match kind {
            ChildKind::Rdb => child::save_and_exit(&self.ks, plan, &self.rdb_path(), writer),
            ChildKind::Replicas => self.be_the_sync_child(plan, writer),
            ChildKind::Aof => self.be_the_aof_child(plan, writer),
        }
    }

    fn set_sharing_pages(&mut self, sharing: bool) {
        self.child_is_saving = sharing;
        for db in &mut self.ks.dbs {
            db.keys.set_resize_paused(sharing);
        }
    }

    /// Stops a child that saves, because its result is not wanted any more. Its end is handled as ever.
    pub fn stop_rdb_child(&mut self) {
        if let Some(child) = self
            .persist
            .child
            .as_ref()
            .filter(|c| matches!(c.kind, ChildKind::Rdb | ChildKind::Replicas))
        {
            fork::stop(child.pid);
        }
    }

    /// Stops a child that saves, waits for its end and removes its file: at shutdown.
    pub fn end_rdb_child(&mut self) {
        self.stop_rdb_child();
        let Some(child) = self.persist.child.take_if(|c| c.kind == ChildKind::Rdb) else {
            return;
        };
        if let Err(e) = fork::wait_end(child.pid) {
            log::debug!("Waiting for child {}: {e}", child.pid);
        }
        self.remove_temp(child.pid);
        self.forget_child(&child);
    }

    /// After all databases were flushed: a child that saves the old data is stopped, and with save points the file becomes
    /// empty too, as upstream does.
    pub fn after_flush_all(&mut self) {
        self.stop_rdb_child();
        if !self.config.save.is_empty() && !self.state.contains(ServerState::LOADING) {
            self.save_now();
        }
    }

    /// What cron does here: reads the child's reports, notices its end, starts saves that are due.
    pub fn persist_cron(&mut self) {
        self.check_child();
        if self.state.contains(ServerState::LOADING) {
            return;
        }
        // The only place that does it: whatever switched the AOF off, and however that ended.
        self.resume_aof();
        if self.persist.child.is_none() {
            self.start_due_rewrite();
        }
        if self.persist.child.is_none() {
            self.start_due_save();
        }
    }

    fn start_due_save(&mut self) {
        let now = self.clock.now_s();
        let p = &self.persist;
        let may_try = p.last_bgsave_ok || now - p.last_bgsave_try_s > BGSAVE_RETRY_DELAY_S;
        if !may_try {
            return;
        }
        let (dirty, since) = (self.ks.fx.dirty, now - p.last_save_s);
        let due = self
            .config
            .save
            .iter()
            .find(|s| dirty >= s.changes as i64 && since > s.seconds as i64);
        if let Some(point) = due {
            log::info!(
                "{} changes in {} seconds. Saving...",
                point.changes,
                point.seconds
            );
            self.save_in_background();
        } else if p.bgsave_scheduled && self.save_in_background() {
            self.persist.bgsave_scheduled = false;
        }
    }

    /// Reads what the child reports and, when it has ended, acts on that.
    pub fn check_child(&mut self) {
        let Some(child) = &mut self.persist.child else {
            return;
        };
        while let Heard::Report(r) = child.reports.hear() {
            (child.keys, child.cow, child.cow_peak) = (r.keys, r.cow, r.cow_peak);
            child.cow_at = Some(Instant::now());
            match child.kind {
                ChildKind::Rdb if r.last => self.persist.rdb_last_cow_size = r.cow,
                ChildKind::Aof if r.last => self.persist.aof.last_cow_size = r.cow,
                _ => {}
            }
        }
        match fork::ended(child.pid) {
            Ok(None) => {}
            Ok(Some(end)) => self.child_ended(end),
            Err(e) => {
                log::warn!("wait3() returned an error: {e}. child_pid = {}", child.pid);
                self.child_ended(Ended::Code(1));
            }
        }
    }

    fn child_ended(&mut self, end: Ended) {
        let Some(child) = self.persist.child.take() else {
            return;
        };
        self.forget_child(&child);
        // Asked to stop is no failure, but it is told as the signal that asked.
        let end = match end {
            Ended::Code(fork::STOPPED_ON_PURPOSE) => Ended::Signal(libc::SIGUSR1),
            end => end,
        };
        self.clock.resync();
        if child.kind == ChildKind::Aof {
            return self.aof_child_ended(&child, end);
        }
        self.persist.last_bgsave_time_s = self.clock.now_s() - child.started_s;
        if child.kind == ChildKind::Replicas {
            return self.sync_child_ended(end);
        }
        let good = end == Ended::Code(0);
        match end {
            Ended::Code(0) => {
                log::info!("Background saving terminated with success");
                self.ks.fx.dirty -= child.dirty;
                self.saved_well();
            }
            Ended::Code(_) => {
                log::warn!("Background saving error");
                self.persist.last_bgsave_ok = false;
            }
            Ended::Signal(signal) => {
                log::warn!("Background saving terminated by signal {signal}");
                self.remove_temp(child.pid);
                if signal != libc::SIGUSR1 {
                    self.persist.last_bgsave_ok = false;
                }
            }
        }
        self.update_disk_error();
        self.snapshot_file_ended(good);
    }

    /// Pages are no longer shared with a child, and its pipe is not watched any more.
    pub(super) fn forget_child(&mut self, child: &Child) {
        self.set_sharing_pages(false);
        if let Err(e) = self.poller.remove_fd(child.reports.fd()) {
            log::debug!("Unwatching the pipe of child {}: {e}", child.pid);
        }
    }

    /// Whether writes are refused because the last background save failed.
    pub fn saving_fails(&self) -> bool {
        !self.persist.last_bgsave_ok
            && self.config.stop_writes_on_bgsave_error
            && !self.config.save.is_empty()
    }

    /// Refuses writes, or allows them again, as the last background save, the AOF and the settings say.
    pub fn update_disk_error(&mut self) {
        let failing = self.saving_fails() || self.persist.aof.error().is_some();
        self.state.set(ServerState::DISK_ERROR, failing);
    }
}

fn listener_fd(listener: &Listener) -> RawFd {
    match listener {
        Listener::Tcp(l, ..) | Listener::Tls(l, ..) => l.as_raw_fd(),
        Listener::Unix(l, ..) => l.as_raw_fd(),
    }
}

impl Server {
    /// Removes what an unfinished child left in the working folder.
    fn remove_temp(&mut self, pid: i32) {
        let temp = snapshot::temp_name(pid.unsigned_abs());
        let start = Instant::now();
        if let Err(e) = fs::remove_file(&temp)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("Removing {}: {e}", temp.display());
        }
        let took_ms = start.elapsed().as_millis() as u64;
        self.latency
            .note(Event::RdbUnlinkTempFile, took_ms, self.clock.now_s());
    }
}
