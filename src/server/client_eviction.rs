//! `maxmemory-clients`: closes the biggest clients while all of them together hold more than the limit.
//!
//! Runs at the end of a tick, before replies are written, and takes the biggest first (`client::memory`): no walk over all
//! clients. What a client holds is noted when it was served, when something was sent to it and when its output was written.
//!
//! // Compat: upstream counts its fixed 16 KB reply buffer and query buffers kept between commands; here an idle client holds
//! neither, so the same limit lets more clients live.

use super::Server;
use crate::client::ClientRef;

impl Server {
    /// Takes over `maxmemory-clients` (and `maxmemory`, of which it may be a percentage) after start and CONFIG SET.
    pub fn client_limit_changed(&mut self) {
        let limited = self.client_limit() > 0;
        if limited == self.client_memory.enabled() {
            return;
        }
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
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Closes clients until the rest fits.
    pub fn evict_clients(&mut self) {
        if !self.client_memory.enabled() {
            return;
        }
        let limit = self.client_limit();
        while limit > 0 && self.client_memory.total() > limit {
            let Some(biggest) = self.client_memory.biggest() else {
                return;
            };
            self.evict_client(biggest);
        }
    }

    fn evict_client(&mut self, handle: ClientRef) {
        let Some(mut client) = self.clients.take(handle) else {
            return;
        };
        log::info!(
            "Evicting client: id={} addr={} tot-mem={}",
            client.id,
            client.addr(),
            client.accounted_mem
        );
        self.stats.evicted_clients += 1;
        self.client_memory.forget(&mut client);
        self.close_soon(&mut client);
        self.clients.put_back(client);
    }
}
