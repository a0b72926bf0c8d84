//! The tables `map`, times by operation and size, and `map-targets`, all that has a target. Pure functions over a record.
//! Invariant: every operation that was timed is shown, won or lost.

use super::cell::{distinct, head, over, quotient, row};
use crate::format::small_ratio;
use crate::map::{SUITE, TIME, YARDSTICK, is_at_all_sizes, judge, shown_sizes, time_bound};
use crate::record::{OURS, Record};
use crate::targets::Judged;

/// A case's operation, type of entries and size; none where there is more or less.
fn parts(case: &str) -> Option<(&str, &str, &str)> {
    let (operation, rest) = case.split_once('/')?;
    let (kind, size) = rest.split_once('/')?;
    (!size.contains('/')).then_some((operation, kind, size))
}

/// The same of an operation that is timed at all sizes: a cell of the grid.
fn cell(case: &str) -> Option<(&str, &str, &str)> {
    parts(case).filter(|&(operation, ..)| is_at_all_sizes(operation))
}

/// The cases that the yardstick was timed in.
fn timed(record: &Record) -> Vec<&str> {
    distinct(record, SUITE, |figure| {
        (figure.metric == TIME.name && figure.implementation == YARDSTICK).then_some(figure.case.as_str())
    })
}

/// Ours over the yardstick's as a Markdown table: a row an operation and type, a column a size.
pub(super) fn times(record: &Record) -> String {
    let cells: Vec<_> = timed(record).into_iter().filter_map(cell).collect();
    let mut rows = Vec::new();
    for &(operation, kind, _) in &cells {
        if !rows.contains(&(operation, kind)) {
            rows.push((operation, kind));
        }
    }
    let sizes: Vec<String> =
        shown_sizes().filter(|shown| cells.iter().any(|&(_, _, size)| size == shown)).collect();
    let columns = sizes.iter().map(String::as_str);
    let mut text = head(&["operation, entries"].into_iter().chain(columns).collect::<Vec<_>>());
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

/// What has a target beside the times above, and times of what is done at one size only.
pub(super) fn targets(record: &Record) -> String {
    let mut text = head(&["case", "figure", "of", "is", "target"]);
    let of_yardstick = |judged: &Judged| judged.metric == TIME.name && judged.what.ends_with(YARDSTICK);
    let all = judge(record);
    for judged in all.iter().filter(|judged| cell(&judged.case).is_none() || !of_yardstick(judged)) {
        text += &row([
            format!("`{}`", judged.case),
            judged.metric.clone(),
            judged.what.clone(),
            quotient(Some(judged.value), judged.bound),
            format!("<= {}", small_ratio(judged.bound)),
        ]);
    }
    let is_judged = |case: &str| all.iter().any(|judged| judged.case == case && of_yardstick(judged));
    for case in timed(record) {
        if cell(case).is_some() || is_judged(case) {
            continue;
        }
        let ratio = over(record, SUITE, case, TIME.name, OURS, YARDSTICK);
        let what = format!("{OURS} / {YARDSTICK}");
        text += &row([format!("`{case}`"), TIME.name.into(), what, quotient(ratio, 1.0), "-".into()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Figure;

    fn record() -> Record {
        let mut record = Record::new();
        for (case, ours, theirs) in [
            ("copy/u64-u64/1M", 6.0, 2.0),
            ("hit/u64-u64/octave", 9.0, 10.0),
            ("hit/u64-u64/1M", 3.0, 2.0),
            ("hit/u64-u64/1.09M", 3.0, 2.0),
            ("hit/u64-u64/1k", 2.4, 2.0),
            ("drop/u64-u64/1M/keep=1", 2.0, 1.0),
            ("all", 3.0, 2.0),
        ] {
            record.add(Figure::new(SUITE, case, OURS, TIME, 1, ours));
            record.add(Figure::new(SUITE, case, YARDSTICK, TIME, 1, theirs));
        }
        record
    }

    #[test]
    fn sizes_are_columns_that_ascend_and_misses_stand_out() {
        let text = times(&record());
        assert!(text.starts_with("| operation, entries | 1k | 1M | octave |\n"), "{text}");
        assert!(text.contains("| `hit/u64-u64` | **1.20** | **1.50** | 0.90 |\n"), "{text}");
        assert!(!text.contains("copy"), "{text}");
    }

    #[test]
    fn what_is_no_cell_of_the_grid_is_a_row() {
        let text = targets(&record());
        assert!(text.contains("| `all` | time | bucketmask / hashbrown | **1.50** | <= 0.95 |\n"), "{text}");
        assert!(
            text.contains("| `copy/u64-u64/1M` | time | bucketmask / hashbrown | **3.00** | - |\n"),
            "{text}"
        );
        assert!(!text.contains("hit"), "{text}");
        assert_eq!(text.matches("keep=1").count(), 1, "{text}");
    }
}
