//! The table `concurrent-scaling`: how many times as much several threads do as one, of maps that they share. Pure functions over a
//! record. Invariant: every side that was measured on one thread and on several is shown.

use super::cell::{head, row};
use crate::concurrent::SUITE;
use crate::format::small_ratio;
use crate::record::{Figure, OURS, Record};

/// First parts of the cases where threads do the same, each for itself.
const CASES: [&str; 5] = ["get/", "path/", "read-heavy/", "exchange/", "rapid-grow/"];
const METRIC: &str = "time";
const THREADS: &str = "/threads=";

/// The speed-ups as a Markdown table: a line a case and number of threads, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let mut text = head(&["case", "threads", "ours", "others"]);
    for figure in record.figures().iter().filter(|figure| figure.implementation == OURS) {
        let Some((case, threads)) = several(figure) else { continue };
        let Some(ours) = speed_up(record, case, figure) else { continue };
        let others = record.figures().iter().filter(|other| {
            other.suite == SUITE && other.case == figure.case && other.implementation != OURS
        });
        let others: Vec<String> = others
            .filter_map(|other| Some(format!("{} {}", other.implementation, speed_up(record, case, other)?)))
            .collect();
        text += &row([format!("`{case}`"), threads.to_owned(), ours, others.join(", ")]);
    }
    text + "\nOperations of all threads together in a time, over those of one thread; bold: fewer than one thread does alone.\n"
}

/// Case and number of threads of a figure of several threads.
fn several(figure: &Figure) -> Option<(&str, &str)> {
    let (case, threads) = figure.case.split_once(THREADS)?;
    let is_it = figure.suite == SUITE && figure.metric == METRIC && threads != "1";
    (is_it && CASES.iter().any(|first| format!("{case}/").starts_with(first))).then_some((case, threads))
}

/// What a side's one thread takes over what several take together.
fn speed_up(record: &Record, case: &str, figure: &Figure) -> Option<String> {
    let alone = record.value(SUITE, &format!("{case}{THREADS}1"), METRIC, &figure.implementation)?;
    let ratio = alone / figure.value;
    ratio.is_finite().then(|| {
        let text = small_ratio(ratio);
        if ratio < 1.0 { format!("**{text}**") } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    #[test]
    fn several_threads_stand_over_one() {
        let mut record = Record::new();
        let rows = [
            ("get/65536/threads=1", OURS, 10.0),
            ("get/65536/threads=1", "papaya", 20.0),
            ("get/65536/threads=1", "once", 20.0),
            ("get/65536/threads=8", OURS, 2.0),
            ("get/65536/threads=8", "papaya", 40.0),
            // Neither on one thread, nor doing the same there.
            ("get/1/threads=8", OURS, 2.0),
            ("ring/threads=1", OURS, 2.0),
            ("ring/threads=2", OURS, 2.0),
            ("path/threads=1", OURS, 3.0),
            ("path/threads=2", OURS, 2.0),
        ];
        for (case, name, value) in rows {
            record.add(Figure::new(SUITE, case, name, Metric::lower(METRIC, "ns"), 1, value));
        }
        let text = table(&record);
        let lines: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["| `get/65536` | 8 | 5.00 | papaya **0.50** |", "| `path` | 2 | 1.50 |  |"]);
    }
}
