//! The metrics endpoint, as a scraper sees it; the text is read by Python's prometheus_client, a real parser, where it is installed.

use crate::harness::Server;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

fn start(more: &[&str]) -> (Server, u16) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let port_text = port.to_string();
    let args = [&["--metrics-port", port_text.as_str()], more].concat();
    (Server::start(&args), port)
}

/// Sends bytes and reads until the server closes.
fn exchange(port: u16, request: &str) -> String {
    let mut s = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    s.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    s.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    s.read_to_string(&mut text).expect("an answer");
    text
}

fn get(port: u16, path: &str, headers: &str) -> (String, String) {
    let answer = exchange(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("Content-Length: "));
    assert_eq!(length, Some(body.len().to_string().as_str()));
    (head.to_string(), body.to_string())
}

fn work(server: &Server) {
    let mut c = server.conn();
    for line in [
        "SET a 1",
        "SET b 2 EX 100",
        "GET a",
        "GET none",
        "LPUSH a 1",
        "NOSUCH",
        "CONFIG GET port",
    ] {
        c.cmd(line);
    }
}

#[test]
fn metrics_are_those_of_the_dashboards() {
    let (server, port) = start(&[]);
    work(&server);
    let (head, body) = get(port, "/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "redis_up 1",
        "redis_connected_clients ",
        "redis_db_keys{db=\"db0\"} 2",
        "redis_db_keys_expiring{db=\"db0\"} 1",
        "redis_commands_total{cmd=\"set\"} 2",
        "redis_commands_total{cmd=\"config|get\"} 1",
        "redis_commands_failed_calls_total{cmd=\"lpush\"} 1",
        "redis_errors_total{err=\"WRONGTYPE\"} 1",
        "redis_keyspace_hits_total 1",
        "redis_keyspace_misses_total 1",
        "redis_rdb_last_bgsave_status 1",
        "# TYPE redis_commands_processed_total counter",
        "# TYPE redis_memory_used_bytes gauge",
        "redis_instance_info{redis_version=\"8.2.3\"",
    ] {
        let found = body.lines().any(|l| l.starts_with(line));
        assert!(found, "{line:?} is not in\n{body}");
    }
    for stage in ["queue", "execute", "reply"] {
        let name = format!("redis_commands_stage_seconds_total{{cmd=\"set\",stage=\"{stage}\"}} ");
        let line = body
            .lines()
            .find_map(|l| l.strip_prefix(&name))
            .expect("a stage");
        let seconds: f64 = line.parse().expect("a number");
        assert!(seconds > 0.0 && seconds < 5.0, "{stage} {seconds}");
    }
}

#[test]
fn health_and_wrong_requests() {
    let (server, port) = start(&[]);
    let status = |answer: String| answer.lines().next().unwrap_or_default().to_string();
    assert_eq!(get(port, "/health", "").1, "ok\n");
    assert!(exchange(port, "HEAD /health HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed",
        ),
        ("PING\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ];
    for (request, expected) in cases {
        assert_eq!(status(exchange(port, request)), expected);
    }
    // Too large: closed without an answer. The server goes on.
    let mut s = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let _ = s.write_all(&[b'x'; 20_000]);
    let mut rest = Vec::new();
    let _ = s.read_to_end(&mut rest);
    assert!(rest.is_empty());
    // In pieces, and many at once.
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    for piece in ["GET /hea", "lth HTTP/1.1\r", "\n\r\n"] {
        slow.write_all(piece.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut text = String::new();
    slow.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("ok\n"), "{text}");
    let idle: Vec<_> = (0..200)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok())
        .collect();
    work(&server);
    drop(idle);
    assert_eq!(get(port, "/health", "").1, "ok\n");
}

#[test]
fn off_by_default() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let reply = c.cmd("CONFIG GET metrics-port");
    assert_eq!(reply.items().and_then(|i| i[1].bytes()), Some(&b"0"[..]));
}

/// A Python that has prometheus_client, or None and the reason told.
fn parser() -> Option<String> {
    let named = std::env::var("REDSTART_PYTHON").ok();
    let candidates = named.into_iter().chain(["python3".to_string()]);
    let found = candidates.into_iter().find(|python| {
        let probe = Command::new(python)
            .args(["-c", "import prometheus_client"])
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|s| s.success())
    });
    if found.is_none() {
        eprintln!(
            "SKIPPED: no Python with prometheus_client; pip install prometheus_client, and name it in REDSTART_PYTHON"
        );
    }
    found
}

#[test]
fn a_real_parser_reads_both_formats() {
    let Some(python) = parser() else { return };
    let (server, port) = start(&[]);
    work(&server);
    let cases = [
        (
            "Accept: application/openmetrics-text\r\n",
            "prometheus_client.openmetrics.parser",
            "version=1.0.0",
        ),
        ("", "prometheus_client.parser", "version=0.0.4"),
    ];
    for (accept, module, version) in cases {
        let (head, body) = get(port, "/metrics", accept);
        assert!(head.contains(version), "{head}");
        let script = format!(
            "import sys\nfrom {module} import text_string_to_metric_families as parse\n\
             families = {{f.name: f for f in parse(sys.stdin.read())}}\n\
             samples = families['redis_commands'].samples\n\
             assert families['redis_commands'].type == 'counter'\n\
             assert [s.value for s in samples if s.labels['cmd'] == 'set'] == [2.0], samples\n\
             assert families['redis_latency_percentiles_usec'].type == 'summary'\n\
             print(len(families))"
        );
        let mut child = Command::new(&python)
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(body.as_bytes())
            .expect("sent");
        let out = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&out.stdout);
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{module}: {error}");
        let families: usize = said.trim().parse().expect("a number");
        assert!(families > 100, "{families} families");
    }
}
