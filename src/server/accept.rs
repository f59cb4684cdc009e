//! Taking connections.

use super::Server;
use crate::client::{Client, ClientFlags};
use crate::net::{Conn, Token};
use std::io;

impl Server {
    /// Takes waiting connections of one listener, at most `max-new-connections-per-cycle`: a storm of them must not starve
    /// those who are connected. A listener that may have more is asked again next turn.
    pub fn accept_some(&mut self, index: u32) {
        let cap = self.config.max_new_connections_per_cycle.max(1);
        for _ in 0..cap {
            let Some(listener) = self.listeners.get(index as usize) else {
                return;
            };
            match listener.accept() {
                Ok(conn) => self.welcome(conn),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    log::warn!("Error accepting a client connection: {e}");
                    // Out of descriptors: the event will not come again, so look again next turn.
                    break;
                }
            }
        }
        if !self.queues.accept.contains(&index) {
            self.queues.accept.push(index);
        }
    }

    fn welcome(&mut self, mut conn: Conn) {
        if self.clients.len() >= self.config.maxclients as usize {
            // Best effort, as upstream: the socket is fresh, so the few bytes fit.
            let _ = conn.write(b"-ERR max number of clients reached\r\n");
            self.stats.rejected_connections += 1;
            return;
        }
        if let Err(e) = conn.configure(self.config.tcp_keepalive) {
            log::debug!("Setting up a connection: {e}");
        }
        if self.protected_mode_refuses(&conn) {
            let _ = conn.write(PROTECTED.as_bytes());
            self.stats.rejected_connections += 1;
            return;
        }
        self.stats.connections += 1;
        let id = self.clients.new_id();
        let mut client = Box::new(Client::new(id, conn, self.clock.now_s()));
        if matches!(client.conn, Conn::Unix(_)) {
            client.flags.insert(ClientFlags::UNIX);
        }
        self.log_out(&mut client);
        let h = self.clients.insert(client);
        let token = Token::Client {
            slot: h.slot,
            generation: h.generation,
        };
        if let Some(c) = self.clients.get_mut(h)
            && let Err(e) = self.poller.add_conn(&mut c.conn, token)
        {
            log::warn!("Error registering fd event for the new client connection: {e}");
            self.clients.remove(h);
        }
    }

    /// Without a password and with `protected-mode`, only this machine may connect.
    fn protected_mode_refuses(&self, conn: &Conn) -> bool {
        self.config.protected_mode && self.has_no_password() && !conn.peer().is_local()
    }
}

/// What a refused remote client is told. It begins like upstream's so that operators recognise it.
const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. \
In this mode connections are only accepted from the loopback interface. To accept this client, do one of: \
1) from the server's own host, run CONFIG SET protected-mode no (and CONFIG REWRITE to keep it), if the server cannot be reached from outside; \
2) set protected-mode to no in the configuration file and restart; \
3) start the server with --protected-mode no for a test; \
4) set a password for the default user.\r\n";
