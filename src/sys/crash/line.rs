//! Text put together on the stack and written with one system call: what a signal handler may do.

/// A line, cut off when full.
pub(super) struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    pub(super) fn new() -> Self {
        Line {
            bytes: [0; 512],
            len: 0,
        }
    }

    /// A line that begins as those of a log do: process id, a role for the report, the time.
    pub(super) fn logged() -> Self {
        // SAFETY: getpid and time only read.
        let (pid, now) = unsafe { (libc::getpid(), libc::time(std::ptr::null_mut())) };
        let mut line = Self::new();
        line.number(pid as u64, 10)
            .text(b":crash (")
            .number(now as u64, 10)
            .text(b") ");
        line
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        for &b in text {
            if self.len < self.bytes.len() {
                self.bytes[self.len] = b;
                self.len += 1;
            }
        }
        self
    }

    pub(super) fn number(&mut self, mut n: u64, base: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut i = digits.len();
        loop {
            i -= 1;
            digits[i] = b"0123456789abcdef"[(n % base) as usize];
            n /= base;
            if n == 0 {
                return self.text(&digits[i..]);
            }
        }
    }

    /// Sixteen hexadecimal digits.
    pub(super) fn word(&mut self, n: u64) -> &mut Self {
        for shift in (0..64).step_by(4).rev() {
            self.text(&[b"0123456789abcdef"[(n >> shift) as usize & 15]]);
        }
        self
    }

    #[cfg(test)]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn write(&self, fd: i32) {
        // SAFETY: the bytes are ours; a short or failed write cannot be helped here.
        unsafe { libc::write(fd, self.bytes.as_ptr().cast(), self.len) };
    }
}
