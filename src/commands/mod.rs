//! Commands, a file or folder per family: each command is one function, one static row beside it, and its tests.
pub mod connection;
pub mod dump;
#[cfg(test)]
mod facts;
pub mod generic;
pub mod introspect;
pub mod list;
pub mod persistence;
pub mod scan;
pub mod sort;
pub mod stream;
pub mod string;
pub mod transactions;

use crate::exec::command::Command;

/// Every command of the server, family by family.
pub fn all() -> Vec<&'static Command> {
    let families: &[&[&'static Command]] = &[
        generic::COMMANDS,
        string::COMMANDS,
        list::COMMANDS,
        stream::COMMANDS,
        sort::COMMANDS,
        connection::COMMANDS,
        transactions::COMMANDS,
        dump::COMMANDS,
        persistence::COMMANDS,
    ];
    families.concat()
}
