//! A blocking connection to another server, for commands that do their work in one go (MIGRATE).
//!
//! Everything has a time limit per step, as upstream: connecting, each write and each line read get `timeout` of their own.
//! Nothing else runs meanwhile; whoever uses this says so to its caller.
//!
//! [`Links`] keeps connections for the next command to the same place: at most [`MAX_LINKS`], unused ones go after
//! [`IDLE_S`] seconds.

use super::tls::Session;
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connections kept at most; one more closes a random one, here the one that was unused for longest.
const MAX_LINKS: usize = 64;
/// Seconds after which an unused connection is closed.
const IDLE_S: i64 = 10;
/// Longest line of a reply that is kept; the rest of a longer one is read and dropped.
const MAX_LINE: usize = 1024;

/// Why there is no connection.
#[derive(Debug)]
pub enum LinkError {
    /// The name means nothing.
    Unresolved,
    /// Nobody answered in time.
    TimedOut,
    /// It was refused, or broke later.
    Refused,
}

/// A blocking connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    tls: Option<Box<Session>>,
    /// Bytes read and not yet used.
    buf: Vec<u8>,
    at: usize,
    /// The database selected there; None when that is not known.
    pub db: Option<i64>,
    used_s: i64,
}

impl Link {
    /// Connects to `host` (a name or an address), trying each of its addresses within `timeout`.
    ///
    /// # Errors
    /// See [`LinkError`]; the last address decides.
    pub fn open(host: &str, port: u16, timeout: Duration) -> Result<Link, LinkError> {
        let places = (host, port)
            .to_socket_addrs()
            .map_err(|_| LinkError::Unresolved)?;
        let mut why = LinkError::Unresolved;
        for place in places {
            match TcpStream::connect_timeout(&place, timeout) {
                Ok(stream) => return Ok(Link::over(stream)),
                Err(e) if is_timeout(&e) => why = LinkError::TimedOut,
                Err(_) => why = LinkError::Refused,
            }
        }
        Err(why)
    }

    fn over(stream: TcpStream) -> Link {
        // Without it the last small packet of a command would wait for an acknowledgement; a failure costs only time.
        let _ = stream.set_nodelay(true);
        Link {
            stream,
            tls: None,
            buf: Vec::new(),
            at: 0,
            db: None,
            used_s: 0,
        }
    }

    /// Writes all of `bytes`; each system call may take `timeout`.
    ///
    /// # Errors
    /// What the system says; `TimedOut` or `WouldBlock` when the time was over.
    pub fn send(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        self.stream.set_write_timeout(Some(timeout))?;
        let Some(tls) = &mut self.tls else {
            return self.stream.write_all(bytes);
        };
        let mut left = bytes;
        while !left.is_empty() {
            let n = tls.write(&mut self.stream, &[IoSlice::new(left)])?;
            left = &left[n..];
        }
        match tls.flush(&mut self.stream)? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Speaks TLS from here on; the handshake is done within `timeout`.
    ///
    /// # Errors
    /// What the system or the session says; `TimedOut` when the time was over.
    pub fn secure(&mut self, session: Session, timeout: Duration) -> io::Result<()> {
        let until = Instant::now() + timeout;
        self.stream.set_write_timeout(Some(timeout))?;
        let tls = self.tls.insert(Box::new(session));
        while tls.is_handshaking() {
            tls.flush(&mut self.stream)?;
            let mut once = Once::before(&mut self.stream, until)?;
            match tls.read(&mut once, &mut self.buf, 1) {
                Err(e) if is_timeout(&e) => {}
                Ok(_) if tls.is_handshaking() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) => return Err(e),
            }
        }
        tls.flush(&mut self.stream).map(|_| ())
    }

    /// The next line without its end, at most [`MAX_LINE`] bytes of it, within `timeout`.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` when the other side closed.
    pub fn line(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let until = Instant::now() + timeout;
        let mut line = Vec::new();
        loop {
            let fresh = &self.buf[self.at..];
            let end = memchr::memchr(b'\n', fresh);
            let part = &fresh[..end.unwrap_or(fresh.len())];
            line.extend_from_slice(&part[..part.len().min(MAX_LINE - line.len())]);
            if let Some(end) = end {
                self.at += end + 1;
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            self.fill(until)?;
        }
    }

    /// Replaces the used buffer by what comes next.
    fn fill(&mut self, until: Instant) -> io::Result<()> {
        const ROOM: usize = 16 * 1024;
        self.at = 0;
        self.buf.clear();
        let got = loop {
            let mut once = Once::before(&mut self.stream, until)?;
            let Some(tls) = &mut self.tls else {
                self.buf.resize(ROOM, 0);
                let got = once.read(&mut self.buf);
                self.buf.truncate(*got.as_ref().unwrap_or(&0));
                break got?;
            };
            // More than one read can bring, so nothing is left behind in the session.
            match tls.read(&mut once, &mut self.buf, 4 * ROOM) {
                // Something came, but no plain text yet.
                Err(e) if is_timeout(&e) && once.used => {}
                got => break got?,
            }
        };
        match got {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A blocking socket from which one read is made: a session reads until it would block, and with this it would after one.
struct Once<'s> {
    stream: &'s mut TcpStream,
    used: bool,
}

impl<'s> Once<'s> {
    /// The read may last until then; `TimedOut` when that is over.
    fn before(stream: &'s mut TcpStream, until: Instant) -> io::Result<Self> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        Ok(Once {
            stream,
            used: false,
        })
    }
}

impl Read for Once<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.used {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.stream.read(buf)?;
        self.used = true;
        Ok(n)
    }
}

impl Write for Once<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether an error means that time was over.
pub fn is_timeout(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// Connections kept for the next command, by `host:port` as the command named it.
#[derive(Debug, Default)]
pub struct Links {
    kept: Vec<(Box<[u8]>, Link)>,
}

impl Links {
    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Takes the connection to `place` out, if there is one.
    pub fn take(&mut self, place: &[u8]) -> Option<Link> {
        let i = self.kept.iter().position(|(p, _)| **p == *place)?;
        Some(self.kept.swap_remove(i).1)
    }

    /// Keeps a connection that was just used.
    pub fn keep(&mut self, place: &[u8], mut link: Link, now_s: i64) {
        link.used_s = now_s;
        if self.kept.len() >= MAX_LINKS
            && let Some(i) = (0..self.kept.len()).min_by_key(|&i| self.kept[i].1.used_s)
        {
            self.kept.swap_remove(i);
        }
        self.kept.push((place.into(), link));
    }

    /// Closes what was not used for [`IDLE_S`] seconds.
    pub fn close_idle(&mut self, now_s: i64) {
        self.kept.retain(|(_, link)| now_s - link.used_s <= IDLE_S);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const SOON: Duration = Duration::from_millis(200);

    fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Link::open("127.0.0.1", port, SOON).unwrap();
        (link, listener.accept().unwrap().0)
    }

    #[test]
    fn lines_however_they_come() {
        let (mut link, mut other) = pair();
        other.write_all(b"+OK\r\n-ERR x\n\r\n+half").unwrap();
        assert_eq!(link.line(SOON).unwrap(), b"+OK");
        assert_eq!(link.line(SOON).unwrap(), b"-ERR x");
        assert_eq!(link.line(SOON).unwrap(), b"");
        assert!(is_timeout(&link.line(SOON).unwrap_err()));
        drop(other);
        let e = link.line(SOON).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn long_lines_are_cut_and_leave_nothing_behind() {
        let (mut link, mut other) = pair();
        let mut text = vec![b'x'; 100_000];
        text.extend_from_slice(b"\r\n+OK\r\n");
        let writer = std::thread::spawn(move || {
            other.write_all(&text).unwrap();
            other
        });
        assert_eq!(link.line(SOON).unwrap().len(), MAX_LINE);
        assert_eq!(link.line(SOON).unwrap(), b"+OK");
        drop(writer.join().unwrap());
    }

    #[test]
    fn no_connection() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = gone.local_addr().unwrap().port();
        drop(gone);
        assert!(matches!(
            Link::open("127.0.0.1", port, SOON),
            Err(LinkError::Refused)
        ));
        assert!(matches!(
            Link::open("not a host", port, SOON),
            Err(LinkError::Unresolved)
        ));
    }

    #[test]
    fn kept_links_are_found_and_grow_old() {
        let mut links = Links::default();
        let (a, _hold_a) = pair();
        let (b, _hold_b) = pair();
        links.keep(b"a:1", a, 100);
        links.keep(b"b:1", b, 105);
        assert!(links.take(b"c:1").is_none());
        links.close_idle(110);
        assert_eq!(links.len(), 2);
        links.close_idle(111);
        assert_eq!(links.len(), 1);
        assert!(links.take(b"b:1").is_some() && links.is_empty());
    }
}
