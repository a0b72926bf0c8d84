//! The tables of a report, made from its results. The report prints them and puts them on its page. Invariant: they show
//! medians, and nothing that is not in the results.

use super::results::{Part, Results, TIME_PER_LIVE, Walked};
use crate::format::{bytes, count, nanoseconds, percent, ratio, significant};
use crate::fragmentation::{Fragmentation, Kind, Row};
use crate::output::Sheet;
use crate::protocol::{Side, Step};

/// Rows of a fragmentation table that hold less than this part of all committed bytes are summed up in one.
const SMALL_PART: u64 = 50;

/// The tables of one report.
pub(super) struct Sheets {
    /// The whole run on one screen.
    pub(super) summary: Sheet,
    /// In the order printed.
    pub(super) terminal: Vec<Sheet>,
    /// The full fragmentation report of each step, for the page.
    pub(super) details: Vec<Sheet>,
}

pub(super) fn of(results: &Results) -> Sheets {
    let mut terminal = vec![input(results)];
    let mut details = Vec::new();
    if let Some(whole) = results.whole() {
        terminal.extend([collections(whole), slots(whole), memory(whole)]);
        for step in whole.steps() {
            if let Some(report) = &step.fragmentation {
                terminal.push(fragmentation(step, report, true));
                details.push(fragmentation(step, report, false));
            }
        }
        terminal.push(program(whole));
    }
    terminal.push(growth(results));
    Sheets { summary: summary(results), terminal, details }
}

/// What a hurried reader wants to know.
fn summary(results: &Results) -> Sheet {
    let mut sheet = Sheet::new("On one screen", &["the whole input", "bucketmask", "peer", "ours/peer"]);
    let Some(whole) = results.whole() else { return sheet };
    let mut row = |name: String, ours: f64, peer: f64, show: fn(f64) -> String| {
        sheet.row([name, show(ours), show(peer), judged(ours, peer)]);
    };
    #[expect(clippy::cast_sign_loss, reason = "bytes are not negative, and a cast saturates")]
    let size = |value: f64| bytes(value as u64);
    let [ours, peer] = [&whole.ours, &whole.peer].map(|accounts| {
        accounts
            .iter()
            .map(|account| account.built.build_ns as f64)
            .collect::<crate::sample::Samples>()
            .median()
    });
    row("build the index".into(), ours, peer, nanoseconds);
    let ends = [0, whole.steps().len().saturating_sub(1)];
    for idx in ends {
        let Some(step) = whole.steps().get(idx) else { continue };
        let each = |value: fn(&Step) -> f64| {
            [Side::Ours, Side::Peer].map(|side| whole.each(side, idx, value).median())
        };
        let live = step.objects as f64;
        let [mask, _, theirs] = Walked::ALL.map(|walked| whole.time_per_live(idx, walked).median() * live);
        let keep = step.keep;
        row(format!("collect, {keep} % kept"), mask, theirs, nanoseconds);
        let [ours, peer] = each(|step| step.query_ns as f64 / step.queries.max(1) as f64);
        row(format!("a query, {keep} % kept"), ours, peer, nanoseconds);
        let [ours, peer] = each(|step| step.footprint.resident as f64);
        row(format!("resident, {keep} % kept"), ours, peer, size);
    }
    sheet
}

fn input(results: &Results) -> Sheet {
    let mut sheet = Sheet::new(
        format!("Input: {}", results.input),
        &["part", "files", "bytes", "occurrences", "identifiers", "GC objects"],
    );
    for part in &results.parts {
        let first = part.steps().first();
        let tokens = part.ours.first().map_or(0, |account| account.built.tokens);
        sheet.row([
            part.name.into(),
            count(part.files as u64),
            bytes(part.bytes),
            count(tokens),
            count(first.map_or(0, |step| step.shape.entries)),
            count(first.map_or(0, |step| step.objects)),
        ]);
    }
    sheet.note = format!(
        "Medians of {} round(s); both sides gave the same answers and checksums at every step.",
        results.rounds
    );
    sheet
}

/// Mark and sweep times, by walk.
fn collections(part: &Part) -> Sheet {
    let mut sheet = Sheet::new(
        "Collecting the settled heap after each wave (mark + sweep)",
        &[
            "kept",
            "live objects",
            "mask",
            "flat",
            "peer",
            "mask/live",
            "flat/live",
            "peer/live",
            "mask/flat",
            "mask/peer",
        ],
    );
    for (idx, step) in part.steps().iter().enumerate() {
        let pair = |walked| {
            let mark = part.cycles(idx, walked, |cycle| cycle.mark_ns).median();
            let sweep = part.cycles(idx, walked, |cycle| cycle.sweep_ns).median();
            format!("{} + {}", nanoseconds(mark), nanoseconds(sweep))
        };
        let [mask, flat, peer] = Walked::ALL.map(|walked| part.time_per_live(idx, walked).median());
        let mut row = vec![format!("{} %", step.keep), count(step.objects)];
        row.extend(Walked::ALL.map(pair));
        row.extend([mask, flat, peer].map(nanoseconds));
        row.extend([judged(mask, flat), judged(mask, peer)]);
        sheet.row(row);
    }
    sheet.note = format!(
        "peer: {}. Ratios marked ! are losses. Metric in figures: {}.",
        Side::Peer.name(),
        TIME_PER_LIVE.name
    );
    sheet
}

/// A ratio of times; marked when ours is the slower one.
fn judged(ours: f64, other: f64) -> String {
    if other == 0.0 {
        return "-".into();
    }
    let value = ours / other;
    format!("{}{}", if value > 1.0 { "! " } else { "" }, ratio(value))
}

/// What the walks looked at.
fn slots(part: &Part) -> Sheet {
    let mut sheet = Sheet::new(
        "The table and the pages after each wave",
        &[
            "kept",
            "identifiers",
            "slots",
            "occupancy",
            "buckets",
            "pages",
            "scanned by mask",
            "skipped by mask",
            "scanned flat",
            "peer's slots",
        ],
    );
    for (idx, step) in part.steps().iter().enumerate() {
        let shape = step.shape;
        let seen = |walked, value: fn(&crate::protocol::Cycle) -> u64| {
            count(part.cycles(idx, walked, value).median_count())
        };
        sheet.row([
            format!("{} %", step.keep),
            count(shape.entries),
            count(shape.slots),
            percent(shape.entries as f64, shape.slots as f64),
            count(shape.buckets),
            count(shape.pages),
            seen(Walked::Mask, |cycle| cycle.scanned),
            seen(Walked::Mask, |cycle| cycle.skipped),
            seen(Walked::Flat, |cycle| cycle.scanned),
            count(part.peer_steps().get(idx).map_or(0, |step| step.shape.slots)),
        ]);
    }
    sheet
}

/// What the processes hold.
fn memory(part: &Part) -> Sheet {
    let mut sheet = Sheet::new(
        "Memory after each wave",
        &[
            "kept",
            "live objects",
            "requested",
            "committed",
            "resident",
            "process",
            "peer committed",
            "peer process",
            "ours/peer",
        ],
    );
    for (idx, step) in part.steps().iter().enumerate() {
        let [_, requested, committed, resident] =
            step.fragmentation.as_ref().map_or([0; 4], |report| report.total(None));
        let held = |side, value: fn(&Step) -> u64| part.each(side, idx, |step| value(step) as f64);
        let ours = held(Side::Ours, |step| step.footprint.resident);
        let peer = held(Side::Peer, |step| step.footprint.resident);
        let peer_committed = held(Side::Peer, |step| step.footprint.mimalloc_committed);
        sheet.row([
            format!("{} %", step.keep),
            bytes(step.live_bytes),
            bytes(requested),
            bytes(committed),
            bytes(resident),
            bytes(ours.median_count()),
            bytes(peer_committed.median_count()),
            bytes(peer.median_count()),
            judged(ours.median(), peer.median()),
        ]);
    }
    sheet.note = "live objects: bytes of postings lists and chunks. requested, committed, resident: bucketmask's own report, resident without large blocks. \
                  process: resident set of the whole child process."
        .into();
    sheet
}

/// The allocator's own report of one step; the terminal's form sums small classes up.
fn fragmentation(step: &Step, report: &Fragmentation, brief: bool) -> Sheet {
    let mut sheet = Sheet::new(
        format!("Fragmentation at {} % kept", step.keep),
        &[
            "kind",
            "node",
            "slot bytes",
            "pages",
            "slots",
            "live",
            "occupancy",
            "live bytes",
            "requested",
            "committed",
            "resident",
        ],
    );
    let committed = report.total(None)[2];
    let (shown, small): (Vec<&Row>, Vec<&Row>) =
        report.rows.iter().partition(|row| !brief || row.committed * SMALL_PART >= committed);
    for row in shown {
        sheet.row(fragmentation_row(row));
    }
    if !small.is_empty() {
        let sum = |value: fn(&Row) -> u64| small.iter().map(|row| value(row)).sum::<u64>();
        let mut cells = vec![format!("{} smaller rows", small.len()), String::new(), String::new()];
        cells.extend([count(sum(|r| r.pages)), count(sum(|r| r.slots)), count(sum(|r| r.live))]);
        cells.push(percent(sum(|r| r.live) as f64, sum(|r| r.slots) as f64));
        cells.extend(
            [sum(|r| r.live_bytes), sum(|r| r.requested), sum(|r| r.committed), sum(|r| r.resident)]
                .map(bytes),
        );
        sheet.row(cells);
    }
    let mut total = vec![String::from("all")];
    total.extend(std::iter::repeat_n(String::new(), 6));
    total.extend(report.total(None).map(bytes));
    sheet.row(total);
    let [live, requested, committed, _] = report.total(None);
    sheet.note = format!(
        "internal fragmentation {}, external {}",
        percent(live.saturating_sub(requested) as f64, live as f64),
        percent(committed.saturating_sub(live) as f64, committed as f64)
    );
    sheet
}

fn fragmentation_row(row: &Row) -> Vec<String> {
    let has_slots = matches!(row.kind, Kind::Class | Kind::Lent);
    let or_blank = |text: String| if has_slots { text } else { String::new() };
    vec![
        row.kind.name().into(),
        row.node.to_string(),
        or_blank(count(row.slot_bytes)),
        count(row.pages),
        or_blank(count(row.slots)),
        or_blank(count(row.live)),
        or_blank(percent(row.live as f64, row.slots as f64)),
        bytes(row.live_bytes),
        bytes(row.requested),
        bytes(row.committed),
        if row.kind == Kind::Large { "-".into() } else { bytes(row.resident) },
    ]
}

/// Building, deleting, asking.
fn program(part: &Part) -> Sheet {
    let mut sheet = Sheet::new("The rest of the program", &["what", "bucketmask", "peer", "ours/peer"]);
    let build = |accounts: &[crate::protocol::Account]| {
        accounts.iter().map(|a| a.built.build_ns as f64).collect::<crate::sample::Samples>().median()
    };
    let (ours, peer) = (build(&part.ours), build(&part.peer));
    sheet.row(["build the index".into(), nanoseconds(ours), nanoseconds(peer), judged(ours, peer)]);
    for (idx, step) in part.steps().iter().enumerate() {
        let mut row = |name: &str, value: fn(&Step) -> f64| {
            let [ours, peer] = [Side::Ours, Side::Peer].map(|side| part.each(side, idx, value).median());
            let name = format!("{name} {} %", step.keep);
            sheet.row([name, nanoseconds(ours), nanoseconds(peer), judged(ours, peer)]);
        };
        row("delete down to", |step| step.delete_ns as f64);
        row("first collection after deleting to", |step| step.first.total_ns() as f64);
        row("queries at", |step| step.query_ns as f64);
    }
    sheet
}

/// The same program on inputs of growing size, and the same table at falling occupancy.
fn growth(results: &Results) -> Sheet {
    let mut sheet = Sheet::new(
        "Does time grow with what is live, or with capacity?",
        &["input", "kept", "table slots", "live objects", "mask", "mask/live", "flat/live", "peer/live"],
    );
    for part in &results.parts {
        for (idx, step) in part.steps().iter().enumerate() {
            if step.keep != 100 && step.keep != 10 && step.keep != 1 {
                continue;
            }
            let [mask, flat, peer] = Walked::ALL.map(|walked| part.time_per_live(idx, walked).median());
            sheet.row([
                part.name.into(),
                format!("{} %", step.keep),
                count(step.shape.slots),
                count(step.objects),
                nanoseconds(mask * step.objects as f64),
                format!("{} ns", significant(mask)),
                format!("{} ns", significant(flat)),
                format!("{} ns", significant(peer)),
            ]);
        }
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::results::tests::made_up;

    #[test]
    fn every_table_has_full_rows() {
        let sheets = of(&made_up());
        assert_eq!(sheets.details.len(), 3);
        for sheet in sheets.terminal.iter().chain(&sheets.details) {
            assert!(!sheet.rows.is_empty(), "{}", sheet.title);
            for row in &sheet.rows {
                assert_eq!(row.len(), sheet.head.len(), "{}: {row:?}", sheet.title);
            }
            assert!(sheet.to_text().contains(&sheet.title));
        }
    }

    #[test]
    fn losses_are_marked() {
        assert_eq!(judged(2.0, 1.0), "! 2.00");
        assert_eq!(judged(1.0, 2.0), "0.50");
        assert_eq!(judged(1.0, 0.0), "-");
    }
}
