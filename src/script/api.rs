//! The table `redis` of a script: everything but `redis.call`.
//!
//! Errors of these functions are tables `{err="ERR .."}` without a position in the text; where it happened is added by the
//! message handler, as for every error that ends a script.

use super::call::{self, fail};
use super::convert;
use super::debugger;
use super::effects;
use super::engine::Purpose;
use super::loan::borrow;
use super::lua::{Kind, Lua, NativeFn, Raise};
use crate::client::ClientFlags;
use crate::exec::command::Command;
use crate::resp::{OwnedArgs, Protocol};
use sha1::{Digest, Sha1};

/// Functions of both engines.
const COMMON: [(&str, NativeFn); 9] = [
    ("call", call::redis_call),
    ("pcall", call::redis_pcall),
    ("log", log),
    ("sha1hex", sha1hex),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("setresp", setresp),
    ("set_repl", set_repl),
    ("acl_check_cmd", acl_check_cmd),
];

/// Functions of EVAL's engine only, which belong to times past or to the debugger.
const EVAL_ONLY: [(&str, NativeFn); 3] = [
    ("replicate_commands", replicate_commands),
    ("breakpoint", breakpoint),
    ("debug", debug),
];

const CONSTANTS: [(&str, u8); 9] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", effects::NONE),
    ("REPL_AOF", effects::AOF),
    ("REPL_SLAVE", effects::REPLICA),
    ("REPL_REPLICA", effects::REPLICA),
    ("REPL_ALL", effects::ALL),
];

/// The version scripts are told: that of the Redis whose behaviour they get.
const VERSION: (u32, u32, u32) = (8, 2, 3);

/// Pushes the table for an engine.
pub fn install(lua: &mut Lua<'_>, purpose: Purpose) {
    lua.new_table(0, 32);
    for (name, f) in COMMON {
        lua.push_fn(f);
        lua.set_field(-2, name);
    }
    if purpose == Purpose::Eval {
        for (name, f) in EVAL_ONLY {
            lua.push_fn(f);
            lua.set_field(-2, name);
        }
    }
    constants(lua, &CONSTANTS);
}

/// Pushes the table that the code of a library sees while it is loaded; `register_function` is on top, and popped.
pub fn install_for_load(lua: &mut Lua<'_>) {
    lua.new_table(0, 8);
    lua.insert(-2);
    lua.set_field(-2, "register_function");
    lua.push_fn(log);
    lua.set_field(-2, "log");
    constants(lua, &CONSTANTS[..4]);
}

fn constants(lua: &mut Lua<'_>, numbers: &[(&str, u8)]) {
    for (name, value) in numbers {
        lua.push_number(f64::from(*value));
        lua.set_field(-2, name);
    }
    let (major, minor, patch) = VERSION;
    lua.push_bytes(format!("{major}.{minor}.{patch}").as_bytes());
    lua.set_field(-2, "REDIS_VERSION");
    lua.push_number(f64::from(major << 16 | minor << 8 | patch));
    lua.set_field(-2, "REDIS_VERSION_NUM");
}

fn log(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if lua.nargs() < 2 {
        return Err(fail(lua, "redis.log() requires two arguments or more."));
    }
    if lua.kind(1) != Kind::Number {
        return Err(fail(lua, "First argument must be a number (log level)."));
    }
    let level = lua.number(1).unwrap_or(-1.0);
    if !(0.0..4.0).contains(&level) {
        return Err(fail(lua, "Invalid log level."));
    }
    let mut line = Vec::new();
    for i in 2..=lua.nargs() {
        if let Some(text) = lua.arg_bytes(i) {
            if i > 2 {
                line.push(b' ');
            }
            line.extend_from_slice(text);
        }
    }
    let text = String::from_utf8_lossy(&line);
    match level as u8 {
        0 => log::trace!("{text}"),
        1 => log::debug!("{text}"),
        2 => log::info!("{text}"),
        _ => log::warn!("{text}"),
    }
    Ok(0)
}

/// 40 hex digits.
pub fn hex(digest: &[u8; 20]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 40];
    for (pair, byte) in out.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

fn sha1hex(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if lua.nargs() != 1 {
        return Err(fail(lua, "wrong number of arguments"));
    }
    let digest: [u8; 20] = Sha1::digest(lua.arg_bytes(1).unwrap_or_default()).into();
    lua.push_bytes(&hex(&digest));
    Ok(1)
}

fn single_string<'c>(lua: &mut Lua<'c>) -> Option<&'c [u8]> {
    if lua.nargs() != 1 || lua.kind(1) != Kind::String {
        convert::push_error(lua, b"ERR wrong number or type of arguments", false);
        return None;
    }
    lua.arg_bytes(1)
}

/// `-CODE text` is taken as it is; without a code the code is ERR.
fn error_reply(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if let Some(text) = single_string(lua) {
        let text = text.strip_suffix(b"\r\n").unwrap_or(text);
        let blank = |c: &u8| if matches!(c, b'\r' | b'\n') { b' ' } else { *c };
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let code: &[u8] = match memchr::memchr(b' ', text) {
            Some(_) => b"",
            None => b"ERR ",
        };
        let whole: Vec<u8> = code.iter().copied().chain(text.iter().map(blank)).collect();
        convert::push_error(lua, &whole, false);
    }
    Ok(1)
}

fn status_reply(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if let Some(text) = single_string(lua) {
        lua.new_table(0, 1);
        lua.push_bytes(text);
        lua.set_field(-2, "ok");
    }
    Ok(1)
}

fn setresp(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if lua.nargs() != 1 {
        return Err(fail(lua, "redis.setresp() requires one argument."));
    }
    let proto = match lua.arg_number(1).map(|n| n as i64) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return Err(fail(lua, "RESP version must be 2 or 3.")),
    };
    if let Some((_, client)) = borrow(lua) {
        client.proto = proto;
    }
    Ok(0)
}

fn set_repl(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    if lua.nargs() != 1 {
        return Err(fail(lua, "redis.set_repl() requires one argument."));
    }
    // Compat: what is no number counts as 0, as for upstream.
    let flags = lua.arg_number(1).unwrap_or(0.0) as i64;
    if !(0..=3).contains(&flags) {
        return Err(fail(
            lua,
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    if let Some((server, _)) = borrow(lua)
        && let Some(run) = server.scripts.run.as_mut()
    {
        run.propagate_to = flags as u8;
    }
    Ok(0)
}

fn acl_check_cmd(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let mut args = OwnedArgs::new();
    if let Err(text) = call::collect(lua, &mut args) {
        return Err(fail(lua, text));
    }
    let Some((server, client)) = borrow(lua) else {
        return Err(Raise::text("redis.acl_check_cmd needs a running script"));
    };
    let view = args.view();
    let Ok(id) = server.registry.resolve(&view) else {
        let text = "Invalid command passed to redis.acl_check_cmd()";
        return Err(fail(lua, text));
    };
    let command: &'static Command = server.registry.row(id);
    // Compat: who may do everything may do it with too few arguments.
    let judged = command.arity_fits(view.len()) || !client.has(ClientFlags::RESTRICTED);
    let allowed = judged && super::checks::permits(server, client, id, view);
    lua.push_bool(allowed);
    Ok(1)
}

/// Effects are what is replicated since 7.0: it always succeeds.
fn replicate_commands(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    lua.push_bool(true);
    Ok(1)
}

/// Stops before the next line, if a debugger looks on; tells whether one does.
fn breakpoint(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let debugged = debugger::breakpoint(lua);
    lua.push_bool(debugged);
    Ok(1)
}

/// Prints to the debugger, if there is one.
fn debug(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    debugger::print(lua);
    Ok(0)
}
