//! Stream values: nodes of entries, counters, consumer groups.
//!
//! | part                | layout                                                                                        |
//! |---------------------|-----------------------------------------------------------------------------------------------|
//! | nodes               | len n, then n times: string of 16 bytes (first id: ms and seq, u64 big endian), string listpack |
//! | counters            | len length, len last id ms, len last id seq                                                   |
//! | from stream-v2 on   | len first id ms, seq; len max deleted id ms, seq; len entries added                           |
//! | groups              | len n, then per group the following                                                           |
//! | - name, position    | string, len last delivered ms, seq; from v2 on len entries read (2^64-1: unknown)             |
//! | - pending entries   | len n, n times: 16 bytes id, i64 LE delivery time ms, len delivery count                      |
//! | - consumers         | len n, n times: string name, i64 LE seen ms, from v3 on i64 LE active ms (-1 never), len k, k times 16 bytes id |
//!
//! A node's listpack: `count, deleted, field count, field names..., 0`, then `count + deleted` entries of
//! `flags, ms - first ms, seq - first seq, [field count and names interleaved with] values, back count`; flag 1 = deleted,
//! flag 2 = the node's own fields, so names are left out. Back count = entries of the record before it.
//!
//! Invariant after decoding: nodes and the live entries of each ascend strictly, every consumer's pending id is pending in its group exactly once
//! and every pending entry of the group has one consumer.
use super::error::RdbError;
use super::source::Source;
use super::value::resolve;
use crate::ds::listpack::{Entry, Iter, Listpack};
use crate::ds::numtext::parse_i64;
use std::collections::HashMap;
use std::io::Read;

/// A stream id as (milliseconds, sequence).
pub type Id = (u64, u64);

const FLAG_DELETED: i64 = 1;
const FLAG_SAME_FIELDS: i64 = 2;
/// Groups, consumers and pending entries reserved ahead of their arrival, at most.
const RESERVE_MAX: u64 = 1024;

/// A stream, in parts.
#[derive(Clone, PartialEq, Default)]
pub struct StreamValue {
    /// Nodes, ascending.
    pub nodes: Vec<StreamNode>,
    /// Entries that exist.
    pub length: u64,
    /// Highest id ever added.
    pub last_id: Id,
    /// Lowest id that exists, (0,0) for none.
    pub first_id: Id,
    /// Highest id ever deleted.
    pub max_deleted_id: Id,
    /// Entries ever added.
    pub entries_added: u64,
    /// Consumer groups, in file order (by name).
    pub groups: Vec<StreamGroup>,
}

/// A run of entries.
#[derive(Clone, PartialEq)]
pub struct StreamNode {
    /// The id its entries are relative to.
    pub first: Id,
    /// Master record and entries.
    pub entries: Listpack,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamGroup {
    /// Name.
    pub name: Vec<u8>,
    /// Last delivered id.
    pub last_id: Id,
    /// Entries read so far; `None` if unknown.
    pub entries_read: Option<u64>,
    /// Pending entries, ascending.
    pub pending: Vec<StreamPending>,
    /// Consumers, in file order (by name).
    pub consumers: Vec<StreamConsumer>,
}

/// A delivered entry that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamPending {
    /// The entry.
    pub id: Id,
    /// When it was last delivered, ms since 1970.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
    /// Index of the owner in `StreamGroup::consumers`.
    pub consumer: u32,
}

/// A consumer. What it owns is said by `StreamPending::consumer`.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConsumer {
    /// Name.
    pub name: Vec<u8>,
    /// Last attempt to read, ms since 1970.
    pub seen_ms: i64,
    /// Last read that delivered something, -1 for never.
    pub active_ms: i64,
}

/// Which of the three layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamLayout {
    /// Type 15.
    V1,
    /// Type 19.
    V2,
    /// Type 21.
    V3,
}

/// Reads a stream's body.
pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    scratch: &mut Vec<u8>,
    layout: StreamLayout,
    deep: bool,
) -> Result<StreamValue, RdbError> {
    let mut stream = StreamValue::default();
    let mut counted = 0u64;
    for _ in 0..source.number()? {
        let first = read_node_key(source, scratch)?;
        if stream.nodes.last().is_some_and(|node| node.first >= first) {
            return Err(
                source.corrupt("Stream nodes out of order, or listpack re-added with existing key")
            );
        }
        let piece = source.string(scratch)?;
        let checked = check_node(resolve(source, piece, scratch), first);
        let (entries, live) = checked.map_err(|what| source.corrupt(what))?;
        counted = counted.saturating_add(live);
        stream.nodes.push(StreamNode { first, entries });
    }
    stream.length = source.number()?;
    if (deep && stream.length != counted) || (stream.length > 0 && stream.nodes.is_empty()) {
        return Err(source.corrupt("Stream length inconsistent with rax entries"));
    }
    stream.last_id = read_id_lens(source)?;
    if layout >= StreamLayout::V2 {
        stream.first_id = read_id_lens(source)?;
        stream.max_deleted_id = read_id_lens(source)?;
        stream.entries_added = source.number()?;
    } else {
        stream.entries_added = stream.length;
        stream.first_id = first_live_id(&stream.nodes).unwrap_or((0, 0));
    }
    for _ in 0..source.number()? {
        let group = read_group(source, layout, &stream, deep)?;
        if stream.groups.iter().any(|g| g.name == group.name) {
            return Err(source.corrupt("Duplicated consumer group name in stream"));
        }
        stream.groups.push(group);
    }
    Ok(stream)
}

fn read_id<R: Read>(source: &mut Source<R>) -> Result<Id, RdbError> {
    Ok(id_of(source.array()?))
}

fn read_id_lens<R: Read>(source: &mut Source<R>) -> Result<Id, RdbError> {
    Ok((source.number()?, source.number()?))
}

fn read_node_key<R: Read>(source: &mut Source<R>, scratch: &mut Vec<u8>) -> Result<Id, RdbError> {
    let piece = source.string(scratch)?;
    let id = id_from_bytes(resolve(source, piece, scratch));
    id.ok_or_else(|| source.corrupt("Stream node key entry is not the size of a stream ID"))
}

/// The id in 16 big-endian bytes.
fn id_from_bytes(bytes: &[u8]) -> Option<Id> {
    bytes.try_into().ok().map(id_of)
}

fn id_of(bytes: [u8; 16]) -> Id {
    let both = u128::from_be_bytes(bytes);
    ((both >> 64) as u64, both as u64)
}

/// What upstream derives for files that do not say how many entries a group has read: nothing was ever deleted, as far as such
/// a file tells, so the place of a group at either end, or at the first entry, says it.
fn derived_entries_read(stream: &StreamValue, at: Id) -> Option<u64> {
    if stream.length == 0 || at >= stream.last_id {
        return Some(stream.entries_added);
    }
    match at.cmp(&stream.first_id) {
        std::cmp::Ordering::Less => Some(0),
        std::cmp::Ordering::Equal => Some(1),
        std::cmp::Ordering::Greater => None,
    }
}

fn read_group<R: Read>(
    source: &mut Source<R>,
    layout: StreamLayout,
    stream: &StreamValue,
    deep: bool,
) -> Result<StreamGroup, RdbError> {
    let mut group = StreamGroup {
        name: source.string_vec()?,
        last_id: read_id_lens(source)?,
        ..Default::default()
    };
    group.entries_read = match layout {
        StreamLayout::V1 => derived_entries_read(stream, group.last_id),
        _ => Some(source.number()?).filter(|&n| n <= i64::MAX as u64),
    };
    let count = source.number()?;
    group.pending.reserve(count.min(RESERVE_MAX) as usize);
    for _ in 0..count {
        let pending = StreamPending {
            id: read_id(source)?,
            delivered_ms: source.i64_le()?,
            deliveries: source.number()?,
            consumer: u32::MAX,
        };
        if group
            .pending
            .last()
            .is_some_and(|last| last.id >= pending.id)
        {
            return Err(source.corrupt("Duplicated global PEL entry loading stream consumer group"));
        }
        group.pending.push(pending);
    }
    read_consumers(source, layout, &mut group)?;
    if deep && group.pending.iter().any(|p| p.consumer == u32::MAX) {
        return Err(source.corrupt("NACK entry without consumer"));
    }
    // A pending entry nobody owns cannot be reached by any command; upstream keeps it only when not sanitizing.
    group.pending.retain(|p| p.consumer != u32::MAX);
    Ok(group)
}

fn read_consumers<R: Read>(
    source: &mut Source<R>,
    layout: StreamLayout,
    group: &mut StreamGroup,
) -> Result<(), RdbError> {
    let mut names: HashMap<Vec<u8>, ()> = HashMap::new();
    for index in 0..source.number()? {
        let name = source.string_vec()?;
        if names.insert(name.clone(), ()).is_some() {
            return Err(source.corrupt("Duplicate stream consumer detected"));
        }
        let seen_ms = source.i64_le()?;
        let active_ms = if layout == StreamLayout::V3 {
            source.i64_le()?
        } else {
            seen_ms
        };
        group.consumers.push(StreamConsumer {
            name,
            seen_ms,
            active_ms,
        });
        for _ in 0..source.number()? {
            let id = read_id(source)?;
            let Ok(at) = group.pending.binary_search_by_key(&id, |p| p.id) else {
                return Err(source.corrupt("Consumer entry not found in group global PEL"));
            };
            if group.pending[at].consumer != u32::MAX || index >= u64::from(u32::MAX) {
                return Err(
                    source.corrupt("Stream consumer PEL entry already has a consumer assigned")
                );
            }
            group.pending[at].consumer = index as u32;
        }
    }
    Ok(())
}

/// A record of a node: its id and whether it is deleted.
struct Record {
    id: Id,
    deleted: bool,
}

/// Walks the records of a node's listpack.
struct Records<'a> {
    entries: Iter<'a>,
    first: Id,
    master_fields: u64,
    left: u64,
}

fn next_int(entries: &mut Iter<'_>) -> Option<i64> {
    match entries.next()? {
        Entry::Int(n) => Some(n),
        Entry::Bytes(text) => parse_i64(text),
    }
}

fn next_count(entries: &mut Iter<'_>) -> Option<u64> {
    u64::try_from(next_int(entries)?).ok()
}

fn skip(entries: &mut Iter<'_>, count: u64) -> Option<()> {
    for _ in 0..count {
        entries.next()?;
    }
    Some(())
}

impl<'a> Records<'a> {
    /// Reads the master record; also gives the number of records that should be live.
    fn new(node: &'a Listpack, first: Id) -> Option<(Records<'a>, u64)> {
        let mut entries = node.iter();
        let live = next_count(&mut entries)?;
        let deleted = next_count(&mut entries)?;
        let master_fields = next_count(&mut entries)?;
        skip(&mut entries, master_fields)?;
        if next_int(&mut entries)? != 0 {
            return None;
        }
        Some((
            Records {
                entries,
                first,
                master_fields,
                left: live.checked_add(deleted)?,
            },
            live,
        ))
    }

    fn record(&mut self) -> Option<Record> {
        let flags = next_int(&mut self.entries)?;
        // Differences wrap around: ids use all 64 bits.
        let ms = self
            .first
            .0
            .wrapping_add_signed(next_int(&mut self.entries)?);
        let seq = self
            .first
            .1
            .wrapping_add_signed(next_int(&mut self.entries)?);
        let size = if flags & FLAG_SAME_FIELDS != 0 {
            skip(&mut self.entries, self.master_fields)?;
            self.master_fields.checked_add(3)?
        } else {
            let fields = next_count(&mut self.entries)?;
            skip(&mut self.entries, fields.checked_mul(2)?)?;
            fields.checked_mul(2)?.checked_add(4)?
        };
        if next_count(&mut self.entries)? != size {
            return None;
        }
        Some(Record {
            id: (ms, seq),
            deleted: flags & FLAG_DELETED != 0,
        })
    }
}

/// Checks a node; gives its listpack and how many live entries it has.
fn check_node(blob: &[u8], first: Id) -> Result<(Listpack, u64), &'static str> {
    const WHAT: &str = "Stream listpack integrity check failed.";
    let node = super::blob::listpack(blob, WHAT)?;
    if node.is_empty() {
        return Err("Empty listpack inside stream");
    }
    let live = count_live(&node, first).ok_or(WHAT)?;
    Ok((node, live))
}

fn count_live(node: &Listpack, first: Id) -> Option<u64> {
    let (mut records, live) = Records::new(node, first)?;
    let (mut found, mut last) = (0, None);
    while records.left > 0 {
        records.left -= 1;
        let record = records.record()?;
        // A deleted entry may stand out of order: an old server's XSETID could go back behind one.
        if record.deleted {
            continue;
        }
        if last.is_some_and(|last| record.id <= last) {
            return None;
        }
        last = Some(record.id);
        found += 1;
    }
    (found == live && records.entries.next().is_none()).then_some(live)
}

/// The lowest id that is not deleted.
fn first_live_id(nodes: &[StreamNode]) -> Option<Id> {
    for node in nodes {
        let (mut records, _) = Records::new(&node.entries, node.first)?;
        while records.left > 0 {
            records.left -= 1;
            let record = records.record()?;
            if !record.deleted {
                return Some(record.id);
            }
        }
    }
    None
}
