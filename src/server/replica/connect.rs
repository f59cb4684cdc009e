//! The socket to the master and the handshake over it; the state machine is `repl::handshake`.

use super::{MASTER_LINK, Server};
use crate::config::Config;
use crate::net::tls::TlsError;
use crate::net::{Conn, Token};
use crate::repl::ReplId;
use crate::repl::handshake::{Failed, Handshake, Introduction, Next, take_line};
use crate::repl::link::{Receiving, Sink, Stage};
use crate::repl::transfer::Transfer;
use crate::server::host::os_text;
use std::io;

/// Bytes read at once before the stream flows.
const CHUNK: usize = 16 * 1024;

/// What a read of the link came to.
pub(super) enum LinkRead {
    /// Nothing more for now.
    Drained,
    /// There may be more.
    More,
    /// The master closed it, or it broke.
    Closed(String),
}

/// What the master is told about us.
fn introduction(config: &Config) -> Introduction {
    let port = match config.replica_announce_port {
        0 if config.tls_replication && config.tls_port != 0 => config.tls_port,
        0 => config.port,
        announced => announced,
    };
    Introduction {
        user: config.masteruser.as_bytes().to_vec(),
        password: config.masterauth.as_bytes().to_vec(),
        port,
        ip: config.replica_announce_ip.as_bytes().to_vec(),
        cached: None,
        failover: false,
    }
}

impl Server {
    /// Begins to connect to the configured master. When that fails at once, cron tries again.
    pub fn connect_to_master(&mut self) {
        let Some(master) = self.config.replicaof.clone() else {
            return;
        };
        self.repl.link.attempts += 1;
        self.repl.link.attempts_total += 1;
        let source = self.config.bind_source_addr.to_str_lossy().into_owned();
        let host = master.host.to_str_lossy();
        let begun = Conn::connect(&host, master.port, &source).and_then(|mut conn| {
            self.poller.add_conn(&mut conn, Token::Other(MASTER_LINK))?;
            Ok(conn)
        });
        match begun {
            Ok(conn) => {
                let link = &mut self.repl.link;
                link.conn = Some(conn);
                link.stage = Stage::Connecting;
                link.last_io_s = self.clock.now_s();
                log::info!("MASTER <-> REPLICA sync started");
            }
            Err(e) => log::warn!("Unable to connect to MASTER: {}", os_text(&e)),
        }
    }

    /// The link's socket may be ready for something.
    pub fn serve_link(&mut self) {
        self.repl.link.again = false;
        self.flush_link();
        match self.repl.link.stage {
            Stage::Connecting => self.finish_connect(),
            Stage::Handshake(_) => self.go_on_shaking(),
            Stage::Receiving(_) => self.receive_snapshot(),
            // Nobody's turn, or a client's.
            Stage::Connect | Stage::Loading | Stage::Connected => {}
        }
    }

    fn finish_connect(&mut self) {
        let connected = self.repl.link.conn.as_ref().map(Conn::connected);
        match connected {
            Some(Ok(true)) => {}
            Some(Err(e)) => {
                log::warn!("Error condition on socket for SYNC: {}", os_text(&e));
                return self.cancel_attempt();
            }
            _ => return,
        }
        log::info!("Non blocking connect for SYNC fired the event.");
        if let Err(e) = self.link_by_tls() {
            log::warn!("Unable to speak TLS to MASTER: {e}");
            return self.cancel_attempt();
        }
        let mut who = introduction(&self.config);
        let link = &mut self.repl.link;
        who.cached = link.cached.map(|c| (c.id, c.offset + 1));
        who.failover = link.failover;
        let (handshake, ping) = Handshake::start(who);
        link.stage = Stage::Handshake(Box::new(handshake));
        link.outbox.extend_from_slice(&ping);
        self.flush_link();
    }

    /// Makes the link speak TLS if `tls-replication` says so.
    fn link_by_tls(&mut self) -> Result<(), TlsError> {
        let host = self
            .config
            .replicaof
            .as_ref()
            .map(|m| m.host.to_str_lossy().into_owned());
        let Some(conn) = self.repl.link.conn.take() else {
            return Ok(());
        };
        let conn = self.connect_tls(conn, &host.unwrap_or_default())?;
        self.repl.link.conn = Some(conn);
        Ok(())
    }

    /// Writes what is to be sent, as far as the socket takes it.
    pub(super) fn flush_link(&mut self) {
        let link = &mut self.repl.link;
        let Some(conn) = &mut link.conn else { return };
        if conn.wants_write() {
            // What broke shows when reading.
            let _ = conn.flush();
        }
        while !link.outbox.is_empty() {
            match conn.write(&link.outbox) {
                Ok(n) => {
                    link.outbox.drain(..n);
                    self.stats.net_out += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What broke shows when reading.
                Err(_) => return,
            }
        }
    }

    /// Reads some of what the link has into its inbox.
    pub(super) fn read_link(&mut self, room: usize) -> LinkRead {
        let now_s = self.clock.now_s();
        let link = &mut self.repl.link;
        let Some(conn) = &mut link.conn else {
            return LinkRead::Drained;
        };
        match conn.read_to(&mut link.inbox, room) {
            Ok(0) => LinkRead::Closed("the master closed the connection".into()),
            Ok(n) => {
                link.last_io_s = now_s;
                self.stats.net_in += n as u64;
                LinkRead::More
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => LinkRead::Drained,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => LinkRead::More,
            Err(e) => LinkRead::Closed(os_text(&e)),
        }
    }

    fn go_on_shaking(&mut self) {
        loop {
            let read = self.read_link(CHUNK);
            // What had to wait for the keys of TLS goes now.
            self.flush_link();
            if !self.take_lines() {
                return;
            }
            match read {
                LinkRead::More => {}
                LinkRead::Drained => return,
                LinkRead::Closed(why) => {
                    log::warn!("Failed to read response from the server: {why}");
                    log::warn!("Master did not respond to command during SYNC handshake");
                    // Cron tries again.
                    return self.cancel_attempt();
                }
            }
        }
    }

    /// Hands whole lines to the handshake; false when it is over.
    fn take_lines(&mut self) -> bool {
        loop {
            let link = &mut self.repl.link;
            let Stage::Handshake(handshake) = &mut link.stage else {
                return false;
            };
            let next = match take_line(&mut link.inbox) {
                Ok(None) => return true,
                Ok(Some(line)) => handshake.line(&line),
                Err(e) => Err(e),
            };
            match next {
                Ok(Next::Wait) => {}
                Ok(Next::Send(bytes)) => {
                    link.outbox.extend_from_slice(&bytes);
                    self.flush_link();
                }
                Ok(Next::FullResync(id, offset)) => self.await_snapshot(Some((id, offset))),
                Ok(Next::OldSync(bytes)) => {
                    link.outbox.extend_from_slice(&bytes);
                    self.flush_link();
                    self.await_snapshot(None);
                }
                Ok(Next::Continue(id)) => self.resume_stream(id),
                Err(e) => {
                    self.explain(&e);
                    self.cancel_attempt();
                    if e == Failed::FailoverRejected {
                        self.handover_refused();
                    }
                    return false;
                }
            }
        }
    }

    fn explain(&self, e: &Failed) {
        match e {
            Failed::NotNow(_) => log::info!("{e}"),
            // The end of the failover tells it.
            Failed::FailoverRejected => {}
            _ => log::warn!("{e}"),
        }
    }

    fn await_snapshot(&mut self, history: Option<(ReplId, i64)>) {
        self.handover_accepted();
        self.repl.link.stage = Stage::Receiving(Box::new(Receiving {
            transfer: Transfer::default(),
            sink: Sink::Undecided,
            history,
            begun: false,
        }));
        self.receive_snapshot();
    }
}
