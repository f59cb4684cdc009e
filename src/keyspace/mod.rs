//! The keyspace: databases of entries, looked up with expiry, changed with effects.
//!
//! Commands work on a [`DbView`]: one database plus the clock, configuration and effects it needs. Reading goes through
//! `read`, changing through `write`, and every change ends in one call of `modified`, which does what a change entails: dirty
//! count, WATCH, client-side caching, keyspace event, wake-up of blocked clients.
pub mod db;
pub mod defrag;
pub mod effects;
#[allow(unsafe_code)]
pub mod entry;
pub mod events;
pub mod evict;
pub mod expire;
pub mod fields;
pub mod flush;
pub mod lazyfree;
pub mod lru;
pub mod prefetch;
pub mod sizes;
#[allow(unsafe_code)]
pub mod value;
#[allow(unsafe_code)]
pub mod view;
pub mod waiting;

pub use db::{Db, Keyspace};
pub use effects::Effects;
pub use entry::{Entry, NewStr, StrRef, ValueMut, ValueRef};
pub use events::Event;
pub use value::{Encoding, Type, Value};
pub use view::{DbView, ExpiredKeys, Key};
