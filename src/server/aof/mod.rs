//! The AOF as the running server drives it: switched on and off, written at the end of each turn, rewritten by a child, loaded.
//!
//! * `flush`    the end of a turn: one write, one sync for everybody whose replies wait, WAITAOF, write errors
//! * `rewrite`  BGREWRITEAOF and automatic rewrites: before the child, the child, after it
//! * `waiting`  WAITAOF
//! * `load`     replaying it at start and for DEBUG LOADAOF
//!
//! What is written and in which files is `persist::aof`. Commands come from `exec::propagate::feed`.
//!
//! Invariant: the log is open while the AOF is on, and while it is being switched on from the start of the child that writes
//! its first base on; `propagate::refresh_listening` is called whenever that changes.

mod flush;
mod load;
mod rewrite;
mod waiting;

pub use load::LoadFailed;
pub use waiting::AOF_IS_OFF;

use super::{Server, ServerState};
use crate::config::Reason;
use crate::exec::propagate;
use crate::persist::aof::AofState;

impl Server {
    /// Makes the AOF what `appendonly` says.
    pub fn switch_append_only(&mut self) -> Result<(), Reason> {
        match (self.config.appendonly, self.persist.aof.state) {
            (true, AofState::Off) => self.start_aof(),
            (false, AofState::On | AofState::WaitRewrite) => {
                self.stop_aof();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Switches the AOF on, now or (after a full synchronisation) again: it is complete when a child has written its first base.
    pub fn start_aof(&mut self) -> Result<(), Reason> {
        let aof = &mut self.persist.aof;
        aof.state = AofState::WaitRewrite;
        // Offsets of another history say nothing about this one.
        aof.syncer.drain();
        aof.syncer.forget_error();
        aof.syncer.set_durable(-1);
        let other_child = self.persist.child.is_some() && !self.persist.aof_child();
        if other_child || self.propagation.in_unit() {
            self.persist.aof.rewrite_scheduled = true;
            let why = if other_child {
                "there is already another background operation"
            } else {
                "a transaction is under way"
            };
            log::info!(
                "AOF was enabled but {why}. An AOF background was scheduled to start when needed."
            );
            return Ok(());
        }
        if self.persist.aof_child() {
            log::info!(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting a rewrite now."
            );
            self.end_aof_child();
        }
        if self.start_aof_rewrite() {
            return Ok(());
        }
        self.persist.aof.state = AofState::Off;
        log::warn!(
            "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above logs for more info about the error."
        );
        Err(Reason::Text("Unable to turn on AOF. Check server logs."))
    }

    /// Switches the AOF off. Its files stay as they are.
    pub fn stop_aof(&mut self) {
        self.flush_aof(true);
        let was_complete = self.persist.aof.state == AofState::On;
        let aof = &mut self.persist.aof;
        if let Err(e) = aof.log.sync_now() {
            log::warn!("Fail to fsync the AOF file: {e}");
        }
        aof.state = AofState::Off;
        aof.rewrite_scheduled = false;
        if was_complete {
            aof.earlier_size = aof.size();
            aof.log.close();
        } else if aof.log.is_open() {
            aof.drop_temp_incr();
        }
        aof.syncer.forget_error();
        if self.persist.aof_child() {
            self.end_aof_child();
        }
        propagate::refresh_listening(self);
        self.update_disk_error();
        self.serve_waitaof();
    }

    /// Other data come with a full resync: what the AOF holds is of the old ones. `appendonly` stays as it is set.
    pub fn suspend_aof(&mut self) {
        if self.persist.aof.state != AofState::Off {
            self.stop_aof();
        }
    }

    /// Switches it on again where a full synchronisation switched it off. For cron: what fails is tried again a second later.
    pub fn resume_aof(&mut self) {
        let busy = ServerState::LOADING | ServerState::ASYNC_LOADING;
        let off = self.persist.aof.state == AofState::Off;
        if !self.config.appendonly || !off || self.state.intersects(busy) {
            return;
        }
        let now_s = self.clock.now_s();
        if now_s > self.persist.aof_resume_tried_s && !self.repl.link.is_syncing() {
            self.persist.aof_resume_tried_s = now_s;
            // The log says why when it fails.
            let _ = self.start_aof();
        }
    }

    /// Opens the AOF when the data are loaded. False when the server cannot start; the log says why.
    pub fn open_aof_at_start(&mut self) -> bool {
        if self.persist.aof.state != AofState::On {
            return true;
        }
        if let Err(e) = self.make_first_base().and_then(|()| {
            let aof = &mut self.persist.aof;
            aof.open_at_start()?;
            aof.remove_history(self.config.aof_disable_auto_gc)
        }) {
            log::error!(
                "Can't open or create the append-only files in {}: {e}",
                self.persist.aof.dir.display()
            );
            return false;
        }
        propagate::refresh_listening(self);
        true
    }

    /// An AOF that was not there begins with a base of what is in memory.
    fn make_first_base(&mut self) -> std::io::Result<()> {
        let manifest = &self.persist.aof.manifest;
        if manifest.base.is_some() || !manifest.incr.is_empty() {
            return Ok(());
        }
        let rdb = self.config.aof_use_rdb_preamble;
        let plan = self.aof_plan();
        let annotate = self.annotation();
        let storage = self.persist.aof.storage.clone();
        let ks = &self.ks;
        self.persist.aof.create_base(rdb, |path| {
            rewrite::write_base(&*storage, ks, &plan, rdb, annotate, path, &mut |_| {})
        })
    }

    /// The time to annotate commands with, if that is wanted.
    #[inline]
    pub fn annotation(&self) -> Option<i64> {
        self.config
            .aof_timestamp_enabled
            .then(|| self.clock.now_s())
    }
}
