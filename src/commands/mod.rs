//! Commands, a file or folder per family: each command is one function, one static row beside it, and its tests.
pub mod introspect;
pub mod table;
