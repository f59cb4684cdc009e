//! What XREADGROUP does to a group, and what is propagated in its place: XCLAIM for every entry delivered, so that replicas and
//! the AOF have the same pending lists with the same times, then XGROUP SETID for the group's position.

use super::push_id;
use super::range::reply_entry;
use crate::ds::stream::StreamId;
use crate::keyspace::Key;
use crate::resp::{OwnedArgs, Reply};
use crate::types::stream::{ConsumerId, Group, Log, Nack};

/// One stream of an XREADGROUP.
pub(super) struct Delivery<'a> {
    pub key: Key<'a>,
    /// Group and consumer.
    pub names: (&'a [u8], &'a [u8]),
    pub no_ack: bool,
    /// Entries at most, 0 for all.
    pub count: u64,
}

impl Delivery<'_> {
    /// XGROUP CREATECONSUMER: with NOACK no XCLAIM would make the consumer elsewhere.
    pub fn consumer_form(&self) -> OwnedArgs {
        let (group, consumer) = self.names;
        let words: [&[u8]; 5] = [
            b"XGROUP",
            b"CREATECONSUMER",
            self.key.bytes,
            group,
            consumer,
        ];
        OwnedArgs::from_iter(words)
    }
}

/// Finds the consumer, or makes it (the second value), and notes that it was seen.
pub(super) fn seen(group: &mut Group, consumer: &[u8], now_ms: i64) -> (ConsumerId, bool) {
    let found = group.consumer_id(consumer);
    let created = found.is_none();
    let id = match found.or_else(|| group.create_consumer(consumer, now_ms)) {
        Some(id) => id,
        None => unreachable!("a consumer that is not there can be made"),
    };
    if let Some(c) = group.consumer_mut(id) {
        c.seen_time_ms = now_ms;
    }
    (id, created)
}

/// The XCLAIM that makes `nack` of `id` anywhere, and moves the group to its last id.
pub(super) fn claim_form(
    key: &[u8],
    group: &Group,
    consumer: &[u8],
    id: StreamId,
    nack: &Nack,
) -> OwnedArgs {
    let words: [&[u8]; 5] = [b"XCLAIM", key, group.name(), consumer, b"0"];
    let mut a = OwnedArgs::from_iter(words);
    push_id(&mut a, id);
    a.push(b"TIME");
    a.push_int(nack.delivery_time_ms);
    a.push(b"RETRYCOUNT");
    a.push_int(nack.delivery_count.into());
    for word in [b"FORCE".as_slice(), b"JUSTID", b"LASTID"] {
        a.push(word);
    }
    push_id(&mut a, group.last_id());
    a
}

/// The XGROUP SETID that puts a group where `group` is.
pub(super) fn position_form(key: &[u8], group: &Group) -> OwnedArgs {
    let words: [&[u8]; 4] = [b"XGROUP", b"SETID", key, group.name()];
    let mut a = OwnedArgs::from_iter(words);
    push_id(&mut a, group.last_id());
    a.push(b"ENTRIESREAD");
    a.push_int(group.entries_read().map_or(-1, |n| n as i64));
    a
}

/// Replies entries the group was not given yet, and delivers them to `consumer`.
pub(super) fn new_entries(
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    delivery: &Delivery<'_>,
    now_ms: i64,
    mut told: Option<&mut Vec<OwnedArgs>>,
    reply: &mut Reply<'_>,
) {
    let at = reply.begin();
    let Some(start) = group.last_id().succ() else {
        return reply.array(0);
    };
    let mut range = log.range(start, StreamId::MAX);
    let mut n = 0;
    while (delivery.count == 0 || n < delivery.count)
        && let Some(entry) = range.next()
    {
        let id = entry.id;
        group.advance(log, id);
        let fields = reply_entry(reply, entry);
        range.resume(fields);
        n += 1;
        if delivery.no_ack {
            continue;
        }
        group.deliver(id, consumer, now_ms);
        if let Some(told) = told.as_deref_mut()
            && let Some(nack) = group.nack(id)
        {
            let (key, name) = (delivery.key.bytes, delivery.names.1);
            told.push(claim_form(key, group, name, id, &nack));
        }
    }
    reply.end_array(at, n as usize);
    // Without acknowledgements there is nothing the consumer did.
    if let Some(c) = group.consumer_mut(consumer).filter(|_| !delivery.no_ack) {
        c.active_time_ms = now_ms;
    }
    if let Some(told) = told {
        told.push(position_form(delivery.key.bytes, group));
    }
}

/// Replies what `consumer` has pending behind `after`; an entry that is gone from the log has a null in place of its fields.
pub(super) fn history(
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    after: StreamId,
    delivery: &Delivery<'_>,
    now_ms: i64,
    reply: &mut Reply<'_>,
) {
    let limit = match delivery.count {
        0 => usize::MAX,
        n => usize::try_from(n).unwrap_or(usize::MAX),
    };
    // Behind the last possible id upstream begins anew.
    let start = after.succ().unwrap_or(StreamId::ZERO);
    let ids: Vec<StreamId> = match group.consumer(consumer) {
        Some(c) => c.pending_from(start).take(limit).collect(),
        None => Vec::new(),
    };
    reply.array(ids.len());
    for id in ids {
        match log.range(id, id).next() {
            Some(entry) => {
                reply_entry(reply, entry);
                group.redeliver(id, now_ms);
            }
            None => {
                reply.array(2);
                super::reply_id(reply, id);
                reply.null_array();
            }
        }
    }
}
