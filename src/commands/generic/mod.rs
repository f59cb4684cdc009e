//! Keys whatever they hold: deleting, renaming, expiring, walking, emptying databases.
//!
//! A file per topic: `delete` (by name, many at once), `transfer` (RENAME, MOVE, COPY), `object` (TYPE, OBJECT), `walk` (KEYS,
//! SCAN, RANDOMKEY, DBSIZE), `expire` and `ttl`, `flush` (FLUSHDB, FLUSHALL, SWAPDB).
pub mod delete;
pub mod expire;
pub mod flush;
pub mod object;
pub mod transfer;
pub mod ttl;
pub mod walk;

use crate::exec::Ctx;
use crate::exec::command::Command;
use crate::keyspace::{DbView, Key};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &delete::DEL,
    &delete::UNLINK,
    &delete::EXISTS,
    &delete::TOUCH,
    &transfer::RENAME,
    &transfer::RENAMENX,
    &transfer::MOVE,
    &transfer::COPY,
    &object::TYPE,
    &object::OBJECT,
    &walk::DBSIZE,
    &walk::RANDOMKEY,
    &walk::KEYS,
    &walk::SCAN,
    &expire::EXPIRE,
    &expire::PEXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIREAT,
    &expire::PERSIST,
    &ttl::TTL,
    &ttl::PTTL,
    &ttl::EXPIRETIME,
    &ttl::PEXPIRETIME,
    &flush::FLUSHDB,
    &flush::FLUSHALL,
    &flush::SWAPDB,
];

/// Keys looked up at once.
const BATCH: usize = 16;

/// Calls `f` for every argument from 1 on as a key. The lookups of a batch are prefetched, so that their cache misses overlap.
pub fn each_key<'a>(ctx: &mut Ctx<'a>, mut f: impl FnMut(&mut DbView<'_>, Key<'a>)) {
    let (args, first) = (ctx.args, ctx.key(1));
    let mut db = ctx.db();
    if args.len() == 2 {
        return f(&mut db, first);
    }
    let mut keys = [first; BATCH];
    for start in (1..args.len()).step_by(BATCH) {
        let n = BATCH.min(args.len() - start);
        for (i, k) in keys[..n].iter_mut().enumerate() {
            *k = Key::new(args.at(start + i));
        }
        db.prefetch(&keys[..n]);
        keys[..n].iter().for_each(|k| f(&mut db, *k));
    }
}
