//! Going over a table by hash, not by place: what cursors and hash ranges stand on.
//!
//! Owned by `cursor` and `range`. A table is in hash order bucket by bucket, so the entries of a span of hashes lie in the
//! homes of its two ends, the buckets between, and the trail behind; a migration does not change that, since homes under
//! either size ascend with the hash and those below the watermark all come before those above it. Within a bucket
//! there is no order, and only the hasher tells an entry's hash.
//! Invariant: what is asked for next depends on hashes alone, never on where an entry lay before.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, LANES, Layout};
use super::table::{Bare, LONG_TRAIL, Spot};
use super::walk::Walk;
use crate::hash::{first_hash, home};
use core::marker::PhantomData;
use core::ops::{Range, RangeInclusive};

/// Home buckets that a scan sorts at a time.
const MOST_HOMES: usize = 64;

/// Some neighbouring home buckets: the hashes at home there, and where their entries may lie.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    hashes: RangeInclusive<u64>,
    buckets: RangeInclusive<usize>,
}

impl Span {
    /// The first hash behind the span; none if it is the last.
    pub(crate) fn next(&self) -> Option<u64> {
        self.hashes.end().checked_add(1)
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// The smallest hash whose home is `bucket` or a later one.
    fn first_hash_from(&self, bucket: usize) -> Option<u64> {
        if self.watermark > 0 && bucket <= home(self.watermark - 1, self.lower) {
            Some(first_hash(bucket, self.lower))
        } else if bucket < self.upper {
            Some(first_hash(bucket, self.upper).max(self.watermark))
        } else {
            None
        }
    }

    /// The first bucket from `bucket` on that holds an entry or was passed by one.
    fn next_used(&self, bucket: usize) -> Option<usize> {
        let mut marked = self.marked(bucket / LANES..self.words());
        // SAFETY: marked words are open; their buckets are up to the last open one.
        unsafe {
            while let Some(word) = marked.next(&self.zones) {
                for candidate in bucket.max(word * LANES)..self.buckets.min(word * LANES + LANES) {
                    let head = L::Geometry::head(&self.zones, candidate);
                    if Head::load(head).occupied() != 0 || self.passes(candidate).any() {
                        return Some(candidate);
                    }
                }
            }
        }
        None
    }

    /// The homes of the first entries whose hash is `position` or more: `homes` of them, or as many as a long trail has
    /// buckets, so that what goes on span by span walks no trail more than twice. None: there is no such entry.
    pub(crate) fn span_from(&self, position: u64, homes: usize) -> Option<Span> {
        let home = self.home(position);
        let used = self.next_used(home)?;
        // Homes that are empty and were not passed have no entries.
        let from = if used > home { self.first_hash_from(used)? } else { position };
        let first = self.home(from);
        let up_to = |last: usize| self.first_hash_from(last + 1).map_or(u64::MAX, |next| next - 1);
        let mut to = up_to(first + homes - 1);
        let mut end = self.trail_end(self.home(to));
        if homes > 1 && end - self.home(to) > LONG_TRAIL {
            to = up_to(end);
            end = self.trail_end(self.home(to));
        }
        Some(Span { hashes: from..=to, buckets: first..=end })
    }

    /// The hashes and places of the entries of `span`, in no order. Nothing has moved since it was made.
    pub(crate) fn each_of(&self, span: &Span, hash: impl Fn(&T) -> u64, mut visit: impl FnMut(u64, Spot)) {
        for bucket in span.buckets.clone() {
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                let hash = hash(unsafe { table.at(spot) });
                if span.hashes.contains(&hash) {
                    visit(hash, spot);
                }
            });
        }
    }

    /// The entries with the smallest hash that is `position` or more, and that hash. O(slots of a home and its trail).
    pub(crate) fn next_group(
        &self,
        mut position: u64,
        hash: impl Fn(&T) -> u64,
    ) -> Option<(u64, Group<'_, T>)> {
        loop {
            let span = self.span_from(position, 1)?;
            let mut found: Option<(u64, Spot)> = None;
            let mut more = Vec::new();
            self.each_of(&span, &hash, |hash, spot| match found {
                Some((least, _)) if hash > least => {}
                Some((least, _)) if hash == least => more.push(spot),
                _ => {
                    found = Some((hash, spot));
                    more.clear();
                }
            });
            if let Some((least, first)) = found {
                // SAFETY: the spots were just found to be occupied, and the table is borrowed.
                let entry = |spot| unsafe { self.at(spot) };
                let more = more.into_iter().map(entry).collect::<Vec<_>>().into_iter();
                return Some((least, Group { first: Some(entry(first)), more }));
            }
            position = span.next()?;
        }
    }

    /// Appends the entries of `span`, sorted by hash, to `found`.
    fn sorted<'a>(&'a self, span: &Span, hash: impl Fn(&T) -> u64, found: &mut Vec<(u64, &'a T)>) {
        let had = found.len();
        // SAFETY: the spots are occupied, and the table is borrowed.
        self.each_of(span, hash, |hash, spot| found.push((hash, unsafe { self.at(spot) })));
        found[had..].sort_unstable_by_key(|&(hash, _)| hash);
    }

    /// Up to `budget` entries from `position` on, sorted by hash, those of one hash together; and the position behind them,
    /// none at the end.
    pub(crate) fn scan_from(
        &self,
        mut position: Option<u64>,
        budget: usize,
        hash: impl Fn(&T) -> u64,
    ) -> (Vec<(u64, &T)>, Option<u64>) {
        let mut found = Vec::new();
        let entries_a_home = (self.len / self.upper.max(1)).max(1);
        while let (Some(from), true) = (position, found.len() < budget) {
            let wanted = (budget - found.len()) / entries_a_home;
            let Some(span) = self.span_from(from, wanted.clamp(1, MOST_HOMES)) else {
                position = None;
                break;
            };
            self.sorted(&span, &hash, &mut found);
            position = span.next();
        }
        if let Some(&(hash, _)) = budget.checked_sub(1).and_then(|last| found.get(last)) {
            let end = budget + found[budget..].iter().take_while(|&&(other, _)| other == hash).count();
            if end < found.len() {
                position = Some(found[end].0);
                found.truncate(end);
            }
        }
        (found, position)
    }

    /// The buckets that a migration under way has not reached; none while the table rests.
    pub(crate) fn unreached(&self) -> Range<usize> {
        if !self.is_migrating() {
            0..0
        } else if self.care.shrinking {
            self.care.frontier..self.buckets
        } else {
            0..self.care.frontier
        }
    }

    /// Entries in the buckets that a migration under way has not reached. O(these buckets), by masks.
    pub(crate) fn unmigrated(&self) -> usize {
        self.unreached().map(|bucket| self.population(bucket)).sum()
    }

    /// The entries whose hash lies in `hashes`, bucket by bucket in hash order: with each, whether its hash has still to be
    /// asked, as at both ends it has to.
    pub(crate) fn within(&self, hashes: &RangeInclusive<u64>) -> Within<'_, T, L> {
        if self.buckets == 0 || hashes.is_empty() {
            return Within { walk: Walk::part(self, 0..0), buckets: 0..0, sure: 0..0, marker: PhantomData };
        }
        let (first, last) = (self.home(*hashes.start()), self.home(*hashes.end()));
        let end = self.trail_end(last) + 1;
        Within {
            walk: Walk::part(self, first / LANES..end.div_ceil(LANES)),
            buckets: first..end,
            // Behind the first home's trail nothing from before it lies; before the last home, nothing from behind it.
            sure: self.trail_end(first) + 1..last,
            marker: PhantomData,
        }
    }

    /// Keeps, of the entries whose hash lies in `hashes`, those that `keep` accepts. Marks of what passed may stay.
    pub(crate) fn retain_within(
        &mut self,
        hashes: &RangeInclusive<u64>,
        hash: impl Fn(&T) -> u64,
        mut keep: impl FnMut(&mut T) -> bool,
    ) {
        let Within { mut walk, buckets, sure, .. } = self.within(hashes);
        // SAFETY: the table does not move; entries are taken only after the walk has passed them.
        while let Some((mut entry, spot)) = unsafe { walk.advance() } {
            // SAFETY: a live entry of a table that is borrowed uniquely.
            let entry = unsafe { entry.as_mut() };
            let is_within = buckets.contains(&spot.bucket)
                && (sure.contains(&spot.bucket) || hashes.contains(&hash(entry)));
            if is_within && !keep(entry) {
                let home = self.home(hash(entry));
                // SAFETY: the entry is still there. It is dropped when the table is whole again.
                drop(unsafe { self.take(spot, home) });
            }
        }
        self.set_trigger();
    }

    /// Moves the entries whose hash lies in `hashes` to the end of `taken`. Marks of what passed may stay.
    pub(crate) fn take_within(
        &mut self,
        hashes: &RangeInclusive<u64>,
        hash: impl Fn(&T) -> u64,
        taken: &mut Vec<T>,
    ) {
        let mut spots = Vec::new();
        for (entry, spot, is_sure) in self.within(hashes) {
            let hash = hash(entry);
            if is_sure || hashes.contains(&hash) {
                spots.push((hash, spot));
            }
        }
        taken.reserve(spots.len());
        for (hash, spot) in spots {
            // SAFETY: each spot was found once, and nothing ran since but this loop.
            taken.push(unsafe { self.take(spot, self.home(hash)) });
        }
        self.set_trigger();
    }
}

/// Entries of a span of hashes.
pub(crate) struct Within<'a, T, L: Layout> {
    walk: Walk<T, L>,
    buckets: Range<usize>,
    /// Buckets whose entries are all of the span.
    sure: Range<usize>,
    marker: PhantomData<&'a T>,
}

// SAFETY: a bundle of &T.
unsafe impl<T: Sync, L: Layout> Send for Within<'_, T, L> {}
// SAFETY: as above.
unsafe impl<T: Sync, L: Layout> Sync for Within<'_, T, L> {}

impl<'a, T, L: Layout> Iterator for Within<'a, T, L> {
    /// The entry, where it lies, and whether it is sure to be of the span.
    type Item = (&'a T, Spot, bool);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: the table is borrowed for 'a.
            let (entry, spot) = unsafe { self.walk.advance() }?;
            if self.buckets.contains(&spot.bucket) {
                // SAFETY: as above.
                return Some((unsafe { entry.as_ref() }, spot, self.sure.contains(&spot.bucket)));
            }
        }
    }
}

/// Entries of one hash: one, but for collisions of all 64 bits.
pub(crate) struct Group<'a, T> {
    pub(crate) first: Option<&'a T>,
    pub(crate) more: std::vec::IntoIter<&'a T>,
}
