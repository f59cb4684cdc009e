//! Signals: the handlers only set flags, which cron reads (a signal ends the loop's wait). A second Ctrl-C while a shutdown is
//! asked for or under way ends the process at once, after removing the file that was being written.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

/// The signal that asked for a shutdown and was not taken yet.
static SHUTDOWN: AtomicI32 = AtomicI32::new(0);
/// A shutdown is under way.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);
/// Path of the temporary file to remove, or null. Never freed: a handler may be reading it.
static TEMP_FILE: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_shutdown(sig: libc::c_int) {
    let asked_before = SHUTDOWN.swap(sig, Ordering::SeqCst) != 0;
    if sig == libc::SIGINT && (asked_before || UNDER_WAY.load(Ordering::SeqCst)) {
        let temp = TEMP_FILE.load(Ordering::SeqCst);
        const TEXT: &[u8] = b"You insist... exiting now.\n";
        // SAFETY: write, unlink and _exit are async-signal-safe; the path is a valid string that is never freed.
        unsafe {
            libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
            if !temp.is_null() {
                libc::unlink(temp);
            }
            libc::_exit(1)
        }
    }
}

/// Installs the handlers: TERM and INT ask for a shutdown, HUP and PIPE are ignored.
pub fn install() {
    // SAFETY: the handler only touches atomics and async-signal-safe calls; the sigaction struct is fully initialised.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut sa: libc::sigaction = std::mem::zeroed();
        sa.sa_sigaction = on_shutdown as *const () as usize;
        libc::sigemptyset(&mut sa.sa_mask);
        libc::sigaction(libc::SIGTERM, &sa, std::ptr::null_mut());
        libc::sigaction(libc::SIGINT, &sa, std::ptr::null_mut());
    }
}

/// The name of the signal that asked for a shutdown, once.
pub fn take_shutdown() -> Option<&'static str> {
    match SHUTDOWN.swap(0, Ordering::SeqCst) {
        0 => None,
        libc::SIGINT => Some("SIGINT"),
        _ => Some("SIGTERM"),
    }
}

/// A shutdown is under way from now on: one more Ctrl-C ends the process at once.
pub fn begin_shutdown() {
    UNDER_WAY.store(true, Ordering::SeqCst);
}

/// The shutdown failed or went through.
pub fn end_shutdown() {
    UNDER_WAY.store(false, Ordering::SeqCst);
}

/// Names the file to remove when the operator does not wait for the end of a save.
pub fn unlink_when_insisted(path: Option<&Path>) {
    let raw = path
        .and_then(|p| CString::new(p.as_os_str().as_bytes()).ok())
        .map_or(std::ptr::null_mut(), CString::into_raw);
    // The string before is leaked on purpose (see TEMP_FILE): a few bytes per save in this process.
    TEMP_FILE.store(raw, Ordering::SeqCst);
}
