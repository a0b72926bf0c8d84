//! Reserved room for tables that grow in place.
//!
//! A range is address space of one node's span, whole chunks of it, of which its owner opens what it
//! needs. Invariant: what is not open is not accessible and costs no memory; a dropped range's
//! chunks are closed before the span gets them back.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::FutexMutex;
use crate::node::{NodeId, current_node};
use crate::region::REGION;
use crate::side::CHUNK;
use crate::sys;

/// Reserved address space, opened in steps. Dropping it gives all of it back.
///
/// Address space is finite: the region is at most 2 TiB over all nodes, half of which ranges may
/// fill before pages and ranges meet.
#[derive(Debug)]
pub struct Range {
    base: NonNull<u8>,
    chunks: usize,
    node: NodeId,
    opened: AtomicUsize,
}

// SAFETY: a range owns its addresses alone; nothing in it is bound to a thread.
unsafe impl Send for Range {}
// SAFETY: shared methods only change page protection, which the kernel serialises, and an atomic.
unsafe impl Sync for Range {}

/// Where ranges lie, for reports: base, chunks and node. Ranges are made and dropped by their users,
/// never by the allocator itself, so this lock is never taken inside malloc or free, and its holder may
/// allocate. Held over a fork like the others, and before them.
pub(crate) static LIVE: FutexMutex<Vec<(usize, usize, NodeId)>> = FutexMutex::new(Vec::new());

impl Range {
    /// Room of at least `room` bytes (rounded up to 4 MiB) on this thread's node, nothing of it open.
    ///
    /// `None` if the region has no such room left or there is no region: use another way to grow.
    pub fn reserve(room: usize) -> Option<Self> {
        let chunks = room.div_ceil(CHUNK).max(1);
        let node = current_node();
        let region = REGION.get();
        let spans = region.spans();
        let (node, base) = (0..spans.len()).find_map(|step| {
            let idx = (usize::from(node.0) + step) % spans.len();
            spans[idx].take_chunks(chunks).map(|base| (NodeId(idx as u8), base))
        })?;
        LIVE.lock().push((base, chunks, node));
        let base = NonNull::new(base as *mut u8)?;
        Some(Self { base, chunks, node, opened: AtomicUsize::new(0) })
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

    /// The node whose span holds the range.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Makes `[offset, offset + len)`, rounded outward to OS pages, readable and writable. Memory
    /// that was closed, or never open, reads as zero. `false` if it lies outside the room or the
    /// kernel refuses; nothing is lost then.
    ///
    /// [`opened`](Self::opened) is right if what is opened was closed.
    #[must_use]
    pub fn open(&self, offset: usize, len: usize) -> bool {
        let Some((start, end)) = self.checked(offset, len) else { return false };
        let (start, end) = (start & !(sys::OS_PAGE - 1), end.next_multiple_of(sys::OS_PAGE));
        // SAFETY: inside the range, which is ours alone.
        let opened = start == end || unsafe { sys::open(self.base.as_ptr().add(start), end - start) };
        if opened {
            self.opened.fetch_add(end - start, Ordering::Relaxed);
        }
        opened
    }

    /// Gives the memory of the OS pages wholly inside `[offset, offset + len)` back and closes them.
    /// Where the kernel keeps memory that is locked, it stays open and keeps its content. What lies
    /// outside the room is ignored.
    pub fn close(&self, offset: usize, len: usize) {
        let Some((start, end)) = self.checked(offset, len) else { return };
        let (start, end) = (start.next_multiple_of(sys::OS_PAGE), end & !(sys::OS_PAGE - 1));
        // SAFETY: inside the range, which is ours alone; the caller gives its content up.
        if start < end && unsafe { sys::close(self.base.as_ptr().add(start), end - start) } {
            let _ = self.opened.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |opened| {
                Some(opened.saturating_sub(end - start))
            });
        }
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
        LIVE.lock().retain(|&(live, _, _)| live != base);
        // SAFETY: inside the range, which nobody uses any more.
        if unsafe { sys::close(self.base.as_ptr(), self.room()) } {
            REGION.span(self.node).give_chunks(base, self.chunks);
        }
        // Locked memory can't be given back: its addresses stay taken rather than be handed out
        // with old content.
    }
}

/// Base, bytes and node of each live range.
pub(crate) fn live() -> Vec<(usize, usize, NodeId)> {
    LIVE.lock().iter().map(|&(base, chunks, node)| (base, chunks * CHUNK, node)).collect()
}
