//! Chains of servers of both kinds, ours in every place: the stream goes through byte for byte, a middle one that becomes the master
//! takes its followers along without a snapshot. Servers that are not installed are skipped.

use super::harness::Server;
use super::harness::server::reference_named;
use super::replication_load::{Dice, assert_same, follow, info, wait_up, write_some};

const REAL: [&str; 3] = ["redis-server", "redis-8.2.3", "valkey-9.1.2"];
// No pings: only what is written is in the stream, so nobody can be ahead of who takes over.
const ARGS: [&str; 6] = [
    "--repl-ping-replica-period",
    "3600",
    "--repl-diskless-sync-delay",
    "0",
    "--enable-debug-command",
    "yes",
];

fn start(real: Option<&str>) -> Option<Server> {
    let Some(name) = real else {
        return Some(Server::start(&ARGS));
    };
    let mut server = Server::start_binary(&reference_named(name)?, &ARGS);
    server.log_on_failure = false;
    Some(server)
}

/// First, middle and last of a chain; the middle is promoted, the first becomes its replica.
fn chain(kinds: [Option<&str>; 3], seed: u64) {
    let [Some(first), Some(middle), Some(last)] = kinds.map(start) else {
        return;
    };
    let mut dice = Dice::new(seed);
    write_some(&mut first.conn(), &mut dice, 500);
    follow(&middle, &first);
    follow(&last, &middle);
    for _ in 0..3 {
        write_some(&mut first.conn(), &mut dice, 200);
        middle.conn().cmd("CLIENT KILL TYPE master");
        write_some(&mut first.conn(), &mut dice, 50);
        last.conn().cmd("CLIENT KILL TYPE master");
        write_some(&mut first.conn(), &mut dice, 50);
        wait_up(&middle);
        wait_up(&last);
    }
    assert_same(&first, &middle);
    assert_same(&first, &last);
    // The middle becomes the master; nothing was written that it has not, so both others can go on.
    middle.conn().cmd("REPLICAOF NO ONE");
    follow(&first, &middle);
    write_some(&mut middle.conn(), &mut dice, 200);
    wait_up(&last);
    assert_same(&middle, &last);
    assert_same(&middle, &first);
    let id = |s: &Server| info(&mut s.conn(), "master_replid");
    assert_eq!(id(&first), id(&middle), "{kinds:?}");
    assert_eq!(id(&last), id(&middle), "{kinds:?}");
    // Its only snapshot was the first one for the last of the chain.
    assert_eq!(info(&mut middle.conn(), "sync_full"), "1", "{kinds:?}");
}

#[test]
fn ours_between_real_ones() {
    for (i, name) in REAL.into_iter().enumerate() {
        chain([Some(name), None, Some(name)], 31 + i as u64);
    }
}

#[test]
fn real_ones_between_ours() {
    for (i, name) in REAL.into_iter().enumerate() {
        chain([None, Some(name), None], 41 + i as u64);
    }
}
