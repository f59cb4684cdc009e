//! CLIENT ID, INFO, LIST and KILL.

use crate::client::line::{Surroundings, describe};
use crate::client::{Client, ClientFlags};
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, before_nul};
use crate::server::Server;

/// The row of CLIENT ID.
pub static CLIENT_ID: Command = Command {
    name: "client|id",
    handler: client_id,
    arity: 2,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Tells the id of this connection.",
    ..Command::DEFAULT
};

pub(super) fn client_id(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.client.id;
    ctx.reply().int(id as i64);
    Ok(Flow::Done)
}

/// The row of CLIENT INFO.
pub static CLIENT_INFO: Command = Command {
    name: "client|info",
    handler: client_info,
    arity: 2,
    flags: flags("noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Describes this connection.",
    tips: &["nondeterministic_output"],
    ..Command::DEFAULT
};

pub(super) fn client_info(ctx: &mut Ctx<'_>) -> Outcome {
    let line = line(ctx.server, ctx.client);
    ctx.reply().verbatim("txt", line.as_bytes());
    Ok(Flow::Done)
}

/// The line of a client, with its line end.
pub fn line(server: &Server, client: &Client) -> String {
    let command = client
        .last_command
        .map_or("", |id| server.registry.row(id).name);
    let mut text = describe(
        client,
        Surroundings {
            now_s: server.clock.now_s(),
            command,
            tracking: server.tracking.options(client.handle),
            stream_held: server.stream_held(client),
        },
    );
    text.push('\n');
    text
}

/// What kind of client, for filters and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl Kind {
    fn of(c: &Client) -> Kind {
        if c.has(ClientFlags::MASTER) {
            Kind::Master
        } else if c.has(ClientFlags::REPLICA) && !c.has(ClientFlags::MONITOR) {
            Kind::Replica
        } else if c.has(ClientFlags::PUBSUB) {
            Kind::Pubsub
        } else {
            Kind::Normal
        }
    }

    fn named(text: &[u8]) -> Result<Kind, Error> {
        Ok(match before_nul(text).to_ascii_lowercase().as_slice() {
            b"normal" => Kind::Normal,
            b"master" => Kind::Master,
            b"slave" | b"replica" => Kind::Replica,
            b"pubsub" => Kind::Pubsub,
            _ => {
                return Err(Error::Bytes(
                    [
                        b"ERR Unknown client type '".as_slice(),
                        before_nul(text),
                        b"'",
                    ]
                    .concat(),
                ));
            }
        })
    }
}

/// The row of CLIENT LIST.
pub static CLIENT_LIST: Command = Command {
    name: "client|list",
    handler: client_list,
    arity: -2,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Describes the open connections.",
    tips: &["nondeterministic_output"],
    args: "[TYPE client-type(NORMAL | MASTER | REPLICA | PUBSUB)]{5.0.0} \
        [ID client-id:int...]{6.2.0}",
    ..Command::DEFAULT
};

pub(super) fn client_list(ctx: &mut Ctx<'_>) -> Outcome {
    let n = ctx.args.len();
    let mut kind = None;
    let mut ids = None;
    if n == 4 && ctx.is(2, "type") {
        kind = Some(Kind::named(ctx.arg(3))?);
    } else if n > 3 && ctx.is(2, "id") {
        let parse = |text: &[u8]| {
            // Any number will do, also one no client can have.
            parse_i64(text).ok_or(Error::new("ERR Invalid client ID"))
        };
        let list: Result<Vec<i64>, Error> = ctx.args.iter().skip(3).map(parse).collect();
        ids = Some(list?);
    } else if n != 2 {
        return Err(Error::Syntax);
    }
    let mut text = String::new();
    if let Some(ids) = ids {
        for id in ids {
            if let Some(c) = find(ctx, id as u64) {
                text.push_str(&line(ctx.server, c));
            }
        }
    } else {
        for c in everybody(ctx) {
            if kind.is_none_or(|k| k == Kind::of(c)) {
                text.push_str(&line(ctx.server, c));
            }
        }
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn find<'c>(ctx: &'c Ctx<'_>, id: u64) -> Option<&'c Client> {
    if ctx.client.id == id {
        return Some(ctx.client);
    }
    ctx.server
        .clients
        .by_id(id)
        .and_then(|h| ctx.server.clients.get(h))
}

/// All clients, the running one included, oldest first.
fn everybody<'c>(ctx: &'c Ctx<'_>) -> Vec<&'c Client> {
    let mut all: Vec<&Client> = ctx.server.clients.iter().collect();
    if !ctx.client.has(ClientFlags::FAKE) {
        all.push(ctx.client);
    }
    all.sort_unstable_by_key(|c| c.id);
    all
}

/// Which clients to close; an absent filter passes everybody.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<Kind>,
    user: Option<&'a [u8]>,
    max_age_s: Option<i64>,
    spare_self: bool,
}

impl<'a> Filter<'a> {
    fn parse(ctx: &Ctx<'a>) -> Result<Self, Error> {
        let mut f = Filter {
            spare_self: true,
            ..Filter::default()
        };
        let mut i = 2;
        while i < ctx.args.len() {
            if i + 1 >= ctx.args.len() {
                return Err(Error::Syntax);
            }
            let value = ctx.arg(i + 1);
            if ctx.is(i, "id") {
                f.id = Some(positive(value, "ERR client-id should be greater than 0")?);
            } else if ctx.is(i, "maxage") {
                let age = parse_i64(value)
                    .ok_or(Error::new("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(Error::new("ERR maxage should be greater than 0"));
                }
                f.max_age_s = Some(age);
            } else if ctx.is(i, "type") {
                f.kind = Some(Kind::named(value)?);
            } else if ctx.is(i, "addr") {
                f.addr = Some(value);
            } else if ctx.is(i, "laddr") {
                f.laddr = Some(value);
            } else if ctx.is(i, "user") {
                if !ctx.server.knows_user(value) {
                    let text = [b"ERR No such user '".as_slice(), before_nul(value), b"'"].concat();
                    return Err(Error::Bytes(text));
                }
                f.user = Some(value);
            } else if ctx.is(i, "skipme") {
                f.spare_self = match () {
                    () if ctx.is(i + 1, "yes") => true,
                    () if ctx.is(i + 1, "no") => false,
                    () => return Err(Error::Syntax),
                };
            } else {
                return Err(Error::Syntax);
            }
            i += 2;
        }
        Ok(f)
    }

    fn passes(&self, c: &Client, now_s: i64) -> bool {
        let is = |wanted: Option<&[u8]>, name: String| wanted.is_none_or(|w| w == name.as_bytes());
        self.id.is_none_or(|id| id == c.id)
            && self.kind.is_none_or(|k| k == Kind::of(c))
            && self.max_age_s.is_none_or(|age| now_s - c.created_s >= age)
            && self
                .user
                .is_none_or(|u| u == c.user.as_deref().unwrap_or(b"default"))
            && (self.addr.is_none() || is(self.addr, c.addr().to_string()))
            && (self.laddr.is_none() || is(self.laddr, c.conn.local().to_string()))
    }
}

fn positive(text: &[u8], error: &'static str) -> Result<u64, Error> {
    match parse_i64(text) {
        Some(n) if n > 0 => Ok(n as u64),
        _ => Err(Error::new(error)),
    }
}

/// The row of CLIENT KILL.
pub static CLIENT_KILL: Command = Command {
    name: "client|kill",
    handler: client_kill,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    acl: acl("connection"),
    group: Group::Connection,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Closes the connections that match.",
    args: "filter(old-format<ip:port>{-2.8.12} | new-format([ID client-id:int]{2.8.12} | \
        [TYPE client-type(NORMAL | MASTER{3.2.0} | SLAVE | REPLICA{5.0.0} | \
        PUBSUB)]{2.8.12} | [USER username] | [ADDR addr<ip:port>] | [LADDR \
        laddr<ip:port>]{6.2.0} | [SKIPME skipme(YES | NO)] | [MAXAGE \
        maxage:int]{7.4.0})...)",
    ..Command::DEFAULT
};

pub(super) fn client_kill(ctx: &mut Ctx<'_>) -> Outcome {
    let one = ctx.args.len() == 3;
    let filter = if one {
        Filter {
            addr: Some(ctx.arg(2)),
            ..Filter::default()
        }
    } else {
        Filter::parse(ctx)?
    };
    let now_s = ctx.server.clock.now_s();
    let matching = |c: &&Client| filter.passes(c, now_s);
    let mut handles: Vec<_> = ctx
        .server
        .clients
        .iter()
        .filter(matching)
        .map(|c| c.handle)
        .collect();
    if one {
        handles.truncate(1);
    }
    let own = !filter.spare_self && (!one || handles.is_empty()) && matching(&&*ctx.client);
    for &h in &handles {
        if let Some(mut c) = ctx.server.clients.take(h) {
            ctx.server.close_soon(&mut c);
            ctx.server.clients.put_back(c);
        }
    }
    if own {
        ctx.client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
    }
    let killed = handles.len() + usize::from(own);
    match (one, killed) {
        (true, 0) => return Err(Error::new("ERR No such client")),
        (true, _) => ctx.reply().ok(),
        (false, n) => ctx.reply().int(n as i64),
    }
    Ok(Flow::Done)
}
