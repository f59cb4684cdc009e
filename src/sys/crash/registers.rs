//! What the processor held when a signal came.

use super::line::Line;

/// Writes the registers of an interrupted context, and what lies on top of its stack.
///
/// # Safety
/// `context` is what the kernel handed to a SA_SIGINFO handler.
pub(super) unsafe fn write(context: *const libc::c_void, fd: i32) {
    Line::new().text(b"\n------ REGISTERS ------\n").write(fd);
    // SAFETY: promised by the caller.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    for row in named(machine).chunks(4) {
        let mut line = Line::new();
        for (name, value) in row {
            line.text(name.as_bytes())
                .text(b":")
                .word(*value)
                .text(b" ");
        }
        line.text(b"\n").write(fd);
    }
}

/// The instruction that was interrupted.
///
/// # Safety
/// As [`write`].
pub(super) unsafe fn instruction(context: *const libc::c_void) -> u64 {
    // SAFETY: promised by the caller.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    program_counter(machine)
}

#[cfg(target_arch = "x86_64")]
fn named(m: &libc::mcontext_t) -> [(&'static str, u64); 20] {
    use libc::*;
    let r = |i: c_int| m.gregs[i as usize] as u64;
    [
        ("RAX", r(REG_RAX)),
        ("RBX", r(REG_RBX)),
        ("RCX", r(REG_RCX)),
        ("RDX", r(REG_RDX)),
        ("RDI", r(REG_RDI)),
        ("RSI", r(REG_RSI)),
        ("RBP", r(REG_RBP)),
        ("RSP", r(REG_RSP)),
        ("R8 ", r(REG_R8)),
        ("R9 ", r(REG_R9)),
        ("R10", r(REG_R10)),
        ("R11", r(REG_R11)),
        ("R12", r(REG_R12)),
        ("R13", r(REG_R13)),
        ("R14", r(REG_R14)),
        ("R15", r(REG_R15)),
        ("RIP", r(REG_RIP)),
        ("EFL", r(REG_EFL)),
        ("CSGSFS", r(REG_CSGSFS)),
        ("CR2", r(REG_CR2)),
    ]
}

#[cfg(target_arch = "x86_64")]
fn program_counter(m: &libc::mcontext_t) -> u64 {
    m.gregs[libc::REG_RIP as usize] as u64
}

#[cfg(target_arch = "aarch64")]
fn named(m: &libc::mcontext_t) -> [(&'static str, u64); 34] {
    std::array::from_fn(|i| match i {
        0..31 => ("X", m.regs[i]),
        31 => ("SP", m.sp),
        32 => ("PC", m.pc),
        _ => ("PSTATE", m.pstate),
    })
}

#[cfg(target_arch = "aarch64")]
fn program_counter(m: &libc::mcontext_t) -> u64 {
    m.pc
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn named(_: &libc::mcontext_t) -> [(&'static str, u64); 0] {
    []
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn program_counter(_: &libc::mcontext_t) -> u64 {
    0
}
