//! The rules of the house that a compiler does not keep: the order in which rooms may import each other, where unsafe code
//! may stand, a header in every file, no file without end. The rules themselves are told in ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms, ground floor first: a room imports only rooms that stand before it. Rooms in one row may import each other: this is
/// the one knot of the house.
const FLOORS: &[&[&str]] = &[
    &["sys"],
    &["ds"],
    &["resp"],
    &["net"],
    &["types"],
    &["config"],
    &["keyspace"],
    &["acl"],
    &["pubsub"],
    &["tracking"],
    &["observe"],
    &["persist"],
    &["client"],
    &["repl"],
    &["exec", "server", "script"],
    &["commands"],
    &["cli"],
    &["main"],
];

/// Files (or folders) that may hold unsafe code, because a measurement or the system asked for it.
const UNSAFE: &[&str] = &[
    "src/sys/",
    "src/ds/bits.rs",
    "src/ds/table/",
    "src/ds/item.rs",
    "src/ds/thin.rs",
    "src/ds/sorted",
    "src/ds/mod.rs",
    "src/keyspace/entry.rs",
    "src/keyspace/value.rs",
    "src/keyspace/view.rs",
    "src/keyspace/mod.rs",
    "src/script/loan.rs",
    "src/script/debugger/stack.rs",
    "src/script/engine.rs",
    "src/script/lua.rs",
    "src/script/sandbox.rs",
    "src/script/mod.rs",
    "src/types/zset",
];

/// Longest file, in lines.
const MAX_LINES: usize = 1000;

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in fs::read_dir(dir).unwrap().flatten() {
        let p = e.path();
        if p.is_dir() {
            sources(&p, out);
        } else if p.extension().is_some_and(|x| x == "rs") {
            out.push(p);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files.sort();
    let name = |p: &PathBuf| p.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    files
        .iter()
        .map(|p| (name(p), fs::read_to_string(p).unwrap()))
        .collect()
}

/// Lines of code, without comments and without what follows `#[cfg(test)]` (tests may reach anywhere).
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, l)| l.trim() != "#[cfg(test)]")
        .map(|(i, l)| (i + 1, l))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
}

fn room(file: &str) -> &str {
    let rest = file.strip_prefix("src/").unwrap();
    rest.split(['/', '.']).next().unwrap()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|f| f.contains(&room))
}

#[test]
fn rooms_import_only_rooms_below() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let here = room(&file);
        if here == "lib" || file.contains("tests") {
            continue;
        }
        let my_floor =
            floor(here).unwrap_or_else(|| panic!("{file}: room `{here}` is not in the order"));
        for (n, line) in code(&text) {
            for part in line.split("crate::").skip(1) {
                let other: String = part
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                match floor(&other) {
                    Some(f) if f > my_floor => {
                        wrong.push(format!("{file}:{n}: `{here}` imports `{other}`"))
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports against the order:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn unsafe_stands_where_it_may() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        if UNSAFE.iter().any(|u| file.starts_with(u)) {
            continue;
        }
        for (n, line) in code(&text) {
            if line.contains("unsafe ") || line.contains("allow(unsafe_code)") {
                wrong.push(format!("{file}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "unsafe code outside the allow-list:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn unsafe_blocks_say_why() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let lines: Vec<&str> = text.lines().collect();
        // In a test the blocks belong to the test, which says so once.
        if file.contains("tests") {
            continue;
        }
        for (n, line) in code(&text) {
            let opens = line.contains("unsafe {") || line.contains("unsafe impl");
            let from = n.saturating_sub(8);
            let said = lines[from..n]
                .iter()
                .any(|l| l.contains("SAFETY") || l.contains("# Safety"));
            if opens && !said {
                wrong.push(format!("{file}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "unsafe without a SAFETY comment:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_file_opens_with_what_it_is() {
    let bare: Vec<String> = all()
        .into_iter()
        .filter(|(_, t)| !t.starts_with("//!"))
        .map(|(f, _)| f)
        .collect();
    assert!(bare.is_empty(), "files without a `//!` header: {bare:?}");
}

#[test]
fn no_room_is_hidden_in_a_long_file() {
    let long: Vec<String> = all()
        .into_iter()
        .map(|(f, t)| (f, t.lines().count()))
        .filter(|(_, n)| *n > MAX_LINES)
        .map(|(f, n)| format!("{f}: {n} lines"))
        .collect();
    assert!(long.is_empty(), "files over {MAX_LINES} lines: {long:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["todo!(", "unimplemented!(", "TODO", "FIXME"];
    let mut found = Vec::new();
    for (file, text) in all() {
        for (i, l) in text.lines().enumerate() {
            if marks.iter().any(|m| l.contains(m)) {
                found.push(format!("{file}:{}: {}", i + 1, l.trim()));
            }
        }
    }
    assert!(found.is_empty(), "unfinished:\n{}", found.join("\n"));
}
