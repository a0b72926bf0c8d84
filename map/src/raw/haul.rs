//! Hauling: the step of a migration in which entries lie far from home, as they do where hashes are equal or crowded.
//!
//! Owned by `migrate`. Taken one by one, each such entry would be placed by a walk along its whole trail and be noted there
//! bucket by bucket, which is quadratic in the trail. So all of them are taken out first, what has passed is written anew once
//! a bucket, and they are placed in hash order by one walk. Invariant: buffer, passes and room are there before the first
//! entry is taken out, and no user code runs from then on.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, Layout};
use super::migrate::Move;
use super::passes::{CLASSES, Passes, class};
use super::table::{Bare, LONG_TRAIL, Spot};
use crate::hash::{home, tag_byte, tophash};
use core::mem::MaybeUninit;

/// Buckets between entries and their homes, summed up over a step, from which on the step is a haul.
pub(crate) const HAUL: usize = 4096;

/// How many of each class of tophashes.
type Counts = [u32; CLASSES];

impl<T, L: Layout> Bare<T, L> {
    /// Whether these entries, of homes of a table of `from` homes, lie so far from there that they are better hauled.
    pub(crate) fn is_haul(moves: &[Move], from: usize) -> bool {
        let mut strayed = 0;
        moves.iter().any(|&Move { hash, spot }| {
            strayed += spot.bucket.saturating_sub(home(hash, from));
            strayed > HAUL
        })
    }

    /// Moves these entries, of old homes from `first` on, to their homes under the sizes that the watermark names by now.
    /// O(entries and buckets gone over), but for putting the entries into the order of their hashes.
    ///
    /// # Safety
    /// The spots are occupied, each is there once, and nothing else passes the buckets from `first` on but `stays`; there are free
    /// slots for all of them at or behind the highest of their homes, and `buffer`, which is empty, has room for them.
    pub(crate) unsafe fn haul(
        &mut self,
        moves: &mut [Move],
        first: usize,
        stays: &[Passes],
        mut buffer: Vec<MaybeUninit<T>>,
    ) {
        moves.sort_unstable_by_key(|entry| entry.hash);
        for &Move { spot, .. } in &*moves {
            // SAFETY: the caller's promise.
            buffer.push(MaybeUninit::new(unsafe { self.vacate(spot) }));
        }
        visited(stays.len());
        // SAFETY: the caller's promise; what is to be moved lies nowhere.
        unsafe { self.keep_passes(first, stays) };
        let mut bucket = 0;
        for (entry, Move { hash, spot }) in buffer.into_iter().zip(&mut *moves) {
            bucket = bucket.max(self.home(*hash));
            // SAFETY: the caller's promise: a free slot comes before the end. The buffer's entry is read once.
            unsafe {
                let slot = loop {
                    visited(1);
                    let free = Head::load(L::Geometry::head(&self.zones, bucket)).empty();
                    if free != 0 {
                        break free.trailing_zeros() as usize;
                    }
                    bucket += 1;
                };
                *spot = Spot { bucket, slot };
                self.settle(*spot, tophash(*hash), entry.assume_init());
                self.moved_to(*spot);
            }
        }
        // SAFETY: just placed, in the order of their homes.
        unsafe { self.note_hauled(moves) };
    }

    /// Notes entries in the buckets between their homes and where they were placed.
    ///
    /// # Safety
    /// The spots hold these entries, and neither homes nor buckets fall from one to the next.
    unsafe fn note_hauled(&mut self, moves: &[Move]) {
        let mut passing: Counts = [0; CLASSES];
        // How many have begun to pass buckets, and how many of these have ended.
        let (mut begun, mut ended, mut bucket) = (0, 0, 0);
        let mut longest = (0, 0);
        while ended < moves.len() {
            visited(1);
            if begun == ended {
                bucket = self.home(moves[begun].hash);
            }
            while let Some(entry) = moves.get(begun).filter(|entry| self.home(entry.hash) <= bucket) {
                longest = longest.max((entry.spot.bucket - self.home(entry.hash), self.home(entry.hash)));
                passing[class(tag_byte(entry.hash))] += 1;
                begun += 1;
            }
            while ended < begun && moves[ended].spot.bucket == bucket {
                passing[class(tag_byte(moves[ended].hash))] -= 1;
                ended += 1;
            }
            if ended < begun {
                // SAFETY: the caller's promise: an open bucket, and not the last. It is full, so its word is marked.
                unsafe { self.set_passes(bucket, self.passes(bucket).and(&passing)) };
            }
            bucket += 1;
        }
        if longest.0 > LONG_TRAIL {
            self.note_long_trail(longest.1);
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Buckets that migrations have looked at, for tests of what a step may cost.
    pub(crate) static VISITED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// A migration looks at so many buckets more than once a step.
#[inline(always)]
#[cfg_attr(not(test), expect(unused_variables, reason = "counted in tests only"))]
pub(crate) fn visited(buckets: usize) {
    #[cfg(test)]
    VISITED.set(VISITED.get() + buckets);
}

#[cfg(test)]
mod tests {
    use super::super::RawTable;
    use super::super::layout::{Blocks, Inline, SLOTS, Split, Tiny};
    use super::*;
    use crate::hash::finalise;
    use crate::pages::Pages;

    type Table<L> = RawTable<u64, Pages, L>;

    /// Grows and shrinks a table of `spread` entries and as many of each of three hashes, and asserts of each call how
    /// much it looked at.
    fn a_step_is_linear_in_its_trail<L: Layout>(spread: u64, equal: u64) {
        let hash = |key: &u64| match key % 4 {
            // Two that start in one bucket or nearly, and one that lies alone.
            1 => 1 << 62,
            2 => (1 << 62) + (1 << 40),
            3 => u64::MAX / 7,
            _ => finalise(*key),
        };
        let keys: Vec<u64> =
            (0..spread * 4).step_by(4).chain((0..equal * 4).filter(|key| key % 4 != 0)).collect();
        let mut table = Table::<L>::new_in(Pages);
        let mut worst = 0;
        let mut bounded = |table: &mut Table<L>, work: &mut dyn FnMut(&mut Table<L>)| {
            VISITED.set(0);
            work(table);
            // A batch of entries, each of which probes the trails that it meets, or a haul, which goes over them a few times.
            let most = 64 * (3 * equal as usize / SLOTS) + 3 * HAUL;
            worst = worst.max(VISITED.get());
            assert!(VISITED.get() <= most, "a call looked at {} buckets, {most} are allowed", VISITED.get());
        };
        for &key in &keys {
            bounded(&mut table, &mut |table| table.ready(hash).expect("memory"));
            table.place(hash(&key), key).expect("memory");
        }
        bounded(&mut table, &mut |table| {
            while table.is_migrating() && VISITED.get() < 100 {
                table.step(&hash).expect("memory");
            }
        });
        table.check(hash);
        let rest = spread as usize / 16;
        let (gone, kept) = keys.split_at(spread as usize - rest);
        for key in gone {
            assert_eq!(table.remove(hash(key), |held| held == key, hash), Some(*key));
            bounded(&mut table, &mut |table| table.ebb(hash));
        }
        while table.is_migrating() || table.care.closing {
            bounded(&mut table, &mut |table| _ = table.migrate_step(hash));
        }
        table.check(hash);
        assert!(kept.iter().all(|key| table.find(hash(key), |held| held == key).is_some()));
        assert!(worst > 2 * equal as usize / SLOTS, "{worst}: no trail was moved");
    }

    #[test]
    fn steps_along_equal_hashes_are_linear() {
        a_step_is_linear_in_its_trail::<Split>(30_000, 9_000);
        a_step_is_linear_in_its_trail::<Tiny<Split>>(3_000, 1_500);
        a_step_is_linear_in_its_trail::<Tiny<Inline>>(3_000, 1_500);
        a_step_is_linear_in_its_trail::<Tiny<Blocks<Split>>>(3_000, 1_500);
    }
}
