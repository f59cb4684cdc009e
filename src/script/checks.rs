//! What may keep a script, or a command of a script, from running: the state of the server and the caller's permissions.

use super::shebang::ScriptFlags;
use super::{Run, Scripts};
use crate::client::{Client, ClientFlags, CommandId};
use crate::config::Config;
use crate::exec::acl;
use crate::exec::command::{Command, CommandFlags as F};
use crate::exec::role;
use crate::resp::{Args, Error};
use crate::server::{Server, ServerState};

/// Whether a client's commands are obeyed whatever the state: the master's and the AOF's.
fn must_obey(client: &Client) -> bool {
    client.has(ClientFlags::MASTER | ClientFlags::FAKE)
}

/// Before a script runs: what its flags promise against what the server allows. `read_only`: called by EVAL_RO, FCALL_RO.
///
/// # Errors
/// Why it may not run.
pub fn may_start(
    server: &mut Server,
    client: &Client,
    flags: ScriptFlags,
    read_only: bool,
    out_of_memory: bool,
) -> Result<(), Error> {
    if flags.contains(ScriptFlags::COMPATIBLE) {
        return stale(server, client);
    }
    if !flags.contains(ScriptFlags::ALLOW_STALE) {
        stale(server, client)?;
    }
    if !flags.contains(ScriptFlags::NO_WRITES) {
        if read_only {
            return Err(Error::new(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        writable(server, client)?;
    }
    let needs_memory = !flags.intersects(ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_OOM);
    if needs_memory && out_of_memory && !must_obey(client) {
        return Err(Error::new(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
        ));
    }
    Ok(())
}

/// A replica that lost its master and is not to serve old data.
fn stale(server: &Server, client: &Client) -> Result<(), Error> {
    if must_obey(client) || !role::is_stale(server) {
        return Ok(());
    }
    Err(role::STALE)
}

/// Whether writes are possible here at all: not on a read-only replica, not while saving fails.
fn writable(server: &Server, client: &Client) -> Result<(), Error> {
    if must_obey(client) {
        return Ok(());
    }
    if role::is_read_only(server) {
        return Err(role::READ_ONLY);
    }
    if server.state.contains(ServerState::DISK_ERROR) {
        return Err(server.disk_error());
    }
    if server.state.contains(ServerState::TOO_FEW_REPLICAS) {
        return Err(Error::new("NOREPLICAS Not enough good replicas to write."));
    }
    Ok(())
}

/// A command of a script on a server in a special state.
///
/// # Errors
/// Why it may not run.
pub fn on_this_server(
    server: &Server,
    client: &Client,
    command: &'static Command,
) -> Result<(), Error> {
    if !command.flags.contains(F::STALE) && stale(server, client).is_err() {
        return Err(Error::new(
            "ERR Can not execute the command on a stale replica",
        ));
    }
    Ok(())
}

/// A command that may wait. Up to 7.0 scripts could not run those; since then they get what is there at once.
///
/// # Errors
/// `redis-compat-version` asks for the former.
pub fn blocking(config: &Config, command: &Command, args: Args<'_>) -> Result<(), Error> {
    if !config.compat_before(7, 2) {
        return Ok(());
    }
    if !command.name.starts_with("xread") {
        return Err(Error::new(
            "ERR This Redis command is not allowed from script",
        ));
    }
    if args.iter().any(|a| a.eq_ignore_ascii_case(b"block")) {
        let name = command.name;
        return Err(Error::text(format!(
            "ERR {name} command is not allowed with BLOCK option from scripts"
        )));
    }
    Ok(())
}

/// The caller's permissions; a denial is noted in ACL LOG.
///
/// # Errors
/// What is denied.
#[inline]
pub fn permitted(
    server: &mut Server,
    client: &Client,
    id: CommandId,
    args: Args<'_>,
) -> Result<(), Error> {
    if !client.has(ClientFlags::RESTRICTED) {
        return Ok(());
    }
    acl::check_in_script(server, client, id, args)
}

/// Whether the caller may run this: what `redis.acl_check_cmd` answers, and nobody notes.
pub fn permits(server: &Server, client: &Client, id: CommandId, args: Args<'_>) -> bool {
    !client.has(ClientFlags::RESTRICTED) || acl::check(server, client.user_id, id, &args).is_ok()
}

/// A command that writes, or one that may have to be replicated (PUBLISH), which only a read-only script is denied.
///
/// # Errors
/// The script is read-only, or nothing may be written on this server now.
#[inline]
pub fn may_write(server: &Server, client: &Client, command: &Command) -> Result<(), Error> {
    let run = server.scripts.run.as_ref();
    if run.is_some_and(|r| r.read_only) {
        return Err(Error::new(
            "ERR Write commands are not allowed from read-only scripts.",
        ));
    }
    // A script that has written is not stopped half-way by what changes meanwhile, a replica that is lost for example.
    let wrote = run.is_some_and(|r| r.wrote);
    if server.state.is_empty() || wrote || !command.flags.contains(F::WRITE) {
        return Ok(());
    }
    writable(server, client)
}

/// A command that may need memory. Once the script has written it is not stopped half-way.
///
/// # Errors
/// The server was over `maxmemory` when the script began.
#[inline]
pub fn memory(server: &Server) -> Result<(), Error> {
    let refuses = |r: &Run| r.out_of_memory && !r.allow_oom && !r.wrote;
    if server.scripts.run.as_ref().is_some_and(refuses) {
        return Err(Error::new(
            "OOM command not allowed when used memory > 'maxmemory'.",
        ));
    }
    Ok(())
}

/// Whether the server is over `maxmemory` as a script begins, after whatever could be evicted was.
pub fn out_of_memory(server: &mut Server, client: &Client) -> bool {
    let state = server.state;
    state.contains(ServerState::MAXMEMORY)
        && !state.contains(ServerState::PAUSED)
        && !must_obey(client)
        && !server.free_memory()
}

impl Scripts {
    /// Whether a script runs (and this is a nested turn, or a command of it).
    #[inline]
    pub fn running(&self) -> bool {
        self.run.is_some()
    }
}
