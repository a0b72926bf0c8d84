//! The pictures of one report, made from its results. Pure functions, but for the timing of single inserts. Invariant: they show
//! medians (of single inserts the least of the rounds, as their titles say), and nothing that is not in the results.

use super::results::{Results, Walked};
use crate::format::bytes;
use crate::fragmentation::{Kind, Row};
use crate::picture::{Axis, Bars, Body, Heat, Line, Picture, Plot};
use crate::protocol::{Cycle, Side, Step};

/// The command that makes them again.
const COMMAND: &str = "bucketmask report";
/// Rows of the heat map that never hold more than this part of all committed bytes are left out.
const SMALL_PART: u64 = 100;

/// All that have anything to show.
pub(super) fn of(results: &Results) -> Vec<Picture> {
    let mut all = Vec::new();
    let mut add = |name, title: &str, body| {
        let (title, command, source) = (title.to_owned(), COMMAND.to_owned(), String::new());
        all.push(Picture { name, title, command, source, body });
    };
    add("live", "Mark and sweep, by live object, as the index empties", per_live(results));
    add(
        "collections",
        "A collection by mask, against what is live: three inputs, every wave",
        by_live(results),
    );
    add("resident", "Resident memory, against what is live", resident(results));
    add("slots", "Slots looked at in a collection", slots(results));
    add("fragmentation", "Fragmentation of the allocator's memory, wave by wave", fragmentation(results));
    add(
        "occupancy",
        "How full pages are, by node and slot size: live slots of a hundred",
        occupancy(results),
    );
    add(
        "inserts",
        "Single inserts while a map grows, each the least of a few rounds: how many take how long",
        inserts(results),
    );
    add(
        "insert-tail",
        "Single inserts while a map grows, each the least of a few rounds: how many take so long, or longer",
        tail(results),
    );
    all.retain(|picture| !picture.is_empty());
    all
}

fn line(name: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Line {
    Line { name: name.into(), points: points.collect(), dashed: false }
}

/// A plot against the waves of the whole input.
fn waves(y: Axis, lines: Vec<Line>) -> Body {
    Body::Lines(Plot { x: Axis::log("identifiers kept (%)"), y, lines })
}

fn steps(results: &Results) -> impl Iterator<Item = (usize, &Step)> {
    results.whole().into_iter().flat_map(|whole| whole.steps().iter().enumerate())
}

fn keep(step: &Step) -> f64 {
    f64::from(step.keep)
}

fn per_live(results: &Results) -> Body {
    let Some(whole) = results.whole() else { return waves(Axis::log(""), Vec::new()) };
    let of = |walked: Walked| {
        line(
            walked.name(),
            steps(results).map(|(idx, s)| (keep(s), whole.time_per_live(idx, walked).median())),
        )
    };
    waves(Axis::log("ns a live object"), Walked::ALL.map(of).into())
}

fn by_live(results: &Results) -> Body {
    let of = |part: &super::results::Part| {
        let time = |(idx, step): (usize, &Step)| {
            let live = step.objects as f64;
            (live, part.time_per_live(idx, Walked::Mask).median() * live / 1e6)
        };
        line(part.name, part.steps().iter().enumerate().map(time))
    };
    let lines = results.parts.iter().map(of).collect();
    Body::Lines(Plot { x: Axis::log("live objects"), y: Axis::log("ms a collection"), lines })
}

fn resident(results: &Results) -> Body {
    let Some(whole) = results.whole() else { return waves(Axis::log(""), Vec::new()) };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let of = |side: Side| {
        let at = |idx| whole.each(side, idx, |step| mib(step.footprint.resident)).median();
        line(format!("{}, process", side.name()), steps(results).map(|(idx, step)| (keep(step), at(idx))))
    };
    let live = line("live objects", steps(results).map(|(_, step)| (keep(step), mib(step.live_bytes))));
    waves(Axis::log("MiB"), vec![of(Side::Ours), of(Side::Peer), live])
}

fn slots(results: &Results) -> Body {
    let Some(whole) = results.whole() else { return waves(Axis::log(""), Vec::new()) };
    let seen = |name: &str, walked: Walked, value: fn(&Cycle) -> u64| {
        line(name, steps(results).map(|(idx, s)| (keep(s), whole.cycles(idx, walked, value).median())))
    };
    let lines = vec![
        seen("scanned by mask", Walked::Mask, |cycle| cycle.scanned),
        seen("scanned flat", Walked::Flat, |cycle| cycle.scanned),
        seen("skipped by mask", Walked::Mask, |cycle| cycle.skipped),
    ];
    waves(Axis::log("slots"), lines)
}

fn fragmentation(results: &Results) -> Body {
    // The waves are one after another, so their number is the time.
    let of = |name: &str, part: fn([u64; 4]) -> (u64, u64)| {
        let points = steps(results).filter_map(|(idx, step)| {
            let (less, whole) = part(step.fragmentation.as_ref()?.total(None));
            (whole > 0).then(|| (idx as f64 + 1.0, 100.0 - 100.0 * less as f64 / whole as f64))
        });
        line(name, points)
    };
    let lines = vec![
        of("internal: nobody asked for it", |[live, requested, ..]| (requested.min(live), live)),
        of("external: no live slot", |[live, _, committed, _]| (live.min(committed), committed)),
    ];
    Body::Lines(Plot { x: Axis::linear("wave"), y: Axis::linear("%"), lines })
}

fn occupancy(results: &Results) -> Body {
    let reports: Vec<(u32, &[Row])> = steps(results)
        .filter_map(|(_, s)| Some((s.keep, s.fragmentation.as_ref()?.rows.as_slice())))
        .collect();
    let id = |row: &Row| (row.node, row.kind == Kind::Lent, row.slot_bytes);
    let counts = |rows: &[Row], row: &Row| {
        let all: u64 = rows.iter().map(|row| row.committed).sum();
        matches!(row.kind, Kind::Class | Kind::Lent) && row.slots > 0 && row.committed * SMALL_PART >= all
    };
    let mut ids: Vec<_> =
        reports.iter().flat_map(|(_, rows)| rows.iter().filter(|row| counts(rows, row)).map(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let row = |of: (u8, bool, u64)| {
        let (node, is_lent, slot) = of;
        let name = format!("node {node} {}{}", if is_lent { "gc " } else { "" }, bytes(slot));
        let part = |(_, rows): &(u32, &[Row])| {
            let row =
                rows.iter().find(|row| matches!(row.kind, Kind::Class | Kind::Lent) && id(row) == of)?;
            (row.slots > 0).then(|| row.live as f64 / row.slots as f64)
        };
        (name, reports.iter().map(part).collect())
    };
    Body::Cells(Heat {
        label: "identifiers kept (%)".into(),
        columns: reports.iter().map(|(keep, _)| keep.to_string()).collect(),
        rows: ids.into_iter().map(row).collect(),
    })
}

fn inserts(results: &Results) -> Body {
    let sides = results.inserts.iter().map(|(name, buckets)| ((*name).to_owned(), buckets.clone())).collect();
    Body::Bars(Bars { x: "ns an insert".into(), y: "inserts".into(), sides })
}

/// The same, each count with all that took longer: a tail is read off at the height of its share.
fn tail(results: &Results) -> Body {
    let lines = results.inserts.iter().map(|(name, buckets)| {
        let mut longer = 0.0;
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
        for bucket in buckets.iter().rev() {
            longer += bucket.count;
            points.push((bucket.from, longer));
        }
        line(*name, points.into_iter().rev())
    });
    let lines = lines.collect();
    Body::Lines(Plot { x: Axis::log("ns an insert"), y: Axis::log("inserts, that or longer"), lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::results::tests::made_up;

    #[test]
    fn every_picture_has_something_to_show() {
        let pictures = of(&made_up());
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name).collect();
        let wanted = [
            "live",
            "collections",
            "resident",
            "slots",
            "fragmentation",
            "occupancy",
            "inserts",
            "insert-tail",
        ];
        assert_eq!(names, wanted);
        let file = pictures[5].file();
        assert!(file.contains("node 0 64 B") && file.contains(">39<"), "600 of 1536 slots: {file}");
    }

    #[test]
    fn inserts_are_counted_in_buckets_and_from_the_long_end() {
        let results = made_up();
        let Body::Bars(bars) = inserts(&results) else { panic!("a histogram") };
        assert_eq!(bars.sides.len(), 1);
        assert_eq!(bars.sides[0].1.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [897.0, 3.0]);
        let Body::Lines(plot) = tail(&results) else { panic!("lines") };
        assert_eq!(plot.lines[0].points, [(20.0, 900.0), (40.0, 3.0)]);
    }
}
