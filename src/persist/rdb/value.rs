//! Values between the file and the keyspace's types.
//!
//! `Value` is what the decoder yields: strings borrow the input buffer, packed encodings come as checked `Listpack`/`Intset`
//! ready to be stored, and tables come as `Elements`, pulled one by one so that a set of a hundred million members never
//! exists twice. `RdbValue` is the same, owned: for tests, tools and COPY-like uses, and comparable.
//!
//! Duplicates among `Elements` are found by whoever builds a table from them; `Decoder::corrupt` makes the error.
use super::error::RdbError;
use super::source::{Piece, Source};
use super::stream::StreamValue;
use crate::ds::intset::Intset;
use crate::ds::listpack::{Entry, Listpack};
use std::io::Read;

/// A string value; integers are kept apart so that they need not be parsed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// Raw bytes, valid until the next event is pulled.
    Bytes(&'a [u8]),
    /// The decimal text of an integer.
    Int(i64),
}

impl Text<'_> {
    /// The bytes a client would see.
    pub fn to_vec(self) -> Vec<u8> {
        match self {
            Text::Bytes(bytes) => bytes.to_vec(),
            Text::Int(n) => n.to_string().into_bytes(),
        }
    }
}

/// One node of a list.
#[derive(Clone, PartialEq, Eq)]
pub enum ListNode {
    /// One big element by itself.
    Plain(Vec<u8>),
    /// Many small ones, never none.
    Packed(Listpack),
}

impl ListNode {
    /// One element by itself. No format has a plain node without bytes, so an empty one is packed.
    fn of(element: Vec<u8>) -> ListNode {
        if element.is_empty() {
            let mut pack = Listpack::new();
            pack.push_back(&element);
            ListNode::Packed(pack)
        } else {
            ListNode::Plain(element)
        }
    }
}

/// A decoded value.
pub enum Value<'a, R: Read> {
    /// String.
    Str(Text<'a>),
    /// List, as nodes; at least one element.
    List(Vec<ListNode>),
    /// List from single elements (files before Redis 3.2).
    ListElements(Elements<'a, R>),
    /// Set of integers.
    SetInts(Intset),
    /// Small set.
    SetPacked(Listpack),
    /// Set from single members.
    SetElements(Elements<'a, R>),
    /// Small hash: field, value, ...
    HashPacked(Listpack),
    /// Small hash with field expirations: field, value, expire ms (0 none), ... ordered by expire, none last.
    HashPackedTtl(Listpack),
    /// Hash from single fields, some of which may expire.
    HashElements(Elements<'a, R>),
    /// Small sorted set: member, score, ... in order.
    ZsetPacked(Listpack),
    /// Sorted set from single members, in any order.
    ZsetElements(Elements<'a, R>),
    /// Stream.
    Stream(Box<StreamValue>),
    /// A collection without elements: skipped in files, refused in payloads.
    Empty,
    /// Module data that was passed over, its type name (only if the options ask to skip instead of failing).
    Module(String),
}

/// How the elements that follow in the input are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Member,
    Pair,
    /// Type 24: len (0 none, else expire - min + 1), field, value.
    PairTtl {
        min_expire_ms: u64,
    },
    /// Type 22 of Redis: len expire, field, value.
    PairTtlAbsolute,
    /// Type 22 of Valkey: field, value, i64 expire.
    PairTtlValkey,
    Scored,
    ScoredText,
}

/// Elements announced and not yet read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub layout: Layout,
    pub left: u64,
}

/// The elements of a table, read as they are asked for. What is not asked for is passed over at the next event.
pub struct Elements<'a, R> {
    pub(super) source: &'a mut Source<R>,
    pub(super) member: &'a mut Vec<u8>,
    pub(super) value: &'a mut Vec<u8>,
    pub(super) pending: &'a mut Pending,
}

/// One element; valid until the next one is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element<'a> {
    /// The element, member or field.
    pub member: &'a [u8],
    /// A hash field's value, else empty.
    pub value: &'a [u8],
    /// A sorted set member's score (never NaN), else 0.
    pub score: f64,
    /// When a hash field expires, milliseconds since 1970.
    pub expire_ms: Option<u64>,
}

impl<R: Read> Elements<'_, R> {
    /// Elements still to come, as announced by the file: not to be trusted with an allocation, see `reserve_hint`.
    pub fn remaining(&self) -> u64 {
        self.pending.left
    }

    /// How many elements a table may be sized for ahead of their arrival.
    pub fn reserve_hint(&self) -> usize {
        self.pending.left.min(1 << 16) as usize
    }

    /// A violated rule (such as a duplicate) at the current offset.
    pub fn corrupt(&self, what: &'static str) -> RdbError {
        self.source.corrupt(what)
    }

    /// The next element, `None` after the last.
    #[allow(clippy::should_implement_trait)] // lending: each element borrows the decoder
    #[inline]
    pub fn next(&mut self) -> Result<Option<Element<'_>>, RdbError> {
        if self.pending.left == 0 {
            return Ok(None);
        }
        self.pending.left -= 1;
        let (mut score, mut expire_ms) = (0.0, None);
        if self.pending.layout == Layout::Member {
            let piece = self.source.string(self.member)?;
            let member = resolve(self.source, piece, self.member);
            return Ok(Some(Element {
                member,
                value: b"",
                score,
                expire_ms,
            }));
        }
        match self.pending.layout {
            Layout::PairTtl { min_expire_ms } => {
                expire_ms = relative_expire(self.source, min_expire_ms)?
            }
            Layout::PairTtlAbsolute => expire_ms = absolute_expire(self.source)?,
            _ => {}
        }
        self.member.clear();
        self.source.string_into(self.member)?;
        match self.pending.layout {
            Layout::Scored => score = self.source.double()?,
            Layout::ScoredText => score = self.source.old_double()?,
            Layout::PairTtlValkey => {
                self.value.clear();
                self.source.string_into(self.value)?;
                expire_ms = valkey_expire(self.source)?;
                return Ok(Some(Element {
                    member: self.member,
                    value: self.value,
                    score,
                    expire_ms,
                }));
            }
            _ => {
                let piece = self.source.string(self.value)?;
                let value = resolve(self.source, piece, self.value);
                return Ok(Some(Element {
                    member: self.member,
                    value,
                    score,
                    expire_ms,
                }));
            }
        }
        if score.is_nan() {
            return Err(self.source.corrupt("Zset with NAN score detected"));
        }
        Ok(Some(Element {
            member: self.member,
            value: b"",
            score,
            expire_ms,
        }))
    }

    fn collect<T>(&mut self, mut f: impl FnMut(Element<'_>) -> T) -> Result<Vec<T>, RdbError> {
        let mut out = Vec::with_capacity(self.reserve_hint());
        while let Some(element) = self.next()? {
            out.push(f(element));
        }
        Ok(out)
    }
}

/// The bytes of a string just read.
#[inline]
pub(super) fn resolve<'b, R: Read>(
    source: &'b Source<R>,
    piece: Piece,
    scratch: &'b mut Vec<u8>,
) -> &'b [u8] {
    match piece {
        Piece::Buffer(range) => source.bytes(range),
        Piece::Scratch => scratch,
        Piece::Int(n) => {
            scratch.clear();
            scratch.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            scratch
        }
    }
}

/// The latest field expiration that exists (46 bits of milliseconds, as HPEXPIREAT accepts).
pub const MAX_FIELD_EXPIRE_MS: u64 = (1 << 46) - 1;

fn relative_expire<R: Read>(
    source: &mut Source<R>,
    min_expire_ms: u64,
) -> Result<Option<u64>, RdbError> {
    match source.number()? {
        0 => Ok(None),
        n => match min_expire_ms.checked_add(n - 1) {
            Some(ms) if ms <= MAX_FIELD_EXPIRE_MS => Ok(Some(ms)),
            _ => Err(source.corrupt("Hash field expiration out of range")),
        },
    }
}

fn absolute_expire<R: Read>(source: &mut Source<R>) -> Result<Option<u64>, RdbError> {
    match source.number()? {
        0 => Ok(None),
        // A later one would be saved in a form that does not load.
        ms if ms <= MAX_FIELD_EXPIRE_MS => Ok(Some(ms)),
        _ => Err(source.corrupt("Hash field expiration out of range")),
    }
}

fn valkey_expire<R: Read>(source: &mut Source<R>) -> Result<Option<u64>, RdbError> {
    match source.i64_le()? {
        -1 => Ok(None),
        ms if (0..=MAX_FIELD_EXPIRE_MS as i64).contains(&ms) => Ok(Some(ms as u64)),
        _ => Err(source.corrupt("Hash field expiration out of range")),
    }
}

/// A value by itself, without borrowing an input.
#[derive(Clone, PartialEq)]
#[allow(missing_docs)] // the variants are those of `Value`
pub enum RdbValue {
    Str(Vec<u8>),
    List(Vec<ListNode>),
    SetInts(Intset),
    SetPacked(Listpack),
    Set(Vec<Vec<u8>>),
    HashPacked(Listpack),
    HashPackedTtl(Listpack),
    /// Field, value, expire in milliseconds.
    Hash(Vec<(Vec<u8>, Vec<u8>, Option<u64>)>),
    ZsetPacked(Listpack),
    Zset(Vec<(Vec<u8>, f64)>),
    Stream(Box<StreamValue>),
}

impl<R: Read> Value<'_, R> {
    /// Reads what is still to be read; `None` for an empty collection or skipped module data.
    pub fn into_owned(self) -> Result<Option<RdbValue>, RdbError> {
        Ok(Some(match self {
            Value::Str(text) => RdbValue::Str(text.to_vec()),
            Value::List(nodes) => RdbValue::List(nodes),
            Value::ListElements(mut elements) => {
                RdbValue::List(elements.collect(|e| ListNode::of(e.member.to_vec()))?)
            }
            Value::SetInts(ints) => RdbValue::SetInts(ints),
            Value::SetPacked(blob) => RdbValue::SetPacked(blob),
            Value::SetElements(mut elements) => {
                RdbValue::Set(elements.collect(|e| e.member.to_vec())?)
            }
            Value::HashPacked(blob) => RdbValue::HashPacked(blob),
            Value::HashPackedTtl(blob) => RdbValue::HashPackedTtl(blob),
            Value::HashElements(mut elements) => RdbValue::Hash(
                elements.collect(|e| (e.member.to_vec(), e.value.to_vec(), e.expire_ms))?,
            ),
            Value::ZsetPacked(blob) => RdbValue::ZsetPacked(blob),
            Value::ZsetElements(mut elements) => {
                RdbValue::Zset(elements.collect(|e| (e.member.to_vec(), e.score))?)
            }
            Value::Stream(stream) => RdbValue::Stream(stream),
            Value::Empty | Value::Module(_) => return Ok(None),
        }))
    }
}

/// The integer an entry is, or reads as.
pub(in crate::persist) fn entry_u64(entry: Entry<'_>) -> Option<u64> {
    match entry {
        Entry::Int(n) => u64::try_from(n).ok(),
        Entry::Bytes(bytes) => crate::ds::numtext::parse_u64(bytes),
    }
}
