//! LATENCY DOCTOR: the figures of each event and advice, in words of ours.

use super::latency::{Event, Latency, Series};
use std::fmt::Write;

/// Figures of the samples of an event, in ms unless the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Smallest and greatest of the samples kept.
    pub min: u64,
    /// See `min`.
    pub max: u64,
    /// Their mean.
    pub mean: u64,
    /// The mean distance from the mean.
    pub deviation: u64,
    /// Seconds since the oldest sample.
    pub period_s: i64,
}

/// Computes the figures of a series.
pub fn figures(s: &Series, now_s: i64) -> Figures {
    let n = s.samples.len().max(1) as u64;
    let values = || s.samples.iter().map(|s| s.took_ms);
    let mean = values().sum::<u64>() / n;
    Figures {
        min: values().min().unwrap_or(0),
        max: values().max().unwrap_or(0),
        mean,
        deviation: values().map(|v| v.abs_diff(mean)).sum::<u64>() / n,
        period_s: s.samples.front().map_or(0, |first| now_s - first.at_s),
    }
}

/// Settings that advice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// `latency-monitor-threshold`, ms.
    pub threshold_ms: u64,
    /// `slowlog-log-slower-than`, us; negative is off.
    pub slowlog_us: i64,
    /// Transparent huge pages are on for this process.
    pub huge_pages: bool,
    /// Now, Unix seconds.
    pub now_s: i64,
}

/// The text of LATENCY DOCTOR.
pub fn report(latency: &Latency, around: &Surroundings) -> String {
    if around.threshold_ms == 0 {
        return "Latency is not monitored: latency-monitor-threshold is 0. CONFIG SET latency-monitor-threshold <milliseconds> \
switches it on; what takes at least that long is noted from then on.\n"
            .into();
    }
    let mut text = String::new();
    for (i, (event, series)) in latency.seen().enumerate() {
        let f = figures(series, around.now_s);
        let n = series.samples.len();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}. {}: {n} slow moments, mean {} ms, mean deviation {} ms, one every {:.2} s, slowest ever {} ms.",
            i + 1,
            event.name(),
            f.mean,
            f.deviation,
            f.period_s as f64 / n.max(1) as f64,
            series.max_ms
        );
    }
    if text.is_empty() {
        return "No slow moment was noted so far.\n".into();
    }
    let mut advice: Vec<&str> = latency
        .seen()
        .flat_map(|(e, _)| advice(e, around))
        .collect();
    advice.dedup();
    let lines: String = advice.iter().map(|line| format!("- {line}\n")).collect();
    format!("Slow moments were noted:\n\n{text}\nWhat may help:\n\n{lines}")
}

/// What to say about an event.
fn advice(event: Event, around: &Surroundings) -> Vec<&'static str> {
    use Event as E;
    const BIG: &str = "Deleting one large value blocks the server: delete with UNLINK, and let lazyfree-lazy-expire, \
lazyfree-lazy-eviction and lazyfree-lazy-server-del free memory in the background.";
    const DISK: &str = "The disk is slow or shared: look at what else writes to it (iostat), prefer appendfsync everysec, and \
think about no-appendfsync-on-rewrite.";
    match event {
        E::Command | E::FastCommand => {
            let mut lines = Vec::new();
            if around.slowlog_us < 0 || around.slowlog_us > around.threshold_ms as i64 * 1000 {
                lines.push(
                    "The slow log does not see what is noted here: set slowlog-log-slower-than to the threshold in \
microseconds.",
                );
            }
            lines.push("SLOWLOG GET names the commands and their keys; COMMAND DOCS tells the complexity of each.");
            lines.push(BIG);
            if event == E::FastCommand {
                lines.push(
                    "Fast commands are never slow by themselves: the machine is busy, swaps, or is paused by its host.",
                );
            }
            lines
        }
        E::Fork if around.huge_pages => vec![
            "Transparent huge pages make forks and the copying after them slow: leave disable-thp on, or switch them off.",
        ],
        E::Fork => vec![
            "The time of a fork grows with the memory mapped: less memory per server, or a machine whose hypervisor copies page \
tables quickly, and fewer snapshots.",
        ],
        E::ExpireCycle | E::ExpireDel => vec![
            "Many keys, or large ones, end at the same moment: spread their times to live, or lower active-expire-effort.",
            BIG,
        ],
        E::EvictionCycle | E::EvictionDel => vec![
            "Eviction has to free much at once: raise maxmemory, or lower maxmemory-eviction-tenacity.",
            BIG,
        ],
        E::ActiveDefragCycle => vec!["Lower active-defrag-cycle-max."],
        E::WhileBlockedCron => vec!["Loading or a long script kept the loop busy."],
        _ => vec![DISK],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(threshold_ms: u64) -> Surroundings {
        Surroundings {
            threshold_ms,
            slowlog_us: 10_000,
            huge_pages: false,
            now_s: 110,
        }
    }

    #[test]
    fn figures_of_samples() {
        let mut l = Latency::default();
        l.set_threshold_ms(1);
        for (i, ms) in [10, 50, 103, 200, 12].into_iter().enumerate() {
            l.note(Event::Command, ms, 104 + i as i64);
        }
        let f = figures(l.series(Event::Command).unwrap(), 110);
        let expected = Figures {
            min: 10,
            max: 200,
            mean: 75,
            deviation: 61,
            period_s: 6,
        };
        assert_eq!(f, expected);
        let text = report(&l, &around(1));
        assert!(
            text.contains("1. command: 5 slow moments, mean 75 ms"),
            "{text}"
        );
        assert!(text.contains("slowlog-log-slower-than"), "{text}");
    }

    #[test]
    fn says_when_there_is_nothing_to_say() {
        let l = Latency::default();
        assert!(report(&l, &around(0)).contains("not monitored"));
        assert!(report(&l, &around(5)).starts_with("No slow moment"));
    }
}
