//! `frag --replay FILE`: a recorded program's mallocs and frees, done again on every allocator, threads and all. Owns the
//! figures and the tables. `plan` makes a trace ready, `child` does it in a process of its own.
//! Invariant: every allocator gets the same steps, in rounds that turn, and what a trace does not tell (what was in the blocks, what
//! the program did between) is done alike for all.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::alloc::{PEAK, TIME};
use crate::cli::FragArgs;
use crate::contest::Contest;
use crate::error::{Error, Outcome};
use crate::format::{bytes, count, nanoseconds, percent, ratio};
use crate::installed::{Choice, VARIABLE};
use crate::interrupt;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;
use crate::workload::Workload;
use crate::workload::child::listen;
use child::{Account, Moment, Order};
use plan::{Facts, Plan};

pub mod child;
pub mod plan;

/// The suite's name in figures.
pub const SUITE: &str = "replay";

/// Peak less what was resident before the first step.
const GROWN: Metric = Metric::lower("peak_grown", "B");
/// Resident after the idle time, less what was resident before the first step.
const LEFT: Metric = Metric::lower("idle_grown", "B");
/// What became resident since the first step.
const RESIDENT: Metric = Metric::lower("resident_grown", "B");
/// Bytes asked for by live blocks.
const LIVE: Metric = Metric::lower("live", "B");
/// Part of the live slots that nobody asked for.
const INTERNAL: Metric = Metric::lower("internal_fragmentation", "1");
/// Part of the committed pages that is no live slot.
const EXTERNAL: Metric = Metric::lower("external_fragmentation", "1");

/// How long a step may take on the slowest machine, beyond a patience for all.
const STEP_PATIENCE: Duration = Duration::from_micros(50);

/// How long a paced replay may take.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a trace took on one allocator, round after round.
#[derive(Clone, Debug)]
struct Tally {
    allocator: Choice,
    accounts: Vec<Account>,
}

impl Tally {
    fn samples(&self, figure: impl Fn(&Account) -> f64) -> Samples {
        self.accounts.iter().map(figure).collect()
    }

    /// The moments of the median round by peak.
    fn moments(&self) -> Option<(&Account, &[Moment])> {
        let mut accounts: Vec<&Account> = self.accounts.iter().collect();
        accounts.sort_by_key(|account| account.peak);
        let account = *accounts.get(accounts.len() / 2)?;
        Some((account, &account.moments))
    }
}

/// Runs the command on the trace at `path`.
///
/// # Errors
/// The trace can't be replayed, or a child failed. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &FragArgs, path: &Path, idle_ms: u64) -> Result<Outcome, Error> {
    let plan = Plan::of(path, args.partial)?;
    let case = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let contest = Contest::new(&args.contest, &Workload::ALL, idle_ms)?;
    let tallies = rounds_of(&contest, &plan, args.paced)?;
    let record = record(&case, &plan.facts, &tallies);
    let sheets = [summary(&case, &plan, &tallies), over_time(&case, &tallies)];
    Ok(output::deliver(&sheets, &record, &args.contest.record, Machine::here))
}

fn rounds_of(contest: &Contest, plan: &Plan, paced: bool) -> Result<Vec<Tally>, Error> {
    let binary =
        std::env::current_exe().map_err(|source| Error::Read { path: "/proc/self/exe".into(), source })?;
    let progress = Progress::new(u64::from(contest.rounds) * contest.allocators.len() as u64);
    let empty = |&allocator: &Choice| Tally { allocator, accounts: Vec::new() };
    let mut tallies: Vec<Tally> = contest.allocators.iter().map(empty).collect();
    for round in 0..contest.rounds {
        progress.stage(format!("round {}", round + 1));
        for idx in rounds::order(round, tallies.len()) {
            let order = Order {
                allocator: tallies[idx].allocator,
                plan: plan.file.path().into(),
                steps: plan.facts.steps,
                numbers: plan.facts.numbers,
                threads: plan.facts.threads,
                paced,
                idle_ms: contest.scale.idle_ms,
            };
            let Some(account) = interrupt::finished(run_child(&binary, &order))? else {
                return Ok(whole_rounds(tallies));
            };
            tallies[idx].accounts.push(account);
            progress.advance(1);
        }
    }
    Ok(tallies)
}

/// What is left of an interrupted contest: the rounds in which all had their turn.
fn whole_rounds(mut tallies: Vec<Tally>) -> Vec<Tally> {
    let rounds = tallies.iter().map(|tally| tally.accounts.len()).min().unwrap_or(0);
    for tally in &mut tallies {
        tally.accounts.truncate(rounds);
    }
    tallies.retain(|tally| !tally.accounts.is_empty());
    tallies
}

fn run_child(binary: &Path, order: &Order) -> Result<Account, Error> {
    let engine = format!("the replay on {}", order.allocator.name());
    let fail = |why: String| Error::Child { engine: engine.clone(), why };
    let text = serde_json::to_string(order).map_err(|error| fail(error.to_string()))?;
    let child = interrupt::apart(&mut Command::new(binary))
        .args([child::SUBCOMMAND, &text])
        .env(VARIABLE, order.allocator.name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fail(format!("cannot start {}: {error}", binary.display())))?;
    let steps = u32::try_from(order.steps).unwrap_or(u32::MAX);
    // A paced replay takes as long as the program did, and that is not known here.
    let patience = if order.paced { DAY } else { Duration::from_secs(60) };
    let patience = patience + STEP_PATIENCE * steps + Duration::from_millis(order.idle_ms);
    let said = listen(child, patience).map_err(fail)?;
    let account: Account =
        serde_json::from_str(&said).map_err(|error| fail(format!("it said {said:?}: {error}")))?;
    if account.allocator != order.allocator {
        return Err(fail(format!("it ran on {}", account.allocator.name())));
    }
    if account.failed > 0 {
        return Err(fail(format!("there was no memory for {} steps", account.failed)));
    }
    Ok(account)
}

/// `part` less what was there before, which may be more by some pages.
fn grown(account: &Account, part: u64) -> f64 {
    part.saturating_sub(account.before) as f64
}

fn fragmentation(moment: &Moment) -> Option<(f64, f64)> {
    let slots = moment.slots.filter(|slots| slots.live > 0 && slots.committed > 0)?;
    let (live, committed) = (slots.live as f64, slots.committed as f64);
    Some((1.0 - slots.requested as f64 / live, 1.0 - live / committed))
}

fn record(case: &str, facts: &Facts, tallies: &[Tally]) -> Record {
    let mut record = Record::new();
    for tally in tallies {
        let name = tally.allocator.name();
        let mut measure = |case: &str, metric: Metric, samples: &Samples| {
            record.measure(SUITE, case, name, metric, facts.steps, samples);
        };
        measure(case, TIME, &tally.samples(|account| account.nanoseconds / facts.steps.max(1) as f64));
        measure(case, PEAK, &tally.samples(|account| account.peak as f64));
        measure(case, GROWN, &tally.samples(|account| grown(account, account.peak)));
        measure(case, LEFT, &tally.samples(|account| grown(account, account.idle)));
        let Some((account, moments)) = tally.moments() else { continue };
        for moment in moments {
            let case = format!("{case}/at={:.3}", moment.steps as f64 / facts.steps.max(1) as f64);
            let one = |value: f64| Samples::from_iter([value]);
            measure(&case, RESIDENT, &one(grown(account, moment.resident)));
            measure(&case, LIVE, &one(moment.live as f64));
            if let Some((internal, external)) = fragmentation(moment) {
                measure(&case, INTERNAL, &one(internal));
                measure(&case, EXTERNAL, &one(external));
            }
        }
    }
    for metric in [TIME, PEAK, GROWN, LEFT] {
        for tally in tallies.iter().filter(|tally| tally.allocator != Choice::Bucketmask) {
            record.compare(SUITE, case, OURS, tally.allocator.name(), metric);
        }
    }
    record
}

fn summary(case: &str, plan: &Plan, tallies: &[Tally]) -> Sheet {
    let facts = &plan.facts;
    let rounds = tallies.first().map_or(0, |tally| tally.accounts.len());
    let head = ["allocator", "time a step", "peak", "peak of blocks", "/ live", "idle", "blocks' part"];
    let mut sheet = Sheet::new(format!("Replay of {case}; medians of {rounds} rounds"), &head);
    for tally in tallies {
        let size = |figure: &dyn Fn(&Account) -> f64| tally.samples(figure).median();
        let total = |figure: &dyn Fn(&Account) -> f64| bytes(tally.samples(figure).median_count());
        let peak = size(&|account| grown(account, account.peak));
        sheet.row([
            tally.allocator.name().into(),
            nanoseconds(size(&|account| account.nanoseconds / facts.steps.max(1) as f64)),
            total(&|account| account.peak as f64),
            total(&|account| grown(account, account.peak)),
            ratio(peak / facts.peak_live.max(1) as f64),
            total(&|account| account.idle as f64),
            total(&|account| grown(account, account.idle)),
        ]);
    }
    sheet.note = format!(
        "{} steps of {} threads on {} blocks, at most {} live at once. A step writes one byte of each 4 KiB of a block, but \
         not of zeroed blocks above 128 KiB. of blocks: less what was resident before the first step; / live: over the \
         most bytes asked for at once.",
        count(facts.steps),
        count(facts.threads.into()),
        count(facts.blocks),
        bytes(facts.peak_live),
    );
    let mut note = |text: String| sheet.note.push_str(&text);
    if facts.unknown > 0 {
        let blocks = count(facts.unknown);
        note(format!(" {blocks} frees of blocks that were made before the recording were left out."));
    }
    if let Some(fault) = &plan.broken {
        note(format!(" Only what is valid of the trace: {fault}."));
    } else if !facts.is_complete {
        note(
            " The program did not end the recording: it crashed, was killed, or became another program."
                .into(),
        );
    }
    sheet
}

/// Rows of the table over time.
const SHOWN: usize = 10;

fn over_time(case: &str, tallies: &[Tally]) -> Sheet {
    let mut head = vec!["steps done", "live"];
    head.extend(tallies.iter().map(|tally| tally.allocator.name()));
    head.extend(["internal", "external"]);
    let mut sheet = Sheet::new(format!("What {case} keeps resident, over time"), &head);
    let rows: Vec<(&Account, &[Moment])> = tallies.iter().filter_map(Tally::moments).collect();
    let moments = rows.iter().map(|(_, moments)| moments.len()).min().unwrap_or(0);
    for row in 1..=SHOWN.min(moments) {
        let idx = row * moments / SHOWN.min(moments) - 1;
        let Some((_, first)) = rows.first() else { break };
        let mut cells = vec![count(first[idx].steps), bytes(first[idx].live)];
        cells.extend(
            rows.iter().map(|(account, moments)| bytes(moments[idx].resident.saturating_sub(account.before))),
        );
        let ours = rows.iter().find_map(|(_, moments)| fragmentation(&moments[idx]));
        let part = |part: Option<f64>| part.map_or_else(|| "-".into(), |part| percent(part, 1.0));
        cells.extend([part(ours.map(|(internal, _)| internal)), part(ours.map(|(_, external)| external))]);
        sheet.row(cells);
    }
    sheet.note = "Resident since the first step, beside the bytes that live blocks asked for. internal: part of the live slots that \
                  nobody asked for; external: part of the committed pages that is no live slot; of bucketmask's pages."
        .into();
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Slots;

    #[test]
    fn figures_keep_the_schema_and_tables_show_what_is_asked() {
        let account = |allocator, scale: u64| Account {
            allocator,
            nanoseconds: 1000.0 * scale as f64,
            failed: 0,
            before: 1 << 20,
            peak: (1 + 2 * scale) << 20,
            moments: (1..=40)
                .map(|part| Moment {
                    steps: part * 10,
                    live: 1 << 20,
                    resident: (1 + scale) << 20,
                    slots: (allocator == Choice::Bucketmask).then_some(Slots {
                        live: 100,
                        requested: 75,
                        committed: 200,
                    }),
                })
                .collect(),
            idle: 2 << 20,
        };
        let tallies: Vec<Tally> = [(Choice::Bucketmask, 1), (Choice::Mimalloc, 2)]
            .into_iter()
            .map(|(allocator, scale)| Tally { allocator, accounts: vec![account(allocator, scale); 3] })
            .collect();
        let facts =
            Facts { steps: 400, blocks: 200, peak_live: 1 << 20, threads: 2, unknown: 3, ..Facts::default() };
        let record = record("json", &facts, &tallies);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        assert_eq!(record.value(SUITE, "json", GROWN.name, OURS), Some(f64::from(2 << 20)));
        assert_eq!(record.value(SUITE, "json/at=0.500", EXTERNAL.name, OURS), Some(0.5));
        assert_eq!(record.value(SUITE, "json/at=0.500", EXTERNAL.name, "mimalloc"), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let plan = Plan { file, facts, broken: None };
        let text = summary("json", &plan, &tallies).to_text();
        for part in ["400 steps of 2 threads", "3 frees", "did not end", "2.00 MiB", "4.00"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = over_time("json", &tallies).to_text();
        assert!(text.contains("25.0 %") && text.contains("50.0 %") && text.lines().count() >= 12, "{text}");
    }
}
