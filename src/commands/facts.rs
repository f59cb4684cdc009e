//! Holds every row to what 8.2.3 answers about the command, as recorded in `tests/data/commands-8.2.3.json`: a line per
//! command or subcommand with COMMAND INFO and COMMAND DOCS, sets written as `{"~":[..]}` and status replies with a leading
//! `+`, without the prose of summaries and histories, which are our own.

use crate::commands::introspect::{docs, info, transcript::Transcript, transcript::Value};
use crate::exec::registry::{CommandId, Registry};
use std::collections::{BTreeMap, BTreeSet};

const FACTS: &str = include_str!("../../tests/data/commands-8.2.3.json");

/// Name of a command and what is recorded of it, still as text.
fn facts() -> BTreeMap<&'static str, &'static str> {
    let lines = FACTS
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.split_once("\":"));
    lines
        .map(|(name, fact)| (name, fact.strip_suffix(',').unwrap_or(fact)))
        .collect()
}

/// What our rows answer, in the form of the record.
fn told(registry: &Registry, id: CommandId) -> String {
    let mut out = Transcript::default();
    info::describe(registry, id, &mut out);
    let Value::Array(mut info) = out.finish() else {
        panic!("COMMAND INFO is no array")
    };
    info.truncate(9);
    let mut out = Transcript::default();
    docs::document(registry, id, &mut out);
    let Value::Map(mut docs) = out.finish() else {
        panic!("COMMAND DOCS is no map")
    };
    let ours = |name: &Value| matches!(name, Value::Bulk(n) if n == "summary" || n == "history" || n == "subcommands");
    docs.retain(|(name, _)| !ours(name));
    let subcommands: BTreeSet<_> = registry
        .subcommands(id)
        .map(|sub| registry.row(sub).name)
        .collect();
    let subcommands = subcommands
        .into_iter()
        .map(|name| Value::Bulk(name.to_owned()))
        .collect();
    let field = |name: &str, value| (Value::Bulk(name.to_owned()), value);
    let parts = [
        ("info", Value::Array(info)),
        ("docs", Value::Map(docs)),
        ("subcommands", Value::Array(subcommands)),
    ];
    Value::Map(parts.map(|(name, value)| field(name, value)).into()).to_string()
}

#[test]
fn rows_tell_what_8_2_3_tells() {
    let (facts, registry) = (facts(), Registry::new(&crate::commands::all()));
    assert_eq!(facts.len(), 385, "the record is not whole");
    let mut wrong = Vec::new();
    for id in registry.ids() {
        let name = registry.row(id).name;
        let told = told(&registry, id);
        if facts.get(name) != Some(&&*told) {
            wrong.push(format!(
                "{name}\n  ours   {told}\n  8.2.3  {}",
                facts.get(name).unwrap_or(&"(unknown)")
            ));
        }
    }
    let present: BTreeSet<_> = registry.ids().map(|id| registry.row(id).name).collect();
    let missing: Vec<_> = facts
        .keys()
        .filter(|name| !present.contains(*name))
        .collect();
    assert!(missing.is_empty(), "commands are missing: {missing:?}");
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn rows_are_in_good_order() {
    let registry = Registry::new(&crate::commands::all());
    for id in registry.ids() {
        let row = registry.row(id);
        assert!(
            row.summary.ends_with('.') && row.summary.len() < 100,
            "{}: one short sentence",
            row.name
        );
        assert_eq!(
            registry.is_sub(id),
            row.name.contains('|'),
            "{}: full names for subcommands only",
            row.name
        );
        assert!(
            row.name.bytes().all(|b| !b.is_ascii_uppercase()),
            "{}: lower case",
            row.name
        );
        if registry.is_sub(id) {
            let parent = registry.row(registry.parent(id)).name;
            assert_eq!(
                row.name.split('|').next(),
                Some(parent),
                "in the wrong container"
            );
        }
    }
}
