//! FUNCTION: libraries, their dump, what runs now.
//!
//! Whatever changes libraries is propagated as it came.

use super::free;
use crate::ds::glob::matches;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::persist::rdb::dump::{DumpError, decode_functions, encode_functions};
use crate::resp::{Error, Reply, before_nul, is_word};
use crate::script::busy;
use crate::script::engine::Purpose;
use crate::script::libraries::{self, Library, Restore, flag_words};

/// A change to the libraries counts as one change of the dataset.
fn changed(ctx: &mut Ctx<'_>) {
    ctx.server.ks.fx.dirty += 1;
}

/// The row of FUNCTION.
pub static FUNCTION: Command = Command {
    name: "function",
    arity: -2,
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about function libraries.",
    subcommands: &[
        &FUNCTION_DELETE,
        &FUNCTION_DUMP,
        &FUNCTION_FLUSH,
        &FUNCTION_HELP,
        &FUNCTION_KILL,
        &FUNCTION_LIST,
        &FUNCTION_LOAD,
        &FUNCTION_RESTORE,
        &FUNCTION_STATS,
    ],
    ..Command::DEFAULT
};

/// The row of FUNCTION DELETE.
pub static FUNCTION_DELETE: Command = Command {
    name: "function|delete",
    handler: function_delete,
    arity: 3,
    flags: flags("write noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Removes a library.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "library-name",
    ..Command::DEFAULT
};

fn function_delete(ctx: &mut Ctx<'_>) -> Outcome {
    libraries::delete(ctx.server, ctx.arg(2))?;
    changed(ctx);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of FUNCTION DUMP.
pub static FUNCTION_DUMP: Command = Command {
    name: "function|dump",
    handler: function_dump,
    arity: 2,
    flags: flags("noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(N) where N is the number of functions",
    summary: "Turns all libraries into a portable blob.",
    ..Command::DEFAULT
};

fn function_dump(ctx: &mut Ctx<'_>) -> Outcome {
    let compress = ctx.server.config.rdbcompression;
    let sources = ctx.server.scripts.libraries.iter().map(|l| &l.source[..]);
    let payload = encode_functions(sources, compress);
    ctx.reply().bulk(&payload);
    Ok(Flow::Done)
}

/// The row of FUNCTION FLUSH.
pub static FUNCTION_FLUSH: Command = Command {
    name: "function|flush",
    handler: function_flush,
    arity: -2,
    flags: flags("write noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(N) where N is the number of functions deleted",
    summary: "Removes every library.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "[flush-type(ASYNC | SYNC)]",
    ..Command::DEFAULT
};

fn function_flush(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(ctx.wrong_subcommand());
    }
    if ctx.args.len() == 3 && !ctx.is(2, "SYNC") && !ctx.is(2, "ASYNC") {
        return Err(Error::new(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    let old = libraries::flush(ctx.server);
    free(ctx, old);
    changed(ctx);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of FUNCTION HELP.
pub static FUNCTION_HELP: Command = Command {
    name: "function|help",
    handler: function_help,
    arity: 2,
    flags: flags("loading stale"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Shows what FUNCTION can do.",
    ..Command::DEFAULT
};

fn function_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Make a library from source code; the reply is its name.",
        "DELETE <LIBRARY NAME>",
        "    Remove a library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Describe libraries: name, engine, functions, and the code if asked for.",
        "STATS",
        "    Tell what function runs now, for how long, and which engines there are.",
        "KILL",
        "    Stop the function that runs now, unless it has written.",
        "FLUSH [ASYNC|SYNC]",
        "    Remove every library.",
        "DUMP",
        "    Turn all libraries into a blob for FUNCTION RESTORE.",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Bring back the libraries of a blob. Libraries that are there go (FLUSH), stay, a name",
        "    twice being an error (APPEND, the default), or give way to new ones (REPLACE).",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

/// The row of FUNCTION KILL.
pub static FUNCTION_KILL: Command = Command {
    name: "function|kill",
    handler: function_kill,
    arity: 2,
    flags: flags("noscript allow_busy"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Stops the function that runs now.",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    ..Command::DEFAULT
};

fn function_kill(ctx: &mut Ctx<'_>) -> Outcome {
    busy::kill(ctx.server, Purpose::Functions)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of FUNCTION LIST.
pub static FUNCTION_LIST: Command = Command {
    name: "function|list",
    handler: function_list,
    arity: -2,
    flags: flags("noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(N) where N is the number of functions",
    summary: "Describes the libraries.",
    tips: &["nondeterministic_output_order"],
    args: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
    ..Command::DEFAULT
};

fn function_list(ctx: &mut Ctx<'_>) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    let mut i = 2;
    while i < ctx.args.len() {
        if !with_code && ctx.is(i, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && ctx.is(i, "LIBRARYNAME") {
            i += 1;
            let given = ctx
                .args
                .get(i)
                .ok_or(Error::new("ERR library name argument was not given"))?;
            pattern = Some(given);
        } else {
            let text = [b"ERR Unknown argument ".as_slice(), before_nul(ctx.arg(i))].concat();
            return Err(Error::Bytes(text));
        }
        i += 1;
    }
    let wanted = |l: &&Library| pattern.is_none_or(|p| matches(p, &l.name, true));
    let (server, client) = (&*ctx.server, &mut *ctx.client);
    let mut reply = client.reply();
    let mark = reply.begin();
    let mut n = 0;
    for library in server.scripts.libraries.iter().filter(wanted) {
        describe(&mut reply, library, with_code);
        n += 1;
    }
    reply.end_array(mark, n);
    Ok(Flow::Done)
}

fn describe(reply: &mut Reply<'_>, library: &Library, with_code: bool) {
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.entries.len());
    for entry in &library.entries {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(&entry.name);
        reply.bulk(b"description");
        match &entry.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        reply.set(flag_words(entry.flags).count());
        flag_words(entry.flags).for_each(|w| reply.simple(w));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.source);
    }
}

/// The row of FUNCTION LOAD.
pub static FUNCTION_LOAD: Command = Command {
    name: "function|load",
    handler: function_load,
    arity: -3,
    flags: flags("write denyoom noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(1) (considering compilation time is redundant)",
    summary: "Makes a library from source code.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "[REPLACE] function-code",
    ..Command::DEFAULT
};

fn function_load(ctx: &mut Ctx<'_>) -> Outcome {
    let mut replace = false;
    let last = ctx.args.len() - 1;
    for i in 2..last {
        if !ctx.is(i, "REPLACE") {
            let text = [
                b"ERR Unknown option given: ".as_slice(),
                before_nul(ctx.arg(i)),
            ]
            .concat();
            return Err(Error::Bytes(text));
        }
        replace = true;
    }
    let name = libraries::load(ctx.server, ctx.arg(last), replace)?;
    changed(ctx);
    ctx.reply().bulk(&name);
    Ok(Flow::Done)
}

/// The row of FUNCTION RESTORE.
pub static FUNCTION_RESTORE: Command = Command {
    name: "function|restore",
    handler: function_restore,
    arity: -3,
    flags: flags("write denyoom noscript"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(N) where N is the number of functions on the payload",
    summary: "Brings back the libraries of a blob.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: "serialized-value [policy(FLUSH | APPEND | REPLACE)]",
    ..Command::DEFAULT
};

fn function_restore(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 4 {
        return Err(ctx.wrong_subcommand());
    }
    let policy = match ctx.args.get(3) {
        None => Restore::Append,
        Some(w) if is_word(w, b"append") => Restore::Append,
        Some(w) if is_word(w, b"replace") => Restore::Replace,
        Some(w) if is_word(w, b"flush") => Restore::Flush,
        Some(_) => {
            return Err(Error::new(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let sources = decode_functions(ctx.arg(2)).map_err(|e| match e {
        DumpError::Footer => Error::new("ERR DUMP payload version or checksum are wrong"),
        DumpError::Value(_) => {
            Error::new("ERR failed to restore the given payload: bad data format")
        }
    })?;
    libraries::restore(ctx.server, &sources, policy)?;
    changed(ctx);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of FUNCTION STATS.
pub static FUNCTION_STATS: Command = Command {
    name: "function|stats",
    handler: function_stats,
    arity: 2,
    flags: flags("noscript allow_busy"),
    acl: acl("scripting"),
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Tells what function runs now and which engines there are.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn function_stats(ctx: &mut Ctx<'_>) -> Outcome {
    let (server, client) = (&*ctx.server, &mut *ctx.client);
    // A function that is not busy runs in this very command: nothing that could be seen.
    let running = server
        .scripts
        .current()
        .filter(|r| r.purpose == Purpose::Functions || r.busy);
    if running.is_some_and(|r| r.purpose == Purpose::Eval) {
        return Err(busy::refusal(server));
    }
    let mut reply = client.reply();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(run) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(run.name.shown().as_bytes());
            reply.bulk(b"command");
            let command = run.command.view();
            reply.array(command.len());
            command.iter().for_each(|a| reply.bulk(a));
            reply.bulk(b"duration_ms");
            let ran_us = crate::sys::clock::mono_us().saturating_sub(run.started_us);
            reply.int((ran_us / 1000) as i64);
        }
    }
    let (libraries, functions) = server.scripts.libraries.counts();
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(libraries as i64);
    reply.bulk(b"functions_count");
    reply.int(functions as i64);
    Ok(Flow::Done)
}
