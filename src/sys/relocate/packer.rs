//! The mover that packs: it asks jemalloc how full the slab of a block is, and moves blocks out of the emptier ones.
//!
//! Two of jemalloc's controls answer: `experimental.utilization.batch_query` gives the free and all regions of a block's slab without
//! taking a lock, and `experimental.utilization.query` tells, for those that look promising, which slab new blocks come from.
//! A block moves when its slab is no fuller than the mean of the slabs of its size that have room (and an eighth, so that slabs
//! all alike do not end it), and is not the one that new blocks come from. The means are read from jemalloc's statistics by
//! [`Packer::refresh`]; between two of them they are a little old, which costs a needless move at worst.
//!
//! Blocks are taken and freed past the thread's cache: the cache would hand out regions of the very slabs that are to be
//! emptied. Without it jemalloc fills the oldest slab that has room.
//!
//! Controls are called by number (`mib`), looked up once.

use super::{LARGEST, Mover};
use std::alloc::Layout;
use std::ffi::CStr;
use std::ptr::{self, NonNull};
use tikv_jemalloc_sys as je;

/// Blocks asked about at once.
const AT_ONCE: usize = 8;
/// Classes that lie in slabs, at most.
const MAX_BINS: usize = 64;
const STEP: usize = 8;

/// What was moved and what was left, in blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Moved.
    pub hits: u64,
    /// Looked at and left.
    pub misses: u64,
}

/// A control by number.
#[derive(Clone, Copy)]
struct Mib<const N: usize>([usize; N]);

impl<const N: usize> Mib<N> {
    fn of(name: &CStr) -> Option<Self> {
        let (mut mib, mut len) = ([0; N], N);
        // SAFETY: `mib` has room for `len` numbers; an unknown name is answered by an error.
        let rc = unsafe { je::mallctlnametomib(name.as_ptr(), mib.as_mut_ptr(), &mut len) };
        (rc == 0 && len == N).then_some(Mib(mib))
    }

    /// Reads a number of `size_of::<T>()` bytes.
    fn read<T: Copy + Default>(&self) -> Option<T> {
        let mut out = T::default();
        let mut size = size_of::<T>();
        // SAFETY: `out` has room for `size` bytes; another size is answered by an error.
        let rc = unsafe {
            let out = (&raw mut out).cast();
            je::mallctlbymib(self.0.as_ptr(), N, out, &mut size, ptr::null_mut(), 0)
        };
        (rc == 0 && size == size_of::<T>()).then_some(out)
    }

    /// Asks about the blocks at `input`; one answer (or as many as blocks) goes to `out`. Any address may be asked about.
    fn ask<O>(&self, input: &mut [*mut u8], out: &mut [O]) -> bool {
        let mut size = size_of_val(out);
        // SAFETY: both have the sizes that are told; jemalloc checks them against what it wants. It only reads the addresses.
        unsafe {
            let (at, len) = (input.as_mut_ptr().cast(), size_of_val(input));
            let out = out.as_mut_ptr().cast();
            je::mallctlbymib(self.0.as_ptr(), N, out, &mut size, at, len) == 0
        }
    }

    fn with(mut self, at: usize, number: usize) -> Self {
        self.0[at] = number;
        self
    }
}

/// The answer of `batch_query` for one block.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Slab {
    free: usize,
    regions: usize,
    bytes: usize,
}

/// The answer of `query`.
#[repr(C)]
struct Verbose {
    current: *mut u8,
    slab: Slab,
    bin_free: usize,
    bin_regions: usize,
}

/// A class of blocks.
#[derive(Clone, Copy)]
struct Bin {
    regions: usize,
    used: Mib<6>,
    slabs: Mib<6>,
    with_room: Mib<6>,
    /// Blocks of slabs with at most so many regions in use are moved.
    limit: usize,
}

/// See the head of this file.
pub struct Packer {
    batch: Mib<3>,
    query: Mib<3>,
    bins: Vec<Bin>,
    /// The bin of a block of 8 * i bytes.
    bin_of: Box<[u8]>,
    /// The blocks that are shown next, and what was said about them.
    expected: ([*mut u8; AT_ONCE], [Slab; AT_ONCE]),
    /// What was done so far.
    pub counts: Counts,
}

impl Packer {
    /// A packer for this thread's arena; None when jemalloc is not the global allocator or does not answer as it should.
    pub fn new() -> Option<Self> {
        if cfg!(miri) {
            return None;
        }
        // Addresses of another allocator must not be asked about.
        let before = super::super::alloc::Counters::of_this_thread().allocated();
        let probe = std::hint::black_box(vec![0u8; 1024]);
        let ours = super::super::alloc::Counters::of_this_thread().allocated() != before;
        drop(probe);
        if ours { Self::of_jemalloc() } else { None }
    }

    fn of_jemalloc() -> Option<Self> {
        let mut packer = Packer {
            batch: Mib::of(c"experimental.utilization.batch_query")?,
            query: Mib::of(c"experimental.utilization.query")?,
            bins: Vec::new(),
            bin_of: Box::default(),
            expected: ([ptr::null_mut(); AT_ONCE], [Slab::default(); AT_ONCE]),
            counts: Counts::default(),
        };
        packer.learn_bins()?;
        packer.answers_truly().then_some(packer)
    }

    fn learn_bins(&mut self) -> Option<()> {
        let arena: u32 = Mib::<2>::of(c"thread.arena")?.read()?;
        let count: u32 = Mib::<2>::of(c"arenas.nbins")?.read()?;
        let count = (count as usize).min(MAX_BINS);
        let size_of_bin = Mib::<4>::of(c"arenas.bin.0.size")?;
        let regions_of_bin = Mib::<4>::of(c"arenas.bin.0.nregs")?;
        let stat = |name| Some(Mib::<6>::of(name)?.with(2, arena as usize));
        let used = stat(c"stats.arenas.0.bins.0.curregs")?;
        let slabs = stat(c"stats.arenas.0.bins.0.curslabs")?;
        let with_room = stat(c"stats.arenas.0.bins.0.nonfull_slabs")?;
        let mut bin_of = vec![u8::MAX; LARGEST / STEP + 1];
        let mut from = 0;
        for i in 0..count {
            let size: usize = size_of_bin.with(2, i).read()?;
            self.bins.push(Bin {
                regions: regions_of_bin.with(2, i).read::<u32>()? as usize,
                used: used.with(4, i),
                slabs: slabs.with(4, i),
                with_room: with_room.with(4, i),
                limit: 0,
            });
            let to = (size / STEP).min(bin_of.len() - 1);
            bin_of.get_mut(from..=to)?.fill(i as u8);
            from = to + 1;
        }
        self.bin_of = bin_of.into();
        Some(())
    }

    /// Whether a block of our own is found in its slab, by both questions and the statistics.
    fn answers_truly(&mut self) -> bool {
        let layout = Layout::new::<[u64; 5]>();
        let Some(bin) = self.bin(layout) else {
            return false;
        };
        // SAFETY: the size is not zero.
        let Some(probe) = NonNull::new(unsafe { je::mallocx(layout.size(), 0) }.cast::<u8>())
        else {
            return false;
        };
        let (slab, verbose) = (self.slab_of(probe), self.verbose_of(probe));
        self.refresh();
        let bin = self.bins[bin];
        let sound = |s: &Slab| s.regions == bin.regions && s.free < s.regions && s.bytes > 0;
        let true_answers = slab.is_some_and(|s| sound(&s))
            && verbose.is_some_and(|v| {
                sound(&v.slab) && v.bin_free <= v.bin_regions && v.bin_regions >= bin.regions
            })
            && bin.used.read::<usize>().is_some_and(|n| n > 0);
        // SAFETY: allocated above, with this size.
        unsafe { je::sdallocx(probe.as_ptr().cast(), layout.size(), 0) };
        true_answers
    }

    fn bin(&self, layout: Layout) -> Option<usize> {
        let class = match layout.align() {
            0..=8 => layout.size(),
            // SAFETY: the size is not zero; nallocx computes and touches no memory.
            _ => unsafe { je::nallocx(layout.size(), flags(layout)) },
        };
        let bin = *self.bin_of.get(class.div_ceil(STEP))?;
        (usize::from(bin) < self.bins.len()).then_some(bin.into())
    }

    fn slab_of(&self, p: NonNull<u8>) -> Option<Slab> {
        if let Some(i) = self.expected.0.iter().position(|e| *e == p.as_ptr()) {
            return Some(self.expected.1[i]);
        }
        let (mut ask, mut slab) = ([p.as_ptr()], [Slab::default()]);
        self.batch.ask(&mut ask, &mut slab).then_some(slab[0])
    }

    fn verbose_of(&self, p: NonNull<u8>) -> Option<Verbose> {
        let mut answer = [Verbose {
            current: ptr::null_mut(),
            slab: Slab::default(),
            bin_free: 0,
            bin_regions: 0,
        }];
        let there = self.query.ask(&mut [p.as_ptr()], &mut answer);
        let [answer] = answer;
        there.then_some(answer)
    }

    /// Reads how full the slabs of every class are now. Some 50 us: once in a while, not per block.
    pub fn refresh(&mut self) {
        super::super::alloc::refresh_stats();
        for bin in &mut self.bins {
            let (Some(used), Some(slabs), Some(with_room)) = (
                bin.used.read::<usize>(),
                bin.slabs.read::<usize>(),
                bin.with_room.read::<usize>(),
            ) else {
                bin.limit = 0;
                continue;
            };
            bin.limit = limit(bin.regions, used, slabs, with_room);
        }
    }

    /// Gives the thread's cached regions back, so that they do not keep slabs in use. Once per pass.
    pub fn flush_cache(&self) {
        let _there_is_none = super::super::alloc::order(b"thread.tcache.flush");
    }

    /// Whether the block at `p` of a class had better lie elsewhere.
    fn wants(&self, bin: usize, p: NonNull<u8>) -> bool {
        let limit = self.bins[bin].limit;
        let Some(slab) = self.slab_of(p) else {
            return false;
        };
        if slab.free == 0 || slab.regions - slab.free > limit {
            return false;
        }
        let Some(answer) = self.verbose_of(p) else {
            return false;
        };
        let (at, current) = (p.as_ptr() as usize, answer.current as usize);
        current != 0 && !(current..current + slab.bytes).contains(&at)
    }

    fn judge(&mut self, p: NonNull<u8>, layout: Layout) -> bool {
        if layout.size() > LARGEST {
            return false;
        }
        let moves = match self.bin(layout) {
            Some(bin) => self.bins[bin].limit > 0 && self.wants(bin, p),
            None => false,
        };
        if moves {
            self.counts.hits += 1;
        } else {
            self.counts.misses += 1;
        }
        moves
    }
}

/// Regions in use up to which a slab is to be emptied: the mean of those with room, the current one included, and an eighth.
fn limit(regions: usize, used: usize, slabs: usize, with_room: usize) -> usize {
    if with_room == 0 || slabs <= with_room {
        // All slabs are full but the current one, or there is nothing but one.
        return 0;
    }
    let open = with_room + 1;
    let in_open = used.saturating_sub((slabs - open) * regions);
    // A slab that is full but for a few is never worth it.
    (in_open * 9 / (open * 8)).min(regions - 1).max(1)
}

fn flags(layout: Layout) -> i32 {
    match layout.align() {
        0..=8 => 0,
        align => align.trailing_zeros() as i32,
    }
}

impl Mover for Packer {
    unsafe fn copy(&mut self, p: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        if !self.judge(p, layout) {
            return None;
        }
        // SAFETY: the size is not zero (it has a class). The new block has room for as many bytes as the old one has, and is another.
        unsafe {
            let new = je::mallocx(layout.size(), flags(layout) | je::MALLOCX_TCACHE_NONE);
            let new = NonNull::new(new.cast::<u8>())?;
            ptr::copy_nonoverlapping(p.as_ptr(), new.as_ptr(), layout.size());
            Some(new)
        }
    }

    unsafe fn free(&mut self, p: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is of this allocator with this size and alignment, and nobody uses it.
        unsafe {
            let flags = flags(layout) | je::MALLOCX_TCACHE_NONE;
            je::sdallocx(p.as_ptr().cast(), layout.size(), flags);
        }
    }

    fn moved(&self) -> u64 {
        self.counts.hits
    }

    fn expect(&mut self, blocks: &[NonNull<u8>]) {
        let n = blocks.len().min(AT_ONCE);
        let (ask, said) = &mut self.expected;
        ask.fill(ptr::null_mut());
        for (to, block) in ask.iter_mut().zip(blocks) {
            *to = block.as_ptr();
        }
        if n > 0 && !self.batch.ask(&mut ask[..n], &mut said[..n]) {
            ask.fill(ptr::null_mut());
        }
    }

    fn remake(&mut self, at: NonNull<u8>, bytes: usize, make: &mut dyn FnMut()) {
        // The alignment of every block of the house is at most 8 where its layout is not known.
        if let Ok(layout) = Layout::from_size_align(bytes, 8)
            && self.judge(at, layout)
        {
            // What `make` takes and frees must pass the thread's cache as well.
            let _uncached = super::super::alloc::Uncached::new();
            make();
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_slabs_with_room() {
        // Nothing has room but the current slab.
        assert_eq!(limit(512, 5000, 10, 0), 0);
        assert_eq!(limit(512, 100, 1, 0), 0);
        // Ten slabs, all a tenth full: all of them go.
        assert_eq!(limit(500, 500, 10, 9), 56);
        // Eight full ones do not count.
        assert_eq!(limit(500, 8 * 500 + 200, 10, 1), 112);
        // Nearly full: never the full ones.
        assert_eq!(limit(4, 19, 5, 4), 3);
    }

    /// A block of jemalloc's: in unit tests the global allocator is another one.
    struct Block(NonNull<u8>);

    const LAYOUT: Layout = Layout::new::<[u8; 1280]>();

    impl Block {
        fn new(fill: u8) -> Self {
            // SAFETY: the size is not zero; what is allocated has room for as many bytes.
            unsafe {
                let p = NonNull::new(je::mallocx(LAYOUT.size(), 0).cast::<u8>()).unwrap();
                p.as_ptr().write_bytes(fill, LAYOUT.size());
                Block(p)
            }
        }

        fn bytes(&self) -> &[u8] {
            // SAFETY: the block is alive, filled when it was made, and its copies hold the same.
            unsafe { std::slice::from_raw_parts(self.0.as_ptr(), LAYOUT.size()) }
        }
    }

    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: allocated by jemalloc with this size, and owned.
            unsafe { je::sdallocx(self.0.as_ptr().cast(), LAYOUT.size(), 0) }
        }
    }

    /// Blocks that deletions left alone in their slabs end up together, and keep their content.
    #[test]
    fn blocks_are_packed() {
        let mut packer = Packer::of_jemalloc().expect("jemalloc answers");
        let mut blocks: Vec<_> = (0..20_000u32).map(|i| Some(Block::new(i as u8))).collect();
        for (_, b) in blocks.iter_mut().enumerate().filter(|(i, _)| i % 10 != 0) {
            *b = None;
        }
        let slabs = |p: &Packer, blocks: &[Option<Block>]| {
            let all = blocks.iter().flatten().map(|b| p.slab_of(b.0).unwrap());
            all.map(|s| 1.0 / (s.regions - s.free) as f64).sum::<f64>()
        };
        packer.flush_cache();
        let before = slabs(&packer, &blocks);
        for _ in 0..10 {
            packer.refresh();
            for b in blocks.iter_mut().flatten() {
                packer.expect(&[b.0]);
                // SAFETY: a live block of this layout; its owner takes the new address.
                if let Some(new) = unsafe { super::super::relocate(&mut packer, b.0, LAYOUT) } {
                    b.0 = new;
                }
            }
        }
        packer.expect(&[]);
        let after = slabs(&packer, &blocks);
        assert!(after * 4.0 < before, "slabs: {before} to {after}");
        assert!(packer.counts.hits > 500, "{:?}", packer.counts);
        for (i, b) in blocks.iter().enumerate().filter(|(i, _)| i % 10 == 0) {
            assert!(b.as_ref().unwrap().bytes().iter().all(|x| *x == i as u8));
        }
    }
}
