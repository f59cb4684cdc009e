//! LATENCY, INFO keysizes and their kin from outside.

use crate::harness::{Conn, Reply, Server};

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

fn server() -> Server {
    Server::start(&[
        "--enable-debug-command",
        "yes",
        "--latency-monitor-threshold",
        "20",
    ])
}

#[test]
fn slow_commands_are_noted_drawn_and_forgotten() {
    let server = server();
    let mut c = server.conn();
    assert_eq!(c.cmd("LATENCY LATEST"), Reply::Array(Some(vec![])));
    let none = c.cmd("LATENCY GRAPH command").error_text();
    assert_eq!(
        none.as_deref(),
        Some("ERR No samples available for event 'command'")
    );
    c.cmd("DEBUG SLEEP 0.03");
    c.cmd("DEBUG SLEEP 0.06");
    let latest = c.cmd("LATENCY LATEST");
    let event = latest.items().expect("events")[0]
        .items()
        .expect("fields")
        .to_vec();
    assert_eq!(event[0], Reply::bulk("command"));
    assert!(matches!(event[3], Reply::Int(60..=900)), "{event:?}");
    let history = c.cmd("LATENCY HISTORY COMMAND");
    assert!(!history.items().expect("samples").is_empty());
    let graph = text(&c.cmd("LATENCY GRAPH command"));
    assert!(graph.starts_with("command - high "), "{graph}");
    assert!(text(&c.cmd("LATENCY DOCTOR")).contains("1. command:"));
    assert_eq!(c.cmd("LATENCY RESET fork"), Reply::Int(0));
    assert_eq!(c.cmd("LATENCY RESET command fork"), Reply::Int(1));
    assert_eq!(c.cmd("LATENCY HISTORY command"), Reply::Array(Some(vec![])));
    c.cmd("CONFIG SET latency-monitor-threshold 0");
    c.cmd("DEBUG SLEEP 0.03");
    assert_eq!(c.cmd("LATENCY RESET"), Reply::Int(0));
    assert!(text(&c.cmd("LATENCY DOCTOR")).contains("not monitored"));
}

#[test]
fn histograms_count_every_call() {
    let server = server();
    let mut c = server.conn();
    for i in 0..10 {
        c.cmd(&format!("SET k{i} v"));
    }
    c.cmd("CLIENT ID");
    let reply = c.cmd("LATENCY HISTOGRAM set nosuch client");
    let items = reply.items().expect("a map").to_vec();
    let names: Vec<String> = items.iter().step_by(2).map(text).collect();
    assert_eq!(names, ["set", "client|id"]);
    let set = items[1].items().expect("a map");
    assert_eq!((&set[0], &set[1]), (&Reply::bulk("calls"), &Reply::Int(10)));
    let bins = set[3].items().expect("a map");
    assert_eq!(
        bins.last(),
        Some(&Reply::Int(10)),
        "the last bin counts all"
    );
}

fn keysizes(c: &mut Conn) -> Vec<String> {
    let all = text(&c.cmd("INFO keysizes"));
    all.lines()
        .filter(|l| l.contains("distrib"))
        .map(|l| l.trim().to_string())
        .collect()
}

#[test]
fn sizes_of_keys_follow_every_change() {
    let server = server();
    let mut c = server.conn();
    c.cmd("DEBUG KEYSIZES-HIST-ASSERT-ON-EMPTY yes");
    assert!(keysizes(&mut c).is_empty());
    c.cmd("SET a 1");
    c.cmd("APPEND a 2345678");
    c.cmd("SET n 99");
    c.cmd("INCR n");
    c.cmd("SETRANGE big 4999 x");
    c.cmd("RPUSH l 1 2 3 4");
    c.cmd("LPOP l");
    c.cmd("SADD s 1 2 x");
    c.cmd("ZADD z 1 a");
    c.cmd("HSET h f v g w");
    c.cmd("XADD x 1-1 f v");
    c.cmd("SELECT 3");
    c.call(&["SET", "other", ""]);
    assert_eq!(
        keysizes(&mut c),
        [
            "db0_distrib_strings_sizes:2=1,8=1,4K=1",
            "db0_distrib_lists_items:2=1",
            "db0_distrib_sets_items:2=1",
            "db0_distrib_zsets_items:1=1",
            "db0_distrib_hashes_items:2=1",
            "db3_distrib_strings_sizes:0=1"
        ]
    );
    c.cmd("SWAPDB 0 3");
    assert_eq!(keysizes(&mut c)[0], "db0_distrib_strings_sizes:0=1");
    c.cmd("RENAME a b");
    c.cmd("COPY b c");
    c.cmd("LPOP l 3");
    c.cmd("SPOP s 3");
    c.cmd("DEL z h n big");
    c.cmd("SET b gone PX 1");
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(
        keysizes(&mut c),
        [
            "db0_distrib_strings_sizes:0=1",
            "db3_distrib_strings_sizes:8=1"
        ]
    );
    c.cmd("FLUSHALL");
    std::thread::sleep(std::time::Duration::from_millis(250));
    assert!(keysizes(&mut c).is_empty());
    assert_eq!(c.cmd("PING"), Reply::simple("PONG"));
}

#[test]
fn pictures_and_modules() {
    let server = server();
    let mut c = server.conn();
    assert!(text(&c.cmd("LOLWUT VERSION 5 20 5")).ends_with("Redis ver. 8.2.3\n"));
    assert!(c.cmd("LOLWUT VERSION x").error_text().is_some());
    assert_eq!(c.cmd("MODULE LIST"), Reply::Array(Some(vec![])));
    let refused = c.cmd("MODULE LOAD /x.so").error_text().expect("refused");
    assert!(
        refused.starts_with("ERR MODULE command not allowed."),
        "{refused}"
    );
}

#[test]
fn every_container_has_its_help() {
    let server = server();
    let mut c = server.conn();
    let list = c.cmd("COMMAND LIST");
    let names: Vec<String> = list.items().expect("names").iter().map(text).collect();
    let containers = names.iter().filter_map(|n| n.strip_suffix("|help"));
    let mut n = 0;
    // Without a cluster CLUSTER has no help either.
    for name in containers.filter(|n| *n != "cluster") {
        let reply = c.cmd(&format!("{name} HELP"));
        let lines: Vec<String> = reply
            .items()
            .expect("lines")
            .iter()
            .map(|l| match l {
                Reply::Simple(b) => String::from_utf8_lossy(b).into_owned(),
                other => text(other),
            })
            .collect();
        let head = format!(
            "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            name.to_uppercase()
        );
        assert_eq!(lines[0], head);
        assert_eq!(
            lines[lines.len() - 2..],
            ["HELP", "    Print this help."],
            "{name}"
        );
        n += 1;
    }
    assert!(n >= 12, "{n} containers");
}
