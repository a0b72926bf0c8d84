//! The table `scan`: what a collection costs a live entry. Pure functions over a record. Invariant: every case has a row.

use crate::format::{ratio, significant};
use crate::record::{OURS, Record};
use crate::scan::{FLAT, Layout, PEER, SUITE, TIME_PER_LIVE};

/// The scan figures as a Markdown table, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let mut text = String::from(
        "| case | mask, ns a live entry | flat | gc-arena + hashbrown | mask / flat | target | mask / hashbrown |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let ours = |f: &&crate::record::Figure| {
        f.suite == SUITE && f.metric == TIME_PER_LIVE.name && f.implementation == OURS
    };
    for figure in record.figures().iter().filter(ours) {
        let other = |name| record.value(SUITE, &figure.case, TIME_PER_LIVE.name, name);
        let (flat, peer) = (other(FLAT), other(PEER));
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), significant);
        let over = |value: Option<f64>, bound: f64| match value {
            Some(value) if value > 0.0 => {
                let quotient = figure.value / value;
                if quotient > bound { format!("**{}**", ratio(quotient)) } else { ratio(quotient) }
            }
            _ => "-".into(),
        };
        let target = Layout::parse(&figure.case).and_then(Layout::target);
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            figure.case,
            significant(figure.value),
            number(flat),
            number(peer),
            over(flat, target.unwrap_or(1.0)),
            target.map_or_else(|| "-".into(), |bound| format!("<= {}", ratio(bound))),
            over(peer, 1.0),
        );
        text.push_str(&row);
    }
    text + "\nBold: misses its target, or loses to the peer.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Samples;

    fn record() -> Record {
        let mut record = Record::new();
        let one = |value: f64| [value].into_iter().collect::<Samples>();
        let case = "gcmap/2M/keep=1/uniform";
        record.measure(SUITE, case, OURS, TIME_PER_LIVE, 20_000, &one(30.0));
        record.measure(SUITE, case, FLAT, TIME_PER_LIVE, 20_000, &one(100.0));
        record.measure(SUITE, case, PEER, TIME_PER_LIVE, 20_000, &one(60.0));
        record
    }

    #[test]
    fn misses_stand_out() {
        let text = table(&record());
        let row = text.lines().nth(2).unwrap();
        assert_eq!(row, "| `gcmap/2M/keep=1/uniform` | 30.0 | 100 | 60.0 | **0.30** | <= 0.15 | 0.50 |");
    }
}
