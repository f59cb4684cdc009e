//! Configuration: the typed settings, one row per directive, the file grammar, CONFIG GET, SET and REWRITE.
//!
//! - [`Config`] (`fields.rs`) is what everybody reads: plain typed fields. `values.rs` has the types of the odd ones.
//! - [`Row`] (`directive.rs`) says how one directive is named, read, checked, shown and written; the rows stand by topic in
//!   `rows/`, written with the constructors of `build.rs`. A new directive is a field, a row and a paragraph in the top-level `redis.conf`.
//! - `parse.rs` is the grammar of a line, `argv.rs` turns command line options into lines, `load.rs` reads files with their
//!   includes, stdin and those options.
//! - `access.rs` is CONFIG GET and SET, `rewrite.rs` is CONFIG REWRITE.
//!
//! Nothing here has side effects on the server: a row names what must happen after a change ([`Apply`]) and the server does it.
pub mod access;
pub mod argv;
pub mod build;
pub mod directive;
pub mod error;
pub mod fields;
pub mod load;
pub mod memory;
pub mod names;
pub mod parse;
pub mod rewrite;
pub mod rows;
pub mod values;

pub use access::{Prepared, SetRights, apply_failed, get_matching, prepare_set};
pub use argv::CommandLine;
pub use directive::{Apply, Row, RowFlags};
pub use error::{ConfigError, Reason, SetError};
pub use fields::Config;
pub use load::{Loader, load};
pub use rewrite::{OwnedLines, rewrite, rewrite_file};
pub use values::*;

#[cfg(test)]
mod tests;
