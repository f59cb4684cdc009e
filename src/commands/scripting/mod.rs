//! EVAL, SCRIPT, FCALL and FUNCTION. What they do lives in the room `script`; here are the rows, arguments and replies.
mod function;
mod script;
#[cfg(test)]
mod tests;

use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Outcome};
use crate::keyspace::lazyfree::Garbage;
use crate::script::run;
use function::FUNCTION;
use script::SCRIPT;

/// The family.
pub static COMMANDS: &[&Command] = &[
    &EVAL,
    &EVAL_RO,
    &EVALSHA,
    &EVALSHA_RO,
    &FCALL,
    &FCALL_RO,
    &FUNCTION,
    &SCRIPT,
];

/// The row of EVAL.
pub static EVAL: Command = Command {
    name: "eval",
    handler: eval,
    arity: -3,
    flags: flags("noscript stale skip_monitor no_mandatory_keys may_replicate"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RW access update").counted().notes(
        "We cannot tell how the keys will be used so we assume the worst, RW and \
            UPDATE",
    )],
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "Depends on the script that is executed.",
    summary: "Runs a Lua script.",
    args: "script numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn eval(ctx: &mut Ctx<'_>) -> Outcome {
    run::eval(ctx, false)
}

/// The row of EVAL_RO.
pub static EVAL_RO: Command = Command {
    name: "eval_ro",
    handler: eval_ro,
    arity: -3,
    flags: flags("readonly noscript stale skip_monitor no_mandatory_keys"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RO access").counted().notes(
        "We cannot tell how the keys will be used so we assume the worst, RO and \
            ACCESS",
    )],
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on the script that is executed.",
    summary: "Runs a Lua script that may only read.",
    args: "script numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn eval_ro(ctx: &mut Ctx<'_>) -> Outcome {
    run::eval(ctx, true)
}

/// The row of EVALSHA.
pub static EVALSHA: Command = Command {
    name: "evalsha",
    handler: evalsha,
    arity: -3,
    flags: flags("noscript stale skip_monitor no_mandatory_keys may_replicate"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RW access update").counted()],
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "Depends on the script that is executed.",
    summary: "Runs a cached Lua script named by its SHA1.",
    args: "sha1 numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn evalsha(ctx: &mut Ctx<'_>) -> Outcome {
    run::evalsha(ctx, false)
}

/// The row of EVALSHA_RO.
pub static EVALSHA_RO: Command = Command {
    name: "evalsha_ro",
    handler: evalsha_ro,
    arity: -3,
    flags: flags("readonly noscript stale skip_monitor no_mandatory_keys"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RO access").counted()],
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on the script that is executed.",
    summary: "Runs a cached Lua script that may only read.",
    args: "sha1 numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn evalsha_ro(ctx: &mut Ctx<'_>) -> Outcome {
    run::evalsha(ctx, true)
}

/// The row of FCALL.
pub static FCALL: Command = Command {
    name: "fcall",
    handler: fcall,
    arity: -3,
    flags: flags("noscript stale skip_monitor no_mandatory_keys may_replicate"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RW access update").counted().notes(
        "We cannot tell how the keys will be used so we assume the worst, RW and \
            UPDATE",
    )],
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on the function that is executed.",
    summary: "Calls a function of a library.",
    args: "function numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn fcall(ctx: &mut Ctx<'_>) -> Outcome {
    run::fcall(ctx, false)
}

/// The row of FCALL_RO.
pub static FCALL_RO: Command = Command {
    name: "fcall_ro",
    handler: fcall_ro,
    arity: -3,
    flags: flags("readonly noscript stale skip_monitor no_mandatory_keys"),
    acl: acl("scripting"),
    keys: &[KeySpec::at(2, "RO access").counted().notes(
        "We cannot tell how the keys will be used so we assume the worst, RO and \
            ACCESS",
    )],
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on the function that is executed.",
    summary: "Calls a function that may only read.",
    args: "function numkeys:int [key@0...] [arg...]",
    ..Command::DEFAULT
};

fn fcall_ro(ctx: &mut Ctx<'_>) -> Outcome {
    run::fcall(ctx, true)
}

/// Frees what SCRIPT FLUSH or FUNCTION FLUSH threw away, in a background thread unless SYNC or the settings say otherwise.
fn free(ctx: &Ctx<'_>, old: Garbage) {
    let in_background = match ctx.args.len() {
        2 => ctx.server.config.lazyfree_lazy_user_flush,
        _ => ctx.is(2, "ASYNC"),
    };
    if in_background {
        ctx.server.ks.lazy.free(old);
    }
}
