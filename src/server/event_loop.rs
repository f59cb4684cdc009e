//! The loop: wait, serve what is ready, write, close.

use super::input::{self, Scratch};
use super::{Server, ServerState, master, metrics_http, replica, saving};
use crate::client::{Client, ClientRef};
use crate::exec::{blocking, pause};
use crate::net::{Readiness, Token};
use crate::sys::clock::mono_ns;
use std::time::Duration;

impl Server {
    /// Runs until a shutdown is done. Returns the process' exit code.
    pub fn run(&mut self) -> i32 {
        let mut scratch = Scratch::default();
        let mut batch = Vec::new();
        let mut next_cron_ms = self.clock.now_ms;
        let mut woke_ns = self.clock.mono_ns;
        loop {
            if let Some(code) = self.shutdown.done() {
                return code;
            }
            let timeout = self.wait_time(next_cron_ms);
            if !timeout.is_zero() {
                self.rest(woke_ns, timeout);
            }
            batch.clear();
            if let Err(e) = self.poller.wait(Some(timeout), &mut batch) {
                log::error!("Waiting for events failed: {e}");
                return 1;
            }
            self.clock.resync();
            woke_ns = self.clock.mono_ns;
            self.stages.woke(woke_ns);
            self.serve(&batch, &mut scratch);
            if self.clock.now_ms >= next_cron_ms {
                self.cron();
                next_cron_ms = self.clock.now_ms + 1000 / i64::from(self.config.hz.max(1));
            }
            self.gather(&mut scratch);
            self.before_sleep(&mut scratch);
            self.note_turn(woke_ns);
        }
    }

    /// Counts a turn and the time it took without waiting.
    fn note_turn(&mut self, woke_ns: u64) {
        let took_us = (self.clock.tick() - woke_ns) / 1000;
        self.stats.loops += 1;
        self.stats.loops_us += took_us;
        self.stats.loop_max_us = self.stats.loop_max_us.max(took_us);
    }

    /// Lets more clients come before the next turn, when many are at work and nothing is due sooner. The turn before began at
    /// `woke_ns`.
    fn rest(&mut self, woke_ns: u64, due_in: Duration) {
        let max_us = self.config.wakeup_coalescing_us;
        if let Some(rest) = self.wakeups.rest(woke_ns, self.clock.mono_ns, max_us) {
            std::thread::sleep(rest.min(due_in));
        }
    }

    /// How long to wait: not at all while there is work, else until cron or the first deadline.
    fn wait_time(&self, next_cron_ms: i64) -> Duration {
        let q = &self.queues;
        if !(q.read.is_empty() && q.accept.is_empty() && q.resumed.is_empty())
            || self.eviction.unfinished
            || q.link
            || self.repl.link.again
            || self.master.pipe.as_ref().is_some_and(|p| p.more)
            || self.master.more
        {
            return Duration::ZERO;
        }
        let first = q
            .deadlines
            .first()
            .map_or(i64::MAX, |d| d.0)
            .min(self.pause.next_end_ms())
            .min(next_cron_ms)
            .min(self.failover_deadline_ms())
            .min(self.next_expiry_ms().unwrap_or(i64::MAX));
        let mut wait = Duration::from_millis((first - self.clock.now_ms).max(0) as u64);
        if let Some(at) = self.next_defrag_ns() {
            wait = wait.min(Duration::from_nanos(at.saturating_sub(mono_ns())));
        }
        match self.fanout_due_in(self.clock.mono_ns) {
            None => wait,
            Some(due) => wait.min(due),
        }
    }

    /// Serves what is ready, what an outer turn has not come to included.
    pub(super) fn serve(&mut self, batch: &[Readiness], scratch: &mut Scratch) {
        self.queues.arrived.extend(batch);
        if self.queues.link && !self.scripts.running() {
            self.queues.link = false;
            self.serve_link();
        }
        // Those left over from the last turn come first, then what is ready now.
        for _ in 0..self.queues.read.len() {
            let Some(h) = self.queues.read.pop_front() else {
                break;
            };
            if self.shutdown.done().is_some() {
                return;
            }
            input::on_readable(self, h, scratch);
            self.close_between();
        }
        if self.repl.link.again {
            self.serve_link();
        }
        for i in std::mem::take(&mut self.queues.accept) {
            self.accept_some(i);
        }
        while let Some(r) = self.queues.arrived.pop_front() {
            // After a shutdown nobody may be told of changes that no file holds.
            if self.shutdown.done().is_some() {
                return;
            }
            match r.token {
                Token::Client { slot, generation } => {
                    self.serve_client(ClientRef { slot, generation }, &r, scratch);
                    self.close_between();
                }
                Token::Listener(i) if i >= metrics_http::FIRST => self.accept_visitors(i),
                Token::Listener(i) => self.accept_some(i),
                Token::Other(saving::CHILD_PIPE) => self.check_child(),
                // The master's commands wait for the script that runs.
                Token::Other(replica::MASTER_LINK) if self.scripts.running() => {
                    self.queues.link = true;
                }
                Token::Other(replica::MASTER_LINK) => self.serve_link(),
                // Read at the end of the turn.
                Token::Other(master::transfer::SYNC_PIPE) => {}
                Token::Other(n) if n >= metrics_http::FIRST => self.serve_visitor(n, &r),
                Token::Wake | Token::Other(_) => {}
            }
        }
    }

    /// Between two clients: the next one must not meet who was to go, CLIENT LIST would show it.
    #[inline]
    fn close_between(&mut self) {
        if !self.queues.close.is_empty() {
            self.close_marked();
        }
    }

    fn serve_client(&mut self, h: ClientRef, r: &Readiness, scratch: &mut Scratch) {
        use crate::client::ClientFlags as F;
        if self.clients.get(h).is_none() && self.clients.contains(h) {
            // It is the running client, which waits for this nested turn: the event will not come again, so it is kept.
            self.queues.read.extend(r.readable.then_some(h));
            // A second read finds the end behind what the first one brings.
            self.queues.read.extend(r.ended.then_some(h));
            self.queues.write.extend(r.writable.then_some(h));
            return;
        }
        if r.ended
            && let Some(client) = self.clients.get_mut(h)
        {
            client.flags.insert(F::ENDED);
        }
        let waits = |c: &Client| c.has(F::WRITE_BLOCKED) || c.conn.wants_write();
        if r.writable && self.clients.get(h).is_some_and(waits) {
            if self.replies_wait_for_sync() {
                // Behind what waits there may be replies to changes of this very turn.
                self.queues.write.push(h);
            } else {
                self.write_client(h);
            }
        }
        // On the ready list already: its turn comes.
        if r.readable && self.clients.get(h).is_some_and(|c| !c.has(F::READ_QUEUED)) {
            input::on_readable(self, h, scratch);
        }
    }

    /// The end of a turn: deadlines and pauses end, unparked clients go on, replies are written, marked clients closed.
    pub(super) fn before_sleep(&mut self, scratch: &mut Scratch) {
        if self.shutdown.done().is_none() {
            self.go_on(scratch);
        }
        self.evict_clients();
        self.tend_replicas();
        self.commit_turn();
        // Who was to go is gone before anybody reads a reply that says so.
        self.close_marked();
        self.write_pending();
        self.replies_written();
        self.pump_pipe();
        self.close_marked();
    }

    /// Lets those go on who waited.
    fn go_on(&mut self, scratch: &mut Scratch) {
        pause::end_due(self);
        let loading = self.state.contains(ServerState::LOADING);
        if !loading {
            self.expire_slice();
            self.evict_more();
        }
        self.defrag_slice();
        blocking::expire_deadlines(self);
        self.finish_flushes();
        // While data are loaded nobody may take any of them.
        if !loading && !self.ks.fx.ready.is_empty() {
            // Keys that changed outside of any command: expiry, loading.
            blocking::serve_ready(self, None);
        }
        for h in std::mem::take(&mut self.queues.resumed) {
            input::resume(self, h, scratch);
        }
        super::tracked::broadcast(self);
        self.evict_clients();
    }
}
