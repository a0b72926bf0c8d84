//! The report: where memory is, by node and size class, and how much of it is of use.
//!
//! `collect` makes it, from the masks, the windows' counters and the kernel's word (`residency`, `smaps`);
//! `table` prints it, `request` when asked by a signal or at exit; `pins` says what keeps one page. Nothing is
//! counted on the fast path but bytes requested. Invariant: all numbers are bytes or counts, fractions are 0
//! to 1.

mod collect;
mod pins;
pub(crate) mod request;
mod residency;
mod smaps;
mod table;

use crate::node::NodeId;

pub use pins::PinningBlock;
pub(crate) use pins::who_pins;
pub use smaps::MemoryReport;

/// What is where. See [`BucketAlloc::report`](crate::BucketAlloc::report).
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    /// By node.
    pub nodes: Vec<NodeReport>,
    /// Blocks that mimalloc serves.
    pub large: LargeReport,
    /// Frees by other threads than a page's owner.
    pub remote: RemoteReport,
    /// The whole process as the kernel counts it: this allocator, mimalloc, program and libraries. `None` where
    /// the kernel does not tell.
    pub process: Option<MemoryReport>,
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
    /// Blocks of 32 KiB to 2 MiB.
    pub medium: MediumReport,
    /// Ranges of growing tables.
    pub ranges: RangesReport,
    /// Memory below pages.
    pub granules: GranulesReport,
    /// The node's part of the region as the kernel counts it: pages, ranges, and what is free and not given
    /// back. `None` where the kernel does not tell.
    pub memory: Option<MemoryReport>,
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
    /// Whether `requested` is an estimate: the class served requests without a layout ([`raw`](crate::raw)),
    /// and its blocks are taken to be as full as those of them that were measured.
    pub sampled: bool,
    /// Bytes of these pages.
    pub committed: usize,
    /// Bytes of these pages that are in memory.
    pub resident: usize,
    /// The most neighbouring slots of one page that are not live.
    pub largest_free_run: usize,
    /// Pages by occupancy, a count a tenth: from under 10 % of the slots live to 90 % and more.
    pub histogram: [usize; 10],
}

/// Blocks over 32 KiB and up to 2 MiB of one node, each in a run of granules of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MediumReport {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes asked for by them.
    pub requested: usize,
    /// Free runs that threads keep for their next block.
    pub kept: usize,
    /// Bytes of all runs.
    pub committed: usize,
    /// Bytes of them that are in memory.
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

/// Chunks of a node that are open for pages, as granules of 64 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GranulesReport {
    /// Granules of open chunks.
    pub open: usize,
    /// Those that belong to no page.
    pub free: usize,
    /// The most free neighbours, all in one chunk: at most 64.
    pub largest_free_run: usize,
}

/// Large and over-aligned blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LargeReport {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes asked for by them.
    pub requested: usize,
    /// Bytes that mimalloc holds for them and in reserve, by its own count. How much of it is in memory it
    /// can't tell; it is part of [`Report::process`].
    pub committed: usize,
}

/// Blocks freed by other threads than the one that owns their page, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RemoteReport {
    /// Blocks, counted when they are sent on their way: at the latest at the thread's exit.
    pub frees: u64,
    /// Atomic read-modify-writes of both sides that it took to get them home.
    pub atomics: u64,
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
}

fn waste(used: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { 1.0 - used as f64 / of as f64 }
}

impl Report {
    fn classes(&self) -> impl Iterator<Item = &SlotsReport> {
        self.nodes.iter().flat_map(|node| &node.classes)
    }

    /// Pages of both uses.
    fn slots(&self) -> impl Iterator<Item = &SlotsReport> {
        self.nodes.iter().flat_map(|node| node.classes.iter().chain(&node.lent))
    }

    fn sum_of_medium(&self, of: impl Fn(&MediumReport) -> usize) -> usize {
        self.nodes.iter().map(|node| of(&node.medium)).sum()
    }

    /// Bytes of all live slots, and of medium and large blocks.
    pub fn live_bytes(&self) -> usize {
        let medium = self.sum_of_medium(|medium| medium.requested);
        self.slots().map(SlotsReport::live_bytes).sum::<usize>() + medium + self.large.requested
    }

    /// Bytes asked for.
    pub fn requested(&self) -> usize {
        let medium = self.sum_of_medium(|medium| medium.requested);
        self.slots().map(|slots| slots.requested).sum::<usize>() + medium + self.large.requested
    }

    /// Bytes of pages and medium runs in use; of ranges, the bytes in memory; of large blocks, the bytes that mimalloc holds.
    pub fn committed(&self) -> usize {
        let ranges: usize = self.nodes.iter().map(|node| node.ranges.resident).sum();
        let medium = self.sum_of_medium(|medium| medium.committed);
        self.slots().map(|slots| slots.committed).sum::<usize>() + medium + ranges + self.large.committed
    }

    /// Bytes of pages and ranges that are in memory. What mimalloc has in memory is not known.
    pub fn resident(&self) -> usize {
        let ranges: usize = self.nodes.iter().map(|node| node.ranges.resident).sum();
        let medium = self.sum_of_medium(|medium| medium.resident);
        self.slots().map(|slots| slots.resident).sum::<usize>() + medium + ranges
    }
}
