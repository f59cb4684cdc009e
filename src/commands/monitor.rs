//! MONITOR.

use crate::client::ClientFlags;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome, blocking};
use crate::resp::Error;
use crate::server::monitor as lines;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&MONITOR];

/// The row of MONITOR.
pub static MONITOR: Command = Command {
    name: "monitor",
    handler: monitor,
    arity: 1,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "1.0.0",
    summary: "Shows every command the server gets, as it comes.",
    ..Command::DEFAULT
};

fn monitor(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.client.has(ClientFlags::FAKE) || !blocking::may_wait(ctx) {
        return Err(Error::new(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    // Asking twice is answered by nothing, as upstream: the lines go on.
    if lines::start(ctx.server, ctx.client) {
        ctx.reply().ok();
    }
    Ok(Flow::Done)
}
