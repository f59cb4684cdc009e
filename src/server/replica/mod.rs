//! Being a replica: the link to the master from the first connect to the stream, and what changes with the role.
//!
//! * `mod`      becoming a replica, becoming a master, start-up
//! * `connect`  the socket and the handshake
//! * `receive`  the snapshot: to a file, or straight into the loader
//! * `stream`   the master as a client: counting, forwarding, acknowledging, losing it
//! * `cron`     retries and timeouts, once a second
//! * `expires`  keys with a time to live that a writable replica made itself
//! * `handover` a master that becomes the replica of one of its replicas (FAILOVER)
//! * `history`  what changes in the history when the link does: ids, backlog, sub-replicas
//!
//! `repl::link` holds the state. The address of the master is the setting `replicaof`, so CONFIG REWRITE writes the truth.
//! Everything happens on the loop's thread; nothing here waits, except for the one value in the middle of which a snapshot
//! stops (`repl::feed`).

pub mod connect;
pub mod cron;
pub mod expires;
pub mod handover;
pub mod history;
pub mod receive;
pub mod stream;

use super::host::OomRole;
use super::{Server, ServerState, logging};
use crate::config::values::MasterAddr;
use crate::exec::{blocking, pause, propagate};
use crate::net::Conn;
use crate::repl::ReplId;
use crate::repl::link::{Cached, MasterLink, Sink, Stage};

/// The poller's name for the link, as long as no client owns it.
pub const MASTER_LINK: u32 = 16;

/// Attempts to connect again within a second that do not wait for cron.
const HASTY_ATTEMPTS: u32 = 3;

/// What clients that wait for keys are told when the server stops being a master.
const UNBLOCKED: &[u8] =
    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

impl Server {
    /// Whether this server follows a master.
    pub fn is_replica(&self) -> bool {
        self.state.contains(ServerState::REPLICA)
    }

    /// `host:port` of the master, for the log.
    fn master_name(&self) -> String {
        match &self.config.replicaof {
            Some(m) => format!("{}:{}", m.host.to_str_lossy(), m.port),
            None => "nobody".into(),
        }
    }

    /// Follows another master from now on. Sub-replicas stay: whether they can go on with what comes shows later.
    pub fn replicate_from(&mut self, master: MasterAddr) {
        let was_master = self.config.replicaof.replace(master).is_none();
        self.end_stream();
        blocking::disconnect_waiting(self, UNBLOCKED);
        self.finish_flushes_early();
        self.cancel_attempt();
        if was_master {
            self.cache_own_history();
        }
        self.take_role(ServerState::REPLICA);
        let link = &mut self.repl.link;
        (link.attempts, link.attempts_total) = (0, 0);
        (link.up_since_s, link.down_since_s, link.down_total_s) = (0, 0, 0);
        log::info!("Connecting to MASTER {}", self.master_name());
        self.connect_to_master();
    }

    /// Becomes a master. The history gets a new name; the old one stays good up to here.
    pub fn stop_replicating(&mut self) {
        if self.config.replicaof.take().is_none() {
            return;
        }
        self.end_stream();
        self.discard_cached_master();
        self.cancel_attempt();
        self.repl.link = MasterLink::default();
        history::rename(self);
        self.take_role(ServerState::empty());
        expires::forget(self);
    }

    /// Takes the role over into what depends on it.
    fn take_role(&mut self, role: ServerState) {
        self.state
            .set(ServerState::REPLICA, role == ServerState::REPLICA);
        self.expired_keys = pause::expired_keys(self);
        logging::set_role(if self.is_replica() { b'S' } else { b'M' });
        propagate::refresh_listening(self);
        self.write_role_oom();
    }

    fn write_role_oom(&mut self) {
        let role = if self.is_replica() {
            OomRole::Replica
        } else {
            OomRole::Master
        };
        if self.config.oom_score_adj != crate::config::OomScoreAdj::No {
            self.host.oom.write(&self.config, role);
        }
    }

    /// At start-up, behind loading: follows the configured master, and goes on where the file says we were.
    pub fn start_as_replica(&mut self) {
        if self.config.replicaof.is_none() {
            return;
        }
        let said = &self.persist.loaded_history;
        let id = said
            .id
            .as_deref()
            .and_then(|id| ReplId::parse(id.as_bytes()));
        if let (Some(id), Some(offset)) = (id, said.offset) {
            let db = said.db.and_then(|db| u32::try_from(db).ok());
            (self.repl.id, self.repl.offset) = (id, offset);
            self.cache_own_history();
            if let Some(cached) = &mut self.repl.link.cached {
                cached.db = db
                    .filter(|db| (*db as usize) < self.ks.dbs.len())
                    .unwrap_or(0);
            }
        }
        self.take_role(ServerState::REPLICA);
    }

    /// A former master may be able to go on with what another one sends: they may share the history.
    fn cache_own_history(&mut self) {
        log::info!(
            "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to synchronize with the new master with just a partial transfer."
        );
        history::keep_backlog(self);
        self.repl.link.cached = Some(Cached {
            id: self.repl.id,
            offset: self.repl.offset,
            // Whoever sends to us begins by selecting one.
            db: 0,
        });
    }

    fn discard_cached_master(&mut self) {
        if self.repl.link.cached.take().is_some() {
            log::info!("Discarding previously cached master state.");
        }
    }

    /// Gives up the attempt under way, whatever it has come to: the socket is closed, what was received is dropped.
    pub fn cancel_attempt(&mut self) {
        let stage = std::mem::take(&mut self.repl.link.stage);
        let mut conn = self.repl.link.conn.take();
        if let Stage::Receiving(r) = stage {
            match r.sink {
                Sink::Undecided => {}
                Sink::File { path, .. } => {
                    if let Err(e) = std::fs::remove_file(&path) {
                        log::debug!("Removing {}: {e}", path.display());
                    }
                }
                Sink::Loader(parsing) => conn = Some(self.abandon_parsing(*parsing)),
            }
        }
        if let Some(mut conn) = conn {
            self.unwatch_link(&mut conn);
        }
        let link = &mut self.repl.link;
        link.inbox = Vec::new();
        link.outbox = Vec::new();
        link.again = false;
    }

    fn unwatch_link(&self, conn: &mut Conn) {
        if let Err(e) = self.poller.remove_conn(conn) {
            log::debug!("Unwatching the link to the master: {e}");
        }
    }

    /// The attempt failed in a way that another one need not wait for.
    fn retry_now(&mut self) {
        self.cancel_attempt();
        if self.shutdown.done().is_none() {
            log::info!(
                "Reconnecting to MASTER {} after failure",
                self.master_name()
            );
            self.connect_again();
        }
    }

    /// Connects at once, unless that was done a few times since cron last looked: then cron does it. A master that closes every
    /// connection, or refuses in the middle of it, is not asked as fast as both can go.
    pub(super) fn connect_again(&mut self) {
        if self.repl.link.hasty < HASTY_ATTEMPTS {
            self.repl.link.hasty += 1;
            self.connect_to_master();
        }
    }
}
