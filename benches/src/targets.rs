//! What figures are to reach: bounds for a figure or for its quotient with another side's, and whether they hold. Pure
//! functions over a record. Invariant: a target is judged on the figures of the record at hand, and every one whose figures
//! are there is judged.

use crate::format::small_ratio;
use crate::output::Sheet;
use crate::record::{Figure, Record};

/// What stands on the other side of a quotient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Nobody: the figure itself is judged.
    Itself,
    /// One side.
    Side(&'static str),
    /// Each side whose name begins so.
    Family(&'static str),
}

/// A bound for a figure or a quotient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The other side.
    pub against: Against,
    /// At most so much.
    pub bound: f64,
}

/// A bound for the quotient with one side.
pub const fn over(side: &'static str, bound: f64) -> Target {
    Target { against: Against::Side(side), bound }
}

/// A bound for the figure itself, in its unit.
pub const fn itself(bound: f64) -> Target {
    Target { against: Against::Itself, bound }
}

/// A target with what was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The figure's case.
    pub case: String,
    /// Its metric.
    pub metric: String,
    /// Ours, and over whom.
    pub what: String,
    /// The figure or the quotient.
    pub value: f64,
    /// What it is to be at most.
    pub bound: f64,
}

impl Judged {
    /// Whether it is as it should be.
    pub fn is_met(&self) -> bool {
        self.value <= self.bound
    }
}

/// Judges one figure of a record.
pub fn judge(record: &Record, figure: &Figure, targets: &[Target]) -> Vec<Judged> {
    let mut all = Vec::new();
    for target in targets {
        let judged = |value: f64, other: &str| Judged {
            case: figure.case.clone(),
            metric: figure.metric.clone(),
            what: if other.is_empty() {
                figure.implementation.clone()
            } else {
                format!("{} / {other}", figure.implementation)
            },
            value,
            bound: target.bound,
        };
        if target.against == Against::Itself {
            all.push(judged(figure.value, ""));
            continue;
        }
        let is_meant = |name: &str| match target.against {
            Against::Itself => false,
            Against::Side(side) => name == side,
            Against::Family(start) => name.starts_with(start),
        };
        for other in record.figures() {
            let same =
                other.suite == figure.suite && other.case == figure.case && other.metric == figure.metric;
            if same && other.value > 0.0 && is_meant(&other.implementation) {
                all.push(judged(figure.value / other.value, &other.implementation));
            }
        }
    }
    all
}

/// The targets, those that are missed marked with `!`.
pub fn sheet(all: &[Judged]) -> Sheet {
    let mut sheet = Sheet::new("Targets", &["case", "figure", "of", "is", "target"]);
    for judged in all {
        sheet.row([
            judged.case.clone(),
            judged.metric.clone(),
            judged.what.clone(),
            format!("{}{}", if judged.is_met() { "" } else { "! " }, small_ratio(judged.value)),
            format!("<= {}", small_ratio(judged.bound)),
        ]);
    }
    let met = all.iter().filter(|judged| judged.is_met()).count();
    sheet.note = format!("{met} of {} targets are met.", all.len());
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Metric, OURS};

    #[test]
    fn figures_are_judged_against_whom_they_are_to_beat() {
        let time = Metric::lower("time", "ns");
        let mut record = Record::new();
        for (name, value) in [(OURS, 2.0), ("go-1.27", 4.0), ("go-1.23", 1.0), ("other", 0.0)] {
            record.add(Figure::new("gc", "a", name, time, 1, value));
        }
        record.add(Figure::new("gc", "b", "other", time, 1, 1.0));
        let go = Target { against: Against::Family("go-"), bound: 1.0 };
        let figure = record.figures()[0].clone();
        let judged = judge(&record, &figure, &[go, over("other", 1.0), itself(2.0)]);
        let seen: Vec<(&str, bool)> =
            judged.iter().map(|judged| (judged.what.as_str(), judged.is_met())).collect();
        assert_eq!(
            seen,
            [("bucketmask / go-1.27", true), ("bucketmask / go-1.23", false), ("bucketmask", true)]
        );
        let text = sheet(&judged).to_text();
        assert!(text.contains("2 of 3") && text.contains("! 2.00"), "{text}");
    }
}
