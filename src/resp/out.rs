//! A client's output buffer: what was replied and not yet written.
//!
//! Replies are appended to one growing tail. A tail past [`CHUNK`] bytes is closed and a new one begun, so that a huge reply
//! never doubles and copies megabytes; a big stored value is queued by reference instead of copied. Whoever writes takes the
//! pieces front to back as I/O slices and reports how many bytes went out.
//!
//! A client that may leave only so much unread ([`OutBuf::set_limit`]) has its buffer choked when it passes that in the middle of
//! a reply: what is there is dropped and nothing more is taken, so that no single command fills the memory. Such a client is
//! closed, it never sees the hole.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// A tail this long (bytes) is closed.
const CHUNK: usize = 64 * 1024;
/// Values this long (bytes) are referenced instead of copied.
pub const SHARE_FROM: usize = 16 * 1024;
/// This many bytes pending do not count against limits: upstream has a fixed buffer of this size for them.
const FIRST: usize = 16 * 1024;
/// Pieces handed to one writev.
const MAX_SLICES: usize = 64;

#[derive(Debug)]
enum Piece {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(v) => v,
            Piece::Shared(v) => v,
        }
    }
}

/// Bytes waiting to be written, in order.
#[derive(Debug, Default)]
pub struct OutBuf {
    closed: VecDeque<Piece>,
    tail: Vec<u8>,
    /// Bytes of the front piece that were written already.
    sent: usize,
    /// Bytes in `closed`.
    closed_bytes: usize,
    /// Bytes that may be pending before the buffer is choked; 0 for any number.
    limit: usize,
    /// Takes nothing any more.
    choked: bool,
}

impl OutBuf {
    /// An empty buffer; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes not yet written.
    #[inline(always)]
    pub fn pending(&self) -> usize {
        self.closed_bytes + self.tail.len() - self.sent
    }

    /// Bytes not yet written that count against the limits of the client (`omem` of CLIENT LIST).
    #[inline]
    pub fn counted(&self) -> usize {
        let pending = self.pending();
        if pending > FIRST { pending } else { 0 }
    }

    /// From now on at most about `bytes` may be pending; 0 for any number.
    #[inline(always)]
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// True after the limit was passed: what was replied is lost, and the client is to be closed.
    #[inline(always)]
    pub fn choked(&self) -> bool {
        self.choked
    }

    /// True when everything was written.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.tail.len() == self.sent && self.closed.is_empty()
    }

    /// Heap bytes held, those of shared values included (they count against the client's limits).
    pub fn mem_bytes(&self) -> usize {
        self.tail.capacity() + self.closed_bytes + self.closed.capacity() * size_of::<Piece>()
    }

    /// Pieces of what counts against limits, as upstream would have cut it (`oll` of CLIENT LIST).
    pub fn pieces(&self) -> usize {
        self.counted().div_ceil(FIRST)
    }

    /// Bytes pending that do not count against limits, and the room there is for such (`obl` and `rbs` of CLIENT LIST).
    pub fn first_len(&self) -> (usize, usize) {
        (
            self.pending() - self.counted(),
            self.tail.capacity().min(FIRST),
        )
    }

    /// The open tail, to append to.
    #[inline(always)]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.len() >= CHUNK {
            self.close_tail();
        }
        &mut self.tail
    }

    /// Appends bytes.
    #[inline(always)]
    pub fn push(&mut self, bytes: &[u8]) {
        self.tail().extend_from_slice(bytes);
    }

    /// Appends a big value by reference.
    pub fn push_shared(&mut self, value: Arc<Vec<u8>>) {
        self.close_tail();
        if !self.choked {
            self.closed_bytes += value.len();
            self.closed.push_back(Piece::Shared(value));
            self.enforce_limit();
        }
    }

    #[cold]
    fn close_tail(&mut self) {
        if self.choked {
            return self.tail.clear();
        }
        if self.tail.is_empty() {
            return;
        }
        self.closed_bytes += self.tail.len();
        self.closed
            .push_back(Piece::Own(std::mem::take(&mut self.tail)));
        self.enforce_limit();
    }

    fn enforce_limit(&mut self) {
        if self.limit > 0 && self.counted() >= self.limit {
            self.clear();
            self.tail = Vec::new();
            self.choked = true;
        }
    }

    /// A position that [`OutBuf::truncate_to`] and [`OutBuf::insert_at`] understand, valid until the next write.
    pub fn mark(&self) -> Mark {
        Mark {
            pieces: self.closed.len(),
            tail: self.tail.len(),
        }
    }

    /// What was appended since `mark`, as far as it lies in one piece: enough to look at how a reply begins.
    pub fn since(&self, mark: Mark) -> &[u8] {
        match self.closed.get(mark.pieces) {
            None => self.tail.get(mark.tail..),
            Some(Piece::Own(v)) => v.get(mark.tail..),
            Some(shared) => Some(shared.bytes()),
        }
        .unwrap_or_default()
    }

    /// Drops everything appended since `mark`.
    pub fn truncate_to(&mut self, mark: Mark) {
        while self.closed.len() > mark.pieces {
            let Some(p) = self.closed.pop_back() else {
                break;
            };
            self.closed_bytes -= p.bytes().len();
            self.tail.clear();
            if let (Piece::Own(v), true) = (p, self.closed.len() == mark.pieces) {
                self.tail = v;
            }
        }
        self.tail.truncate(mark.tail);
    }

    /// Inserts `bytes` at `mark`: the header of an aggregate whose length is known only now.
    pub fn insert_at(&mut self, mark: Mark, bytes: &[u8]) {
        if self.choked {
            return;
        }
        let at = mark.tail;
        match self.closed.get_mut(mark.pieces) {
            None => {
                self.tail.splice(at..at, bytes.iter().copied());
            }
            Some(Piece::Own(v)) => {
                v.splice(at..at, bytes.iter().copied());
                self.closed_bytes += bytes.len();
            }
            Some(Piece::Shared(_)) => {
                // The tail was empty at the mark and a shared value came first.
                self.closed.insert(mark.pieces, Piece::Own(bytes.to_vec()));
                self.closed_bytes += bytes.len();
            }
        }
    }

    /// Everything pending as one vector; the buffer is left empty. For replies that are read back (scripts) and tests.
    pub fn take_all(&mut self) -> Vec<u8> {
        if self.closed.is_empty() && self.sent == 0 {
            return std::mem::take(&mut self.tail);
        }
        let mut all = Vec::with_capacity(self.pending());
        for p in &self.closed {
            all.extend_from_slice(p.bytes());
        }
        all.extend_from_slice(&self.tail);
        all.drain(..self.sent);
        self.clear();
        all
    }

    /// Everything pending as one slice, which stays here. For replies that are read back (scripts).
    #[inline]
    pub fn contiguous(&mut self) -> &[u8] {
        if !self.closed.is_empty() || self.sent > 0 {
            self.tail = self.take_all();
        }
        &self.tail
    }

    /// Appends everything `other` holds, leaving it empty.
    pub fn append(&mut self, other: &mut OutBuf) {
        if other.closed.is_empty() {
            let sent = other.sent;
            self.push(&other.tail[sent..]);
            other.clear();
            return;
        }
        if other.sent > 0 {
            let all = other.take_all();
            return self.push(&all);
        }
        self.close_tail();
        self.closed_bytes += other.closed_bytes;
        self.closed.append(&mut other.closed);
        self.push(&other.tail);
        other.clear();
    }

    /// Forgets everything; keeps the tail's room.
    pub fn clear(&mut self) {
        self.closed.clear();
        self.tail.clear();
        self.sent = 0;
        self.closed_bytes = 0;
    }

    /// Gives the tail's room away (an idle client holds none) when there is nothing pending.
    pub fn take_room(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.tail.capacity() == 0 {
            return None;
        }
        self.sent = 0;
        self.closed = VecDeque::new();
        let mut v = std::mem::take(&mut self.tail);
        v.clear();
        Some(v)
    }

    /// Takes room for the tail from a pool, when it has none.
    #[inline(always)]
    pub fn needs_room(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Makes `room` the tail's buffer. Only when [`OutBuf::needs_room`].
    pub fn give_room(&mut self, room: Vec<u8>) {
        debug_assert!(self.tail.capacity() == 0 && room.is_empty());
        self.tail = room;
    }

    /// The pending bytes when they are one piece: the usual case, for a plain `write`.
    #[inline(always)]
    pub fn single(&self) -> Option<&[u8]> {
        self.closed.is_empty().then(|| &self.tail[self.sent..])
    }

    /// The pending bytes as I/O slices, front first, at most a writev's worth.
    pub fn slices(&self) -> ([IoSlice<'_>; MAX_SLICES], usize) {
        let mut out = [IoSlice::new(&[]); MAX_SLICES];
        let mut n = 0;
        let mut skip = self.sent;
        for p in self
            .closed
            .iter()
            .map(Piece::bytes)
            .chain(std::iter::once(&self.tail[..]))
        {
            if n == MAX_SLICES {
                break;
            }
            if p.len() > skip {
                out[n] = IoSlice::new(&p[skip..]);
                n += 1;
            }
            skip = skip.saturating_sub(p.len());
        }
        (out, n)
    }

    /// Notes that `n` pending bytes were written.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        self.sent += n;
        while let Some(front) = self.closed.front() {
            let len = front.bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            self.closed_bytes -= len;
            self.closed.pop_front();
        }
        if self.sent == self.tail.len() {
            self.tail.clear();
            self.sent = 0;
        }
    }
}

/// A position in an [`OutBuf`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pieces: usize,
    tail: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    #[test]
    fn pieces_come_out_in_order() {
        let mut rng = Rng::new(7);
        for _ in 0..200 {
            let (mut o, mut model, mut got) = (OutBuf::new(), Vec::new(), Vec::new());
            for step in 0..60u8 {
                match rng.below(4) {
                    0 => {
                        let v = vec![step; rng.below(3 * CHUNK)];
                        model.extend_from_slice(&v);
                        o.push(&v);
                    }
                    1 => {
                        let v = vec![step; 1 + rng.below(SHARE_FROM)];
                        model.extend_from_slice(&v);
                        o.push_shared(Arc::new(v));
                    }
                    2 => {
                        let m = o.mark();
                        o.push(&vec![b'a'; rng.below(2 * CHUNK)]);
                        o.push_shared(Arc::new(vec![b'b'; 10]));
                        o.push(b"c");
                        o.truncate_to(m);
                    }
                    _ => {
                        let (s, n) = o.slices();
                        let flat: Vec<u8> = s[..n].iter().flat_map(|x| x.iter().copied()).collect();
                        let k = rng.below(flat.len() + 1);
                        got.extend_from_slice(&flat[..k]);
                        o.advance(k);
                    }
                }
                assert_eq!(o.pending(), model.len() - got.len());
            }
            got.extend(o.take_all());
            assert!(got == model);
            assert!(o.is_empty());
        }
    }

    #[test]
    fn nothing_beyond_the_limit_is_held() {
        let mut o = OutBuf::new();
        o.set_limit(100_000);
        let mark = o.mark();
        for _ in 0..1000 {
            o.push(&[b'x'; 999]);
            o.push_shared(Arc::new(vec![b'y'; 30]));
        }
        assert!(o.choked() && o.mem_bytes() < 3 * CHUNK);
        o.insert_at(mark, b"*1000\r\n");
        o.truncate_to(mark);
        assert_eq!(o.pending(), 0);
        // Below the limit nothing is lost, and what was written does not count.
        let mut o = OutBuf::new();
        o.set_limit(100_000);
        for _ in 0..1000 {
            o.push(&[b'x'; 999]);
            o.advance(999);
        }
        o.push(&[b'x'; 99_000]);
        assert!(!o.choked());
        assert_eq!((o.pending(), o.counted()), (99_000, 99_000));
    }

    #[test]
    fn header_inserted_late() {
        for first_shared in [false, true] {
            let mut o = OutBuf::new();
            o.push(b"+OK\r\n");
            if first_shared {
                o.push_shared(Arc::new(b"zz".to_vec()));
            }
            let m = o.mark();
            o.push_shared(Arc::new(b"shared".to_vec()));
            o.push(b"tail");
            o.insert_at(m, b"*2\r\n");
            let want: &[u8] = if first_shared {
                b"+OK\r\nzz*2\r\nsharedtail"
            } else {
                b"+OK\r\n*2\r\nsharedtail"
            };
            assert_eq!(o.take_all(), want);
        }
    }
}
