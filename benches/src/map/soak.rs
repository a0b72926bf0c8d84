//! Churn for a long time: whether a map that stays the same size gets slower. Owns the maps. Invariant: the tenths of a soak
//! are the same work, and sides take turns tenth by tenth.

use super::SUITE;
use super::keys::Words;
use super::plan::{Plan, case};
use super::side::{Local, Side};
use super::size::label;
use super::speed::TIME;
use super::table::Ours;
use crate::engine::Hasher;
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::{Figure, Metric, Record};
use crate::rounds;
use crate::sample::Samples;

/// Time of an operation in the last tenth over that in the first.
pub(super) const DRIFT: Metric = Metric::lower("drift", "1");
/// First part of the case.
pub(super) const CASE: &str = "soak";
/// Entries of the maps.
const ENTRIES: [u64; 2] = [1_000_000, 30_000];
const TENTHS: u32 = 10;

/// Measures ours and the yardstick.
pub(super) fn measure(plan: &Plan, record: &mut Record, progress: &Progress) -> Result<(), Error> {
    let entries = ENTRIES[usize::from(plan.quick)];
    let case = case::<Words>(CASE, &label(entries));
    if !plan.wants(&case) {
        return Ok(());
    }
    progress.stage(format!("{case}, {} operations", label(plan.soak)));
    let mut ours = Local::<Words, Ours<u64, u64>>::new();
    let mut peer = Local::<Words, hashbrown::HashMap<u64, u64, Hasher>>::new();
    let (mut ours_times, mut peer_times) = (Samples::new(), Samples::new());
    let times = plan.soak / u64::from(TENTHS);
    ours.fill(entries)?;
    peer.fill(entries)?;
    for tenth in 0..TENTHS {
        for idx in rounds::order(tenth, 2) {
            interrupt::check()?;
            if idx == 0 {
                ours_times.push(ours.churn(entries, times)?);
            } else {
                peer_times.push(peer.churn(entries, times)?);
            }
        }
    }
    for (name, times) in [(ours.name(), &ours_times), (peer.name(), &peer_times)] {
        record.measure(SUITE, &case, &name, TIME, plan.soak, times);
        record.add(Figure::new(SUITE, &case, &name, DRIFT, plan.soak, drift(times)).over(times));
    }
    progress.advance(1);
    Ok(())
}

/// The last tenth over the first.
fn drift(tenths: &Samples) -> f64 {
    match tenths.values() {
        [first, .., last] => last / first,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_compares_the_ends() {
        assert!((drift(&[2.0, 9.0, 3.0].into_iter().collect()) - 1.5).abs() < 1e-9);
    }
}
