//! What a map costs in bytes while it is filled. Owns the map it counts. Invariant: everybody's memory is counted as it was
//! asked for, from the process's allocator, after every insert; what our tables have beside it is added: the blocks and
//! open ranges that come from the pages themselves, a range in whole OS pages. Bytes of strings as such are no table's: they are left
//! out, as if each string had its own block, so that who keeps them elsewhere counts the same way.

use std::marker::PhantomData;

use bucketmask_alloc::Range;

use super::SUITE;
use super::go::Toolchain;
use super::keys::{Entry, Texts, Words};
use super::plan::{Plan, case};
use super::side::entry;
use super::size::{Size, label, octave};
use super::table::{Job, Table, sides};
use crate::error::Error;
use crate::installed::Installed;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::{Figure, Metric, Record};

/// Bytes of the table, by entry.
pub(super) const BYTES: Metric = Metric::lower("bytes_per_entry", "B");
/// The most bytes of the table up to here, by entry.
pub(super) const PEAK: Metric = Metric::lower("peak_bytes_per_entry", "B");
/// The greatest bytes an entry within an octave over the least.
pub(super) const SWING: Metric = Metric::lower("swing", "1");
/// Bytes above strings and their headers, as a part of these.
pub(super) const ABOVE: Metric = Metric::lower("above_minimum", "1");

/// First parts of the cases.
pub(super) const BYTES_CASE: &str = "bytes-per-entry";
pub(super) const PEAK_CASE: &str = "peak";
pub(super) const ABOVE_CASE: &str = "above-minimum";

/// Entries of the map from strings to strings.
const TEXTS: [u64; 2] = [1_000_000, 20_000];
/// Maps of entries other than two words are filled this far.
const FURTHEST: u64 = 2_000_000;

/// A map's bytes at one size, strings left out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Footprint {
    entries: u64,
    bytes: usize,
    /// The most so far.
    peak: usize,
}

/// Memory of tables, as it is counted.
struct Counter<'a> {
    installed: &'a Installed,
    /// The block that our table had last, which it still has while it fills the next one; 0 for a range.
    block: usize,
}

impl<'a> Counter<'a> {
    fn start(installed: &'a Installed) -> Self {
        installed.count(true);
        let _ = Range::opened_by_all();
        Self { installed, block: 0 }
    }

    /// Bytes now, and the most since this was asked last.
    fn look(&mut self, apart: usize) -> (usize, usize) {
        let held = self.installed.held();
        let (open, most_open) = Range::opened_by_all();
        let (now, most) = if open > 0 {
            (open.max(apart), most_open.max(apart) + self.block)
        } else if apart == self.block {
            (apart, apart)
        } else {
            (apart, apart + self.block)
        };
        self.block = if open > 0 { 0 } else { apart };
        (held.now + now, held.most + most)
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        self.installed.count(false);
    }
}

/// Fills a map up to the last of `marks`, which ascend; what it had at each.
fn fill<E: Entry, T: Table<E::Key, E::Value>>(installed: &Installed, marks: &[u64]) -> Vec<Footprint> {
    let mut found = Vec::with_capacity(marks.len());
    let mut counter = Counter::start(installed);
    let mut table = T::bare();
    let (mut strings, mut peak) = (0, 0);
    for number in 0..marks.last().copied().unwrap_or(0) {
        let (key, value) = entry::<E>(number);
        table.put(key, value);
        strings += E::payload(number);
        let (now, most) = counter.look(table.apart());
        peak = peak.max(most.saturating_sub(strings));
        if marks[found.len()] == number + 1 {
            found.push(Footprint { entries: number + 1, bytes: now.saturating_sub(strings), peak });
        }
    }
    drop(table);
    found
}

/// How a side's map is filled.
type Fill = fn(&Installed, &[u64]) -> Vec<Footprint>;

struct Fills<E>(PhantomData<E>);

impl<E: Entry> Job<E::Key, E::Value> for Fills<E> {
    type Given = Fill;

    fn of<T: Table<E::Key, E::Value>>() -> Fill {
        fill::<E, T>
    }
}

/// Measures one type of entries.
pub(super) fn measure<E: Entry>(
    plan: &Plan,
    installed: &Installed,
    go: &[Toolchain],
    record: &mut Record,
    progress: &Progress,
) -> Result<(), Error> {
    let wanted =
        |size: &str| plan.wants(&case::<E>(BYTES_CASE, size)) || plan.wants(&case::<E>(PEAK_CASE, size));
    let furthest = if E::NAME == Words::NAME { u64::MAX } else { FURTHEST };
    let mut marks = Vec::new();
    for size in &plan.sizes {
        match *size {
            Size::One(entries) => {
                marks.extend(Some(entries).filter(|&entries| entries <= furthest && wanted(&label(entries))));
            }
            Size::Octave(base) if wanted("octave") => marks.extend(octave(base)),
            Size::Octave(_) => {}
        }
    }
    marks.sort_unstable();
    marks.dedup();
    if marks.is_empty() {
        return Ok(());
    }
    progress.stage(format!("{BYTES_CASE}/{}", E::NAME));
    for (name, fill) in sides::<E, Fills<E>>() {
        interrupt::check()?;
        let footprints = fill(installed, &marks);
        add::<E>(record, name, &footprints, plan.octave());
    }
    for toolchain in go {
        for &entries in &marks {
            let strings: usize = (0..entries).map(E::payload).sum();
            let bytes = (toolchain.bytes::<E>(entries)? - strings as f64) / entries as f64;
            let case = case::<E>(BYTES_CASE, &label(entries));
            record.add(Figure::new(SUITE, &case, toolchain.name(), BYTES, entries, bytes));
        }
    }
    for name in go.iter().map(Toolchain::name) {
        means::<E>(record, name, BYTES_CASE, BYTES, plan.octave());
    }
    progress.advance(1);
    Ok(())
}

fn add<E: Entry>(record: &mut Record, name: &str, footprints: &[Footprint], base: Option<u64>) {
    for found in footprints {
        for (first, metric, bytes) in [(BYTES_CASE, BYTES, found.bytes), (PEAK_CASE, PEAK, found.peak)] {
            let case = case::<E>(first, &label(found.entries));
            let value = bytes as f64 / found.entries as f64;
            record.add(Figure::new(SUITE, &case, name, metric, found.entries, value));
        }
    }
    means::<E>(record, name, BYTES_CASE, BYTES, base);
    means::<E>(record, name, PEAK_CASE, PEAK, base);
}

/// The mean over the octave, and how far the sizes in it differ, where all of them are there.
fn means<E: Entry>(record: &mut Record, name: &str, first: &str, metric: Metric, base: Option<u64>) {
    let Some(sizes) = base.map(octave) else { return };
    let value = |entries: &u64| record.value(SUITE, &case::<E>(first, &label(*entries)), metric.name, name);
    let Some(values) = sizes.iter().map(value).collect::<Option<Vec<f64>>>() else { return };
    let (case, n) = (case::<E>(first, "octave"), sizes.iter().sum());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    record.add(Figure::new(SUITE, &case, name, metric, n, mean));
    if metric == BYTES {
        let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(a, b), &v| (a.min(v), b.max(v)));
        record.add(Figure::new(SUITE, &case, name, SWING, n, most / least));
    }
}

/// Strings to strings: what stands above their bytes and two headers an entry.
pub(super) fn texts(
    plan: &Plan,
    installed: &Installed,
    record: &mut Record,
    progress: &Progress,
) -> Result<(), Error> {
    let entries = TEXTS[usize::from(plan.quick)];
    let case = case::<Texts>(ABOVE_CASE, &label(entries));
    if !plan.wants(&case) {
        return Ok(());
    }
    progress.stage(case.clone());
    let strings: usize = (0..entries).map(Texts::payload).sum();
    let minimum = strings as f64 + (entries as usize * 2 * size_of::<String>()) as f64;
    for (name, fill) in sides::<Texts, Fills<Texts>>() {
        interrupt::check()?;
        for found in fill(installed, &[entries]) {
            let above = (found.bytes + strings) as f64 / minimum - 1.0;
            record.add(Figure::new(SUITE, &case, name, ABOVE, entries, above));
        }
    }
    progress.advance(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::keys::Pairs;
    use super::super::table::Ours;
    use super::*;

    /// Counts nothing: the tests' own allocator is another.
    static INSTALLED: Installed = Installed::new();

    #[test]
    fn ours_counts_what_lies_apart() {
        let marks = [10, 1000, 100_000];
        let found = fill::<Words, Ours<u64, u64>>(&INSTALLED, &marks);
        assert_eq!(found.iter().map(|found| found.entries).collect::<Vec<_>>(), marks);
        for found in &found {
            let each = found.bytes as f64 / found.entries as f64;
            // No upper bound: other tests of this process may have ranges open.
            assert!(each >= 16.0 && found.peak >= found.bytes, "{found:?}");
        }
    }

    #[test]
    fn means_and_swings_need_a_whole_octave() {
        let mut record = Record::new();
        for (step, entries) in octave(1000).into_iter().enumerate() {
            means::<Pairs>(&mut record, "x", BYTES_CASE, BYTES, Some(1000));
            assert!(record.figures().iter().all(|figure| !figure.case.ends_with("octave")));
            let case = case::<Pairs>(BYTES_CASE, &label(entries));
            record.add(Figure::new(SUITE, &case, "x", BYTES, entries, 10.0 + step as f64));
        }
        means::<Pairs>(&mut record, "x", BYTES_CASE, BYTES, Some(1000));
        let value =
            |metric: Metric| record.value(SUITE, "bytes-per-entry/u32u32-string/octave", metric.name, "x");
        assert_eq!((value(BYTES), value(SWING)), (Some(13.5), Some(1.7)));
    }
}
