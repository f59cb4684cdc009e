//! Values onto the encoder: which type byte, and the bodies.
//!
//! The keyspace puts its own types with the `put_*` pieces below (nothing is copied into an intermediate form):
//! `rdb_type` rules decide the byte, `Encoder::entry` puts it with the key, the body follows. `put_value` does the same for
//! an `RdbValue`.
//!
//! Order, so that bytes equal upstream's: sorted sets that are not packed go from the highest to the lowest; a list is its
//! nodes as they are; groups, consumers and pending entries ascend.
use super::format::{NODE_PACKED, NODE_PLAIN, RdbType};
use super::stream::{Id, StreamGroup, StreamValue};
use super::value::{ListNode, RdbValue, entry_u64};
use super::writer::Encoder;
use crate::ds::listpack::Listpack;
use crate::ds::numtext::I64_TEXT_MAX;
use std::io::{self, Write};

/// A list's node as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub enum NodeRef<'a> {
    /// One big element.
    Plain(&'a [u8]),
    /// A listpack's bytes.
    Packed(&'a [u8]),
    /// The same, LZF-compressed already, and the length it has when it is not.
    PackedLzf(&'a [u8], u64),
    /// A big element, LZF-compressed already, likewise.
    PlainLzf(&'a [u8], u64),
}

/// The type byte of a small set: listpacks of members exist from version 11 on, so the widest form is the plain one.
pub fn set_packed_type(widest: bool) -> RdbType {
    if widest {
        RdbType::Set
    } else {
        RdbType::SetListpack
    }
}

/// The type byte of a stream. `activity_differs`: some consumer's active time is not its seen time, which versions before
/// 11 cannot say.
pub fn stream_type(widest: bool, activity_differs: bool) -> RdbType {
    if widest && !activity_differs {
        RdbType::Stream2
    } else {
        RdbType::Stream3
    }
}

/// The type byte a value is written with.
pub fn rdb_type(value: &RdbValue, widest: bool) -> RdbType {
    match value {
        RdbValue::Str(_) => RdbType::String,
        RdbValue::List(_) => RdbType::Quicklist2,
        RdbValue::SetInts(_) => RdbType::SetIntset,
        RdbValue::SetPacked(_) => set_packed_type(widest),
        RdbValue::Set(_) => RdbType::Set,
        RdbValue::HashPacked(_) => RdbType::HashListpack,
        RdbValue::HashPackedTtl(_) => RdbType::HashListpackTtl,
        RdbValue::Hash(fields) if fields.iter().any(|f| f.2.is_some()) => RdbType::HashTtl,
        RdbValue::Hash(_) => RdbType::Hash,
        RdbValue::ZsetPacked(_) => RdbType::ZsetListpack,
        RdbValue::Zset(_) => RdbType::Zset2,
        RdbValue::Stream(stream) => {
            let mut consumers = stream.groups.iter().flat_map(|g| &g.consumers);
            stream_type(widest, consumers.any(|c| c.active_ms != c.seen_ms))
        }
    }
}

impl<W: Write> Encoder<W> {
    /// The body of a list: its nodes.
    pub fn put_nodes<'a>(
        &mut self,
        count: usize,
        nodes: impl Iterator<Item = NodeRef<'a>>,
    ) -> io::Result<()> {
        self.put_len(count as u64)?;
        for node in nodes {
            match node {
                NodeRef::Plain(element) => {
                    self.put_len(NODE_PLAIN)?;
                    self.put_string(element)?;
                }
                NodeRef::Packed(blob) => {
                    self.put_len(NODE_PACKED)?;
                    self.put_string(blob)?;
                }
                NodeRef::PackedLzf(packed, len) => {
                    self.put_len(NODE_PACKED)?;
                    self.put_lzf(packed, len)?;
                }
                NodeRef::PlainLzf(packed, len) => {
                    self.put_len(NODE_PLAIN)?;
                    self.put_lzf(packed, len)?;
                }
            }
        }
        Ok(())
    }

    /// A small set's body, as `set_packed_type` says.
    pub fn put_set_packed(&mut self, blob: &Listpack, ty: RdbType) -> io::Result<()> {
        if ty == RdbType::SetListpack {
            return self.put_string(blob.as_bytes());
        }
        self.put_len(blob.len() as u64)?;
        let mut text = [0; I64_TEXT_MAX];
        for entry in blob.iter() {
            self.put_string(entry.to_bytes(&mut text))?;
        }
        Ok(())
    }

    /// The body of a small hash with field expirations (field, value, expire ms or 0, ...).
    pub fn put_hash_packed_ttl(&mut self, blob: &Listpack) -> io::Result<()> {
        let expires = blob.iter().skip(2).step_by(3).filter_map(entry_u64);
        let min = expires.filter(|&ms| ms != 0).min().unwrap_or(0);
        self.put_i64_le(min as i64)?;
        self.put_string(blob.as_bytes())
    }

    /// The start of a hash with field expirations, of which `min_expire_ms` is the smallest; `count` fields follow.
    pub fn put_hash_ttl_start(&mut self, min_expire_ms: u64, count: u64) -> io::Result<()> {
        self.put_i64_le(min_expire_ms as i64)?;
        self.put_len(count)
    }

    /// One field of it.
    pub fn put_ttl_field(
        &mut self,
        min_ms: u64,
        expire_ms: Option<u64>,
        field: &[u8],
        value: &[u8],
    ) -> io::Result<()> {
        self.put_len(expire_ms.map_or(0, |ms| ms.saturating_sub(min_ms) + 1))?;
        self.put_string(field)?;
        self.put_string(value)
    }

    /// A stream id as two lengths.
    pub fn put_id_lens(&mut self, id: Id) -> io::Result<()> {
        self.put_len(id.0)?;
        self.put_len(id.1)
    }

    /// A stream id as 16 bytes.
    pub fn put_id_raw(&mut self, id: Id) -> io::Result<()> {
        self.put(&id_bytes(id))
    }

    /// A stream's node (their number, a length, comes before the first).
    pub fn put_stream_node(&mut self, first: Id, blob: &[u8]) -> io::Result<()> {
        self.put_string(&id_bytes(first))?;
        self.put_string(blob)
    }

    /// What follows a stream's nodes; the number of groups comes next.
    pub fn put_stream_counters(&mut self, stream: &StreamCounters) -> io::Result<()> {
        self.put_len(stream.length)?;
        self.put_id_lens(stream.last_id)?;
        self.put_id_lens(stream.first_id)?;
        self.put_id_lens(stream.max_deleted_id)?;
        self.put_len(stream.entries_added)
    }

    /// A group's name and position; the number of its pending entries comes next.
    pub fn put_group_start(
        &mut self,
        name: &[u8],
        last_id: Id,
        entries_read: Option<u64>,
    ) -> io::Result<()> {
        self.put_string(name)?;
        self.put_id_lens(last_id)?;
        self.put_len(entries_read.unwrap_or(u64::MAX))
    }

    /// One pending entry of a group; after them the number of consumers.
    pub fn put_pending(&mut self, id: Id, delivered_ms: i64, deliveries: u64) -> io::Result<()> {
        self.put_id_raw(id)?;
        self.put_i64_le(delivered_ms)?;
        self.put_len(deliveries)
    }

    /// One consumer; the number of its pending ids comes next, then the ids raw.
    pub fn put_consumer(
        &mut self,
        name: &[u8],
        seen_ms: i64,
        active_ms: i64,
        ty: RdbType,
    ) -> io::Result<()> {
        self.put_string(name)?;
        self.put_i64_le(seen_ms)?;
        if ty == RdbType::Stream3 {
            self.put_i64_le(active_ms)
        } else {
            Ok(())
        }
    }

    fn put_group(&mut self, group: &StreamGroup, ty: RdbType) -> io::Result<()> {
        self.put_group_start(&group.name, group.last_id, group.entries_read)?;
        self.put_len(group.pending.len() as u64)?;
        for p in &group.pending {
            self.put_pending(p.id, p.delivered_ms, p.deliveries)?;
        }
        self.put_len(group.consumers.len() as u64)?;
        for (index, consumer) in group.consumers.iter().enumerate() {
            self.put_consumer(&consumer.name, consumer.seen_ms, consumer.active_ms, ty)?;
            let own = || {
                group
                    .pending
                    .iter()
                    .filter(|p| p.consumer as usize == index)
            };
            self.put_len(own().count() as u64)?;
            for p in own() {
                self.put_id_raw(p.id)?;
            }
        }
        Ok(())
    }

    fn put_stream(&mut self, stream: &StreamValue, ty: RdbType) -> io::Result<()> {
        self.put_len(stream.nodes.len() as u64)?;
        for node in &stream.nodes {
            self.put_stream_node(node.first, node.entries.as_bytes())?;
        }
        self.put_stream_counters(&StreamCounters {
            length: stream.length,
            last_id: stream.last_id,
            first_id: stream.first_id,
            max_deleted_id: stream.max_deleted_id,
            entries_added: stream.entries_added,
        })?;
        self.put_len(stream.groups.len() as u64)?;
        stream
            .groups
            .iter()
            .try_for_each(|group| self.put_group(group, ty))
    }

    /// A key with its value.
    pub fn put_entry(
        &mut self,
        key: &[u8],
        meta: &super::EntryMeta,
        value: &RdbValue,
    ) -> io::Result<()> {
        let ty = rdb_type(value, self.options().widest);
        self.entry(key, meta, ty)?;
        self.put_value(value, ty)
    }

    /// A value's body; `ty` is what `rdb_type` said.
    pub fn put_value(&mut self, value: &RdbValue, ty: RdbType) -> io::Result<()> {
        match value {
            RdbValue::Str(bytes) => self.put_string(bytes),
            RdbValue::List(nodes) => {
                self.put_nodes(nodes.len(), nodes.iter().map(ListNode::as_ref))
            }
            RdbValue::SetInts(ints) => self.put_string(ints.as_bytes()),
            RdbValue::SetPacked(blob) => self.put_set_packed(blob, ty),
            RdbValue::HashPacked(blob) | RdbValue::ZsetPacked(blob) => {
                self.put_string(blob.as_bytes())
            }
            RdbValue::HashPackedTtl(blob) => self.put_hash_packed_ttl(blob),
            RdbValue::Stream(stream) => self.put_stream(stream, ty),
            RdbValue::Set(members) => {
                self.put_len(members.len() as u64)?;
                members
                    .iter()
                    .try_for_each(|member| self.put_string(member))
            }
            RdbValue::Zset(members) => {
                self.put_len(members.len() as u64)?;
                members.iter().try_for_each(|(member, score)| {
                    self.put_string(member)?;
                    self.put_double(*score)
                })
            }
            RdbValue::Hash(fields) => self.put_hash(fields, ty),
        }
    }

    fn put_hash(
        &mut self,
        fields: &[(Vec<u8>, Vec<u8>, Option<u64>)],
        ty: RdbType,
    ) -> io::Result<()> {
        let min = fields.iter().filter_map(|f| f.2).min();
        match min {
            Some(min) if ty == RdbType::HashTtl => {
                self.put_hash_ttl_start(min, fields.len() as u64)?;
                fields
                    .iter()
                    .try_for_each(|(f, v, ms)| self.put_ttl_field(min, *ms, f, v))
            }
            _ => {
                self.put_len(fields.len() as u64)?;
                fields.iter().try_for_each(|(f, v, _)| {
                    self.put_string(f)?;
                    self.put_string(v)
                })
            }
        }
    }
}

/// The numbers behind a stream's nodes; see `StreamValue`.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct StreamCounters {
    pub length: u64,
    pub last_id: Id,
    pub first_id: Id,
    pub max_deleted_id: Id,
    pub entries_added: u64,
}

impl ListNode {
    /// The node as it is put.
    pub fn as_ref(&self) -> NodeRef<'_> {
        match self {
            ListNode::Plain(element) => NodeRef::Plain(element),
            ListNode::Packed(blob) => NodeRef::Packed(blob.as_bytes()),
        }
    }
}

/// An id in 16 bytes, big endian.
pub fn id_bytes(id: Id) -> [u8; 16] {
    (u128::from(id.0) << 64 | u128::from(id.1)).to_be_bytes()
}
