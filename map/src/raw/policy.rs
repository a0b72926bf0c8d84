//! How large tables are, and how much work one operation does: numbers and arithmetic, nothing else.
//!
//! Owned by `upkeep`. Invariant: sizes only depend on lengths, so what is promised of them can be tested without tables.
//!
//! A table in a range grows by 3/16 at 12 of 14 slots, so its bytes an entry stay within a factor of 1.2. Half of its
//! growth would do for that with fuller buckets, which long trails forbid. Each entry is moved about five times on the way,
//! in order, next to where it lay.

use super::layout::SLOTS;

/// Entries that a home takes before the table grows, of 14 slots: 6/7 full.
pub(crate) const FILL: usize = 12;
const _: () = assert!(FILL < SLOTS);

/// Inserts and removals from one step of a migration to the next.
pub(crate) const TICKS: usize = 4;
/// Buckets that one step looks through for entries to move, at most, where trails are short.
pub(crate) const STEP_BUCKETS: usize = 256;
/// Homes whose counts one step of a repair makes exact.
pub(crate) const REPAIR_BUCKETS: usize = 8;
/// Entries looked at to decide whether a long trail calls for growth.
pub(crate) const CROWD: usize = 1024;
/// Bytes of slots that are given back to the system at a time.
pub(crate) const CLOSE_BYTES: usize = 256 << 10;
/// A table grows early, for a long trail, only while this times its load would still be its limit.
pub(crate) const EARLY_FLOOR: usize = 32;

/// Entries that `homes` home buckets take before the table grows.
pub(crate) fn limit(homes: usize) -> usize {
    homes.saturating_mul(FILL)
}

/// Home buckets for `len` entries.
pub(crate) fn homes_for(len: usize) -> usize {
    len.div_ceil(FILL).max(1)
}

/// Buckets behind the last home, for the entries that overflow it.
pub(crate) fn spill(homes: usize) -> usize {
    if homes == 1 { 0 } else { 1 + (homes / 16).min(3) }
}

/// The next size of a table that is copied to grow: twice while tiny, half as much again later.
pub(crate) fn next_copied(homes: usize) -> usize {
    if homes < 8 { homes.saturating_mul(2) } else { homes.saturating_add(homes / 2) }
}

/// The next size of a table that grows in place.
pub(crate) fn next_in_place(homes: usize) -> usize {
    homes.saturating_add((homes / 16).saturating_mul(3).max(1))
}

/// The length below which a table of `homes` begins to shrink.
pub(crate) fn low_water(homes: usize) -> usize {
    limit(homes) / 8 * 3
}

/// Home buckets of a table that shrinks at `len` entries: three quarters full, so that it neither grows nor shrinks soon.
pub(crate) fn homes_shrunk(len: usize) -> usize {
    homes_for(len.saturating_add(len / 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_hold_what_they_should_up_to_the_largest() {
        for shift in 0..45 {
            for len in [1usize << shift, (1 << shift) + 1, (1 << shift) * 3 / 2] {
                let homes = homes_for(len);
                assert!(limit(homes) >= len && limit(homes - 1) < len);
                assert!(next_in_place(homes) > homes && next_copied(homes) > homes);
                assert!(homes < 64 || next_in_place(homes) <= homes + homes / 5, "a step of growth is small");
                let shrunk = homes_shrunk(len);
                assert!(limit(shrunk) >= len && (len < 100 || low_water(shrunk) < len * 2 / 3));
            }
        }
        assert_eq!(limit(usize::MAX), usize::MAX);
        assert_eq!(next_in_place(usize::MAX), usize::MAX);
    }

    #[test]
    fn a_migration_ends_before_the_next_begins() {
        // Each step moves a batch of entries or looks through its share of buckets, and `TICKS` operations pass between two.
        for homes in (5..41).map(|shift| 1usize << shift) {
            let (begin, end) = (limit(homes), limit(next_in_place(homes)));
            let steps = (end - begin) / TICKS;
            let moved = steps.saturating_mul(8 * FILL);
            assert!(homes < 128 || moved >= end + homes, "{homes}: {moved} of {end}");
        }
    }
}
