//! What a replica says to its master before data flow, as a state machine without a socket: lines in, bytes out.
//!
//! | step    | sent                                            | answer that goes on                     | otherwise               |
//! |---------|-------------------------------------------------|-----------------------------------------|-------------------------|
//! | `Pong`  | `PING`                                          | `+..`, `-NOAUTH`, `-NOPERM`, `-ERR operation not permitted` | failed |
//! | `Auth`  | `AUTH [user] password` (with `masterauth`)      | anything but `-`                        | failed                  |
//! | `Port`  | `REPLCONF listening-port n`                     | anything (`-` is logged)                |                         |
//! | `Ip`    | `REPLCONF ip-address ip` (`replica-announce-ip`)| anything (`-` is logged)                |                         |
//! | `Capa`  | `REPLCONF capa eof capa psync2`                 | anything (`-` is logged)                |                         |
//! | `Psync` | `PSYNC id offset [FAILOVER]`                    | `+FULLRESYNC id offset`, `+CONTINUE [id]` | transient, or old SYNC |
//!
//! PING goes alone, since a server that is no Redis shows itself there; everything up to capa is sent at once behind its answer
//! and answered in order; PSYNC follows. Measured on 8.2.3 with a fake master; `REPLCONF capa rdb-channel-repl` is left out, as
//! this replica takes the snapshot over the one connection.
//!
//! Compat: a `+FULLRESYNC` that cannot be read ends the attempt; upstream goes on without an id.

use super::ReplId;
use crate::ds::numtext::parse_i64;
use std::fmt;

/// Longest line a master may send here, bytes.
const LINE_MAX: usize = 1024;

/// What is said about this replica.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    /// `masteruser`, empty for none.
    pub user: Vec<u8>,
    /// `masterauth`, empty for none.
    pub password: Vec<u8>,
    /// The port clients reach this replica at.
    pub port: u16,
    /// `replica-announce-ip`, empty for none.
    pub ip: Vec<u8>,
    /// The history this replica holds: id and the next offset it wants. None asks for a full resync.
    pub cached: Option<(ReplId, i64)>,
    /// This was the master until now, and hands over to the one it talks to.
    pub failover: bool,
}

/// How far the handshake has come: whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Await {
    Pong,
    Auth,
    Port,
    Ip,
    Capa,
    Psync,
}

/// What to do after a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Wait for the next line.
    Wait,
    /// Send these bytes, then wait for lines.
    Send(Vec<u8>),
    /// A snapshot follows; the stream goes on behind it at this offset (exclusive) of this history.
    FullResync(ReplId, i64),
    /// The stream goes on where we asked; with a new id when the master's history changed its name.
    Continue(Option<ReplId>),
    /// The master knows no PSYNC: send these bytes (`SYNC`), a snapshot follows.
    OldSync(Vec<u8>),
}

/// Why the handshake came to nothing; `Display` is the log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// PING was answered with an error.
    Ping(String),
    /// AUTH was refused.
    Auth(String),
    /// The master cannot serve us now, but will: try again later without further ado.
    NotNow(String),
    /// The one we hand over to does not accept.
    FailoverRejected,
    /// `+FULLRESYNC` without id and offset.
    Syntax(String),
    /// No line end in sight.
    LongLine,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Ping(s) => write!(f, "Error reply to PING from master: '{s}'"),
            Failed::Auth(s) => write!(f, "Unable to AUTH to MASTER: {s}"),
            Failed::NotNow(s) => write!(
                f,
                "Master is currently unable to PSYNC but should be in the future: {s}"
            ),
            Failed::FailoverRejected => f.write_str("Failover target rejected psync request"),
            Failed::Syntax(s) => {
                write!(f, "Master replied with wrong +FULLRESYNC syntax: {s}")
            }
            Failed::LongLine => f.write_str(
                "Bad protocol from MASTER: a line without end, are you sure the host and port are right?",
            ),
        }
    }
}

/// The state machine; see the head of this file.
#[derive(Debug, Clone)]
pub struct Handshake {
    who: Introduction,
    awaits: Await,
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    push_command(&mut out, words);
    out
}

/// Appends one command as the wire has it.
pub fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for w in words {
        out.extend_from_slice(format!("${}\r\n", w.len()).as_bytes());
        out.extend_from_slice(w);
        out.extend_from_slice(b"\r\n");
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

fn is_error(line: &[u8]) -> bool {
    line.first() == Some(&b'-')
}

/// Takes the first line (without its end) off `inbox`; None when there is no whole one yet.
pub fn take_line(inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Failed> {
    let Some(end) = memchr::memchr(b'\n', inbox) else {
        return match inbox.len() {
            0..LINE_MAX => Ok(None),
            _ => Err(Failed::LongLine),
        };
    };
    let mut line: Vec<u8> = inbox.drain(..=end).collect();
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

impl Handshake {
    /// A handshake to be begun with the bytes returned.
    pub fn start(who: Introduction) -> (Handshake, Vec<u8>) {
        let awaits = Await::Pong;
        (Handshake { who, awaits }, command(&[b"PING"]))
    }

    /// Whether the answer to PSYNC is all that is missing: the master may take its time, with empty lines as a sign of life.
    pub fn waits_for_psync(&self) -> bool {
        self.awaits == Await::Psync
    }

    /// Goes on after a line of the master.
    pub fn line(&mut self, line: &[u8]) -> Result<Next, Failed> {
        match self.awaits {
            Await::Pong => self.pong(line),
            Await::Auth if is_error(line) => Err(Failed::Auth(text(line))),
            Await::Auth => {
                self.awaits = Await::Port;
                Ok(Next::Wait)
            }
            Await::Port => {
                note_ignorance("listening-port", line);
                self.awaits = if self.who.ip.is_empty() {
                    Await::Capa
                } else {
                    Await::Ip
                };
                Ok(Next::Wait)
            }
            Await::Ip => {
                note_ignorance("ip-address", line);
                self.awaits = Await::Capa;
                Ok(Next::Wait)
            }
            Await::Capa => {
                note_ignorance("capa", line);
                self.awaits = Await::Psync;
                Ok(Next::Send(self.psync()))
            }
            Await::Psync => self.psync_answer(line),
        }
    }

    fn pong(&mut self, line: &[u8]) -> Result<Next, Failed> {
        let passes = line.first() == Some(&b'+')
            || [
                b"-NOAUTH".as_slice(),
                b"-NOPERM",
                b"-ERR operation not permitted",
            ]
            .iter()
            .any(|p| line.starts_with(p));
        if !passes {
            return Err(Failed::Ping(text(line)));
        }
        log::info!("Master replied to PING, replication can continue...");
        let who = &self.who;
        let mut out = Vec::new();
        if !who.password.is_empty() {
            let mut words = vec![b"AUTH".as_slice()];
            words.extend((!who.user.is_empty()).then_some(&who.user[..]));
            words.push(&who.password);
            push_command(&mut out, &words);
        }
        let port = who.port.to_string();
        push_command(&mut out, &[b"REPLCONF", b"listening-port", port.as_bytes()]);
        if !who.ip.is_empty() {
            push_command(&mut out, &[b"REPLCONF", b"ip-address", &who.ip]);
        }
        push_command(
            &mut out,
            &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"],
        );
        self.awaits = if who.password.is_empty() {
            Await::Port
        } else {
            Await::Auth
        };
        Ok(Next::Send(out))
    }

    fn psync(&self) -> Vec<u8> {
        let (id, offset) = match &self.who.cached {
            Some((id, offset)) => {
                log::info!("Trying a partial resynchronization (request {id}:{offset}).");
                (id.to_string(), offset.to_string())
            }
            None => {
                log::info!("Partial resynchronization not possible (no cached master)");
                ("?".into(), "-1".into())
            }
        };
        let mut words = vec![b"PSYNC".as_slice(), id.as_bytes(), offset.as_bytes()];
        words.extend(self.who.failover.then_some(b"FAILOVER".as_slice()));
        command(&words)
    }

    fn psync_answer(&mut self, line: &[u8]) -> Result<Next, Failed> {
        let mut words = line
            .split(|c| c.is_ascii_whitespace())
            .filter(|w| !w.is_empty());
        match words.next() {
            // A sign of life while the snapshot is being made.
            None => Ok(Next::Wait),
            Some(b"+FULLRESYNC") => {
                let id = words.next().and_then(ReplId::parse);
                let offset = words.next().and_then(parse_i64);
                match (id, offset) {
                    (Some(id), Some(offset)) if offset >= 0 => {
                        log::info!("Full resync from master: {id}:{offset}");
                        Ok(Next::FullResync(id, offset))
                    }
                    _ => Err(Failed::Syntax(text(line))),
                }
            }
            Some(b"+CONTINUE") => {
                log::info!("Successful partial resynchronization with master.");
                Ok(Next::Continue(words.next().and_then(ReplId::parse)))
            }
            _ if self.who.failover => Err(Failed::FailoverRejected),
            Some(b"-NOMASTERLINK" | b"-LOADING") => Err(Failed::NotNow(text(line))),
            Some(b"-ERR") => {
                let reply = text(line);
                log::info!("Master does not support PSYNC or is in error state (reply: {reply})");
                Ok(Next::OldSync(old_sync()))
            }
            Some(_) => {
                log::warn!("Unexpected reply to PSYNC from master: {}", text(line));
                Ok(Next::OldSync(old_sync()))
            }
        }
    }
}

fn old_sync() -> Vec<u8> {
    log::info!("Retrying with SYNC...");
    b"SYNC\r\n".to_vec()
}

fn note_ignorance(what: &str, line: &[u8]) {
    if is_error(line) {
        log::info!(
            "(Non critical) Master does not understand REPLCONF {what}: {}",
            text(line)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "cf831bcfc50e279f6e98e9992a50c47abf9dac3e";

    fn walk(who: Introduction, lines: &[&[u8]]) -> Vec<Result<Next, Failed>> {
        let (mut h, ping) = Handshake::start(who);
        assert_eq!(ping, b"*1\r\n$4\r\nPING\r\n");
        lines.iter().map(|l| h.line(l)).collect()
    }

    fn id() -> ReplId {
        ReplId::parse(ID.as_bytes()).unwrap()
    }

    #[test]
    fn everything_is_said_as_8_2_3_says_it() {
        let who = Introduction {
            user: b"u".to_vec(),
            password: b"p".to_vec(),
            port: 31201,
            ip: b"1.2.3.4".to_vec(),
            cached: Some((id(), 51)),
            failover: false,
        };
        let lines: [&[u8]; 7] = [
            b"+PONG",
            b"+OK",
            b"+OK",
            b"-ERR unknown",
            b"+OK",
            b"",
            b"+CONTINUE",
        ];
        let out = walk(who, &lines);
        let intro = b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$5\r\n31201\r\n\
            *3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$7\r\n1.2.3.4\r\n\
            *5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n";
        assert_eq!(out[0], Ok(Next::Send(intro.to_vec())));
        assert_eq!(out[1..4], [Ok(Next::Wait), Ok(Next::Wait), Ok(Next::Wait)]);
        let psync = format!("*3\r\n$5\r\nPSYNC\r\n$40\r\n{ID}\r\n$2\r\n51\r\n");
        assert_eq!(out[4], Ok(Next::Send(psync.into_bytes())));
        assert_eq!(out[5..], [Ok(Next::Wait), Ok(Next::Continue(None))]);
    }

    #[test]
    fn answers_to_psync() {
        let with = |answer: &[u8], failover| {
            let who = Introduction {
                port: 1,
                failover,
                ..Default::default()
            };
            walk(who, &[b"-NOAUTH x", b"+OK", b"+OK", answer])
                .pop()
                .unwrap()
        };
        let full = format!("+FULLRESYNC {ID} 50");
        assert_eq!(with(full.as_bytes(), false), Ok(Next::FullResync(id(), 50)));
        let renamed = format!("+CONTINUE {ID}");
        assert_eq!(
            with(renamed.as_bytes(), true),
            Ok(Next::Continue(Some(id())))
        );
        assert!(matches!(
            with(b"+FULLRESYNC short 1", false),
            Err(Failed::Syntax(_))
        ));
        assert!(matches!(
            with(b"-NOMASTERLINK Can't SYNC", false),
            Err(Failed::NotNow(_))
        ));
        assert!(matches!(with(b"-LOADING x", false), Err(Failed::NotNow(_))));
        assert_eq!(with(b"-LOADING x", true), Err(Failed::FailoverRejected));
        assert_eq!(
            with(b"-ERR unknown command", false),
            Ok(Next::OldSync(b"SYNC\r\n".to_vec()))
        );
        assert_eq!(with(b"+OK", false), Ok(Next::OldSync(b"SYNC\r\n".to_vec())));
        assert_eq!(
            with(b"+OK", true).unwrap_err().to_string(),
            "Failover target rejected psync request"
        );
    }

    #[test]
    fn a_stranger_is_noticed() {
        let who = Introduction::default();
        let out = walk(who.clone(), &[b"HTTP/1.1 400 Bad Request"]);
        assert!(matches!(out[0], Err(Failed::Ping(_))));
        let who = Introduction {
            password: b"p".to_vec(),
            ..who
        };
        let out = walk(
            who,
            &[b"-NOAUTH Authentication required.", b"-WRONGPASS no"],
        );
        assert_eq!(out[1], Err(Failed::Auth("-WRONGPASS no".into())));
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut inbox = b"+PO".to_vec();
        assert_eq!(take_line(&mut inbox), Ok(None));
        inbox.extend_from_slice(b"NG\r\n\nrest");
        assert_eq!(take_line(&mut inbox), Ok(Some(b"+PONG".to_vec())));
        assert_eq!(take_line(&mut inbox), Ok(Some(Vec::new())));
        assert_eq!(take_line(&mut inbox), Ok(None));
        assert_eq!(inbox, b"rest");
        inbox.resize(LINE_MAX, b'x');
        assert_eq!(take_line(&mut inbox), Err(Failed::LongLine));
    }
}
