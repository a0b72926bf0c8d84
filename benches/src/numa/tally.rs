//! Pages wanted on a node, and where they are. Plain values. Invariant: a page counts as found only where the kernel said so.

use bucketmask_alloc::{BucketAlloc, NodeId, NodePlacement, PagePlace, Topology, node_of};

use crate::format::{count, percent};
use crate::record::{Metric, OURS, Record};

const WANTED: Metric = Metric::higher("pages_wanted", "pages");
const FOUND: Metric = Metric::higher("pages_found", "pages");
const ELSEWHERE: Metric = Metric::lower("pages_elsewhere", "pages");
const UNKNOWN: Metric = Metric::lower("pages_unknown", "pages");
const LOCAL: Metric = Metric::higher("local", "%");

/// OS pages that were wanted on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Pages.
    pub(super) wanted: usize,
    /// Of these, on that node.
    pub(super) found: usize,
    /// Of these, on another one.
    pub(super) elsewhere: usize,
    /// Of these, not told of.
    pub(super) unknown: usize,
    /// Pages of the bucket allocator's region, and of these, in the span of the node.
    pub(super) ours: usize,
    /// See `ours`.
    pub(super) own_span: usize,
}

impl Tally {
    /// Column names of [`cells`](Self::cells).
    pub(super) const HEAD: [&str; 5] = ["pages wanted", "found there", "elsewhere", "unknown", "local"];

    /// Asks where `pages` are that threads wanted from `home`.
    pub(super) fn of(pages: &[usize], home: NodeId, topology: &Topology) -> Self {
        let mut tally = Self { wanted: pages.len(), ..Self::default() };
        for node in pages.iter().filter_map(|&page| node_of(page)) {
            tally.ours += 1;
            tally.own_span += usize::from(node == home);
        }
        for place in BucketAlloc.places_of(pages) {
            match place {
                PagePlace::OnNode(_) if topology.is_fake() => tally.unknown += 1,
                PagePlace::OnNode(node) if node == topology.kernel_number(home) || topology.nodes() == 1 => {
                    tally.found += 1;
                }
                PagePlace::OnNode(_) => tally.elsewhere += 1,
                _ => tally.unknown += 1,
            }
        }
        tally
    }

    /// The allocator's own account of a node.
    pub(super) fn of_memory(node: &NodePlacement) -> Self {
        Self {
            wanted: node.pages_wanted,
            found: node.pages_found_here,
            elsewhere: node.pages_elsewhere,
            unknown: node.unknown,
            ours: node.pages_wanted,
            own_span: node.pages_wanted,
        }
    }

    /// Adds another thread's.
    pub(super) fn add(&mut self, other: Self) {
        self.wanted += other.wanted;
        self.found += other.found;
        self.elsewhere += other.elsewhere;
        self.unknown += other.unknown;
        self.ours += other.ours;
        self.own_span += other.own_span;
    }

    /// Percent found; 100 where none was wanted.
    pub(super) fn local_percent(&self) -> f64 {
        if self.wanted == 0 { 100.0 } else { 100.0 * self.found as f64 / self.wanted as f64 }
    }

    /// Percent of the region's pages that are of the node's own span; 100 where none is.
    pub(super) fn own_span_percent(&self) -> f64 {
        if self.ours == 0 { 100.0 } else { 100.0 * self.own_span as f64 / self.ours as f64 }
    }

    /// As a table's cells.
    pub(super) fn cells(&self) -> Vec<String> {
        let pages = [self.wanted, self.found, self.elsewhere, self.unknown];
        let mut cells: Vec<String> = pages.iter().map(|&pages| count(pages as u64)).collect();
        cells.push(percent(self.found as f64, self.wanted as f64));
        cells
    }

    /// As figures.
    pub(super) fn record(&self, record: &mut Record, suite: &str, case: &str) {
        let figures = [
            (WANTED, self.wanted as f64),
            (FOUND, self.found as f64),
            (ELSEWHERE, self.elsewhere as f64),
            (UNKNOWN, self.unknown as f64),
            (LOCAL, self.local_percent()),
        ];
        for (metric, value) in figures {
            record.measure(suite, case, OURS, metric, self.wanted as u64, &[value].into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wanted_is_nothing_missed() {
        let tally = Tally::default();
        assert!((tally.local_percent() - 100.0).abs() < 1e-9);
        assert_eq!(tally.cells(), ["0", "0", "0", "0", "-"]);
    }

    #[test]
    fn every_page_is_found_elsewhere_or_unknown() {
        let topology = bucketmask_alloc::topology();
        let touched = vec![1_u8; 1 << 20];
        let pages: Vec<usize> =
            (0..200).map(|page| (touched.as_ptr() as usize & !4095) + page * 4096).collect();
        let mut tally = Tally::of(&pages, NodeId(0), &topology);
        assert_eq!((tally.wanted, tally.found + tally.elsewhere + tally.unknown), (200, 200));
        tally.add(tally);
        assert_eq!(tally.wanted, 400);
    }
}
