//! Placement: on which node the kernel put what we asked for, and how many frees crossed nodes.
//!
//! Asked by hand, never by the allocator itself. Invariant: a page counts as found only where the kernel
//! said so; what it does not tell is told apart, as unknown.

use crate::global::BucketAlloc;
use crate::node::{NodeId, nodes};
use crate::region::REGION;
use crate::registry::for_each_heap;
use crate::side::CHUNK;
use crate::sys::{self, OS_PAGE};
use crate::{parked, range};

/// Where memory is, by node. See [`BucketAlloc::placement`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Placement {
    /// By node.
    pub nodes: Vec<NodePlacement>,
    /// The `errno` with which the kernel refused to tell, if it did: `EPERM` in a sandbox, `ENOSYS` in a
    /// kernel without NUMA. All pages are unknown then.
    pub refused: Option<i32>,
}

/// Where one node's memory is. Pages are the kernel's, of 4 KiB, and only those in memory count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NodePlacement {
    /// The node.
    pub node: NodeId,
    /// The kernel's number of it.
    pub kernel_node: usize,
    /// Whether the kernel was asked, and agreed, to take this node's memory from it. Not on a machine
    /// of one node, where there is nothing to ask.
    pub bound: bool,
    /// Pages of bucket pages and ranges of this node.
    pub pages_wanted: usize,
    /// Of these, the ones that are on this node.
    pub pages_found_here: usize,
    /// Of these, the ones that are on another node.
    pub pages_elsewhere: usize,
    /// Of these, the ones of which the kernel does not tell, or whose node is a fake one.
    pub unknown: usize,
    /// Blocks of this node that threads of other nodes freed, since the process began: they went home.
    /// Counted when such frees are sent on their way, at the latest at the thread's exit.
    pub cross_node_frees: u64,
}

/// Where one page of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PagePlace {
    /// On the node of this number of the kernel's.
    OnNode(usize),
    /// Not in memory: never touched, given back, or swapped out.
    Absent,
    /// The kernel does not tell.
    Unknown,
}

/// Pages asked about in one call.
const BATCH: usize = CHUNK / OS_PAGE;

impl BucketAlloc {
    /// Where the memory of each node is, asked of the kernel page by page, and how many frees crossed
    /// nodes. Takes time in proportion to the pages in use.
    pub fn placement(&self) -> Placement {
        let mut placement = Placement::default();
        for node in (0..nodes()).map(|node| NodeId(node as u8)) {
            placement.nodes.push(NodePlacement {
                node,
                kernel_node: REGION.topology().kernel_number(node),
                bound: REGION.is_bound(node),
                ..NodePlacement::default()
            });
        }
        for (node, span) in REGION.spans().iter().enumerate() {
            // Listed first: what is asked below allocates, and so changes the pages in use.
            let mut areas = Vec::new();
            span.for_each_page(NodeId(node as u8), |page, base| areas.push((base, page.bytes())));
            for (base, bytes) in areas {
                placement.count(node, base, bytes);
            }
        }
        for range in range::live() {
            for (base, bytes) in range.open() {
                placement.count(usize::from(range.node.0), base, bytes);
            }
        }
        for (node, base, bytes) in parked::open() {
            placement.count(usize::from(node.0), base, bytes);
        }
        for_each_heap(|heap| {
            for (node, frees) in placement.nodes.iter_mut().zip(heap.crossed()) {
                node.cross_node_frees += frees;
            }
        });
        placement
    }

    /// Where the pages are that hold the bytes at `addresses`, which may be any. One system call for
    /// each 1024 of them.
    pub fn places_of(&self, addresses: &[usize]) -> Vec<PagePlace> {
        let mut places = Vec::with_capacity(addresses.len());
        for batch in addresses.chunks(BATCH) {
            let mut found = [0; BATCH];
            let told = sys::nodes_of_pages(batch, &mut found).is_ok();
            places.extend(found[..batch.len()].iter().map(|&found| place(told, found)));
        }
        places
    }
}

/// The node whose memory holds the byte at `address`; `None` where it is not of the region.
pub fn node_of(address: usize) -> Option<NodeId> {
    let region = REGION.get();
    region.offset_of(address).map(|offset| NodeId((offset / region.span_bytes()) as u8))
}

fn place(told: bool, found: i32) -> PagePlace {
    match usize::try_from(found) {
        Ok(node) if told => PagePlace::OnNode(node),
        // EFAULT: the zero page, of which there is one for all, or no mapping at all.
        Err(_) if told && (found == -libc::ENOENT || found == -libc::EFAULT) => PagePlace::Absent,
        _ => PagePlace::Unknown,
    }
}

impl Placement {
    /// Counts the pages of `[base, base + bytes)` that are in memory, wanted on `node`.
    fn count(&mut self, node: usize, base: usize, bytes: usize) {
        // Pages smaller than the kernel's share one: the first of them speaks for it.
        if bytes < OS_PAGE && base % OS_PAGE != 0 {
            return;
        }
        let bytes = bytes.max(OS_PAGE);
        let topology = REGION.topology();
        let counts = &mut self.nodes[node];
        let mut states = [0; BATCH];
        for part in (base..base + bytes).step_by(CHUNK) {
            let states = &mut states[..(base + bytes - part).min(CHUNK) / OS_PAGE];
            sys::residency(part, states);
            let mut present = [0; BATCH];
            let mut count = 0;
            for (idx, _) in states.iter().enumerate().filter(|&(_, state)| state & 1 != 0) {
                present[count] = part + idx * OS_PAGE;
                count += 1;
            }
            let mut found = [0; BATCH];
            let told = sys::nodes_of_pages(&present[..count], &mut found);
            self.refused = self.refused.or(told.err());
            for &found in &found[..count] {
                match place(told.is_ok() && !topology.is_fake(), found) {
                    PagePlace::Absent => continue,
                    PagePlace::Unknown => counts.unknown += 1,
                    PagePlace::OnNode(kernel) if kernel == counts.kernel_node || topology.nodes() == 1 => {
                        counts.pages_found_here += 1;
                    }
                    PagePlace::OnNode(_) => counts.pages_elsewhere += 1,
                }
                counts.pages_wanted += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_page() {
        assert_eq!(place(true, 3), PagePlace::OnNode(3));
        assert_eq!(place(true, -libc::ENOENT), PagePlace::Absent);
        assert_eq!(place(true, -libc::EACCES), PagePlace::Unknown);
        assert_eq!(place(false, 0), PagePlace::Unknown);
    }

    #[test]
    fn a_touched_page_is_somewhere_and_an_unmapped_one_is_not() {
        let touched = [1u8; 64];
        let places = BucketAlloc.places_of(&[touched.as_ptr() as usize, 0]);
        assert!(!matches!(places[0], PagePlace::Absent), "{places:?}");
        assert!(!matches!(places[1], PagePlace::OnNode(_)), "{places:?}");
    }
}
