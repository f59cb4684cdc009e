//! Messages to the system log.

use std::ffi::CString;

/// Opens the connection: the name shown, and the facility's number (`LOG_LOCAL0` and kin).
pub fn open(ident: &[u8], facility: i32) {
    let Ok(ident) = CString::new(ident) else {
        return;
    };
    // SAFETY: syslog keeps the pointer, so the text is given away for good.
    unsafe {
        libc::openlog(
            ident.into_raw(),
            libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT,
            facility,
        )
    }
}

/// Writes one message at a priority (`LOG_WARNING` and kin).
pub fn write(priority: i32, message: &str) {
    let Ok(text) = CString::new(message.replace('\0', " ")) else {
        return;
    };
    // SAFETY: the format is constant and takes one string.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) }
}
