//! MODULE: there are no modules here, and the commands say so as a server does that has none loaded and can load none.
//!
//! Compat: modules are shared libraries written against the C interface of Redis; LOAD and LOADEX fail for every path.

use super::config::permitted;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&MODULE];

/// The row of MODULE.
pub static MODULE: Command = Command {
    name: "module",
    arity: -2,
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about modules.",
    subcommands: &[
        &MODULE_HELP,
        &MODULE_LIST,
        &MODULE_LOAD,
        &MODULE_LOADEX,
        &MODULE_UNLOAD,
    ],
    ..Command::DEFAULT
};

/// The row of MODULE LIST.
pub static MODULE_LIST: Command = Command {
    name: "module|list",
    handler: module_list,
    arity: 2,
    flags: flags("admin noscript"),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(N) where N is the number of loaded modules.",
    summary: "Lists the loaded modules.",
    tips: &["nondeterministic_output_order"],
    ..Command::DEFAULT
};

fn module_list(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().array(0);
    Ok(Flow::Done)
}

/// The row of MODULE LOAD.
pub static MODULE_LOAD: Command = Command {
    name: "module|load",
    handler: module_load,
    arity: -3,
    flags: flags("admin noscript no_async_loading protected"),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Loads a module.",
    args: "path [arg...]",
    ..Command::DEFAULT
};

fn module_load(ctx: &mut Ctx<'_>) -> Outcome {
    permitted(
        ctx.client,
        "MODULE",
        ctx.server.config.enable_module_command,
    )?;
    log::warn!(
        "Module {} failed to load: this server has no module interface",
        String::from_utf8_lossy(ctx.arg(2))
    );
    Err(Error::new(
        "ERR Error loading the extension. Please check the server logs.",
    ))
}

/// The row of MODULE LOADEX.
pub static MODULE_LOADEX: Command = Command {
    name: "module|loadex",
    handler: module_loadex,
    arity: -3,
    flags: flags("admin noscript no_async_loading protected"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Loads a module with configuration.",
    args: "path [CONFIG configs(name value)]... [ARGS args...]",
    ..Command::DEFAULT
};

fn module_loadex(ctx: &mut Ctx<'_>) -> Outcome {
    module_load(ctx)
}

/// The row of MODULE UNLOAD.
pub static MODULE_UNLOAD: Command = Command {
    name: "module|unload",
    handler: module_unload,
    arity: 3,
    flags: flags("admin noscript no_async_loading protected"),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "Unloads a module.",
    args: "name",
    ..Command::DEFAULT
};

fn module_unload(ctx: &mut Ctx<'_>) -> Outcome {
    permitted(
        ctx.client,
        "MODULE",
        ctx.server.config.enable_module_command,
    )?;
    Err(Error::new(
        "ERR Error unloading module: no such module with that name",
    ))
}

/// The row of MODULE HELP.
pub static MODULE_HELP: Command = Command {
    name: "module|help",
    handler: module_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what MODULE can do.",
    ..Command::DEFAULT
};

fn module_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    List the loaded modules: always none here.",
        "LOAD <path> [<arg> ...]",
        "    Fails: this server has no module interface.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Fails as LOAD does.",
        "UNLOAD <name>",
        "    Fails: there is none to unload.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
