//! The end of the file that is being written: a buffer of commands, writing it out, and when to sync.
//!
//! Commands are put into one buffer while a turn of the loop runs and written with one `write` at its end. Then, by policy:
//! `always` syncs at once, and only then may replies leave (one sync serves all commands of the turn); `everysec` hands a sync to the
//! background thread once a second; `no` leaves it to the system. While a background sync is under way `write` itself may hang
//! in the kernel, so under everysec the buffer waits for it, up to [`POSTPONE_MAX_MS`]; then it is written in any case and
//! `delayed_fsync` counts it.
//!
//! A write that fails leaves no half command behind: what it wrote is cut off again, and only if that fails too the buffer
//! goes on behind it. Under `always` such an error is fatal, because clients cannot be told the truth any more; otherwise
//! writes are refused until a retry goes well.
//!
//! Invariants: `written` is the length of the file as far as it holds whole buffers; `written_repl` is the replication offset of
//! what lies there; nothing is in `buf` unless a file is open.

use super::encode;
use super::syncer::Syncer;
use crate::config::values::AppendFsync;
use crate::persist::storage::StoredFile;
use crate::resp::Args;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// How long the buffer waits for a background sync under everysec.
const POSTPONE_MAX_MS: u64 = 2000;
/// Errors of writing are logged once in so long.
const LOG_ERRORS_EVERY_MS: u64 = 30_000;
/// Room that the buffer keeps when it was emptied.
const KEEP_ROOM: usize = 64 * 1024;

/// What a flush may do, as of now.
#[derive(Debug, Clone, Copy)]
pub struct FlushPlan {
    /// `appendfsync`.
    pub fsync: AppendFsync,
    /// Syncing is allowed now (`no-appendfsync-on-rewrite` forbids it while a child writes).
    pub may_sync: bool,
    /// Do not wait for a background sync.
    pub force: bool,
    /// Monotonic time, ms.
    pub now_ms: u64,
    /// Everything up to here of the replication stream is in the buffer or was written.
    pub repl_offset: i64,
}

/// What a flush came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything that was in the buffer is in the file, and synced if the policy is `always`.
    Done,
    /// It waits for a background sync.
    Postponed,
    /// It could not be written; it is kept and tried again.
    Failed,
    /// The promise of `always` cannot be kept: the server must end. The line for the log.
    Fatal(String),
}

/// See the file header.
#[derive(Debug, Default)]
pub struct Log {
    file: Option<Arc<dyn StoredFile>>,
    buf: Vec<u8>,
    /// The database that the next command would be run in by a reader.
    selected: Option<u32>,
    /// The last annotated second.
    annotated_s: i64,
    /// See the file header.
    written: u64,
    written_repl: i64,
    /// Length of the file that syncs have been ordered for.
    sync_ordered: u64,
    last_sync_ms: u64,
    postponed_since_ms: Option<u64>,
    error: Option<i32>,
    last_logged_ms: Option<u64>,
    /// `aof_delayed_fsync`.
    pub delayed_fsync: u64,
    /// How long the last sync in this thread took, us.
    pub last_sync_us: u64,
    /// How many there were.
    pub syncs_here: u64,
}

impl Log {
    /// Whether commands are taken.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Goes on with this file, which holds `len` bytes. The file before, if any, is returned: its sync is the caller's.
    pub fn switch_to(
        &mut self,
        file: Arc<dyn StoredFile>,
        len: u64,
    ) -> Option<Arc<dyn StoredFile>> {
        debug_assert!(self.buf.is_empty() || self.file.is_none());
        self.written = len;
        self.sync_ordered = len;
        // A reader may start with this file.
        self.selected = None;
        self.annotated_s = 0;
        self.file.replace(file)
    }

    /// Takes no more commands; what was not written is forgotten.
    pub fn close(&mut self) -> Option<Arc<dyn StoredFile>> {
        self.buf = Vec::new();
        self.selected = None;
        self.postponed_since_ms = None;
        self.error = None;
        self.written = 0;
        self.sync_ordered = 0;
        self.file.take()
    }

    /// Takes a command that ran in `db`; None for MULTI and EXEC. `annotate_s`: the time to annotate, Unix seconds.
    #[inline]
    pub fn take(&mut self, db: Option<u32>, args: Args<'_>, annotate_s: Option<i64>) {
        if let Some(now_s) = annotate_s
            && now_s > self.annotated_s
        {
            encode::timestamp(&mut self.buf, now_s);
            self.annotated_s = now_s;
        }
        if db.is_some() && db != self.selected {
            encode::select(&mut self.buf, db.unwrap_or(0));
            self.selected = db;
        }
        encode::command(&mut self.buf, args);
    }

    /// Bytes waiting to be written (`aof_buffer_length`).
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    /// Bytes the buffer takes, which do not count against `maxmemory`.
    pub fn buffer_bytes(&self) -> usize {
        self.buf.capacity()
    }

    /// Length of the file.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The file was cut to this length by somebody else (loading).
    pub fn set_written(&mut self, len: u64) {
        self.written = len;
        self.sync_ordered = self.sync_ordered.min(len);
    }

    /// The replication offset of what the file holds.
    pub fn written_repl(&self) -> i64 {
        self.written_repl
    }

    /// The error of the last write, if it failed.
    pub fn error(&self) -> Option<io::Error> {
        self.error.map(io::Error::from_raw_os_error)
    }

    /// A flush was put off, or failed: to be tried again without anything new to write.
    pub fn owes(&self) -> bool {
        self.postponed_since_ms.is_some() || self.error.is_some()
    }

    /// Whether something in the file is not known to be, or on its way to be, synced.
    fn sync_owed(&self, syncer: &Syncer) -> bool {
        self.sync_ordered != self.written || syncer.error().is_some()
    }

    /// Writes the buffer and syncs as the plan says.
    pub fn flush(&mut self, plan: &FlushPlan, syncer: &Syncer) -> Flushed {
        let Some(file) = self.file.clone() else {
            return Flushed::Done;
        };
        let syncing = syncer.syncing() > 0;
        if !self.buf.is_empty() {
            if plan.fsync == AppendFsync::EverySec && syncing && !plan.force {
                let since = *self.postponed_since_ms.get_or_insert(plan.now_ms);
                if plan.now_ms.saturating_sub(since) < POSTPONE_MAX_MS {
                    return Flushed::Postponed;
                }
                self.delayed_fsync += 1;
                log::info!(
                    "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for fsync to complete, this may slow down Redis."
                );
            }
            self.postponed_since_ms = None;
            if let Err(e) = self.write_out(&*file, plan.now_ms) {
                if plan.fsync == AppendFsync::Always {
                    log::warn!("Error writing to the AOF file: {e}");
                    return Flushed::Fatal(
                        "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...".into(),
                    );
                }
                return Flushed::Failed;
            }
        }
        self.written_repl = plan.repl_offset;
        self.sync_by_policy(file, plan, syncer, syncing)
    }

    fn sync_by_policy(
        &mut self,
        file: Arc<dyn StoredFile>,
        plan: &FlushPlan,
        syncer: &Syncer,
        syncing: bool,
    ) -> Flushed {
        if !self.sync_owed(syncer) {
            // The stream moved on without us (a PING to replicas): nothing of it is ours to sync.
            if !syncing {
                syncer.set_durable(plan.repl_offset);
            }
            return Flushed::Done;
        }
        if !plan.may_sync {
            return Flushed::Done;
        }
        match plan.fsync {
            // Only to find out whether an error of an earlier sync is over.
            AppendFsync::No if syncer.error().is_none() => {}
            AppendFsync::Always => {
                let start = Instant::now();
                if let Err(e) = file.sync() {
                    return Flushed::Fatal(format!(
                        "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {}. Exiting...",
                        text(&e)
                    ));
                }
                self.last_sync_us = start.elapsed().as_micros() as u64;
                self.syncs_here += 1;
                self.sync_ordered = self.written;
                self.last_sync_ms = plan.now_ms;
                syncer.set_durable(plan.repl_offset);
            }
            AppendFsync::EverySec | AppendFsync::No => {
                let due = plan.now_ms.saturating_sub(self.last_sync_ms) >= 1000;
                if due && !syncing {
                    syncer.sync(file, plan.repl_offset);
                    self.sync_ordered = self.written;
                    self.last_sync_ms = plan.now_ms;
                }
            }
        }
        Flushed::Done
    }

    /// Syncs what was written, in this thread: at shutdown and when the AOF is switched off.
    pub fn sync_now(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync()?;
            self.sync_ordered = self.written;
        }
        Ok(())
    }

    fn write_out(&mut self, file: &dyn StoredFile, now_ms: u64) -> io::Result<()> {
        let mut done = 0;
        let failed = loop {
            if done == self.buf.len() {
                break None;
            }
            match file.append(&self.buf[done..]) {
                Ok(0) => break Some(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Some(e),
            }
        };
        let Some(e) = failed else {
            self.wrote(done);
            return Ok(());
        };
        self.note_failure(&e, done, now_ms);
        if done > 0 {
            match file.truncate(self.written) {
                Ok(()) => {}
                Err(cut) => {
                    log::warn!(
                        "Could not remove short write from the append-only file.  Redis may refuse to load the AOF the next time it starts.  ftruncate: {}",
                        text(&cut)
                    );
                    // The half command stays; its rest is written behind it when there is room again.
                    self.written += done as u64;
                    self.buf.drain(..done);
                }
            }
        }
        Err(e)
    }

    fn wrote(&mut self, n: usize) {
        self.written += n as u64;
        if self.buf.capacity() > KEEP_ROOM {
            self.buf = Vec::new();
        } else {
            self.buf.clear();
        }
        if self.error.take().is_some() {
            log::warn!("AOF write error looks solved. The server can write again.");
            self.last_logged_ms = None;
        }
    }

    fn note_failure(&mut self, e: &io::Error, done: usize, now_ms: u64) {
        self.error = Some(e.raw_os_error().unwrap_or(libc::EIO));
        let quiet = self
            .last_logged_ms
            .is_some_and(|at| now_ms.saturating_sub(at) < LOG_ERRORS_EVERY_MS);
        if quiet {
            return;
        }
        self.last_logged_ms = Some(now_ms);
        if done == 0 {
            log::warn!("Error writing to the AOF file: {}", text(e));
        } else {
            log::warn!(
                "Short write while writing to the AOF file: (nwritten={done}, expected={}): {}",
                self.buf.len(),
                text(e)
            );
        }
    }
}

/// The system's words without the number that `io::Error` adds.
pub fn text(e: &io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::storage::Storage;
    use crate::persist::storage::sim::{Fault, SimDisk};
    use crate::resp::OwnedArgs;
    use std::path::Path;

    fn log_on(disk: &SimDisk) -> Log {
        let mut log = Log::default();
        log.switch_to(disk.create(Path::new("f")).unwrap(), 0);
        log
    }

    fn plan(fsync: AppendFsync, now_ms: u64) -> FlushPlan {
        FlushPlan {
            fsync,
            may_sync: true,
            force: false,
            now_ms,
            repl_offset: 7,
        }
    }

    fn put(log: &mut Log, n: usize) {
        let args = OwnedArgs::from_iter([&b"set"[..], b"k", &vec![b'v'; n]]);
        log.take(Some(0), args.view(), None);
    }

    #[test]
    fn a_full_disk_leaves_no_half_command_and_recovers() {
        let disk = SimDisk::default();
        let (mut log, syncer) = (log_on(&disk), Syncer::inline());
        put(&mut log, 5);
        let p = plan(AppendFsync::EverySec, 5000);
        assert_eq!(log.flush(&p, &syncer), Flushed::Done);
        let good = disk.bytes(Path::new("f")).unwrap();
        disk.set_fault(Fault::Full(9));
        put(&mut log, 50);
        assert_eq!(log.flush(&p, &syncer), Flushed::Failed);
        assert_eq!(log.error().unwrap().raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(disk.bytes(Path::new("f")).unwrap(), good);
        assert!(log.owes() && log.buffered() > 50);
        disk.set_fault(Fault::None);
        assert_eq!(log.flush(&p, &syncer), Flushed::Done);
        assert!(!log.owes() && log.error().is_none());
        let len = disk.bytes(Path::new("f")).unwrap().len();
        assert_eq!(log.written(), len as u64);
    }

    #[test]
    fn always_syncs_before_it_is_done_and_gives_up_on_errors() {
        let disk = SimDisk::default();
        let (mut log, syncer) = (log_on(&disk), Syncer::inline());
        put(&mut log, 5);
        let p = plan(AppendFsync::Always, 1);
        assert_eq!(log.flush(&p, &syncer), Flushed::Done);
        assert_eq!(syncer.durable(), 7);
        let whole = disk.bytes(Path::new("f")).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        let after = disk.after_power_loss(3);
        assert_eq!(after.bytes(Path::new("f")).unwrap(), whole);
        disk.set_fault(Fault::SyncFails);
        put(&mut log, 5);
        assert!(matches!(log.flush(&p, &syncer), Flushed::Fatal(_)));
        disk.set_fault(Fault::Full(0));
        put(&mut log, 5);
        assert!(matches!(log.flush(&p, &syncer), Flushed::Fatal(_)));
    }

    #[test]
    fn everysec_waits_for_a_running_sync_but_not_for_ever() {
        let disk = SimDisk::default();
        let mut log = log_on(&disk);
        // A sync that ends only when we let it.
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let syncer = Syncer::start(Box::new(move || {
            let _ = wait.recv();
        }))
        .unwrap();
        let file = disk.create(Path::new("other")).unwrap();
        syncer.sync(file.clone(), 0);
        // The first job's wake holds the thread, so the second stays pending.
        syncer.sync(file, 0);
        put(&mut log, 5);
        let at = |ms| plan(AppendFsync::EverySec, ms);
        assert_eq!(log.flush(&at(10_000), &syncer), Flushed::Postponed);
        assert_eq!(log.flush(&at(11_999), &syncer), Flushed::Postponed);
        assert!(log.owes());
        assert_eq!(log.flush(&at(12_000), &syncer), Flushed::Done);
        assert_eq!((log.delayed_fsync, log.owes()), (1, false));
        put(&mut log, 5);
        let forced = FlushPlan {
            force: true,
            ..at(12_001)
        };
        assert_eq!(log.flush(&forced, &syncer), Flushed::Done);
        drop(release);
    }

    #[test]
    fn annotations_and_databases() {
        let disk = SimDisk::default();
        let mut log = log_on(&disk);
        let ping = OwnedArgs::from_iter(["ping"]);
        for (db, at) in [(Some(0), 5), (None, 5), (Some(0), 6), (Some(3), 6)] {
            log.take(db, ping.view(), Some(at));
        }
        log.flush(&plan(AppendFsync::No, 0), &Syncer::inline());
        let text = String::from_utf8(disk.bytes(Path::new("f")).unwrap()).unwrap();
        let select = |n| format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{n}\r\n");
        let ping = "*1\r\n$4\r\nping\r\n";
        let (s0, s3) = (select(0), select(3));
        assert_eq!(
            text,
            format!("#TS:5\r\n{s0}{ping}{ping}#TS:6\r\n{ping}{s3}{ping}")
        );
    }
}
