//! A report as text: tables of a node, a row a slot size.
//!
//! Invariant: what a table shows is the report's own numbers; bytes are shown in KiB, rounded up, and with a tilde
//! where they are estimates.

use core::fmt;

use super::{MediumReport, MemoryReport, NodeReport, RangesReport, Report, SlotsReport};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            node.fmt(f)?;
        }
        let large = &self.large;
        writeln!(
            f,
            "large: {} blocks, requested {}, held by mimalloc {}",
            large.blocks,
            Kib(large.requested),
            Kib(large.committed)
        )?;
        memory(f, "process", self.process.as_ref())
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node {}", self.node.0)?;
        sizes(f, "blocks", &self.classes)?;
        sizes(f, "objects", &self.lent)?;
        occupancies(f, "blocks", &self.classes)?;
        occupancies(f, "objects", &self.lent)?;
        let MediumReport { blocks, requested, kept, committed, resident } = self.medium;
        writeln!(
            f,
            "  medium: {blocks} blocks, requested {}, runs kept {kept}, committed {}, resident {}",
            Kib(requested),
            Kib(committed),
            Kib(resident)
        )?;
        let RangesReport { count, room, resident } = self.ranges;
        writeln!(f, "  ranges: {count}, room {}, resident {}", Kib(room), Kib(resident))?;
        let granules = &self.granules;
        writeln!(
            f,
            "  granules: {} open, {} free, largest free run {}",
            granules.open, granules.free, granules.largest_free_run
        )?;
        memory(f, "  memory", self.memory.as_ref())
    }
}

fn memory(f: &mut fmt::Formatter<'_>, title: &str, memory: Option<&MemoryReport>) -> fmt::Result {
    let Some(memory) = memory else { return Ok(()) };
    writeln!(
        f,
        "{title}: resident {}, private dirty {}, lazy free {}, huge {}, swapped {}",
        Kib(memory.resident),
        Kib(memory.private_dirty),
        Kib(memory.lazy_free),
        Kib(memory.huge),
        Kib(memory.swapped)
    )
}

/// A row a slot size: slots, bytes and what is wasted of them.
fn sizes(f: &mut fmt::Formatter<'_>, title: &str, rows: &[SlotsReport]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "  {title:>8} {:>8} {:>10} {:>10} {:>8} {:>12} {:>12} {:>12} {:>6} {:>6} {:>6}",
        "pages", "slots", "live", "window", "requested", "committed", "resident", "int.", "ext.", "run"
    )?;
    for row in rows {
        writeln!(
            f,
            "  {:>8} {:>8} {:>10} {:>10} {:>8} {:>12}{} {:>11} {:>12} {:>5.1}% {:>5.1}% {:>6}",
            row.slot_size,
            row.pages,
            row.slots,
            row.live,
            row.window,
            Kib(row.requested),
            // About so much.
            if row.sampled { "~" } else { " " },
            Kib(row.committed),
            Kib(row.resident),
            100.0 * row.internal_fragmentation(),
            100.0 * row.external_fragmentation(),
            row.largest_free_run,
        )?;
    }
    Ok(())
}

/// A row a slot size: its pages by tenths of occupancy.
fn occupancies(f: &mut fmt::Formatter<'_>, title: &str, rows: &[SlotsReport]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    write!(f, "  {title:>8}")?;
    for tenth in ["0%", "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%"] {
        write!(f, " {tenth:>7}")?;
    }
    writeln!(f, "  pages at least so full")?;
    for row in rows {
        write!(f, "  {:>8}", row.slot_size)?;
        for pages in row.histogram {
            write!(f, " {pages:>7}")?;
        }
        writeln!(f)?;
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
