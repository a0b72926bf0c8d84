//! How a report is made: one walk over the pages, one over the ranges, the counters of all heaps, and one
//! look at the kernel's list of mappings.
//!
//! Invariant: nothing is stopped for it; each number is true of some moment while it is made.

use super::residency::Residency;
use super::smaps::{self, MemoryReport};
use super::{LargeReport, MediumReport, NodeReport, Report, SlotsReport};
use crate::class::{CLASSES, TABLE};
use crate::node::NodeId;
use crate::occupancy::{self, PageOccupancy, PageUse};
use crate::page::PageMeta;
use crate::region::REGION;
use crate::registry::for_each_heap;
use crate::{large, parked, range, sample};

impl Report {
    pub(crate) fn take() -> Self {
        let mut residency = Residency::new();
        let spans = REGION.get().spans().iter().enumerate();
        let mut nodes: Vec<NodeReport> = spans
            .map(|(node, span)| NodeReport {
                node: NodeId(node as u8),
                granules: span.granules(),
                ..NodeReport::default()
            })
            .collect();
        occupancy::for_each_page(|page| {
            let node = &mut nodes[usize::from(page.node.0)];
            let slots = match page.usage {
                PageUse::Slab => &mut node.classes,
                PageUse::Lent => &mut node.lent,
                PageUse::Medium => {
                    return node.medium.add(page, residency.of_page(page.base, page.bytes));
                }
            };
            let place = slots.binary_search_by_key(&page.slot_size, |slots| slots.slot_size);
            let place = place.unwrap_or_else(|place| {
                slots.insert(place, SlotsReport::default());
                place
            });
            slots[place].add(page, residency.of_page(page.base, page.bytes));
        });
        for range in range::live() {
            let ranges = &mut nodes[usize::from(range.node.0)].ranges;
            ranges.count += 1;
            ranges.room += range.room();
            ranges.resident +=
                range.open().map(|(base, bytes)| residency.of_part(base, bytes)).sum::<usize>();
        }
        for (node, base, bytes) in parked::open() {
            nodes[usize::from(node.0)].ranges.resident += residency.of_part(base, bytes);
        }
        for lent in nodes.iter_mut().flat_map(|node| &mut node.lent) {
            lent.requested = lent.live_bytes();
        }
        let mut report = Self { nodes, ..Self::default() };
        report.share_requested();
        report.ask_kernel();
        report
    }

    /// What the kernel says: of each node's mappings, and of all.
    fn ask_kernel(&mut self) {
        let nodes = &mut self.nodes;
        let mut process = MemoryReport::default();
        let told = smaps::for_each_field(|mapping, field, bytes| {
            process.add(field, bytes);
            let node = REGION.offset_of(mapping).map(|offset| offset / REGION.span_bytes());
            if let Some(node) = node.and_then(|node| nodes.get_mut(node)) {
                node.memory.get_or_insert_default().add(field, bytes);
            }
        });
        self.process = told.then_some(process);
    }

    /// Gives each class its requested bytes, shared between nodes by their live blocks.
    fn share_requested(&mut self) {
        let mut requested = [0u64; CLASSES];
        let (mut bytes, mut blocks) = (0u64, 0u64);
        let Self { nodes, remote, .. } = self;
        for_each_heap(|heap| {
            for (sum, window) in requested.iter_mut().zip(heap.windows()) {
                *sum = sum.wrapping_add(window.counted());
                window.pages().for_each(|page| count_in_window(nodes, page));
            }
            let (frees, atomics) = heap.remote_cost();
            remote.frees += frees;
            remote.atomics += atomics;
            let large = heap.counted_large();
            (bytes, blocks) = (bytes.wrapping_add(large.0), blocks.wrapping_add(large.1));
        });
        self.large = LargeReport {
            blocks: positive(blocks),
            requested: positive(bytes),
            committed: large::committed(),
        };
        for (class, about) in TABLE.iter().enumerate() {
            let size = about.slot_size as usize;
            let live: usize =
                self.classes().filter(|slots| slots.slot_size == size).map(|slots| slots.live).sum();
            let classes = self.nodes.iter_mut().flat_map(|node| &mut node.classes);
            for slots in classes.filter(|slots| slots.slot_size == size && live > 0) {
                let share = positive(requested[class]) as u128 * slots.live as u128 / live as u128;
                slots.requested = sample::estimate(class, slots.live).unwrap_or(share as usize);
                slots.sampled = sample::estimate(class, 0).is_some();
            }
        }
    }
}

/// Counts a free slot of `page` that is in a window.
fn count_in_window(nodes: &mut [NodeReport], page: &PageMeta) {
    let classes = nodes.get_mut(usize::from(page.node().0)).map(|node| &mut node.classes);
    let slots = classes.and_then(|classes| {
        let place = classes.binary_search_by_key(&page.slot_size(), |slots| slots.slot_size);
        place.ok().map(|place| &mut classes[place])
    });
    if let Some(slots) = slots {
        slots.window += 1;
    }
}

impl MediumReport {
    fn add(&mut self, page: &PageOccupancy, resident: usize) {
        if page.live_slots() > 0 {
            self.blocks += 1;
            self.requested += page.slot_size;
        } else {
            self.kept += 1;
        }
        self.committed += page.bytes;
        self.resident += resident;
    }
}

impl SlotsReport {
    fn add(&mut self, page: &PageOccupancy, resident: usize) {
        self.slot_size = page.slot_size;
        self.pages += 1;
        self.slots += page.slots;
        self.live += page.live_slots();
        self.committed += page.bytes;
        self.resident += resident;
        self.largest_free_run = self.largest_free_run.max(page.largest_free_run());
        let tenth = (page.live_slots() * 10 / page.slots.max(1)).min(9);
        self.histogram[tenth] += 1;
    }
}

/// A sum modulo 2^64 of counters that were read while their threads went on: a little below zero
/// means zero.
fn positive(sum: u64) -> usize {
    if sum >> 63 == 0 { sum as usize } else { 0 }
}
