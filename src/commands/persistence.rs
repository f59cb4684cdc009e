//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SHUTDOWN, and DEBUG RELOAD.

use crate::client::blocked::BlockKind;
use crate::config::values::ShutdownFlags;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{BlockOn, Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::server::shutdown::{Attempt, FAILED};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&SAVE, &BGSAVE, &BGREWRITEAOF, &LASTSAVE, &SHUTDOWN];

const IN_PROGRESS: Error = Error::new("ERR Background save already in progress");

/// The row of SAVE.
pub static SAVE: Command = Command {
    name: "save",
    handler: save,
    arity: 1,
    flags: flags("admin noscript no_async_loading no_multi"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of keys in all databases",
    summary: "Saves the data while everybody waits.",
    ..Command::DEFAULT
};

fn save(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.persist.rdb_child() {
        return Err(IN_PROGRESS);
    }
    if !ctx.server.save_now() {
        // The log says why; upstream says no more than this.
        return Err(Error::new("ERR"));
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of BGSAVE.
pub static BGSAVE: Command = Command {
    name: "bgsave",
    handler: bgsave,
    arity: -1,
    flags: flags("admin noscript no_async_loading"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Saves the data in the background.",
    args: "[SCHEDULE]{3.2.2}",
    ..Command::DEFAULT
};

fn bgsave(ctx: &mut Ctx<'_>) -> Outcome {
    let schedule = match ctx.args.len() {
        1 => false,
        2 if ctx.is(1, "SCHEDULE") => true,
        _ => return Err(Error::Syntax),
    };
    if ctx.server.persist.rdb_child() {
        return Err(IN_PROGRESS);
    }
    if ctx.server.persist.child.is_some() {
        if !schedule {
            return Err(Error::new(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
            ));
        }
        ctx.server.persist.bgsave_scheduled = true;
        ctx.reply().simple("Background saving scheduled");
        return Ok(Flow::Done);
    }
    if !ctx.server.save_in_background() {
        return Err(Error::new("ERR"));
    }
    ctx.reply().simple("Background saving started");
    Ok(Flow::Done)
}

/// The row of BGREWRITEAOF.
pub static BGREWRITEAOF: Command = Command {
    name: "bgrewriteaof",
    handler: bgrewriteaof,
    arity: 1,
    flags: flags("admin noscript no_async_loading"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Rewrites the append only file in the background.",
    ..Command::DEFAULT
};

fn bgrewriteaof(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.server.persist.aof_child() {
        return Err(Error::new(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if ctx.server.persist.child.is_some() || ctx.server.propagation.in_unit() {
        let aof = &mut ctx.server.persist.aof;
        aof.rewrite_scheduled = true;
        // Somebody asked for it: failures of the past do not put it off.
        aof.failures = 0;
        ctx.reply()
            .simple("Background append only file rewriting scheduled");
        return Ok(Flow::Done);
    }
    if !ctx.server.start_aof_rewrite() {
        return Err(Error::new(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
        ));
    }
    ctx.reply()
        .simple("Background append only file rewriting started");
    Ok(Flow::Done)
}

/// The row of LASTSAVE.
pub static LASTSAVE: Command = Command {
    name: "lastsave",
    handler: lastsave,
    arity: 1,
    flags: flags("loading stale fast"),
    acl: acl("admin dangerous"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells when the data was last saved.",
    tips: &["nondeterministic_output"],
    ..Command::DEFAULT
};

fn lastsave(ctx: &mut Ctx<'_>) -> Outcome {
    let at = ctx.server.persist.last_save_s;
    ctx.reply().int(at);
    Ok(Flow::Done)
}

/// The row of SHUTDOWN.
pub static SHUTDOWN: Command = Command {
    name: "shutdown",
    handler: shutdown,
    arity: -1,
    flags: flags("admin noscript loading stale no_multi allow_busy"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) when saving, where N is the total number of keys in all databases when \
        saving data, otherwise O(1)",
    summary: "Saves if asked and ends the server.",
    args: "[save-selector(NOSAVE | SAVE)] [NOW]{7.0.0} [FORCE]{7.0.0} [ABORT]{7.0.0}",
    ..Command::DEFAULT
};

fn shutdown(ctx: &mut Ctx<'_>) -> Outcome {
    let mut flags = ShutdownFlags::empty();
    let mut abort = false;
    for i in 1..ctx.args.len() {
        match () {
            () if ctx.is(i, "NOSAVE") => flags |= ShutdownFlags::NOSAVE,
            () if ctx.is(i, "SAVE") => flags |= ShutdownFlags::SAVE,
            () if ctx.is(i, "NOW") => flags |= ShutdownFlags::NOW,
            () if ctx.is(i, "FORCE") => flags |= ShutdownFlags::FORCE,
            () if ctx.is(i, "ABORT") => abort = true,
            () => return Err(Error::Syntax),
        }
    }
    if abort && !flags.is_empty() || flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
        return Err(Error::Syntax);
    }
    if abort {
        if !ctx.server.abort_shutdown() {
            return Err(Error::new("ERR No shutdown in progress."));
        }
        ctx.reply().ok();
        return Ok(Flow::Done);
    }
    if ctx.server.scripts.running() {
        // Half a script is not to be saved, and nothing could be waited for.
        if !flags.contains(ShutdownFlags::NOSAVE) {
            return Err(crate::script::busy::refusal(ctx.server));
        }
        flags |= ShutdownFlags::NOW;
    }
    match ctx.server.shut_down(flags) {
        // Nothing of what this client sent behind it is run any more.
        Attempt::Ends => {
            ctx.server.close_soon(ctx.client);
            Ok(Flow::Done)
        }
        Attempt::Waits => Ok(Flow::Block(Box::new(BlockOn::without_keys(
            BlockKind::Shutdown,
        )))),
        Attempt::Failed => Err(Error::new(FAILED)),
    }
}
