//! Integration tests: each starts the built server and talks to it from outside. See `harness` for how.

mod blocking;
mod harness;
mod protocol;
mod redis_crate;
