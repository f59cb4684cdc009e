//! A second connection per server: what it waits for, and what it is told while the first one works.
//!
//! A step that begins with `@` goes to it. If it parks there (INFO `blocked_clients` says so), the two servers must agree after
//! every further step whether it still waits; otherwise all it was sent (replies, messages, pushes) is collected behind a PING
//! of our own and compared in order.

use crate::harness::{Conn, Reply, wire};
use std::io;

/// The word before steps of the second connection.
pub const WORD: &[u8] = b"@";

/// The second connections of both servers.
pub struct Aside {
    conns: [Conn; 2],
    /// One of its commands has not replied.
    waits: bool,
    /// It was used, so it may have been told something.
    used: bool,
    pings: u32,
}

impl Aside {
    /// Over these connections.
    pub fn new(conns: [Conn; 2]) -> Aside {
        Aside {
            conns,
            waits: false,
            used: false,
            pings: 0,
        }
    }

    /// Sends a command, unless an earlier one still waits.
    pub fn send(&mut self, args: &[Vec<u8>]) -> io::Result<()> {
        if self.waits || args.is_empty() {
            return Ok(());
        }
        (self.waits, self.used) = (true, true);
        let request = wire::encode(args);
        self.conns.iter_mut().try_for_each(|c| c.write(&request))
    }

    /// After a step: what the connections were sent; None while both wait, or as long as they are not used.
    pub fn listen(&mut self, look: &mut [Conn; 2]) -> io::Result<Option<[Vec<Reply>; 2]>> {
        if !self.used {
            return Ok(None);
        }
        if self.waits {
            match [0, 1].map(|i| settled(&mut look[i], &self.conns[i])) {
                [true, true] => return Ok(None),
                [false, false] => self.waits = false,
                uneven => {
                    let say =
                        |waits| vec![Reply::simple(if waits { "it waits" } else { "it goes on" })];
                    return Ok(Some(uneven.map(say)));
                }
            }
        }
        self.pings += 1;
        let token = format!("differential:{}", self.pings).into_bytes();
        let ping = wire::encode(&[b"PING".as_slice(), &token]);
        let mut both = [Vec::new(), Vec::new()];
        for (conn, said) in self.conns.iter_mut().zip(&mut both) {
            conn.write(&ping)?;
            loop {
                let reply = conn.read()?;
                if holds(&reply, &token) {
                    break;
                }
                said.push(reply);
            }
        }
        Ok(Some(both))
    }
}

/// Whether the answer to our PING; inside MULTI it is queued instead.
fn holds(reply: &Reply, token: &[u8]) -> bool {
    *reply == Reply::simple("QUEUED")
        || reply.bytes() == Some(token)
        || reply
            .items()
            .is_some_and(|i| i.len() == 2 && i[1].bytes() == Some(token))
}

/// Whether it waits. A server that did neither reply nor park did not come to the command yet.
fn settled(look: &mut Conn, conn: &Conn) -> bool {
    for _ in 0..5_000 {
        if blocked(look) {
            return true;
        }
        if conn.is_readable() {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    true
}

fn blocked(look: &mut Conn) -> bool {
    let info = look.cmd("INFO clients");
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    !text.contains("blocked_clients:0")
}
