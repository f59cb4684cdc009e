//! DEBUG: what tests and the hunt for faults need. `enable-debug-command` says who may use it.
//!
//! Subcommands are rows of [`SUBCOMMANDS`]: name, how many arguments, function. `data.rs` looks at and makes data, `digest.rs`
//! boils it down to a hash, `protocol.rs` shows every kind of reply, `control.rs` changes how the server runs.

mod control;
mod data;
mod digest;
mod protocol;

use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, before_nul};
use std::ops::RangeInclusive;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&DEBUG];

/// A subcommand: its name, the number of arguments with DEBUG and the name counted, the function.
struct Sub(
    &'static str,
    RangeInclusive<usize>,
    fn(&mut Ctx<'_>) -> Outcome,
);

const ANY: usize = usize::MAX;

static SUBCOMMANDS: &[Sub] = &[
    Sub("help", 2..=2, help),
    Sub("sleep", 3..=3, control::sleep),
    Sub("object", 3..=4, data::object),
    Sub("set-active-expire", 3..=3, control::set_active_expire),
    Sub(
        "set-skip-checksum-validation",
        3..=3,
        control::skip_checksum,
    ),
    Sub(
        "set-disable-deny-scripts",
        3..=3,
        control::unrestricted_scripts,
    ),
    Sub(
        "quicklist-packed-threshold",
        3..=3,
        control::packed_threshold,
    ),
    Sub("listpack", 3..=3, data::listpack),
    Sub("digest", 2..=2, digest::digest),
    Sub("digest-value", 2..=ANY, digest::digest_value),
    Sub("protocol", 3..=3, protocol::protocol),
    Sub("error", 3..=3, protocol::error),
    Sub("sdslen", 3..=3, data::sdslen),
    Sub("change-repl-id", 2..=2, control::change_repl_id),
    Sub("htstats", 3..=4, data::htstats),
    Sub("htstats-key", 3..=4, data::htstats_key),
    Sub("client-eviction", 2..=2, control::client_eviction),
    Sub("pause-cron", 3..=3, control::pause_cron),
    Sub("replicate", 3..=ANY, control::replicate),
    Sub("replybuffer", 4..=4, control::replybuffer),
    Sub("dict-resizing", 3..=3, control::dict_resizing),
    Sub("log", 3..=3, control::log),
    Sub("populate", 3..=5, data::populate),
    Sub("reload", 2..=ANY, control::reload),
    Sub("loadaof", 2..=2, control::loadaof),
    Sub("aof-flush-sleep", 3..=3, control::aof_flush_sleep),
    Sub("config-rewrite-force-all", 2..=2, control::rewrite_all),
    Sub("keysizes-hist-assert-on-empty", 3..=3, control::check_sizes),
    Sub("mallctl", 3..=4, control::mallctl),
    Sub("mallctl-str", 4..=4, control::mallctl_str),
    Sub("segfault", 2..=2, |_| crate::sys::crash::segfault()),
    Sub("panic", 2..=2, control::panic),
    Sub("assert", 2..=2, control::assertion),
];

/// The row of DEBUG.
pub static DEBUG: Command = Command {
    name: "debug",
    handler: debug,
    arity: -2,
    flags: flags("admin noscript loading stale protected"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds what tests and debugging need.",
    syscmd: true,
    ..Command::DEFAULT
};

fn debug(ctx: &mut Ctx<'_>) -> Outcome {
    let found = SUBCOMMANDS
        .iter()
        .find(|s| ctx.is(1, s.0) && s.1.contains(&ctx.args.len()));
    match found {
        Some(sub) => (sub.2)(ctx),
        None => Err(unknown(ctx)),
    }
}

fn unknown(ctx: &Ctx<'_>) -> Error {
    Error::Bytes(
        [
            b"ERR unknown subcommand or wrong number of arguments for '".as_slice(),
            before_nul(&ctx.arg(1)[..ctx.arg(1).len().min(128)]),
            b"'. Try DEBUG HELP.",
        ]
        .concat(),
    )
}

/// Replies OK.
fn done(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// Argument 2 as upstream reads switches: a number, anything else is 0.
fn number(ctx: &Ctx<'_>) -> i64 {
    crate::ds::numtext::parse_i64(ctx.arg(2)).unwrap_or(0)
}

fn help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "AOF-FLUSH-SLEEP <microseconds>",
        "    Sleep before each write of the append only file.",
        "ASSERT, PANIC, SEGFAULT",
        "    Crash, each in its own way.",
        "CHANGE-REPL-ID",
        "    Give the replication history another id, so that replicas start anew.",
        "CLIENT-EVICTION",
        "    Show what each client holds, as client eviction counts it.",
        "CONFIG-REWRITE-FORCE-ALL",
        "    CONFIG REWRITE with every directive.",
        "DICT-RESIZING <0|1>",
        "    Let tables shrink and grow, or do not.",
        "DIGEST",
        "    Boil all data down to a hash.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Boil values down to hashes.",
        "ERROR <text>",
        "    Reply an error.",
        "HTSTATS <db> [full], HTSTATS-KEY <key> [full]",
        "    Tell how many elements a table has.",
        "KEYSIZES-HIST-ASSERT-ON-EMPTY <yes|no>",
        "    Crash when an empty database counts sizes of keys.",
        "LISTPACK <key>",
        "    Print a packed value on standard output.",
        "LOADAOF, RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
        "    Read the data again from disk.",
        "LOG <message>",
        "    Write a line into the log.",
        "MALLCTL <name> [<number>], MALLCTL-STR <name> VOID",
        "    Tell one of the allocator's controls, set it, or have it done.",
        "OBJECT <key>",
        "    Describe a value.",
        "PAUSE-CRON <0|1>",
        "    Stop what the server does by the clock.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Make keys prefix:0, prefix:1 and so on.",
        "PROTOCOL <type>",
        "    Reply something of that type.",
        "QUICKLIST-PACKED-THRESHOLD <size>, REPLYBUFFER <option> <value>",
        "    Accepted: they steer what is built otherwise here.",
        "REPLICATE <command> [<arg> ...]",
        "    Put a command into the replication stream, as it is.",
        "SDSLEN <key>",
        "    Tell the lengths of a key and its string.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Delete expired keys on our own account, or do not.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    Let RESTORE take payloads with a wrong checksum, or do not.",
        "SLEEP <seconds>",
        "    Stand still.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
