//! How soon the loop gets a processor that something else is using.
//!
//! The kernel lets a running thread finish its slice, some milliseconds, before one that wakes gets its turn. Where all threads of
//! the server share a processor, a thread in the background (freeing a big value), a child that saves and any other process are so
//! many stalls of the loop. Since 6.12 a thread can ask for shorter slices: it gets no more of the processor, but it need not wait
//! for the others' slices when it wakes. Older kernels ignore the wish.
//!
//! Source: sched_setattr(2); the kernel's `Documentation/scheduler/sched-eevdf.rst`.

use std::io;

/// The loop's slice, ns: the shortest the kernel grants.
const SHORT_NS: u64 = 100_000;

/// Asks for short slices for this thread.
///
/// # Errors
/// The kernel does not know the call, or forbids it.
pub fn short_slices() -> io::Result<()> {
    set_slice(SHORT_NS)
}

/// Back to the slices of everybody: children inherit what the loop asked for.
///
/// # Errors
/// As [`short_slices`].
pub fn usual_slices() -> io::Result<()> {
    set_slice(0)
}

fn set_slice(ns: u64) -> io::Result<()> {
    // SAFETY: all zeros are a valid `sched_attr`.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: the kernel writes at most `size` bytes to `attr`.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) })?;
    // Somebody who gave the process a policy of its own knows better.
    if attr.sched_policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attr.size = size;
    attr.sched_runtime = ns;
    // SAFETY: `attr` is valid and says how big it is; only this thread is concerned.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
}

fn check(returned: libc::c_long) -> io::Result<()> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice_ns() -> u64 {
        // SAFETY: as in `set_slice`.
        unsafe {
            let mut attr: libc::sched_attr = std::mem::zeroed();
            let size = size_of::<libc::sched_attr>() as u32;
            let r = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0);
            assert_eq!(r, 0);
            attr.sched_runtime
        }
    }

    #[test]
    fn a_thread_asks_for_itself_alone() {
        let before = slice_ns();
        std::thread::spawn(|| {
            short_slices().expect("granted");
            // Kernels before 6.12 take the wish and tell nothing.
            assert!([0, SHORT_NS].contains(&slice_ns()));
            usual_slices().expect("granted");
            assert_ne!(slice_ns(), SHORT_NS);
        })
        .join()
        .expect("the thread ends well");
        assert_eq!(slice_ns(), before);
    }
}
