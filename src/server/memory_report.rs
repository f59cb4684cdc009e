//! Where the memory goes: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR, computed in one place so that they agree
//! and add up: what the rooms hold is the overhead, what is left of the memory in use is data.
//!
//! A room that begins to hold memory gets a field here, a term in [`MemoryReport::overhead`] and its line in the two reports.

use super::Server;
use crate::client::{Client, ClientFlags};
use crate::sys::alloc::{self, AllocStats};
use crate::sys::process;

/// Overhead of one database, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DbOverhead {
    /// Its number.
    pub id: u32,
    /// The table of keys (the keys themselves are data).
    pub main: usize,
    /// What finds expired keys and fields.
    pub expires: usize,
}

/// Memory by purpose. All figures are bytes unless they say otherwise.
#[derive(Debug, Clone, Default)]
pub struct MemoryReport {
    /// In use now.
    pub used: usize,
    /// The most that was ever in use.
    pub peak: usize,
    /// In use when the server was ready.
    pub startup: usize,
    /// The resident set.
    pub rss: usize,
    /// Buffers of ordinary clients.
    pub clients: usize,
    /// Buffers of replicas and of the master's link.
    pub replicas: usize,
    /// The replication stream as far as it is kept, and the part of it that is the backlog: the rest is kept for replicas that
    /// have not taken it, and counted in `replicas`.
    pub stream: usize,
    /// See `stream`.
    pub backlog: usize,
    /// What waits to be written to the AOF.
    pub aof_buffer: usize,
    /// Databases that are not empty.
    pub dbs: Vec<DbOverhead>,
    /// Keys in all of them.
    pub keys: usize,
    /// What is kept beside the Lua states: scripts, libraries.
    pub script_caches: (usize, usize),
    /// The Lua states.
    pub script_vms: usize,
    /// How much of it there was at start.
    pub startup_vms: usize,
    /// What jemalloc says.
    pub allocator: AllocStats,
}

impl MemoryReport {
    /// Looks at everything. `running`: the client that asks, which is out of the table. Walks the clients.
    pub fn of(server: &Server, running: Option<&Client>) -> Self {
        let used = server.used_memory();
        let mut report = MemoryReport {
            used,
            // The peak is noted by cron; what is above it now is the new one.
            peak: server.stats.peak_memory.max(used),
            startup: server.stats.startup_memory,
            rss: process::resident_bytes(),
            dbs: server
                .ks
                .dbs
                .iter()
                .filter(|d| !d.is_empty())
                .map(db_overhead)
                .collect(),
            keys: server.ks.total_keys(),
            backlog: server.repl.mem_bytes(),
            aof_buffer: server.persist.aof.log.buffer_bytes(),
            script_caches: (
                server.scripts.cache.mem_bytes(),
                server.scripts.libraries.mem_bytes(),
            ),
            script_vms: server.scripts.vm_total(),
            startup_vms: server.stats.startup_vms,
            allocator: alloc::stats(),
            ..Self::default()
        };
        report.stream = server.repl.mem_bytes();
        // What is beyond the wanted length is held for replicas; without any it is about to go.
        report.backlog = if server.repl.replicas.is_empty() {
            report.stream
        } else {
            report.stream.min(server.config.repl_backlog_size as usize)
        };
        report.replicas = report.stream - report.backlog;
        for c in server.clients.iter().chain(running) {
            if c.has(ClientFlags::REPLICA | ClientFlags::MASTER) {
                report.replicas += c.mem_bytes();
            } else {
                report.clients += c.mem_bytes();
            }
        }
        report
    }

    /// Bytes of the keys' tables and indexes.
    pub fn tables(&self) -> usize {
        self.dbs.iter().map(|d| d.main + d.expires).sum()
    }

    /// Everything in use that is not data.
    pub fn overhead(&self) -> usize {
        // What the states took at start is part of that.
        let grown = self.script_vms.saturating_sub(self.startup_vms);
        let scripts = self.script_caches.0 + self.script_caches.1 + grown;
        let buffers = self.clients + self.replicas + self.backlog + self.aof_buffer;
        self.startup + buffers + self.tables() + scripts
    }

    /// Data: what is in use and no overhead.
    pub fn dataset(&self) -> usize {
        self.used.saturating_sub(self.overhead())
    }

    /// In use beyond what an empty server takes.
    pub fn net(&self) -> usize {
        self.used.saturating_sub(self.startup)
    }

    /// Data per cent of what is in use beyond an empty server.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.net())
    }

    /// In use per cent of the peak.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Resident bytes per byte in use.
    pub fn fragmentation(&self) -> f64 {
        ratio(self.rss, self.used)
    }
}

fn db_overhead(db: &crate::keyspace::Db) -> DbOverhead {
    DbOverhead {
        id: db.id,
        main: db.keys.mem_bytes(),
        expires: db.expires.mem_bytes() + db.fields.mem_bytes(),
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 * 100.0 / whole as f64
}

/// `a` per `b`; nothing counts as one byte.
pub fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b.max(1) as f64
}

/// `a` less `b`, which may be the greater.
pub fn difference(a: usize, b: usize) -> i64 {
    a as i64 - b as i64
}
