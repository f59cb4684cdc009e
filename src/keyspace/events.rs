//! Keyspace events: what is recorded when a key changes and somebody may listen.

use crate::config::values::NotifyFlags;

/// One event to be published on `__keyspace@db__:key` and `__keyevent@db__:name`.
#[derive(Debug, Clone)]
pub struct Event {
    /// Database of the key.
    pub db: u32,
    /// Class of the event; which classes are published is the directive `notify-keyspace-events`.
    pub class: NotifyFlags,
    /// The event's name, such as `set` or `expired`.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}
