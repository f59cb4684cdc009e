//! `redis.call` and `redis.pcall`: a command run by a script.
//!
//! The arguments are copied from Lua's strings into one buffer that is used again and again; the command runs by the same
//! `exec::call` as everybody's, for the caller's own client, whose output was exchanged for a scratch buffer when the script
//! began (`run.rs`); its reply is walked straight into a Lua value. Nothing is allocated per call once the buffers have grown.
//!
//! What dispatch asks of a client's command is asked here in the terms of scripts: is it allowed in scripts at all, on a stale
//! replica, by the caller's permissions, in a read-only script, on this server, in this memory.

use super::convert::{self, Pushed};
use super::loan::borrow;
use super::lua::{Lua, Raise, Word};
use crate::client::{Client, CommandId};
use crate::exec::command::{Command, CommandFlags as F};
use crate::exec::{Ctx, call};
use crate::resp::{Args, Error, OwnedArgs};
use crate::server::Server;

/// `redis.call`: errors are raised.
pub fn redis_call(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    match run(lua) {
        Pushed::Value => Ok(1),
        Pushed::Error => Err(Raise::Top),
    }
}

/// `redis.pcall`: errors are returned.
pub fn redis_pcall(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    run(lua);
    Ok(1)
}

/// Raises an error that is none of a command: an error table without position, to which the handler adds where.
pub fn fail(lua: &mut Lua<'_>, text: &str) -> Raise {
    convert::push_error(lua, format!("ERR {text}").as_bytes(), false);
    Raise::Top
}

fn push_failure(lua: &mut Lua<'_>, text: &[u8], counted: bool) -> Pushed {
    convert::push_error(lua, text, counted);
    Pushed::Error
}

/// The arguments of the call, as a command's.
///
/// # Errors
/// Why they are none, as `luaL_error` texts.
pub fn collect(lua: &mut Lua<'_>, args: &mut OwnedArgs) -> Result<(), &'static str> {
    if lua.nargs() == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    for i in 1..=lua.nargs() {
        match lua.arg_word(i) {
            Some(Word::Bytes(bytes)) => args.push(bytes),
            Some(Word::Number(n)) => push_number(args, n),
            None => return Err("Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// A number as an argument: whole ones as integers, others with the fewest digits that tell them apart.
fn push_number(args: &mut OwnedArgs, n: f64) {
    if let Some(whole) = crate::ds::dtoa::whole_number(n) {
        return args.push_int(whole);
    }
    if n == 0.0 {
        return args.push_int(0);
    }
    if n.is_nan() {
        return args.push(if n.is_sign_negative() {
            b"-nan"
        } else {
            b"nan"
        });
    }
    let mut buf = [0; crate::ds::dtoa::F64_TEXT_MAX];
    args.push(crate::ds::dtoa::write_f64(n, &mut buf));
}

/// Runs the command and pushes its reply or an error table.
fn run(lua: &mut Lua<'_>) -> Pushed {
    let Some((server, _)) = borrow(lua) else {
        return push_failure(lua, b"ERR redis.call needs a running script", false);
    };
    let mut args = std::mem::take(&mut server.scripts.args);
    args.clear();
    if let Err(text) = collect(lua, &mut args) {
        if let Some((server, _)) = borrow(lua) {
            give_back(server, args);
        }
        let text = format!("ERR {text}");
        return push_failure(lua, text.as_bytes(), false);
    }
    let Some((server, client)) = borrow(lua) else {
        return Pushed::Error;
    };
    client.out.clear();
    if let Some(session) = &mut server.scripts.debug {
        session.calling(args.view());
    }
    let outcome = run_command(server, client, args.view());
    let mut out = std::mem::take(&mut client.out);
    if let Some(session) = &mut server.scripts.debug {
        session.called(outcome.as_ref().map(|()| out.contiguous()));
    }
    let pushed = match outcome {
        Ok(()) => convert::push_reply(lua, out.contiguous()),
        Err(e) => push_failure(lua, e.as_bytes(), true),
    };
    if let Some((server, client)) = borrow(lua) {
        client.out = out;
        give_back(server, args);
    }
    pushed
}

/// Keeps the room of the arguments for the next call, unless it is a lot.
fn give_back(server: &mut Server, mut args: OwnedArgs) {
    const KEEP: usize = 64 * 1024;
    args.clear();
    if args.mem_bytes() < KEEP {
        server.scripts.args = args;
    }
}

/// Runs one command of the running script; the reply is in the client's output.
///
/// # Errors
/// Why it may not run; INFO's statistics have counted that.
fn run_command(server: &mut Server, client: &mut Client, args: Args<'_>) -> Result<(), Error> {
    let id = server.registry.resolve(&args).map_err(|_| {
        let e = Error::new("ERR Unknown Redis command called from script");
        count(server, None, &e);
        e
    })?;
    let command = server.registry.row(id);
    if let Err(e) = allowed(server, client, command, id, args) {
        count(server, Some(id), &e);
        return Err(e);
    }
    if let Some(run) = server.scripts.run.as_mut() {
        run.wrote |= command.flags.contains(F::WRITE);
    }
    super::effects::before(server);
    server.clock.tick();
    let mut ctx = Ctx {
        server,
        client,
        args,
        command,
        first_hash: None,
    };
    call::call(&mut ctx, id);
    super::effects::after(ctx.server);
    Ok(())
}

/// A command that was refused.
#[cold]
fn count(server: &mut Server, id: Option<CommandId>, e: &Error) {
    server.errors.count(e.code());
    if let Some(id) = id {
        server.command_stats[id.index()].rejected += 1;
    }
}

/// Everything that may forbid a command in a script, in upstream's order.
#[inline]
fn allowed(
    server: &mut Server,
    client: &Client,
    command: &'static Command,
    id: CommandId,
    args: Args<'_>,
) -> Result<(), Error> {
    if !command.arity_fits(args.len()) {
        return Err(Error::new(
            "ERR Wrong number of args calling Redis command from script",
        ));
    }
    if command.flags.contains(F::NOSCRIPT)
        && (!server.debug.scripts_unrestricted || super::RUNS_SCRIPTS.contains(&command.name))
    {
        return Err(Error::new(
            "ERR This Redis command is not allowed from script",
        ));
    }
    if command.flags.contains(F::BLOCKING) {
        super::checks::blocking(&server.config, command, args)?;
    }
    if !server.state.is_empty() {
        super::checks::on_this_server(server, client, command)?;
    }
    super::checks::permitted(server, client, id, args)?;
    if command.flags.intersects(F::WRITE | F::MAY_REPLICATE) {
        super::checks::may_write(server, client, command)?;
    }
    if command.flags.contains(F::DENYOOM) {
        super::checks::memory(server)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_arguments() {
        // As redis-8.2.3 passes them.
        for (n, text) in [
            (0.1, "0.1"),
            (1e20, "1e+20"),
            (12345678901234567.0, "12345678901234568"),
            (-0.0, "0"),
            (f64::INFINITY, "inf"),
            (1e-7, "1e-7"),
            (std::f64::consts::PI, "3.141592653589793"),
            (1e17, "100000000000000000"),
            (123456789.123, "123456789.123"),
            (3.0, "3"),
        ] {
            let mut args = OwnedArgs::new();
            push_number(&mut args, n);
            assert_eq!(args.view().at(0), text.as_bytes());
        }
    }
}
