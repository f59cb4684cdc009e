//! What a daemon does to its own process: going to the background, locale, title, the time zone of log lines.
//!
//! The title is written over the memory of `argv` and `environ`, which is where `ps` looks; the environment is copied away
//! first. Nothing here is called before threads exist except where it says so.

use std::ffi::{CStr, CString};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Leaves the terminal: forks, the parent exits, the child leads a new session with its standard streams on /dev/null.
/// Must run while the process has one thread.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: one thread only (the caller's duty), so the child may go on as if nothing happened.
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Parent { .. }) => {
            // SAFETY: leaves without running destructors: everything belongs to the child now.
            unsafe { libc::_exit(0) }
        }
        Ok(nix::unistd::ForkResult::Child) => {}
        Err(e) => return Err(e.into()),
    }
    let _ = nix::unistd::setsid();
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for fd in 0..=2 {
        // SAFETY: both descriptors are valid for the call.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), fd) };
    }
    Ok(())
}

/// Sets the locale of string comparison; an empty name takes it from the environment. False: no such locale.
pub fn set_collation(name: &[u8]) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: a NUL-terminated string; called by the main thread only.
    unsafe { !libc::setlocale(libc::LC_COLLATE, name.as_ptr()).is_null() }
}

/// Compares two strings as the locale of [`set_collation`] orders them.
pub fn collate(a: &CStr, b: &CStr) -> std::cmp::Ordering {
    // SAFETY: both are NUL-terminated, and the locale is set by the main thread, which runs this too.
    unsafe { libc::strcoll(a.as_ptr(), b.as_ptr()) }.cmp(&0)
}

static UTC_OFFSET_S: AtomicI32 = AtomicI32::new(0);

/// Looks up the distance of local time from UTC. The C library takes a lock for it, which a child must not touch: that is
/// why it is done now and then by the main thread and kept.
pub fn refresh_utc_offset(now_s: i64) {
    // SAFETY: both structures are ours; localtime_r fills `tm`.
    let offset = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now_s, &mut tm).is_null() {
            return;
        }
        tm.tm_gmtoff
    };
    UTC_OFFSET_S.store(offset as i32, Ordering::Relaxed);
}

/// Seconds to add to UTC for local time, as last looked up.
pub fn utc_offset_s() -> i64 {
    i64::from(UTC_OFFSET_S.load(Ordering::Relaxed))
}

/// Where the memory of argv and environ begins and how long it is; 0 until found.
static TITLE_AT: AtomicUsize = AtomicUsize::new(0);
static TITLE_LEN: AtomicUsize = AtomicUsize::new(0);

/// Finds the memory of argv and moves the environment out of what follows it. Call once, while there is one thread.
pub fn prepare_title() {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    // Fields 48 to 51 are arg_start, arg_end, env_start, env_end; the second field may hold spaces, so count behind it.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return;
    };
    let fields: Vec<usize> = rest
        .split_whitespace()
        .skip(45)
        .take(4)
        .filter_map(|f| f.parse().ok())
        .collect();
    let [arg_start, arg_end, env_start, env_end] = fields[..] else {
        return;
    };
    if arg_start == 0 || arg_end <= arg_start {
        return;
    }
    let mut end = arg_end;
    if env_start == arg_end && env_end > env_start {
        move_environment();
        end = env_end;
    }
    TITLE_AT.store(arg_start, Ordering::Relaxed);
    TITLE_LEN.store(end - arg_start, Ordering::Relaxed);
}

/// Replaces every string of `environ` by a copy on the heap, which stays for good.
fn move_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: `environ` is the C library's NULL-terminated array; one thread only, so nobody reads it meanwhile.
    unsafe {
        let mut p = environ;
        while !p.is_null() && !(*p).is_null() {
            let copy = libc::strdup(*p);
            if !copy.is_null() {
                *p = copy;
            }
            p = p.add(1);
        }
    }
}

/// Shows `title` as the command line of this process. Without effect before [`prepare_title`].
pub fn set_title(title: &[u8]) {
    let (at, len) = (
        TITLE_AT.load(Ordering::Relaxed),
        TITLE_LEN.load(Ordering::Relaxed),
    );
    if at == 0 {
        return;
    }
    let n = title.len().min(len - 1);
    // SAFETY: the kernel told us that [at, at+len) is the memory of argv and environ; it is writable, lives as long as the
    // process, and nothing points into it any more except argv, whose strings std copied at start.
    unsafe {
        let p = at as *mut u8;
        std::ptr::write_bytes(p, 0, len);
        std::ptr::copy_nonoverlapping(title.as_ptr(), p, n);
    }
}

/// User and system CPU seconds of this process, its dead children, and the calling thread, in that order.
pub fn cpu_seconds() -> [[f64; 2]; 3] {
    [
        libc::RUSAGE_SELF,
        libc::RUSAGE_CHILDREN,
        libc::RUSAGE_THREAD,
    ]
    .map(|who| {
        // SAFETY: getrusage fills the structure.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        [usage.ru_utime, usage.ru_stime].map(|t| t.tv_sec as f64 + t.tv_usec as f64 / 1e6)
    })
}

/// Resident set of this process, bytes; 0 if it cannot be read.
pub fn resident_bytes() -> usize {
    // The second field of statm is pages.
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text
        .split(' ')
        .nth(1)
        .and_then(|f| f.parse().ok())
        .unwrap_or(0);
    pages * page_size()
}

/// Bytes of a page.
pub fn page_size() -> usize {
    // SAFETY: sysconf only reads.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Memory of the machine, bytes.
pub fn total_memory_bytes() -> u64 {
    // SAFETY: sysconf only reads.
    unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) as u64 * page_size() as u64 }
}

/// Keeps transparent huge pages away from this process: with them, a page touched after a fork copies 2 MB.
pub fn disable_huge_pages() -> bool {
    // SAFETY: PR_SET_THP_DISABLE takes plain numbers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 }
}

/// Lets this thread wake from sleeps within a microsecond of the time it asked for; the kernel's usual tolerance of 50 us is as
/// long as the rests of the loop. False: the kernel refused.
pub fn precise_sleeps() -> bool {
    nix::sys::prctl::set_timerslack(1000).is_ok()
}

/// The system's name and version and the machine, as `uname` tells them.
pub fn system_name() -> String {
    // SAFETY: uname fills the structure with NUL-terminated texts.
    unsafe {
        let mut u: libc::utsname = std::mem::zeroed();
        libc::uname(&mut u);
        let text = |field: &[libc::c_char]| {
            std::ffi::CStr::from_ptr(field.as_ptr())
                .to_string_lossy()
                .into_owned()
        };
        format!(
            "{} {} {}",
            text(&u.sysname),
            text(&u.release),
            text(&u.machine)
        )
    }
}

/// Stops this process with SIGSTOP, which tells upstart that it is ready.
pub fn stop_self() {
    // SAFETY: raise takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}
