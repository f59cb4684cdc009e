//! Reading into the unused room of a vector without clearing it first.

use std::io;
use std::os::fd::RawFd;

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
