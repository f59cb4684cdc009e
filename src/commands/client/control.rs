//! CLIENT SETNAME, GETNAME, SETINFO, REPLY, NO-EVICT, NO-TOUCH, PAUSE, UNPAUSE and UNBLOCK.

use crate::client::{Client, ClientFlags};
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, blocking, pause};
use crate::resp::{Error, before_nul, is_word};

/// Whether a name is fit for CLIENT LIST: printable ASCII without blanks.
pub fn is_plain(name: &[u8]) -> bool {
    before_nul(name).iter().all(|b| (b'!'..=b'~').contains(b))
}

/// Names the connection, for CLIENT SETNAME and HELLO. An empty name takes the name away.
pub fn set_name(client: &mut Client, name: &[u8]) -> Result<(), Error> {
    if !is_plain(name) {
        return Err(Error::new(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    client.name = (!name.is_empty()).then(|| name.into());
    Ok(())
}

/// The row of CLIENT SETNAME.
pub static CLIENT_SETNAME: Command = Command {
    name: "client|setname",
    handler: client_setname,
    arity: 3,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "2.6.9",
    complexity: "O(1)",
    summary: "Names this connection.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "connection-name",
    ..Command::DEFAULT
};

pub(super) fn client_setname(ctx: &mut Ctx<'_>) -> Outcome {
    let name = ctx.arg(2);
    set_name(ctx.client, name)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CLIENT GETNAME.
pub static CLIENT_GETNAME: Command = Command {
    name: "client|getname",
    handler: client_getname,
    arity: 2,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "2.6.9",
    complexity: "O(1)",
    summary: "Tells the name of this connection.",
    ..Command::DEFAULT
};

pub(super) fn client_getname(ctx: &mut Ctx<'_>) -> Outcome {
    match ctx.client.name.clone() {
        Some(name) => ctx.reply().bulk(&name),
        None => ctx.reply().null(),
    }
    Ok(Flow::Done)
}

/// The row of CLIENT SETINFO.
pub static CLIENT_SETINFO: Command = Command {
    name: "client|setinfo",
    handler: client_setinfo,
    arity: 4,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "7.2.0",
    complexity: "O(1)",
    summary: "Records the client library's name or version.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "attr(LIB-NAME libname | LIB-VER libver)",
    ..Command::DEFAULT
};

pub(super) fn client_setinfo(ctx: &mut Ctx<'_>) -> Outcome {
    let (attribute, value) = (ctx.arg(2), ctx.arg(3));
    let slot = if ctx.is(2, "lib-name") {
        0
    } else if ctx.is(2, "lib-ver") {
        1
    } else {
        return Err(Error::Bytes(
            [
                b"ERR Unrecognized option '".as_slice(),
                before_nul(attribute),
                b"'",
            ]
            .concat(),
        ));
    };
    if !is_plain(value) {
        let why = b" cannot contain spaces, newlines or special characters.".as_slice();
        return Err(Error::Bytes(
            [b"ERR ".as_slice(), before_nul(attribute), why].concat(),
        ));
    }
    ctx.client.lib[slot] = (!value.is_empty()).then(|| value.into());
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CLIENT REPLY.
pub static CLIENT_REPLY: Command = Command {
    name: "client|reply",
    handler: client_reply,
    arity: 3,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Turns replies to this connection off and on.",
    args: "action(ON | OFF | SKIP)",
    ..Command::DEFAULT
};

pub(super) fn client_reply(ctx: &mut Ctx<'_>) -> Outcome {
    let flags = &mut ctx.client.flags;
    if is_word(ctx.args.at(2), b"on") {
        flags.remove(
            ClientFlags::REPLY_OFF | ClientFlags::REPLY_SKIP | ClientFlags::REPLY_SKIP_NEXT,
        );
        ctx.reply().ok();
    } else if is_word(ctx.args.at(2), b"off") {
        flags.insert(ClientFlags::REPLY_OFF);
    } else if is_word(ctx.args.at(2), b"skip") {
        if !flags.contains(ClientFlags::REPLY_OFF) {
            flags.insert(ClientFlags::REPLY_SKIP_NEXT);
        }
    } else {
        return Err(Error::Syntax);
    }
    Ok(Flow::Done)
}

/// ON or OFF at argument 2, as a flag of the client.
fn switch(ctx: &mut Ctx<'_>, flag: ClientFlags) -> Outcome {
    let on = ctx.is(2, "on");
    if !on && !ctx.is(2, "off") {
        return Err(Error::Syntax);
    }
    ctx.client.flags.set(flag, on);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CLIENT NO-EVICT.
pub static CLIENT_NO_EVICT: Command = Command {
    name: "client|no-evict",
    handler: client_no_evict,
    arity: 3,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Exempts this connection from client eviction, or not.",
    args: "enabled(ON | OFF)",
    ..Command::DEFAULT
};

pub(super) fn client_no_evict(ctx: &mut Ctx<'_>) -> Outcome {
    switch(ctx, ClientFlags::NO_EVICT)
}

/// The row of CLIENT NO-TOUCH.
pub static CLIENT_NO_TOUCH: Command = Command {
    name: "client|no-touch",
    handler: client_no_touch,
    arity: 3,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "7.2.0",
    complexity: "O(1)",
    summary: "Chooses whether this connection's reads leave idle times alone.",
    args: "enabled(ON | OFF)",
    ..Command::DEFAULT
};

pub(super) fn client_no_touch(ctx: &mut Ctx<'_>) -> Outcome {
    switch(ctx, ClientFlags::NO_TOUCH)
}

/// The row of CLIENT PAUSE.
pub static CLIENT_PAUSE: Command = Command {
    name: "client|pause",
    handler: client_pause,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "3.0.0",
    complexity: "O(1)",
    summary: "Holds back commands of all clients for a while.",
    args: "timeout:int [mode(WRITE | ALL)]{6.2.0}",
    ..Command::DEFAULT
};

pub(super) fn client_pause(ctx: &mut Ctx<'_>) -> Outcome {
    let mode = match ctx.args.get(3) {
        None => pause::Mode::All,
        Some(m) if is_word(m, b"write") => pause::Mode::Write,
        Some(m) if is_word(m, b"all") => pause::Mode::All,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let until_ms = pause_end(ctx)?;
    pause::pause(ctx.server, pause::Purpose::Client, mode, until_ms);
    ctx.reply().ok();
    Ok(Flow::Done)
}

fn pause_end(ctx: &Ctx<'_>) -> Result<i64, Error> {
    let ms = crate::ds::numtext::parse_i64(ctx.arg(2))
        .ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(Error::new("ERR timeout is negative"));
    }
    ms.checked_add(ctx.now_ms())
        .ok_or(Error::new("ERR timeout is out of range"))
}

/// The row of CLIENT UNPAUSE.
pub static CLIENT_UNPAUSE: Command = Command {
    name: "client|unpause",
    handler: client_unpause,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(N) Where N is the number of paused clients",
    summary: "Ends CLIENT PAUSE.",
    ..Command::DEFAULT
};

pub(super) fn client_unpause(ctx: &mut Ctx<'_>) -> Outcome {
    pause::unpause(ctx.server, pause::Purpose::Client);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CLIENT UNBLOCK.
pub static CLIENT_UNBLOCK: Command = Command {
    name: "client|unblock",
    handler: client_unblock,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "5.0.0",
    complexity: "O(log N) where N is the number of client connections",
    summary: "Wakes a client that waits in a blocking command.",
    args: "client-id:int [unblock-type(TIMEOUT | ERROR)]",
    ..Command::DEFAULT
};

pub(super) fn client_unblock(ctx: &mut Ctx<'_>) -> Outcome {
    let with_error = match ctx.args.get(3) {
        None => false,
        Some(m) if is_word(m, b"timeout") => false,
        Some(m) if is_word(m, b"error") => true,
        Some(_) => {
            return Err(Error::new(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = ctx.int(2)?;
    let woken = id > 0 && blocking::unblock_by_id(ctx.server, id as u64, with_error);
    ctx.reply().int(i64::from(woken));
    Ok(Flow::Done)
}
