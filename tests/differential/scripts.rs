//! Hand-written scripts: sequences that random commands seldom build. One command per line, quoted as in redis-cli; a script ends at `--`.

use crate::pair::Script;

const TEXT: &str = r#"
SET n 9223372036854775806
INCR n
INCR n
DECRBY n -9223372036854775808
SET n -9223372036854775808
DECR n
INCRBYFLOAT n 1e-10
SET f 3.0e3
INCRBYFLOAT f 200
INCRBYFLOAT f -3200
SET f 1
INCRBYFLOAT f 0.1
INCRBYFLOAT f 0.2
INCRBYFLOAT f nan
INCRBYFLOAT f 1e4932
--
SETRANGE s 5 hello
GET s
SETRANGE s 536870912 x
SETRANGE s 536870908 hello
SETRANGE none 0 ""
EXISTS none
SETBIT b 4294967296 1
SETBIT b 7 2
APPEND s world
OBJECT ENCODING s
SET e 19characters-embstr
OBJECT ENCODING e
SET e 65characters-65characters-65characters-65characters-65characters
OBJECT ENCODING e
--
RPUSH l a b c d e f g
LRANGE l -100 100
LRANGE l 5 3
LREM l -1 a
LINSERT l BEFORE zz y
LPOS l c RANK -9223372036854775808
LPOS l c RANK 0
LPOS l c COUNT -1
LMPOP 0 l LEFT
LMPOP 2 none l RIGHT COUNT 3
LPOP l 0
LPOP l -1
LPOP none 0
LPOP none
--
SADD i 1 2 3
OBJECT ENCODING i
SADD i 9223372036854775807 -9223372036854775808
SADD i 9223372036854775808
SINTERCARD 0 i
SINTERCARD 2 i
SINTERCARD 1 i LIMIT -1
SPOP i 0
SPOP i -1
SPOP none 3
SPOP none
--
ZADD z 1 a 1 b 2 c 2 d +inf e -inf f
ZADD z NX XX 1 a
ZADD z GT LT 1 a
ZADD z GT NX 1 a
ZADD z INCR 1 a 2 b
ZADD z INCR -inf e
ZADD z XX INCR 3 none
ZADD z CH 5 a 1 b
ZRANGE z 0 -1 WITHSCORES
ZRANGE z (1 +inf BYSCORE LIMIT 1 2 WITHSCORES
ZRANGE z - + BYLEX WITHSCORES
ZRANGE z 0 -1 LIMIT 0 1
ZRANGESTORE d z 0 -1 WITHSCORES
ZUNIONSTORE d 0 z
ZUNIONSTORE d 1 z WEIGHTS 1 2
ZUNION 2 z z WEIGHTS inf -inf WITHSCORES
ZRANDMEMBER z -9223372036854775808
ZRANDMEMBER z 4611686018427387904 WITHSCORES
ZINCRBY z nan a
ZADD z 0.1 x 0.30000000000000004 y 1e21 w 123456789.125 v 1e-5 u
ZRANGE z 0 -1 WITHSCORES
--
HSET h a 1 b
HINCRBY h a 9223372036854775807
HSET h n 10
HINCRBY h n 9223372036854775807
HINCRBYFLOAT h n 0.1
HINCRBYFLOAT h n abc
HSET h t text
HINCRBY h t 1
HINCRBYFLOAT h t 1
HGETALL h
HRANDFIELD h 0
HRANDFIELD h 1 WITHVALUES x
HSCAN h abc
HSCAN h 0 COUNT 0
HSCAN h 0 NOPE
--
SET a 1
EXPIRE a 9223372036854775807
PEXPIRE a 9223372036854775807
EXPIREAT a 9223372036854775
EXPIRE a 100 NX GT
EXPIRE a 100 XX
EXPIRE a 50 GT
EXPIRE a 100 LT
EXPIRE a 200 GT
EXPIRE a 300 NX
EXPIRE a abc
SET a 1 EX 0
SET a 1 PX -1
SET a 1 EX 9223372036854775807
SETEX a 0 v
PSETEX a -5 v
SET a 1 EX 10 PX 10
SET a 1 KEEPTTL EX 10
SET a 1 NX XX
SET a 1 NX GET
GETEX a EX 0
GETEX a PERSIST EX 10
EXPIRE a -1
EXISTS a
--
MULTI
SET a 1
INCR a
LPUSH a x
GET a
EXEC
GET a
MULTI
NOSUCH
SET a 2
EXEC
MULTI
MULTI
WATCH a
DISCARD
DISCARD
EXEC
WATCH a
SET a 3
MULTI
GET a
EXEC
UNWATCH
--
XADD x 1-1 a 1
XADD x 1-1 a 1
XADD x 0-0 a 1
XADD x 1-* b 2
XADD x abc b 2
XADD x 2 b
XADD x MAXLEN 2 LIMIT 3 3-0 c 3
XADD x MAXLEN = 2 3-0 c 3
XADD x NOMKSTREAM 4 d 4
XADD none NOMKSTREAM 4 d 4
XRANGE x - +
XREVRANGE x + - COUNT 1
XRANGE x (1-1 (3-0
XRANGE x (18446744073709551615-18446744073709551615 +
XLEN x
XGROUP CREATE x g 0
XGROUP CREATE x g 0
XGROUP CREATE none g 0
XREADGROUP GROUP g c COUNT 1 STREAMS x >
XREADGROUP GROUP g c STREAMS x 0
XREADGROUP GROUP nope c STREAMS x >
XPENDING x g
XACK x g 1-1 9-9
XPENDING x nope
XINFO GROUPS x
XSETID x 1-0
XSETID x 9-0 ENTRIESADDED 2 MAXDELETEDID 5-0
XDEL x 1-* 
--
MSET w1 3 w2 1 w3 2 o1 x o2 y o3 z
RPUSH l 1 2 3
SORT l BY w*
SORT l BY w* GET o* GET # DESC
SORT l BY nosort GET o*
SORT l LIMIT 1 1 ALPHA DESC
RPUSH l a
SORT l
SORT l STORE out
SORT l ALPHA STORE out
LRANGE out 0 -1
SORT none STORE out
EXISTS out
--
OBJECT ENCODING none
OBJECT HELP x
OBJECT FREQ none
COPY none other
SET a 1
COPY a a
COPY a b DB 99
COPY a b DB x
MOVE a 0
MOVE a 99
MOVE a x
RENAME none b
RENAME a a
SELECT 99
SELECT x
SWAPDB 0 99
SWAPDB x 0
RESTORE r 0 garbage
RESTORE r -1 garbage
DUMP none
TYPE a b
SCAN x
SCAN 0 COUNT x
SCAN 0 MATCH
SCAN 0 TYPE
KEYS
DBSIZE x
FLUSHALL x
FLUSHDB ASYNC x
ECHO
PING a b
TIME x
"#;

/// All scripts.
pub fn all() -> Vec<Script> {
    TEXT.split("\n--\n").map(parse).collect()
}

/// A script from its text; what a difference prints can be read back.
pub fn parse(text: &str) -> Script {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(split)
        .collect()
}

/// Splits a line into arguments; double quotes group, with the escapes of `escape_ascii` inside.
pub fn split(line: &str) -> Vec<Vec<u8>> {
    let (mut args, mut rest) = (Vec::new(), line.as_bytes());
    while let Some(&first) = rest.first() {
        let mut arg = Vec::new();
        if first == b'"' {
            rest = &rest[1..];
            while rest.first().expect("a closing quote") != &b'"' {
                let (byte, used) = unescape(rest);
                arg.push(byte);
                rest = &rest[used..];
            }
            rest = &rest[1..];
        } else {
            let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
            arg.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        args.push(arg);
        rest = rest.trim_ascii_start();
    }
    args
}

/// The byte at the start of quoted text, and how many bytes of text it took.
fn unescape(text: &[u8]) -> (u8, usize) {
    match text {
        [b'\\', b'x', high, low, ..] => {
            let digits = [*high, *low];
            let hex = std::str::from_utf8(&digits).expect("two hex digits");
            (u8::from_str_radix(hex, 16).expect("two hex digits"), 4)
        }
        [b'\\', b'n', ..] => (b'\n', 2),
        [b'\\', b'r', ..] => (b'\r', 2),
        [b'\\', b't', ..] => (b'\t', 2),
        [b'\\', other, ..] => (*other, 2),
        _ => (text[0], 1),
    }
}
