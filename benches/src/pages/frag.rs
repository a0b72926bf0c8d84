//! The table `frag`: what stays resident with few blocks live. Pure functions over a record. Invariant: every workload on every
//! allocator of the record has a row.

use super::cell::{distinct, head, row};
use crate::alloc::{PEAK, TIME};
use crate::format::{bytes, nanoseconds, ratio};
use crate::frag::{PER_FLOOR, PER_LIVE, STEADY, SUITE};
use crate::record::Record;
use crate::sample::Samples;

/// The figures as a Markdown table, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let mut text =
        head(&["workload", "allocator", "time", "peak", "idle", "resident / live", "resident / floor"]);
    let amount = |value: f64| bytes(Samples::median_count(&[value].into_iter().collect()));
    for case in distinct(record, SUITE, |figure| Some(figure.case.as_str())) {
        for name in distinct(record, SUITE, |figure| Some(figure.implementation.as_str())) {
            let cell = |metric: &str, show: &dyn Fn(f64) -> String| {
                record.value(SUITE, case, metric, name).map_or_else(|| "-".into(), show)
            };
            text += &row([
                format!("`{case}`"),
                name.to_owned(),
                cell(TIME.name, &nanoseconds),
                cell(PEAK.name, &amount),
                cell(STEADY.name, &amount),
                cell(PER_LIVE.name, &ratio),
                cell(PER_FLOOR.name, &ratio),
            ]);
        }
    }
    text + "\nidle: resident memory of the process after the idle time, the survivors live. The last columns: what the blocks \
            made resident over their bytes, and over the 4 KiB pages that they lie on.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Figure, OURS};

    #[test]
    fn allocators_stand_below_one_another() {
        let mut record = Record::new();
        for (name, live) in [(OURS, 1.2), ("mimalloc", 6.0)] {
            record.add(Figure::new(SUITE, "survivors", name, PER_LIVE, 1, live));
            record.add(Figure::new(SUITE, "survivors", name, STEADY, 1, 1_048_576.0));
        }
        let text = table(&record);
        assert!(text.contains("| `survivors` | bucketmask | - | - | 1.00 MiB | 1.20 | - |\n"), "{text}");
        assert!(text.contains("| `survivors` | mimalloc | - | - | 1.00 MiB | 6.00 | - |\n"), "{text}");
    }
}
