//! Redstart, a drop-in `redis-server`. This file is the map: rooms stand in the order in which they may import each other,
//! ground floor first; `tests/tidy.rs` holds the order. ARCHITECTURE.md tells the whole story.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod acl;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod ds;
pub mod exec;
pub mod keyspace;
pub mod net;
pub mod observe;
pub mod persist;
pub mod pubsub;
pub mod repl;
pub mod resp;
pub mod script;
pub mod server;
pub mod sys;
pub mod tracking;
pub mod types;
