//! MONITOR: a line per command to everybody who asked for it.
//!
//! A command is shown when it has run (EXEC therefore after the commands it ran), with its secrets masked. What administrates the
//! server is not shown, nor what a row excludes; a script shows itself before it runs ([`feed`]), so that its commands follow it.

use super::{Server, ServerState};
use crate::client::{Client, ClientFlags};
use crate::config::parse::quote;
use crate::exec::Ctx;
use crate::exec::command::CommandFlags;
use crate::resp::Args;

/// What a secret argument is shown as.
const MASK: &[u8] = b"\"(redacted)\"";

/// Shows the command of `ctx`, unless its row forbids it.
#[cold]
pub fn after_call(ctx: &mut Ctx<'_>) {
    let hidden = CommandFlags::SKIP_MONITOR | CommandFlags::ADMIN;
    let loading = ctx.server.state.contains(ServerState::LOADING);
    let shown = std::mem::take(&mut ctx.server.blocking.again);
    if !(ctx.command.flags.intersects(hidden) || loading || shown) {
        feed(ctx);
    }
}

/// Shows the command of `ctx` to everybody who runs MONITOR.
#[cold]
pub fn feed(ctx: &mut Ctx<'_>) {
    let now_us = ctx.server.clock.now_us;
    let from = if ctx.client.has(ClientFlags::SCRIPT) {
        "lua".to_owned()
    } else if ctx.client.has(ClientFlags::UNIX) {
        format!("unix:{}", ctx.server.config.unixsocket.as_path().display())
    } else {
        ctx.client.addr().to_string()
    };
    let db = ctx.client.db;
    let (s, us) = (now_us.div_euclid(1_000_000), now_us.rem_euclid(1_000_000));
    let mut line = format!("+{s}.{us:06} [{db} {from}]").into_bytes();
    let secrets = secrets(ctx.command.name, ctx.args);
    for (i, arg) in ctx.args.iter().enumerate() {
        line.push(b' ');
        if secrets.contains(&i) {
            line.extend_from_slice(MASK);
        } else {
            line.extend_from_slice(&quote(arg));
        }
    }
    line.extend_from_slice(b"\r\n");
    let to = ctx.server.monitors.as_slice().to_vec();
    let mut door = ctx.server.door();
    for h in to {
        door.deliver(h, |r| r.raw(&line));
    }
}

/// Positions of the arguments that nobody may see.
pub fn secrets(command: &str, args: Args<'_>) -> Vec<usize> {
    let after_word = |word: &str, n: usize| {
        let at = (1..args.len()).find(|i| args.at(*i).eq_ignore_ascii_case(word.as_bytes()));
        at.map_or(Vec::new(), |at| {
            (at + 1..(at + 1 + n).min(args.len())).collect()
        })
    };
    match command {
        "auth" => (1..args.len()).collect(),
        "hello" => after_word("auth", 2),
        "migrate" => [after_word("auth", 1), after_word("auth2", 2)].concat(),
        _ => Vec::new(),
    }
}

/// Makes a client receive the lines; false when it did already.
pub fn start(server: &mut Server, client: &mut Client) -> bool {
    if client.has(ClientFlags::MONITOR) {
        return false;
    }
    client.flags.insert(ClientFlags::MONITOR);
    server.monitors.insert(client.handle);
    server.state.insert(ServerState::MONITORED);
    true
}

/// Ends that: RESET, and a client that goes away.
pub fn stop(server: &mut Server, client: &mut Client) {
    if client.has(ClientFlags::MONITOR) {
        client.flags.remove(ClientFlags::MONITOR);
        server.monitors.remove(client.handle);
        server
            .state
            .set(ServerState::MONITORED, !server.monitors.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn secrets_of_commands() {
        let of = |line: &str| {
            let args = OwnedArgs::from_iter(line.split(' '));
            secrets(
                &line.split(' ').next().unwrap_or("").to_lowercase(),
                args.view(),
            )
        };
        assert_eq!(of("AUTH user pass"), [1, 2]);
        assert_eq!(of("HELLO 3 auth u p SETNAME n"), [3, 4]);
        assert_eq!(of("HELLO 3 AUTH u"), [3]);
        assert_eq!(of("MIGRATE h 1 k 0 9 AUTH2 u p KEYS a"), [7, 8]);
        assert!(of("SET auth x").is_empty());
    }
}
