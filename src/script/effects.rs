//! Which of the changes a script makes are told to the AOF and to the replicas (`redis.set_repl`).
//!
//! A script is one unit (`exec::propagate`); each command it runs adds what it changed, unless the script asked otherwise.

use crate::server::Server;

/// Nobody is told.
pub const NONE: u8 = 0;
/// The AOF.
pub const AOF: u8 = 1;
/// The replicas.
pub const REPLICA: u8 = 2;
/// Both.
pub const ALL: u8 = 3;

/// Before a command of the script.
#[inline]
pub fn before(server: &mut Server) {
    let wanted = server.scripts.run.as_ref().map_or(ALL, |r| r.propagate_to);
    if wanted != ALL {
        // The bits mean the same there.
        server.propagation.withhold(ALL & !wanted);
    }
}

/// After it.
#[inline]
pub fn after(server: &mut Server) {
    server.propagation.withhold(0);
}
