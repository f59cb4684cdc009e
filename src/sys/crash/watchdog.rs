//! The watchdog (`watchdog-period`): a timer that cron winds up again and again. When the loop stands still for that long, it
//! fires, and its handler writes what is running into the log.

use super::line::Line;
use super::{open_log, running_name, stack_trace};

/// The timer fires once after `period_ms`, unless this is called again before; 0 stops it.
pub fn wind_up(period_ms: u64) {
    let once = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: (period_ms / 1000) as libc::time_t,
            tv_usec: (period_ms % 1000 * 1000) as libc::suseconds_t,
        },
    };
    // SAFETY: the structure is initialised; no old value is asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut()) };
}

/// Installs the timer's handler, or has the signal ignored.
pub fn install(on: bool) {
    // SAFETY: the structure is fully initialised; the first backtrace, here, loads what later ones need.
    unsafe {
        let mut sa: libc::sigaction = std::mem::zeroed();
        libc::sigemptyset(&mut sa.sa_mask);
        sa.sa_sigaction = libc::SIG_IGN;
        if on {
            let mut frames = [std::ptr::null_mut(); 4];
            libc::backtrace(frames.as_mut_ptr(), 4);
            sa.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO | libc::SA_RESTART;
            sa.sa_sigaction = on_timer as *const () as usize;
        }
        libc::sigaction(libc::SIGALRM, &sa, std::ptr::null_mut());
    }
}

extern "C" fn on_timer(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let fd = open_log();
    Line::logged()
        .text(b"\n--- WATCHDOG TIMER EXPIRED ---\n")
        .write(fd);
    match running_name() {
        Some(name) => running(name, fd),
        None => Line::logged().text(b"No command is running.\n").write(fd),
    }
    // SAFETY: the kernel hands a valid context to a SA_SIGINFO handler.
    let at = unsafe { super::registers::instruction(context) };
    stack_trace(at, fd);
    Line::new().text(b"--------\n").write(fd);
    super::close_log(fd);
}

/// Names the command, and as well how upstream names the function of one: that is what tools look for.
fn running(name: &str, fd: i32) {
    let function = name.split('|').next().unwrap_or(name);
    Line::logged()
        .text(b"Running command: ")
        .text(name.as_bytes())
        .text(b" (")
        .text(function.as_bytes())
        .text(b"Command)\n")
        .write(fd);
}
