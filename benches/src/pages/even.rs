//! The table `concurrent-even`: from which share of writes on a lock around a plain map beats the concurrent map. Pure functions over
//! a record. Invariant: the fastest of every line is bold, whoever it is.

use super::cell::{distinct, head, row};
use crate::concurrent::{EVEN, SUITE};
use crate::format::nanoseconds;
use crate::record::{OURS, Record};

const METRIC: &str = "time";
/// The maps behind a lock.
const LOCKED: [&str; 2] = ["rwlock-bucketmask", "rwlock-hashbrown"];

/// The times as a Markdown table: a line a case, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let mut text = head(&["entries", "threads", "writes", OURS, LOCKED[0], LOCKED[1]]);
    for case in distinct(record, SUITE, |figure| Some(figure.case.as_str())) {
        let Some([entries, writes, threads]) = parts(case) else { continue };
        let times = [OURS, LOCKED[0], LOCKED[1]].map(|side| record.value(SUITE, case, METRIC, side));
        let fastest = times.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let cells = times.map(|time| match time {
            Some(time) if time <= fastest => format!("**{}**", nanoseconds(time)),
            Some(time) => nanoseconds(time),
            None => "-".into(),
        });
        text += &row([entries.into(), threads.into(), format!("{writes} %")].into_iter().chain(cells));
    }
    text + "\nNanoseconds an operation, all threads together; bold: the fastest of the line.\n"
}

/// Entries, writes of a hundred, and threads.
fn parts(case: &str) -> Option<[&str; 3]> {
    let (entries, rest) = case.strip_prefix(EVEN)?.strip_prefix('/')?.split_once("/writes=")?;
    let (writes, threads) = rest.split_once("/threads=")?;
    Some([entries, writes, threads])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Figure, Metric};

    #[test]
    fn the_fastest_of_each_line_stands_out() {
        let mut record = Record::new();
        let cases = [("break-even/256/writes=0/threads=2", [10.0, 30.0, 20.0]), ("get/1", [1.0, 2.0, 3.0])];
        for (case, times) in cases {
            for (side, time) in [OURS, LOCKED[0], LOCKED[1]].into_iter().zip(times) {
                record.add(Figure::new(SUITE, case, side, Metric::lower(METRIC, "ns"), 1, time));
            }
        }
        let case = "break-even/256/writes=50/threads=2";
        record.add(Figure::new(SUITE, case, OURS, Metric::lower(METRIC, "ns"), 1, 40.0));
        record.add(Figure::new(SUITE, case, LOCKED[1], Metric::lower(METRIC, "ns"), 1, 30.0));
        let text = table(&record);
        let lines: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "| 256 | 2 | 0 % | **10.0 ns** | 30.0 ns | 20.0 ns |",
                "| 256 | 2 | 50 % | 40.0 ns | - | **30.0 ns** |"
            ]
        );
    }
}
