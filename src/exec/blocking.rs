//! Parking clients and waking them.

use super::{BlockOn, Ctx};
use crate::client::{ClientFlags, CommandId};

/// Parks the client of `ctx` until a key is ready.
pub fn park(ctx: &mut Ctx<'_>, _id: CommandId, _on: BlockOn) {
    ctx.client.flags.insert(ClientFlags::BLOCKED);
}
