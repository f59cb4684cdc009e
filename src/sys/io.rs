//! Reading into the unused room of a vector without clearing it first.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Reads at most `room` bytes from `fd` to the end of `buf`, which must have that much spare capacity (less is read else).
pub fn read_spare(fd: RawFd, buf: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let spare = buf.spare_capacity_mut();
    let room = room.min(spare.len());
    // SAFETY: the kernel writes at most `room` bytes into the spare room, and set_len covers just what it wrote.
    unsafe {
        let n = libc::read(fd, spare.as_mut_ptr().cast(), room);
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        buf.set_len(buf.len() + n as usize);
        Ok(n as usize)
    }
}

/// Waits until there is something to read from `fd` (or its peer is gone), at most `timeout` (to the nanosecond); false when there was
/// nothing.
pub fn wait_readable(fd: RawFd, timeout: Duration) -> io::Result<bool> {
    let mut one = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: `one` is a valid array of one element for the length of the call, and so is `timeout`; no mask is given.
    match unsafe { libc::ppoll(&mut one, 1, &timeout, std::ptr::null()) } {
        n if n < 0 => {
            let e = io::Error::last_os_error();
            // A signal: the caller looks at its clock and asks again.
            match e.kind() {
                io::ErrorKind::Interrupted => Ok(false),
                _ => Err(e),
            }
        }
        n => Ok(n > 0),
    }
}
