//! CONFIG: reading, changing and saving the settings. What a directive is and what it accepts is told by its row in the
//! config room; what a change does is in `server::apply`.

use crate::config::{self, OwnedLines, SetRights};
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::server::auth::is_open_to;
use crate::server::{Server, ServerState, host};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&CONFIG];

/// The row of CONFIG.
pub static CONFIG: Command = Command {
    name: "config",
    arity: -2,
    group: Group::Server,
    since: "2.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about the configuration.",
    subcommands: &[
        &CONFIG_GET,
        &CONFIG_HELP,
        &CONFIG_RESETSTAT,
        &CONFIG_REWRITE,
        &CONFIG_SET,
    ],
    ..Command::DEFAULT
};

/// The row of CONFIG GET.
pub static CONFIG_GET: Command = Command {
    name: "config|get",
    handler: config_get,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Reads configuration parameters.",
    args: "parameter...",
    ..Command::DEFAULT
};

fn config_get(ctx: &mut Ctx<'_>) -> Outcome {
    let found = config::get_matching(&ctx.server.config, ctx.args.iter().skip(2));
    let mut r = ctx.reply();
    r.map(found.len());
    for (name, value) in found {
        r.bulk(name.as_bytes());
        r.bulk(&value);
    }
    Ok(Flow::Done)
}

/// The row of CONFIG SET.
pub static CONFIG_SET: Command = Command {
    name: "config|set",
    handler: config_set,
    arity: -4,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Changes configuration parameters.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "data(parameter value)...",
    ..Command::DEFAULT
};

fn config_set(ctx: &mut Ctx<'_>) -> Outcome {
    if !ctx.args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> = (2..ctx.args.len())
        .step_by(2)
        .map(|i| (ctx.arg(i), ctx.arg(i + 1)))
        .collect();
    let rights = SetRights {
        protected: is_open_to(ctx.server.config.enable_protected_configs, ctx.client),
        loading: ctx
            .server
            .state
            .intersects(ServerState::LOADING | ServerState::ASYNC_LOADING),
    };
    let refused = |e: config::SetError| Error::text(e.to_string());
    let prepared = config::prepare_set(&ctx.server.config, &pairs, rights).map_err(refused)?;
    ctx.server.change_settings(prepared).map_err(refused)?;
    // The client of this command was out of the table when the hooks ran.
    ctx.server.follow_user(ctx.client);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CONFIG RESETSTAT.
pub static CONFIG_RESETSTAT: Command = Command {
    name: "config|resetstat",
    handler: config_resetstat,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Sets the counters of INFO back to zero.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    ..Command::DEFAULT
};

fn config_resetstat(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.server.reset_statistics();
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CONFIG REWRITE.
pub static CONFIG_REWRITE: Command = Command {
    name: "config|rewrite",
    handler: config_rewrite,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.0",
    complexity: "O(1)",
    summary: "Writes the running configuration into its file.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    ..Command::DEFAULT
};

fn config_rewrite(ctx: &mut Ctx<'_>) -> Outcome {
    rewrite(ctx.server, false)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// Writes the running configuration into its file; `force_all` also writes what has its default.
pub fn rewrite(server: &Server, force_all: bool) -> Result<(), Error> {
    let Some(path) = &server.config_file else {
        return Err(Error::new(
            "ERR The server is running without a config file",
        ));
    };
    let owned = OwnedLines {
        users: server.user_lines(),
        sentinel: None,
        force_all,
    };
    match config::rewrite_file(path, &server.config, &owned) {
        Ok(()) => {
            log::info!("CONFIG REWRITE executed with success.");
            Ok(())
        }
        Err(e) => {
            let why = host::os_text(&e);
            log::warn!("CONFIG REWRITE failed: {why}");
            Err(Error::text(format!("ERR Rewriting config file: {why}")))
        }
    }
}

/// The row of CONFIG HELP.
pub static CONFIG_HELP: Command = Command {
    name: "config|help",
    handler: config_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what CONFIG can do.",
    ..Command::DEFAULT
};

fn config_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Show the settings whose names match a glob.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Change settings, all of them or none.",
        "RESETSTAT",
        "    Start the counters of INFO again.",
        "REWRITE",
        "    Write the running settings into the configuration file.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
