//! What a command is about to do, as flags: its row's, except that EXEC does what its queue does, and a script that declares
//! flags in its first line does what those say rather than what any script might.

use super::Ctx;
use super::command::{Command, CommandFlags as F};
use crate::resp::Args;
use crate::script::cache;
use crate::script::shebang::{self, ScriptFlags};
use crate::server::Server;

/// Whether the command of `ctx` does any of `wanted`; for EXEC, whether anything queued does.
pub fn any(ctx: &Ctx<'_>, wanted: F) -> bool {
    flags(ctx.server, ctx.command, ctx.args).intersects(wanted)
        || ctx.command.name == "exec" && queued(ctx).any(|f| f.intersects(wanted))
}

/// Whether the command of `ctx`, for EXEC everything queued too, has all of `wanted`.
pub fn all(ctx: &Ctx<'_>, wanted: F) -> bool {
    flags(ctx.server, ctx.command, ctx.args).contains(wanted)
        && (ctx.command.name != "exec" || queued(ctx).all(|f| f.contains(wanted)))
}

fn queued<'a>(ctx: &'a Ctx<'_>) -> impl Iterator<Item = F> + 'a {
    let queue = ctx.client.multi.iter().flat_map(|m| m.queue.iter());
    queue.map(|q| {
        let row = ctx.server.registry.row(q.command);
        flags(ctx.server, row, q.args.view())
    })
}

fn flags(server: &Server, command: &Command, args: Args<'_>) -> F {
    match declared(server, command, args) {
        None | Some(ScriptFlags::COMPATIBLE) => command.flags,
        Some(said) => {
            let mut flags = command.flags - (F::STALE | F::DENYOOM | F::WRITE | F::MAY_REPLICATE);
            flags.set(F::STALE, said.contains(ScriptFlags::ALLOW_STALE));
            if !said.contains(ScriptFlags::NO_WRITES) {
                flags |= F::WRITE;
                flags.set(F::DENYOOM, !said.contains(ScriptFlags::ALLOW_OOM));
            }
            flags
        }
    }
}

/// What the script that `command` would run declares; nothing for other commands and scripts that are not there.
fn declared(server: &Server, command: &Command, args: Args<'_>) -> Option<ScriptFlags> {
    let what = args.get(1)?;
    match command.name {
        "eval" | "eval_ro" => shebang::of_script(what).ok().map(|(flags, _)| flags),
        "evalsha" | "evalsha_ro" => server.scripts.cache.flags(&cache::parse_sha(what)?),
        "fcall" | "fcall_ro" => server.scripts.libraries.find(what).map(|f| f.flags),
        _ => None,
    }
}
