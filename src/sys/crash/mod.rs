//! The last words of a process that gets SIGSEGV and kin: a report in the log, then the signal's own end (core dump).
//!
//! The handler may have interrupted anything, the allocator included, so it first formats into buffers on its own stack and calls
//! what is safe there: open, write, mmap, and glibc's backtrace, which was called once at start so that it has loaded what it
//! needs. Only then it asks the server about itself ([`Tell`]): that may crash again, or hang until a timer ends it.
//!
//! `line` is text on the stack, `registers` what the processor held, `symbols` names of functions, `watchdog` the timer of
//! `watchdog-period`.

mod line;
mod registers;
mod symbols;
pub mod watchdog;

use line::Line;
use std::ffi::CString;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use symbols::Symbols;

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

/// A stack for the handler: the ordinary one may be what overflowed. Mapped, so that it takes no memory until it is used.
fn alternate_stack() {
    const SIZE: usize = 1 << 20;
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::SeqCst) {
        return;
    }
    // SAFETY: an anonymous private mapping that is never unmapped becomes the stack.
    unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t {
                ss_sp: memory,
                ss_flags: 0,
                ss_size: SIZE,
            };
            libc::sigaltstack(&stack, std::ptr::null_mut());
        }
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

fn close_log(fd: i32) {
    if fd > 2 {
        // SAFETY: the descriptor came from `open_log`.
        unsafe { libc::close(fd) };
    }
}

/// What can be told about something in a report. Called in a signal handler, when the server is lost anyway: an
/// implementation may allocate and take locks; a timer ends the process should that hang.
pub trait Tell {
    /// Writes it.
    fn tell(&self, out: &mut dyn Write);
}

/// Something to be told about: a pointer without its type, and how to read it.
struct Subject {
    name: &'static str,
    what: *const (),
    tell: unsafe fn(*const (), &mut dyn Write),
}

/// # Safety
/// `what` points to a live `T`.
unsafe fn tell<T: Tell>(what: *const (), out: &mut dyn Write) {
    // SAFETY: promised by the caller.
    unsafe { (*what.cast::<T>()).tell(out) }
}

/// The server as a whole; null without one.
static SERVER: AtomicPtr<Subject> = AtomicPtr::new(std::ptr::null_mut());
/// What is running now; null between commands.
static RUNNING: AtomicPtr<Subject> = AtomicPtr::new(std::ptr::null_mut());

/// Reports tell about `server` from now on. It must stay where it is as long as the process may crash.
pub fn attach<T: Tell>(server: &T) {
    let subject = Box::new(Subject {
        name: "server",
        what: std::ptr::from_ref(server).cast(),
        tell: tell::<T>,
    });
    // Never freed: a handler may read it at any time.
    SERVER.store(Box::into_raw(subject), Ordering::SeqCst);
}

/// What runs, for as long as this lives. See [`Running::enter`].
pub struct Running(Subject);

/// Ends what [`Running::enter`] began.
pub struct Entered<'a> {
    outer: *mut Subject,
    running: PhantomData<&'a Running>,
}

impl Running {
    /// Describes what is about to run: its name, and where a report finds more. Nothing is read unless the process crashes.
    #[inline(always)]
    pub fn new<T: Tell>(name: &'static str, what: *const T) -> Self {
        Running(Subject {
            name,
            what: what.cast(),
            tell: tell::<T>,
        })
    }

    /// It runs until the result is dropped.
    #[inline(always)]
    pub fn enter(&self) -> Entered<'_> {
        let outer = RUNNING.load(Ordering::Relaxed);
        RUNNING.store(std::ptr::from_ref(&self.0).cast_mut(), Ordering::Relaxed);
        Entered {
            outer,
            running: PhantomData,
        }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        RUNNING.store(self.outer, Ordering::Relaxed);
    }
}

fn running_name() -> Option<&'static str> {
    // SAFETY: what RUNNING points to lives until RUNNING is set to something else.
    unsafe { RUNNING.load(Ordering::Relaxed).as_ref() }.map(|s| s.name)
}

/// A file descriptor to write to without a lock.
struct Fd(i32);

impl Write for Fd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the bytes are valid for their length.
        let n = unsafe { libc::write(self.0, bytes.as_ptr().cast(), bytes.len()) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

extern "C" fn on_crash(sig: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let fd = open_log();
    if IN_HANDLER.swap(true, Ordering::SeqCst) {
        Line::new()
            .text(b"Crashed running signal handler. Providing reduced version of recursive crash report\n")
            .write(fd);
    } else {
        report(fd, sig, info, context);
    }
    // SA_RESETHAND restored the default action: the same signal again ends the process as it should.
    // SAFETY: raise takes a number.
    unsafe { libc::raise(sig) };
}

fn report(fd: i32, sig: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    Line::new()
        .text(b"\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n")
        .write(fd);
    headline(fd, sig, info);
    // SAFETY: the kernel hands a valid context to a SA_SIGINFO handler.
    let at = unsafe { registers::instruction(context) };
    Line::logged()
        .text(b"Crashed running the instruction at: 0x")
        .number(at, 16)
        .text(b"\n")
        .write(fd);
    stack_trace(at, fd);
    // SAFETY: as above.
    unsafe { registers::write(context, fd) };
    state(fd);
    Line::new()
        .text(b"\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n")
        .text(b"       Please report the crash with all of the above to the Redstart project.\n\n")
        .write(fd);
}

fn headline(fd: i32, sig: i32, info: *mut libc::siginfo_t) {
    let mut line = Line::logged();
    line.text(b"Redstart ")
        .text(env!("CARGO_PKG_VERSION").as_bytes())
        .text(b" crashed by signal: ")
        .number(sig as u64, 10);
    // SAFETY: the kernel hands a valid siginfo to a SA_SIGINFO handler.
    let (code, address, sender) = unsafe { ((*info).si_code, (*info).si_addr(), (*info).si_pid()) };
    line.text(b", si_code: ")
        .text(if code < 0 { b"-" } else { b"" });
    line.number(u64::from(code.unsigned_abs()), 10)
        .text(b"\n")
        .write(fd);
    let mut line = Line::logged();
    if code == libc::SI_USER || code == libc::SI_TKILL || code == libc::SI_QUEUE {
        line.text(b"Killed by PID: ").number(sender as u64, 10);
    } else {
        line.text(b"Accessing address: 0x")
            .number(address as u64, 16);
    }
    line.text(b"\n").write(fd);
}

/// Who called whom, `at` first, then from the handler's caller outwards.
fn stack_trace(at: u64, fd: i32) {
    Line::new().text(b"\n------ STACK TRACE ------\n").write(fd);
    let symbols = Symbols::of_this_process();
    Line::new().text(b"EIP:\n").write(fd);
    frame(symbols.as_ref(), at as *mut libc::c_void, fd);
    Line::new().text(b"\nBacktrace:\n").write(fd);
    let mut frames = [std::ptr::null_mut(); 100];
    // SAFETY: the array is passed with its length.
    let n = unsafe { libc::backtrace(frames.as_mut_ptr(), frames.len() as i32) };
    for &f in frames.iter().take(n.max(0) as usize) {
        frame(symbols.as_ref(), f, fd);
    }
    Line::new()
        .text(b"\n------ STACK TRACE DONE ------\n")
        .write(fd);
}

fn frame(symbols: Option<&Symbols<'_>>, address: *mut libc::c_void, fd: i32) {
    // A return address may be the first byte of the next function.
    match symbols.and_then(|s| s.find((address as u64).wrapping_sub(1))) {
        Some((name, offset)) => {
            let mut line = Line::new();
            symbols::readable(name, &mut line);
            line.text(b"+0x")
                .number(offset + 1, 16)
                .text(b" [0x")
                .number(address as u64, 16)
                .text(b"]\n")
                .write(fd);
        }
        // Somewhere in a library.
        // SAFETY: one frame is passed; glibc documents this function for use in handlers.
        None => unsafe { libc::backtrace_symbols_fd(&address, 1, fd) },
    }
}

/// Seconds that telling about the server may take.
const PATIENCE_S: u32 = 10;

/// What the server says about itself. It may crash or hang in doing so: the report so far is written.
fn state(fd: i32) {
    // SAFETY: SIGALRM gets its default action, which ends the process.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(PATIENCE_S);
    }
    for subject in [&SERVER, &RUNNING] {
        // SAFETY: subjects live as long as the statics point to them, and so does what they point to. The main thread may be
        // changing it while another one crashes; then the report may be wrong, or be cut off by a second crash.
        unsafe {
            if let Some(s) = subject.load(Ordering::SeqCst).as_ref() {
                (s.tell)(s.what, &mut Fd(fd));
            }
        }
    }
    // SAFETY: takes the timer back.
    unsafe { libc::alarm(0) };
}

/// Writes to address 0 (DEBUG SEGFAULT).
pub fn segfault() -> ! {
    // SAFETY: none: this is meant to crash, and the handler above reports it.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
    std::process::abort()
}

/// Reports panics of ours in the log and crashes: the handler above tells the rest. Where panics unwind (tests, the development
/// build) the process ends all the same: nobody may use a server that broke its own rules.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        log::error!("=== ASSERTION FAILED ===");
        log::error!("==> {info}");
        std::process::abort()
    }));
}
