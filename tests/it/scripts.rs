//! Scripts in the style of what is deployed: a rate limiter and a job queue, through the `redis` crate; a script that runs away;
//! libraries that survive a restart.

use crate::harness::wire::encode;
use crate::harness::{Reply, Server};
use std::time::{Duration, Instant};

/// A sliding window: so many calls per key and window are let through.
const LIMITER: &str = r#"
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used >= limit then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return {0, limit - used, tonumber(oldest[2]) + window - now}
end
local n = redis.call('INCR', KEYS[1] .. ':n')
redis.call('ZADD', KEYS[1], now, now .. '-' .. n)
redis.call('PEXPIRE', KEYS[1], window)
redis.call('PEXPIRE', KEYS[1] .. ':n', window)
return {1, limit - used - 1, 0}
"#;

fn connect(server: &Server) -> redis::Connection {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

#[test]
fn a_rate_limiter() {
    let server = Server::start(&[]);
    let mut con = connect(&server);
    let script = redis::Script::new(LIMITER);
    let mut ask = |now: u64| -> (i64, i64, i64) {
        let mut call = script.prepare_invoke();
        call.key("limit:u1").arg(now).arg(1000).arg(3);
        call.invoke(&mut con).unwrap()
    };
    assert_eq!(ask(10_000), (1, 2, 0));
    assert_eq!(ask(10_100), (1, 1, 0));
    assert_eq!(ask(10_200), (1, 0, 0));
    assert_eq!(ask(10_300), (0, 0, 700));
    assert_eq!(ask(11_050), (1, 0, 0));
    assert_eq!(ask(11_060), (0, 0, 40));
}

/// Jobs are JSON in a hash; a waiting list, a set of delayed ones, a list of active ones.
const QUEUE: &str = r#"#!lua name=queue
local function add(keys, args)
    local id = redis.call('INCR', keys[1] .. ':id')
    local job = cjson.encode({id = id, name = args[1], data = cjson.decode(args[2]), attempts = 0})
    redis.call('HSET', keys[1] .. ':jobs', id, job)
    local due = tonumber(args[3])
    if due > 0 then
        redis.call('ZADD', keys[1] .. ':delayed', due, id)
    else
        redis.call('LPUSH', keys[1] .. ':wait', id)
    end
    return id
end
local function take(keys, args)
    local due = redis.call('ZRANGEBYSCORE', keys[1] .. ':delayed', 0, args[1], 'LIMIT', 0, 100)
    if #due > 0 then
        redis.call('LPUSH', keys[1] .. ':wait', unpack(due))
        redis.call('ZREM', keys[1] .. ':delayed', unpack(due))
    end
    local id = redis.call('RPOPLPUSH', keys[1] .. ':wait', keys[1] .. ':active')
    if not id then return nil end
    local job = cjson.decode(redis.call('HGET', keys[1] .. ':jobs', id))
    job.attempts = job.attempts + 1
    redis.call('HSET', keys[1] .. ':jobs', id, cjson.encode(job))
    return {id, job.name, cjson.encode(job.data), job.attempts}
end
local function finish(keys, args)
    if redis.call('LREM', keys[1] .. ':active', 1, args[1]) == 0 then
        return redis.error_reply('NOJOB job ' .. args[1] .. ' is not active')
    end
    redis.call('HDEL', keys[1] .. ':jobs', args[1])
    return redis.status_reply('DONE')
end
redis.register_function('add', add)
redis.register_function('take', take)
redis.register_function('finish', finish)
redis.register_function{function_name='waiting', callback=function(keys) return redis.call('LLEN', keys[1] .. ':wait') end, flags={'no-writes'}}
"#;

type Job = (String, String, String, i64);

#[test]
fn a_job_queue() {
    let server = Server::start(&[]);
    let mut con = connect(&server);
    let load = redis::cmd("FUNCTION")
        .arg("LOAD")
        .arg(QUEUE)
        .query::<String>(&mut con);
    assert_eq!(load.unwrap(), "queue");
    let mut add = |name: &str, data: &str, due: u64| -> i64 {
        redis::cmd("FCALL")
            .arg("add")
            .arg(1)
            .arg("q")
            .arg(name)
            .arg(data)
            .arg(due)
            .query(&mut con)
            .unwrap()
    };
    assert_eq!(add("mail", r#"{"to":"a","n":[1,2]}"#, 0), 1);
    assert_eq!(add("later", "[]", 500), 2);
    let mut take = |now: u64| -> Option<Job> {
        redis::cmd("FCALL")
            .arg("take")
            .arg(1)
            .arg("q")
            .arg(now)
            .query(&mut con)
            .unwrap()
    };
    let (id, name, data, attempts) = take(100).expect("a job");
    assert_eq!((id.as_str(), name.as_str(), attempts), ("1", "mail", 1));
    assert!(
        data == r#"{"to":"a","n":[1,2]}"# || data == r#"{"n":[1,2],"to":"a"}"#,
        "{data}"
    );
    assert_eq!(take(100), None);
    assert_eq!(take(600).map(|j| j.0), Some("2".into()));
    let mut c = server.conn();
    assert_eq!(c.cmd("FCALL finish 1 q 1"), Reply::simple("DONE"));
    let e = c.cmd("FCALL finish 1 q 1").error_text();
    assert_eq!(e.as_deref(), Some("NOJOB job 1 is not active"));
    assert_eq!(c.cmd("FCALL_RO waiting 1 q"), Reply::Int(0));
}

#[test]
fn a_script_that_runs_away() {
    let server = Server::start(&["--busy-reply-threshold", "50"]);
    let mut stuck = server.conn();
    let mut other = server.conn();
    stuck
        .write(&encode(&["EVAL", "while true do end", "0"]))
        .expect("sent");
    let start = Instant::now();
    loop {
        let text = other.cmd("PING").error_text();
        if text.is_some_and(|t| t.starts_with("BUSY")) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "never busy");
    }
    assert!(other.cmd("FUNCTION KILL").error_text().is_some());
    assert_eq!(other.cmd("SCRIPT KILL"), Reply::simple("OK"));
    let end = stuck
        .read()
        .expect("a reply")
        .error_text()
        .expect("an error");
    assert!(end.contains("Script killed by user"), "{end}");
    assert_eq!(other.cmd("PING"), Reply::simple("PONG"));
    assert_eq!(stuck.cmd("PING"), Reply::simple("PONG"));
}

/// What a script that runs on finds ready was partly reported to the turn of the loop that runs it: it must be served all the same.
#[test]
fn who_came_in_the_same_turn_as_an_endless_script_is_served() {
    let server = Server::start(&[
        "--busy-reply-threshold",
        "20",
        "--enable-debug-command",
        "yes",
    ]);
    let [mut sleeper, mut stuck, mut other] = [server.conn(), server.conn(), server.conn()];
    for c in [&mut stuck, &mut other] {
        assert_eq!(c.cmd("PING"), Reply::simple("PONG"));
    }
    sleeper
        .write(&encode(&["DEBUG", "SLEEP", "0.5"]))
        .expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    // Both are ready when the loop looks again.
    stuck
        .write(&encode(&["EVAL", "while true do end", "0"]))
        .expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    let answer = other.cmd("GET k").error_text().expect("busy");
    assert!(answer.starts_with("BUSY"), "{answer}");
    assert_eq!(other.cmd("SCRIPT KILL"), Reply::simple("OK"));
    assert!(stuck.read().expect("an answer").error_text().is_some());
}

/// What a script declares in its first line counts as its command's flags do, in transactions too.
#[test]
fn a_pause_holds_back_scripts_that_may_write() {
    let server = Server::start(&[]);
    let [mut admin, mut reader, mut writer] = [server.conn(), server.conn(), server.conn()];
    let (reads, writes) = ("#!lua flags=no-writes\nreturn 12", "#!lua\nreturn 13");
    writer.cmd("MULTI");
    writer.call(&["EVAL", writes, "0"]);
    assert_eq!(admin.cmd("CLIENT PAUSE 100000 WRITE"), Reply::simple("OK"));
    assert_eq!(reader.call(&["EVAL", reads, "0"]), Reply::Int(12));
    reader.cmd("MULTI");
    reader.call(&["EVAL", reads, "0"]);
    assert_eq!(reader.cmd("EXEC"), Reply::Array(Some(vec![Reply::Int(12)])));
    writer.write(&encode(&["EXEC"])).expect("sent");
    let blocked = |c: &mut crate::harness::Conn| {
        let info = c.cmd("INFO clients");
        String::from_utf8_lossy(info.bytes().expect("a report")).contains("blocked_clients:1")
    };
    let start = Instant::now();
    while !blocked(&mut admin) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "EXEC is not held back"
        );
    }
    admin.cmd("CLIENT UNPAUSE");
    let ran = writer.read().expect("a reply");
    assert_eq!(ran, Reply::Array(Some(vec![Reply::Int(13)])));
    // A read-only script may not even publish.
    let refused = admin.call(&["EVAL_RO", "return redis.call('publish', 'c', 'm')", "0"]);
    let refused = refused.error_text().expect("an error");
    assert!(
        refused.starts_with("ERR Write commands are not allowed from read-only scripts."),
        "{refused}"
    );
}

#[test]
fn what_a_flush_throws_away_is_freed_elsewhere() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let freed = |c: &mut crate::harness::Conn| {
        let info = c.cmd("INFO memory");
        let text = String::from_utf8_lossy(info.bytes().expect("a report")).into_owned();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("lazyfreed_objects:"));
        line.expect("a figure")
            .trim()
            .parse::<i64>()
            .expect("a number")
    };
    for i in 0..3 {
        c.call(&["SCRIPT".into(), "LOAD".into(), format!("return {i}")]);
    }
    assert_eq!(c.cmd("SCRIPT FLUSH SYNC"), Reply::simple("OK"));
    assert_eq!(freed(&mut c), 0);
    for i in 0..3 {
        c.call(&["SCRIPT".into(), "LOAD".into(), format!("return {i}")]);
    }
    c.call(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=l\nredis.register_function('f', function() return 1 end)",
    ]);
    assert_eq!(c.cmd("SCRIPT FLUSH ASYNC"), Reply::simple("OK"));
    assert_eq!(c.cmd("FUNCTION FLUSH ASYNC"), Reply::simple("OK"));
    let start = Instant::now();
    while freed(&mut c) < 4 {
        assert!(start.elapsed() < Duration::from_secs(10), "not freed");
    }
    assert!(c.cmd("FCALL f 0").error_text().is_some());
    assert_eq!(c.call(&["EVAL", "return 5", "0"]), Reply::Int(5));
}
