//! How slots come home that other threads freed.
//!
//! Part of the heap: the freer's side (`free_remote`, `flush`) and the owner's (`take_inbox`). The protocol
//! is `remote`'s. Invariant: a page posted to a heap that has handed it on is passed on to its owner.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use super::{Heap, class_of, refuse_address, refuse_foreign, refuse_free_slot};
use crate::events::mem as events;
use crate::fault::{Fault, fatal};
use crate::granule::Kind;
use crate::node::{MAX_NODES, NodeId};
use crate::page::PageMeta;
use crate::pending::{Added, Flush, Pending};
use crate::remote;

impl Heap {
    /// Frees a block of another heap's page: it is sent on its way.
    #[inline(always)]
    pub(super) fn free_remote(&self, page: &'static PageMeta, address: usize, bytes: usize) {
        if page.kind() != Kind::Slab {
            return refuse_foreign(page, address);
        }
        let class = class_of(page);
        let window = self.window(class);
        let Some(slot) = window.slot(address.wrapping_sub(page.base())) else {
            return refuse_address(page, address);
        };
        window.count_free(bytes);
        let page_ptr = core::ptr::from_ref(page).cast_mut();
        match self.pending.add(page_ptr, class, slot, page.slot_size()) {
            Added::Gathered => {}
            Added::Due => self.flush(),
            Added::NoPlace => self.gather_anew(page, slot),
            Added::Twice => refuse_free_slot(page, slot),
        }
    }

    /// Sends what is gathered in the place of a page on its way, and gathers a slot of the page there.
    #[inline(never)]
    fn gather_anew(&self, page: &'static PageMeta, slot: usize) {
        let (class, page_ptr) = (class_of(page), core::ptr::from_ref(page).cast_mut());
        self.pending.make_place(page_ptr, class, |flush| self.send(flush));
        if let Added::Due = self.pending.add(page_ptr, class, slot, page.slot_size()) {
            self.flush();
        }
    }

    /// Sends all gathered frees on their way.
    #[inline(never)]
    pub(super) fn flush(&self) {
        self.pending.flush_all(|flush| self.send(flush));
    }

    /// Sends gathered frees to their page, and tells its owner.
    fn send(&self, flush: &Flush) {
        // SAFETY: metadata is never unmapped; the slots on their way keep the page in use.
        let page = unsafe { &*flush.page };
        let slots: u32 = flush.bits.iter().map(|bits| bits.count_ones()).sum();
        let mut atomics = 1;
        if page.header.expected.expect(slots) {
            let owner = page.heap() as *const Heap;
            if owner.is_null() {
                // The page went back: its slots were freed before.
                fatal(Fault::DoubleFree, page.base(), Some(page));
            }
            // SAFETY: heaps are never destroyed. One that hands the page on at this moment passes it on.
            unsafe { &*owner }.inbox.0.post(page);
            atomics += 1;
        }
        // Before the bits are set: afterwards the page may be another's.
        let (home, base) = (page.node(), page.base());
        for (bucket, &bits) in flush.bits.iter().enumerate().filter(|(_, bits)| **bits != 0) {
            // Relaxed: slots that are live for the freer are not free for the owner either, and the
            // freer got them after they were handed out.
            let freed = page.local_free.0[bucket].load(Ordering::Relaxed) & bits;
            let twice = freed | remote::set_bits(&page.remote.0[bucket], bits);
            atomics += 1;
            if twice != 0 {
                let slot = bucket * 64 + twice.trailing_zeros() as usize;
                fatal(Fault::DoubleFree, page.base() + slot * page.slot_size(), Some(page));
            }
        }
        self.count_crossing(home, slots);
        add(&self.remote_frees, u64::from(slots));
        add(&self.releases, atomics);
        self.tell(events::Kind::MailSent, || [slots.into(), home.0.into(), base as u64, 0]);
    }

    pub(super) fn count_crossing(&self, home: NodeId, frees: u32) {
        if home != self.node() {
            add(&self.crossed[usize::from(home.0) % MAX_NODES], u64::from(frees));
        }
    }

    /// Blocks of each node's pages that were freed from another node, for a report in another thread.
    pub(crate) fn crossed(&self) -> [u64; MAX_NODES] {
        core::array::from_fn(|node| self.crossed[node].load(Ordering::Relaxed))
    }

    /// Blocks of other heaps that this heap's threads freed, as far as they were sent on their way, and
    /// the atomic read-modify-writes that sending and draining cost.
    pub(crate) fn remote_cost(&self) -> (u64, u64) {
        let [releases, acquires, frees] = self.mail();
        (frees, releases + acquires)
    }

    /// Atomic read-modify-writes that release, and that acquire, and the frees that they were for.
    pub(super) fn mail(&self) -> [u64; 3] {
        [&self.releases, &self.acquires, &self.remote_frees].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// What this heap's thread has gathered for other heaps.
    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Whether other threads freed slots of this heap's pages.
    pub(crate) fn has_mail(&self) -> bool {
        !self.inbox.0.is_empty()
    }

    /// Drains the pages that other threads freed slots of.
    pub(crate) fn take_inbox(&self) {
        if !self.has_mail() {
            return;
        }
        let mut posted = self.inbox.0.take();
        let (mut atomics, mut pages, mut slots) = (1, 0, 0);
        // SAFETY: what is posted is metadata, which is never unmapped.
        while let Some(page) = unsafe { posted.as_ref() } {
            // Read before the page may be posted again.
            posted = page.header.posted_next.load(Ordering::Relaxed);
            let owner = page.heap();
            if owner == self.id() {
                let drained = self.drain(page);
                atomics += drained.0;
                pages += 1;
                slots += u64::from(drained.1);
            } else {
                // SAFETY: slots on their way keep the page in use, so it has an owner; heaps live for ever.
                unsafe { &*(owner as *const Heap) }.inbox.0.post(page);
                atomics += 1;
            }
        }
        add(&self.acquires, atomics);
        self.tell(events::Kind::MailTaken, || [pages, slots, 0, 0]);
    }

    /// Moves the remote frees of a page to `local_free`; how many atomic read-modify-writes it took, and how many there were.
    fn drain(&self, page: &'static PageMeta) -> (u64, u32) {
        let (mut atomics, mut slots) = (1, 0);
        for bucket in 0..page.buckets() {
            let local_free = &page.local_free.0[bucket];
            let drained = remote::drain(&page.remote.0[bucket], |bits| {
                let free = local_free.load(Ordering::Relaxed);
                if free & bits != 0 {
                    let slot = bucket * 64 + (free & bits).trailing_zeros() as usize;
                    fatal(Fault::DoubleFree, page.base() + slot * page.slot_size(), Some(page));
                }
                // Release pairs with a report's acquire.
                local_free.store(free | bits, Ordering::Release);
            });
            atomics += u64::from(drained != 0);
            slots += drained.count_ones();
        }
        if page.header.expected.meet(slots) {
            self.inbox.0.post(page);
            atomics += 1;
        }
        if page.drop_used(slots as u16) {
            self.look_after(page);
        }
        (atomics, slots)
    }
}

impl Heap {
    /// Forgets which pages were posted: see [`post_again`].
    pub(crate) fn drop_mail(&self) {
        self.inbox.0.take();
    }
}

/// In a forked child, where no page is posted and no other thread is: posts a page of whose slots other threads freed some,
/// and forgets those announced that will not come.
pub(crate) fn post_again(page: &'static PageMeta) {
    let owner = page.heap() as *const Heap;
    if page.kind() != Kind::Slab || owner.is_null() || !page.header.expected.is_any() {
        return;
    }
    let come = page.remote.0.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
    page.header.expected.settle(come);
    if come > 0 {
        // SAFETY: heaps live for ever.
        unsafe { &*owner }.inbox.0.post(page);
    }
}

fn add(counter: &AtomicU64, value: u64) {
    // One writer, so load and store do: no read-modify-write.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use core::alloc::{GlobalAlloc, Layout};

    use super::*;
    use crate::BucketAlloc;
    use crate::registry::with_heap;
    use crate::span;

    /// What a freer that announced `announced` slots and set the bit of `slot` left at the moment of a fork, before
    /// it posted the page, comes home in the child.
    #[test]
    fn a_page_announced_but_not_posted_at_a_fork_is_drained_in_the_child() {
        let layout = Layout::new::<[u64; 61]>();
        // SAFETY: not of size 0; freed once below.
        let block = unsafe { BucketAlloc.alloc(layout) };
        // Another heap, so that there is a thread which may free.
        assert!(std::thread::spawn(|| with_heap(|_| ()).is_some()).join().unwrap());
        let page = span::page_at(block as usize).unwrap();
        let slot = (block as usize - page.base()) / page.slot_size();
        let (word, bit) = (slot / 64, 1 << (slot % 64));
        let used = page.used();
        assert!(page.header.expected.expect(2), "nothing was expected");
        assert_eq!(remote::set_bits(&page.remote.0[word], bit), 0);
        // SAFETY: the child calls the allocator and ends without anybody's destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let drained = with_heap(|heap| {
                heap.take_inbox();
                let is_free = page.local_free.0[word].load(Ordering::Relaxed) & bit != 0;
                is_free && page.used() == used - 1 && !page.header.expected.is_any()
            });
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(drained != Some(true))) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the slot came home in the child");
        // The parent's freer goes on.
        with_heap(|heap| heap.inbox.0.post(page)).unwrap();
        with_heap(Heap::take_inbox).unwrap();
        assert!(page.used() == used - 1 && page.header.expected.is_any(), "one more is to come");
        page.header.expected.settle(0);
        with_heap(Heap::take_inbox).unwrap();
    }
}
