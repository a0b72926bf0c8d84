//! Our allocator's report, cut down to rows that travel from a child process and print as one table. Owned by the step of
//! the program that asked. Invariant: a row's live and requested bytes never exceed what it has committed when nothing
//! else allocates, and the totals are the sums of the rows.

use bucketmask_alloc::{NodeReport, Report, SlotsReport};
use serde::{Deserialize, Serialize};

/// What kind of memory a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A size class of the allocator.
    Class,
    /// Bucket pages lent to a collector, by slot size.
    Lent,
    /// Ranges of growing tables.
    Range,
    /// Blocks that mimalloc serves: large or over-aligned ones.
    Large,
}

impl Kind {
    /// How tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Lent => "gc pages",
            Self::Range => "table ranges",
            Self::Large => "large blocks",
        }
    }
}

/// Memory of one kind, node and slot size; all in bytes, but for `pages`, `slots` and `live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// NUMA node.
    pub node: u8,
    /// What kind of memory.
    pub kind: Kind,
    /// Bytes a slot; 0 where there are no slots.
    pub slot_bytes: u64,
    /// Bucket pages, ranges or blocks.
    pub pages: u64,
    /// Slots in those pages.
    pub slots: u64,
    /// Slots that hold something.
    pub live: u64,
    /// Bytes in live slots.
    pub live_bytes: u64,
    /// Bytes that callers asked for.
    pub requested: u64,
    /// Bytes made readable and writable; for table ranges, which open as they grow, the resident bytes.
    pub committed: u64,
    /// Bytes with memory behind them; 0 for large blocks, of which nobody can tell.
    pub resident: u64,
}

/// The rows of one report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragmentation {
    /// One row each kind, node and slot size that holds memory.
    pub rows: Vec<Row>,
}

impl Fragmentation {
    /// The rows of an allocator's report; `large_committed` is what mimalloc holds for the large blocks, in bytes.
    pub fn of(report: &Report, large_committed: u64) -> Self {
        let mut rows: Vec<Row> = report.nodes.iter().flat_map(node_rows).collect();
        let large = &report.large;
        if large.blocks > 0 {
            rows.push(Row {
                node: 0,
                kind: Kind::Large,
                slot_bytes: 0,
                pages: large.blocks as u64,
                slots: 0,
                live: large.blocks as u64,
                live_bytes: large.requested as u64,
                requested: large.requested as u64,
                committed: large_committed,
                resident: 0,
            });
        }
        Self { rows }
    }

    /// Sums of (live bytes, requested, committed, resident) over the rows of one kind, or all.
    pub fn total(&self, kind: Option<Kind>) -> [u64; 4] {
        let rows = self.rows.iter().filter(|row| kind.is_none_or(|kind| row.kind == kind));
        rows.fold([0; 4], |sum, row| {
            let add = [row.live_bytes, row.requested, row.committed, row.resident];
            std::array::from_fn(|idx| sum[idx] + add[idx])
        })
    }
}

fn node_rows(report: &NodeReport) -> Vec<Row> {
    let node = report.node.0;
    let of = |kind| move |slots: &SlotsReport| slots_row(node, kind, slots);
    let mut rows: Vec<Row> = report.classes.iter().map(of(Kind::Class)).collect();
    rows.extend(report.lent.iter().map(of(Kind::Lent)));
    let ranges = &report.ranges;
    if ranges.count > 0 {
        let resident = ranges.resident as u64;
        rows.push(Row {
            node,
            kind: Kind::Range,
            slot_bytes: 0,
            pages: ranges.count as u64,
            slots: 0,
            live: ranges.count as u64,
            // A table counts as in use as far as it reaches: how full it is, its own occupancy says.
            live_bytes: resident,
            requested: resident,
            committed: resident,
            resident,
        });
    }
    rows
}

fn slots_row(node: u8, kind: Kind, slots: &SlotsReport) -> Row {
    Row {
        node,
        kind,
        slot_bytes: slots.slot_size as u64,
        pages: slots.pages as u64,
        slots: slots.slots as u64,
        live: slots.live as u64,
        live_bytes: slots.live_bytes() as u64,
        requested: slots.requested as u64,
        committed: slots.committed as u64,
        resident: slots.resident as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bucketmask_alloc::{LargeReport, NodeId, RangesReport};

    #[test]
    fn rows_and_totals_follow_the_report() {
        let slots = |slot_size, live| SlotsReport {
            slot_size,
            pages: 2,
            slots: 1024,
            live,
            window: 64,
            requested: live * slot_size - 100,
            committed: 1024 * slot_size,
            resident: 512 * slot_size,
            ..SlotsReport::default()
        };
        let node = NodeReport {
            node: NodeId(1),
            classes: vec![slots(16, 100), slots(64, 10)],
            lent: vec![slots(32, 50)],
            ranges: RangesReport { count: 1, room: 1 << 30, resident: 4096 },
            ..NodeReport::default()
        };
        let large = LargeReport { blocks: 2, requested: 900, committed: 8192 };
        let report = Report { nodes: vec![node], large, ..Report::default() };
        let rows = Fragmentation::of(&report, 8192);
        assert_eq!(rows.rows.len(), 5);
        assert!(rows.rows[..4].iter().all(|row| row.node == 1));
        assert_eq!(rows.total(Some(Kind::Class)), [2240, 2040, 81_920, 40_960]);
        assert_eq!(rows.total(Some(Kind::Lent)), [1600, 1500, 32_768, 16_384]);
        assert_eq!(rows.total(Some(Kind::Large)), [900, 900, 8192, 0]);
        let all = rows.total(None);
        assert_eq!(
            all,
            [
                2240 + 1600 + 4096 + 900,
                2040 + 1500 + 4096 + 900,
                81_920 + 32_768 + 4096 + 8192,
                40_960 + 16_384 + 4096,
            ]
        );
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(serde_json::from_str::<Fragmentation>(&text).unwrap(), rows);
    }
}
