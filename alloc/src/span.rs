//! A span: one node's part of the region, handed out as chunks, granules and pages.
//!
//! Owned by the region; heaps, lent pages and ranges take from it, all off the fast path, under the
//! span's lock. Invariant: a chunk is unused, opened for pages, or part of a range; pages come from
//! the low end and ranges from the high end, so that either grows in one piece; a granule's bit is
//! set in its chunk's mask exactly while a page covers it.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::class::GRANULE;
use crate::granule::{Entry, GRANULE_SHIFT, Kind};
use crate::lock::FutexMutex;
use crate::mask::BucketMask;
use crate::metas::MetaPool;
use crate::node::NodeId;
use crate::page::PageMeta;
pub(crate) use crate::page::PageSpec;
use crate::purge::Found;
use crate::purger;
use crate::region::REGION;
use crate::report::GranulesReport;
use crate::side::{Run, SpanMemory};
use crate::sys;

pub(crate) use crate::side::{CHUNK, Side, Split};

/// Largest slot whose pages may share a granule; above, the smallest page is a granule.
const SPLIT_SLOT: u32 = 1024;
/// Slot sizes, leaf or not, six page sizes, and the slab classes before them.
const SPLIT_KEYS: usize = SLAB_KEYS + (SPLIT_SLOT as usize / 8 + 1) * 2 * SPLIT_SHIFTS;
/// Page sizes below a granule, from 1 KiB on.
const SPLIT_SHIFTS: usize = (GRANULE_SHIFT - SMALLEST_SHIFT) as usize;
const SMALLEST_SHIFT: u32 = 10;
const SLAB_KEYS: usize = 11;

impl PageSpec {
    /// The spec with the page size that will be used: small pages of large slots become granules.
    fn rounded(self) -> Self {
        let small = (self.bytes as usize) < GRANULE;
        if small && self.slot_size > SPLIT_SLOT { Self { bytes: GRANULE as u32, ..self } } else { self }
    }

    /// Which list of split granules serves the spec. Pages of one granule share its map entry, so
    /// they have slot size, kind, tag and page size in common.
    fn split_key(self) -> usize {
        if self.kind == Kind::Slab {
            return usize::from(self.tag).min(SLAB_KEYS - 1);
        }
        let shift = (self.bytes.trailing_zeros() - SMALLEST_SHIFT) as usize;
        SLAB_KEYS + ((self.slot_size as usize / 8) * 2 + usize::from(self.tag & 1)) * SPLIT_SHIFTS + shift
    }
}

/// One node's memory. Empty until [`prepare`](Self::prepare).
pub(crate) struct Span {
    state: FutexMutex<SpanState>,
    /// Chunks below this index may be opened for pages: a bound for walks without the lock.
    open_end: AtomicUsize,
}

pub(crate) struct SpanState {
    node: NodeId,
    memory: SpanMemory,
    metas: MetaPool,
    /// First granule of each list of split granules with a free page, plus one.
    split_heads: [u32; SPLIT_KEYS],
}

impl Span {
    /// Whether an address of the span lies in a reserved range.
    #[cfg(feature = "checked")]
    pub(crate) fn is_ranged(&self, address: usize) -> bool {
        self.state.lock().memory.is_ranged(address)
    }

    pub(crate) const fn new() -> Self {
        Self {
            state: FutexMutex::new(SpanState {
                node: NodeId(0),
                memory: SpanMemory::empty(),
                metas: MetaPool::empty(),
                split_heads: [0; SPLIT_KEYS],
            }),
            open_end: AtomicUsize::new(0),
        }
    }

    /// Gives the span its place. Called once, while the region is made.
    pub(crate) fn prepare(&self, node: NodeId, metas: usize, side: Side) {
        let mut state = self.state.lock();
        state.node = node;
        state.memory = SpanMemory::new(REGION.base() + usize::from(node.0) * REGION.span_bytes(), side);
        state.metas = MetaPool::new(usize::from(node.0) * metas, metas);
    }

    /// The lock, for fork handlers to hold.
    pub(crate) fn lock(&self) -> &FutexMutex<SpanState> {
        &self.state
    }

    /// A page of the spec, its metadata reset; its memory is as the page before left it. `None` when
    /// address space, metadata or the kernel's patience is used up.
    pub(crate) fn take_page(&self, spec: PageSpec) -> Option<&'static PageMeta> {
        let spec = spec.rounded();
        let mut state = self.state.lock();
        let page = if (spec.bytes as usize) < GRANULE {
            state.take_split(spec)
        } else {
            state.take_whole(spec).map(|(page, run)| {
                page.set_fresh(spec.kind == Kind::Slab && run.written == 0);
                page
            })
        };
        self.open_end.store(state.memory.open_end(), Ordering::Relaxed);
        page
    }

    /// Takes a page back.
    ///
    /// # Safety
    /// The page is of this span and in use; nothing points into it any more and its metadata is in
    /// nobody's list.
    pub(crate) unsafe fn give_page(&self, page: &PageMeta) {
        page.header.kind.store(Kind::None as u8, Ordering::Relaxed);
        self.state.lock().give(page);
        purger::stir();
    }

    /// A page of a spec of whole granules, and what its granules were.
    pub(crate) fn take_run(&self, spec: PageSpec) -> Option<(&'static PageMeta, Run)> {
        let mut state = self.state.lock();
        let taken = state.take_whole(spec);
        self.open_end.store(state.memory.open_end(), Ordering::Relaxed);
        taken
    }

    /// Takes a page of whole granules back, of which only the first `dirty` bytes may have been written to.
    ///
    /// # Safety
    /// As [`give_page`](Self::give_page).
    pub(crate) unsafe fn give_run(&self, page: &PageMeta, dirty: usize) {
        page.header.kind.store(Kind::None as u8, Ordering::Relaxed);
        self.state.lock().give_whole(page, dirty);
        purger::stir();
    }

    /// Changes a page of whole granules to `bytes` bytes, where it is. Of what it has now, only the first
    /// `dirty` bytes may have been written to; how many of those that it has then may have been. `None`:
    /// what follows is in use, nothing changed.
    ///
    /// # Safety
    /// The page is of this span, of one slot, and the caller's; nothing behind `bytes` is used any more.
    pub(crate) unsafe fn resize_run(&self, page: &PageMeta, bytes: usize, dirty: usize) -> Option<usize> {
        self.state.lock().resize_whole(page, bytes, dirty)
    }

    /// Chunks that may have been opened for pages: those below this index.
    pub(crate) fn chunks(&self) -> usize {
        self.open_end.load(Ordering::Relaxed)
    }

    /// Gives the memory of a chunk's free granules to the kernel: of those that were free at the last such
    /// look already, or of `all`; with `huge` whole 2 MiB only. One thread at a time.
    pub(crate) fn purge_granules(&self, node: NodeId, chunk: usize, all: bool, huge: bool) -> Found {
        let (due, is_more) = self.state.lock().memory.take_purgeable(chunk, all, huge);
        if due == 0 {
            return Found { given: 0, is_news: is_more };
        }
        let base = REGION.base() + usize::from(node.0) * REGION.span_bytes() + chunk * CHUNK;
        let mut kept = 0;
        if !huge {
            // Else a touch of one granule would bring memory for others, which count as clean from now on.
            // SAFETY: an opened chunk, as long as some of its granules are taken.
            unsafe { sys::advise_small(base as *mut u8, CHUNK) };
        }
        for run in BucketMask::from_word(due).runs() {
            let first = (base + run.start as usize * GRANULE) as *mut u8;
            // SAFETY: opened granules that no page covers, taken above.
            if !unsafe { sys::discard(first, run.len() * GRANULE) } {
                kept |= BucketMask::from_run(run).word();
            }
        }
        self.state.lock().memory.give_purged(chunk, due, kept);
        let given = (due & !kept).count_ones() as usize * GRANULE;
        Found { given, is_news: is_more || given > 0 }
    }

    /// Address of the first of `chunks` neighbouring unused chunks, taken for a range: closed memory.
    pub(crate) fn take_chunks(&self, chunks: usize) -> Option<usize> {
        self.state.lock().memory.take_chunks(chunks)
    }

    /// Takes the chunks of a range back. Their memory was closed.
    pub(crate) fn give_chunks(&self, base: usize, chunks: usize) {
        self.state.lock().memory.give_chunks(base, chunks);
    }

    /// How the granules of chunks opened for pages are used.
    pub(crate) fn granules(&self) -> GranulesReport {
        self.state.lock().memory.granules()
    }

    /// Calls `visit` for each page in use, without the lock: a page that is taken or given
    /// meanwhile may or may not be seen. Pages come by address, which `visit` is told as the walk knows it:
    /// the metadata may have become another page's.
    pub(crate) fn for_each_page(&self, node: NodeId, mut visit: impl FnMut(&'static PageMeta, usize)) {
        for chunk in 0..self.chunks() {
            for_each_page_of(node, chunk, &mut visit);
        }
    }
}

/// As [`Span::for_each_page`], of one chunk of a node's span.
pub(crate) fn for_each_page_of(node: NodeId, chunk: usize, mut visit: impl FnMut(&'static PageMeta, usize)) {
    let first = usize::from(node.0) * REGION.span_bytes() + chunk * CHUNK;
    for offset in (first..first + CHUNK).step_by(GRANULE) {
        let entry = entry_at(offset);
        if entry.kind() == Kind::None || entry.back() != 0 {
            continue;
        }
        for page in 0..GRANULE >> entry.page_shift() {
            let meta = meta_at(entry.first_meta() + page);
            if meta.kind() != Kind::None {
                visit(meta, REGION.base() + offset + (page << entry.page_shift()));
            }
        }
    }
}

/// The page that an address lies in, if it lies in one.
pub(crate) fn page_at(address: usize) -> Option<&'static PageMeta> {
    let offset = REGION.get().offset_of(address)?;
    let entry = entry_at(offset);
    (entry.kind() != Kind::None).then(|| meta_at(entry.meta(offset)))
}

fn entry_at(offset: usize) -> Entry {
    // SAFETY: callers walk offsets of opened chunks, or have checked that theirs is the region's.
    unsafe { REGION.entry(offset) }
}

fn set_entry(offset: usize, entry: Entry) {
    // Release: a walker without the lock that sees the entry sees the metadata it names.
    // SAFETY: callers name granules of opened chunks, inside the region.
    unsafe { REGION.entry_word(offset) }.store(entry.word(), Ordering::Release);
}

fn meta_at(idx: usize) -> &'static PageMeta {
    // SAFETY: callers take indexes from entries or from the pool; metadata is never unmapped and its
    // fields are atomics.
    unsafe { REGION.meta(idx).as_ref() }
}

impl SpanState {
    /// A page of one or more whole granules, and what those were.
    fn take_whole(&mut self, spec: PageSpec) -> Option<(&'static PageMeta, Run)> {
        let granules = spec.bytes as usize / GRANULE;
        let meta = self.metas.take(1)?;
        let Some(run) = self.memory.take_granules(granules) else {
            self.metas.give(meta, 1);
            return None;
        };
        let base = self.memory.address(run.granule);
        meta_at(meta).reset(base, spec, self.node);
        for back in 0..granules {
            let entry = Entry::new(meta, GRANULE_SHIFT, spec.kind, back, spec.slot_size, spec.tag);
            set_entry(offset_of(base) + back * GRANULE, entry);
        }
        Some((meta_at(meta), run))
    }

    /// Takes a page of whole granules back, of which the first `dirty` bytes may have been written to.
    fn give_whole(&mut self, page: &PageMeta, dirty: usize) {
        let offset = offset_of(page.base());
        let granules = page.bytes() / GRANULE;
        self.metas.give(entry_at(offset).first_meta(), 1);
        for covered in 0..granules {
            set_entry(offset + covered * GRANULE, Entry::NONE);
        }
        let granule = self.memory.granule(page.base());
        self.memory.give_granules(granule, granules, dirty.div_ceil(GRANULE));
    }

    /// See [`Span::resize_run`].
    fn resize_whole(&mut self, page: &PageMeta, bytes: usize, dirty: usize) -> Option<usize> {
        let offset = offset_of(page.base());
        let granule = self.memory.granule(page.base());
        let (old, new) = (page.bytes() / GRANULE, bytes / GRANULE);
        let mut dirty_now = dirty.min(bytes);
        if new > old {
            let run = self.memory.take_these(granule + old, new - old)?;
            if run.dirty > 0 {
                dirty_now = (old + run.dirty) * GRANULE;
            }
            let first = entry_at(offset);
            for back in old..new {
                set_entry(offset + back * GRANULE, first.behind(back));
            }
        } else if new < old {
            for covered in new..old {
                set_entry(offset + covered * GRANULE, Entry::NONE);
            }
            self.memory.give_granules(
                granule + new,
                old - new,
                dirty.saturating_sub(bytes).div_ceil(GRANULE),
            );
        }
        page.set_bytes(bytes);
        Some(dirty_now)
    }

    /// A page inside a granule that pages of the same spec share.
    fn take_split(&mut self, spec: PageSpec) -> Option<&'static PageMeta> {
        let key = spec.split_key();
        let pages = GRANULE / spec.bytes as usize;
        if self.split_heads[key] == 0 {
            self.split_granule(spec, pages)?;
        }
        let granule = self.split_heads[key] as usize - 1;
        let split = &mut self.memory.splits()[granule];
        let page = BucketMask::from_word(split.taken).first_fit(1)? as usize;
        split.taken |= 1 << page;
        if split.taken == BucketMask::first(pages as u32).word() {
            self.unlink(key, granule);
        }
        let address = self.memory.address(granule);
        let meta = meta_at(entry_at(offset_of(address)).first_meta() + page);
        let base = address + page * spec.bytes as usize;
        meta.reset(base, spec, self.node);
        Some(meta)
    }

    /// Takes a granule and lists it as split into `pages` free pages of `spec`.
    fn split_granule(&mut self, spec: PageSpec, pages: usize) -> Option<()> {
        let metas = self.metas.take(pages)?;
        let Some(Run { granule, .. }) = self.memory.take_granules(1) else {
            self.metas.give(metas, pages);
            return None;
        };
        for page in 0..pages {
            meta_at(metas + page).header.kind.store(Kind::None as u8, Ordering::Relaxed);
        }
        let entry = Entry::new(metas, spec.bytes.trailing_zeros(), spec.kind, 0, spec.slot_size, spec.tag);
        set_entry(offset_of(self.memory.address(granule)), entry);
        self.memory.splits()[granule].taken = 0;
        self.link(spec.split_key(), granule);
        Some(())
    }

    fn give(&mut self, page: &PageMeta) {
        let base = page.base();
        let offset = offset_of(base);
        let entry = entry_at(offset);
        if entry.page_shift() == GRANULE_SHIFT {
            return self.give_whole(page, page.bytes());
        }
        let granule = self.memory.granule(base);
        if self.give_split(entry, granule, entry.meta(offset) - entry.first_meta(), page) {
            set_entry(offset & !(GRANULE - 1), Entry::NONE);
            self.metas.give(entry.first_meta(), GRANULE >> entry.page_shift());
            self.memory.give_granules(granule, 1, 1);
        }
    }

    /// Frees one page of a split granule; whether the granule has none left.
    fn give_split(&mut self, entry: Entry, granule: usize, page: usize, meta: &PageMeta) -> bool {
        let spec = PageSpec {
            kind: entry.kind(),
            tag: entry.tag(),
            slot_size: meta.slot_size() as u32,
            bytes: 1 << entry.page_shift(),
        };
        let full = BucketMask::first((GRANULE >> entry.page_shift()) as u32).word();
        let split = &mut self.memory.splits()[granule];
        let was_full = split.taken == full;
        split.taken &= !(1 << page);
        let is_empty = split.taken == 0;
        if was_full {
            self.link(spec.split_key(), granule);
        }
        if is_empty {
            self.unlink(spec.split_key(), granule);
        }
        is_empty
    }

    /// Puts a granule at the head of its key's list.
    fn link(&mut self, key: usize, granule: usize) {
        let head = self.split_heads[key];
        let splits = self.memory.splits();
        splits[granule].previous = 0;
        splits[granule].next = head;
        if head != 0 {
            splits[head as usize - 1].previous = granule as u32 + 1;
        }
        self.split_heads[key] = granule as u32 + 1;
    }

    /// Takes a granule out of its key's list.
    fn unlink(&mut self, key: usize, granule: usize) {
        let splits = self.memory.splits();
        let Split { previous, next, .. } = splits[granule];
        if next != 0 {
            splits[next as usize - 1].previous = previous;
        }
        if previous == 0 {
            self.split_heads[key] = next;
        } else {
            splits[previous as usize - 1].next = next;
        }
    }
}

/// Bytes from the region's base to `address`.
fn offset_of(address: usize) -> usize {
    address - REGION.base()
}
