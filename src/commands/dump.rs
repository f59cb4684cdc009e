//! DUMP and RESTORE: one value as a payload, and back.

use crate::acl::UserFlags;
use crate::client::ClientFlags;
use crate::config::values::{NotifyFlags as N, SanitizeDump};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{Entry, lru};
use crate::persist::rdb::dump::{self, DumpError};
use crate::persist::rdb::{RdbError, Reason};
use crate::persist::values::{self, Limits};
use crate::resp::{Error, OwnedArgs};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&DUMP, &RESTORE, &RESTORE_ASKING];

/// The row of DUMP.
pub static DUMP: Command = Command {
    name: "dump",
    handler: dump,
    arity: 2,
    flags: flags("readonly"),
    acl: acl("keyspace"),
    keys: &[KeySpec::at(1, "RO access")],
    since: "2.6.0",
    complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the \
        number of Redis objects composing the value and M their average size. For small \
        string values the time complexity is thus O(1)+O(1*M) where M is small, so simply \
        O(1).",
    summary: "Turns a value into a portable blob.",
    tips: &["nondeterministic_output"],
    args: "key@0",
    ..Command::DEFAULT
};

fn dump(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, config) = ctx.parts();
    let Some(entry) = db.read(key) else {
        reply.null();
        return Ok(Flow::Done);
    };
    let payload = dump::encode_with(|out| values::put_bare(out, &entry), config.rdbcompression);
    reply.bulk(&payload);
    Ok(Flow::Done)
}

/// The options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

fn options(ctx: &Ctx<'_>) -> Result<Options, Error> {
    let mut o = Options::default();
    let mut i = 4;
    while i < ctx.args.len() {
        let more = i + 1 < ctx.args.len();
        match () {
            () if ctx.is(i, "REPLACE") => o.replace = true,
            () if ctx.is(i, "ABSTTL") => o.absolute = true,
            () if ctx.is(i, "IDLETIME") && more && o.freq.is_none() => {
                i += 1;
                let wrong = "ERR Invalid IDLETIME value, must be >= 0";
                o.idle_s = Some(ctx.int_in(i, 0, i64::MAX, wrong)? as u64);
            }
            () if ctx.is(i, "FREQ") && more && o.idle_s.is_none() => {
                i += 1;
                let wrong = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                o.freq = Some(ctx.int_in(i, 0, 255, wrong)? as u8);
            }
            () => return Err(Error::Syntax),
        }
        i += 1;
    }
    Ok(o)
}

const RESTORE_COMPLEXITY: &str = "O(1) to create the new key and additional O(N*M) to reconstruct the \
        serialized value, where N is the number of Redis objects composing the value and M \
        their average size. For small string values the time complexity is thus \
        O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the \
        complexity is O(N*M*log(N)) because inserting values into sorted sets is \
        O(log(N)).";

const RESTORE_ARGS: &str = "key@0 ttl:int serialized-value [REPLACE]{3.0.0} [ABSTTL]{5.0.0} \
        [IDLETIME seconds:int]{5.0.0} [FREQ frequency:int]{5.0.0}";

/// The row of RESTORE.
pub static RESTORE: Command = Command {
    name: "restore",
    handler: restore,
    arity: -4,
    flags: flags("write denyoom"),
    acl: acl("keyspace dangerous"),
    keys: &[KeySpec::at(1, "OW update")],
    since: "2.6.0",
    complexity: RESTORE_COMPLEXITY,
    summary: "Makes a key from a blob that DUMP produced.",
    args: RESTORE_ARGS,
    ..Command::DEFAULT
};

/// The row of RESTORE-ASKING, what MIGRATE says to a node that is importing the key's slot.
pub static RESTORE_ASKING: Command = Command {
    name: "restore-asking",
    handler: restore,
    arity: -4,
    flags: flags("write denyoom asking"),
    group: Group::Server,
    acl: acl("keyspace dangerous"),
    keys: &[KeySpec::at(1, "OW update")],
    since: "3.0.0",
    complexity: RESTORE_COMPLEXITY,
    summary: "Is RESTORE for a key whose slot is being imported.",
    syscmd: true,
    args: RESTORE_ARGS,
    ..Command::DEFAULT
};

fn restore(ctx: &mut Ctx<'_>) -> Outcome {
    let o = options(ctx)?;
    let key = ctx.key(1);
    if !o.replace && ctx.db().exists(key) {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let ttl = ctx.int(2)?;
    if ttl < 0 {
        return Err(Error::new("ERR Invalid TTL value, must be >= 0"));
    }
    let expire_ms = match ttl {
        0 => None,
        // Upstream adds without looking: a sum that is too big ends in the past.
        ttl if !o.absolute => Some(ttl.wrapping_add(ctx.now_ms())),
        ttl => Some(ttl),
    };
    let entry = decode(ctx, key.bytes, expire_ms)?;
    put(ctx, &o, entry, expire_ms);
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The payload as an entry; what is wrong with it goes to the log.
fn decode(ctx: &Ctx<'_>, key: &[u8], expire_ms: Option<i64>) -> Result<Entry, Error> {
    let config = &ctx.server.config;
    let deep = match config.sanitize_dump_payload {
        SanitizeDump::No => false,
        SanitizeDump::Yes => true,
        SanitizeDump::Clients => {
            let user = ctx.server.acl.users.get(ctx.client.user_id);
            let trusted = user.is_some_and(|u| u.flags().contains(UserFlags::SKIP_SANITIZE));
            !trusted && !ctx.client.has(ClientFlags::MASTER | ClientFlags::FAKE)
        }
    };
    let limits = Limits::of(config);
    let check_crc = !ctx.server.debug.skip_checksum;
    let made = dump::decode_with(ctx.arg(3), check_crc, deep, |value| {
        let entry = values::build(key, value, expire_ms, &limits)?;
        entry.ok_or_else(|| RdbError::new(0, Reason::EmptyKey))
    });
    made.map_err(|e| {
        if let DumpError::Value(why) = &e {
            log::warn!("Bad data format in RESTORE of a key: {why}");
        }
        Error::text(format!("ERR {e}"))
    })
}

fn put(ctx: &mut Ctx<'_>, o: &Options, mut entry: Entry, expire_ms: Option<i64>) {
    let key = ctx.key(1);
    let now_ms = ctx.now_ms();
    let past = expire_ms.is_some_and(|at| at < now_ms) && ctx.deletes_expired();
    let mut db = ctx.db();
    if past {
        // It would expire at once: the old value goes, nothing comes.
        let lazy = db.config.lazyfree_lazy_server_del;
        if o.replace && db.delete(key, lazy) {
            db.modified(key.bytes, N::GENERIC, "del", 1);
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            ctx.propagate_as(vec![OwnedArgs::from_iter([verb, key.bytes])]);
        }
        return;
    }
    let lfu = db.config.maxmemory_policy.is_lfu();
    let clock = match (o.freq, o.idle_s) {
        (Some(freq), _) if lfu => Some(lru::lfu_clock(freq, now_ms)),
        (_, Some(idle)) if !lfu => Some(lru::clock_of_idle(idle, now_ms)),
        _ => None,
    };
    if let Some(clock) = clock {
        entry.set_clock(clock);
    }
    db.put(key, entry);
    if let Some(clock) = clock
        && let Some(mut e) = db.peek_mut(key)
    {
        e.set_clock(clock);
    }
    db.modified(key.bytes, N::GENERIC, "restore", 1);
    if let Some(at) = expire_ms
        && !o.absolute
    {
        propagate_absolute(ctx, at);
    }
}

/// With a relative time to live the command is propagated with the absolute one.
fn propagate_absolute(ctx: &mut Ctx<'_>, at_ms: i64) {
    if !ctx.propagates() {
        return;
    }
    let mut buf = itoa::Buffer::new();
    let text = buf.format(at_ms).as_bytes();
    let args = ctx.args;
    let words = args
        .iter()
        .enumerate()
        .map(|(i, arg)| if i == 2 { text } else { arg })
        .chain([&b"ABSTTL"[..]]);
    let words: Vec<&[u8]> = words.collect();
    ctx.propagate_as(vec![OwnedArgs::from_iter(words)]);
}
