//! Running one command: the function, then a fixed sequence of steps. What nobody listens to costs a branch.

use super::command::CommandFlags;
use super::{Ctx, Flow, blocking, effects, propagate, role};
use crate::client::{Client, ClientFlags, CommandId};
use crate::observe::Event;
use crate::resp::Error;
use crate::resp::out::Mark;
use crate::server::ServerState;
use crate::sys::crash::Running;
use hdrhistogram::Histogram;

/// What is counted per command (INFO commandstats and latencystats, LATENCY HISTOGRAM).
#[derive(Debug, Clone, Default)]
pub struct CommandStat {
    /// Times it ran.
    pub calls: u64,
    /// Time it took in all, ns.
    pub nanos: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and replied an error.
    pub failed: u64,
    /// Distribution of its run time in ns, when `latency-tracking` is on.
    pub latency: Option<Box<Histogram<u64>>>,
}

impl CommandStat {
    /// Counts one run.
    #[inline]
    fn ran(&mut self, nanos: u64, tracking: bool) {
        self.calls += 1;
        self.nanos += nanos;
        if tracking {
            self.record(nanos);
        }
    }

    fn record(&mut self, nanos: u64) {
        // Upstream's bounds: 1 ns to 1 s, two significant digits.
        let h = self.latency.get_or_insert_with(|| {
            Box::new(
                Histogram::new_with_bounds(1, 1_000_000_000, 2)
                    .unwrap_or_else(|_| unreachable!("constant bounds are valid")),
            )
        });
        h.saturating_record(nanos.max(1));
    }
}

/// Runs the command of `ctx` (its id is `id`) and acts on what it left behind.
pub fn call(ctx: &mut Ctx<'_>, id: CommandId) {
    let dirty = ctx.server.ks.fx.dirty;
    let start = ctx.server.clock.mono_ns;
    if ctx.server.state.contains(ServerState::REPLICA) {
        role::begin(ctx);
    }
    let outcome = {
        let running = Running::new(ctx.command.name, std::ptr::from_ref(ctx));
        let _entered = running.enter();
        (ctx.command.handler)(ctx)
    };
    if ctx.server.state.contains(ServerState::REPLICA) {
        role::end(ctx);
    }
    let mut failed = false;
    let mut block = None;
    match outcome {
        Ok(Flow::Done) => {}
        Ok(Flow::Block(on)) => block = Some(on),
        Err(e) => {
            failed = true;
            if !matches!(e, Error::Counted(_)) {
                ctx.server.errors.count(e.code());
            }
            ctx.reply().error(&e);
        }
    }
    let end = ctx.server.clock.tick();
    let nanos = end - start;
    if let Some(on) = block {
        // Counted when it ends.
        blocking::park(ctx, id, *on, nanos);
    } else {
        let s = &mut *ctx.server;
        s.stats.commands += 1;
        ctx.client.commands += 1;
        let stat = &mut s.command_stats[id.index()];
        stat.ran(nanos, s.config.latency_tracking);
        stat.failed += u64::from(failed);
        let slow = s.config.slowlog_log_slower_than;
        if slow >= 0 && nanos / 1000 >= slow as u64 {
            crate::server::slowlog::note(ctx, nanos / 1000);
        }
        let s = &mut *ctx.server;
        if s.stages.on {
            s.stages.ran(id, start, end);
        }
        if s.latency.on() {
            let fast = ctx.command.flags.contains(CommandFlags::FAST);
            let event = if fast {
                Event::FastCommand
            } else {
                Event::Command
            };
            s.latency.note(event, nanos / 1_000_000, s.clock.now_s());
            s.note_expired_deletion();
        }
    }
    // A save sets the count back: that is no change.
    let changed = ctx.server.ks.fx.dirty > dirty;
    if changed || ctx.server.ks.fx.pending() {
        propagate::after_call(ctx, changed);
        effects::deliver(ctx.server, ctx.client);
    }
    if ctx.client.has(ClientFlags::TRACKING) {
        crate::server::tracked::after_call(ctx);
    }
    if ctx.server.state.contains(ServerState::MONITORED) {
        crate::server::monitor::after_call(ctx);
    }
}

/// Before a command of a special client: CLIENT REPLY SKIP counts for it. Give what this returns to [`mute_end`].
pub fn mute_begin(client: &mut Client) -> Mark {
    if client.has(ClientFlags::REPLY_SKIP_NEXT) {
        client.flags.remove(ClientFlags::REPLY_SKIP_NEXT);
        client.flags.insert(ClientFlags::REPLY_SKIP);
    }
    client.out.mark()
}

/// After it: whatever it replied, refusals as well, is dropped under CLIENT REPLY OFF and SKIP.
pub fn mute_end(client: &mut Client, mark: Mark) {
    // CLIENT REPLY itself may just have switched replies on, which it confirms.
    if client.has(ClientFlags::REPLY_OFF | ClientFlags::REPLY_SKIP) {
        client.out.truncate_to(mark);
    }
    client.flags.remove(ClientFlags::REPLY_SKIP);
}
