//! The report: where memory is, by node and size class, and how much of it is of use.
//!
//! Made from the masks (`occupancy`) and the windows' counters; nothing is counted on the fast path
//! but bytes requested. Invariant: all numbers are bytes or counts, fractions are 0 to 1.

use core::fmt;

use crate::class::{CLASSES, TABLE};
use crate::node::NodeId;
use crate::occupancy::{self, PageOccupancy, PageUse};
use crate::range;
use crate::region::REGION;
use crate::registry::for_each_heap;
use crate::residency::Residency;

/// What is where. See [`BucketAlloc::report`](crate::BucketAlloc::report).
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    /// By node.
    pub nodes: Vec<NodeReport>,
    /// Blocks that mimalloc serves.
    pub large: LargeReport,
}

/// One node's memory.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Pages of blocks, by size class; classes without a page are left out.
    pub classes: Vec<SlotsReport>,
    /// Pages lent to collectors, by slot size.
    pub lent: Vec<SlotsReport>,
    /// Ranges of growing tables.
    pub ranges: RangesReport,
}

/// All pages of one slot size on one node.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SlotsReport {
    /// Bytes a slot.
    pub slot_size: usize,
    /// Pages.
    pub pages: usize,
    /// Slots of these pages.
    pub slots: usize,
    /// Slots that hold a block or object.
    pub live: usize,
    /// Free slots in threads' windows.
    pub window: usize,
    /// Bytes asked for by the live blocks. Counted a class; on several nodes each has its share of
    /// the live blocks. For lent pages, whose users don't tell, the bytes of the live slots.
    pub requested: usize,
    /// Bytes of these pages.
    pub committed: usize,
    /// Bytes of these pages that are in memory.
    pub resident: usize,
}

/// Ranges of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RangesReport {
    /// Ranges.
    pub count: usize,
    /// Bytes of address space reserved.
    pub room: usize,
    /// Bytes in memory.
    pub resident: usize,
}

/// Large and over-aligned blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LargeReport {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes asked for by them.
    pub requested: usize,
}

impl SlotsReport {
    /// Bytes of the live slots.
    pub fn live_bytes(&self) -> usize {
        self.live * self.slot_size
    }

    /// `1 - requested / live bytes`: what rounding up to the class wastes. 0 without live slots.
    pub fn internal_fragmentation(&self) -> f64 {
        waste(self.requested, self.live_bytes())
    }

    /// `1 - live slots / slots`: what partly empty pages waste. 0 without slots.
    pub fn external_fragmentation(&self) -> f64 {
        waste(self.live, self.slots)
    }

    fn add(&mut self, page: &PageOccupancy, resident: usize) {
        self.slot_size = page.slot_size;
        self.pages += 1;
        self.slots += page.slots;
        self.live += page.live_slots();
        self.window += page.window as usize;
        self.committed += page.bytes;
        self.resident += resident;
    }
}

fn waste(used: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { 1.0 - used as f64 / of as f64 }
}

impl Report {
    pub(crate) fn take() -> Self {
        let mut residency = Residency::new();
        let mut nodes: Vec<NodeReport> = (0..REGION.get().spans().len())
            .map(|node| NodeReport { node: NodeId(node as u8), ..NodeReport::default() })
            .collect();
        occupancy::for_each_page(|page| {
            let node = &mut nodes[usize::from(page.node.0)];
            let slots = match page.usage {
                PageUse::Slab => &mut node.classes,
                PageUse::Lent => &mut node.lent,
            };
            let place = slots.binary_search_by_key(&page.slot_size, |slots| slots.slot_size);
            let place = place.unwrap_or_else(|place| {
                slots.insert(place, SlotsReport::default());
                place
            });
            slots[place].add(page, residency.of_page(page.base, page.bytes));
        });
        for (base, room, node) in range::live() {
            let ranges = &mut nodes[usize::from(node.0)].ranges;
            ranges.count += 1;
            ranges.room += room;
            ranges.resident += residency.of_range(base, room);
        }
        for lent in nodes.iter_mut().flat_map(|node| &mut node.lent) {
            lent.requested = lent.live_bytes();
        }
        let mut report = Self { nodes, large: LargeReport::default() };
        report.share_requested();
        report
    }

    /// Gives each class its requested bytes, shared between nodes by their live blocks.
    fn share_requested(&mut self) {
        let mut requested = [0u64; CLASSES];
        let (mut bytes, mut blocks) = (0u64, 0u64);
        for_each_heap(|heap| {
            for (sum, window) in requested.iter_mut().zip(heap.windows()) {
                *sum = sum.wrapping_add(window.counted());
            }
            let large = heap.counted_large();
            (bytes, blocks) = (bytes.wrapping_add(large.0), blocks.wrapping_add(large.1));
        });
        self.large = LargeReport { blocks: positive(blocks), requested: positive(bytes) };
        for (class, about) in TABLE.iter().enumerate() {
            let size = about.slot_size as usize;
            let live: usize =
                self.classes().filter(|slots| slots.slot_size == size).map(|slots| slots.live).sum();
            let classes = self.nodes.iter_mut().flat_map(|node| &mut node.classes);
            for slots in classes.filter(|slots| slots.slot_size == size && live > 0) {
                let share = positive(requested[class]) as u128 * slots.live as u128 / live as u128;
                slots.requested = share as usize;
            }
        }
    }

    fn classes(&self) -> impl Iterator<Item = &SlotsReport> {
        self.nodes.iter().flat_map(|node| &node.classes)
    }

    /// Pages of both uses.
    fn slots(&self) -> impl Iterator<Item = &SlotsReport> {
        self.nodes.iter().flat_map(|node| node.classes.iter().chain(&node.lent))
    }

    /// Bytes of all live slots, and of large blocks.
    pub fn live_bytes(&self) -> usize {
        self.slots().map(SlotsReport::live_bytes).sum::<usize>() + self.large.requested
    }

    /// Bytes asked for.
    pub fn requested(&self) -> usize {
        self.slots().map(|slots| slots.requested).sum::<usize>() + self.large.requested
    }

    /// Bytes of pages in use; of ranges, the bytes in memory; of large blocks, the bytes asked for.
    pub fn committed(&self) -> usize {
        let ranges: usize = self.nodes.iter().map(|node| node.ranges.resident).sum();
        self.slots().map(|slots| slots.committed).sum::<usize>() + ranges + self.large.requested
    }

    /// Bytes of pages and ranges that are in memory. What mimalloc holds is not known here.
    pub fn resident(&self) -> usize {
        let ranges: usize = self.nodes.iter().map(|node| node.ranges.resident).sum();
        self.slots().map(|slots| slots.resident).sum::<usize>() + ranges
    }
}

/// A sum modulo 2^64 of counters that were read while their threads went on: a little below zero
/// means zero.
fn positive(sum: u64) -> usize {
    if sum >> 63 == 0 { sum as usize } else { 0 }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            writeln!(f, "node {}", node.node.0)?;
            table(f, "blocks", &node.classes)?;
            table(f, "objects", &node.lent)?;
            let RangesReport { count, room, resident } = node.ranges;
            writeln!(f, "  ranges: {count}, room {}, resident {}", Kib(room), Kib(resident))?;
        }
        writeln!(f, "large: {} blocks, requested {}", self.large.blocks, Kib(self.large.requested))
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: &[SlotsReport]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "  {title:>8} {:>8} {:>10} {:>10} {:>8} {:>12} {:>12} {:>12} {:>6} {:>6}",
        "pages", "slots", "live", "window", "requested", "committed", "resident", "int.", "ext."
    )?;
    for row in rows {
        writeln!(
            f,
            "  {:>8} {:>8} {:>10} {:>10} {:>8} {:>12} {:>12} {:>12} {:>5.1}% {:>5.1}%",
            row.slot_size,
            row.pages,
            row.slots,
            row.live,
            row.window,
            Kib(row.requested),
            Kib(row.committed),
            Kib(row.resident),
            100.0 * row.internal_fragmentation(),
            100.0 * row.external_fragmentation(),
        )?;
    }
    Ok(())
}

/// Bytes, shown in KiB.
struct Kib(usize);

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} KiB", self.0.div_ceil(1024)))
    }
}
