//! Lifting: the common step of growth, in which entries leave a run of buckets for others that lie above all of them.
//!
//! Owned by `migrate`. Since nothing goes to the buckets that are left, entries need not be taken out one by one: they are
//! copied, and then each bucket is told what stayed. A run is short, so that what is remembered of it lies on the stack and
//! nothing can fail. Invariant: every entry that leaves is copied once before its slot is free, and no user code runs in
//! between.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, HEAD, LANES, Layout, SLOTS};
use super::passes::Passes;
use super::table::{Bare, Spot};
use crate::checked;
use crate::hash::{first_hash, home, tag_byte, tophash};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr;

/// Buckets of the longest run that is lifted: the homes of a step and a trail that is not tedious.
const RUN: usize = 72;

/// An entry that is to leave: its hash, and where it lies.
struct Leaving<T> {
    hash: u64,
    from: *const T,
}

/// What leaves a run of buckets, and what stays there.
struct Run<T> {
    buckets: Range<usize>,
    leaving: [MaybeUninit<Leaving<T>>; RUN * SLOTS],
    len: usize,
    /// The highest hash of what leaves.
    top: u64,
    /// Occupied slots of each bucket whose entries stay.
    stay: [u16; RUN],
}

impl<T> Run<T> {
    /// Of these buckets, of which nothing is known yet. Made where it is to lie, or kilobytes would be copied.
    #[inline(always)]
    fn of(buckets: Range<usize>) -> Self {
        let leaving = [const { MaybeUninit::uninit() }; RUN * SLOTS];
        Self { buckets, leaving, len: 0, top: 0, stay: [0; RUN] }
    }

    /// The entries that leave, in ascending order of buckets.
    fn leaving(&self) -> &[Leaving<T>] {
        // SAFETY: the first `len` were written.
        unsafe { &*(&raw const self.leaving[..self.len] as *const [Leaving<T>]) }
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Whether all entries of old homes from `low` on, of which the last lies in bucket `last`, go above it when the
    /// table grows, and are few enough to be lifted.
    fn lifts(&self, low: usize, last: usize) -> bool {
        !self.care.shrinking && last - low < RUN && home(first_hash(low, self.lower), self.care.target) > last
    }

    /// Moves the entries whose old home is `low` or higher, all of which lie in buckets up to `last`, to their homes under
    /// the size that the table grows to. False: they have to be moved in another way; nothing has changed. Should `hash`
    /// panic, nothing has changed either.
    #[inline]
    pub(crate) fn lift(&mut self, low: usize, last: usize, hash: &impl Fn(&T) -> u64) -> bool {
        if !self.lifts(low, last) {
            return false;
        }
        let mut run = Run::of(low..last + 1);
        self.part_run(&mut run, hash);
        if run.len > 0 && self.lacks(home(run.top, self.care.target), run.len) > 0 {
            return false;
        }
        // SAFETY: just found, and there are free slots.
        unsafe {
            self.raise(&run);
            self.leave(&run);
        }
        run.leaving().iter().for_each(|leaving| checked::is_moved(leaving.from));
        true
    }

    /// Finds out what of a run leaves and what stays.
    #[inline]
    fn part_run(&self, run: &mut Run<T>, hash: &impl Fn(&T) -> u64) {
        let watermark = first_hash(run.buckets.start, self.lower);
        for (row, bucket) in run.buckets.clone().enumerate() {
            let mut stay = 0;
            // SAFETY: an open bucket, and the occupied slots of it.
            let mut left = unsafe { Head::load(L::Geometry::head(&self.zones, bucket)) }.occupied();
            while left != 0 {
                let slot = left.trailing_zeros() as usize;
                let bit = left & left.wrapping_neg();
                left ^= bit;
                // SAFETY: as above.
                let from = unsafe { L::Geometry::slot(&self.zones, bucket, slot) };
                // SAFETY: as above.
                let hash = hash(unsafe { &*from });
                if hash >= watermark {
                    // SAFETY: a run has that many slots.
                    unsafe { run.leaving.get_unchecked_mut(run.len) }.write(Leaving { hash, from });
                    run.len += 1;
                    run.top = run.top.max(hash);
                } else {
                    stay |= bit;
                }
            }
            run.stay[row] = stay;
        }
    }

    /// Copies what leaves to its new homes. O(entries).
    ///
    /// # Safety
    /// What leaves are live entries, each once; their homes under the new size lie above the run, and there are free slots
    /// for all of them at or behind the highest.
    unsafe fn raise(&mut self, run: &Run<T>) {
        let target = self.care.target;
        let (mut lowest, mut highest) = (usize::MAX, 0);
        // From the far end, so that what comes later in hash order also lies later on a trail.
        for &Leaving { hash, from } in run.leaving().iter().rev() {
            let home = home(hash, target);
            let mut bucket = home;
            checked::moves(from);
            // SAFETY: a free slot comes before the end; source and destination are slots of different buckets.
            unsafe {
                let mut free = Head::load(L::Geometry::head(&self.zones, bucket)).empty();
                if free == 0 {
                    (bucket, free) = self.raise_past(home, tag_byte(hash));
                }
                let slot = free.trailing_zeros() as usize;
                L::Geometry::slot(&self.zones, bucket, slot).copy_from_nonoverlapping(from, 1);
                *L::Geometry::head(&self.zones, bucket).add(slot) = tophash(hash);
                self.moved_to(Spot { bucket, slot });
            }
            lowest = lowest.min(bucket);
            highest = highest.max(bucket);
        }
        // A hasher that lies may have spread them over the table: then one by one.
        if highest.saturating_sub(lowest) < 4 * RUN {
            for bucket in lowest..=highest {
                // SAFETY: open buckets, between those that were just written to.
                unsafe { self.mask_like_head(bucket) };
            }
        } else {
            for bucket in 0..self.buckets {
                // SAFETY: open buckets.
                unsafe { self.mask_like_head(bucket) };
            }
        }
    }

    /// The first bucket after the full one `home` that has a free slot, and its free slots; notes that the entry has passed.
    ///
    /// # Safety
    /// A free slot comes before the end.
    #[cold]
    #[inline(never)]
    unsafe fn raise_past(&mut self, home: usize, tag: u8) -> (usize, u16) {
        let mut bucket = home + 1;
        // SAFETY: the caller's promise.
        unsafe {
            loop {
                let free = Head::load(L::Geometry::head(&self.zones, bucket)).empty();
                if free != 0 {
                    self.note_passes(home, bucket, tag);
                    return (bucket, free);
                }
                bucket += 1;
            }
        }
    }

    /// Lets the mask say of `bucket` what its head says.
    ///
    /// # Safety
    /// `bucket` is open.
    #[inline(always)]
    unsafe fn mask_like_head(&mut self, bucket: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let lane = Head::load(L::Geometry::head(&self.zones, bucket)).occupied();
            let had = self.zones.lane(bucket).replace(lane);
            if had == 0 && lane != 0 {
                self.mark(bucket / LANES);
            }
        }
    }

    /// Frees the slots of what has left, and notes anew what passed the run's buckets: what stays in one passed all of
    /// those before it.
    ///
    /// # Safety
    /// What leaves has been copied, and belongs to others now.
    unsafe fn leave(&mut self, run: &Run<T>) {
        let mut passed = Passes::NONE;
        for (row, bucket) in run.buckets.clone().enumerate().rev() {
            let mut stay = run.stay[row];
            // SAFETY: an open bucket, and slots of it that are free by now.
            unsafe {
                let head = L::Geometry::head(&self.zones, bucket);
                let mut gone = Head::load(head).occupied() & !stay;
                if stay == 0 {
                    ptr::write_bytes(head, 0, HEAD);
                }
                self.set_passes(bucket, passed);
                let kept = stay;
                while gone != 0 && (stay != 0 || L::SCRUB) {
                    let slot = gone.trailing_zeros() as usize;
                    *head.add(slot) = 0;
                    if L::SCRUB {
                        ptr::write_bytes(L::Geometry::slot(&self.zones, bucket, slot), 0, 1);
                    }
                    gone &= gone - 1;
                }
                while stay != 0 {
                    passed = passed.with(*head.add(stay.trailing_zeros() as usize));
                    stay &= stay - 1;
                }
                self.zones.lane(bucket).write(kept);
                let is_first_of_word = bucket % LANES == 0 || bucket == run.buckets.start;
                if is_first_of_word && self.word(bucket / LANES) == 0 {
                    self.unmark(bucket / LANES);
                }
            }
        }
    }
}

#[cfg(all(test, feature = "checked"))]
mod tests {
    use super::super::RawTable;
    use super::super::layout::Split;
    use super::*;
    use crate::hash::finalise;
    use crate::pages::Pages;
    use bucketmask_alloc::memstate::{MemState, state_of};

    /// A slot is on its way from before its entry is copied until its bucket has forgotten it, and not afterwards.
    #[test]
    fn what_is_lifted_is_on_its_way_meanwhile() {
        let hash = |key: &u64| finalise(*key);
        let is_on_its_way = |slot: *const u64| state_of(slot.addr()).has_any(MemState::MIGRATING);
        let mut table = RawTable::<u64, Pages, Split>::new_in(Pages);
        let mut next = 0..200_000;
        while !(table.is_migrating() && table.care.held_until == 0 && table.len > 50_000) {
            let key = next.next().expect("it grows in place by then");
            table.ready(hash).expect("memory");
            table.place(hash(&key), key).expect("memory");
        }
        let lifted = |table: &RawTable<u64, Pages, Split>| {
            let low = table.care.frontier - 1;
            let last = table.trail_end(low);
            assert!(table.lifts(low, last));
            let mut run = Run::of(low..last + 1);
            table.part_run(&mut run, &hash);
            assert!(run.len > 0);
            run
        };
        let none = |run: &Run<u64>| run.leaving().iter().all(|leaving| !is_on_its_way(leaving.from));
        let run = lifted(&table);
        assert!(none(&run));
        let low = run.buckets.start;
        assert!(table.lift(low, run.buckets.end - 1, &hash));
        table.move_watermark(&(low..low + 1));
        assert!(none(&run), "they have arrived");
        table.check(hash);
        let run = lifted(&table);
        // SAFETY: as in `lift`.
        unsafe { table.raise(&run) };
        assert!(run.leaving().iter().all(|leaving| is_on_its_way(leaving.from)));
        // SAFETY: as in `lift`.
        unsafe { table.leave(&run) };
        run.leaving().iter().for_each(|leaving| checked::is_moved(leaving.from));
    }
}
