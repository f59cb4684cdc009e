//! Ending in order: SHUTDOWN, SIGTERM and SIGINT.
//!
//! A shutdown saves first, as configured or asked; when that fails it is called off, unless it was forced. Once it goes
//! through, the exit code is set and nothing is served any more: what clients were told is in the file.

use super::{Server, ServerState};
use crate::config::values::ShutdownFlags;
use crate::persist::aof::AofState;
use crate::sys::signal;

/// How far a shutdown has come.
#[derive(Debug, Default)]
pub struct Shutdown {
    exit_code: Option<i32>,
}

impl Shutdown {
    /// The exit code, once everything is done.
    pub fn done(&self) -> Option<i32> {
        self.exit_code
    }
}

impl Server {
    /// Ends the server with this code at the end of the turn.
    pub fn finish(&mut self, code: i32) {
        self.shutdown.exit_code = Some(code);
    }

    /// Shuts down as the flags say. False when that failed and the server goes on; the log says why.
    pub fn shut_down(&mut self, flags: ShutdownFlags) -> bool {
        log::info!("User requested shutdown...");
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
        if signal::take_shutdown().is_none() {
            return false;
        }
        log::info!("Shutdown manually aborted.");
        true
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
