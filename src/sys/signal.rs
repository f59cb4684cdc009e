//! Signals: the handlers only set flags, which the loop reads each turn (a signal ends its wait).

use std::sync::atomic::{AtomicI32, Ordering};

static SHUTDOWN: AtomicI32 = AtomicI32::new(0);
static SEEN: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_shutdown(sig: libc::c_int) {
    if SHUTDOWN.swap(sig, Ordering::SeqCst) != 0
        || SEEN.swap(sig, Ordering::SeqCst) != 0 && sig == libc::SIGINT
    {
        // A second Ctrl-C: the operator will not wait.
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(1) }
    }
}

/// Installs the handlers: TERM and INT ask for a shutdown, HUP and PIPE are ignored.
pub fn install() {
    // SAFETY: the handler only touches atomics and _exit; the sigaction struct is fully initialised.
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
