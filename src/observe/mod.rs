//! What the server notes about its own slowness: LATENCY's samples by event, their drawing, and what to say about them.
//!
//! The room owns figures and answers questions; who measures (commands, forks, expiry, eviction, files) tells it with
//! [`Latency::note`]. A new event is a row in [`Event`].
pub mod latency;
pub mod sparkline;
pub mod verdict;

pub use latency::{Event, Latency};
