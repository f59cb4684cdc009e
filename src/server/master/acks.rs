//! What replicas say to have: REPLCONF ACK, who waits for it (WAIT), and whether there are enough of them to go on writing
//! (`min-replicas-to-write`).
//!
//! Those in WAIT are looked at once a turn, and only when an acknowledgement has come. WAITAOF counts `fack_offset` in the same way.

use super::{ReplicaStage, Server};
use crate::client::blocked::BlockKind;
use crate::client::{Client, ReplicaState};
use crate::exec::blocking;
use crate::resp::OwnedArgs;
use crate::server::ServerState;

impl Server {
    /// Notes what a replica acknowledges: the last byte it applied, and the last one it has on disk, if it says so.
    pub fn note_ack(&mut self, client: &mut Client, applied: i64, on_disk: Option<i64>) {
        let now_s = self.clock.now_s();
        let Some(r) = client.replica.as_mut() else {
            return;
        };
        r.ack_offset = r.ack_offset.max(applied);
        if let Some(offset) = on_disk {
            r.fack_offset = r.fack_offset.max(offset);
        }
        r.ack_s = now_s;
        // The first one says that the snapshot that came through the pipe is loaded.
        let begins = r.stage == ReplicaStage::Online && !r.streaming;
        if begins {
            r.streaming = true;
            self.queue_write(client);
        }
        self.master.acked = true;
    }

    fn replica_states(&self) -> impl Iterator<Item = &ReplicaState> {
        let clients = self.repl.replicas.iter();
        clients.filter_map(|h| self.clients.get(*h)?.replica.as_deref())
    }

    /// How many replicas have applied the stream up to `offset`.
    pub fn count_acks(&self, offset: i64) -> usize {
        let has = |r: &&ReplicaState| r.stage == ReplicaStage::Online && r.ack_offset >= offset;
        self.replica_states().filter(has).count()
    }

    /// How many replicas have the stream on disk up to `offset`.
    pub fn count_facks(&self, offset: i64) -> usize {
        let has = |r: &&ReplicaState| r.stage == ReplicaStage::Online && r.fack_offset >= offset;
        self.replica_states().filter(has).count()
    }

    /// Asks the replicas at the end of the turn how far they are.
    pub fn request_acks(&mut self) {
        self.master.ask_for_acks = true;
    }

    /// Puts the question into the stream.
    pub fn ask_for_acks(&mut self) {
        self.master.ask_for_acks = false;
        if !self.repl.replicas.is_empty() && !self.state.contains(ServerState::REPLICA) {
            let question = OwnedArgs::from_iter(["REPLCONF", "GETACK", "*"]);
            self.repl.feed(None, question.view());
        }
    }

    /// At the end of a turn: asks for acknowledgements if somebody wants them, and sets those free for whom enough have come.
    pub(super) fn serve_waiting(&mut self) {
        // While writes are paused replicas get nothing new.
        if self.master.ask_for_acks && !self.state.contains(ServerState::PAUSED) {
            self.ask_for_acks();
        }
        if !std::mem::take(&mut self.master.acked) {
            return;
        }
        for h in blocking::clients_waiting(self, BlockKind::Wait) {
            let wait = self.clients.get(h).and_then(|c| c.blocked.as_ref()?.wait);
            if wait
                .is_some_and(|w| w.aof_local.is_none() && self.count_acks(w.offset) >= w.replicas)
            {
                blocking::run_again(self, h);
            }
        }
        self.serve_waitaof();
    }

    /// Counts the replicas that are near enough, and allows writes accordingly.
    pub fn refresh_good_replicas(&mut self) {
        let (wanted, lag) = (
            self.config.min_replicas_to_write as usize,
            self.config.min_replicas_max_lag as i64,
        );
        let now_s = self.clock.now_s();
        let good = |r: &&ReplicaState| r.stage == ReplicaStage::Online && now_s - r.ack_s <= lag;
        self.master.good = self.replica_states().filter(good).count();
        let too_few = wanted > 0
            && lag > 0
            && self.master.good < wanted
            && !self.state.contains(ServerState::REPLICA);
        self.state.set(ServerState::TOO_FEW_REPLICAS, too_few);
    }
}
