//! How a snapshot comes over the wire: its header, and where its last byte is.
//!
//! | bytes                     | meaning                                                                         |
//! |---------------------------|---------------------------------------------------------------------------------|
//! | `\n`, any number of times | signs of life while the master prepares the snapshot                            |
//! | `$<length>\r\n`           | that many bytes follow, then the stream                                         |
//! | `$EOF:<40 bytes>\r\n`     | bytes follow until those 40 come again; the stream after the first acknowledgement |
//! | `-...\r\n`                | the master gave up                                                              |
//!
//! Everything works on one buffer, the bytes received and not consumed (`inbox`): [`Transfer::header`] takes the header off
//! its front, [`Transfer::body`] says how many bytes at its front belong to the snapshot for certain. No socket, no file.

use super::handshake::take_line;
use crate::ds::numtext::parse_i64;
use memchr::memmem;
use std::fmt;

/// Length of the end mark.
pub const MARK_LEN: usize = 40;

/// How the end is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// The header has not come.
    Unknown,
    /// So many bytes are still to come.
    Sized(u64),
    /// These bytes end it.
    Mark([u8; MARK_LEN]),
}

/// Why a header is none; `Display` is the log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadHeader {
    /// The master said so.
    Refused(String),
    /// It speaks something else.
    Protocol(String),
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadHeader::Refused(s) => write!(f, "MASTER aborted replication with an error: {s}"),
            BadHeader::Protocol(s) => write!(
                f,
                "Bad protocol from MASTER, the first byte is not '$' (we received '{s}'), are you sure the host and port are right?"
            ),
        }
    }
}

/// What the front of the buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// So many bytes of the snapshot.
    pub bytes: usize,
    /// Behind them so many bytes of no use (the end mark).
    pub skip: usize,
    /// That was the end.
    pub last: bool,
}

/// The state of one transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    framing: Framing,
    /// Bytes of the snapshot so far.
    pub received: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Transfer {
            framing: Framing::Unknown,
            received: 0,
        }
    }
}

impl Transfer {
    /// How the end is told, as far as known.
    pub fn framing(&self) -> &Framing {
        &self.framing
    }

    /// Size of the snapshot, if it was told, bytes.
    pub fn total(&self) -> Option<u64> {
        match self.framing {
            Framing::Sized(left) => Some(self.received + left),
            _ => None,
        }
    }

    /// Takes the header off `inbox`; true when it is there.
    pub fn header(&mut self, inbox: &mut Vec<u8>) -> Result<bool, BadHeader> {
        while self.framing == Framing::Unknown {
            let line = match take_line(inbox) {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(false),
                Err(_) => return Err(protocol(inbox)),
            };
            match line.first() {
                None => {}
                Some(b'-') => {
                    let why = String::from_utf8_lossy(&line[1..]).into_owned();
                    return Err(BadHeader::Refused(why));
                }
                Some(b'$') => self.framing = framing(&line).ok_or_else(|| protocol(&line))?,
                Some(_) => return Err(protocol(&line)),
            }
        }
        Ok(true)
    }

    /// What the front of `inbox` is. The caller uses the bytes and takes them and the skipped ones off, before it asks again.
    pub fn body(&mut self, inbox: &[u8]) -> Body {
        let body = match &mut self.framing {
            Framing::Unknown => Body {
                bytes: 0,
                skip: 0,
                last: false,
            },
            Framing::Sized(left) => {
                let bytes = (inbox.len() as u64).min(*left) as usize;
                *left -= bytes as u64;
                Body {
                    bytes,
                    skip: 0,
                    last: *left == 0,
                }
            }
            Framing::Mark(mark) => match memmem::find(inbox, mark) {
                Some(at) => Body {
                    bytes: at,
                    skip: MARK_LEN,
                    last: true,
                },
                // The mark may have begun.
                None => Body {
                    bytes: inbox.len().saturating_sub(MARK_LEN - 1),
                    skip: 0,
                    last: false,
                },
            },
        };
        self.received += body.bytes as u64;
        body
    }
}

fn framing(line: &[u8]) -> Option<Framing> {
    if let Some(mark) = line.strip_prefix(b"$EOF:") {
        return mark.try_into().ok().map(Framing::Mark);
    }
    let length = parse_i64(line.strip_prefix(b"$")?)?;
    u64::try_from(length).ok().map(Framing::Sized)
}

fn protocol(line: &[u8]) -> BadHeader {
    let shown = &line[..line.len().min(128)];
    BadHeader::Protocol(String::from_utf8_lossy(shown).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    /// Feeds `wire` in random pieces; gives the snapshot, and what was left behind it.
    fn receive(wire: &[u8], rng: &mut Rng) -> Result<(Vec<u8>, Vec<u8>), BadHeader> {
        let (mut t, mut inbox, mut out) = (Transfer::default(), Vec::new(), Vec::new());
        let mut at = 0;
        loop {
            if t.header(&mut inbox)? {
                let b = t.body(&inbox);
                out.extend_from_slice(&inbox[..b.bytes]);
                inbox.drain(..b.bytes + b.skip);
                if b.last {
                    assert_eq!(t.received, out.len() as u64);
                    inbox.extend_from_slice(&wire[at..]);
                    return Ok((out, inbox));
                }
            }
            assert!(at < wire.len(), "the end was not seen");
            let n = (1 + rng.below(60)).min(wire.len() - at);
            inbox.extend_from_slice(&wire[at..at + n]);
            at += n;
        }
    }

    #[test]
    fn both_formats_in_any_pieces() {
        let mut rng = Rng::new(5);
        for _ in 0..300 {
            // Bytes of the mark's alphabet, so that parts of it occur.
            let len = rng.below(300);
            let data: Vec<u8> = (0..len).map(|_| b"ab\n$"[rng.below(4)]).collect();
            let mark: Vec<u8> = (0..40).map(|_| b"ab"[rng.below(2)]).collect();
            let rest = b"*1\r\n$4\r\nPING\r\n";
            let sized = [
                b"\n\n$",
                data.len().to_string().as_bytes(),
                b"\r\n",
                &data,
                rest,
            ]
            .concat();
            assert_eq!(receive(&sized, &mut rng), Ok((data.clone(), rest.to_vec())));
            if memmem::find(&data, &mark).is_none() {
                let marked = [b"\n$EOF:", &mark[..], b"\r\n", &data, &mark, rest].concat();
                let (got, left) = receive(&marked, &mut rng).unwrap();
                // The end of the data may begin the mark by chance; then the mark ends earlier.
                assert_eq!(
                    [&got[..], &mark, &left].concat(),
                    [&data[..], &mark, rest].concat()
                );
            }
        }
    }

    #[test]
    fn what_is_no_header() {
        let mut rng = Rng::new(6);
        assert_eq!(
            receive(b"\n-LOADING x\r\n", &mut rng)
                .unwrap_err()
                .to_string(),
            "MASTER aborted replication with an error: LOADING x"
        );
        for bad in [
            &b"+OK\r\n"[..],
            b"$\r\n",
            b"$-1\r\n",
            b"$12x\r\n",
            b"$EOF:short\r\n",
            &[b'x'; 2000],
        ] {
            let e = receive(bad, &mut rng).unwrap_err();
            assert!(e.to_string().starts_with("Bad protocol"), "{e}");
        }
    }
}
