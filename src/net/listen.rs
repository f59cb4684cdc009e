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
}

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address or path.
    pub address: String,
    /// The reason.
    pub error: io::Error,
    /// True when the address is one this machine does not have: no error if it was configured as optional (`-addr`).
    pub unavailable: bool,
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
    /// Listens on every word of `bind`; words that begin with `-` may be unavailable.
    pub fn bind_all(
        bind: &[String],
        port: u16,
        backlog: i32,
    ) -> Result<Vec<Listener>, ListenError> {
        let mut out = Vec::new();
        for word in bind {
            let optional = word.starts_with('-');
            let name = word.trim_start_matches('-');
            match Self::tcp(name, port, backlog) {
                Ok(l) => out.push(l),
                Err(e) if optional && e.unavailable => {
                    log::debug!("Could not listen on optional address {name}: {}", e.error)
                }
                Err(e) => return Err(e),
            }
        }
        Ok(out)
    }

    fn tcp(name: &str, port: u16, backlog: i32) -> Result<Listener, ListenError> {
        let fail = |error: io::Error| {
            let code = error.raw_os_error().unwrap_or(0);
            let unavailable = [
                libc::EADDRNOTAVAIL,
                libc::EAFNOSUPPORT,
                libc::EPROTONOSUPPORT,
                libc::EPFNOSUPPORT,
                libc::ENOPROTOOPT,
                libc::ESOCKTNOSUPPORT,
            ]
            .contains(&code)
                || error.kind() == io::ErrorKind::AddrNotAvailable;
            ListenError {
                address: format!("{name}:{port}"),
                error,
                unavailable,
            }
        };
        let addr = resolve(name, port).map_err(fail)?;
        let open = || -> io::Result<TcpListener> {
            let s = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            if addr.is_ipv6() {
                s.set_only_v6(true)?;
            }
            s.set_reuse_address(true)?;
            s.bind(&addr.into())?;
            s.listen(backlog)?;
            s.set_nonblocking(true)?;
            Ok(TcpListener::from_std(OwnedFd::from(s).into()))
        };
        open().map(|l| Listener::Tcp(l, addr)).map_err(fail)
    }

    /// Listens on a unix socket, replacing what is at `path`; `mode` 0 leaves the permissions to the umask.
    pub fn unix(path: PathBuf, mode: u32, backlog: i32) -> Result<Listener, ListenError> {
        use std::os::unix::fs::PermissionsExt;
        let open = || -> io::Result<UnixListener> {
            let _ = std::fs::remove_file(&path);
            let s = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            s.bind(&socket2::SockAddr::unix(&path)?)?;
            if mode != 0 {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            }
            s.listen(backlog)?;
            s.set_nonblocking(true)?;
            Ok(UnixListener::from_std(OwnedFd::from(s).into()))
        };
        match open() {
            Ok(l) => Ok(Listener::Unix(l, path)),
            Err(error) => Err(ListenError {
                address: path.display().to_string(),
                error,
                unavailable: false,
            }),
        }
    }

    /// Takes the next waiting connection.
    pub fn accept(&self) -> io::Result<Conn> {
        match self {
            Listener::Tcp(l, _) => l.accept().map(|(s, _)| Conn::Tcp(s)),
            Listener::Unix(l, _) => l.accept().map(|(s, _)| Conn::Unix(s)),
        }
    }

    /// What INFO prints of it: `name=tcp,bind=127.0.0.1,port=6379`.
    pub fn describe(&self) -> String {
        match self {
            Listener::Tcp(_, a) => format!("name=tcp,bind={},port={}", a.ip(), a.port()),
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
