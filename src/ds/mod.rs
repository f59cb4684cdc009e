//! Data structures and text formats that know nothing of commands, replies or the server.
#[allow(unsafe_code)]
pub mod bits;
pub mod crc16;
pub mod crc64;
pub mod dense;
pub mod dtoa;
pub mod geohash;
pub mod glob;
pub mod hash;
pub mod history;
pub mod hll;
pub mod intset;
#[allow(unsafe_code)]
pub mod item;
pub mod lcs;
pub mod listpack;
pub mod longdouble;
pub mod lzf;
pub mod numtext;
pub mod quicklist;
pub mod rng;
#[allow(unsafe_code)]
pub mod sorted;
pub mod stream;
#[allow(unsafe_code)]
pub mod table;
#[allow(unsafe_code)]
pub mod thin;
