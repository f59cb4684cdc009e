//! A client in one line, as CLIENT LIST, CLIENT INFO and the log show it.

use super::{Client, ClientFlags as F};
use crate::resp::Protocol;
use crate::tracking::{Mode, Options};
use std::fmt::Write;

/// What a line needs beside the client.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Unix seconds.
    pub now_s: i64,
    /// Name of the last command, empty for none.
    pub command: &'a str,
    /// How it tracks, when it does.
    pub tracking: Option<&'a Options>,
    /// Bytes of the replication stream that wait for it.
    pub stream_held: usize,
}

/// Flags and their letters, in the order they are shown.
const LETTERS: &[(F, char)] = &[
    (F::MASTER, 'M'),
    (F::PUBSUB, 'P'),
    (F::MULTI, 'x'),
    (F::BLOCKED, 'b'),
    (F::TRACKING, 't'),
    (F::DIRTY_CAS, 'd'),
    (F::CLOSE_AFTER_REPLY, 'c'),
    (F::RESUMED, 'u'),
    (F::CLOSE_ASAP, 'A'),
    (F::UNIX, 'U'),
    (F::READONLY, 'r'),
    (F::NO_EVICT, 'e'),
    (F::NO_TOUCH, 'T'),
];

fn flags(client: &Client, tracking: Option<&Options>) -> String {
    let mut text = String::new();
    if client.has(F::MONITOR) {
        text.push('O');
    } else if client.has(F::REPLICA) {
        text.push('S');
    }
    for (flag, letter) in LETTERS.iter().filter(|(f, _)| client.has(*f)) {
        text.push(*letter);
        if *flag == F::TRACKING {
            let has = |m: Mode| tracking.is_some_and(|o| o.mode.contains(m));
            text.extend(has(Mode::BROKEN).then_some('R'));
            text.extend(has(Mode::BCAST).then_some('B'));
        }
    }
    if text.is_empty() {
        text.push('N');
    }
    text
}

/// The line, without a line end. Names are printable by the rules of CLIENT SETNAME.
pub fn describe(client: &Client, around: Surroundings<'_>) -> String {
    let c = client;
    let text = |b: Option<&[u8]>| String::from_utf8_lossy(b.unwrap_or_default()).into_owned();
    let [sub, psub, ssub] = c.subs.as_ref().map_or([0; 3], |s| {
        [s.channels.len(), s.patterns.len(), s.shard_channels.len()]
    });
    let multi = if c.has(F::MULTI) {
        c.multi.as_ref().map_or(0, |m| m.queue.len() as i64)
    } else {
        -1
    };
    let watch = c.multi.as_ref().map_or(0, |m| m.watched.len());
    // What came before a long argument is parsed already.
    let (qbuf, qbuf_free) = match c.parser.filled() {
        (0, 0) => (c.query.len(), c.query.capacity() - c.query.len()),
        filled => filled,
    };
    let (obl, rbs) = c.out.first_len();
    let events = if c.conn.is_none() {
        ""
    } else if c.has(F::WRITE_BLOCKED) {
        "rw"
    } else {
        "r"
    };
    let mut line = String::with_capacity(400);
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={sub} psub={psub} ssub={ssub} multi={multi} watch={watch}",
        c.id,
        c.addr(),
        c.conn.local(),
        c.conn.raw_fd(),
        text(c.name.as_deref()),
        around.now_s - c.created_s,
        around.now_s - c.last_interaction_s,
        flags(c, around.tracking),
        c.db,
    );
    let queued: usize = c.multi.as_ref().map_or(0, |m| m.mem_bytes());
    let _ = write!(
        line,
        " qbuf={} qbuf-free={} argv-mem={} multi-mem={queued} rbs={rbs} rbp={rbs} obl={obl} oll={} omem={} tot-mem={} events={events}",
        qbuf,
        qbuf_free,
        c.parser.argument_bytes(),
        c.out.pieces(),
        c.out.counted() + around.stream_held,
        c.mem_bytes() + around.stream_held,
    );
    let resp = match c.proto {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let command = if around.command.is_empty() {
        "NULL"
    } else {
        around.command
    };
    let _ = write!(
        line,
        " cmd={command} user={} redir={} resp={resp} lib-name={} lib-ver={} io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}",
        text(c.user.as_deref().or(Some(b"default"))),
        around.tracking.map_or(-1, |o| o.redirect as i64),
        text(c.lib[0].as_deref()),
        text(c.lib[1].as_deref()),
        c.net_in,
        c.net_out,
        c.commands,
    );
    line
}
