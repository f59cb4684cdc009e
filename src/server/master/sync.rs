//! SYNC and PSYNC, and the snapshots that replicas wait for.
//!
//! A replica whose history we know goes on where it stopped. Any other waits for a snapshot: of a child that writes the file
//! (`repl-diskless-sync no`, or a replica that cannot take a snapshot of unknown length), which is then sent to each, or of a
//! child that writes into a pipe, from which it goes to all at once. A snapshot for the pipe waits a while for more replicas to
//! come (`repl-diskless-sync-delay`, `-max-replicas`). Replicas that come while a file is being written join those that wait for
//! it, from their place in the stream on.
//!
//! Snapshots begin at the end of a turn (`master.look`) or in cron, never within a command.

use super::{ReplicaStage, Server, name_of};
use crate::client::replica::{Bulk, Capa, RdbFilter};
use crate::client::{Client, ClientFlags, ClientRef};
use crate::exec::propagate;
use crate::repl::ReplId;
use crate::resp::{Error, OwnedArgs};
use crate::server::ServerState;
use std::fs::File;

impl Server {
    /// Why a client may not synchronize with us now, if so.
    pub fn may_synchronize(&self, client: &Client) -> Result<(), Error> {
        if self.failover_under_way() {
            return Err(Error::new("NOMASTERLINK Can't SYNC while failing over"));
        }
        if self.is_replica() && !self.repl.link.is_up() {
            return Err(Error::new(
                "NOMASTERLINK Can't SYNC while not connected with my master",
            ));
        }
        if !client.out.is_empty() {
            return Err(Error::new(
                "ERR SYNC and PSYNC are invalid with pending output",
            ));
        }
        let asked = client.replica.as_ref();
        if asked.is_some_and(|r| !r.filter.is_empty() && !r.capa.contains(Capa::EOF)) {
            return Err(Error::new("ERR Filtered replica requires EOF capability"));
        }
        Ok(())
    }

    /// Goes on with the stream from byte `next` on, if the client's history `id` is ours and we still have that byte.
    pub fn go_on_with(&mut self, client: &mut Client, id: &[u8], next: i64) -> bool {
        if !self.knows_history(client, id, next) {
            return false;
        }
        let Some(cursor) = self.repl.backlog.as_mut().and_then(|h| h.cursor_at(next)) else {
            return false;
        };
        self.add_replica(client);
        let replica = client.replica_mut();
        replica.stage = ReplicaStage::Online;
        replica.streaming = true;
        replica.cursor = Some(cursor);
        let new_style = replica.capa.contains(Capa::PSYNC2);
        let answer = if new_style {
            format!("+CONTINUE {}\r\n", self.repl.id)
        } else {
            "+CONTINUE\r\n".into()
        };
        client.out.push(answer.as_bytes());
        log::info!(
            "Partial resynchronization request from {} accepted. Sending {} bytes of backlog starting from offset {next}.",
            name_of(client),
            self.repl.offset + 1 - next
        );
        self.master.sync_partial_ok += 1;
        self.master.recount = true;
        true
    }

    fn knows_history(&self, client: &Client, id: &[u8], next: i64) -> bool {
        let repl = &self.repl;
        let who = || name_of(client);
        let asked = ReplId::parse(&id.to_ascii_lowercase());
        if asked != Some(repl.id) && (asked != Some(repl.id2) || next > repl.second_offset) {
            if id.first() == Some(&b'?') {
                log::info!("Full resync requested by replica {}", who());
            } else if asked != Some(repl.id2) {
                log::info!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{}', my replication IDs are '{}' and '{}')",
                    String::from_utf8_lossy(id),
                    repl.id,
                    repl.id2
                );
            } else {
                log::info!(
                    "Partial resynchronization not accepted: Requested offset for second ID was {next}, but I can reply up to {}",
                    repl.second_offset
                );
            }
            return false;
        }
        let kept = repl.backlog.as_ref().is_some_and(|h| h.holds(next));
        if !kept {
            log::info!(
                "Unable to partial resync with replica {} for lack of backlog (Replica request was: {next}).",
                who()
            );
            if next > repl.offset {
                log::warn!(
                    "Warning: replica {} tried to PSYNC with an offset that is greater than the master replication offset.",
                    who()
                );
            }
        }
        kept
    }

    /// Makes the client wait for a snapshot.
    pub fn wait_for_snapshot(&mut self, client: &mut Client) {
        self.master.sync_full += 1;
        if self.config.repl_disable_tcp_nodelay {
            client.conn.set_nodelay(false);
        }
        self.add_replica(client);
        client.replica_mut().stage = ReplicaStage::WaitStart;
        if self.repl.replicas.len() == 1 && self.repl.backlog.is_none() {
            // What was written without a backlog is in nobody's history.
            self.repl.new_id();
            self.make_backlog();
            log::info!(
                "Replication backlog created, my new replication IDs are '{}' and '{}'",
                self.repl.id,
                self.repl.id2
            );
        }
        if self.persist.rdb_child() {
            self.join_snapshot(client);
        } else if self.persist.child.is_some() {
            log::info!(
                "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed"
            );
        } else if self.goes_by_pipe(client.replica_mut().capa)
            && self.config.repl_diskless_sync_delay > 0
        {
            log::info!("Delay next BGSAVE for diskless SYNC");
        }
        self.master.look = true;
    }

    /// A file is being written for others: whoever can take what they asked for may wait for it too.
    fn join_snapshot(&mut self, client: &mut Client) {
        if self.master.pipe.is_some() {
            return log::info!(
                "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC"
            );
        }
        let own = client.replica_mut();
        let (capa, filter) = (own.capa, own.filter);
        let other = self.repl.replicas.iter().find_map(|h| {
            let r = self.clients.get(*h)?.replica.as_ref()?;
            let fits = r.stage == ReplicaStage::WaitEnd
                && !r.by_pipe
                && capa.contains(r.capa)
                && filter == r.filter;
            (fits && r.cursor.is_some()).then_some(*h)
        });
        let place = other
            .and_then(|h| self.clients.get(h))
            .and_then(|c| c.replica.as_ref());
        let history = self.repl.backlog.as_mut();
        let (Some(other), Some(history)) = (place, history) else {
            return log::info!(
                "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC"
            );
        };
        let cursor = other.cursor.as_ref().map(|c| history.copy_of(c));
        let offset = other.snapshot_offset;
        client.replica_mut().cursor = cursor;
        self.begin_full_resync(client, offset);
        log::info!("Waiting for end of BGSAVE for SYNC");
    }

    /// The snapshot of this client begins, or began, at `offset`.
    fn begin_full_resync(&mut self, client: &mut Client, offset: i64) {
        let replica = client.replica_mut();
        replica.stage = ReplicaStage::WaitEnd;
        replica.snapshot_offset = offset;
        if !replica.pre_psync {
            let answer = format!("+FULLRESYNC {} {offset}\r\n", self.repl.id);
            client.out.push(answer.as_bytes());
            self.queue_write(client);
        }
    }

    /// At start-up, behind loading: replicas that followed the server that wrote the file may go on with us. What expired since is
    /// deleted for them, too.
    pub fn start_as_master(&mut self) {
        let dropped = std::mem::take(&mut self.persist.loaded_dropped);
        let said = &self.persist.loaded_history;
        let id = said
            .id
            .as_deref()
            .map(str::as_bytes)
            .and_then(ReplId::parse);
        let (Some(id), Some(offset)) = (id, said.offset) else {
            return;
        };
        if self.is_replica() {
            return;
        }
        self.repl.offset = offset;
        (self.repl.id2, self.repl.second_offset) = (id, offset + 1);
        self.repl.lonely_since_s = self.clock.now_s();
        self.make_backlog();
        for (db, key) in dropped {
            let deletion = OwnedArgs::from_iter([b"DEL".as_slice(), &key]);
            self.repl.feed(Some(db), deletion.view());
        }
    }

    /// Makes the backlog, if there is none: from now on writes are fed to it.
    pub fn make_backlog(&mut self) {
        self.repl.make_backlog(self.config.repl_backlog_size);
        propagate::refresh_listening(self);
    }

    fn goes_by_pipe(&self, capa: Capa) -> bool {
        self.config.repl_diskless_sync && capa.contains(Capa::EOF)
    }

    // ---- snapshots ----

    /// What a snapshot made now says of the history it is a part of.
    pub(in crate::server) fn history_of_snapshot(&self) -> Option<(String, i64, u32)> {
        let repl = &self.repl;
        let db = repl.db.unwrap_or(0);
        let known = repl.backlog.is_some();
        known.then(|| (repl.id.to_string(), repl.offset, db))
    }

    /// Begins the snapshot that replicas wait for, if it is time.
    pub(in crate::server) fn begin_due_snapshot(&mut self) {
        if self.propagation.in_unit() {
            // A nested turn, within a script: half of what it does is in the data and nothing of it in the stream.
            self.master.look = true;
            return;
        }
        if self.persist.child.is_some() || self.state.contains(ServerState::LOADING) {
            return;
        }
        let Some((who, capa, filter)) = self.those_waiting() else {
            return;
        };
        let by_pipe =
            capa.contains(Capa::EOF) && (self.config.repl_diskless_sync || !filter.is_empty());
        if by_pipe && !self.waited_enough(&who) {
            return;
        }
        self.begin_snapshot(&who, by_pipe, filter);
    }

    /// Who waits for a snapshot to begin: those who want the same as the first of them, and what all of them can do.
    fn those_waiting(&self) -> Option<(Vec<ClientRef>, Capa, RdbFilter)> {
        let all = self.replicas_in(|s| s == ReplicaStage::WaitStart);
        let state = |h: &ClientRef| self.clients.get(*h).and_then(|c| c.replica.as_deref());
        let filter = state(all.first()?)?.filter;
        let same: Vec<ClientRef> = all
            .into_iter()
            .filter(|h| state(h).is_some_and(|r| r.filter == filter))
            .collect();
        let capas = same.iter().filter_map(state).map(|r| r.capa);
        let capa = capas.reduce(|a, b| a & b)?;
        Some((same, capa, filter))
    }

    fn waited_enough(&self, who: &[ClientRef]) -> bool {
        let c = &self.config;
        let enough = c.repl_diskless_sync_max_replicas;
        if enough > 0 && who.len() >= enough as usize {
            return true;
        }
        let now_s = self.clock.now_s();
        let idle = |h: &ClientRef| self.clients.get(*h).map(|c| now_s - c.last_interaction_s);
        let longest = who.iter().filter_map(idle).max().unwrap_or(0);
        longest >= i64::from(c.repl_diskless_sync_delay)
    }

    fn begin_snapshot(&mut self, who: &[ClientRef], by_pipe: bool, filter: RdbFilter) {
        let target = if by_pipe { "replicas sockets" } else { "disk" };
        log::info!("Starting BGSAVE for SYNC with target: {target}");
        // A replica's stream has its master's SELECTs, which are not ours to repeat: the snapshot names the database.
        if !self.is_replica() {
            self.repl.db = None;
        }
        let begun = if by_pipe {
            self.save_to_replicas(who, filter)
        } else {
            self.save_in_background()
        };
        if !begun {
            log::warn!("BGSAVE for replication failed");
            return self.refuse(who);
        }
        let offset = self.repl.offset;
        for h in who {
            let Some(mut client) = self.clients.take(*h) else {
                continue;
            };
            let replica = client.replica_mut();
            replica.by_pipe = by_pipe;
            if let Some(history) = &mut self.repl.backlog {
                replica.cursor = Some(history.cursor_at_end());
            }
            self.begin_full_resync(&mut client, offset);
            self.clients.put_back(client);
        }
    }

    fn refuse(&mut self, who: &[ClientRef]) {
        for h in who {
            let Some(mut client) = self.clients.take(*h) else {
                continue;
            };
            self.forget_replica(&mut client);
            client
                .reply()
                .error_bytes(b"ERR BGSAVE failed, replication can't continue");
            client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
            self.queue_write(&mut client);
            self.clients.put_back(client);
        }
    }

    /// A child that wrote the file has ended: those who wait for it get it.
    pub(in crate::server) fn snapshot_file_ended(&mut self, good: bool) {
        let path = self.config.dbfilename.as_path().to_owned();
        for h in self.replicas_in(|s| s == ReplicaStage::WaitEnd) {
            let Some(mut client) = self.clients.take(h) else {
                continue;
            };
            let opened = File::open(&path).and_then(|f| Ok((f.metadata()?.len(), f)));
            match opened {
                _ if !good => {
                    log::warn!("SYNC failed. BGSAVE child returned an error");
                    self.close_soon(&mut client);
                }
                Err(e) => {
                    log::warn!("SYNC failed. Can't open/stat DB after BGSAVE: {e}");
                    self.close_soon(&mut client);
                }
                Ok((len, file)) => {
                    let replica = client.replica_mut();
                    replica.stage = ReplicaStage::SendBulk;
                    replica.bulk = Some(Bulk { file, len, read: 0 });
                    client.out.push(format!("${len}\r\n").as_bytes());
                    self.queue_write(&mut client);
                }
            }
            self.clients.put_back(client);
        }
        self.master.look = true;
    }

    /// A child that wrote into the pipe has ended.
    pub(in crate::server) fn snapshot_pipe_ended(&mut self, good: bool) {
        let complete = self.master.pipe.take().is_some_and(|p| self.close_pipe(p));
        for h in self.replicas_in(|s| s == ReplicaStage::WaitEnd) {
            let Some(mut client) = self.clients.take(h) else {
                continue;
            };
            if good && complete {
                log::info!(
                    "Streamed replica with replica {} succeeded (socket). Waiting for REPLCONF ACK from replica to enable streaming",
                    name_of(&client)
                );
                client.replica_mut().by_pipe = false;
                self.put_online(&mut client);
            } else {
                self.close_soon(&mut client);
            }
            self.clients.put_back(client);
        }
        self.master.look = true;
    }

    /// A replica has its snapshot.
    pub(super) fn put_online(&mut self, client: &mut Client) {
        let now_s = self.clock.now_s();
        let replica = client.replica_mut();
        replica.ack_s = now_s;
        if replica.rdb_only {
            replica.stage = ReplicaStage::RdbSent;
            log::info!(
                "RDB transfer completed, rdb only replica ({}) should be disconnected asap",
                name_of(client)
            );
            return self.close_soon(client);
        }
        replica.stage = ReplicaStage::Online;
        self.master.recount = true;
        log::info!("Synchronization with replica {} succeeded", name_of(client));
    }
}
