//! Integration tests: each starts the built server and talks to it from outside. See `harness` for how.

mod acl;
mod aof;
mod blocking;
mod crash;
mod cross_load;
mod debugger;
mod flushing;
mod harness;
mod hostile;
mod info;
mod latency;
mod limits;
mod memory;
mod metrics;
mod migrate;
mod protocol;
mod pubsub;
mod redis_crate;
mod redis_crate_async;
mod replication_chain;
mod replication_load;
mod replication_master;
mod replication_replica;
mod scripts;
mod sentinel_watches;
mod tls;
