//! CLIENT: what connections are and what may be done to them. `list.rs` shows and closes them, `control.rs` changes how one
//! is treated.

pub mod control;
pub mod list;

use crate::commands::client_tracking::{
    CLIENT_CACHING, CLIENT_GETREDIR, CLIENT_TRACKING, CLIENT_TRACKINGINFO,
};
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use control::*;
use list::*;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&CLIENT];

/// The row of CLIENT.
pub static CLIENT: Command = Command {
    name: "client",
    arity: -2,
    group: Group::Connection,
    since: "2.4.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about client connections.",
    subcommands: &[
        &CLIENT_CACHING,
        &CLIENT_GETNAME,
        &CLIENT_GETREDIR,
        &CLIENT_HELP,
        &CLIENT_ID,
        &CLIENT_INFO,
        &CLIENT_KILL,
        &CLIENT_LIST,
        &CLIENT_NO_EVICT,
        &CLIENT_NO_TOUCH,
        &CLIENT_PAUSE,
        &CLIENT_REPLY,
        &CLIENT_SETINFO,
        &CLIENT_SETNAME,
        &CLIENT_TRACKING,
        &CLIENT_TRACKINGINFO,
        &CLIENT_UNBLOCK,
        &CLIENT_UNPAUSE,
    ],
    ..Command::DEFAULT
};

/// The row of CLIENT HELP.
pub static CLIENT_HELP: Command = Command {
    name: "client|help",
    handler: client_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Shows what CLIENT can do.",
    ..Command::DEFAULT
};

fn client_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Track the keys of the next command, or do not (OPTIN and OPTOUT modes).",
        "GETREDIR",
        "    Tell to which client invalidations of this one go.",
        "GETNAME",
        "    Tell this connection's name.",
        "ID",
        "    Tell this connection's id.",
        "INFO",
        "    Describe this connection.",
        "KILL <ip:port>",
        "    Close the connection from an address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close the connections that pass every filter:",
        "    ADDR, LADDR (<ip:port>|<unixsocket>:0), TYPE (NORMAL|MASTER|REPLICA|PUBSUB),",
        "    USER <username>, ID <client-id>, MAXAGE <seconds>; SKIPME (YES|NO) spares",
        "    this connection (default yes).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
        "    Describe the connections.",
        "NO-EVICT (ON|OFF)",
        "    Exempt this connection from client eviction, or do not.",
        "NO-TOUCH (ON|OFF)",
        "    Leave access times of keys alone, or do not.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back commands for some milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Choose whether commands are replied to.",
        "SETINFO <option> <value>",
        "    Record LIB-NAME or LIB-VER of the client library.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Switch invalidation messages for client side caching.",
        "TRACKINGINFO",
        "    Tell how this connection tracks keys.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    End the waiting of a blocked client.",
        "UNPAUSE",
        "    End CLIENT PAUSE.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
