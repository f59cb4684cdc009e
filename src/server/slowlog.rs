//! The slow log: the last commands that took at least `slowlog-log-slower-than` microseconds.

use super::redact;
use crate::exec::Ctx;
use crate::exec::command::CommandFlags;
use crate::resp::Args;
use std::collections::VecDeque;

/// Arguments kept per entry, and bytes per argument; the rest is told by a count.
const MAX_ARGS: usize = 32;
const MAX_ARG_LEN: usize = 128;

/// One slow command.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Unique number, growing.
    pub id: u64,
    /// When it ran, Unix seconds.
    pub at_s: i64,
    /// How long it took, us.
    pub micros: u64,
    /// Its arguments, cut short.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The log, newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    /// Entries, newest first.
    pub entries: VecDeque<Entry>,
    next_id: u64,
}

impl SlowLog {
    /// Drops entries beyond `max`.
    pub fn trim(&mut self, max: usize) {
        self.entries.truncate(max);
    }
}

/// Logs the command that just ran, unless its row forbids it.
#[cold]
pub fn note(ctx: &mut Ctx<'_>, micros: u64) {
    if ctx.command.flags.contains(CommandFlags::SKIP_SLOWLOG) {
        return;
    }
    let max = ctx.server.config.slowlog_max_len as usize;
    let entry = Entry {
        id: ctx.server.slowlog.next_id,
        at_s: ctx.server.clock.now_s(),
        micros,
        args: shorten(ctx.args, &redact::secrets(ctx.command.name, ctx.args)),
        addr: ctx.client.addr().to_string(),
        name: ctx.client.name.as_deref().unwrap_or_default().to_vec(),
    };
    ctx.server.slowlog.next_id += 1;
    ctx.server.slowlog.entries.push_front(entry);
    ctx.server.slowlog.trim(max);
}

fn shorten(args: Args<'_>, secrets: &[usize]) -> Vec<Vec<u8>> {
    let shown = if args.len() > MAX_ARGS {
        MAX_ARGS - 1
    } else {
        args.len()
    };
    let mut out: Vec<Vec<u8>> = args
        .iter()
        .take(shown)
        .enumerate()
        .map(|(i, arg)| {
            if secrets.contains(&i) {
                redact::MASK.to_vec()
            } else {
                shorten_arg(arg)
            }
        })
        .collect();
    if args.len() > shown {
        out.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    out
}

fn shorten_arg(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= MAX_ARG_LEN {
        return arg.to_vec();
    }
    let mut v = arg[..MAX_ARG_LEN].to_vec();
    v.extend_from_slice(format!("... ({} more bytes)", arg.len() - MAX_ARG_LEN).as_bytes());
    v
}
