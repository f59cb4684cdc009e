//! Sending messages: PUBLISH, SPUBLISH, keyspace events.
//!
//! A message is encoded once; the two protocols differ in its first byte alone (`*` or `>`), so the rest is appended as it is to
//! the output of every listener. A big payload is held by all of them by reference.

use super::Server;
use super::deliver::Door;
use super::fanout;
use crate::pubsub::Kind;
use crate::resp::out::SHARE_FROM;
use crate::resp::{OutBuf, Protocol, Reply};
use std::sync::Arc;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Bytes.
    Plain(&'a [u8]),
    /// Bytes that have a buffer of their own.
    Shared(&'a Arc<Vec<u8>>),
}

impl Payload<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Payload::Plain(b) => b,
            Payload::Shared(b) => b,
        }
    }

    /// The bytes in a buffer that outputs may hold by reference, when they are many.
    fn big(&self) -> Option<Arc<Vec<u8>>> {
        match self {
            Payload::Shared(b) if b.len() >= SHARE_FROM => Some((*b).clone()),
            Payload::Plain(b) if b.len() >= SHARE_FROM => Some(Arc::new(b.to_vec())),
            _ => None,
        }
    }
}

/// A message as it goes onto the wire, without its first byte.
struct Encoded {
    head: Vec<u8>,
    big: Option<Arc<Vec<u8>>>,
}

impl Encoded {
    /// `words` (the message's kind, the pattern if any, the channel) and the payload.
    fn new(words: &[&[u8]], payload: &[u8], big: &Option<Arc<Vec<u8>>>) -> Self {
        let mut out = OutBuf::new();
        let mut r = Reply::new(&mut out, Protocol::Resp2);
        r.array(words.len() + 1);
        words.iter().for_each(|w| r.bulk(w));
        let mut head = match big {
            None => {
                r.bulk(payload);
                out.take_all()
            }
            Some(b) => {
                let mut head = out.take_all();
                head.extend_from_slice(format!("${}\r\n", b.len()).as_bytes());
                head
            }
        };
        head.remove(0);
        Encoded {
            head,
            big: big.clone(),
        }
    }

    #[inline]
    fn write(&self, r: &mut Reply<'_>) {
        let kind: u8 = if r.resp3() { b'>' } else { b'*' };
        r.raw_pair(&[kind], &self.head);
        if let Some(b) = &self.big {
            r.shared(b.clone());
            r.raw(b"\r\n");
        }
    }
}

/// Sends a message to everybody who listens to `channel`, exactly or by a pattern. Returns how many were meant: a client that
/// listens in two ways counts, and receives, twice.
pub fn publish(server: &mut Server, channel: &[u8], payload: Payload<'_>) -> usize {
    let (mut door, room, _) = server.door_and_rooms();
    if room.nobody_listens() {
        return 0;
    }
    let mut receivers = 0;
    let mut big = None;
    let mut encode = |words: &[&[u8]]| {
        if big.is_none() {
            big = payload.big();
        }
        Encoded::new(words, payload.bytes(), &big)
    };
    let exact = room.listeners(Kind::Channel, channel);
    if !exact.is_empty() {
        receivers += send(&mut door, exact, &encode(&[b"message", channel]));
    }
    if room.len(Kind::Pattern) > 0 {
        for (pattern, listeners) in room.matching(channel) {
            receivers += send(
                &mut door,
                listeners,
                &encode(&[b"pmessage", pattern, channel]),
            );
        }
    }
    receivers
}

/// Sends a message to everybody who listens to a shard channel; returns how many.
pub fn publish_shard(server: &mut Server, channel: &[u8], payload: Payload<'_>) -> usize {
    let (mut door, room, _) = server.door_and_rooms();
    let listeners = room.listeners(Kind::Shard, channel);
    if listeners.is_empty() {
        return 0;
    }
    let message = Encoded::new(&[b"smessage", channel], payload.bytes(), &payload.big());
    send(&mut door, listeners, &message)
}

fn send(door: &mut Door<'_>, to: &[crate::client::ClientRef], message: &Encoded) -> usize {
    if to.len() < fanout::MANY {
        for h in to {
            door.deliver(*h, |r| message.write(r));
        }
    } else {
        for h in to {
            door.deliver_to_many(*h, |r| message.write(r));
        }
    }
    to.len()
}
