//! DEBUG subcommands that change how the server runs, or end it.

use super::{done, number, unknown};
use crate::config::memory::parse_bytes;
use crate::ds::numtext::parse_f64;
use crate::ds::quicklist::set_plain_threshold;
use crate::exec::{Ctx, Flow, Outcome, blocking, multi};
use crate::resp::Error;
use crate::script::libraries::Restore;
use std::time::Duration;

pub(super) fn sleep(ctx: &mut Ctx<'_>) -> Outcome {
    let seconds = parse_f64(ctx.arg(2)).unwrap_or(0.0);
    std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    done(ctx)
}

pub(super) fn set_active_expire(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.expiry.disabled = number(ctx) == 0;
    done(ctx)
}

/// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may run commands they normally may not.
pub(super) fn unrestricted_scripts(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.debug.scripts_unrestricted = number(ctx) != 0;
    done(ctx)
}

/// RESTORE takes payloads whose checksum is wrong: what damaged payloads do beyond that can be tested then.
pub(super) fn skip_checksum(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.debug.skip_checksum = number(ctx) != 0;
    done(ctx)
}

pub(super) fn pause_cron(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.debug.cron_paused = number(ctx) != 0;
    done(ctx)
}

pub(super) fn dict_resizing(ctx: &mut Ctx<'_>) -> Outcome {
    let paused = number(ctx) == 0;
    for db in &mut ctx.server.ks.dbs {
        db.keys.set_resize_paused(paused);
    }
    done(ctx)
}

/// Has cron assert that the counts of INFO keysizes are empty when a database is.
pub(super) fn check_sizes(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.debug.check_sizes = ctx.is(2, "yes") || number(ctx) != 0;
    done(ctx)
}

/// From which size on an element of a list gets a node of its own; 0 is the default rule.
pub(super) fn packed_threshold(ctx: &mut Ctx<'_>) -> Outcome {
    let bytes = parse_bytes(ctx.arg(2)).and_then(|n| usize::try_from(n).ok());
    match bytes {
        Some(n) if set_plain_threshold(n) => done(ctx),
        _ => Err(Error::new(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        )),
    }
}

/// Compat: replies have no buffer of fixed size here whose resizing could be steered; accepted without effect.
pub(super) fn replybuffer(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.is(2, "peak-reset-time") || ctx.is(2, "resizing") {
        return done(ctx);
    }
    Err(unknown(ctx))
}

/// Puts a command into the replication stream that was never run here: what a replica does with a wrong one can be tested then.
pub(super) fn replicate(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.repl.feed(None, ctx.args.from(2));
    done(ctx)
}

/// Gives the history of writes another id: replicas that come back have to take everything anew.
pub(super) fn change_repl_id(ctx: &mut Ctx<'_>) -> Outcome {
    log::info!("Changing replication IDs after receiving change-repl-id");
    ctx.server.repl.new_id();
    done(ctx)
}

pub(super) fn log(ctx: &mut Ctx<'_>) -> Outcome {
    log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(ctx.arg(2)));
    done(ctx)
}

pub(super) fn client_eviction(ctx: &mut Ctx<'_>) -> Outcome {
    if !ctx.server.client_memory.enabled() {
        return Err(Error::new("ERR maxmemory-clients is disabled."));
    }
    let mut text = String::new();
    for (id, bytes) in ctx.server.client_memory.sizes() {
        text.push_str(&format!("id={id} bytes={bytes}\n"));
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

pub(super) fn rewrite_all(ctx: &mut Ctx<'_>) -> Outcome {
    crate::commands::config::rewrite(ctx.server, true)?;
    done(ctx)
}

/// Loading data replaces the libraries, one of which might be running.
fn not_in_script(ctx: &Ctx<'_>) -> Result<(), Error> {
    if ctx.server.scripts.running() {
        return Err(Error::new(
            "ERR This Redis command is not allowed from script",
        ));
    }
    Ok(())
}

pub(super) fn reload(ctx: &mut Ctx<'_>) -> Outcome {
    not_in_script(ctx)?;
    let (mut save, mut flush, mut merge) = (true, true, false);
    for i in 2..ctx.args.len() {
        match () {
            () if ctx.is(i, "nosave") => save = false,
            () if ctx.is(i, "noflush") => flush = false,
            () if ctx.is(i, "merge") => merge = true,
            () => {
                return Err(Error::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    const FAILED: Error = Error::new("ERR Error trying to load the RDB dump, check server logs.");
    // A load within a load would mix two files.
    if ctx.server.persist.loading.is_some() {
        return Err(FAILED);
    }
    if save && !ctx.server.save_now() {
        return Err(Error::new("ERR"));
    }
    if flush {
        for db in 0..ctx.server.ks.dbs.len() as u32 {
            ctx.server.ks.flush(db, false);
            multi::touch_all_watched(ctx.server, db);
        }
    }
    let path = ctx.server.config.dbfilename.as_path().to_owned();
    let libraries = match (flush, merge) {
        (true, _) => Restore::Flush,
        (false, true) => Restore::Replace,
        (false, false) => Restore::Append,
    };
    if !ctx.server.load_rdb(&path, libraries).unwrap_or(false) {
        return Err(FAILED);
    }
    for db in 0..ctx.server.ks.dbs.len() as u32 {
        blocking::all_keys_changed(ctx.server, db);
    }
    log::warn!("DB reloaded by DEBUG RELOAD");
    done(ctx)
}

pub(super) fn loadaof(ctx: &mut Ctx<'_>) -> Outcome {
    const FAILED: Error = Error::new("ERR Error trying to load the AOF files, check server logs.");
    not_in_script(ctx)?;
    let server = &mut *ctx.server;
    if server.persist.loading.is_some() {
        return Err(FAILED);
    }
    server.flush_aof(true);
    if !server.find_aof(false) {
        return Err(FAILED);
    }
    for db in 0..server.ks.dbs.len() as u32 {
        multi::touch_all_watched(server, db);
        server.ks.flush(db, false);
    }
    let keep_history = server.config.aof_disable_auto_gc;
    if server.load_aof().is_err() || server.persist.aof.remove_history(keep_history).is_err() {
        return Err(FAILED);
    }
    server.ks.fx.dirty = 0;
    for db in 0..server.ks.dbs.len() as u32 {
        blocking::all_keys_changed(server, db);
    }
    log::warn!("Append Only File loaded by DEBUG LOADAOF");
    // What it loaded is in the AOF already.
    ctx.force_propagation(false);
    done(ctx)
}

/// Sleeps so many microseconds before each write of the AOF.
pub(super) fn aof_flush_sleep(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.debug.aof_flush_sleep_us = number(ctx).max(0) as u64;
    done(ctx)
}

pub(super) fn panic(_: &mut Ctx<'_>) -> Outcome {
    log::warn!("------------------------------------------------");
    log::warn!(
        "Guru Meditation: Panic called by DEBUG PANIC #{}:{}",
        file!(),
        line!()
    );
    log::warn!("------------------------------------------------");
    std::process::abort()
}

pub(super) fn assertion(_: &mut Ctx<'_>) -> Outcome {
    log::warn!("=== ASSERTION FAILED ===");
    log::warn!(
        "==> {}:{} 'DEBUG ASSERT was not called' is not true",
        file!(),
        line!()
    );
    std::process::abort()
}

/// One of the allocator's controls: what it is, and its new value if there is one.
pub(super) fn mallctl(ctx: &mut Ctx<'_>) -> Outcome {
    let value = match ctx.args.len() {
        3 => None,
        _ => Some(ctx.int(3)?),
    };
    let old = crate::sys::alloc::control(ctx.arg(2), value).map_err(system_error)?;
    ctx.reply().int(old);
    Ok(Flow::Done)
}

/// One of its orders, `VOID`; controls whose values are text are not looked at.
pub(super) fn mallctl_str(ctx: &mut Ctx<'_>) -> Outcome {
    if !ctx.is(3, "VOID") {
        return Err(Error::new("ERR Only VOID is supported here"));
    }
    crate::sys::alloc::order(ctx.arg(2)).map_err(system_error)?;
    done(ctx)
}

fn system_error(number: i32) -> Error {
    let error = std::io::Error::from_raw_os_error(number);
    Error::text(format!("ERR {}", crate::server::host::os_text(&error)))
}
