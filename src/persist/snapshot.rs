//! The keyspace into an RDB file: walks every table in hash order, fetching ahead, and puts entry after entry on the encoder.
//!
//! Used by SAVE in the server itself and by BGSAVE in a forked child, and (with a socket or the start of an AOF as output) by
//! whoever else needs a whole snapshot. A file is written beside its destination as `temp-<pid>.rdb`, synced, renamed, and the
//! folder synced, so that the destination is always a complete snapshot.
//!
//! Order in the file: aux fields, function libraries, then per database its number, its size and its keys, as upstream.

use super::rdb::writer::Hook;
use super::rdb::{Encoder, EntryMeta, SaveOptions};
use super::storage::{Disk, Sink, Storage, StoredFile};
use super::values;
use crate::config::Config;
use crate::ds::table::Item;
use crate::keyspace::{Db, Entry, Keyspace, lru};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys between two looks at the time, for progress.
const PROGRESS_EVERY: u64 = 1024;

/// What a snapshot is made of besides the keyspace, fixed at its start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Compression, checksum, version.
    pub options: SaveOptions,
    /// fsync every few megabytes.
    pub sync_while_writing: bool,
    /// Microseconds slept per key, for tests; negative sleeps one microsecond per so many keys.
    pub key_delay_us: i64,
    /// Attributes written with each key.
    pub clock: AccessClock,
    /// The time the snapshot stands for, Unix ms.
    pub now_ms: i64,
    /// `redis-ver` of the header.
    pub version: String,
    /// `used-mem` of the header, bytes.
    pub used_memory: usize,
    /// The snapshot is the start of an AOF.
    pub aof_base: bool,
    /// Leave the keys out.
    pub skip_keys: bool,
    /// The history this snapshot is a part of: its id, its offset and the database its stream has selected.
    pub history: Option<(String, i64, u32)>,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
}

/// What the access clocks of the entries mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessClock {
    /// Nothing worth writing.
    Ignored,
    /// Seconds since the last use.
    Lru,
    /// A counter that decays by one every so many minutes.
    Lfu {
        /// `lfu-decay-time`.
        decay_minutes: u64,
    },
}

impl Plan {
    /// As configured.
    pub fn of(config: &Config, now_ms: i64, used_memory: usize, functions: &[Vec<u8>]) -> Plan {
        let policy = config.maxmemory_policy;
        let clock = if policy.is_lru() {
            AccessClock::Lru
        } else if policy.is_lfu() {
            AccessClock::Lfu {
                decay_minutes: config.lfu_decay_time as u64,
            }
        } else {
            AccessClock::Ignored
        };
        Plan {
            options: SaveOptions {
                compress: config.rdbcompression,
                checksum: config.rdbchecksum,
                ..SaveOptions::default()
            },
            sync_while_writing: config.rdb_save_incremental_fsync,
            key_delay_us: config.rdb_key_save_delay,
            clock,
            now_ms,
            version: config.redis_compat_version.to_str_lossy().into_owned(),
            used_memory,
            aof_base: false,
            skip_keys: false,
            history: None,
            functions: functions.to_vec(),
        }
    }

    #[inline]
    fn meta(&self, entry: &Entry) -> EntryMeta {
        let (idle_s, freq) = match self.clock {
            AccessClock::Ignored => (None, None),
            AccessClock::Lru => (Some(lru::idle_seconds(entry.clock(), self.now_ms)), None),
            AccessClock::Lfu { decay_minutes } => (
                None,
                Some(lru::lfu_counter(entry.clock(), self.now_ms, decay_minutes)),
            ),
        };
        EntryMeta {
            expire_ms: entry.expire(),
            idle_s,
            freq,
        }
    }
}

/// Which step of replacing a file failed; `Display` is the log line.
#[derive(Debug)]
pub enum SaveError {
    /// The temporary file could not be made: its name.
    Open(PathBuf, io::Error),
    /// Writing or syncing failed.
    Write(&'static str, io::Error),
    /// The finished file could not be put in place: temporary name, final name.
    Rename(PathBuf, PathBuf, io::Error),
}

/// The folder for messages, as upstream tells it.
fn folder() -> String {
    std::env::current_dir().map_or_else(|_| "unknown".into(), |d| d.display().to_string())
}

/// The system's words without the number that `io::Error` adds.
fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaveError::Open(temp, e) => write!(
                f,
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                temp.display(),
                folder(),
                reason(e)
            ),
            SaveError::Write(what, e) => write!(
                f,
                "Write error while saving DB to the disk({what}): {}",
                reason(e)
            ),
            SaveError::Rename(temp, to, e) => write!(
                f,
                "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
                temp.display(),
                to.display(),
                folder(),
                reason(e)
            ),
        }
    }
}

impl std::error::Error for SaveError {}

/// The temporary file of the process with this id, relative to the working directory.
pub fn temp_name(pid: u32) -> PathBuf {
    PathBuf::from(format!("temp-{pid}.rdb"))
}

/// Saves everything to `path`, by way of a temporary file beside it. `progress` is called every thousand keys or so with the
/// number of keys written.
pub fn save_file(
    ks: &Keyspace,
    plan: &Plan,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), SaveError> {
    save_file_on(&Disk, ks, plan, path, progress)
}

/// [`save_file`] on any storage.
pub fn save_file_on(
    storage: &dyn Storage,
    ks: &Keyspace,
    plan: &Plan,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), SaveError> {
    let temp = path.with_file_name(temp_name(std::process::id()));
    let done = storage
        .create(&temp)
        .map_err(|e| SaveError::Open(temp.clone(), e))
        .and_then(|file| {
            write_synced(ks, plan, file, progress).map_err(|(what, e)| SaveError::Write(what, e))
        })
        .and_then(|()| put_in_place(storage, &temp, path));
    if done.is_err() {
        // Best effort: the error that matters is told already.
        let _ = storage.remove(&temp);
    }
    done
}

/// Writes a whole RDB file and syncs it; an error comes with the name of the step.
pub fn write_synced(
    ks: &Keyspace,
    plan: &Plan,
    file: Arc<dyn StoredFile>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), (&'static str, io::Error)> {
    let mut out = Encoder::new(Sink::new(file), plan.options);
    if plan.sync_while_writing {
        // Little by little, so that the sync at the end does not stall the disk for everybody.
        let hook: Hook<Sink> = Box::new(|sink, _| sink.file().sync());
        out = out.with_hook(hook);
    }
    let written = write_snapshot(&mut out, ks, plan, progress).and_then(|()| out.finish_file());
    let (sink, _) = written.map_err(|e| ("rdbSaveRio", e))?;
    sink.file().sync().map_err(|e| ("fsync", e))
}

fn put_in_place(storage: &dyn Storage, temp: &Path, path: &Path) -> Result<(), SaveError> {
    storage
        .rename(temp, path)
        .map_err(|e| SaveError::Rename(temp.into(), path.into(), e))?;
    // The rename itself must survive a power cut.
    storage
        .sync_dir(path.parent().unwrap_or(Path::new("")))
        .map_err(|e| SaveError::Write("fsync folder", e))
}

/// Version in the header of a snapshot that goes to replicas: the oldest that replicas of today read. What a key needs beyond it
/// shows in its type, and a replica that does not know the type would not know the version either; but to one that does not
/// meet such a key, a newer version would be a refusal for nothing.
const VERSION_FOR_REPLICAS: u16 = 10;

/// Writes a whole snapshot between the marks that tell replicas where it begins and ends.
pub fn send<W: Write>(
    ks: &Keyspace,
    plan: &Plan,
    mut out: W,
    mark: &str,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    write!(out, "$EOF:{mark}\r\n")?;
    let options = SaveOptions {
        version: VERSION_FOR_REPLICAS,
        ..plan.options
    };
    let mut encoder = Encoder::new(out, options);
    write_snapshot(&mut encoder, ks, plan, progress)?;
    encoder.finish_stream()?.write_all(mark.as_bytes())
}

/// Writes header, functions and all databases; the end of the file is the caller's.
pub fn write_snapshot<W: Write>(
    out: &mut Encoder<W>,
    ks: &Keyspace,
    plan: &Plan,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    put_header(out, plan)?;
    plan.functions.iter().try_for_each(|f| out.function(f))?;
    let mut keys = 0;
    for db in ks.dbs.iter().filter(|db| !db.is_empty() && !plan.skip_keys) {
        put_db(out, db, plan, &mut keys, progress)?;
    }
    Ok(())
}

fn put_header<W: Write>(out: &mut Encoder<W>, plan: &Plan) -> io::Result<()> {
    out.header()?;
    out.aux(b"redis-ver", plan.version.as_bytes())?;
    out.aux(b"redis-bits", usize::BITS.to_string().as_bytes())?;
    out.aux(b"ctime", (plan.now_ms / 1000).to_string().as_bytes())?;
    out.aux(b"used-mem", plan.used_memory.to_string().as_bytes())?;
    if let Some((id, offset, db)) = &plan.history {
        out.aux(b"repl-stream-db", db.to_string().as_bytes())?;
        out.aux(b"repl-id", id.as_bytes())?;
        out.aux(b"repl-offset", offset.to_string().as_bytes())?;
    }
    out.aux(b"aof-base", if plan.aof_base { b"1" } else { b"0" })
}

fn put_db<W: Write>(
    out: &mut Encoder<W>,
    db: &Db,
    plan: &Plan,
    keys: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    out.select_db(db.id.into(), db.len() as u64, db.volatile() as u64)?;
    for entry in db.keys.iter() {
        values::put(out, entry.key(), &plan.meta(&entry), &entry)?;
        *keys += 1;
        delay(plan.key_delay_us, *keys);
        if keys.is_multiple_of(PROGRESS_EVERY) {
            progress(*keys);
        }
    }
    Ok(())
}

/// Sleeps as `rdb-key-save-delay` and `key-load-delay` ask, for the `n`th key.
#[inline]
pub fn delay(delay_us: i64, n: u64) {
    match delay_us {
        0 => {}
        1.. => crate::sys::fork::sleep_us(delay_us as u64),
        _ if n.is_multiple_of(delay_us.unsigned_abs()) => crate::sys::fork::sleep_us(1),
        _ => {}
    }
}
