//! A snapshot as it comes off the socket, for the loader to read from (`repl-diskless-load`).
//!
//! The event loop calls [`Feed::pump`] when the socket is readable: what is there goes into a buffer of bounded size. The loader
//! is stepped only while [`Feed::ready`] is well filled, so it rarely has to wait; when it meets the middle of a value that is
//! longer than that, [`Feed`] waits for the socket itself, with the master's patience (`repl-timeout`) as its limit.
//!
//! Nothing behind the snapshot is ever handed to the loader: those bytes are left over for the stream ([`Feed::into_rest`]).

use super::transfer::Transfer;
use crate::net::Conn;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Bytes read from the socket at once.
const CHUNK: usize = 64 * 1024;
/// Bytes buffered, at most, before the loader takes some.
const FULL: usize = 1024 * 1024;
/// One wait for the socket: between two of them the clock is looked at.
const WAIT: Duration = Duration::from_millis(100);

/// How a pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// The socket has no more for now.
    Drained,
    /// The buffer is full; there may be more.
    Full,
    /// The master is gone.
    Closed,
}

/// The socket and what came off it.
#[derive(Debug)]
pub struct Feed {
    /// The connection.
    pub conn: Conn,
    /// Where the snapshot ends.
    pub transfer: Transfer,
    /// Received and not classified.
    inbox: Vec<u8>,
    /// Bytes of the snapshot that were not read yet: from `taken` on.
    body: Vec<u8>,
    taken: usize,
    /// The whole snapshot was received.
    pub complete: bool,
    timeout_ms: u128,
    /// Bytes that came off the socket since somebody asked, and when the last of them came.
    pub net_in: u64,
}

impl Feed {
    /// A feed whose header was taken off already; `inbox` is what came behind it.
    pub fn new(conn: Conn, transfer: Transfer, inbox: Vec<u8>, timeout_s: i64) -> Feed {
        let mut feed = Feed {
            conn,
            transfer,
            inbox,
            body: Vec::new(),
            taken: 0,
            complete: false,
            timeout_ms: timeout_s.max(1) as u128 * 1000,
            net_in: 0,
        };
        feed.classify();
        feed
    }

    /// Bytes of the snapshot that can be read without waiting.
    pub fn ready(&self) -> usize {
        self.body.len() - self.taken
    }

    /// Reads what the socket has, until there is nothing more or the buffer is full.
    pub fn pump(&mut self) -> io::Result<Pumped> {
        while !self.complete {
            if self.ready() >= FULL {
                return Ok(Pumped::Full);
            }
            match self.receive() {
                Ok(0) => return Ok(Pumped::Closed),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Pumped::Drained),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Pumped::Drained)
    }

    fn receive(&mut self) -> io::Result<usize> {
        let n = self.conn.read_to(&mut self.inbox, CHUNK)?;
        self.net_in += n as u64;
        self.classify();
        Ok(n)
    }

    fn classify(&mut self) {
        let b = self.transfer.body(&self.inbox);
        if self.taken > 0 && (self.taken == self.body.len() || self.taken >= FULL) {
            self.body.drain(..self.taken);
            self.taken = 0;
        }
        self.body.extend_from_slice(&self.inbox[..b.bytes]);
        self.inbox.drain(..b.bytes + b.skip);
        self.complete = b.last;
    }

    fn wait_for_more(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match self.receive() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if self.ready() > 0 || self.complete => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if start.elapsed().as_millis() > self.timeout_ms {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    crate::sys::io::wait_readable(self.conn.raw_fd(), WAIT)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The connection, and what came behind the snapshot.
    pub fn into_rest(self) -> (Conn, Vec<u8>) {
        (self.conn, self.inbox)
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready() == 0 && !self.complete {
            self.wait_for_more()?;
        }
        let n = out.len().min(self.ready());
        out[..n].copy_from_slice(&self.body[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream as Std;

    fn pair() -> (Std, Conn) {
        let (a, b) = Std::pair().unwrap();
        b.set_nonblocking(true).unwrap();
        (a, Conn::Unix(mio::net::UnixStream::from_std(b)))
    }

    fn feed(conn: Conn, header: &[u8]) -> Feed {
        let mut t = Transfer::default();
        let mut inbox = header.to_vec();
        assert!(t.header(&mut inbox).unwrap());
        Feed::new(conn, t, inbox, 1)
    }

    #[test]
    fn the_stream_behind_it_is_left_over() {
        let (mut master, conn) = pair();
        let mut f = feed(conn, b"$5\r\nab");
        assert_eq!(f.pump().unwrap(), Pumped::Drained);
        assert_eq!(f.ready(), 2);
        master.write_all(b"cdeSTREAM").unwrap();
        let mut all = Vec::new();
        f.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"abcde");
        assert!(f.complete);
        assert_eq!(f.into_rest().1, b"STREAM");
    }

    #[test]
    fn the_reader_waits_and_gives_up() {
        let (mut master, conn) = pair();
        let mut f = feed(conn, b"$100\r\n");
        let late = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            master.write_all(&[7; 40]).unwrap();
            master
        });
        let mut buf = [0; 64];
        assert_eq!(f.read(&mut buf).unwrap(), 40);
        let master = late.join().unwrap();
        let e = f.read(&mut buf).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        drop(master);
        assert_eq!(
            f.read(&mut buf).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(f.pump().unwrap(), Pumped::Closed);
    }
}
