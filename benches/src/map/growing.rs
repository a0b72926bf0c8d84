//! What growth does to the rest: lookups while a migration is under way, and copying a map in its own order. Owns the maps
//! of a case. Invariant: a map that is being migrated is left in the middle of it while it is looked at, and its twins are
//! the same map just before and just after.

use std::time::Instant;

use super::SUITE;
use super::keys::{Words, draw, mix};
use super::plan::Plan;
use super::side::look_up;
use super::size::label;
use super::speed::TIME;
use super::table::{Job, Ours, Table, sides};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::{OURS, Record};
use crate::rounds;
use crate::sample::Samples;
use crate::timer;

/// Entries about which a migration is looked for, and of the map that is copied.
const ENTRIES: [u64; 2] = [1_000_000, 50_000];
/// How far to look for a migration, at steps of how many inserts.
const FURTHEST: u64 = 4;
const STEP: u64 = 500;
/// Lookups of a sample.
const LOOKUPS: u64 = 200_000;
/// Rounds of lookups: more than elsewhere, because little is asked for.
const ROUNDS: u32 = 15;

/// Our map when no migration is under way.
pub(super) const STEADY: &str = "bucketmask-steady";
/// Added to a side's name where it is filled in random order.
pub(super) const SHUFFLED: &str = "-shuffled";
/// Our map, filled in random order.
pub(super) const SHUFFLED_OURS: &str = "bucketmask-shuffled";

fn filled<T: Table<u64, u64>>(entries: u64) -> T {
    let mut table = T::bare();
    (0..entries).for_each(|number| table.put(mix(number), number));
    table
}

/// The numbers of inserts between which a migration is under way, the first behind `from`.
fn migration(from: u64) -> Option<[u64; 2]> {
    let mut table: Ours<u64, u64> = filled(from);
    let (mut entries, mut start) = (from, None);
    let mut was_growing = table.stats().growing;
    while entries < from * FURTHEST {
        (entries..entries + STEP).for_each(|number| table.put(mix(number), number));
        entries += STEP;
        let growing = table.stats().growing;
        match start {
            None if growing && !was_growing => start = Some(entries - STEP),
            Some(start) if !growing => return Some([start, entries]),
            _ => {}
        }
        was_growing = growing;
    }
    None
}

/// Lookups in the middle of a migration, against the mean of just before and just after.
pub(super) fn lookups(plan: &Plan, record: &mut Record, progress: &Progress) -> Result<(), Error> {
    let wanted = ENTRIES[usize::from(plan.quick)];
    let case = format!("hit-while-growing/u64-u64/{}", label(wanted));
    if !plan.wants(&case) {
        return Ok(());
    }
    progress.stage(case.clone());
    let [start, end] = migration(wanted).ok_or_else(|| {
        Error::Disagreement(format!("no migration between {wanted} and {FURTHEST} times as many"))
    })?;
    let sizes = [start, start.midpoint(end), end];
    let maps: [Ours<u64, u64>; 3] = sizes.map(filled);
    let keys: Vec<u64> = (0..LOOKUPS).map(|step| mix(draw(step, start))).collect();
    let mut samples: [Samples; 3] = Default::default();
    for round in 0..ROUNDS {
        for idx in rounds::order(round, maps.len()) {
            interrupt::check()?;
            let time = timer::brief(|| look_up::<Words, _>(&maps[idx], &keys));
            samples[idx].push(time / LOOKUPS as f64);
        }
    }
    if !maps[1].stats().growing {
        return Err(Error::Disagreement(format!("no migration is under way at {} entries", sizes[1])));
    }
    let [before, during, after] = &samples;
    record.measure(SUITE, &case, OURS, TIME, sizes[1], during);
    record.measure(SUITE, &case, STEADY, TIME, sizes[1], &Samples::mean_of(&[before, after]));
    progress.advance(1);
    Ok(())
}

/// Nanoseconds an insert of the entries of a map into another, in the order in which it gives them or in random order.
fn copy<T: Table<u64, u64>>(entries: u64, shuffled: bool) -> f64 {
    let source: T = filled(entries);
    let mut given = Vec::with_capacity(entries as usize);
    source.each(|&number| given.push((mix(number), number)));
    if shuffled {
        given.sort_unstable_by_key(|&(_, number)| mix(!number));
    }
    let start = Instant::now();
    let mut copied = T::bare();
    for (key, value) in given {
        copied.put(key, value);
    }
    start.elapsed().as_nanos() as f64 / copied.count() as f64
}

/// How a side copies.
type Copy = fn(u64, bool) -> f64;

struct Copies;

impl Job<u64, u64> for Copies {
    type Given = Copy;

    fn of<T: Table<u64, u64>>() -> Copy {
        copy::<T>
    }
}

/// Copies of a map in its own order, with the same hasher, against copies in random order.
pub(super) fn copies(plan: &Plan, record: &mut Record, progress: &Progress) -> Result<(), Error> {
    let entries = ENTRIES[usize::from(plan.quick)];
    let case = format!("copy/u64-u64/{}", label(entries));
    if !plan.wants(&case) {
        return Ok(());
    }
    progress.stage(case.clone());
    let sides = sides::<Words, Copies>();
    let mut samples: Vec<[Samples; 2]> = sides.iter().map(|_| Default::default()).collect();
    for round in 0..plan.rounds {
        for idx in rounds::order(round, sides.len()) {
            for (shuffled, samples) in [false, true].into_iter().zip(&mut samples[idx]) {
                interrupt::check()?;
                samples.push(sides[idx].1(entries, shuffled));
            }
        }
    }
    for ((name, _), [own, shuffled]) in sides.iter().zip(&samples) {
        record.measure(SUITE, &case, name, TIME, entries, own);
        record.measure(SUITE, &case, &format!("{name}{SHUFFLED}"), TIME, entries, shuffled);
    }
    progress.advance(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_found_and_stays_in_its_middle() {
        let Some([start, end]) = migration(20_000) else { panic!("no migration up to 80000 entries") };
        assert!(start < end && end - start < start / 2, "{start} to {end}");
        let growing = |entries| filled::<Ours<u64, u64>>(entries).stats().growing;
        assert_eq!([growing(start), growing(start.midpoint(end)), growing(end)], [false, true, false]);
    }
}
