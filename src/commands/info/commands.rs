//! Sections about what was called: Commandstats, Errorstats, Latencystats.

use super::{Around, Lines};
use crate::exec::call::CommandStat;
use hdrhistogram::Histogram;
use std::fmt::Write;

/// Name and figures of every command that has some.
fn counted<'a>(a: &'a Around<'_>) -> impl Iterator<Item = (&'static str, &'a CommandStat)> {
    a.server.registry.ids().map(|id| {
        (
            a.server.registry.row(id).name,
            &a.server.command_stats[id.index()],
        )
    })
}

pub(super) fn commandstats(l: &mut Lines, a: &Around<'_>) {
    for (name, s) in counted(a) {
        if s.calls + s.rejected + s.failed == 0 {
            continue;
        }
        let micros = s.nanos / 1000;
        let each = if s.calls == 0 {
            0.0
        } else {
            micros as f64 / s.calls as f64
        };
        l.raw(format_args!(
            "cmdstat_{name}:calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
            s.calls, s.rejected, s.failed
        ));
    }
}

pub(super) fn errorstats(l: &mut Lines, a: &Around<'_>) {
    for (code, n) in a.server.errors.iter() {
        let code: String = code.iter().map(|&b| printable(b) as char).collect();
        l.raw(format_args!("errorstat_{code}:count={n}"));
    }
}

/// Upstream's rule: what would break the line or its parsing is shown as `_`.
fn printable(b: u8) -> u8 {
    if b.is_ascii_graphic() && !b"#:,".contains(&b) {
        b
    } else {
        b'_'
    }
}

pub(super) fn latencystats(l: &mut Lines, a: &Around<'_>) {
    let wanted = &a.server.config.latency_tracking_info_percentiles;
    for (name, s) in counted(a) {
        let Some(h) = &s.latency else { continue };
        l.raw(format_args!(
            "latency_percentiles_usec_{name}:{}",
            percentiles(h, wanted)
        ));
    }
}

fn percentiles(h: &Histogram<u64>, wanted: &[f64]) -> String {
    let mut text = String::new();
    for (i, &p) in wanted.iter().enumerate() {
        let micros = h.value_at_percentile(p) as f64 / 1000.0;
        let comma = if i > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}p{p}={micros:.3}");
    }
    text
}
