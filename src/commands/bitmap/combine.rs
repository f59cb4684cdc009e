//! Combining strings bit by bit: BITOP.

use crate::config::values::NotifyFlags as N;
use crate::ds::bits::{self, BitOp};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key, NewStr, Type};
use crate::resp::{Args, Error};
use crate::resp::{args::BIG_ARG, is_word};
use std::sync::Arc;

fn operation(text: &[u8]) -> Result<BitOp, Error> {
    [
        ("AND", BitOp::And),
        ("OR", BitOp::Or),
        ("XOR", BitOp::Xor),
        ("NOT", BitOp::Not),
        ("DIFF", BitOp::Diff),
        ("DIFF1", BitOp::Diff1),
        ("ANDOR", BitOp::AndOr),
        ("ONE", BitOp::One),
    ]
    .into_iter()
    .find(|(word, _)| is_word(text, word.as_bytes()))
    .map(|(_, op)| op)
    .ok_or(Error::Syntax)
}

/// Refuses the wrong number of source keys.
fn check_sources(op: BitOp, n: usize) -> Result<(), Error> {
    let name = match op {
        BitOp::Not if n != 1 => {
            return Err(Error::new(
                "ERR BITOP NOT must be called with a single source key.",
            ));
        }
        BitOp::Diff => "DIFF",
        BitOp::Diff1 => "DIFF1",
        BitOp::AndOr => "ANDOR",
        _ => return Ok(()),
    };
    if n < 2 {
        return Err(Error::text(format!(
            "ERR BITOP {name} must be called with at least two source keys."
        )));
    }
    Ok(())
}

/// The row of BITOP.
pub static BITOP: Command = Command {
    name: "bitop",
    handler: bitop,
    arity: -4,
    flags: flags("write denyoom"),
    acl: acl("bitmap"),
    keys: &[
        KeySpec::at(2, "OW update"),
        KeySpec::at(3, "RO access").range(-1, 1, 0),
    ],
    group: Group::Bitmap,
    since: "2.6.0",
    complexity: "O(N)",
    summary: "Combines strings bit by bit and stores the outcome.",
    args: "operation(AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE) destkey@0 key@1...",
    ..Command::DEFAULT
};

fn bitop(ctx: &mut Ctx<'_>) -> Outcome {
    let op = operation(ctx.arg(1))?;
    let (to, sources) = (Key::new(ctx.arg(2)), ctx.args.from(3));
    check_sources(op, sources.len())?;
    let (mut db, mut reply, _) = ctx.parts();
    let mut live = Vec::with_capacity(sources.len());
    for key in sources.iter() {
        live.push(match db.read(Key::new(key)).map(|e| e.ty()) {
            None => false,
            Some(Type::String) => true,
            Some(_) => return Err(Error::WrongType),
        });
    }
    let room = room_of_result(&mut db, to, sources);
    let result = combined(op, &db, sources, &live, room);
    let len = result.len();
    if len == 0 {
        if db.delete(to, db.config.lazyfree_lazy_server_del) {
            db.modified(to.bytes, N::GENERIC, "del", 1);
        }
    } else {
        if len >= BIG_ARG {
            db.set_str(to, &NewStr::Share(Arc::new(result)), None);
        } else {
            db.set_str(to, &NewStr::Raw(&result), None);
        }
        db.modified(to.bytes, N::STRING, "set", 1);
    }
    reply.int(len as i64);
    Ok(Flow::Done)
}

/// The memory of the string that the result will replace, if it is not among the sources and no reply holds it. From here on
/// nothing can fail before the result is stored.
fn room_of_result(db: &mut DbView<'_>, to: Key<'_>, sources: Args<'_>) -> Vec<u8> {
    if sources.iter().any(|key| key == to.bytes) {
        return Vec::new();
    }
    let entry = db.write_str(to);
    let room = entry.ok().flatten().and_then(|mut e| e.take_string_room());
    room.unwrap_or_default()
}

/// Combines the strings where they lie; a key that is not there (`live`) is an empty one.
fn combined(
    op: BitOp,
    db: &DbView<'_>,
    sources: Args<'_>,
    live: &[bool],
    room: Vec<u8>,
) -> Vec<u8> {
    let entries: Vec<_> = sources
        .iter()
        .zip(live)
        .map(|(bytes, live)| {
            let key = Key::new(bytes);
            live.then(|| db.db.keys.find(key.hash, key.bytes)).flatten()
        })
        .collect();
    let mut digits = vec![itoa::Buffer::new(); entries.len()];
    let inputs: Vec<&[u8]> = entries
        .iter()
        .zip(&mut digits)
        .map(|(e, digits)| match e.as_ref().and_then(|e| e.str()) {
            Some(s) => s.bytes(digits),
            None => b"",
        })
        .collect();
    bits::combine(op, &inputs, room)
}
