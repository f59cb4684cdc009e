//! Unions, intersections and differences: ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD.
//!
//! Inputs are sorted sets or sets (whose members score 1). All keys are looked up first, with their statistics, expiry and type
//! errors; then the collections are borrowed side by side and combined into a new sorted set, which is replied or stored.
//! Union and intersection take the smallest input first: the order in which scores are added shows in the last digit.

use super::range::store;
use super::{limits, reply_element, reply_list};
use crate::ds::numtext::{I64_TEXT_MAX, parse_f64, parse_i64};
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{DbView, Key, Type, ValueRef};
use crate::resp::{Args, Error, is_word};
use crate::types::set::Set;
use crate::types::zset::{AddFlags, Limits, ZSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How the scores of one member in several inputs become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        [("SUM", Self::Sum), ("MIN", Self::Min), ("MAX", Self::Max)]
            .into_iter()
            .find(|(word, _)| is_word(text, word.as_bytes()))
            .map(|(_, a)| a)
            .ok_or(Error::Syntax)
    }

    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            // inf - inf counts as nothing.
            Aggregate::Sum => not_nan(a + b),
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            _ => a,
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One input.
enum Source<'a> {
    Missing,
    ZSet(ValueRef<'a, ZSet>),
    Set(ValueRef<'a, Set>),
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Source::Missing => 0,
            Source::ZSet(z) => z.len(),
            Source::Set(s) => s.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::ZSet(z) => z.score(member),
            // Every member of a plain set counts as one.
            Source::Set(s) => s.contains(member).then_some(1.0),
        }
    }

    /// Calls `f` for every member until it returns false.
    fn each(&self, f: &mut dyn FnMut(&[u8], f64) -> bool) {
        let mut buf = [0; I64_TEXT_MAX];
        match self {
            Source::Missing => {}
            Source::ZSet(z) => {
                let _ = z.iter().all(|(m, score)| f(m.to_bytes(&mut buf), score));
            }
            Source::Set(s) => {
                let _ = s.iter().all(|m| f(m.to_bytes(&mut buf), 1.0));
            }
        }
    }
}

/// The inputs with their weights.
struct Inputs<'a>(Vec<(Source<'a>, f64)>);

/// A parsed command.
struct Request {
    operation: Operation,
    first: usize,
    keys: usize,
    /// Which of the keys are there: on a replica, expired ones are not, although they still lie in the table.
    live: Vec<bool>,
    weights: Option<usize>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Which options a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Reply,
    Store,
    Count,
}

impl Request {
    /// Parses from the argument `numkeys` at `at` on. Types of keys are checked before options, as upstream does.
    fn parse(
        ctx: &mut Ctx<'_>,
        at: usize,
        operation: Operation,
        form: Form,
    ) -> Result<Self, Error> {
        let keys = parse_i64(ctx.arg(at)).ok_or(Error::NotInteger)?;
        if keys < 1 {
            let name = ctx.command.name;
            return Err(Error::text(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let first = at + 1;
        if keys > (ctx.args.len() - first) as i64 {
            return Err(Error::Syntax);
        }
        let keys = keys as usize;
        let args = ctx.args;
        let mut db = ctx.db();
        let live = (first..first + keys)
            .map(|i| check_input(&mut db, Key::new(args.at(i))))
            .collect::<Result<_, _>>()?;
        let mut request = Request {
            operation,
            first,
            keys,
            live,
            weights: None,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        request.options(ctx, form)?;
        Ok(request)
    }

    fn options(&mut self, ctx: &Ctx<'_>, form: Form) -> Result<(), Error> {
        let takes_scores = self.operation != Operation::Diff && form != Form::Count;
        let mut i = self.first + self.keys;
        while i < ctx.args.len() {
            let left = ctx.args.len() - i - 1;
            if takes_scores && left >= self.keys && ctx.is(i, "WEIGHTS") {
                for j in i + 1..=i + self.keys {
                    parse_f64(ctx.arg(j)).ok_or(Error::new("ERR weight value is not a float"))?;
                }
                self.weights = Some(i + 1);
                i += self.keys;
            } else if takes_scores && left >= 1 && ctx.is(i, "AGGREGATE") {
                self.aggregate = Aggregate::parse(ctx.arg(i + 1))?;
                i += 1;
            } else if form == Form::Reply && ctx.is(i, "WITHSCORES") {
                self.with_scores = true;
            } else if form == Form::Count && left >= 1 && ctx.is(i, "LIMIT") {
                const NEGATIVE: &str = "ERR LIMIT can't be negative";
                let n = ctx.int_in(i + 1, 0, i64::MAX, NEGATIVE);
                self.limit = n.map_err(|_| Error::new(NEGATIVE))? as usize;
                i += 1;
            } else {
                return Err(Error::Syntax);
            }
            i += 1;
        }
        Ok(())
    }

    fn inputs<'d>(&self, args: Args<'_>, db: &'d DbView<'_>) -> Inputs<'d> {
        let mut inputs: Vec<_> = (0..self.keys)
            .map(|i| {
                let key = Key::new(args.at(self.first + i));
                let weight = self.weights.and_then(|w| parse_f64(args.at(w + i)));
                (source(db, key, self.live[i]), weight.unwrap_or(1.0))
            })
            .collect();
        if self.operation != Operation::Diff {
            inputs.sort_by_key(|(source, _)| source.len());
        }
        Inputs(inputs)
    }

    fn run(&self, args: Args<'_>, db: &DbView<'_>) -> ZSet {
        let inputs = self.inputs(args, db);
        match self.operation {
            Operation::Union => inputs.union(self.aggregate),
            Operation::Inter => inputs.inter(self.aggregate),
            Operation::Diff => inputs.diff(),
        }
    }
}

/// Looks a key up as a reader does, and refuses what is neither a sorted set nor a set; whether it is there.
fn check_input(db: &mut DbView<'_>, key: Key<'_>) -> Result<bool, Error> {
    match db.read(key).map(|e| e.ty()) {
        None => Ok(false),
        Some(Type::ZSet | Type::Set) => Ok(true),
        Some(_) => Err(Error::WrongType),
    }
}

/// The collection under a key that was looked up before.
fn source<'d>(db: &'d DbView<'_>, key: Key<'_>, live: bool) -> Source<'d> {
    if !live {
        return Source::Missing;
    }
    match db.db.keys.find(key.hash, key.bytes) {
        Some(e) if e.ty() == Type::Set => ValueRef::of(e).map_or(Source::Missing, Source::Set),
        Some(e) => ValueRef::of(e).map_or(Source::Missing, Source::ZSet),
        None => Source::Missing,
    }
}

/// Results are built without limits and packed at the end.
const UNLIMITED: Limits = Limits {
    max_entries: 0,
    max_value: 0,
};

fn empty() -> ZSet {
    ZSet::new(1, 0, UNLIMITED)
}

impl Inputs<'_> {
    fn union(&self, aggregate: Aggregate) -> ZSet {
        let mut result = empty();
        for (source, weight) in &self.0 {
            source.each(&mut |member, score| {
                let score = not_nan(weight * score);
                let Some(old) = result.score(member) else {
                    result.insert_new(member, score, UNLIMITED);
                    return true;
                };
                let new = aggregate.apply(old, score);
                if new == old && new.is_sign_negative() != old.is_sign_negative() {
                    // An addition takes -0 and 0 for the same score.
                    result.remove(member);
                }
                // Never NaN, so it cannot be refused.
                let _ = result.add(member, new, AddFlags::default(), UNLIMITED);
                true
            });
        }
        result
    }

    fn inter(&self, aggregate: Aggregate) -> ZSet {
        let mut result = empty();
        self.each_common(&mut |member, scores| {
            let mut scores = scores.iter().copied();
            let first = not_nan(scores.next().unwrap_or(0.0));
            let score = scores.fold(first, |a, b| aggregate.apply(a, b));
            result.insert_new(member, score, UNLIMITED);
            true
        });
        result
    }

    /// Calls `f` with every member that all inputs have and its weighted scores, until it returns false.
    fn each_common(&self, f: &mut dyn FnMut(&[u8], &[f64]) -> bool) {
        let Some(((smallest, weight), rest)) = self.0.split_first() else {
            return;
        };
        let mut scores = Vec::with_capacity(self.0.len());
        smallest.each(&mut |member, score| {
            scores.clear();
            scores.push(weight * score);
            for (source, weight) in rest {
                match source.score(member) {
                    Some(score) => scores.push(weight * score),
                    None => return true,
                }
            }
            f(member, &scores)
        });
    }

    fn diff(&self) -> ZSet {
        let mut result = empty();
        if let Some(((from, _), others)) = self.0.split_first() {
            from.each(&mut |member, score| {
                if others.iter().all(|(o, _)| o.score(member).is_none()) {
                    result.insert_new(member, score, UNLIMITED);
                }
                true
            });
        }
        result
    }
}

fn show(ctx: &mut Ctx<'_>, operation: Operation) -> Outcome {
    let request = Request::parse(ctx, 1, operation, Form::Reply)?;
    let args = ctx.args;
    let (db, mut reply, _) = ctx.parts();
    // Not packed: a listpack would not tell -0 from 0, which replies do.
    let result = request.run(args, &db);
    reply_list(&mut reply, result.len(), request.with_scores);
    for (member, score) in result.iter() {
        reply_element(&mut reply, member, score, request.with_scores);
    }
    Ok(Flow::Done)
}

fn keep(ctx: &mut Ctx<'_>, operation: Operation, event: &'static str) -> Outcome {
    let request = Request::parse(ctx, 2, operation, Form::Store)?;
    let (args, to) = (ctx.args, ctx.key(1));
    let (mut db, mut reply, config) = ctx.parts();
    let mut result = request.run(args, &db);
    result.pack_if_fits(limits(config));
    let n = store(&mut db, to, Some(result).filter(|z| !z.is_empty()), event);
    reply.int(n);
    Ok(Flow::Done)
}

/// The row of ZUNION.
pub static ZUNION: Command = Command {
    name: "zunion",
    handler: zunion,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access").counted()],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, \
        and M being the number of elements in the resulting sorted set.",
    summary: "Shows the members of all sorted sets together.",
    args: "numkeys:int key@0... [WEIGHTS weight:int...] \
        [AGGREGATE aggregate(SUM | MIN | MAX)] [WITHSCORES]",
    ..Command::DEFAULT
};

fn zunion(ctx: &mut Ctx<'_>) -> Outcome {
    show(ctx, Operation::Union)
}

/// The row of ZINTER.
pub static ZINTER: Command = Command {
    name: "zinter",
    handler: zinter,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access").counted()],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
        being the number of input sorted sets and M being the number of elements in the \
        resulting sorted set.",
    summary: "Shows the members that all sorted sets share.",
    args: "numkeys:int key@0... [WEIGHTS weight:int...] \
        [AGGREGATE aggregate(SUM | MIN | MAX)] [WITHSCORES]",
    ..Command::DEFAULT
};

fn zinter(ctx: &mut Ctx<'_>) -> Outcome {
    show(ctx, Operation::Inter)
}

/// The row of ZDIFF.
pub static ZDIFF: Command = Command {
    name: "zdiff",
    handler: zdiff,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access").counted()],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
        the sets, N is the size of the first set, and K is the size of the result set.",
    summary: "Shows the members of the first sorted set that no other has.",
    args: "numkeys:int key@0... [WITHSCORES]",
    ..Command::DEFAULT
};

fn zdiff(ctx: &mut Ctx<'_>) -> Outcome {
    show(ctx, Operation::Diff)
}

/// The row of ZUNIONSTORE.
pub static ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    handler: zunionstore,
    arity: -4,
    flags: flags("write denyoom"),
    acl: acl("sortedset"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").counted(),
    ],
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, \
        and M being the number of elements in the resulting sorted set.",
    summary: "Stores the members of all sorted sets together.",
    args: "destination@0 numkeys:int key@1... [WEIGHTS weight:int...] \
        [AGGREGATE aggregate(SUM | MIN | MAX)]",
    ..Command::DEFAULT
};

fn zunionstore(ctx: &mut Ctx<'_>) -> Outcome {
    keep(ctx, Operation::Union, "zunionstore")
}

/// The row of ZINTERSTORE.
pub static ZINTERSTORE: Command = Command {
    name: "zinterstore",
    handler: zinterstore,
    arity: -4,
    flags: flags("write denyoom"),
    acl: acl("sortedset"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").counted(),
    ],
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
        being the number of input sorted sets and M being the number of elements in the \
        resulting sorted set.",
    summary: "Stores the members that all sorted sets share.",
    args: "destination@0 numkeys:int key@1... [WEIGHTS weight:int...] \
        [AGGREGATE aggregate(SUM | MIN | MAX)]",
    ..Command::DEFAULT
};

fn zinterstore(ctx: &mut Ctx<'_>) -> Outcome {
    keep(ctx, Operation::Inter, "zinterstore")
}

/// The row of ZDIFFSTORE.
pub static ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    handler: zdiffstore,
    arity: -4,
    flags: flags("write denyoom"),
    acl: acl("sortedset"),
    keys: &[
        KeySpec::at(1, "OW update"),
        KeySpec::at(2, "RO access").counted(),
    ],
    group: Group::SortedSet,
    since: "6.2.0",
    complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
        the sets, N is the size of the first set, and K is the size of the result set.",
    summary: "Stores the members of the first sorted set that no other has.",
    args: "destination@0 numkeys:int key@1...",
    ..Command::DEFAULT
};

fn zdiffstore(ctx: &mut Ctx<'_>) -> Outcome {
    keep(ctx, Operation::Diff, "zdiffstore")
}

/// The row of ZINTERCARD.
pub static ZINTERCARD: Command = Command {
    name: "zintercard",
    handler: zintercard,
    arity: -3,
    flags: flags("readonly"),
    acl: acl("sortedset"),
    keys: &[KeySpec::at(1, "RO access").counted()],
    group: Group::SortedSet,
    since: "7.0.0",
    complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the \
        number of input sorted sets.",
    summary: "Counts the members that all sorted sets share.",
    args: "numkeys:int key@0... [LIMIT limit:int]",
    ..Command::DEFAULT
};

fn zintercard(ctx: &mut Ctx<'_>) -> Outcome {
    let request = Request::parse(ctx, 1, Operation::Inter, Form::Count)?;
    let args = ctx.args;
    let (db, mut reply, _) = ctx.parts();
    let mut n = 0;
    request.inputs(args, &db).each_common(&mut |_, _| {
        n += 1;
        n != request.limit
    });
    reply.int(n as i64);
    Ok(Flow::Done)
}
