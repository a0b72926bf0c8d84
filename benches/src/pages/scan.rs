//! The table `scan`: what a collection costs a live entry. Pure functions over a record. Invariant: every case of uniform
//! deletes has a row; clustered ones, whose figures are alike, stand in the record.

use super::cell::{distinct, head, over, quotient, row};
use crate::format::significant;
use crate::record::{OURS, Record};
use crate::scan::{FLAT, Layout, SUITE, TIME_PER_LIVE};
use crate::targets::Against;

/// The scan figures as a Markdown table, in the record's order.
pub(super) fn table(record: &Record) -> String {
    let counts = |name: &&str| *name != OURS && !name.starts_with("bound-");
    let peers = distinct(record, SUITE, |figure| Some(figure.implementation.as_str()).filter(counts));
    let cases = distinct(record, SUITE, |figure| {
        Some(figure.case.as_str()).filter(|case| case.ends_with("/uniform"))
    });
    let mut names = vec!["case".to_owned(), "ns a live entry".into()];
    names.extend(peers.iter().map(|peer| match *peer {
        FLAT => "/ flat".into(),
        name => format!("/ {name}"),
    }));
    let mut text = head(&names);
    for case in cases {
        let Some(value) = record.value(SUITE, case, TIME_PER_LIVE.name, OURS) else { continue };
        let bound = |peer: &str| {
            let targets = Layout::parse(case).map(Layout::targets).unwrap_or_default();
            let meant = |against: &Against| match *against {
                Against::Itself => false,
                Against::Side(side) => side == peer,
                Against::Family(start) => peer.starts_with(start),
            };
            targets.iter().find(|target| meant(&target.against)).map(|target| target.bound)
        };
        let cells = peers.iter().map(|peer| {
            let bound = bound(peer);
            let is =
                quotient(over(record, SUITE, case, TIME_PER_LIVE.name, OURS, peer), bound.unwrap_or(1.0));
            bound.map_or(is.clone(), |bound| format!("{is} (<= {bound})"))
        });
        text += &row([format!("`{case}`"), significant(value)].into_iter().chain(cells));
    }
    text + "\nOurs over the other's, with its target in brackets where there is one; bold: misses it, or loses.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Figure;
    use crate::scan::PEER;

    #[test]
    fn misses_stand_out() {
        let mut record = Record::new();
        let case = "gcmap/2M/keep=1/uniform";
        for (name, value) in [(OURS, 30.0), (FLAT, 100.0), (PEER, 150.0), ("bound-lines", 20.0)] {
            record.add(Figure::new(SUITE, case, name, TIME_PER_LIVE, 20_000, value));
        }
        let text = table(&record);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "| case | ns a live entry | / flat | / gc-arena+hashbrown |");
        assert_eq!(rows[2], "| `gcmap/2M/keep=1/uniform` | 30.0 | **0.30** (<= 0.15) | 0.20 (<= 0.25) |");
    }
}
