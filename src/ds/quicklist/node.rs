//! One node of a quicklist: a listpack, one big element, or a listpack under LZF; and the limits that shape nodes.

use crate::ds::listpack::{Entry, Listpack};
use crate::ds::lzf;
use crate::sys::relocate::{self, Mover};
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Byte limits of the negative `list-max-listpack-size` values -1 to -5.
const SIZE_LEVELS: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// Byte limit that also holds when the fill is a count.
const SIZE_SAFETY_LIMIT: usize = 8192;
/// What an element may add to its length in a node, as upstream estimates it.
const ENTRY_OVERHEAD: usize = 8;
/// Nodes below this size are not compressed, nor those that would save fewer than `MIN_SAVED` bytes.
const MIN_COMPRESS_BYTES: usize = 48;
const MIN_SAVED: usize = 8;

/// Element size from which elements become plain nodes; 0 (the default) means "more than a node may hold". It is process-wide
/// because only `DEBUG QUICKLIST-PACKED-THRESHOLD` sets it, and it must act on lists that exist already.
static PLAIN_THRESHOLD_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Sets the plain-node threshold in bytes, 0 for the default. False (and no change) beyond 4 GB minus 1 MB.
pub fn set_plain_threshold(bytes: usize) -> bool {
    let allowed = bytes <= (1 << 32) - (1 << 20);
    if allowed {
        PLAIN_THRESHOLD_BYTES.store(bytes, Ordering::Relaxed);
    }
    allowed
}

/// `list-max-listpack-size`: how much goes into one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill(i16);

impl Fill {
    /// Positive: elements per node (at most 32767). Negative: -1 to -5 for 4, 8, 16, 32, 64 KB; lower counts as -5, 0 as 1.
    pub fn new(value: i64) -> Self {
        Fill(match value {
            0 => 1,
            v => v.clamp(-5, i64::from(i16::MAX)) as i16,
        })
    }

    /// The directive's value.
    pub fn value(self) -> i16 {
        self.0
    }

    /// (bytes, elements) a node may have; `usize::MAX` for "no limit of that kind".
    pub fn limits(self) -> (usize, usize) {
        match usize::try_from(self.0) {
            Ok(count) => (usize::MAX, count),
            Err(_) => (
                SIZE_LEVELS[usize::from(self.0.unsigned_abs()) - 1],
                usize::MAX,
            ),
        }
    }

    /// Whether a node of `bytes` and `count` elements is too large.
    pub fn exceeded(self, bytes: usize, count: usize) -> bool {
        let (max_bytes, max_count) = self.limits();
        bytes > max_bytes.min(self.safety_bytes()) || count > max_count
    }

    fn safety_bytes(self) -> usize {
        if self.0 > 0 {
            SIZE_SAFETY_LIMIT
        } else {
            usize::MAX
        }
    }

    /// Whether an element of `len` bytes gets a node of its own.
    pub fn is_plain(self, len: usize) -> bool {
        match PLAIN_THRESHOLD_BYTES.load(Ordering::Relaxed) {
            0 => len > self.limits().0.min(self.safety_bytes()),
            threshold => len >= threshold,
        }
    }
}

/// How a node keeps its elements.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Packed(Listpack),
    Plain(Box<[u8]>),
    /// An LZF block of a listpack of `len` bytes.
    Compressed {
        block: Box<[u8]>,
        len: u32,
    },
}

/// What RDB writes for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeBytes<'a> {
    /// A listpack blob.
    Packed(&'a [u8]),
    /// One element as it is.
    Plain(&'a [u8]),
    /// An LZF block of a listpack blob.
    Compressed {
        /// The block.
        block: &'a [u8],
        /// Size of the listpack blob in bytes.
        len: usize,
    },
}

/// A node; `count` mirrors the listpack's own count so that walking the list does not touch the blobs.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) data: Data,
    pub(super) count: u32,
}

impl Node {
    pub(super) fn packed(pack: Listpack) -> Self {
        let count = pack.len() as u32;
        Node {
            data: Data::Packed(pack),
            count,
        }
    }

    pub(super) fn plain(value: &[u8]) -> Self {
        Node {
            data: Data::Plain(value.into()),
            count: 1,
        }
    }

    /// A node for one element.
    pub(super) fn of(value: &[u8], fill: Fill) -> Self {
        if fill.is_plain(value.len()) {
            return Self::plain(value);
        }
        let mut pack = Listpack::new();
        pack.push_back(value);
        Self::packed(pack)
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// What RDB writes.
    pub fn bytes(&self) -> NodeBytes<'_> {
        match &self.data {
            Data::Packed(pack) => NodeBytes::Packed(pack.as_bytes()),
            Data::Plain(value) => NodeBytes::Plain(value),
            Data::Compressed { block, len } => NodeBytes::Compressed {
                block,
                len: *len as usize,
            },
        }
    }

    /// Lets `mover` move what the node holds.
    pub(super) fn relocate(&mut self, mover: &mut dyn Mover) {
        match &mut self.data {
            Data::Packed(pack) => pack.relocate(mover),
            Data::Plain(bytes) | Data::Compressed { block: bytes, .. } => {
                relocate::slice(mover, bytes);
            }
        }
    }

    /// Size before compression in bytes.
    pub fn uncompressed_bytes(&self) -> usize {
        match self.bytes() {
            NodeBytes::Packed(b) | NodeBytes::Plain(b) => b.len(),
            NodeBytes::Compressed { len, .. } => len,
        }
    }

    /// Size in memory in bytes, without the node itself.
    pub fn stored_bytes(&self) -> usize {
        match self.bytes() {
            NodeBytes::Packed(b) | NodeBytes::Plain(b) => b.len(),
            NodeBytes::Compressed { block, .. } => block.len(),
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self.data, Data::Plain(_))
    }

    /// Whether one more element of `len` bytes may go in.
    pub(super) fn allows(&self, len: usize, fill: Fill) -> bool {
        !self.is_plain()
            && !fill.is_plain(len)
            && !fill.exceeded(
                self.uncompressed_bytes() + len + ENTRY_OVERHEAD,
                self.count() + 1,
            )
    }

    /// The listpack for reading, decompressed into a temporary when need be; `None` for a plain node.
    pub(super) fn pack(&self) -> Option<Cow<'_, Listpack>> {
        match &self.data {
            Data::Packed(pack) => Some(Cow::Borrowed(pack)),
            Data::Plain(_) => None,
            Data::Compressed { block, len } => Some(Cow::Owned(unpack(block, *len))),
        }
    }

    /// The listpack for writing; the node stays decompressed until [`Node::compress`]. `None` for a plain node.
    pub(super) fn pack_mut(&mut self) -> Option<&mut Listpack> {
        self.decompress();
        match &mut self.data {
            Data::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    pub(super) fn decompress(&mut self) {
        if let Data::Compressed { block, len } = &self.data {
            self.data = Data::Packed(unpack(block, *len));
        }
    }

    /// Compresses a listpack when that saves something.
    pub(super) fn compress(&mut self) {
        let Data::Packed(pack) = &self.data else {
            return;
        };
        let bytes = pack.as_bytes();
        if bytes.len() < MIN_COMPRESS_BYTES {
            return;
        }
        let mut block = Vec::with_capacity(bytes.len());
        if lzf::compress_into(bytes, bytes.len() - MIN_SAVED - 1, &mut block).is_some() {
            let len = bytes.len() as u32;
            self.data = Data::Compressed {
                block: block.into_boxed_slice(),
                len,
            };
        }
    }

    /// Calls `f` with the only element of a plain node or the one at `offset`.
    pub(super) fn with<R>(&self, offset: usize, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        match self.pack() {
            None => match &self.data {
                Data::Plain(value) => Some(f(Entry::Bytes(value))),
                _ => None,
            },
            Some(pack) => Some(f(pack.get(pack.seek(offset as isize)?)?)),
        }
    }
}

/// Blocks are made by [`Node::compress`] only, so a bad one is our own bug.
fn unpack(block: &[u8], len: u32) -> Listpack {
    let blob = lzf::decompress(block, len as usize).expect("a block compressed by this process");
    Listpack::from_bytes_shallow(&blob).expect("a listpack compressed by this process")
}
