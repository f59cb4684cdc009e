//! The metrics endpoint (`metrics-port`): a small HTTP server in the same loop, for `GET /metrics` and `GET /health`.
//!
//! One request per connection: it is read up to the blank line, answered and the connection closed. What is larger than
//! [`MAX_REQUEST`] or asks for something else gets an error; nothing here can hold more than [`MAX_CONNECTIONS`] connections or
//! [`IDLE_S`] seconds. The texts are written by the commands' room ([`super::Reports`]).
//!
//! Sources are known to the poller as `Token::Listener` from [`FIRST`] on and `Token::Other` from [`FIRST`] on.
//!
//! Compat: upstream has no such endpoint; redis_exporter beside the server gives the same names.

use super::{Server, ServerState};
use crate::net::{Conn, Listener, Readiness, Token};
use slab::Slab;
use std::io::ErrorKind;

/// Numbers of our sources start here.
pub const FIRST: u32 = 1 << 24;
/// Bytes of a request at most.
const MAX_REQUEST: usize = 8192;
/// Connections at once.
const MAX_CONNECTIONS: usize = 64;
/// Seconds until a connection that says nothing, or reads nothing, is closed.
const IDLE_S: i64 = 10;

/// Content types of the two formats.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A connection: what it asked so far, and what of the answer it has not taken.
struct Visitor {
    conn: Conn,
    request: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
    since_s: i64,
}

/// The endpoint. Empty while `metrics-port` is 0.
#[derive(Default)]
pub struct Metrics {
    listeners: Vec<Listener>,
    visitors: Slab<Visitor>,
}

impl Metrics {
    /// The listening sockets.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The metrics; true in OpenMetrics' own format.
    Metrics {
        open: bool,
    },
    Health,
    Nothing,
    /// Not a GET (or HEAD).
    BadMethod,
    /// Not HTTP.
    Garbage,
}

/// Reads a complete request.
fn parse(request: &[u8]) -> (Asked, bool) {
    let text = String::from_utf8_lossy(request);
    let mut lines = text.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else {
        return (Asked::Garbage, true);
    };
    if !version.starts_with("HTTP/1.") {
        return (Asked::Garbage, true);
    }
    let with_body = method != "HEAD";
    if !["GET", "HEAD"].contains(&method) {
        return (Asked::BadMethod, with_body);
    }
    let open = lines.any(|l| {
        let l = l.to_ascii_lowercase();
        l.starts_with("accept:") && l.contains("application/openmetrics-text")
    });
    let asked = match target.split('?').next().unwrap_or_default() {
        "/metrics" => Asked::Metrics { open },
        "/health" => Asked::Health,
        _ => Asked::Nothing,
    };
    (asked, with_body)
}

impl Server {
    /// Listens on `metrics-port`, if there is one.
    pub fn listen_for_metrics(&mut self) -> Result<(), super::startup::StartError> {
        let c = &self.config;
        if c.metrics_port == 0 {
            return Ok(());
        }
        let port = c.metrics_port;
        let mut listeners = Listener::bind_all(&c.bind, port, c.tcp_backlog, false)
            .map_err(|_| super::startup::StartError::Tcp(port, "metrics"))?;
        for (i, l) in listeners.iter_mut().enumerate() {
            self.poller
                .add_listener(l, FIRST + i as u32)
                .map_err(|e| super::startup::StartError::Io("Watching a listening socket", e))?;
        }
        self.metrics.listeners = listeners;
        self.stages.on = true;
        Ok(())
    }

    /// Takes the connections that wait at one of our listeners.
    pub fn accept_visitors(&mut self, index: u32) {
        while let Some(l) = self.metrics.listeners.get((index - FIRST) as usize) {
            let conn = match l.accept() {
                Ok(conn) => conn,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return log::debug!("Accepting a metrics connection: {e}"),
            };
            if self.metrics.visitors.len() >= MAX_CONNECTIONS {
                continue;
            }
            let slot = self.metrics.visitors.insert(Visitor {
                conn,
                request: Vec::new(),
                answer: Vec::new(),
                sent: 0,
                since_s: self.clock.now_s(),
            });
            let token = Token::Other(FIRST + slot as u32);
            let v = &mut self.metrics.visitors[slot];
            if self.poller.add_conn(&mut v.conn, token).is_err() {
                self.metrics.visitors.remove(slot);
            }
        }
    }

    /// One of our connections is ready.
    pub fn serve_visitor(&mut self, number: u32, r: &Readiness) {
        let slot = (number - FIRST) as usize;
        let Some(v) = self.metrics.visitors.get_mut(slot) else {
            return;
        };
        let mut done = false;
        if r.readable && v.answer.is_empty() {
            done = v.read().is_err();
            if !done && let Some((asked, with_body)) = v.asked() {
                let answer = self.answer(asked, with_body);
                self.metrics.visitors[slot].answer = answer;
            }
        }
        let v = &mut self.metrics.visitors[slot];
        if done || v.write().unwrap_or(true) {
            self.dismiss(slot);
        }
    }

    fn dismiss(&mut self, slot: usize) {
        let mut v = self.metrics.visitors.remove(slot);
        if let Err(e) = self.poller.remove_conn(&mut v.conn) {
            log::debug!("Closing a metrics connection: {e}");
        }
    }

    /// Closes connections that take too long. Called by cron.
    pub fn dismiss_idle_visitors(&mut self) {
        let too_old = self.clock.now_s() - IDLE_S;
        let old = |(slot, v): (usize, &Visitor)| (v.since_s < too_old).then_some(slot);
        let slots: Vec<usize> = self.metrics.visitors.iter().filter_map(old).collect();
        slots.into_iter().for_each(|slot| self.dismiss(slot));
    }

    fn answer(&self, asked: Asked, with_body: bool) -> Vec<u8> {
        let (status, kind, body) = match asked {
            Asked::Metrics { open } => {
                let kind = if open { OPENMETRICS } else { PROMETHEUS };
                ("200 OK", kind, (self.reports.metrics)(self, open))
            }
            Asked::Health => {
                let (status, body) = self.health();
                (status, "text/plain", body.to_vec())
            }
            Asked::Nothing => (
                "404 Not Found",
                "text/plain",
                b"There are /metrics and /health.\n".to_vec(),
            ),
            Asked::BadMethod => ("405 Method Not Allowed", "text/plain", Vec::new()),
            Asked::Garbage => ("400 Bad Request", "text/plain", Vec::new()),
        };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if with_body {
            answer.extend_from_slice(&body);
        }
        answer
    }

    /// Whether traffic should be sent here, and why not.
    fn health(&self) -> (&'static str, &'static [u8]) {
        if self.state.contains(ServerState::LOADING) {
            return ("503 Service Unavailable", b"loading the dataset\n");
        }
        if self.state.contains(ServerState::DISK_ERROR) {
            return (
                "503 Service Unavailable",
                b"writes are refused: saving fails\n",
            );
        }
        ("200 OK", b"ok\n")
    }
}

impl Visitor {
    /// Reads what is there. An error ends the connection.
    fn read(&mut self) -> std::io::Result<()> {
        let mut part = [0; 2048];
        loop {
            match self.conn.read(&mut part) {
                // Half closed behind a complete request: it still wants the answer.
                Ok(0) if self.asked().is_some() => return Ok(()),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) if self.request.len() + n > MAX_REQUEST => {
                    return Err(ErrorKind::InvalidData.into());
                }
                Ok(n) => self.request.extend_from_slice(&part[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The request, once it is complete.
    fn asked(&self) -> Option<(Asked, bool)> {
        let complete = self.request.windows(4).any(|w| w == b"\r\n\r\n")
            || self.request.windows(2).any(|w| w == b"\n\n");
        complete.then(|| parse(&self.request))
    }

    /// Writes what is left; true when all is written.
    fn write(&mut self) -> std::io::Result<bool> {
        if self.answer.is_empty() {
            return Ok(false);
        }
        while self.sent < self.answer.len() {
            match self.conn.write(&self.answer[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let asked = |r: &str| parse(r.as_bytes()).0;
        let metrics = |open| Asked::Metrics { open };
        assert_eq!(asked("GET /metrics HTTP/1.1\r\n\r\n"), metrics(false));
        assert_eq!(
            asked(
                "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text;q=1\r\n\r\n"
            ),
            metrics(true)
        );
        assert_eq!(asked("HEAD /health HTTP/1.0\n\n"), Asked::Health);
        assert_eq!(asked("GET / HTTP/1.1\r\n\r\n"), Asked::Nothing);
        assert_eq!(asked("POST /metrics HTTP/1.1\r\n\r\n"), Asked::BadMethod);
        for garbage in [
            "",
            "PING\r\n\r\n",
            "GET /metrics SPDY/1\n\n",
            "\0\0 \0 \0\n\n",
        ] {
            assert_eq!(asked(garbage), Asked::Garbage);
        }
    }
}
