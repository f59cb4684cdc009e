//! One server process in its own temporary folder.

use super::wire::{Conn, Reply};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Ports the tests use: below the ephemeral range and apart from Redis' own; `REDSTART_IT_PORT` moves the first.
const FIRST_PORT: u16 = 21_500;
const PORTS: u16 = 500;
const START_TIMEOUT_MS: u64 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running server. Dropped: killed, and its log shown if the test is failing.
pub struct Server {
    binary: PathBuf,
    args: Vec<String>,
    dir: tempfile::TempDir,
    child: Child,
    /// The TCP port it listens on.
    pub port: u16,
    /// Whether a failing test shows the end of its log (it does unless told otherwise).
    pub log_on_failure: bool,
}

impl Server {
    /// Our binary (or `REDSTART_IT_BIN`) without save points, plus these arguments, as on the command line.
    #[track_caller]
    pub fn start(args: &[&str]) -> Server {
        Server::start_binary(&ours(), args)
    }

    /// Any server binary.
    #[track_caller]
    pub fn start_binary(binary: &Path, args: &[&str]) -> Server {
        let args: Vec<String> = args.iter().map(|a| (*a).to_string()).collect();
        let mut reason = String::new();
        for _ in 0..5 {
            let (dir, port) = (
                tempfile::tempdir().expect("a temporary folder"),
                free_port(),
            );
            let child = spawn(binary, dir.path(), port, &args);
            let mut server = Server {
                binary: binary.into(),
                args: args.clone(),
                dir,
                child,
                port,
                log_on_failure: true,
            };
            let Err(why) = server.wait_ready() else {
                return server;
            };
            reason = why + &server.log();
            // Another process may have taken the port between our look and the server's bind.
            assert!(
                reason.contains("in use"),
                "{} did not start: {reason}",
                binary.display()
            );
        }
        panic!("{} did not start on five ports: {reason}", binary.display());
    }

    /// The server's working folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new raw connection.
    #[track_caller]
    pub fn conn(&self) -> Conn {
        Conn::open(self.port).expect("a connection")
    }

    /// A new connection that speaks RESP3.
    #[track_caller]
    pub fn conn3(&self) -> Conn {
        let mut conn = self.conn();
        let hello = conn.cmd("HELLO 3");
        assert!(matches!(hello, Reply::Map(_)), "HELLO 3: {hello:?}");
        conn
    }

    /// A connection of the `redis` crate.
    #[track_caller]
    pub fn client(&self) -> redis::Connection {
        let client =
            redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).expect("a URL");
        client.get_connection().expect("a connection")
    }

    /// All the server wrote to its standard output and error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default())
            .into_owned()
    }

    /// Waits until the log holds the text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_millis(START_TIMEOUT_MS);
        while !self.log().contains(text) {
            assert!(
                Instant::now() < deadline,
                "the log never said {text:?}:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name (`TERM`, `INT`, ...).
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(done.expect("kill").success(), "kill -{name}");
    }

    /// Waits for the process to end by itself; its exit code (`None` if a signal ended it).
    #[track_caller]
    pub fn wait_exit(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_millis(START_TIMEOUT_MS);
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "the server does not end:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGTERM, as an init system does; its exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait_exit()
    }

    /// Starts it again in the same folder on the same port with the same arguments.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.binary, self.dir.path(), self.port, &self.args);
        if let Err(why) = self.wait_ready() {
            panic!("no restart: {why}\n{}", self.log());
        }
    }

    /// Replaces the arguments used by the next `restart`.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|a| (*a).to_string()).collect();
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_millis(START_TIMEOUT_MS);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}\n"));
            }
            if answers(self.port) {
                return Ok(());
            }
            sleep(Duration::from_millis(5));
        }
        Err("it does not answer PING\n".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.log_on_failure && std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "---- log of {} on port {}",
                self.binary.display(),
                self.port
            );
            eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// Ready means: it answers PING with anything but LOADING.
fn answers(port: u16) -> bool {
    let Ok(mut conn) = Conn::open(port) else {
        return false;
    };
    if conn.write(b"PING\r\n").is_err() {
        return false;
    }
    match conn.read() {
        Ok(reply) => reply
            .error_text()
            .is_none_or(|text| !text.starts_with("LOADING")),
        Err(_) => false,
    }
}

fn spawn(binary: &Path, dir: &Path, port: u16, args: &[String]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .expect("a log file");
    let mut command = Command::new(binary);
    // A configuration file given as the first argument has to stay first.
    let (file, options) = match args.first() {
        Some(first) if !first.starts_with("--") => (Some(first), &args[1..]),
        _ => (None, args),
    };
    command
        .args(file)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(options);
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log);
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", binary.display()))
}

/// The binary under test.
pub fn ours() -> PathBuf {
    std::env::var_os("REDSTART_IT_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_redis-server").into(), PathBuf::from)
}

/// A port nobody listens on just now.
fn free_port() -> u16 {
    let first = std::env::var("REDSTART_IT_PORT")
        .ok()
        .and_then(|p| p.parse().ok())
        .unwrap_or(FIRST_PORT);
    for _ in 0..PORTS {
        let n = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id().wrapping_mul(37));
        let port = first + u16::try_from(n % u32::from(PORTS)).expect("below the range");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {first} on");
}

/// The real server to compare with: `REFERENCE_SERVER`, else `redis-server` in PATH.
pub fn reference() -> Option<PathBuf> {
    std::env::var_os("REFERENCE_SERVER")
        .map(PathBuf::from)
        .or_else(|| in_path("redis-server"))
        .or_else(|| missing("redis-server"))
}

/// A real server of another version by its name in PATH, such as `redis-8.2.3` or `valkey-9.1.2`; never demanded.
pub fn reference_named(name: &str) -> Option<PathBuf> {
    let found = in_path(name);
    if found.is_none() {
        eprintln!("SKIP: no {name} in PATH");
    }
    found
}

fn missing(name: &str) -> Option<PathBuf> {
    assert!(
        std::env::var_os("REDSTART_REQUIRE_REFERENCE").is_none(),
        "no {name} in PATH, and REDSTART_REQUIRE_REFERENCE is set"
    );
    eprintln!(
        "SKIP: no {name} in PATH and no REFERENCE_SERVER: nothing to compare with (apt-get install redis-server)"
    );
    None
}

/// In PATH, or where `tests/setup` puts reference servers.
fn in_path(name: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .map(|target| target.join("reference/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    fetched
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
