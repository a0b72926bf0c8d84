//! The table `concurrent`: what the concurrent map was measured at, beside its targets. Pure functions over a record. Invariant: every
//! quotient of ours over a peer's is shown, won or lost.

use super::cell::{head, quotient, row};
use crate::concurrent::{SUITE, targets_of};
use crate::format::{bytes, nanoseconds, small_ratio};
use crate::record::{Figure, OURS, Record};
use crate::targets::Against;

/// The figures as a Markdown table, in the record's order: a line a case and metric.
pub(super) fn table(record: &Record) -> String {
    let mut text = head(&["case", "figure", "ours", "over others (target)"]);
    let ours = |figure: &&Figure| figure.suite == SUITE && figure.implementation == OURS;
    for figure in record.figures().iter().filter(ours) {
        let mut over = Vec::new();
        for other in record.figures() {
            let same = other.suite == SUITE && other.case == figure.case && other.metric == figure.metric;
            if !same || other.implementation == OURS || other.value <= 0.0 {
                continue;
            }
            let bound = bound(figure, Some(&other.implementation));
            let is = quotient(Some(figure.value / other.value), bound.unwrap_or(1.0));
            let target = bound.map_or(String::new(), |bound| format!(" (<= {})", small_ratio(bound)));
            over.push(format!("{} {is}{target}", other.implementation));
        }
        let mut is = value(figure);
        if let Some(bound) = bound(figure, None) {
            let text = format!("{is} (<= {})", amount(bound, &figure.unit));
            is = if figure.value > bound { format!("**{text}**") } else { text };
        }
        text += &row([format!("`{}`", figure.case), figure.metric.clone(), is, over.join(", ")]);
    }
    text + "\nBold: misses its target, or loses where there is none.\n"
}

/// What a figure, or its quotient with a side, is to reach.
fn bound(figure: &Figure, side: Option<&str>) -> Option<f64> {
    let meant = |against: Against| match (against, side) {
        (Against::Itself, side) => side.is_none(),
        (Against::Side(name), Some(side)) => name == side,
        (Against::Family(start), Some(side)) => side.starts_with(start),
        _ => false,
    };
    targets_of(figure).iter().find(|target| meant(target.against)).map(|target| target.bound)
}

fn value(figure: &Figure) -> String {
    amount(figure.value, &figure.unit)
}

/// A value with its unit.
fn amount(value: f64, unit: &str) -> String {
    #[expect(clippy::cast_sign_loss, reason = "bytes are not negative, and a cast saturates")]
    match unit {
        "ns" => nanoseconds(value),
        "B" => bytes(value as u64),
        unit => format!("{} {unit}", small_ratio(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    #[test]
    fn misses_and_losses_stand_out() {
        let time = Metric::lower("time", "ns");
        let mut record = Record::new();
        for (name, value) in [(OURS, 30.0), ("papaya", 40.0), ("dashmap", 20.0)] {
            record.add(Figure::new(SUITE, "get/65536/threads=1", name, time, 1, value));
        }
        record.add(Figure::new(SUITE, "garbage/most", OURS, Metric::lower("pending", "B"), 1, 1e9));
        let text = table(&record);
        let row =
            "| `get/65536/threads=1` | time | 30.0 ns | papaya **0.75** (<= 0.65), dashmap **1.50** |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| `garbage/most` | pending | **954 MiB (<= 240 KiB)** |"), "{text}");
    }
}
