//! The truth about slots: which are live, read from the masks alone.
//!
//! `live = taken & !window & !local_free & !remote & !pending`. A slot moves from mask to mask along
//! one way, `pending -> remote -> local_free -> window -> live`, and is set where it goes before it is
//! cleared where it comes from; here each mask is read before the one that its slots go to, so that
//! no free slot is missed by all of them. Two things go another way, and are read accordingly: a slot
//! enters `taken` after its window, so `taken` is read first; an exiting thread's windows go back to
//! `local_free`, so windows are looked at before and after.

use core::sync::atomic::Ordering;

use crate::granule::Kind;
use crate::mask::BucketMask;
use crate::node::NodeId;
use crate::page::{MaskLine, PageMeta, WORDS};
use crate::region::REGION;
use crate::registry::for_each_heap;
use crate::window::{View, Window};

/// What a page serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PageUse {
    /// Blocks of a size class.
    Slab,
    /// Objects of a collector.
    Lent,
}

/// One page and its live slots, at about one moment.
#[derive(Clone, Debug)]
pub struct PageOccupancy {
    /// What it serves.
    pub usage: PageUse,
    /// The node whose span holds it.
    pub node: NodeId,
    /// Address of slot 0.
    pub base: usize,
    /// Bytes of the page.
    pub bytes: usize,
    /// Bytes a slot.
    pub slot_size: usize,
    /// Slots of the page.
    pub slots: usize,
    /// Live slots, 64 a mask.
    pub live: [BucketMask; WORDS],
    /// Slots in a thread's window: free, and that thread's to hand out.
    pub window: u32,
}

impl PageOccupancy {
    /// Live slots.
    pub fn live_slots(&self) -> usize {
        self.live.iter().map(|mask| mask.count() as usize).sum()
    }

    /// Addresses of the live slots, ascending.
    pub fn live_addresses(&self) -> impl Iterator<Item = usize> + '_ {
        self.live.iter().enumerate().flat_map(move |(bucket, mask)| {
            mask.occupied().map(move |slot| self.base + (bucket * 64 + slot as usize) * self.slot_size)
        })
    }
}

/// Words of some buckets, to be looked up by page and bucket.
struct Views(Vec<(usize, usize, u64)>);

impl Views {
    fn new(mut views: Vec<(usize, usize, u64)>) -> Self {
        views.sort_unstable();
        Self(views)
    }

    /// The union of all views of a bucket.
    fn word(&self, page: &PageMeta, bucket: usize) -> u64 {
        let key = (core::ptr::from_ref(page) as usize, bucket);
        let first = self.0.partition_point(|&(page, bucket, _)| (page, bucket) < key);
        self.0[first..]
            .iter()
            .take_while(|&&(page, bucket, _)| (page, bucket) == key)
            .fold(0, |all, view| all | view.2)
    }
}

fn triple(view: View) -> (usize, usize, u64) {
    (view.page as usize, view.bucket, view.free)
}

fn words(line: &MaskLine) -> [u64; WORDS] {
    // Acquire pairs with the releases of whoever moves slots.
    core::array::from_fn(|word| line.0[word].load(Ordering::Acquire))
}

fn windows(views: &mut Vec<(usize, usize, u64)>) {
    for_each_heap(|heap| views.extend(heap.windows().iter().map(Window::view).map(triple)));
}

/// A page's masks as read: taken once, and free by what was read before the windows.
struct Read {
    page: &'static PageMeta,
    kind: Kind,
    taken: [u64; WORDS],
    free: [u64; WORDS],
}

/// The occupancy of every page in use, by node and address.
pub(crate) fn take() -> Vec<PageOccupancy> {
    REGION.get();
    let mut pages = Vec::new();
    for (node, span) in REGION.spans().iter().enumerate() {
        span.for_each_page(NodeId(node as u8), |kind, page| {
            pages.push(Read { page, kind, taken: [0; WORDS], free: [0; WORDS] });
        });
    }
    for read in &mut pages {
        read.taken = words(&read.page.taken);
    }
    let (mut pending, mut hidden) = (Vec::new(), Vec::new());
    windows(&mut hidden);
    for_each_heap(|heap| pending.extend(heap.pending().views().map(triple)));
    let pending = Views::new(pending);
    for Read { page, kind, free, .. } in &mut pages {
        if *kind == Kind::Slab {
            let remote = words(&page.remote);
            let local_free = words(&page.local_free);
            *free = core::array::from_fn(|word| remote[word] | local_free[word] | pending.word(page, word));
        }
    }
    windows(&mut hidden);
    let hidden = Views::new(hidden);
    pages.into_iter().map(|read| one(&read, &hidden)).collect()
}

fn one(read: &Read, windows: &Views) -> PageOccupancy {
    let &Read { page, kind, taken, free } = read;
    let slab = kind == Kind::Slab;
    let hidden: [u64; WORDS] = core::array::from_fn(|word| if slab { windows.word(page, word) } else { 0 });
    PageOccupancy {
        usage: if slab { PageUse::Slab } else { PageUse::Lent },
        node: page.node(),
        base: page.base(),
        bytes: page.bytes(),
        slot_size: page.slot_size(),
        slots: page.slots(),
        live: core::array::from_fn(|word| BucketMask::from_word(taken[word] & !free[word] & !hidden[word])),
        window: (0..WORDS).map(|word| (hidden[word] & taken[word] & !free[word]).count_ones()).sum(),
    }
}
