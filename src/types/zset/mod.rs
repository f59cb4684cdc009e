//! The sorted set: members with scores, in one of two representations that behave alike.
//!
//! - `Listpack` while there are few short members (`pack`), as upstream's blob;
//! - `Tree`, a member table and a counted B+tree (`ds::sorted`). OBJECT ENCODING calls it "skiplist", as clients expect.
//!
//! A set is converted when an addition passes a limit, and never back, except on purpose by [`ZSet::pack_if_fits`] (results of
//! set algebra). Everything about ranges goes through windows of ranks, see `range`. NaN is refused here, where scores are added up.
//! Emptiness is the caller's: a key whose set became empty is deleted by the keyspace.
mod pack;
mod range;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use crate::ds::listpack::Entry;
use crate::ds::listpack::{Listpack, entry_bytes, safe_to_add};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::ds::rng::Rng;
use crate::ds::sorted::{Entries, Members};
use crate::sys::alloc::class_bytes;
use crate::sys::relocate::{self, Mover};
pub use range::{LexBound, LexRange, RangeError, ScoreRange, rank_window};

/// Bytes a score may take in a listpack at most: "-d.ddddddddddddddddde-308" and what surrounds it.
const SCORE_ENTRY_MAX: usize = 32;

/// When a sorted set may be a listpack; from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `zset-max-listpack-entries`: members at most.
    pub max_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member at most.
    pub max_value: usize,
}

/// Conditions and mode of an addition (the options of ZADD). Contradictions are the command's to refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddFlags {
    /// Only add new members.
    pub nx: bool,
    /// Only change existing members.
    pub xx: bool,
    /// Change an existing member only to a higher score.
    pub gt: bool,
    /// Change an existing member only to a lower score.
    pub lt: bool,
    /// The score is an increment.
    pub incr: bool,
}

/// What an addition did; with the member's score now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Added {
    /// The member is new.
    New(f64),
    /// The member has another score than before.
    Updated(f64),
    /// The member has this score already.
    Same(f64),
    /// A condition did not hold; nothing was done.
    Refused,
}

/// An addition would give NaN (inf - inf); Display is the text behind "ERR ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreIsNan;

impl fmt::Display for ScoreIsNan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("resulting score is not a number (NaN)")
    }
}

impl std::error::Error for ScoreIsNan {}

/// A sorted set.
pub enum ZSet {
    /// Few short members.
    Listpack(Listpack),
    /// Any number of members.
    Tree(Box<Members>),
}

/// Members in order with their scores; see [`ZSet::range`]. Members of a listpack may be integers.
pub struct Iter<'a>(Inner<'a>);

enum Inner<'a> {
    Up(pack::Up<'a>),
    Down(pack::Down<'a>),
    Tree(Entries<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Entry<'a>, f64);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Up(it) => it.next(),
            Inner::Down(it) => it.next(),
            Inner::Tree(it) => it
                .next()
                .map(|(member, score)| (Entry::Bytes(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Inner::Up(it) => it.size_hint(),
            Inner::Down(it) => it.size_hint(),
            Inner::Tree(it) => it.size_hint(),
        }
    }
}

impl Clone for ZSet {
    /// A copy in the same representation (COPY keeps the encoding).
    fn clone(&self) -> Self {
        match self {
            ZSet::Listpack(p) => ZSet::Listpack(p.clone()),
            ZSet::Tree(t) => {
                let mut copy = Members::with_capacity(t.len());
                t.up(0, usize::MAX)
                    .for_each(|(member, score)| copy.insert_new(member, score));
                ZSet::Tree(Box::new(copy))
            }
        }
    }
}

impl ZSet {
    /// An empty set for about `size_hint` members of up to `value_hint` bytes.
    pub fn new(size_hint: usize, value_hint: usize, limits: Limits) -> Self {
        if size_hint <= limits.max_entries && value_hint <= limits.max_value {
            ZSet::Listpack(Listpack::new())
        } else {
            ZSet::Tree(Box::default())
        }
    }

    /// A set from a listpack of an RDB file or DUMP payload; becomes a tree when it is over the limits. `deep` also checks for
    /// duplicate members (`sanitize-dump-payload`).
    pub fn from_listpack(pack: Listpack, deep: bool, limits: Limits) -> Result<Self, &'static str> {
        pack::validate(&pack, deep)?;
        let is_over = pack::len(&pack) > limits.max_entries;
        let mut set = ZSet::Listpack(pack);
        if is_over {
            set.to_tree();
        }
        Ok(set)
    }

    /// The name for OBJECT ENCODING.
    pub fn encoding(&self) -> &'static str {
        match self {
            ZSet::Listpack(_) => "listpack",
            ZSet::Tree(_) => "skiplist",
        }
    }

    /// Lets `mover` move its blocks, about `count` elements from `from` on (0 starts); where to go on, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        match self {
            ZSet::Listpack(pack) => {
                pack.relocate(mover);
                0
            }
            ZSet::Tree(members) => {
                if from == 0 {
                    relocate::boxed(mover, members);
                }
                members.relocate(mover, from, count)
            }
        }
    }

    /// Bytes of the blocks it owns (MEMORY USAGE); members from the mean of `samples` of them.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        match self {
            ZSet::Listpack(p) => class_bytes(p.total_bytes()),
            ZSet::Tree(t) => class_bytes(size_of::<Members>()) + t.mem_bytes(samples),
        }
    }

    /// Allocations that freeing it costs: a packed one is a single block.
    pub fn free_effort(&self) -> usize {
        match self {
            ZSet::Listpack(_) => 1,
            ZSet::Tree(t) => t.len(),
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            ZSet::Listpack(p) => pack::len(p),
            ZSet::Tree(t) => t.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of `member`.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            ZSet::Listpack(p) => pack::find(p, member).map(|pos| pack::score_at(p, pos)),
            ZSet::Tree(t) => t.score(member),
        }
    }

    /// Adds `member`, changes its score or increments it, as the flags say.
    pub fn add(
        &mut self,
        member: &[u8],
        score: f64,
        flags: AddFlags,
        limits: Limits,
    ) -> Result<Added, ScoreIsNan> {
        if score.is_nan() {
            return Err(ScoreIsNan);
        }
        let Some(now) = self.score(member) else {
            if flags.xx {
                return Ok(Added::Refused);
            }
            self.insert_new(member, score, limits);
            return Ok(Added::New(score));
        };
        if flags.nx {
            return Ok(Added::Refused);
        }
        let wanted = if flags.incr { now + score } else { score };
        if wanted.is_nan() {
            return Err(ScoreIsNan);
        }
        if (flags.gt && wanted <= now) || (flags.lt && wanted >= now) {
            return Ok(Added::Refused);
        }
        if wanted == now {
            return Ok(Added::Same(wanted));
        }
        self.set_score(member, wanted);
        Ok(Added::Updated(wanted))
    }

    /// Adds a member that is known to be absent, converting when a limit is passed. For bulk building and loading too.
    pub fn insert_new(&mut self, member: &[u8], score: f64, limits: Limits) {
        debug_assert!(!score.is_nan());
        self.convert_for(1, member.len(), limits);
        match self {
            ZSet::Listpack(p) => pack::insert(p, member, score),
            ZSet::Tree(t) => t.insert_new(member, score),
        }
    }

    fn set_score(&mut self, member: &[u8], score: f64) {
        match self {
            ZSet::Listpack(p) => {
                if let Some(pos) = pack::find(p, member) {
                    pack::update(p, pos, member, score);
                }
            }
            ZSet::Tree(t) => {
                t.set(member, score);
            }
        }
    }

    /// Becomes a tree if `more` members of up to `value_len` bytes would pass a limit. Commands that add many call it first.
    pub fn convert_for(&mut self, more: usize, value_len: usize, limits: Limits) {
        let ZSet::Listpack(p) = self else { return };
        let bytes = value_len
            .saturating_add(2 * SCORE_ENTRY_MAX)
            .saturating_mul(more);
        let fits = pack::len(p) + more <= limits.max_entries
            && value_len <= limits.max_value
            && safe_to_add(p.total_bytes(), bytes);
        if !fits {
            self.to_tree();
        }
    }

    /// Becomes a tree.
    pub fn to_tree(&mut self) {
        if let ZSet::Listpack(_) = self {
            let mut tree = Members::new();
            let mut buf = [0; I64_TEXT_MAX];
            for (member, score) in self.iter() {
                // `set`, not `insert_new`: a blob that was not checked deeply may name a member twice.
                tree.set(member.to_bytes(&mut buf), score);
            }
            *self = ZSet::Tree(Box::new(tree));
        }
    }

    /// Becomes a listpack if it is within the limits; for sets that were built without knowing how large they would be.
    pub fn pack_if_fits(&mut self, limits: Limits) {
        let ZSet::Tree(t) = self else { return };
        if t.len() > limits.max_entries {
            return;
        }
        let mut bytes = 0usize;
        for (member, _) in t.up(0, usize::MAX) {
            bytes = bytes.saturating_add(entry_bytes(member) + SCORE_ENTRY_MAX);
            if member.len() > limits.max_value || !safe_to_add(0, bytes) {
                return;
            }
        }
        let mut packed = Listpack::new();
        t.up(0, usize::MAX)
            .for_each(|(member, score)| pack::push(&mut packed, member, score));
        *self = ZSet::Listpack(packed);
    }

    /// Removes `member`; its score if it was there.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            ZSet::Listpack(p) => {
                let pos = pack::find(p, member)?;
                let score = pack::score_at(p, pos);
                p.delete_n(pos, 2);
                Some(score)
            }
            ZSet::Tree(t) => t.remove(member),
        }
    }

    /// Rank of `member`, from the lowest or with `reverse` from the highest, and its score.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match self {
            ZSet::Listpack(p) => {
                let found = pack::find(p, member)?;
                let rank = p.iter_rev_from(found).count() / 2;
                (rank, pack::score_at(p, found))
            }
            ZSet::Tree(t) => t.rank(member)?,
        };
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// The ranks of the members with scores in the range.
    pub fn score_window(&self, range: &ScoreRange) -> Range<usize> {
        match self {
            ZSet::Listpack(_) => self.window(
                |_, score| range.is_below(score),
                |_, score| range.is_above(score),
            ),
            ZSet::Tree(t) => {
                let start = t.count_below(range.min, range.min_open);
                let end = t.count_below(range.max, !range.max_open);
                start..end.max(start)
            }
        }
    }

    /// The ranks of the members with texts in the range; all scores must be equal (else any window may come, as upstream).
    pub fn lex_window(&self, range: &LexRange<'_>) -> Range<usize> {
        let ZSet::Tree(t) = self else {
            return self.window(
                |member, _| range.is_below(member.to_bytes(&mut [0; I64_TEXT_MAX])),
                |member, _| range.is_above(member.to_bytes(&mut [0; I64_TEXT_MAX])),
            );
        };
        let start = match range.min {
            LexBound::Lowest => 0,
            LexBound::Highest => t.len(),
            LexBound::Including(text) => t.count_before(text, false),
            LexBound::Excluding(text) => t.count_before(text, true),
        };
        let end = match range.max {
            LexBound::Lowest => 0,
            LexBound::Highest => t.len(),
            LexBound::Including(text) => t.count_before(text, true),
            LexBound::Excluding(text) => t.count_before(text, false),
        };
        start..end.max(start)
    }

    /// Skips members that are below, then takes those that are not above.
    fn window(
        &self,
        below: impl Fn(Entry<'_>, f64) -> bool,
        above: impl Fn(Entry<'_>, f64) -> bool,
    ) -> Range<usize> {
        let (mut start, mut end) = (0, 0);
        for (member, score) in self.iter() {
            if end == start && below(member, score) {
                start += 1;
                end += 1;
            } else if above(member, score) {
                break;
            } else {
                end += 1;
            }
        }
        start..end
    }

    /// The members in a window of ranks, upwards, or with `reverse` downwards.
    pub fn range(&self, window: Range<usize>, reverse: bool) -> Iter<'_> {
        let n = window.end.saturating_sub(window.start);
        let len = self.len();
        let (start, end) = (window.start.min(len), window.end.min(len));
        Iter(match (self, reverse) {
            (ZSet::Listpack(p), false) => Inner::Up(pack::up(p, start, n)),
            (ZSet::Listpack(p), true) => Inner::Down(pack::down(p, end, end - start)),
            (ZSet::Tree(t), false) => Inner::Tree(t.up(start, n)),
            (ZSet::Tree(t), true) => Inner::Tree(t.down(end, end - start)),
        })
    }

    /// All members upwards.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len(), false)
    }

    /// Removes the members in a window of ranks, telling `gone` each, upwards; how many there were.
    pub fn remove_window(
        &mut self,
        window: Range<usize>,
        gone: &mut dyn FnMut(Entry<'_>, f64),
    ) -> usize {
        let n = window.end.saturating_sub(window.start);
        match self {
            ZSet::Listpack(p) => {
                pack::up(p, window.start, n).for_each(|(member, score)| gone(member, score));
                match isize::try_from(window.start.saturating_mul(2)) {
                    Ok(index) => p.delete_range(index, n.saturating_mul(2)) / 2,
                    Err(_) => 0,
                }
            }
            ZSet::Tree(t) => t.remove_range(window.start, n, &mut |member, score| {
                gone(Entry::Bytes(member), score)
            }),
        }
    }

    /// Removes the `count` lowest members, or with `highest` the highest, telling `gone` each, the outermost first; how many.
    pub fn pop(
        &mut self,
        highest: bool,
        count: usize,
        gone: &mut dyn FnMut(Entry<'_>, f64),
    ) -> usize {
        let len = self.len();
        let n = count.min(len);
        if !highest {
            return self.remove_window(0..n, gone);
        }
        self.range(len - n..len, true)
            .for_each(|(member, score)| gone(member, score));
        self.remove_window(len - n..len, &mut |_, _| {})
    }

    /// A member, each with the same probability; `None` when there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<(Entry<'_>, f64)> {
        match self {
            ZSet::Listpack(_) => {
                let rank = rng.below(self.len());
                self.range(rank..rank + 1, false).next()
            }
            ZSet::Tree(t) => t
                .random(rng)
                .map(|(member, score)| (Entry::Bytes(member), score)),
        }
    }

    /// Calls `f` for `count` different members (all, if there are fewer), every choice with the same probability.
    pub fn random_unique(&self, rng: &mut Rng, count: usize, f: &mut dyn FnMut(Entry<'_>, f64)) {
        let len = self.len();
        if matches!(self, ZSet::Tree(_)) && count < len / 8 {
            let mut seen = std::collections::HashSet::with_capacity(count);
            while seen.len() < count {
                let rank = rng.below(len);
                if seen.insert(rank) {
                    self.range(rank..rank + 1, false)
                        .for_each(|(member, score)| f(member, score));
                }
            }
            return;
        }
        let mut needed = count.min(len);
        for (i, (member, score)) in self.iter().enumerate() {
            if rng.below(len - i) < needed {
                f(member, score);
                needed -= 1;
            }
        }
    }

    /// ZSCAN: calls `f` for members from `cursor` on, about `count`; the next cursor, 0 at the end. A listpack comes all at once.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(Entry<'_>, f64)) -> u64 {
        match self {
            ZSet::Listpack(_) => {
                self.iter().for_each(|(member, score)| f(member, score));
                0
            }
            ZSet::Tree(t) => t.scan(cursor, count, &mut |member, score| {
                f(Entry::Bytes(member), score)
            }),
        }
    }

    /// Asserts the invariants of the representation; for tests and DEBUG.
    pub fn check_invariants(&self) {
        match self {
            ZSet::Listpack(p) => assert!(p.is_empty() || pack::validate(p, true).is_ok()),
            ZSet::Tree(t) => t.check_invariants(),
        }
        let all: Vec<(f64, Vec<u8>)> = self
            .iter()
            .map(|(member, score)| (score, member.to_vec()))
            .collect();
        assert_eq!(all.len(), self.len());
        assert!(
            all.windows(2)
                .all(|w| w[0].0 < w[1].0 || (w[0].0 == w[1].0 && w[0].1 < w[1].1)),
            "order"
        );
    }
}
