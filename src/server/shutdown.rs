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
        log::warn!("Received {sig} scheduling shutdown...");
        log::warn!("User requested shutdown...");
        log::warn!("Redis is now ready to exit, bye bye...");
        server.finish(0);
    }
}
