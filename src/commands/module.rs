//! MODULE: there are no modules here, and the command says so truthfully: the list is empty, and nothing can be loaded.
//!
//! Compat: upstream's vector sets come as a built-in module; they are not part of this server, so they are not listed.

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
        "    Show the loaded modules: none, as this server has none.",
        "LOAD <path> [<arg> ...]",
        "    Refused.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Refused.",
        "UNLOAD <name>",
        "    Refused.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

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

/// Nothing can be loaded; the log says why.
fn refuse(ctx: &mut Ctx<'_>) -> Outcome {
    log::warn!(
        "Module {} failed to load: this server cannot load modules",
        String::from_utf8_lossy(ctx.arg(2))
    );
    Err(Error::new(
        "ERR Error loading the extension. Please check the server logs.",
    ))
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
    refuse(ctx)
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
    refuse(ctx)
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

fn module_unload(_: &mut Ctx<'_>) -> Outcome {
    Err(Error::new(
        "ERR Error unloading module: no such module with that name",
    ))
}
