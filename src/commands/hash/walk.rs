//! Walking through a hash bit by bit: HSCAN.

use super::{alive, reply_element};
use crate::commands::scan::{self, ScanOf, ScanOptions};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::types::hash::Hash;

/// The row of HSCAN.
pub static HSCAN: Command = Command {
    name: "hscan",
    handler: hscan,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("hash"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Hash,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
        calls for the cursor to return back to 0. N is the number of elements inside the \
        collection.",
    summary: "Walks through the fields of a hash bit by bit.",
    tips: &["nondeterministic_output"],
    args: "key@0 cursor:int [MATCH pattern:pattern] [COUNT count:int] [NOVALUES]",
    ..Command::DEFAULT
};

fn hscan(ctx: &mut Ctx<'_>) -> Outcome {
    let key = ctx.key(1);
    scan::cursor(ctx.arg(2))?;
    let there = ctx.db().read_value::<Hash>(key)?.is_some();
    if !there {
        // Options are not even looked at then.
        let mut reply = ctx.reply();
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Flow::Done);
    }
    let o = ScanOptions::parse(ctx, 2, ScanOf::Hash)?;
    let (mut db, mut reply, _) = ctx.parts();
    let due = db.fields_due();
    let Some(entry) = db.peek(key) else {
        return Ok(Flow::Done);
    };
    let Some(hash) = entry.value::<Hash>() else {
        return Ok(Flow::Done);
    };
    reply.array(2);
    let at = reply.begin();
    let mut found = 0;
    let next = hash.scan(o.cursor, o.count, &mut |name, f| {
        if alive(&f, due) && o.wants(name.to_bytes(&mut [0; I64_TEXT_MAX])) {
            reply_element(&mut reply, name);
            found += 1;
            if !o.no_values {
                reply_element(&mut reply, f.value);
                found += 1;
            }
        }
    });
    // The elements were written first: their header and the cursor go before them.
    reply.end_array(at, found);
    let digits = next.to_string();
    reply.insert(at, format!("${}\r\n{digits}\r\n", digits.len()).as_bytes());
    Ok(Flow::Done)
}
