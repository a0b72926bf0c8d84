//! The command `report`: real text through allocator, collector and map, beside the same program on the peers. Owns the
//! run from input to outputs. Invariant: both sides agree on every checksum before a figure is shown, and what could not
//! be read or written never hides what could.

use std::path::{Path, PathBuf};

use crate::child;
use crate::cli::ReportArgs;
use crate::error::{Error, Outcome};
use crate::input::Input;
use crate::interrupt;
use crate::machine::TARGET;
use crate::map;
use crate::output;
use crate::pages::RECORDS;
use crate::pages::shelf::Shelf;
use crate::picture::{self, Picture};
use crate::progress::Progress;
use crate::protocol::{Plan, Side};
use crate::record::write_file;

mod page;
mod pictures;
mod results;
mod sheets;

use results::{Part, Results};

/// Percent of the identifiers that each wave keeps.
const KEEPS: [u32; 7] = [100, 50, 25, 10, 5, 2, 1];
/// The same, in a hurry.
const QUICK_KEEPS: [u32; 3] = [100, 10, 1];
/// Bytes of the input that a hurried run indexes at most.
const QUICK_BYTES: u64 = 12 << 20;
/// The parts of the input that are run, in thirds.
const PARTS: [(&str, u64); 3] = [("third", 1), ("two-thirds", 2), ("whole", 3)];

/// How much to do.
struct Effort {
    rounds: u32,
    cycles: u32,
    /// Waves over the whole input; its parts take [`QUICK_KEEPS`], enough to see what time grows with.
    keeps: &'static [u32],
    bytes: u64,
    /// Inserts that are timed one by one.
    inserts: u64,
}

impl Effort {
    fn of(args: &ReportArgs) -> Self {
        if args.quick {
            Self {
                rounds: args.rounds.unwrap_or(1),
                cycles: 1,
                keeps: &QUICK_KEEPS,
                bytes: QUICK_BYTES,
                inserts: 200_000,
            }
        } else {
            Self {
                rounds: args.rounds.unwrap_or(3),
                cycles: 2,
                keeps: &KEEPS,
                bytes: u64::MAX,
                inserts: 2_000_000,
            }
        }
    }
}

/// Runs the report.
///
/// # Errors
/// There is no input, a child process fails, or the two sides disagree. Files that cannot be read and outputs that cannot
/// be written are in the outcome instead.
pub fn run(args: &ReportArgs) -> Result<Outcome, Error> {
    let input = match &args.input {
        Some(folder) => Input::from_folder(folder)?,
        None => Input::from_dependencies()?,
    };
    let results = measure(&input, &Effort::of(args))?;
    results.agree()?;
    if results.parts.is_empty() {
        return Err(Error::Interrupted);
    }
    let mut outcome = Outcome { problems: input.problems };
    let record = results.record();
    let sheets = sheets::of(&results);
    let text: String = sheets.terminal.iter().map(output::Sheet::to_text).collect();
    outcome.note(output::print(&text));
    if let Some(path) = &args.json {
        outcome.note(record.write(path));
    }
    let mut pictures = pictures::of(&results);
    match recorded(args) {
        Ok(more) => pictures.extend(more),
        Err(error) => outcome.note(Err(error)),
    }
    let page = page::render(&results, &sheets, &pictures);
    match write_page(&args.out, &page, &pictures) {
        Ok(path) => outcome.note(output::print(&format!("\nThe page with plots: {}\n", path.display()))),
        Err(error) => outcome.note(Err(error)),
    }
    Ok(outcome)
}

/// The pictures of the newest records, where there are any.
fn recorded(args: &ReportArgs) -> Result<Vec<Picture>, Error> {
    let usual = Path::new(RECORDS).join(TARGET);
    let folder = args.records.as_deref().or_else(|| usual.is_dir().then_some(usual.as_path()));
    folder
        .map_or_else(|| Ok(Vec::new()), |folder| Ok(picture::recorded::all(&Shelf::open(Some(folder), &[])?)))
}

fn write_page(folder: &Path, page: &str, pictures: &[Picture]) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
    let path = folder.join("report.html");
    write_file(&path, page)?;
    for picture in pictures {
        write_file(&folder.join(picture.name).with_extension("svg"), &picture.file())?;
    }
    Ok(path)
}

/// Runs both sides over all parts of the input, rounds alternating.
fn measure(input: &Input, effort: &Effort) -> Result<Results, Error> {
    let binary =
        std::env::current_exe().map_err(|source| Error::Read { path: "this binary".into(), source })?;
    let whole = input.bytes().min(effort.bytes);
    let mut parts: Vec<Part> =
        PARTS.iter().map(|&(name, thirds)| Part::new(name, input.prefix(whole * thirds / 3))).collect();
    // Two parts of a very small input can be the same files; a figure is measured once. The whole is always the last.
    parts.reverse();
    parts.dedup_by_key(|part| part.files);
    parts.reverse();
    let per_round: u64 = parts.iter().map(|part| 2 * part.bytes).sum();
    let progress = Progress::new(per_round * u64::from(effort.rounds));
    let mut done = 0;
    let last = parts.len() - 1;
    for round in 0..effort.rounds {
        for (idx, part) in parts.iter_mut().enumerate() {
            let keeps = if idx == last { effort.keeps } else { &QUICK_KEEPS };
            let texts = &input.texts[..part.files];
            let sides = if round % 2 == 0 { [Side::Ours, Side::Peer] } else { [Side::Peer, Side::Ours] };
            for side in sides {
                let stage =
                    format!("round {} of {}: {} on {}", round + 1, effort.rounds, part.name, side.name());
                progress.stage(stage);
                let plan =
                    Plan { side, keeps: keeps.to_vec(), cycles: effort.cycles, texts: texts.len() as u64 };
                let told = child::run(&binary, &plan, texts, |bytes| progress.reach(done + bytes));
                let Some(account) = interrupt::finished(told)? else {
                    return Ok(Results::of_whole_rounds(input.name.clone(), parts));
                };
                done += part.bytes;
                progress.reach(done);
                part.accounts_mut(side).push(account);
            }
        }
    }
    progress.stage("single inserts into growing maps");
    let inserts = map::insert_times(effort.inserts);
    Ok(Results { input: input.name.clone(), rounds: effort.rounds, parts, inserts })
}
