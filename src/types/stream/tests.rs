//! Model tests of the stream: random operations against plain maps, foreign bytes, and blobs captured from a real server.
use super::*;
use crate::ds::listpack::Listpack;
use crate::ds::rng::Rng;
use crate::sys::relocate::MoveAll;
use std::collections::BTreeMap;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The naive stream: entries in a map, pending entries in a map per group.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Pairs>,
    last_id: StreamId,
    added: u64,
    max_deleted: StreamId,
    groups: BTreeMap<Vec<u8>, ModelGroup>,
}

#[derive(Default)]
struct ModelGroup {
    last_id: StreamId,
    consumers: BTreeMap<Vec<u8>, i64>,
    pending: BTreeMap<StreamId, (Vec<u8>, i64, u32)>,
}

const LIMITS: NodeLimits = NodeLimits {
    max_bytes: 300,
    max_entries: 7,
};

fn flat(pairs: &Pairs) -> Vec<&[u8]> {
    pairs.iter().flat_map(|(n, v)| [&n[..], &v[..]]).collect()
}

fn random_pairs(rng: &mut Rng) -> Pairs {
    let shape = rng.below(4);
    (0..1 + shape % 3)
        .map(|i| {
            let name = match shape {
                3 => format!("{}", rng.below(3)),
                _ => format!("f{i}"),
            };
            let value = match rng.below(4) {
                0 => format!("{}", rng.next_u64() as i64 >> rng.below(63)),
                1 => "x".repeat(rng.below(90)),
                _ => format!("v{}", rng.below(1000)),
            };
            (name.into_bytes(), value.into_bytes())
        })
        .collect()
}

fn read(entry: RawEntry<'_>) -> (StreamId, Pairs) {
    let pairs = entry.fields.map(|(n, v)| (n.to_vec(), v.to_vec()));
    (entry.id, pairs.collect())
}

struct Run {
    rng: Rng,
    stream: Stream,
    model: Model,
    now: i64,
    mover: MoveAll,
    place: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Run {
            rng: Rng::new(seed),
            stream: Stream::new(),
            model: Model::default(),
            now: 1000,
            mover: MoveAll::default(),
            place: 0,
        }
    }

    fn any_id(&mut self) -> StreamId {
        if self.rng.below(3) > 0 && !self.model.entries.is_empty() {
            let nth = self.rng.below(self.model.entries.len());
            return *self.model.entries.keys().nth(nth).unwrap();
        }
        let top = self.model.last_id.ms as usize + 3;
        StreamId::new(self.rng.below(top) as u64, self.rng.below(4) as u64)
    }

    fn policy(&mut self) -> RefPolicy {
        [RefPolicy::KeepRef, RefPolicy::DelRef, RefPolicy::Acked][self.rng.below(3)]
    }

    fn group_and_consumer(&mut self) -> (Vec<u8>, Vec<u8>) {
        let g = format!("g{}", self.rng.below(3)).into_bytes();
        let c = format!("c{}", self.rng.below(4)).into_bytes();
        (g, c)
    }

    fn add(&mut self) {
        let pairs = random_pairs(&mut self.rng);
        let last = self.model.last_id;
        let spec = match self.rng.below(4) {
            0 => AddId::Auto,
            1 => AddId::AutoSeq(last.ms + self.rng.below(2) as u64),
            2 => AddId::Exact(self.any_id()),
            _ => AddId::Exact(StreamId::new(last.ms + 1, self.rng.below(3) as u64)),
        };
        let now = (last.ms + 2).saturating_sub(self.rng.below(4) as u64);
        let got = self
            .stream
            .log
            .add(spec, now, flat(&pairs).into_iter(), LIMITS);
        let want = match spec {
            AddId::Auto if now > last.ms => StreamId::new(now, 0),
            AddId::Auto => StreamId::new(last.ms, last.seq + 1),
            AddId::AutoSeq(ms) if ms == last.ms => StreamId::new(ms, last.seq + 1),
            AddId::AutoSeq(ms) => StreamId::new(ms, 0),
            AddId::Exact(id) => id,
        };
        if want > last {
            assert_eq!(got, Ok(want));
            self.model.entries.insert(want, pairs);
            self.model.last_id = want;
            self.model.added += 1;
        } else if want == StreamId::ZERO {
            assert_eq!(got, Err(AddError::Zero));
        } else {
            assert_eq!(got, Err(AddError::NotGreater));
        }
    }

    fn range(&mut self) {
        let (a, b) = (self.any_id(), self.any_id());
        let want: Vec<_> = match a <= b {
            true => self
                .model
                .entries
                .range(a..=b)
                .map(|(k, v)| (*k, v.clone()))
                .collect(),
            false => Vec::new(),
        };
        let got: Vec<_> = self.stream.log.range(a, b).map(read).collect();
        assert_eq!(got, want);
        let back: Vec<_> = self.stream.log.range_rev(a, b).map(read).collect();
        assert!(back.into_iter().rev().eq(want.clone()));
        // The same with the fields handed back, read in part.
        let mut range = self.stream.log.range(a, b);
        let mut ids = Vec::new();
        while let Some(entry) = range.next() {
            ids.push(entry.id);
            let mut fields = entry.fields;
            for _ in 0..self.rng.below(3) {
                fields.next();
            }
            range.resume(fields);
        }
        assert!(ids.into_iter().eq(want.iter().map(|(id, _)| *id)));
        let id = self.any_id();
        assert_eq!(
            self.stream.log.contains(id),
            self.model.entries.contains_key(&id)
        );
    }

    fn wanted(&self, id: StreamId) -> bool {
        let mut groups = self.model.groups.values();
        groups.any(|g| id > g.last_id || g.pending.contains_key(&id))
    }

    fn forget(&mut self, id: StreamId) {
        self.model.groups.values_mut().for_each(|g| {
            g.pending.remove(&id);
        });
    }

    fn delete(&mut self) {
        let (id, policy) = (self.any_id(), self.policy());
        let exists = self.model.entries.contains_key(&id);
        if policy == RefPolicy::DelRef {
            self.forget(id);
        }
        let want = match policy {
            RefPolicy::Acked if self.wanted(id) => DeleteOutcome::Referenced,
            _ if !exists => DeleteOutcome::NotFound,
            _ => {
                self.model.entries.remove(&id);
                self.model.max_deleted = self.model.max_deleted.max(id);
                DeleteOutcome::Deleted
            }
        };
        assert_eq!(self.stream.delete(id, policy), want);
    }

    fn ack(&mut self) {
        let ((name, _), id, policy) = (self.group_and_consumer(), self.any_id(), self.policy());
        let plain = self.rng.below(2) == 0;
        let pending = match self.model.groups.get_mut(&name) {
            Some(g) => g.pending.remove(&id).is_some(),
            None => false,
        };
        if plain {
            let got = self.stream.group_mut(&name).is_some_and(|(_, g)| g.ack(id));
            assert_eq!(got, pending);
            return;
        }
        let want = match policy {
            _ if !pending => DeleteOutcome::NotFound,
            RefPolicy::Acked if self.wanted(id) => DeleteOutcome::Referenced,
            _ => {
                if policy == RefPolicy::DelRef {
                    self.forget(id);
                }
                if self.model.entries.remove(&id).is_some() {
                    self.model.max_deleted = self.model.max_deleted.max(id);
                }
                DeleteOutcome::Deleted
            }
        };
        assert_eq!(self.stream.ack_delete(&name, id, policy), want);
    }

    fn trim(&mut self) {
        let len = self.model.entries.len();
        let to = match self.rng.below(2) {
            0 => TrimTo::MaxLen(len.saturating_sub(self.rng.below(20)) as u64),
            _ => TrimTo::MinId(self.any_id()),
        };
        let policy = self.policy();
        if self.rng.below(3) == 0 {
            return self.trim_approximately(to, policy);
        }
        let mut excess = match to {
            TrimTo::MaxLen(max) => len - max as usize,
            TrimTo::MinId(min) => self.model.entries.range(..min).count(),
        };
        let mut may_go: Vec<StreamId> = Vec::new();
        for id in self.model.entries.keys().copied() {
            let past = matches!(to, TrimTo::MinId(min) if id >= min);
            if excess == 0 || past {
                break;
            }
            if policy != RefPolicy::Acked || !self.wanted(id) {
                may_go.push(id);
                excess -= 1;
            }
        }
        let gone = self.stream.trim(to, TrimEffort::Exact, policy) as usize;
        // ACKED gives up in the first node that the target cuts, so it may leave some; the others do it all.
        assert!(gone == may_go.len() || policy == RefPolicy::Acked && gone < may_go.len());
        for id in &may_go[..gone] {
            self.model.entries.remove(id);
            if policy == RefPolicy::DelRef {
                self.forget(*id);
            }
        }
    }

    /// An approximate trim may leave more, never less, and takes a prefix.
    fn trim_approximately(&mut self, to: TrimTo, policy: RefPolicy) {
        let limit = self.rng.below(30) as u64;
        let gone = self
            .stream
            .trim(to, TrimEffort::Approximate { limit }, policy);
        assert!(limit == 0 || gone <= limit);
        assert!(policy == RefPolicy::KeepRef || gone == 0);
        for _ in 0..gone {
            let (id, _) = self.model.entries.pop_first().unwrap();
            assert!(!matches!(to, TrimTo::MinId(min) if id >= min));
        }
        if let TrimTo::MaxLen(max) = to {
            assert!(self.model.entries.len() as u64 >= max || gone == 0);
        }
    }

    fn manage_groups(&mut self) {
        let ((name, consumer), id, now) = (self.group_and_consumer(), self.any_id(), self.now);
        match self.rng.below(8) {
            0..=2 => {
                let fresh = !self.model.groups.contains_key(&name);
                assert_eq!(self.stream.create_group(&name, id, None), fresh);
                let group = self.model.groups.entry(name).or_default();
                if fresh {
                    group.last_id = id;
                }
            }
            3 if self.rng.below(4) == 0 => {
                let was = self.model.groups.remove(&name).is_some();
                assert_eq!(self.stream.destroy_group(&name), was);
            }
            4 => {
                if let Some((log, group)) = self.stream.group_mut(&name) {
                    group.set_id(log, id, None);
                    self.model.groups.get_mut(&name).unwrap().last_id = id;
                }
            }
            5 => {
                if let Some((_, group)) = self.stream.group_mut(&name) {
                    let model = self.model.groups.get_mut(&name).unwrap();
                    let before = model.pending.len();
                    model.pending.retain(|_, n| n.0 != consumer);
                    let want = model
                        .consumers
                        .remove(&consumer)
                        .map(|_| before - model.pending.len());
                    assert_eq!(group.delete_consumer(&consumer), want);
                }
            }
            _ => {
                if let Some((_, group)) = self.stream.group_mut(&name) {
                    let model = self.model.groups.get_mut(&name).unwrap();
                    let fresh = !model.consumers.contains_key(&consumer);
                    assert_eq!(group.create_consumer(&consumer, now).is_some(), fresh);
                    model.consumers.entry(consumer).or_insert(-1);
                }
            }
        }
    }

    fn deliver(&mut self) {
        let (name, consumer) = self.group_and_consumer();
        let count = 1 + self.rng.below(10);
        let Some((log, group)) = self.stream.group_mut(&name) else {
            return;
        };
        let Some(id) = group.consumer_id(&consumer) else {
            return;
        };
        let model = self.model.groups.get_mut(&name).unwrap();
        let from = group.last_id().succ().unwrap();
        let mut ids = Vec::new();
        for entry in log.range(from, StreamId::MAX).take(count) {
            group.advance(log, entry.id);
            group.deliver(entry.id, id, self.now);
            ids.push(entry.id);
        }
        let want: Vec<_> = self
            .model
            .entries
            .range(from..)
            .take(count)
            .map(|(k, _)| *k)
            .collect();
        assert_eq!(ids, want);
        for id in ids {
            model.last_id = id;
            model.pending.insert(id, (consumer.clone(), self.now, 1));
        }
    }

    fn history(&mut self) {
        let ((name, consumer), id) = (self.group_and_consumer(), self.any_id());
        let Some((log, group)) = self.stream.group_mut(&name) else {
            return;
        };
        let Some(slot) = group.consumer_id(&consumer) else {
            return;
        };
        let model = self.model.groups.get_mut(&name).unwrap();
        let ids: Vec<_> = group.consumer(slot).unwrap().pending_from(id).collect();
        let mine = model
            .pending
            .range_mut(id..)
            .filter(|(_, n)| n.0 == consumer);
        let mut want = Vec::new();
        for (id, nack) in mine {
            want.push(*id);
            if self.model.entries.contains_key(id) {
                (nack.1, nack.2) = (self.now, nack.2 + 1);
            }
        }
        assert_eq!(ids, want);
        for id in ids {
            if log.contains(id) {
                group.redeliver(id, self.now);
            }
        }
    }

    fn options(&mut self) -> ClaimOptions {
        ClaimOptions {
            min_idle_ms: self.rng.below(3) as i64 * 40,
            delivery_time_ms: self.now - self.rng.below(2) as i64 * 10,
            retry_count: (self.rng.below(4) == 0).then_some(9),
            force: self.rng.below(2) == 0,
            just_id: self.rng.below(2) == 0,
        }
    }

    /// What the model says about claiming `id`; true when something happened.
    fn model_claim(
        &mut self,
        group: &[u8],
        id: StreamId,
        consumer: &[u8],
        o: &ClaimOptions,
    ) -> bool {
        let exists = self.model.entries.contains_key(&id);
        let pending = &mut self.model.groups.get_mut(group).unwrap().pending;
        if !exists {
            return pending.remove(&id).is_some();
        }
        let old = pending.get(&id).cloned();
        let Some(old) = old.or(o.force.then(|| (vec![], i64::MIN / 2, 1))) else {
            return false;
        };
        if o.min_idle_ms > 0 && self.now - old.1 < o.min_idle_ms {
            return false;
        }
        let count = o
            .retry_count
            .map_or(old.2 + u32::from(!o.just_id), |n| n as u32);
        pending.insert(id, (consumer.to_vec(), o.delivery_time_ms, count));
        true
    }

    fn claim(&mut self) {
        let ((name, consumer), id, options) =
            (self.group_and_consumer(), self.any_id(), self.options());
        let now = self.now;
        let Some((log, group)) = self.stream.group_mut(&name) else {
            return;
        };
        let Some(slot) = group.consumer_id(&consumer) else {
            return;
        };
        if self.rng.below(2) == 0 {
            let done = group.claim(log, id, slot, &options, now) != Claim::Skipped;
            assert_eq!(done, self.model_claim(&name, id, &consumer, &options));
            return;
        }
        let count = 1 + self.rng.below(4) as u64;
        let options = ClaimOptions {
            force: false,
            ..options
        };
        let result = group.auto_claim(log, id, count, slot, &options, now);
        let pending: Vec<_> = self.model.groups[&name]
            .pending
            .range(id..)
            .map(|(k, _)| *k)
            .collect();
        let (mut left, mut attempts, mut done) = (count, count * 10, Vec::new());
        let mut cursor = StreamId::ZERO;
        for id in pending {
            if left == 0 || attempts == 0 {
                cursor = id;
                break;
            }
            attempts -= 1;
            if self.model_claim(&name, id, &consumer, &options) {
                left -= 1;
                done.push(id);
            }
        }
        assert_eq!(result.cursor, cursor);
        assert!(result.done.iter().map(|(id, _)| *id).eq(done));
    }

    fn compare(&self) {
        self.stream.check_invariants();
        let log = &self.stream.log;
        assert_eq!(log.len(), self.model.entries.len() as u64);
        assert_eq!(
            (log.last_id(), log.entries_added()),
            (self.model.last_id, self.model.added)
        );
        assert_eq!(log.max_deleted_id(), self.model.max_deleted);
        let all: Vec<_> = log.range(StreamId::ZERO, StreamId::MAX).map(read).collect();
        assert!(
            all.into_iter()
                .eq(self.model.entries.iter().map(|(k, v)| (*k, v.clone())))
        );
        assert!(
            self.stream
                .groups()
                .map(Group::name)
                .eq(self.model.groups.keys().map(|k| &k[..]))
        );
        for group in self.stream.groups() {
            let model = &self.model.groups[group.name()];
            assert_eq!(group.last_id(), model.last_id);
            assert!(
                group
                    .consumers()
                    .map(|(_, c)| c.name())
                    .eq(model.consumers.keys().map(|k| &k[..]))
            );
            let pending = group.pending().map(|(id, n)| {
                let owner = group.consumer(n.consumer).unwrap().name().to_vec();
                (id, (owner, n.delivery_time_ms, n.delivery_count))
            });
            assert!(pending.eq(model.pending.iter().map(|(k, v)| (*k, v.clone()))));
        }
    }

    fn round_trip(&mut self) {
        let rebuilt = rebuild(&self.stream, true).expect("own parts fit");
        self.stream = rebuilt;
    }

    fn step(&mut self) {
        self.now += self.rng.below(20) as i64;
        if self.rng.below(4) == 0 {
            // Goes on where it was, whatever happened to the stream meanwhile.
            let count = 1 + self.rng.below(5);
            self.place = self.stream.relocate(&mut self.mover, self.place, count);
        }
        match self.rng.below(24) {
            0..=7 => self.add(),
            8 | 9 => self.range(),
            10 | 11 => self.delete(),
            12..=14 => self.ack(),
            15 => self.trim(),
            16 | 17 => self.manage_groups(),
            18..=20 => self.deliver(),
            21 => self.history(),
            _ => self.claim(),
        }
    }
}

/// Takes a stream apart and builds it again, as RDB does.
fn rebuild(stream: &Stream, deep: bool) -> Result<Stream, BadStream> {
    let mut builder = Builder::new(deep);
    let log = &stream.log;
    for node in log.nodes() {
        builder.push_node(node.key, node.to_listpack().as_bytes())?;
    }
    let rest = (log.first_id(), log.max_deleted_id(), log.entries_added());
    builder.set_counters(log.len(), log.last_id(), Some(rest))?;
    for group in stream.groups() {
        builder.add_group(group.name(), group.last_id(), group.entries_read())?;
        for (id, nack) in group.pending() {
            builder.add_nack(id, nack.delivery_time_ms, u64::from(nack.delivery_count))?;
        }
        for (_, consumer) in group.consumers() {
            let slot = builder.add_consumer(
                consumer.name(),
                consumer.seen_time_ms,
                consumer.active_time_ms,
            )?;
            for id in consumer.pending_from(StreamId::ZERO) {
                builder.own_nack(slot, id)?;
            }
        }
    }
    builder.finish()
}

#[test]
fn random_operations_against_a_model() {
    for seed in 0..24 {
        let mut run = Run::new(seed);
        for step in 0..3000 {
            run.step();
            if step % 50 == 0 {
                run.compare();
            }
            if step % 500 == 499 {
                run.round_trip();
                run.compare();
            }
        }
    }
}

fn sample() -> Stream {
    let mut run = Run::new(99);
    while run.stream.log.len() < 25 {
        run.add();
    }
    for ms in [3, 5, 9] {
        let id = run.model.entries.keys().nth(ms).copied().unwrap();
        assert_eq!(
            run.stream.delete(id, RefPolicy::KeepRef),
            DeleteOutcome::Deleted
        );
    }
    run.stream
}

/// Flipped bytes in nodes: refused when checked deeply (or harmless), and never a panic in any operation afterwards.
#[test]
fn broken_nodes_never_panic() {
    let mut rng = Rng::new(5);
    let stream = sample();
    let pairs: Vec<&[u8]> = vec![b"f0", b"v"];
    for round in 0..20_000 {
        let deep = round % 4 == 0;
        let mut builder = Builder::new(deep);
        let mut sound = true;
        for node in stream.log.nodes() {
            let (key, mut blob) = (node.key, node.to_listpack().as_bytes().to_vec());
            for _ in 0..1 + rng.below(3) {
                let at = 4 + rng.below(blob.len() - 5);
                blob[at] = match rng.below(3) {
                    0 => rng.next_u64() as u8,
                    1 => blob[at].wrapping_add(1),
                    _ => [0, 1, 0x7f, 0x80, 0xf0, 0xf4, 0xff][rng.below(7)],
                };
            }
            sound &= builder.push_node(key, &blob).is_ok();
        }
        let claimed = builder_length(&stream, &mut rng);
        let rest = (StreamId::ZERO, StreamId::ZERO, rng.next_u64());
        let length = if sound {
            builder.node_length()
        } else {
            claimed
        };
        if builder
            .set_counters(length, stream.log.last_id(), Some(rest))
            .is_err()
        {
            continue;
        }
        let Ok(mut broken) = builder.finish() else {
            continue;
        };
        if deep {
            broken.check_invariants();
        }
        exercise(&mut broken, &mut rng, &pairs);
    }
}

fn builder_length(stream: &Stream, rng: &mut Rng) -> u64 {
    stream.log.len() + rng.below(2) as u64
}

fn exercise(s: &mut Stream, rng: &mut Rng, pairs: &[&[u8]]) {
    s.create_group(b"g", StreamId::ZERO, Some(rng.next_u64()));
    let (log, group) = s.group_mut(b"g").unwrap();
    let slot = group.create_consumer(b"c", 0).unwrap();
    for entry in log.range(StreamId::ZERO, StreamId::MAX).take(30) {
        group.advance(log, entry.id);
        group.deliver(entry.id, slot, 0);
        entry.fields.for_each(drop);
    }
    log.lag(group);
    log.range_rev(StreamId::ZERO, StreamId::MAX).for_each(drop);
    for ms in 0..12 {
        s.delete(StreamId::new(ms, 0), RefPolicy::DelRef);
    }
    let _ = s.log.add(AddId::Auto, 0, pairs.iter().copied(), LIMITS);
    let effort = [TrimEffort::Exact, TrimEffort::Approximate { limit: 9 }][rng.below(2)];
    let policy = [RefPolicy::KeepRef, RefPolicy::DelRef, RefPolicy::Acked][rng.below(3)];
    s.trim(TrimTo::MaxLen(rng.below(20) as u64), effort, policy);
    s.trim(
        TrimTo::MinId(StreamId::new(rng.below(9) as u64, 0)),
        effort,
        policy,
    );
    let _ = s.log.add(AddId::Auto, 0, pairs.iter().copied(), LIMITS);
    let _ = rebuild(s, true);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let stream = sample();
    let node = stream.log.nodes().next().unwrap();
    let (key, pack) = (node.key, node.to_listpack());
    let mut builder = Builder::new(true);
    builder.push_node(key, pack.as_bytes()).unwrap();
    assert!(
        builder.push_node(key, pack.as_bytes()).is_err(),
        "the same key again"
    );
    assert!(
        builder.set_counters(1, stream.log.last_id(), None).is_err(),
        "wrong length"
    );
    let length = builder.node_length();
    assert!(
        builder.set_counters(length, key, None).is_err(),
        "last id too low"
    );
    builder
        .set_counters(length, stream.log.last_id(), None)
        .unwrap();
    assert!(builder.add_consumer(b"c", 0, 0).is_err(), "no group");
    builder.add_group(b"g", key, None).unwrap();
    assert!(builder.add_group(b"g", key, None).is_err(), "duplicate");
    builder.add_nack(key, 0, u64::MAX).unwrap();
    assert!(builder.add_nack(key, 0, 1).is_err(), "duplicate");
    let slot = builder.add_consumer(b"c", 0, 0).unwrap();
    assert!(
        builder.own_nack(slot, StreamId::ZERO).is_err(),
        "not pending"
    );
    assert!(
        builder.add_group(b"h", key, None).is_err(),
        "a NACK nobody has"
    );
    builder.own_nack(slot, key).unwrap();
    let built = builder.finish().unwrap();
    built.check_invariants();
    assert_eq!(
        built.group(b"g").unwrap().nack(key).unwrap().delivery_count,
        u32::MAX
    );
    let empty = Listpack::new();
    assert!(
        Builder::new(false)
            .push_node(key, empty.as_bytes())
            .is_err()
    );
}

/// Old servers' XSETID could go back behind deleted entries; new ones then stand behind higher, deleted ids.
#[test]
fn set_id_and_deleted_entries() {
    let id = |ms| StreamId::new(ms, 0);
    let add = |s: &mut Stream, id| {
        s.log
            .add(AddId::Exact(id), 0, [&b"f"[..], b"v"].into_iter(), LIMITS)
    };
    let mut s = Stream::new();
    for ms in 1..=5 {
        add(&mut s, id(ms)).unwrap();
    }
    s.delete(id(3), RefPolicy::KeepRef);
    assert_eq!(s.set_id(id(2), None, None), Err(SetIdError::BelowDeleted));
    assert_eq!(s.set_id(id(4), None, None), Err(SetIdError::BelowTop));
    assert_eq!(
        s.set_id(id(6), Some(1), None),
        Err(SetIdError::AddedBelowLength)
    );
    assert_eq!(
        s.set_id(id(6), None, Some(id(7))),
        Err(SetIdError::BelowMaxDeleted)
    );
    s.delete(id(4), RefPolicy::KeepRef);
    s.delete(id(5), RefPolicy::KeepRef);
    s.log.set_id(id(2), Some(9), Some(id(2)));
    assert_eq!((s.log.max_deleted_id(), s.log.entries_added()), (id(2), 9));
    add(&mut s, StreamId::new(2, 5)).unwrap();
    add(&mut s, id(4)).unwrap();
    s.check_invariants();
    assert_eq!(s.log.range(id(2), StreamId::new(2, 5)).count(), 2);
    assert_eq!(s.log.range_rev(id(2), id(4)).count(), 3);
    assert_eq!(
        s.delete(StreamId::new(2, 5), RefPolicy::KeepRef),
        DeleteOutcome::Deleted
    );
    let s = rebuild(&s, true).unwrap();
    assert_eq!(s.log.len(), 3);
}

#[test]
fn ids_run_out() {
    let mut log = Log::default();
    let add = |log: &mut Log, spec| log.add(spec, 5, [&b"f"[..], b"v"].into_iter(), LIMITS);
    let top = StreamId::new(u64::MAX, u64::MAX - 1);
    assert_eq!(
        add(&mut log, AddId::Exact(StreamId::ZERO)),
        Err(AddError::Zero)
    );
    assert_eq!(add(&mut log, AddId::AutoSeq(0)), Ok(StreamId::new(0, 1)));
    assert_eq!(
        add(&mut log, AddId::Exact(StreamId::new(7, u64::MAX))),
        Ok(StreamId::new(7, u64::MAX))
    );
    assert_eq!(add(&mut log, AddId::AutoSeq(7)), Err(AddError::NotGreater));
    assert_eq!(add(&mut log, AddId::Auto), Ok(StreamId::new(8, 0)));
    assert_eq!(add(&mut log, AddId::Exact(top)), Ok(top));
    assert_eq!(add(&mut log, AddId::Auto), Ok(StreamId::MAX));
    assert_eq!(add(&mut log, AddId::Auto), Err(AddError::Exhausted));
    assert_eq!(
        add(&mut log, AddId::Exact(StreamId::MAX)),
        Err(AddError::Exhausted)
    );
    log.check_invariants();
}

/// An entry of one number costs a byte or two beside it, and its share of the node.
#[test]
fn small_entries_are_small() {
    let mut log = Log::default();
    for i in 0..100_000u64 {
        let spec = AddId::Exact(StreamId::new(1_700_000_000_000 + i, 0));
        log.add(
            spec,
            0,
            [&b"field"[..], b"12345678"].into_iter(),
            NodeLimits::default(),
        )
        .unwrap();
    }
    let per_entry = log.mem_bytes(usize::MAX) as f64 / 100_000.0;
    assert!(per_entry < 8.5, "{per_entry}");
}
