//! Finding the keys whose time has come: a timing wheel per database, exact to a tick of 16 ms.
//!
//! **Why an index.** Without one, due keys are found by sampling or by walking the keys that have a TTL. To delete a key within
//! 100 ms of its time among a million volatile ones, a walk has to pass over all of them every 100 ms (about 20 ns each, so a
//! fifth of a core, all the time, and ten times that at ten million); this index touches a key when it was given a TTL, when
//! its time comes near, and when it is due, and costs nothing in between.
//!
//! **Shape.** Time is cut into ticks. Level 0 has a slot for each of the next 64 ticks, level 1 one for each of the next 64
//! level-0 rounds (1 s), and so on: a TTL of an hour lies on level 2 in a slot 65 s wide. The slot of a tick is given by the
//! highest 6-bit digit in which it differs from the wheel's own tick. When the wheel reaches a slot of a higher level, its
//! keys move down (*cascade*) to where their time puts them. A slot is a bag of key hashes, 8 bytes each, in chunks: filing a key
//! is a push. Its key is found by the hash in the table.
//!
//! **Truth and garbage.** The expire in the entry is the truth. A hash whose key is gone, persistent, or due at another time is
//! stale: dropped when its slot comes up. Every volatile key has a hash in the slot of its time (two keys of one hash share it);
//! a TTL that changes within its slot files nothing. When there are half as many stale hashes as volatile keys, a second
//! wheel is filled by walking the table bit by bit (by hash order, so what changes meanwhile is filed in both if the walk has
//! passed it), and takes over. Memory: 8 to 12 bytes for each volatile key, up to 20 while the second wheel is being filled.
//!
//! Invariants: a slot's bit in `used` is set exactly if it holds something; `len` is the number of hashes in all slots; no tick
//! before `now` is on level 0 (times that have passed are filed under `now`).
//!
//! All work is done in small steps ([`Db::expire_step`]); who calls them and for how long is the server's business.

use super::db::Db;
use super::entry::Entry;
use crate::ds::rng::Rng;
use crate::ds::table::{Item, Table};

/// log2 of the length of a tick in ms.
const TICK_BITS: u32 = 4;
/// Levels of 64 slots: together they cover every time that can be expressed.
const LEVELS: usize = 10;
/// Hashes in a full chunk.
const CHUNK: usize = 512;
/// Hashes looked up in one step: their cache misses overlap.
const STEP: usize = 64;
/// Stale hashes that are not worth a second wheel.
const SLACK: usize = 4096;
/// The wall clock may go back this many ticks (1 s) before the wheel is filled anew.
const BACKWARD: u64 = 64;

fn tick_of(at_ms: i64) -> u64 {
    at_ms.max(0) as u64 >> TICK_BITS
}

/// A bag of hashes.
#[derive(Default)]
struct Slot {
    full: Vec<Vec<u64>>,
    open: Vec<u64>,
}

impl Slot {
    fn push(&mut self, hash: u64) {
        self.open.push(hash);
        if self.open.len() == CHUNK {
            self.full.push(std::mem::take(&mut self.open));
        }
    }

    /// Moves up to `n` hashes to `out`.
    fn take(&mut self, n: usize, out: &mut Vec<u64>) {
        if self.open.is_empty() {
            self.open = self.full.pop().unwrap_or_default();
        }
        let keep = self.open.len().saturating_sub(n);
        out.extend(self.open.drain(keep..));
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }

    fn len(&self) -> usize {
        self.full.len() * CHUNK + self.open.len()
    }

    fn get(&self, i: usize) -> u64 {
        match self.full.get(i / CHUNK) {
            Some(chunk) => chunk[i % CHUNK],
            None => self.open[i - self.full.len() * CHUNK],
        }
    }
}

struct Level {
    used: u64,
    slots: [Slot; 64],
}

impl Level {
    fn new() -> Box<Self> {
        Box::new(Level {
            used: 0,
            slots: std::array::from_fn(|_| Slot::default()),
        })
    }
}

/// The wheel; see the head of this file.
struct Wheel {
    /// The tick it has come to: everything before is done.
    now: u64,
    levels: [Option<Box<Level>>; LEVELS],
    len: usize,
}

/// A slot by level and index, and its first tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlotAt {
    level: usize,
    index: usize,
    start: u64,
}

impl SlotAt {
    fn holds(&self, tick: u64) -> bool {
        tick >> (6 * self.level) == self.start >> (6 * self.level)
    }
}

impl Wheel {
    fn new(now: u64) -> Self {
        Wheel {
            now,
            levels: Default::default(),
            len: 0,
        }
    }

    /// The slot of a time: level and index.
    fn place(&self, at_ms: i64) -> (usize, usize) {
        let tick = tick_of(at_ms).max(self.now);
        let differs = tick ^ self.now;
        let level = (63 - (differs | 1).leading_zeros()) as usize / 6;
        (level, (tick >> (6 * level)) as usize & 63)
    }

    fn push(&mut self, hash: u64, at_ms: i64) {
        let (level, index) = self.place(at_ms);
        let level = self.levels[level].get_or_insert_with(Level::new);
        level.used |= 1 << index;
        level.slots[index].push(hash);
        self.len += 1;
    }

    /// The first slot that holds something; of several that begin with the same tick the highest, which cascades first.
    fn first(&self) -> Option<SlotAt> {
        let mut first: Option<SlotAt> = None;
        for (level, slots) in self.levels.iter().enumerate() {
            let Some(l) = slots.as_ref().filter(|l| l.used != 0) else {
                continue;
            };
            let (shift, above) = (6 * level as u32, 6 * (level as u32 + 1));
            let index = l.used.trailing_zeros() as usize;
            let start = self.now >> above << above | (index as u64) << shift;
            if first.is_none_or(|f| start <= f.start) {
                first = Some(SlotAt {
                    level,
                    index,
                    start,
                });
            }
        }
        first
    }

    fn take(&mut self, at: SlotAt, n: usize, out: &mut Vec<u64>) {
        let Some(level) = &mut self.levels[at.level] else {
            return;
        };
        let before = out.len();
        level.slots[at.index].take(n, out);
        self.len -= out.len() - before;
        if level.slots[at.index].len() == 0 {
            level.used &= !(1 << at.index);
            if level.used == 0 && at.level > 1 {
                self.levels[at.level] = None;
            }
        }
    }

    /// The `i`-th hash in some order.
    fn nth(&self, mut i: usize) -> Option<u64> {
        for level in self.levels.iter().flatten() {
            for slot in &level.slots {
                if i < slot.len() {
                    return Some(slot.get(i));
                }
                i -= slot.len();
            }
        }
        None
    }

    #[cfg(test)]
    fn check(&self) {
        let mut len = 0;
        for l in self.levels.iter().flatten() {
            for (i, s) in l.slots.iter().enumerate() {
                assert_eq!(l.used >> i & 1 == 1, s.len() > 0);
                len += s.len();
            }
        }
        assert_eq!(len, self.len);
    }
}

/// A wheel being filled by a walk over the table.
struct Rebuild {
    wheel: Wheel,
    cursor: u64,
}

/// The index of one database; see the head of this file. Empty it owns almost nothing.
#[derive(Default)]
pub struct Expires {
    wheel: Option<Box<Wheel>>,
    rebuild: Option<Box<Rebuild>>,
    hashes: Vec<u64>,
}

impl Expires {
    /// Bytes the index takes, about.
    pub fn mem_bytes(&self) -> usize {
        let wheel = |w: &Wheel| {
            size_of::<Wheel>()
                + w.levels.iter().flatten().count() * size_of::<Level>()
                + w.len * size_of::<u64>()
        };
        self.wheel.as_deref().map_or(0, wheel)
            + self.rebuild.as_deref().map_or(0, |r| wheel(&r.wheel))
            + self.hashes.capacity() * size_of::<u64>()
    }

    /// A key's expire changes from `old` to `new` (Unix ms). Called for every change, by the code that makes it.
    #[inline]
    pub fn changed(&mut self, hash: u64, old: Option<i64>, new: Option<i64>, now_ms: i64) {
        if let Some(new) = new {
            self.file(hash, old, new, now_ms);
        }
    }

    fn file(&mut self, hash: u64, old: Option<i64>, new: i64, now_ms: i64) {
        let wheel = self
            .wheel
            .get_or_insert_with(|| Box::new(Wheel::new(tick_of(now_ms))));
        if old.is_none_or(|old| wheel.place(old) != wheel.place(new)) {
            wheel.push(hash, new);
        }
        if let Some(r) = &mut self.rebuild
            && hash >> CURSOR_SHIFT < r.cursor
            && old.is_none_or(|old| r.wheel.place(old) != r.wheel.place(new))
        {
            r.wheel.push(hash, new);
        }
    }

    /// Forgets everything (the database was emptied).
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of hashes filed.
    pub fn len(&self) -> usize {
        self.wheel.as_ref().map_or(0, |w| w.len)
    }

    /// True when nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When there is something to do next (Unix ms), at the earliest; None if never.
    pub fn next_ms(&self) -> Option<i64> {
        if self.rebuild.is_some() {
            return Some(0);
        }
        let first = self.wheel.as_ref()?.first()?;
        Some(((first.start + 1) << TICK_BITS) as i64)
    }

    /// Up to `n` random hashes (some stale) into `out`: for drawing among volatile keys when they are few.
    pub fn draw(&self, rng: &mut Rng, n: usize, out: &mut Vec<u64>) {
        if let Some(w) = &self.wheel {
            out.extend((0..n).filter_map(|_| w.nth(rng.below(w.len))));
        }
    }

    /// Up to `n` random hashes (some stale) of those that expire first.
    pub fn draw_first(&self, rng: &mut Rng, n: usize, out: &mut Vec<u64>) {
        let Some(w) = &self.wheel else { return };
        let Some(at) = w.first() else { return };
        if let Some(level) = &w.levels[at.level] {
            let slot = &level.slots[at.index];
            out.extend((0..n).map(|_| slot.get(rng.below(slot.len()))));
        }
    }
}

/// Hash bits that a cursor of the table does not carry.
const CURSOR_SHIFT: u32 = 12;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due.
    Idle,
    /// There may be more to do.
    More,
}

/// Keys found due.
#[derive(Default)]
pub struct Due {
    bytes: Vec<u8>,
    keys: Vec<(u64, usize)>,
}

impl Due {
    fn push(&mut self, hash: u64, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.keys.push((hash, self.bytes.len()));
    }

    /// Hashes and keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        (0..self.keys.len()).map(|i| {
            let (hash, end) = self.keys[i];
            let start = if i == 0 { 0 } else { self.keys[i - 1].1 };
            (hash, &self.bytes[start..end])
        })
    }

    /// Makes room for the next step.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.keys.clear();
    }
}

/// Fetches the entries of these hashes ahead.
fn prefetch(keys: &Table<Entry>, hashes: &[u64]) {
    hashes.iter().for_each(|h| keys.prefetch_bucket(*h));
    hashes.iter().for_each(|h| keys.prefetch_item(*h));
}

impl Db {
    /// Does a bounded piece of what is due at `now_ms` and adds keys to delete to `due`; the caller deletes them before the next
    /// step.
    pub fn expire_step(&mut self, now_ms: i64, due: &mut Due) -> Step {
        if self.keys.marked() == 0 {
            self.expires.clear();
            return Step::Idle;
        }
        let target = tick_of(now_ms);
        let Some(wheel) = &mut self.expires.wheel else {
            self.expires.rebuild_from(target);
            return self.rebuild_step();
        };
        let first = wheel.first().filter(|f| f.start < target);
        let Some(at) = first else {
            let back = wheel.now > target + BACKWARD;
            wheel.now = wheel.now.max(target);
            let marked = self.keys.marked();
            // Fewer than volatile keys: somebody filled the table past this index.
            let garbage = wheel.len > marked + marked / 2 + SLACK || wheel.len < marked;
            if self.expires.rebuild.is_some() {
                return self.rebuild_step();
            }
            if back || garbage {
                self.expires.rebuild_from(target);
                return self.rebuild_step();
            }
            return Step::Idle;
        };
        wheel.now = wheel.now.max(at.start);
        let mut hashes = std::mem::take(&mut self.expires.hashes);
        wheel.take(at, STEP, &mut hashes);
        prefetch(&self.keys, &hashes);
        for hash in hashes.drain(..) {
            self.keys.each_of_hash(hash, &mut |e| match e.expire() {
                Some(t) if t <= now_ms => due.push(hash, e.key()),
                // Only what this slot was holding moves on; a time elsewhere is filed elsewhere.
                Some(t) if at.level > 0 && at.holds(tick_of(t)) => wheel.push(hash, t),
                _ => {}
            });
        }
        self.expires.hashes = hashes;
        Step::More
    }

    /// Hashes that wait although their tick is over: how far expiry is behind.
    pub fn expire_backlog(&self, now_ms: i64) -> usize {
        let Some(w) = &self.expires.wheel else {
            return 0;
        };
        let Some(level) = &w.levels[0] else { return 0 };
        let round = w.now >> 6 << 6;
        (0..64)
            .filter(|i| round + i < tick_of(now_ms))
            .map(|i| level.slots[i as usize].len())
            .sum()
    }

    fn rebuild_step(&mut self) -> Step {
        let Some(r) = &mut self.expires.rebuild else {
            return Step::Idle;
        };
        let wheel = &mut r.wheel;
        let next = self.keys.scan_marked(r.cursor, STEP, &mut |e| {
            if let Some(at) = e.expire() {
                wheel.push(e.hash(), at);
            }
        });
        r.cursor = next;
        if next == 0
            && let Some(r) = self.expires.rebuild.take()
        {
            self.expires.wheel = Some(Box::new(r.wheel));
        }
        Step::More
    }
}

impl Expires {
    fn rebuild_from(&mut self, tick: u64) {
        self.rebuild = Some(Box::new(Rebuild {
            wheel: Wheel::new(tick),
            cursor: 0,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hash::hash;
    use crate::keyspace::NewStr;
    use std::collections::HashMap;

    struct World {
        db: Db,
        model: HashMap<Vec<u8>, Option<i64>>,
        now: i64,
    }

    impl World {
        fn set(&mut self, key: &[u8], expire: Option<i64>) {
            let h = hash(key);
            let old = self.model.insert(key.to_vec(), expire);
            if let Some(mut e) = self.db.keys.find_mut(h, key) {
                e.set_expire(expire);
                e.set_mark(expire.is_some());
            } else {
                let e = Entry::string(key, &NewStr::Copy(b"v"), expire);
                self.db.keys.insert_marked(h, e, expire.is_some());
            }
            self.db.expires.changed(h, old.flatten(), expire, self.now);
        }

        fn delete(&mut self, key: &[u8]) {
            self.model.remove(key);
            self.db.keys.remove(hash(key), key);
        }

        /// Works until idle: every key deleted was due, and none is left whose tick is over.
        fn work(&mut self) {
            // A time that has passed when it is set is filed under the present tick: let that end.
            self.now += 1 << TICK_BITS;
            let mut due = Due::default();
            while self.db.expire_step(self.now, &mut due) == Step::More {
                for (h, key) in due.iter() {
                    // A hash may be filed twice, and its key then be found twice in one step.
                    if self.db.keys.remove(h, key).is_some() {
                        let at = self.model.remove(key).flatten();
                        assert!(at.is_some_and(|at| at <= self.now));
                    }
                }
                due.clear();
            }
            let over = tick_of(self.now);
            assert!(self.model.values().flatten().all(|at| tick_of(*at) >= over));
            if let Some(w) = &self.db.expires.wheel {
                w.check();
                let volatile = self.db.keys.marked();
                assert!(w.len >= volatile && w.len <= volatile * 3 / 2 + SLACK);
            }
        }
    }

    #[test]
    fn finds_what_a_model_finds() {
        let mut rng = Rng::new(11);
        for round in 0..6 {
            let mut w = World {
                db: Db::new(0),
                model: HashMap::new(),
                now: 1_700_000_000_000 + round * 12_345_678,
            };
            for _ in 0..60_000 {
                let key = format!("k{}", rng.below(3000)).into_bytes();
                let ttl = 1 << rng.below(24);
                match rng.below(100) {
                    0..=49 => w.set(&key, Some(w.now + rng.below(ttl) as i64)),
                    50..=54 => w.set(&key, Some(w.now - 1)),
                    55..=59 => w.set(&key, Some(i64::MAX - rng.below(ttl) as i64)),
                    60..=74 => w.set(&key, None),
                    75..=89 => w.delete(&key),
                    90..=97 => w.work(),
                    98 => w.now += rng.below(ttl) as i64,
                    _ => w.now += rng.below(100) as i64,
                }
            }
            w.work();
            assert!(w.db.expires.next_ms().is_none_or(|at| at > w.now));
        }
    }

    #[test]
    fn wall_clock_may_go_back() {
        let mut w = World {
            db: Db::new(0),
            model: HashMap::new(),
            now: 2_000_000_000_000,
        };
        w.set(b"a", Some(w.now + 100));
        w.now += 10_000;
        w.work();
        w.now -= 5_000_000;
        w.set(b"b", Some(w.now + 1000));
        w.work();
        w.now += 1100;
        w.work();
        assert!(w.model.is_empty());
    }
}
