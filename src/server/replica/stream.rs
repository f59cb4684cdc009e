//! The master's stream: a client whose commands run without replies and without the guards that clients meet.
//!
//! The bytes of the stream are the history. What was applied is counted, and goes byte for byte to our own backlog and to
//! sub-replicas, whose offsets are therefore the master's own. A transaction counts when its EXEC was run: who goes on behind
//! a broken link goes on at its MULTI.

use super::{Server, history};
use crate::client::{Client, ClientFlags, ClientRef};
use crate::config::values::PropagationError;
use crate::exec::blocking;
use crate::net::{Conn, Token};
use crate::repl::ReplId;
use crate::repl::handshake::push_command;
use crate::repl::link::{Cached, Stage};
use crate::resp::out::Mark;

/// Bytes of a reply shown in the log.
const SHOWN: usize = 200;

impl Server {
    /// The stream begins on `conn`: bytes in `rest` have come already. `db` is what it has selected.
    pub(super) fn begin_stream(&mut self, mut conn: Conn, rest: Vec<u8>, offset: i64, db: u32) {
        let _ = self.poller.remove_conn(&mut conn);
        if let Err(e) = conn.configure(self.config.repl_timeout) {
            log::debug!("Setting up the link to the master: {e}");
        }
        let id = self.clients.new_id();
        let mut client = Box::new(Client::new(id, conn, self.clock.now_s()));
        client.flags.insert(ClientFlags::MASTER);
        client.db = db;
        let link = &mut self.repl.link;
        (link.applied, link.read) = (offset, offset + rest.len() as i64);
        link.open_unit = Vec::new();
        link.inbox = Vec::new();
        client.query = rest;
        let h = self.clients.insert(client);
        self.repl.link.client = Some(h);
        self.repl.db = Some(db);
        self.link_is_up();
        let token = Token::Client {
            slot: h.slot,
            generation: h.generation,
        };
        let Some(mut client) = self.clients.take(h) else {
            return;
        };
        if let Err(e) = self.poller.add_conn(&mut client.conn, token) {
            log::warn!("Error registering fd event for the link to the master: {e}");
            self.close_soon(&mut client);
        }
        // What has come already is run at the end of the turn.
        blocking::go_on(self, &mut client);
        self.clients.put_back(client);
    }

    fn link_is_up(&mut self) {
        let now_s = self.clock.now_s();
        let link = &mut self.repl.link;
        link.stage = Stage::Connected;
        link.conn = None;
        link.up_since_s = now_s;
        if link.down_since_s > 0 {
            link.down_total_s += now_s - link.down_since_s;
        }
        link.down_since_s = 0;
    }

    /// The master goes on where we asked, perhaps under a new name of the history.
    pub(super) fn resume_stream(&mut self, id: Option<ReplId>) {
        self.handover_accepted();
        log::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        let link = &mut self.repl.link;
        let (Some(cached), Some(conn)) = (link.cached.take(), link.conn.take()) else {
            // It was not asked to.
            log::warn!("The master goes on with a stream that was not asked for");
            return self.cancel_attempt();
        };
        let rest = std::mem::take(&mut link.inbox);
        self.repl.link.old_master = false;
        if let Some(id) = id.filter(|id| *id != cached.id) {
            history::renamed_by_master(self, cached.id, id);
        }
        history::keep_backlog(self);
        self.begin_stream(conn, rest, cached.offset, cached.db);
    }

    /// Bytes were read off the stream.
    #[inline]
    pub fn note_stream_read(&mut self, n: usize) {
        self.repl.link.read += n as i64;
    }

    /// A command of the master was run: `bytes` is what it came as; its reply since `mark` is dropped. `client` is the
    /// master, out of the table.
    pub fn applied(&mut self, client: &mut Client, bytes: &[u8], mark: Mark) {
        self.drop_reply(client, mark);
        if client.has(ClientFlags::MULTI | ClientFlags::BLOCKED) {
            self.repl.link.open_unit.extend_from_slice(bytes);
            return;
        }
        if self.repl.link.open_unit.is_empty() {
            self.count_applied(bytes, client.db);
        } else {
            let mut unit = std::mem::take(&mut self.repl.link.open_unit);
            unit.extend_from_slice(bytes);
            self.count_applied(&unit, client.db);
        }
        if self.repl.link.ack_now {
            self.repl.link.ack_now = false;
            self.acknowledge(client);
        }
    }

    /// Nobody reads what the master's commands reply. An error is a sign that the two differ.
    fn drop_reply(&mut self, client: &mut Client, mark: Mark) {
        let said = client.out.since(mark);
        if said.first() == Some(&b'-') {
            let shown = &said[1..said.len().min(SHOWN)];
            let text = String::from_utf8_lossy(shown).trim_end().to_string();
            let name = client
                .last_command
                .map_or("<unknown>", |id| self.registry.row(id).name);
            self.replica_differs(&text, name);
        }
        client.out.truncate_to(mark);
    }

    #[cold]
    fn replica_differs(&mut self, error: &str, command: &str) {
        self.stats.unexpected_errors += 1;
        log::warn!(
            "== CRITICAL == This replica is sending an error to its master: '{error}' after processing the command '{command}'"
        );
        let panics = self.config.propagation_error_behavior != PropagationError::Ignore;
        // A writable replica differs because somebody wanted it to.
        if panics && self.config.replica_read_only {
            // What the operator asked for: better no data than wrong ones.
            log::error!(
                "This replica panicked sending an error to its master after processing the command '{command}'"
            );
            self.finish(1);
        }
    }

    fn count_applied(&mut self, bytes: &[u8], db: u32) {
        self.repl.link.applied += bytes.len() as i64;
        history::forward(self, bytes, db);
    }

    /// Tells the master how far we are; `client` is the master.
    fn acknowledge(&mut self, client: &mut Client) {
        if self.repl.link.old_master {
            return;
        }
        let applied = self.repl.link.applied.to_string();
        let mut out = Vec::new();
        let mut words = vec![b"REPLCONF".as_slice(), b"ACK", applied.as_bytes()];
        let synced = history::synced_offset(self).map(|at| at.to_string());
        if let Some(at) = &synced {
            words.extend([b"FACK".as_slice(), at.as_bytes()]);
        }
        push_command(&mut out, &words);
        client.out.push(&out);
        self.queue_write(client);
    }

    /// Tells the master how far we are, if there is one.
    pub(super) fn acknowledge_now(&mut self) {
        if let Some(h) = self.repl.link.client
            && let Some(mut client) = self.clients.take(h)
        {
            self.acknowledge(&mut client);
            self.clients.put_back(client);
        }
    }

    /// Ends the stream because another master is wanted, or none; where it stood is kept.
    pub(super) fn end_stream(&mut self) {
        if let Some(h) = self.repl.link.client
            && let Some(mut client) = self.clients.remove(h)
        {
            self.keep_master_state(&client);
            self.forget(&mut client);
        }
    }

    /// The connection of the client `gone` ended. When that was the master, where it stood is kept, and another connection is
    /// tried at once.
    pub fn master_is_gone(&mut self, gone: &Client) {
        if self.repl.link.client != Some(gone.handle) {
            return;
        }
        self.keep_master_state(gone);
        if self.is_replica() && self.shutdown.done().is_none() && !self.repl.link.failover {
            log::info!("Reconnecting to MASTER {}", self.master_name());
            self.connect_again();
        }
    }

    fn keep_master_state(&mut self, gone: &Client) {
        log::info!("Connection with master lost.");
        let now_s = self.clock.now_s();
        let id = self.repl.id;
        let link = &mut self.repl.link;
        link.client = None;
        link.stage = Stage::Connect;
        link.open_unit = Vec::new();
        link.down_since_s = now_s;
        link.attempts = 0;
        link.ack_now = false;
        // A stream that could not be understood is not worth going on with, nor one without offsets.
        let broken = gone.has(ClientFlags::CLOSE_AFTER_REPLY) || link.old_master;
        if !broken {
            log::info!("Caching the disconnected master state.");
            link.cached = Some(Cached {
                id,
                offset: link.applied,
                db: gone.db,
            });
        }
    }

    /// The client that is our master, if the stream flows.
    pub fn master_client(&self) -> Option<ClientRef> {
        self.repl.link.client
    }
}
