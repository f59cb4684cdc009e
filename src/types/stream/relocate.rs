//! Moving the blocks of a stream, a stretch at a time: nodes, then groups with their consumers and pending lists.

use super::Stream;
use crate::sys::relocate::{self, Mover};

/// Set in the cursors of the second half, which are `group:20 | part:20 | run:22`.
const IN_GROUPS: u64 = 1 << 62;
const PART_BITS: u32 = 20;
const RUN_BITS: u32 = 22;

/// A place among the groups: group, part of it (see `Group::relocate`), run of that part's pending list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    group: usize,
    part: usize,
    run: usize,
}

impl Place {
    fn of(cursor: u64) -> Self {
        let field = |from: u32, bits: u32| (cursor >> from & ((1 << bits) - 1)) as usize;
        Place {
            group: field(PART_BITS + RUN_BITS, 20),
            part: field(RUN_BITS, PART_BITS),
            run: field(0, RUN_BITS),
        }
    }

    /// The cursor; None where the numbers do not fit: a million groups or consumers, half a billion pending entries of one. What is
    /// beyond that stays where it is.
    fn cursor(self) -> Option<u64> {
        let fits =
            self.group >> 20 == 0 && self.part >> PART_BITS == 0 && self.run >> RUN_BITS == 0;
        let at = (self.group as u64) << (PART_BITS + RUN_BITS) | (self.part as u64) << RUN_BITS;
        fits.then_some(IN_GROUPS | at | self.run as u64)
    }
}

impl Stream {
    /// Lets `mover` move its blocks (not its own, which the owner of the box moves), about `count` of them from `from` on (0 starts);
    /// where to go on, 0 at the end.
    pub fn relocate(&mut self, mover: &mut dyn Mover, from: u64, count: usize) -> u64 {
        if from & IN_GROUPS == 0 {
            let next = self.log.relocate(mover, from as usize, count);
            if next != 0 {
                return next as u64;
            }
            relocate::vec(mover, &mut self.groups);
            return if self.groups.is_empty() { 0 } else { IN_GROUPS };
        }
        let mut at = Place::of(from);
        for _ in 0..count.max(1) {
            let Some(group) = self.groups.get_mut(at.group) else {
                return 0;
            };
            if (at.part, at.run) == (0, 0) {
                relocate::boxed(mover, group);
            }
            at = match group.relocate(mover, (at.part, at.run), count) {
                Some((part, run)) => Place { part, run, ..at },
                None => Place {
                    group: at.group + 1,
                    part: 0,
                    run: 0,
                },
            };
            if at.run != 0 {
                break;
            }
        }
        at.cursor().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_cursors() {
        let place = Place {
            group: 7,
            part: 1 << 19,
            run: (1 << 22) - 1,
        };
        assert_eq!(Place::of(place.cursor().unwrap()), place);
        assert_eq!(
            Place {
                group: 1 << 20,
                ..place
            }
            .cursor(),
            None
        );
    }
}
