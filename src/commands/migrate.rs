//! MIGRATE: keys go to another server as RESTORE commands over a connection of our own, and are deleted here as each is
//! acknowledged.
//!
//! The server waits for the other one, as upstream does: nothing else runs until the target has answered or `timeout` is over.
//! Connections are kept for some seconds (`net::link`). If one of those turns out to be dead before anything was acknowledged
//! the whole exchange is tried once more over a new connection.
//!
//! Compat: upstream reads replies into 1 KB and takes the rest of a longer line for the next reply; here the rest is dropped.

use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, key_funcs};
use crate::net::link::{Link, LinkError, is_timeout};
use crate::persist::rdb::dump;
use crate::persist::values;
use crate::resp::{Error, OwnedArgs, append_command};
use std::time::Duration;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&MIGRATE];

/// The row of MIGRATE.
pub static MIGRATE: Command = Command {
    name: "migrate",
    handler: migrate,
    arity: -6,
    flags: flags("write"),
    acl: acl("keyspace dangerous"),
    keys: &[
        KeySpec::at(3, "RW access delete"),
        KeySpec::after("KEYS", -2, "RW access delete incomplete").range(-1, 1, 0),
    ],
    key_func: Some(key_funcs::migrate),
    since: "2.6.0",
    complexity: "This command actually executes a DUMP+DEL in the source instance, and a \
        RESTORE in the target instance. See the pages of these commands for time \
        complexity. Also an O(N) data transfer between the two instances is performed.",
    summary: "Moves keys to another server in one step.",
    tips: &["nondeterministic_output"],
    args: "host port:int key-selector(key@0 | empty-string='') destination-db:int timeout:int \
        [COPY]{3.0.0} [REPLACE]{3.0.0} \
        [authentication(AUTH auth<password>{4.0.7} | AUTH2 auth2(username password){6.0.0})] \
        [KEYS keys<key>@1...]{3.0.6}",
    ..Command::DEFAULT
};

const CANNOT_CONNECT: Error = Error::new("IOERR error or timeout connecting to the client");
const CANNOT_WRITE: Error = Error::new("IOERR error or timeout writing to target instance");
const CANNOT_READ: Error = Error::new("IOERR error or timeout reading to target instance");

/// What the arguments ask for.
struct Request<'a> {
    db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    user: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    /// Positions of the keys.
    keys: std::ops::Range<usize>,
}

impl<'a> Request<'a> {
    fn parse(ctx: &Ctx<'a>) -> Result<Self, Error> {
        let mut r = Request {
            db: 0,
            timeout: Duration::ZERO,
            copy: false,
            replace: false,
            user: None,
            password: None,
            keys: 3..4,
        };
        let mut i = 6;
        while i < ctx.args.len() {
            let after = ctx.args.len() - i - 1;
            match () {
                () if ctx.is(i, "COPY") => r.copy = true,
                () if ctx.is(i, "REPLACE") => r.replace = true,
                () if ctx.is(i, "AUTH") && after >= 1 => {
                    i += 1;
                    r.password = Some(ctx.arg(i));
                }
                () if ctx.is(i, "AUTH2") && after >= 2 => {
                    i += 2;
                    r.user = Some(ctx.arg(i - 1));
                    r.password = Some(ctx.arg(i));
                }
                () if ctx.is(i, "KEYS") => {
                    if !ctx.arg(3).is_empty() {
                        return Err(Error::new(
                            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                        ));
                    }
                    r.keys = i + 1..ctx.args.len();
                    break;
                }
                () => return Err(Error::Syntax),
            }
            i += 1;
        }
        let timeout_ms = ctx.int(5)?;
        r.db = ctx.int(4)?;
        r.timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0).clamp(0, MAX_MS));
        if r.timeout.is_zero() {
            r.timeout = Duration::from_secs(1);
        }
        Ok(r)
    }
}

/// A longer timeout is no different for anybody who waits, and an instant that far away can be computed with.
const MAX_MS: u64 = 1_000_000_000_000;

/// What the other server says to all of it.
#[derive(Default)]
struct Answers {
    /// Positions of the keys it took.
    taken: Vec<usize>,
    /// Its first error.
    refusal: Option<Vec<u8>>,
    /// The connection broke, or time was over.
    broken: Option<Error>,
    /// Worth another try over a new connection.
    again: bool,
}

fn migrate(ctx: &mut Ctx<'_>) -> Outcome {
    let request = Request::parse(ctx)?;
    let (restores, keys) = restores(ctx, &request);
    if keys.is_empty() {
        ctx.reply().simple("NOKEY");
        return Ok(Flow::Done);
    }
    let place = [ctx.arg(1), ctx.arg(2)].join(&b':');
    let mut answers = Answers::default();
    // A kept connection may have died meanwhile.
    for _ in 0..2 {
        let (mut link, kept) = match ctx.server.links.take(&place) {
            Some(link) => (link, true),
            None => (connect(ctx, request.timeout)?, false),
        };
        answers = exchange(&mut link, &request, &restores, &keys);
        if answers.broken.is_none() {
            let now_s = ctx.server.clock.now_s();
            ctx.server.links.keep(&place, link, now_s);
        }
        if !(kept && answers.again) {
            break;
        }
    }
    if !request.copy {
        forget(ctx, &answers.taken);
    }
    match (answers.refusal, answers.broken) {
        (Some(text), _) => Err(Error::text(format!(
            "ERR Target instance replied with error: {}",
            String::from_utf8_lossy(&text)
        ))),
        (None, Some(broken)) => Err(broken),
        (None, None) => {
            ctx.reply().ok();
            Ok(Flow::Done)
        }
    }
}

/// The commands that make the keys there, and the keys' positions: those that exist and are not due.
fn restores(ctx: &mut Ctx<'_>, request: &Request<'_>) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut found) = (Vec::new(), Vec::new());
    let (args, now_ms) = (ctx.args, ctx.now_ms());
    for i in request.keys.clone() {
        let key = ctx.key(i);
        let (mut db, _, config) = ctx.parts();
        let Some(entry) = db.read(key) else { continue };
        let ttl_ms = entry.expire().map_or(0, |at| (at - now_ms).max(1));
        let payload = dump::encode_with(|out| values::put_bare(out, &entry), config.rdbcompression);
        let mut number = itoa::Buffer::new();
        let words: [&[u8]; 5] = [
            b"RESTORE",
            args.at(i),
            number.format(ttl_ms).as_bytes(),
            &payload,
            b"REPLACE",
        ];
        append_command(&mut out, &words[..if request.replace { 5 } else { 4 }]);
        found.push(i);
    }
    (out, found)
}

fn connect(ctx: &Ctx<'_>, timeout: Duration) -> Result<Link, Error> {
    let host = std::str::from_utf8(ctx.arg(1)).map_err(|_| CANNOT_CONNECT)?;
    // A port that is none cannot be reached either; upstream finds out when it writes.
    let port = parse_i64(ctx.arg(2)).and_then(|p| u16::try_from(p).ok());
    let link = Link::open(host, port.ok_or(CANNOT_WRITE)?, timeout);
    let mut link = link.map_err(|e| match e {
        LinkError::Refused => CANNOT_WRITE,
        LinkError::Unresolved | LinkError::TimedOut => CANNOT_CONNECT,
    })?;
    if let Some(session) = ctx.server.node_session(host) {
        let session = session.map_err(|_| CANNOT_CONNECT)?;
        link.secure(session, timeout).map_err(|_| CANNOT_CONNECT)?;
    }
    Ok(link)
}

/// Sends everything at once and reads one answer per command.
fn exchange(link: &mut Link, request: &Request<'_>, restores: &[u8], keys: &[usize]) -> Answers {
    let mut answers = Answers::default();
    let mut greeting = Vec::new();
    if let Some(password) = request.password {
        match request.user {
            Some(user) => append_command(&mut greeting, &[b"AUTH", user, password]),
            None => append_command(&mut greeting, &[b"AUTH", password]),
        }
    }
    let selects = link.db != Some(request.db);
    if selects {
        let mut number = itoa::Buffer::new();
        let words: [&[u8]; 2] = [b"SELECT", number.format(request.db).as_bytes()];
        append_command(&mut greeting, &words);
    }
    let sent = match link.send(&greeting, request.timeout) {
        Ok(()) => link.send(restores, request.timeout),
        Err(e) => Err(e),
    };
    if let Err(e) = sent {
        answers.again = !is_timeout(&e);
        answers.broken = Some(CANNOT_WRITE);
        return answers;
    }
    let greetings = usize::from(request.password.is_some()) + usize::from(selects);
    let mut lost = false;
    for n in 0..greetings + keys.len() {
        match link.line(request.timeout) {
            Err(e) => {
                answers.again = !is_timeout(&e) && answers.taken.is_empty();
                answers.broken = Some(CANNOT_READ);
                return answers;
            }
            Ok(line) if line.first() == Some(&b'-') => {
                answers.refusal.get_or_insert(line[1..].to_vec());
            }
            Ok(_) if n < greetings => {}
            // Behind a refused AUTH or SELECT a key went to who knows where: it stays here.
            Ok(_) if lost => {}
            Ok(_) => answers.taken.push(keys[n - greetings]),
        }
        lost |= n < greetings && answers.refusal.is_some();
    }
    // After an error nobody knows what is selected.
    link.db = answers.refusal.is_none().then_some(request.db);
    answers
}

/// The keys that arrived are gone here; that, not MIGRATE, is what the AOF and the replicas get.
fn forget(ctx: &mut Ctx<'_>, taken: &[usize]) {
    let mut command = OwnedArgs::from_iter([b"DEL"]);
    for &i in taken {
        let key = ctx.key(i);
        let mut db = ctx.db();
        if db.delete(key, false) {
            db.modified(key.bytes, N::GENERIC, "del", 1);
            command.push(key.bytes);
        }
    }
    if command.len() > 1 {
        ctx.propagate_as(vec![command]);
    }
}
