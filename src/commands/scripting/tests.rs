//! Scripts and functions end to end, without sockets: answers are those of redis-8.2.3 for the same commands.

use crate::client::{Client, ClientRef};
use crate::config::Config;
use crate::exec::dispatch::dispatch;
use crate::exec::registry::Registry;
use crate::net::Conn;
use crate::resp::{OwnedArgs, Protocol};
use crate::server::Server;

/// A server without sockets and one client of it.
struct Bench {
    server: Server,
    client: ClientRef,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new(&crate::commands::all());
        let mut server = Server::new(Config::default(), registry, None).expect("a server");
        server.ks.fx.propagating = true;
        server.propagation.tap = Some(Vec::new());
        let id = server.clients.new_id();
        let client = server
            .clients
            .insert(Box::new(Client::new(id, Conn::None, 0)));
        Bench { server, client }
    }

    /// Runs one command and returns its reply, line ends as `|`.
    fn run(&mut self, words: &[&str]) -> String {
        let args = OwnedArgs::from_iter(words);
        let mut c = self.server.clients.take(self.client).expect("not running");
        self.server.clock.resync();
        dispatch(&mut self.server, &mut c, args.view(), None, None);
        let reply = String::from_utf8_lossy(&c.out.take_all()).replace("\r\n", "|");
        self.server.clients.put_back(c);
        reply
    }

    fn eval(&mut self, body: &str) -> String {
        self.run(&["eval", body, "2", "k1", "k2", "a1"])
    }

    fn resp3(&mut self, yes: bool) {
        let c = self.server.clients.get_mut(self.client).expect("there");
        c.proto = if yes {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        };
    }

    /// What was propagated since the last call.
    fn seen(&mut self) -> String {
        let fed = self.server.propagation.tap.replace(Vec::new());
        let line = |(db, args): &(Option<u32>, OwnedArgs)| {
            let words: Vec<_> = args.view().iter().map(String::from_utf8_lossy).collect();
            let db = db.filter(|db| *db != 0).map(|db| format!("{db}: "));
            db.unwrap_or_default() + &words.join(" ")
        };
        let lines: Vec<String> = fed.unwrap_or_default().iter().map(line).collect();
        lines.join("; ")
    }
}

#[test]
fn results_become_replies() {
    let mut b = Bench::new();
    for (body, reply) in [
        (
            "return {KEYS[1],KEYS[2],ARGV[1],#KEYS,#ARGV}",
            "*5|$2|k1|$2|k2|$2|a1|:2|:1|",
        ),
        ("return 3.99", ":3|"),
        ("return 1e300", ":-9223372036854775808|"),
        ("return {1,2,nil,3}", "*2|:1|:2|"),
        ("return true", ":1|"),
        ("return false", "$-1|"),
        ("return {ok='fi\\r\\nne'}", "+fi  ne|"),
        ("return {err='foo'}", "-foo|"),
        ("return {double=3.5}", "$3|3.5|"),
        ("return {map={a=1}}", "*2|$1|a|:1|"),
        (
            "return {verbatim_string={format='txt',string='x'}}",
            "$1|x|",
        ),
        ("return {{}}", "*1|*0|"),
        ("return redis.status_reply('a b')", "+a b|"),
        ("return redis.error_reply('-foo bar')", "-foo bar|"),
        ("return redis.error_reply('foo')", "-ERR foo|"),
        ("return redis.call('get','nokey')", "$-1|"),
        (
            "return setmetatable({},{__index=function() return 1 end})",
            "*0|",
        ),
    ] {
        assert_eq!(b.eval(body), reply, "{body}");
    }
    b.resp3(true);
    for (body, reply) in [
        ("return {map={a=1}}", "%1|$1|a|:1|"),
        ("return {double=3.5}", ",3.5|"),
        ("return {big_number='12'}", "(12|"),
        ("return true", ":1|"),
        ("redis.setresp(3) return true", "#t|"),
        ("return false", "_|"),
        (
            "redis.call('hset','h','f','v') redis.setresp(3) return redis.call('hgetall','h')",
            "%1|$1|f|$1|v|",
        ),
        ("return redis.call('hgetall','h')", "*2|$1|f|$1|v|"),
    ] {
        assert_eq!(b.eval(body), reply, "{body}");
    }
}

#[test]
fn errors_say_where() {
    let mut b = Bench::new();
    b.run(&["rpush", "l", "x"]);
    for (body, start) in [
        (
            "return redis.call('nosuch')",
            "-ERR Unknown Redis command called from script script: 206396248e12c6e742fd7296250433c8d7343b74, on @user_script:1.|",
        ),
        (
            "return redis.call('get','l')",
            "-WRONGTYPE Operation against a key holding the wrong kind of value script: df94f6e2145c0f1402ca5a21d71ebb02f5ae2169, on @user_script:1.|",
        ),
        (
            "return redis.pcall('get','l')",
            "-WRONGTYPE Operation against a key holding the wrong kind of value|",
        ),
        (
            "error('foo')",
            "-ERR user_script:1: foo script: 3636b3c71d6a755d5b3f0a4d22850f935598f38d, on @user_script:1.|",
        ),
        (
            "error({err='foo'})",
            "-foo script: a93a09074c959b056ed90b9f9fd1fe1bf2972b1a, on @user_script:1.|",
        ),
        (
            "error({})",
            "-ERR unknown error script: 367bf7fe449ba40e54d99d9086aa3c2164008136, on @user_script:1.|",
        ),
        (
            "error(nil)",
            "-ERR nil script: c402aa49952c86c38f35fb311d54977d08f3bf01, on @user_script:1.|",
        ),
        (
            "return 1 +",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'|",
        ),
        (
            "x=1",
            "-ERR user_script:1: Attempt to modify a readonly table script: 7caf6056913504f0508c65faf2dc3f94ff65bcfd, on @user_script:1.|",
        ),
        (
            "return x",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: 03c387736bb5cc009ff35151572cee04677aa374, on @user_script:1.|",
        ),
        (
            "rawset(string,'x',1)",
            "-ERR Attempt to modify a readonly table script: d40e631b35efb3f7af3a86299524d322d9e868c7, on @user_script:1.|",
        ),
        (
            "redis.call('multi')",
            "-ERR This Redis command is not allowed from script script: def2e0239549b300d870f6dea60827c0d5ec1b62, on @user_script:1.|",
        ),
        (
            "local function f() return f() + 1 end return f()",
            "-ERR user_script:1: stack overflow script: 6ab18391d60e7e7bcbf4a881fd9b0c865dade0c6, on @user_script:1.|",
        ),
        (
            "return redis.sha1hex()",
            "-ERR wrong number of arguments script: 3c7ce947ae74a835cc575b6ee87fb27503cb7ba4, on @user_script:1.|",
        ),
    ] {
        assert_eq!(b.eval(body), start, "{body}");
    }
}

#[test]
fn nothing_is_left_for_the_next_script() {
    let mut b = Bench::new();
    for attack in [
        "string.len = nil",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.len = 1",
        "getmetatable(_G).__index = 1",
        "setmetatable(_G, {})",
        "setmetatable(redis, nil)",
        "rawset(_G, 'x', 1)",
        "table.insert(redis, 1)",
        "_G.redis = 1",
        "redis.call = nil",
        "cjson.encode = nil",
        "math.random = nil",
        "local n, t = pairs(redis) t.call = 1",
        "for k in pairs(_G) do _G[k] = nil end",
        "return print",
        "return dofile",
        "return getfenv",
        "return debug",
        "return newproxy",
        "return require",
        "return io",
        "os.execute('true')",
    ] {
        assert!(b.eval(attack).starts_with("-ERR"), "{attack}");
    }
    let intact = "return {#'abc', ('x'):upper(), type(redis.call), type(cjson.encode), rawget(_G,'x') == nil}";
    assert_eq!(b.eval(intact), "*5|:3|$1|X|$8|function|$8|function|:1|");
    // Arguments of one call are not those of the next.
    assert_eq!(b.eval("KEYS[9]=1 return #ARGV"), ":1|");
    assert_eq!(b.run(&["eval", "return {#KEYS,KEYS[9]}", "0"]), "*1|:0|");
}

/// On a stack of the size a main thread has: results nest deep.
#[test]
fn bytecode_and_bombs_are_errors() {
    let test = std::thread::Builder::new().stack_size(16 << 20);
    let test = test.spawn(bombs).expect("a thread");
    test.join().expect("no panic");
}

fn bombs() {
    let mut b = Bench::new();
    assert_eq!(
        b.eval("local f,e = loadstring(string.dump(function() return 1 end)) return {f == nil, e:sub(-33)}"),
        "*2|:1|$33|unexpected symbol near 'char(27)'|"
    );
    assert_eq!(
        b.eval("local f = load(function() return nil end) return f == nil"),
        "$-1|"
    );
    assert_eq!(
        b.eval("local i = 0 local f = load(function() i = i + 1 return ({'return ','1','+1'})[i] end) return f()"),
        ":2|"
    );
    assert_eq!(
        b.eval("local n = 0 local f = load(function() n = n + 1 return n == 1 and '\\27Lua' or nil end) return f == nil"),
        ":1|"
    );
    let deep = b.eval("local t = {} t[1] = t return t");
    assert!(
        deep.ends_with("-ERR reached lua stack limit|"),
        "{}",
        deep.len()
    );
    let deep = b.eval("local s = string.rep('(', 300) return loadstring(s)");
    assert_eq!(deep, "$-1|");
    // The next script runs as if nothing had been.
    assert_eq!(b.eval("return 1"), ":1|");
}

#[test]
fn what_scripts_change_is_one_unit() {
    let mut b = Bench::new();
    b.eval("redis.call('set',KEYS[1],1) redis.call('incr',KEYS[1])");
    assert_eq!(b.seen(), "MULTI; set k1 1; incr k1; EXEC");
    b.eval("redis.call('set','a','1') return redis.call('get','a')");
    assert_eq!(b.seen(), "set a 1");
    b.eval("redis.call('select',3) redis.call('set','a','1')");
    assert_eq!(b.seen(), "3: set a 1");
    assert_eq!(b.run(&["get", "a"]), "$1|1|");
    b.eval("redis.call('set','a','1') redis.call('nosuch')");
    assert_eq!(b.seen(), "set a 1");
    b.eval(
        "redis.call('set','a','1') redis.set_repl(redis.REPL_NONE) redis.call('set','b','2') \
         redis.set_repl(redis.REPL_ALL) redis.call('set','c','3')",
    );
    assert_eq!(b.seen(), "MULTI; set a 1; set c 3; EXEC");
    b.run(&["multi"]);
    b.run(&[
        "eval",
        "redis.call('set','q','1') redis.call('set','r','1')",
        "0",
    ]);
    b.run(&["set", "s", "1"]);
    b.run(&["exec"]);
    assert_eq!(b.seen(), "MULTI; set q 1; set r 1; set s 1; EXEC");
}

#[test]
fn time_stands_still() {
    let mut b = Bench::new();
    b.run(&["set", "k1", "v", "px", "15"]);
    let body = "local t0 = redis.call('time') local x = 0 for i = 1, 3000000 do x = x + 1 end \
                local t1 = redis.call('time') \
                return {t0[1] == t1[1] and t0[2] == t1[2], redis.call('get', KEYS[1])}";
    assert_eq!(b.eval(body), "*2|:1|$1|v|");
}

#[test]
fn read_only_scripts_write_nothing() {
    let mut b = Bench::new();
    let refused = "-ERR Write commands are not allowed from read-only scripts.";
    let set = "return redis.call('set','x',1)";
    assert!(b.run(&["eval_ro", set, "0"]).starts_with(refused));
    let flagged = "#!lua flags=no-writes\nreturn redis.call('set','x',1)";
    assert!(b.eval(flagged).starts_with(refused));
    assert_eq!(b.run(&["exists", "x"]), ":0|");
    let writes = "#!lua\nreturn 1";
    assert_eq!(
        b.run(&["eval_ro", writes, "0"]),
        "-ERR Can not execute a script with write flag using *_ro command.|"
    );
}

#[test]
fn the_cache() {
    let mut b = Bench::new();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let missing = "-NOSCRIPT No matching script. Please use EVAL.|";
    assert_eq!(b.run(&["evalsha", sha, "0"]), missing);
    assert_eq!(
        b.run(&["script", "load", "return 1"]),
        format!("$40|{sha}|")
    );
    assert_eq!(b.run(&["evalsha", &sha.to_uppercase(), "0"]), ":1|");
    assert_eq!(b.run(&["script", "exists", sha, "no"]), "*2|:1|:0|");
    assert_eq!(b.run(&["script", "flush"]), "+OK|");
    assert_eq!(b.run(&["evalsha", sha, "0"]), missing);
    for i in 0..600 {
        b.run(&["eval", &format!("return {i}"), "0"]);
    }
    assert_eq!(
        (b.server.scripts.cache.len(), b.server.scripts.evicted),
        (500, 100)
    );
}

const LIBRARY: &str = "#!lua name=lib1
local function twice(x) return x * 2 end
redis.register_function('f1', function(keys, args) return {keys[1], twice(args[1])} end)
redis.register_function{function_name='f2', callback=function() return redis.call('set','x',1) end}
redis.register_function{function_name='f3', callback=function() return redis.call('get','x') end, flags={'no-writes'}, description='reads'}";

#[test]
fn libraries() {
    let mut b = Bench::new();
    assert_eq!(b.run(&["function", "load", LIBRARY]), "$4|lib1|");
    assert!(b.seen().starts_with("function load #!lua"));
    assert_eq!(b.run(&["fcall", "F1", "1", "k", "4"]), "*2|$1|k|:8|");
    assert_eq!(b.run(&["fcall", "f2", "0"]), "+OK|");
    assert_eq!(b.seen(), "set x 1");
    assert_eq!(b.run(&["fcall_ro", "f3", "0"]), "$1|1|");
    assert_eq!(
        b.run(&["fcall_ro", "f2", "0"]),
        "-ERR Can not execute a script with write flag using *_ro command.|"
    );
    assert_eq!(
        b.run(&["function", "load", LIBRARY]),
        "-ERR Library 'lib1' already exists|"
    );
    let other = "#!lua name=lib2\nredis.register_function('f1', function() end)";
    assert_eq!(
        b.run(&["function", "load", other]),
        "-ERR Function f1 already exists|"
    );
    let loops = "#!lua name=lib3\nwhile true do end";
    assert_eq!(
        b.run(&["function", "load", loops]),
        "-ERR Error registering functions: ERR FUNCTION LOAD timeout|"
    );
    let late = "#!lua name=lib4\nlocal r = redis.register_function r('f9', function() r('f10', function() end) end)";
    assert_eq!(b.run(&["function", "load", late]), "$4|lib4|");
    assert!(
        b.run(&["fcall", "f9", "0"])
            .contains("can only be called on FUNCTION LOAD")
    );
    assert_eq!(b.run(&["function", "delete", "lib4"]), "+OK|");
    assert_eq!(b.run(&["fcall", "f9", "0"]), "-ERR Function not found|");
    assert_eq!(b.server.persist.functions.len(), 1);
}

#[test]
fn dumps_bring_libraries_back() {
    let mut b = Bench::new();
    b.run(&["function", "load", LIBRARY]);
    let dump = {
        let sources = b.server.persist.functions.clone();
        crate::persist::rdb::dump::encode_functions(sources.iter().map(|s| &s[..]), true)
    };
    let restore = |b: &mut Bench, policy: &str| {
        let args = OwnedArgs::from_iter([b"function", &b"restore"[..], &dump, policy.as_bytes()]);
        let mut c = b.server.clients.take(b.client).expect("not running");
        dispatch(&mut b.server, &mut c, args.view(), None, None);
        let reply = String::from_utf8_lossy(&c.out.take_all()).into_owned();
        b.server.clients.put_back(c);
        reply
    };
    assert_eq!(
        restore(&mut b, "append"),
        "-ERR Library lib1 already exists\r\n"
    );
    assert_eq!(restore(&mut b, "replace"), "+OK\r\n");
    b.run(&["function", "delete", "lib1"]);
    let other = "#!lua name=lib2\nredis.register_function('f1', function() return 2 end)";
    b.run(&["function", "load", other]);
    assert_eq!(
        restore(&mut b, "append"),
        "-ERR Function f1 already exists\r\n"
    );
    assert_eq!(
        restore(&mut b, "replace"),
        "-ERR Function f1 already exists\r\n"
    );
    assert_eq!(b.run(&["fcall", "f1", "0"]), ":2|");
    assert_eq!(restore(&mut b, "flush"), "+OK\r\n");
    assert_eq!(b.run(&["fcall", "f1", "1", "k", "4"]), "*2|$1|k|:8|");
    assert_eq!(b.server.scripts.libraries.counts(), (1, 3));
}

#[test]
fn statistics_count_an_error_once() {
    let mut b = Bench::new();
    b.run(&["rpush", "l", "x"]);
    let errors = |b: &Bench| b.server.errors.total;
    b.eval("return redis.call('get','l')");
    assert_eq!(errors(&b), 1);
    b.eval("redis.pcall('get','l') return 1");
    assert_eq!(errors(&b), 2);
    b.eval("return redis.pcall('nosuch')");
    assert_eq!(errors(&b), 3);
    b.eval("return redis.error_reply('MY err')");
    assert_eq!(errors(&b), 4);
    b.eval("error('x')");
    assert_eq!(errors(&b), 5);
}
