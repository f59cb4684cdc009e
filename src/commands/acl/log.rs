//! ACL LOG.

use crate::acl::log::Entry;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::Reply;

/// Entries shown when no number is given.
const SHOWN: usize = 10;

/// The row of ACL LOG.
pub(super) static ACL_LOG: Command = Command {
    name: "acl|log",
    handler: acl_log,
    arity: -2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N) with N being the number of entries shown.",
    summary: "Lists what was denied lately.",
    args: "[operation(count:int | RESET)]",
    ..Command::DEFAULT
};

fn acl_log(ctx: &mut Ctx<'_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(ctx.wrong_subcommand());
    }
    let count = if ctx.args.len() == 2 {
        SHOWN
    } else if ctx.is(2, "reset") {
        ctx.server.acl.log.reset();
        ctx.reply().ok();
        return Ok(Flow::Done);
    } else {
        usize::try_from(ctx.int(2)?).unwrap_or(0)
    };
    let now_ms = ctx.now_ms();
    let old_form = ctx.server.config.compat_before(7, 2);
    let mut reply = Reply::new(&mut ctx.client.out, ctx.client.proto);
    let entries = ctx.server.acl.log.entries();
    reply.array(count.min(entries.len()));
    entries
        .take(count)
        .for_each(|e| show(e, now_ms, old_form, &mut reply));
    Ok(Flow::Done)
}

/// Entries had no numbers and times before 7.2.
fn show(e: &Entry, now_ms: i64, old_form: bool, r: &mut Reply<'_>) {
    r.map(if old_form { 7 } else { 10 });
    r.bulk(b"count");
    r.int(e.count as i64);
    for (name, value) in [
        ("reason", e.event.reason.name().as_bytes()),
        ("context", e.event.context.name().as_bytes()),
        ("object", &e.event.object),
        ("username", &e.event.username),
    ] {
        r.bulk(name.as_bytes());
        r.bulk(value);
    }
    r.bulk(b"age-seconds");
    r.double((now_ms - e.updated_ms) as f64 / 1000.0);
    r.bulk(b"client-info");
    r.bulk(&e.client_info);
    if !old_form {
        for (name, value) in [
            ("entry-id", e.id as i64),
            ("timestamp-created", e.created_ms),
            ("timestamp-last-updated", e.updated_ms),
        ] {
            r.bulk(name.as_bytes());
            r.int(value);
        }
    }
}
