//! Integers of any width inside a string: BITFIELD, BITFIELD_RO.
//!
//! All operations are parsed first; if one of them writes, the string is made long enough for all writes (even for those that
//! OVERFLOW FAIL then refuses), as upstream does.

use super::{offset, with_room};
use crate::config::values::NotifyFlags as N;
use crate::ds::bits::{get_bits, set_bits};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome, key_funcs};
use crate::resp::{Error, Reply, before_nul, is_word};

/// An integer type: `i8`, `u63`.
#[derive(Debug, Clone, Copy)]
struct IntType {
    signed: bool,
    bits: u32,
}

impl IntType {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let parsed = match before_nul(text) {
            [b'i', bits @ ..] => Some((true, bits)),
            [b'u', bits @ ..] => Some((false, bits)),
            _ => None,
        };
        parsed
            .and_then(|(signed, bits)| {
                let bits = crate::ds::numtext::parse_i64(bits)?;
                let most = if signed { 64 } else { 63 };
                (1..=most).contains(&bits).then_some(IntType {
                    signed,
                    bits: bits as u32,
                })
            })
            .ok_or(Error::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            ))
    }

    /// What `raw`, the lowest bits of which are meant, stands for.
    fn value(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            (raw << unused) as i64 >> unused
        } else {
            (raw << unused >> unused) as i64
        }
    }

    fn min(self) -> i128 {
        if self.signed {
            -(1 << (self.bits - 1))
        } else {
            0
        }
    }

    fn max(self) -> i128 {
        (1 << (self.bits - u32::from(self.signed))) - 1
    }

    /// `value` in this type; None when it does not fit and `overflow` says to fail.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        if (self.min()..=self.max()).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value(value as u64)),
            Overflow::Sat => Some(value.clamp(self.min(), self.max()) as i64),
            Overflow::Fail => None,
        }
    }
}

impl IntType {
    /// [`IntType::fit`] for SET: a signed type too narrow for a hugely negative number saturates upwards. Upstream's subtraction
    /// wraps around there, and replicas of both kinds must keep the same bytes.
    fn fit_set(self, value: i128, overflow: Overflow) -> Option<i64> {
        if overflow == Overflow::Sat
            && self.signed
            && self.max() - value > i128::from(i64::MAX)
            && self.bits < 64
        {
            return Some(self.max() as i64);
        }
        self.fit(value, overflow)
    }
}

/// What becomes of a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Sat,
    Fail,
}

impl Overflow {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        [
            ("WRAP", Self::Wrap),
            ("SAT", Self::Sat),
            ("FAIL", Self::Fail),
        ]
        .into_iter()
        .find(|(word, _)| is_word(text, word.as_bytes()))
        .map(|(_, o)| o)
        .ok_or(Error::new("ERR Invalid OVERFLOW type specified"))
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Get,
    Set(i64, Overflow),
    IncrBy(i64, Overflow),
}

/// One operation.
#[derive(Debug, Clone, Copy)]
struct Op {
    what: What,
    ty: IntType,
    at: u64,
}

impl Op {
    fn end(&self) -> u64 {
        self.at + u64::from(self.ty.bits)
    }
}

fn parse(ctx: &Ctx<'_>) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    let (mut overflow, mut i) = (Overflow::Wrap, 2);
    while i < ctx.args.len() {
        let left = ctx.args.len() - i - 1;
        if ctx.is(i, "OVERFLOW") && left >= 1 {
            overflow = Overflow::parse(ctx.arg(i + 1))?;
            i += 2;
            continue;
        }
        let args = match ctx.arg(i) {
            w if is_word(w, b"GET") => 2,
            w if is_word(w, b"SET") => 3,
            w if is_word(w, b"INCRBY") => 3,
            _ => return Err(Error::Syntax),
        };
        if left < args {
            return Err(Error::Syntax);
        }
        let ty = IntType::parse(ctx.arg(i + 1))?;
        let at = offset(ctx.arg(i + 2), Some(ty.bits), &ctx.server.config)?;
        let what = match args {
            2 => What::Get,
            _ if ctx.is(i, "SET") => What::Set(ctx.int(i + 3)?, overflow),
            _ => What::IncrBy(ctx.int(i + 3)?, overflow),
        };
        ops.push(Op { what, ty, at });
        i += args + 1;
    }
    Ok(ops)
}

/// How many operations wrote, and how many of them wrote another value than before.
#[derive(Debug, Clone, Copy, Default)]
struct Writes {
    all: i64,
    changes: i64,
}

/// Runs an operation that may write, and replies.
fn run(op: &Op, bytes: &mut [u8], reply: &mut Reply<'_>, writes: &mut Writes) {
    let old = op.ty.value(get_bits(bytes, op.at, op.ty.bits));
    let (new, shown) = match op.what {
        What::Get => {
            reply.int(old);
            return;
        }
        What::Set(value, overflow) => {
            // A negative number for an unsigned integer counts as a huge one.
            let wide = match op.ty.signed {
                true => i128::from(value),
                false => i128::from(value as u64),
            };
            (op.ty.fit_set(wide, overflow), Some(old))
        }
        What::IncrBy(by, overflow) => {
            let new = op.ty.fit(i128::from(old) + i128::from(by), overflow);
            (new, new)
        }
    };
    let Some(new) = new else {
        reply.null();
        return;
    };
    reply.int(shown.unwrap_or(old));
    set_bits(bytes, op.at, op.ty.bits, new as u64);
    writes.all += 1;
    writes.changes += i64::from(new != old);
}

/// The row of BITFIELD.
pub static BITFIELD: Command = Command {
    name: "bitfield",
    handler: bitfield,
    arity: -2,
    flags: flags("write denyoom"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RW access update variable_flags")
        .notes("This command allows both access and modification of the key")],
    key_func: Some(key_funcs::bitfield),
    group: Group::Bitmap,
    since: "3.2.0",
    complexity: "O(1) for each subcommand specified",
    summary: "Reads and changes integers of any width inside a string.",
    args: "key@0 [operation(GET get-block(encoding offset:int) | write([OVERFLOW \
        overflow-block(WRAP | SAT | FAIL)] write-operation(SET set-block(encoding \
        offset:int value:int) | INCRBY incrby-block(encoding offset:int \
        increment:int))))...]",
    ..Command::DEFAULT
};

fn bitfield(ctx: &mut Ctx<'_>) -> Outcome {
    let ops = parse(ctx)?;
    run_all(ctx, &ops)
}

/// The row of BITFIELD_RO.
pub static BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    handler: bitfield_ro,
    arity: -2,
    flags: flags("readonly fast"),
    acl: acl("bitmap"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Bitmap,
    since: "6.0.0",
    complexity: "O(1) for each subcommand specified",
    summary: "Reads integers of any width inside a string.",
    args: "key@0 [GET get-block(encoding offset:int)]...",
    ..Command::DEFAULT
};

fn bitfield_ro(ctx: &mut Ctx<'_>) -> Outcome {
    let ops = parse(ctx)?;
    if ops.iter().any(|op| !matches!(op.what, What::Get)) {
        return Err(Error::new(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    run_all(ctx, &ops)
}

fn run_all(ctx: &mut Ctx<'_>, ops: &[Op]) -> Outcome {
    let writes = ops.iter().filter(|op| !matches!(op.what, What::Get));
    let Some(end) = writes.map(Op::end).max() else {
        return read_all(ctx, ops);
    };
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let (mark, len) = (reply.begin(), end.div_ceil(8) as usize);
    reply.array(ops.len());
    let mut writes = Writes::default();
    let ran = with_room(&mut db, key, len, |bytes| {
        ops.iter()
            .for_each(|op| run(op, bytes, &mut reply, &mut writes));
    });
    let grew = match ran {
        Ok((old_len, _)) => old_len.is_none_or(|n| n < len),
        Err(e) => {
            reply.rewind(mark);
            return Err(e);
        }
    };
    // In a string that grew every write counts.
    let changes = if grew { writes.all } else { writes.changes };
    if changes > 0 {
        db.modified(key.bytes, N::STRING, "setbit", changes);
    }
    Ok(Flow::Done)
}

fn read_all(ctx: &mut Ctx<'_>, ops: &[Op]) -> Outcome {
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let e = db.read_str(key)?;
    let mut digits = itoa::Buffer::new();
    let bytes = match e.as_ref().and_then(|e| e.str()) {
        Some(s) => s.bytes(&mut digits),
        None => b"",
    };
    reply.array(ops.len());
    for op in ops {
        reply.int(op.ty.value(get_bits(bytes, op.at, op.ty.bits)));
    }
    Ok(Flow::Done)
}
