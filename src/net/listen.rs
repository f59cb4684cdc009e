//! Listening sockets.

use super::conn::Conn;
use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP, with the address it is bound to.
    Tcp(TcpListener, SocketAddr),
    /// A unix socket, with its path.
    Unix(UnixListener, PathBuf),
    /// TCP whose connections are to speak TLS, with the address it is bound to.
    Tls(TcpListener, SocketAddr),
}

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address or path.
    pub address: String,
    /// The call that failed with a colon and a blank behind it, nothing for looking up a name.
    pub step: &'static str,
    /// The reason.
    pub error: io::Error,
    /// True when the address is one this machine does not have: no error if it was configured as optional (`-addr`).
    pub unavailable: bool,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.error.to_string();
        // Without Rust's words around the system's own.
        let text = text.split(" (os error").next().unwrap_or_default();
        let text = text.rsplit("information: ").next().unwrap_or_default();
        write!(f, "{}: {}{text}", self.address, self.step)
    }
}

/// Whether this machine does not have the address, or not its family.
fn is_unavailable(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or(0);
    [
        libc::EADDRNOTAVAIL,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::EPFNOSUPPORT,
        libc::ENOPROTOOPT,
        libc::ESOCKTNOSUPPORT,
    ]
    .contains(&code)
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Resolves one word of `bind`: `*` and `::*` stand for all addresses of IPv4 and IPv6.
fn resolve(word: &str, port: u16) -> io::Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let ip: IpAddr = match word {
        "*" => IpAddr::from([0, 0, 0, 0]),
        "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        w => match w.parse() {
            Ok(ip) => ip,
            Err(_) => {
                return (w, port)
                    .to_socket_addrs()?
                    .next()
                    .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable));
            }
        },
    };
    Ok(SocketAddr::new(ip, port))
}

impl Listener {
    /// Listens on every word of `bind`, for connections that speak TLS if `tls`; words that begin with `-` may be unavailable.
    pub fn bind_all(
        bind: &[String],
        port: u16,
        backlog: i32,
        tls: bool,
    ) -> Result<Vec<Listener>, ListenError> {
        let mut out = Vec::new();
        for word in bind {
            let optional = word.starts_with('-');
            let name = word.trim_start_matches('-');
            match Self::tcp(name, port, backlog, tls) {
                Ok(l) => out.push(l),
                Err(e) => {
                    log::warn!("Warning: Could not create server TCP listening socket {e}");
                    if !(optional && e.unavailable) {
                        return Err(e);
                    }
                }
            }
        }
        Ok(out)
    }

    fn tcp(name: &str, port: u16, backlog: i32, tls: bool) -> Result<Listener, ListenError> {
        let fail = |step: &'static str| {
            move |error: io::Error| ListenError {
                address: format!("{name}:{port}"),
                step,
                unavailable: is_unavailable(&error),
                error,
            }
        };
        let addr = resolve(name, port).map_err(fail(""))?;
        let open = || -> io::Result<Socket> {
            let s = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            if addr.is_ipv6() {
                s.set_only_v6(true)?;
            }
            s.set_reuse_address(true)?;
            s.set_nonblocking(true)?;
            Ok(s)
        };
        let s = open().map_err(fail("socket: "))?;
        s.bind(&addr.into()).map_err(fail("bind: "))?;
        s.listen(backlog).map_err(fail("listen: "))?;
        let l = TcpListener::from_std(OwnedFd::from(s).into());
        Ok(if tls {
            Listener::Tls(l, addr)
        } else {
            Listener::Tcp(l, addr)
        })
    }

    /// Listens on a unix socket, replacing what is at `path`; `mode` 0 leaves the permissions to the umask.
    pub fn unix(path: PathBuf, mode: u32, backlog: i32) -> Result<Listener, ListenError> {
        use std::os::unix::fs::PermissionsExt;
        let path = std::path::absolute(&path).unwrap_or(path);
        let fail = |step: &'static str| {
            let address = path.display().to_string();
            move |error: io::Error| ListenError {
                address,
                step,
                unavailable: false,
                error,
            }
        };
        let _ = std::fs::remove_file(&path);
        let s = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail("socket: "))?;
        let name = socket2::SockAddr::unix(&path).map_err(fail("bind: "))?;
        s.bind(&name).map_err(fail("bind: "))?;
        if mode != 0 {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).map_err(fail("chmod: "))?;
        }
        s.listen(backlog).map_err(fail("listen: "))?;
        s.set_nonblocking(true).map_err(fail("fcntl: "))?;
        let l = UnixListener::from_std(OwnedFd::from(s).into());
        Ok(Listener::Unix(l, path))
    }

    /// `tcp`, `unix` or `tls`.
    pub fn kind(&self) -> &'static str {
        match self {
            Listener::Tcp(..) => "tcp",
            Listener::Unix(..) => "unix",
            Listener::Tls(..) => "tls",
        }
    }

    /// Takes the next waiting connection; TLS is up to the caller.
    pub fn accept(&self) -> io::Result<Conn> {
        match self {
            Listener::Tcp(l, _) | Listener::Tls(l, _) => l.accept().map(|(s, _)| Conn::Tcp(s)),
            Listener::Unix(l, _) => l.accept().map(|(s, _)| Conn::Unix(s)),
        }
    }

    /// What INFO prints of it: `name=tcp,bind=127.0.0.1,port=6379`.
    pub fn describe(&self) -> String {
        match self {
            Listener::Tcp(_, a) | Listener::Tls(_, a) => {
                format!("name={},bind={},port={}", self.kind(), a.ip(), a.port())
            }
            Listener::Unix(_, p) => format!("name=unix,bind={}", p.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}
