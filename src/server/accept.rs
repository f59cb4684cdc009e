//! Taking connections.

use super::Server;
use crate::client::{Client, ClientFlags};
use crate::net::{Conn, Listener, Token};
use std::io;

impl Server {
    /// Closes the listeners: nobody comes any more.
    pub(super) fn stop_listening(&mut self) {
        for l in std::mem::take(&mut self.listeners) {
            if let Listener::Unix(..) = l {
                log::info!("Removing the unix socket file.");
            }
        }
    }

    /// Takes waiting connections of one listener, at most `max-new-connections-per-cycle`: a storm of them must not starve
    /// those who are connected. A listener that may have more is asked again next turn.
    pub fn accept_some(&mut self, index: u32) {
        let c = &self.config;
        let tls = matches!(self.listeners.get(index as usize), Some(Listener::Tls(..)));
        let cap = if tls {
            c.max_new_tls_connections_per_cycle
        } else {
            c.max_new_connections_per_cycle
        };
        for _ in 0..cap.max(1) {
            let Some(listener) = self.listeners.get(index as usize) else {
                return;
            };
            match listener.accept() {
                Ok(conn) if tls => {
                    if let Some(conn) = self.welcome_tls(conn) {
                        self.welcome(conn);
                    }
                }
                Ok(conn) => self.welcome(conn),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => return self.cannot_accept(index, &e),
            }
        }
        if !self.queues.accept.contains(&index) {
            self.queues.accept.push(index);
        }
    }

    /// Out of descriptors, or of memory for them: the event will not come again, so cron looks again. Not the next turn, which
    /// would come at once and fail as well, until somebody leaves; and one line a second is enough in the log.
    fn cannot_accept(&mut self, index: u32, e: &io::Error) {
        let now_s = self.clock.now_s();
        if now_s != self.queues.accept_failed_s {
            self.queues.accept_failed_s = now_s;
            log::warn!("Error accepting a client connection: {e}");
        }
        if !self.queues.accept_later.contains(&index) {
            self.queues.accept_later.push(index);
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
        let refused = self.protected_mode_refuses(&conn);
        if refused {
            self.stats.rejected_connections += 1;
            if conn.tls().is_none() {
                let _ = conn.write(PROTECTED.as_bytes());
                return;
            }
        } else {
            self.stats.connections += 1;
        }
        log::debug!("Accepted {}", conn.peer());
        let id = self.clients.new_id();
        let mut client = Box::new(Client::new(id, conn, self.clock.now_s()));
        if matches!(client.conn, Conn::Unix(_)) {
            client.flags.insert(ClientFlags::UNIX);
        }
        self.log_out(&mut client);
        if refused {
            // Nothing can be said before the handshake, so the connection lives until then.
            client.out.push(PROTECTED.as_bytes());
            client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
        }
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
