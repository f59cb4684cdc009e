//! LATENCY: what was slow and when (`latency-monitor-threshold`), and how the times of commands are spread (`latency-tracking`).

use crate::client::CommandId;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::observe::Event;
use crate::observe::latency::Series;
use crate::observe::sparkline::{self, Column};
use crate::observe::verdict::{self, Surroundings};
use crate::resp::{Error, Reply, before_nul};
use hdrhistogram::Histogram;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&LATENCY];

/// The row of LATENCY.
pub static LATENCY: Command = Command {
    name: "latency",
    arity: -2,
    group: Group::Server,
    since: "2.8.13",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about slow moments.",
    subcommands: &[
        &LATENCY_DOCTOR,
        &LATENCY_GRAPH,
        &LATENCY_HELP,
        &LATENCY_HISTOGRAM,
        &LATENCY_HISTORY,
        &LATENCY_LATEST,
        &LATENCY_RESET,
    ],
    ..Command::DEFAULT
};

/// The row of LATENCY LATEST.
pub static LATENCY_LATEST: Command = Command {
    name: "latency|latest",
    handler: latency_latest,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Lists the last slow moment of every event.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn latency_latest(ctx: &mut Ctx<'_>) -> Outcome {
    let seen: Vec<(Event, &Series)> = ctx.server.latency.seen().collect();
    let mut r = ctx.client.reply();
    r.array(seen.len());
    for (event, s) in seen {
        let last = s.samples.back().copied();
        r.array(4);
        r.bulk(event.name().as_bytes());
        r.int(last.map_or(0, |l| l.at_s));
        r.int(last.map_or(0, |l| l.took_ms as i64));
        r.int(s.max_ms as i64);
    }
    Ok(Flow::Done)
}

/// The row of LATENCY HISTORY.
pub static LATENCY_HISTORY: Command = Command {
    name: "latency|history",
    handler: latency_history,
    arity: 3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Lists the slow moments of an event.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    args: "event",
    ..Command::DEFAULT
};

fn latency_history(ctx: &mut Ctx<'_>) -> Outcome {
    let event = Event::from_name(ctx.arg(2));
    let series = event.and_then(|e| ctx.server.latency.series(e));
    let mut r = ctx.client.reply();
    let Some(s) = series else {
        r.array(0);
        return Ok(Flow::Done);
    };
    r.array(s.samples.len());
    for sample in &s.samples {
        r.array(2);
        r.int(sample.at_s);
        r.int(sample.took_ms as i64);
    }
    Ok(Flow::Done)
}

/// The row of LATENCY RESET.
pub static LATENCY_RESET: Command = Command {
    name: "latency|reset",
    handler: latency_reset,
    arity: -2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Forgets slow moments.",
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    args: "[event...]",
    ..Command::DEFAULT
};

fn latency_reset(ctx: &mut Ctx<'_>) -> Outcome {
    let latency = &mut ctx.server.latency;
    let n = if ctx.args.len() == 2 {
        let all = Event::ALL.iter();
        all.filter(|&&e| latency.reset(e)).count()
    } else {
        let named = ctx.args.iter().skip(2).filter_map(Event::from_name);
        named.filter(|&e| latency.reset(e)).count()
    };
    ctx.reply().int(n as i64);
    Ok(Flow::Done)
}

/// The row of LATENCY GRAPH.
pub static LATENCY_GRAPH: Command = Command {
    name: "latency|graph",
    handler: latency_graph,
    arity: 3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Draws the latency of an event.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    args: "event",
    ..Command::DEFAULT
};

/// Rows and greatest number of columns of the graph.
const GRAPH: (usize, usize) = (4, 80);

fn latency_graph(ctx: &mut Ctx<'_>) -> Outcome {
    let name = ctx.arg(2);
    let event = Event::from_name(name);
    let found = event.and_then(|e| Some((e, ctx.server.latency.series(e)?)));
    let Some((event, series)) = found else {
        let text = [
            b"ERR No samples available for event '",
            before_nul(name),
            b"'",
        ]
        .concat();
        return Err(Error::Bytes(text));
    };
    let text = graph(event, series, ctx.server.clock.now_s());
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn graph(event: Event, s: &Series, now_s: i64) -> String {
    let f = verdict::figures(s, now_s);
    let columns: Vec<Column> = s
        .samples
        .iter()
        .map(|sample| Column {
            value: sample.took_ms,
            label: age(now_s - sample.at_s),
        })
        .collect();
    format!(
        "{} - high {} ms, low {} ms (all time high {} ms)\n{}\n{}",
        event.name(),
        f.max,
        f.min,
        s.max_ms,
        "-".repeat(GRAPH.1),
        sparkline::draw(&columns, GRAPH.0, GRAPH.1)
    )
}

/// Seconds in the greatest unit that is not zero.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400.. => format!("{}d", seconds / 86_400),
    }
}

/// The row of LATENCY DOCTOR.
pub static LATENCY_DOCTOR: Command = Command {
    name: "latency|doctor",
    handler: latency_doctor,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Judges the latency in words.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    ..Command::DEFAULT
};

fn latency_doctor(ctx: &mut Ctx<'_>) -> Outcome {
    let config = &ctx.server.config;
    let around = Surroundings {
        threshold_ms: config.latency_monitor_threshold,
        slowlog_us: config.slowlog_log_slower_than,
        huge_pages: !config.disable_thp && crate::server::host::huge_pages_always(),
        now_s: ctx.server.clock.now_s(),
    };
    let text = verdict::report(&ctx.server.latency, &around);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// The row of LATENCY HISTOGRAM.
pub static LATENCY_HISTOGRAM: Command = Command {
    name: "latency|histogram",
    handler: latency_histogram,
    arity: -2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) where N is the number of commands with latency information being retrieved.",
    summary: "Reports how the times of commands are spread.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    args: "[command...]",
    ..Command::DEFAULT
};

fn latency_histogram(ctx: &mut Ctx<'_>) -> Outcome {
    let registry = &ctx.server.registry;
    let ids: Vec<CommandId> = if ctx.args.len() == 2 {
        registry.ids().collect()
    } else {
        let named = ctx.args.iter().skip(2);
        let found = named.filter_map(|name| registry.lookup_full(name));
        // A container stands for itself and its subcommands.
        found
            .flat_map(|id| std::iter::once(id).chain(registry.subcommands(id)))
            .collect()
    };
    let stats = &ctx.server.command_stats;
    let mut r = ctx.client.reply();
    let (begin, mut n) = (r.begin(), 0);
    for id in ids {
        if let Some(h) = &stats[id.index()].latency {
            r.bulk(registry.row(id).name.as_bytes());
            distribution(h, &mut r);
            n += 1;
        }
    }
    r.end_map(begin, n);
    Ok(Flow::Done)
}

/// Number of calls, and how many of them took at most so many microseconds: a line per power of two (of 1024 ns) that has
/// calls of its own.
fn distribution(h: &Histogram<u64>, r: &mut Reply<'_>) {
    r.map(2);
    r.bulk(b"calls");
    r.int(h.len() as i64);
    r.bulk(b"histogram_usec");
    let (begin, mut n) = (r.begin(), 0);
    let (mut level_ns, mut counted) = (1024u64, 0);
    while counted < h.len() {
        // The histogram's two digits make the bound of a bucket a little greater than the power of two.
        let bound_ns = h.highest_equivalent(level_ns);
        let upto = h.count_between(0, bound_ns);
        if upto > counted {
            r.int((bound_ns / 1000) as i64);
            r.int(upto as i64);
            n += 1;
        }
        counted = upto;
        level_ns *= 2;
    }
    r.end_map(begin, n);
}

/// The row of LATENCY HELP.
pub static LATENCY_HELP: Command = Command {
    name: "latency|help",
    handler: latency_help,
    arity: 2,
    flags: flags("loading stale"),
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "Shows what LATENCY can do.",
    ..Command::DEFAULT
};

fn latency_help(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply().help(&[
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Judge the slow moments noted so far, in words.",
        "GRAPH <event>",
        "    Draw the slow moments of <event>.",
        "HISTORY <event>",
        "    List the slow moments of <event>: time and milliseconds.",
        "LATEST",
        "    List the last slow moment of every event: name, time, milliseconds, slowest ever.",
        "RESET [<event> ...]",
        "    Forget the slow moments of these events (default: of all).",
        "HISTOGRAM [COMMAND ...]",
        "    Show how many calls of each command took up to how many microseconds",
        "    (default: of all commands that were called).",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages() {
        let shown = [0, 59, 60, 3599, 3600, 86_400, 200_000].map(age);
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "1d", "2d"]);
    }
}
