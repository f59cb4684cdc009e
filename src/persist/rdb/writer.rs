//! The encoder: primitives, the header and the end, checksum, buffering, the fsync hook.
//!
//! Values are put on top of it in `save`. The checksum runs over the buffer when it is flushed. The encoder notes the lowest
//! version that can hold what was put (`RdbType::since`, opcodes); a seekable file gets that version into its header at the
//! end (`finish_file`): the checksum is linear, so the header's change is carried to the end without reading back.
//!
//! With `SaveOptions::widest`, values are written in the oldest form that loses nothing (see `save::rdb_type`).
use super::format::{self, HEADER_LEN, RDB_VERSION_LOWEST, RdbType, enc, op};
use crate::ds::numtext::parse_i64;
use crate::ds::{crc64, lzf};
use std::io::{self, Seek, SeekFrom, Write};

const BUF_LEN: usize = 64 << 10;
/// Strings of at most this many bytes are not tried with LZF.
const LZF_MIN_LEN: usize = 20;
/// Least bytes LZF must save to be kept.
const LZF_MIN_GAIN: usize = 4;
/// Texts up to this length may be written as 32-bit integers.
const INT_TEXT_MAX: usize = 11;
/// Bytes between two calls of the hook (`rdb-save-incremental-fsync`).
pub const HOOK_EVERY: u64 = 4 << 20;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct SaveOptions {
    /// Try LZF on strings (`rdbcompression`).
    pub compress: bool,
    /// Compute the checksum (`rdbchecksum`).
    pub checksum: bool,
    /// Version in the header; what is put must fit (`Encoder::needed_version`).
    pub version: u16,
    /// Prefer older forms of values that lose nothing.
    pub widest: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions {
            compress: true,
            checksum: true,
            version: format::RDB_VERSION,
            widest: true,
        }
    }
}

/// What stands before a key besides its type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryMeta {
    /// When it expires, ms since 1970.
    pub expire_ms: Option<i64>,
    /// Seconds since it was last used (under an LRU policy).
    pub idle_s: Option<u64>,
    /// LFU counter (under an LFU policy).
    pub freq: Option<u8>,
}

/// Called every `HOOK_EVERY` bytes with the output flushed: fsync, pacing, progress.
pub type Hook<W> = Box<dyn FnMut(&mut W, u64) -> io::Result<()>>;

/// See the file header.
pub struct Encoder<W> {
    inner: W,
    buf: Vec<u8>,
    packed: Vec<u8>,
    options: SaveOptions,
    crc: u64,
    written: u64,
    hook: Option<Hook<W>>,
    hook_at: u64,
    needed: u16,
}

impl<W: Write> Encoder<W> {
    /// Writes to `inner`; nothing is put yet.
    pub fn new(inner: W, options: SaveOptions) -> Encoder<W> {
        Encoder {
            inner,
            buf: Vec::with_capacity(BUF_LEN),
            packed: Vec::new(),
            options,
            crc: 0,
            written: 0,
            hook: None,
            hook_at: HOOK_EVERY,
            needed: RDB_VERSION_LOWEST,
        }
    }

    /// Calls `hook` with the output and the bytes written every `HOOK_EVERY` bytes.
    pub fn with_hook(mut self, hook: Hook<W>) -> Encoder<W> {
        self.hook = Some(hook);
        self
    }

    /// The options given.
    pub fn options(&self) -> SaveOptions {
        self.options
    }

    /// Lowest version that knows everything put so far.
    pub fn needed_version(&self) -> u16 {
        self.needed
    }

    /// Bytes put so far.
    pub fn offset(&self) -> u64 {
        self.written + self.buf.len() as u64
    }

    /// Notes that something of `version` was put.
    pub(super) fn need(&mut self, version: u16) {
        self.needed = self.needed.max(version);
    }

    /// Puts raw bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buf.len() + bytes.len() > BUF_LEN {
            return self.put_beyond(bytes);
        }
        self.buf.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn put_beyond(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        if bytes.len() <= BUF_LEN {
            self.buf.extend_from_slice(bytes);
            return Ok(());
        }
        // Pieces, so that the hook runs in the middle of a huge value too.
        for piece in bytes.chunks(HOOK_EVERY as usize) {
            if self.options.checksum {
                self.crc = crc64::update(self.crc, piece);
            }
            self.inner.write_all(piece)?;
            self.written += piece.len() as u64;
            self.run_hook()?;
        }
        Ok(())
    }

    /// Hands everything buffered to the output.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.options.checksum {
            self.crc = crc64::update(self.crc, &self.buf);
        }
        self.inner.write_all(&self.buf)?;
        self.written += self.buf.len() as u64;
        self.buf.clear();
        self.run_hook()
    }

    fn run_hook(&mut self) -> io::Result<()> {
        if self.written < self.hook_at {
            return Ok(());
        }
        self.hook_at = self.written + HOOK_EVERY;
        match &mut self.hook {
            Some(hook) => hook(&mut self.inner, self.written),
            None => Ok(()),
        }
    }

    /// Puts one byte.
    #[inline]
    pub fn put_byte(&mut self, byte: u8) -> io::Result<()> {
        self.put(&[byte])
    }

    /// Puts a length or number.
    #[inline]
    pub fn put_len(&mut self, n: u64) -> io::Result<()> {
        match n {
            0..0x40 => self.put(&[n as u8]),
            0x40..0x4000 => self.put(&[0x40 | (n >> 8) as u8, n as u8]),
            0x4000..=0xFFFF_FFFF => {
                let mut bytes = [0x80; 5];
                bytes[1..].copy_from_slice(&(n as u32).to_be_bytes());
                self.put(&bytes)
            }
            _ => {
                let mut bytes = [0x81; 9];
                bytes[1..].copy_from_slice(&n.to_be_bytes());
                self.put(&bytes)
            }
        }
    }

    /// Puts a string in its shortest form: integer, LZF, or as it is.
    #[inline]
    pub fn put_string(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() <= INT_TEXT_MAX {
            if let Some(n) = parse_i64(bytes).and_then(|n| i32::try_from(n).ok()) {
                return self.put_small_int(n);
            }
        } else if bytes.len() > LZF_MIN_LEN
            && self.options.compress
            && self.put_compressed(bytes)?
        {
            return Ok(());
        }
        self.put_len(bytes.len() as u64)?;
        self.put(bytes)
    }

    fn put_compressed(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.packed.clear();
        if lzf::compress_into(bytes, bytes.len() - LZF_MIN_GAIN, &mut self.packed).is_none() {
            return Ok(false);
        }
        let packed = std::mem::take(&mut self.packed);
        let done = self.put_lzf(&packed, bytes.len() as u64);
        self.packed = packed;
        done.map(|()| true)
    }

    /// Puts a string that is already LZF-compressed (a quicklist's inner node).
    pub fn put_lzf(&mut self, packed: &[u8], len: u64) -> io::Result<()> {
        self.put_byte(0xC0 | enc::LZF)?;
        self.put_len(packed.len() as u64)?;
        self.put_len(len)?;
        self.put(packed)
    }

    /// Puts an integer as the string of its decimal text.
    pub fn put_int_string(&mut self, n: i64) -> io::Result<()> {
        match i32::try_from(n) {
            Ok(n) => self.put_small_int(n),
            Err(_) => self.put_string(itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    fn put_small_int(&mut self, n: i32) -> io::Result<()> {
        let [a, b, c, d] = n.to_le_bytes();
        if i8::try_from(n).is_ok() {
            self.put(&[0xC0 | enc::INT8, a])
        } else if i16::try_from(n).is_ok() {
            self.put(&[0xC0 | enc::INT16, a, b])
        } else {
            self.put(&[0xC0 | enc::INT32, a, b, c, d])
        }
    }

    /// Puts a double.
    pub fn put_double(&mut self, value: f64) -> io::Result<()> {
        self.put(&value.to_le_bytes())
    }

    /// Puts a time or other 64-bit number, little endian.
    pub fn put_i64_le(&mut self, value: i64) -> io::Result<()> {
        self.put(&value.to_le_bytes())
    }

    /// Puts magic and version; the first call.
    pub fn header(&mut self) -> io::Result<()> {
        self.put(&header_bytes(self.options.version))
    }

    /// Puts an aux field.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.put_byte(op::AUX)?;
        self.put_string(name)?;
        self.put_string(value)
    }

    /// Puts a function library's source.
    pub fn function(&mut self, source: &[u8]) -> io::Result<()> {
        self.need(10);
        self.put_byte(op::FUNCTION2)?;
        self.put_string(source)
    }

    /// The following keys belong to `db`, which has `keys` keys, `expires` of which expire.
    pub fn select_db(&mut self, db: u64, keys: u64, expires: u64) -> io::Result<()> {
        self.put_byte(op::SELECT_DB)?;
        self.put_len(db)?;
        self.put_byte(op::RESIZE_DB)?;
        self.put_len(keys)?;
        self.put_len(expires)
    }

    /// Cluster: the following keys belong to `slot` (readers before Redis 8 refuse the opcode).
    pub fn slot_info(&mut self, slot: u64, keys: u64, expires: u64) -> io::Result<()> {
        self.need(12);
        self.put_byte(op::SLOT_INFO)?;
        self.put_len(slot)?;
        self.put_len(keys)?;
        self.put_len(expires)
    }

    /// Puts a key and what stands before it; its body must follow.
    #[inline]
    pub fn entry(&mut self, key: &[u8], meta: &EntryMeta, ty: RdbType) -> io::Result<()> {
        if let Some(ms) = meta.expire_ms {
            self.put_byte(op::EXPIRE_MS)?;
            self.put_i64_le(ms)?;
        }
        if let Some(seconds) = meta.idle_s {
            self.put_byte(op::IDLE)?;
            self.put_len(seconds)?;
        }
        if let Some(freq) = meta.freq {
            self.put(&[op::FREQ, freq])?;
        }
        self.put_type(ty)?;
        self.put_string(key)
    }

    /// Puts a type byte.
    #[inline]
    pub fn put_type(&mut self, ty: RdbType) -> io::Result<()> {
        self.need(ty.since());
        self.put_byte(ty as u8)
    }

    /// Ends a file that cannot be seeked; gives the output back.
    pub fn finish(self) -> io::Result<W> {
        debug_assert!(self.needed <= self.options.version);
        self.finish_stream()
    }

    /// Likewise, for a reader that goes by what it meets and not by the version it was promised.
    pub fn finish_stream(mut self) -> io::Result<W> {
        self.put_byte(op::EOF)?;
        self.flush()?;
        let crc = self.crc;
        self.finish_checksum(crc)
    }

    fn finish_checksum(mut self, crc: u64) -> io::Result<W> {
        self.inner.write_all(&crc.to_le_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// What was put, without end mark and checksum.
    pub(super) fn into_inner(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write + Seek> Encoder<W> {
    /// Ends a file that starts at position 0 of the output, and lowers the version in its header to what it needs.
    /// Gives the output back, and that version.
    pub fn finish_file(mut self) -> io::Result<(W, u16)> {
        self.put_byte(op::EOF)?;
        self.flush()?;
        let (from, to) = (
            header_bytes(self.options.version),
            header_bytes(self.needed),
        );
        let mut crc = self.crc;
        if self.options.checksum {
            let delta: Vec<u8> = from.iter().zip(&to).map(|(a, b)| a ^ b).collect();
            crc ^= crc64_zeros(crc64::checksum(&delta), self.written - HEADER_LEN as u64);
        }
        let needed = self.needed;
        let mut inner = self.finish_checksum(crc)?;
        if from != to {
            inner.seek(SeekFrom::Start(0))?;
            inner.write_all(&to)?;
            inner.seek(SeekFrom::End(0))?;
        }
        Ok((inner, needed))
    }
}

/// Magic and version as they stand at the start of a file.
pub fn header_bytes(version: u16) -> [u8; HEADER_LEN] {
    let mut out = *b"REDIS0000";
    let mut left = version;
    for digit in out[5..].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out
}

/// The checksum after `count` zero bytes more: one zero bit is a linear map of 64 bits, raised to the power by squaring.
fn crc64_zeros(crc: u64, count: u64) -> u64 {
    let mut zero_byte: [u64; 64] = std::array::from_fn(|bit| crc64::update(1 << bit, &[0]));
    let (mut out, mut left) = (crc, count);
    while left > 0 {
        if left & 1 == 1 {
            out = apply(&zero_byte, out);
        }
        zero_byte = std::array::from_fn(|bit| apply(&zero_byte, zero_byte[bit]));
        left >>= 1;
    }
    out
}

/// The linear map whose images of single bits are `columns`.
fn apply(columns: &[u64; 64], vector: u64) -> u64 {
    let mut left = vector;
    let mut out = 0;
    while left != 0 {
        out ^= columns[left.trailing_zeros() as usize];
        left &= left - 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_shift_the_checksum() {
        for count in [0usize, 1, 2, 7, 8, 255, 4096, 100_003] {
            let start = crc64::update(0, b"123456789");
            assert_eq!(
                crc64_zeros(start, count as u64),
                crc64::update(start, &vec![0; count])
            );
        }
    }

    #[test]
    fn crc_of_the_catalogue() {
        assert_eq!(crc64::update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn lengths_take_the_documented_bytes() {
        let cases: [(u64, &[u8]); 7] = [
            (0, &[0]),
            (63, &[63]),
            (64, &[0x40, 64]),
            (16383, &[0x7F, 0xFF]),
            (16384, &[0x80, 0, 0, 0x40, 0]),
            (u64::from(u32::MAX), &[0x80, 255, 255, 255, 255]),
            (1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ];
        for (n, bytes) in cases {
            let mut encoder = Encoder::new(Vec::new(), SaveOptions::default());
            encoder.put_len(n).unwrap();
            assert_eq!(encoder.into_inner().unwrap(), bytes, "{n}");
        }
    }
}
