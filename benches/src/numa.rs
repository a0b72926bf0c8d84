//! The command `numa`: whether memory is where the threads are that asked for it, and whether frees from other nodes bring it
//! home. Owns the tables and the check. Invariant: what counts as found is what the kernel said of a page that a thread of
//! that node asked for and wrote; nothing is concluded from our own books.

use bucketmask_alloc::{Topology, topology};

use crate::cli::NumaArgs;
use crate::error::{Error, Outcome};
use crate::format::{bytes, count, percent};
use crate::output::{self, Sheet};
use crate::record::{Metric, OURS, Record};

mod blocks;
mod pin;
mod tally;
mod work;

use pin::Site;
use tally::Tally;
use work::{Seen, Work};

/// The suite's name in figures.
pub const SUITE: &str = "numa";

const CROSSED: Metric = Metric::lower("cross_node_frees", "frees");
const BOUND: Metric = Metric::higher("bound", "0 or 1");

/// Bytes that each thread asks for.
const BYTES: usize = 64 << 20;
/// The same, in a hurry and on a small machine.
const QUICK_BYTES: usize = 8 << 20;

/// Runs the command.
///
/// # Errors
/// With `--assert-local`: fewer pages than asked for are where they were wanted, or it can't be told. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &NumaArgs) -> Result<Outcome, Error> {
    let topology = topology();
    let sites = Site::all(&topology);
    let bytes = if args.quick { QUICK_BYTES } else { BYTES };
    let work = Work { topology: &topology, sites: &sites, threads: args.threads as usize, bytes };
    let seen = work.run();
    let mut outcome = Outcome::default();
    outcome.problems.extend(seen.problems.iter().cloned());
    for sheet in [threads_sheet(&work, &seen), memory_sheet(&topology, &seen)] {
        outcome.note(output::print(&sheet.to_text()));
    }
    if let Some(path) = &args.json {
        outcome.note(record(&sites, &seen).write(path));
    }
    if let Some(least) = args.assert_local {
        check(&work, &seen, f64::from(least))?;
    }
    Ok(outcome)
}

fn threads_sheet(work: &Work<'_>, seen: &Seen) -> Sheet {
    let mut head = vec!["threads on node", "memory of"];
    head.extend(Tally::HEAD);
    head.extend(["own span", "local again", "for others", "freed of others"]);
    let title = format!(
        "Pages of {} of blocks a thread, {} thread(s) a node",
        bytes(work.bytes as u64),
        work.threads
    );
    let mut sheet = Sheet::new(title, &head);
    for (site, stay) in work.sites.iter().zip(&seen.stays) {
        let mut row = vec![site.kernel.to_string(), work.topology.kernel_number(site.home).to_string()];
        row.extend(stay.first.cells());
        row.push(percent(stay.first.own_span as f64, stay.first.ours as f64));
        row.push(percent(stay.again.found as f64, stay.again.wanted as f64));
        row.push(percent(stay.for_others.found as f64, stay.for_others.wanted as f64));
        row.push(count(stay.freed_of_others as u64));
        sheet.row(row);
    }
    sheet.note = "own span: of the pages of the allocator's region, those in the span of the node\n\
                  local again: of pages taken after the next node's threads had freed half of the blocks\n\
                  for others: of pages that these threads were first to write, of blocks that the node before had taken\n\
                  freed of others: blocks of another node that these threads freed"
        .into();
    sheet
}

fn memory_sheet(topology: &Topology, seen: &Seen) -> Sheet {
    let mut head = vec!["memory of node", "bound"];
    head.extend(Tally::HEAD);
    head.push("cross-node frees");
    let mut sheet = Sheet::new("The allocator's own pages in use while the first blocks lived", &head);
    for (full, end) in seen.full.nodes.iter().zip(&seen.end.nodes) {
        let mut row = vec![full.kernel_node.to_string(), if full.bound { "yes" } else { "no" }.to_owned()];
        row.extend(Tally::of_memory(full).cells());
        row.push(count(end.cross_node_frees - full.cross_node_frees));
        sheet.row(row);
    }
    let mut notes =
        vec!["cross-node frees: blocks of the node freed by threads of others, which went home.".to_owned()];
    if topology.is_fake() {
        notes.push(
            "The nodes are fake ones: the kernel knows nothing of them, so where pages are is unknown."
                .into(),
        );
    } else if topology.nodes() == 1 {
        notes.push(
            "This machine, or what of it this process may use, has one node: all memory is local.".into(),
        );
    }
    if let Some(errno) = seen.full.refused {
        let why = std::io::Error::from_raw_os_error(errno);
        notes.push(format!(
            "The kernel does not tell where pages are (move_pages: {why}); they count as unknown."
        ));
    }
    sheet.note = notes.join("\n");
    sheet
}

fn record(sites: &[Site], seen: &Seen) -> Record {
    let mut record = Record::new();
    for (site, stay) in sites.iter().zip(&seen.stays) {
        stay.first.record(&mut record, SUITE, &format!("threads/node{}/first", site.kernel));
        stay.again.record(&mut record, SUITE, &format!("threads/node{}/again", site.kernel));
        stay.for_others.record(&mut record, SUITE, &format!("threads/node{}/for-others", site.kernel));
    }
    for (full, end) in seen.full.nodes.iter().zip(&seen.end.nodes) {
        let case = format!("memory/node{}", full.kernel_node);
        let tally = Tally::of_memory(full);
        tally.record(&mut record, SUITE, &case);
        let bound = [f64::from(u8::from(full.bound))].into_iter().collect();
        record.measure(SUITE, &case, OURS, BOUND, tally.wanted as u64, &bound);
        let crossed = (end.cross_node_frees - full.cross_node_frees) as f64;
        record.measure(SUITE, &case, OURS, CROSSED, tally.wanted as u64, &[crossed].into_iter().collect());
    }
    record
}

/// Whether at least `least` percent of the pages are where they were wanted: of each node's threads, at first and again, and
/// of the allocator's own.
fn check(work: &Work<'_>, seen: &Seen, least: f64) -> Result<(), Error> {
    let mut faults = seen.problems.clone();
    let mut judge = |what: String, value: f64| {
        if value < least {
            faults.push(format!("{what}: {value:.2} %"));
        }
    };
    for (site, stay) in work.sites.iter().zip(&seen.stays) {
        for (phase, tally) in [("at first", stay.first), ("again", stay.again)] {
            judge(format!("pages of threads on node {}, {phase}", site.kernel), tally.local_percent());
            judge(format!("own span of threads on node {}, {phase}", site.kernel), tally.own_span_percent());
        }
    }
    // Where the kernel did not let us say where memory is to be, whoever writes first decides.
    if seen.full.nodes.iter().all(|node| node.bound) {
        for (site, stay) in work.sites.iter().zip(&seen.stays) {
            judge(format!("pages first written on node {}", site.kernel), stay.for_others.local_percent());
        }
    }
    for node in &seen.full.nodes {
        let local = Tally::of_memory(node).local_percent();
        judge(format!("the allocator's pages of node {}", node.kernel_node), local);
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::NotLocal { least, faults: faults.join("; ") }) }
}
