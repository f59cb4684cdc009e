//! Users from outside: logging in, being denied, losing permissions while connected, files, and secrets that nobody sees.

use crate::harness::{Conn, Reply, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn ok(c: &mut Conn, line: &str) {
    assert_eq!(c.cmd(line), Reply::simple("OK"), "{line}");
}

fn error(c: &mut Conn, line: &str) -> String {
    let reply = c.cmd(line);
    reply
        .error_text()
        .unwrap_or_else(|| panic!("{line}: {reply:?}"))
}

fn text(c: &mut Conn, line: &str) -> String {
    let reply = c.cmd(line);
    String::from_utf8_lossy(reply.bytes().unwrap_or_else(|| panic!("{line}: {reply:?}")))
        .into_owned()
}

fn list(c: &mut Conn) -> Vec<String> {
    let reply = c.cmd("ACL LIST");
    let items = reply.items().expect("a list");
    items
        .iter()
        .map(|i| String::from_utf8_lossy(i.bytes().expect("a line")).into_owned())
        .collect()
}

/// A connection logged in as a user.
fn login(server: &Server, name: &str, password: &str) -> Conn {
    let mut c = server.conn();
    ok(&mut c, &format!("AUTH {name} {password}"));
    c
}

#[test]
fn a_restricted_user_through_a_client_library() {
    let server = Server::start(&[]);
    ok(
        &mut server.conn(),
        "ACL SETUSER app on >pw +@read +set +client|setinfo ~app:* %R~public:*",
    );
    let url = format!("redis://app:pw@127.0.0.1:{}/", server.port);
    let mut con = redis::Client::open(url).unwrap().get_connection().unwrap();
    let set: redis::RedisResult<()> = redis::cmd("SET").arg("app:1").arg("x").query(&mut con);
    assert!(set.is_ok(), "{set:?}");
    let denied = |cmd: &redis::Cmd, con: &mut redis::Connection| {
        let e = cmd.query::<redis::Value>(con).unwrap_err();
        assert_eq!(e.code(), Some("NOPERM"), "{e}");
        e.detail().unwrap_or_default().to_string()
    };
    assert_eq!(
        denied(redis::cmd("DEL").arg("app:1"), &mut con),
        "User app has no permissions to run the 'del' command"
    );
    assert_eq!(
        denied(redis::cmd("SET").arg("public:1").arg("x"), &mut con),
        "No permissions to access a key"
    );
    assert_eq!(
        denied(redis::cmd("MGET").arg("app:1").arg("other"), &mut con),
        "No permissions to access a key"
    );
    let got: Option<String> = redis::cmd("GET").arg("public:1").query(&mut con).unwrap();
    assert_eq!(got, None);
    let wrong = format!("redis://app:no@127.0.0.1:{}/", server.port);
    assert!(
        redis::Client::open(wrong)
            .unwrap()
            .get_connection()
            .is_err()
    );
}

#[test]
fn a_removed_user_gets_its_reply_and_is_closed() {
    let server = Server::start(&[]);
    let mut admin = server.conn();
    ok(&mut admin, "ACL SETUSER a on nopass +@all ~*");
    let (mut self_made, mut idle) = (login(&server, "a", "x"), login(&server, "a", "x"));
    let mut other = login(&server, "a", "x");
    assert_eq!(self_made.cmd("ACL DELUSER a nosuch"), Reply::Int(1));
    for c in [&mut self_made, &mut idle, &mut other] {
        assert!(c.is_closed_by_peer());
    }
    // The slot of the user may be used again; nobody of before holds it.
    ok(&mut admin, "ACL SETUSER b on nopass +ping");
    assert_eq!(text(&mut admin, "ACL WHOAMI"), "default");
}

#[test]
fn commands_after_removing_oneself_in_a_transaction_run_as_nobody() {
    let server = Server::start(&[]);
    ok(&mut server.conn(), "ACL SETUSER a on nopass +@all ~*");
    ok(&mut server.conn(), "ACL SETUSER default -@all +ping +auth");
    let mut c = login(&server, "a", "x");
    ok(&mut c, "MULTI");
    for queued in ["ACL DELUSER a", "SET k v"] {
        assert_eq!(c.cmd(queued), Reply::simple("QUEUED"));
    }
    let replies = c.cmd("EXEC");
    let items = replies.items().expect("replies");
    assert_eq!(items[0], Reply::Int(1));
    let why = items[1].error_text().expect("an error");
    assert!(why.starts_with("NOPERM ACLs rules changed"), "{why}");
}

#[test]
fn permissions_lost_while_waiting_count_when_the_command_runs_again() {
    let server = Server::start(&[]);
    let mut admin = server.conn();
    ok(&mut admin, "ACL SETUSER a on nopass +blpop +client|id ~k*");
    let mut c = login(&server, "a", "x");
    let id = match c.cmd("CLIENT ID") {
        Reply::Int(id) => id,
        other => panic!("{other:?}"),
    };
    c.write(b"BLPOP k 0\r\n").unwrap();
    while !text(&mut admin, &format!("CLIENT LIST ID {id}")).contains("flags=b") {}
    ok(&mut admin, "ACL SETUSER a resetkeys");
    assert_eq!(admin.cmd("RPUSH k v"), Reply::Int(1));
    assert_eq!(
        c.read().unwrap().error_text().unwrap(),
        "NOPERM No permissions to access a key"
    );
    assert_eq!(admin.cmd("LLEN k"), Reply::Int(1));
}

#[test]
fn who_may_not_listen_any_more_is_closed() {
    let server = Server::start(&[]);
    let mut admin = server.conn();
    ok(
        &mut admin,
        "ACL SETUSER a on nopass +subscribe +psubscribe resetchannels &c:1 &p:*",
    );
    let (mut doomed, mut pardoned) = (login(&server, "a", "x"), login(&server, "a", "x"));
    assert!(doomed.cmd("SUBSCRIBE c:1").items().is_some());
    assert!(pardoned.cmd("PSUBSCRIBE p:*").items().is_some());
    assert_eq!(
        error(&mut login(&server, "a", "x"), "PSUBSCRIBE p:1"),
        "NOPERM No permissions to access a channel"
    );
    ok(&mut admin, "ACL SETUSER a resetchannels &p:* &new");
    assert!(doomed.is_closed_by_peer());
    assert_eq!(admin.cmd("PUBLISH p:1 m"), Reply::Int(1));
    assert!(pardoned.read().unwrap().items().is_some());
}

#[test]
fn changes_of_the_default_user_reach_connections_that_are_there() {
    let server = Server::start(&[]);
    let (mut admin, mut c) = (server.conn(), server.conn());
    ok(&mut admin, "ACL SETUSER admin on >pw +@all ~*");
    ok(&mut admin, "AUTH admin pw");
    ok(&mut admin, "ACL SETUSER default -set");
    assert!(error(&mut c, "SET k v").starts_with("NOPERM User default"));
    ok(&mut admin, "ACL SETUSER default +set off");
    // Off means that nobody gets in; who is in stays.
    ok(&mut c, "SET k v");
    let mut late = server.conn();
    assert_eq!(
        error(&mut late, "SET k v"),
        "NOAUTH Authentication required."
    );
    assert!(error(&mut late, "AUTH default x").starts_with("WRONGPASS"));
    ok(&mut admin, "ACL SETUSER default on");
    ok(&mut late, "SET k v");
    ok(&mut admin, "CONFIG SET requirepass secret");
    assert_eq!(
        error(&mut server.conn(), "PING"),
        "NOAUTH Authentication required."
    );
    ok(&mut server.conn(), "AUTH secret");
    assert!(list(&mut admin)[1].starts_with("user default on sanitize-payload #2bb80d53"));
    assert_eq!(
        admin.call(&["CONFIG", "SET", "requirepass", ""]),
        Reply::simple("OK")
    );
    ok(&mut server.conn(), "SET k v");
}

#[test]
fn acl_files_load_as_a_whole_and_keep_their_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    fs::write(
        &path,
        "user alice on nopass ~* +@all\nuser bob on nopass +get ~b*\n",
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start(&["--aclfile", path.to_str().unwrap()]);
    let mut alice = login(&server, "alice", "x");
    let mut bob = login(&server, "bob", "x");
    let before = list(&mut alice);
    fs::write(
        &path,
        "user alice on nopass ~* +@all\nuser bob on +nosuch\nusr\n",
    )
    .unwrap();
    let why = error(&mut alice, "ACL LOAD");
    let place = path.display();
    assert_eq!(
        why,
        format!(
            "ERR {place}:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
             {place}:3 should start with user keyword followed by the username. \
             WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        )
    );
    assert_eq!(list(&mut alice), before);
    ok(&mut alice, "ACL SAVE");
    assert_eq!(fs::read_to_string(&path).unwrap(), before.join("\n") + "\n");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Who is still there stays connected and follows the new rules; who is not is closed.
    fs::write(&path, "user alice on nopass ~* +@all -get\n").unwrap();
    ok(&mut alice, "ACL LOAD");
    assert!(bob.is_closed_by_peer());
    assert!(error(&mut alice, "GET k").starts_with("NOPERM"));
    assert_eq!(list(&mut alice).len(), 2);
}

#[test]
fn user_lines_survive_config_rewrite_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.conf");
    fs::write(
        &path,
        "user alice on >pw +get ~a* (+set ~b*)\nrequirepass foo\n",
    )
    .unwrap();
    let mut server = Server::start(&[path.to_str().unwrap()]);
    let mut admin = server.conn();
    ok(&mut admin, "AUTH foo");
    ok(&mut admin, "ACL SETUSER bob on nopass %R~x &c +@read -mget");
    ok(&mut admin, "CONFIG REWRITE");
    let before = list(&mut admin);
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        before.iter().all(|line| written.contains(line)),
        "{written}"
    );
    server.restart();
    let mut admin = server.conn();
    ok(&mut admin, "AUTH foo");
    assert_eq!(list(&mut admin), before);
}

#[test]
fn secrets_are_seen_by_nobody() {
    let server = Server::start(&[]);
    let (mut c, mut watcher) = (server.conn(), server.conn());
    ok(&mut c, "CONFIG SET slowlog-log-slower-than 0");
    ok(&mut watcher, "MONITOR");
    ok(&mut c, "ACL SETUSER u on >sesame1 +@all");
    ok(&mut c, "CONFIG SET masterauth sesame2 maxmemory 0");
    ok(&mut c, "AUTH u sesame1");
    error(&mut c, "HELLO 2 AUTH u sesame3");
    error(&mut c, "AUTH u sesame4 x");
    let log = format!("{:?}", c.cmd("SLOWLOG GET 100"));
    assert!(
        !log.contains("sesame") && log.contains("(redacted)"),
        "{log}"
    );
    let denials = format!("{:?}", c.cmd("ACL LOG"));
    assert!(!denials.contains("sesame"), "{denials}");
    ok(&mut c, "AUTH default x");
    c.cmd("PING");
    let mut seen = String::new();
    while !seen.contains("PING") {
        seen = format!("{seen}{:?}", watcher.read().unwrap());
        assert!(!seen.contains("sesame"), "{seen}");
    }
    assert!(seen.contains("(redacted)") && !server.log().contains("sesame"));
}

#[test]
fn protected_commands_fail_a_transaction_when_they_are_queued() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    ok(&mut c, "MULTI");
    assert!(error(&mut c, "DEBUG JMAP").starts_with("ERR DEBUG command not allowed."));
    assert!(error(&mut c, "MODULE LOAD x").starts_with("ERR MODULE command not allowed."));
    assert!(error(&mut c, "EXEC").starts_with("EXECABORT"));
    assert!(
        error(&mut c, "CONFIG SET enable-debug-command yes").contains("can't set immutable config")
    );
    assert!(error(&mut c, "CONFIG SET dbfilename x").contains("can't set protected config"));
    let open = Server::start(&[
        "--enable-debug-command",
        "local",
        "--enable-module-command",
        "yes",
    ]);
    let mut c = open.conn();
    assert!(error(&mut c, "DEBUG JMAP").contains("unknown subcommand"));
    assert!(error(&mut c, "MODULE LOAD x").starts_with("ERR Error loading the extension."));
}
