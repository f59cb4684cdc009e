//! Replication: what a server knows of the history of writes that it makes (a master) or follows (a replica), and of those who
//! follow it. State and formats only; what happens with them is the server's (`server::master`, `server::replica`).
//!
//! Offsets count bytes of the stream since its beginning; "at offset n" means that byte n is the last one.
//!
//! The stream is RESP commands, as `exec::propagate` hands them on ([`Replication::feed`]); a replica appends its master's bytes
//! as they are ([`Replication::append`]). Both go into one [`History`] (`ds::history`), which is the backlog and at once what the
//! replicas still have to be sent: each of them only has a cursor in it.
//!
//! Of the replica's side: `handshake` and `transfer` are what is said on the wire, `feed` a snapshot as it comes, `link` how far
//! all that is.
pub mod feed;
pub mod handshake;
pub mod id;
pub mod link;
pub mod transfer;

pub use id::ReplId;
pub use link::MasterLink;

use crate::client::ClientRef;
use crate::ds::history::History;
use crate::ds::numtext::{I64_TEXT_MAX, write_i64};
use crate::resp::Args;

/// The history this server makes or follows. Times are Unix seconds.
#[derive(Debug)]
pub struct Replication {
    /// Its id (`master_replid`).
    pub id: ReplId,
    /// The id it had before, good for whoever is behind `second_offset` (`master_replid2`).
    pub id2: ReplId,
    /// First offset at which the two differ; -1 without a second one (`second_repl_offset`).
    pub second_offset: i64,
    /// Bytes of the stream so far (`master_repl_offset`).
    pub offset: i64,
    /// The end of the stream; None as long as nobody ever asked for it, and again when nobody has for `repl-backlog-ttl`.
    pub backlog: Option<History>,
    /// The database selected in the stream; None: the next command brings its own SELECT.
    pub db: Option<u32>,
    /// Clients that asked for the stream, in the order they came, whatever their stage.
    pub replicas: Vec<ClientRef>,
    /// Since when there is no replica.
    pub lonely_since_s: i64,
    /// The stream grew since replicas were last put on the list of writers.
    pub grew: bool,
    /// The link to our master; at rest on a master.
    pub link: MasterLink,
}

impl Replication {
    /// A new history, without anybody who follows it.
    pub fn new(now_s: i64) -> Replication {
        Replication {
            id: ReplId::random(),
            id2: ReplId::NONE,
            second_offset: -1,
            offset: 0,
            backlog: None,
            db: None,
            replicas: Vec::new(),
            lonely_since_s: now_s,
            grew: false,
            link: MasterLink::default(),
        }
    }

    // ---- the stream ----

    /// Appends bytes that are part of the stream already: a master's, on a replica.
    pub fn append(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as i64;
        if let Some(h) = &mut self.backlog {
            h.append(bytes);
            self.grew = true;
        }
    }

    /// Appends one command, which is meant for database `db` (None: it needs none), with a SELECT before it if it takes one.
    pub fn feed(&mut self, db: Option<u32>, args: Args<'_>) {
        if self.backlog.is_none() {
            // AOF positions are told in offsets, so the count goes on.
            self.offset += 1;
            return;
        }
        if let Some(n) = db.filter(|_| db != self.db) {
            let text = n.to_string();
            let select = format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{text}\r\n", text.len());
            self.append(select.as_bytes());
            self.db = db;
        }
        self.append_command(args);
    }

    fn append_command(&mut self, args: Args<'_>) {
        /// Most bytes a length line takes, its line end included, and that behind the argument.
        const FRAME: usize = 25;
        let Some(h) = &mut self.backlog else { return };
        let most = args.total_len() + (args.len() + 1) * FRAME;
        if let Some(tail) = h.tail(most) {
            let before = tail.len();
            encode(args, tail, |tail, bytes| tail.extend_from_slice(bytes));
            self.offset += (tail.len() - before) as i64;
        } else {
            let before = h.last();
            let mut frame = Vec::with_capacity(FRAME);
            encode(args, &mut frame, |frame, bytes| {
                h.append(frame);
                frame.clear();
                h.append(bytes);
            });
            h.append(&frame);
            self.offset += h.last() - before;
        }
        self.grew = true;
    }

    // ---- the backlog ----

    /// Makes a backlog, if there is none.
    pub fn make_backlog(&mut self, bytes: u64) {
        if self.backlog.is_none() {
            self.backlog = Some(History::new(self.offset, bytes));
            // Whoever reads the stream from here on has seen no SELECT.
            self.db = None;
        }
    }

    /// Makes a new backlog instead of the one there is: what it holds belongs to another history. No replica may be reading.
    pub fn renew_backlog(&mut self, bytes: u64) {
        self.backlog = None;
        self.make_backlog(bytes);
    }

    /// Whether somebody who has the history `id` up to `offset` can go on from there.
    pub fn can_continue(&self, id: ReplId, next: i64) -> bool {
        let known = id == self.id || id == self.id2 && next <= self.second_offset;
        known && self.backlog.as_ref().is_some_and(|h| h.holds(next))
    }

    /// Heap bytes of the stream that is kept (`mem_total_replication_buffers`).
    pub fn mem_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, History::mem_bytes)
    }

    // ---- ids ----

    /// A new id; the old one is good for nobody any more.
    pub fn new_id(&mut self) {
        self.id = ReplId::random();
        (self.id2, self.second_offset) = (ReplId::NONE, -1);
    }

    /// A new id for what comes from here on; the old one stays good up to here.
    pub fn shift_id(&mut self) {
        self.id2 = std::mem::replace(&mut self.id, ReplId::random());
        // The first byte that only the new one knows.
        self.second_offset = self.offset + 1;
    }
}

/// Writes `args` as a RESP array: framing is appended to `frame`, an argument's bytes are handed to `put`.
#[inline]
fn encode(args: Args<'_>, frame: &mut Vec<u8>, mut put: impl FnMut(&mut Vec<u8>, &[u8])) {
    let line = |frame: &mut Vec<u8>, mark: u8, n: usize| {
        let mut text = [0; I64_TEXT_MAX];
        frame.push(mark);
        frame.extend_from_slice(write_i64(n as i64, &mut text));
        frame.extend_from_slice(b"\r\n");
    };
    line(frame, b'*', args.len());
    for arg in args.iter() {
        line(frame, b'$', arg.len());
        put(frame, arg);
        frame.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn all(r: &mut Replication) -> Vec<u8> {
        let h = r.backlog.as_mut().unwrap();
        let c = h.cursor_at(1).unwrap();
        let (s, n) = h.slices(&c);
        let out = s[..n].iter().flat_map(|s| s.to_vec()).collect();
        h.release(c);
        out
    }

    #[test]
    fn commands_become_a_stream() {
        let mut r = Replication::new(0);
        r.feed(Some(0), OwnedArgs::from_iter(["lost"]).view());
        assert_eq!(r.offset, 1);
        r.offset = 0;
        r.make_backlog(1 << 20);
        r.feed(Some(0), OwnedArgs::from_iter(["SET", "a", "b"]).view());
        r.feed(Some(0), OwnedArgs::from_iter(["INCR", "n"]).view());
        r.feed(None, OwnedArgs::from_iter(["PING"]).view());
        r.feed(Some(12), OwnedArgs::from_iter(["DEL", "a"]).view());
        let want = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n\
            *1\r\n$4\r\nPING\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n";
        assert_eq!(String::from_utf8(all(&mut r)).unwrap(), want);
        assert_eq!(r.offset as usize, want.len());
        let big = vec![b'x'; 50_000];
        r.feed(
            Some(12),
            OwnedArgs::from_iter([&b"SET"[..], b"k", &big]).view(),
        );
        let tail = format!(
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000\r\n{}\r\n",
            "x".repeat(50_000)
        );
        assert_eq!(all(&mut r), [want.as_bytes(), tail.as_bytes()].concat());
        assert_eq!(r.offset as usize, want.len() + tail.len());
    }

    #[test]
    fn who_may_go_on() {
        let mut r = Replication::new(0);
        let old = r.id;
        assert!(!r.can_continue(old, 1));
        r.make_backlog(1 << 20);
        r.append(b"0123456789");
        assert!(r.can_continue(old, 1) && r.can_continue(old, 11));
        assert!(!r.can_continue(old, 12) && !r.can_continue(ReplId::random(), 5));
        r.shift_id();
        assert_eq!((r.id2, r.second_offset), (old, 11));
        r.append(b"abc");
        assert!(r.can_continue(old, 11) && !r.can_continue(old, 12));
        assert!(r.can_continue(r.id, 14));
        r.new_id();
        assert!(!r.can_continue(old, 11) && !r.can_continue(ReplId::NONE, 0));
    }
}
