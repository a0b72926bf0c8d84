//! How large tables are, and how much work one operation does: numbers and arithmetic, nothing else.
//!
//! Owned by `upkeep`. Invariant: sizes only depend on lengths, so what is promised of them can be tested without tables.
//!
//! Small tables are roomy: they double, and are ten of fourteen slots full at most, since their speed is what counts. Then
//! comes growth by half; and from [`FLAT`] homes on by 3/16 at 12 of 14 slots, so that bytes an entry stay within a factor of
//! 1.2. Half of that growth would do with fuller buckets, which long trails forbid. Each entry of a flat table is moved
//! about five times on the way, in order, next to where it lay.

use super::layout::SLOTS;

/// Entries that a home takes before the table grows, of 14 slots: 6/7 full.
pub(crate) const FILL: usize = 12;
/// The same in a roomy table: 5/7 full.
const ROOMY_FILL: usize = 10;
/// Homes from which on a table is no longer roomy: doubling ends here. The steps from here on lead to tables that a million
/// entries fill, and that many times 2^(1/4), 2^(1/2) and so on up to five millions, to within two in a hundred.
const FULL: usize = 4165;
/// Homes from which on a table in a range grows in small steps.
const FLAT: usize = 48 << 10;
const _: () = assert!(ROOMY_FILL < FILL && FILL < SLOTS && FULL < FLAT);

/// Entries that an insert or a removal moves while the table grows or shrinks, but for one home's more: the part that waits
/// is full in the meantime, and a migration should end before its trails have grown long.
pub(crate) const BATCH: usize = 16;
/// Inserts that a growth of a table of `len` entries waits for once another thread was asked to put memory behind the new part: some
/// hundred microseconds, which it takes to wake and to get the first huge page, but little of the time that growth has.
pub(crate) fn held(len: usize) -> usize {
    (len / 64).min(4096)
}

/// Buckets that one step looks through for entries to move, at most, where trails are short.
pub(crate) const STEP_BUCKETS: usize = 256;
/// Homes whose passes one step of a repair makes exact.
pub(crate) const REPAIR_BUCKETS: usize = 8;
/// Entries looked at to decide whether a long trail calls for growth.
pub(crate) const CROWD: usize = 1024;
/// Bytes of slots that are given back to the system at a time.
pub(crate) const CLOSE_BYTES: usize = 256 << 10;
/// A table grows early, for a long trail, only while this times its load would still be its limit.
pub(crate) const EARLY_FLOOR: usize = 32;

/// Entries that `homes` home buckets take before the table grows. Of a single bucket every slot: nothing can pass it.
pub(crate) const fn limit(homes: usize) -> usize {
    match homes {
        1 => SLOTS,
        2..FULL => homes * ROOMY_FILL,
        _ => homes.saturating_mul(FILL),
    }
}

/// Home buckets for `len` entries.
pub(crate) fn homes_for(len: usize) -> usize {
    if len <= SLOTS {
        1
    } else if len <= limit(FULL - 1) {
        len.div_ceil(ROOMY_FILL)
    } else {
        len.div_ceil(FILL).max(FULL)
    }
}

/// Buckets behind the last home, for the entries that overflow it.
pub(crate) fn spill(homes: usize) -> usize {
    if homes == 1 { 0 } else { 1 + (homes / 16).min(3) }
}

/// The next size of a table in a block, which is copied: twice while it is roomy, half as much again later.
pub(crate) fn next_in_block(homes: usize) -> usize {
    if homes < FULL { (2 * homes).min(FULL) } else { homes.saturating_add(homes / 2) }
}

/// The next size of a table in a range.
pub(crate) fn next_in_range(homes: usize) -> usize {
    if homes < FLAT { next_in_block(homes) } else { homes.saturating_add(homes / 16 * 3) }
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
                assert!(limit(homes) >= len && (homes == 1 || limit(homes - 1) < len));
                assert!(next_in_range(homes) > homes && next_in_block(homes) > homes);
                assert!(
                    homes < FLAT || next_in_range(homes) <= homes + homes / 5,
                    "a step of growth is small"
                );
                let shrunk = homes_shrunk(len);
                assert!(limit(shrunk) >= len && (len < 100 || low_water(shrunk) < len * 2 / 3));
            }
        }
        assert_eq!(limit(usize::MAX), usize::MAX);
        assert_eq!(next_in_range(usize::MAX), usize::MAX);
        assert_eq!((limit(0), limit(1), homes_for(0), homes_for(14), homes_for(15)), (0, 14, 1, 1, 2));
    }

    #[test]
    fn steps_end_at_quarters_of_the_octaves_from_a_million() {
        let mut homes = 1;
        let limits: Vec<usize> = core::iter::from_fn(|| {
            homes = next_in_range(homes);
            Some(limit(homes)).filter(|&limit| limit < 8_500_000)
        })
        .collect();
        for quarter in 0..10 {
            let size = 1e6 * (f64::from(quarter) / 4.0).exp2();
            let fits = |&&limit: &&usize| (0.98..=1.0).contains(&(size / limit as f64));
            assert!(limits.iter().any(|limit| fits(&limit)), "no step ends near {size}: {limits:?}");
        }
    }

    #[test]
    fn a_migration_ends_before_the_next_begins() {
        // Each insert moves a batch of entries.
        for homes in (5..41).map(|shift| 1usize << shift) {
            let (begin, end) = (limit(homes), limit(next_in_range(homes)));
            let inserts = end - begin;
            let inserts = inserts - held(begin);
            assert!(inserts * BATCH >= end + homes, "{homes}: {inserts} for {end}");
            // And before its full part has overflowed everywhere: 8 % more.
            assert!(begin / BATCH + held(begin) <= begin / 12, "{homes}: {begin} to move");
        }
    }
}
