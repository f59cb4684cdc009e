//! Errors a client sees. `Display` is the exact wire text (without the leading `-` and the line end).

use std::borrow::Cow;
use std::fmt;

/// An error reply. The first word is the error code that clients and INFO errorstats read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type.
    WrongType,
    /// Options did not parse.
    Syntax,
    /// Not a canonical 64-bit integer.
    NotInteger,
    /// Not a finite (or allowed) float.
    NotFloat,
    /// An index past the end.
    IndexOutOfRange,
    /// The key is not there where it must be.
    NoSuchKey,
    /// A key or index that must be in a given positive range.
    OutOfRange,
    /// Any other fixed or composed text, its code included.
    Text(Cow<'static, str>),
    /// A text that quotes bytes of the client.
    Bytes(Vec<u8>),
    /// The same, of an error that the statistics have counted already (a script passes on what a command of its replied).
    Counted(Vec<u8>),
}

impl Error {
    /// An error with a fixed text; the code is its first word (`ERR ...`).
    pub const fn new(text: &'static str) -> Self {
        Error::Text(Cow::Borrowed(text))
    }

    /// An error with a composed text; the code is its first word.
    pub fn text(text: String) -> Self {
        Error::Text(Cow::Owned(text))
    }

    /// The wire text.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Error::WrongType => {
                b"WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            Error::Syntax => b"ERR syntax error",
            Error::NotInteger => b"ERR value is not an integer or out of range",
            Error::NotFloat => b"ERR value is not a valid float",
            Error::IndexOutOfRange => b"ERR index out of range",
            Error::NoSuchKey => b"ERR no such key",
            Error::OutOfRange => b"ERR value is out of range",
            Error::Text(t) => t.as_bytes(),
            Error::Bytes(b) | Error::Counted(b) => b,
        }
    }

    /// The error code: the text's first word, for INFO errorstats.
    pub fn code(&self) -> &[u8] {
        let b = self.as_bytes();
        &b[..memchr::memchr(b' ', b).unwrap_or(b.len())]
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl std::error::Error for Error {}

impl From<&'static str> for Error {
    fn from(t: &'static str) -> Self {
        Error::new(t)
    }
}
impl From<String> for Error {
    fn from(t: String) -> Self {
        Error::text(t)
    }
}
