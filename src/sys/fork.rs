//! Forked children: making one, what it does first, how it ends, and how the parent learns of its end.
//!
//! A child shares the parent's memory as of the fork and has one thread. Threads of the parent may have held locks at that
//! moment, so a child takes none: it writes files, its pipe and log lines by plain system calls and ends in [`exit_now`], which runs no
//! destructors and no exit handlers. The allocator resets its own locks at fork.

use std::io;
use std::os::fd::RawFd;

/// Exit code of a child that was asked to stop (SIGUSR1): not a failure.
pub const STOPPED_ON_PURPOSE: i32 = 255;

/// Which side of the fork we are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The parent, with the child's process id.
    Parent(i32),
    /// The child.
    Child,
}

/// Forks.
pub fn fork() -> io::Result<Side> {
    // SAFETY: the child honours the rules in the head of this file; it only runs code that takes no lock and then `exit_now`.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Side::Parent(child.as_raw())),
        nix::unistd::ForkResult::Child => {
            // It has no client waiting.
            let _ = super::scheduling::usual_slices();
            Ok(Side::Child)
        }
    }
}

/// Ends the process at once: no destructors, no handlers, no flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

extern "C" fn on_stop(_: libc::c_int) {
    exit_now(STOPPED_ON_PURPOSE)
}

/// First thing in a child: SIGUSR1 stops it, a terminal's Ctrl-C (which goes to the whole group) is left to the parent.
pub fn child_signals() {
    // SAFETY: the handler only calls _exit; the sigaction struct is fully initialised.
    unsafe {
        let mut sa: libc::sigaction = std::mem::zeroed();
        sa.sa_sigaction = on_stop as *const () as usize;
        libc::sigemptyset(&mut sa.sa_mask);
        libc::sigaction(libc::SIGUSR1, &sa, std::ptr::null_mut());
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
    }
}

/// Closes a descriptor inherited from the parent. Only for a child: the parent's owner of it knows nothing of this.
pub fn close_inherited(fd: RawFd) {
    // SAFETY: the child ends in `exit_now`, so the owner's destructor never runs here.
    unsafe { libc::close(fd) };
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Whether the child has ended, and how; None while it runs. An error means there is no such child (any more).
pub fn ended(pid: i32) -> io::Result<Option<Ended>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place to write to.
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
        0 => Ok(None),
        n if n < 0 => Err(io::Error::last_os_error()),
        _ if libc::WIFSIGNALED(status) => Ok(Some(Ended::Signal(libc::WTERMSIG(status)))),
        _ => Ok(Some(Ended::Code(libc::WEXITSTATUS(status)))),
    }
}

/// Waits until the child has ended.
pub fn wait_end(pid: i32) -> io::Result<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: as in `ended`.
        if unsafe { libc::waitpid(pid, &mut status, 0) } >= 0 {
            return Ok(if libc::WIFSIGNALED(status) {
                Ended::Signal(libc::WTERMSIG(status))
            } else {
                Ended::Code(libc::WEXITSTATUS(status))
            });
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

/// Asks a child to stop.
pub fn stop(pid: i32) {
    // SAFETY: sends a signal to a child of ours that was not waited for yet, so the id cannot be another process'.
    unsafe { libc::kill(pid, libc::SIGUSR1) };
}

/// Bytes of this process' memory that no other process shares and that were written: in a child, what copying on write has
/// cost so far. 0 when the system does not tell.
pub fn private_dirty_bytes() -> usize {
    let Ok(text) = std::fs::read_to_string("/proc/self/smaps_rollup") else {
        return 0;
    };
    text.lines()
        .find_map(|l| l.strip_prefix("Private_Dirty:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok())
        .map_or(0, |kb| kb * 1024)
}

/// Sleeps; for the artificial delays that tests ask for.
pub fn sleep_us(micros: u64) {
    std::thread::sleep(std::time::Duration::from_micros(micros));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_end_as_told() {
        for (code, want) in [(0, Ended::Code(0)), (7, Ended::Code(7))] {
            match fork().unwrap() {
                Side::Child => exit_now(code),
                Side::Parent(pid) => assert_eq!(wait_end(pid).unwrap(), want),
            }
        }
        match fork().unwrap() {
            Side::Child => {
                child_signals();
                loop {
                    sleep_us(1000);
                }
            }
            Side::Parent(pid) => {
                sleep_us(100_000);
                assert_eq!(ended(pid).unwrap(), None);
                stop(pid);
                assert_eq!(wait_end(pid).unwrap(), Ended::Code(STOPPED_ON_PURPOSE));
                assert!(ended(pid).is_err());
            }
        }
    }

    #[test]
    fn dirty_memory_is_told() {
        assert!(private_dirty_bytes() > 0);
    }
}
