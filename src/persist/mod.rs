//! What survives a restart: the RDB format, snapshots of the keyspace, loading them, and the child that writes them.
//!
//! * `rdb`       the format by itself, bytes to values and back
//! * `values`    entries of the keyspace to and from it, one arm per type
//! * `snapshot`  a whole keyspace into a file;  `load`  a file into the keyspace
//! * `aof`       the append only file
//! * `storage`   the disk behind a trait, so that tests can make it fail
//! * `child`     the forked child's part of BGSAVE, and what it tells its parent
//! * `state`     what the server remembers about all that (`Persist`), for INFO, cron and the commands
//!
//! The server drives it (`server::loading`, `server::saving`): this room knows neither clients nor commands.
pub mod aof;
pub mod child;
pub mod load;
pub mod rdb;
pub mod snapshot;
pub mod state;
pub mod storage;
pub mod values;

#[cfg(test)]
mod tests;

pub use state::Persist;
