//! What a map holds: bytes an entry, and garbage that waits while threads replace values.
//!
//! Owned by `concurrent.rs`. Invariant: bytes are counted as they were asked for, from the process's allocator; the open ranges that
//! tables of ours lie in are added, whole.

use std::sync::Mutex;

use bucketmask_alloc::Range;

use super::case::{Case, Size, Take};
use super::cases::{KEYS, filled, key, together};
use super::sides::{Ours, Side, on_each_side};
use crate::installed::Installed;
use crate::record::{Metric, OURS};

pub(super) const BYTES: Metric = Metric::lower("bytes_per_entry", "B");
pub(super) const PENDING: Metric = Metric::lower("pending", "B");
/// First parts of the cases.
pub(super) const MEMORY: &str = "bytes-per-entry";
pub(super) const GARBAGE: &str = "garbage";
/// The last part of the case that has the most there was.
pub(super) const MOST: &str = "most";

/// Threads that replace values.
const WRITERS: usize = 2;
/// Moments at which each run of replacements is looked at.
const LOOKS: u64 = 20;
/// Bytes that may wait while no guard is old and no thread sleeps in the middle: five bags of 1024 entries a writing thread, and as
/// much again for the thread that filled the map.
pub(super) const BOUND: f64 = ((WRITERS + 1) * 5 * 1024 * size_of::<[u64; 2]>()) as f64;

/// Bytes an entry as a map grows from nothing, in the mean over eight sizes from `first` to almost twice as many.
fn bytes<M: Side>(installed: &Installed, first: u64) -> f64 {
    installed.count(true);
    let _ = Range::opened_by_all();
    let map = M::with_capacity(0);
    let (mut entries, mut sum) = (0, 0.0);
    for eighth in 8..16 {
        let next = first * eighth / 8;
        (entries..next).for_each(|nth| map.insert(key(nth), nth));
        entries = next;
        let held = installed.held().now + Range::opened_by_all().0;
        sum += held as f64 / entries as f64;
    }
    drop(map);
    installed.count(false);
    sum / 8.0
}

/// The garbage of `ops` replacements a thread at twenty moments, and the most at any.
fn garbage(ops: u64) -> Vec<f64> {
    let map: Ours = filled(KEYS);
    let seen = Mutex::new(Vec::new());
    together(WRITERS, ops, |thread| {
        let mut random = fastrand::Rng::with_seed(thread as u64);
        for done in 1..=ops {
            map.insert(key(random.u64(0..KEYS)), done);
            if thread == 0 && done % (ops / LOOKS) == 0 {
                let mut seen = seen.lock().expect("nobody panics with it");
                seen.push(map.0.pending_bytes() as f64);
            }
        }
        0
    });
    let mut seen = seen.into_inner().expect("nobody panicked with it");
    seen.truncate(LOOKS as usize);
    seen
}

/// Both.
pub(super) fn all(size: &Size, installed: &'static Installed) -> Vec<Case> {
    let first = if size.quick { 50_000 } else { 1_000_000 };
    let ops = size.ops;
    let bytes = Case {
        name: format!("{MEMORY}/u64-u64/{first}"),
        title: "Bytes an entry of two words, in the mean over an octave of sizes",
        n: first,
        metrics: vec![BYTES],
        sides: on_each_side!(M => move |_| vec![bytes::<M>(installed, first)]),
        take: Take::Last,
        rounds: 1,
    };
    let mut cases = vec![bytes];
    // One run a round gives all moments; what each round saw is kept until the last moment's case has asked.
    let rounds: std::rc::Rc<std::cell::RefCell<Vec<Vec<f64>>>> = std::rc::Rc::default();
    for look in 0..=LOOKS as usize {
        let rounds = std::rc::Rc::clone(&rounds);
        let work = move |round: u64| {
            let mut rounds = rounds.borrow_mut();
            while rounds.len() < round as usize {
                rounds.push(garbage(ops));
            }
            let seen = &rounds[round as usize - 1];
            vec![seen.get(look).copied().unwrap_or_else(|| seen.iter().copied().fold(0.0, f64::max))]
        };
        let moment = if look < LOOKS as usize {
            format!("at={:.2}", (look + 1) as f64 / LOOKS as f64)
        } else {
            MOST.to_owned()
        };
        cases.push(Case {
            name: format!("{GARBAGE}/{moment}"),
            title: "Garbage that waits while two threads replace values, at parts of the run, and the most of these",
            n: ops * WRITERS as u64,
            metrics: vec![PENDING],
            sides: vec![(OURS, Box::new(work))],
            take: Take::Median,
            rounds: size.rounds,
        });
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_looked_at_and_there_is_some() {
        let seen = garbage(20_000);
        assert_eq!(seen.len(), LOOKS as usize);
        assert!(seen.iter().any(|&bytes| bytes > 0.0), "{seen:?}");
    }
}
