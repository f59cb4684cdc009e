//! Running a script or function for a client: EVAL, EVALSHA, FCALL and their read-only forms.
//!
//! What a run is made of: the caller's client lends itself (its output is exchanged for a scratch buffer, it carries `SCRIPT`, and
//! afterwards its database and protocol are what they were), time stands still, everything the commands change is one unit for the
//! AOF and the replicas, and what the function returns becomes the reply.

use super::cache::{self, Script, Sha};
use super::convert::{self, Written};
use super::engine::{Ended, Handle, Purpose};
use super::lua::{Kind, Lua};
use super::shebang::{self, ScriptFlags};
use super::{Name, Run, api, checks, debugger, effects};
use crate::client::ClientFlags;
use crate::ds::numtext::parse_i64;
use crate::exec::{Ctx, Flow, Outcome, propagate};
use crate::resp::{Args, Error, OwnedArgs, Protocol};
use crate::server::{Server, ServerState, monitor};
use sha1::{Digest, Sha1};

const NESTED: Error = Error::new("ERR This Redis command is not allowed from script");

/// How many of the arguments after the count are keys.
fn key_count(args: Args<'_>, bad: &'static str) -> Result<usize, Error> {
    let n = parse_i64(args.at(2)).ok_or(Error::new(bad))?;
    if n > args.len() as i64 - 3 {
        return Err(Error::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    usize::try_from(n).map_err(|_| Error::new("ERR Number of keys can't be negative"))
}

/// EVAL and EVAL_RO.
pub fn eval(ctx: &mut Ctx<'_>, read_only: bool) -> Outcome {
    if ctx.client.has(ClientFlags::DEBUGS) && !ctx.server.scripts.running() {
        return debugger::session(ctx, |ctx| eval_text(ctx, read_only));
    }
    eval_text(ctx, read_only)
}

fn eval_text(ctx: &mut Ctx<'_>, read_only: bool) -> Outcome {
    let keys = key_count(ctx.args, "ERR value is not an integer or out of range")?;
    let body = ctx.arg(1);
    let sha: Sha = Sha1::digest(body).into();
    let script = match ctx.server.scripts.cache.use_script(&sha) {
        Some(script) => script,
        None => load(ctx.server, sha, body, true)?,
    };
    run_script(ctx, sha, script, keys, read_only)
}

/// EVALSHA and EVALSHA_RO.
pub fn evalsha(ctx: &mut Ctx<'_>, read_only: bool) -> Outcome {
    if ctx.client.has(ClientFlags::DEBUGS) {
        return Err(Error::new(
            "ERR Please use EVAL instead of EVALSHA for debugging",
        ));
    }
    let known = cache::parse_sha(ctx.arg(1))
        .and_then(|sha| Some((sha, ctx.server.scripts.cache.use_script(&sha)?)));
    // The count is looked at first, but only of a name that has the right length.
    if ctx.arg(1).len() != 40 {
        return Err(NO_SCRIPT);
    }
    let keys = key_count(ctx.args, "ERR value is not an integer or out of range")?;
    let (sha, script) = known.ok_or(NO_SCRIPT)?;
    run_script(ctx, sha, script, keys, read_only)
}

const NO_SCRIPT: Error = Error::new("NOSCRIPT No matching script. Please use EVAL.");

/// Compiles a script and keeps it. `evictable`: it came by EVAL.
///
/// # Errors
/// Its first line, or Lua's message.
pub fn load(server: &mut Server, sha: Sha, body: &[u8], evictable: bool) -> Result<Script, Error> {
    if server.scripts.running() {
        return Err(NESTED);
    }
    let (flags, code) = shebang::of_script(body)?;
    let handle = server.scripts.eval.handle();
    let function = handle
        .compile(&body[code..], "@user_script")
        .map_err(|message| {
            let head = b"ERR Error compiling script (new function): ".as_slice();
            Error::Bytes([head, &message].concat())
        })?;
    let script = Script { function, flags };
    let gone = server.scripts.cache.add(sha, script, body.len(), evictable);
    for old in gone {
        server.scripts.eval.forget(old.function);
        server.scripts.evicted += 1;
    }
    Ok(script)
}

fn run_script(
    ctx: &mut Ctx<'_>,
    sha: Sha,
    script: Script,
    keys: usize,
    read_only: bool,
) -> Outcome {
    let what = What {
        handle: ctx.server.scripts.eval.handle(),
        function: script.function,
        purpose: Purpose::Eval,
        flags: script.flags,
        name: Name::Script(sha),
        keys,
        read_only,
    };
    run(ctx, what)
}

/// FCALL and FCALL_RO.
pub fn fcall(ctx: &mut Ctx<'_>, read_only: bool) -> Outcome {
    let Some(found) = ctx.server.scripts.libraries.find(ctx.arg(1)) else {
        return Err(Error::new("ERR Function not found"));
    };
    let (function, flags, name) = (found.function, found.flags, found.name.clone());
    let keys = key_count(ctx.args, "ERR Bad number of keys provided")?;
    let what = What {
        handle: ctx.server.scripts.functions.handle(),
        function,
        purpose: Purpose::Functions,
        flags,
        name: Name::Function(name),
        keys,
        read_only,
    };
    run(ctx, what)
}

/// What is to be run.
struct What {
    handle: Handle,
    function: super::engine::Function,
    purpose: Purpose,
    flags: ScriptFlags,
    name: Name,
    keys: usize,
    read_only: bool,
}

fn run(ctx: &mut Ctx<'_>, what: What) -> Outcome {
    if ctx.server.scripts.running() {
        return Err(NESTED);
    }
    let out_of_memory = checks::out_of_memory(ctx.server, ctx.client);
    checks::may_start(
        ctx.server,
        ctx.client,
        what.flags,
        what.read_only,
        out_of_memory,
    )?;
    if ctx.server.state.contains(ServerState::MONITORED) {
        monitor::feed(ctx);
    }
    ctx.server.scripts.run = Some(Run {
        purpose: what.purpose,
        name: what.name,
        command: OwnedArgs::new(),
        started_us: crate::sys::clock::mono_us(),
        read_only: what.read_only || what.flags.contains(ScriptFlags::NO_WRITES),
        allow_oom: what
            .flags
            .intersects(ScriptFlags::ALLOW_OOM | ScriptFlags::NO_WRITES),
        out_of_memory,
        from_master: ctx.client.has(ClientFlags::MASTER),
        propagate_to: effects::ALL,
        wrote: false,
        killed: false,
        busy: false,
    });
    let (ended, resp3) = run_lent(ctx, what.handle, what.function, what.purpose, what.keys);
    let run = ctx.server.scripts.run.take();
    ctx.server.state.remove(ServerState::BUSY);
    let outcome = answer(ctx, what.handle, ended, resp3, run);
    what.handle.clear();
    outcome
}

/// Runs the function while the client is lent; tells also whether the script spoke RESP3 at its end.
fn run_lent(
    ctx: &mut Ctx<'_>,
    handle: Handle,
    function: super::engine::Function,
    purpose: Purpose,
    keys: usize,
) -> (Ended, bool) {
    let (args, first_arg) = (ctx.args, 3 + keys);
    let server = &mut *ctx.server;
    let client = &mut *ctx.client;
    let before = (client.db, client.proto, client.flags);
    std::mem::swap(&mut client.out, &mut server.scripts.out);
    client.proto = Protocol::Resp2;
    client.flags.insert(ClientFlags::SCRIPT);
    server.clock.freeze();
    propagate::unit_begin(server);
    if server.scripts.debug.is_some() {
        handle.debug();
    }
    let ended = handle.run(function, server, client, args, |lua| {
        lua.push_list(args.slice(3, first_arg).iter());
        lua.push_list(args.from(first_arg).iter());
        if purpose == Purpose::Functions {
            return 2;
        }
        handle.set_global(lua, "ARGV");
        handle.set_global(lua, "KEYS");
        0
    });
    // The unit says it all; the command itself is not propagated.
    if server.ks.fx.propagating {
        server.ks.fx.force = Some(false);
    }
    propagate::unit_end(server);
    server.clock.thaw();
    let resp3 = client.proto == Protocol::Resp3;
    client.out.clear();
    std::mem::swap(&mut client.out, &mut server.scripts.out);
    (client.db, client.proto) = (before.0, before.1);
    client
        .flags
        .set(ClientFlags::SCRIPT, before.2.contains(ClientFlags::SCRIPT));
    (ended, resp3)
}

/// Writes what the run came to.
fn answer(
    ctx: &mut Ctx<'_>,
    handle: Handle,
    ended: Ended,
    resp3: bool,
    run: Option<Run>,
) -> Outcome {
    let mut lua = handle.result();
    if ended == Ended::Badly {
        let name = run.map(|r| r.name).unwrap_or_default();
        let (text, counted) = failure(&mut lua, &name);
        return Err(error(text, counted));
    }
    let mut reply = ctx.client.reply();
    let mark = reply.begin();
    lua.push_value(1);
    match convert::write_result(&mut lua, &mut reply, resp3) {
        Written::Value => Ok(Flow::Done),
        Written::Error(text, counted) => {
            reply.rewind(mark);
            Err(error(text, !counted))
        }
    }
}

fn error(text: Vec<u8>, counted: bool) -> Error {
    if counted {
        Error::Counted(text)
    } else {
        Error::Bytes(text)
    }
}

/// The text of the error that ended a script, and whether the error statistics have it already.
fn failure(lua: &mut Lua<'_>, name: &Name) -> (Vec<u8>, bool) {
    if lua.kind(1) != Kind::Table {
        // Lua ran out of memory: no handler was called.
        let text = lua.bytes(1).unwrap_or(b"unknown error");
        return ([b"ERR ", text].concat(), false);
    }
    let mut field = |name: &str| {
        lua.get_field(1, name);
        let value = match lua.kind(-1) {
            Kind::Number => Some(format!("{}", lua.number(-1).unwrap_or(0.0)).into_bytes()),
            _ => lua.bytes(-1).map(<[u8]>::to_vec),
        };
        let yes = lua.kind(-1) == Kind::Boolean && lua.truth(-1);
        lua.pop(1);
        (value, yes)
    };
    let mut text = field("err").0.unwrap_or(b"ERR unknown error".to_vec());
    let (source, line) = (field("source").0, field("line").0);
    let counted = field("ignore_error_stats_update").1;
    if let (Some(source), Some(line)) = (source, line) {
        text.extend_from_slice(b" script: ");
        text.extend_from_slice(name.shown().as_bytes());
        text.extend_from_slice(b", on ");
        text.extend_from_slice(&source);
        text.push(b':');
        text.extend_from_slice(&line);
        text.push(b'.');
    }
    (text, counted)
}

impl Name {
    /// The name in messages: the SHA-1 of a script, the function's own name.
    pub fn shown(&self) -> String {
        match self {
            Name::Script(sha) => String::from_utf8_lossy(&api::hex(sha)).into_owned(),
            Name::Function(name) => String::from_utf8_lossy(name).into_owned(),
        }
    }
}
