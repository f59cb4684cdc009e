//! SORT and SORT_RO: elements of a list, set or sorted set, ordered by themselves or by what lies under keys made of them.
//!
//! Element texts and weights lie in one arena, each with a NUL behind it, so that an element costs a few numbers and can be
//! handed to the C library's collation as it is. The sort is stable; elements of equal weight are ordered by their own bytes
//! when weights are numbers.
//!
//! Compat: with BY, ALPHA and LIMIT the order among equal weights is upstream's partial quicksort's; ours is that of the value.

use crate::acl::KeyNeed;
use crate::client::ClientFlags;
use crate::commands::list::limits;
use crate::config::values::NotifyFlags as N;
use crate::ds::listpack;
use crate::ds::quicklist::End;
use crate::exec::acl::may_use_every_key;
use crate::exec::command::{Command, KeySpec, acl, flags};
use crate::exec::{CommandId, Ctx, Flow, Outcome, key_funcs};
use crate::keyspace::{DbView, Entry, Key, StrRef, Type};
use crate::resp::Error;
use crate::sys::process::collate;
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::zset::ZSet;
use std::cmp::Ordering;
use std::ffi::CStr;
use std::ops::Range;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&SORT, &SORT_RO];

/// The row of SORT.
pub static SORT: Command = Command {
    name: "sort",
    handler: sort,
    arity: -2,
    flags: flags("write denyoom"),
    acl: acl("set sortedset list dangerous"),
    keys: &[
        KeySpec::at(1, "RO access"),
        KeySpec::unknown("RO access").notes(
            "For the optional BY/GET keyword. It is marked 'unknown' because the key \
            names derive from the content of the key we sort",
        ),
        KeySpec::unknown("OW update").notes(
            "For the optional STORE keyword. It is marked 'unknown' because the \
            keyword can appear anywhere in the argument array",
        ),
    ],
    key_func: Some(key_funcs::sort),
    since: "1.0.0",
    complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, \
        and M the number of returned elements. When the elements are not sorted, \
        complexity is O(N).",
    summary: "Sorts a list, set or sorted set, and may store the outcome.",
    args: "key@0 [BY by-pattern<pattern>:pattern@1] [LIMIT limit(offset:int count:int)] \
        [GET get-pattern<pattern>:pattern@1]... [order(ASC | DESC)] [sorting=ALPHA] \
        [STORE destination@2]",
    ..Command::DEFAULT
};

fn sort(ctx: &mut Ctx<'_>) -> Outcome {
    run(ctx, true)
}

/// The row of SORT_RO.
pub static SORT_RO: Command = Command {
    name: "sort_ro",
    handler: sort_ro,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("set sortedset list dangerous"),
    keys: &[
        KeySpec::at(1, "RO access"),
        KeySpec::unknown("RO access").notes(
            "For the optional BY/GET keyword. It is marked 'unknown' because the key \
            names derive from the content of the key we sort",
        ),
    ],
    key_func: Some(key_funcs::sort_ro),
    since: "7.0.0",
    complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, \
        and M the number of returned elements. When the elements are not sorted, \
        complexity is O(N).",
    summary: "Sorts a list, set or sorted set, for reading only.",
    args: "key@0 [BY by-pattern<pattern>:pattern@1] [LIMIT limit(offset:int count:int)] \
        [GET get-pattern<pattern>:pattern@1]... [order(ASC | DESC)] [sorting=ALPHA]",
    ..Command::DEFAULT
};

fn sort_ro(ctx: &mut Ctx<'_>) -> Outcome {
    run(ctx, false)
}

/// A key made of an element: `prefix*suffix`, or `prefix*suffix->field` for a field of a hash.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No `*`: there is nothing to put an element into, so nothing is found.
    Nothing,
    Key {
        prefix: &'a [u8],
        suffix: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = memchr::memchr(b'*', text) else {
            return Pattern::Nothing;
        };
        let (prefix, mut suffix) = (&text[..star], &text[star + 1..]);
        let mut field = None;
        // An arrow with nothing behind it belongs to the key.
        if let Some(arrow) = memchr::memmem::find(suffix, b"->")
            && arrow + 2 < suffix.len()
        {
            field = Some(&suffix[arrow + 2..]);
            suffix = &suffix[..arrow];
        }
        Pattern::Key {
            prefix,
            suffix,
            field,
        }
    }

    /// Appends what `element` stands for to `out`; false when there is nothing.
    fn find(
        &self,
        db: &mut DbView<'_>,
        element: &[u8],
        key: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => {
                out.extend_from_slice(element);
                return true;
            }
            Pattern::Nothing => return false,
            Pattern::Key {
                prefix,
                suffix,
                field,
            } => (prefix, suffix, field),
        };
        key.clear();
        for part in [prefix, element, suffix] {
            key.extend_from_slice(part);
        }
        let now_ms = db.now_ms;
        match (db.read(Key::new(key)), field) {
            (Some(entry), None) => push_string(entry.str(), out),
            (Some(entry), Some(field)) => push_field(&entry, field, now_ms, out),
            (None, _) => false,
        }
    }
}

fn push_string(value: Option<StrRef<'_>>, out: &mut Vec<u8>) -> bool {
    if let Some(value) = value {
        out.extend_from_slice(value.bytes(&mut itoa::Buffer::new()));
    }
    value.is_some()
}

/// The field of a hash, unless it has expired.
fn push_field(entry: &Entry, field: &[u8], now_ms: i64, out: &mut Vec<u8>) -> bool {
    let Some(hash) = entry.value::<Hash>() else {
        return false;
    };
    let found = hash
        .get(field)
        .filter(|f| f.expire_ms.is_none_or(|at| at > now_ms));
    if let Some(f) = &found {
        out.extend_from_slice(f.value.to_bytes(&mut [0; 20]));
    }
    found.is_some()
}

/// The parsed arguments.
#[derive(Default)]
struct Request<'a> {
    by: Option<Pattern<'a>>,
    /// BY named no key that depends on the element: the order is the value's.
    unsorted: bool,
    descending: bool,
    alpha: bool,
    /// Offset and count, as given.
    limit: Option<(i64, i64)>,
    gets: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

/// BY and GET reach keys that permissions cannot be asked for one by one.
fn may_read_every_key(ctx: &Ctx<'_>) -> bool {
    if !ctx.client.has(ClientFlags::RESTRICTED) {
        return true;
    }
    let acl = &ctx.server.acl;
    let (user, id) = (
        acl.users.get(ctx.client.user_id),
        acl.commands.find(ctx.command.name.as_bytes()),
    );
    match (user, id) {
        (Some(user), Some(id)) => may_use_every_key(user, CommandId(id), ctx.args, KeyNeed::READ),
        _ => false,
    }
}

fn parse<'a>(ctx: &Ctx<'a>, stores: bool) -> Result<Request<'a>, Error> {
    let mut r = Request::default();
    let mut i = 2;
    while i < ctx.args.len() {
        let more = ctx.args.len() - 1 - i;
        if ctx.is(i, "ASC") {
            r.descending = false;
        } else if ctx.is(i, "DESC") {
            r.descending = true;
        } else if ctx.is(i, "ALPHA") {
            r.alpha = true;
        } else if ctx.is(i, "LIMIT") && more >= 2 {
            r.limit = Some((ctx.int(i + 1)?, ctx.int(i + 2)?));
            i += 2;
        } else if ctx.is(i, "STORE") && more >= 1 && stores {
            r.store = Some(ctx.arg(i + 1));
            i += 1;
        } else if ctx.is(i, "BY") && more >= 1 {
            let pattern = ctx.arg(i + 1);
            if pattern.contains(&b'*') && !may_read_every_key(ctx) {
                return Err(Error::new(
                    "ERR BY option of SORT denied due to insufficient ACL permissions.",
                ));
            }
            // Once unsorted it stays so, whatever other BY follows.
            r.unsorted |= !pattern.contains(&b'*');
            r.by = Some(Pattern::parse(pattern));
            i += 1;
        } else if ctx.is(i, "GET") && more >= 1 {
            if !may_read_every_key(ctx) {
                return Err(Error::new(
                    "ERR GET option of SORT denied due to insufficient ACL permissions.",
                ));
            }
            r.gets.push(Pattern::parse(ctx.arg(i + 1)));
            i += 1;
        } else {
            return Err(Error::Syntax);
        }
        i += 1;
    }
    Ok(r)
}

impl Request<'_> {
    /// Which of `len` elements are wanted.
    fn window(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset.max(0)).unwrap_or(usize::MAX);
        let end = match usize::try_from(count) {
            Ok(count) => start.saturating_add(count).min(len),
            Err(_) => len,
        };
        start.min(end)..end
    }
}

/// Where a text lies in the arena; a NUL stands behind it.
#[derive(Clone, Copy)]
struct Span {
    at: usize,
    len: usize,
}

#[derive(Clone, Copy)]
struct Item {
    text: Span,
    /// Its value as a number, once known.
    score: Option<f64>,
    /// What BY found, for ALPHA.
    weight: Option<Span>,
}

/// The elements with their texts and weights.
#[derive(Default)]
struct Items {
    arena: Vec<u8>,
    items: Vec<Item>,
}

impl Items {
    fn push(&mut self, element: listpack::Entry<'_>) {
        let at = self.arena.len();
        let score = match element {
            listpack::Entry::Bytes(b) => {
                self.arena.extend_from_slice(b);
                None
            }
            listpack::Entry::Int(v) => {
                let mut digits = itoa::Buffer::new();
                self.arena.extend_from_slice(digits.format(v).as_bytes());
                Some(v as f64)
            }
        };
        let text = self.close(at);
        self.items.push(Item {
            text,
            score,
            weight: None,
        });
    }

    /// Ends the text that began at `at`.
    fn close(&mut self, at: usize) -> Span {
        let len = self.arena.len() - at;
        self.arena.push(0);
        Span { at, len }
    }

    fn text(&self, span: Span) -> &[u8] {
        &self.arena[span.at..span.at + span.len]
    }

    fn c_str(&self, span: Span) -> &CStr {
        CStr::from_bytes_until_nul(&self.arena[span.at..]).unwrap_or_default()
    }

    /// Finds what every element is ordered by.
    fn weigh(&mut self, db: &mut DbView<'_>, r: &Request<'_>) -> Result<(), Error> {
        let mut key = Vec::new();
        let mut found = Vec::new();
        for i in 0..self.items.len() {
            let mut weight = Some(self.items[i].text);
            if let Some(by) = &r.by {
                // What it is worth by itself does not count.
                self.items[i].score = None;
                found.clear();
                let there = by.find(db, self.text(self.items[i].text), &mut key, &mut found);
                weight = there.then(|| {
                    let at = self.arena.len();
                    self.arena.extend_from_slice(&found);
                    self.close(at)
                });
            }
            match weight {
                _ if !r.alpha && r.by.is_none() && self.items[i].score.is_some() => {}
                Some(span) if !r.alpha => self.items[i].score = Some(number(self.text(span))?),
                weight => self.items[i].weight = weight,
            }
        }
        Ok(())
    }

    /// Sorts, and keeps what the request's window shows.
    fn sort(&mut self, r: &Request<'_>) {
        if !r.alpha {
            return self.sort_numbers(r);
        }
        let mut items = std::mem::take(&mut self.items);
        items.sort_by(|a, b| {
            let order = match (a.weight, b.weight) {
                (Some(a), Some(b)) => self.alphabetic(a, b, r.store.is_some()),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if r.descending { order.reverse() } else { order }
        });
        self.items = items;
        self.cut(r.window(self.items.len()));
    }

    /// Equal numbers are in the order of their texts, so nothing depends on the way of sorting, and what lies behind the window
    /// need not be sorted at all. Numbers with places are moved, not the items.
    fn sort_numbers(&mut self, r: &Request<'_>) {
        let scores = self.items.iter().map(|item| item.score.unwrap_or(0.0));
        let mut places: Vec<(f64, usize)> = scores.zip(0..).collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| {
            let order = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
            let text = |place: usize| self.text(self.items[place].text);
            let order = order.then_with(|| text(a.1).cmp(text(b.1)));
            if r.descending { order.reverse() } else { order }
        };
        let window = r.window(places.len());
        if window.end < places.len() {
            places.select_nth_unstable_by(window.end, order);
            places.truncate(window.end);
        }
        places.sort_unstable_by(order);
        self.items = places[window]
            .iter()
            .map(|(_, place)| self.items[*place])
            .collect();
    }

    /// Keeps the items of `window` only.
    fn cut(&mut self, window: Range<usize>) {
        self.items.truncate(window.end);
        self.items.drain(..window.start);
    }

    /// What is stored must not depend on the locale.
    fn alphabetic(&self, a: Span, b: Span, bytewise: bool) -> Ordering {
        if bytewise {
            return self.text(a).cmp(self.text(b));
        }
        collate(self.c_str(a), self.c_str(b))
    }
}

/// A weight as a number, read as far as a NUL; nothing at all is 0.
fn number(text: &[u8]) -> Result<f64, Error> {
    const WRONG: &str = "ERR One or more scores can't be converted into double";
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if text.is_empty() {
        return Ok(0.0);
    }
    let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    match parsed {
        // Both zeros are equal.
        Some(v) if !f64::is_nan(v) => Ok(v + 0.0),
        _ => Err(Error::new(WRONG)),
    }
}

fn run(ctx: &mut Ctx<'_>, stores: bool) -> Outcome {
    let mut r = parse(ctx, stores)?;
    let key = ctx.key(1);
    let scripted = ctx.client.has(ClientFlags::SCRIPT);
    let mut db = ctx.db();
    let ty = db.read(key).map(|e| e.ty());
    let mut items = Items::default();
    if let Some(ty) = ty {
        if !matches!(ty, Type::List | Type::Set | Type::ZSet) {
            return Err(Error::WrongType);
        }
        if r.unsorted && ty == Type::Set && (scripted || r.store.is_some()) {
            // A set's own order must not get into the data or a script.
            (r.unsorted, r.alpha, r.by) = (false, true, None);
        }
        if let Some(entry) = db.peek(key) {
            load(&entry, &r, &mut items);
        }
    }
    if !r.unsorted {
        items.weigh(&mut db, &r)?;
        items.sort(&r);
    } else if ty == Some(Type::Set) {
        items.cut(r.window(items.items.len()));
    }
    match r.store {
        Some(dest) => store(ctx, &r, &items, dest),
        None => reply_items(ctx, &r, &items),
    }
    Ok(Flow::Done)
}

/// Reads the elements; of an ordered value that is not to be sorted only those wanted, from its end when descending.
fn load(entry: &Entry, r: &Request<'_>, items: &mut Items) {
    match entry.ty() {
        Type::List => {
            let Some(list) = entry.value::<List>() else {
                return;
            };
            let (window, reverse) = match r.unsorted {
                true => (r.window(list.len()), r.descending),
                false => (0..list.len(), false),
            };
            let first = match reverse {
                true => list.len().saturating_sub(1 + window.start),
                false => window.start,
            };
            let mut iter = list.iter_from(first, reverse);
            for _ in window {
                let Some(element) = iter.next_entry() else {
                    return;
                };
                items.push(element);
            }
        }
        Type::ZSet => {
            let Some(zset) = entry.value::<ZSet>() else {
                return;
            };
            let (window, reverse) = match r.unsorted {
                true => (r.window(zset.len()), r.descending),
                false => (0..zset.len(), false),
            };
            // Windows count ascending ranks.
            let ranks = match reverse {
                true => zset.len() - window.end..zset.len() - window.start,
                false => window,
            };
            zset.range(ranks, reverse).for_each(|(e, _)| items.push(e));
        }
        Type::Set => {
            if let Some(set) = entry.value::<Set>() {
                set.iter().for_each(|e| items.push(e));
            }
        }
        _ => {}
    }
}

fn reply_items(ctx: &mut Ctx<'_>, r: &Request<'_>, items: &Items) {
    let (mut db, mut reply, _) = ctx.parts();
    reply.array(items.items.len() * r.gets.len().max(1));
    let (mut key, mut out) = (Vec::new(), Vec::new());
    for item in &items.items {
        let text = items.text(item.text);
        if r.gets.is_empty() {
            reply.bulk(text);
        }
        for get in &r.gets {
            out.clear();
            match get.find(&mut db, text, &mut key, &mut out) {
                true => reply.bulk(&out),
                false => reply.null(),
            }
        }
    }
}

/// Makes a list of the outcome; what GET does not find is an empty element.
fn store(ctx: &mut Ctx<'_>, r: &Request<'_>, items: &Items, dest: &[u8]) {
    let (mut db, mut reply, config) = ctx.parts();
    let limits = limits(config);
    let mut list = List::new();
    let (mut key, mut out) = (Vec::new(), Vec::new());
    for item in &items.items {
        let text = items.text(item.text);
        if r.gets.is_empty() {
            list.push(End::Tail, text, &limits);
        }
        for get in &r.gets {
            out.clear();
            get.find(&mut db, text, &mut key, &mut out);
            list.push(End::Tail, &out, &limits);
        }
    }
    let (dest, n) = (Key::new(dest), list.len());
    if n > 0 {
        db.store(dest, Entry::collection(dest.bytes, list, None));
        db.modified(dest.bytes, N::LIST, "sortstore", n as i64);
    } else if db.delete(dest, config.lazyfree_lazy_server_del) {
        db.modified(dest.bytes, N::GENERIC, "del", 1);
    }
    reply.int(n as i64);
}
