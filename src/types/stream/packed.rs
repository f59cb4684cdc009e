//! Nodes as upstream's listpacks, which is what RDB files and DUMP payloads hold (checked against DUMP of 8.2.3).
//!
//! | part           | elements                                                                                |
//! |----------------|-----------------------------------------------------------------------------------------|
//! | master entry   | count of live entries, count of deleted ones, number of fields, the field names, 0      |
//! | entry          | flags, ms - key.ms, seq - key.seq, [number of fields], values or fields and values, n   |
//!
//! `flags` is [`DELETED`] | [`SAME_FIELDS`]: 1 and 2. With the latter the names are the master entry's, and only values follow;
//! without it the number of pairs and the pairs. `n` is the number of elements of the entry in front of it, for readers that
//! walk backwards; the master entry's final 0 tells them to stop. Differences wrap around 2^64.
//!
//! Foreign bytes come this way: what is no node gives none, and nothing panics.
use super::node::{DELETED, Node, RawEntry, SAME_FIELDS, elements};
use crate::ds::listpack::{EMPTY_BYTES, Encoder, Entry, Iter, Listpack};
use crate::ds::numtext::parse_i64;
use crate::ds::stream::StreamId;

impl Node {
    /// The node as a listpack.
    pub fn to_listpack(&self) -> Listpack {
        let counts = self.counts();
        let names = self.names();
        let mut number = 4 + names.number;
        for entry in self.entries() {
            number += 1 + elements(entry.fields.size_hint().0, entry.has_same_fields());
        }
        let mut pack = Listpack::new();
        pack.extend(counts.packed_bytes() - EMPTY_BYTES, number, |out| {
            out.int(counts.live.into());
            out.int(counts.deleted.into());
            out.int(names.number as i64);
            names.for_each(|name| out.entry(name));
            out.int(0);
            self.entries().for_each(|entry| self.put(entry, out));
        });
        pack
    }

    fn put(&self, entry: RawEntry<'_>, out: &mut Encoder<'_>) {
        let (same, pairs) = (entry.has_same_fields(), entry.fields.size_hint().0);
        out.int((entry.flags & (DELETED | SAME_FIELDS)).into());
        out.int(entry.id.ms.wrapping_sub(self.key.ms) as i64);
        out.int(entry.id.seq.wrapping_sub(self.key.seq) as i64);
        if !same {
            out.int(pairs as i64);
        }
        for (name, value) in entry.fields {
            if !same {
                out.entry(name);
            }
            out.entry(value);
        }
        out.int(elements(pairs, same) as i64);
    }

    /// The node of a listpack; None when it is none.
    pub fn of_listpack(key: StreamId, pack: &Listpack) -> Option<Node> {
        let mut it = pack.iter();
        let live = u64::try_from(int(it.next()?)?).ok()?;
        let deleted = u64::try_from(int(it.next()?)?).ok()?;
        let fields = usize::try_from(int(it.next()?)?).ok()?;
        let names = it.clone();
        skip(&mut it, fields)?;
        (int(it.next()?)? == 0).then_some(())?;
        let mut node = Node::with_names(key, names.clone().take(fields).map(canonical));
        let mut before = StreamId::new(key.ms, key.seq.wrapping_sub(1));
        for _ in 0..live.checked_add(deleted)? {
            let flags = int(it.next()?)?;
            let flags = u8::try_from(flags)
                .ok()
                .filter(|f| f & !(DELETED | SAME_FIELDS) == 0)?;
            let ms = key.ms.wrapping_add(int(it.next()?)? as u64);
            let seq = key.seq.wrapping_add(int(it.next()?)? as u64);
            let id = StreamId::new(ms, seq);
            let same = flags & SAME_FIELDS != 0;
            let pairs = match same {
                true => fields,
                false => usize::try_from(int(it.next()?)?).ok()?,
            };
            let own = it.clone();
            skip(&mut it, if same { pairs } else { pairs.checked_mul(2)? })?;
            let count = elements(pairs, same);
            (int(it.next()?)? == i64::try_from(count).ok()?).then_some(())?;
            let deleted = flags & DELETED;
            if same {
                let names = names.clone().take(fields);
                let pairs = names.zip(own).flat_map(|(name, value)| [name, value]);
                node.append_cells(before, id, deleted, pairs.map(canonical));
            } else {
                node.append_cells(before, id, deleted, own.take(2 * pairs).map(canonical));
            }
            before = id;
        }
        let counts = node.counts();
        let sound = (counts.live.into(), counts.deleted.into()) == (live, deleted);
        (sound && it.next().is_none()).then_some(node)
    }
}

/// Numbers may stand as text in foreign listpacks.
fn canonical(element: Entry<'_>) -> Entry<'_> {
    match element {
        Entry::Bytes(text) => super::cells::cell(text),
        number => number,
    }
}

fn int(element: Entry<'_>) -> Option<i64> {
    match element {
        Entry::Int(n) => Some(n),
        Entry::Bytes(text) => parse_i64(text),
    }
}

fn skip(it: &mut Iter<'_>, n: usize) -> Option<()> {
    for _ in 0..n {
        it.next()?;
    }
    Some(())
}
