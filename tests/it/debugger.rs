//! The Lua debugger, as `redis-cli --ldb` speaks to it. What it answers was taken from 8.2.3.

use crate::harness::wire::encode;
use crate::harness::{Conn, Reply, Server};

const SCRIPT: &str = "local a = 5
local t = {1,2,{x=3}}
local function f(n)
  local b = n + 1
  redis.breakpoint()
  redis.debug('hello', t, nil, true)
  return b
end
local r = redis.call('set', KEYS[1], ARGV[1])
for i=1,2 do
  a = a + f(i)
end
return {a, r}";

/// The lines of an answer.
fn lines(reply: &Reply) -> Vec<String> {
    let line = |r: &Reply| match r {
        Reply::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("no line: {other:?}"),
    };
    reply.items().expect("lines").iter().map(line).collect()
}

fn say(c: &mut Conn, words: &str) -> Vec<String> {
    let words: Vec<&str> = words.split(' ').collect();
    lines(&c.call(&words))
}

fn begin(c: &mut Conn, mode: &str, script: &str) -> Vec<String> {
    assert_eq!(c.call(&["SCRIPT", "DEBUG", mode]), Reply::simple("OK"));
    lines(&c.call(&["EVAL", script, "1", "k", "v"]))
}

#[test]
fn a_session_in_the_server() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let stop = |line: usize, why: &str| {
        let text = SCRIPT.lines().nth(line - 1).expect("a line");
        [
            format!("* Stopped at {line}, stop reason = {why}"),
            format!("-> {line:<3} {text}"),
        ]
    };
    assert_eq!(begin(&mut c, "SYNC", SCRIPT), stop(1, "step over"));
    assert_eq!(
        say(&mut c, "p"),
        ["No local variables in the current context."]
    );
    assert_eq!(say(&mut c, "step"), stop(2, "step over"));
    assert_eq!(say(&mut c, "print"), ["<value> a = 5"]);
    assert_eq!(say(&mut c, "p nope"), ["No such variable."]);
    assert_eq!(say(&mut c, "N"), stop(8, "step over"));
    assert_eq!(say(&mut c, "s"), stop(9, "step over"));
    assert_eq!(say(&mut c, "p t"), ["<value> {1; 2; {[\"x\"]=3}}"]);
    assert_eq!(say(&mut c, "p KEYS"), ["<value> {\"k\"}"]);
    assert_eq!(
        say(&mut c, "l 2 1"),
        [
            "   1   local a = 5",
            "   2   local t = {1,2,{x=3}}",
            "   3   local function f(n)"
        ]
    );
    assert_eq!(say(&mut c, "whole").len(), 13);
    assert_eq!(
        say(&mut c, "b 4 99 x"),
        [
            "   3   local function f(n)",
            "  #4     local b = n + 1",
            "   5     redis.breakpoint()",
            "Wrong line number.",
            "Invalid argument:'x'"
        ]
    );
    assert_eq!(
        say(&mut c, "s"),
        [
            "<redis> set k v",
            "<reply> \"+OK\"",
            "* Stopped at 10, stop reason = step over",
            "-> 10  for i=1,2 do"
        ]
    );
    let stopped = say(&mut c, "c");
    assert_eq!(stopped[0], "* Stopped at 4, stop reason = break point");
    assert_eq!(say(&mut c, "b 0"), ["All breakpoints removed."]);
    let called = stop(6, "redis.breakpoint() called");
    assert_eq!(say(&mut c, "c"), called);
    assert_eq!(
        say(&mut c, "t"),
        [
            "In f:",
            "-> 6     redis.debug('hello', t, nil, true)",
            "From top level:",
            "   11    a = a + f(i)"
        ]
    );
    assert_eq!(say(&mut c, "p b"), ["<value> 2"]);
    assert_eq!(
        say(&mut c, "p a"),
        ["<value> 5"],
        "a variable of the caller"
    );
    assert_eq!(say(&mut c, "e 1+1"), ["<retval> 2"]);
    assert_eq!(
        say(&mut c, "e b"),
        ["<error> ldb_eval:1: Script attempted to access nonexistent global variable 'b'"]
    );
    assert_eq!(
        say(&mut c, "e !!"),
        ["<error> ldb_eval:1: unexpected symbol near '!'"]
    );
    assert_eq!(say(&mut c, "e redis.call('get','k')"), ["<retval> \"v\""]);
    assert_eq!(
        say(&mut c, "redis get k"),
        ["<redis> get k", "<reply> \"v\""]
    );
    assert_eq!(
        say(&mut c, "r incr k"),
        [
            "<redis> incr k",
            "<error> -ERR value is not an integer or out of range",
            "<reply> \"-ERR value is not an integer or out of range\""
        ]
    );
    let unknown = "<error> Unknown Redis command called from script";
    assert_eq!(say(&mut c, "r nosuch"), ["<redis> nosuch", unknown]);
    let told = "<debug> line 6: \"hello\", {1; 2; {[\"x\"]=3}}, nil, true".to_string();
    assert_eq!(
        say(&mut c, "c"),
        [vec![told.clone()], called.to_vec()].concat()
    );
    assert_eq!(say(&mut c, "c"), [&*told, "<endsession>"]);
    let ended = c.read().expect("the script's reply");
    assert_eq!(
        ended,
        Reply::Array(Some(vec![Reply::Int(10), Reply::simple("OK")]))
    );
    assert!(c.is_closed_by_peer());
    assert_eq!(server.conn().cmd("GET k"), Reply::bulk("v"));
}

#[test]
fn a_session_in_a_child_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let script = "local s = string.rep('x', 300)\nredis.call('set', 'forked', s)\nreturn redis.call('strlen', 'forked')";
    begin(&mut c, "YES", script);
    // The server itself goes on meanwhile.
    let mut other = server.conn();
    assert_eq!(other.cmd("PING"), Reply::simple("PONG"));
    say(&mut c, "s");
    let cut = say(&mut c, "p s");
    assert_eq!(cut[0], format!("<value> \"{} ...", "x".repeat(256 - 9)));
    assert_eq!(say(&mut c, "maxlen 0")[0], "<value> replies are unlimited.");
    assert_eq!(say(&mut c, "p s")[0].len(), 310);
    assert_eq!(say(&mut c, "c"), ["<endsession>"]);
    assert_eq!(c.read().expect("the script's reply"), Reply::Int(300));
    assert!(c.is_closed_by_peer());
    assert_eq!(other.cmd("EXISTS forked"), Reply::Int(0));
}

#[test]
fn the_end_of_a_session() {
    let server = Server::start(&["--busy-reply-threshold", "30"]);
    let mut c = server.conn();
    begin(&mut c, "SYNC", "return 1");
    let unknown = "<error> Unknown Redis Lua debugger command or wrong number of arguments.";
    assert_eq!(say(&mut c, "hello\0world"), [unknown]);
    assert_eq!(say(&mut c, "abort"), ["<endsession>"]);
    let ended = c.read().expect("an error").error_text().expect("an error");
    assert!(
        ended.starts_with("ERR script aborted for user request script: "),
        "{ended}"
    );
    // An endless script can be stopped and left.
    let mut c = server.conn();
    begin(&mut c, "SYNC", "while true do end");
    assert_eq!(
        say(&mut c, "c")[0],
        "* Stopped at 1, stop reason = timeout reached, infinite loop?"
    );
    assert_eq!(say(&mut c, "a"), ["<endsession>"]);
    // Whoever leaves lets the script go on.
    let mut c = server.conn();
    begin(
        &mut c,
        "SYNC",
        "redis.call('set', KEYS[1], 'went on')\nreturn 1",
    );
    drop(c);
    assert_eq!(server.conn().cmd("GET k"), Reply::bulk("went on"));
    // What is no request ends it.
    let mut c = server.conn();
    begin(&mut c, "SYNC", "return 1");
    c.write(b"PING\r\n").expect("sent");
    assert_eq!(lines(&c.read().expect("lines")), ["<endsession>"]);
    // Errors end it too; other commands than EVAL do not begin one.
    let mut c = server.conn();
    assert_eq!(c.cmd("SCRIPT DEBUG SYNC"), Reply::simple("OK"));
    assert_eq!(
        c.cmd("EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0")
            .error_text()
            .as_deref(),
        Some("ERR Please use EVAL instead of EVALSHA for debugging")
    );
    assert_eq!(lines(&c.call(&["EVAL", "return !", "0"])), ["<endsession>"]);
    assert!(c.read().expect("an error").error_text().is_some());
    let mut c = server.conn();
    for line in ["SCRIPT DEBUG SYNC", "SCRIPT DEBUG NO"] {
        assert_eq!(c.cmd(line), Reply::simple("OK"));
    }
    assert_eq!(
        c.call(&["EVAL", "return redis.breakpoint()", "0"]),
        Reply::Bulk(None)
    );
    let wrong = Reply::error("ERR Use SCRIPT DEBUG YES/SYNC/NO");
    assert_eq!(c.cmd("SCRIPT DEBUG MAYBE"), wrong);
    c.write(
        &[
            encode(&["MULTI"]),
            encode(&["SCRIPT", "DEBUG", "YES"]),
            encode(&["EXEC"]),
        ]
        .concat(),
    )
    .expect("sent");
    let replies: Vec<_> = (0..3).map(|_| c.read().expect("a reply")).collect();
    let outside = Reply::error("ERR SCRIPT DEBUG must be called outside a pipeline");
    assert_eq!(replies[2], Reply::Array(Some(vec![outside])));
}
