//! Cross-loading: what the encoder writes, real servers load, and say that the same is in it. Skipped where they are missing.
use super::*;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A real server on a file of ours; killed when dropped.
struct Server {
    child: Child,
    stream: BufReader<TcpStream>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// `None` if the program is not installed.
    fn start(program: &str, rdb: &[u8]) -> Option<Server> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dump.rdb"), rdb).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(program);
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(dir.path());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                return Some(Server {
                    child,
                    stream: BufReader::new(stream),
                    _dir: dir,
                });
            }
            if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let mut log = String::new();
                child
                    .stdout
                    .take()
                    .unwrap()
                    .read_to_string(&mut log)
                    .unwrap();
                panic!("{program} did not load our file:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The reply as bytes; arrays are their elements joined by spaces.
    fn call(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&out).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "$" if rest != "-1" => {
                let mut out = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut out).unwrap();
                out.truncate(out.len() - 2);
                out
            }
            "*" => {
                let parts: Vec<Vec<u8>> = (0..rest.parse().unwrap_or(0))
                    .map(|_| self.reply())
                    .collect();
                parts.join(&b' ')
            }
            _ => line.trim_end().into(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Loads our file of `name`'s data (without what needs a version above `max`) into `program` and compares every key's DUMP.
fn cross_load(program: &str, name: &str, max: u16) {
    let mut file = load(&data(&format!("{name}.rdb")), LoadOptions::default()).unwrap();
    file.records.retain(|record| {
        let one = File {
            records: vec![record.clone()],
            ..Default::default()
        };
        save(&one, SaveOptions::default()).1 <= max
    });
    let (bytes, version) = save(&file, SaveOptions::default());
    assert!(version <= max && file.records.len() > 20);
    let Some(mut server) = Server::start(program, &bytes) else {
        return eprintln!("skipped: {program} is not installed");
    };
    for record in &file.records {
        assert_eq!(
            server.call(&[b"SELECT", record.db.to_string().as_bytes()]),
            b"+OK"
        );
        let payload = server.call(&[b"DUMP", &record.key]);
        let key = record.key.escape_ascii().to_string();
        let value =
            dump::decode(&payload, true).unwrap_or_else(|e| panic!("{program} {key}: {e:?}"));
        assert_eq!(
            describe_value(&value),
            describe_value(&record.value),
            "{program} {key}"
        );
        let expire = server.call(&[b"PEXPIRETIME", &record.key]);
        assert_eq!(
            expire,
            format!(":{}", record.meta.expire_ms.unwrap_or(-1)).into_bytes(),
            "{program} {key}"
        );
        // And the other way: the server takes our payload of its value (version 12 is too new for the others).
        if program == "redis-8.2.3" {
            let ours = dump::encode(&record.value, true);
            assert_eq!(
                server.call(&[b"RESTORE", b"copy", b"0", &ours, b"REPLACE"]),
                b"+OK",
                "{key}"
            );
            let back = dump::decode(&server.call(&[b"DUMP", b"copy"]), true).unwrap();
            assert_eq!(
                describe_value(&back),
                describe_value(&record.value),
                "{key}"
            );
        }
    }
    let functions = server.call(&[b"FUNCTION", b"LIST"]);
    assert!(functions.windows(5).any(|w| w == b"mylib"), "{program}");
}

#[test]
fn redis_7_0_15_loads_our_files() {
    cross_load("/usr/bin/redis-server", "redis-7.0.15", 10);
    cross_load("/usr/bin/redis-server", "redis-8.2.3", 10);
}

#[test]
fn redis_8_2_3_loads_our_files() {
    cross_load("redis-8.2.3", "redis-8.2.3", 12);
    cross_load("redis-8.2.3", "valkey-9.1.2", 12);
}

#[test]
fn valkey_loads_our_files_without_field_expirations() {
    cross_load("valkey-9.1.2", "redis-8.2.3", 11);
}
