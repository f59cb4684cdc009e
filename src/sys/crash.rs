//! The last words of a process that gets SIGSEGV and kin: a report in the log, then the signal's own end (core dump).
//!
//! The handler may have interrupted anything, the allocator included, so it only formats into buffers on its own stack and
//! calls what is safe there: open, write, and glibc's backtrace, which was called once at start so that it has loaded what it needs.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Path of the log file; null is standard output.
static LOG_PATH: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());
static IN_HANDLER: AtomicBool = AtomicBool::new(false);

const SIGNALS: [i32; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
];

/// Tells the handler where the log goes (empty: standard output).
pub fn set_log_path(path: &Path) {
    let raw = match CString::new(path.as_os_str().as_bytes()) {
        Ok(text) if !path.as_os_str().is_empty() => text.into_raw(),
        _ => std::ptr::null_mut(),
    };
    // The old text is left alone: a handler could be reading it.
    LOG_PATH.store(raw, Ordering::SeqCst);
}

/// Installs the handlers, or takes them away (`crash-log-enabled`).
pub fn install(on: bool) {
    // SAFETY: the structures are fully initialised; the first backtrace here makes later ones allocate nothing.
    unsafe {
        if on {
            let mut frames = [std::ptr::null_mut(); 4];
            libc::backtrace(frames.as_mut_ptr(), 4);
            alternate_stack();
        }
        for sig in SIGNALS {
            let mut sa: libc::sigaction = std::mem::zeroed();
            libc::sigemptyset(&mut sa.sa_mask);
            sa.sa_sigaction = libc::SIG_DFL;
            if on {
                sa.sa_flags =
                    libc::SA_NODEFER | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_SIGINFO;
                sa.sa_sigaction = on_crash as *const () as usize;
            }
            libc::sigaction(sig, &sa, std::ptr::null_mut());
        }
    }
}

/// A stack for the handler: the ordinary one may be what overflowed.
unsafe fn alternate_stack() {
    const SIZE: usize = 256 * 1024;
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::SeqCst) {
        return;
    }
    let memory = vec![0u8; SIZE].leak();
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: SIZE,
    };
    // SAFETY: the memory is ours for good.
    unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
}

/// Text on the stack, cut off when full.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Line {
            bytes: [0; 256],
            len: 0,
        }
    }
    fn text(&mut self, text: &[u8]) -> &mut Self {
        for &b in text {
            if self.len < self.bytes.len() {
                self.bytes[self.len] = b;
                self.len += 1;
            }
        }
        self
    }
    fn number(&mut self, mut n: u64, base: u64) -> &mut Self {
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
    fn write(&self, fd: i32) {
        // SAFETY: the bytes are ours; a short or failed write cannot be helped here.
        unsafe { libc::write(fd, self.bytes.as_ptr().cast(), self.len) };
    }
}

fn open_log() -> i32 {
    let path = LOG_PATH.load(Ordering::SeqCst);
    if path.is_null() {
        return 1;
    }
    // SAFETY: the path is a NUL-terminated text that is never freed.
    let fd = unsafe { libc::open(path, libc::O_APPEND | libc::O_CREAT | libc::O_WRONLY, 0o644) };
    if fd < 0 { 1 } else { fd }
}

fn prefix(line: &mut Line) -> &mut Line {
    // SAFETY: getpid and time only read.
    let (pid, now) = unsafe { (libc::getpid(), libc::time(std::ptr::null_mut())) };
    line.number(pid as u64, 10)
        .text(b":crash (")
        .number(now as u64, 10)
        .text(b") ")
}

extern "C" fn on_crash(sig: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let fd = open_log();
    if IN_HANDLER.swap(true, Ordering::SeqCst) {
        Line::new()
            .text(b"Crashed running signal handler. Providing reduced version of recursive crash report\n")
            .write(fd);
    } else {
        report(fd, sig, info);
    }
    // SA_RESETHAND restored the default action: the same signal again ends the process as it should.
    // SAFETY: raise takes a number.
    unsafe { libc::raise(sig) };
}

fn report(fd: i32, sig: i32, info: *mut libc::siginfo_t) {
    Line::new()
        .text(b"\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n")
        .write(fd);
    let mut line = Line::new();
    prefix(&mut line)
        .text(b"Redstart ")
        .text(env!("CARGO_PKG_VERSION").as_bytes())
        .text(b" crashed by signal: ")
        .number(sig as u64, 10);
    // SAFETY: the kernel hands a valid siginfo to a SA_SIGINFO handler.
    let (code, address, sender) = unsafe { ((*info).si_code, (*info).si_addr(), (*info).si_pid()) };
    line.text(b", si_code: ")
        .text(if code < 0 { b"-" } else { b"" });
    line.number(u64::from(code.unsigned_abs()), 10).text(b"\n");
    line.write(fd);
    let mut line = Line::new();
    prefix(&mut line);
    if code == libc::SI_USER || code == libc::SI_TKILL || code == libc::SI_QUEUE {
        line.text(b"Killed by PID: ").number(sender as u64, 10);
    } else {
        line.text(b"Accessing address: 0x")
            .number(address as u64, 16);
    }
    line.text(b"\n").write(fd);
    stack_trace(fd);
    Line::new()
        .text(b"\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n")
        .write(fd);
}

fn stack_trace(fd: i32) {
    Line::new()
        .text(b"\n------ STACK TRACE ------\nBacktrace:\n")
        .write(fd);
    let mut frames = [std::ptr::null_mut(); 100];
    // SAFETY: both take the array with its length; glibc documents the fd form for use in handlers.
    unsafe {
        let n = libc::backtrace(frames.as_mut_ptr(), frames.len() as i32);
        libc::backtrace_symbols_fd(frames.as_ptr(), n, fd);
    }
    Line::new()
        .text(b"\n------ STACK TRACE DONE ------\n")
        .write(fd);
}

/// Writes to address 0 (DEBUG SEGFAULT).
pub fn segfault() -> ! {
    // SAFETY: none: this is meant to crash, and the handler above reports it.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
    std::process::abort()
}

/// Reports panics of ours in the log, before the abort that follows them.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        log::error!("=== ASSERTION FAILED ===");
        log::error!("==> {info}");
    }));
}
