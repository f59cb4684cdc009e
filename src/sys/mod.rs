//! What touches the operating system: allocator, clocks, processes, signals. The unsafe of these lives here and nowhere above.
#[allow(unsafe_code)]
pub mod alloc;
#[allow(unsafe_code)]
pub mod clock;
