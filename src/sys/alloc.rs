//! The process allocator: jemalloc with an 8-byte quantum, and its own exact accounting.
//!
//! `GlobalAlloc` passes an alignment flag only above 8 bytes: with a quantum of 8 the classes 24, 40 and 56 are just 8-aligned,
//! and the entries are laid out for them. `used_memory` comes from jemalloc's per-thread counters (allocated minus deallocated
//! bytes of this thread, by size class): exact, and free, where counting in the wrapper costs 1.3 to 1.5 times. Memory freed by
//! a background thread is charged there, so those threads publish their delta with [`publish_thread_delta`] after each job.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tikv_jemalloc_sys as je;

/// jemalloc as the global allocator.
pub struct Jemalloc;

#[inline(always)]
fn flags(layout: &Layout) -> i32 {
    if layout.align() > 8 {
        layout.align().trailing_zeros() as i32
    } else {
        0
    }
}

// SAFETY: each method hands jemalloc the size and alignment of the layout and returns its pointer unchanged; jemalloc meets
// the contract of GlobalAlloc for them (null on failure, sized deallocation with the size that was allocated).
unsafe impl GlobalAlloc for Jemalloc {
    #[inline(always)]
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        let f = flags(&l);
        // SAFETY: size is non-zero by the caller's contract.
        unsafe {
            if f == 0 {
                je::malloc(l.size()).cast()
            } else {
                je::mallocx(l.size(), f).cast()
            }
        }
    }
    #[inline(always)]
    unsafe fn alloc_zeroed(&self, l: Layout) -> *mut u8 {
        let f = flags(&l);
        // SAFETY: as above.
        unsafe {
            if f == 0 {
                je::calloc(1, l.size()).cast()
            } else {
                je::mallocx(l.size(), f | je::MALLOCX_ZERO).cast()
            }
        }
    }
    #[inline(always)]
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        // SAFETY: `p` came from this allocator with this layout.
        unsafe { je::sdallocx(p.cast(), l.size(), flags(&l)) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, p: *mut u8, l: Layout, n: usize) -> *mut u8 {
        let f = flags(&l);
        // SAFETY: `p` came from this allocator; `n` is non-zero by the caller's contract.
        unsafe {
            if f == 0 {
                je::realloc(p.cast(), n).cast()
            } else {
                je::rallocx(p.cast(), n, f).cast()
            }
        }
    }
}

/// Bytes that other threads than the counting one allocated minus freed, as they published them.
static OTHER_THREADS: AtomicI64 = AtomicI64::new(0);
/// Highest value [`Counters::used`] was seen to have.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The calling thread's allocation counters. Make one in the thread that owns the data.
#[derive(Debug)]
pub struct Counters {
    allocated: *const u64,
    deallocated: *const u64,
    published: i64,
}

impl Counters {
    /// Looks up this thread's counters.
    pub fn of_this_thread() -> Self {
        Counters {
            allocated: read_ctl(c"thread.allocatedp"),
            deallocated: read_ctl(c"thread.deallocatedp"),
            published: 0,
        }
    }

    /// Bytes this thread ever allocated.
    pub fn allocated(&self) -> u64 {
        // SAFETY: as in `own`.
        unsafe { self.allocated.read_volatile() }
    }

    #[inline(always)]
    fn own(&self) -> i64 {
        // SAFETY: jemalloc's thread counters stay valid for the life of the thread that asked, and Counters is not Send.
        unsafe {
            self.allocated
                .read_volatile()
                .wrapping_sub(self.deallocated.read_volatile()) as i64
        }
    }

    /// Bytes in use by the whole process (size classes, not requests): this thread's and what the others published.
    #[inline(always)]
    pub fn used(&self) -> usize {
        (self.own() + OTHER_THREADS.load(Ordering::Relaxed)).max(0) as usize
    }

    /// Background threads call this after each job, so that what they freed or allocated counts.
    pub fn publish_thread_delta(&mut self) {
        let now = self.own();
        OTHER_THREADS.fetch_add(now - self.published, Ordering::Relaxed);
        self.published = now;
    }
}

/// Raises the recorded peak to `used` and returns the peak, in bytes.
pub fn note_peak(used: usize) -> usize {
    PEAK.fetch_max(used, Ordering::Relaxed).max(used)
}

/// Forgets the peak (CONFIG RESETSTAT): it starts again from `used`.
pub fn reset_peak(used: usize) {
    PEAK.store(used, Ordering::Relaxed);
}

fn read_ctl<T>(name: &CStr) -> T {
    let mut value = std::mem::MaybeUninit::<T>::uninit();
    let mut size = size_of::<T>();
    // SAFETY: `value` has room for `size` bytes; a wrong name or size makes jemalloc return an error, which we assert away.
    unsafe {
        let rc = je::mallctl(
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            &mut size,
            ptr::null_mut(),
            0,
        );
        assert!(
            rc == 0 && size == size_of::<T>(),
            "jemalloc control {name:?} is not there"
        );
        value.assume_init()
    }
}

fn write_ctl<T>(name: &CStr, mut value: T) -> bool {
    // SAFETY: jemalloc reads size_of::<T>() bytes from `value` and reports a mismatch as an error.
    unsafe {
        je::mallctl(
            name.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            (&raw mut value).cast(),
            size_of::<T>(),
        ) == 0
    }
}

/// One of jemalloc's controls by name, as a number, and its new value if there is one; gives what it was (DEBUG MALLCTL).
///
/// # Errors
/// What jemalloc has against it, as an error number of the system. Controls that take addresses are not there.
pub fn control(name: &[u8], value: Option<i64>) -> Result<i64, i32> {
    let name = control_name(name)?;
    let mut failed = libc::EINVAL;
    // A control does not tell how wide it is; with another width it answers EINVAL and does nothing.
    for width in [8, 4, 1] {
        let (mut old, mut size) = ([0_u8; 8], width);
        let mut new = value.unwrap_or(0).to_le_bytes();
        let (newp, newlen) = match value {
            Some(_) => (new.as_mut_ptr().cast(), width),
            None => (ptr::null_mut(), 0),
        };
        // SAFETY: `old` and `new` have room for 8 bytes, `size` and `newlen` are at most that; what takes addresses is refused above.
        let rc = unsafe {
            je::mallctl(
                name.as_ptr(),
                old.as_mut_ptr().cast(),
                &mut size,
                newp,
                newlen,
            )
        };
        if rc == 0 {
            return Ok(i64::from_le_bytes(old));
        }
        failed = rc;
        if rc != libc::EINVAL {
            break;
        }
    }
    Err(failed)
}

/// Does what a control that takes and gives nothing does, such as `thread.tcache.flush` (DEBUG MALLCTL-STR name VOID).
///
/// # Errors
/// As [`control`].
pub fn order(name: &[u8]) -> Result<(), i32> {
    let name = control_name(name)?;
    let (old, new) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: nothing is read or written; controls that would free what is in use are refused by their names.
    match unsafe { je::mallctl(name.as_ptr(), old, ptr::null_mut(), new, 0) } {
        0 => Ok(()),
        failed => Err(failed),
    }
}

/// The name of a control that may be used from outside: none that takes addresses or throws memory in use away.
fn control_name(name: &[u8]) -> Result<std::ffi::CString, i32> {
    const DENIED: [&[u8]; 6] = [
        b"hooks",
        b"create",
        b"experimental",
        b"prof",
        b"reset",
        b"destroy",
    ];
    if DENIED
        .iter()
        .any(|word| memchr::memmem::find(name, word).is_some())
    {
        return Err(libc::ENOENT);
    }
    std::ffi::CString::new(name).map_err(|_| libc::ENOENT)
}

/// The allocator's own statistics, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllocStats {
    /// Bytes handed out.
    pub allocated: usize,
    /// Bytes in pages that hold at least one allocation.
    pub active: usize,
    /// Bytes mapped and touched.
    pub resident: usize,
    /// Bytes kept mapped but returned to the system.
    pub retained: usize,
    /// Bytes of free regions inside small-bin slabs.
    pub muzzy: usize,
}

/// Bytes the allocator really hands out for a request of `size` bytes (its size class); 0 for 0.
#[inline]
pub fn class_bytes(size: usize) -> usize {
    if size == 0 {
        return 0;
    }
    // Miri calls no foreign code; there it is enough that classes are a little larger.
    if cfg!(miri) {
        return size.next_multiple_of(16);
    }
    // SAFETY: the size is not zero; nallocx computes and touches no memory.
    unsafe { je::nallocx(size, 0) }
}

/// jemalloc's own report (MEMORY MALLOC-STATS), as text.
pub fn report() -> Vec<u8> {
    extern "C" fn append(to: *mut std::ffi::c_void, text: *const std::ffi::c_char) {
        // SAFETY: `to` is the vector below, borrowed by nobody else meanwhile; `text` is a C string of jemalloc's.
        unsafe { (*to.cast::<Vec<u8>>()).extend_from_slice(CStr::from_ptr(text).to_bytes()) }
    }
    let mut text = Vec::with_capacity(64 * 1024);
    // SAFETY: the callback gets the vector's address, which lives through the call; no options are given.
    unsafe { je::malloc_stats_print(Some(append), (&raw mut text).cast(), ptr::null()) };
    text
}

/// Makes jemalloc take its statistics anew; until then they are those of the last time.
pub fn refresh_stats() {
    write_ctl(c"epoch", 1u64);
}

/// While it lives, this thread allocates and frees past its cache. Making one gives back what the cache holds, so it costs some
/// microseconds, and the cache fills again afterwards.
pub struct Uncached(bool);

impl Uncached {
    /// Switches the cache off.
    #[allow(clippy::new_without_default)] // it does something
    pub fn new() -> Self {
        Uncached(write_ctl(c"thread.tcache.enabled", false))
    }
}

impl Drop for Uncached {
    fn drop(&mut self) {
        if self.0 {
            write_ctl(c"thread.tcache.enabled", true);
        }
    }
}

/// Refreshes and reads jemalloc's statistics.
pub fn stats() -> AllocStats {
    refresh_stats();
    AllocStats {
        allocated: read_ctl(c"stats.allocated"),
        active: read_ctl(c"stats.active"),
        resident: read_ctl(c"stats.resident"),
        retained: read_ctl(c"stats.retained"),
        muzzy: 0,
    }
}

/// Returns unused dirty pages of every arena to the system now (MEMORY PURGE).
pub fn purge() -> bool {
    // 4096 is MALLCTL_ARENAS_ALL.
    // SAFETY: the control takes and returns nothing.
    unsafe {
        je::mallctl(
            c"arena.4096.purge".as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
        ) == 0
    }
}

/// Turns jemalloc's background purging threads on or off (directive `jemalloc-bg-thread`).
pub fn set_background_thread(on: bool) -> bool {
    write_ctl(c"background_thread", on)
}

/// Sets how soon unused pages go back to the system: dirty after one second, muzzy at once (see DESIGN 4 for the measurement).
pub fn set_decay() {
    write_ctl(c"arenas.dirty_decay_ms", 1000isize);
    write_ctl(c"arenas.muzzy_decay_ms", 0isize);
    write_ctl(c"arena.0.dirty_decay_ms", 1000isize);
    write_ctl(c"arena.0.muzzy_decay_ms", 0isize);
}

/// jemalloc's version, as upstream prints it: `jemalloc-5.3.1`.
pub fn version() -> String {
    let p: *const std::ffi::c_char = read_ctl(c"version");
    // SAFETY: jemalloc returns a static NUL-terminated string.
    let full = unsafe { CStr::from_ptr(p) }.to_string_lossy();
    format!("jemalloc-{}", full.split('-').next().unwrap_or("unknown"))
}
