//! The command families and their templates (see `grammar`): what Redis 7.0 has and answers the same way every time.
//!
//! Left out on purpose: what depends on the clock (`XADD *`, `OBJECT IDLETIME`) and what answers at random without a way to check it.
//! To extend: add a line; the placeholders are in `Gen::value`.

use crate::grammar::{Family, parse};

const STRINGS: &[&str] = &[
    "SET {k} {v} [NX|XX] [GET] [EX {ttl}|PX {ms}|EXAT {at}|PXAT {atms}|KEEPTTL]",
    "SET {k} {v}",
    "GET {k}",
    "GETSET {k} {v}",
    "GETDEL {k}",
    "GETEX {k} [EX {ttl}|PX {ms}|EXAT {at}|PXAT {atms}|PERSIST]",
    "SETNX {k} {v}",
    "SETEX {k} (0|-1|{ttl}) {v}",
    "PSETEX {k} {ms} {v}",
    "MGET {k}*",
    "MSET ({k} {v})*",
    "MSETNX ({k} {v})*",
    "APPEND {k} {v}",
    "STRLEN {k}",
    "INCR {k}",
    "DECR {k}",
    "INCRBY {k} {i}",
    "DECRBY {k} {i}",
    "INCRBYFLOAT {k} {x}",
    "SETRANGE {k} {n} {v}",
    "GETRANGE {k} {i} {i}",
    "SUBSTR {k} {i} {i}",
    "LCS {k} {k} [LEN|IDX] [WITHMATCHLEN] [MINMATCHLEN {i}]",
];

const BITS: &[&str] = &[
    "SETBIT {k} {off} {bit}",
    "GETBIT {k} {off}",
    "SET {k} {v}",
    "BITCOUNT {k} [{i} {i} [BYTE|BIT]]",
    "BITPOS {k} {bit} [{i} [{i} [BYTE|BIT]]]",
    "BITOP (AND|OR|XOR|not) {k} {k}*",
    "BITOP NOT {k} {k}",
    "BITFIELD {k} ([OVERFLOW (WRAP|SAT|FAIL|x)] (GET {type} {off}|SET {type} {off} {i}|INCRBY {type} #{n} {i}))*",
    "BITFIELD_RO {k} (GET {type} {off})*",
    "APPEND {k} {v}",
    "DEL {k}",
];

const LISTS: &[&str] = &[
    "LPUSH {k} {e}*",
    "RPUSH {k} {e}*",
    "RPUSH {k} {e}* {e}* {e}* {e}*",
    "LPUSHX {k} {e}*",
    "RPUSHX {k} {e}*",
    "LPOP {k} [{i}]",
    "RPOP {k} [{i}]",
    "LLEN {k}",
    "LRANGE {k} {i} {i}",
    "LINDEX {k} {i}",
    "LSET {k} {i} {e}",
    "LINSERT {k} (BEFORE|after|x) {e} {e}",
    "LREM {k} {i} {e}",
    "LTRIM {k} {i} {i}",
    "LPOS {k} {e} [RANK {i}] [COUNT {i}] [MAXLEN {i}]",
    "LMOVE {k} {k} (LEFT|RIGHT) (LEFT|right|x)",
    "RPOPLPUSH {k} {k}",
    "LMPOP {pos} {k}* (LEFT|RIGHT) [COUNT {i}]",
    "LMPOP 1 {k} (LEFT|RIGHT) [COUNT {pos}]",
];

const SETS: &[&str] = &[
    "SADD {k} {e}*",
    "SADD {k} {e}* {e}* {e}*",
    "SREM {k} {e}*",
    "SISMEMBER {k} {e}",
    "SMISMEMBER {k} {e}*",
    "SCARD {k}",
    "SMEMBERS {k}",
    "SPOP {k} [{i}]",
    "SRANDMEMBER {k} [{i}]",
    "SMOVE {k} {k} {e}",
    "SINTER {k}*",
    "SUNION {k}*",
    "SDIFF {k}*",
    "SINTERSTORE {k} {k}*",
    "SUNIONSTORE {k} {k}*",
    "SDIFFSTORE {k} {k}*",
    "SINTERCARD {pos} {k}* [LIMIT {i}]",
    "SINTERCARD 2 {k} {k} [LIMIT {n}]",
    "SSCAN {k} 0 [MATCH {pat}] [COUNT {i}]",
];

const HASHES: &[&str] = &[
    "HSET {k} ({f} {v})*",
    "HMSET {k} ({f} {v})*",
    "HSET {k} ({e} {v})* ({e} {v})* ({f} {v})*",
    "HSETNX {k} {f} {v}",
    "HGET {k} {f}",
    "HMGET {k} {f}*",
    "HDEL {k} {f}*",
    "HLEN {k}",
    "HEXISTS {k} {f}",
    "HSTRLEN {k} {f}",
    "HINCRBY {k} {f} {i}",
    "HINCRBYFLOAT {k} {f} {x}",
    "HGETALL {k}",
    "HKEYS {k}",
    "HVALS {k}",
    "HRANDFIELD {k} [{i} [WITHVALUES]]",
    "HSCAN {k} 0 [MATCH {pat}] [COUNT {i}]",
];

const ZSETS: &[&str] = &[
    "ZADD {k} [NX|XX] [GT|LT] [CH] ({x} {e})*",
    "ZADD {k} ({x} {e})* ({x} {e})*",
    "ZADD {k} [XX|NX] INCR {x} {e}",
    "ZADD {k} (0 {e})* (0 {e})*",
    "ZINCRBY {k} {x} {e}",
    "ZREM {k} {e}*",
    "ZCARD {k}",
    "ZSCORE {k} {e}",
    "ZMSCORE {k} {e}*",
    "ZRANK {k} {e}",
    "ZREVRANK {k} {e}",
    "ZCOUNT {k} {range} {range}",
    "ZRANGE {k} {i} {i} [REV] [WITHSCORES]",
    "ZRANGE {k} {range} {range} BYSCORE [REV] [LIMIT {i} {i}] [WITHSCORES]",
    "ZREVRANGE {k} {i} {i} [WITHSCORES]",
    "ZRANGEBYSCORE {k} {range} {range} [WITHSCORES] [LIMIT {i} {i}]",
    "ZREVRANGEBYSCORE {k} {range} {range} [WITHSCORES] [LIMIT {i} {i}]",
    "ZRANGESTORE {k} {k} {i} {i} [REV]",
    "ZRANGESTORE {k} {k} {range} {range} BYSCORE [REV] [LIMIT {i} {i}]",
    "ZREMRANGEBYRANK {k} {i} {i}",
    "ZREMRANGEBYSCORE {k} {range} {range}",
    "ZPOPMIN {k} [{i}]",
    "ZPOPMAX {k} [{i}]",
    "ZMPOP 1 {k} (MIN|MAX) [COUNT {pos}]",
    "ZMPOP {pos} {k}* (MIN|MAX) [COUNT {i}]",
    "ZUNION 2 {k} {k} [WEIGHTS {x} {x}] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]",
    "ZINTER 2 {k} {k} [WEIGHTS {x} {x}] [AGGREGATE (SUM|MIN|max|x)] [WITHSCORES]",
    "ZDIFF {pos} {k}* [WITHSCORES]",
    "ZUNIONSTORE {k} 2 {k} {any} [WEIGHTS {x} {x}] [AGGREGATE (SUM|MIN|MAX)]",
    "ZINTERSTORE {k} 2 {k} {any} [WEIGHTS {x} {x}] [AGGREGATE (SUM|MIN|MAX)]",
    "ZDIFFSTORE {k} 2 {k} {k}",
    "ZINTERCARD 2 {k} {k} [LIMIT {i}]",
    "ZRANDMEMBER {k} [{i} [WITHSCORES]]",
    "ZSCAN {k} 0 [MATCH {pat}] [COUNT {i}]",
];

/// Lexicographic ranges mean something only among equal scores; these keys hold no others (see also `compare::is_undefined`).
const LEXES: &[&str] = &[
    "ZADD {lk} (0 {e})* (0 {e})*",
    "ZADD {lk} NX (0 {e})*",
    "ZREM {lk} {e}*",
    "ZRANGESTORE {lk} {lk} {lex} {lex} BYLEX [REV] [LIMIT {i} {i}]",
    "ZRANK {lk} {e}",
    "ZLEXCOUNT {lk} {lex} {lex}",
    "ZRANGE {lk} {lex} {lex} BYLEX [REV] [LIMIT {i} {i}]",
    "ZRANGEBYLEX {lk} {lex} {lex} [LIMIT {i} {i}]",
    "ZREVRANGEBYLEX {lk} {lex} {lex} [LIMIT {i} {i}]",
    "ZREMRANGEBYLEX {lk} {lex} {lex}",
];

const GENERIC: &[&str] = &[
    "SET {any} {v}",
    "RPUSH {any} {e}*",
    "SADD {any} {e}*",
    "HSET {any} ({f} {v})*",
    "ZADD {any} ({x} {e})*",
    "DEL {any}*",
    "UNLINK {any}*",
    "EXISTS {any}*",
    "TOUCH {any}*",
    "TYPE {any}",
    "RENAME {any} {any}",
    "RENAMENX {any} {any}",
    "COPY {any} {any} [DB {n}] [REPLACE]",
    "MOVE {any} {n}",
    "KEYS {pat}",
    "DBSIZE",
    "SCAN 0 [MATCH {pat}] [COUNT {i}] [TYPE (string|list|set|hash|zset|stream|x)]",
    "RANDOMKEY",
    "OBJECT (ENCODING|REFCOUNT) {any}",
    "EXPIRE {any} ({ttl}|{i}) [NX|XX|GT|LT]",
    "PEXPIRE {any} ({ms}|-1|0) [NX|XX|GT|LT]",
    "EXPIREAT {any} ({at}|1|-5) [NX|XX|GT|LT]",
    "PEXPIREAT {any} ({atms}|1) [NX|XX|GT|LT|NX XX]",
    "PERSIST {any}",
    "TTL {any}",
    "PTTL {any}",
    "EXPIRETIME {any}",
    "PEXPIRETIME {any}",
    "SWAPDB {n} {n}",
    "SELECT (0|0|0|0|16|-1|x)",
];

const SORTS: &[&str] = &[
    "RPUSH {k} {i}* {i}*",
    "SADD {k} {n}* {n}*",
    "ZADD {k} ({x} {n})*",
    "MSET (w{n} {x})*",
    "HSET o{n} f {v} g {x}",
    "SORT {k} [LIMIT {i} {i}] [ASC|DESC] [ALPHA]",
    "SORT {k} BY w{star} [LIMIT {i} {i}] [ASC|DESC] [GET w{star}] [GET #]",
    "SORT {k} BY w{star} ALPHA [DESC] [GET #]",
    "SORT {k} BY o{star}->g [GET o{star}->f]* [DESC]",
    "SORT_RO {k} [BY w{star}] [ALPHA] [DESC]",
    "SORT {k} [ALPHA] [DESC] STORE {k}",
];

const STREAMS: &[&str] = &[
    "XADD {k} [NOMKSTREAM] [MAXLEN [=] {n}|MINID {id}] {id} ({f} {v})*",
    "XADD {k} {id} ({f} {v})*",
    "XLEN {k}",
    "XRANGE {k} {from} {to} [COUNT {i}]",
    "XREVRANGE {k} {to} {from} [COUNT {i}]",
    "XDEL {k} {id}*",
    "XTRIM {k} (MAXLEN [=] {n}|MINID {id}|MAXLEN ~ {n} LIMIT {n})",
    "XREAD [COUNT {i}] STREAMS {k} {id}",
    "XREAD [COUNT {pos}] STREAMS {k} {k} {id} 0",
    "XSETID {k} {id} [ENTRIESADDED {i} MAXDELETEDID {id}]",
    "XGROUP CREATE {k} {grp} ($|0|{id}) [MKSTREAM] [ENTRIESREAD {i}]",
    "XGROUP SETID {k} {grp} {id}",
    "XGROUP DESTROY {k} {grp}",
    "XGROUP CREATECONSUMER {k} {grp} {con}",
    "XGROUP DELCONSUMER {k} {grp} {con}",
    "XREADGROUP GROUP {grp} {con} [COUNT {pos}] [NOACK] STREAMS {k} (>|>|0|{id})",
    "XACK {k} {grp} {id}*",
    "XPENDING {k} {grp}",
    "XCLAIM {k} {grp} {con} 0 {id}* [IDLE 0] [RETRYCOUNT {n}] [FORCE] [JUSTID]",
    "XAUTOCLAIM {k} {grp} {con} 0 {id} [COUNT {pos}] [JUSTID]",
    "XINFO GROUPS {k}",
];

const HLLS: &[&str] = &[
    "PFADD {k} {e}*",
    "PFADD {k} {e}* {v}* {f}*",
    "PFCOUNT {k}*",
    "PFMERGE {k} {k}*",
    "GET {k}",
    "SET {k} {v}",
    "DEL {k}",
    "STRLEN {k}",
];

const GEOS: &[&str] = &[
    "GEOADD {k} [NX|XX] [CH] ({lon} {lat} {f})*",
    "GEOPOS {k} {f}*",
    "GEOHASH {k} {f}*",
    "GEODIST {k} {f} {f} [{unit}]",
    "GEOSEARCH {k} (FROMMEMBER {f}|FROMLONLAT {lon} {lat}) (BYRADIUS {dist} {unit}|BYBOX {dist} {dist} {unit}) (ASC|DESC) [COUNT {pos}] [WITHCOORD] [WITHDIST] [WITHHASH]",
    "GEOSEARCHSTORE {k} {k} FROMLONLAT {lon} {lat} BYRADIUS {dist} {unit} [STOREDIST]",
    "GEORADIUS {k} {lon} {lat} {dist} {unit} [WITHDIST] [COUNT {pos}] (ASC|DESC) [STORE {k}]",
    "GEORADIUSBYMEMBER_RO {k} {f} {dist} {unit} [WITHCOORD] (ASC|DESC)",
    "ZREM {k} {f}",
];

const TRANSACTIONS: &[&str] = &[
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH {k}*",
    "UNWATCH",
    "SET {k} {v}",
    "INCR {k}",
    "GET {k}",
    "LPUSH {k} {e}",
    "NOSUCH {k}",
    "EXISTS",
];

/// One connection waits, the other makes what it waits for.
const WAITING: &[&str] = &[
    "@ BLPOP {k}* 0",
    "@ BRPOP {k} {k} 0",
    "@ BLMOVE {k} {k} (LEFT|RIGHT) (LEFT|RIGHT) 0",
    "@ BRPOPLPUSH {k} {k} 0",
    "@ BLMPOP 0 2 {k} {k} (LEFT|RIGHT) [COUNT {pos}]",
    "@ BZPOPMIN {k} {k} 0",
    "@ BZPOPMAX {k}* 0",
    "@ BZMPOP 0 1 {k} (MIN|MAX) [COUNT {pos}]",
    "@ XREAD [COUNT {pos}] BLOCK 0 STREAMS x1 ($|{id})",
    "@ XREADGROUP GROUP g0 c0 BLOCK 0 STREAMS x1 >",
    "@ MULTI",
    "@ WATCH {k}",
    "@ EXEC",
    "@ LLEN {k}",
    "RPUSH {k} {e}*",
    "LPUSH {k} {e}",
    "RPUSH {k} {e}",
    "LPOP {k}",
    "ZADD {k} ({x} {e})*",
    "XADD x1 {id} f v",
    "XGROUP CREATE x1 g0 (0|$) MKSTREAM",
    "XGROUP DESTROY x1 g0",
    "SET {k} {v}",
    "DEL {k}",
    "RENAME {k} {k}",
    "COPY {k} {k} [REPLACE]",
    "SORT {k} ALPHA STORE {k}",
    "ZUNIONSTORE {k} 1 {k}",
    "LMOVE {k} {k} LEFT RIGHT",
    "SWAPDB 0 1",
    "SELECT (0|0|1)",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "EXPIRE {k} (0|{ttl})",
    "FLUSHALL",
];

/// One connection listens, or caches; the other talks and writes.
const MESSAGES: &[&str] = &[
    "@ SUBSCRIBE (c1|c2)",
    "@ PSUBSCRIBE (c*|c?|__key*__:*)",
    "@ SSUBSCRIBE (c1|d1)",
    "@ UNSUBSCRIBE (c1|c2)",
    "@ PUNSUBSCRIBE c*",
    "@ SUNSUBSCRIBE c1",
    "@ CLIENT TRACKING ON [NOLOOP]",
    "@ CLIENT TRACKING ON BCAST [PREFIX s]",
    "@ CLIENT TRACKING OFF",
    "@ GET {k}",
    "@ SET {k} {v}",
    "@ RESET",
    "PUBLISH (c1|c2|d1) {v}",
    "SPUBLISH (c1|d1) {v}",
    "PUBSUB CHANNELS [c1]",
    "PUBSUB NUMSUB c1 c2",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDNUMSUB c1 d1",
    "CONFIG SET notify-keyspace-events (KEA|KEg$|K$|)",
    "SET {k} {v}",
    "GETDEL {k}",
    "APPEND {k} {v}",
    "LPUSH {k} {e}*",
    "LPOP {k}",
    "LMOVE {k} {k} LEFT RIGHT",
    "SADD {k} {e}*",
    "SREM {k} {e}",
    "SMOVE {k} {k} {e}",
    "HSET {k} {f} {v}",
    "HDEL {k} {f}*",
    "HINCRBY {k} {f} {n}",
    "ZADD {k} {n} {e}",
    "ZINCRBY {k} {n} {e}",
    "ZREM {k} {e}",
    "ZPOPMIN {k}",
    "XADD {k} {id} f v",
    "XTRIM {k} MAXLEN 0",
    "SETRANGE {k} {n} {v}",
    "BITFIELD {k} SET u8 0 {n}",
    "PFADD {k} {e}",
    "GEOADD {k} 1 1 {f}",
    "SUNIONSTORE {k} {k}",
    "ZUNIONSTORE {k} 1 {k}",
    "SORT {k} ALPHA STORE {k}",
    "RENAME {k} {k}",
    "COPY {k} {k} REPLACE",
    "MOVE {k} 1",
    "EXPIRE {k} {ttl}",
    "PERSIST {k}",
    "DEL {k}*",
    "FLUSHALL",
    "MULTI",
    "EXEC",
    "EXEC",
];

/// What came after 7.0; compared with a newer reference only.
const NEWER: &[&str] = &[
    "HSET {k} ({f} {v})* ({f} {v})*",
    "HEXPIRE {k} ({ttl}|{i}) [NX|XX|GT|LT] FIELDS 1 {f}",
    "HEXPIRE {k} {ttl} [NX|XX|GT|LT] FIELDS 2 {f} {f}",
    "HPEXPIRE {k} ({ms}|0) [NX|XX|GT|LT] FIELDS {pos} {f}*",
    "HEXPIREAT {k} ({at}|1) [NX|XX|GT|LT] FIELDS 1 {f}",
    "HPEXPIREAT {k} ({atms}|1) [NX|XX|GT|LT] FIELDS 2 {f} {f}",
    "HPERSIST {k} FIELDS 2 {f} {f}",
    "HTTL {k} FIELDS 2 {f} {f}",
    "HPTTL {k} FIELDS 1 {f}",
    "HEXPIRETIME {k} FIELDS 2 {f} {f}",
    "HPEXPIRETIME {k} FIELDS {pos} {f}*",
    "HGETDEL {k} FIELDS 2 {f} {f}",
    "HGETEX {k} [EX {ttl}|PX {ms}|EXAT {at}|PXAT {atms}|PERSIST] FIELDS 2 {f} {f}",
    "HSETEX {k} [FNX|FXX] [EX {ttl}|PX {ms}|EXAT {at}|PXAT {atms}|KEEPTTL] FIELDS 2 {f} {v} {f} {v}",
    "HGETALL {k}",
    "HLEN {k}",
    "HSCAN {k} 0 [NOVALUES]",
    "HDEL {k} {f}",
    "HINCRBY {k} {f} {i}",
    "COPY {k} {k} REPLACE",
    "RENAME {k} {k}",
    "OBJECT ENCODING {k}",
];

/// Newer forms of older commands.
const NEWER_FORMS: &[&str] = &[
    "ZADD {k} ({x} {e})*",
    "ZRANK {k} {e} [WITHSCORE]",
    "ZREVRANK {k} {e} [WITHSCORE]",
    "SET b1 {v}",
    "SET b2 {v}",
    "BITOP (DIFF|DIFF1|ANDOR|ONE) b1 b1 b2 [s1]",
    "XADD x1 {id} f v",
    "XREAD STREAMS x1 +",
    "XGROUP CREATE x1 {grp} 0 MKSTREAM",
    "XREADGROUP GROUP {grp} {con} STREAMS x1 >",
    "XDELEX x1 [KEEPREF|DELREF|ACKED] IDS 2 {id} {id}",
    "XACKDEL x1 {grp} [KEEPREF|DELREF|ACKED] IDS 1 {id}",
    "XTRIM x1 MAXLEN {n} [KEEPREF|DELREF|ACKED]",
    "EXPIRE {k} {ttl}",
];

const ROWS: &[(&str, &[&str], &[&str])] = &[
    ("strings", &["s1", "s2", "s3"], STRINGS),
    ("bits", &["b1", "b2", "s1"], BITS),
    ("lists", &["l1", "l2"], LISTS),
    ("sets", &["t1", "t2", "t3"], SETS),
    ("hashes", &["h1", "h2"], HASHES),
    ("zsets", &["z1", "z2", "z3"], ZSETS),
    ("lex", &["y1", "y2"], LEXES),
    ("generic", &["s1", "l1", "t1", "h1", "z1"], GENERIC),
    ("sort", &["l1", "l2", "t1", "z1"], SORTS),
    ("streams", &["x1", "x2"], STREAMS),
    ("hyperloglog", &["p1", "p2"], HLLS),
    ("geo", &["g1"], GEOS),
    ("transactions", &["s1", "s2"], TRANSACTIONS),
    ("waiting", &["l1", "l2", "z1"], WAITING),
    ("messages", &["s1", "l1", "t1", "h1"], MESSAGES),
];

/// All families; `DIFF_FAMILIES=strings,lists` narrows them.
pub fn all() -> Vec<Family> {
    chosen(build(ROWS.iter()))
}

/// Those that `DIFF_FAMILIES` names, or all.
pub fn chosen(mut families: Vec<Family>) -> Vec<Family> {
    if let Ok(wanted) = std::env::var("DIFF_FAMILIES") {
        families.retain(|family| wanted.split(',').any(|item| item == family.name));
    }
    families
}

/// The families that a reference newer than 7.0 also knows.
pub fn newer() -> Vec<Family> {
    build(
        [
            ("field expiry", ["h1", "h2"].as_slice(), NEWER),
            ("newer forms", &["z1", "z2"], NEWER_FORMS),
        ]
        .iter(),
    )
}

fn build<'a>(
    rows: impl Iterator<
        Item = &'a (
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
        ),
    >,
) -> Vec<Family> {
    rows.map(|&(name, keys, templates)| Family {
        name,
        keys,
        templates: templates.iter().map(|t| parse(t)).collect(),
    })
    .collect()
}
