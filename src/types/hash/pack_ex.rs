//! Packed triplets: field, value, time (Unix ms; 0 is none), sorted by time with the fields without one last.
//!
//! Of fields of equal time the one that got it last stands first. This is the blob that RDB and DUMP hold for such a hash.

use super::{Field, FieldTtl, Registered, skip, time};
use crate::ds::listpack::{Listpack, Pos};
use crate::ds::numtext::I64_TEXT_MAX;
use crate::sys::relocate::Mover;

/// See the head of this file.
#[derive(Clone, Default)]
pub struct PackEx {
    pack: Listpack,
    pub(super) registered: Registered,
}

impl PackEx {
    /// Triplets without times from pairs.
    pub fn from_pairs(pairs: &Listpack) -> Self {
        let n = pairs.len() / 2;
        let mut pack = Listpack::new();
        let bytes = pairs.total_bytes() - crate::ds::listpack::EMPTY_BYTES + 2 * n;
        pack.extend(bytes, 3 * n, |out| {
            let mut it = pairs.iter();
            while let (Some(f), Some(v)) = (it.next(), it.next()) {
                out.entry(f);
                out.entry(v);
                out.int(0);
            }
        });
        PackEx {
            pack,
            registered: Registered::default(),
        }
    }

    /// Triplets as they were saved; the caller has checked them.
    pub fn from_triplets(pack: Listpack) -> Self {
        PackEx {
            pack,
            registered: Registered::default(),
        }
    }

    /// The triplets, as they are saved.
    pub fn pack(&self) -> &Listpack {
        &self.pack
    }

    /// Lets `mover` move the triplets.
    pub(super) fn relocate(&mut self, mover: &mut dyn Mover) {
        self.pack.relocate(mover);
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.pack.len() / 3
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.pack.is_empty()
    }

    fn find(&self, field: &[u8]) -> Option<Pos> {
        self.pack.find(field, 2)
    }

    fn time_at(&self, field: Pos) -> Option<i64> {
        time(self.pack.get(skip(&self.pack, field, 2)?)?)
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<Field<'_>> {
        let pos = self.find(field)?;
        Some(Field {
            value: self.pack.get(self.pack.next(pos)?)?,
            expire_ms: self.time_at(pos),
        })
    }

    pub(super) fn set(&mut self, field: &[u8], value: &[u8], ttl: FieldTtl) -> bool {
        let at = match ttl {
            FieldTtl::At(at) => Some(at),
            FieldTtl::Clear | FieldTtl::Keep => None,
        };
        let Some(pos) = self.find(field) else {
            self.insert(field, value, at);
            return true;
        };
        if ttl == FieldTtl::Keep || self.time_at(pos) == at {
            if let Some(v) = self.pack.next(pos) {
                self.pack.replace(v, value);
            }
            return false;
        }
        self.pack.delete_n(pos, 3);
        self.insert(field, value, at);
        false
    }

    /// Puts a new triplet where its time belongs.
    fn insert(&mut self, field: &[u8], value: &[u8], at: Option<i64>) {
        let p = &mut self.pack;
        let time_text = |at: i64, buf: &mut itoa::Buffer| buf.format(at).as_bytes().to_vec();
        let Some(at) = at else {
            p.push_back(field);
            p.push_back(value);
            p.push_int(0);
            return;
        };
        let mut next = p.first();
        while let Some(pos) = next {
            let third = skip(p, pos, 2);
            let later = third
                .and_then(|t| p.get(t))
                .is_none_or(|t| time(t).is_none_or(|t| t >= at));
            if later {
                break;
            }
            next = third.and_then(|t| p.next(t));
        }
        let Some(pos) = next else {
            p.push_back(field);
            p.push_back(value);
            p.push_int(at);
            return;
        };
        let first = p.insert_before(pos, field);
        let second = p.insert_after(first, value);
        p.insert_after(second, &time_text(at, &mut itoa::Buffer::new()));
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        match self.find(field) {
            Some(pos) => {
                self.pack.delete_n(pos, 3);
                true
            }
            None => false,
        }
    }

    pub(super) fn set_expire(&mut self, field: &[u8], at: Option<i64>) -> bool {
        let Some(f) = self.get(field) else {
            return false;
        };
        if f.expire_ms != at || at.is_some() {
            let value = f.value.to_vec();
            self.remove(field);
            self.insert(field, &value, at);
        }
        true
    }

    pub(super) fn next_expiry(&self) -> Option<i64> {
        self.time_at(self.pack.first()?)
    }

    pub(super) fn remove_due(
        &mut self,
        now_ms: i64,
        limit: usize,
        f: &mut dyn FnMut(&[u8]),
    ) -> usize {
        let (mut n, mut next) = (0, self.pack.first());
        while let Some(pos) = next {
            if n == limit || self.time_at(pos).is_none_or(|at| at > now_ms) {
                break;
            }
            if let Some(name) = self.pack.get(pos) {
                f(name.to_bytes(&mut [0; I64_TEXT_MAX]));
            }
            n += 1;
            next = skip(&self.pack, pos, 3);
        }
        if let Some(first) = self.pack.first() {
            self.pack.delete_n(first, 3 * n);
        }
        n
    }
}
