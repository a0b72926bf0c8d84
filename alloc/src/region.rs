//! The region: the one reserved address range, an equal span of it for each node.
//!
//! Made once, by whoever first asks for memory; never given back. Invariant: `base`, `bytes`, the
//! granule map and the metadata pool never change once `state` is decided, so everybody reads them
//! without a lock; before that, and where the kernel refused every size, `bytes` is 0 and no address
//! is the region's.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use lock_api::RawMutex;

use crate::granule::{Entry, GRANULE_SHIFT, Kind, META_LIMIT};
use crate::lock::FutexMutex;
use crate::node::{MAX_NODES, NodeId, Topology};
use crate::page::PageMeta;
use crate::span::{CHUNK, Side, Span, Split};
use crate::sys;

/// The process's region.
pub(crate) static REGION: Region = Region::undecided();

/// The spans of the nodes there are, and unused ones.
static SPANS: [Span; MAX_NODES] = [const { Span::new() }; MAX_NODES];

/// Largest region tried: its metadata is just what granule entries can name.
const LARGEST: usize = META_LIMIT * BYTES_PER_META;
/// Smallest span tried; below that mimalloc serves everything.
const SMALLEST_SPAN: usize = 64 << 20;
/// Region bytes for each page metadata: pages of 8 KiB on average are provided for.
const BYTES_PER_META: usize = 8 * 1024;

/// Address space in front of the region and behind it that is never opened: it keeps the kernel from counting
/// its first and last chunks as one mapping with somebody else's neighbouring memory.
const GUARD: usize = CHUNK;

const UNDECIDED: u8 = 0;
const READY: u8 = 1;
/// No size could be reserved, or not yet: the answer does not change.
const REFUSED: u8 = 2;

/// See the module.
pub(crate) struct Region {
    base: AtomicUsize,
    bytes: AtomicUsize,
    span_shift: AtomicU32,
    entries: AtomicPtr<AtomicU64>,
    metas: AtomicPtr<PageMeta>,
    state: AtomicU8,
    deciding: FutexMutex<()>,
    /// Written once, before `state` leaves UNDECIDED.
    topology: UnsafeCell<Option<Topology>>,
    /// Bit i: the kernel refused to bind node i's memory. Written before `state` leaves UNDECIDED.
    unbound: AtomicU32,
}

// SAFETY: `topology` is written under `deciding` before the release store of `state` and only read
// after an acquire load of it; everything else is Sync by itself.
unsafe impl Sync for Region {}

impl Region {
    const fn undecided() -> Self {
        Self {
            base: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            span_shift: AtomicU32::new(0),
            entries: AtomicPtr::new(core::ptr::null_mut()),
            metas: AtomicPtr::new(core::ptr::null_mut()),
            state: AtomicU8::new(UNDECIDED),
            deciding: FutexMutex::new(()),
            topology: UnsafeCell::new(None),
            unbound: AtomicU32::new(0),
        }
    }

    /// Whether the region was made, or found impossible to make.
    pub(crate) fn is_decided(&self) -> bool {
        // Acquire pairs with the release in `decide`.
        self.state.load(Ordering::Acquire) != UNDECIDED
    }

    /// The region, made now if it wasn't.
    #[inline]
    pub(crate) fn get(&self) -> &Self {
        if !self.is_decided() {
            self.decide();
        }
        self
    }

    #[cold]
    fn decide(&self) {
        crate::fork::register();
        let topology = Topology::decided();
        let guard = self.deciding.lock();
        if self.is_decided() {
            return;
        }
        let nodes = topology.nodes();
        // SAFETY: under `deciding`, before the release store below: nobody reads it yet.
        unsafe { *self.topology.get() = Some(topology) };
        let mut span = (most() / nodes + 1).next_power_of_two() / 2;
        let mut state = REFUSED;
        while span >= SMALLEST_SPAN {
            if self.reserve(nodes, span) {
                state = READY;
                break;
            }
            span /= 4;
        }
        // Release pairs with the acquire in `is_decided`.
        self.state.store(state, Ordering::Release);
        drop(guard);
    }

    /// Holds the lock under which the region is made, over a fork.
    pub(crate) fn lock(&self) {
        core::mem::forget(self.deciding.lock());
    }

    /// Lets go of it again.
    ///
    /// # Safety
    /// Held since [`lock`](Self::lock).
    pub(crate) unsafe fn unlock(&self) {
        // SAFETY: by this function's contract.
        unsafe { self.deciding.raw().unlock() };
    }

    /// Reserves region and side arrays for spans of `span` bytes; `false` leaves nothing behind.
    fn reserve(&self, nodes: usize, span: usize) -> bool {
        let bytes = nodes * span;
        let granules = bytes >> GRANULE_SHIFT;
        let chunks = bytes / CHUNK;
        let mut mapped = Mapped::default();
        let guarded = bytes + 2 * GUARD;
        let arrays = (|| {
            Some((
                mapped.keep(sys::reserve(guarded, CHUNK), guarded)?,
                mapped.keep(sys::map(granules * size_of::<Entry>()), granules * size_of::<Entry>())?,
                mapped.keep(
                    sys::reserve(bytes / BYTES_PER_META * size_of::<PageMeta>(), sys::OS_PAGE),
                    bytes / BYTES_PER_META * size_of::<PageMeta>(),
                )?,
                mapped.keep(sys::map(granules * size_of::<Split>()), granules * size_of::<Split>())?,
                mapped.keep(sys::map(chunks * Side::BYTES_PER_CHUNK), chunks * Side::BYTES_PER_CHUNK)?,
            ))
        })();
        let Some((guard, entries, metas, splits, side)) = arrays else {
            mapped.release();
            return false;
        };
        self.span_shift.store(span.trailing_zeros(), Ordering::Relaxed);
        self.entries.store(entries.as_ptr().cast(), Ordering::Relaxed);
        self.metas.store(metas.as_ptr().cast(), Ordering::Relaxed);
        self.base.store(guard.as_ptr() as usize + GUARD, Ordering::Relaxed);
        for (node, place) in SPANS[..nodes].iter().enumerate() {
            let (granules, chunks) = (granules / nodes, chunks / nodes);
            // SAFETY: the node's own, disjoint part of each zeroed array made above, used by no one else.
            let arrays = unsafe {
                Side::new(
                    splits.byte_add(node * granules * size_of::<Split>()).cast(),
                    granules,
                    side.byte_add(node * chunks * Side::BYTES_PER_CHUNK).cast(),
                    chunks,
                )
            };
            place.prepare(NodeId(node as u8), span / BYTES_PER_META, arrays);
        }
        self.bind(nodes, span);
        // Last: from here on addresses count as the region's.
        // Release pairs with the acquire in `offset_of`.
        self.bytes.store(bytes, Ordering::Release);
        true
    }

    /// Asks the kernel to take each span's memory, and what describes it, from the span's node.
    /// Refusals (no such call, no right) leave placement to the kernel.
    fn bind(&self, nodes: usize, span: usize) {
        let topology = self.topology();
        if nodes == 1 || topology.is_fake() {
            return;
        }
        let entries = (span >> GRANULE_SHIFT) * size_of::<Entry>();
        let metas = span / BYTES_PER_META * size_of::<PageMeta>();
        let mut unbound = 0;
        for node in 0..nodes {
            let kernel = topology.kernel_number(NodeId(node as u8));
            let part = |array: *mut u8, bytes: usize| {
                // SAFETY: the node's part of an array that the caller mapped; parts are multiples of an
                // OS page, as spans are of 64 MiB.
                unsafe { sys::prefer_node(array.wrapping_add(node * bytes), bytes, kernel) }
            };
            part(self.entries.load(Ordering::Relaxed).cast(), entries);
            part(self.metas.load(Ordering::Relaxed).cast(), metas);
            if !part(self.base.load(Ordering::Relaxed) as *mut u8, span) {
                unbound |= 1 << node;
            }
        }
        self.unbound.store(unbound, Ordering::Relaxed);
    }

    /// Whether the kernel was asked, and agreed, to take a node's memory from that node.
    pub(crate) fn is_bound(&self, node: NodeId) -> bool {
        let (nodes, fake) = (self.topology().nodes(), self.topology().is_fake());
        nodes > 1 && !fake && self.unbound.load(Ordering::Relaxed) >> node.0 & 1 == 0
    }

    /// The topology the region was made for. Call on a decided region.
    pub(crate) fn topology(&self) -> &Topology {
        // SAFETY: written before the region is decided, or by this very thread in `decide`.
        match unsafe { &*self.topology.get() } {
            Some(topology) => topology,
            None => sys::abort_with(b"bucketmask: the topology was read before the region was made\n"),
        }
    }

    /// Address of the region's first byte; 0 without a region.
    pub(crate) fn base(&self) -> usize {
        self.base.load(Ordering::Relaxed)
    }

    /// Bytes of the region; 0 without one.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes from the region's base to `address`, if it is the region's: a subtraction and a compare.
    #[inline(always)]
    pub(crate) fn offset_of(&self, address: usize) -> Option<usize> {
        // Acquire pairs with the release in `reserve`: who sees the bytes sees the base.
        let bytes = self.bytes.load(Ordering::Acquire);
        let offset = address.wrapping_sub(self.base.load(Ordering::Relaxed));
        if offset < bytes { Some(offset) } else { None }
    }

    /// The span of a node; that of node 0 for nodes that do not exist.
    pub(crate) fn span(&self, node: NodeId) -> &'static Span {
        let nodes = self.topology().nodes();
        let idx = usize::from(node.0);
        &SPANS[if idx < nodes { idx } else { 0 }]
    }

    /// The span that holds the byte at `offset`, which is below [`bytes`](Self::bytes).
    #[cfg(feature = "checked")]
    pub(crate) fn span_at(&self, offset: usize) -> &'static Span {
        &SPANS[offset / self.span_bytes()]
    }

    /// All spans, by node; none without a region.
    pub(crate) fn spans(&self) -> &'static [Span] {
        if self.bytes() == 0 { &[] } else { &SPANS[..self.topology().nodes()] }
    }

    /// The word of the granule that holds the byte at `offset`.
    ///
    /// # Safety
    /// `offset < self.bytes()`.
    #[inline(always)]
    pub(crate) unsafe fn entry_word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the map has a word for each granule of the region.
        unsafe { &*self.entries.load(Ordering::Relaxed).add(offset >> GRANULE_SHIFT) }
    }

    /// The entry of the granule that holds the byte at `offset`.
    ///
    /// # Safety
    /// As [`entry_word`](Self::entry_word).
    #[inline(always)]
    pub(crate) unsafe fn entry(&self, offset: usize) -> Entry {
        // Acquire pairs with the release in `span::set_entry`, for walks without the span's lock.
        // SAFETY: by this function's contract.
        Entry::from_word(unsafe { self.entry_word(offset) }.load(Ordering::Acquire))
    }

    /// The page metadata of index `meta`.
    ///
    /// # Safety
    /// An entry of the map named it, or the span's pool gave it out.
    #[inline(always)]
    pub(crate) unsafe fn meta(&self, meta: usize) -> NonNull<PageMeta> {
        // SAFETY: the pool is opened before an index is given out and is never closed.
        unsafe { NonNull::new_unchecked(self.metas.load(Ordering::Relaxed).add(meta)) }
    }

    /// The granule map and the metadata pool, as they lie in memory.
    pub(crate) fn arrays(&self) -> (*const AtomicU64, *const PageMeta) {
        (self.entries.load(Ordering::Relaxed), self.metas.load(Ordering::Relaxed))
    }

    /// Bytes of one span.
    pub(crate) fn span_bytes(&self) -> usize {
        1 << self.span_shift.load(Ordering::Relaxed)
    }
}

/// Bytes of the largest region to try: half of the address space that is left, where that is limited. The other
/// half is for all that does not come from the region: stacks, files, mimalloc's blocks.
fn most() -> usize {
    sys::address_space_left().map_or(LARGEST, |left| LARGEST.min(left / 2))
}

/// The region as a heap sees it: copies, in the heap's own lines, of what never changes.
pub(crate) struct RegionView {
    base: usize,
    bytes: usize,
    entries: *const AtomicU64,
    metas: *const PageMeta,
}

// SAFETY: the pointers name memory of atomics that is never unmapped.
unsafe impl Sync for RegionView {}

impl RegionView {
    /// What is decided of the region.
    pub(crate) fn new() -> Self {
        Self {
            base: REGION.base(),
            bytes: REGION.bytes(),
            entries: REGION.entries.load(Ordering::Relaxed),
            metas: REGION.metas.load(Ordering::Relaxed),
        }
    }

    /// The slab page that the address lies in, if it is one's.
    #[inline(always)]
    pub(crate) fn slab_at(&self, address: usize) -> Option<&'static PageMeta> {
        let offset = address.wrapping_sub(self.base);
        if offset >= self.bytes {
            return None;
        }
        // Relaxed: who has a block's address got it after the page was made.
        // SAFETY: the map has a word for each granule of the region.
        let word = unsafe { &*self.entries.add(offset >> GRANULE_SHIFT) };
        let entry = Entry::from_word(word.load(Ordering::Relaxed));
        if entry.kind() != Kind::Slab {
            return None;
        }
        // SAFETY: an entry of slab kind names opened metadata, which is never unmapped: so it is not null.
        Some(unsafe {
            core::hint::assert_unchecked(!self.metas.is_null());
            &*self.metas.add(entry.meta(offset))
        })
    }
}

/// What was mapped so far, to be given back if a later mapping fails.
#[derive(Default)]
struct Mapped([Option<(NonNull<u8>, usize)>; 5]);

impl Mapped {
    fn keep(&mut self, mapping: Option<NonNull<u8>>, bytes: usize) -> Option<NonNull<u8>> {
        let base = mapping?;
        *self.0.iter_mut().find(|place| place.is_none())? = Some((base, bytes));
        Some(base)
    }

    fn release(self) {
        for (base, bytes) in self.0.into_iter().flatten() {
            // SAFETY: mapped in `reserve` and not yet shown to anybody.
            unsafe { sys::unmap(base, bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_regions_or_not() {
        let region = REGION.get();
        let base = region.base();
        assert!(base != 0 && base % CHUNK == 0);
        assert_eq!(region.offset_of(base), Some(0));
        assert_eq!(region.offset_of(base + region.bytes() - 1), Some(region.bytes() - 1));
        assert_eq!(region.offset_of(base + region.bytes()), None);
        assert_eq!(region.offset_of(base - 1), None);
        assert_eq!(region.offset_of(0), None);
        assert_eq!(region.bytes(), region.topology().nodes() * region.span_bytes());
    }
}
