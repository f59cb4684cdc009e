//! Lists: pushing, popping, reading, editing, moving, waiting.
//!
//! One file per kind of command, rows beside functions. What they share is here: the words LEFT and RIGHT, the directives
//! that shape a list, and what is recorded after elements were taken.
pub mod blocking;
pub mod edit;
pub mod ends;
pub mod moving;
pub mod multipop;
pub mod read;

use crate::config::Config;
use crate::config::values::NotifyFlags as N;
use crate::ds::listpack::Entry;
use crate::ds::quicklist::{End, Fill};
use crate::exec::command::Command;
use crate::keyspace::{DbView, Key};
use crate::resp::{Error, Reply, is_word};
use crate::types::list::ListLimits;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &ends::LPUSH,
    &ends::RPUSH,
    &ends::LPUSHX,
    &ends::RPUSHX,
    &ends::LPOP,
    &ends::RPOP,
    &read::LLEN,
    &read::LINDEX,
    &read::LRANGE,
    &read::LPOS,
    &edit::LSET,
    &edit::LINSERT,
    &edit::LREM,
    &edit::LTRIM,
    &moving::LMOVE,
    &moving::RPOPLPUSH,
    &multipop::LMPOP,
    &blocking::BLPOP,
    &blocking::BRPOP,
    &blocking::BLMOVE,
    &blocking::BRPOPLPUSH,
    &blocking::BLMPOP,
];

/// The directives that shape lists, as of now.
pub(in crate::commands) fn limits(config: &Config) -> ListLimits {
    ListLimits {
        fill: Fill::new(config.list_max_listpack_size.into()),
        compress_depth: config.list_compress_depth.min(u16::MAX.into()) as u16,
    }
}

/// `LEFT` or `RIGHT`.
fn end_of(word: &[u8]) -> Result<End, Error> {
    if is_word(word, b"LEFT") {
        Ok(End::Head)
    } else if is_word(word, b"RIGHT") {
        Ok(End::Tail)
    } else {
        Err(Error::Syntax)
    }
}

/// The event of a push at `end`.
fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// The event of a pop at `end`.
fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// The name under which a pop at `end` is propagated.
fn pop_verb(end: End) -> &'static [u8] {
    match end {
        End::Head => b"LPOP",
        End::Tail => b"RPOP",
    }
}

/// Replies an element.
#[inline]
fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    match entry {
        Entry::Bytes(b) => reply.bulk(b),
        Entry::Int(i) => reply.bulk_int(i),
    }
}

/// After `n` elements were popped at `end`: says so, and deletes the key when that `emptied` it.
fn popped(db: &mut DbView<'_>, key: Key<'_>, end: End, n: usize, emptied: bool) {
    db.modified(key.bytes, N::LIST, pop_event(end), n as i64);
    if emptied {
        db.delete_emptied(key);
    }
}
