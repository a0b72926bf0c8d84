//! The command `barriers`: how many write barriers a program runs, and how many of them a compiler's trick, or here a type, saves.
//!
//! Two programs, each twice: objects are published when they are made, and each write to them runs its barrier; or they are
//! `Unpublished` until they are complete, and only writes to what others can reach run one. Requests are parsed field by field
//! and then handled; messages go through the stages of a pipeline, each of which notes that it had them. Counts, no times: they
//! are the same on every machine.
//! Owns the programs and the table. Invariant: both forms of a program leave the same graph, which the sum over it says.

mod pipeline;
mod requests;

use bucketmask_gc::Barriers;

use crate::cli::BarriersArgs;
use crate::error::{Error, Outcome};
use crate::format;
use crate::output::{self, Sheet};
use crate::record::{Figure, Metric, OURS, Record};

/// The suite's name in figures.
pub const SUITE: &str = "barriers";

/// The form without elision, as a peer.
const ALL_RUN: &str = "bucketmask-published";

const BARRIERS: Metric = Metric::lower("barriers", "barriers");
const TAKEN: Metric = Metric::lower("barriers_taken", "barriers");

/// Whether writes to objects that nobody else can reach yet run barriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elision {
    Off,
    On,
}

/// What came of a program.
struct Counted {
    barriers: Barriers,
    /// Over the graph at the end.
    sum: u64,
}

impl Counted {
    /// Barriers that ran while marking went on.
    fn taken(&self) -> u64 {
        let b = &self.barriers;
        b.forward + b.backward + b.bucket + b.container
    }

    fn all(&self) -> u64 {
        self.taken() + self.barriers.idle
    }
}

/// A program: its name, and what runs it on so many requests or messages.
type Program = (&'static str, fn(u64, Elision) -> Counted);

const PROGRAMS: [Program; 2] = [("requests", requests::run), ("pipeline", pipeline::run)];

/// Runs the programs.
///
/// # Errors
/// The two forms of a program leave different graphs. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &BarriersArgs) -> Result<Outcome, Error> {
    let size = args.size.unwrap_or(if args.quick { 20_000 } else { 200_000 });
    let mut record = Record::new();
    let mut outcome = Outcome::default();
    let title = format!("Write barriers of two programs, {} requests and messages each", format::count(size));
    let head = ["program", "elision", "barriers", "taken", "nothing marked", "objects unpublished", "fewer"];
    let mut sheet = Sheet::new(title, &head);
    for (name, program) in PROGRAMS {
        let (off, on) = (program(size, Elision::Off), program(size, Elision::On));
        if off.sum != on.sum {
            return Err(Error::Barriers { program: name, published: off.sum, unpublished: on.sum });
        }
        for (implementation, elision, counted) in [(ALL_RUN, "off", &off), (OURS, "on", &on)] {
            for (metric, value) in [(BARRIERS, counted.all()), (TAKEN, counted.taken())] {
                record.add(Figure::new(SUITE, name, implementation, metric, size, value as f64));
            }
            let b = &counted.barriers;
            let counts = [counted.all(), counted.taken(), b.idle, b.unpublished].map(format::count);
            let fewer = match elision {
                "off" => "-".to_owned(),
                _ => format::percent((off.all() - on.all()) as f64, off.all() as f64),
            };
            sheet.row([name.to_owned(), elision.to_owned()].into_iter().chain(counts).chain([fewer]));
        }
        for metric in [BARRIERS, TAKEN] {
            record.compare(SUITE, name, OURS, ALL_RUN, metric);
        }
    }
    outcome.note(output::print(&sheet.to_text()));
    if let Some(path) = &args.json {
        outcome.note(record.write(path));
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elision_saves_the_barriers_of_what_is_not_published_and_no_others() {
        for (name, program) in PROGRAMS {
            let (off, on) = (program(3000, Elision::Off), program(3000, Elision::On));
            assert_eq!(off.sum, on.sum, "{name}");
            assert_eq!((off.barriers.unpublished, on.barriers.unpublished > 0), (0, true), "{name}");
            assert!(off.taken() > 0 && on.taken() > 0, "{name}: some collection ran");
            // Of requests, what the parser writes; of messages, what they are filled with before they set out.
            let saved = off.all() - on.all();
            let writes = if name == "requests" {
                requests::writes_of_the_parser(3000)
            } else {
                3000 * pipeline::FILLED
            };
            assert_eq!(saved, writes, "{name}");
        }
    }
}
