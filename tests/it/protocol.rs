//! The wire protocol at its edges: every protocol error, inline commands, requests cut at every byte, big arguments.
//!
//! Every expected text was seen on Redis 7.0.15 and 8.2.3; run `REDSTART_IT_BIN=redis-server cargo test --test it protocol` to see it again.

use crate::harness::{Conn, Reply, Server, wire};

/// What the server has to answer to these bytes, up to where it waits or closes.
struct Case {
    send: Vec<u8>,
    reply: &'static [u8],
    closes: bool,
}

fn open(send: impl Into<Vec<u8>>, reply: &'static [u8]) -> Case {
    Case {
        send: send.into(),
        reply,
        closes: false,
    }
}

fn closes(send: impl Into<Vec<u8>>, reply: &'static [u8]) -> Case {
    Case {
        send: send.into(),
        reply,
        closes: true,
    }
}

/// Sends the bytes, expects exactly the reply, then the close, or that the connection still works.
#[track_caller]
fn check(server: &Server, case: &Case) {
    let shown = case.send[..case.send.len().min(60)]
        .escape_ascii()
        .to_string();
    let mut conn = server.conn();
    conn.write(&case.send)
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    if case.closes {
        assert!(conn.is_closed_by_peer(), "{shown}: not closed");
        assert_eq!(
            conn.leftover().escape_ascii().to_string(),
            case.reply.escape_ascii().to_string(),
            "{shown}"
        );
        return;
    }
    // A command of our own marks the end of what the case made the server say.
    conn.write(b"*2\r\n$4\r\nECHO\r\n$7\r\n<<end>>\r\n")
        .expect("still open");
    let mut got = Vec::new();
    loop {
        let (reply, raw) = conn
            .read_raw()
            .unwrap_or_else(|e| panic!("{shown}: {e} after {}", got.escape_ascii()));
        if reply == Reply::bulk("<<end>>") {
            break;
        }
        got.extend_from_slice(&raw);
    }
    assert_eq!(
        got.escape_ascii().to_string(),
        case.reply.escape_ascii().to_string(),
        "{shown}"
    );
}

fn check_all(args: &[&str], cases: &[Case]) {
    let server = Server::start(args);
    for case in cases {
        check(&server, case);
    }
    assert_eq!(
        server.conn().cmd("PING"),
        Reply::simple("PONG"),
        "other clients are not affected"
    );
}

#[test]
fn multibulk_lengths() {
    let invalid = b"-ERR Protocol error: invalid multibulk length\r\n";
    check_all(
        &[],
        &[
            closes("*1234567890123\r\n", invalid),
            closes("*blabla\r\n", invalid),
            closes("*1a\r\n", invalid),
            closes("*\r\n", invalid),
            closes("*+1\r\n$4\r\nPING\r\n", invalid),
            closes("*01\r\n$4\r\nPING\r\n", invalid),
            closes("*99999999999999999999999\r\n", invalid),
            // Nothing to do, and nothing said.
            open("*0\r\n", b""),
            open("*-1\r\n", b""),
            open("*-10\r\nPING\r\n", b"+PONG\r\n"),
            closes(
                "*".to_string() + &"1".repeat(70_000),
                b"-ERR Protocol error: too big mbulk count string\r\n",
            ),
        ],
    );
}

#[test]
fn bulk_lengths() {
    let invalid = b"-ERR Protocol error: invalid bulk length\r\n";
    check_all(
        &[],
        &[
            closes("*1\r\n$-10\r\n", invalid),
            closes("*1\r\n$-1\r\n", invalid),
            closes("*1\r\n$2000000000\r\n", invalid),
            closes("*1\r\n$536870913\r\n", invalid),
            closes("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", invalid),
            closes("*1\r\n$\r\n", invalid),
            closes("*1\r\n$01\r\n", invalid),
            closes("*1\r\n$9999999999999999999999\r\n", invalid),
            closes(
                "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
                b"-ERR Protocol error: expected '$', got 'f'\r\n",
            ),
            closes(
                "*1\r\n:1\r\n",
                b"-ERR Protocol error: expected '$', got ':'\r\n",
            ),
            closes(
                "*1\r\n\r\n",
                b"-ERR Protocol error: expected '$', got ' '\r\n",
            ),
            closes(
                "*1\r\n$".to_string() + &"1".repeat(70_000),
                b"-ERR Protocol error: too big bulk count string\r\n",
            ),
            // The two bytes after an argument are not looked at.
            open(
                "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
                b"+PONG\r\n+PONG\r\n",
            ),
            open(
                "*1\r\n$0\r\n\r\n",
                b"-ERR unknown command '', with args beginning with: \r\n",
            ),
        ],
    );
}

#[test]
fn replies_before_a_protocol_error_arrive() {
    check_all(
        &[],
        &[closes(
            "*1\r\n$4\r\nPING\r\nECHO hi\r\n*1\r\n$-5\r\n*1\r\n$4\r\nPING\r\n",
            b"+PONG\r\n$2\r\nhi\r\n-ERR Protocol error: invalid bulk length\r\n",
        )],
    );
}

#[test]
fn inline_commands() {
    let unbalanced = b"-ERR Protocol error: unbalanced quotes in request\r\n";
    check_all(
        &[],
        &[
            open("PING\n", b"+PONG\r\n"),
            open("  PING \r\n", b"+PONG\r\n"),
            open("\r\n\r\nPING\r\n", b"+PONG\r\n"),
            open("PiNg\tx\r\n", b"$1\r\nx\r\n"),
            open(
                "SET \"a b\" 'c d'\r\nGET \"a b\"\r\n",
                b"+OK\r\n$3\r\nc d\r\n",
            ),
            open(
                "ECHO \"\\x41\\n\\t\\r\\b\\a\\\"\\\\\\q\"\r\n",
                b"$9\r\nA\n\t\r\x08\x07\"\\q\r\n",
            ),
            open("ECHO 'a\\'b\\n'\r\n", b"$5\r\na'b\\n\r\n"),
            open("ECHO \"\"\r\n", b"$0\r\n\r\n"),
            open(
                "foo\"bar\"\r\n",
                b"-ERR unknown command 'foobar', with args beginning with: \r\n",
            ),
            open(
                "$4\r\nPING\r\n",
                b"-ERR unknown command '$4', with args beginning with: \r\n+PONG\r\n",
            ),
            open(
                "+PING\r\n",
                b"-ERR unknown command '+PING', with args beginning with: \r\n",
            ),
            closes("SET \"a\r\n", unbalanced),
            closes("SET \"a\"b\r\n", unbalanced),
            closes("SET 'a'b\r\n", unbalanced),
            closes("SET 'a\r\n", unbalanced),
            closes(
                vec![b'x'; 70_000],
                b"-ERR Protocol error: too big inline request\r\n",
            ),
        ],
    );
}

#[test]
fn a_long_inline_line_is_a_command_when_it_arrives_whole() {
    let server = Server::start(&[]);
    let mut conn = server.conn();
    let value = "v".repeat(60_000);
    conn.write(format!("SET k {value}\r\nSTRLEN k\r\n").as_bytes())
        .expect("write");
    assert_eq!(conn.read().expect("a reply"), Reply::simple("OK"));
    assert_eq!(conn.read().expect("a reply"), Reply::Int(60_000));
}

#[test]
fn unknown_commands_and_arity() {
    check_all(
        &[],
        &[
            open(
                "GETX a b\r\n",
                b"-ERR unknown command 'GETX', with args beginning with: 'a' 'b' \r\n",
            ),
            open(
                "*3\r\n$4\r\nNOPE\r\n$3\r\na\nb\r\n$2\r\n\r\n\r\n",
                b"-ERR unknown command 'NOPE', with args beginning with: 'a b' '  ' \r\n",
            ),
            open(
                "GET\r\n",
                b"-ERR wrong number of arguments for 'get' command\r\n",
            ),
            open(
                "gEt a b\r\n",
                b"-ERR wrong number of arguments for 'get' command\r\n",
            ),
            open(
                "PING a b\r\n",
                b"-ERR wrong number of arguments for 'ping' command\r\n",
            ),
            open(
                "CONFIG NOPE\r\n",
                b"-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.\r\n",
            ),
            open(
                "CONFIG GET\r\n",
                b"-ERR wrong number of arguments for 'config|get' command\r\n",
            ),
            open(
                "OBJECT\r\n",
                b"-ERR wrong number of arguments for 'object' command\r\n",
            ),
        ],
    );
}

/// The name is cut at 128 bytes, the arguments once they fill 128.
#[test]
fn unknown_command_texts_are_cut() {
    let server = Server::start(&[]);
    let mut conn = server.conn();
    let name = "x".repeat(300);
    let got = conn
        .call(&[name.as_str(), "y"])
        .error_text()
        .expect("an error");
    assert_eq!(
        got,
        format!(
            "ERR unknown command '{}', with args beginning with: 'y' ",
            "x".repeat(128)
        )
    );
    let args: Vec<String> = std::iter::once("NOPE".to_string())
        .chain((0..60).map(|i| format!("arg{i}")))
        .collect();
    let shown: String = (0..17).map(|i| format!("'arg{i}' ")).collect();
    let got = conn.call(&args).error_text().expect("an error");
    assert_eq!(
        got,
        format!("ERR unknown command 'NOPE', with args beginning with: {shown}'ar' ")
    );
}

#[test]
fn hello_auth_and_quit() {
    check_all(
        &[],
        &[
            open("HELLO 4\r\n", b"-NOPROTO unsupported protocol version\r\n"),
            open("HELLO abc\r\n", b"-ERR Protocol version is not an integer or out of range\r\n"),
            open("HELLO 3 FOO\r\n", b"-ERR Syntax error in HELLO option 'FOO'\r\n"),
            open("HELLO 2 SETNAME \"a b\"\r\n", b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
            open(
                "AUTH a\r\n",
                b"-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
            ),
            closes("QUIT\r\nPING\r\n", b"+OK\r\n"),
            closes("PING\r\nQUIT a b\r\nPING\r\n", b"+PONG\r\n+OK\r\n"),
        ],
    );
}

/// A browser or a server-side request forgery that talks HTTP to us is cut off without a word.
#[test]
fn http_requests_are_cut_off() {
    check_all(
        &[],
        &[
            closes("POST / HTTP/1.1\r\nHost: x\r\n\r\n", b""),
            closes("Host: x\r\n", b""),
            open("GET http://\r\n", b"$-1\r\n"),
        ],
    );
}

/// Before authentication nobody may make the server reserve memory.
#[test]
fn limits_before_authentication() {
    check_all_without_ping(
        &["--requirepass", "secret"],
        &[
            closes(
                "*100\r\n",
                b"-ERR Protocol error: unauthenticated multibulk length\r\n",
            ),
            closes(
                "*2\r\n$20000\r\n",
                b"-ERR Protocol error: unauthenticated bulk length\r\n",
            ),
            open("AUTH secret\r\n", b"+OK\r\n"),
        ],
    );
}

fn check_all_without_ping(args: &[&str], cases: &[Case]) {
    let server = Server::start(args);
    for case in cases.iter() {
        check(&server, case);
    }
    let mut conn = server.conn();
    assert_eq!(
        conn.cmd("PING"),
        Reply::error("NOAUTH Authentication required.")
    );
    assert_eq!(
        conn.cmd("AUTH wrong"),
        Reply::error("WRONGPASS invalid username-password pair or user is disabled.")
    );
    assert_eq!(conn.cmd("AUTH secret"), Reply::simple("OK"));
    assert_eq!(conn.cmd("PING"), Reply::simple("PONG"));
}

#[test]
fn a_pipeline_cut_at_every_byte() {
    let server = Server::start(&[]);
    let mut request = wire::encode(&["SET", "key", "va\r\nlue"]);
    request.extend_from_slice(b"GET key\r\n");
    request.extend_from_slice(&wire::encode(&["MGET", "key", "", "none"]));
    request.extend_from_slice(b"\r\nECHO 'a b'\r\n*0\r\n");
    request.extend_from_slice(&wire::encode(&["LPUSH", "key", "x"]));
    request.extend_from_slice(&wire::encode(&["PING"]));
    let expected =
        b"+OK\r\n$7\r\nva\r\nlue\r\n*3\r\n$7\r\nva\r\nlue\r\n$-1\r\n$-1\r\n$3\r\na b\r\n\
        -WRONGTYPE Operation against a key holding the wrong kind of value\r\n+PONG\r\n";
    for cut in 0..=request.len() {
        let mut conn = server.conn();
        conn.write(&request[..cut]).expect("write");
        std::thread::sleep(std::time::Duration::from_millis(1));
        conn.write(&request[cut..]).expect("write");
        assert_eq!(
            read_replies(&mut conn, 6).escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "cut at {cut}"
        );
    }
    // And one byte at a time.
    let mut conn = server.conn();
    for byte in &request {
        conn.write(std::slice::from_ref(byte)).expect("write");
    }
    assert_eq!(read_replies(&mut conn, 6), expected);
}

fn read_replies(conn: &mut Conn, count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|_| conn.read_raw().expect("a reply").1)
        .collect()
}

#[test]
fn big_arguments() {
    let server = Server::start(&[]);
    let mut conn = server.conn();
    // Around the sizes at which a server changes how it reads an argument.
    for size in [
        0,
        1,
        1023,
        16 * 1024,
        32 * 1024 - 1,
        32 * 1024,
        32 * 1024 + 1,
        64 * 1024,
        1 << 20,
        20 << 20,
    ] {
        let value: Vec<u8> = (0..size)
            .map(|i: u32| (i.wrapping_mul(31) >> 3) as u8)
            .collect();
        assert_eq!(
            conn.call(&[b"SET".as_slice(), b"k", &value]),
            Reply::simple("OK"),
            "{size}"
        );
        assert!(
            conn.cmd("GET k") == Reply::bulk(&value),
            "the value of {size} bytes came back changed"
        );
        assert_eq!(
            conn.call(&[b"ECHO".as_slice(), &value])
                .bytes()
                .map(<[u8]>::len),
            Some(value.len())
        );
    }
    let args: Vec<String> = std::iter::once("RPUSH".to_string())
        .chain(std::iter::once("l".to_string()))
        .chain((0..100_000).map(|i| i.to_string()))
        .collect();
    assert_eq!(conn.call(&args), Reply::Int(100_000));
}

/// More replies than any socket buffer holds while the client only writes.
#[test]
fn a_long_pipeline_written_before_anything_is_read() {
    let server = Server::start(&[]);
    let mut conn = server.conn();
    conn.call(&["SET", "k", &"v".repeat(100)]);
    let one = wire::encode(&["GET", "k"]);
    let (rounds, mut writer) = (20_000, server.conn());
    std::thread::scope(|scope| {
        let all: Vec<u8> = one.repeat(rounds);
        let read_side = &mut writer;
        scope.spawn(move || {
            read_side.write(&all).expect("write");
            for _ in 0..rounds {
                assert_eq!(
                    read_side.read().expect("a reply").bytes().map(<[u8]>::len),
                    Some(100)
                );
            }
        });
    });
}

#[test]
fn resp3_types() {
    let server = Server::start(&[]);
    let mut conn = server.conn();
    let Reply::Map(fields) = conn.cmd("HELLO 3 SETNAME me") else {
        panic!("not a map")
    };
    let keys: Vec<_> = fields
        .iter()
        .filter_map(|(k, _)| k.bytes())
        .map(|k| String::from_utf8_lossy(k).into_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "server", "version", "proto", "id", "mode", "role", "modules"
        ]
    );
    assert_eq!(conn.cmd("CLIENT GETNAME"), Reply::bulk("me"));
    assert_eq!(conn.cmd("GET none"), Reply::Null);
    assert_eq!(conn.cmd("HGETALL none"), Reply::Map(vec![]));
    assert_eq!(conn.cmd("SMEMBERS none"), Reply::Set(vec![]));
    conn.cmd("ZADD z 1.5 a");
    assert_eq!(conn.cmd("ZSCORE z a"), Reply::Double(b"1.5".to_vec()));
    assert_eq!(
        conn.cmd("ZRANGE z 0 -1 WITHSCORES"),
        Reply::Array(Some(vec![Reply::Array(Some(vec![
            Reply::bulk("a"),
            Reply::Double(b"1.5".to_vec())
        ]))]))
    );
    conn.cmd("HELLO 2");
    assert_eq!(conn.cmd("GET none"), Reply::Bulk(None));
    assert_eq!(conn.cmd("ZSCORE z a"), Reply::bulk("1.5"));
}

#[test]
fn random_bytes_never_end_the_server() {
    let server = Server::start(&[]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"*$:\r\n\r\n0123456789-+\"'\\xPINGSET \x00\xff";
    for _ in 0..300 {
        let mut conn = server.conn();
        let bytes: Vec<u8> = (0..next() % 400)
            .map(|_| alphabet[(next() % alphabet.len() as u64) as usize])
            .collect();
        // The server may close in the middle; that is its right.
        let _ = conn.write(&bytes);
    }
    assert_eq!(server.conn().cmd("PING"), Reply::simple("PONG"));
}
