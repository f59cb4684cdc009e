//! Commands, a file or folder per family: each command is one function, one static row beside it, and its tests.
pub mod client;
pub mod config;
pub mod connection;
#[cfg(test)]
mod facts;
pub mod info;
pub mod introspect;
pub mod introspection;
pub mod list;
pub mod slowlog;
pub mod string;
pub mod transactions;

use crate::exec::command::Command;

/// Every command of the server, family by family.
pub fn all() -> Vec<&'static Command> {
    [
        string::COMMANDS,
        list::COMMANDS,
        client::COMMANDS,
        config::COMMANDS,
        connection::COMMANDS,
        info::COMMANDS,
        introspection::COMMANDS,
        slowlog::COMMANDS,
        transactions::COMMANDS,
    ]
    .concat()
}
