//! LCS: the longest common subsequence of two strings, its length, or where its runs are.

use crate::ds::lcs::{Lcs, lcs_len, too_large};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};

/// The row of LCS.
pub static LCS: Command = Command {
    name: "lcs",
    handler: lcs,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("string"),
    keys: &[KeySpec::at(1, "RO access").range(1, 1, 0)],
    group: Group::String,
    since: "7.0.0",
    complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
    summary: "Finds the longest subsequence two strings share.",
    args: "key1@0 key2@0 [LEN] [IDX] [MINMATCHLEN min-match-len:int] [WITHMATCHLEN]",
    ..Command::DEFAULT
};

/// What is asked for.
#[derive(Default)]
struct Request {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

fn parse(ctx: &Ctx<'_>) -> Result<Request, Error> {
    let mut r = Request::default();
    let mut i = 3;
    while i < ctx.args.len() {
        if ctx.is(i, "LEN") {
            r.len = true;
        } else if ctx.is(i, "IDX") {
            r.idx = true;
        } else if ctx.is(i, "WITHMATCHLEN") {
            r.with_match_len = true;
        } else if ctx.is(i, "MINMATCHLEN") && i + 1 < ctx.args.len() {
            r.min_match_len = usize::try_from(ctx.int(i + 1)?).unwrap_or(0);
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
        i += 1;
    }
    if r.len && r.idx {
        return Err(Error::new(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(r)
}

fn lcs(ctx: &mut Ctx<'_>) -> Outcome {
    // Both keys are looked at before the options.
    let (a, b) = (string_of(ctx, 1), string_of(ctx, 2));
    let (a, b) = (a?, b?);
    let r = parse(ctx)?;
    let limit = usize::try_from(ctx.server.config.proto_max_bulk_len).unwrap_or(usize::MAX);
    if too_large(a.len(), b.len(), limit) {
        return Err(Error::new(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let mut reply = ctx.reply();
    if r.len {
        reply.int(lcs_len(&a, &b) as i64);
    } else {
        let found = crate::ds::lcs::lcs(&a, &b, r.min_match_len);
        match r.idx {
            true => reply_matches(&mut reply, &found, r.with_match_len),
            false => reply.bulk(&found.text),
        }
    }
    Ok(Flow::Done)
}

/// The string at argument `i`; a missing key is an empty one.
fn string_of(ctx: &mut Ctx<'_>, i: usize) -> Result<Vec<u8>, Error> {
    let key = ctx.key(i);
    let found = ctx.db().string_copy(key);
    found
        .map(Option::unwrap_or_default)
        .map_err(|_| Error::new("ERR The specified keys must contain string values"))
}

fn reply_matches(reply: &mut Reply<'_>, found: &Lcs, with_len: bool) {
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(found.matches.len());
    for m in &found.matches {
        reply.array(2 + usize::from(with_len));
        for (start, end) in [(m.a_start, m.a_end), (m.b_start, m.b_end)] {
            reply.array(2);
            reply.int(start as i64);
            reply.int(end as i64);
        }
        if with_len {
            reply.int(m.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.int(found.text.len() as i64);
}
