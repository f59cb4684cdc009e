//! Counters that INFO shows and CONFIG RESETSTAT clears.

use std::collections::BTreeMap;

/// Counters of the server as a whole.
#[derive(Debug, Clone, Default)]
pub struct ServerStats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Commands refused before they ran.
    pub commands_rejected: u64,
    /// Errors that a master's commands gave on this replica.
    pub unexpected_errors: u64,
    /// Bytes read from clients.
    pub net_in: u64,
    /// Bytes written to clients.
    pub net_out: u64,
    /// Reads from sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Forks for saving.
    pub forks: u64,
    /// Clients closed because their query buffer passed its limit.
    pub query_buffer_limit_disconnections: u64,
    /// Clients closed because their output buffer passed its limit.
    pub output_buffer_limit_disconnections: u64,
    /// Clients closed by `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Samples of operations, bytes in and bytes out per second.
    pub rates: [Rate; 3],
    /// Peak of the memory in use, bytes, and when (Unix s).
    pub peak_memory: usize,
    /// See `peak_memory`.
    pub peak_memory_s: i64,
    /// Resident set as cron last read it, bytes.
    pub rss: usize,
    /// Memory in use when the server began to listen, bytes.
    pub startup_memory: usize,
    /// Bytes of the scripts' states at start.
    pub startup_vms: usize,
    /// Turns of the event loop, and the time they took without waiting, us.
    pub loops: u64,
    /// See `loops`.
    pub loops_us: u64,
    /// The longest turn, us.
    pub loop_max_us: u64,
    /// Turns per second.
    pub loop_rate: Rate,
    /// Time cron took, us.
    pub cron_us: u64,
    /// Largest input and output buffers seen lately, bytes.
    pub largest_buffers: [usize; 2],
}

/// A mean over the last samples of something that grows (`instantaneous_ops_per_sec` and kin).
#[derive(Debug, Clone, Default)]
pub struct Rate {
    samples: [u64; 16],
    next: usize,
    last_value: u64,
    last_ms: i64,
}

impl Rate {
    /// Notes the value at a time.
    pub fn sample(&mut self, value: u64, now_ms: i64) {
        let elapsed = now_ms - self.last_ms;
        if self.last_ms > 0 && elapsed > 0 {
            self.samples[self.next] = value.saturating_sub(self.last_value) * 1000 / elapsed as u64;
            self.next = (self.next + 1) % self.samples.len();
        }
        (self.last_value, self.last_ms) = (value, now_ms);
    }

    /// The mean per second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// Distinct error codes are kept up to this number; a script could otherwise make up endless ones.
const MAX_CODES: usize = 128;

/// Error replies by code (INFO errorstats).
#[derive(Debug, Clone, Default)]
pub struct ErrorStats {
    by_code: BTreeMap<Box<[u8]>, u64>,
    /// All error replies.
    pub total: u64,
    /// Too many codes came: no more are counted apart until CONFIG RESETSTAT.
    pub disabled: bool,
}

impl ErrorStats {
    /// Counts one error reply.
    pub fn count(&mut self, code: &[u8]) {
        self.total += 1;
        if let Some(n) = self.by_code.get_mut(code) {
            *n += 1;
            return;
        }
        if self.disabled {
            return;
        }
        if self.by_code.len() >= MAX_CODES {
            self.by_code.clear();
            self.by_code.insert((*b"ERRORSTATS_DISABLED").into(), 1);
            self.disabled = true;
            return;
        }
        self.by_code.insert(code.into(), 1);
    }

    /// Codes and counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.by_code.iter().map(|(k, v)| (&**k, *v))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
