//! What can be wrong with an RDB file or payload, always with the offset at which it showed.
//!
//! `Display` is the one-line text operators and tools grep for in the log; `RdbError::log_lines` gives all lines in the
//! order upstream prints them. Compat: upstream prints offset 0 for a file loaded at start-up; here it is the real one.
use std::fmt;

/// A failure to decode, and where. `offset` counts bytes from the start of the file (or payload) to the point of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdbError {
    /// Byte offset at which reading stopped.
    pub offset: u64,
    /// What was wrong there.
    pub reason: Reason,
}

/// The kinds of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The input ended inside a record; the offset is where the piece that is not complete starts.
    Truncated,
    /// The operating system refused to read.
    Io(std::io::ErrorKind, String),
    /// Neither `REDIS` nor `VALKEY` at the start.
    WrongSignature,
    /// A version newer than (or not of) those known.
    Version(u32),
    /// A type byte or opcode nobody defined.
    UnknownType(u8),
    /// A special string encoding nobody defined.
    StringEncoding(u8),
    /// The content contradicts the format; the text names the check that failed.
    Corrupt(&'static str),
    /// The same key twice in a database (reported by the keyspace).
    DuplicateKey(Vec<u8>, u64),
    /// Module data; no modules exist here. The module type's name.
    Module(String),
    /// Module auxiliary data. The module type's name.
    ModuleAux(String),
    /// The checksum at the end differs.
    Checksum {
        /// As computed over the bytes read.
        computed: u64,
        /// As found in the file.
        stored: u64,
    },
    /// An aggregate without elements; the keyspace skips such keys in files and refuses them in payloads.
    EmptyKey,
}

impl RdbError {
    /// Shorthand.
    pub fn new(offset: u64, reason: Reason) -> RdbError {
        RdbError { offset, reason }
    }

    /// Is this an input that ended too early (a torn file rather than a wrong one)?
    pub fn is_truncated(&self) -> bool {
        self.reason == Reason::Truncated
    }

    /// The log lines for a failed load, first to last.
    pub fn log_lines(&self) -> Vec<String> {
        match &self.reason {
            Reason::Truncated | Reason::Io(..) => vec![
                self.to_string(),
                format!(
                    "Internal error in RDB reading offset {}, function at rdb -> Unexpected EOF reading RDB file",
                    self.offset
                ),
            ],
            Reason::Checksum { .. } => vec![
                self.to_string(),
                format!(
                    "Internal error in RDB reading offset {}, function at rdb -> RDB CRC error",
                    self.offset
                ),
            ],
            _ => vec![self.to_string()],
        }
    }

    /// The reason alone, as the check tool prints it behind the offset.
    pub fn reason_text(&self) -> String {
        match &self.reason {
            Reason::Truncated => "Unexpected EOF reading RDB file".into(),
            Reason::Io(_, text) => format!("Error reading RDB file: {text}"),
            Reason::WrongSignature => "Wrong signature trying to load DB from file".into(),
            Reason::Version(v) => format!("Can't handle RDB format version {v}"),
            Reason::UnknownType(ty) => format!("Unknown RDB encoding type {ty}"),
            Reason::StringEncoding(n) => format!("Unknown RDB string encoding type {n}"),
            Reason::Corrupt(text) => (*text).into(),
            Reason::DuplicateKey(key, db) => {
                format!("RDB has duplicated key '{}' in DB {db}", key.escape_ascii())
            }
            Reason::Module(name) => {
                format!(
                    "The RDB file contains module data I can't load: no matching module type '{name}'"
                )
            }
            Reason::ModuleAux(name) => {
                format!(
                    "The RDB file contains AUX module data I can't load: no matching module '{name}'"
                )
            }
            Reason::Checksum { .. } => "RDB CRC error".into(),
            Reason::EmptyKey => "Empty key".into(),
        }
    }
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Truncated => {
                write!(
                    f,
                    "Short read or OOM loading DB. Unrecoverable error, aborting now. (offset {})",
                    self.offset
                )
            }
            Reason::Io(_, text) => {
                write!(
                    f,
                    "Short read or OOM loading DB. Unrecoverable error, aborting now. (offset {}: {text})",
                    self.offset
                )
            }
            Reason::WrongSignature
            | Reason::Version(_)
            | Reason::DuplicateKey(..)
            | Reason::ModuleAux(_) => f.write_str(&self.reason_text()),
            Reason::Checksum { computed, stored } => {
                write!(
                    f,
                    "Wrong RDB checksum expected: ({computed:x}) but got ({stored:x}). Aborting now."
                )
            }
            Reason::UnknownType(_)
            | Reason::StringEncoding(_)
            | Reason::Corrupt(_)
            | Reason::Module(_)
            | Reason::EmptyKey => {
                write!(
                    f,
                    "Internal error in RDB reading offset {}, function at rdb -> {}",
                    self.offset,
                    self.reason_text()
                )
            }
        }
    }
}

impl std::error::Error for RdbError {}
