//! The small form of a sorted set: one listpack of member, score, member, score, in order of (score, member).
//!
//! Scores that are whole numbers are integer entries, others are their shortest text; upstream reads and writes the same, so the
//! blob goes into RDB files as it is. Consequently -0 becomes 0 here and stays -0 in the tree, as upstream.
use std::cmp::Ordering;

use crate::ds::dtoa::{self, F64_TEXT_MAX};
use crate::ds::listpack::{Entry, Iter, IterRev, Listpack, Pos};
use crate::ds::numtext::{I64_TEXT_MAX, parse_f64, parse_i64};

/// The score an entry holds. A text that is no number (only possible in a blob that was not checked deeply) reads as 0.
pub(super) fn read_score(entry: Entry<'_>) -> f64 {
    match entry {
        Entry::Int(v) => v as f64,
        Entry::Bytes(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// The text of a score as a listpack keeps it; -0 loses its sign.
fn score_text(score: f64, buf: &mut [u8; F64_TEXT_MAX]) -> &[u8] {
    dtoa::write_f64(score + 0.0, buf)
}

/// Number of members.
pub(super) fn len(pack: &Listpack) -> usize {
    pack.len() / 2
}

/// Where `member` is.
pub(super) fn find(pack: &Listpack, member: &[u8]) -> Option<Pos> {
    pack.find(member, 1)
}

/// The score behind the member at `pos`.
pub(super) fn score_at(pack: &Listpack, pos: Pos) -> f64 {
    pack.next(pos)
        .and_then(|p| pack.get(p))
        .map_or(0.0, read_score)
}

/// How the entry compares with `member`, as texts.
pub(super) fn compare(entry: Entry<'_>, member: &[u8]) -> Ordering {
    entry.to_bytes(&mut [0; I64_TEXT_MAX]).cmp(member)
}

/// Inserts a member that is known to be absent.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut buf = [0; F64_TEXT_MAX];
    let text = score_text(score, &mut buf);
    let behind = |entry: Entry<'_>, there: f64| {
        there > score || there == score && compare(entry, member).is_gt()
    };
    // Scores that are times come in order: then the last pair tells.
    let mut from_end = pack.iter_rev();
    let comes_last = match (from_end.next(), from_end.next()) {
        (Some(last_score), Some(last)) => !behind(last, read_score(last_score)),
        _ => true,
    };
    let at = if comes_last {
        None
    } else {
        first_pair(pack, behind)
    };
    if let Some(pos) = at {
        let new = pack.insert_before(pos, member);
        pack.insert_after(new, text);
    } else {
        pack.push_back(member);
        pack.push_back(text);
    }
}

/// Where the first pair begins of which `f` is true.
fn first_pair(pack: &Listpack, f: impl Fn(Entry<'_>, f64) -> bool) -> Option<Pos> {
    let mut it = pack.iter();
    loop {
        let pos = it.pos()?;
        let (member, score) = (it.next()?, it.next()?);
        if f(member, read_score(score)) {
            return Some(pos);
        }
    }
}

/// Appends a member that is known to come last.
pub(super) fn push(pack: &mut Listpack, member: &[u8], score: f64) {
    pack.push_back(member);
    pack.push_back(score_text(score, &mut [0; F64_TEXT_MAX]));
}

/// Gives the member at `pos` another score, moving it if its place changes.
pub(super) fn update(pack: &mut Listpack, pos: Pos, member: &[u8], score: f64) {
    pack.delete_n(pos, 2);
    insert(pack, member, score);
}

/// Members upwards from rank `rank`, at most `limit`.
pub(super) struct Up<'a> {
    it: Iter<'a>,
    left: usize,
}

/// Members downwards from below rank `rank`, at most `limit`.
pub(super) struct Down<'a> {
    it: IterRev<'a>,
    left: usize,
}

pub(super) fn up(pack: &Listpack, rank: usize, limit: usize) -> Up<'_> {
    let left = limit.min(len(pack).saturating_sub(rank));
    let start = if left > 0 {
        pack.seek(rank as isize * 2)
    } else {
        None
    };
    Up {
        left: if start.is_some() { left } else { 0 },
        it: start.map_or(pack.iter(), |p| pack.iter_from(p)),
    }
}

pub(super) fn down(pack: &Listpack, rank: usize, limit: usize) -> Down<'_> {
    let rank = rank.min(len(pack));
    let start = if rank > 0 {
        pack.seek(rank as isize * 2 - 1)
    } else {
        None
    };
    let left = if start.is_some() { limit.min(rank) } else { 0 };
    Down {
        left,
        it: start.map_or(pack.iter_rev(), |p| pack.iter_rev_from(p)),
    }
}

impl<'a> Iterator for Up<'a> {
    type Item = (Entry<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let member = self.it.next()?;
        Some((member, read_score(self.it.next()?)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl<'a> Iterator for Down<'a> {
    type Item = (Entry<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let score = read_score(self.it.next()?);
        Some((self.it.next()?, score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// Whether the blob is a sorted set: pairs, scores that are numbers; with `deep` also no member twice.
pub(super) fn validate(pack: &Listpack, deep: bool) -> Result<(), &'static str> {
    let n = pack.len();
    if n == 0 || !n.is_multiple_of(2) {
        return Err("sorted set listpack without pairs");
    }
    let mut seen = std::collections::HashSet::new();
    let mut it = pack.iter();
    let mut pairs = 0;
    while let (Some(member), Some(score)) = (it.next(), it.next()) {
        pairs += 1;
        if let Entry::Bytes(text) = score
            && parse_i64(text).is_none()
            && parse_f64(text).is_none()
        {
            return Err("sorted set listpack with a score that is not a number");
        }
        if deep && !seen.insert(member.to_vec()) {
            return Err("sorted set listpack with a duplicate member");
        }
    }
    if pairs * 2 == n {
        Ok(())
    } else {
        Err("sorted set listpack that ends early")
    }
}
