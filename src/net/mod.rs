//! Sockets and readiness: the only user of mio.
//!
//! mio is edge-triggered: after an event the owner reads until a read comes back short (or would block), or keeps the
//! connection on a ready list of its own. Readiness is copied into a plain batch before anything is handled, so polling again
//! from within a handler (a busy script, loading) is an ordinary call.
pub mod conn;
pub mod link;
pub mod listen;
pub mod poll;
pub mod tls;

pub use conn::{Conn, PeerName};
pub use listen::Listener;
pub use poll::{Poller, Readiness, Token};
