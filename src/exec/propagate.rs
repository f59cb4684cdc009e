//! What goes to the AOF and the replicas.
//!
//! Nobody listens yet on a server without either; then nothing is copied and this is a branch.

use super::Ctx;

/// After a command ran: takes what it is to be propagated as and clears the record for the next one.
pub fn after_call(ctx: &mut Ctx<'_>, _changed: bool) {
    let fx = &mut ctx.server.ks.fx;
    fx.before.clear();
    fx.instead = None;
    fx.force = None;
}
