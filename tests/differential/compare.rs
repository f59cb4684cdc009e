//! When are two replies the same?
//!
//! Byte for byte, except where Redis itself does not promise it: the order of what comes out of hash tables, the rest of a TTL that two
//! servers are asked for one after the other, and answers drawn at random, which are checked for membership.

use crate::harness::{Conn, Reply};

/// What a difference needs to be judged by.
pub struct Asked<'a> {
    pub args: &'a [Vec<u8>],
    /// The command's name in upper case.
    pub name: String,
}

impl<'a> Asked<'a> {
    pub fn new(args: &'a [Vec<u8>]) -> Asked<'a> {
        Asked {
            args,
            name: args
                .first()
                .map(|a| String::from_utf8_lossy(a).to_uppercase())
                .unwrap_or_default(),
        }
    }

    /// Whether an argument after the key is this word, in any case.
    pub fn has(&self, word: &str) -> bool {
        self.args
            .iter()
            .skip(2)
            .any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn key(&self) -> &[u8] {
        self.args.get(1).map_or(b"", Vec::as_slice)
    }
}

/// Seconds two servers may differ in a relative or absolute time.
const TIME_SLACK_S: i64 = 2;

/// Whether the replies differ only as allowed. `right` is asked for more when the answer hangs on its
/// state; `shuffled` says that no set has kept its order.
pub fn allowed(
    asked: &Asked,
    ours: &Reply,
    theirs: &Reply,
    right: &mut Conn,
    shuffled: bool,
) -> bool {
    let mut unordered = |key: &[u8]| shuffled || unordered(key, right);
    match asked.name.as_str() {
        "TTL" | "EXPIRETIME" => close(ours, theirs, TIME_SLACK_S),
        "PTTL" | "PEXPIRETIME" => close(ours, theirs, TIME_SLACK_S * 1000),
        "HTTL" | "HEXPIRETIME" => all_close(ours, theirs, TIME_SLACK_S),
        "HPTTL" | "HPEXPIRETIME" => all_close(ours, theirs, TIME_SLACK_S * 1000),
        // Channels come out of a hash table.
        "PUBSUB" if names_channels(asked.key()) => sorted(ours) == sorted(theirs),
        "SINTER" | "SUNION" | "SDIFF" | "KEYS" => sorted(ours) == sorted(theirs),
        // The order of a hash table is nobody's; that of a listpack or intset is.
        "SMEMBERS" | "HKEYS" | "HVALS" => sorted(ours) == sorted(theirs) && unordered(asked.key()),
        "HGETALL" => pairs(ours) == pairs(theirs) && unordered(asked.key()),
        "XPENDING" | "XINFO" => only_times_differ(ours, theirs, false),
        // Elements of a set come unsorted when SORT is told not to sort.
        "SORT" | "SORT_RO" if unordered(asked.key()) => sorted(ours) == sorted(theirs),
        // Texts of equal weight come in any order.
        "SORT" | "SORT_RO" if asked.has("BY") && asked.has("ALPHA") => {
            sorted(ours) == sorted(theirs)
        }
        _ => false,
    }
}

fn names_channels(subcommand: &[u8]) -> bool {
    let lower = subcommand.to_ascii_lowercase();
    lower == b"channels" || lower == b"shardchannels"
}

fn close(ours: &Reply, theirs: &Reply, slack: i64) -> bool {
    matches!((ours, theirs), (Reply::Int(a), Reply::Int(b)) if *a > 0 && *b > 0 && (a - b).abs() <= slack)
}

fn all_close(ours: &Reply, theirs: &Reply, slack: i64) -> bool {
    let (Some(ours), Some(theirs)) = (ours.items(), theirs.items()) else {
        return false;
    };
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(theirs)
            .all(|(a, b)| a == b || close(a, b, slack))
}

/// Whether the replies are the same but for times, and for how many nodes a stream's tree has, which is each server's own.
fn only_times_differ(ours: &Reply, theirs: &Reply, is_time: bool) -> bool {
    let slack_ms = TIME_SLACK_S * 1000;
    match (ours, theirs) {
        (Reply::Array(Some(a)), Reply::Array(Some(b))) => {
            a.len() == b.len()
                && (0..a.len()).all(|i| {
                    // A field's value follows its name; in a pending entry the third of four is a time.
                    let named = i > 0 && a[i - 1] == b[i - 1] && names_a_time(&a[i - 1]);
                    let counted = i > 0 && names_own_count(&a[i - 1]);
                    let pending = a.len() == 4 && i == 2 && matches!(a[1], Reply::Bulk(_));
                    counted || only_times_differ(&a[i], &b[i], named || pending)
                })
        }
        (Reply::Map(a), Reply::Map(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((name, a), (other, b))| {
                    let time = names_a_time(name);
                    name == other && (names_own_count(name) || only_times_differ(a, b, time))
                })
        }
        (Reply::Int(a), Reply::Int(b)) => {
            // Beyond this a number is a Unix time in milliseconds.
            let unix = a.min(b) > &1_500_000_000_000;
            a == b || (is_time || unix) && (a - b).abs() <= slack_ms
        }
        _ => ours == theirs,
    }
}

fn names_a_time(name: &Reply) -> bool {
    matches!(name.bytes(), Some(b"idle" | b"inactive"))
}

fn names_own_count(name: &Reply) -> bool {
    matches!(name.bytes(), Some(b"radix-tree-keys" | b"radix-tree-nodes"))
}

/// The elements in one order; other replies as they are.
pub fn sorted(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(Some(items)) => Reply::Array(Some(in_order(items))),
        Reply::Set(items) => Reply::Set(in_order(items)),
        other => other.clone(),
    }
}

fn in_order(items: &[Reply]) -> Vec<Reply> {
    let mut items = items.to_vec();
    items.sort();
    items
}

/// Field and value pairs in one order, of a map or of a flat array.
pub fn pairs(reply: &Reply) -> Vec<(Reply, Reply)> {
    let mut all = match reply {
        Reply::Map(pairs) => pairs.clone(),
        Reply::Array(Some(items)) => items
            .chunks(2)
            .filter_map(|p| Some((p.first()?.clone(), p.get(1)?.clone())))
            .collect(),
        _ => Vec::new(),
    };
    all.sort();
    all
}

fn unordered(key: &[u8], right: &mut Conn) -> bool {
    let encoding = right.call(&[b"OBJECT".as_slice(), b"ENCODING", key]);
    // Of a hash with expiring fields, the ones without a deadline stand in no promised order either.
    matches!(encoding.bytes(), Some(b"hashtable" | b"listpackex"))
}

/// Whether Redis does not say what the command does: a lexicographic range over members of different scores, or entries that were idle
/// for about as long as the script ran. Such steps are left out.
pub fn is_undefined(asked: &Asked, right: &mut Conn) -> bool {
    let short = |arg: &Vec<u8>| {
        let text = std::str::from_utf8(arg).unwrap_or_default();
        text.parse().is_ok_and(|ms: i64| (1..600_000).contains(&ms))
    };
    match asked.name.as_str() {
        "XCLAIM" | "XAUTOCLAIM" if asked.args.get(4).is_some_and(short) => return true,
        "XPENDING" if asked.has("IDLE") && asked.args.iter().any(short) => return true,
        _ => {}
    }
    let key = match asked.name.as_str() {
        name if name.contains("LEX") => asked.key(),
        "ZRANGE" if asked.has("BYLEX") => asked.key(),
        "ZRANGESTORE" if asked.has("BYLEX") => {
            asked.args.get(2).map_or(b"".as_slice(), Vec::as_slice)
        }
        _ => return false,
    };
    let held = right.call(&[b"ZRANGE".as_slice(), key, b"0", b"-1", b"WITHSCORES"]);
    let scores: Vec<&Reply> = held
        .items()
        .unwrap_or_default()
        .chunks(2)
        .filter_map(|pair| pair.get(1))
        .collect();
    scores.windows(2).any(|two| two[0] != two[1])
}

/// Commands that answer at random: the reply may be anything of the right shape made of what the key holds.
pub fn is_random(asked: &Asked) -> bool {
    matches!(
        asked.name.as_str(),
        "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" | "RANDOMKEY" | "SPOP"
    )
}

/// Checks a random answer: same shape and count as the other server's, and every string in it is held by the key there.
pub fn random_allowed(asked: &Asked, ours: &Reply, theirs: &Reply, right: &mut Conn) -> bool {
    if shape(ours) != shape(theirs) {
        return false;
    }
    if matches!(ours, Reply::Error(_)) {
        return true;
    }
    if asked.name == "RANDOMKEY" {
        return ours
            .bytes()
            .is_none_or(|key| right.call(&[b"EXISTS".as_slice(), key]) == Reply::Int(1));
    }
    let key = asked.key();
    let held = match right.call(&[b"TYPE".as_slice(), key]).bytes() {
        Some(b"set") => right.call(&[b"SMEMBERS".as_slice(), key]),
        Some(b"hash") => right.call(&[b"HGETALL".as_slice(), key]),
        Some(b"zset") => right.call(&[b"ZRANGE".as_slice(), key, b"0", b"-1", b"WITHSCORES"]),
        _ => return ours == theirs,
    };
    let (mut said, mut known) = (Vec::new(), Vec::new());
    leaves(ours, &mut said);
    leaves(&held, &mut known);
    // The servers may write a score differently (`known` says when replies may); here only membership counts.
    said.iter()
        .all(|leaf| known.iter().any(|held| crate::known::alike(leaf, held)))
}

fn leaves(reply: &Reply, out: &mut Vec<Reply>) {
    match reply {
        Reply::Array(Some(items)) | Reply::Set(items) | Reply::Push(items) => {
            items.iter().for_each(|r| leaves(r, out))
        }
        Reply::Map(pairs) => pairs.iter().for_each(|(k, v)| {
            leaves(k, out);
            leaves(v, out);
        }),
        other => out.push(other.clone()),
    }
}

/// The reply with every string emptied: its shape.
fn shape(reply: &Reply) -> Reply {
    match reply {
        Reply::Bulk(Some(_)) => Reply::Bulk(Some(Vec::new())),
        Reply::Double(_) => Reply::Double(Vec::new()),
        Reply::Array(Some(items)) => Reply::Array(Some(items.iter().map(shape).collect())),
        Reply::Set(items) => Reply::Set(items.iter().map(shape).collect()),
        other => other.clone(),
    }
}
