//! ACL: users and what they may do, and what was denied. What a rule means is told in `crate::acl`; what becomes of clients
//! when users change, in `server::auth`; files, in `server::acl`.
//!
//! `users.rs` makes, shows and removes users, `log.rs` shows denials, `ask.rs` answers questions that change nothing.

mod ask;
mod log;
mod users;

use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use ask::{ACL_CAT, ACL_DRYRUN, ACL_GENPASS, ACL_WHOAMI};
use log::ACL_LOG;
use users::{ACL_DELUSER, ACL_GETUSER, ACL_LIST, ACL_LOAD, ACL_SAVE, ACL_SETUSER, ACL_USERS};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&ACL];

/// The row of ACL.
pub static ACL: Command = Command {
    name: "acl",
    arity: -2,
    group: Group::Server,
    since: "6.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about users and what they may do.",
    subcommands: &[
        &ACL_CAT,
        &ACL_DELUSER,
        &ACL_DRYRUN,
        &ACL_GENPASS,
        &ACL_GETUSER,
        &ACL_HELP,
        &ACL_LIST,
        &ACL_LOAD,
        &ACL_LOG,
        &ACL_SAVE,
        &ACL_SETUSER,
        &ACL_USERS,
        &ACL_WHOAMI,
    ],
    ..Command::DEFAULT
};

/// The row of ACL HELP.
pub static ACL_HELP: Command = Command {
    name: "acl|help",
    handler: acl_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Shows what ACL can do.",
    ..Command::DEFAULT
};

fn acl_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    Name the categories, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Remove users and close their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Tell whether the user may run the command, without running it.",
        "GENPASS [<bits>]",
        "    Make a random password.",
        "GETUSER <username>",
        "    Describe a user.",
        "LIST",
        "    Show every user as rules.",
        "LOAD",
        "    Replace all users by those of the ACL file.",
        "LOG [<count> | RESET]",
        "    Show what was denied lately, or forget it.",
        "SAVE",
        "    Write the users into the ACL file.",
        "SETUSER <username> [<rule> ...]",
        "    Change a user by rules, or make it.",
        "USERS",
        "    Name the users.",
        "WHOAMI",
        "    Name the user of this connection.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
