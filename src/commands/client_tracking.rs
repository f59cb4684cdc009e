//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: client-side caching. The container's row is in `client`.

use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Error;
use crate::server::tracked;
use crate::tracking::Mode;
use crate::tracking::prefixes::overlap;

/// The row of CLIENT TRACKING.
pub static CLIENT_TRACKING: Command = Command {
    name: "client|tracking",
    handler: client_tracking,
    arity: -3,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1). Some options may introduce additional complexity.",
    summary: "Turns invalidation messages for read keys on or off.",
    args: "status(ON | OFF) [REDIRECT client-id:int] [PREFIX prefix]... [BCAST] [OPTIN] \
        [OPTOUT] [NOLOOP]",
    ..Command::DEFAULT
};

fn client_tracking(ctx: &mut Ctx<'_>) -> Outcome {
    let asked = Asked::parse(ctx)?;
    if ctx.is(2, "off") {
        tracked::disable(ctx.server, ctx.client);
    } else if ctx.is(2, "on") {
        asked.check(ctx)?;
        let Asked {
            mode,
            redirect,
            prefixes,
        } = asked;
        tracked::enable(ctx.server, ctx.client, mode, redirect, &prefixes);
    } else {
        return Err(Error::Syntax);
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The options of one call.
#[derive(Default)]
struct Asked<'a> {
    mode: Mode,
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    fn parse(ctx: &Ctx<'a>) -> Result<Self, Error> {
        let mut a = Asked::default();
        let mut i = 3;
        while i < ctx.args.len() {
            let more = i + 1 < ctx.args.len();
            if ctx.is(i, "redirect") && more {
                i += 1;
                a.set_redirect(ctx, i)?;
            } else if ctx.is(i, "prefix") && more {
                i += 1;
                a.prefixes.push(ctx.arg(i));
            } else {
                a.mode |= match ctx.arg(i).to_ascii_lowercase().as_slice() {
                    b"bcast" => Mode::BCAST,
                    b"optin" => Mode::OPTIN,
                    b"optout" => Mode::OPTOUT,
                    b"noloop" => Mode::NOLOOP,
                    _ => return Err(Error::Syntax),
                };
            }
            i += 1;
        }
        Ok(a)
    }

    /// The client at argument `i` must exist (the one that asks included).
    fn set_redirect(&mut self, ctx: &Ctx<'a>, i: usize) -> Result<(), Error> {
        if self.redirect != 0 {
            return Err(Error::new(
                "ERR A client can only redirect to a single other client",
            ));
        }
        let id = u64::try_from(ctx.int(i)?).unwrap_or(0);
        if ctx.server.clients.by_id(id).is_none() {
            return Err(Error::new(
                "ERR The client ID you want redirect to does not exist",
            ));
        }
        self.redirect = id;
        Ok(())
    }

    /// Whether the options suit each other and what is on already.
    fn check(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let asked = self.mode;
        if !asked.contains(Mode::BCAST) && !self.prefixes.is_empty() {
            return Err(Error::new(
                "ERR PREFIX option requires BCAST mode to be enabled",
            ));
        }
        let now = ctx.server.tracking.options(ctx.client.handle);
        let switches = |bit: Mode| now.is_some_and(|o| o.mode.contains(bit) != asked.contains(bit));
        if switches(Mode::BCAST) {
            return Err(Error::new(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        if asked.contains(Mode::OPTIN | Mode::OPTOUT) {
            return Err(Error::new(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        if asked.contains(Mode::BCAST) && asked.intersects(Mode::OPTIN | Mode::OPTOUT) {
            return Err(Error::new(
                "ERR OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        let had = |bit: Mode| now.is_some_and(|o| o.mode.contains(bit));
        if asked.contains(Mode::OPTIN) && had(Mode::OPTOUT)
            || asked.contains(Mode::OPTOUT) && had(Mode::OPTIN)
        {
            return Err(Error::new(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        let old = now
            .into_iter()
            .flat_map(|o| o.prefixes.iter().map(|p| &p[..]));
        overlap(&self.prefixes, old).map_err(overlapping)
    }
}

fn overlapping((new, other, is_old): (&[u8], &[u8], bool)) -> Error {
    let which: &[u8] = if is_old {
        b"an existing prefix"
    } else {
        b"another provided prefix"
    };
    let parts: [&[u8]; 7] = [
        b"ERR Prefix '",
        new,
        b"' overlaps with ",
        which,
        b" '",
        other,
        b"'. Prefixes for a single client must not overlap.",
    ];
    Error::Bytes(parts.concat())
}

/// The row of CLIENT CACHING.
pub static CLIENT_CACHING: Command = Command {
    name: "client|caching",
    handler: client_caching,
    arity: 3,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Chooses whether the next command's keys are tracked.",
    args: "mode(YES | NO)",
    ..Command::DEFAULT
};

fn client_caching(ctx: &mut Ctx<'_>) -> Outcome {
    let handle = ctx.client.handle;
    let Some(mode) = ctx.server.tracking.options(handle).map(|o| o.mode) else {
        return Err(Error::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    if ctx.is(2, "yes") {
        if !mode.contains(Mode::OPTIN) {
            return Err(Error::new(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if ctx.is(2, "no") {
        if !mode.contains(Mode::OPTOUT) {
            return Err(Error::new(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(Error::Syntax);
    }
    if let Some(o) = ctx.server.tracking.options_mut(handle) {
        o.mode.insert(Mode::CACHING);
    }
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of CLIENT GETREDIR.
pub static CLIENT_GETREDIR: Command = Command {
    name: "client|getredir",
    handler: client_getredir,
    arity: 2,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Tells which connection gets this one's invalidation messages.",
    ..Command::DEFAULT
};

fn client_getredir(ctx: &mut Ctx<'_>) -> Outcome {
    let to = ctx
        .server
        .tracking
        .options(ctx.client.handle)
        .map_or(-1, |o| o.redirect as i64);
    ctx.reply().int(to);
    Ok(Flow::Done)
}

/// The row of CLIENT TRACKINGINFO.
pub static CLIENT_TRACKINGINFO: Command = Command {
    name: "client|trackinginfo",
    handler: client_trackinginfo,
    arity: 2,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Tells how this connection tracks keys.",
    ..Command::DEFAULT
};

fn client_trackinginfo(ctx: &mut Ctx<'_>) -> Outcome {
    let options = ctx.server.tracking.options(ctx.client.handle).cloned();
    let words = options.as_ref().map_or(vec!["off"], |o| words_of(o.mode));
    let redirect = options.as_ref().map_or(-1, |o| o.redirect as i64);
    let mut r = ctx.reply();
    r.map(3);
    r.bulk(b"flags");
    r.set(words.len());
    words.iter().for_each(|w| r.bulk(w.as_bytes()));
    r.bulk(b"redirect");
    r.int(redirect);
    r.bulk(b"prefixes");
    let prefixes = options.map(|o| o.prefixes).unwrap_or_default();
    r.array(prefixes.len());
    prefixes.iter().for_each(|p| r.bulk(p));
    Ok(Flow::Done)
}

/// What TRACKINGINFO calls the modes.
fn words_of(mode: Mode) -> Vec<&'static str> {
    let caching = mode.contains(Mode::CACHING);
    let all = [
        (true, "on"),
        (mode.contains(Mode::BCAST), "bcast"),
        (mode.contains(Mode::OPTIN), "optin"),
        (mode.contains(Mode::OPTIN) && caching, "caching-yes"),
        (mode.contains(Mode::OPTOUT), "optout"),
        (mode.contains(Mode::OPTOUT) && caching, "caching-no"),
        (mode.contains(Mode::NOLOOP), "noloop"),
        (mode.contains(Mode::BROKEN), "broken_redirect"),
    ];
    all.into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, w)| w)
        .collect()
}
