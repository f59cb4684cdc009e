//! Trimming (XTRIM, and XADD's options): entries go from the old end, by whole nodes where possible.
//!
//! `Approximate` removes whole nodes only, and no more than its limit; that is O(1) per node. `Exact` then marks entries in the
//! node it stops in. What happens to references in pending lists is the [`RefPolicy`]'s. As in 8.2.3 an approximate trim with a
//! policy other than `KeepRef` removes nothing: dropping a node unseen could not honour it.
use super::log::Log;
use super::node::Node;
use super::{Group, RefPolicy, Stream};
use crate::ds::stream::StreamId;

/// What a trim leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimTo {
    /// At most so many entries.
    MaxLen(u64),
    /// No entry below this id.
    MinId(StreamId),
}

/// How much work a trim does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimEffort {
    /// Until the target is met.
    Exact,
    /// Whole nodes only; at most `limit` entries (0: no limit).
    Approximate {
        /// Entries removed at most.
        limit: u64,
    },
}

/// The LIMIT of an approximate trim that names none: a hundred nodes' worth of entries, within 10,000 (no node limit) and
/// 1,000,000.
pub fn default_limit(node_max_entries: u64) -> u64 {
    match node_max_entries.saturating_mul(100) {
        0 => 10_000,
        n => n.min(1_000_000),
    }
}

impl Log {
    /// Whether all of `node` is beyond the target.
    fn goes_whole(&self, node: &Node, to: TrimTo) -> bool {
        match to {
            TrimTo::MaxLen(max) => {
                self.length > max && self.length.saturating_sub(node.live()) >= max
            }
            // The node's end is only looked for when its start says that it could go.
            TrimTo::MinId(min) => node.key < min && node.last().1 < min,
        }
    }

    /// Drops whole nodes from the front, each shown to `leaving` first; returns how many entries went.
    fn trim_nodes(&mut self, to: TrimTo, limit: u64, leaving: &mut dyn FnMut(&Node)) -> u64 {
        let mut removed = 0;
        while let Some(node) = self.nodes.front() {
            let count = node.live();
            if limit != 0 && count.saturating_add(removed) > limit {
                break;
            }
            if !self.goes_whole(node, to) {
                break;
            }
            leaving(node);
            self.nodes.pop_front();
            self.length = self.length.saturating_sub(count);
            removed = count.saturating_add(removed);
        }
        removed
    }

    /// Marks entries of node `index` from its front until the target is met; `may_go` is asked for each. Returns how many went
    /// and whether the node is gone.
    fn trim_inside(
        &mut self,
        index: usize,
        to: TrimTo,
        may_go: &mut dyn FnMut(StreamId) -> bool,
    ) -> (u64, bool) {
        let mut going = Vec::new();
        let mut length = self.length;
        let Some(node) = self.nodes.get(index) else {
            return (0, false);
        };
        for entry in node.entries() {
            if entry.is_deleted() {
                continue;
            }
            let met = match to {
                TrimTo::MaxLen(max) => length <= max,
                TrimTo::MinId(min) => entry.id >= min,
            };
            if met {
                break;
            }
            if may_go(entry.id) {
                going.push(entry.at);
                length = length.saturating_sub(1);
            }
        }
        let removed = self.length - length;
        self.length = length;
        let Some(node) = self.nodes.get(index).filter(|_| removed > 0) else {
            return (0, false);
        };
        let count = node.live();
        // A deleted entry behind MINID kept the node from going as a whole: like upstream, leave it without live entries.
        let behind = |min| self.nodes[index].last().1 >= min;
        if removed >= count && !matches!(to, TrimTo::MinId(min) if behind(min)) {
            self.nodes.remove(index);
            return (removed, true);
        }
        let node = &mut self.nodes[index];
        going.into_iter().for_each(|at| node.delete(at));
        (removed, false)
    }
}

impl Stream {
    /// Trims; returns how many entries went.
    pub fn trim(&mut self, to: TrimTo, effort: TrimEffort, policy: RefPolicy) -> u64 {
        let removed = match (effort, policy) {
            (TrimEffort::Approximate { limit }, RefPolicy::KeepRef) => {
                self.log.trim_nodes(to, limit, &mut |_| ())
            }
            (TrimEffort::Approximate { .. }, _) => 0,
            (TrimEffort::Exact, RefPolicy::KeepRef) => {
                let whole = self.log.trim_nodes(to, 0, &mut |_| ());
                whole + self.log.trim_inside(0, to, &mut |_| true).0
            }
            (TrimEffort::Exact, RefPolicy::DelRef) => self.trim_forgetting(to),
            (TrimEffort::Exact, RefPolicy::Acked) => self.trim_acked(to),
        };
        if removed > 0 {
            self.log.refresh_first_id();
        }
        removed
    }

    /// The same way, with the references to whatever goes.
    fn trim_forgetting(&mut self, to: TrimTo) -> u64 {
        let Stream { log, groups } = self;
        let whole = log.trim_nodes(to, 0, &mut |node| {
            let live = node.entries().filter(|e| !e.is_deleted());
            live.for_each(|e| forget_everywhere(groups, e.id));
        });
        let inside = log.trim_inside(0, to, &mut |id| {
            forget_everywhere(groups, id);
            true
        });
        whole + inside.0
    }

    /// Entry by entry, leaving those that a group still wants: through all nodes that are beyond the target as a whole, then
    /// in one more.
    fn trim_acked(&mut self, to: TrimTo) -> u64 {
        let Stream { log, groups } = self;
        let (mut removed, mut index) = (0, 0);
        let mut whole = true;
        while let Some(node) = log.nodes.get(index).filter(|_| whole) {
            whole = log.goes_whole(node, to);
            let mut may_go = |id| !groups.iter().any(|g| g.wants(id));
            let (gone, dropped) = log.trim_inside(index, to, &mut may_go);
            removed += gone;
            index += usize::from(!dropped);
        }
        removed
    }
}

/// Takes `id` out of all pending lists.
pub(super) fn forget_everywhere(groups: &mut [Box<Group>], id: StreamId) {
    for group in groups {
        group.ack(id);
    }
}
