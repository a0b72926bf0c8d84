//! What a record shows on the terminal: one row a case, one column a side. Owns nothing. Invariant: every side that was
//! measured has its column, and every target stands beside its figure.

use super::growing::{SHUFFLED, STEADY};
use super::memory::{ABOVE, BYTES, PEAK, SWING};
use super::plan::Plan;
use super::soak::{CASE as SOAK, DRIFT};
use super::speed::{SINGLE, TIME};
use super::targets::{pair_bound, time_bound};
use super::worst::{NOTHING, P999, P9999, WORST};
use super::{ALL, SUITE, YARDSTICK};
use crate::format::{judged, nanoseconds, ratio, significant, small_ratio};
use crate::output::Sheet;
use crate::record::{Figure, Metric, OURS, Record};
use crate::targets::Judged;

/// A sheet of some rows of a record.
struct Part<'a> {
    record: &'a Record,
    title: String,
    /// Case and metric.
    rows: Vec<(String, Metric)>,
    show: fn(f64) -> String,
    /// What ours over the yardstick's may be.
    bound: fn(&str, Metric) -> Option<f64>,
}

impl Part<'_> {
    /// The sides that have figures in these rows, as they come.
    fn sides(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for figure in self.record.figures() {
            let name = figure.implementation.as_str();
            let here =
                |(case, metric): &(String, Metric)| *case == figure.case && metric.name == figure.metric;
            if !names.contains(&name) && self.rows.iter().any(here) {
                names.push(name);
            }
        }
        names
    }

    /// None when there are no rows.
    fn sheet(self, note: &str) -> Option<Sheet> {
        let sides = self.sides();
        let mut sheet = Sheet::new(&*self.title, &["case"]);
        sheet.head.extend(sides.iter().map(ToString::to_string));
        sheet.head.extend([format!("/{YARDSTICK}"), "target".into(), "spread".into()]);
        for (case, metric) in &self.rows {
            let figure = |name: &str| self.record.figure(SUITE, case, metric.name, name);
            let value = |name: &str| figure(name).map(|figure| figure.value);
            let dash = || String::from("-");
            let mut cells =
                vec![if metric.name == TIME.name { case.clone() } else { format!("{case} {}", metric.name) }];
            cells.extend(sides.iter().map(|name| value(name).map_or_else(dash, self.show)));
            let bound = (self.bound)(case, *metric);
            let peer = value(YARDSTICK).filter(|&value| value > 0.0);
            let quotient = value(OURS).zip(peer).map(|(ours, peer)| ours / peer);
            let missed = |quotient: &f64| bound.is_some_and(|bound| *quotient > bound);
            let told =
                |quotient| format!("{}{}", if missed(&quotient) { "! " } else { "" }, small_ratio(quotient));
            cells.push(quotient.map_or_else(dash, told));
            cells.push(bound.map_or_else(dash, |bound| format!("<= {bound}")));
            let spread =
                sides.iter().filter_map(|name| figure(name)).map(|figure| figure.spread).fold(0.0, f64::max);
            cells.push(format!("{:.0} %", 100.0 * spread));
            sheet.row(cells);
        }
        sheet.note = note.into();
        (!self.rows.is_empty()).then_some(sheet)
    }
}

/// All sheets of a record, of which those without rows are left out.
pub(super) fn sheets(record: &Record, plan: &Plan, targets: &[Judged]) -> Vec<Sheet> {
    let some = [times(record, plan), pairs(record), worst(record), memory(record, plan), plain(record)];
    let mut all: Vec<Sheet> = some.into_iter().flatten().collect();
    all.push(super::targets::sheet(targets));
    all
}

/// Whether a case has sides of its own.
fn is_special(case: &str) -> bool {
    ["get_many", "hit-while-growing", "copy"].contains(&case.split('/').next().unwrap_or_default())
}

/// The cases and metrics for which `wanted` holds, once each, as they come.
fn rows(record: &Record, metrics: &[Metric], wanted: impl Fn(&Figure) -> bool) -> Vec<(String, Metric)> {
    let mut all: Vec<(String, Metric)> = Vec::new();
    for figure in record.figures().iter().filter(|figure| wanted(figure)) {
        if let Some(&metric) = metrics.iter().find(|metric| metric.name == figure.metric) {
            let row = (figure.case.clone(), metric);
            if !all.contains(&row) {
                all.push(row);
            }
        }
    }
    all
}

fn times(record: &Record, plan: &Plan) -> Option<Sheet> {
    let rows = rows(record, &[TIME], |figure| !is_special(&figure.case) && !plan.is_inner(&figure.case));
    let title = format!("Time an operation; medians of up to {} rounds", plan.rounds);
    let bound = |case: &str, _| time_bound(case);
    let note = format!(
        "All hash with foldhash, Go with its own. octave: the mean over eight sizes. {ALL}: geometric means of hit, miss, \
         insert, churn and iterate. keep, fill: percent that is left, or was put into reserved room. /{YARDSTICK}: \
         bucketmask over it, marked ! where it misses its target. spread: the widest of the sides'."
    );
    Part { record, title, rows, show: nanoseconds, bound }.sheet(&note)
}

/// Those that a side has for itself: one figure and what it is compared with.
fn pairs(record: &Record) -> Option<Sheet> {
    let mut sheet = Sheet::new(
        "Batches against single lookups, lookups while growing against steady ones, copies in a map's own order against random order",
        &["case", "time", "against", "quotient", "target"],
    );
    for figure in record.figures().iter().filter(|f| is_special(&f.case) && f.metric == TIME.name) {
        let name = &figure.implementation;
        let against = [SINGLE.into(), STEADY.into(), format!("{name}{SHUFFLED}")];
        let other = against
            .iter()
            .filter(|other| *other != name)
            .find_map(|other| record.value(SUITE, &figure.case, TIME.name, other));
        let Some(other) = other.filter(|&other| other > 0.0) else { continue };
        let bound = pair_bound(figure);
        sheet.row([
            format!("{} {name}", figure.case),
            nanoseconds(figure.value),
            nanoseconds(other),
            judged(Some(figure.value / other), bound.unwrap_or(f64::INFINITY)),
            bound.map_or_else(|| "-".into(), |bound| format!("<= {bound}")),
        ]);
    }
    (!sheet.rows.is_empty()).then_some(sheet)
}

fn worst(record: &Record) -> Option<Sheet> {
    let rows = rows(record, &[WORST, P9999, P999], |_| true);
    let bound = |_: &str, metric: Metric| (metric == WORST).then_some(0.005);
    let title = "Single inserts while a map grows, each insert's least time over the rounds".into();
    let note = format!("{NOTHING}: the same loop around nothing. spread: of the worst of single rounds.");
    Part { record, title, rows, show: nanoseconds, bound }.sheet(&note)
}

fn memory(record: &Record, plan: &Plan) -> Option<Sheet> {
    let rows = rows(record, &[BYTES, SWING, PEAK], |figure| !plan.is_inner(&figure.case));
    let bound = |case: &str, metric: Metric| match (metric, case.ends_with("/octave")) {
        (PEAK, true) => Some(0.6),
        (BYTES, true) => Some(0.8),
        _ => None,
    };
    let title = "Bytes of the table by entry, without those of strings: now, and at most so far".into();
    let note = "Counted as asked for from the allocator; ranges in OS pages that are open; Go: what its collector counts. \
                swing: the greatest within the octave over the least. No size of the octave may have a peak over 0.8.";
    Part { record, title, rows, show: significant, bound }.sheet(note)
}

fn plain(record: &Record) -> Option<Sheet> {
    let rows = rows(record, &[ABOVE, DRIFT], |_| true);
    let title =
        "Bytes above strings and headers, as a part of these; time in a soak's last tenth over its first"
            .into();
    Part { record, title, rows, show: ratio, bound: |_, _| None }
        .sheet(&format!("{SOAK}: removals and inserts."))
}
