//! Arguments of a command as ranges into a buffer: parsing allocates nothing per argument.
//!
//! A small argument is an offset and a length into the query buffer, relative to the start of its command. An argument of
//! [`BIG_ARG`] bytes or more was read straight into a buffer of its own, which may become the stored value without a copy;
//! its range carries the marker offset and an index into the list of big arguments.

use std::ops::Index;
use std::sync::Arc;

/// Arguments at least this long (bytes) get a buffer of their own.
pub const BIG_ARG: usize = 32 * 1024;

/// The offset that marks a range as an index into the big arguments.
const BIG: u32 = u32::MAX;

/// Where one argument lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgRange {
    off: u32,
    len: u32,
}

impl ArgRange {
    /// `len` bytes at `off` of the command's buffer.
    #[inline(always)]
    pub fn new(off: usize, len: usize) -> Self {
        debug_assert!(off < BIG as usize && len < BIG as usize);
        ArgRange {
            off: off as u32,
            len: len as u32,
        }
    }
    /// The `index`-th big argument.
    #[inline]
    pub fn big(index: usize) -> Self {
        ArgRange {
            off: BIG,
            len: index as u32,
        }
    }
}

/// A big argument; shared so that the stored value, the replication stream and a reply may hold the same bytes.
pub type BigArg = Arc<Vec<u8>>;

/// A command's arguments, borrowed from wherever they were parsed. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    ranges: &'a [ArgRange],
    big: &'a [BigArg],
}

impl<'a> Args<'a> {
    /// A view of parsed ranges. Every small range must lie inside `buf` and every big one inside `big`.
    #[inline(always)]
    pub fn new(buf: &'a [u8], ranges: &'a [ArgRange], big: &'a [BigArg]) -> Self {
        Args { buf, ranges, big }
    }

    /// Number of arguments, the command's name included.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Argument `i`; panics when there is none (arity was checked before any command runs).
    #[inline(always)]
    pub fn at(&self, i: usize) -> &'a [u8] {
        let r = self.ranges[i];
        if r.off == BIG {
            &self.big[r.len as usize]
        } else {
            &self.buf[r.off as usize..(r.off + r.len) as usize]
        }
    }

    /// Argument `i` if there is one.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        (i < self.len()).then(|| self.at(i))
    }

    /// Argument `i` as a shareable buffer, when it was read into one of its own.
    #[inline]
    pub fn shared(&self, i: usize) -> Option<&'a BigArg> {
        let r = self.ranges[i];
        if r.off == BIG {
            self.big.get(r.len as usize)
        } else {
            None
        }
    }

    /// The arguments from `i` on (none when `i` is past the end).
    #[inline]
    pub fn from(&self, i: usize) -> Args<'a> {
        Args {
            ranges: &self.ranges[i.min(self.ranges.len())..],
            ..*self
        }
    }

    /// The arguments in `[i, j)`.
    pub fn slice(&self, i: usize, j: usize) -> Args<'a> {
        Args {
            ranges: &self.ranges[i..j],
            ..*self
        }
    }

    /// Every argument in order.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + 'a {
        let a = *self;
        (0..a.len()).map(move |i| a.at(i))
    }

    /// Bytes of all arguments together.
    pub fn total_len(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = Box<dyn Iterator<Item = &'a [u8]> + 'a>;
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];
    #[inline(always)]
    fn index(&self, i: usize) -> &[u8] {
        self.at(i)
    }
}

/// Arguments with a buffer of their own: queued by MULTI, kept by a blocked client, or made for propagation.
#[derive(Debug, Clone, Default)]
pub struct OwnedArgs {
    buf: Vec<u8>,
    ranges: Vec<ArgRange>,
    big: Vec<BigArg>,
}

/// From anything that yields byte strings.
impl<T: AsRef<[u8]>> FromIterator<T> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut a = Self::new();
        for i in items {
            a.push(i.as_ref());
        }
        a
    }
}

impl OwnedArgs {
    /// No arguments yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of `args` that outlives their buffer; big arguments are shared, not copied.
    pub fn copy_of(args: Args<'_>) -> Self {
        let mut a = OwnedArgs {
            buf: Vec::with_capacity(args.total_len().min(BIG_ARG)),
            ranges: Vec::with_capacity(args.len()),
            big: Vec::new(),
        };
        for i in 0..args.len() {
            match args.shared(i) {
                Some(b) => a.push_shared(b.clone()),
                None => a.push(args.at(i)),
            }
        }
        a
    }

    /// Appends one argument.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.len() >= BIG_ARG {
            return self.push_shared(Arc::new(bytes.to_vec()));
        }
        self.ranges.push(ArgRange::new(self.buf.len(), bytes.len()));
        self.buf.extend_from_slice(bytes);
    }

    /// Appends one argument without copying it.
    pub fn push_shared(&mut self, bytes: BigArg) {
        self.ranges.push(ArgRange::big(self.big.len()));
        self.big.push(bytes);
    }

    /// Appends an integer as decimal text.
    pub fn push_int(&mut self, v: i64) {
        self.push(itoa::Buffer::new().format(v).as_bytes());
    }

    /// The arguments as every command sees them.
    pub fn view(&self) -> Args<'_> {
        Args {
            buf: &self.buf,
            ranges: &self.ranges,
            big: &self.big,
        }
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets the arguments, keeps the room.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.ranges.clear();
        self.big.clear();
    }

    /// Bytes held: text, ranges and big buffers.
    pub fn mem_bytes(&self) -> usize {
        self.buf.capacity()
            + self.ranges.capacity() * size_of::<ArgRange>()
            + self.big.iter().map(|b| b.capacity()).sum::<usize>()
    }
}

/// What an argument is as a word or a name in an error: the bytes before its first NUL. Upstream's words are C strings, and clients
/// see it: `NX\0zz` is NX.
pub fn before_nul(arg: &[u8]) -> &[u8] {
    memchr::memchr(0, arg).map_or(arg, |end| &arg[..end])
}

/// Whether an argument is this word, in any case; see [`before_nul`].
#[inline]
pub fn is_word(arg: &[u8], word: &[u8]) -> bool {
    arg.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
        && arg.get(word.len()).is_none_or(|next| *next == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_a_nul() {
        for same in [b"NX".as_slice(), b"nx", b"Nx\0", b"nx\0\xffzz"] {
            assert!(is_word(same, b"NX"), "{same:?}");
        }
        for other in [b"".as_slice(), b"N", b"NXX", b"\0NX", b"N\0X", b"nx "] {
            assert!(!is_word(other, b"NX"), "{other:?}");
        }
        assert_eq!(before_nul(b"a\0b"), b"a");
        assert_eq!(before_nul(b"ab"), b"ab");
    }

    #[test]
    fn big_and_small_mix() {
        let big = vec![7u8; BIG_ARG + 1];
        let a = OwnedArgs::from_iter([b"set".as_slice(), b"", &big, b"x"]);
        let v = a.view();
        assert_eq!(
            (v.len(), v.at(0), v.at(1), v.at(3)),
            (4, b"set".as_slice(), b"".as_slice(), b"x".as_slice())
        );
        assert_eq!(v.at(2), big);
        assert!(v.shared(2).is_some() && v.shared(1).is_none());
        let c = OwnedArgs::copy_of(v.from(1));
        assert!(Arc::ptr_eq(
            c.view().shared(1).unwrap(),
            v.shared(2).unwrap()
        ));
        assert_eq!(v.from(9).len(), 0);
    }
}
