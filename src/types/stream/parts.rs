//! Building a stream from the parts an RDB file or a DUMP payload holds, checking that they fit together.
//!
//! The counterpart for saving are the getters: [`Log::nodes`] ([`Node::to_listpack`]), [`Log`]'s counters,
//! [`Stream::groups`], [`Group::pending`], [`Group::consumers`] and [`super::Consumer::pending_from`].
//!
//! Order of calls: [`Builder::push_node`] per node, [`Builder::set_counters`] once, then per group [`Builder::add_group`],
//! [`Builder::add_nack`], [`Builder::add_consumer`], [`Builder::own_nack`], at last [`Builder::finish`].
use super::Stream;
use super::group::{ConsumerId, Group, Nack};
use super::log::Log;
use super::node::Node;
use crate::ds::listpack::{BadListpack, Listpack};
use crate::ds::stream::{IdMap, StreamId};
use std::fmt;

/// Why parts are not a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadStream {
    /// A node's bytes are no listpack.
    Listpack(BadListpack),
    /// What is wrong.
    What(&'static str),
}

impl fmt::Display for BadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadStream::Listpack(bad) => write!(f, "bad stream node: {bad}"),
            BadStream::What(what) => write!(f, "bad stream: {what}"),
        }
    }
}
impl std::error::Error for BadStream {}

/// A stream under construction; see the file header.
#[derive(Debug)]
pub struct Builder {
    log: Log,
    #[allow(clippy::vec_box)] // groups are big, and inserting one must not move them all
    groups: Vec<Box<Group>>,
    /// NACKs of the last group that no consumer has claimed yet.
    unowned: IdMap<Nack>,
    deep: bool,
}

impl Builder {
    /// `deep` checks every node entry by entry, as for payloads from a client (`sanitize-dump-payload`).
    pub fn new(deep: bool) -> Self {
        Builder {
            log: Log::default(),
            groups: Vec::new(),
            unowned: IdMap::new(),
            deep,
        }
    }

    /// Adds the node `key` with its listpack.
    pub fn push_node(&mut self, key: StreamId, blob: &[u8]) -> Result<(), BadStream> {
        let pack = Listpack::from_bytes_validated(blob, self.deep).map_err(BadStream::Listpack)?;
        self.push_pack(key, &pack)
    }

    /// Adds the node `key` with a listpack that is sound already.
    pub fn push_pack(&mut self, key: StreamId, pack: &Listpack) -> Result<(), BadStream> {
        if self.log.nodes.back().is_some_and(|n| n.key >= key) {
            return Err(BadStream::What("node keys out of order"));
        }
        let node = Node::of_listpack(key, pack).ok_or(BadStream::What("broken node"))?;
        if self.deep && !is_in_order(&node) {
            return Err(BadStream::What("entries out of order"));
        }
        if self.deep && self.log.last_entry_id().is_some_and(|id| id >= key) {
            return Err(BadStream::What("entries behind the next node's key"));
        }
        self.log.length = self.log.length.saturating_add(node.live());
        self.log.nodes.push_back(node);
        Ok(())
    }

    /// Entries in the nodes so far, as the nodes say.
    pub fn node_length(&self) -> u64 {
        self.log.length
    }

    /// Sets what is stored beside the nodes. Files before RDB type 19 hold only length and last id: `None` derives the rest.
    pub fn set_counters(
        &mut self,
        length: u64,
        last_id: StreamId,
        rest: Option<(StreamId, StreamId, u64)>,
    ) -> Result<(), BadStream> {
        if length != self.log.length {
            return Err(BadStream::What("length differs from the nodes'"));
        }
        self.log.last_id = last_id;
        if let Some((first_id, max_deleted_id, entries_added)) = rest {
            self.log.first_id = first_id;
            self.log.max_deleted_id = max_deleted_id;
            self.log.entries_added = entries_added;
        } else {
            self.log.entries_added = length;
        }
        // What the file says about the first entry is only taken when it is true: lookups rely on it.
        self.log.refresh_first_id();
        if length > 0 && self.log.first_id == StreamId::ZERO {
            return Err(BadStream::What("no entry can be read"));
        }
        if self.log.nodes.back().is_some_and(|n| n.key > last_id)
            || (self.deep && self.log.last_entry_id().is_some_and(|id| id > last_id))
        {
            return Err(BadStream::What("entries behind the last id"));
        }
        Ok(())
    }

    /// Starts the next group. The one before must have an owner for every NACK.
    pub fn add_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> Result<(), BadStream> {
        self.close_group()?;
        // Files list groups in order, so the scan for a duplicate is only needed when they do not.
        let in_order = self.groups.last().is_none_or(|g| g.name() < name);
        if !in_order && self.groups.iter().any(|g| g.name() == name) {
            return Err(BadStream::What("duplicated group"));
        }
        let group = Group::new(name, last_id, entries_read);
        self.groups.push(Box::new(group));
        Ok(())
    }

    /// Adds a NACK to the last group's pending list.
    pub fn add_nack(
        &mut self,
        id: StreamId,
        delivery_time_ms: i64,
        delivery_count: u64,
    ) -> Result<(), BadStream> {
        let nack = Nack {
            delivery_time_ms,
            delivery_count: u32::try_from(delivery_count).unwrap_or(u32::MAX),
            consumer: ConsumerId(0),
        };
        if self.unowned.contains(id) {
            return Err(BadStream::What("duplicated pending entry"));
        }
        self.unowned.insert(id, nack);
        Ok(())
    }

    /// Adds a consumer to the last group. Files before RDB type 21 hold no active time: they pass the seen time.
    pub fn add_consumer(
        &mut self,
        name: &[u8],
        seen_time_ms: i64,
        active_time_ms: i64,
    ) -> Result<ConsumerId, BadStream> {
        let group = self
            .groups
            .last_mut()
            .ok_or(BadStream::What("consumer without a group"))?;
        let id = group
            .create_consumer(name, seen_time_ms)
            .ok_or(BadStream::What("duplicated consumer"))?;
        if let Some(consumer) = group.consumer_mut(id) {
            consumer.active_time_ms = active_time_ms;
        }
        Ok(id)
    }

    /// Says that `consumer` of the last group has the NACK of `id`.
    pub fn own_nack(&mut self, consumer: ConsumerId, id: StreamId) -> Result<(), BadStream> {
        let group = self
            .groups
            .last_mut()
            .ok_or(BadStream::What("consumer without a group"))?;
        let nack = self.unowned.remove(id).ok_or(BadStream::What(
            "consumer entry that is not pending in the group",
        ))?;
        if group.consumer(consumer).is_none() {
            return Err(BadStream::What("unknown consumer"));
        }
        group.assign(id, Nack { consumer, ..nack });
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), BadStream> {
        match self.unowned.is_empty() {
            true => Ok(()),
            false => Err(BadStream::What("pending entry without a consumer")),
        }
    }

    /// The stream.
    pub fn finish(mut self) -> Result<Stream, BadStream> {
        self.close_group()?;
        self.log.note_newest();
        self.groups.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(Stream {
            log: self.log,
            groups: self.groups,
        })
    }
}

/// Whether live entries ascend, and none is below the key.
fn is_in_order(node: &Node) -> bool {
    let mut last = None;
    node.entries().all(|entry| {
        // A deleted entry may stand out of order: an old server's XSETID could go back behind one.
        let fits = node.key <= entry.id && (entry.is_deleted() || last < Some(entry.id));
        if !entry.is_deleted() {
            last = Some(entry.id);
        }
        fits
    })
}
