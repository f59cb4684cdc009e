//! `maxmemory-clients`: closes the biggest clients while all of them together hold more than the limit.
//!
//! Runs before each command and at the end of a tick, before replies are written, and takes the biggest first (`client::memory`): no walk over all
//! clients. What a client holds is noted when it was served, when something was sent to it and when its output was written.
//!
//! // Compat: upstream counts its fixed 16 KB reply buffer and query buffers kept between commands; here an idle client holds
//! neither, so the same limit lets more clients live.

use super::{Server, ServerState};
use crate::client::Client;

/// A smaller limit is taken as this, or a slip of the hand would shut out everybody, the administrator included.
const LEAST_LIMIT: usize = 128 * 1024;

impl Server {
    /// Takes over `maxmemory-clients` (and `maxmemory`, of which it may be a percentage) after start and CONFIG SET.
    pub fn client_limit_changed(&mut self) {
        let limited = self.client_limit() > 0;
        if limited == self.client_memory.enabled() {
            return;
        }
        self.state.set(ServerState::CLIENT_LIMIT, limited);
        if limited {
            self.client_memory.enable();
        } else {
            self.client_memory.disable();
        }
        for client in self.clients.iter_mut() {
            client.accounted_mem = 0;
            self.client_memory.note(client);
        }
    }

    fn client_limit(&self) -> usize {
        let bytes = self.config.maxmemory_clients.bytes(self.config.maxmemory);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes == 0 {
            0
        } else {
            bytes.max(LEAST_LIMIT)
        }
    }

    /// Closes clients until the rest fits.
    pub fn evict_clients(&mut self) {
        self.evict_clients_beside(None);
    }

    /// The same while `running`, a client that is out of the table, is about to run a command; it may be among the evicted.
    pub fn evict_clients_beside(&mut self, mut running: Option<&mut Client>) {
        if !self.client_memory.enabled() {
            return;
        }
        let limit = self.client_limit();
        while limit > 0 && self.client_memory.total() > limit {
            let Some(biggest) = self.client_memory.biggest() else {
                return;
            };
            match &mut running {
                Some(client) if client.handle == biggest => self.evict_client(client),
                _ => {
                    // One of an outer turn that waits for this one: its time comes.
                    let Some(mut client) = self.clients.remove(biggest) else {
                        return;
                    };
                    self.evict_client(&mut client);
                    self.forget(&mut client);
                }
            }
        }
    }

    fn evict_client(&mut self, client: &mut Client) {
        log::info!(
            "Evicting client: id={} addr={} tot-mem={}",
            client.id,
            client.addr(),
            client.accounted_mem
        );
        self.stats.evicted_clients += 1;
        self.client_memory.forget(client);
        self.close_soon(client);
    }
}
