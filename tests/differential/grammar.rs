//! Random commands from templates.
//!
//! A template is a line: words, `{placeholders}`, `(a|b)` one of, `[a|b]` one of or nothing, and `*` after any of these: one to four
//! times. `parse` turns it into a tree once; `Gen::command` walks the tree. One command in eight is then damaged on purpose (an argument
//! lost, doubled, replaced by rubbish, moved), which reaches the error paths of every option in every position.

use crate::trees::QUIET;

/// xorshift64*: good enough to choose test input, and the same everywhere for a seed.
pub struct Dice(u64);

impl Dice {
    /// Any seed, also 0.
    pub fn new(seed: u64) -> Dice {
        // splitmix64's finisher, so that neighbouring seeds have nothing in common.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Dice((mixed ^ (mixed >> 31)).max(1))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 up to, not including, `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A parsed template.
#[derive(Debug)]
pub enum Node {
    Word(String),
    OneOf(Vec<Vec<Node>>, bool),
    Many(Box<Node>),
    /// As `Many`, with the number of times before it; sometimes another number.
    Counted(Box<Node>),
}

/// Parses a template; a mistake in one is a mistake in this test, so it panics.
pub fn parse(template: &str) -> Vec<Node> {
    let spaced: String = template
        .chars()
        .flat_map(|c| {
            if "()[]|*".contains(c) {
                vec![' ', c, ' ']
            } else {
                vec![c]
            }
        })
        .collect();
    // A star glued to a word is a repetition; a literal star is written `{star}`.
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let nodes = sequence(&tokens, &mut at);
    assert_eq!(at, tokens.len(), "unbalanced template: {template}");
    nodes
}

fn sequence(tokens: &[&str], at: &mut usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(&token) = tokens.get(*at) {
        match token {
            "|" | ")" | "]" => break,
            "*" => {
                let last = nodes.pop().expect("a star follows something");
                nodes.push(Node::Many(Box::new(last)));
                *at += 1;
            }
            "(" | "[" => {
                *at += 1;
                let mut choices = vec![sequence(tokens, at)];
                while tokens.get(*at) == Some(&"|") {
                    *at += 1;
                    choices.push(sequence(tokens, at));
                }
                *at += 1;
                nodes.push(Node::OneOf(choices, token == "["));
            }
            word => {
                nodes.push(Node::Word(word.to_string()));
                *at += 1;
            }
        }
    }
    nodes
}

/// A family of commands: its name, the keys it lives on, its templates.
pub struct Family {
    pub name: &'static str,
    pub keys: &'static [&'static str],
    pub templates: Vec<Vec<Node>>,
}

/// Makes commands.
pub struct Gen {
    pub dice: Dice,
}

const ALL_KEYS: &[&str] = &[
    "s1", "s2", "s3", "l1", "l2", "t1", "t2", "t3", "h1", "h2", "z1", "z2", "z3", "x1", "x2", "p1",
    "p2", "b1", "b2", "g1",
];
const JUNK: &[&str] = &[
    "",
    "abc",
    "-1",
    "0",
    "1",
    "2",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "5e-324",
    " 1",
    "1 ",
    "+1",
    "01",
    "0x10",
    "*",
    "$",
    "-",
    "(",
    "[a",
    "(1",
    "NX",
    "XX",
    "GT",
    "EX",
    "COUNT",
    "LIMIT",
    "WITHSCORES",
    "BY",
    "GET",
    "4294967296",
    "536870912",
    "1-1",
    "99999999999",
    "s1",
    "l1",
    "z1",
];

const RULES: &[&str] = &[
    "on",
    "off",
    "nopass",
    ">secret",
    "<secret",
    "<other",
    "resetpass",
    "reset",
    "+@all",
    "-@all",
    "+@read",
    "-@write",
    "+get",
    "-get",
    "+config|get",
    "-config|set",
    "+config",
    "+nope",
    "-@nope",
    "+get|x",
    "+select|0",
    "allkeys",
    "resetkeys",
    "~s*",
    "~h1",
    "%R~s*",
    "%W~l*",
    "%RW~x",
    "%~x",
    "%X~x",
    "allchannels",
    "resetchannels",
    "&c*",
    "nocommands",
    "allcommands",
    "(+get ~s1)",
    "(~s1 +set &c)",
    "(nope)",
    "(+get",
    "clearselectors",
    "skip-sanitize-payload",
    "sanitize-payload",
    "#abc",
    "",
    "junk",
];
const SCRIPTS: &[&str] = &[
    "return 1",
    "return redis.call('get', KEYS[1])",
    "return redis.call('set', KEYS[1], ARGV[1])",
    "return redis.pcall('lpush', KEYS[1], 'a', 'b')",
    "return redis.call('lrange', KEYS[1], 0, -1)",
    "return {1, 2.9, 'x', false, true, {ok='fine'}, {err='My bad'}, nil, 5}",
    "return redis.error_reply('ERR no')",
    "return redis.status_reply('yes')",
    "return {double=3.5}",
    "return {map={a=1}}",
    "return redis.call('nosuch')",
    "return redis.call('get')",
    "return redis.pcall('get', 'a', 'b')",
    "error('boom')",
    "error({err='ERR table'})",
    "return nope.x",
    "x = 1",
    "return #KEYS .. ':' .. #ARGV",
    "syntax error here",
    "return tostring(redis.call('hgetall', KEYS[1])[1])",
    "redis.setresp(3); return redis.call('hgetall', KEYS[1])",
    "return cjson.encode({1, 'a', {b=2}})",
    "return cmsgpack.unpack(cmsgpack.pack({1, 2, 'x'}))",
    "return redis.sha1hex('x')",
    "#!lua\nreturn redis.call('incr', KEYS[1])",
    "#!lua flags=no-writes\nreturn redis.call('incr', KEYS[1])",
    "#!lua flags=nope\nreturn 1",
    "#!python\nreturn 1",
    "return redis.call('expire', KEYS[1], 5000)",
    "return {redis.REDIS_VERSION_NUM ~= nil, redis.LOG_WARNING}",
    "",
];
const LIBRARIES: &[&str] = &[
    "#!lua name=lib1\nredis.register_function('f1', function(keys, args) return #keys end)",
    "#!lua name=lib1\nredis.register_function('f2', function(keys, args) return redis.call('get', keys[1]) end)",
    "#!lua name=lib2\nredis.register_function{function_name='f2', callback=function(keys) return redis.call('incr', keys[1]) end, flags={'no-writes'}}",
    "#!lua name=lib3\nreturn 1",
    "#!lua name=lib3\nredis.call('get', 'x')",
    "#!lua\nreturn 1",
    "#!lua name=bad-name\nreturn 1",
    "#!js name=lib\nreturn 1",
    "redis.register_function('f1', function() end)",
    "#!lua name=lib4\nsyntax error",
    "#!lua name=lib4 x=1\nredis.register_function('f4', function() return 1 end)",
    "#!lua name=lib5\nredis.register_function('f 5', function() return 1 end)",
    "",
];

impl Gen {
    /// A generator for a seed.
    pub fn new(seed: u64) -> Gen {
        Gen {
            dice: Dice::new(seed),
        }
    }

    /// One command of the family, sometimes damaged.
    pub fn command(&mut self, family: &Family) -> Vec<Vec<u8>> {
        let template = &family.templates[self.dice.below(family.templates.len())];
        let mut args = Vec::new();
        self.walk(template, family, &mut args);
        // A damaged command of the second connection might wait for a time that two servers do not measure alike.
        let aside = args.first().is_some_and(|word| word == crate::aside::WORD);
        if self.dice.one_in(8) && !aside {
            let quiet = args.first().is_some_and(|word| word == QUIET.as_bytes());
            let word = quiet.then(|| args.remove(0));
            self.damage(&mut args);
            args.splice(0..0, word);
        }
        args
    }

    fn walk(&mut self, nodes: &[Node], family: &Family, out: &mut Vec<Vec<u8>>) {
        for node in nodes {
            match node {
                Node::Word(word) => out.push(self.word(word, family)),
                Node::OneOf(choices, optional) => {
                    if !optional || self.dice.one_in(2) {
                        let choice = self.dice.below(choices.len());
                        self.walk(&choices[choice], family, out);
                    }
                }
                Node::Many(inner) => {
                    for _ in 0..=self.dice.below(4) {
                        self.walk(std::slice::from_ref(inner), family, out);
                    }
                }
                Node::Counted(inner) => {
                    let (at, times) = (out.len(), 1 + self.dice.below(4));
                    for _ in 0..times {
                        self.walk(std::slice::from_ref(inner), family, out);
                    }
                    let wrong = usize::from(self.dice.one_in(12));
                    out.insert(at, (times + wrong).to_string().into_bytes());
                }
            }
        }
    }

    fn word(&mut self, word: &str, family: &Family) -> Vec<u8> {
        let Some((before, rest)) = word.split_once('{') else {
            return word.as_bytes().to_vec();
        };
        let (class, after) = rest.split_once('}').expect("a closed placeholder");
        let mut out = before.as_bytes().to_vec();
        out.extend_from_slice(&self.value(class, family));
        out.extend_from_slice(after.as_bytes());
        out
    }

    fn value(&mut self, class: &str, family: &Family) -> Vec<u8> {
        let d = &mut self.dice;
        let small = d.below(12);
        let text = match class {
            "k" if d.one_in(12) => (*d.pick(ALL_KEYS)).into(),
            "k" => (*d.pick(family.keys)).into(),
            "any" => (*d.pick(ALL_KEYS)).into(),
            "e" => return self.element(),
            "v" => return self.content(),
            "f" => format!("f{}", d.below(7)),
            "i" if d.one_in(15) => (*d.pick(&[
                "9223372036854775807",
                "-9223372036854775808",
                "4611686018427387904",
                "2147483648",
            ]))
            .into(),
            "i" => (small as i64 - 4).to_string(),
            "n" => d.below(9).to_string(),
            "pos" => (1 + d.below(5)).to_string(),
            "ttl" => (1000 + d.below(9000)).to_string(),
            "ms" => (1_000_000 + d.below(9_000_000)).to_string(),
            "at" => (4_000_000_000_u64 + d.below(1000) as u64).to_string(),
            "atms" => (4_000_000_000_000_u64 + d.below(1000) as u64).to_string(),
            "x" => (*d.pick(&[
                "0",
                "1",
                "-1",
                "1.5",
                "-2.25",
                "3",
                "10",
                "0.1",
                "1e10",
                "3.0e3",
                "-0",
                "inf",
                "-inf",
                "1e-7",
                "123456789012",
                "0.30000000000000004",
                "1e17",
            ]))
            .into(),
            "range" => (*d.pick(&[
                "-inf", "+inf", "(1", "1", "(3", "3", "-1", "(-inf", "10", "1.5", "(1e10", "nope",
            ]))
            .into(),
            "lex" => (*d.pick(&[
                "-", "+", "[a", "(a", "[c", "(c", "[f", "[", "(", "c", "[e12",
            ]))
            .into(),
            "bit" => d.below(2).to_string(),
            "off" if d.one_in(20) => (*d.pick(&["4294967295", "4294967296", "-1", "9000"])).into(),
            "off" => d.below(200).to_string(),
            "type" => format!(
                "{}{}",
                d.pick(&["u", "i"]),
                d.pick(&[
                    "1", "2", "4", "5", "8", "13", "16", "32", "63", "64", "65", "0"
                ])
            ),
            "pat" => (*d.pick(&[
                "*", "s*", "?1", "[a-f]*", "*1", "f[0-3]", "\\*", "nope", "e*", "[^a]*", "",
            ]))
            .into(),
            "lk" => (*d.pick(&["y1", "y2"])).into(),
            "star" => "*".into(),
            "id" => (*d.pick(&[
                "0-1",
                "1-1",
                "1-2",
                "2-1",
                "3",
                "3-5",
                "5-0",
                "7-7",
                "9-1",
                "12-3",
                "0",
                "18446744073709551615-18446744073709551615",
                "4-*",
            ]))
            .into(),
            "from" => (*d.pick(&["-", "0", "1-1", "2", "(1-1", "(2", "3-5", "+"])).into(),
            "to" => (*d.pick(&["+", "9", "2", "(3-5", "12-3", "7-7", "-"])).into(),
            "grp" => format!("g{}", d.below(2)),
            "con" => format!("c{}", d.below(2)),
            "lon" => (*d.pick(&[
                "13.361389",
                "15.087269",
                "-122.27",
                "0",
                "180",
                "-180",
                "181",
                "2.35",
                "13.5",
            ]))
            .into(),
            "lat" => (*d.pick(&[
                "38.115556",
                "37.502669",
                "37.8",
                "0",
                "85",
                "-85.05",
                "86",
                "48.85",
                "38.0",
            ]))
            .into(),
            "unit" => (*d.pick(&["m", "km", "mi", "ft", "KM", "yd"])).into(),
            "user" => (*d.pick(&["u1", "u2", "nobody"])).into(),
            "rule" => (*d.pick(RULES)).into(),
            "lua" => (*d.pick(SCRIPTS)).into(),
            "library" => (*d.pick(LIBRARIES)).into(),
            "dist" => (*d.pick(&["0", "1", "100", "200", "1000", "20000", "1e7", "-1"])).into(),
            other => panic!("no placeholder {other}"),
        };
        text.into_bytes()
    }

    fn element(&mut self) -> Vec<u8> {
        let d = &mut self.dice;
        match d.below(20) {
            0 => b"".to_vec(),
            1 => vec![b'e'; 65 + d.below(10)],
            2 => b"\x00\xff\r\n\x80".to_vec(),
            3..=8 => (d.below(8) as i64 - 2).to_string().into_bytes(),
            9 => b"3000000000".to_vec(),
            10 => b"70000".to_vec(),
            11 => b"01".to_vec(),
            _ => vec![b"abcdefgh"[d.below(8)]],
        }
    }

    fn content(&mut self) -> Vec<u8> {
        let d = &mut self.dice;
        match d.below(16) {
            0 => b"".to_vec(),
            1 => vec![b'v'; 40 + d.below(10)],
            2 => b"\x00\x01\xfe\xff".to_vec(),
            3 => b"9223372036854775807".to_vec(),
            4 => b"-9223372036854775808".to_vec(),
            5 => b"3.25".to_vec(),
            6 => b" 12".to_vec(),
            7 => b"1e3".to_vec(),
            8..=11 => (d.below(40) as i64 - 10).to_string().into_bytes(),
            12 => b"ohmytext".to_vec(),
            13 => b"mynewtext".to_vec(),
            _ => b"foobar".to_vec(),
        }
    }

    /// Spoils a command in one way. The name stays, or there would be nothing to compare.
    fn damage(&mut self, args: &mut Vec<Vec<u8>>) {
        let d = &mut self.dice;
        let at = 1 + d.below(args.len());
        match d.below(6) {
            0 if at < args.len() => drop(args.remove(at)),
            1 => args.truncate(at),
            2 if at < args.len() => args.insert(at, args[at].clone()),
            3 if at < args.len() && args.len() > 2 => {
                let other = 1 + d.below(args.len() - 1);
                args.swap(at, other);
            }
            4 if at < args.len() => args[at] = d.pick(JUNK).as_bytes().to_vec(),
            _ => args.insert(at.min(args.len()), d.pick(JUNK).as_bytes().to_vec()),
        }
    }
}
