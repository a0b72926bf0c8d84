//! Maps that hold little in much room: to walk them, to clear them, to drop them. Owns one map at a time. Invariant: a case
//! says how its maps came to be sparse: `keep=1` had all its entries and lost all but one in a hundred, `fill=1` had room
//! reserved for all and got one in a hundred.

use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::SUITE;
use super::keys::{Entry, mix};
use super::plan::{Plan, case};
use super::side::{entry, walk};
use super::size::label;
use super::speed::TIME;
use super::table::{Job, Table, sides};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::Record;
use crate::rounds;
use crate::sample::Samples;
use crate::timer;

/// Entries that the maps had, or have room for.
const ENTRIES: [u64; 2] = [1_000_000, 30_000];
/// Entries in ten thousand that the maps hold.
const PARTS: [u64; 2] = [100, 1];
/// Rounds of maps that lost their entries: each takes a whole fill.
const ROUNDS: u32 = 3;
/// A sample adds up at least this much of what it times.
const LEAST: Duration = Duration::from_micros(500);
/// At most so many maps a sample.
const MOST_MAPS: u32 = 64;

/// What is done to the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Iterate,
    Clear,
    Drop,
}

impl Deed {
    const ALL: [Self; 3] = [Self::Iterate, Self::Clear, Self::Drop];

    const fn name(self) -> &'static str {
        match self {
            Self::Iterate => "iterate",
            Self::Clear => "clear",
            Self::Drop => "drop",
        }
    }
}

/// How a map came to be sparse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Keep,
    Fill,
}

impl Origin {
    const ALL: [Self; 2] = [Self::Keep, Self::Fill];

    const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Fill => "fill",
        }
    }
}

/// One case.
#[derive(Clone, Copy, Debug)]
struct Sparse {
    deed: Deed,
    origin: Origin,
    entries: u64,
    part: u64,
}

impl Sparse {
    fn case<E: Entry>(self) -> String {
        let percent = self.part as f64 / 100.0;
        format!("{}/{}={percent}", case::<E>(self.deed.name(), &label(self.entries)), self.origin.name())
    }

    /// Whether the entry of a number is in the map.
    const fn holds(self, number: u64) -> bool {
        mix(!number) % 10_000 < self.part
    }

    fn map<E: Entry, T: Table<E::Key, E::Value>>(self) -> T {
        let held = (0..self.entries).filter(|&number| self.holds(number));
        match self.origin {
            Origin::Fill => {
                let mut table = T::roomy(self.entries as usize);
                held.map(entry::<E>).for_each(|(key, value)| table.put(key, value));
                table
            }
            Origin::Keep => {
                let mut table = T::bare();
                (0..self.entries).map(entry::<E>).for_each(|(key, value)| table.put(key, value));
                for number in (0..self.entries).filter(|&number| !self.holds(number)) {
                    black_box(table.take(&E::key(number)));
                }
                table
            }
        }
    }
}

/// Nanoseconds of the deed, once.
fn sample<E: Entry, T: Table<E::Key, E::Value>>(sparse: Sparse) -> f64 {
    if sparse.deed == Deed::Iterate {
        let table: T = sparse.map::<E, T>();
        return timer::brief(|| walk::<E, T>(&table));
    }
    let (mut spent, mut maps) = (Duration::ZERO, 0);
    while maps == 0 || sparse.origin == Origin::Fill && spent < LEAST && maps < MOST_MAPS {
        let mut table: T = sparse.map::<E, T>();
        let start = Instant::now();
        if sparse.deed == Deed::Clear {
            table.wipe();
            spent += start.elapsed();
            black_box(table.count());
        } else {
            drop(table);
            spent += start.elapsed();
        }
        maps += 1;
    }
    spent.as_nanos() as f64 / f64::from(maps)
}

/// How a side is timed.
type Sample = fn(Sparse) -> f64;

struct Samplers<E>(PhantomData<E>);

impl<E: Entry> Job<E::Key, E::Value> for Samplers<E> {
    type Given = Sample;

    fn of<T: Table<E::Key, E::Value>>() -> Sample {
        sample::<E, T>
    }
}

/// Measures one type of entries.
pub(super) fn measure<E: Entry>(plan: &Plan, record: &mut Record, progress: &Progress) -> Result<(), Error> {
    let entries = ENTRIES[usize::from(plan.quick)];
    for deed in Deed::ALL {
        for origin in Origin::ALL {
            for part in PARTS {
                let sparse = Sparse { deed, origin, entries, part };
                let case = sparse.case::<E>();
                if plan.wants(&case) {
                    progress.stage(case.clone());
                    rounds_of::<E>(plan, sparse, &case, record)?;
                    progress.advance(1);
                }
            }
        }
    }
    Ok(())
}

fn rounds_of<E: Entry>(plan: &Plan, sparse: Sparse, case: &str, record: &mut Record) -> Result<(), Error> {
    let sides = sides::<E, Samplers<E>>();
    let mut samples = vec![Samples::new(); sides.len()];
    let most = if sparse.origin == Origin::Keep { ROUNDS } else { plan.rounds };
    for round in 0..plan.rounds.min(most) {
        for idx in rounds::order(round, sides.len()) {
            interrupt::check()?;
            samples[idx].push(sides[idx].1(sparse));
        }
    }
    for ((name, _), samples) in sides.iter().zip(&samples) {
        record.measure(SUITE, case, name, TIME, sparse.entries, samples);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::keys::Pairs;
    use super::super::table::Ours;
    use super::*;
    use crate::engine::Hasher;

    #[test]
    fn both_origins_leave_the_same_entries() {
        let sparse = |origin| Sparse { deed: Deed::Clear, origin, entries: 20_000, part: 100 };
        let kept: Ours<(u32, u32), String> = sparse(Origin::Keep).map::<Pairs, _>();
        let filled: hashbrown::HashMap<(u32, u32), String, Hasher> = sparse(Origin::Fill).map::<Pairs, _>();
        assert_eq!(kept.len(), filled.len());
        assert!((120..280).contains(&kept.len()), "{} of 20000", kept.len());
        assert!(filled.iter().all(|(key, value)| kept.get(key) == Some(value)));
        assert_eq!(sparse(Origin::Keep).case::<Pairs>(), "clear/u32u32-string/20k/keep=1");
    }
}
