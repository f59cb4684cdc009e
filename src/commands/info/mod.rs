//! INFO: figures and states of the server, a function per section, in upstream's order and with its field names.
//!
//! A section is a row in [`SECTIONS`]: its name, whether a bare INFO shows it, and the function that writes its lines. A new
//! field is a line in its section; a field whose room is not there yet has the value upstream shows when the feature is unused.

mod commands;
mod keyspace;
mod memory;
mod persistence;
mod replication;
mod server;
mod stats;

use crate::client::Client;
use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::server::Server;
use std::fmt::Display;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&INFO];

/// The row of INFO.
pub static INFO: Command = Command {
    name: "info",
    handler: info,
    arity: -1,
    flags: flags("loading stale"),
    acl: acl("dangerous"),
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Reports figures and states of the server.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    args: "[section...]",
    ..Command::DEFAULT
};

fn info(ctx: &mut Ctx<'_>) -> Outcome {
    let wanted: Vec<&[u8]> = ctx.args.iter().skip(1).collect();
    let text = report(ctx.server, Some(ctx.client), &wanted);
    ctx.reply().verbatim("txt", &text);
    Ok(Flow::Done)
}

/// When a section is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// By a bare INFO too.
    Always,
    /// By `all` and `everything`.
    InAll,
    /// By its name only.
    ByName,
}

struct Section {
    /// Names it answers to.
    names: &'static [&'static str],
    title: &'static str,
    shown: Shown,
    write: fn(&mut Lines, &Around<'_>),
}

const fn section(
    names: &'static [&'static str],
    title: &'static str,
    shown: Shown,
    write: fn(&mut Lines, &Around<'_>),
) -> Section {
    Section {
        names,
        title,
        shown,
        write,
    }
}

/// In the order of the report.
static SECTIONS: &[Section] = &[
    section(&["server"], "Server", Shown::Always, server::server),
    section(&["clients"], "Clients", Shown::Always, server::clients),
    section(&["memory"], "Memory", Shown::Always, memory::memory),
    section(
        &["persistence"],
        "Persistence",
        Shown::Always,
        persistence::persistence,
    ),
    section(&["threads"], "Threads", Shown::Always, server::threads),
    section(&["stats"], "Stats", Shown::Always, stats::stats),
    section(
        &["replication"],
        "Replication",
        Shown::Always,
        replication::replication,
    ),
    section(&["cpu"], "CPU", Shown::Always, server::cpu),
    section(
        &["modules", "module_list"],
        "Modules",
        Shown::Always,
        |_, _| {},
    ),
    section(
        &["commandstats"],
        "Commandstats",
        Shown::InAll,
        commands::commandstats,
    ),
    section(
        &["errorstats"],
        "Errorstats",
        Shown::Always,
        commands::errorstats,
    ),
    section(
        &["latencystats"],
        "Latencystats",
        Shown::InAll,
        commands::latencystats,
    ),
    section(&["cluster"], "Cluster", Shown::Always, |l, a| {
        l.put("cluster_enabled", u8::from(a.server.config.cluster_enabled))
    }),
    section(&["keyspace"], "Keyspace", Shown::Always, keyspace::keyspace),
    section(&["keysizes"], "Keysizes", Shown::Always, keyspace::keysizes),
    section(&["debug"], "Debug", Shown::ByName, stats::debug),
];

/// What sections look at.
struct Around<'a> {
    server: &'a Server,
    /// The client that asks; it is out of the table meanwhile.
    client: Option<&'a Client>,
}

impl Around<'_> {
    /// All clients, the asking one included.
    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.server.clients.iter().chain(self.client)
    }
}

/// `field:value` lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn put(&mut self, field: &str, value: impl Display) {
        self.raw(format_args!("{field}:{value}"));
    }

    fn raw(&mut self, line: impl Display) {
        self.0.extend_from_slice(format!("{line}\r\n").as_bytes());
    }

    /// A number of bytes, and the same for people under the name with `_human` behind it.
    fn bytes(&mut self, field: &str, value: u64) {
        self.put(field, value);
        self.raw(format_args!("{field}_human:{}", human(value)));
    }
}

/// Bytes for people: `3.20M`.
fn human(n: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if n < 1024 {
        return format!("{n}B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// The report with these sections; none are the default ones. `client` is the one that asks, out of the table.
pub fn report(server: &Server, client: Option<&Client>, wanted: &[&[u8]]) -> Vec<u8> {
    let asked = |s: &Section, word: &[u8]| {
        let is = |name: &str| crate::resp::is_word(word, name.as_bytes());
        s.names.iter().any(|n| is(n))
            || is("default") && s.shown == Shown::Always
            || (is("all") || is("everything")) && s.shown != Shown::ByName
    };
    let around = Around { server, client };
    let mut lines = Lines::default();
    for s in SECTIONS {
        let shown = if wanted.is_empty() {
            s.shown == Shown::Always
        } else {
            wanted.iter().any(|word| asked(s, word))
        };
        if !shown {
            continue;
        }
        if !lines.0.is_empty() {
            lines.raw("");
        }
        lines.raw(format_args!("# {}", s.title));
        (s.write)(&mut lines, &around);
    }
    lines.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let shown = [0, 1023, 1024, 718_656, 25_276_502_016, u64::MAX].map(human);
        assert_eq!(
            shown,
            ["0B", "1023B", "1.00K", "701.81K", "23.54G", "16384.00P"]
        );
    }
}
