//! Ending in order.

use super::Server;
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
}

/// Acts on SIGTERM and SIGINT.
pub fn on_signal(server: &mut Server) {
    if let Some(sig) = signal::take_shutdown() {
        log::warn!(target: super::logging::RAW, "{}:signal-handler ({}) Received {sig} scheduling shutdown...", std::process::id(), server.clock.now_s());
        log::info!("User requested shutdown...");
        server.finish(0);
    }
}
