//! The truth about slots: which are live, read from the masks alone.
//!
//! `live = taken & !window & !local_free & !remote & !pending`. A slot moves from mask to mask along
//! one way, `pending -> remote -> local_free -> window -> live`, and is set where it goes before it is
//! cleared where it comes from; here each mask is read before the one that its slots go to, so that
//! no free slot is missed by all of them. Two things go another way, and are read accordingly: a slot
//! enters `taken` after its window, so `taken` is read first; an exiting thread's windows go back to
//! `local_free`, so windows are looked at before and after.

use core::sync::atomic::Ordering;

use parking_lot::Mutex;

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

/// Slots of a bucket seen somewhere: page, bucket, slots. Sorted, a list of them is looked up by page
/// and bucket.
type Seen = (usize, usize, u64);

fn seen(view: View) -> Seen {
    (view.page as usize, view.bucket, view.free)
}

/// The union of all that was seen of a bucket.
fn union_of(sorted: &[Seen], page: &PageMeta, bucket: usize) -> u64 {
    let key = (core::ptr::from_ref(page) as usize, bucket);
    let first = sorted.partition_point(|&(page, bucket, _)| (page, bucket) < key);
    let same = sorted[first..].iter().take_while(|&&(page, bucket, _)| (page, bucket) == key);
    same.fold(0, |all, &(_, _, slots)| all | slots)
}

fn words(line: &MaskLine) -> [u64; WORDS] {
    // Acquire pairs with the releases of whoever moves slots.
    core::array::from_fn(|word| line.0[word].load(Ordering::Acquire))
}

/// A page's masks as read: taken once, and free by what was read before the windows.
struct Read {
    page: &'static PageMeta,
    kind: Kind,
    taken: [u64; WORDS],
    free: [u64; WORDS],
}

/// What a look at all pages needs to remember.
struct Look {
    pages: Vec<Read>,
    pending: Vec<Seen>,
    windows: Vec<Seen>,
}

/// The buffers of the last look, kept for the next: a report must not disturb what it reports. The
/// allocator itself never takes this lock.
static KEPT: Mutex<Look> = Mutex::new(Look { pages: Vec::new(), pending: Vec::new(), windows: Vec::new() });

/// Calls `visit` with each page in use, by node and address.
pub(crate) fn for_each_page(mut visit: impl FnMut(PageOccupancy)) {
    REGION.get();
    // Who finds the buffers in use, by another thread or by one that a fork left behind, makes its own.
    match KEPT.try_lock() {
        Some(mut look) => look.at_all(&mut visit),
        None => {
            Look { pages: Vec::new(), pending: Vec::new(), windows: Vec::new() }.at_all(&mut visit);
        }
    }
}

impl Look {
    fn at_all(&mut self, visit: &mut impl FnMut(PageOccupancy)) {
        self.at_pages();
        self.windows.clear();
        self.at_windows();
        self.at_pending();
        for Read { page, kind, free, .. } in &mut self.pages {
            if *kind == Kind::Slab {
                let (remote, local_free) = (words(&page.remote), words(&page.local_free));
                *free = core::array::from_fn(|word| {
                    remote[word] | local_free[word] | union_of(&self.pending, page, word)
                });
            }
        }
        self.at_windows();
        self.windows.sort_unstable();
        for read in &self.pages {
            visit(self.judge(read));
        }
    }

    /// Lists the pages, and reads what is taken of them.
    fn at_pages(&mut self) {
        self.pages.clear();
        for (node, span) in REGION.spans().iter().enumerate() {
            span.for_each_page(NodeId(node as u8), |kind, page| {
                self.pages.push(Read { page, kind, taken: [0; WORDS], free: [0; WORDS] });
            });
        }
        for read in &mut self.pages {
            read.taken = words(&read.page.taken);
        }
    }

    fn at_windows(&mut self) {
        for_each_heap(|heap| self.windows.extend(heap.windows().iter().map(Window::view).map(seen)));
    }

    fn at_pending(&mut self) {
        self.pending.clear();
        for_each_heap(|heap| self.pending.extend(heap.pending().views().map(seen)));
        self.pending.sort_unstable();
    }

    fn judge(&self, read: &Read) -> PageOccupancy {
        let &Read { page, kind, taken, free } = read;
        let slab = kind == Kind::Slab;
        let hidden: [u64; WORDS] =
            core::array::from_fn(|word| if slab { union_of(&self.windows, page, word) } else { 0 });
        PageOccupancy {
            usage: if slab { PageUse::Slab } else { PageUse::Lent },
            node: page.node(),
            base: page.base(),
            bytes: page.bytes(),
            slot_size: page.slot_size(),
            slots: page.slots(),
            live: core::array::from_fn(|word| {
                BucketMask::from_word(taken[word] & !free[word] & !hidden[word])
            }),
            window: (0..WORDS).map(|word| (hidden[word] & taken[word] & !free[word]).count_ones()).sum(),
        }
    }
}
