//! Reserved room for tables that grow in place.
//!
//! A range is address space of one node's span, whole chunks of it, of which its owner opens what it
//! needs. Invariant: what is not open is not accessible and costs no memory; a dropped range's
//! chunks are closed before the span gets them back, which may be a while later (`parked`).
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::collections::BTreeMap;

use crate::lock::FutexMutex;
use crate::node::{NodeId, current_node};
use crate::parked::{self, Parked};
use crate::region::REGION;
use crate::side::CHUNK;
use crate::{ahead, sys};

/// Reserved address space, opened in steps. Dropping it gives all of it back, what is open after a delay
/// (see [`reserve_warm`](Self::reserve_warm)), at once where there is no purge by itself.
///
/// Address space is finite: the region is at most 2 TiB over all nodes, half of which ranges may
/// fill before pages and ranges meet.
#[derive(Debug)]
pub struct Range {
    base: NonNull<u8>,
    chunks: usize,
    node: NodeId,
    opened: AtomicUsize,
    /// Whether the kernel was asked for huge pages somewhere in it.
    huge: AtomicBool,
}

/// Chunks that live ranges hold, over all nodes.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are open in live ranges, and the most that they were since somebody asked. Counts only: nothing is published
/// through them.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static MOST_OPEN: AtomicUsize = AtomicUsize::new(0);

/// Mappings that one range may come to: what is open lies apart from what is not, and what may have huge pages from what may not. A process may have so many in all
/// (`vm.max_map_count`), and dies in its next malloc beyond; ranges leave it half.
const MAPPINGS: usize = 16;
/// Mappings where the kernel does not say: Linux's default.
const USUAL_MAPPINGS: usize = 65530;

/// A range that grows gets this part of the address space that ranges may still take.
const SHARE: usize = 256;

// SAFETY: a range owns its addresses alone; nothing in it is bound to a thread.
unsafe impl Send for Range {}
// SAFETY: shared methods only change page protection, which the kernel serialises, and an atomic.
unsafe impl Sync for Range {}

/// The live ranges, for reports. Ranges are made, opened and dropped by their users, never by the allocator itself,
/// so this lock is never taken inside malloc or free, and its holder may allocate. Held over a fork like the
/// others, and before them.
/// By the range's address.
pub(crate) static LIVE: FutexMutex<BTreeMap<usize, Live>> = FutexMutex::new(BTreeMap::new());

/// Where a range lies, and what of it is open.
#[derive(Clone)]
pub(crate) struct Live {
    base: usize,
    chunks: usize,
    pub(crate) node: NodeId,
    /// Start and end of what is open, in bytes from the base: ascending, apart, whole OS pages.
    parts: Vec<(usize, usize)>,
}

impl Live {
    /// Bytes of address space.
    pub(crate) fn room(&self) -> usize {
        self.chunks * CHUNK
    }

    /// Address and length of each part that is open.
    pub(crate) fn open(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.parts.iter().map(|&(start, end)| (self.base + start, end - start))
    }

    /// Bytes that are open.
    fn bytes(&self) -> usize {
        self.parts.iter().map(|(start, end)| end - start).sum()
    }

    /// `start..end` is open from here on.
    fn add(&mut self, start: usize, end: usize) {
        let first = self.parts.partition_point(|part| part.1 < start);
        let past = self.parts.partition_point(|part| part.0 <= end);
        let touched = &self.parts[first..past];
        let whole = (
            touched.first().map_or(start, |part| part.0.min(start)),
            touched.last().map_or(end, |part| part.1.max(end)),
        );
        self.parts.splice(first..past, [whole]);
    }

    /// `start..end` is closed from here on.
    fn cut(&mut self, start: usize, end: usize) {
        let first = self.parts.partition_point(|part| part.1 <= start);
        let past = self.parts.partition_point(|part| part.0 < end);
        let touched = &self.parts[first..past];
        let left = touched.first().map_or((start, start), |part| (part.0, start));
        let right = touched.last().map_or((end, end), |part| (end, part.1));
        self.parts.splice(first..past, [left, right].into_iter().filter(|part| part.0 < part.1));
    }
}

impl Range {
    /// Room of at least `room` bytes (rounded up to 4 MiB) on this thread's node, nothing of it open.
    ///
    /// `None` if the region has no such room left, there is no region, or so many ranges are alive that the process would
    /// run out of mappings (2047 with Linux's default of `vm.max_map_count`): use another way to grow.
    pub fn reserve(room: usize) -> Option<Self> {
        let chunks = room.div_ceil(CHUNK).max(1);
        if LIVE.lock().len() >= most_ranges() {
            return None;
        }
        let node = current_node();
        let region = REGION.get();
        let spans = region.spans();
        let take = || {
            (0..spans.len()).find_map(|step| {
                let idx = (usize::from(node.0) + step) % spans.len();
                spans[idx].take_chunks(chunks).map(|base| (NodeId(idx as u8), base))
            })
        };
        let (node, base) = take().or_else(|| parked::give_all_back().then(take).flatten())?;
        HELD.fetch_add(chunks, Ordering::Relaxed);
        Self::at(base, chunks, node, Vec::new())
    }

    /// A range that was dropped lately, of at least `room` bytes on this thread's node, whose memory the kernel has not got back:
    /// what is open of it ([`open_parts`](Self::open_parts)) holds what its last owner left there. `None`: there is none.
    ///
    /// A dropped range waits so for one to two delays of the purge, four of them at most with 256 MiB open together, or a 64th of the
    /// machine's memory (or the container's) if that is less.
    pub fn reserve_warm(room: usize) -> Option<Self> {
        let Parked { base, chunks, node, parts, huge, .. } = parked::take(current_node(), room)?;
        let parts = parts.into_iter().filter(|part| part.0 < part.1).collect();
        let range = Self::at(base, chunks, node, parts)?;
        range.huge.store(huge, Ordering::Relaxed);
        Some(range)
    }

    /// The range of these chunks, which are taken, with these parts open.
    fn at(base: usize, chunks: usize, node: NodeId, parts: Vec<(usize, usize)>) -> Option<Self> {
        let live = Live { base, chunks, node, parts };
        let opened = live.bytes();
        LIVE.lock().insert(base, live);
        note_open(opened);
        let base = NonNull::new(base as *mut u8)?;
        Some(Self { base, chunks, node, opened: AtomicUsize::new(opened), huge: AtomicBool::new(false) })
    }

    /// Room of `least` bytes, or more: for who grows by steps and is sorry to move, so that one in need gets far more
    /// than it asks for while few ranges are alive (4 GiB the first ones), and later ones less and less. Address
    /// space that is not open costs nothing.
    ///
    /// `None` as for [`reserve`](Self::reserve).
    pub fn reserve_ample(least: usize) -> Option<Self> {
        let held = HELD.load(Ordering::Relaxed) * CHUNK;
        let share = (REGION.get().bytes() / 2).saturating_sub(held) / SHARE;
        let ample = (share > least).then(|| Self::reserve(share)).flatten();
        ample.or_else(|| Self::reserve(least))
    }

    /// Asks the kernel for huge pages in `[offset, offset + len)`, rounded outward to OS pages, wherever what is open covers
    /// one wholly: fewer faults while it fills, fewer misses of the address translation afterwards. The kernel may pause a
    /// first touch to make room for one. Nothing changes where there are none, and what is not open stays so.
    pub fn prefer_huge_pages(&self, offset: usize, len: usize) {
        let Some((start, end)) = self.checked(offset, len) else { return };
        let (start, end) = (start & !(sys::OS_PAGE - 1), end.next_multiple_of(sys::OS_PAGE));
        self.huge.store(true, Ordering::Relaxed);
        // SAFETY: inside the range, which is ours alone.
        unsafe { sys::advise_huge(self.base.as_ptr().add(start), end - start) };
    }

    /// Has the kernel put memory behind `[offset, offset + len)`, rounded inward to OS pages, in one call, for who is about to write
    /// all of it: otherwise each page's first touch is a fault. Content stays. Where the kernel can't, or not all of it is open, the
    /// faults do it: `false`.
    pub fn populate(&self, offset: usize, len: usize) -> bool {
        let Some((start, end)) = self.checked(offset, len) else { return false };
        let (start, end) = (start.next_multiple_of(sys::OS_PAGE), end & !(sys::OS_PAGE - 1));
        // SAFETY: inside the range, which is ours alone.
        start < end && unsafe { sys::populate(self.base.as_ptr().add(start), end - start) }
    }

    /// As [`populate`](Self::populate), but by a thread of the allocator's own: from the end down, in huge pages wherever what is asked
    /// for covers one wholly. Returns at once. `false` where there is no such thread, or it is asked too much: what is touched before the
    /// thread comes to it, or where it doesn't, is brought by its first touch.
    ///
    /// Ask for what is open and will be written soon: it takes memory from then on, as does the rest of a huge page that lies across its start, if
    /// that is open.
    pub fn populate_soon(&self, offset: usize, len: usize) -> bool {
        let Some((start, end)) = self.checked(offset, len) else { return false };
        let (start, end) = (start.next_multiple_of(sys::OS_PAGE), end & !(sys::OS_PAGE - 1));
        let base = self.base.as_ptr() as usize;
        self.huge.store(true, Ordering::Relaxed);
        start < end && ahead::ask(base, base + start, base + end)
    }

    /// First address of the room, aligned to 4 MiB.
    #[inline]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes of address space reserved.
    pub fn room(&self) -> usize {
        self.chunks * CHUNK
    }

    /// Bytes opened and not closed since, in whole OS pages.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Bytes that all live ranges have open now, and the most that they had since this was asked last.
    pub fn opened_by_all() -> (usize, usize) {
        let now = OPEN.load(Ordering::Relaxed);
        (now, MOST_OPEN.swap(now, Ordering::Relaxed).max(now))
    }

    /// The node whose span holds the range.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Makes `[offset, offset + len)`, rounded outward to OS pages, readable and writable. Memory
    /// that was closed, or never open, reads as zero. `false` if it lies outside the room or the
    /// kernel refuses; nothing is lost then. What is open already stays as it is.
    #[must_use]
    pub fn open(&self, offset: usize, len: usize) -> bool {
        let Some((start, end)) = self.checked(offset, len) else { return false };
        let (start, end) = (start & !(sys::OS_PAGE - 1), end.next_multiple_of(sys::OS_PAGE));
        // SAFETY: inside the range, which is ours alone.
        let open = || unsafe { sys::open(self.base.as_ptr().add(start), end - start) };
        let opened = start == end || open() || parked::give_all_back() && open();
        if opened && start < end {
            self.note(|live| live.add(start, end));
        }
        opened
    }

    /// Gives the memory of the OS pages wholly inside `[offset, offset + len)` back and closes them.
    /// Where the kernel keeps memory that is locked, it stays open and keeps its content. What lies
    /// outside the room is ignored.
    pub fn close(&self, offset: usize, len: usize) {
        let Some((start, end)) = self.checked(offset, len) else { return };
        let (start, end) = (start.next_multiple_of(sys::OS_PAGE), end & !(sys::OS_PAGE - 1));
        if start < end {
            ahead::withdraw(self.base.as_ptr() as usize);
        }
        // SAFETY: inside the range, which is ours alone; the caller gives its content up.
        if start < end && unsafe { sys::close(self.base.as_ptr().add(start), end - start) } {
            self.note(|live| live.cut(start, end));
        }
    }

    /// Writes down what is open.
    fn note(&self, change: impl FnOnce(&mut Live)) {
        let base = self.base.as_ptr() as usize;
        if let Some(live) = LIVE.lock().get_mut(&base) {
            change(live);
            let (had, has) = (self.opened(), live.bytes());
            self.opened.store(has, Ordering::Relaxed);
            note_open(has.wrapping_sub(had));
        }
    }

    /// Offset and length of each part that is open, ascending, in whole OS pages.
    pub fn open_parts(&self) -> Vec<(usize, usize)> {
        let live = LIVE.lock();
        let parts = live.get(&(self.base.as_ptr() as usize)).map(|live| live.parts.clone());
        parts.unwrap_or_default().into_iter().map(|(start, end)| (start, end - start)).collect()
    }

    /// Start and end of the part, if it lies inside the room.
    fn checked(&self, offset: usize, len: usize) -> Option<(usize, usize)> {
        let end = offset.checked_add(len)?;
        (end <= self.room()).then_some((offset, end))
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        let base = self.base.as_ptr() as usize;
        ahead::withdraw(base);
        let parts = LIVE.lock().remove(&base).map(|live| live.parts).unwrap_or_default();
        OPEN.fetch_sub(self.opened(), Ordering::Relaxed);
        let huge = *self.huge.get_mut();
        let parked = Parked::new(base, self.chunks, self.node, &parts, huge);
        if !parked.is_some_and(parked::park) {
            give_back(base, self.chunks, self.node, parts, huge);
        }
    }
}

/// Gives memory and chunks of a range back that nobody uses any more, of which these parts are open. Memory that is locked can't be given
/// back: its addresses stay taken rather than be handed out with old content.
pub(crate) fn give_back(
    base: usize,
    chunks: usize,
    node: NodeId,
    parts: impl IntoIterator<Item = (usize, usize)>,
    huge: bool,
) {
    // SAFETY: inside the range.
    let closed =
        parts.into_iter().all(|(start, end)| unsafe { sys::close((base + start) as *mut u8, end - start) });
    if !closed {
        return;
    }
    if huge {
        // Who has these addresses next may want to stay small.
        // SAFETY: the range.
        unsafe { sys::advise_small(base as *mut u8, chunks * CHUNK) };
    }
    REGION.span(node).give_chunks(base, chunks);
    HELD.fetch_sub(chunks, Ordering::Relaxed);
}

/// So many bytes more are open; wraps around where they are fewer, and back.
fn note_open(change: usize) {
    let now = OPEN.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
    MOST_OPEN.fetch_max(now, Ordering::Relaxed);
}

/// The live ranges, as they are now.
pub(crate) fn live() -> Vec<Live> {
    LIVE.lock().values().cloned().collect()
}

/// Ranges that may be alive at once; a few more where several threads make one at the same time.
fn most_ranges() -> usize {
    /// 0 while nobody asked. Relaxed: whoever asks finds the same number.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let known = MOST.load(Ordering::Relaxed);
    if known > 0 {
        return known;
    }
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let most = (text.trim().parse().unwrap_or(USUAL_MAPPINGS) / 2 / MAPPINGS).max(1);
    MOST.store(most, Ordering::Relaxed);
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_kept_like_a_set_of_pages() {
        let mut live = Live { base: 1 << 22, chunks: 1, node: NodeId(0), parts: Vec::new() };
        let mut model = [false; 64];
        let mut seed = 1u64;
        for _ in 0..4000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = (seed >> 33) as usize % 63;
            let end = start + 1 + (seed >> 50) as usize % (64 - start);
            let open = seed >> 62 & 1 == 0;
            if open {
                live.add(start, end);
            } else {
                live.cut(start, end);
            }
            model[start..end].fill(open);
            let mut seen = [false; 64];
            for (address, len) in live.open() {
                let start = address - (1 << 22);
                assert!(len > 0 && seen[start..start + len].iter().all(|seen| !seen));
                seen[start..start + len].fill(true);
            }
            assert_eq!(seen, model);
            assert_eq!(live.bytes(), model.iter().filter(|&&open| open).count());
            assert!(live.parts.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", live.parts);
        }
    }

    #[test]
    fn populated_pages_are_in_memory_and_keep_their_content() {
        const PAGES: usize = 16;
        let Some(range) = Range::reserve(2 * PAGES * sys::OS_PAGE) else { return };
        assert!(range.open(0, PAGES * sys::OS_PAGE));
        // SAFETY: open, and this range's alone.
        unsafe { range.base().write(7) };
        let populated = range.populate(0, PAGES * sys::OS_PAGE);
        let mut states = [0; PAGES];
        sys::residency(range.base().as_ptr().addr(), &mut states);
        // Not on old kernels, and never in a portable build.
        assert!(!populated || states.iter().all(|state| state & 1 == 1), "{states:?}");
        // SAFETY: as above.
        unsafe { assert_eq!((range.base().read(), range.base().add(sys::OS_PAGE).read()), (7, 0)) };
        assert!(!range.populate(range.room(), sys::OS_PAGE), "beyond the room");
    }
}
