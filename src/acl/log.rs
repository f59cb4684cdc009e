//! ACL LOG: what was denied lately, newest first.
//!
//! Repetitions are counted rather than listed: an event like one of the first entries, not older than a minute, makes that
//! entry newer and moves it to the front.

use std::collections::VecDeque;

/// What was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// To log in.
    Auth,
}

impl Reason {
    /// Its name in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogContext {
    /// Straight from a client.
    Toplevel,
    /// Inside MULTI.
    Multi,
    /// From a script.
    Lua,
}

impl LogContext {
    /// Its name in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            LogContext::Toplevel => "toplevel",
            LogContext::Multi => "multi",
            LogContext::Lua => "lua",
        }
    }
}

/// What makes two denials alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was denied.
    pub reason: Reason,
    /// Where it came from.
    pub context: LogContext,
    /// The command, key, channel, or the command that tried to log in.
    pub object: Box<[u8]>,
    /// Whom.
    pub username: Box<[u8]>,
}

/// Denials of one kind.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What.
    pub event: Event,
    /// How often.
    pub count: u64,
    /// The client of the last one, as in CLIENT LIST.
    pub client_info: Vec<u8>,
    /// Number of the entry, growing.
    pub id: u64,
    /// When the first one happened, Unix ms.
    pub created_ms: i64,
    /// When the last one happened, Unix ms.
    pub updated_ms: i64,
}

/// How many entries are looked at for one like a new event, and how old it may be.
const ALIKE_AMONG: usize = 10;
const ALIKE_WITHIN_MS: i64 = 60_000;

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
    /// Denials since start or CONFIG RESETSTAT: commands, keys, channels, log-ins.
    pub denied: [u64; 4],
}

impl AclLog {
    /// Notes a denial; at most `max_len` entries are kept.
    pub fn add(&mut self, event: Event, client_info: Vec<u8>, now_ms: i64, max_len: usize) {
        self.denied[event.reason as usize] += 1;
        let alike = |e: &Entry| e.event == event && now_ms - e.updated_ms <= ALIKE_WITHIN_MS;
        let at = self.entries.iter().take(ALIKE_AMONG).position(alike);
        let entry = match at.and_then(|at| self.entries.remove(at)) {
            Some(known) => Entry {
                count: known.count + 1,
                client_info,
                updated_ms: now_ms,
                ..known
            },
            None => {
                let id = self.next_id;
                self.next_id += 1;
                Entry {
                    event,
                    count: 1,
                    client_info,
                    id,
                    created_ms: now_ms,
                    updated_ms: now_ms,
                }
            }
        };
        self.entries.push_front(entry);
        self.trim(max_len);
    }

    /// Drops entries beyond `max_len`.
    pub fn trim(&mut self, max_len: usize) {
        self.entries.truncate(max_len);
    }

    /// Forgets all entries; numbers go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many denials of this kind there were.
    pub fn denied_of(&self, reason: Reason) -> u64 {
        self.denied[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(object: &str) -> Event {
        Event {
            reason: Reason::Key,
            context: LogContext::Toplevel,
            object: object.as_bytes().into(),
            username: (*b"u").into(),
        }
    }

    fn shown(log: &AclLog) -> Vec<(String, u64, u64)> {
        log.entries()
            .map(|e| {
                (
                    String::from_utf8_lossy(&e.event.object).into_owned(),
                    e.count,
                    e.id,
                )
            })
            .collect()
    }

    #[test]
    fn like_events_are_counted_and_move_to_the_front() {
        let mut log = AclLog::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 2), ("b", 60_001), ("b", 120_002)] {
            log.add(event(object), Vec::new(), at, 128);
        }
        // The last one came more than a minute after the one before.
        let expected = [("b".into(), 1, 2), ("b".into(), 2, 1), ("a".into(), 2, 0)];
        assert_eq!(shown(&log), expected);
        assert_eq!(log.denied_of(Reason::Key), 5);
        for i in 0..ALIKE_AMONG {
            log.add(event(&format!("x{i}")), Vec::new(), 120_003, 128);
        }
        log.add(event("b"), Vec::new(), 120_004, 128);
        assert_eq!(
            shown(&log)[0],
            ("b".into(), 1, 13),
            "looked for among the first only"
        );
    }

    #[test]
    fn no_more_than_the_maximum() {
        let mut log = AclLog::default();
        for i in 0..9 {
            log.add(event(&i.to_string()), Vec::new(), 0, 3);
        }
        assert_eq!(shown(&log).len(), 3);
        log.add(event("x"), Vec::new(), 0, 0);
        assert!(shown(&log).is_empty());
    }
}
