//! What survives a restart: the RDB snapshot format (`rdb`); the append-only file and the fork bookkeeping stand beside it.
pub mod aof;
pub mod rdb;
