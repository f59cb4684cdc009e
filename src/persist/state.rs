//! What the server remembers about saving and loading: the running child, the last results, and the figures INFO shows.

use super::aof::Aof;
use super::child::Reports;
use std::time::Instant;

/// See the file header. Times are Unix seconds unless their names say otherwise.
#[derive(Debug)]
pub struct Persist {
    /// The running child, if there is one.
    pub child: Option<Child>,
    /// `rdb_last_save_time`: when the last good save ended (or the server started).
    pub last_save_s: i64,
    /// When a background save was last tried.
    pub last_bgsave_try_s: i64,
    /// `rdb_last_bgsave_status`: the last background save went well (or was stopped on purpose).
    pub last_bgsave_ok: bool,
    /// `rdb_last_bgsave_time_sec`: how long the last background save took; -1 before the first.
    pub last_bgsave_time_s: i64,
    /// `rdb_saves`: good saves since the start.
    pub rdb_saves: u64,
    /// `rdb_last_cow_size`, bytes.
    pub rdb_last_cow_size: u64,
    /// BGSAVE SCHEDULE: a background save starts when no child runs any more.
    pub bgsave_scheduled: bool,
    /// `latest_fork_usec`.
    pub latest_fork_us: u64,
    /// `rdb_last_load_keys_loaded`.
    pub last_load_keys_loaded: u64,
    /// `rdb_last_load_keys_expired`.
    pub last_load_keys_expired: u64,
    /// The load under way, if there is one.
    pub loading: Option<Loading>,
    /// The history the file that was loaded last belongs to.
    pub loaded_history: super::load::Replication,
    /// Keys of that file that had expired and were left out, with their databases.
    pub loaded_dropped: Vec<(u32, Box<[u8]>)>,
    /// Function libraries found in the last file. They are written back with every save, so that none is lost while no script
    /// engine holds them.
    pub functions: Vec<Vec<u8>>,
    /// The append only file.
    pub aof: Aof,
    /// Whether its last write or sync failed, as the guards know it.
    pub aof_failed: bool,
    /// When the AOF was last to be switched on again, Unix seconds.
    pub aof_resume_tried_s: i64,
    /// How many clients lately got their replies behind the same sync (`appendfsync always`).
    pub aof_company: usize,
    /// The durable replication offset when those in WAITAOF were last looked at.
    pub aof_durable_seen: i64,
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: i32,
    /// What it does.
    pub kind: ChildKind,
    /// Where its reports come from.
    pub reports: Reports,
    /// Whether it writes a base file in RDB form.
    pub rdb_base: bool,
    /// When it was started.
    pub started_s: i64,
    /// `fx.dirty` when it was started: those changes are in its snapshot.
    pub dirty: i64,
    /// `current_save_keys_total`.
    pub keys_total: u64,
    /// `current_save_keys_processed`.
    pub keys: u64,
    /// `current_cow_size`, bytes.
    pub cow: u64,
    /// `current_cow_peak`, bytes.
    pub cow_peak: u64,
    /// When `cow` was told.
    pub cow_at: Option<Instant>,
}

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildKind {
    /// A snapshot to disk.
    Rdb,
    /// A snapshot through a pipe, for replicas.
    Replicas,
    /// A base file of the AOF.
    Aof,
}

/// A load under way, for INFO.
#[derive(Debug, Clone, Copy)]
pub struct Loading {
    /// `loading_start_time`.
    pub started_s: i64,
    /// `loading_total_bytes`.
    pub total_bytes: u64,
    /// `loading_loaded_bytes`.
    pub loaded_bytes: u64,
    /// `loading_rdb_used_mem`, bytes.
    pub rdb_used_memory: u64,
}

impl Loading {
    /// `loading_loaded_perc`.
    pub fn percent(&self) -> f64 {
        if self.total_bytes == 0 {
            return 0.0;
        }
        self.loaded_bytes as f64 * 100.0 / self.total_bytes as f64
    }

    /// `loading_eta_seconds`.
    pub fn eta_s(&self, now_s: i64) -> i64 {
        let elapsed = now_s - self.started_s;
        if elapsed <= 0 || self.loaded_bytes == 0 {
            return 1;
        }
        let rest = self.total_bytes.saturating_sub(self.loaded_bytes);
        (elapsed as f64 * rest as f64 / self.loaded_bytes as f64) as i64
    }
}

impl Persist {
    /// At the start of the server.
    pub fn new(now_s: i64) -> Persist {
        Persist {
            child: None,
            last_save_s: now_s,
            last_bgsave_try_s: 0,
            last_bgsave_ok: true,
            last_bgsave_time_s: -1,
            rdb_saves: 0,
            rdb_last_cow_size: 0,
            bgsave_scheduled: false,
            latest_fork_us: 0,
            last_load_keys_loaded: 0,
            last_load_keys_expired: 0,
            loading: None,
            loaded_history: super::load::Replication::default(),
            loaded_dropped: Vec::new(),
            functions: Vec::new(),
            aof: Aof::new(),
            aof_failed: false,
            aof_resume_tried_s: 0,
            aof_company: 1,
            aof_durable_seen: -1,
        }
    }

    /// Whether a child makes a snapshot, on disk or for replicas (`rdb_bgsave_in_progress`).
    pub fn rdb_child(&self) -> bool {
        self.child
            .as_ref()
            .is_some_and(|c| matches!(c.kind, ChildKind::Rdb | ChildKind::Replicas))
    }

    /// Whether a child writes a base file of the AOF (`aof_rewrite_in_progress`).
    pub fn aof_child(&self) -> bool {
        self.child
            .as_ref()
            .is_some_and(|c| c.kind == ChildKind::Aof)
    }

    /// `aof_current_rewrite_time_sec`: -1 without one.
    pub fn current_rewrite_time_s(&self, now_s: i64) -> i64 {
        match &self.child {
            Some(c) if c.kind == ChildKind::Aof => now_s - c.started_s,
            _ => -1,
        }
    }

    /// `rdb_current_bgsave_time_sec`: -1 without one.
    pub fn current_bgsave_time_s(&self, now_s: i64) -> i64 {
        match &self.child {
            Some(c) if self.rdb_child() => now_s - c.started_s,
            _ => -1,
        }
    }

    /// `current_fork_perc`.
    pub fn fork_percent(&self) -> f64 {
        match &self.child {
            Some(c) if c.keys_total > 0 => c.keys as f64 * 100.0 / c.keys_total as f64,
            _ => 0.0,
        }
    }

    /// `current_cow_size_age`, seconds; 0 without a figure.
    pub fn cow_age_s(&self) -> u64 {
        let told = self.child.as_ref().and_then(|c| c.cow_at);
        told.map_or(0, |at| at.elapsed().as_secs())
    }
}
