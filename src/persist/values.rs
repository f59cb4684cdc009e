//! Values of the keyspace to and from the RDB format: one match arm per type in each direction, all of them here.
//!
//! `put` writes an entry with its type byte and body straight from where it lies; `build` makes an entry from what the decoder
//! yields, in the encoding that the present limits ask for. Neither copies into an intermediate form. DUMP, RESTORE, snapshots
//! and loading all go through these two.
//!
//! Invariant: what `build` returns is never empty; duplicate elements are errors at the offset where they were found.

use super::rdb::save::{NodeRef, set_packed_type};
use super::rdb::{Encoder, EntryMeta, ListNode, RdbError, RdbType, Reason, Text, Value};
use crate::config::Config;
use crate::ds::intset::Intset;
use crate::ds::listpack::{self, Listpack};
use crate::ds::quicklist::{End, Fill, NodeBytes, Quicklist};
use crate::keyspace::{Entry, NewStr, StrRef, Type};
use crate::types::list::{List, ListLimits};
use crate::types::set::{Set, SetLimits};
use crate::types::zset::{self, AddFlags, Added, ZSet};
use std::io::{self, Read, Write};

/// The directives that decide in which encoding a loaded value is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of sorted sets.
    pub zset: zset::Limits,
}

impl Limits {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Limits {
            list: ListLimits {
                fill: Fill::new(config.list_max_listpack_size.into()),
                compress_depth: config.list_compress_depth as u16,
            },
            set: SetLimits {
                max_intset: config.set_max_intset_entries,
                max_entries: config.set_max_listpack_entries,
                max_value: config.set_max_listpack_value,
            },
            zset: zset::Limits {
                max_entries: config.zset_max_listpack_entries,
                max_value: config.zset_max_listpack_value,
            },
        }
    }
}

/// What stands between the attributes and the body of a value.
enum Head<'a> {
    /// Type byte and key, as in a file.
    Keyed(&'a [u8], &'a EntryMeta),
    /// The type byte alone, as in a DUMP payload.
    Bare,
}

impl Head<'_> {
    fn put<W: Write>(&self, out: &mut Encoder<W>, ty: RdbType) -> io::Result<()> {
        match self {
            Head::Keyed(key, meta) => out.entry(key, meta, ty),
            Head::Bare => out.put_type(ty),
        }
    }
}

/// Writes a key with its attributes and value.
#[inline]
pub fn put<W: Write>(
    out: &mut Encoder<W>,
    key: &[u8],
    meta: &EntryMeta,
    entry: &Entry,
) -> io::Result<()> {
    put_value(out, &Head::Keyed(key, meta), entry)
}

/// Writes the value alone: type byte and body.
pub fn put_bare<W: Write>(out: &mut Encoder<W>, entry: &Entry) -> io::Result<()> {
    put_value(out, &Head::Bare, entry)
}

#[inline]
fn put_value<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, entry: &Entry) -> io::Result<()> {
    match entry.ty() {
        Type::String => put_string(out, head, entry),
        Type::List => put_list(out, head, entry),
        Type::Set => put_set(out, head, entry),
        Type::ZSet => put_zset(out, head, entry),
        other => Err(io::Error::other(format!(
            "no values of type {} exist yet",
            other.name()
        ))),
    }
}

/// An entry whose value is not what its type says: our own bug, reported instead of written.
fn wrong_type() -> io::Error {
    io::Error::other("an entry does not hold the value its type says")
}

fn put_string<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, entry: &Entry) -> io::Result<()> {
    head.put(out, RdbType::String)?;
    match entry.str().ok_or_else(wrong_type)? {
        StrRef::Int(n) => out.put_int_string(n),
        StrRef::Bytes(bytes) => out.put_string(bytes),
        StrRef::Shared(shared) => out.put_string(&shared),
    }
}

fn put_list<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, entry: &Entry) -> io::Result<()> {
    let list = entry.value::<List>().ok_or_else(wrong_type)?;
    head.put(out, RdbType::Quicklist2)?;
    match &*list {
        List::Listpack(pack) => out.put_nodes(1, std::iter::once(NodeRef::Packed(pack.as_bytes()))),
        List::Quicklist(list) => {
            let nodes = list.nodes();
            out.put_nodes(nodes.len(), nodes.map(|node| node_ref(node.bytes())))
        }
    }
}

fn put_set<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, entry: &Entry) -> io::Result<()> {
    let set = entry.value::<Set>().ok_or_else(wrong_type)?;
    match &*set {
        Set::Intset(ints) => {
            head.put(out, RdbType::SetIntset)?;
            out.put_string(ints.as_bytes())
        }
        Set::Listpack(pack) => {
            let ty = set_packed_type(out.options().widest);
            head.put(out, ty)?;
            out.put_set_packed(pack, ty)
        }
        Set::Table(members) => {
            head.put(out, RdbType::Set)?;
            out.put_len(members.len() as u64)?;
            members.iter().try_for_each(|m| out.put_string(m.member()))
        }
    }
}

fn put_zset<W: Write>(out: &mut Encoder<W>, head: &Head<'_>, entry: &Entry) -> io::Result<()> {
    let zset = entry.value::<ZSet>().ok_or_else(wrong_type)?;
    match &*zset {
        ZSet::Listpack(pack) => {
            head.put(out, RdbType::ZsetListpack)?;
            out.put_string(pack.as_bytes())
        }
        ZSet::Tree(members) => {
            head.put(out, RdbType::Zset2)?;
            out.put_len(members.len() as u64)?;
            // From the highest, as upstream writes them.
            members
                .down(members.len(), usize::MAX)
                .try_for_each(|(member, score)| {
                    out.put_string(member)?;
                    out.put_double(score)
                })
        }
    }
}

fn node_ref(bytes: NodeBytes<'_>) -> NodeRef<'_> {
    match bytes {
        NodeBytes::Packed(blob) => NodeRef::Packed(blob),
        NodeBytes::Plain(element) => NodeRef::Plain(element),
        NodeBytes::Compressed { block, len } => NodeRef::PackedLzf(block, len as u64),
    }
}

/// Makes an entry of a decoded value; None when there is nothing in it (an empty collection).
#[inline]
pub fn build<R: Read>(
    key: &[u8],
    value: Value<'_, R>,
    expire_ms: Option<i64>,
    limits: &Limits,
) -> Result<Option<Entry>, RdbError> {
    let entry = match value {
        Value::Str(Text::Int(n)) => Entry::string(key, &NewStr::Int(n), expire_ms),
        Value::Str(Text::Bytes(bytes)) => Entry::string(key, &NewStr::Copy(bytes), expire_ms),
        Value::List(nodes) => Entry::collection(key, list_of_nodes(nodes, limits)?, expire_ms),
        Value::ListElements(mut elements) => {
            let mut list = List::new();
            while let Some(element) = elements.next()? {
                list.push(End::Tail, element.member, &limits.list);
            }
            Entry::collection(key, list, expire_ms)
        }
        Value::SetInts(ints) => Entry::collection(key, set_of_ints(ints, limits), expire_ms),
        Value::SetPacked(pack) => Entry::collection(key, set_of_pack(pack, limits)?, expire_ms),
        Value::SetElements(mut elements) => {
            // As upstream: a plain set becomes an intset or a listpack again where the limits allow it.
            let expected = usize::try_from(elements.remaining()).unwrap_or(usize::MAX);
            let mut set = None;
            while let Some(element) = elements.next()? {
                let set =
                    set.get_or_insert_with(|| Set::new_for(element.member, expected, &limits.set));
                if !set.add(element.member, &limits.set) {
                    return Err(RdbError::new(
                        0,
                        Reason::Corrupt("Duplicate set members detected"),
                    ));
                }
            }
            match set {
                Some(set) => Entry::collection(key, set, expire_ms),
                None => return Ok(None),
            }
        }
        Value::ZsetPacked(pack) => {
            let zset = ZSet::from_listpack(pack, false, limits.zset)
                .map_err(|what| RdbError::new(0, Reason::Corrupt(what)))?;
            Entry::collection(key, zset, expire_ms)
        }
        Value::ZsetElements(mut elements) => {
            let mut zset = ZSet::new(0, 0, limits.zset);
            while let Some(element) = elements.next()? {
                let added = zset.add(
                    element.member,
                    element.score,
                    AddFlags::default(),
                    limits.zset,
                );
                if !matches!(added, Ok(Added::New(_))) {
                    return Err(RdbError::new(
                        0,
                        Reason::Corrupt("Duplicate zset fields detected"),
                    ));
                }
            }
            Entry::collection(key, zset, expire_ms)
        }
        Value::Empty => return Ok(None),
        Value::Module(name) => return Err(RdbError::new(0, Reason::Module(name))),
        _ => {
            return Err(RdbError::new(
                0,
                Reason::Corrupt("This type of value does not exist yet"),
            ));
        }
    };
    Ok(Some(entry))
}

/// An intset as it is, or as a table when it is larger than the present limit.
fn set_of_ints(ints: Intset, limits: &Limits) -> Set {
    if ints.len() <= limits.set.max_intset {
        return Set::Intset(ints);
    }
    let mut set = Set::new_for(b"", ints.len(), &limits.set);
    let mut buf = [0; 20];
    for v in ints.iter() {
        set.add(listpack::Entry::Int(v).to_bytes(&mut buf), &limits.set);
    }
    set
}

/// A listpack as it is, or as a table when it exceeds the present limits.
fn set_of_pack(pack: Listpack, limits: &Limits) -> Result<Set, RdbError> {
    let mut buf = [0; 20];
    let longest = pack
        .iter()
        .map(|m| m.to_bytes(&mut buf).len())
        .max()
        .unwrap_or(0);
    if pack.len() <= limits.set.max_entries && longest <= limits.set.max_value {
        return Ok(Set::Listpack(pack));
    }
    let mut set = Set::new_for(b"", usize::MAX, &limits.set);
    for m in pack.iter() {
        if !set.add(m.to_bytes(&mut buf), &limits.set) {
            return Err(RdbError::new(
                0,
                Reason::Corrupt("Duplicate set members detected"),
            ));
        }
    }
    Ok(set)
}

fn list_of_nodes(nodes: Vec<ListNode>, limits: &Limits) -> Result<List, RdbError> {
    let mut list = Quicklist::new(limits.list.fill, limits.list.compress_depth);
    for node in nodes {
        match node {
            ListNode::Plain(element) => list.push_plain_node(&element),
            ListNode::Packed(blob) => list.push_packed_node(blob).map_err(|_| {
                RdbError::new(0, Reason::Corrupt("Listpack integrity check failed."))
            })?,
        }
    }
    Ok(List::from_quicklist(list, &limits.list))
}
