//! Values: one type each over switching representations. No commands and no replies here.
pub mod hash;
pub mod list;
pub mod set;
pub mod stream;
pub mod zset;
