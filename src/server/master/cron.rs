//! What a server does for its replicas once a second: pings, signs of life for those that wait, timeouts, snapshots that are due,
//! the end of a backlog that nobody has used for long.

use super::{ReplicaStage, Server, name_of};
use crate::exec::propagate;
use crate::resp::OwnedArgs;
use crate::server::ServerState;

impl Server {
    /// Once a second.
    pub(in crate::server) fn master_cron(&mut self) {
        self.master.seconds += 1;
        self.ping_replicas();
        self.comfort_waiting();
        self.drop_silent_replicas();
        self.drop_stuck_replicas();
        self.drop_unused_backlog();
        self.begin_due_snapshot();
        self.refresh_good_replicas();
    }

    fn ping_replicas(&mut self) {
        let period = u64::from(self.config.repl_ping_replica_period.max(1));
        let due = self.master.seconds.is_multiple_of(period);
        if !due || self.repl.replicas.is_empty() || self.is_replica() {
            return;
        }
        // A replica that is about to take over must be able to reach our very offset.
        let hold = self.failover_under_way() && self.state.contains(ServerState::PAUSED);
        if !hold {
            self.repl.feed(None, OwnedArgs::from_iter(["PING"]).view());
        }
    }

    /// Those who wait for a snapshot get an empty line, which says that we live.
    fn comfort_waiting(&mut self) {
        for h in self.replicas_in(|s| matches!(s, ReplicaStage::WaitStart | ReplicaStage::WaitEnd))
        {
            let Some(mut client) = self.clients.take(h) else {
                continue;
            };
            // Into the middle of a snapshot nothing may be put.
            let waits = client.replica.as_ref().is_some_and(|r| !r.by_pipe);
            if waits && client.out.is_empty() {
                client.out.push(b"\n");
                self.queue_write(&mut client);
            }
            self.clients.put_back(client);
        }
    }

    fn drop_silent_replicas(&mut self) {
        let (now_s, patience) = (self.clock.now_s(), i64::from(self.config.repl_timeout));
        for h in self.replicas_in(|s| s == ReplicaStage::Online) {
            let Some(mut client) = self.clients.take(h) else {
                continue;
            };
            let replica = client.replica_mut();
            if !replica.pre_psync && now_s - replica.ack_s > patience {
                log::warn!(
                    "Disconnecting timedout replica (streaming sync): {}",
                    name_of(&client)
                );
                self.close_soon(&mut client);
            }
            self.clients.put_back(client);
        }
    }

    fn drop_unused_backlog(&mut self) {
        let ttl_s = self.config.repl_backlog_ttl as i64;
        let unused = self.repl.replicas.is_empty() && self.repl.backlog.is_some();
        if !unused || ttl_s == 0 || self.is_replica() {
            return;
        }
        if self.clock.now_s() - self.repl.lonely_since_s <= ttl_s {
            return;
        }
        // Without a backlog writes are not counted: nobody may go on from here with this id.
        self.repl.new_id();
        self.repl.backlog = None;
        propagate::refresh_listening(self);
        log::info!("Replication backlog freed after {ttl_s} seconds without connected replicas.");
    }
}
