//! Replays command sequences against our server and a real one and compares every reply.
//!
//! Each test starts both servers (see `harness`), runs hand-written scripts or random ones (`families` through `grammar`), compares
//! replies (`compare`, `known`) and afterwards every key. A difference is shrunk to a short script and printed with its seed.
//! `DIFF_SEED`, `DIFF_ROUNDS` (scripts per protocol), `DIFF_FAMILIES`, `DIFF_SHOW` (differences until it gives up) and `DIFF_SCRIPT`
//! (replay a file) steer it; `REDSTART_IT_BIN` and `REFERENCE_SERVER` choose the servers.

mod aside;
mod compare;
mod dialogues;
mod families;
mod grammar;
#[path = "../it/harness/mod.rs"]
mod harness;
mod info;
mod known;
mod pair;
mod scripts;
mod trees;

use grammar::Gen;
use harness::server::{ours, reference, reference_named};
use pair::{Difference, Pair, Script, show};
use std::path::Path;

/// Scripts per protocol unless `DIFF_ROUNDS` says otherwise: a few seconds each way.
const ROUNDS: usize = 150;
const SCRIPT_LEN: usize = 60;
/// How often a difference is looked for again before it counts.
const CONFIRMATIONS: usize = 3;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The same scripts every time, so that a run of CI means the same as the last one; `DIFF_SEED=random` explores, `DIFF_SEED=n` repeats.
fn seed() -> u64 {
    if std::env::var("DIFF_SEED").is_ok_and(|text| text == "random") {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |d| d.as_nanos() as u64);
        return now % 1_000_000_000;
    }
    number("DIFF_SEED", 7015)
}

fn report(label: &str, script: &Script, found: &Difference) -> String {
    let lines: Vec<String> = script
        .iter()
        .map(|args| format!("    {}", show(args)))
        .collect();
    format!(
        "{label}\n{}\n  at: {}\n  ours:   {}\n  theirs: {}\n",
        lines.join("\n"),
        found.what,
        found.ours,
        found.theirs
    )
}

/// Runs the scripts; collects shrunk differences until there are enough of them.
fn compare_all(pair: &mut Pair, scripts: impl Iterator<Item = (String, Script)>) -> Vec<String> {
    let enough = number("DIFF_SHOW", 5) as usize;
    let mut reports = Vec::new();
    for (label, script) in scripts {
        let Some(mut found) = pair.run(&script) else {
            continue;
        };
        // Which of two connections is served first may depend on the machine: a difference comes again.
        let again = (0..CONFIRMATIONS)
            .all(|_| found.fatal || pair.run(&script).map(|again| found = again).is_some());
        if !again {
            continue;
        }
        let (script, found) = if found.fatal {
            (script, found)
        } else {
            pair.shrink(&script, found)
        };
        reports.push(report(&label, &script, &found));
        if found.fatal {
            pair.revive();
        }
        if reports.len() >= enough {
            break;
        }
    }
    reports
}

fn random_script(generator: &mut Gen, all: &[grammar::Family]) -> Script {
    // MULTI would hide what the other families' random answers need: transactions stay among themselves.
    let first = generator.dice.below(all.len());
    let second = generator.dice.below(all.len());
    let alone = |i: usize| {
        matches!(
            all[i].name,
            "transactions" | "waiting" | "messages" | "administration"
        )
    };
    let second = if alone(first) || alone(second) {
        first
    } else {
        second
    };
    (0..SCRIPT_LEN)
        .map(|_| {
            let family = if generator.dice.one_in(5) {
                second
            } else {
                first
            };
            generator.command(&all[family])
        })
        .collect()
}

fn random_scripts(seed: u64, all: Vec<grammar::Family>) -> impl Iterator<Item = (String, Script)> {
    let rounds = number("DIFF_ROUNDS", ROUNDS as u64);
    (0..rounds).map(move |round| {
        // Each script has its own seed, so that one of them can be run alone: DIFF_SEED=<it> DIFF_ROUNDS=1.
        let own = seed.wrapping_add(round);
        (
            format!("seed {own}"),
            random_script(&mut Gen::new(own), &all),
        )
    })
}

fn check(theirs: &Path, resp3: bool, scripts: impl Iterator<Item = (String, Script)>) {
    let mut pair = Pair::start(&ours(), theirs, resp3);
    let reports = compare_all(&mut pair, scripts);
    assert!(
        reports.is_empty(),
        "{} differences to {}:\n{}",
        reports.len(),
        theirs.display(),
        reports.join("\n")
    );
}

fn written() -> impl Iterator<Item = (String, Script)> {
    scripts::all()
        .into_iter()
        .enumerate()
        .map(|(i, script)| (format!("script {}", i + 1), script))
}

/// `DIFF_SCRIPT=file` replays one script, such as a shrunk one, over both protocols.
#[test]
fn replay() {
    let Some(path) = std::env::var_os("DIFF_SCRIPT") else {
        return;
    };
    let script =
        scripts::parse(&std::fs::read_to_string(path).expect("DIFF_SCRIPT names a readable file"));
    let Some(theirs) = reference() else { return };
    for resp3 in [false, true] {
        check(
            &theirs,
            resp3,
            std::iter::once(("DIFF_SCRIPT".to_string(), script.clone())),
        );
    }
}

#[test]
fn written_scripts_resp2() {
    if let Some(theirs) = reference() {
        check(&theirs, false, written());
    }
}

#[test]
fn written_scripts_resp3() {
    if let Some(theirs) = reference() {
        check(&theirs, true, written());
    }
}

#[test]
fn random_scripts_resp2() {
    if let Some(theirs) = reference() {
        check(&theirs, false, random_scripts(seed(), families::all()));
    }
}

#[test]
fn random_scripts_resp3() {
    if let Some(theirs) = reference() {
        check(
            &theirs,
            true,
            random_scripts(seed().wrapping_add(1 << 32), families::all()),
        );
    }
}

/// Against the version we follow, where it is installed.
#[test]
fn random_scripts_newest() {
    if let Some(theirs) = reference_named("redis-8.2.3") {
        check(
            &theirs,
            false,
            written().chain(random_scripts(
                seed().wrapping_add(2 << 32),
                families::all(),
            )),
        );
    }
}

/// What came after 7.0, against the version we follow, where it is installed.
#[test]
fn newer_commands() {
    let Some(theirs) = reference_named("redis-8.2.3") else {
        return;
    };
    for resp3 in [false, true] {
        check(
            &theirs,
            resp3,
            random_scripts(seed().wrapping_add(3 << 32), families::newer()),
        );
    }
}

/// Everything that COMMAND DOCS of the version we follow tells, where it is installed.
#[test]
fn argument_trees() {
    let Some(theirs) = reference_named("redis-8.2.3") else {
        return;
    };
    for resp3 in [false, true] {
        let told = harness::server::Server::start_binary(&theirs, &[]);
        let families = families::chosen(trees::families(&mut told.conn()));
        drop(told);
        check(
            &theirs,
            resp3,
            random_scripts(seed().wrapping_add(4 << 32), families),
        );
    }
}
