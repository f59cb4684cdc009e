//! Once a second: connecting again, giving up on a silent master, telling it how far we are.

use super::Server;
use crate::repl::link::{Sink, Stage};

impl Server {
    /// What a replica does about once a second.
    pub fn replica_cron(&mut self) {
        if !self.is_replica() {
            return;
        }
        self.repl.link.hasty = 0;
        let silent_s = self.clock.now_s() - self.repl.link.last_io_s;
        let too_long = silent_s > i64::from(self.config.repl_timeout);
        match &self.repl.link.stage {
            Stage::Connect => {
                log::info!("Connecting to MASTER {}", self.master_name());
                self.connect_to_master();
            }
            Stage::Connecting | Stage::Handshake(_) if too_long => {
                log::warn!("Timeout connecting to the MASTER...");
                self.retry_now();
            }
            Stage::Receiving(r) if too_long => {
                if r.begun {
                    log::warn!(
                        "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value."
                    );
                } else {
                    log::warn!("Timeout connecting to the MASTER...");
                }
                self.retry_now();
            }
            Stage::Receiving(r) if matches!(r.sink, Sink::Loader(_)) => self.repl.link.again = true,
            Stage::Connected => self.stream_cron(),
            _ => {}
        }
    }

    fn stream_cron(&mut self) {
        let Some(h) = self.master_client() else {
            return;
        };
        let now_s = self.clock.now_s();
        let Some(mut client) = self.clients.take(h) else {
            return;
        };
        if now_s - client.last_interaction_s > i64::from(self.config.repl_timeout) {
            log::warn!("MASTER timeout: no data nor PING received...");
            self.close_soon(&mut client);
        }
        self.clients.put_back(client);
        self.acknowledge_now();
    }
}
