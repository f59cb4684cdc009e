//! The append-only file: a base file and incremental files in a folder of their own, listed by a manifest.
//!
//! - `manifest`: which files there are, in which order they are replayed, and their names.
//! - `files`: making, exchanging and removing them, so that at every instant the manifest on the disk names files that
//!   together hold everything.
//! - `encode`, `log`: commands into the buffer, the buffer into the last incremental file, and when that is synced.
//! - `syncer`: the background thread that syncs and removes.
//! - `rewrite`: a whole keyspace as commands, for a base file without RDB.
//! - `source`: reading a file back as commands.
//! - `check`: `redis-check-aof`.
//!
//! [`Aof`] is all of it that the server holds. Nothing here executes commands, forks or knows clients: `server::aof` does.
//!
//! **A rewrite.** A new incremental file is opened first and named in the manifest, then a child writes the keyspace into a
//! temporary base file. When it is there, one new manifest exchanges base and incremental files at once; what they replace is
//! `history` in it until it is removed. When the rewrite fails there is one more incremental file, and nothing is lost. While the AOF
//! is being switched on there is no complete history yet, so the incremental file is a temporary one that no manifest names,
//! until the first base is complete.
pub mod check;
pub mod encode;
pub mod files;
pub mod log;
pub mod manifest;
pub mod rewrite;
pub mod source;
pub mod syncer;

#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::observe::Event;
use crate::persist::storage::{Disk, Storage};
use log::Log;
use manifest::Manifest;
use std::path::PathBuf;
use std::sync::Arc;
use syncer::Syncer;

/// Failures in a row after which automatic rewrites are put off.
const FAILURES_BEFORE_LIMIT: u64 = 3;
/// Longest time they are put off, minutes.
const LIMIT_MAX_MINUTES: i64 = 60;

/// Whether there is an AOF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AofState {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// It was switched on while the server ran, and its first base file is not complete.
    WaitRewrite,
}

/// Everything the server knows of its AOF. Times are Unix seconds.
#[derive(Debug)]
pub struct Aof {
    /// Whether there is one.
    pub state: AofState,
    /// Where the files are.
    pub storage: Arc<dyn Storage>,
    /// The folder, relative to the working directory.
    pub dir: PathBuf,
    /// What all names begin with.
    pub filename: String,
    /// Which files there are, as on the disk.
    pub manifest: Manifest,
    /// The end of the last file.
    pub log: Log,
    /// The background thread.
    pub syncer: Syncer,
    /// `aof_current_size`: bytes of all files that a start would replay.
    pub earlier_size: u64,
    /// `aof_base_size`: what `earlier_size` was after the last rewrite or start.
    pub base_size: u64,
    /// `aof_rewrite_scheduled`.
    pub rewrite_scheduled: bool,
    /// `aof_last_rewrite_time_sec`.
    pub last_rewrite_took_s: i64,
    /// `aof_last_bgrewrite_status`.
    pub last_rewrite_ok: bool,
    /// `aof_rewrites`.
    pub rewrites: u64,
    /// `aof_rewrites_consecutive_failures`.
    pub failures: u64,
    /// `aof_last_cow_size`.
    pub last_cow_size: u64,
    /// How long renames and questions for sizes took, ms, since the server last looked (LATENCY).
    pub moments: Vec<(Event, u64)>,
    limit: Limit,
}

/// How long automatic rewrites are put off.
#[derive(Debug, Default)]
struct Limit {
    minutes: i64,
    until_s: i64,
}

impl Aof {
    /// Switched off, on the real disk, with the names of the default configuration.
    pub fn new() -> Self {
        Aof {
            state: AofState::Off,
            storage: Arc::new(Disk),
            dir: PathBuf::new(),
            filename: String::new(),
            manifest: Manifest::default(),
            log: Log::default(),
            syncer: Syncer::inline(),
            earlier_size: 0,
            base_size: 0,
            rewrite_scheduled: false,
            last_rewrite_took_s: -1,
            last_rewrite_ok: true,
            rewrites: 0,
            failures: 0,
            last_cow_size: 0,
            moments: Vec::new(),
            limit: Limit::default(),
        }
    }

    /// Takes the names from the configuration (`appenddirname`, `appendfilename`), which do not change while the server runs.
    pub fn configure(&mut self, config: &Config) {
        self.dir = config.appenddirname.as_path().to_owned();
        self.filename = config.appendfilename.to_str_lossy().into_owned();
    }

    /// Whether commands are to be written down.
    #[inline(always)]
    pub fn takes_commands(&self) -> bool {
        self.log.is_open()
    }

    /// Bytes of all files (`aof_current_size`).
    pub fn size(&self) -> u64 {
        self.earlier_size + self.log.written()
    }

    /// Growth since the base was written, in percent.
    pub fn growth_percent(&self) -> u64 {
        (self.size().saturating_mul(100) / self.base_size.max(1)).saturating_sub(100)
    }

    /// The replication offset up to which everything is known to be durable; -1 while the AOF is not complete.
    pub fn durable_repl_offset(&self) -> i64 {
        match self.state {
            AofState::On => self.syncer.durable(),
            AofState::Off | AofState::WaitRewrite => -1,
        }
    }

    /// What writing or syncing failed with, while it fails.
    pub fn error(&self) -> Option<std::io::Error> {
        if self.state == AofState::Off {
            return None;
        }
        self.log.error().or_else(|| self.syncer.error())
    }

    /// Whether an automatic rewrite must wait because the last ones failed; says so in the log when it begins.
    pub fn rewrite_limited(&mut self, now_s: i64) -> bool {
        if self.failures < FAILURES_BEFORE_LIMIT {
            self.limit = Limit::default();
            return false;
        }
        if self.limit.until_s != 0 && now_s >= self.limit.until_s {
            // One more try; should it fail, the next one waits longer.
            self.limit.until_s = 0;
            return false;
        }
        if self.limit.until_s == 0 {
            let minutes = (self.limit.minutes * 2).clamp(1, LIMIT_MAX_MINUTES);
            self.limit = Limit {
                minutes,
                until_s: now_s + minutes * 60,
            };
            ::log::warn!(
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} minutes"
            );
        }
        true
    }
}

impl Default for Aof {
    fn default() -> Self {
        Aof::new()
    }
}
