//! Whether a history of one key is linearizable: whether its operations have an order that keeps the order of those that
//! did not overlap, and of each process's own, in which each saw what the one before it left.
//!
//! Wing and Gong's search (1993) with Lowe's memory of states seen (2017): pick a first operation among those that began
//! before any other ended, go on, and take back. With 64 operations at most, a state is a word and a value.
//! Owned by `visibility.rs`. Invariant: the answer depends on intervals alone, not on the order in which operations are listed.

use std::collections::HashSet;

use super::history::{Held, History, Op};

/// Operations that a history may have.
pub(super) const MOST: usize = 64;

/// Whether the history has an order.
///
/// # Panics
/// If it has more than [`MOST`] operations.
pub(super) fn is_linearizable(history: &History) -> bool {
    assert!(history.ops.len() <= MOST, "a history of {} operations", history.ops.len());
    let mut ops = history.ops.clone();
    ops.sort_unstable_by_key(|op| op.start);
    let all = if ops.len() == MOST { u64::MAX } else { (1 << ops.len()) - 1 };
    goes_on(&ops, all, history.initial, &mut HashSet::new())
}

/// Whether the operations of `left` have an order that begins with `held`.
fn goes_on(ops: &[Op], left: u64, held: Held, failed: &mut HashSet<(u64, Held)>) -> bool {
    if left == 0 {
        return true;
    }
    if failed.contains(&(left, held)) {
        return false;
    }
    // The first that ends bounds what may come first.
    let first_end = bits(left).map(|nth| ops[nth].end).min().unwrap_or(u64::MAX);
    for nth in bits(left) {
        let op = &ops[nth];
        if op.start > first_end {
            break;
        }
        let own_before = |other: usize| ops[other].process == op.process && ops[other].called < op.called;
        if op.saw == held
            && !bits(left).any(own_before)
            && goes_on(ops, left & !(1 << nth), op.wrote.unwrap_or(held), failed)
        {
            return true;
        }
    }
    failed.insert((left, held));
    false
}

fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// The history with all operations left out that are not needed to show that it has no order. What is left out is a beginning,
/// whose outcome is then what the key held before, or what nobody saw.
pub(super) fn shortest(history: &History) -> History {
    let mut short = history.clone();
    loop {
        let without = (0..short.ops.len()).find_map(|nth| {
            let mut fewer = short.clone();
            let gone = fewer.ops.remove(nth);
            let first = gone.saw == fewer.initial && fewer.ops.iter().all(|op| op.start > gone.end);
            if first {
                fewer.initial = gone.wrote.unwrap_or(fewer.initial);
            }
            let seen = gone.wrote.is_some_and(|wrote| fewer.ops.iter().any(|op| op.saw == wrote));
            ((first || !seen) && !is_linearizable(&fewer)).then_some(fewer)
        });
        match without {
            Some(fewer) => short = fewer,
            None => return short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Side;
    use super::*;

    fn op(process: u8, saw: Held, wrote: Option<Held>, start: u64, end: u64) -> Op {
        Op { process, wrote, saw, called: start, start, end, side: Side::Old }
    }

    fn history(initial: Held, ops: &[Op]) -> History {
        History { initial, ops: ops.to_vec() }
    }

    #[test]
    fn good_histories_pass() {
        let write = |saw, value, start, end| op(0, saw, Some(value), start, end);
        let read = |saw, start, end| op(1, saw, None, start, end);
        for good in [
            history(None, &[]),
            history(Some(1), &[read(Some(1), 1, 2)]),
            // A read that overlaps a write sees either.
            history(Some(1), &[write(Some(1), Some(2), 1, 9), read(Some(1), 2, 3)]),
            history(Some(1), &[write(Some(1), Some(2), 1, 9), read(Some(2), 2, 3), read(Some(2), 4, 5)]),
            // Two writes that overlap, in the order that their sights tell.
            history(
                None,
                &[write(Some(3), Some(2), 1, 9), write(None, Some(3), 1, 9), read(Some(2), 10, 11)],
            ),
            // Gone and there again.
            history(
                Some(1),
                &[
                    write(Some(1), None, 1, 2),
                    read(None, 3, 4),
                    write(None, Some(2), 5, 6),
                    read(Some(2), 7, 8),
                ],
            ),
            // Equal moments are no order.
            history(Some(1), &[write(Some(1), Some(2), 1, 5), read(Some(1), 5, 6)]),
            // A kept view may show what was, as long as the guard's life reaches back.
            history(Some(1), &[write(Some(1), Some(2), 1, 2), Op { called: 5, ..read(Some(1), 0, 6) }]),
        ] {
            assert!(is_linearizable(&good), "{good:?}");
        }
    }

    #[test]
    fn bad_histories_do_not() {
        let write = |saw, value, start, end| op(0, saw, Some(value), start, end);
        let read = |saw, start, end| op(1, saw, None, start, end);
        for bad in [
            // Nobody wrote that.
            history(Some(1), &[read(Some(7), 1, 2)]),
            // A stale read.
            history(Some(1), &[write(Some(1), Some(2), 1, 2), read(Some(1), 3, 4)]),
            // A kept view does not show what was before the process's own write.
            history(
                Some(1),
                &[write(Some(1), Some(2), 1, 4), Op { called: 5, process: 0, ..read(Some(1), 0, 6) }],
            ),
            // New, then old.
            history(Some(1), &[write(Some(1), Some(2), 1, 9), read(Some(2), 2, 3), read(Some(1), 4, 5)]),
            // A delete that comes back.
            history(Some(1), &[write(Some(1), None, 1, 2), read(None, 3, 4), read(Some(1), 5, 6)]),
            // A write that nobody overwrote is gone.
            history(None, &[write(None, Some(2), 1, 2), write(None, Some(3), 3, 4)]),
            // Two writes that both saw the same.
            history(None, &[write(None, Some(2), 1, 9), write(None, Some(3), 1, 9)]),
        ] {
            assert!(!is_linearizable(&bad), "{bad:?}");
            let short = shortest(&bad);
            assert!(!is_linearizable(&short) && !short.ops.is_empty());
        }
    }

    /// Every order of few operations, tried one after the other.
    fn by_trying_all(history: &History) -> bool {
        fn tries(left: &mut Vec<Op>, held: Held) -> bool {
            left.is_empty()
                || (0..left.len()).any(|nth| {
                    let op = left.remove(nth);
                    let fits = op.saw == held && left.iter().all(|other| other.end >= op.start);
                    let found = fits && tries(left, op.wrote.unwrap_or(held));
                    left.insert(nth, op);
                    found
                })
        }
        tries(&mut history.ops.clone(), history.initial)
    }

    #[test]
    fn the_search_agrees_with_trying_all() {
        let mut random = fastrand::Rng::with_seed(5);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..40_000 {
            let ops = random.usize(1..6);
            let history = History {
                initial: random.bool().then_some(0),
                ops: (0..ops)
                    .map(|nth| {
                        let start = random.u64(0..8);
                        let saw = random.u32(0..3).checked_sub(1);
                        let wrote = random.bool().then(|| random.u32(0..3).checked_sub(1));
                        op(nth as u8, saw, wrote, start, start + random.u64(0..5))
                    })
                    .collect(),
            };
            let answer = is_linearizable(&history);
            assert_eq!(answer, by_trying_all(&history), "{history:?}");
            *if answer { &mut good } else { &mut bad } += 1;
        }
        assert!(good > 3000 && bad > 3000, "{good} good, {bad} bad");
    }

    #[test]
    fn a_shortest_history_keeps_its_point() {
        let write = |saw, value, start, end| op(0, saw, Some(value), start, end);
        let read = |saw, start, end| op(1, saw, None, start, end);
        let ops = [
            read(Some(1), 1, 2),
            write(Some(1), Some(2), 3, 4),
            read(Some(2), 5, 6),
            read(Some(1), 7, 8),
            read(Some(2), 9, 10),
        ];
        let short = shortest(&history(Some(1), &ops));
        // What came before the stale read is what the key held; who wrote that is of no account.
        assert!(short.ops.len() == 1 && short.initial == Some(2), "{short:?}");
    }
}
