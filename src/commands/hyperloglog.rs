//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE, and PFDEBUG, PFSELFTEST for tests. The structure itself is `ds::hll`; here are keys.
//!
//! A HyperLogLog is a string that anybody may read and write, so each command checks what it finds.
//!
//! Compat: PFDEBUG SIMD, which switches upstream's vector code on and off, does not exist: there is nothing to switch.

use crate::config::values::NotifyFlags as N;
use crate::ds::hll::{self, HllError, REGISTERS, Registers};
use crate::ds::rng::Rng;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Entry, Key, NewStr, StrRef};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&PFADD, &PFCOUNT, &PFMERGE, &PFDEBUG, &PFSELFTEST];

impl From<HllError> for Error {
    fn from(e: HllError) -> Self {
        Error::text(e.to_string())
    }
}

/// The HyperLogLog in an entry, checked.
fn checked<'a>(e: &'a Entry, digits: &'a mut itoa::Buffer) -> Result<&'a [u8], Error> {
    let bytes = e.str().map_or(&b""[..], |s: StrRef<'a>| s.bytes(digits));
    hll::check(bytes)?;
    Ok(bytes)
}

/// Looks a HyperLogLog up to change it, making an empty one if there is none; whether it was made.
fn open(db: &mut DbView<'_>, key: Key<'_>) -> Result<bool, Error> {
    if let Some(e) = db.write_str(key)? {
        checked(&e, &mut itoa::Buffer::new())?;
        return Ok(false);
    }
    let empty = hll::new();
    db.add(key, Entry::string(key.bytes, &NewStr::Raw(&empty), None));
    Ok(true)
}

/// The row of PFADD.
pub static PFADD: Command = Command {
    name: "pfadd",
    handler: pfadd,
    arity: -2,
    flags: flags("write denyoom fast"),
    acl: acl("hyperloglog"),
    keys: &[KeySpec::at(1, "RW insert")],
    group: Group::Hyperloglog,
    since: "2.8.9",
    complexity: "O(1) to add every element.",
    summary: "Lets a HyperLogLog see elements.",
    args: "key@0 [element...]",
    ..Command::DEFAULT
};

fn pfadd(ctx: &mut Ctx<'_>) -> Outcome {
    let (key, elements) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, config) = ctx.parts();
    let sparse_max = config.hll_sparse_max_bytes;
    let made = open(&mut db, key)?;
    let mut changes = i64::from(made);
    if let Some(mut e) = db.write_str(key)? {
        let bytes = e.string_vec();
        for element in elements.iter() {
            changes += i64::from(hll::add(bytes, element, sparse_max)?);
        }
        if changes > 0 {
            // Making the key is a change, too: the cached cardinality of an empty one does not count as known.
            hll::invalidate(bytes);
        }
    }
    if changes > 0 {
        db.modified(key.bytes, N::STRING, "pfadd", changes);
    }
    reply.int(i64::from(changes > 0));
    Ok(Flow::Done)
}

/// The row of PFCOUNT.
pub static PFCOUNT: Command = Command {
    name: "pfcount",
    handler: pfcount,
    arity: -2,
    flags: flags("readonly may_replicate"),
    acl: acl("hyperloglog"),
    keys: &[KeySpec::at(1, "RW access").range(-1, 1, 0).notes(
        "RW because it may change the internal representation of the key, and \
            propagate to replicas",
    )],
    group: Group::Hyperloglog,
    since: "2.8.9",
    complexity: "O(1) with a very small average constant time when called with a single key. \
        O(N) with N being the number of keys, and much bigger constant times, when called \
        with multiple keys.",
    summary: "Estimates how many different elements HyperLogLogs have seen.",
    args: "key@0...",
    ..Command::DEFAULT
};

fn pfcount(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 2 {
        return count_union(ctx);
    }
    let key = ctx.key(1);
    let (mut db, mut reply, _) = ctx.parts();
    let (count, fresh) = match db.read_str(key)? {
        None => (0, false),
        Some(e) => {
            let mut digits = itoa::Buffer::new();
            let bytes = checked(&e, &mut digits)?;
            match hll::cached(bytes) {
                Some(n) => (n, false),
                None => (hll::count(bytes)?, true),
            }
        }
    };
    if fresh {
        if let Some(mut e) = db.peek_mut(key) {
            hll::set_cached(e.string_vec(), count);
        }
        // The string's bytes changed, so it is a change to replicate, although there is no event.
        db.modified_quietly(key.bytes, 1);
    }
    reply.int(count as i64);
    Ok(Flow::Done)
}

fn count_union(ctx: &mut Ctx<'_>) -> Outcome {
    let keys = ctx.args.from(1);
    let (mut db, mut reply, _) = ctx.parts();
    let mut max = Box::new([0; REGISTERS]);
    for key in keys.iter() {
        merge_key(&mut db, Key::new(key), &mut max)?;
    }
    reply.int(hll::count_registers(&max) as i64);
    Ok(Flow::Done)
}

/// Raises `max` to the registers under a key, if there are any; whether they are dense.
fn merge_key(db: &mut DbView<'_>, key: Key<'_>, max: &mut Registers) -> Result<bool, Error> {
    let Some(e) = db.read_str(key)? else {
        return Ok(false);
    };
    let mut digits = itoa::Buffer::new();
    let bytes = checked(&e, &mut digits)?;
    hll::merge_into(max, bytes)?;
    Ok(!hll::is_sparse(bytes))
}

/// The row of PFMERGE.
pub static PFMERGE: Command = Command {
    name: "pfmerge",
    handler: pfmerge,
    arity: -2,
    flags: flags("write denyoom"),
    acl: acl("hyperloglog"),
    keys: &[
        KeySpec::at(1, "RW access insert"),
        KeySpec::at(2, "RO access").range(-1, 1, 0),
    ],
    group: Group::Hyperloglog,
    since: "2.8.9",
    complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
    summary: "Merges HyperLogLogs into one.",
    args: "destkey@0 [sourcekey@1...]",
    ..Command::DEFAULT
};

fn pfmerge(ctx: &mut Ctx<'_>) -> Outcome {
    let (to, keys) = (ctx.key(1), ctx.args.from(1));
    let (mut db, mut reply, config) = ctx.parts();
    let sparse_max = config.hll_sparse_max_bytes;
    let (mut max, mut dense) = (Box::new([0; REGISTERS]), false);
    for key in keys.iter() {
        dense |= merge_key(&mut db, Key::new(key), &mut max)?;
    }
    open(&mut db, to)?;
    if let Some(mut e) = db.write_str(to)? {
        let bytes = e.string_vec();
        if dense {
            hll::to_dense(bytes)?;
        }
        hll::store(bytes, &max, sparse_max)?;
    }
    db.modified(to.bytes, N::STRING, "pfadd", 1);
    reply.ok();
    Ok(Flow::Done)
}

/// The row of PFDEBUG.
pub static PFDEBUG: Command = Command {
    name: "pfdebug",
    handler: pfdebug,
    arity: 3,
    flags: flags("write denyoom admin"),
    acl: acl("hyperloglog"),
    keys: &[KeySpec::at(2, "RW access")],
    group: Group::Hyperloglog,
    since: "2.8.9",
    complexity: "N/A",
    summary: "Looks inside a HyperLogLog, for tests.",
    syscmd: true,
    args: "subcommand key@0",
    ..Command::DEFAULT
};

fn pfdebug(ctx: &mut Ctx<'_>) -> Outcome {
    let (what, key) = (ctx.arg(1), ctx.key(2));
    let is = |word: &str| what.eq_ignore_ascii_case(word.as_bytes());
    let (mut db, mut reply, _) = ctx.parts();
    let Some(mut e) = db.write_str(key)? else {
        return Err(Error::new("ERR The specified key does not exist"));
    };
    let sparse = hll::is_sparse(checked(&e, &mut itoa::Buffer::new())?);
    let mut converted = false;
    if is("GETREG") {
        let bytes = e.string_vec();
        converted = sparse;
        hll::to_dense(bytes)?;
        let registers = hll::registers(bytes)?;
        reply.array(REGISTERS);
        registers.iter().for_each(|r| reply.int(i64::from(*r)));
    } else if is("DECODE") {
        if !sparse {
            return Err(Error::new("ERR HLL encoding is not sparse"));
        }
        reply.bulk(hll::describe(e.string_vec())?.as_bytes());
    } else if is("ENCODING") {
        reply.simple(if sparse { "sparse" } else { "dense" });
    } else if is("TODENSE") {
        converted = sparse;
        hll::to_dense(e.string_vec())?;
        reply.int(i64::from(converted));
    } else {
        let mut text = b"ERR Unknown PFDEBUG subcommand '".to_vec();
        text.extend_from_slice(what);
        text.push(b'\'');
        return Err(Error::Bytes(text));
    }
    drop(e);
    if converted {
        db.modified_quietly(key.bytes, 1);
    }
    Ok(Flow::Done)
}

/// The row of PFSELFTEST.
pub static PFSELFTEST: Command = Command {
    name: "pfselftest",
    handler: pfselftest,
    arity: 1,
    flags: flags("admin"),
    acl: acl("hyperloglog"),
    group: Group::Hyperloglog,
    since: "2.8.9",
    complexity: "N/A",
    summary: "Tests the HyperLogLog code.",
    syscmd: true,
    ..Command::DEFAULT
};

fn pfselftest(ctx: &mut Ctx<'_>) -> Outcome {
    registers_hold()?;
    estimates_are_close()?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// Sets registers of a dense string to random values and reads all of them back, some times over.
fn registers_hold() -> Result<(), Error> {
    let mut rng = Rng::new(1);
    let mut bytes = hll::new();
    hll::to_dense(&mut bytes)?;
    let mut model = [0u8; REGISTERS];
    for _ in 0..20 {
        for _ in 0..REGISTERS / 4 {
            let (i, value) = (rng.below(REGISTERS), rng.below(64) as u8);
            hll::raise(&mut bytes, i, value, 0)?;
            model[i] = model[i].max(value);
        }
        let held = hll::registers(&bytes)?;
        if let Some(i) = (0..REGISTERS).find(|i| held[*i] != model[*i]) {
            return Err(Error::text(format!(
                "TESTFAILED Register {i} should be {} but is {}",
                model[i], held[i]
            )));
        }
    }
    Ok(())
}

/// Adds 100 000 elements to a sparse and a dense string: both must agree, and be off by less than five times the standard
/// error (1.04 / sqrt(16384)) at every power of ten.
fn estimates_are_close() -> Result<(), Error> {
    const MOST: u64 = 100_000;
    let (mut sparse, mut dense) = (hll::new(), hll::new());
    hll::to_dense(&mut dense)?;
    let mut next_check = 1;
    for n in 1..=MOST {
        let element = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        hll::add(&mut sparse, &element, 3000)?;
        hll::add(&mut dense, &element, 3000)?;
        if n != next_check {
            continue;
        }
        next_check *= 10;
        let (a, b) = (hll::count(&sparse)?, hll::count(&dense)?);
        // A few elements may share a register even among ten.
        let allowed = (n as f64 * 5.0 * 1.04 / 128.0).max(1.0);
        if a != b || (a as f64 - n as f64).abs() > allowed {
            return Err(Error::text(format!(
                "TESTFAILED {n} elements are estimated as {a} (sparse) and {b} (dense)"
            )));
        }
    }
    Ok(())
}
