//! What a stream is ordered by: [`StreamId`], and [`IdMap`], a compact sorted map from ids to small copyable values (the
//! pending-entries lists of consumer groups).
//!
//! Pending lists are appended to at the end (new deliveries have the highest id), drained near the front (acknowledgements)
//! and read in order. `IdMap` is therefore a deque of sorted runs of at most [`RUN_MAX`] pairs: an append is a push, a removal
//! moves at most one run's tail (4 KB), a lookup is two binary searches. A run of 128 pairs has no per-pair overhead, where a
//! `BTreeMap` filled in ascending order keeps its leaves half empty and upstream's radix tree pays nodes and pointers per id.
//!
//! Invariants ([`IdMap::check_invariants`]): no run is empty or longer than `RUN_MAX`; ids strictly ascend within and across
//! runs; `len` is the sum of the runs' lengths.
use crate::sys::relocate::{self, Mover};
use std::collections::VecDeque;
use std::fmt;

/// Pairs per run at most.
const RUN_MAX: usize = 128;

/// The id of a stream entry: milliseconds, then a sequence number; ordered in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds of the Unix time, by convention.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

/// Longest text of an id: two u64 and a dash.
pub const ID_TEXT_MAX: usize = 41;

impl StreamId {
    /// 0-0: below every entry.
    pub const ZERO: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last possible id.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id `ms-seq`.
    #[inline(always)]
    pub const fn new(ms: u64, seq: u64) -> Self {
        StreamId { ms, seq }
    }

    /// The id right behind; `None` behind the last.
    #[inline]
    pub fn succ(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id right in front; `None` in front of 0-0.
    #[inline]
    pub fn pred(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self
                .ms
                .checked_sub(1)
                .map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// The 16 bytes RDB files use as a node's key and in pending lists: both halves big-endian.
    pub fn to_be_bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.ms.to_be_bytes());
        out[8..].copy_from_slice(&self.seq.to_be_bytes());
        out
    }

    /// Reads what [`StreamId::to_be_bytes`] wrote.
    pub fn from_be_bytes(raw: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(raw);
        StreamId {
            ms: (whole >> 64) as u64,
            seq: whole as u64,
        }
    }

    /// Writes the text "ms-seq" into `buf` and returns the part used.
    #[inline]
    pub fn write_text(self, buf: &mut [u8; ID_TEXT_MAX]) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let ms = digits.format(self.ms).as_bytes();
        let dash = ms.len();
        buf[..dash].copy_from_slice(ms);
        buf[dash] = b'-';
        let seq = digits.format(self.seq).as_bytes();
        let end = dash + 1 + seq.len();
        buf[dash + 1..end].copy_from_slice(seq);
        &buf[..end]
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

type Run<V> = Vec<(StreamId, V)>;

/// A sorted map from ids to small values; see the file header.
#[derive(Debug, Clone)]
pub struct IdMap<V> {
    runs: VecDeque<Run<V>>,
    len: usize,
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        IdMap {
            runs: VecDeque::new(),
            len: 0,
        }
    }
}

impl<V: Copy> IdMap<V> {
    /// An empty map; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of ids.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no id.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The lowest id and its value.
    pub fn first(&self) -> Option<(StreamId, V)> {
        self.runs.front()?.first().copied()
    }

    /// The highest id and its value.
    #[inline]
    pub fn last(&self) -> Option<(StreamId, V)> {
        self.runs.back()?.last().copied()
    }

    /// The run that holds `id` or would take it. The ends are looked at first: that is where pending lists are busy.
    #[inline]
    fn run_of(&self, id: StreamId) -> usize {
        match self.runs.len() {
            0 | 1 => 0,
            n if self.runs[n - 1][0].0 <= id => n - 1,
            _ if id < self.runs[1][0].0 => 0,
            _ => self.runs.partition_point(|run| run[0].0 <= id) - 1,
        }
    }

    #[inline]
    fn locate(&self, id: StreamId) -> Option<(usize, usize)> {
        let run = self.run_of(id);
        let at = self.runs.get(run)?.binary_search_by_key(&id, |p| p.0);
        Some((run, at.ok()?))
    }

    /// The value of `id`.
    #[inline]
    pub fn get(&self, id: StreamId) -> Option<V> {
        let (run, at) = self.locate(id)?;
        Some(self.runs[run][at].1)
    }

    /// The value of `id`, to change.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let (run, at) = self.locate(id)?;
        Some(&mut self.runs[run][at].1)
    }

    /// Whether `id` is here.
    #[inline]
    pub fn contains(&self, id: StreamId) -> bool {
        self.locate(id).is_some()
    }

    /// Sets the value of `id`; returns the one it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        if self.last().is_none_or(|(last, _)| last < id) {
            self.push_last(id, value);
            return None;
        }
        let run = self.run_of(id);
        match self.runs[run].binary_search_by_key(&id, |p| p.0) {
            Ok(at) => Some(std::mem::replace(&mut self.runs[run][at].1, value)),
            Err(at) => {
                self.insert_at(run, at, (id, value));
                None
            }
        }
    }

    fn push_last(&mut self, id: StreamId, value: V) {
        self.len += 1;
        match self.runs.back_mut() {
            Some(run) if run.len() < RUN_MAX => run.push((id, value)),
            _ => {
                // The first run starts small (most consumers have little pending), later ones are going to fill.
                if self.runs.is_empty() {
                    self.runs.reserve_exact(1);
                    self.runs.push_back(vec![(id, value)]);
                } else {
                    let mut run = Vec::with_capacity(RUN_MAX);
                    run.push((id, value));
                    self.runs.push_back(run);
                }
            }
        }
    }

    fn insert_at(&mut self, run: usize, at: usize, pair: (StreamId, V)) {
        self.len += 1;
        if self.runs[run].len() < RUN_MAX {
            self.runs[run].insert(at, pair);
            return;
        }
        let mut upper = self.runs[run].split_off(RUN_MAX / 2);
        self.runs[run].shrink_to(RUN_MAX * 3 / 4);
        if at <= RUN_MAX / 2 {
            self.runs[run].insert(at, pair);
        } else {
            upper.insert(at - RUN_MAX / 2, pair);
        }
        self.runs.insert(run + 1, upper);
    }

    /// Takes `id` out; returns its value.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let (run, at) = self.locate(id)?;
        let (_, value) = self.runs[run].remove(at);
        self.len -= 1;
        self.tidy(run);
        Some(value)
    }

    /// After a removal: drops an empty run, joins a thin one with a neighbour, gives back slack.
    fn tidy(&mut self, run: usize) {
        let left = self.runs[run].len();
        if left == 0 {
            self.runs.remove(run);
            if self.runs.is_empty() {
                self.runs = VecDeque::new();
            }
            return;
        }
        if left > RUN_MAX / 4 {
            return;
        }
        if let Some(mut next) = self.runs.get_mut(run + 1).map(std::mem::take) {
            if left + next.len() <= RUN_MAX / 2 {
                self.runs[run].append(&mut next);
                self.runs.remove(run + 1);
            } else {
                self.runs[run + 1] = next;
            }
        }
        let run = &mut self.runs[run];
        if run.capacity() > run.len() * 4 {
            run.shrink_to(run.len() * 2);
        }
    }

    /// The first pair whose id is not below `id`: a cursor that survives changes to the map.
    pub fn at_or_after(&self, id: StreamId) -> Option<(StreamId, V)> {
        self.iter_from(id).next()
    }

    /// All pairs in order.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter {
            map: self,
            run: 0,
            at: 0,
        }
    }

    /// The pairs whose id is not below `id`, in order.
    pub fn iter_from(&self, id: StreamId) -> Iter<'_, V> {
        let run = self.run_of(id);
        let at = self
            .runs
            .get(run)
            .map_or(0, |r| r.partition_point(|p| p.0 < id));
        Iter { map: self, run, at }
    }

    /// Lets `mover` move the runs from number `from` on, at most `count`, and at 0 the list of runs; the number to go on with, 0 at
    /// the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: usize, count: usize) -> usize {
        if from == 0 {
            relocate::deque(mover, &mut self.runs);
        }
        let from = from.min(self.runs.len());
        let end = self.runs.len().min(from.saturating_add(count.max(1)));
        for run in self.runs.range_mut(from..end) {
            relocate::vec(mover, run);
        }
        if end < self.runs.len() { end } else { 0 }
    }

    /// Heap bytes owned, as allocated.
    pub fn heap_bytes(&self) -> usize {
        let pairs: usize = self.runs.iter().map(Vec::capacity).sum();
        self.runs.capacity() * size_of::<Run<V>>() + pairs * size_of::<(StreamId, V)>()
    }

    /// Panics when an invariant of the file header does not hold. For tests.
    pub fn check_invariants(&self) {
        let mut last = None;
        let mut count = 0;
        for run in &self.runs {
            assert!(!run.is_empty() && run.len() <= RUN_MAX);
            for &(id, _) in run {
                assert!(last < Some(id), "ids out of order");
                last = Some(id);
                count += 1;
            }
        }
        assert_eq!(count, self.len);
    }
}

/// In-order iterator over an [`IdMap`].
#[derive(Debug, Clone)]
pub struct Iter<'a, V> {
    map: &'a IdMap<V>,
    run: usize,
    at: usize,
}

impl<V: Copy> Iterator for Iter<'_, V> {
    type Item = (StreamId, V);
    #[inline]
    fn next(&mut self) -> Option<(StreamId, V)> {
        loop {
            let run = self.map.runs.get(self.run)?;
            if let Some(&pair) = run.get(self.at) {
                self.at += 1;
                return Some(pair);
            }
            self.run += 1;
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn ids_step_and_print() {
        let max = u64::MAX;
        assert_eq!(StreamId::new(1, max).succ(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::MAX.succ(), None);
        assert_eq!(StreamId::new(2, 0).pred(), Some(StreamId::new(1, max)));
        assert_eq!(StreamId::ZERO.pred(), None);
        let text = format!("{max}-{max}");
        assert_eq!(
            StreamId::MAX.write_text(&mut [0; ID_TEXT_MAX]),
            text.as_bytes()
        );
        let id = StreamId::new(0x0102, 0x0304);
        assert_eq!(StreamId::from_be_bytes(id.to_be_bytes()), id);
        assert_eq!(id.to_be_bytes()[6..8], [1, 2]);
    }

    /// Random inserts (mostly ascending), removals (mostly near the front) and reads against a `BTreeMap`.
    #[test]
    fn id_map_is_a_sorted_map() {
        let mut rng = Rng::new(11);
        let (mut map, mut model) = (IdMap::new(), BTreeMap::new());
        let mut top = 0u64;
        for step in 0..60_000u64 {
            let growing = (step / 5_000) % 2 == 0;
            let any = StreamId::new(rng.below(top as usize + 1) as u64, rng.next_u64() & 1);
            match rng.below(8) {
                0..=2 if growing => {
                    top += 1;
                    let id = StreamId::new(top, 0);
                    assert_eq!(map.insert(id, step), model.insert(id, step));
                }
                3 => assert_eq!(map.insert(any, step), model.insert(any, step)),
                4 | 5 => {
                    let near = model.keys().nth(rng.below(20)).copied().unwrap_or(any);
                    assert_eq!(map.remove(near), model.remove(&near));
                }
                6 => assert_eq!(map.remove(any), model.remove(&any)),
                _ => {
                    let from: Vec<_> = map.iter_from(any).take(40).collect();
                    let want: Vec<_> = model.range(any..).take(40).map(|(k, v)| (*k, *v)).collect();
                    assert_eq!(from, want);
                    assert_eq!(map.get(any), model.get(&any).copied());
                }
            }
            if step % 500 == 0 {
                map.check_invariants();
                assert!(map.iter().eq(model.iter().map(|(k, v)| (*k, *v))));
            }
        }
        while let Some((id, _)) = map.first() {
            assert_eq!(map.remove(id), model.remove(&id));
        }
        assert!(model.is_empty() && map.heap_bytes() == 0);
    }

    /// A million ascending ids must cost little more than the pairs themselves.
    #[test]
    fn id_map_is_compact() {
        let mut map = IdMap::new();
        for ms in 0..100_000 {
            map.insert(StreamId::new(ms, 0), [0u64; 2]);
        }
        assert!(map.heap_bytes() < 100_000 * 33, "{}", map.heap_bytes());
    }
}
