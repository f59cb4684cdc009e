//! Ziplist and zipmap, the packed encodings of Redis before 7 (and hashes before 2.6), read into listpacks.
//!
//! **Ziplist**
//!
//! | offset | size | meaning                                                       |
//! |-------:|-----:|---------------------------------------------------------------|
//! |      0 |    4 | total bytes, u32 LE                                           |
//! |      4 |    4 | offset of the last entry, u32 LE                              |
//! |      8 |    2 | entries, u16 LE; 65535 = count by walking                     |
//! |     10 |    n | entries                                                       |
//! |   10+n |    1 | 0xFF                                                          |
//!
//! An entry is the length of the one before it (one byte below 254, or 254 and u32 LE), then its encoding:
//!
//! | first byte            | data                                                              |
//! |-----------------------|-------------------------------------------------------------------|
//! | `00xxxxxx`            | string of 0..63 bytes                                             |
//! | `01xxxxxx`            | string, 14-bit length, big endian                                 |
//! | `10......`            | string, u32 BE length follows                                     |
//! | 0xC0, 0xD0, 0xE0      | integer of 2, 4, 8 bytes LE                                       |
//! | 0xF0, 0xFE            | integer of 3, 1 bytes LE                                          |
//! | 0xF1..0xFD            | the integer 0..12                                                 |
//!
//! **Zipmap**: one byte count (254: unknown), then per field: length (one byte below 254, or 254 and u32 LE), the field,
//! length, one byte of free space f, the value, f unused bytes; 0xFF ends.
//!
//! Both are walked completely with every bound checked; back references and totals must agree.
use crate::ds::listpack::{Listpack, entry_bytes, safe_to_add};

const ZIPLIST_HEADER: usize = 10;
const END: u8 = 0xFF;
const BIG_LEN: u8 = 254;

/// An item of a ziplist.
enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

/// Converts a ziplist; `None` if it is damaged or the result would be beyond the listpack's limit.
pub fn ziplist_to_listpack(blob: &[u8]) -> Option<Listpack> {
    let header = blob.get(..ZIPLIST_HEADER)?;
    let total = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    let tail = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    let count = u16::from_le_bytes(header[8..10].try_into().ok()?);
    if total != blob.len() || *blob.last()? != END {
        return None;
    }
    let body = &blob[..total - 1];
    let mut out = Listpack::new();
    let (mut at, mut before, mut last, mut items) = (ZIPLIST_HEADER, 0, ZIPLIST_HEADER, 0usize);
    while at < body.len() {
        let (prev_len, prev_size) = read_prev_len(body.get(at..)?)?;
        let (item, item_size) = read_item(body.get(at + prev_size..)?)?;
        if prev_len != before {
            return None;
        }
        push(&mut out, item)?;
        last = at;
        before = prev_size + item_size;
        at += before;
        items += 1;
    }
    let count_ok = count == u16::MAX || usize::from(count) == items;
    (count_ok && tail == last && at == body.len()).then_some(out)
}

fn push(out: &mut Listpack, item: Item<'_>) -> Option<()> {
    match item {
        Item::Int(n) if safe_to_add(out.total_bytes(), 10) => out.push_int(n),
        Item::Bytes(bytes) if safe_to_add(out.total_bytes(), entry_bytes(bytes)) => {
            out.push_back(bytes)
        }
        _ => return None,
    }
    Some(())
}

/// Length of the entry before, and the bytes that says it.
fn read_prev_len(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        BIG_LEN => Some((
            u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize,
            5,
        )),
        END => None,
        n => Some((usize::from(n), 1)),
    }
}

/// An item and its size, encoding included.
fn read_item(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let first = *bytes.first()?;
    let string = |head: usize, len: usize| {
        let end = head.checked_add(len)?;
        Some((Item::Bytes(bytes.get(head..end)?), end))
    };
    match first {
        0..=0x3F => string(1, usize::from(first)),
        0x40..=0x7F => string(
            2,
            usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(1)?),
        ),
        0x80 => string(
            5,
            u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize,
        ),
        0xC0 => int(bytes, 2),
        0xD0 => int(bytes, 4),
        0xE0 => int(bytes, 8),
        0xF0 => int(bytes, 3),
        0xFE => int(bytes, 1),
        0xF1..=0xFD => Some((Item::Int(i64::from(first & 15) - 1), 1)),
        _ => None,
    }
}

/// A little-endian integer of `size` bytes behind the encoding byte.
fn int(bytes: &[u8], size: usize) -> Option<(Item<'_>, usize)> {
    let data = bytes.get(1..1 + size)?;
    let mut wide = [0; 8];
    wide[8 - size..].copy_from_slice(data);
    Some((
        Item::Int(i64::from_le_bytes(wide) >> (64 - 8 * size)),
        1 + size,
    ))
}

/// Converts a zipmap into field, value, ...; `None` if it is damaged, or empty (no server wrote such).
pub fn zipmap_to_listpack(blob: &[u8]) -> Option<Listpack> {
    let count = *blob.first()?;
    let (mut at, mut fields) = (1, 0usize);
    let mut out = Listpack::new();
    while *blob.get(at)? != END {
        let field = zipmap_string(blob, &mut at, false)?;
        let value = zipmap_string(blob, &mut at, true)?;
        push(&mut out, Item::Bytes(field))?;
        push(&mut out, Item::Bytes(value))?;
        fields += 1;
    }
    let count_ok = count >= BIG_LEN || usize::from(count) == fields;
    (count_ok && fields > 0 && at + 1 == blob.len()).then_some(out)
}

/// A field, or a value with its free space, at `*at`, which moves behind it.
fn zipmap_string<'a>(blob: &'a [u8], at: &mut usize, has_free: bool) -> Option<&'a [u8]> {
    let (len, mut head) = match *blob.get(*at)? {
        END => return None,
        BIG_LEN => {
            let len = u32::from_le_bytes(blob.get(*at + 1..*at + 5)?.try_into().ok()?) as usize;
            // The long form of a short length would be skipped over wrongly by a reader that rewrites it.
            (Some(len).filter(|&len| len >= usize::from(BIG_LEN))?, 5)
        }
        n => (usize::from(n), 1),
    };
    let mut free = 0;
    if has_free {
        free = usize::from(*blob.get(*at + head)?);
        head += 1;
    }
    let start = *at + head;
    let text = blob.get(start..start.checked_add(len)?)?;
    *at = start + len + free;
    Some(text)
}
