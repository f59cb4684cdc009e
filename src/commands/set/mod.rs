//! Sets: members, random members, and the algebra of many sets.
//!
//! One file per kind of command, rows beside functions. What they share is here: the directives that shape a set, replies of
//! members, what is recorded after members went.
pub mod algebra;
pub mod members;
pub mod random;

use crate::config::Config;
use crate::config::values::NotifyFlags as N;
use crate::ds::listpack::Entry;
use crate::exec::command::Command;
use crate::keyspace::{DbView, Key};
use crate::resp::Reply;
use crate::types::set::SetLimits;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &members::SADD,
    &members::SREM,
    &members::SMOVE,
    &members::SISMEMBER,
    &members::SMISMEMBER,
    &members::SCARD,
    &members::SMEMBERS,
    &members::SSCAN,
    &random::SPOP,
    &random::SRANDMEMBER,
    &algebra::SINTER,
    &algebra::SINTERSTORE,
    &algebra::SINTERCARD,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
];

/// The directives that shape sets, as of now.
pub fn limits(config: &Config) -> SetLimits {
    SetLimits {
        intset_entries: config.set_max_intset_entries,
        listpack_entries: config.set_max_listpack_entries,
        listpack_value: config.set_max_listpack_value,
    }
}

/// Replies an element of a packed or hashed collection.
#[inline]
pub(super) fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    match entry {
        Entry::Bytes(b) => reply.bulk(b),
        Entry::Int(v) => reply.bulk_int(v),
    }
}

/// After `n` members went by `event`: says so, and deletes the key when that `emptied` it.
fn removed(db: &mut DbView<'_>, key: Key<'_>, event: &'static str, n: usize, emptied: bool) {
    db.modified(key.bytes, N::SET, event, n as i64);
    if emptied {
        db.delete_emptied(key);
    }
}
