//! What COMMAND answers: everything here is derived from the rows, nothing is written down twice.
//!
//! The bodies are pure functions from the [`Registry`] (and a call's arguments) into a [`ReplySink`], so that they can be
//! tested without a client, and the same code makes the RESP2 reply, the RESP3 reply and the test's transcript. Shapes
//! are those of 8.2.3: flags, categories, tips and key specs are sets; specs and documentation are maps.
//!
//! `info.rs` COMMAND INFO, `docs.rs` COMMAND DOCS, `list.rs` COMMAND COUNT and LIST, `getkeys.rs` COMMAND GETKEYS and
//! GETKEYSANDFLAGS. A new fact of a row gets its line in `info.rs` or `docs.rs`.
//!
//! Compat: commands come in table order where upstream's order is that of a randomly seeded hash table.

pub mod docs;
pub mod getkeys;
pub mod info;
pub mod list;
#[cfg(test)]
pub mod transcript;

use crate::resp::Reply;
use std::fmt;

/// Where a reply goes. The protocol version is the sink's business: a RESP2 sink writes maps and sets as flat arrays.
pub trait ReplySink {
    /// An array of `len` replies, which follow.
    fn array(&mut self, len: usize);
    /// A map of `len` pairs, which follow, each key before its value.
    fn map(&mut self, len: usize);
    /// A set of `len` replies, which follow.
    fn set(&mut self, len: usize);
    /// Bytes of any kind.
    fn bulk(&mut self, bytes: &[u8]);
    /// A short text without line ends.
    fn simple(&mut self, text: &str);
    /// An integer.
    fn int(&mut self, value: i64);
    /// Nothing (`$-1` in RESP2).
    fn null(&mut self);
}

impl ReplySink for Reply<'_> {
    fn array(&mut self, len: usize) {
        Reply::array(self, len);
    }
    fn map(&mut self, len: usize) {
        Reply::map(self, len);
    }
    fn set(&mut self, len: usize) {
        Reply::set(self, len);
    }
    fn bulk(&mut self, bytes: &[u8]) {
        Reply::bulk(self, bytes);
    }
    fn simple(&mut self, text: &str) {
        Reply::simple(self, text);
    }
    fn int(&mut self, value: i64) {
        Reply::int(self, value);
    }
    fn null(&mut self) {
        Reply::null(self);
    }
}

/// Why COMMAND refuses; Display is the error on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntrospectError {
    /// FILTERBY is not followed by a known filter and one value.
    Syntax,
    /// The arguments to look for keys in name no command.
    InvalidCommand,
    /// That command never has keys.
    NoKeys,
    /// Too few or too many arguments for that command.
    BadArity,
    /// The keys could not be found in these arguments.
    InvalidArguments,
}

impl fmt::Display for IntrospectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntrospectError::Syntax => "ERR syntax error",
            IntrospectError::InvalidCommand => "ERR Invalid command specified",
            IntrospectError::NoKeys => "ERR The command has no key arguments",
            IntrospectError::BadArity => "ERR Invalid number of arguments specified for command",
            IntrospectError::InvalidArguments => "ERR Invalid arguments specified for command",
        })
    }
}

/// What COMMAND HELP says between its heading and the lines about HELP itself.
pub const HELP: &[&str] = &[
    "(no subcommand)",
    "    Describe every command.",
    "COUNT",
    "    Tell how many commands there are.",
    "LIST [FILTERBY <MODULE <name>|ACLCAT <category>|PATTERN <glob>>]",
    "    Name every command, or those that pass the filter.",
    "INFO [<command-name> ...]",
    "    Describe the named commands, or every command.",
    "DOCS [<command-name> ...]",
    "    Document the named commands, or every command.",
    "GETKEYS <full-command>",
    "    Pick the keys out of a whole command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Pick the keys out of a whole command, and tell how each is used.",
];
