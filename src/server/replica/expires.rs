//! Keys with a time to live that clients made on a writable replica. The master knows nothing of them, so no DEL of its will
//! ever come: they are remembered by name and deleted here when their time has come. All other keys of a replica wait for the
//! master.
//!
//! The names are few (a writable replica holds scratch data), so they lie in a plain ordered set that cron walks piece by
//! piece. A name whose key is gone or lost its expire is forgotten.

use super::Server;
use crate::exec::Ctx;
use crate::exec::keys::{KeyRefs, Wanted, find};
use crate::exec::propagate;
use crate::keyspace::{ExpiredKeys, Key};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Names looked at in one tick of cron.
const PER_TICK: usize = 256;

/// The names, by database.
#[derive(Debug, Default)]
pub struct OwnExpires {
    names: BTreeSet<(u32, Box<[u8]>)>,
    /// The last one looked at.
    at: Option<(u32, Box<[u8]>)>,
}

impl OwnExpires {
    /// How many (INFO `slave_expires_tracked_keys`).
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// A client's write on a writable replica has run: remembers those of its keys that have a time to live now.
#[cold]
pub fn remember(ctx: &mut Ctx<'_>) {
    let mut keys = KeyRefs::new();
    if find(ctx.command, &ctx.args, Wanted::Keys, &mut keys).is_err() {
        return;
    }
    let db = ctx.client.db;
    let s = &mut *ctx.server;
    for k in keys.as_slice() {
        let name = ctx.args.at(k.pos as usize);
        let key = Key::new(name);
        let entry = s.ks.dbs[db as usize].keys.find(key.hash, key.bytes);
        if entry.is_some_and(|e| e.expire().is_some()) {
            s.expiry.own.names.insert((db, name.into()));
        }
    }
}

/// A master deletes all of its keys itself.
pub fn forget(server: &mut Server) {
    server.expiry.own = OwnExpires::default();
}

enum Fate {
    Forget,
    Delete,
    Keep,
}

impl Server {
    /// Looks at some of the names, and deletes the keys whose time has come.
    pub fn expire_own_keys(&mut self) {
        if self.expiry.own.is_empty() || !self.is_replica() {
            return;
        }
        let from = match self.expiry.own.at.take() {
            Some(at) => Bound::Excluded(at),
            None => Bound::Unbounded,
        };
        let names = self.expiry.own.names.range((from, Bound::Unbounded));
        let some: Vec<_> = names.take(PER_TICK).cloned().collect();
        // At the end of the walk it begins anew.
        self.expiry.own.at = (some.len() == PER_TICK)
            .then(|| some.last().cloned())
            .flatten();
        for (db, name) in some {
            let key = Key::new(&name);
            match self.fate(db, key) {
                Fate::Keep => continue,
                Fate::Forget => {}
                Fate::Delete => {
                    let now_ms = self.clock.now_ms;
                    self.ks
                        .view(db, &self.config, now_ms, ExpiredKeys::Delete, false)
                        .delete_expired(key);
                    propagate::flush_deletions(self);
                }
            }
            self.expiry.own.names.remove(&(db, name.clone()));
        }
        self.deliver_background_effects();
    }

    fn fate(&self, db: u32, key: Key<'_>) -> Fate {
        let Some(db) = self.ks.dbs.get(db as usize) else {
            return Fate::Forget;
        };
        match db.keys.find(key.hash, key.bytes).map(|e| e.expire()) {
            None | Some(None) => Fate::Forget,
            Some(Some(at)) if at <= self.clock.now_ms => Fate::Delete,
            Some(Some(_)) => Fate::Keep,
        }
    }
}
