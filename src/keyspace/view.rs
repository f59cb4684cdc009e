//! A database as a command sees it: lookups that honour expiry, changes that record their effects.

use super::db::{Db, Keyspace, KeyspaceStats};
use super::effects::{Effects, Listening, Stale};
use super::entry::{Entry, NewStr, StrRef, ValueMut, ValueRef};
use super::events::Event;
use super::lazyfree::{Garbage, LAZYFREE_THRESHOLD, LazyFree, STALL_THRESHOLD};
use super::lru;
use super::value::{Type, Value};
use crate::config::Config;
use crate::config::values::NotifyFlags;
use crate::ds::hash::hash;
use crate::ds::rng::Rng;
use crate::ds::table::{Place, Ref, RefMut};
use crate::resp::{Error, OwnedArgs};

/// A key with its hash: computed once per command, or ahead for a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The key's bytes.
    pub bytes: &'a [u8],
    /// Its hash under the process' seed.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Hashes `bytes`.
    #[inline(always)]
    pub fn new(bytes: &'a [u8]) -> Self {
        Key {
            bytes,
            hash: hash(bytes),
        }
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Key::new(bytes)
    }
}

/// What becomes of a key whose time has come when somebody looks it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredKeys {
    /// It is deleted, and the deletion propagated (a master).
    Delete,
    /// It is not seen, but stays until the master deletes it (a replica, or while writes are paused).
    Hide,
    /// It is seen (the stream of the master, loading).
    Show,
}

/// One database with what a command needs beside it. See the module header.
pub struct DbView<'a> {
    /// The database.
    pub db: &'a mut Db,
    /// Effects of the running command.
    pub fx: &'a mut Effects,
    /// Lookup counters.
    pub stats: &'a mut KeyspaceStats,
    /// Randomness.
    pub rng: &'a mut Rng,
    /// The freeing thread.
    pub lazy: &'a LazyFree,
    /// Settings.
    pub config: &'a Config,
    /// The instant the command runs at, Unix ms.
    pub now_ms: i64,
    /// What becomes of expired keys.
    pub expired: ExpiredKeys,
    /// False for clients that must not touch the access clocks (CLIENT NO-TOUCH), and while a child saves.
    pub touch: bool,
}

impl Keyspace {
    /// The view of database `db` (which must exist).
    pub fn view<'a>(
        &'a mut self,
        db: u32,
        config: &'a Config,
        now_ms: i64,
        expired: ExpiredKeys,
        touch: bool,
    ) -> DbView<'a> {
        DbView {
            db: &mut self.dbs[db as usize],
            fx: &mut self.fx,
            stats: &mut self.stats,
            rng: &mut self.rng,
            lazy: &self.lazy,
            config,
            now_ms,
            expired,
            touch,
        }
    }
}

impl<'a> DbView<'a> {
    #[inline(always)]
    fn at(&self, place: Place) -> Ref<'_, Entry> {
        // SAFETY: every caller located the place in this table and changed nothing but items since.
        unsafe { self.db.keys.at(place) }
    }

    #[inline(always)]
    fn at_mut(&mut self, place: Place) -> RefMut<'_, Entry> {
        // SAFETY: as in `at`.
        unsafe { self.db.keys.at_mut(place) }
    }

    /// Is this entry past its time (and do we care)?
    #[inline(always)]
    pub fn is_expired(&self, e: &Entry) -> bool {
        match e.expire() {
            Some(at) => at <= self.now_ms && self.expired != ExpiredKeys::Show,
            None => false,
        }
    }

    /// Finds a live entry; an expired one is deleted or hidden. No statistics, no access clock: for TTL, TYPE, OBJECT and the
    /// like, and the ground of all other lookups.
    #[inline(always)]
    pub fn peek(&mut self, key: Key<'_>) -> Option<Ref<'_, Entry>> {
        let slot = self.db.keys.locate(key.hash, key.bytes)?;
        if self.is_expired(&self.at(slot)) {
            self.expire_found(key);
            return None;
        }
        Some(self.at(slot))
    }

    /// Whether a live key is there.
    pub fn exists(&mut self, key: Key<'_>) -> bool {
        self.peek(key).is_some()
    }

    /// Like [`DbView::peek`], to change the entry. The table's mark of the expire must be kept by using [`DbView::set_expire`].
    #[inline(always)]
    pub fn peek_mut(&mut self, key: Key<'_>) -> Option<RefMut<'_, Entry>> {
        let slot = self.db.keys.locate(key.hash, key.bytes)?;
        if self.is_expired(&self.at(slot)) {
            self.expire_found(key);
            return None;
        }
        Some(self.at_mut(slot))
    }

    /// Finds an entry for reading: counts hits and misses and notes the access.
    #[inline(always)]
    pub fn read(&mut self, key: Key<'_>) -> Option<Ref<'_, Entry>> {
        let Some(slot) = self.db.keys.locate(key.hash, key.bytes) else {
            self.miss(key);
            return None;
        };
        if self.is_expired(&self.at(slot)) {
            self.expire_found(key);
            self.miss(key);
            return None;
        }
        self.stats.hits += 1;
        if self.touch {
            let before = self.at(slot).clock();
            let clock = self.clock_after_access(before);
            // Writing an unchanged clock would dirty a page that a forked child shares.
            if before != clock {
                self.at_mut(slot).set_clock(clock);
            }
        }
        Some(self.at(slot))
    }

    /// Like [`DbView::read`], but leaves the access clock alone: TTL, TYPE, EXISTS, OBJECT and the like.
    pub fn look(&mut self, key: Key<'_>) -> Option<Ref<'_, Entry>> {
        match self.db.keys.locate(key.hash, key.bytes) {
            Some(slot) if self.is_expired(&self.at(slot)) => self.expire_found(key),
            Some(slot) => {
                self.stats.hits += 1;
                return Some(self.at(slot));
            }
            None => {}
        }
        self.miss(key);
        None
    }

    #[cold]
    fn miss(&mut self, key: Key<'_>) {
        self.stats.misses += 1;
        self.event(NotifyFlags::KEY_MISS, "keymiss", key.bytes);
    }

    /// Finds an entry to change it: notes the access, counts nothing.
    #[inline(always)]
    pub fn write(&mut self, key: Key<'_>) -> Option<RefMut<'_, Entry>> {
        let slot = self.db.keys.locate(key.hash, key.bytes)?;
        if self.is_expired(&self.at(slot)) {
            self.expire_found(key);
            return None;
        }
        if self.touch {
            let before = self.at(slot).clock();
            let clock = self.clock_after_access(before);
            if before != clock {
                self.at_mut(slot).set_clock(clock);
            }
        }
        Some(self.at_mut(slot))
    }

    #[inline(always)]
    fn clock_after_access(&mut self, clock: u32) -> u32 {
        if !self.config.maxmemory_policy.is_lfu() {
            return lru::lru_clock(self.now_ms);
        }
        lru::lfu_access(
            clock,
            self.now_ms,
            self.config.lfu_decay_time as u64,
            self.config.lfu_log_factor as u64,
            self.rng,
        )
    }

    /// The clock a new key starts with.
    #[inline(always)]
    pub fn new_clock(&self) -> u32 {
        if self.config.maxmemory_policy.is_lfu() {
            lru::lfu_clock(lru::LFU_INIT, self.now_ms)
        } else {
            lru::lru_clock(self.now_ms)
        }
    }

    /// Reads a string: None when the key is not there.
    #[inline(always)]
    pub fn read_str(&mut self, key: Key<'_>) -> Result<Option<Ref<'_, Entry>>, Error> {
        match self.read(key) {
            None => Ok(None),
            Some(e) if e.ty() == Type::String => Ok(Some(e)),
            Some(_) => Err(Error::WrongType),
        }
    }

    /// Finds a string to change it.
    #[inline(always)]
    pub fn write_str(&mut self, key: Key<'_>) -> Result<Option<RefMut<'_, Entry>>, Error> {
        match self.write(key) {
            None => Ok(None),
            Some(e) if e.ty() == Type::String => Ok(Some(e)),
            Some(_) => Err(Error::WrongType),
        }
    }

    /// Reads a collection of type `T`.
    #[inline]
    pub fn read_value<T: Value>(&mut self, key: Key<'_>) -> Result<Option<ValueRef<'_, T>>, Error> {
        match self.read(key) {
            None => Ok(None),
            Some(e) => ValueRef::of(e).map(Some).ok_or(Error::WrongType),
        }
    }

    /// Finds a collection of type `T` to change it.
    #[inline]
    pub fn write_value<T: Value>(
        &mut self,
        key: Key<'_>,
    ) -> Result<Option<ValueMut<'_, T>>, Error> {
        match self.write(key) {
            None => Ok(None),
            // The entry's block does not move while a collection is changed: only its word is written.
            Some(e) => ValueMut::of(e).map(Some).ok_or(Error::WrongType),
        }
    }

    /// Finds a collection of type `T` to change it, made by `new` when there is none. The caller must leave something in it.
    #[inline]
    pub fn write_or_create<T: Value>(
        &mut self,
        key: Key<'_>,
        new: impl FnOnce(&Config) -> T,
    ) -> Result<ValueMut<'_, T>, Error> {
        if self.write(key).is_none() {
            let value = new(self.config);
            self.add(key, Entry::collection(key.bytes, value, None));
        }
        let slot = self
            .db
            .keys
            .locate(key.hash, key.bytes)
            .ok_or(Error::NoSuchKey)?;
        ValueMut::of(self.at_mut(slot)).ok_or(Error::WrongType)
    }

    /// Adds an entry under a key that is not there, with a fresh access clock; emits the `new` event and wakes who waits for
    /// the key to appear.
    #[inline]
    pub fn add(&mut self, key: Key<'_>, mut entry: Entry) {
        entry.set_clock(self.new_clock());
        self.add_moved(key, entry);
    }

    /// Like [`DbView::add`] for an entry that keeps its access clock.
    #[inline]
    fn add_moved(&mut self, key: Key<'_>, entry: Entry) {
        self.add_quietly(key, entry);
        if self.fx.listening != Listening::empty() {
            self.wake(key.bytes);
            self.event(NotifyFlags::NEW, "new", key.bytes);
        }
    }

    #[inline(always)]
    fn add_quietly(&mut self, key: Key<'_>, entry: Entry) {
        let expire = entry.expire();
        self.db.fields.entered(&entry);
        self.db
            .keys
            .insert_marked(key.hash, entry, expire.is_some());
        self.db.expires.changed(key.hash, None, expire, self.now_ms);
    }

    /// Sets a string, whatever the key held, and its expire (Unix ms). Returns true when the key was there before.
    #[inline]
    pub fn set_str(&mut self, key: Key<'_>, value: &NewStr<'_>, expire: Option<i64>) -> bool {
        let Some(slot) = self.db.keys.locate(key.hash, key.bytes) else {
            self.add(key, Entry::string(key.bytes, value, expire));
            return false;
        };
        let old = self.at(slot);
        if self.is_expired(&old) {
            self.expire_found(key);
            self.add(key, Entry::string(key.bytes, value, expire));
            return false;
        }
        let (ty, old_expire) = (old.ty(), old.expire());
        let clock = if self.touch {
            self.clock_after_access(self.at(slot).clock())
        } else {
            self.at(slot).clock()
        };
        let (lazy, in_background) = (self.lazy, self.config.lazyfree_lazy_server_del);
        let mut replaced = None;
        let mut e = self.at_mut(slot);
        if ty == Type::String {
            e.set_string(value, expire);
        } else {
            let new = Entry::string(key.bytes, value, expire);
            replaced = Some(e.replace(new));
        }
        e.set_clock(clock);
        if old_expire.is_some() != expire.is_some() {
            e.set_mark(expire.is_some());
        }
        drop(e);
        if let Some(old) = replaced {
            self.db.fields.left(&old);
            free(lazy, old, in_background);
        }
        self.db
            .expires
            .changed(key.hash, old_expire, expire, self.now_ms);
        if self.fx.listening != Listening::empty() {
            self.wake(key.bytes);
            self.event(NotifyFlags::OVERWRITTEN, "overwritten", key.bytes);
            if ty != Type::String {
                self.event(NotifyFlags::TYPE_CHANGED, "type_changed", key.bytes);
            }
        }
        true
    }

    /// Puts `entry` under its key, whatever was there (RESTORE). Returns the type of what was replaced.
    pub fn put(&mut self, key: Key<'_>, mut entry: Entry) -> Option<Type> {
        entry.set_clock(self.new_clock());
        self.put_moved(key, entry)
    }

    /// Like [`DbView::put`] for an entry that keeps its access clock (RENAME, MOVE).
    pub fn put_moved(&mut self, key: Key<'_>, entry: Entry) -> Option<Type> {
        let old = self.take(key);
        let ty = old.as_ref().map(Entry::ty);
        if let Some(old) = old {
            free(self.lazy, old, self.config.lazyfree_lazy_server_del);
        }
        self.add_moved(key, entry);
        ty
    }

    /// Puts the result of a STORE command under its key. Unlike [`DbView::put`] it tells of what it overwrites, and that before
    /// the command's own event; only a key that was not there is a new one.
    pub fn store(&mut self, key: Key<'_>, mut entry: Entry) {
        let Some(old) = self.take(key) else {
            return self.add(key, entry);
        };
        let (was, new) = (old.ty(), entry.ty());
        free(self.lazy, old, self.config.lazyfree_lazy_server_del);
        entry.set_clock(self.new_clock());
        self.add_quietly(key, entry);
        if self.fx.listening != Listening::empty() {
            self.wake(key.bytes);
            self.overwritten(key, Some(was), new);
        }
    }

    /// Emits the events of a value that took the place of one of type `old`: after the event that tells how.
    pub fn overwritten(&mut self, key: Key<'_>, old: Option<Type>, new: Type) {
        if let Some(old) = old {
            self.event(NotifyFlags::OVERWRITTEN, "overwritten", key.bytes);
            if old != new {
                self.event(NotifyFlags::TYPE_CHANGED, "type_changed", key.bytes);
            }
        }
    }

    /// Takes a live entry out of the database. Records nothing: the caller says what happened with `modified`.
    pub fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        self.peek(key)?;
        let entry = self.db.keys.remove(key.hash, key.bytes)?;
        self.db.fields.left(&entry);
        Some(entry)
    }

    /// Deletes a key; true when it was there. `lazy`: a big value is freed in the background. Records nothing.
    pub fn delete(&mut self, key: Key<'_>, lazy: bool) -> bool {
        match self.take(key) {
            Some(e) => {
                if self.fx.listening.contains(Listening::BLOCKED) {
                    self.wake(key.bytes);
                }
                free(self.lazy, e, lazy);
                true
            }
            None => false,
        }
    }

    /// Deletes a collection that became empty and emits `del`.
    pub fn delete_emptied(&mut self, key: Key<'_>) {
        if self.delete(key, false) {
            self.event(NotifyFlags::GENERIC, "del", key.bytes);
        }
    }

    /// Sets or clears the expire of a key (Unix ms); false when the key is not there.
    pub fn set_expire(&mut self, key: Key<'_>, expire: Option<i64>) -> bool {
        let Some(mut e) = self.peek_mut(key) else {
            return false;
        };
        let old = e.expire();
        e.set_expire(expire);
        e.set_mark(expire.is_some());
        drop(e);
        self.db.expires.changed(key.hash, old, expire, self.now_ms);
        true
    }

    /// Says that the key was changed by `n` steps: counts them, fails transactions that watch the key, marks cached copies
    /// stale, publishes `event` of `class`, wakes blocked clients. Call it once per change, after the change.
    #[inline(always)]
    pub fn modified(&mut self, key: &[u8], class: NotifyFlags, event: &'static str, n: i64) {
        self.fx.dirty += n;
        if self.fx.listening != Listening::empty() {
            self.touched(key, Stale::Changed);
            self.event(class, event, key);
        }
    }

    /// Like [`DbView::modified`] without an event (more than one, or none, are emitted by the caller).
    #[inline(always)]
    pub fn modified_quietly(&mut self, key: &[u8], n: i64) {
        self.fx.dirty += n;
        if self.fx.listening != Listening::empty() {
            self.touched(key, Stale::Changed);
        }
    }

    #[cold]
    fn touched(&mut self, key: &[u8], stale: fn(Box<[u8]>) -> Stale) {
        if self.fx.listening.contains(Listening::WATCH)
            && let Some(w) = self.db.watched.get_mut(key)
        {
            let there = self.db.keys.locate(hash(key), key).is_some();
            self.fx.touched.extend(w.touched(there));
        }
        if self.fx.listening.contains(Listening::TRACKING) {
            self.fx.invalid.push(stale(key.into()));
        }
        self.wake(key);
    }

    /// Marks the key as one that may serve blocked clients.
    pub fn wake(&mut self, key: &[u8]) {
        if self.fx.listening.contains(Listening::BLOCKED)
            && let Some(w) = self.db.blocked.get_mut(key)
            && !w.signalled
        {
            w.signalled = true;
            self.fx.ready.push((self.db.id, key.into()));
        }
    }

    /// Records a keyspace event, if its class is published.
    #[inline(always)]
    pub fn event(&mut self, class: NotifyFlags, name: &'static str, key: &[u8]) {
        if self.fx.listening.contains(Listening::EVENTS) {
            self.record_event(class, name, key);
        }
    }

    #[cold]
    fn record_event(&mut self, class: NotifyFlags, name: &'static str, key: &[u8]) {
        if self.config.notify_keyspace_events.intersects(class) {
            self.fx.events.push(Event {
                db: self.db.id,
                class,
                name,
                key: key.into(),
            });
        }
    }

    #[cold]
    fn expire_found(&mut self, key: Key<'_>) {
        if self.expired == ExpiredKeys::Delete {
            self.delete_expired(key);
        }
    }

    /// Deletes a key because its time has come, propagates that as DEL or UNLINK and counts it.
    pub fn delete_expired(&mut self, key: Key<'_>) {
        let start = (self.config.latency_monitor_threshold > 0).then(std::time::Instant::now);
        self.drop_expired(key);
        if let Some(start) = start {
            let took_ms = start.elapsed().as_millis() as u64;
            self.stats.expire_del_ms = self.stats.expire_del_ms.max(took_ms);
        }
    }

    fn drop_expired(&mut self, key: Key<'_>) {
        let Some(e) = self.db.keys.remove(key.hash, key.bytes) else {
            return;
        };
        self.db.fields.left(&e);
        free(self.lazy, e, self.config.lazyfree_lazy_expire);
        self.stats.expired += 1;
        self.propagate_deletion(key.bytes, self.config.lazyfree_lazy_expire);
        if self.fx.listening != Listening::empty() {
            self.touched(key.bytes, Stale::Gone);
            self.event(NotifyFlags::EXPIRED, "expired", key.bytes);
        }
    }

    /// Deletes a key to stay below `maxmemory` and counts it; false when it is not there. [`DbView::announce_evicted`] is to
    /// follow.
    pub fn remove_evicted(&mut self, key: Key<'_>) -> bool {
        let Some(e) = self.db.keys.remove(key.hash, key.bytes) else {
            return false;
        };
        self.db.fields.left(&e);
        free(self.lazy, e, self.config.lazyfree_lazy_eviction);
        self.stats.evicted += 1;
        true
    }

    /// Propagates the deletion of an evicted key and tells those who listen.
    pub fn announce_evicted(&mut self, key: Key<'_>) {
        self.propagate_deletion(key.bytes, self.config.lazyfree_lazy_eviction);
        if self.fx.listening != Listening::empty() {
            self.touched(key.bytes, Stale::Gone);
            self.event(NotifyFlags::EVICTED, "evicted", key.bytes);
        }
    }

    /// Queues a DEL (UNLINK when `lazy`) of `key` for the AOF and the replicas, ahead of the running command.
    pub fn propagate_deletion(&mut self, key: &[u8], lazy: bool) {
        if self.fx.propagating {
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            self.fx
                .before
                .push((self.db.id, OwnedArgs::from_iter([verb, key])));
        }
    }

    /// True when expired keys are ours to delete (a master).
    pub fn deletes_expired(&self) -> bool {
        self.expired == ExpiredKeys::Delete
    }

    /// Starts fetching the entries of several keys, so that the lookups that follow do not wait one after the other.
    pub fn prefetch(&self, keys: &[Key<'_>]) {
        if keys.len() > 1 {
            keys.iter()
                .for_each(|k| self.db.keys.prefetch_bucket(k.hash));
            keys.iter().for_each(|k| self.db.keys.prefetch_item(k.hash));
        }
    }

    /// The string under `key`, copied; the empty string when there is none.
    pub fn string_copy(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .read_str(key)?
            .and_then(|e| e.str().map(StrRef::to_vec)))
    }
}

/// Frees an entry here, or in the background when it is big enough to matter.
pub fn free(lazy: &LazyFree, entry: Entry, in_background: bool) {
    let worth_it = if in_background {
        LAZYFREE_THRESHOLD
    } else {
        STALL_THRESHOLD
    };
    if entry.free_effort() > worth_it {
        lazy.free(Garbage::Entry(entry));
    }
}
