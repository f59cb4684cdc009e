//! Starting servers and talking to them, for every test that needs the built binary.
//!
//! `Server` runs one process in its own temporary folder and ends it when dropped; `Conn` is a raw socket that shows every byte of a
//! reply. `REDSTART_IT_BIN` names another binary to run the tests against: run them against a real redis-server when an expectation is
//! in doubt, an expectation that fails there is wrong. `reference` finds real servers to compare with; a test that needs one and finds
//! none says so and ends, unless `REDSTART_REQUIRE_REFERENCE` is set (CI sets it), then it fails.
#![allow(dead_code)] // each test binary uses its own part of this

pub mod server;
pub mod wire;

pub use server::Server;
pub use wire::{Conn, Reply};
