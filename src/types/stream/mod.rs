//! The stream value: an append-only log of entries ([`Log`]) and its consumer groups ([`Group`]).
//!
//! | file       | what is there                                                             |
//! |------------|---------------------------------------------------------------------------|
//! | `id.rs`    | ids as clients write them                                                 |
//! | `node.rs`  | one node: its layout, walking it                                          |
//! | `cells.rs` | texts and numbers in a node                                               |
//! | `packed.rs` | nodes as upstream's listpacks, for files                                  |
//! | `log.rs`   | the index of nodes, adding and deleting                                   |
//! | `range.rs` | reading in order                                                          |
//! | `trim.rs`  | MAXLEN and MINID                                                          |
//! | `group.rs` | groups, consumers, pending lists, read counters and lag                   |
//! | `pending.rs` | what XREADGROUP, XACK, XPENDING, XCLAIM and XAUTOCLAIM do to them        |
//! | `parts.rs` | taking a stream apart and together again for RDB, with checks             |
//!
//! Log and groups are separate fields so that a command can read the one while it changes the other:
//! `let (log, group) = stream.group_mut(name)?`. Only deletion with references ([`RefPolicy`]) needs both at once, and lives here.
mod cells;
mod group;
mod id;
mod log;
mod node;
mod packed;
mod parts;
mod pending;
mod range;
mod relocate;
#[cfg(test)]
mod tests;
mod trim;

pub use group::{Consumer, ConsumerId, Group, Nack};
pub use id::{AddId, IdError, parse_add, parse_bound, parse_end, parse_start, parse_strict};
pub use log::{AddError, Log};
pub use node::{Fields, Node, NodeLimits, RawEntry};
pub use parts::{BadStream, Builder};
pub use pending::{AutoClaim, Claim, ClaimOptions, PendingFilter, PendingItem};
pub use range::Range;
pub use trim::{TrimEffort, TrimTo, default_limit};

use crate::ds::stream::StreamId;
use crate::sys::alloc::class_bytes;
use std::fmt;

/// What deleting an entry does to references in pending lists (KEEPREF, DELREF, ACKED).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefPolicy {
    /// References stay.
    #[default]
    KeepRef,
    /// References go too.
    DelRef,
    /// Only entries that every group has read and acknowledged are deleted.
    Acked,
}

/// What XDELEX and XACKDEL report per id; the discriminant is the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// No such entry (XDELEX), or not pending in the group (XACKDEL).
    NotFound = -1,
    /// Deleted. XACKDEL says so, too, when it acknowledged an entry that was already gone.
    Deleted = 1,
    /// Kept (XACKDEL: but acknowledged), for some group still wants it.
    Referenced = 2,
}

/// Why XSETID was refused; displays as the error reply's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetIdError {
    /// Below the last entry.
    BelowTop,
    /// Below the highest id deleted so far.
    BelowDeleted,
    /// ENTRIESADDED below the number of entries.
    AddedBelowLength,
    /// Below the MAXDELETEDID given.
    BelowMaxDeleted,
}

impl fmt::Display for SetIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetIdError::BelowTop => {
                "ERR The ID specified in XSETID is smaller than the target stream top item"
            }
            SetIdError::BelowDeleted => {
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
            }
            SetIdError::AddedBelowLength => {
                "ERR The entries_added specified in XSETID is smaller than the target stream length"
            }
            SetIdError::BelowMaxDeleted => {
                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
            }
        })
    }
}
impl std::error::Error for SetIdError {}

/// A stream; see the file header.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// The entries. Adding and reading need nothing else.
    pub log: Log,
    /// The groups in order of their names.
    #[allow(clippy::vec_box)] // groups are big, and inserting one must not move them all
    groups: Vec<Box<Group>>,
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    fn find_group(&self, name: &[u8]) -> Result<usize, usize> {
        self.groups.binary_search_by(|g| g.name().cmp(name))
    }

    /// The groups in order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.iter().map(|g| &**g)
    }

    /// The group `name`.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        Some(&*self.groups[self.find_group(name).ok()?])
    }

    /// The log to read and the group `name` to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        let at = self.find_group(name).ok()?;
        Some((&self.log, &mut *self.groups[at]))
    }

    /// Creates a group that has read up to `last_id`; false when the name is taken.
    pub fn create_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> bool {
        match self.find_group(name) {
            Ok(_) => false,
            Err(at) => {
                let mut group = Group::new(name, last_id, None);
                group.set_id(&self.log, last_id, entries_read);
                self.groups.insert(at, Box::new(group));
                true
            }
        }
    }

    /// Removes a group; false when there is none of that name.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        let found = self.find_group(name);
        if let Ok(at) = found {
            self.groups.remove(at);
            self.groups.shrink_to(self.groups.len() * 2);
        }
        found.is_ok()
    }

    /// XDELEX for one id. With `KeepRef` this is XDEL.
    pub fn delete(&mut self, id: StreamId, policy: RefPolicy) -> DeleteOutcome {
        match policy {
            RefPolicy::KeepRef => {}
            // Also for an entry that is gone already.
            RefPolicy::DelRef => trim::forget_everywhere(&mut self.groups, id),
            RefPolicy::Acked if self.groups.iter().any(|g| g.wants(id)) => {
                return DeleteOutcome::Referenced;
            }
            RefPolicy::Acked => {}
        }
        match self.log.delete(id) {
            true => DeleteOutcome::Deleted,
            false => DeleteOutcome::NotFound,
        }
    }

    /// XACKDEL for one id: acknowledges it in `group`, then deletes it as `policy` says. An unknown group finds nothing.
    pub fn ack_delete(&mut self, group: &[u8], id: StreamId, policy: RefPolicy) -> DeleteOutcome {
        let acked = self.group_mut(group).is_some_and(|(_, g)| g.ack(id));
        if !acked {
            return DeleteOutcome::NotFound;
        }
        match policy {
            RefPolicy::KeepRef => {}
            RefPolicy::DelRef => trim::forget_everywhere(&mut self.groups, id),
            RefPolicy::Acked if self.groups.iter().any(|g| g.wants(id)) => {
                return DeleteOutcome::Referenced;
            }
            RefPolicy::Acked => {}
        }
        self.log.delete(id);
        DeleteOutcome::Deleted
    }

    /// XSETID.
    pub fn set_id(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) -> Result<(), SetIdError> {
        if max_deleted.is_some_and(|m| last_id < m) {
            return Err(SetIdError::BelowMaxDeleted);
        }
        if last_id < self.log.max_deleted_id() {
            return Err(SetIdError::BelowDeleted);
        }
        if !self.log.is_empty() {
            if self.log.last_entry_id().is_some_and(|top| last_id < top) {
                return Err(SetIdError::BelowTop);
            }
            if entries_added.is_some_and(|n| self.log.len() > n) {
                return Err(SetIdError::AddedBelowLength);
            }
        }
        self.log.set_id(last_id, entries_added, max_deleted);
        Ok(())
    }

    /// Bytes of the blocks it owns (MEMORY USAGE): itself, index and blobs (from the mean of `samples`), groups and pending
    /// lists.
    pub fn mem_bytes(&self, samples: usize) -> usize {
        let groups: usize = self
            .groups
            .iter()
            .map(|g| class_bytes(size_of::<Group>()) + g.heap_bytes())
            .sum();
        class_bytes(size_of::<Stream>())
            + self.log.mem_bytes(samples)
            + class_bytes(self.groups.capacity() * size_of::<usize>())
            + groups
    }

    /// Allocations that freeing it costs: a node is one, and so is about every run of a pending list.
    pub fn free_effort(&self) -> usize {
        let pending: usize = self.groups.iter().map(|g| g.pending_len()).sum();
        self.log.nodes().len() + self.groups.len() + pending / 64
    }

    /// Panics when an invariant does not hold. For tests.
    pub fn check_invariants(&self) {
        self.log.check_invariants();
        assert!(self.groups.is_sorted_by(|a, b| a.name() < b.name()));
        self.groups.iter().for_each(|g| g.check_invariants());
    }
}
