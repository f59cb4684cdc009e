//! INFO from outside: its names are held against what 8.2.3 shows.

use crate::harness::{Conn, Server};
use std::collections::BTreeMap;

fn info(c: &mut Conn, sections: &str) -> String {
    let reply = c.cmd(&format!("INFO {sections}"));
    String::from_utf8_lossy(reply.bytes().expect("a report")).into_owned()
}

/// Fields by section, in order.
fn fields(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        if let Some(title) = line.strip_prefix("# ") {
            section = title.to_string();
            all.entry(section.clone()).or_default();
        } else if let Some((name, _)) = line.split_once(':') {
            all.entry(section.clone())
                .or_default()
                .push(name.to_string());
        }
    }
    all
}

#[test]
fn every_field_of_upstream_is_there() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    let ours = fields(&info(&mut c, "everything"));
    let theirs = fields(include_str!("../data/info-8.2.3.txt"));
    for (section, names) in theirs {
        // What these hold depends on what was called, or on modules.
        if [
            "Modules",
            "Commandstats",
            "Errorstats",
            "Latencystats",
            "Keyspace",
            "Keysizes",
        ]
        .contains(&section.as_str())
        {
            assert!(ours.contains_key(&section), "# {section}");
            continue;
        }
        let got = ours
            .get(&section)
            .unwrap_or_else(|| panic!("# {section} is missing"));
        for name in names {
            // Built by cargo.
            if name != "gcc_version" {
                assert!(got.contains(&name), "# {section}: {name} is missing");
            }
        }
    }
}

#[test]
fn sections_can_be_chosen() {
    let server = Server::start(&[]);
    let mut c = server.conn();
    c.cmd("SET k v");
    let titles = |c: &mut Conn, s: &str| -> Vec<String> {
        let text = info(c, s);
        text.lines()
            .filter_map(|l| l.strip_prefix("# "))
            .map(|t| t.trim().to_string())
            .collect()
    };
    let default = titles(&mut c, "");
    assert_eq!(default, titles(&mut c, "default"));
    assert!(!default.contains(&"Commandstats".to_string()));
    let all = titles(&mut c, "all");
    assert!(all.contains(&"Commandstats".to_string()) && all.contains(&"Keyspace".to_string()));
    assert_eq!(titles(&mut c, "cpu SERVER cpu"), ["Server", "CPU"]);
    assert_eq!(titles(&mut c, "nosuch"), [""; 0]);
    assert!(titles(&mut c, "default commandstats").contains(&"Commandstats".to_string()));
}
