//! Scripts that run for long: others are served meanwhile, and may have it stopped.
//!
//! Lua calls a hook every so many instructions (`engine.rs`), which asks here. Once `busy-reply-threshold` is over, the server is
//! busy: each look serves what is ready, in a nested turn of the event loop. Clients then get `-BUSY`, except for the few
//! commands that are allowed: SCRIPT KILL and FUNCTION KILL stop a script that wrote nothing, SHUTDOWN NOSAVE any.

use super::Run;
use super::engine::Purpose;
use crate::resp::{Args, Error, OwnedArgs};
use crate::server::input::Scratch;
use crate::server::{Server, ServerState};

/// How long loading a library may take, us.
pub const LOAD_LIMIT_US: u64 = 500_000;

const ENDED: &[u8] = b"ERR The server is shutting down";

/// Called while a script runs: the text of the error that is to end it, if it is to end.
pub fn look(server: &mut Server, args: Args<'_>) -> Option<&'static [u8]> {
    let threshold_us = server.config.busy_reply_threshold.saturating_mul(1000);
    let run = server.scripts.run.as_mut()?;
    if let Some(text) = end_of(run) {
        return Some(text);
    }
    let ran_us = crate::sys::clock::mono_us().saturating_sub(run.started_us);
    if threshold_us == 0 || ran_us < threshold_us {
        return None;
    }
    if !run.busy {
        run.busy = true;
        run.command = OwnedArgs::copy_of(args);
        log::warn!(
            "Slow script detected: still in execution after {} milliseconds. You can try killing the script using the {} command. Script name is: {}.",
            ran_us / 1000,
            kill_command(run.purpose),
            run.name.shown()
        );
        server.state.insert(ServerState::BUSY);
    }
    serve(server);
    if server.shutdown.done().is_some() {
        return Some(ENDED);
    }
    let end = server.scripts.run.as_ref().and_then(end_of);
    if end.is_some() {
        log::info!("Lua script killed by user with SCRIPT KILL.");
    }
    end
}

/// Called while a library is loaded.
pub fn look_at_load(deadline_us: u64) -> Option<&'static [u8]> {
    let late = deadline_us > 0 && crate::sys::clock::mono_us() > deadline_us;
    late.then_some(b"ERR FUNCTION LOAD timeout")
}

fn end_of(run: &Run) -> Option<&'static [u8]> {
    // Upstream says SCRIPT KILL of functions as well.
    let text: &[u8] = b"ERR Script killed by user with SCRIPT KILL...";
    run.killed.then_some(text)
}

fn kill_command(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Eval => "SCRIPT KILL",
        Purpose::Functions => "FUNCTION KILL",
    }
}

/// One nested turn. Buffers of its own, as the outer turn's are in use.
fn serve(server: &mut Server) {
    let frozen = server.clock.clone();
    server.clock.thaw();
    server.serve_while_script_runs(&mut Scratch::default());
    // To the script no time has passed.
    (server.clock.now_ms, server.clock.now_us) = (frozen.now_ms, frozen.now_us);
    server.clock.freeze();
}

/// What a command that may not run now is told.
pub fn refusal(server: &Server) -> Error {
    let functions = server.scripts.run.as_ref().map(|r| r.purpose) == Some(Purpose::Functions);
    Error::new(if functions {
        "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    } else {
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    })
}

/// SCRIPT KILL and FUNCTION KILL.
///
/// # Errors
/// Nothing runs, the other kind runs, or what runs has written.
pub fn kill(server: &mut Server, purpose: Purpose) -> Result<(), Error> {
    let refused = refusal(server);
    let Some(run) = server.scripts.run.as_mut() else {
        return Err(Error::new("NOTBUSY No scripts in execution right now."));
    };
    if run.purpose != purpose {
        return Err(refused);
    }
    if run.from_master {
        return Err(Error::new(
            "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed.",
        ));
    }
    if run.wrote {
        return Err(Error::new(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    run.killed = true;
    Ok(())
}
