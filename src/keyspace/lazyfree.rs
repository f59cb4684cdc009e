//! Freeing big values in a background thread, so that UNLINK, expiry and FLUSHALL ASYNC do not stall the loop.
//!
//! What is sent is owned outright (an entry or a table), so no lock is needed; the thread publishes the memory it freed to
//! the allocator's counters after each job. INFO reads the number of objects pending and freed. Jobs are done in order: a
//! fence says that everything before it is gone (FLUSHALL SYNC waits for one while others are served).

use super::entry::Entry;
use crate::ds::table::Table;
use crate::sys::alloc::Counters;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Something big to be dropped elsewhere.
pub enum Garbage {
    /// A key with its value.
    Entry(Entry),
    /// All keys of a database.
    Table(Table<Entry>),
    /// Anything else that owns what it holds.
    Other(Box<dyn Send>, usize),
}

/// A value with more allocations than this is worth another thread.
pub const LAZYFREE_THRESHOLD: usize = 64;

/// A value with more allocations than this goes to the other thread even where the settings leave the freeing to the loop:
/// it would stop everybody for a millisecond and more. What is propagated (DEL or UNLINK) follows the settings all the same.
pub const STALL_THRESHOLD: usize = 16 * 1024;

enum Job {
    Free(Garbage),
    Fence(u64),
}

/// The door to the thread.
#[derive(Clone)]
pub struct LazyFree {
    jobs: Option<Sender<Job>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    pending: AtomicI64,
    freed: AtomicU64,
    fence: AtomicU64,
}

impl LazyFree {
    /// Starts the thread, which calls `passed` when it has reached a fence.
    pub fn start(passed: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        std::thread::Builder::new()
            .name("bio_lazy_free".into())
            .spawn(move || {
                let mut counters = Counters::of_this_thread();
                while let Some(job) = next_job(&inbox) {
                    let garbage = match job {
                        Job::Free(garbage) => garbage,
                        Job::Fence(number) => {
                            shared.fence.store(number, Ordering::Release);
                            passed();
                            continue;
                        }
                    };
                    let n = garbage.objects();
                    drop(garbage);
                    counters.publish_thread_delta();
                    shared.pending.fetch_sub(n as i64, Ordering::Relaxed);
                    shared.freed.fetch_add(n as u64, Ordering::Relaxed);
                }
            })?;
        Ok(LazyFree {
            jobs: Some(jobs),
            counts,
        })
    }

    /// Frees at once, in the calling thread: for tests and for the check tools.
    pub fn inline() -> Self {
        LazyFree {
            jobs: None,
            counts: Arc::default(),
        }
    }

    /// Hands `garbage` over.
    pub fn free(&self, garbage: Garbage) {
        let n = garbage.objects();
        let Some(jobs) = &self.jobs else { return };
        self.counts.pending.fetch_add(n as i64, Ordering::Relaxed);
        if jobs.send(Job::Free(garbage)).is_err() {
            self.counts.pending.fetch_sub(n as i64, Ordering::Relaxed);
        }
    }

    /// Puts a fence behind everything handed over so far. `number` must not be 0 and grow from fence to fence.
    pub fn fence(&self, number: u64) {
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(Job::Fence(number)).is_ok());
        if !sent {
            self.counts.fence.store(number, Ordering::Release);
        }
    }

    /// The number of the last fence before which everything is freed; 0 before the first.
    pub fn last_fence(&self) -> u64 {
        self.counts.fence.load(Ordering::Acquire)
    }

    /// Objects not freed yet (`lazyfree_pending_objects`).
    pub fn pending(&self) -> u64 {
        self.counts.pending.load(Ordering::Relaxed).max(0) as u64
    }

    /// Objects freed so far (`lazyfreed_objects`).
    pub fn freed(&self) -> u64 {
        self.counts.freed.load(Ordering::Relaxed)
    }

    /// Starts counting again (CONFIG RESETSTAT).
    pub fn reset_freed(&self) {
        self.counts.freed.store(0, Ordering::Relaxed);
    }
}

/// The next job; None when there will be none. Before it waits the thread gives back what the allocator keeps for it: a few blocks
/// of every size, of slabs that would be empty but for them, until it frees again.
fn next_job(inbox: &Receiver<Job>) -> Option<Job> {
    inbox.try_recv().ok().or_else(|| {
        let _there_is_none = crate::sys::alloc::order(b"thread.tcache.flush");
        inbox.recv().ok()
    })
}

impl Garbage {
    fn objects(&self) -> usize {
        match self {
            Garbage::Entry(_) => 1,
            Garbage::Table(t) => t.len(),
            Garbage::Other(_, n) => *n,
        }
    }
}
