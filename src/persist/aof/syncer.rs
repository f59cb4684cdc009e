//! The background thread that syncs, closes and removes files of the AOF, in the order it is told.
//!
//! A sync can take seconds on a busy disk and a removal of a big file as well; neither may hold the loop up. Each sync carries
//! the replication offset that it makes durable; because jobs are done in order, the offset told is always a true lower
//! bound. What went wrong stays readable until a later sync goes well.
//!
//! Invariant: `syncing` counts the jobs that were handed over and not finished; the loop asks it before the next one.

use crate::persist::storage::{Storage, StoredFile};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

/// Called by the thread after each sync, so that the loop wakes up.
pub type Wake = Box<dyn Fn() + Send>;

enum Job {
    /// Sync, and with the last handle close, a file; then everything up to this replication offset is durable.
    Sync(Arc<dyn StoredFile>, i64),
    /// Drop what was unlinked: that frees its room on the disk.
    Drop(Box<dyn Send>),
    /// Tell when everything before was done.
    Drain(Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    /// Syncs handed over and not finished.
    syncing: AtomicUsize,
    /// Replication offset known to be durable.
    durable: AtomicI64,
    /// The system's number of the last sync's error; 0 when it went well.
    error: AtomicI32,
    /// A sync went well after one that had failed.
    recovered: AtomicBool,
}

/// The door to the thread.
#[derive(Debug)]
pub struct Syncer {
    jobs: Option<Sender<Job>>,
    shared: Arc<Shared>,
}

impl Syncer {
    /// Does every job at once in the calling thread: before the thread is started, and in tests.
    pub fn inline() -> Self {
        Syncer {
            jobs: None,
            shared: Arc::default(),
        }
    }

    /// Starts the thread.
    pub fn start(wake: Wake) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        std::thread::Builder::new()
            .name("bio_aof".into())
            .spawn(move || {
                for job in inbox {
                    let synced = matches!(job, Job::Sync(..));
                    run(job, &its);
                    if synced {
                        wake();
                    }
                }
            })?;
        Ok(Syncer {
            jobs: Some(jobs),
            shared,
        })
    }

    fn hand_over(&self, job: Job) {
        let Some(jobs) = &self.jobs else {
            return run(job, &self.shared);
        };
        if let Err(lost) = jobs.send(job) {
            // The thread is gone; better late than never.
            run(lost.0, &self.shared);
        }
    }

    /// Syncs a file; `repl_offset`: what is durable then.
    pub fn sync(&self, file: Arc<dyn StoredFile>, repl_offset: i64) {
        self.shared.syncing.fetch_add(1, Ordering::SeqCst);
        self.hand_over(Job::Sync(file, repl_offset));
    }

    /// Removes a file: its name at once (a new file may get the same one), its bytes in the background.
    pub fn remove(&self, storage: &dyn Storage, path: &Path) {
        match storage.unlink(path) {
            Ok(rest) => self.hand_over(Job::Drop(rest)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => log::warn!("Removing {}: {e}", path.display()),
        }
    }

    /// Waits until everything handed over is done.
    pub fn drain(&self) {
        let (done, wait) = channel();
        self.hand_over(Job::Drain(done));
        // An error means the thread is gone, and then nothing is left to wait for.
        let _ = wait.recv();
    }

    /// Syncs under way.
    pub fn syncing(&self) -> usize {
        self.shared.syncing.load(Ordering::SeqCst)
    }

    /// The replication offset that finished syncs have made durable.
    pub fn durable(&self) -> i64 {
        self.shared.durable.load(Ordering::SeqCst)
    }

    /// Says that everything up to this replication offset is durable (or, with a lower one, that less is: a new history).
    pub fn set_durable(&self, repl_offset: i64) {
        self.shared.durable.store(repl_offset, Ordering::SeqCst);
    }

    /// What the last sync failed with.
    pub fn error(&self) -> Option<io::Error> {
        match self.shared.error.load(Ordering::SeqCst) {
            0 => None,
            code => Some(io::Error::from_raw_os_error(code)),
        }
    }

    /// Whether, since this was last asked, a sync went well after one that had failed. The system may have dropped what the
    /// failed one was for, without telling the later one: only a rewrite makes sure that everything is on the disk.
    pub fn take_recovered(&self) -> bool {
        self.shared.recovered.swap(false, Ordering::SeqCst)
    }

    /// Forgets the last error: the file it was about is no longer written.
    pub fn forget_error(&self) {
        self.shared.error.store(0, Ordering::SeqCst);
    }
}

fn run(job: Job, shared: &Shared) {
    match job {
        Job::Sync(file, repl_offset) => {
            match file.sync() {
                Ok(()) => {
                    shared.durable.store(repl_offset, Ordering::SeqCst);
                    if shared.error.swap(0, Ordering::SeqCst) != 0 {
                        log::info!("Syncing the AOF file works again.");
                        shared.recovered.store(true, Ordering::SeqCst);
                    }
                }
                Err(e) => {
                    let code = e.raw_os_error().unwrap_or(libc::EIO);
                    if shared.error.swap(code, Ordering::SeqCst) != code {
                        log::warn!("Fail to fsync the AOF file: {e}");
                    }
                }
            }
            shared.syncing.fetch_sub(1, Ordering::SeqCst);
        }
        Job::Drop(rest) => drop(rest),
        // Nobody waits any more: fine.
        Job::Drain(done) => drop(done.send(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::storage::append_all;
    use crate::persist::storage::sim::{Fault, SimDisk};

    #[test]
    fn in_order_and_with_errors_told() {
        let disk = SimDisk::default();
        let file = disk.create(Path::new("a")).unwrap();
        append_all(&*file, b"x").unwrap();
        let syncer = Syncer::start(Box::new(|| {})).unwrap();
        disk.set_fault(Fault::SyncFails);
        syncer.sync(file.clone(), 10);
        syncer.drain();
        assert_eq!((syncer.durable(), syncer.syncing()), (0, 0));
        assert_eq!(syncer.error().unwrap().raw_os_error(), Some(libc::EIO));
        disk.set_fault(Fault::None);
        syncer.sync(file.clone(), 11);
        syncer.remove(&disk, Path::new("a"));
        syncer.drain();
        assert_eq!(syncer.durable(), 11);
        assert!(syncer.error().is_none());
        assert!(disk.names().is_empty());
    }
}
