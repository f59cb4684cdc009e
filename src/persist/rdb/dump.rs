//! DUMP payloads: one value by itself, with a version and a checksum.
//!
//! | offset | size | meaning                                                                    |
//! |-------:|-----:|----------------------------------------------------------------------------|
//! |      0 |    1 | type byte                                                                  |
//! |      1 |    n | body, as in a file                                                         |
//! |    1+n |    2 | version, u16 LE: 12 (as 8.2.3 stamps); 80 is Valkey 9                      |
//! |    3+n |    8 | CRC-64 of everything before it, u64 LE; zero is accepted, as upstream does |
//!
//! FUNCTION DUMP has the same end behind `0xF5, string` repeated.
//! Compat: bytes behind a complete value are refused; upstream ignores them.
use super::error::{RdbError, Reason};
use super::format::{RDB_VERSION, RdbType, op, readable_version};
use super::reader::Decoder;
use super::save;
use super::source::Source;
use super::value::{RdbValue, Value};
use super::writer::{Encoder, SaveOptions};
use crate::ds::crc64;
use std::fmt;

/// Bytes of version and checksum.
pub const FOOTER_LEN: usize = 10;

/// Why a payload is refused; `Display` is the text RESTORE answers behind `ERR `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpError {
    /// Too short, of an unknown version, or the checksum differs.
    Footer,
    /// The footer is right, the value is not.
    Value(RdbError),
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DumpError::Footer => "DUMP payload version or checksum are wrong",
            DumpError::Value(_) => "Bad data format",
        })
    }
}

impl std::error::Error for DumpError {}

impl From<RdbError> for DumpError {
    fn from(error: RdbError) -> DumpError {
        DumpError::Value(error)
    }
}

/// A payload whose footer was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Type byte and body.
    pub body: &'a [u8],
    /// Version that wrote it.
    pub version: u16,
}

/// Checks the footer and takes it off; the checksum too, unless DEBUG switched that off.
pub fn verify(payload: &[u8], check_crc: bool) -> Result<Payload<'_>, DumpError> {
    let at = payload
        .len()
        .checked_sub(FOOTER_LEN)
        .ok_or(DumpError::Footer)?;
    let (body, footer) = payload.split_at(at);
    let (version, stored) = match footer {
        [a, b, crc @ ..] => (
            u16::from_le_bytes([*a, *b]),
            crc.try_into().map_or(0, u64::from_le_bytes),
        ),
        _ => return Err(DumpError::Footer),
    };
    let crc_ok = !check_crc || stored == crc64::checksum(&payload[..at + 2]);
    if crc_ok && readable_version(version, None) {
        Ok(Payload { body, version })
    } else {
        Err(DumpError::Footer)
    }
}

/// Decodes a payload and gives its value to `build`, which makes it a value of the keyspace (and finds duplicates among
/// streamed elements). Empty collections and anything left unread are refused.
pub fn decode_with<'p, T>(
    payload: &'p [u8],
    check_crc: bool,
    deep: bool,
    build: impl FnOnce(Value<'_, &'p [u8]>) -> Result<T, RdbError>,
) -> Result<T, DumpError> {
    let Payload { body, version } = verify(payload, check_crc)?;
    let mut decoder = Decoder::for_payload(body, body.len(), version, deep);
    let value = decoder.payload_value()?;
    if matches!(value, Value::Empty) {
        return Err(decoder.fail(Reason::EmptyKey).into());
    }
    let built = build(value)?;
    if decoder.offset() != body.len() as u64 {
        return Err(decoder.corrupt("Bytes behind the value").into());
    }
    Ok(built)
}

/// Decodes a payload into an owned value. Duplicates among streamed elements are not looked for here.
pub fn decode(payload: &[u8], deep: bool) -> Result<RdbValue, DumpError> {
    decode_with(payload, true, deep, |value| {
        let owned = value.into_owned()?;
        owned.ok_or_else(|| RdbError::new(0, Reason::EmptyKey))
    })
}

/// Makes a payload: `body` puts type byte and body on the encoder it gets (forms as 8.2.3 writes them).
pub fn encode_with(
    body: impl FnOnce(&mut Encoder<Vec<u8>>) -> std::io::Result<()>,
    compress: bool,
) -> Vec<u8> {
    let options = SaveOptions {
        compress,
        checksum: false,
        version: RDB_VERSION,
        widest: false,
    };
    let mut encoder = Encoder::new(Vec::new(), options);
    let written = body(&mut encoder).and_then(|()| encoder.into_inner());
    add_footer(written.expect("writing to a vector does not fail"))
}

/// The payload of a value, byte for byte what 8.2.3 answers for the same data in the same encoding.
pub fn encode(value: &RdbValue, compress: bool) -> Vec<u8> {
    encode_with(
        |encoder| {
            let ty: RdbType = save::rdb_type(value, false);
            encoder.put_type(ty)?;
            encoder.put_value(value, ty)
        },
        compress,
    )
}

/// Adds version and checksum to a body.
pub fn add_footer(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&RDB_VERSION.to_le_bytes());
    let crc = crc64::checksum(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}

/// FUNCTION DUMP of library sources.
pub fn encode_functions<'a>(sources: impl Iterator<Item = &'a [u8]>, compress: bool) -> Vec<u8> {
    let mut sources = sources;
    encode_with(
        |encoder| sources.try_for_each(|source| encoder.function(source)),
        compress,
    )
}

/// The library sources in a FUNCTION DUMP payload.
pub fn decode_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, DumpError> {
    let Payload { body, .. } = verify(payload, true)?;
    let mut source = Source::with_buffer(body, body.len(), false);
    let mut out = Vec::new();
    while source.offset() < body.len() as u64 {
        match source.byte()? {
            op::FUNCTION2 => out.push(source.string_vec()?),
            _ => return Err(source.corrupt("given type is not a function").into()),
        }
    }
    Ok(out)
}
