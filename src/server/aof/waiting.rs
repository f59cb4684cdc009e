//! WAITAOF: who waits for which offset to be durable, and when that is so.

use crate::client::blocked::{BlockKind, WaitFor};
use crate::exec::blocking;
use crate::persist::aof::AofState;
use crate::resp::Reply;
use crate::server::Server;

/// What WAITAOF replies when it asks for a local AOF that is not there.
pub const AOF_IS_OFF: &str =
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// Where everything up to some offset is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurableAt {
    /// Here: 1, else 0.
    pub local: usize,
    /// On so many replicas.
    pub replicas: usize,
}

impl DurableAt {
    /// The reply of WAITAOF.
    pub fn put(self, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.int(self.local as i64);
        reply.int(self.replicas as i64);
    }
}

impl Server {
    /// Where everything up to `offset` of the replication stream is on disk.
    pub fn durable_at(&self, offset: i64) -> DurableAt {
        DurableAt {
            local: usize::from(self.persist.aof.durable_repl_offset() >= offset),
            replicas: self.replicas_durable_at(offset),
        }
    }

    /// How many replicas told that everything up to `offset` is on their disks.
    fn replicas_durable_at(&self, offset: i64) -> usize {
        self.count_facks(offset)
    }

    /// Whether what a WAITAOF waits for is so.
    pub fn wait_is_over(&self, wait: &WaitFor) -> bool {
        let at = self.durable_at(wait.offset);
        at.local >= wait.aof_local.unwrap_or(0) && at.replicas >= wait.replicas
    }

    /// Ends the waiting of those in WAITAOF whose writes are durable by now. To be called when more has become durable, here
    /// or on a replica, and when the AOF is switched off.
    pub fn serve_waitaof(&mut self) {
        for client in blocking::clients_waiting(self, BlockKind::Wait) {
            let wait = self
                .clients
                .get(client)
                .and_then(|c| c.blocked.as_ref())
                .and_then(|b| b.wait)
                .filter(|w| w.aof_local.is_some());
            let Some(wait) = wait else { continue };
            if wait.aof_local == Some(1) && self.persist.aof.state == AofState::Off {
                self.errors.count(b"ERR");
                blocking::release(self, client, true, |c| {
                    c.reply().error_bytes(AOF_IS_OFF.as_bytes())
                });
            } else if self.wait_is_over(&wait) {
                let durable = self.durable_at(wait.offset);
                blocking::release(self, client, false, |c| durable.put(&mut c.reply()));
            }
        }
    }
}
