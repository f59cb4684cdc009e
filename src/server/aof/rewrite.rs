//! Rewriting: BGREWRITEAOF, automatic rewrites, the first base of an AOF that is switched on.
//!
//! A new incremental file is begun in the same instant in which the child is forked, so what the child writes and what the new
//! file holds are the two halves of everything. What becomes of the child's result is in `aof_child_ended`.

use crate::config::values::AppendFsync;
use crate::exec::propagate;
use crate::keyspace::Keyspace;
use crate::persist::aof::rewrite::write_commands;
use crate::persist::aof::{Aof, AofState};
use crate::persist::child;
use crate::persist::snapshot::{self, Plan};
use crate::persist::state::{Child, ChildKind};
use crate::persist::storage::{Sink, Storage};
use crate::server::Server;
use crate::sys::fork::{self, Ended};
use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};

/// The base file a child writes.
pub fn temp_base(pid: u32) -> PathBuf {
    PathBuf::from(format!("temp-rewriteaof-bg-{pid}.aof"))
}

/// Writes and syncs a whole base file.
pub(super) fn write_base(
    storage: &dyn Storage,
    ks: &Keyspace,
    plan: &Plan,
    rdb: bool,
    annotate_s: Option<i64>,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let file = storage.create(path)?;
    if rdb {
        return snapshot::write_synced(ks, plan, file, progress).map_err(|(_, e)| e);
    }
    let mut out = Sink::new(file);
    let now_and_then = plan.sync_while_writing;
    let mut sync = |out: &mut Sink| {
        if now_and_then {
            out.file().sync()?;
        }
        Ok(())
    };
    write_commands(&mut out, ks, plan, annotate_s, &mut sync, progress)?;
    out.file().sync()
}

impl Server {
    /// What a base file is made of.
    pub(super) fn aof_plan(&self) -> Plan {
        let used = self.used_memory();
        let mut plan = Plan::of(
            &self.config,
            self.clock.now_ms,
            used,
            &self.persist.functions,
        );
        plan.aof_base = true;
        plan.sync_while_writing = self.config.aof_rewrite_incremental_fsync;
        plan
    }

    /// Starts a child that writes a new base. False when it could not be started; the log says why. There must be no other
    /// child.
    pub fn start_aof_rewrite(&mut self) -> bool {
        self.persist.aof.rewrite_scheduled = false;
        let started = self.begin_incr().and_then(|()| {
            self.start_child(ChildKind::Aof)
                .map_err(|e| format!("fork: {e}"))
        });
        propagate::refresh_listening(self);
        match started {
            Ok(pid) => {
                log::info!("Background append only file rewriting started by pid {pid}");
                self.persist.aof.rewrites += 1;
                true
            }
            Err(why) => {
                log::warn!("Can't rewrite append only file in background: {why}");
                let aof = &mut self.persist.aof;
                aof.last_rewrite_ok = false;
                aof.failures += 1;
                if aof.state == AofState::WaitRewrite && aof.log.is_open() {
                    aof.drop_temp_incr();
                    propagate::refresh_listening(self);
                }
                false
            }
        }
    }

    /// Begins the file that takes what the child does not see.
    fn begin_incr(&mut self) -> Result<(), String> {
        self.flush_aof(true);
        let Aof {
            log, storage, dir, ..
        } = &self.persist.aof;
        if log.buffered() > 0 {
            // Written behind a SELECT of the old file, it must not begin the new one.
            return Err("the present file cannot be written".into());
        }
        storage.make_dir(dir).map_err(|e| {
            format!(
                "Can't open or create append-only dir {}: {e}",
                dir.display()
            )
        })?;
        let aof = &mut self.persist.aof;
        let begun = match aof.state {
            AofState::Off => Ok(()),
            // At most a second's worth is not synced yet.
            AofState::On => aof.open_next_incr(
                "on background rewrite",
                self.config.appendfsync != AppendFsync::No,
            ),
            AofState::WaitRewrite => aof.open_temp_incr(),
        };
        begun.map_err(|e| format!("Can't open the append-only file: {e}"))
    }

    /// The child's whole life, behind what every child does first.
    pub(in crate::server) fn be_the_aof_child(&self, plan: &Plan, pipe: PipeWriter) -> ! {
        let path = temp_base(std::process::id());
        let (rdb, annotate) = (self.config.aof_use_rdb_preamble, self.annotation());
        let storage = &*self.persist.aof.storage;
        child::work_and_exit("AOF rewrite", pipe, |progress| {
            write_base(storage, &self.ks, plan, rdb, annotate, &path, progress).map_err(|e| {
                // Best effort: the parent removes it as well.
                let _ = storage.remove(&path);
                format!("Write error writing append only file on disk: {e}")
            })?;
            Ok(format!(
                "Successfully created the temporary AOF base file {}",
                path.display()
            ))
        })
    }

    /// What is to be written as a base file of which kind, as of now.
    pub(in crate::server) fn plan_of(&self, kind: ChildKind) -> Plan {
        match kind {
            ChildKind::Aof => self.aof_plan(),
            _ => self.plan(),
        }
    }

    /// Acts on the end of the child.
    pub(in crate::server) fn aof_child_ended(&mut self, child: &Child, end: Ended) {
        let temp = temp_base(child.pid.unsigned_abs());
        self.persist.aof.last_rewrite_took_s = self.clock.now_s() - child.started_s;
        let done = match end {
            Ended::Code(0) => {
                log::info!("Background AOF rewrite terminated with success");
                self.take_new_base(&temp, child.rdb_base)
            }
            Ended::Code(_) => {
                log::warn!("Background AOF rewrite terminated with error");
                self.rewrite_failed();
                false
            }
            Ended::Signal(signal) => {
                log::warn!("Background AOF rewrite terminated by signal {signal}");
                if signal != libc::SIGUSR1 {
                    self.rewrite_failed();
                }
                false
            }
        };
        if !done {
            self.forget_rewrite(&temp);
        }
        propagate::refresh_listening(self);
    }

    fn take_new_base(&mut self, temp: &Path, rdb: bool) -> bool {
        let keep_history = self.config.aof_disable_auto_gc;
        let installed = self.persist.aof.install_base(temp, rdb);
        for (event, took_ms) in std::mem::take(&mut self.persist.aof.moments) {
            self.latency.note(event, took_ms, self.clock.now_s());
        }
        let aof = &mut self.persist.aof;
        if let Err(e) = installed {
            log::warn!("Error trying to put the new base file of the AOF in place: {e}");
            self.rewrite_failed();
            return false;
        }
        if aof.state == AofState::WaitRewrite {
            aof.state = AofState::On;
        }
        aof.last_rewrite_ok = true;
        aof.failures = 0;
        if let Err(e) = aof.remove_history(keep_history) {
            log::warn!("Removing the history files of the AOF: {e}");
        }
        log::info!("Background AOF rewrite finished successfully");
        true
    }

    fn rewrite_failed(&mut self) {
        self.persist.aof.last_rewrite_ok = false;
        self.persist.aof.failures += 1;
    }

    /// What a rewrite that came to nothing leaves behind goes.
    fn forget_rewrite(&mut self, temp: &Path) {
        let aof = &mut self.persist.aof;
        let _ = aof.storage.remove(temp);
        if aof.state == AofState::WaitRewrite {
            if aof.log.is_open() {
                aof.drop_temp_incr();
            }
            // The AOF is still wanted.
            aof.rewrite_scheduled = true;
        }
    }

    /// Stops the child, waits for its end and removes its file: the AOF is switched off, or the server ends.
    pub fn end_aof_child(&mut self) {
        let Some(child) = self.persist.child.take_if(|c| c.kind == ChildKind::Aof) else {
            return;
        };
        log::info!("Killing running AOF rewrite child: {}", child.pid);
        fork::stop(child.pid);
        if let Err(e) = fork::wait_end(child.pid) {
            log::debug!("Waiting for child {}: {e}", child.pid);
        }
        self.forget_child(&child);
        self.forget_rewrite(&temp_base(child.pid.unsigned_abs()));
        self.persist.aof.rewrite_scheduled = false;
    }

    /// What cron does here: starts rewrites that are due. There is no child.
    pub(in crate::server) fn start_due_rewrite(&mut self) {
        let now_s = self.clock.now_s();
        if self.persist.aof.rewrite_scheduled {
            if !self.persist.aof.rewrite_limited(now_s) {
                self.start_aof_rewrite();
            }
            return;
        }
        let percentage = u64::from(self.config.auto_aof_rewrite_percentage);
        let min_size = self.config.auto_aof_rewrite_min_size;
        let aof = &mut self.persist.aof;
        if aof.state != AofState::On || percentage == 0 || aof.size() <= min_size {
            return;
        }
        let growth = aof.growth_percent();
        if growth >= percentage && !aof.rewrite_limited(now_s) {
            log::info!("Starting automatic rewriting of AOF on {growth}% growth");
            self.start_aof_rewrite();
        }
    }
}
