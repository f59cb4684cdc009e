//! Streams to and from the RDB format.
//!
//! Saving walks the stream where it lies: nodes go out as listpacks, groups and consumers in order of their names, pending
//! entries in order of their ids. Loading hands the decoder's parts to `types::stream::Builder`; it makes nodes of
//! their listpacks. The decoder has walked every entry of every node by then, so the builder's own deep check is left out.
//!
//! Invariant: the type byte depends on the consumers alone (`stream_type`), so it is known before the body is begun.

use super::Head;
use crate::ds::stream::StreamId;
use crate::persist::rdb::save::{StreamCounters, stream_type};
use crate::persist::rdb::stream::{Id, StreamGroup, StreamValue};
use crate::persist::rdb::{Encoder, RdbError, RdbType, Reason};
use crate::types::stream::{BadStream, Builder, Group, Stream};
use std::io::{self, Write};

fn raw(id: StreamId) -> Id {
    (id.ms, id.seq)
}

fn id_of(id: Id) -> StreamId {
    StreamId::new(id.0, id.1)
}

/// Writes type byte (with the key, as `head` says) and body.
pub(super) fn put<W: Write>(
    out: &mut Encoder<W>,
    head: &Head<'_>,
    stream: &Stream,
) -> io::Result<()> {
    let mut consumers = stream.groups().flat_map(Group::consumers);
    let differs = consumers.any(|(_, c)| c.active_time_ms != c.seen_time_ms);
    let ty = stream_type(out.options().widest, differs);
    head.put(out, ty)?;
    let log = &stream.log;
    out.put_len(log.nodes().len() as u64)?;
    for node in log.nodes() {
        out.put_stream_node(raw(node.key), node.to_listpack().as_bytes())?;
    }
    out.put_stream_counters(&StreamCounters {
        length: log.len(),
        last_id: raw(log.last_id()),
        first_id: raw(log.first_id()),
        max_deleted_id: raw(log.max_deleted_id()),
        entries_added: log.entries_added(),
    })?;
    out.put_len(stream.groups().len() as u64)?;
    stream.groups().try_for_each(|g| put_group(out, g, ty))
}

fn put_group<W: Write>(out: &mut Encoder<W>, group: &Group, ty: RdbType) -> io::Result<()> {
    out.put_group_start(group.name(), raw(group.last_id()), group.entries_read())?;
    out.put_len(group.pending_len() as u64)?;
    for (id, nack) in group.pending() {
        out.put_pending(
            raw(id),
            nack.delivery_time_ms,
            u64::from(nack.delivery_count),
        )?;
    }
    out.put_len(group.consumers_len() as u64)?;
    for (_, c) in group.consumers() {
        out.put_consumer(c.name(), c.seen_time_ms, c.active_time_ms, ty)?;
        out.put_len(c.pending_len() as u64)?;
        for id in c.pending_from(StreamId::ZERO) {
            out.put_id_raw(raw(id))?;
        }
    }
    Ok(())
}

/// The stream of decoded parts.
pub(super) fn of_value(value: StreamValue) -> Result<Stream, RdbError> {
    assemble(value).map_err(|bad| {
        let what = match bad {
            BadStream::What(what) => what,
            BadStream::Listpack(_) => "Stream listpack integrity check failed.",
        };
        RdbError::new(0, Reason::Corrupt(what))
    })
}

fn assemble(value: StreamValue) -> Result<Stream, BadStream> {
    let mut stream = Builder::new(false);
    for node in value.nodes {
        stream.push_pack(id_of(node.first), &node.entries)?;
    }
    let rest = (
        id_of(value.first_id),
        id_of(value.max_deleted_id),
        value.entries_added,
    );
    stream.set_counters(value.length, id_of(value.last_id), Some(rest))?;
    value
        .groups
        .iter()
        .try_for_each(|g| add_group(&mut stream, g))?;
    stream.finish()
}

fn add_group(stream: &mut Builder, group: &StreamGroup) -> Result<(), BadStream> {
    stream.add_group(&group.name, id_of(group.last_id), group.entries_read)?;
    for p in &group.pending {
        stream.add_nack(id_of(p.id), p.delivered_ms, p.deliveries)?;
    }
    let mut ids = Vec::with_capacity(group.consumers.len());
    for c in &group.consumers {
        ids.push(stream.add_consumer(&c.name, c.seen_ms, c.active_ms)?);
    }
    for p in &group.pending {
        let owner = ids
            .get(p.consumer as usize)
            .ok_or(BadStream::What("pending entry without a consumer"))?;
        stream.own_nack(*owner, id_of(p.id))?;
    }
    Ok(())
}
