//! When messages to many listeners are written.
//!
//! A message to a thousand listeners is a thousand writes, nearly all of what PUBLISH costs. So they come after the replies of a
//! turn: the publisher has its answer and sends the next message while they are written. And the loop does not do nothing else:
//! after writing to many it serves requests for as long as the writing took, at most for `wakeup-coalescing-us`, before it does so
//! again. What is published meanwhile leaves in the same write. The first message after a rest leaves at once.

use crate::client::{Client, ClientFlags, ClientRef};
use std::time::Duration;

/// A message to fewer listeners than this is written as a reply is.
pub const MANY: usize = 8;

/// The clients whose output holds messages that were sent to many.
#[derive(Debug, Default)]
pub struct FanOut {
    waiting: Vec<ClientRef>,
    /// When the last of them were written (monotonic), and how long that took.
    written_ns: u64,
    took_ns: u64,
}

impl FanOut {
    /// This client has a message to be written with those of the others.
    #[inline]
    pub fn add(&mut self, client: &mut Client) {
        let on_a_list = ClientFlags::PENDING_FANOUT | ClientFlags::PENDING_WRITE;
        if !client.has(on_a_list | ClientFlags::WRITE_BLOCKED | ClientFlags::FAKE) {
            client.flags.insert(ClientFlags::PENDING_FANOUT);
            self.waiting.push(client.handle);
        }
    }

    /// Nobody waits for messages.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How long after `now_ns` (monotonic) they have to be written; None when there are none.
    #[inline]
    pub fn due_in(&self, now_ns: u64, max_us: u32) -> Option<Duration> {
        let pause_ns = self.took_ns.min(u64::from(max_us) * 1000);
        let due_ns = self.written_ns + pause_ns;
        (!self.waiting.is_empty()).then(|| Duration::from_nanos(due_ns.saturating_sub(now_ns)))
    }

    /// Takes them all, to be written now.
    pub fn take(&mut self) -> Vec<ClientRef> {
        std::mem::take(&mut self.waiting)
    }

    /// They were written, from `began_ns` to `ended_ns` (monotonic). `room` is the list they were on, for the next ones.
    pub fn written(&mut self, mut room: Vec<ClientRef>, began_ns: u64, ended_ns: u64) {
        self.written_ns = ended_ns;
        self.took_ns = ended_ns - began_ns;
        if self.waiting.is_empty() {
            room.clear();
            self.waiting = room;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1000;

    fn listener(slot: u32) -> Client {
        let mut c = Client::fake(0);
        c.flags.remove(ClientFlags::FAKE);
        c.handle = ClientRef {
            slot,
            generation: 0,
        };
        c
    }

    #[test]
    fn the_first_message_is_due_at_once_and_the_next_after_as_long_as_writing_took() {
        let mut f = FanOut::default();
        let mut c = listener(1);
        assert_eq!(f.due_in(5000 * US, 100), None);
        f.add(&mut c);
        assert_eq!(f.due_in(5000 * US, 100), Some(Duration::ZERO));
        let list = f.take();
        c.flags.remove(ClientFlags::PENDING_FANOUT);
        f.written(list, 5000 * US, 5040 * US);
        f.add(&mut c);
        assert_eq!(f.due_in(5050 * US, 100), Some(Duration::from_micros(30)));
        assert_eq!(f.due_in(5080 * US, 100), Some(Duration::ZERO));
        assert_eq!(f.due_in(5050 * US, 0), Some(Duration::ZERO));
    }

    #[test]
    fn a_long_writing_is_followed_by_the_longest_pause_and_no_more() {
        let mut f = FanOut::default();
        f.written(Vec::new(), 0, 40_000 * US);
        f.add(&mut listener(1));
        assert_eq!(f.due_in(40_000 * US, 100), Some(Duration::from_micros(100)));
    }

    #[test]
    fn a_client_is_on_one_list_once() {
        let mut f = FanOut::default();
        let mut c = listener(1);
        f.add(&mut c);
        f.add(&mut c);
        let mut replied = listener(2);
        replied.flags.insert(ClientFlags::PENDING_WRITE);
        f.add(&mut replied);
        assert_eq!(f.take(), [c.handle]);
    }
}
