//! The truth about slots: which are live, read from the masks alone.
//!
//! `live = taken & !local_free & !remote & !pending`. A slot moves from mask to mask along one way,
//! `pending -> remote -> local_free -> live`, and is set where it goes before it is cleared where it
//! comes from; here each mask is read before the one that its slots go to, so that no free slot is missed
//! by all of them. A slot enters `taken` while it is in `local_free`, so `taken` is read first. A page that
//! was given back or got another owner meanwhile is read again.

use core::sync::atomic::Ordering;

use bitvec::array::BitArray;
use bitvec::order::Lsb0;

use crate::granule::Kind;
use crate::mask::BucketMask;
use crate::medium;
use crate::node::NodeId;
use crate::page::{MaskLine, PageMeta, WORDS};
use crate::region::REGION;
use crate::roster::{PendingInOrder, Roster, with_roster};

/// What a page serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PageUse {
    /// Blocks of a size class.
    Slab,
    /// Objects of a collector.
    Lent,
    /// A block over 32 KiB: one slot, as large as was asked for; not live while a thread keeps it for its
    /// next such block.
    Medium,
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
}

impl PageOccupancy {
    /// Live slots.
    pub fn live_slots(&self) -> usize {
        self.live.iter().map(|mask| mask.count() as usize).sum()
    }

    /// The most neighbouring slots that are not live.
    pub fn largest_free_run(&self) -> usize {
        // `open` is the run that reaches up to the bucket looked at.
        let (mut largest, mut open) = (0, 0);
        for (bucket, &live) in self.live.iter().enumerate() {
            let slots = self.slots.saturating_sub(bucket * 64).min(64) as u32;
            let free = BucketMask::first(slots) - live;
            if free.is_full() {
                open += 64;
                continue;
            }
            largest = largest.max(open + free.word().trailing_ones() as usize);
            largest = free.runs().map(|run| run.len()).fold(largest, usize::max);
            open = free.word().leading_ones() as usize;
        }
        largest.max(open)
    }

    /// Addresses of the live slots, ascending.
    pub fn live_addresses(&self) -> impl Iterator<Item = usize> + '_ {
        self.live.iter().enumerate().flat_map(move |(bucket, mask)| {
            mask.occupied().map(move |slot| self.base + (bucket * 64 + slot as usize) * self.slot_size)
        })
    }

    /// The live slots as bits, one a slot; those from [`slots`](Self::slots) on are clear.
    pub fn live_bits(&self) -> BitArray<[u64; WORDS], Lsb0> {
        BitArray::new(self.live.map(BucketMask::word))
    }
}

/// A line of masks as read.
type Line = [u64; WORDS];

/// Times a page is read because it changes meanwhile, before it is taken as it is.
const TRIES: usize = 1000;

/// Calls `visit` with each page in use, by node and address. Takes nothing from the allocator.
pub(crate) fn for_each_page(mut visit: impl FnMut(&PageOccupancy)) {
    REGION.get();
    with_roster(|roster| {
        let mut pending = roster.pending_in_order();
        for (node, span) in REGION.spans().iter().enumerate() {
            span.for_each_page(NodeId(node as u8), |page, base| {
                if let Some(occupancy) = judge(roster, &mut pending, page, base) {
                    visit(&occupancy);
                }
            });
        }
    });
}

/// One page; `None` if it is not in use.
pub(crate) fn of_page(page: &PageMeta) -> Option<PageOccupancy> {
    with_roster(|roster| judge(roster, &mut roster.pending_in_order(), page, page.base()))
}

/// What is live in a page; `None` if it was given back meanwhile.
fn judge(
    roster: &Roster,
    pending: &mut PendingInOrder<'_>,
    page: &PageMeta,
    base: usize,
) -> Option<PageOccupancy> {
    let mut on_their_way = [0; WORDS];
    pending.add_to(&mut on_their_way, page, base);
    let mut tries = 0;
    loop {
        let life = page.life();
        let (usage, heap) = match page.kind() {
            Kind::None => return None,
            Kind::Slab => (PageUse::Slab, Some(roster.owner(page)?)),
            Kind::Lent => (PageUse::Lent, None),
            Kind::Medium => (PageUse::Medium, None),
        };
        let mut live = words(&page.taken);
        if heap.is_some() {
            for (bucket, live) in live.iter_mut().enumerate() {
                // The remote mask first: a slot goes from it to `local_free`.
                let remote = page.remote.0[bucket].load(Ordering::Acquire);
                let free = page.local_free.0[bucket].load(Ordering::Acquire);
                *live &= !(on_their_way[bucket] | remote | free);
            }
        }
        if usage == PageUse::Medium {
            live[0] = u64::from(medium::is_live(page));
        }
        tries += 1;
        let same_owner = heap.is_none_or(|heap| page.heap() == heap.id());
        let same = same_owner && page.life() == life;
        if same || tries == TRIES {
            return Some(PageOccupancy {
                usage,
                node: page.node(),
                base: page.base(),
                bytes: page.bytes(),
                slot_size: page.slot_size(),
                slots: page.slots(),
                live: live.map(BucketMask::from_word),
            });
        }
    }
}

fn words(line: &MaskLine) -> Line {
    // Acquire pairs with the releases of whoever moves slots.
    core::array::from_fn(|word| line.0[word].load(Ordering::Acquire))
}
