//! The last words: crash reports, and the watchdog's trace of a server that stands still.

use crate::harness::{Reply, Server};

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

fn with(more: &[&'static str]) -> Server {
    Server::start(&[DEBUG, more].concat())
}

/// Crashes the server by a command and returns its log.
fn crash(server: &mut Server, line: &str) -> String {
    let mut c = server.conn();
    c.write(format!("{line}\r\n").as_bytes()).expect("sent");
    assert_eq!(server.wait_exit(), None, "ended by a signal");
    server.log()
}

#[track_caller]
fn has(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "{word:?} is not in:\n{log}");
    }
}

#[test]
fn a_segmentation_fault_is_reported_in_full() {
    let mut server = with(&["--requirepass", "sesame"]);
    server.conn().cmd("AUTH sesame");
    let mut c = server.conn();
    c.cmd("AUTH sesame");
    c.write(b"DEBUG SEGFAULT\r\n").expect("sent");
    assert_eq!(server.wait_exit(), None);
    let log = server.log();
    has(
        &log,
        &[
            "=== REDIS BUG REPORT START",
            "crashed by signal: 11, si_code: 1",
            "Accessing address: 0x0",
            "Crashed running the instruction at: 0x",
            "------ STACK TRACE ------",
            "redstart::sys::crash::segfault+0x",
            "redstart::exec::call::call+0x",
            "------ REGISTERS ------",
            "------ INFO OUTPUT ------",
            "# Server\r\nredis_version:",
            "------ CLIENT LIST OUTPUT ------",
            "------ CONFIG DEBUG OUTPUT ------",
            "enable-debug-command yes",
            "------ CURRENT CLIENT INFO ------",
            "cmd=debug",
            "argv[1]: \"SEGFAULT\"",
            "=== REDIS BUG REPORT END",
        ],
    );
    assert!(!log.contains("sesame"), "a password is in the report");
    #[cfg(target_arch = "x86_64")]
    has(&log, &["RAX:", "RIP:"]);
}

#[test]
fn user_data_can_be_left_out() {
    let mut server = with(&["--hide-user-data-from-log", "yes"]);
    let log = crash(&mut server, "DEBUG PANIC");
    has(
        &log,
        &[
            "Guru Meditation",
            "crashed by signal: 6",
            "*redacted* (5 bytes)",
        ],
    );
    assert!(!log.contains("\"PANIC\""), "{log}");
}

#[test]
fn assertions_and_signals_from_outside_are_reported() {
    let mut server = with(&[]);
    has(
        &crash(&mut server, "DEBUG ASSERT"),
        &["ASSERTION FAILED", "STACK TRACE"],
    );
    let mut server = with(&[]);
    server.signal("ABRT");
    assert_eq!(server.wait_exit(), None);
    has(
        &server.log(),
        &["crashed by signal: 6", "Killed by PID", "# Memory"],
    );
}

#[test]
fn reports_can_be_switched_off() {
    let mut server = with(&[]);
    assert_eq!(
        server.conn().cmd("CONFIG SET crash-log-enabled no"),
        Reply::simple("OK")
    );
    let log = crash(&mut server, "DEBUG SEGFAULT");
    assert!(!log.contains("BUG REPORT"), "{log}");
}

#[test]
fn the_watchdog_tells_what_keeps_the_server_busy() {
    let server = with(&[]);
    let mut c = server.conn();
    c.cmd("CONFIG SET watchdog-period 10");
    let items = c.cmd("CONFIG GET watchdog-period");
    let period = items.items().and_then(|i| i[1].bytes()).map(<[u8]>::to_vec);
    assert_eq!(period.as_deref(), Some(&b"200"[..]), "two ticks at least");
    c.cmd("DEBUG SLEEP 0.6");
    has(
        &server.log(),
        &[
            "WATCHDOG TIMER EXPIRED",
            "debugCommand",
            "redstart::commands::debug::control::sleep",
        ],
    );
    c.cmd("CONFIG SET watchdog-period 0");
    let before = server.log().matches("WATCHDOG").count();
    c.cmd("DEBUG SLEEP 0.5");
    assert_eq!(server.log().matches("WATCHDOG").count(), before);
    assert_eq!(c.cmd("PING"), Reply::simple("PONG"));
}

#[test]
fn threads_can_be_bound_to_processors() {
    let server = with(&["--server-cpulist", "0", "--bio-cpulist", "0-63"]);
    let mut c = server.conn();
    let status = |what: &str| {
        let path = format!("/proc/{}/status", server.pid());
        let text = std::fs::read_to_string(path).expect("a process");
        let line = text.lines().find_map(|l| l.strip_prefix(what));
        line.unwrap_or_default().trim().to_string()
    };
    assert_eq!(status("Cpus_allowed_list:"), "0");
    assert_eq!(
        c.cmd("CONFIG SET server-cpulist 0-63 bio-cpulist 0"),
        Reply::simple("OK")
    );
    let refused = c.cmd("CONFIG SET server-cpulist 1-0").error_text();
    assert!(refused.is_some_and(|e| e.contains("server-cpulist")));
}
