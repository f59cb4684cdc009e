//! Being followed: what the server does for its replicas.
//!
//! * `mod`       who they are, putting them on the list of writers, letting them go
//! * `sync`      SYNC and PSYNC: go on where the history stopped, or wait for a snapshot; the snapshots' beginning and end
//! * `transfer`  bytes on their way: the stream, a snapshot file, a snapshot through a child's pipe
//! * `acks`      what replicas say to have: WAIT, `min-replicas-to-write`
//! * `cron`      pings, timeouts, due snapshots, the end of an unused backlog
//! * `failover`  FAILOVER: waiting for a replica that has everything, then handing over
//!
//! State lies in `repl::Replication` (the history and who follows it), in `client::ReplicaState` (one replica), and in [`Master`].
//! All of it works the same on a replica that has replicas of its own: only what makes new bytes of the stream (pings, requests
//! for acknowledgement) is left to the master at the top.
//!
//! Invariants: a client has the flag `REPLICA` exactly while it stands in `repl.replicas`; it has a cursor in the backlog from the
//! beginning of its snapshot on (or of its partial resynchronization), and gives it back in [`Server::forget_replica`].

pub mod acks;
pub mod cron;
pub mod failover;
pub mod sync;
pub mod transfer;

use super::{Server, deliver};
use crate::client::replica::ReplicaStage;
use crate::client::{Client, ClientFlags, ClientRef};
use crate::net::PeerName;
use crate::persist::state::ChildKind;

/// What a server keeps for its replicas beside the history.
#[derive(Debug, Default)]
pub struct Master {
    /// The pipe of a child that makes a snapshot for replicas.
    pub pipe: Option<transfer::SyncPipe>,
    /// The child's ends of it, while it is being forked.
    pub child_ends: Option<transfer::ChildEnds>,
    /// A replica's socket takes more than one turn writes: the next turn does not wait.
    pub more: bool,
    /// Replicas wait for a snapshot, which may begin at the end of the turn.
    pub look: bool,
    /// Replicas came or got ready: they are counted at the end of the turn.
    pub recount: bool,
    /// Replicas that acknowledged lately (`min-replicas-max-lag`).
    pub good: usize,
    /// Replicas are to be asked at the end of the turn how far they are.
    pub ask_for_acks: bool,
    /// An acknowledgement has come since those in WAIT were looked at.
    pub acked: bool,
    /// Seconds counted by cron, for pings.
    pub seconds: u64,
    /// The failover under way.
    pub failover: failover::Failover,
    /// Full resynchronizations (`sync_full`).
    pub sync_full: u64,
    /// Partial ones granted (`sync_partial_ok`).
    pub sync_partial_ok: u64,
    /// Partial ones refused (`sync_partial_err`).
    pub sync_partial_err: u64,
    /// Bytes of snapshots and stream written to replicas.
    pub net_out: u64,
}

/// The address of a replica for ROLE, INFO and the log: what it announced, else where it connected from.
pub fn ip_of(client: &Client) -> String {
    let said = client.replica.as_ref().and_then(|r| r.ip.as_deref());
    match (said, client.addr()) {
        (Some(ip), _) => String::from_utf8_lossy(ip).into_owned(),
        (None, PeerName::Ip(a)) => a.ip().to_canonical().to_string(),
        (None, other) => other.to_string(),
    }
}

/// A replica's name in the log.
pub fn name_of(client: &Client) -> String {
    let port = client.replica.as_ref().map_or(0, |r| r.port);
    let said = client.replica.as_ref().is_some_and(|r| r.ip.is_some());
    // A connection that was reset does not know its peer any more.
    let nameless = !said && client.addr() == PeerName::None;
    if nameless || client.has(ClientFlags::UNIX) && port == 0 {
        return format!("client id #{}", client.id);
    }
    match port {
        0 => format!("{}:<unknown-replica-port>", ip_of(client)),
        port => format!("{}:{port}", ip_of(client)),
    }
}

impl Server {
    /// Makes a client a replica.
    pub(super) fn add_replica(&mut self, client: &mut Client) {
        client.flags.insert(ClientFlags::REPLICA);
        self.client_memory.forget(client);
        // Nothing of what it is sent may be left out.
        client.out.set_limit(0);
        let now_s = self.clock.now_s();
        client.replica_mut().ack_s = now_s;
        self.repl.replicas.push(client.handle);
    }

    /// Undoes that, when it goes away: `client` is out of the table, or was removed.
    pub fn forget_replica(&mut self, client: &mut Client) {
        if !client.has(ClientFlags::REPLICA) {
            return;
        }
        client.flags.remove(ClientFlags::REPLICA);
        log::info!("Connection with replica {} lost.", name_of(client));
        self.repl.replicas.retain(|h| *h != client.handle);
        let cursor = client.replica.as_mut().and_then(|r| r.cursor.take());
        if let (Some(cursor), Some(history)) = (cursor, &mut self.repl.backlog) {
            history.release(cursor);
            history.trim();
        }
        let waited = client
            .replica
            .take()
            .is_some_and(|r| r.stage == ReplicaStage::WaitEnd);
        if self.repl.replicas.is_empty() {
            self.repl.lonely_since_s = self.clock.now_s();
        }
        self.refresh_good_replicas();
        self.pipe_lost_replica(client.handle);
        if waited {
            self.stop_file_for_nobody();
        }
    }

    /// A file that was made for replicas only (nobody configured save points) is of no use when none waits for it any more.
    fn stop_file_for_nobody(&mut self) {
        let to_file = self
            .persist
            .child
            .as_ref()
            .is_some_and(|c| c.kind == ChildKind::Rdb);
        let wanted = !self.config.save.is_empty()
            || !self.replicas_in(|s| s == ReplicaStage::WaitEnd).is_empty();
        if to_file && !wanted {
            self.stop_rdb_child();
        }
    }

    /// Replicas in one of these stages that are in the table.
    pub(super) fn replicas_in(&self, wanted: impl Fn(ReplicaStage) -> bool) -> Vec<ClientRef> {
        let stage = |h: &ClientRef| {
            let replica = self.clients.get(*h)?.replica.as_ref()?;
            Some(replica.stage)
        };
        let all = self.repl.replicas.iter().copied();
        all.filter(|h| stage(h).is_some_and(&wanted)).collect()
    }

    /// At the end of a turn, before anything is written: everything that was left for then.
    pub(super) fn tend_replicas(&mut self) {
        self.master.more = false;
        if let Some(history) = &mut self.repl.backlog {
            // What was kept for a replica that is gone goes a piece per turn.
            history.trim();
        }
        self.serve_waiting();
        self.go_on_with_failover();
        if std::mem::take(&mut self.master.look) {
            self.begin_due_snapshot();
        }
        self.queue_replicas();
        if std::mem::take(&mut self.master.recount) {
            self.refresh_good_replicas();
        }
    }

    /// At the end of a turn: puts replicas for which the stream grew on the list of writers, and closes those that hold more of
    /// it than `client-output-buffer-limit` allows.
    pub(super) fn queue_replicas(&mut self) {
        if !std::mem::take(&mut self.repl.grew) {
            return;
        }
        for i in 0..self.repl.replicas.len() {
            let h = self.repl.replicas[i];
            let Some(client) = self.clients.get_mut(h) else {
                continue;
            };
            let streaming = client.replica.as_ref().is_some_and(|r| r.streaming);
            if streaming {
                deliver::queue_write(&mut self.queues, client);
            }
            if let Some(mut client) = self.clients.take(h) {
                self.check_output_limit(&mut client);
                self.clients.put_back(client);
            }
        }
    }

    /// Bytes of the stream that a client has not taken: part of what its output holds.
    #[inline]
    pub fn stream_held(&self, client: &Client) -> usize {
        if !client.has(ClientFlags::REPLICA) {
            return 0;
        }
        let cursor = client.replica.as_ref().and_then(|r| r.cursor.as_ref());
        match (cursor, &self.repl.backlog) {
            (Some(cursor), Some(history)) => history.held_bytes(cursor),
            _ => 0,
        }
    }
}

/// What a replica replied to a command of its own breaks the stream: nothing of it is sent, and the replica goes. `mark` is where
/// its output stood before the command.
#[cold]
pub fn replied(server: &mut Server, client: &mut Client, mark: crate::resp::out::Mark) {
    if client.out.mark() == mark || client.has(ClientFlags::CLOSE_ASAP) {
        return;
    }
    let command = client
        .last_command
        .map_or("unknown", |id| server.registry.row(id).name);
    let around = crate::client::line::Surroundings {
        now_s: server.clock.now_s(),
        command,
        tracking: None,
        stream_held: server.stream_held(client),
    };
    log::warn!(
        "Replica generated a reply to command '{command}', disconnecting it: {}",
        crate::client::line::describe(client, around)
    );
    let said = client.out.since(mark);
    if let Some(error) = said.strip_prefix(b"-") {
        let text =
            String::from_utf8_lossy(error.strip_prefix(b"ERR ").unwrap_or(error)).into_owned();
        log::warn!(
            "== CRITICAL == This master is sending an error to its replica: '{}' after processing the command '{command}'",
            text.trim_end()
        );
    }
    client.out.truncate_to(mark);
    server.close_soon(client);
}
