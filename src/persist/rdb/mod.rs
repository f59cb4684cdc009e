//! The RDB format, independent of the keyspace: bytes to values and values to bytes.
//!
//! * `format`  the document: every opcode, type byte and length encoding, and which server reads what
//! * `error`   what can be wrong with a file, and where
//! * `source`  buffered input: primitives, running checksum, bounded allocation
//! * `reader`  `Decoder`: pull the next event (aux field, database, key with its value, ...)
//! * `value`   the values themselves, borrowed and streaming (`Value`) or owned (`RdbValue`)
//! * `blob`    checks of listpacks and intsets that arrive in a file or a RESTORE payload
//! * `legacy`  ziplist and zipmap, the encodings before Redis 7, turned into listpacks
//! * `stream`  stream values with groups and consumers, both directions
//! * `writer`  `Encoder`: primitives, headers, checksum, fsync hook;  `save` the values on top of it
//! * `dump`    DUMP/RESTORE payloads;  `check` the `redis-check-rdb` tool
//!
//! The keyspace drives both directions: loading pulls `Event`s and builds its own types from `Value`, saving calls
//! `Encoder::entry` and one `put_*` per key. Nothing here panics on foreign bytes and no length found in a file is
//! trusted with an allocation before the bytes behind it have arrived.
//!
//! To add a type byte: a row in `format::RDB_TYPES`, an arm in `reader::Decoder::value` and one in `save`.
pub mod blob;
pub mod check;
pub mod dump;
pub mod error;
pub mod format;
pub mod legacy;
pub mod reader;
pub mod save;
pub mod source;
pub mod stream;
pub mod value;
pub mod writer;

#[cfg(test)]
mod tests;

pub use error::{RdbError, Reason};
pub use format::RdbType;
pub use reader::{Decoder, Entry, Event, LoadOptions};
pub use value::{Element, Elements, ListNode, RdbValue, Text, Value};
pub use writer::{Encoder, EntryMeta, SaveOptions};
