//! The command `compare`: two records of the same commands, of two commits or two machines; what got better and what got worse
//! beyond noise. Owns neither record. Invariant: what is called a change lies outside its interval, and the interval knows the
//! noise within both runs and between them.

use std::path::Path;

use crate::cli::CompareArgs;
use crate::error::{Error, Outcome};
use crate::format::significant;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::record::{Better, Figure, Metric, Record};

mod noise;

use noise::{Change, Noise};

/// The suite's name in figures.
const SUITE: &str = "compare";
/// Whose figures stand for the first record, and for the second.
const SIDES: [&str; 2] = ["before", "after"];

/// How a figure moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    Same,
}

/// One figure that both records have.
struct Row<'a> {
    before: &'a Figure,
    after: &'a Figure,
    change: Change,
}

impl Row<'_> {
    /// The change as a factor by which the figure got worse, its bounds too.
    fn worse(&self) -> [f64; 3] {
        let [low, middle, high] = self.change.factors();
        match self.before.better {
            Better::Lower => [low, middle, high],
            Better::Higher => [1.0 / high, 1.0 / middle, 1.0 / low],
        }
    }

    fn verdict(&self) -> Verdict {
        match self.worse() {
            [low, middle, _] if low > 1.0 && middle >= 1.0 + noise::LEAST => Verdict::Worse,
            [_, middle, high] if high < 1.0 && middle <= 1.0 - noise::LEAST => Verdict::Better,
            _ => Verdict::Same,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A record cannot be read or is faulty, they have no figure in common, or `--fail-over` is exceeded. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &CompareArgs) -> Result<Outcome, Error> {
    let records = [Record::read(&args.before)?, Record::read(&args.after)?];
    let noise = Noise::between(&records[0], &records[1]);
    let rows = rows(&records, &noise);
    if rows.is_empty() {
        let [before, after] = [&args.before, &args.after].map(|path| path.display());
        return Err(Error::Disagreement(format!("{before} and {after} have no figure in common")));
    }
    let mut outcome = Outcome::default();
    outcome.note(output::print(&sheet(&rows, args.all, &noise).to_text()));
    for note in machines(&args.before, &args.after) {
        outcome.note(output::print(&(note + "\n")));
    }
    if let Some(path) = &args.json {
        outcome.note(record(&rows).write(path));
    }
    match args.fail_over.map(|limit| (limit, over(&rows, limit))) {
        Some((limit, worse)) if !worse.is_empty() => {
            Err(Error::Worse { percent: limit, cases: worse.join(", ") })
        }
        _ => Ok(outcome),
    }
}

/// The figures that both records have, in the order of the first.
fn rows<'a>(records: &'a [Record; 2], noise: &Noise) -> Vec<Row<'a>> {
    let [first, second] = records;
    let pair = |before: &'a Figure| {
        let after = second.figure(&before.suite, &before.case, &before.metric, &before.implementation)?;
        let change = noise.judge(before, after)?;
        Some(Row { before, after, change })
    };
    first.figures().iter().filter_map(pair).collect()
}

/// Our figures that got worse by more than `limit` percent beyond noise.
fn over(rows: &[Row<'_>], limit: f64) -> Vec<String> {
    let is_over = |row: &&Row<'_>| {
        noise::is_ours(row.before) && row.verdict() == Verdict::Worse && row.worse()[1] > 1.0 + limit / 100.0
    };
    let name = |row: &Row<'_>| {
        format!("{}/{} {} ({:.2})", row.before.suite, row.before.case, row.before.metric, row.worse()[1])
    };
    rows.iter().filter(is_over).map(name).collect()
}

fn sheet(rows: &[Row<'_>], all: bool, noise: &Noise) -> Sheet {
    let head = ["figure", "of", "before", "after", "unit", "after/before", "99 % interval", ""];
    let mut sheet = Sheet::new("Figures that changed beyond noise", &head);
    if all {
        sheet.title = "All figures that both records have".into();
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
    for row in rows.iter().filter(|row| all || row.verdict() != Verdict::Same) {
        let [low, middle, high] = row.change.factors();
        let word = match row.verdict() {
            Verdict::Better => "better",
            Verdict::Worse => "! worse",
            Verdict::Same => "",
        };
        sheet.row([
            format!("{}/{} {}", row.before.suite, row.before.case, row.before.metric),
            row.before.implementation.clone(),
            significant(row.before.value),
            significant(row.after.value),
            row.before.unit.clone(),
            format!("{middle:.3}"),
            format!("{low:.3} .. {high:.3}"),
            word.into(),
        ]);
    }
    sheet.note = format!(
        "{} figures: {} better, {} worse, {} as before. {}",
        rows.len(),
        count(Verdict::Better),
        count(Verdict::Worse),
        count(Verdict::Same),
        noise.note()
    );
    sheet
}

/// What differs between the machines of the two records, where both say on which they were taken.
fn machines(before: &Path, after: &Path) -> Vec<String> {
    let beside = |path: &Path| Machine::read(&path.with_extension("machine.json"));
    let (Some(before), Some(after)) = (beside(before), beside(after)) else { return Vec::new() };
    let facts = |machine: &Machine| {
        [
            ("processor", machine.processor.clone()),
            ("processors", machine.processors.to_string()),
            ("kernel", machine.kernel.clone()),
            ("compiler", machine.rustc.clone()),
            ("target", machine.target.clone()),
            ("commit", machine.commit.clone()),
        ]
    };
    let differs = |((name, was), (_, is)): ((&str, String), (&str, String))| {
        (was != is).then(|| format!("Another {name}: {was}, then {is}."))
    };
    facts(&before).into_iter().zip(facts(&after)).filter_map(differs).collect()
}

/// The comparison as a record: the second record's figures over the first's, the machine's part divided out.
fn record(rows: &[Row<'_>]) -> Record {
    let mut record = Record::new();
    for row in rows {
        let Figure { suite, case, implementation, better, unit, n, .. } = row.before;
        let case = format!("{suite}/{case}/{implementation}");
        let [_, factor, _] = row.change.factors();
        for (side, value, of) in
            [(SIDES[0], row.before.value, row.before), (SIDES[1], row.before.value * factor, row.after)]
        {
            let metric = Metric { name: "", unit: "", better: *better };
            let figure = Figure {
                metric: row.before.metric.clone(),
                unit: unit.clone(),
                rounds: of.rounds,
                spread: of.spread,
                ..Figure::new(SUITE, &case, side, metric, *n, value)
            };
            record.add(figure);
        }
        let figure = |side| record.figure(SUITE, &case, &row.before.metric, side).cloned();
        if let (Some(after), Some(before)) = (figure(SIDES[1]), figure(SIDES[0])) {
            record.quotient(&after, &before);
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OURS;
    use crate::sample::Samples;

    const TIME: Metric = Metric::lower("time", "ns");
    const PEERS: [&str; 3] = [OURS, "mimalloc", "jemalloc"];

    /// A run of forty cases: rounds that scatter by 2 %, cases that differ from run to run by 1 %, on a machine of some speed;
    /// `slow` says by how much ours is slower in which case.
    fn run(seed: u64, speed: f64, slow: Option<(usize, f64)>) -> Record {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bell = move || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut record = Record::new();
        for case in 0..40 {
            for name in PEERS {
                let seeded =
                    slow.filter(|(at, _)| *at == case && name == OURS).map_or(1.0, |(_, factor)| factor);
                let middle = (10.0 + case as f64) * speed * seeded * (0.01 * bell()).exp();
                let samples: Samples = (0..7).map(|_| middle * (0.02 * bell()).exp()).collect();
                record.measure("alloc", &format!("case{case}"), name, TIME, 1, &samples);
            }
        }
        record
    }

    fn changed(before: Record, after: Record) -> Vec<(String, Verdict)> {
        let records = [before, after];
        let noise = Noise::between(&records[0], &records[1]);
        rows(&records, &noise)
            .iter()
            .filter(|row| noise::is_ours(row.before) && row.verdict() != Verdict::Same)
            .map(|row| (row.before.case.clone(), row.verdict()))
            .collect()
    }

    #[test]
    fn two_runs_of_the_same_are_the_same_nearly_everywhere() {
        let all: usize =
            (0..50).map(|seed| changed(run(2 * seed, 1.0, None), run(2 * seed + 1, 1.0, None)).len()).sum();
        assert!(all <= 50 * 40 / 20, "{all} of 2000 figures are called changed");
    }

    #[test]
    fn a_seeded_tenth_is_found_on_a_machine_of_any_speed() {
        let mut found = 0;
        for seed in 0..50 {
            let changes = changed(run(3 * seed, 1.0, None), run(3 * seed + 1, 0.7, Some((17, 1.1))));
            found += usize::from(changes.contains(&("case17".into(), Verdict::Worse)));
            assert!(changes.len() <= 5, "{changes:?}");
        }
        assert!(found >= 45, "found {found} of 50");
    }

    #[test]
    fn more_is_better_where_the_metric_says_so() {
        let make = |value: f64| {
            let mut record = Record::new();
            let samples: Samples = [value; 5].into_iter().collect();
            record.measure("scan", "case", OURS, Metric::higher("use", "%"), 1, &samples);
            record
        };
        assert_eq!(changed(make(50.0), make(60.0)), [("case".to_owned(), Verdict::Better)]);
        assert_eq!(changed(make(60.0), make(50.0)), [("case".to_owned(), Verdict::Worse)]);
        assert_eq!(changed(make(60.0), make(60.0)), []);
    }

    #[test]
    fn the_comparison_is_a_record_itself() {
        let records = [run(1, 1.0, None), run(2, 1.0, None)];
        let noise = Noise::between(&records[0], &records[1]);
        let written = record(&rows(&records, &noise));
        assert_eq!(written.ratios().len(), 120);
        assert_eq!(Record::parse(&written.to_lines()).unwrap().figures().len(), 240);
    }
}
