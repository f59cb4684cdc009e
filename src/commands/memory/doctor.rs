//! MEMORY DOCTOR: what is remarkable about the memory, in words. The limits are upstream's, the words ours.

use crate::client::ClientFlags;
use crate::server::Server;
use crate::server::memory_report::{MemoryReport, difference, ratio};
use std::fmt::Write;

const MB: usize = 1 << 20;
/// Below this (bytes in use) ratios mean nothing.
const TOO_SMALL: usize = 5 * MB;
/// A waste below this (bytes) is not worth a word.
const WORTH_A_WORD: i64 = 10 * MB as i64;

/// How many share the buffers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Ordinary clients.
    pub clients: usize,
    /// Replicas.
    pub replicas: usize,
}

impl Counts {
    /// Counts the server's clients, the asking one included.
    pub fn of(server: &Server) -> Self {
        let replicas = server
            .clients
            .iter()
            .filter(|c| c.has(ClientFlags::REPLICA))
            .count();
        Counts {
            clients: (server.clients.len() - replicas).max(1),
            replicas,
        }
    }
}

/// A symptom: does it show, and what to say about it.
type Symptom = (bool, &'static str);

fn symptoms(m: &MemoryReport, n: &Counts) -> [Symptom; 7] {
    let je = &m.allocator;
    let wasteful =
        |a: usize, b: usize, limit: f64| ratio(a, b) > limit && difference(a, b) > WORTH_A_WORD;
    [
        (
            ratio(m.peak, m.used) > 1.5,
            "Peak: at its peak this server used more than one and a half times as much memory as now. The allocator may keep \
pages of that time, so that the resident set looks larger than the data; that is harmless, the pages are used again when the \
data grows. MEMORY PURGE gives them back.",
        ),
        (
            wasteful(m.rss, m.used, 1.4),
            "Fragmentation: the resident set is more than 1.4 times the memory in use. Either the data shrank a while ago (see \
the peak), or its values changed their sizes so that freed blocks do not fit new ones. INFO memory tells apart what lies in \
the allocator (allocator_frag_ratio, allocator_rss_ratio) and outside (rss_overhead_ratio).",
        ),
        (
            wasteful(je.active, je.allocated, 1.1),
            "Allocator, inside: pages in use by the allocator hold more than 10% of free gaps. A restart or a full \
resynchronisation of a replica packs the data anew.",
        ),
        (
            wasteful(je.resident, je.active, 1.1),
            "Allocator, unused pages: the allocator holds more than 10% of pages it does not use. They go back to the system by \
themselves after a second or so, or at once with MEMORY PURGE.",
        ),
        (
            wasteful(m.rss, je.resident, 1.1),
            "Outside the allocator: more than 10% of the resident set is not the allocator's: scripts, libraries, stacks, or \
pages shared with a child that saves.",
        ),
        (
            n.replicas > 0 && m.replicas / n.replicas.max(1) > 10 * MB,
            "Replicas: their output buffers hold more than 10 MB each. They read more slowly than data is written here: look at \
their network and disks, and at client-output-buffer-limit.",
        ),
        (
            m.clients / n.clients.max(1) > 200 * 1024,
            "Clients: their buffers hold more than 200 KB each on the mean. Large pipelines or replies, or clients that do not \
read theirs: CLIENT LIST shows who (tot-mem).",
        ),
    ]
}

/// The report as text.
pub fn report(m: &MemoryReport, n: &Counts) -> String {
    if m.used < TOO_SMALL {
        return "This server holds next to nothing yet: below 5 MB ratios mean nothing, so there is no judgement. Ask again when \
it is filled.\n"
            .into();
    }
    let found: Vec<_> = symptoms(m, n)
        .into_iter()
        .filter_map(|(shows, text)| shows.then_some(text))
        .collect();
    if found.is_empty() {
        return "Nothing remarkable about the memory of this server.\n".into();
    }
    let mut text = String::from("What is remarkable about the memory of this server:\n\n");
    for line in found {
        // Writing to a String cannot fail.
        let _ = write!(text, " * {line}\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::alloc::AllocStats;

    fn healthy() -> MemoryReport {
        MemoryReport {
            used: 100 * MB,
            peak: 100 * MB,
            rss: 106 * MB,
            clients: MB,
            allocator: AllocStats {
                allocated: 100 * MB,
                active: 102 * MB,
                resident: 105 * MB,
                ..AllocStats::default()
            },
            ..MemoryReport::default()
        }
    }

    #[test]
    fn each_symptom_is_told_and_none_for_the_healthy() {
        let n = Counts {
            clients: 10,
            replicas: 1,
        };
        assert!(report(&healthy(), &n).starts_with("Nothing"));
        let told = |change: fn(&mut MemoryReport), word: &str| {
            let mut m = healthy();
            change(&mut m);
            assert!(report(&m, &n).contains(word), "{word}");
        };
        told(|m| m.peak = 200 * MB, "Peak:");
        told(|m| m.rss = 150 * MB, "Fragmentation:");
        told(|m| m.allocator.active = 115 * MB, "inside:");
        told(|m| m.allocator.resident = 130 * MB, "unused pages:");
        told(|m| m.rss = 120 * MB, "Outside");
        told(|m| m.replicas = 11 * MB, "Replicas:");
        told(|m| m.clients = 3 * MB, "Clients:");
        told(|m| m.used = MB, "next to nothing");
    }
}
