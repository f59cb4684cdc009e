//! DEBUG DIGEST and DIGEST-VALUE: data boiled down to 20 bytes, equal for equal data whatever their encoding and order.
//!
//! Two operations on a digest: `mix` (order counts) replaces it by SHA-1 of itself xor SHA-1 of the input; `toss` (order does not
//! count) xors SHA-1 of the input in. The results are upstream's, so that digests of different servers can be compared.
//! Of a stream its entries count (`ms.seq`, then names and values), not its groups.

use super::data::{payload, type_number};
use crate::ds::dtoa::{F64_TEXT_MAX, write_f64};
use crate::ds::listpack::{Entry as PackEntry, Listpack};
use crate::ds::stream::StreamId;
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Entry;
use crate::persist::rdb::dump;
use crate::persist::rdb::value::{ListNode, RdbValue};
use crate::types::stream::Stream;
use sha1::{Digest as _, Sha1};

/// A digest under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Digest([u8; 20]);

impl Digest {
    /// In which order things are tossed in does not matter.
    fn toss(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        for (d, h) in self.0.iter_mut().zip(hash) {
            *d ^= h;
        }
    }

    /// In which order things are mixed in matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.toss(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

pub(super) fn digest(ctx: &mut Ctx<'_>) -> Outcome {
    let mut all = Digest::default();
    for db in ctx.server.ks.dbs.iter().filter(|db| !db.is_empty()) {
        all.mix(&db.id.to_be_bytes());
        for entry in db.keys.iter() {
            let mut one = Digest::default();
            one.mix(crate::ds::table::Item::key(&*entry));
            add_value(&mut one, &entry);
            all.toss(&one.0);
        }
    }
    ctx.reply().simple(&all.hex());
    Ok(Flow::Done)
}

pub(super) fn digest_value(ctx: &mut Ctx<'_>) -> Outcome {
    let mut found = Vec::with_capacity(ctx.args.len() - 2);
    for i in 2..ctx.args.len() {
        let key = ctx.key(i);
        let mut digest = Digest::default();
        if let Some(entry) = ctx.db().peek(key) {
            add_value(&mut digest, &entry);
        }
        found.push(digest);
    }
    let mut r = ctx.reply();
    r.array(found.len());
    for digest in found {
        r.simple(&digest.hex());
    }
    Ok(Flow::Done)
}

fn add_value(d: &mut Digest, entry: &Entry) {
    d.mix(&type_number(entry.ty()).to_be_bytes());
    if let Some(stream) = entry.value::<Box<Stream>>() {
        add_entries(d, &stream);
        return add_expire(d, entry);
    }
    let bytes = payload(entry, false);
    // The saved form is the one form that every encoding has; reading it back gives its elements.
    match dump::decode(&bytes, false) {
        Ok(value) => add_elements(d, &value),
        Err(e) => log::warn!("DEBUG DIGEST: a value cannot be read back: {e}"),
    }
    add_expire(d, entry);
}

fn add_expire(d: &mut Digest, entry: &Entry) {
    if entry.expire().is_some() {
        d.toss(b"!!expire!!");
    }
}

fn add_entries(d: &mut Digest, stream: &Stream) {
    let mut range = stream.log.range(StreamId::default(), StreamId::MAX);
    while let Some(entry) = range.next() {
        let id = entry.id;
        d.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
        let mut fields = entry.fields;
        for (name, value) in &mut fields {
            d.mix(&text(name));
            d.mix(&text(value));
        }
        range.resume(fields);
    }
}

fn add_elements(d: &mut Digest, value: &RdbValue) {
    match value {
        RdbValue::Str(text) => d.mix(text),
        RdbValue::List(nodes) => {
            for node in nodes {
                match node {
                    ListNode::Plain(text) => d.mix(text),
                    ListNode::Packed(pack) => texts(pack).iter().for_each(|t| d.mix(t)),
                }
            }
        }
        RdbValue::SetInts(ints) => ints.iter().for_each(|i| d.toss(i.to_string().as_bytes())),
        RdbValue::SetPacked(pack) => texts(pack).iter().for_each(|t| d.toss(t)),
        RdbValue::Set(members) => members.iter().for_each(|m| d.toss(m)),
        RdbValue::HashPacked(pack) => {
            for pair in texts(pack).chunks_exact(2) {
                add_field(d, &pair[0], &pair[1], false);
            }
        }
        RdbValue::HashPackedTtl(pack) => {
            for triple in texts(pack).chunks_exact(3) {
                add_field(d, &triple[0], &triple[1], triple[2] != b"0");
            }
        }
        RdbValue::Hash(fields) => {
            for (field, value, expire) in fields {
                add_field(d, field, value, expire.is_some());
            }
        }
        RdbValue::ZsetPacked(pack) => {
            for pair in texts(pack).chunks_exact(2) {
                let score = crate::ds::numtext::parse_f64(&pair[1]).unwrap_or(0.0);
                add_member(d, &pair[0], score);
            }
        }
        RdbValue::Zset(members) => members.iter().for_each(|(m, s)| add_member(d, m, *s)),
        // It has its own way.
        RdbValue::Stream(_) => {}
    }
}

fn text(e: PackEntry<'_>) -> Vec<u8> {
    match e {
        PackEntry::Int(i) => i.to_string().into_bytes(),
        PackEntry::Bytes(b) => b.to_vec(),
    }
}

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(text).collect()
}

fn add_field(d: &mut Digest, field: &[u8], value: &[u8], expires: bool) {
    let mut one = Digest::default();
    one.mix(field);
    one.mix(value);
    if expires {
        one.toss(b"!!hexpire!!");
    }
    d.toss(&one.0);
}

fn add_member(d: &mut Digest, member: &[u8], score: f64) {
    let mut one = Digest::default();
    one.mix(member);
    // As replies show it: 8.2.3's way. 7.0 mixed 17 digits in.
    one.mix(write_f64(score, &mut [0; F64_TEXT_MAX]));
    d.toss(&one.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::entry::NewStr;

    #[test]
    fn scores_as_8_2_3_digests_them() {
        let of = |score| {
            let mut d = Digest::default();
            d.mix(&type_number(crate::keyspace::Type::ZSet).to_be_bytes());
            add_member(&mut d, b"a", score);
            d.hex()
        };
        assert_eq!(of(1.1), "3d6fce76db7798c8d7a3744ccd18a3028dc78273");
        assert_eq!(of(1e30), "955b2044fce11db7a611cff9a7013c95832e07dc");
    }

    #[test]
    fn strings_as_8_2_3_digests_them() {
        let of = |value: &[u8]| {
            let mut d = Digest::default();
            add_value(&mut d, &Entry::string(b"k", &NewStr::Copy(value), None));
            d.hex()
        };
        assert_eq!(of(b"5"), "f8c2498ca74cdde7d02de23246736a661485b50e");
        assert_eq!(of(b"foo"), "b7f507e4e114eaf82bb9a21d385c60ee2545432e");
    }
}
