//! Reading entries in order, forwards or backwards, without an allocation per entry.
//!
//! ```text
//! let mut range = log.range(start, end);
//! while let Some(entry) = range.next() {
//!     let mut fields = entry.fields;
//!     for (name, value) in &mut fields { .. }
//!     range.resume(fields);      // optional: saves walking the fields a second time
//! }
//! ```
use super::log::Log;
use super::node::{Cursor, CursorRev, Fields, RawEntry};
use crate::ds::stream::StreamId;

/// Live entries between two ids, in one direction.
#[derive(Clone)]
pub struct Range<'a> {
    log: &'a Log,
    start: StreamId,
    end: StreamId,
    /// The node to enter next, none when the range is over.
    node: Option<usize>,
    walk: Walk<'a>,
}

#[derive(Clone)]
enum Walk<'a> {
    Forward(Option<Cursor<'a>>),
    Backward(Option<CursorRev<'a>>),
}

impl<'a> Range<'a> {
    pub(super) fn forward(log: &'a Log, start: StreamId, end: StreamId) -> Self {
        // Nothing can be below the first node's key.
        let node = (start <= end && !log.nodes.is_empty()).then(|| log.node_of(start).unwrap_or(0));
        Range {
            log,
            start,
            end,
            node,
            walk: Walk::Forward(None),
        }
    }

    pub(super) fn backward(log: &'a Log, start: StreamId, end: StreamId) -> Self {
        let node = if start <= end { log.node_of(end) } else { None };
        Range {
            log,
            start,
            end,
            node,
            walk: Walk::Backward(None),
        }
    }

    /// Takes back the fields of the entry returned last, so that a forward walk need not pass them again.
    #[inline]
    pub fn resume(&mut self, fields: Fields<'a>) {
        if let Walk::Forward(Some(cursor)) = &mut self.walk {
            cursor.resume(fields);
        }
    }

    #[inline]
    fn next_forward(&mut self) -> Option<RawEntry<'a>> {
        loop {
            let Walk::Forward(cursor) = &mut self.walk else {
                return None;
            };
            if let Some(entry) = cursor.as_mut().and_then(Iterator::next) {
                if entry.is_deleted() {
                    continue;
                }
                if entry.id > self.end {
                    self.node = None;
                    self.walk = Walk::Forward(None);
                    return None;
                }
                if entry.id >= self.start {
                    return Some(entry);
                }
                continue;
            }
            *cursor = None;
            let at = self.node?;
            let node = self.log.nodes.get(at).filter(|n| n.key <= self.end)?;
            *cursor = Some(node.entries_from(self.start));
            self.node = Some(at + 1);
        }
    }

    #[inline]
    fn next_backward(&mut self) -> Option<RawEntry<'a>> {
        loop {
            let Walk::Backward(cursor) = &mut self.walk else {
                return None;
            };
            if let Some(entry) = cursor.as_mut().and_then(Iterator::next) {
                if entry.is_deleted() {
                    continue;
                }
                if entry.id < self.start {
                    self.node = None;
                    self.walk = Walk::Backward(None);
                    return None;
                }
                if entry.id <= self.end {
                    return Some(entry);
                }
                continue;
            }
            *cursor = None;
            let at = self.node?;
            *cursor = Some(self.log.entries_rev(at)?);
            self.node = at.checked_sub(1);
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        match self.walk {
            Walk::Forward(_) => self.next_forward(),
            Walk::Backward(_) => self.next_backward(),
        }
    }
}
