//! The table `gc`: all that the collectors were measured at, beside its target. Pure functions over a record. Invariant: every
//! quotient of ours over a peer's is shown, won or lost.

use super::cell::{head, quotient, row};
use crate::format::{bytes, nanoseconds, small_ratio};
use crate::gc::{SUITE, targets_of};
use crate::record::{Figure, OURS, Record};
use crate::targets::judge;

/// The figures as a Markdown table, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let mut text = head(&["case", "figure", "ours", "over", "is", "target"]);
    let ours = |figure: &&Figure| figure.suite == SUITE && figure.implementation == OURS;
    for figure in record.figures().iter().filter(ours) {
        let judged = judge(record, figure, &targets_of(figure));
        let is_judged = |name: &str| judged.iter().any(|judged| judged.what.ends_with(&format!("/ {name}")));
        let mut line = |over: &str, is: String, target: String| {
            text += &row([
                format!("`{}`", figure.case),
                figure.metric.clone(),
                value(figure),
                over.to_owned(),
                is,
                target,
            ]);
        };
        for judged in &judged {
            let peer = judged.what.split_once(" / ").map_or("-", |(_, peer)| peer);
            line(
                peer,
                quotient(Some(judged.value), judged.bound),
                format!("<= {}", small_ratio(judged.bound)),
            );
        }
        let others = |other: &&Figure| {
            other.suite == SUITE
                && other.case == figure.case
                && other.metric == figure.metric
                && other.implementation != OURS
                && other.value > 0.0
                && !is_judged(&other.implementation)
        };
        for other in record.figures().iter().filter(others) {
            line(&other.implementation, quotient(Some(figure.value / other.value), 1.0), "-".into());
        }
    }
    text + "\nBold: misses its target, or loses where there is none.\n"
}

/// A figure's value with its unit.
fn value(figure: &Figure) -> String {
    #[expect(clippy::cast_sign_loss, reason = "bytes are not negative, and a cast saturates")]
    match figure.unit.as_str() {
        "ns" => nanoseconds(figure.value),
        "bytes" => bytes(figure.value as u64),
        unit => format!("{} {unit}", small_ratio(figure.value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    #[test]
    fn every_quotient_has_a_row() {
        let mut record = Record::new();
        for (name, value) in [(OURS, 30.0), ("gc-arena", 20.0), ("go-1.27", 60.0)] {
            let metric = Metric::lower("time", "ns");
            record.add(Figure::new(SUITE, "no such program/1", name, metric, 1, value));
        }
        let text = table(&record);
        assert!(
            text.contains("| `no such program/1` | time | 30.0 ns | gc-arena | **1.50** | - |\n"),
            "{text}"
        );
        assert!(text.contains("| `no such program/1` | time | 30.0 ns | go-1.27 | 0.50 | - |\n"), "{text}");
    }
}
