//! Pub/sub, keyspace events, caching and MONITOR from outside: through the `redis` crate and on raw sockets.

use crate::harness::Server;
