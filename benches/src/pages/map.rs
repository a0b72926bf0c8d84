//! The tables `map`, times by operation and size, and `map-targets`, all that has a target. Pure functions over a record.
//! Invariant: every operation that was timed is shown, won or lost.

use super::cell::{distinct, head, over, quotient, row};
use crate::format::small_ratio;
use crate::map::{SUITE, TIME, YARDSTICK, judge, time_bound};
use crate::record::{OURS, Record};
use crate::targets::Judged;

/// A case's operation, type of entries and size; none where there is more or less.
fn parts(case: &str) -> Option<(&str, &str, &str)> {
    let (operation, rest) = case.split_once('/')?;
    let (kind, size) = rest.split_once('/')?;
    (!size.contains('/')).then_some((operation, kind, size))
}

/// Ours over the yardstick's as a Markdown table: a row an operation and type, a column a size.
pub(super) fn times(record: &Record) -> String {
    let cases = distinct(record, SUITE, |figure| {
        let counts = figure.metric == TIME.name && figure.implementation == YARDSTICK;
        counts.then_some(figure.case.as_str()).filter(|case| parts(case).is_some())
    });
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    for (operation, kind, size) in cases.iter().filter_map(|case| parts(case)) {
        if !rows.contains(&(operation, kind)) {
            rows.push((operation, kind));
        }
        if !sizes.contains(&size) && crate::map::is_shown(size) {
            sizes.push(size);
        }
    }
    let mut text = head(&[&["operation, entries"], sizes.as_slice()].concat());
    for (operation, kind) in rows {
        let cells = sizes.iter().map(|size| {
            let case = format!("{operation}/{kind}/{size}");
            let bound = time_bound(&case).unwrap_or(1.0);
            quotient(over(record, SUITE, &case, TIME.name, OURS, YARDSTICK), bound)
        });
        text += &row([format!("`{operation}/{kind}`")].into_iter().chain(cells));
    }
    text + "\nTime of an operation over hashbrown's, the same hasher and allocator on both sides; lower is better. `octave`: the \
            mean over eight sizes from a million to almost two. Bold: misses its target, or loses where none is set.\n"
}

/// What has a target beside the times above.
pub(super) fn targets(record: &Record) -> String {
    let mut text = head(&["case", "figure", "of", "is", "target"]);
    let is_time = |judged: &Judged| judged.metric == TIME.name && parts(&judged.case).is_some();
    let others = |judged: &Judged| !is_time(judged) || !judged.what.ends_with(YARDSTICK);
    for judged in judge(record).iter().filter(|judged| others(judged)) {
        text += &row([
            format!("`{}`", judged.case),
            judged.metric.clone(),
            judged.what.clone(),
            quotient(Some(judged.value), judged.bound),
            format!("<= {}", small_ratio(judged.bound)),
        ]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Figure;

    fn record() -> Record {
        let mut record = Record::new();
        for (case, ours, theirs) in
            [("hit/u64-u64/1k", 2.4, 2.0), ("hit/u64-u64/octave", 9.0, 10.0), ("all", 3.0, 2.0)]
        {
            record.add(Figure::new(SUITE, case, OURS, TIME, 1, ours));
            record.add(Figure::new(SUITE, case, YARDSTICK, TIME, 1, theirs));
        }
        record
    }

    #[test]
    fn sizes_are_columns_and_misses_stand_out() {
        let text = times(&record());
        assert!(text.starts_with("| operation, entries | 1k | octave |\n"), "{text}");
        assert!(text.contains("| `hit/u64-u64` | **1.20** | 0.90 |\n"), "{text}");
    }

    #[test]
    fn what_is_no_cell_of_the_grid_is_a_row() {
        let text = targets(&record());
        assert!(text.contains("| `all` | time | bucketmask / hashbrown | **1.50** | <= 0.95 |\n"), "{text}");
        assert!(!text.contains("hit"), "{text}");
    }
}
