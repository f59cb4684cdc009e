//! The server: a plain struct of rooms, and what happens to it in time: start-up, event loop, tick, cron, shutdown.
//!
//! Commands reach it through `exec::Ctx`. It has no business methods; what it does as a whole (accept, free memory, shut down)
//! lives in the files of this folder.
pub mod accept;
pub mod acl;
pub mod aof;
pub mod apply;
pub mod auth;
pub mod client_eviction;
pub mod clock;
pub mod crash_report;
pub mod cron;
pub mod defrag;
pub mod deliver;
pub mod event_loop;
pub mod eviction;
pub mod expiry;
pub mod fanout;
mod flushing;
pub mod host;
pub mod input;
pub mod loading;
pub mod logging;
pub mod master;
pub mod memory_report;
pub mod metrics_http;
pub mod monitor;
pub mod output;
pub mod publish;
pub mod redact;
pub mod replica;
pub mod saving;
pub mod shutdown;
pub mod slowlog;
pub mod stages;
pub mod startup;
pub mod stats;
pub mod tls;
pub mod tracked;
pub mod wakeups;

use crate::acl::Acl;
use crate::client::memory::ClientMemory;
use crate::client::{ClientRef, Clients};
use crate::config::Config;
use crate::ds::dense::DenseSet;
use crate::exec::call::CommandStat;
use crate::exec::registry::Registry;
use crate::keyspace::{ExpiredKeys, Keyspace};
use crate::net::{Listener, Poller, Readiness};
use crate::persist::Persist;
use crate::pubsub::PubSub;
use crate::repl::Replication;
use crate::resp::Error;
use crate::sys::alloc::Counters;
use crate::tracking::Tracking;
use bitflags::bitflags;
use clock::Clock;
use std::collections::{BTreeSet, VecDeque};

bitflags! {
    /// What is special about the server now; while empty, commands skip the guards.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ServerState: u32 {
        /// `maxmemory` is set.
        const MAXMEMORY = 1;
        /// The last save failed and writes are to be refused.
        const DISK_ERROR = 2;
        /// The dataset is being loaded.
        const LOADING = 4;
        /// We are a replica.
        const REPLICA = 8;
        /// A script runs for too long.
        const BUSY = 16;
        /// CLIENT PAUSE is on.
        const PAUSED = 32;
        /// Somebody runs MONITOR.
        const MONITORED = 64;
        /// Fewer replicas than `min-replicas-to-write` are near enough.
        const TOO_FEW_REPLICAS = 1 << 14;
        /// The dataset of the master is being loaded aside, while the old one is served.
        const ASYNC_LOADING = 1 << 10;
        /// `maxmemory-clients` is set.
        const CLIENT_LIMIT = 256;
    }
}

/// The whole server.
pub struct Server {
    /// Settings.
    pub config: Config,
    /// Where the configuration was read from, absolute; None without a file.
    pub config_file: Option<std::path::PathBuf>,
    /// The commands.
    pub registry: Registry,
    /// The data.
    pub ks: Keyspace,
    /// Who is connected.
    pub clients: Clients,
    /// What each of them holds, when `maxmemory-clients` asks for it.
    pub client_memory: ClientMemory,
    /// Users, what they may do, what was denied.
    pub acl: Acl,
    /// Who listens to which channel.
    pub pubsub: PubSub,
    /// Who caches which key.
    pub tracking: Tracking,
    /// Who runs MONITOR.
    pub monitors: DenseSet<ClientRef>,
    /// Time, as of this turn or command.
    pub clock: Clock,
    /// What is special now.
    pub state: ServerState,
    /// What becomes of expired keys.
    pub expired_keys: ExpiredKeys,
    /// A child shares our pages: access clocks stay unwritten, tables are not compacted.
    pub child_is_saving: bool,
    /// Saving and loading.
    pub persist: Persist,
    /// Readiness.
    pub poller: Poller,
    /// Listening sockets.
    pub listeners: Vec<Listener>,
    /// What TLS sessions are made from, while anything needs them.
    pub tls: Option<crate::net::tls::Contexts>,
    /// Connections that MIGRATE keeps.
    pub links: crate::net::link::Links,
    /// Work that waits for the next turns.
    pub queues: Queues,
    /// Parked clients.
    pub blocking: crate::exec::blocking::Blocking,
    /// CLIENT PAUSE and its kin.
    pub pause: crate::exec::pause::Pause,
    /// What goes to the AOF and the replicas.
    pub propagation: crate::exec::propagate::Propagation,
    /// The history of writes, and who follows it.
    pub repl: Replication,
    /// What is done for those who follow it.
    pub master: master::Master,
    /// Counters for INFO.
    pub stats: stats::ServerStats,
    /// Per command, by id.
    pub command_stats: Vec<CommandStat>,
    /// Error replies by code.
    pub errors: stats::ErrorStats,
    /// Memory in use.
    pub memory: Counters,
    /// Slow moments.
    pub latency: crate::observe::Latency,
    /// The slow log.
    pub slowlog: slowlog::SlowLog,
    /// Identity: 40 hex digits, new at each start.
    pub run_id: String,
    /// When the server started, Unix seconds.
    pub started_s: i64,
    /// How far a shutdown has come.
    pub shutdown: shutdown::Shutdown,
    /// What DEBUG switched.
    pub debug: DebugSwitches,
    /// Active expiry.
    pub expiry: expiry::Expiry,
    /// Active defragmentation.
    pub defrag: defrag::Defrag,
    /// Eviction.
    pub eviction: eviction::Eviction,
    /// The metrics endpoint.
    pub metrics: metrics_http::Metrics,
    /// How long commands wait.
    pub stages: stages::Stages,
    /// Texts about the server that other rooms write.
    pub reports: Reports,
    /// The process and its machine.
    pub host: host::Host,
    /// Lua.
    pub scripts: crate::script::Scripts,
    /// How often the loop looks at its sockets.
    pub wakeups: wakeups::Wakeups,
    /// Ticks of cron so far.
    pub cron_loops: u64,
}

/// Writes INFO with these sections; the client is the one that asks, out of the table.
pub type WriteInfo = fn(&Server, Option<&crate::client::Client>, &[&[u8]]) -> Vec<u8>;

/// Texts about the server, written in the room of the commands and wanted in this one. Handed in at start.
#[derive(Clone, Copy)]
pub struct Reports {
    /// INFO.
    pub info: WriteInfo,
    /// The metrics, in OpenMetrics' own format or as Prometheus' text.
    pub metrics: fn(&Server, bool) -> Vec<u8>,
}

impl Default for Reports {
    /// Empty texts: for tests.
    fn default() -> Self {
        Reports {
            info: |_, _, _| Vec::new(),
            metrics: |_, _| Vec::new(),
        }
    }
}

/// Lists of clients that something is to be done for, by handle.
#[derive(Debug, Default)]
pub struct Queues {
    /// Have replies to write.
    pub write: Vec<ClientRef>,
    /// Have messages that went to many.
    pub fanout: fanout::FanOut,
    /// May have more to read (their last read filled the buffer).
    pub read: VecDeque<ClientRef>,
    /// What the poller reported and nobody looked at yet. Here rather than with the turn that waited, because readiness is told
    /// once: a turn nested in it (a script that runs for long) goes on with what the outer one has not come to.
    pub arrived: VecDeque<Readiness>,
    /// Were unblocked, or unpaused: their buffered input goes on.
    pub resumed: Vec<ClientRef>,
    /// To be closed at the end of the tick.
    pub close: Vec<ClientRef>,
    /// The master's link was ready while a script ran.
    pub link: bool,
    /// Listeners that may have more connections waiting.
    pub accept: Vec<u32>,
    /// Listeners whose connections could not be taken: cron puts them on `accept`.
    pub accept_later: Vec<u32>,
    /// When that was last logged, Unix seconds.
    pub accept_failed_s: i64,
    /// Parked clients with a deadline, soonest first (Unix ms).
    pub deadlines: BTreeSet<(i64, ClientRef)>,
    /// Where cron's walk over the clients goes on.
    pub cron_slot: usize,
    /// Sent to clients that were running: each gets it when its command has replied.
    pub deferred: Vec<deliver::Deferred>,
    /// Output buffers that nobody uses, for the next reply.
    pub spare_out: Vec<Vec<u8>>,
    /// Bytes of them.
    pub spare_bytes: usize,
}

/// What DEBUG switches on and off.
#[derive(Debug, Default)]
pub struct DebugSwitches {
    /// Cron does nothing.
    pub cron_paused: bool,
    /// Cron asserts that an empty database counts no key of any size.
    pub check_sizes: bool,
    /// RESTORE does not look at the checksum.
    pub skip_checksum: bool,
    /// Scripts may run commands they normally may not.
    pub scripts_unrestricted: bool,
    /// Time slept before the AOF is written, us.
    pub aof_flush_sleep_us: u64,
}

impl Server {
    /// Bytes in use, for `maxmemory` and INFO.
    pub fn used_memory(&self) -> usize {
        self.memory.used()
    }

    /// The error that writes get while saving fails.
    pub fn disk_error(&self) -> Error {
        if !self.saving_fails()
            && let Some(e) = self.persist.aof.error()
        {
            return Error::text(format!(
                "MISCONF Errors writing to the AOF file: {}",
                host::os_text(&e)
            ));
        }
        Error::new(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        )
    }
}
