//! Random commands, payloads and bytes: whatever is sent, the server lives on and answers.
//!
//! Names and option words come from the server's own COMMAND DOCS. Each seed is the same sequence every time; where the server dies, the last
//! batch is printed. The long form of this test was run by hand, see SECURITY.md.

use crate::harness::{Conn, Reply, Server, wire};

const BATCHES: usize = 400;
const BATCH: usize = 20;

/// What would end or stop the server on purpose, wait, or talk to others.
const LEFT_OUT: &[&str] = &[
    "SHUTDOWN",
    "DEBUG",
    "REPLICAOF",
    "SLAVEOF",
    "FAILOVER",
    "MONITOR",
    "PSYNC",
    "SYNC",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "QUIT",
    "RESET",
    "AUTH",
    "ACL",
    "CONFIG",
    "CLIENT",
    "HELLO",
    "MIGRATE",
    "WAIT",
    "WAITAOF",
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "MULTI",
    "BGSAVE",
    "SAVE",
    "BGREWRITEAOF",
    "CLUSTER",
    "MODULE",
    "REPLCONF",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "10",
    "127",
    "128",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "nan",
    "1e308",
    "1e400",
    "5e-324",
    "0x10",
];
const ODD: &[&str] = &[
    "(1",
    "[a",
    "-",
    "+",
    "$",
    "*",
    ">",
    "5-1",
    "0-0",
    "1-*",
    "u8",
    "i64",
    "u63",
    "i1",
    "#3",
    "a*",
    "",
    "FIELDS",
    "\\",
    "[^a-",
    "**********a",
    "nosort",
    "STREAMS",
    "18446744073709551615-18446744073709551615",
];
const SCRIPTS: &[&str] = &[
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.pcall(unpack(ARGV))",
    "return cjson.decode(ARGV[1])",
    "return cmsgpack.unpack(ARGV[1])",
    "return struct.unpack(ARGV[1], ARGV[2])",
    "return struct.pack(ARGV[1], ARGV[2])",
    "return string.format(ARGV[1], ARGV[2])",
];

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most))
            .map(|_| self.below(256) as u8)
            .collect()
    }
}

type Args = Vec<Vec<u8>>;

struct Hostile {
    dice: Dice,
    /// Words of the name, and the words its options begin with.
    commands: Vec<(Args, Args)>,
    payloads: Vec<Vec<u8>>,
}

impl Hostile {
    fn key(&mut self) -> Vec<u8> {
        format!("k{}", self.dice.below(12)).into_bytes()
    }

    fn argument(&mut self, options: &[Vec<u8>]) -> Vec<u8> {
        match self.dice.below(20) {
            0..8 => self.key(),
            8..11 => self.dice.pick(NUMBERS).into(),
            11..16 if !options.is_empty() => options[self.dice.below(options.len())].clone(),
            11..17 => self.dice.pick(ODD).into(),
            17 => self.dice.bytes(40),
            _ => format!("f{}", self.dice.below(5)).into_bytes(),
        }
    }

    fn any(&mut self) -> Args {
        let (name, options) = self.commands[self.dice.below(self.commands.len())].clone();
        let mut args = name;
        for _ in 0..[0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 12][self.dice.below(12)] {
            args.push(self.argument(&options));
        }
        // Two thousand million members are what was asked for, and would be sent.
        if args[0].windows(4).any(|part| part == b"RAND") {
            args.retain(|arg| arg != b"-2147483648");
        }
        let waits = args.iter().any(|arg| arg.eq_ignore_ascii_case(b"BLOCK"));
        if waits { vec![b"PING".to_vec()] } else { args }
    }

    fn filler(&mut self) -> Args {
        let many = [1, 3, 20, 300][self.dice.below(4)];
        let (name, width) = self
            .dice
            .pick(&[
                &("SET", 1),
                &("RPUSH", 1),
                &("SADD", 1),
                &("ZADD", 2),
                &("HSET", 2),
                &("PFADD", 1),
            ])
            .to_owned();
        let mut args = vec![name.into(), self.key()];
        for i in 0..if name == "SET" { 1 } else { many * width } {
            let text = match self.dice.below(3) {
                _ if name == "ZADD" && i % 2 == 0 => {
                    format!("{}.5", self.dice.below(9)).into_bytes()
                }
                0 => self.dice.below(300).to_string().into_bytes(),
                1 => vec![b'x'; self.dice.below(200)],
                _ => self.dice.bytes(9),
            };
            args.push(text);
        }
        args
    }

    /// A payload of DUMP with a few bytes changed, under a right checksum.
    fn restore(&mut self) -> Args {
        let mut body = self.payloads[self.dice.below(self.payloads.len())].clone();
        body.truncate(body.len().saturating_sub(10));
        for _ in 0..self.dice.below(5) {
            let at = self.dice.below(body.len().max(1));
            match self.dice.below(5) {
                _ if body.is_empty() => {}
                0 => drop(body.remove(at)),
                1 => body.insert(at, self.dice.below(256) as u8),
                2 => body[at] = [0, 0x7f, 0x80, 0x81, 0xff, 0xfe, 0xc0, 0xc3][self.dice.below(8)],
                _ => body[at] = self.dice.below(256) as u8,
            }
        }
        let sealed = redstart::persist::rdb::dump::add_footer(body);
        vec![
            b"RESTORE".to_vec(),
            self.key(),
            b"0".to_vec(),
            sealed,
            b"REPLACE".to_vec(),
        ]
    }

    fn command(&mut self) -> Args {
        let args = match self.dice.below(20) {
            0..6 => self.filler(),
            6 if !self.payloads.is_empty() => self.restore(),
            _ => self.any(),
        };
        if self.dice.one_in(20) {
            let script = self.dice.pick(SCRIPTS).as_bytes().to_vec();
            return [vec![b"EVAL".to_vec(), script, b"0".to_vec()], args].concat();
        }
        args
    }

    /// Bytes that are no request.
    fn rubbish(&mut self) -> Vec<u8> {
        let begin: &[&str] = &[
            "",
            "*1000000000\r\n",
            "*-5\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$999999999999\r\n",
            "*2\r\n$3\r\nGET\r\n$33554430\r\nabc",
            "$5\r\n",
            "PING \"abc\r\n",
            "SET a 'x\\x41\r\n",
            "\r\n\r\n",
            "*1\r\n$1048577\r\n",
            "*3\r\n$3\r\nSET\r\n$1\r\n",
        ];
        let mut bytes = self.dice.pick(begin).as_bytes().to_vec();
        bytes.extend(self.dice.bytes(60));
        if self.dice.one_in(4) {
            let command = wire::encode(&self.command());
            bytes.extend_from_slice(&command[..self.dice.below(command.len())]);
        }
        bytes
    }
}

/// Names and option words of COMMAND DOCS.
fn commands(conn: &mut Conn) -> Vec<(Args, Args)> {
    let docs = conn.cmd("COMMAND DOCS");
    let mut found = Vec::new();
    for told in docs.items().expect("a list").chunks_exact(2) {
        let name = told[0].bytes().expect("a name").to_ascii_uppercase();
        if LEFT_OUT.iter().any(|out| out.as_bytes() == name) {
            continue;
        }
        let mut subcommands = Vec::new();
        let mut options = Vec::new();
        options_of(&told[1], &mut options);
        for pair in told[1].items().unwrap_or_default().chunks_exact(2) {
            if pair[0].bytes() == Some(b"subcommands") {
                subcommands.extend(pair[1].items().unwrap_or_default().chunks_exact(2));
            }
        }
        if subcommands.is_empty() {
            found.push((vec![name], options));
            continue;
        }
        for sub in subcommands {
            let name = sub[0].bytes().expect("a name").to_ascii_uppercase();
            let mut options = Vec::new();
            options_of(&sub[1], &mut options);
            found.push((
                name.split(|b| *b == b'|').map(<[u8]>::to_vec).collect(),
                options,
            ));
        }
    }
    found
}

/// Every `token` anywhere in an argument tree.
fn options_of(told: &Reply, out: &mut Args) {
    let items = told.items().unwrap_or_default();
    for pair in items.windows(2) {
        if pair[0].bytes() == Some(b"token") {
            out.extend(pair[1].bytes().map(<[u8]>::to_vec));
        }
    }
    items.iter().for_each(|inner| options_of(inner, out));
}

/// Sends a batch behind one another and reads until the mark that ends it.
fn serve(conn: &mut Conn, batch: &[Args], mark: &str) -> std::io::Result<()> {
    let mut bytes: Vec<u8> = batch.iter().flat_map(|args| wire::encode(args)).collect();
    bytes.extend(wire::encode(&["ECHO", mark]));
    conn.write(&bytes)?;
    while conn.read()? != Reply::bulk(mark) {}
    Ok(())
}

fn run(seed: u64, resp3: bool) {
    let server = Server::start(&[
        "--enable-debug-command",
        "yes",
        "--proto-max-bulk-len",
        "8mb",
        "--maxmemory",
        "300mb",
        "--maxmemory-policy",
        "allkeys-lru",
    ]);
    let open = || if resp3 { server.conn3() } else { server.conn() };
    let mut conn = open();
    let mut look = server.conn();
    let mut hostile = Hostile {
        dice: Dice(seed),
        commands: commands(&mut look),
        payloads: Vec::new(),
    };
    for round in 0..BATCHES {
        let mut batch: Vec<Args> = (0..BATCH).map(|_| hostile.command()).collect();
        if hostile.dice.one_in(6) {
            let at = hostile.dice.below(BATCH);
            batch.insert(at, vec![b"MULTI".to_vec()]);
        }
        let end = if hostile.dice.one_in(2) {
            "EXEC"
        } else {
            "DISCARD"
        };
        batch.push(vec![end.into()]);
        if hostile.dice.one_in(20) {
            batch.push(vec![b"DEBUG".to_vec(), b"RELOAD".to_vec()]);
        }
        if let Err(e) = serve(&mut conn, &batch, &format!("end of batch {round}")) {
            let shown: Vec<String> = batch
                .iter()
                .map(|args| args.join(b" ".as_slice()).escape_ascii().to_string())
                .collect();
            panic!("seed {seed}, batch {round}: {e}\n{}", shown.join("\n"));
        }
        if let Reply::Bulk(Some(payload)) = look.call(&[b"DUMP".to_vec(), hostile.key()]) {
            hostile.payloads.push(payload);
        }
        let mut stranger = server.conn();
        let rubbish = hostile.rubbish();
        stranger.write(&rubbish).expect("a server that reads");
        drop(stranger);
        assert_eq!(
            look.cmd("PING"),
            Reply::simple("PONG"),
            "after {}",
            rubbish.escape_ascii()
        );
    }
}

#[test]
fn random_commands_and_bytes() {
    run(9, false);
}

#[test]
fn random_commands_and_bytes_resp3() {
    run(31, true);
}
