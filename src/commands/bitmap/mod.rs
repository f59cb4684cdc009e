//! Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP; BITFIELD in `field`. The loops are in `ds::bits`.
pub mod combine;
pub mod field;
pub mod search;

use crate::config::Config;
use crate::config::values::NotifyFlags as N;
use crate::ds::numtext::parse_i64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key, NewStr, StrRef};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &SETBIT,
    &GETBIT,
    &search::BITCOUNT,
    &search::BITPOS,
    &combine::BITOP,
    &field::BITFIELD,
    &field::BITFIELD_RO,
];

const BAD_OFFSET: Error = Error::new("ERR bit offset is not an integer or out of range");

/// New strings up to this size (bytes) are made inside the entry.
const SMALL: usize = 256;

/// A bit's position: it must lie in a string of the permitted length. With `unit`, "#n" stands for n times that many bits.
fn offset(text: &[u8], unit: Option<u32>, config: &Config) -> Result<u64, Error> {
    let (digits, times) = match (text.strip_prefix(b"#"), unit) {
        (Some(rest), Some(unit)) => (rest, i64::from(unit)),
        _ => (text, 1),
    };
    parse_i64(digits)
        .and_then(|n| n.checked_mul(times))
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| n / 8 < config.proto_max_bulk_len)
        .ok_or(BAD_OFFSET)
}

/// Looks a string up to change it, at least `len` bytes long: made or padded with zeros. The old length, and what `f` returns.
fn with_room<R>(
    db: &mut DbView<'_>,
    key: Key<'_>,
    len: usize,
    f: impl FnOnce(&mut [u8]) -> R,
) -> Result<(Option<usize>, Option<R>), Error> {
    let old = db
        .write_str(key)?
        .map(|e| e.str().map_or(0, StrRef::text_len));
    if old.is_none() {
        let zeros = [0; SMALL];
        let start = if len <= SMALL { len } else { 0 };
        let value = NewStr::Raw(&zeros[..start]);
        db.add(key, Entry::string(key.bytes, &value, None));
    }
    let Some(mut e) = db.write_str(key)? else {
        return Ok((old, None));
    };
    if e.inline_mut().is_some_and(|b| b.len() >= len) {
        e.set_raw();
        return Ok((old, e.inline_mut().map(f)));
    }
    let v = e.string_vec();
    if v.len() < len {
        v.resize(len, 0);
    }
    Ok((old, Some(f(v))))
}

/// The row of SETBIT.
pub static SETBIT: Command = Command {
    name: "setbit",
    handler: setbit,
    arity: 4,
    flags: flags("write denyoom"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RW access update")],
    group: Group::Bitmap,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Writes one bit of a string and replies with the old one.",
    args: "key@0 offset:int value:int",
    ..Command::DEFAULT
};

fn setbit(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let at = offset(ctx.arg(2), None, &ctx.server.config)?;
    let on = match ctx.arg(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(Error::new("ERR bit is not an integer or out of range")),
    };
    let (mut db, mut reply, _) = ctx.parts();
    let (byte, mask) = ((at / 8) as usize, 0x80u8 >> (at % 8));
    let (old_len, was_on) = with_room(&mut db, key, byte + 1, |bytes| {
        let was_on = bytes[byte] & mask != 0;
        bytes[byte] = bytes[byte] & !mask | if on { mask } else { 0 };
        was_on
    })?;
    let was_on = was_on.unwrap_or(false);
    // What stays the same is not told to anybody.
    if was_on != on || old_len.is_none_or(|n| n <= byte) {
        db.modified(key.bytes, N::STRING, "setbit", 1);
    }
    reply.int(i64::from(was_on));
    Ok(Flow::Done)
}

/// The row of GETBIT.
pub static GETBIT: Command = Command {
    name: "getbit",
    handler: getbit,
    arity: 3,
    flags: flags("readonly fast"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Bitmap,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Reads one bit of a string.",
    args: "key@0 offset:int",
    ..Command::DEFAULT
};

fn getbit(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    let at = offset(ctx.arg(2), None, &ctx.server.config)?;
    let (mut db, mut reply, _) = ctx.parts();
    let mut digits = itoa::Buffer::new();
    let on = match db.read_str(key)? {
        Some(e) => {
            let bytes = e.str().map_or(&b""[..], |s| s.bytes(&mut digits));
            let byte = bytes.get((at / 8) as usize).copied().unwrap_or(0);
            byte & (0x80 >> (at % 8)) != 0
        }
        None => false,
    };
    reply.int(i64::from(on));
    Ok(Flow::Done)
}
