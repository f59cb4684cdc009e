//! The replica's half of FAILOVER: a master that becomes the replica of one of its own, and asks it to take over by
//! `PSYNC id offset FAILOVER`. Who is chosen and when is the master's side (`FAILOVER`).

use super::Server;
use crate::config::values::MasterAddr;

impl Server {
    /// Becomes the replica of `to`, which has everything we have, and asks it to take over.
    pub fn hand_over_to(&mut self, to: MasterAddr) {
        self.repl.link.failover = true;
        self.replicate_from(to);
    }

    /// It is the master now.
    pub(super) fn handover_accepted(&mut self) {
        if std::mem::take(&mut self.repl.link.failover) {
            self.end_failover();
        }
    }

    /// It does not want to: we go on as the master.
    pub(super) fn handover_refused(&mut self) {
        if self.repl.link.failover {
            self.abort_failover("Failover target rejected psync request");
        }
    }

    /// Becomes the master again, because nobody has taken over.
    pub fn take_back(&mut self) {
        self.repl.link.failover = false;
        self.stop_replicating();
    }
}
