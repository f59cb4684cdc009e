//! The sorted-set structure: a counted B+tree over member blocks owned elsewhere, and the pair of that tree and a member table.
//!
//! Why not a skiplist: a leaf holds 61 pointers in one 512-byte block, so a member costs 11 bytes of tree instead of some 31,
//! and a rank, a range or an update touches two or three cache lines per level instead of one per step.
//!
//! - `node`: the two kinds of node and moves of slots between them;
//! - `tree`: [`Tree`], insertion, deletion, rank, bounds, and `check_invariants`;
//! - `iter`: walking the leaf chain in both directions;
//! - `members`: [`Members`], the tree together with the table that finds a member by name; the safe face of this folder.
//!
//! Order: by score as IEEE comparison has it (so -0 equals 0), then by the bytes of the member, shorter first on a tie.
//! NaN must never get in; whoever computes scores refuses it.
mod iter;
mod members;
mod node;
mod tree;

#[cfg(test)]
mod tests;

pub use iter::{Backward, Forward};
pub use members::{Entries, Members};
pub use tree::{Position, Tree};

/// A handle to a member block: a pointer-sized value that names where score and member are.
pub trait Scored: Copy + Eq {
    /// The member's score.
    ///
    /// # Safety
    /// The block behind the handle must be alive.
    unsafe fn score(self) -> f64;

    /// The member's bytes.
    ///
    /// # Safety
    /// The block behind the handle must be alive, and stay alive and unchanged for `'a`.
    unsafe fn member<'a>(self) -> &'a [u8];

    /// Where the block begins; only used as a prefetch hint.
    fn address(self) -> *const u8;
}
