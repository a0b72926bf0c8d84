//! The table `alloc`: each workload's time and peak over each peer's. Pure functions over a record. Invariant: every workload
//! of the record has a row.

use super::cell::{distinct, head, over, quotient, row};
use crate::alloc::{PEAK, SUITE, TIME, TIME_PER_LIVE, time_bound};
use crate::installed::Choice;
use crate::record::{OURS, Record};

/// What the geometric mean of peaks may be of mimalloc's, and what stands out in one workload.
fn peak_bound(case: &str) -> f64 {
    if case == crate::alloc::ALL { crate::alloc::MEAN_BOUND } else { 1.0 }
}

/// The figures as a Markdown table, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let cases = distinct(record, SUITE, |figure| {
        let is_time = [TIME.name, TIME_PER_LIVE.name].contains(&figure.metric.as_str());
        (is_time && figure.implementation == OURS).then_some(figure.case.as_str())
    });
    let peers =
        distinct(record, SUITE, |figure| Some(figure.implementation.as_str()).filter(|name| *name != OURS));
    let mut names = vec!["workload".to_owned()];
    names.extend(peers.iter().map(|peer| format!("time / {peer}")));
    names.push("target".into());
    names.extend(peers.iter().map(|peer| format!("peak / {peer}")));
    let mut text = head(&names);
    for case in cases {
        let mut cells = vec![format!("`{case}`")];
        let time = |peer| {
            let metrics = [TIME.name, TIME_PER_LIVE.name];
            metrics.into_iter().find_map(|metric| over(record, SUITE, case, metric, OURS, peer))
        };
        let bound = |peer, asked| if peer == Choice::Mimalloc.name() { asked } else { 1.0 };
        let asked = time_bound(case);
        cells.extend(peers.iter().map(|peer| quotient(time(peer), bound(*peer, asked))));
        cells.push(format!("<= {}", crate::format::small_ratio(asked)));
        let peak = |peer| over(record, SUITE, case, PEAK.name, OURS, peer);
        cells.extend(peers.iter().map(|peer| quotient(peak(peer), bound(*peer, peak_bound(case)))));
        text += &row(cells);
    }
    text + "\nOurs over the peer's; lower is better. Targets are set against mimalloc; bold: misses its target, or loses to \
            another peer. `all`: geometric means without walks. `system`: the C library.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Figure;

    #[test]
    fn misses_and_losses_stand_out() {
        let mut record = Record::new();
        for (name, time, peak) in [(OURS, 12.0, 90.0), ("mimalloc", 10.0, 100.0), ("system", 13.0, 80.0)] {
            record.add(Figure::new(SUITE, "batch/1k", name, TIME, 1, time));
            record.add(Figure::new(SUITE, "batch/1k", name, PEAK, 1, peak));
        }
        let text = table(&record);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows[0],
            "| workload | time / mimalloc | time / system | target | peak / mimalloc | peak / system |"
        );
        assert_eq!(rows[2], "| `batch/1k` | **1.20** | 0.92 | <= 1.10 | 0.90 | **1.12** |");
    }
}
