//! One side of the comparison: a map, and the loops that are timed on it. A section owns its sides, all of which it asks
//! in turn. Invariant: a loop is compiled for its map, so only the question which loop to run is dispatched; keys and
//! entries are made outside of what is timed, and what a lookup finds is used.

use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::keys::Entry;
use super::table::{BATCH, Job, Table};
use super::workload::{Stage, Workload};
use crate::error::Error;
use crate::timer;

/// Entries that are made ahead and then timed together.
const CHUNK: u64 = 2048;
/// Fewest inserts of a sample.
const FEWEST_INSERTS: u64 = 100_000;

/// Somebody who has a map.
pub(super) trait Side<E: Entry> {
    /// Whose it is, in figures.
    fn name(&self) -> String;
    /// Makes a map of the entries `0..entries`.
    fn fill(&mut self, entries: u64) -> Result<(), Error>;
    /// Nanoseconds an operation; none where this side has no such operation. All but inserts need a filled map.
    fn sample(&mut self, workload: Workload, stage: &Stage<E>) -> Result<Option<f64>, Error>;
    /// Drops the map.
    fn empty(&mut self) -> Result<(), Error>;
}

/// A side in this process.
pub(super) struct Local<E: Entry, T: Table<E::Key, E::Value>> {
    table: T,
    /// Where the numbers of the map's entries begin: churns have moved it.
    first: u64,
    chunk: Vec<(E::Key, E::Value)>,
}

impl<E: Entry, T: Table<E::Key, E::Value>> Local<E, T> {
    pub(super) fn new() -> Self {
        Self { table: T::bare(), first: 0, chunk: Vec::with_capacity(CHUNK as usize) }
    }

    /// Makes one map of `0..entries`; what that took.
    fn build(&mut self, entries: u64, reserved: bool) -> (T, Duration) {
        let start = Instant::now();
        let mut table = if reserved { T::roomy(entries as usize) } else { T::bare() };
        let mut spent = start.elapsed();
        let mut from = 0;
        while from < entries {
            let to = entries.min(from + CHUNK);
            self.chunk.extend((from..to).map(entry::<E>));
            let start = Instant::now();
            pour(&mut table, self.chunk.drain(..));
            spent += start.elapsed();
            from = to;
        }
        (table, spent)
    }

    /// Makes many maps of `entries`, together no more than a chunk, each of other keys; what that took.
    fn build_many(&mut self, entries: u64, reserved: bool, from: u64) -> Duration {
        let maps = (CHUNK / entries).max(1);
        self.chunk.extend((from..from + maps * entries).map(entry::<E>));
        let mut tables = Vec::with_capacity(maps as usize);
        let mut made = self.chunk.drain(..);
        let start = Instant::now();
        for _ in 0..maps {
            let mut table = if reserved { T::roomy(entries as usize) } else { T::bare() };
            pour(&mut table, made.by_ref().take(entries as usize));
            tables.push(table);
        }
        start.elapsed()
    }

    /// Nanoseconds an insert.
    fn inserts(&mut self, entries: u64, reserved: bool) -> f64 {
        if entries > CHUNK {
            let maps = FEWEST_INSERTS.div_ceil(entries);
            let mut spent = Duration::ZERO;
            for _ in 0..maps {
                if !reserved {
                    // Not two large maps of each side at once.
                    self.table = T::bare();
                }
                let (table, time) = self.build(entries, reserved);
                spent += time;
                if !reserved {
                    (self.table, self.first) = (table, 0);
                }
            }
            return spent.as_nanos() as f64 / (maps * entries) as f64;
        }
        let step = CHUNK / entries * entries;
        let rounds = FEWEST_INSERTS.div_ceil(step);
        let spent: Duration = (0..rounds).map(|round| self.build_many(entries, reserved, round * step)).sum();
        spent.as_nanos() as f64 / (rounds * step) as f64
    }

    /// Nanoseconds of a removal and an insert.
    pub(super) fn churn(&mut self, entries: u64, times: u64) -> Result<f64, Error> {
        let (mut spent, mut taken) = (Duration::ZERO, 0);
        let last = self.first + times;
        while self.first < last {
            let to = last.min(self.first + CHUNK);
            let old: Vec<E::Key> = (self.first..to).map(E::key).collect();
            self.chunk.extend((self.first + entries..to + entries).map(entry::<E>));
            let start = Instant::now();
            taken += turn_over(&mut self.table, &old, self.chunk.drain(..));
            spent += start.elapsed();
            self.first = to;
        }
        Self::expect(taken, times, "removals")?;
        Self::expect(self.table.count() as u64, entries, "entries after churn")?;
        Ok(spent.as_nanos() as f64 / times as f64)
    }

    fn expect(got: u64, wanted: u64, what: &str) -> Result<(), Error> {
        if got == wanted {
            return Ok(());
        }
        Err(Error::Disagreement(format!("{} on {}: {got} {what}, not {wanted}", E::NAME, T::NAME)))
    }
}

impl<E: Entry, T: Table<E::Key, E::Value>> Side<E> for Local<E, T> {
    fn name(&self) -> String {
        T::NAME.into()
    }

    fn fill(&mut self, entries: u64) -> Result<(), Error> {
        // A map that inserts left is as good.
        if self.first != 0 || self.table.count() as u64 != entries {
            (self.table, self.first) = (self.build(entries, false).0, 0);
        }
        Self::expect(self.table.count() as u64, entries, "entries after a fill")
    }

    fn sample(&mut self, workload: Workload, stage: &Stage<E>) -> Result<Option<f64>, Error> {
        let entries = stage.entries;
        let nanoseconds = match workload {
            Workload::Insert => self.inserts(entries, false),
            Workload::Reserved => self.inserts(entries, true),
            Workload::Churn => self.churn(entries, Stage::<E>::churns(entries))?,
            Workload::Hit | Workload::Miss => {
                let keys = if workload == Workload::Hit { &stage.hits } else { &stage.misses };
                let mut found = 0;
                let time = timer::brief(|| found = look_up::<E, T>(&self.table, keys));
                let wanted = if workload == Workload::Hit { keys.len() } else { 0 };
                Self::expect(found, wanted as u64, "keys found")?;
                time / keys.len() as f64
            }
            Workload::Iterate => timer::brief(|| walk::<E, T>(&self.table)) / entries as f64,
            Workload::GetMany => {
                let batches = stage.hits.as_chunks::<BATCH>().0;
                let wanted = batches.len() * BATCH;
                let mut found = None;
                let time = timer::brief(|| found = look_up_together::<E, T>(&self.table, batches));
                let Some(found) = found else { return Ok(None) };
                Self::expect(found, wanted as u64, "keys found together")?;
                time / wanted as f64
            }
        };
        Ok(Some(nanoseconds))
    }

    fn empty(&mut self) -> Result<(), Error> {
        (self.table, self.first) = (T::bare(), 0);
        Ok(())
    }
}

/// The sides in this process.
pub(super) struct Locals<E>(PhantomData<E>);

impl<E: Entry> Job<E::Key, E::Value> for Locals<E> {
    type Given = Box<dyn Side<E>>;

    fn of<T: Table<E::Key, E::Value>>() -> Box<dyn Side<E>> {
        Box::new(Local::<E, T>::new())
    }
}

/// An entry of a number.
pub(super) fn entry<E: Entry>(number: u64) -> (E::Key, E::Value) {
    (E::key(number), E::value(number))
}

/// Inserts all; not inlined, so that every map's loop stands alone.
#[inline(never)]
fn pour<K, V, T: Table<K, V>>(table: &mut T, entries: impl Iterator<Item = (K, V)>) {
    for (key, value) in entries {
        table.put(key, value);
    }
}

/// Removes one and inserts another, over and over; how many removals found their key.
#[inline(never)]
fn turn_over<K, V, T: Table<K, V>>(table: &mut T, old: &[K], new: impl Iterator<Item = (K, V)>) -> u64 {
    let mut taken = 0;
    for (gone, (key, value)) in old.iter().zip(new) {
        taken += u64::from(table.take(gone));
        table.put(key, value);
    }
    taken
}

/// Looks all keys up and reads what is found; how many were.
#[inline(never)]
pub(super) fn look_up<E: Entry, T: Table<E::Key, E::Value>>(table: &T, keys: &[E::Key]) -> u64 {
    let (mut found, mut weight) = (0, 0_u64);
    for key in keys {
        if let Some(value) = table.find(key) {
            found += 1;
            weight = weight.wrapping_add(E::weigh(value));
        }
    }
    black_box(weight);
    found
}

/// The same, batch by batch; none where maps can't.
#[inline(never)]
fn look_up_together<E: Entry, T: Table<E::Key, E::Value>>(
    table: &T,
    batches: &[[E::Key; BATCH]],
) -> Option<u64> {
    let (mut found, mut weight) = (0, 0_u64);
    for keys in batches {
        for value in table.find_many(keys.each_ref())?.into_iter().flatten() {
            found += 1;
            weight = weight.wrapping_add(E::weigh(value));
        }
    }
    black_box(weight);
    Some(found)
}

/// Visits all entries and reads their values.
#[inline(never)]
pub(super) fn walk<E: Entry, T: Table<E::Key, E::Value>>(table: &T) -> u64 {
    let mut weight = 0_u64;
    table.each(|value| weight = weight.wrapping_add(E::weigh(value)));
    weight
}
