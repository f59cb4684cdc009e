//! A stream of bytes kept in blocks that many readers share: the replication stream, its backlog and what replicas still have to
//! be sent are one and the same memory.
//!
//! Bytes are numbered from 1 on since the stream began; "offset n" means byte n. Blocks are appended to at the back and dropped
//! at the front, when they are beyond the wanted length and no reader stands in them. A reader is a [`Cursor`]: the number of
//! the next byte it wants. A block counts the cursors that stand in it, so nothing here walks readers.
//!
//! Invariants: there is always at least one block; block i+1 begins where block i ends; a cursor stands in the block of its next
//! byte, or in an older one whose bytes it has all taken (it moves on when it takes more). Whoever makes a cursor gives it back
//! with [`History::release`]; a forgotten one keeps blocks from being dropped.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Smallest block, bytes.
const BLOCK: usize = 16 * 1024;
/// A block takes at most one part in so many of the wanted length.
const PARTS: u64 = 16;
/// Slices handed to one writev.
pub const MAX_SLICES: usize = 16;
/// Blocks dropped at most when one is added: what was kept for a slow reader goes little by little.
const DROP_AT_ONCE: usize = 64;

#[derive(Debug)]
struct Block {
    /// The number of its first byte.
    start: i64,
    bytes: Vec<u8>,
    /// Cursors that stand in it.
    readers: u32,
}

impl Block {
    fn new(start: i64, room: usize) -> Block {
        Block {
            start,
            bytes: Vec::with_capacity(room),
            readers: 0,
        }
    }

    /// One past its last byte.
    fn end(&self) -> i64 {
        self.start + self.bytes.len() as i64
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    fn mem_bytes(&self) -> usize {
        self.bytes.capacity() + size_of::<Block>()
    }
}

/// A reader's place. See the head of this file.
#[derive(Debug)]
pub struct Cursor {
    next: i64,
    block: u64,
}

impl Cursor {
    /// The number of the next byte it wants.
    pub fn next(&self) -> i64 {
        self.next
    }
}

/// The stream, as far as it is kept.
#[derive(Debug)]
pub struct History {
    blocks: VecDeque<Block>,
    /// The number of the front block among all there ever were.
    front: u64,
    /// Bytes to keep for readers that come later.
    wanted: u64,
    mem: usize,
}

impl History {
    /// A history that begins behind byte `offset` and keeps the last `wanted` bytes.
    pub fn new(offset: i64, wanted: u64) -> History {
        let first = Block::new(offset + 1, BLOCK);
        History {
            mem: first.mem_bytes(),
            blocks: VecDeque::from([first]),
            front: 0,
            wanted,
        }
    }

    /// The number of the oldest byte kept (or of the next one, while there is none).
    pub fn first(&self) -> i64 {
        self.blocks.front().map_or(1, |b| b.start)
    }

    /// The number of the newest byte.
    pub fn last(&self) -> i64 {
        self.blocks.back().map_or(0, |b| b.end() - 1)
    }

    /// Number of bytes kept.
    pub fn len(&self) -> usize {
        (self.last() + 1 - self.first()) as usize
    }

    /// True while no byte is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held.
    pub fn mem_bytes(&self) -> usize {
        self.mem + self.blocks.capacity() * size_of::<Block>()
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Appends bytes.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = self.with_room(bytes.len()).room().min(bytes.len());
            if let Some(b) = self.blocks.back_mut() {
                b.bytes.extend_from_slice(&bytes[..n]);
            }
            bytes = &bytes[n..];
        }
    }

    /// The bytes of the last block when at least `room` more fit into it: to write a small piece straight into its place. No
    /// more than that may be appended.
    #[inline]
    pub fn tail(&mut self, room: usize) -> Option<&mut Vec<u8>> {
        let b = self.blocks.back_mut()?;
        (b.room() >= room).then_some(&mut b.bytes)
    }

    /// The last block, with room for at least one byte; a new one is made for `coming` bytes.
    fn with_room(&mut self, coming: usize) -> &Block {
        let full = self.blocks.back().is_none_or(|b| b.room() == 0);
        if full {
            let limit = BLOCK.max((self.wanted / PARTS) as usize);
            let block = Block::new(self.last() + 1, coming.max(BLOCK).min(limit));
            self.mem += block.mem_bytes();
            self.blocks.push_back(block);
            self.drop_old(DROP_AT_ONCE);
        }
        &self.blocks[self.blocks.len() - 1]
    }

    /// Drops blocks at the front that nobody needs: the rest is still longer than wanted, and no reader stands in them.
    fn drop_old(&mut self, mut at_most: usize) {
        while self.blocks.len() > 1 && at_most > 0 {
            let Some(b) = self.blocks.front() else { return };
            let rest = self.len() - b.bytes.len();
            if b.readers > 0 || (rest as u64) < self.wanted {
                return;
            }
            self.mem -= b.mem_bytes();
            self.blocks.pop_front();
            self.front += 1;
            at_most -= 1;
        }
    }

    /// Goes on dropping what is beyond the wanted length; for cron, as a stream at rest drops nothing by itself.
    pub fn trim(&mut self) {
        self.drop_old(10 * DROP_AT_ONCE);
    }

    /// Changes how many bytes are kept.
    pub fn resize(&mut self, wanted: u64) {
        self.wanted = wanted;
        self.drop_old(usize::MAX);
    }

    /// Whether the stream from byte `next` on is kept.
    pub fn holds(&self, next: i64) -> bool {
        (self.first()..=self.last() + 1).contains(&next)
    }

    /// A cursor whose next byte is `next`; None when the stream is not kept from there on.
    pub fn cursor_at(&mut self, next: i64) -> Option<Cursor> {
        if !self.holds(next) {
            return None;
        }
        let after = self.blocks.partition_point(|b| b.start <= next);
        let i = after.saturating_sub(1);
        self.blocks[i].readers += 1;
        Some(Cursor {
            next,
            block: self.front + i as u64,
        })
    }

    /// A cursor at the end: it gets what is appended from now on.
    pub fn cursor_at_end(&mut self) -> Cursor {
        let i = self.blocks.len() - 1;
        self.blocks[i].readers += 1;
        Cursor {
            next: self.last() + 1,
            block: self.front + i as u64,
        }
    }

    /// Another cursor at the same place.
    pub fn copy_of(&mut self, cursor: &Cursor) -> Cursor {
        if let Some(b) = self.blocks.get_mut((cursor.block - self.front) as usize) {
            b.readers += 1;
        }
        Cursor { ..*cursor }
    }

    /// Gives a cursor back.
    pub fn release(&mut self, cursor: Cursor) {
        if let Some(b) = self.block_mut(cursor.block) {
            b.readers -= 1;
        }
    }

    fn block_mut(&mut self, number: u64) -> Option<&mut Block> {
        let i = number.checked_sub(self.front)?;
        self.blocks.get_mut(i as usize)
    }

    /// Bytes a cursor has not taken.
    #[inline]
    pub fn pending(&self, cursor: &Cursor) -> usize {
        (self.last() + 1 - cursor.next) as usize
    }

    /// Heap bytes of the blocks a cursor has not taken, as a slow reader holds them.
    pub fn held_bytes(&self, cursor: &Cursor) -> usize {
        let blocks = self.front + self.blocks.len() as u64 - cursor.block;
        self.pending(cursor) + blocks as usize * size_of::<Block>()
    }

    /// The bytes a cursor has not taken as I/O slices, at most a writev's worth.
    pub fn slices(&self, cursor: &Cursor) -> ([IoSlice<'_>; MAX_SLICES], usize) {
        let mut out = [IoSlice::new(&[]); MAX_SLICES];
        let mut n = 0;
        let from = cursor.block.saturating_sub(self.front) as usize;
        for b in self.blocks.iter().skip(from) {
            let skip = (cursor.next - b.start).max(0) as usize;
            if skip < b.bytes.len() && n < MAX_SLICES {
                out[n] = IoSlice::new(&b.bytes[skip..]);
                n += 1;
            } else if n == MAX_SLICES {
                break;
            }
        }
        (out, n)
    }

    /// A cursor took `n` bytes.
    pub fn advance(&mut self, cursor: &mut Cursor, n: usize) {
        cursor.next += n as i64;
        let old = cursor.block;
        let last = self.front + self.blocks.len() as u64 - 1;
        while cursor.block < last
            && self
                .block_mut(cursor.block)
                .is_none_or(|b| b.end() <= cursor.next)
        {
            cursor.block += 1;
        }
        if cursor.block != old {
            let new = cursor.block;
            if let Some(b) = self.block_mut(old) {
                b.readers -= 1;
            }
            if let Some(b) = self.block_mut(new) {
                b.readers += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    impl History {
        fn check_invariants(&self, cursors: &[(Cursor, usize)]) {
            let mut mem = 0;
            let mut at = self.first();
            for (i, b) in self.blocks.iter().enumerate() {
                assert_eq!(b.start, at);
                at = b.end();
                mem += b.mem_bytes();
                let number = self.front + i as u64;
                let readers = cursors.iter().filter(|c| c.0.block == number).count();
                assert_eq!(b.readers as usize, readers);
            }
            assert_eq!(mem, self.mem);
            assert!(!self.blocks.is_empty());
        }
    }

    /// Random appends, readers and resizes against one long vector.
    #[test]
    fn as_one_long_vector() {
        let mut rng = Rng::new(11);
        for round in 0..20 {
            let begin = 100 * round as i64;
            let mut h = History::new(begin, 20_000);
            let mut model: Vec<u8> = Vec::new();
            let mut wanted = 20_000;
            let mut cursors: Vec<(Cursor, usize)> = Vec::new();
            for step in 0..400 {
                match rng.below(8) {
                    0..=2 => {
                        let piece = vec![step as u8; rng.below(3000)];
                        h.append(&piece);
                        model.extend_from_slice(&piece);
                    }
                    3 => {
                        let piece = vec![step as u8; rng.below(60_000)];
                        if let Some(tail) = h.tail(piece.len()) {
                            tail.extend_from_slice(&piece);
                        } else {
                            h.append(&piece);
                        }
                        model.extend_from_slice(&piece);
                    }
                    4 => {
                        let at = rng.below(model.len() + 2);
                        let held = h.holds(begin + 1 + at as i64);
                        match h.cursor_at(begin + 1 + at as i64) {
                            Some(c) => cursors.push((c, at)),
                            None => assert!(!held),
                        }
                    }
                    5 if !cursors.is_empty() => {
                        let (c, _) = cursors.swap_remove(rng.below(cursors.len()));
                        h.release(c);
                    }
                    6 if !cursors.is_empty() => {
                        let i = rng.below(cursors.len());
                        let (copy, at) = (h.copy_of(&cursors[i].0), cursors[i].1);
                        cursors.push((copy, at));
                    }
                    _ if rng.below(20) == 0 => {
                        wanted = 16_384 + rng.below(100_000) as u64;
                        h.resize(wanted);
                    }
                    _ if !cursors.is_empty() => {
                        let i = rng.below(cursors.len());
                        let (c, at) = &mut cursors[i];
                        assert_eq!(h.pending(c), model.len() - *at);
                        let (s, n) = h.slices(c);
                        let flat: Vec<u8> = s[..n].iter().flat_map(|s| s.to_vec()).collect();
                        assert_eq!(flat, model[*at..*at + flat.len()]);
                        assert_eq!(flat.is_empty(), *at == model.len());
                        let take = rng.below(flat.len() + 1);
                        h.advance(c, take);
                        *at += take;
                    }
                    _ => {}
                }
                assert_eq!(h.last(), begin + model.len() as i64);
                // Never shorter than wanted, unless the stream is.
                assert!(h.len() as u64 >= wanted.min(h.len() as u64));
                h.check_invariants(&cursors);
            }
            cursors.drain(..).for_each(|c| h.release(c.0));
            h.resize(wanted);
            let longest = wanted as usize + BLOCK.max(wanted as usize / 16);
            assert!(h.len() <= longest.max(64 * 1024), "{} of {wanted}", h.len());
        }
    }

    #[test]
    fn a_reader_keeps_its_bytes() {
        let mut h = History::new(0, 16_384);
        let c = h.cursor_at_end();
        for _ in 0..100 {
            h.append(&[1; 10_000]);
        }
        assert_eq!((h.first(), h.len()), (1, 1_000_000));
        h.release(c);
        h.trim();
        assert!(h.len() < 40_000 && h.len() >= 16_384);
        assert!(h.cursor_at(1).is_none());
        assert!(h.cursor_at(1_000_002).is_none());
        assert!(h.cursor_at(1_000_001).is_some());
    }
}
