//! What touches the operating system: allocator, clocks, processes, signals. The unsafe of these lives here and nowhere above.
#[allow(unsafe_code)]
pub mod affinity;
#[allow(unsafe_code)]
pub mod alloc;
#[allow(unsafe_code)]
pub mod clock;
#[allow(unsafe_code)]
pub mod crash;
#[allow(unsafe_code)]
pub mod entropy;
#[allow(unsafe_code)]
pub mod fork;
#[allow(unsafe_code)]
pub mod io;
#[allow(unsafe_code)]
pub mod process;
#[allow(unsafe_code)]
pub mod relocate;
#[allow(unsafe_code)]
pub mod scheduling;
#[allow(unsafe_code)]
pub mod signal;
#[allow(unsafe_code)]
pub mod syslog;
#[allow(unsafe_code)]
pub mod ticks;
