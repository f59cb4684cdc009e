//! One connection: TCP, TLS over TCP, or a unix socket; non-blocking.
//!
//! A TLS connection buffers on its own, so readiness of its socket does not tell all: see [`Conn::has_more`] and
//! [`Conn::wants_write`], which are false for all others.

use super::tls::Session;
use mio::net::{TcpStream, UnixStream};
use nix::sys::socket::{MsgFlags, recv};
use std::fmt;
use std::io::{self, IoSlice, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

/// A client's connection; `None` for the clients the server makes for itself (AOF, scripts).
#[derive(Debug)]
pub enum Conn {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP, by TLS.
    Tls(Box<TlsStream>),
    /// None at all.
    None,
}

/// A socket and its TLS session.
#[derive(Debug)]
pub struct TlsStream {
    pub(super) socket: TcpStream,
    session: Session,
}

/// The address of a peer, as CLIENT LIST prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// `ip:port`, IPv6 in brackets.
    Ip(SocketAddr),
    /// `path:0`
    Unix(Box<str>),
    /// No address.
    None,
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerName::Ip(a) => match mapped(a.ip()) {
                IpAddr::V4(ip) => write!(f, "{ip}:{}", a.port()),
                IpAddr::V6(ip) => write!(f, "[{ip}]:{}", a.port()),
            },
            PeerName::Unix(p) => write!(f, "{p}:0"),
            PeerName::None => f.write_str("?:0"),
        }
    }
}

fn mapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

impl PeerName {
    /// True for a peer on this machine: loopback or a unix socket.
    pub fn is_local(&self) -> bool {
        match self {
            PeerName::Ip(a) => mapped(a.ip()).is_loopback(),
            PeerName::Unix(_) => true,
            PeerName::None => true,
        }
    }
}

impl Conn {
    /// Speaks TLS from here on. Other connections than TCP stay what they are.
    pub fn with_tls(self, session: Session) -> Conn {
        match self {
            Conn::Tcp(socket) => Conn::Tls(Box::new(TlsStream { socket, session })),
            other => other,
        }
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&Session> {
        match self {
            Conn::Tls(t) => Some(&t.session),
            _ => None,
        }
    }

    /// True when another read gives something whether or not the socket is readable.
    #[inline]
    pub fn has_more(&self) -> bool {
        self.tls().is_some_and(Session::has_more)
    }

    /// True while bytes that were taken by a write wait for the socket.
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.tls().is_some_and(Session::wants_write)
    }

    /// Sends what earlier writes left. True when nothing is left.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Conn::Tls(t) => t.session.flush(&mut t.socket),
            _ => Ok(true),
        }
    }

    /// Says goodbye to the peer where the protocol has a word for it; the connection is to be dropped after it.
    pub fn say_goodbye(&mut self) {
        if let Conn::Tls(t) = self {
            t.session.close(&mut t.socket);
        }
    }

    /// Begins to connect to `host` (a name is looked up, which may take its time) from `source`, if that is not empty. Whether
    /// it worked shows when the connection becomes writable: [`Conn::connected`].
    pub fn connect(host: &str, port: u16, source: &str) -> io::Result<Conn> {
        use std::net::ToSocketAddrs;
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        for addr in (host, port).to_socket_addrs()? {
            match Self::connect_to(addr, source) {
                Ok(conn) => return Ok(conn),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn connect_to(addr: SocketAddr, source: &str) -> io::Result<Conn> {
        use socket2::{Domain, Protocol, Socket, Type};
        let s = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if !source.is_empty() {
            let ip: IpAddr = source
                .parse()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            s.bind(&SocketAddr::new(ip, 0).into())?;
        }
        s.set_nonblocking(true)?;
        match s.connect(&addr.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
            _ => Ok(Conn::Tcp(TcpStream::from_std(
                std::os::fd::OwnedFd::from(s).into(),
            ))),
        }
    }

    /// Whether a connection that was begun stands; the error if it failed.
    pub fn connected(&self) -> io::Result<bool> {
        let s = match self {
            Conn::Tcp(s) => s,
            Conn::Tls(t) => &t.socket,
            _ => return Ok(true),
        };
        if let Some(e) = s.take_error()? {
            return Err(e);
        }
        match s.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Reads what is there, at most `room` bytes, to the end of `buf`. `Ok(0)` is the end of the stream.
    pub fn read_to(&mut self, buf: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        if let Conn::Tls(t) = self {
            return t.session.read(&mut t.socket, buf, room);
        }
        let old = buf.len();
        if buf.capacity() - old < room {
            buf.reserve(room);
        }
        // `take` + `read_to_end` would loop until would-block; one read is what we want, so the room is made initialised.
        let n = crate::sys::io::read_spare(self.raw_fd(), buf, room)?;
        debug_assert_eq!(buf.len(), old + n);
        Ok(n)
    }

    /// Writes some of `bytes`.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Conn::Tcp(s) => s.write(bytes),
            Conn::Unix(s) => s.write(bytes),
            Conn::Tls(t) => t.session.write(&mut t.socket, &[IoSlice::new(bytes)]),
            Conn::None => Ok(bytes.len()),
        }
    }

    /// Writes some of the slices.
    pub fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Conn::Tcp(s) => s.write_vectored(slices),
            Conn::Unix(s) => s.write_vectored(slices),
            Conn::Tls(t) => t.session.write(&mut t.socket, slices),
            Conn::None => Ok(slices.iter().map(|s| s.len()).sum()),
        }
    }

    /// Reads into `buf`.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            // recv(2) spares the file layer that read(2) goes through.
            Conn::Tcp(_) | Conn::Unix(_) => Ok(recv(self.raw_fd(), buf, MsgFlags::empty())?),
            Conn::Tls(t) => {
                let mut read = Vec::new();
                let n = t.session.read(&mut t.socket, &mut read, buf.len())?;
                buf[..n].copy_from_slice(&read);
                Ok(n)
            }
            Conn::None => Ok(0),
        }
    }

    /// The descriptor, -1 for none.
    #[inline]
    pub fn raw_fd(&self) -> RawFd {
        match self {
            Conn::Tcp(s) => s.as_raw_fd(),
            Conn::Unix(s) => s.as_raw_fd(),
            Conn::Tls(t) => t.socket.as_raw_fd(),
            Conn::None => -1,
        }
    }

    /// True when there is no socket.
    pub fn is_none(&self) -> bool {
        matches!(self, Conn::None)
    }

    /// The peer's address.
    pub fn peer(&self) -> PeerName {
        match self {
            Conn::Tcp(s) => s.peer_addr().map_or(PeerName::None, PeerName::Ip),
            Conn::Tls(t) => t.socket.peer_addr().map_or(PeerName::None, PeerName::Ip),
            Conn::Unix(s) => PeerName::Unix(
                s.local_addr()
                    .ok()
                    .and_then(|a| a.as_pathname().map(|p| p.to_string_lossy().into()))
                    .unwrap_or_default(),
            ),
            Conn::None => PeerName::None,
        }
    }

    /// Our address.
    pub fn local(&self) -> PeerName {
        match self {
            Conn::Tcp(s) => s.local_addr().map_or(PeerName::None, PeerName::Ip),
            Conn::Tls(t) => t.socket.local_addr().map_or(PeerName::None, PeerName::Ip),
            Conn::Unix(_) => self.peer(),
            Conn::None => PeerName::None,
        }
    }

    /// Whether small pieces are sent at once. What the system refuses here is not worth failing for.
    pub fn set_nodelay(&self, at_once: bool) {
        if let Conn::Tcp(s) = self {
            let _ = s.set_nodelay(at_once);
        }
    }

    /// Prepares a fresh connection: no delay, and keepalive probes every `keepalive_s` seconds (0: none).
    pub fn configure(&self, keepalive_s: u32) -> io::Result<()> {
        let s = match self {
            Conn::Tcp(s) => s,
            Conn::Tls(t) => &t.socket,
            _ => return Ok(()),
        };
        s.set_nodelay(true)?;
        if keepalive_s > 0 {
            let sock = socket2::SockRef::from(s);
            let secs = std::time::Duration::from_secs(u64::from(keepalive_s));
            // As upstream: probe after the interval, then three times within it.
            let each = (secs / 3).max(std::time::Duration::from_secs(1));
            sock.set_tcp_keepalive(
                &socket2::TcpKeepalive::new()
                    .with_time(secs)
                    .with_interval(each)
                    .with_retries(3),
            )?;
        }
        Ok(())
    }
}
