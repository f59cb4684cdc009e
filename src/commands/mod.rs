//! Commands, a file or folder per family: each command is one function, one static row beside it, and its tests.
pub mod connection;
#[cfg(test)]
mod facts;
pub mod introspect;
pub mod list;
pub mod scan;
pub mod set;
pub mod string;
pub mod transactions;

use crate::exec::command::Command;

/// Every command of the server, family by family.
pub fn all() -> Vec<&'static Command> {
    [
        string::COMMANDS,
        list::COMMANDS,
        set::COMMANDS,
        connection::COMMANDS,
        transactions::COMMANDS,
    ]
    .concat()
}
