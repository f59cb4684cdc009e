//! The log from outside: what it tells at which level, and that a file which was moved away is begun anew.

use crate::harness::Server;

fn server() -> Server {
    Server::start(&["--enable-debug-command", "yes", "--loglevel", "debug"])
}

#[test]
fn everything_said_is_our_own() {
    let server = server();
    let mut c = server.conn();
    c.cmd("PING");
    drop(c);
    server.wait_log(" - Accepted 127.0.0.1:");
    server.wait_log(" - Client closed connection id=");
    let log = server.log();
    for foreign in ["event source", "poller", "mio", "rustls"] {
        assert!(!log.contains(foreign), "{foreign:?} is in:\n{log}");
    }
    let mut c = server.conn();
    c.cmd("CONFIG SET loglevel warning");
    let before = server.log().matches("Accepted").count();
    drop(server.conn());
    c.cmd("DEBUG LOG quiet");
    server.wait_log(" # DEBUG LOG: quiet");
    assert_eq!(server.log().matches("Accepted").count(), before);
}

#[test]
fn a_rotated_file_is_begun_anew() {
    let server = Server::start(&["--enable-debug-command", "yes", "--logfile", "own.log"]);
    let mut c = server.conn();
    c.cmd("DEBUG LOG before");
    let (path, moved) = (server.dir().join("own.log"), server.dir().join("own.log.1"));
    std::fs::rename(&path, &moved).expect("there is a log file");
    c.cmd("DEBUG LOG after");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let (old, new) = (read(&moved), read(&path));
    assert!(old.contains("DEBUG LOG: before") && !old.contains("DEBUG LOG: after"));
    assert!(new.contains("DEBUG LOG: after") && !new.contains("DEBUG LOG: before"));
}
