//! Ending in order: SHUTDOWN, SIGTERM and SIGINT.
//!
//! First the replicas get what they lack: writes are paused and the replicas asked for acknowledgements, for `shutdown-timeout`
//! seconds at most. Cron looks whether they have everything ([`go_on`]); clients that sent SHUTDOWN are parked meanwhile.
//!
//! A shutdown saves first, as configured or asked; when that fails it is called off, unless it was forced. Once it goes
//! through, the exit code is set and nothing is served any more: what clients were told is in the file.

use super::master::name_of;
use super::{Server, ServerState};
use crate::client::blocked::BlockKind;
use crate::client::{Client, ReplicaState};
use crate::config::values::ShutdownFlags;
use crate::exec::blocking;
use crate::exec::pause::{self, Mode, Purpose};
use crate::persist::aof::AofState;
use crate::sys::signal;

/// What those who sent SHUTDOWN are told when it failed.
pub const FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// How far a shutdown has come.
#[derive(Debug, Default)]
pub struct Shutdown {
    exit_code: Option<i32>,
    /// It waits for replicas: how to shut down then, and when to do so without them (Unix ms).
    waiting: Option<(ShutdownFlags, i64)>,
}

/// How an attempt to shut down ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The server ends with this turn.
    Ends,
    /// It waits for replicas.
    Waits,
    /// It goes on; the log says why.
    Failed,
}

impl Shutdown {
    /// The exit code, once everything is done.
    pub fn done(&self) -> Option<i32> {
        self.exit_code
    }

    /// Until when it waits for replicas, Unix ms; None when it does not.
    pub fn waits_until_ms(&self) -> Option<i64> {
        self.waiting.map(|w| w.1)
    }
}

impl Server {
    /// Ends the server with this code at the end of the turn.
    pub fn finish(&mut self, code: i32) {
        self.shutdown.exit_code = Some(code);
        // Who sees its connection end must not find the door open still.
        self.stop_listening();
    }

    /// Shuts down as the flags say, when the replicas have everything.
    pub fn shut_down(&mut self, flags: ShutdownFlags) -> Attempt {
        if self.shutdown.waiting.is_some() {
            // Compat: upstream lets NOW wait as well, once another shutdown does.
            return match flags.contains(ShutdownFlags::NOW) {
                true => self.shut_down_now(flags),
                false => Attempt::Waits,
            };
        }
        log::info!("User requested shutdown...");
        let patience_s = i64::from(self.config.shutdown_timeout);
        let now = flags.contains(ShutdownFlags::NOW) || patience_s == 0;
        if now || self.lagging_replicas().is_empty() {
            return self.shut_down_now(flags);
        }
        log::info!("Waiting for replicas before shutting down.");
        let until_ms = self.clock.now_ms.saturating_add(patience_s * 1000);
        self.shutdown.waiting = Some((flags, until_ms));
        pause::pause(self, Purpose::Shutdown, Mode::Write, i64::MAX);
        self.ask_for_acks();
        Attempt::Waits
    }

    /// Ends the waiting for replicas without shutting down.
    fn stop_waiting(&mut self) {
        if self.shutdown.waiting.take().is_none() {
            return;
        }
        pause::unpause(self, Purpose::Shutdown);
        for h in blocking::clients_waiting(self, BlockKind::Shutdown) {
            blocking::release(self, h, true, |c| c.reply().error_bytes(FAILED.as_bytes()));
        }
    }

    /// Shuts down without waiting for anybody.
    fn shut_down_now(&mut self, flags: ShutdownFlags) -> Attempt {
        self.tell_of_replicas();
        if self.leave_in_order(flags) {
            return Attempt::Ends;
        }
        self.stop_waiting();
        Attempt::Failed
    }

    /// Replicas that do not have everything yet.
    fn lagging_replicas(&self) -> Vec<&Client> {
        let all = self.repl.replicas.iter();
        let clients = all.filter_map(|h| self.clients.get(*h));
        let lags = |r: &ReplicaState| !r.rdb_only && r.ack_offset != self.repl.offset;
        clients
            .filter(|c| c.replica.as_deref().is_some_and(lags))
            .collect()
    }

    fn tell_of_replicas(&self) {
        let all = self.repl.replicas.len();
        if all == 0 {
            return;
        }
        let lagging = self.lagging_replicas();
        for client in &lagging {
            let Some(r) = &client.replica else { continue };
            log::warn!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                name_of(client),
                self.repl.offset - r.ack_offset,
                self.clock.now_s() - r.ack_s,
                r.stage.name().unwrap_or("none")
            );
        }
        log::info!(
            "{} of {all} replicas are in sync when shutting down.",
            all - lagging.len()
        );
    }

    /// False when that failed and the server goes on; the log says why.
    fn leave_in_order(&mut self, flags: ShutdownFlags) -> bool {
        crate::script::debugger::end_sessions(self);
        if self.persist.rdb_child() {
            log::warn!("There is a child saving an .rdb. Killing it!");
            self.end_rdb_child();
        }
        if !self.close_aof(flags) || !self.save_at_exit(flags) {
            log::warn!(
                "Errors trying to shut down the server. Check the logs for more information."
            );
            return false;
        }
        self.finish(0);
        true
    }

    /// Writes and syncs the AOF; false when the shutdown must be called off.
    fn close_aof(&mut self, flags: ShutdownFlags) -> bool {
        let state = self.persist.aof.state;
        if self.persist.aof_child() {
            if state == AofState::WaitRewrite {
                if !flags.contains(ShutdownFlags::FORCE) {
                    log::warn!("Writing initial AOF, can't exit.");
                    return false;
                }
                log::warn!("Writing initial AOF. Exit anyway.");
            }
            log::warn!("There is a child rewriting the AOF. Killing it!");
            self.end_aof_child();
        }
        if state != AofState::On {
            return true;
        }
        log::info!("Calling fsync() on the AOF file.");
        self.flush_aof(true);
        let aof = &mut self.persist.aof;
        // Syncs of files before this one come first.
        aof.syncer.drain();
        if let Err(e) = aof.log.sync_now() {
            log::warn!("Fail to fsync the AOF file: {e}.");
        }
        true
    }

    /// Saves if that is wanted; false when the shutdown must be called off.
    fn save_at_exit(&mut self, flags: ShutdownFlags) -> bool {
        // Half a dataset must not replace the whole one.
        let loading = self.state.contains(ServerState::LOADING);
        let wanted = flags.contains(ShutdownFlags::SAVE)
            || !flags.contains(ShutdownFlags::NOSAVE) && !self.config.save.is_empty();
        if loading || !wanted {
            return true;
        }
        log::info!("Saving the final RDB snapshot before exiting.");
        if self.save_now() {
            return true;
        }
        if flags.contains(ShutdownFlags::FORCE) {
            log::warn!("Error trying to save the DB. Exit anyway.");
            return true;
        }
        log::warn!("Error trying to save the DB, can't exit.");
        false
    }

    /// Calls off a shutdown that has not gone through yet; false when there is none.
    pub fn abort_shutdown(&mut self) -> bool {
        if self.shutdown.waiting.is_none() && signal::take_shutdown().is_none() {
            return false;
        }
        self.stop_waiting();
        log::info!("Shutdown manually aborted.");
        true
    }
}

/// Goes on with a shutdown that waits for replicas; called by cron.
pub fn go_on(server: &mut Server) {
    let Some((flags, until_ms)) = server.shutdown.waiting else {
        return;
    };
    if server.clock.now_ms >= until_ms || server.lagging_replicas().is_empty() {
        server.shut_down_now(flags);
    }
}

/// Acts on SIGTERM and SIGINT; called by cron.
pub fn on_signal(server: &mut Server) {
    let Some(sig) = signal::take_shutdown() else {
        return;
    };
    log::warn!(
        target: super::logging::RAW,
        "{}:signal-handler ({}) Received {sig} scheduling shutdown...",
        std::process::id(),
        server.clock.now_s()
    );
    let flags = match sig {
        "SIGINT" => server.config.shutdown_on_sigint,
        _ => server.config.shutdown_on_sigterm,
    };
    signal::begin_shutdown();
    server.shut_down(flags);
    signal::end_shutdown();
}
