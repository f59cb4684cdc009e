//! The append-only file: a base file and incremental files in a directory of their own, listed by a manifest.
//!
//! - `manifest`: which files there are, in which order they are replayed, and their names.
//! - `source`: reading a file back as commands.
//!
//! Nothing here executes commands: loading is an iterator of commands that the server runs.
pub mod manifest;
pub mod source;
