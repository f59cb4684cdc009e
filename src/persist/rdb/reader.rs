//! The decoder: pulls one event after the other out of a file, a socket or a payload, in one pass and bounded memory.
//!
//! `next` reads opcodes until something is complete. A key's expire, idle time and LFU counter come before it and are
//! gathered; the key is copied into a buffer that is reused; the value borrows what it can (see `value`). Nothing of an
//! event outlives the next call, so a million string keys cost no allocation here.
//!
//! `Doing`, `current_key` and `current_type` tell a tool or a log what was being read when it failed.
//! Invariant: `pending.left` elements of the current value are still in the input; they are passed over before the next
//! event, so a caller may drop a value half read (an expired key, say).
use super::error::{RdbError, Reason};
use super::format::{self, RdbType, module_kind, op};
use super::source::{Piece, Source};
use super::stream::{self, StreamLayout};
use super::value::{Elements, Layout, ListNode, Pending, Text, Value, resolve};
use super::{blob, legacy};
use crate::ds::listpack::Listpack;
use std::io::Read;

/// String values above this are collected in a vector of their own instead of one that is kept.
const SCRATCH_KEEP: usize = 1 << 20;
/// First version with a checksum. Before it only the records of that time are accepted: otherwise one flipped bit in the
/// version would switch the checksum off unnoticed.
const CHECKSUM_SINCE: u16 = 5;
/// Nodes of a list reserved ahead of their arrival, at most.
const NODES_RESERVE: u64 = 1024;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Compare the checksum at the end (`rdbchecksum`).
    pub checksum: bool,
    /// Look for duplicates and wrong order in packed encodings (`sanitize-dump-payload`).
    pub deep: bool,
    /// Pass over module data instead of failing.
    pub skip_modules: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            checksum: true,
            deep: false,
            skip_modules: false,
        }
    }
}

/// What came next in the file.
pub enum Event<'a, R: Read> {
    /// Auxiliary field: name and value.
    Aux(&'a [u8], &'a [u8]),
    /// The keys that follow belong to this database.
    SelectDb(u64),
    /// Hint: keys, and keys with an expire, of the database. Untrusted: cap it before reserving.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Those that expire.
        expires: u64,
    },
    /// Hint: a cluster slot's keys, likewise.
    SlotInfo {
        /// Slot number.
        slot: u64,
        /// Keys.
        keys: u64,
        /// Those that expire.
        expires: u64,
    },
    /// A function library's source.
    Function(&'a [u8]),
    /// Auxiliary module data of this module type, passed over (only with `skip_modules`), and where its values begin.
    ModuleAux(String, u64),
    /// A key with its value.
    Entry(Entry<'a, R>),
    /// The end, after which nothing may be pulled.
    Eof(Checksum),
}

/// What became of the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Compared and right.
    Ok,
    /// The writer did not compute one.
    Disabled,
    /// Not compared, as asked.
    Skipped,
    /// The version has none.
    Absent,
}

/// A key, what is known about it, and its value.
pub struct Entry<'a, R: Read> {
    /// The key.
    pub key: &'a [u8],
    /// When it expires, ms since 1970.
    pub expire_ms: Option<i64>,
    /// Seconds since it was last used, if the file says.
    pub idle_s: Option<u64>,
    /// LFU counter, if the file says.
    pub freq: Option<u8>,
    /// How the file held it.
    pub rdb_type: RdbType,
    /// Its value.
    pub value: Value<'a, R>,
}

/// What the decoder is at; `label` is the check tool's wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Doing {
    Start,
    ReadType,
    ReadExpire,
    ReadLen,
    ReadAux,
    ReadModuleAux,
    ReadFunctions,
    ReadKey,
    ReadValue,
    CheckSum,
}

impl Doing {
    /// As printed behind "While doing:".
    pub fn label(self) -> &'static str {
        match self {
            Doing::Start => "start",
            Doing::ReadType => "read-type",
            Doing::ReadExpire => "read-expire",
            Doing::ReadLen => "read-len",
            Doing::ReadAux => "read-aux",
            Doing::ReadModuleAux => "read-module-aux",
            Doing::ReadFunctions => "read-functions",
            Doing::ReadKey => "read-key",
            Doing::ReadValue => "read-object-value",
            Doing::CheckSum => "check-sum",
        }
    }
}

/// Attributes of the next key, gathered from the opcodes before it.
#[derive(Default, Clone, Copy)]
struct Attributes {
    expire_ms: Option<i64>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

/// See the file header.
pub struct Decoder<R> {
    source: Source<R>,
    options: LoadOptions,
    version: u16,
    valkey: bool,
    doing: Doing,
    rdb_type: Option<RdbType>,
    has_key: bool,
    key: Vec<u8>,
    member: Vec<u8>,
    value: Vec<u8>,
    pending: Pending,
}

impl<R: Read> Decoder<R> {
    /// Reads a file (or a stream of the same form) from its first byte.
    pub fn new(inner: R, options: LoadOptions) -> Decoder<R> {
        Decoder::with_source(Source::new(inner, options.checksum), options)
    }

    /// Reads a bare value (type byte and body) as in DUMP payloads of `version`; see `payload_value`.
    pub(super) fn for_payload(inner: R, len: usize, version: u16, deep: bool) -> Decoder<R> {
        let options = LoadOptions {
            checksum: false,
            deep,
            skip_modules: false,
        };
        let mut decoder = Decoder::with_source(Source::with_buffer(inner, len, false), options);
        decoder.version = version;
        decoder.valkey = version == format::RDB_VERSION_VALKEY;
        decoder
    }

    fn with_source(source: Source<R>, options: LoadOptions) -> Decoder<R> {
        Decoder {
            source,
            options,
            version: 0,
            valkey: false,
            doing: Doing::Start,
            rdb_type: None,
            has_key: false,
            key: Vec::new(),
            member: Vec::new(),
            value: Vec::new(),
            pending: Pending {
                layout: Layout::Member,
                left: 0,
            },
        }
    }

    /// Bytes consumed.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The file's version, 0 before the first event.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// What is being read.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// The key being read, if one is.
    pub fn current_key(&self) -> Option<&[u8]> {
        self.has_key.then_some(&self.key[..])
    }

    /// The type of the last value met.
    pub fn current_type(&self) -> Option<RdbType> {
        self.rdb_type
    }

    /// A violated rule found by the caller (a duplicate, an unknown database) at the current offset.
    pub fn corrupt(&self, what: &'static str) -> RdbError {
        self.source.corrupt(what)
    }

    /// A failure at the current offset.
    pub(super) fn fail(&self, reason: Reason) -> RdbError {
        self.source.fail(reason)
    }

    /// The reader and the bytes read but not consumed: what follows the RDB part of an AOF.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        self.source.into_parts()
    }

    /// The reader, to look at.
    pub fn input(&self) -> &R {
        self.source.input()
    }

    /// Access to the reader, for progress and pacing.
    pub fn get_mut(&mut self) -> &mut R {
        self.source.get_mut()
    }

    /// The next event. After an error or `Eof` the decoder is of no further use but for its getters.
    #[allow(clippy::should_implement_trait)] // lending: each event borrows the decoder
    pub fn next(&mut self) -> Result<Event<'_, R>, RdbError> {
        if self.doing == Doing::Start {
            self.header()?;
        }
        if self.pending.left > 0 {
            self.skip_pending()?;
        }
        self.has_key = false;
        self.rdb_type = None;
        let mut attributes = Attributes::default();
        loop {
            self.doing = Doing::ReadType;
            let byte = self.source.byte()?;
            if self.version < CHECKSUM_SINCE
                && !matches!(byte, 0..=4 | 9..=13 | op::EXPIRE_MS..=op::EOF)
            {
                return Err(self.source.corrupt("Record newer than the file's version"));
            }
            if self.attribute(byte, &mut attributes)? {
                continue;
            }
            return match RdbType::from_byte(byte) {
                Some(ty) => self.entry(ty, attributes),
                None => self.opcode(byte),
            };
        }
    }

    fn header(&mut self) -> Result<(), RdbError> {
        let bytes: [u8; format::HEADER_LEN] = self.source.array()?;
        let (valkey, digits) = match &bytes {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (false, &digits[..]),
            [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (true, &digits[..]),
            _ => return Err(self.source.fail(Reason::WrongSignature)),
        };
        let text = digits.iter().take_while(|b| b.is_ascii_digit());
        let version = text.fold(0u16, |n, b| n * 10 + u16::from(b - b'0'));
        if !format::readable_version(version, Some(valkey))
            || !digits.iter().all(u8::is_ascii_digit)
        {
            return Err(self.source.fail(Reason::Version(version.into())));
        }
        self.version = version;
        self.valkey = valkey;
        Ok(())
    }

    /// Takes in an opcode that speaks about the next key; false if `byte` is none of them.
    fn attribute(&mut self, byte: u8, attributes: &mut Attributes) -> Result<bool, RdbError> {
        match byte {
            op::EXPIRE_MS => {
                self.doing = Doing::ReadExpire;
                attributes.expire_ms = Some(self.source.i64_le()?);
            }
            op::EXPIRE_S => {
                self.doing = Doing::ReadExpire;
                attributes.expire_ms =
                    Some(i64::from(i32::from_le_bytes(self.source.array()?)) * 1000);
            }
            op::IDLE => attributes.idle_s = Some(self.source.number()?),
            op::FREQ => attributes.freq = Some(self.source.byte()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn opcode(&mut self, byte: u8) -> Result<Event<'_, R>, RdbError> {
        match byte {
            op::AUX => self.aux(),
            op::SELECT_DB => {
                self.doing = Doing::ReadLen;
                Ok(Event::SelectDb(self.source.number()?))
            }
            op::RESIZE_DB => {
                self.doing = Doing::ReadLen;
                Ok(Event::ResizeDb {
                    keys: self.source.number()?,
                    expires: self.source.number()?,
                })
            }
            op::SLOT_INFO => Ok(Event::SlotInfo {
                slot: self.source.number()?,
                keys: self.source.number()?,
                expires: self.source.number()?,
            }),
            op::FUNCTION2 => {
                self.doing = Doing::ReadFunctions;
                let piece = self.source.string(&mut self.value)?;
                Ok(Event::Function(resolve(
                    &self.source,
                    piece,
                    &mut self.value,
                )))
            }
            op::FUNCTION_PRE_GA => Err(self
                .source
                .corrupt("Pre-release function format not supported")),
            op::SLOT_IMPORT => Err(self
                .source
                .corrupt("Slot import state of Valkey not supported.")),
            op::MODULE_AUX => self.module_aux(),
            op::EOF => self.eof(),
            _ => Err(self.source.fail(Reason::UnknownType(byte))),
        }
    }

    fn aux(&mut self) -> Result<Event<'_, R>, RdbError> {
        self.doing = Doing::ReadAux;
        self.member.clear();
        self.source.string_into(&mut self.member)?;
        let piece = self.source.string(&mut self.value)?;
        Ok(Event::Aux(
            &self.member,
            resolve(&self.source, piece, &mut self.value),
        ))
    }

    fn eof(&mut self) -> Result<Event<'_, R>, RdbError> {
        self.doing = Doing::CheckSum;
        if self.version < CHECKSUM_SINCE {
            return Ok(Event::Eof(Checksum::Absent));
        }
        let computed = self.source.checksum();
        let stored = u64::from_le_bytes(self.source.array()?);
        if !self.options.checksum {
            return Ok(Event::Eof(Checksum::Skipped));
        }
        match stored {
            0 => Ok(Event::Eof(Checksum::Disabled)),
            _ if stored == computed => Ok(Event::Eof(Checksum::Ok)),
            _ => Err(self.source.fail(Reason::Checksum { computed, stored })),
        }
    }

    fn module_aux(&mut self) -> Result<Event<'_, R>, RdbError> {
        self.doing = Doing::ReadModuleAux;
        let name = format::module_type_name(self.source.number()?);
        if !self.options.skip_modules {
            return Err(self.source.fail(Reason::ModuleAux(name)));
        }
        self.source.number()?;
        self.source.number()?;
        let values_at = self.source.offset();
        self.skip_module_values()?;
        Ok(Event::ModuleAux(name, values_at))
    }

    fn skip_module_values(&mut self) -> Result<(), RdbError> {
        loop {
            match self.source.number()? {
                module_kind::EOF => return Ok(()),
                module_kind::SINT | module_kind::UINT => drop(self.source.number()?),
                module_kind::FLOAT => drop(self.source.array::<4>()?),
                module_kind::DOUBLE => drop(self.source.array::<8>()?),
                module_kind::STRING => self.source.skip_string()?,
                _ => {
                    return Err(self
                        .source
                        .corrupt("Error reading module data: unknown value kind"));
                }
            }
        }
    }

    fn entry(&mut self, ty: RdbType, attributes: Attributes) -> Result<Event<'_, R>, RdbError> {
        self.rdb_type = Some(ty);
        self.doing = Doing::ReadKey;
        match self.source.string(&mut self.member)? {
            Piece::Buffer(range) => {
                self.key.clear();
                self.key.extend_from_slice(self.source.bytes(range));
            }
            piece => {
                let bytes = resolve(&self.source, piece, &mut self.member);
                self.key.clear();
                self.key.extend_from_slice(bytes);
            }
        }
        self.has_key = true;
        self.doing = Doing::ReadValue;
        let Attributes {
            expire_ms,
            idle_s,
            freq,
        } = attributes;
        let (key, value) = self.value(ty)?;
        Ok(Event::Entry(Entry {
            key,
            expire_ms,
            idle_s,
            freq,
            rdb_type: ty,
            value,
        }))
    }

    /// The value of a payload: type byte and body.
    pub(super) fn payload_value(&mut self) -> Result<Value<'_, R>, RdbError> {
        let byte = self.source.byte()?;
        let Some(ty) = RdbType::from_byte(byte) else {
            return Err(self.source.fail(Reason::UnknownType(byte)));
        };
        self.rdb_type = Some(ty);
        Ok(self.value(ty)?.1)
    }

    /// Reads a value's body; gives the key along, since both borrow the decoder.
    fn value(&mut self, ty: RdbType) -> Result<(&[u8], Value<'_, R>), RdbError> {
        let value = match ty {
            RdbType::String => return self.string_value(),
            RdbType::List | RdbType::Set | RdbType::Zset | RdbType::Zset2 => {
                return self.elements(ty);
            }
            RdbType::Hash | RdbType::HashTtl | RdbType::HashTtlPreGa => return self.elements(ty),
            RdbType::ListZiplist => self.one_node_list()?,
            RdbType::Quicklist | RdbType::Quicklist2 => {
                self.quicklist(ty == RdbType::Quicklist2)?
            }
            RdbType::SetIntset => self.set_ints()?,
            RdbType::SetListpack => self.packed(ty)?,
            RdbType::HashZipmap | RdbType::HashZiplist | RdbType::HashListpack => {
                self.packed(ty)?
            }
            RdbType::ZsetZiplist | RdbType::ZsetListpack => self.packed(ty)?,
            RdbType::HashListpackTtlPreGa => self.packed(ty)?,
            RdbType::HashListpackTtl => {
                self.source.i64_le()?; // the smallest expire: the fields say it again
                self.packed(ty)?
            }
            RdbType::Stream => self.stream(StreamLayout::V1)?,
            RdbType::Stream2 => self.stream(StreamLayout::V2)?,
            RdbType::Stream3 => self.stream(StreamLayout::V3)?,
            RdbType::Module2 => self.module()?,
            RdbType::ModulePreGa => {
                return Err(self
                    .source
                    .corrupt("Pre-release module format not supported."));
            }
        };
        Ok((&self.key, value))
    }

    #[inline]
    fn string_value(&mut self) -> Result<(&[u8], Value<'_, R>), RdbError> {
        if self.value.capacity() > SCRATCH_KEEP {
            self.value = Vec::new();
        }
        let text = match self.source.string(&mut self.value)? {
            Piece::Buffer(range) => Text::Bytes(self.source.bytes(range)),
            Piece::Scratch => Text::Bytes(&self.value),
            Piece::Int(n) => Text::Int(n),
        };
        Ok((&self.key, Value::Str(text)))
    }

    fn elements(&mut self, ty: RdbType) -> Result<(&[u8], Value<'_, R>), RdbError> {
        let layout = match ty {
            RdbType::Hash => Layout::Pair,
            RdbType::HashTtl => Layout::PairTtl {
                min_expire_ms: self.source.i64_le()?.max(0) as u64,
            },
            RdbType::HashTtlPreGa if self.valkey => Layout::PairTtlValkey,
            RdbType::HashTtlPreGa => Layout::PairTtlAbsolute,
            RdbType::Zset => Layout::ScoredText,
            RdbType::Zset2 => Layout::Scored,
            _ => Layout::Member,
        };
        self.pending = Pending {
            layout,
            left: self.source.number()?,
        };
        if self.pending.left == 0 {
            return Ok((&self.key, Value::Empty));
        }
        let elements = Elements {
            source: &mut self.source,
            member: &mut self.member,
            value: &mut self.value,
            pending: &mut self.pending,
        };
        let value = match ty {
            RdbType::List => Value::ListElements(elements),
            RdbType::Set => Value::SetElements(elements),
            RdbType::Zset | RdbType::Zset2 => Value::ZsetElements(elements),
            _ => Value::HashElements(elements),
        };
        Ok((&self.key, value))
    }

    fn skip_pending(&mut self) -> Result<(), RdbError> {
        let mut rest = Elements {
            source: &mut self.source,
            member: &mut self.member,
            value: &mut self.value,
            pending: &mut self.pending,
        };
        while rest.next()?.is_some() {}
        Ok(())
    }

    /// Reads a blob and makes something of it; the error is placed behind the blob.
    fn blob<T>(
        &mut self,
        make: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, RdbError> {
        let piece = self.source.string(&mut self.value)?;
        let made = make(resolve(&self.source, piece, &mut self.value));
        made.map_err(|what| self.source.corrupt(what))
    }

    fn set_ints<'a>(&mut self) -> Result<Value<'a, R>, RdbError> {
        // An intset of no members is well formed but for being empty, which upstream refuses too.
        self.blob(blob::intset).map(Value::SetInts)
    }

    /// The one-blob encodings of sets, hashes and sorted sets.
    fn packed<'a>(&mut self, ty: RdbType) -> Result<Value<'a, R>, RdbError> {
        let deep = self.options.deep;
        let blob = self.blob(|bytes| read_packed(bytes, ty, deep))?;
        if blob.is_empty() {
            return Ok(Value::Empty);
        }
        Ok(match ty {
            RdbType::SetListpack => Value::SetPacked(blob),
            RdbType::ZsetZiplist | RdbType::ZsetListpack => Value::ZsetPacked(blob),
            RdbType::HashListpackTtl | RdbType::HashListpackTtlPreGa => Value::HashPackedTtl(blob),
            _ => Value::HashPacked(blob),
        })
    }

    fn one_node_list<'a>(&mut self) -> Result<Value<'a, R>, RdbError> {
        let node = self.blob(|bytes| ziplist(bytes, "List ziplist integrity check failed."))?;
        Ok(if node.is_empty() {
            Value::Empty
        } else {
            Value::List(vec![ListNode::Packed(node)])
        })
    }

    fn quicklist<'a>(&mut self, v2: bool) -> Result<Value<'a, R>, RdbError> {
        let count = self.source.number()?;
        let mut nodes = Vec::with_capacity(count.min(NODES_RESERVE) as usize);
        for _ in 0..count {
            let container = if v2 {
                self.source.number()?
            } else {
                format::NODE_PACKED
            };
            match container {
                format::NODE_PLAIN => match self.source.string_vec()? {
                    element if element.is_empty() => {
                        return Err(self.source.corrupt("Quicklist empty plain node"));
                    }
                    element => nodes.push(ListNode::Plain(element)),
                },
                format::NODE_PACKED => {
                    let node = self.blob(|bytes| match v2 {
                        true => blob::listpack(bytes, "Listpack integrity check failed."),
                        false => ziplist(bytes, "Ziplist integrity check failed."),
                    })?;
                    if !node.is_empty() {
                        nodes.push(ListNode::Packed(node));
                    }
                }
                _ => return Err(self.source.corrupt("Quicklist integrity check failed.")),
            }
        }
        Ok(if nodes.is_empty() {
            Value::Empty
        } else {
            Value::List(nodes)
        })
    }

    fn stream<'a>(&mut self, layout: StreamLayout) -> Result<Value<'a, R>, RdbError> {
        let stream = stream::read(&mut self.source, &mut self.value, layout, self.options.deep)?;
        Ok(Value::Stream(Box::new(stream)))
    }

    fn module<'a>(&mut self) -> Result<Value<'a, R>, RdbError> {
        let name = format::module_type_name(self.source.number()?);
        if !self.options.skip_modules {
            return Err(self.source.fail(Reason::Module(name)));
        }
        self.skip_module_values()?;
        Ok(Value::Module(name))
    }
}

fn ziplist(bytes: &[u8], what: &'static str) -> Result<Listpack, &'static str> {
    legacy::ziplist_to_listpack(bytes).ok_or(what)
}

/// A checked listpack from whichever blob the type holds. Old encodings are always checked deeply, as upstream does.
fn read_packed(bytes: &[u8], ty: RdbType, deep: bool) -> Result<Listpack, &'static str> {
    let (what, check): (_, fn(&Listpack, bool) -> _) = match ty {
        RdbType::SetListpack => ("Set listpack integrity check failed.", blob::check_set),
        RdbType::HashZiplist => ("Hash ziplist integrity check failed.", blob::check_hash),
        RdbType::ZsetZiplist => ("Zset ziplist integrity check failed.", blob::check_zset),
        RdbType::ZsetListpack => ("Zset listpack integrity check failed.", blob::check_zset),
        RdbType::HashZipmap => ("Zipmap integrity check failed.", blob::check_hash),
        RdbType::HashListpackTtl | RdbType::HashListpackTtlPreGa => (
            "Hash listpack integrity check failed.",
            blob::check_hash_ttl,
        ),
        _ => ("Hash listpack integrity check failed.", blob::check_hash),
    };
    let (blob, deep) = match ty {
        RdbType::HashZipmap => (legacy::zipmap_to_listpack(bytes).ok_or(what)?, true),
        RdbType::HashZiplist | RdbType::ZsetZiplist => (ziplist(bytes, what)?, true),
        _ => (blob::listpack(bytes, what)?, deep),
    };
    check(&blob, deep).map_err(|_| what)?;
    Ok(blob)
}
