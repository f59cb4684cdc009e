//! Waiting for readiness.

use super::conn::Conn;
use super::listen::Listener;
use crate::sys::io::wait_readable;
use mio::{Events, Interest, Poll, Waker};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// Names a registered source: a client (slot and generation) or a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The client in this slot, of this generation.
    Client {
        /// Slot in the client table.
        slot: u32,
        /// Generation, so that an event of a closed connection meets nobody.
        generation: u32,
    },
    /// The listener of this index.
    Listener(u32),
    /// Another thread asked for attention.
    Wake,
    /// Any other source of the server, by a number of its owner's choice.
    Other(u32),
}

const LISTENER: usize = usize::MAX << 32;
const OTHER: usize = (usize::MAX - 1) << 32;
const WAKE: usize = (usize::MAX - 2) << 32;

impl From<Token> for mio::Token {
    fn from(t: Token) -> Self {
        mio::Token(match t {
            // Generations stay below 2^31 (see the client table), so clients never meet the marks above.
            Token::Client { slot, generation } => (generation as usize) << 32 | slot as usize,
            Token::Listener(i) => LISTENER | i as usize,
            Token::Other(i) => OTHER | i as usize,
            Token::Wake => WAKE,
        })
    }
}

impl From<mio::Token> for Token {
    fn from(t: mio::Token) -> Self {
        let (high, low) = (t.0 & (usize::MAX << 32), t.0 as u32);
        match high {
            LISTENER => Token::Listener(low),
            OTHER => Token::Other(low),
            WAKE => Token::Wake,
            _ => Token::Client {
                slot: low,
                generation: (t.0 >> 32) as u32,
            },
        }
    }
}

/// Shorter waits than this take a second system call.
const MILLISECOND: Duration = Duration::from_millis(1);

/// One source that became ready.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// Who.
    pub token: Token,
    /// There may be something to read, or the peer closed.
    pub readable: bool,
    /// The peer ended its side, or the connection broke. Told once, perhaps together with bytes that come before the end.
    pub ended: bool,
    /// There may be room to write.
    pub writable: bool,
}

/// The poller.
pub struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
}

impl Poller {
    /// Opens the poller.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token::Wake.into())?);
        Ok(Poller {
            poll,
            events: Events::with_capacity(1024),
            waker,
        })
    }

    /// A handle by which other threads end the wait.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Waits at most `timeout` (None: until something happens) and appends what is ready to `batch`. A signal ends the wait
    /// early without an error. Times below a millisecond are kept as well.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        batch: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let timeout = match timeout {
            Some(t) if t < MILLISECOND && !t.is_zero() => {
                // epoll_wait counts in milliseconds, and mio rounds up.
                wait_readable(self.poll.as_raw_fd(), t)?;
                Some(Duration::ZERO)
            }
            t => t,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            r => r?,
        }
        for e in &self.events {
            batch.push(Readiness {
                token: e.token().into(),
                readable: e.is_readable() || e.is_read_closed() || e.is_error(),
                ended: e.is_read_closed() || e.is_error(),
                writable: e.is_writable() || e.is_error(),
            });
        }
        Ok(())
    }

    /// Watches a connection for reading and writing.
    pub fn add_conn(&self, conn: &mut Conn, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match conn {
            Conn::Tcp(s) => self.poll.registry().register(s, token.into(), both),
            Conn::Unix(s) => self.poll.registry().register(s, token.into(), both),
            Conn::Tls(t) => {
                let s = &mut t.socket;
                self.poll.registry().register(s, token.into(), both)
            }
            Conn::None => Ok(()),
        }
    }

    /// Stops watching a connection.
    pub fn remove_conn(&self, conn: &mut Conn) -> io::Result<()> {
        match conn {
            Conn::Tcp(s) => self.poll.registry().deregister(s),
            Conn::Unix(s) => self.poll.registry().deregister(s),
            Conn::Tls(t) => self.poll.registry().deregister(&mut t.socket),
            Conn::None => Ok(()),
        }
    }

    /// Watches a listener for connections.
    pub fn add_listener(&self, l: &mut Listener, index: u32) -> io::Result<()> {
        let token = Token::Listener(index).into();
        match l {
            Listener::Tcp(s, _) | Listener::Tls(s, _) => {
                self.poll.registry().register(s, token, Interest::READABLE)
            }
            Listener::Unix(s, _) => self.poll.registry().register(s, token, Interest::READABLE),
        }
    }

    /// Stops watching a listener.
    pub fn remove_listener(&self, l: &mut Listener) -> io::Result<()> {
        match l {
            Listener::Tcp(s, _) | Listener::Tls(s, _) => self.poll.registry().deregister(s),
            Listener::Unix(s, _) => self.poll.registry().deregister(s),
        }
    }

    /// Watches a raw descriptor (a pipe of a child) for reading.
    pub fn add_fd(&self, fd: std::os::fd::RawFd, token: Token) -> io::Result<()> {
        self.poll.registry().register(
            &mut mio::unix::SourceFd(&fd),
            token.into(),
            Interest::READABLE,
        )
    }

    /// Stops watching a raw descriptor.
    pub fn remove_fd(&self, fd: std::os::fd::RawFd) -> io::Result<()> {
        self.poll
            .registry()
            .deregister(&mut mio::unix::SourceFd(&fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        for t in [
            Token::Client {
                slot: 7,
                generation: 1,
            },
            Token::Client {
                slot: 0,
                generation: i32::MAX as u32,
            },
            Token::Listener(3),
            Token::Wake,
            Token::Other(9),
        ] {
            assert_eq!(Token::from(mio::Token::from(t)), t);
        }
    }
}
