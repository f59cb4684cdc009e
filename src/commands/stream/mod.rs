//! Streams: appending, reading, consumer groups.
//!
//! | file         | commands                                                   |
//! |--------------|------------------------------------------------------------|
//! | `add.rs`     | XADD, XTRIM (their options: `trim.rs`), XSETID             |
//! | `range.rs`   | XLEN, XRANGE, XREVRANGE; how entries are replied           |
//! | `delete.rs`  | XDEL, XDELEX, XACK, XACKDEL                                |
//! | `read.rs`    | XREAD, XREADGROUP: arguments, waiting                      |
//! | `deliver.rs` | what XREADGROUP does to a group, and how it is propagated  |
//! | `group.rs`   | XGROUP                                                     |
//! | `pending.rs` | XPENDING                                                   |
//! | `claim.rs`   | XCLAIM, XAUTOCLAIM                                         |
//! | `info.rs`    | XINFO                                                      |
//!
//! The value is `Box<Stream>`; what it can do lies in `types::stream`. Ids are resolved here, so that what is propagated says
//! exactly what happened: an explicit id for `*`, an exact trim for an approximate one, XCLAIM and XGROUP SETID for deliveries.
pub mod add;
pub mod claim;
pub mod delete;
mod deliver;
pub mod group;
pub mod info;
pub mod pending;
pub mod range;
pub mod read;
mod trim;

use crate::config::Config;
use crate::ds::stream::{ID_TEXT_MAX, StreamId};
use crate::exec::Ctx;
use crate::exec::command::Command;
use crate::resp::{Error, OwnedArgs, Reply, before_nul, is_word};
use crate::types::stream::{NodeLimits, RefPolicy, Stream, parse_strict};
use std::fmt::Display;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &add::XADD,
    &add::XTRIM,
    &add::XSETID,
    &range::XLEN,
    &range::XRANGE,
    &range::XREVRANGE,
    &delete::XDEL,
    &delete::XDELEX,
    &delete::XACK,
    &delete::XACKDEL,
    &read::XREAD,
    &read::XREADGROUP,
    &group::XGROUP,
    &pending::XPENDING,
    &claim::XCLAIM,
    &claim::XAUTOCLAIM,
    &info::XINFO,
];

/// The value of a stream key.
type Value = Box<Stream>;

/// An error of the stream type as a reply: its text is the wire text.
fn refused(e: impl Display) -> Error {
    Error::text(e.to_string())
}

/// When a node is full, as configured now.
fn limits(config: &Config) -> NodeLimits {
    NodeLimits {
        max_bytes: config.stream_node_max_bytes,
        max_entries: config.stream_node_max_entries,
    }
}

/// Replies an id as `ms-seq`.
#[inline]
fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.write_text(&mut [0; ID_TEXT_MAX]));
}

/// Appends an id to arguments to propagate.
fn push_id(args: &mut OwnedArgs, id: StreamId) {
    args.push(id.write_text(&mut [0; ID_TEXT_MAX]));
}

/// Argument `i` as an id whose missing sequence is 0; neither `-` nor `+`.
fn id_arg(ctx: &Ctx<'_>, i: usize) -> Result<StreamId, Error> {
    parse_strict(ctx.arg(i), 0).map_err(refused)
}

/// Arguments `from..to` as ids, all checked before anything is done.
fn ids_arg(ctx: &Ctx<'_>, from: usize, to: usize) -> Result<Vec<StreamId>, Error> {
    (from..to).map(|i| id_arg(ctx, i)).collect()
}

/// KEEPREF, DELREF or ACKED.
fn policy_word(word: &[u8]) -> Option<RefPolicy> {
    let words: [(&[u8], RefPolicy); 3] = [
        (b"KEEPREF", RefPolicy::KeepRef),
        (b"DELREF", RefPolicy::DelRef),
        (b"ACKED", RefPolicy::Acked),
    ];
    let found = words.iter().find(|(w, _)| is_word(word, w))?;
    Some(found.1)
}

/// The error for a group that is not there, or whose key is not.
fn no_group(key: &[u8], group: &[u8]) -> Error {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        before_nul(key),
        b"' or consumer group '",
        before_nul(group),
        b"'",
    ];
    Error::Bytes(parts.concat())
}

/// The error of XGROUP and XINFO for a group that is not there.
fn no_such_group(key: &[u8], group: &[u8]) -> Error {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such consumer group '",
        before_nul(group),
        b"' for key name '",
        before_nul(key),
        b"'",
    ];
    Error::Bytes(parts.concat())
}
