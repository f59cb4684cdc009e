//! What Redis changed between 7.0 and 8.2: differences to an older reference that are right, each with its reason.
//!
//! We follow 8.2. The rows were established by running this test with 8.2.3 in our place, which must be silent:
//! `REDSTART_IT_BIN=$(command -v redis-8.2.3) REFERENCE_SERVER=redis-server cargo test --test differential`.
//! A row is as narrow as it can be said; it applies to references older than its version only.

use crate::compare::{self, Asked};
use crate::harness::Reply;

/// One change: until which version the reference differs, why, and how to recognise it.
struct Row {
    before: (u32, u32),
    reason: &'static str,
    fits: fn(&Asked, &Reply, &Reply) -> bool,
}

const ROWS: &[Row] = &[
    Row {
        before: (8, 0),
        reason: "scores and coordinates are printed in their shortest form",
        fits: same_numbers,
    },
    Row {
        before: (7, 2),
        reason: "XREAD's text about unbalanced streams names the command in lower case and `+`",
        fits: unbalanced,
    },
    Row {
        before: (7, 2),
        reason: "ZRANK and ZREVRANK take WITHSCORE",
        fits: rank_with_score,
    },
    Row {
        before: (7, 2),
        reason: "BITCOUNT and BITPOS look at their arguments before they look for the key",
        fits: bits_check_first,
    },
    Row {
        before: (7, 2),
        reason: "XINFO GROUPS: claiming creates the consumer; entries-read is bounded by what was added",
        fits: group_info,
    },
    Row {
        before: (8, 2),
        reason: "OBJECT ENCODING: see `encoding`",
        fits: object_encoding,
    },
    Row {
        before: (7, 2),
        reason: "LPOS and LREM refuse the smallest integer, which has no negation",
        fits: no_negation,
    },
    Row {
        before: (8, 0),
        reason: "SORT takes numbers too small for a normal double, and hexadecimal ones no longer",
        fits: sort_weights,
    },
    Row {
        before: (7, 2),
        reason: "SCAN looks at its cursor after its options, and at the type",
        fits: scan_options,
    },
    Row {
        before: (8, 2),
        reason: "small integers are no longer shared objects",
        fits: shared_integer,
    },
    Row {
        before: (8, 0),
        reason: "a score bound is a decimal number without blanks, and not empty",
        fits: odd_bound,
    },
    Row {
        before: (8, 0),
        reason: "which texts beside plain digits are cursors has changed",
        fits: odd_cursor,
    },
    Row {
        before: (7, 4),
        reason: "XREAD takes the id +",
        fits: read_last,
    },
    Row {
        before: (7, 2),
        reason: "XSETID also compares with the largest deleted id",
        fits: setid_deleted,
    },
    Row {
        before: (7, 2),
        reason: "XCLAIM, XAUTOCLAIM and XREADGROUP create the consumer even if it gets nothing",
        fits: consumer_created,
    },
    Row {
        before: (7, 2),
        reason: "XREADGROUP NOACK with the largest id answers an empty stream with no entries instead of nothing",
        fits: read_nothing,
    },
];

/// What no reference of any version makes us follow.
const DEVIATIONS: &[Row] = &[
    Row {
        before: (99, 0),
        reason: "8.2.3 cuts LSET's index to 32 bits and then sets another element: a bug",
        fits: lset_cut,
    },
    Row {
        before: (99, 0),
        reason: "a zero score keeps its sign in a skiplist and loses it in a listpack, and SORT makes a small sorted set a skiplist there",
        fits: signed_zero,
    },
];

/// Why a reply may differ from that of a reference of this version, if it may.
pub fn reply(
    asked: &Asked,
    ours: &Reply,
    theirs: &Reply,
    reference: (u32, u32),
) -> Option<&'static str> {
    ROWS.iter()
        .chain(DEVIATIONS)
        .find(|row| reference < row.before && (row.fits)(asked, ours, theirs))
        .map(|row| row.reason)
}

/// Whether something told to a second connection may differ.
pub fn told(asked: &Asked, ours: &Reply, theirs: &Reply, reference: (u32, u32)) -> bool {
    // Since 7.2 a command that waits runs again as a whole, and meets the other keys' types and the missing group itself.
    let runs_again = error(ours).starts_with("WRONGTYPE") && !matches!(theirs, Reply::Error(_))
        || error(ours).starts_with("NOGROUP") && error(theirs).starts_with("UNBLOCKED");
    // A list that SORT puts in the place of another value wakes nobody there, though it is what they wait for.
    let sorted_over = asked.name == "SORT"
        && *ours == Reply::simple("it goes on")
        && *theirs == Reply::simple("it waits");
    reference < (7, 2) && runs_again || sorted_over
}

/// Whether the encodings may differ.
pub fn encoding(ours: Option<&[u8]>, theirs: Option<&[u8]>, reference: (u32, u32)) -> bool {
    let pair = (ours.unwrap_or_default(), theirs.unwrap_or_default());
    // Small lists and small sets became listpacks in 7.2; since 8.2 the key is embedded too and leaves less room for an embedded string.
    match pair {
        (b"listpack", b"quicklist" | b"hashtable") => reference < (7, 2),
        // SORT makes a small sorted set a skiplist there, to walk over it.
        (b"listpack", b"skiplist") => true,
        // HGETEX and the like make a small hash a listpackex even when no field gets a time.
        (b"listpack", b"listpackex") => true,
        (b"raw", b"embstr") => reference < (8, 2),
        // The 7.0 suite asks for the names of its time; beside a newer server they differ the other way round.
        (b"quicklist" | b"hashtable", b"listpack") => reference >= (7, 2),
        (b"embstr", b"raw") => reference >= (8, 2),
        _ => false,
    }
}

/// The error of a reply, or nothing.
fn error(reply: &Reply) -> String {
    reply.error_text().unwrap_or_default()
}

fn same_numbers(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let numeric = asked.name.starts_with('Z') || asked.name.starts_with("GEO");
    numeric && alike(ours, theirs)
}

/// The same replies, apart from how numbers that are not plain integers are written.
pub fn alike(ours: &Reply, theirs: &Reply) -> bool {
    match (ours, theirs) {
        (Reply::Array(Some(a)), Reply::Array(Some(b))) | (Reply::Set(a), Reply::Set(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Reply::Bulk(Some(a)), Reply::Bulk(Some(b))) | (Reply::Double(a), Reply::Double(b)) => {
            a == b || same_double(a, b) || zero(a) && zero(b)
        }
        _ => ours == theirs,
    }
}

/// See the row of `signed_zero`.
fn zero(text: &[u8]) -> bool {
    matches!(text, b"0" | b"-0")
}

fn same_double(a: &[u8], b: &[u8]) -> bool {
    let value = |text: &[u8]| {
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
    };
    // An integer is written the same way by all, up to 17 digits.
    let fractional = |text: &[u8]| text.len() > 16 || text.iter().any(|b| b".e".contains(b));
    // Coordinates came with 17 digits after the point, which cuts small ones.
    let near = |a: f64, b: f64| a == b || (a - b).abs() < 1e-16;
    (fractional(a) || fractional(b))
        && value(a).is_some_and(|a| value(b).is_some_and(|b| near(a, b)))
}

fn unbalanced(_: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    error(ours).starts_with("ERR Unbalanced '") && error(theirs).starts_with("ERR Unbalanced XREAD")
}

fn rank_with_score(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let counted = error(theirs).starts_with("ERR wrong number of arguments");
    counted
        && matches!(asked.name.as_str(), "ZRANK" | "ZREVRANK")
        && asked.args.len() == 4
        && (error(ours) == "ERR syntax error" || asked.has("WITHSCORE"))
}

fn bits_check_first(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let strict = matches!(asked.name.as_str(), "BITCOUNT" | "BITPOS");
    let looked_first =
        matches!(theirs, Reply::Int(-1..=0)) || error(theirs).starts_with("WRONGTYPE");
    strict && looked_first && matches!(ours, Reply::Error(_))
}

fn group_info(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name == "XINFO" && without(ours) == without(theirs)
}

/// The groups of XINFO without the fields whose arithmetic changed.
fn without(reply: &Reply) -> Vec<Vec<(Reply, Reply)>> {
    let changed =
        |name: &Reply| matches!(name.bytes(), Some(b"consumers" | b"entries-read" | b"lag"));
    let groups = reply.items().unwrap_or_default().iter();
    groups
        .map(|group| {
            compare::pairs(group)
                .into_iter()
                .filter(|(name, _)| !changed(name))
                .collect()
        })
        .collect()
}

fn consumer_created(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name == "XGROUP"
        && asked
            .args
            .get(1)
            .is_some_and(|sub| sub.eq_ignore_ascii_case(b"CREATECONSUMER"))
        && *ours == Reply::Int(0)
        && *theirs == Reply::Int(1)
}

fn object_encoding(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name == "OBJECT" && encoding(ours.bytes(), theirs.bytes(), (7, 0))
}

fn no_negation(asked: &Asked, ours: &Reply, _: &Reply) -> bool {
    matches!(asked.name.as_str(), "LPOS" | "LREM")
        && asked.has("-9223372036854775808")
        && error(ours).contains("value must between")
}

fn sort_weights(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let refused =
        |reply: &Reply| error(reply) == "ERR One or more scores can't be converted into double";
    asked.name.starts_with("SORT") && refused(ours) != refused(theirs)
}

fn scan_options(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name == "SCAN"
        && (error(theirs) == "ERR invalid cursor" || error(ours).starts_with("ERR unknown type"))
        && matches!(ours, Reply::Error(_))
}

fn read_last(asked: &Asked, _: &Reply, theirs: &Reply) -> bool {
    asked.name == "XREAD" && asked.has("+") && error(theirs).starts_with("ERR Invalid stream ID")
}

fn setid_deleted(asked: &Asked, ours: &Reply, _: &Reply) -> bool {
    asked.name == "XSETID"
        && error(ours)
            == "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
}

fn lset_cut(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let both = [ours, theirs];
    asked.name == "LSET"
        && both.contains(&&Reply::simple("OK"))
        && both.contains(&&Reply::error("ERR index out of range"))
}

fn read_nothing(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let empty = |reply: &Reply| {
        matches!(reply, Reply::Array(None) | Reply::Null)
            || reply.items().is_some_and(|streams| {
                streams.iter().all(|s| {
                    s.items().is_some_and(|pair| {
                        pair.len() == 2 && pair[1].items().is_some_and(<[Reply]>::is_empty)
                    })
                })
            })
    };
    asked.name == "XREADGROUP" && asked.has("NOACK") && empty(ours) && empty(theirs)
}

fn signed_zero(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    fn same(ours: &Reply, theirs: &Reply) -> bool {
        match (ours, theirs) {
            (Reply::Array(Some(a)), Reply::Array(Some(b))) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Reply::Bulk(Some(a)), Reply::Bulk(Some(b))) | (Reply::Double(a), Reply::Double(b)) => {
                a == b || zero(a) && zero(b)
            }
            _ => ours == theirs,
        }
    }
    asked.name.starts_with('Z') && same(ours, theirs)
}

fn shared_integer(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name == "OBJECT" && *ours == Reply::Int(1) && *theirs == Reply::Int(2_147_483_647)
}

fn odd_cursor(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let at = if asked.name == "SCAN" { 1 } else { 2 };
    let odd = asked.args.get(at).is_some_and(|cursor| {
        cursor.is_empty() || !cursor.iter().all(u8::is_ascii_digit) || cursor.len() > 19
    });
    asked.name.ends_with("SCAN")
        && odd
        && [ours, theirs]
            .iter()
            .any(|reply| error(reply) == "ERR invalid cursor")
}

fn odd_bound(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let odd_number = |arg: &[u8]| {
        arg.is_empty() || arg.starts_with(b" ") || arg.windows(2).any(|two| two == b"0x")
    };
    asked.args.iter().any(|arg| odd_number(arg))
        && error(ours) == "ERR min or max is not a float"
        && !matches!(theirs, Reply::Error(_))
}
