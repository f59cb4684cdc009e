//! What reaches the AOF and the replicas, command by command and unit by unit, as redis-8.2.3 wrote it to its AOF for the
//! same commands.

use crate::client::{Client, ClientRef};
use crate::config::Config;
use crate::exec::blocking;
use crate::exec::dispatch::dispatch;
use crate::exec::registry::Registry;
use crate::net::Conn;
use crate::resp::OwnedArgs;
use crate::server::Server;

/// A server without sockets, and what it propagates.
struct Bench {
    server: Server,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new(&crate::commands::all());
        let mut server = Server::new(Config::default(), registry, None).expect("a server");
        server.ks.fx.propagating = true;
        server.propagation.tap = Some(Vec::new());
        Bench { server }
    }

    fn client(&mut self) -> ClientRef {
        let id = self.server.clients.new_id();
        let client = Client::new(id, Conn::None, 0);
        self.server.clients.insert(Box::new(client))
    }

    /// Runs commands, separated by `;`, for a client.
    fn run(&mut self, client: ClientRef, lines: &str) {
        for line in lines.split(';') {
            let args = OwnedArgs::from_iter(line.split_whitespace());
            let mut c = self.server.clients.take(client).expect("not running");
            self.server.clock.resync();
            dispatch(&mut self.server, &mut c, args.view(), None, None);
            self.server.clients.put_back(c);
        }
    }

    /// What was propagated since the last call: MULTI and EXEC in upper case, commands as they are, the database before
    /// them when it is not 0.
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

    fn replied(&mut self, client: ClientRef) -> String {
        let client = self.server.clients.get_mut(client).expect("not running");
        String::from_utf8_lossy(&client.out.take_all()).replace("\r\n", " ")
    }
}

#[test]
fn what_waits_is_propagated_as_what_does_not() {
    let mut b = Bench::new();
    let (a, w, v) = (b.client(), b.client(), b.client());
    b.run(a, "rpush q 1 2;blpop q 0;blmove q r left right 0");
    assert_eq!(b.seen(), "rpush q 1 2; LPOP q; LMOVE q r left right");
    b.run(w, "blmove src dst left right 0");
    b.run(v, "blpop dst 0");
    assert_eq!(b.seen(), "");
    b.run(a, "rpush src x");
    assert_eq!(b.seen(), "rpush src x; LMOVE src dst left right; LPOP dst");
    assert_eq!(b.replied(w), "$1 x ");
    assert_eq!(b.replied(v), "*2 $3 dst $1 x ");
    b.run(w, "brpoplpush src dst 0");
    b.run(a, "lpush src 1 2");
    assert_eq!(b.seen(), "lpush src 1 2; RPOPLPUSH src dst");
    b.run(
        a,
        "rpush m 1 2 3;lmpop 2 no m right count 2;blmpop 0 1 m left count 9",
    );
    assert_eq!(b.seen(), "rpush m 1 2 3; RPOP m 2; LPOP m 1");
    b.run(a, "ltrim src 0 -1;lrem src 0 nope;ltrim src 1 0");
    assert_eq!(b.seen(), "ltrim src 1 0");
}

#[test]
fn a_unit_is_wrapped_when_it_is_more_than_one_command() {
    let mut b = Bench::new();
    let (a, w) = (b.client(), b.client());
    b.run(w, "blpop q2 0");
    b.run(a, "multi;rpush q2 1 2;get x;set y 1;exec");
    assert_eq!(b.seen(), "MULTI; rpush q2 1 2; set y 1; EXEC; LPOP q2");
    b.run(a, "multi;set y 1;get y;exec");
    assert_eq!(b.seen(), "set y 1");
    b.run(a, "multi;get y;exec");
    assert_eq!(b.seen(), "");
    b.run(a, "multi;set z 1;select 1;set z 2;select 0;exec");
    assert_eq!(b.seen(), "MULTI; set z 1; 1: set z 2; EXEC");
}

#[test]
fn deletions_by_expiry_are_part_of_the_unit() {
    let mut b = Bench::new();
    let a = b.client();
    let expired = |b: &mut Bench| {
        b.run(a, "set e 1 px 1");
        std::thread::sleep(std::time::Duration::from_millis(3));
        b.seen();
    };
    expired(&mut b);
    b.run(a, "set e 2");
    assert_eq!(b.seen(), "MULTI; DEL e; set e 2; EXEC");
    expired(&mut b);
    b.run(a, "get e");
    assert_eq!(b.seen(), "DEL e");
    expired(&mut b);
    b.run(a, "multi;set z 1;get e;set z 2;exec");
    assert_eq!(b.seen(), "MULTI; set z 1; DEL e; set z 2; EXEC");
}

#[test]
fn what_had_expired_when_watched_may_go() {
    let mut b = Bench::new();
    let (a, other) = (b.client(), b.client());
    b.server.expired_keys = crate::keyspace::ExpiredKeys::Hide;
    b.run(a, "set k v px 1");
    std::thread::sleep(std::time::Duration::from_millis(3));
    b.run(a, "watch k");
    b.server.expired_keys = crate::keyspace::ExpiredKeys::Delete;
    b.run(other, "get k");
    assert!(
        !b.server.ks.dbs[0]
            .keys
            .contains(crate::ds::hash::hash(b"k"), b"k")
    );
    b.replied(a);
    b.run(a, "multi;ping;exec");
    assert_eq!(b.replied(a), "+OK +QUEUED *1 +PONG ");
    // What comes after is a change again.
    b.run(a, "watch k");
    b.run(other, "set k 1");
    b.replied(a);
    b.run(a, "multi;ping;exec");
    assert_eq!(b.replied(a), "+OK +QUEUED *-1 ");
}

#[test]
fn nothing_is_left_behind() {
    let mut b = Bench::new();
    let (a, w) = (b.client(), b.client());
    b.run(a, "watch k l");
    b.run(w, "blpop q q r 0.001");
    assert_eq!(
        (
            b.server.blocking.clients,
            blocking::blocking_keys(&b.server)
        ),
        (1, (2, 0))
    );
    std::thread::sleep(std::time::Duration::from_millis(3));
    b.server.clock.resync();
    blocking::expire_deadlines(&mut b.server);
    assert_eq!(b.replied(w), "*-1 ");
    b.run(a, "multi;exec");
    assert_eq!(
        (
            b.server.blocking.clients,
            blocking::blocking_keys(&b.server)
        ),
        (0, (0, 0))
    );
    assert!(b.server.queues.deadlines.is_empty() && b.server.ks.dbs[0].watched.is_empty());
    assert_eq!(b.server.ks.fx.listening, Default::default());
    let blpop = b.server.command_stats.iter().map(|s| s.calls).sum::<u64>();
    assert_eq!(
        blpop, b.server.stats.commands,
        "a command that waited counts once"
    );
}

#[test]
fn unblocking_by_id() {
    let mut b = Bench::new();
    let (a, w) = (b.client(), b.client());
    let id = b.server.clients.get(w).expect("there").id;
    assert!(!blocking::unblock_by_id(&mut b.server, id, false));
    b.run(w, "brpop q 0");
    assert!(blocking::unblock_by_id(&mut b.server, id, false));
    b.run(w, "brpop q 0");
    assert!(blocking::unblock_by_id(&mut b.server, id, true));
    assert_eq!(
        b.replied(w),
        "*-1 -UNBLOCKED client unblocked via CLIENT UNBLOCK "
    );
    b.run(a, "rpush q x");
    assert_eq!(b.replied(w), "");
}

#[test]
fn a_pause_holds_back_what_writes_until_it_ends() {
    use crate::exec::pause::{self, Mode, Purpose};
    let mut b = Bench::new();
    let (a, w) = (b.client(), b.client());
    b.run(w, "multi;set k 1");
    b.replied(w);
    let until = b.server.clock.now_ms + 60_000;
    pause::pause(&mut b.server, Purpose::Client, Mode::Write, until);
    b.run(a, "get k");
    b.run(w, "exec");
    assert_eq!((b.replied(a).as_str(), b.replied(w).as_str()), ("$-1 ", ""));
    assert_eq!(b.server.blocking.clients, 1);
    // A milder pause does not replace a stricter one.
    pause::pause(&mut b.server, Purpose::Client, Mode::All, until);
    pause::pause(&mut b.server, Purpose::Client, Mode::Write, until - 1);
    assert_eq!(b.server.pause.of(Purpose::Client), Some((Mode::All, until)));
    b.run(a, "get k");
    assert_eq!(b.server.blocking.clients, 2);
    pause::unpause(&mut b.server, Purpose::Client);
    assert_eq!(b.server.blocking.clients, 0);
    assert_eq!(b.server.queues.resumed, [w, a]);
    for handle in [w, a] {
        let mut c = b.server.clients.take(handle).expect("not running");
        let (id, args) = pause::take_held(&mut c).expect("held back");
        dispatch(&mut b.server, &mut c, args.view(), Some(id), None);
        b.server.clients.put_back(c);
    }
    assert_eq!(
        (b.replied(w).as_str(), b.replied(a).as_str()),
        ("*1 +OK ", "$1 1 ")
    );
}
