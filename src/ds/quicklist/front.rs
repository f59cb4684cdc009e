//! Pushing at the head without moving a full node for each element.
//!
//! A listpack grows at its end for nothing, but at its start everything behind moves: with nodes of 8 KB that was the largest part
//! of an LPUSH outside the kernel. So pushes at the head go to a short node of their own, the *front*, up to [`FRONT_BYTES`]; then its entries
//! are poured into the node behind, as many as fit, with one move for all of them. Nodes end up as full as without it.
//!
//! `has_front` says that the first node came about so: where a list is about to become one listpack again, it counts as part
//! of the node behind, as if it had never been apart. Lists whose inner nodes are compressed do without a front.

use super::{Data, Node, Quicklist};
use crate::ds::listpack::Listpack;

/// Size from which a front is poured into the node behind, bytes.
const FRONT_BYTES: usize = 1024;
/// Longer elements are put in front of the first node at once: there are few of them to a node.
const SHORT: usize = 256;

impl Quicklist {
    /// Adds an element at the head.
    pub(super) fn push_head(&mut self, value: &[u8]) {
        let short = value.len() <= SHORT && self.compress_depth == 0;
        if short && self.first_bytes() >= FRONT_BYTES && !self.fill.is_plain(value.len()) {
            if self.has_front {
                self.pour_front();
            }
            // What is left of the front found no room behind: that node is full.
            if self.first_bytes() >= FRONT_BYTES {
                self.add_node(0, Node::of(value, self.fill));
                self.has_front = true;
                return;
            }
        }
        if !self.push_into_first(value) {
            self.add_node(0, Node::of(value, self.fill));
        }
    }

    /// Whether all elements are in one node, or would be if the front were not apart.
    pub fn is_one_node(&self) -> bool {
        self.nodes.len() <= 1
            || self.nodes.len() == 2
                && self.has_front
                && !self.fill.exceeded(self.uncompressed_bytes(), self.len)
    }

    fn push_into_first(&mut self, value: &[u8]) -> bool {
        let fill = self.fill;
        let first = self.nodes.front_mut();
        let Some(node) = first.filter(|n| n.allows(value.len(), fill)) else {
            return false;
        };
        let Some(pack) = node.pack_mut() else {
            return false;
        };
        pack.push_front(value);
        node.count += 1;
        self.len += 1;
        true
    }

    fn first_bytes(&self) -> usize {
        match self.nodes.front().map(|n| &n.data) {
            Some(Data::Packed(pack)) => pack.as_bytes().len(),
            _ => 0,
        }
    }

    /// Moves the last entries of the front, as many as fit, into the node behind; an emptied front goes.
    pub(super) fn pour_front(&mut self) {
        let fill = self.fill;
        let Some((front, behind)) = self.first_two() else {
            return;
        };
        let (mut bytes, mut count) = (behind.as_bytes().len(), behind.len());
        let (mut from, mut moved) = (None, 0);
        let mut next = front.last();
        while let Some(pos) = next {
            bytes += front.entry_size(pos);
            count += 1;
            if fill.exceeded(bytes, count) {
                break;
            }
            (from, moved) = (Some(pos), moved + 1);
            next = front.prev(pos);
        }
        let Some(from) = from else {
            return;
        };
        let whole = moved == front.len();
        if whole {
            behind.prepend(front);
        } else {
            behind.prepend(&front.split_off(from));
        }
        self.nodes[1].count += moved as u32;
        self.nodes[0].count -= moved as u32;
        if whole {
            self.nodes.pop_front();
            self.has_front = false;
        }
    }

    /// The first two nodes, if both are listpacks.
    fn first_two(&mut self) -> Option<(&mut Listpack, &mut Listpack)> {
        let mut nodes = self.nodes.iter_mut();
        match (&mut nodes.next()?.data, &mut nodes.next()?.data) {
            (Data::Packed(first), Data::Packed(second)) => Some((first, second)),
            _ => None,
        }
    }
}
