//! RESP2 and RESP3 as seen by a client: a reply parser and a connection that keeps the raw bytes.
//!
//! Written apart from `src/resp`, so that a mistake there cannot hide in its own mirror image.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a reply may take before a test gives up, in milliseconds.
pub const REPLY_TIMEOUT_MS: u64 = 20_000;

/// One reply; numbers that are not plain integers stay text, so that they compare byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Int(i64),
    /// `$-1` is `None`.
    Bulk(Option<Vec<u8>>),
    /// `*-1` is `None`.
    Array(Option<Vec<Reply>>),
    Null,
    Bool(bool),
    Double(Vec<u8>),
    BigNumber(Vec<u8>),
    Verbatim(Vec<u8>),
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    Attribute(Vec<(Reply, Reply)>),
}

impl Reply {
    /// A bulk string.
    pub fn bulk(text: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(Some(text.as_ref().to_vec()))
    }

    /// A simple string.
    pub fn simple(text: &str) -> Reply {
        Reply::Simple(text.into())
    }

    /// An error with its whole text.
    pub fn error(text: &str) -> Reply {
        Reply::Error(text.into())
    }

    /// The text of an error, or nothing.
    pub fn error_text(&self) -> Option<String> {
        match self {
            Reply::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The bytes of a bulk, simple or verbatim string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Bulk(Some(b)) | Reply::Simple(b) | Reply::Verbatim(b) => Some(b),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(Some(items)) | Reply::Set(items) | Reply::Push(items) => Some(items),
            _ => None,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |b: &[u8]| b.escape_ascii().to_string();
        match self {
            Reply::Simple(b) => write!(f, "+{}", text(b)),
            Reply::Error(b) => write!(f, "-{}", text(b)),
            Reply::Int(n) => write!(f, ":{n}"),
            Reply::Bulk(None) => write!(f, "nil-bulk"),
            Reply::Bulk(Some(b)) => write!(f, "\"{}\"", text(b)),
            Reply::Array(None) => write!(f, "nil-array"),
            Reply::Array(Some(items)) => f.debug_list().entries(items).finish(),
            Reply::Null => write!(f, "_"),
            Reply::Bool(b) => write!(f, "#{b}"),
            Reply::Double(b) => write!(f, ",{}", text(b)),
            Reply::BigNumber(b) => write!(f, "({}", text(b)),
            Reply::Verbatim(b) => write!(f, "={}", text(b)),
            Reply::Map(pairs) => f
                .debug_map()
                .entries(pairs.iter().map(|(k, v)| (k, v)))
                .finish(),
            Reply::Set(items) => f.debug_set().entries(items).finish(),
            Reply::Push(items) => write!(f, ">{items:?}"),
            Reply::Attribute(pairs) => write!(f, "|{pairs:?}"),
        }
    }
}

/// Parses one reply at the start of `bytes`: `Ok(None)` when more bytes are needed, else the reply and its length.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") else {
        return Ok(None);
    };
    if end == 0 {
        return Err("an empty line where a reply should start".into());
    }
    let (line, after) = (&bytes[1..end], end + 2);
    let whole = |reply| Ok(Some((reply, after)));
    match bytes[0] {
        b'+' => whole(Reply::Simple(line.to_vec())),
        b'-' => whole(Reply::Error(line.to_vec())),
        b':' => whole(Reply::Int(number(line)?)),
        b'_' => whole(Reply::Null),
        b'#' => whole(Reply::Bool(line == b"t")),
        b',' => whole(Reply::Double(line.to_vec())),
        b'(' => whole(Reply::BigNumber(line.to_vec())),
        b'$' | b'=' => parse_bulk(bytes, line, after),
        b'*' if line == b"-1" => whole(Reply::Array(None)),
        b'*' => {
            Ok(parse_many(bytes, after, number(line)?)?.map(|(v, n)| (Reply::Array(Some(v)), n)))
        }
        b'~' => Ok(parse_many(bytes, after, number(line)?)?.map(|(v, n)| (Reply::Set(v), n))),
        b'>' => Ok(parse_many(bytes, after, number(line)?)?.map(|(v, n)| (Reply::Push(v), n))),
        b'%' => Ok(
            parse_many(bytes, after, 2 * number(line)?)?.map(|(v, n)| (Reply::Map(pairs(v)), n))
        ),
        b'|' => Ok(parse_many(bytes, after, 2 * number(line)?)?
            .map(|(v, n)| (Reply::Attribute(pairs(v)), n))),
        other => Err(format!("unknown reply type {:?}", other as char)),
    }
}

fn number(line: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    text.parse().map_err(|_| format!("not a number: {text:?}"))
}

fn parse_bulk(bytes: &[u8], line: &[u8], after: usize) -> Result<Option<(Reply, usize)>, String> {
    if line == b"-1" {
        return Ok(Some((Reply::Bulk(None), after)));
    }
    let len = usize::try_from(number(line)?).map_err(|_| "a negative length")?;
    let Some(body) = bytes.get(after..after + len + 2) else {
        return Ok(None);
    };
    if &body[len..] != b"\r\n" {
        return Err("a bulk that does not end in CRLF".into());
    }
    let body = body[..len].to_vec();
    let reply = if bytes[0] == b'$' {
        Reply::Bulk(Some(body))
    } else {
        Reply::Verbatim(body)
    };
    Ok(Some((reply, after + len + 2)))
}

fn parse_many(
    bytes: &[u8],
    mut at: usize,
    count: i64,
) -> Result<Option<(Vec<Reply>, usize)>, String> {
    let mut items = Vec::new();
    for _ in 0..usize::try_from(count).map_err(|_| "a negative count")? {
        let Some((reply, used)) = parse(&bytes[at..])? else {
            return Ok(None);
        };
        items.push(reply);
        at += used;
    }
    Ok(Some((items, at)))
}

fn pairs(flat: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
}

/// A command as a multibulk request.
pub fn encode(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
        out.extend_from_slice(arg.as_ref());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Splits a command written as text; words only, so no argument may hold a space.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// A raw connection. Replies are read one at a time; what the peer sent too much stays in the buffer.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conn {
    /// Connects to a port of this machine.
    pub fn open(port: u16) -> io::Result<Conn> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(REPLY_TIMEOUT_MS)))?;
        stream.set_write_timeout(Some(Duration::from_millis(REPLY_TIMEOUT_MS)))?;
        Ok(Conn {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply and the bytes it was made of.
    pub fn read_raw(&mut self) -> io::Result<(Reply, Vec<u8>)> {
        let deadline = Instant::now() + Duration::from_millis(REPLY_TIMEOUT_MS);
        loop {
            match parse(&self.buffer).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
                Some((reply, used)) => {
                    let raw = self.buffer.drain(..used).collect();
                    return Ok((reply, raw));
                }
                None if Instant::now() > deadline => return Err(io::ErrorKind::TimedOut.into()),
                None => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0u8; 64 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }

    /// The next reply.
    pub fn read(&mut self) -> io::Result<Reply> {
        self.read_raw().map(|(reply, _)| reply)
    }

    /// Sends a command and returns its reply; fails the test when there is none.
    #[track_caller]
    pub fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Reply {
        self.write(&encode(args))
            .expect("the request could not be sent");
        self.read().expect("no reply")
    }

    /// `cmd` where the connection may be cut by the other side.
    pub fn try_cmd(&mut self, line: &str) -> io::Result<Reply> {
        self.write(&encode(&words(line)))?;
        self.read()
    }

    /// `call` for a command written as one line of words.
    #[track_caller]
    pub fn cmd(&mut self, line: &str) -> Reply {
        self.call(&words(line))
    }

    /// Whether the peer closes the connection; waits for it up to the reply timeout. Bytes that still arrive are kept.
    pub fn is_closed_by_peer(&mut self) -> bool {
        loop {
            match self.fill() {
                Ok(()) => continue,
                Err(e) => {
                    return matches!(
                        e.kind(),
                        io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::BrokenPipe
                    );
                }
            }
        }
    }

    /// Shortens or lengthens how long one read waits, in milliseconds.
    pub fn set_timeout_ms(&self, ms: u64) {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(ms)))
            .expect("a socket option");
    }

    /// Everything that arrived by now, as it came; a connection that ended says `<end>`.
    pub fn take(&mut self) -> Vec<u8> {
        self.stream.set_nonblocking(true).expect("a socket option");
        let end = loop {
            match self.fill() {
                Ok(()) => {}
                Err(e) => break e.kind() != io::ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).expect("a socket option");
        if end {
            self.buffer.extend_from_slice(b"<end>");
        }
        std::mem::take(&mut self.buffer)
    }

    /// Whether something arrived that was not read yet; does not wait.
    pub fn is_readable(&self) -> bool {
        let look = || {
            self.stream.set_nonblocking(true)?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        };
        // An end that arrived is something to read as well.
        let nothing_yet = |e: io::Error| matches!(e.kind(), io::ErrorKind::WouldBlock);
        !self.buffer.is_empty() || !look().is_err_and(nothing_yet)
    }

    /// Bytes that arrived and were not yet read as replies.
    pub fn leftover(&self) -> &[u8] {
        &self.buffer
    }
}
