//! Whole databases: emptied (FLUSHDB, FLUSHALL) or exchanged (SWAPDB).
//!
//! What clients hold on to (watched keys, keys they are blocked on) stays with the number of the database. The caller tells
//! those clients, counts the change and propagates it.

use super::db::{Db, Keyspace};
use super::effects::{Listening, Stale};
use super::lazyfree::Garbage;
use std::mem::swap;

impl Keyspace {
    /// Empties a database; `in_background` leaves the freeing to the other thread. Returns the number of keys there were.
    pub fn flush(&mut self, db: u32, in_background: bool) -> usize {
        let db = &mut self.dbs[db as usize];
        let old = db.keys.take();
        db.avg_ttl_ms = 0;
        let expires = std::mem::take(&mut db.expires);
        db.fields.clear();
        let removed = old.len();
        if in_background {
            self.lazy.free(Garbage::Table(old));
            self.lazy.free(Garbage::Other(Box::new(expires), 0));
        }
        // FLUSHALL comes here for each database, and tells once.
        let told = self.fx.invalid.last() == Some(&Stale::All);
        if self.fx.listening.contains(Listening::TRACKING) && !told {
            self.fx.invalid.push(Stale::All);
        }
        removed
    }

    /// Exchanges the contents of a database with the one of the same number in another keyspace.
    pub fn exchange(&mut self, db: u32, other: &mut Keyspace) {
        exchange(&mut self.dbs[db as usize], &mut other.dbs[db as usize]);
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: u32, b: u32) {
        let (low, high) = (a.min(b) as usize, a.max(b) as usize);
        if low == high {
            return;
        }
        let (left, right) = self.dbs.split_at_mut(high);
        exchange(&mut left[low], &mut right[0]);
    }
}

fn exchange(a: &mut Db, b: &mut Db) {
    swap(&mut a.keys, &mut b.keys);
    swap(&mut a.avg_ttl_ms, &mut b.avg_ttl_ms);
    swap(&mut a.expires, &mut b.expires);
    swap(&mut a.fields, &mut b.fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::keyspace::lazyfree::LazyFree;
    use crate::keyspace::{Entry, NewStr};

    #[test]
    fn flushing_many_databases_is_told_once() {
        let mut ks = Keyspace::new(3, 1, LazyFree::inline());
        ks.fx.listening = Listening::TRACKING;
        for db in 0..3 {
            ks.flush(db, false);
        }
        assert_eq!(ks.fx.invalid, [Stale::All]);
    }

    fn add(ks: &mut Keyspace, db: usize, key: &[u8]) {
        let e = Entry::string(key, &NewStr::Copy(b"v"), None);
        ks.dbs[db].keys.insert_new(hash(key), e);
    }

    #[test]
    fn contents_move_and_go() {
        let mut ks = Keyspace::new(3, 1, LazyFree::inline());
        add(&mut ks, 0, b"a");
        add(&mut ks, 2, b"b");
        add(&mut ks, 2, b"c");
        ks.swap(2, 0);
        ks.swap(1, 1);
        assert_eq!(
            ks.dbs.iter().map(|d| d.len()).collect::<Vec<_>>(),
            [2, 0, 1]
        );
        assert_eq!([0, 1, 2].map(|i| ks.dbs[i].id), [0, 1, 2]);
        assert_eq!(
            (ks.flush(0, true), ks.flush(2, false), ks.flush(1, true)),
            (2, 1, 0)
        );
        assert_eq!(ks.total_keys(), 0);
    }
}
