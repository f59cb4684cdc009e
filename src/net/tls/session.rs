//! One TLS session as a state machine: plain bytes on one side, whatever reads and writes on the other.
//!
//! The session owns no socket. [`Session::read`] pulls cipher text from a reader until it would block and answers what the
//! protocol asks for at once (handshake, alerts); [`Session::write`] takes as much plain text as the peer takes cipher text.
//! Since both sides buffer, readiness of the socket does not tell all: a read that fills its room may have left plain text
//! behind, [`Session::has_more`] says that another read gives something though the last one did not fill its room (the end,
//! an error, more bytes), [`Session::wants_write`] that cipher text waits for the
//! socket. Whoever owns a session asks both after each call.

use rustls::{ClientConnection, Connection, ServerConnection};
use std::io::{self, BufRead, IoSlice, Read, Write};

/// Cipher text taken from the socket at once: one record of the largest size.
const CIPHER_READ: usize = 16 * 1024 + 256;

/// A session, either side.
#[derive(Debug)]
pub struct Session {
    tls: Connection,
    /// Cipher text read but not digested, because the reader wanted no more plain text.
    backlog: Vec<u8>,
    /// The peer closed, with or without saying so.
    ended: bool,
    /// What broke the session; told once all plain text before it is read.
    failed: Option<rustls::Error>,
    /// The peer has sent something that was TLS.
    understood: bool,
}

impl From<ServerConnection> for Session {
    fn from(c: ServerConnection) -> Self {
        Session::new(c.into())
    }
}

impl From<ClientConnection> for Session {
    fn from(c: ClientConnection) -> Self {
        Session::new(c.into())
    }
}

impl Session {
    fn new(tls: Connection) -> Self {
        Session {
            tls,
            backlog: Vec::new(),
            ended: false,
            failed: None,
            understood: false,
        }
    }

    /// True until both sides have agreed on keys. Nothing is written before.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// The version and the cipher suite in force.
    pub fn describe(&self) -> Option<String> {
        let suite = self.tls.negotiated_cipher_suite()?.suite();
        Some(format!("{:?} {suite:?}", self.tls.protocol_version()?))
    }

    /// True when another [`Session::read`] gives something whether or not the socket has more, even if the last one did not
    /// fill its room.
    pub fn has_more(&self) -> bool {
        self.ended || self.failed.is_some() || !self.backlog.is_empty()
    }

    /// True while cipher text waits for the socket to take it.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write() && !self.is_mute()
    }

    /// A peer whose first bytes were no TLS would take an alert for an answer; it gets none, as upstream.
    fn is_mute(&self) -> bool {
        self.failed.is_some() && !self.understood
    }

    /// Appends at most `room` bytes of plain text to `buf`. `Ok(0)`: the peer is done; `WouldBlock`: nothing yet. A broken
    /// session is `InvalidData`, and the alert that says why is on its way.
    pub fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        buf: &mut Vec<u8>,
        room: usize,
    ) -> io::Result<usize> {
        let end = buf.len() + room;
        let start = buf.len();
        loop {
            self.take_plain(buf, end - buf.len());
            if buf.len() == end || self.ended || self.failed.is_some() {
                break;
            }
            if self.backlog.is_empty() && !self.receive(socket, buf.len() > start)? {
                break;
            }
            self.digest(socket);
        }
        match buf.len() - start {
            0 => self.nothing_read(),
            n => Ok(n),
        }
    }

    /// What a read without plain text means.
    fn nothing_read(&self) -> io::Result<usize> {
        match &self.failed {
            Some(e) => Err(io::Error::new(io::ErrorKind::InvalidData, e.clone())),
            None if self.ended => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Moves decrypted bytes, at most `room`.
    fn take_plain(&mut self, buf: &mut Vec<u8>, mut room: usize) {
        while room > 0 {
            let mut reader = self.tls.reader();
            let n = match reader.fill_buf() {
                // The peer said goodbye.
                Ok([]) => return self.ended = true,
                Ok(bytes) => {
                    let n = bytes.len().min(room);
                    buf.extend_from_slice(&bytes[..n]);
                    n
                }
                // Nothing there, or the stream ended without a goodbye, which `receive` has noted.
                Err(_) => return,
            };
            reader.consume(n);
            room -= n;
        }
    }

    /// Reads cipher text; false when the socket has none. Errors are kept back while plain text (`got_some`) is to be told.
    fn receive(&mut self, socket: &mut impl Read, got_some: bool) -> io::Result<bool> {
        let mut cipher = [0; CIPHER_READ];
        loop {
            match socket.read(&mut cipher) {
                Ok(0) => {
                    self.ended = true;
                    // rustls wants to know as well, else it takes the end for a short pause.
                    let _ = self.tls.read_tls(&mut io::empty());
                    return Ok(false);
                }
                Ok(n) => {
                    self.backlog.extend_from_slice(&cipher[..n]);
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(_) if got_some => {
                    self.ended = true;
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Feeds the backlog until there is plain text to take or nothing is left, and sends what the protocol answers.
    fn digest(&mut self, socket: &mut impl Write) {
        let mut used = 0;
        while used < self.backlog.len() {
            let mut rest = &self.backlog[used..];
            let before = rest.len();
            // Refuses only when plain text waits to be taken.
            if self.tls.read_tls(&mut rest).is_err() {
                break;
            }
            used += before - rest.len();
            match self.tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() => {
                    break;
                }
                // It was answered, so it was understood.
                Ok(_) => self.understood |= self.tls.wants_write(),
                Err(e) => {
                    self.understood |= !matches!(e, rustls::Error::InvalidMessage(_));
                    self.failed = Some(e);
                    used = self.backlog.len();
                }
            }
        }
        self.backlog.drain(..used);
        if self.backlog.is_empty() {
            self.backlog = Vec::new();
        }
        // What cannot be sent now goes with the next write; a broken socket shows at the next read.
        let _ = self.flush(socket);
    }

    /// Sends waiting cipher text. True when none is left.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Takes plain text as long as the socket takes its cipher text; returns how many bytes. What was taken may still wait
    /// ([`Session::wants_write`]).
    pub fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted: usize = slices.iter().map(|s| s.len()).sum();
        let mut done = 0;
        while self.flush(socket)? && done < wanted {
            if self.tls.is_handshaking() {
                break;
            }
            let n = self.tls.writer().write_vectored(&after(slices, done))?;
            if n == 0 {
                break;
            }
            done += n;
        }
        if done == 0 && wanted > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(done)
    }

    /// Tells the peer that nothing more will come. As far as the socket takes it.
    pub fn close(&mut self, socket: &mut impl Write) {
        self.tls.send_close_notify();
        let _ = self.flush(socket);
    }
}

/// The slices without their first `skip` bytes.
fn after<'s>(slices: &'s [IoSlice<'_>], mut skip: usize) -> Vec<IoSlice<'s>> {
    let mut out = Vec::with_capacity(slices.len());
    for s in slices {
        let n = skip.min(s.len());
        skip -= n;
        if n < s.len() {
            out.push(IoSlice::new(&s[n..]));
        }
    }
    out
}
