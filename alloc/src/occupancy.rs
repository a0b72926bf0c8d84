//! The truth about slots: which are live, read from the masks alone.
//!
//! `live = taken & !window & !local_free & !remote & !pending`. A slot moves from mask to mask along
//! one way, `pending -> remote -> local_free -> window -> live`, and is set where it goes before it is
//! cleared where it comes from; here each mask is read before the one that its slots go to, so that
//! no free slot is missed by all of them. Two things go another way. A slot enters `taken` after its
//! window, so `taken` is read before it. A heap that is parked puts its windows back into `local_free`; so
//! the window is looked at before and after `local_free`, which is enough for one parking, and if
//! another one began or ended meanwhile, or the page was given back, it is read again.
#![allow(unsafe_code)]

use core::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::granule::Kind;
use crate::heap::Heap;
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

/// Slots of a bucket seen pending: page, bucket, slots. Sorted, a list of them is looked up by page and
/// bucket.
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

fn words(line: &MaskLine) -> Line {
    // Acquire pairs with the releases of whoever moves slots.
    core::array::from_fn(|word| line.0[word].load(Ordering::Acquire))
}

/// A line of masks as read.
type Line = [u64; WORDS];

/// What a look at all pages needs to remember.
struct Look {
    pages: Vec<&'static PageMeta>,
    pending: Vec<Seen>,
    /// Addresses of all heaps, sorted: what an owner word must be to be believed, since a page may be
    /// given back and lent to a collector while it is looked at.
    heaps: Vec<usize>,
}

impl Look {
    const fn empty() -> Self {
        Self { pages: Vec::new(), pending: Vec::new(), heaps: Vec::new() }
    }
}

/// The buffers of the last look, kept for the next: a report must not disturb what it reports. The
/// allocator itself never takes this lock.
static KEPT: Mutex<Look> = Mutex::new(Look::empty());

/// Times a page is read because it changes meanwhile, before it is taken as it is.
const TRIES: usize = 1000;

/// Calls `visit` with each page in use, by node and address.
pub(crate) fn for_each_page(mut visit: impl FnMut(PageOccupancy)) {
    REGION.get();
    // Who finds the buffers in use, by another thread or by one that a fork left behind, makes its own.
    match KEPT.try_lock() {
        Some(mut look) => look.at_all(&mut visit),
        None => Look::empty().at_all(&mut visit),
    }
}

impl Look {
    fn at_all(&mut self, visit: &mut impl FnMut(PageOccupancy)) {
        self.list_pages();
        self.list_heaps();
        self.pages.iter().filter_map(|page| self.judge(page)).for_each(visit);
    }

    fn list_pages(&mut self) {
        self.pages.clear();
        for (node, span) in REGION.spans().iter().enumerate() {
            span.for_each_page(NodeId(node as u8), |page| self.pages.push(page));
        }
    }

    /// Lists the heaps, and what is pending in them.
    fn list_heaps(&mut self) {
        self.heaps.clear();
        self.pending.clear();
        for_each_heap(|heap| {
            self.heaps.push(heap.id());
            self.pending.extend(heap.pending().views().map(seen));
        });
        self.heaps.sort_unstable();
        self.pending.sort_unstable();
    }

    /// What is live in a page; `None` if it was given back since it was listed.
    fn judge(&self, page: &PageMeta) -> Option<PageOccupancy> {
        let mut tries = 0;
        loop {
            let life = page.life();
            let (usage, heap) = match page.kind() {
                Kind::None => return None,
                Kind::Slab => (PageUse::Slab, Some(self.owner(page)?)),
                Kind::Lent => (PageUse::Lent, None),
            };
            let parkings = heap.map(Heap::parkings);
            let taken = words(&page.taken);
            let (free, window) =
                heap.map_or(([0; WORDS], [0; WORDS]), |heap| self.free_and_window(heap, page));
            let occupancy = PageOccupancy {
                usage,
                node: page.node(),
                base: page.base(),
                bytes: page.bytes(),
                slot_size: page.slot_size(),
                slots: page.slots(),
                live: core::array::from_fn(|word| {
                    BucketMask::from_word(taken[word] & !free[word] & !window[word])
                }),
                window: (0..WORDS).map(|word| (taken[word] & !free[word] & window[word]).count_ones()).sum(),
            };
            tries += 1;
            let same = heap.is_none() || self.owner(page).map(Heap::id) == heap.map(Heap::id);
            if same && heap.map(Heap::parkings) == parkings && page.life() == life || tries == TRIES {
                return Some(occupancy);
            }
        }
    }

    /// The slots of a page that are pending, freed remotely or freed by the owner; and those that its
    /// window hid before or after.
    fn free_and_window(&self, heap: &Heap, page: &PageMeta) -> (Line, Line) {
        let before = window_of(heap, page);
        let (remote, local_free) = (words(&page.remote), words(&page.local_free));
        let after = window_of(heap, page);
        (
            core::array::from_fn(|word| {
                remote[word] | local_free[word] | union_of(&self.pending, page, word)
            }),
            core::array::from_fn(|word| before[word] | after[word]),
        )
    }

    /// The heap that owns a slab page; `None` for one that was given back.
    fn owner(&self, page: &PageMeta) -> Option<&'static Heap> {
        let owner = page.header.owner.load(Ordering::Acquire);
        self.heaps.binary_search(&owner).ok()?;
        // SAFETY: one of the heaps listed, which live for ever.
        Some(unsafe { &*(owner as *const Heap) })
    }
}

/// What a heap's window hides of a page.
fn window_of(heap: &Heap, page: &PageMeta) -> Line {
    let class = usize::from(page.header.class.load(Ordering::Relaxed));
    let Some(view) = heap.windows().get(class).map(Window::view) else { return [0; WORDS] };
    let here = core::ptr::eq(view.page, page);
    core::array::from_fn(|word| if here && word == view.bucket { view.free } else { 0 })
}
