//! Configuration: the typed settings, one row per directive, the file grammar, CONFIG GET, SET and REWRITE.
pub mod fields;
pub mod values;

pub use fields::Config;
