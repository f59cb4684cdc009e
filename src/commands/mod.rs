//! Commands, a file or folder per family: each command is one function, one static row beside it, and its tests.
pub mod acl;
pub mod bitmap;
pub mod client;
pub mod client_tracking;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod debug;
pub mod dump;
#[cfg(test)]
mod facts;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod info;
pub mod introspect;
pub mod introspection;
pub mod latency;
pub mod list;
pub mod lolwut;
pub mod memory;
pub mod metrics;
pub mod migrate;
pub mod module;
pub mod monitor;
pub mod persistence;
pub mod pubsub;
pub mod replica;
pub mod replication;
pub mod scan;
pub mod scripting;
pub mod set;
pub mod slowlog;
pub mod sort;
pub mod stream;
pub mod string;
pub mod transactions;
pub mod waitaof;
pub mod zset;

use crate::exec::command::Command;

/// Every command of the server, family by family.
pub fn all() -> Vec<&'static Command> {
    let families: &[&[&'static Command]] = &[
        generic::COMMANDS,
        string::COMMANDS,
        list::COMMANDS,
        set::COMMANDS,
        hash::COMMANDS,
        stream::COMMANDS,
        sort::COMMANDS,
        client::COMMANDS,
        cluster::COMMANDS,
        config::COMMANDS,
        connection::COMMANDS,
        debug::COMMANDS,
        info::COMMANDS,
        latency::COMMANDS,
        lolwut::COMMANDS,
        memory::COMMANDS,
        module::COMMANDS,
        monitor::COMMANDS,
        pubsub::COMMANDS,
        introspection::COMMANDS,
        slowlog::COMMANDS,
        transactions::COMMANDS,
        dump::COMMANDS,
        migrate::COMMANDS,
        persistence::COMMANDS,
        replica::COMMANDS,
        replication::COMMANDS,
        zset::COMMANDS,
        waitaof::COMMANDS,
        bitmap::COMMANDS,
        hyperloglog::COMMANDS,
        geo::COMMANDS,
        scripting::COMMANDS,
        acl::COMMANDS,
    ];
    families.concat()
}
