//! Cursors: positions in a map's hash order that outlive borrows.
//!
//! Owned by `map.rs` and `set.rs`. Since the table is sorted by hash at every size, "all hashes below this one are done"
//! stays true whatever the map goes through between two calls. A step gathers the entries of the next home buckets, hashes
//! them (a bucket keeps one byte of each hash only), and gives them out in the order of their finalised hashes.
//! Invariant: an entry that is in the map from the first call to the last is given out exactly once.

use crate::Allocator;
use crate::hash::hash_of;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::raw::position;
use crate::set::HashSet;
use crate::str_map::{StrKey, StrMap, hash_of_key};
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use std::vec;

/// A position in the hash order of a map: a plain value that borrows nothing.
///
/// It stands before the entries whose finalised hash is [`position`](Self::position) or more, and is good for every
/// map with the same hasher state, at every size. Inserts, removals, growth and shrinking between two calls do no harm: an
/// entry that stays is visited exactly once; one that comes or goes meanwhile, at most once.
///
/// ```
/// use bucketmask_map::HashMap;
///
/// let mut map: HashMap<u32, u32> = (0..1000).map(|key| (key, 0)).collect();
/// let mut cursor = map.cursor();
/// let mut seen = 0;
/// while let Some(group) = cursor.next(&map) {
///     seen += group.count();
///     map.insert(1_000_000 + seen as u32 % 10, 1); // the cursor holds no borrow
/// }
/// assert!((1000..=1010).contains(&seen));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    position: u64,
    /// Greater than all positions, so that cursors compare as they come.
    at_end: bool,
}

impl Cursor {
    /// Before the first entry of any map.
    pub const START: Self = Self { position: 0, at_end: false };
    /// Behind the last entry of any map.
    pub const END: Self = Self { position: u64::MAX, at_end: true };

    /// The smallest finalised hash that is still to come; None at the end. With [`at`](Self::at), a cursor can be written
    /// down and read again, as long as the hasher's state is the same.
    pub const fn position(self) -> Option<u64> {
        if self.at_end { None } else { Some(self.position) }
    }

    /// The cursor before all hashes from `position` on; at the end for None.
    #[must_use]
    pub const fn at(position: Option<u64>) -> Self {
        match position {
            Some(position) => Self { position, at_end: false },
            None => Self::END,
        }
    }

    /// Whether everything has been visited.
    pub const fn is_at_end(self) -> bool {
        self.at_end
    }

    /// The next entries of `map`, moving past them: one entry, or all those whose 64 bits of hash are equal. None at the
    /// end.
    ///
    /// Expected O(slots of a bucket), all of which are hashed; linear in the trail where many hashes are equal.
    /// [`HashMap::scan`] hashes each entry about once.
    pub fn next<'a, K: Hash, V, S: BuildHasher, A: Allocator, L: Layout>(
        &mut self,
        map: &'a HashMap<K, V, S, A, L>,
    ) -> Option<Group<'a, K, V>> {
        let position = self.position()?;
        let found = map.table.next_group(position, |(key, _)| hash_of(&map.build, key));
        *self = Self::at(found.as_ref().and_then(|(hash, _)| hash.checked_add(1)));
        found.map(|(_, inner)| Group { inner })
    }
}

impl Cursor {
    /// As [`next`](Self::next), in a map of strings. A long key's hash is remembered and not asked for again.
    pub fn next_str<'a, V, S: BuildHasher, A: Allocator, L: Layout>(
        &mut self,
        map: &'a StrMap<V, S, A, L>,
    ) -> Option<StrGroup<'a, V>> {
        let position = self.position()?;
        let found = map.table.next_group(position, |(key, _)| hash_of_key(&map.build, key));
        *self = Self::at(found.as_ref().and_then(|(hash, _)| hash.checked_add(1)));
        found.map(|(_, inner)| StrGroup { inner: Group { inner } })
    }
}

/// Entries with one hash in a map of strings: [`Cursor::next_str`]. Nearly always one.
pub struct StrGroup<'a, V> {
    inner: Group<'a, StrKey, V>,
}

impl<'a, V> Iterator for StrGroup<'a, V> {
    type Item = (&'a str, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|(key, value)| (key.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<V> ExactSizeIterator for StrGroup<'_, V> {}
impl<V> FusedIterator for StrGroup<'_, V> {}

impl<V, S: BuildHasher, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// A cursor before the first entry.
    pub fn cursor(&self) -> Cursor {
        Cursor::START
    }

    /// Up to `budget` entries from `cursor` on, and the cursor behind them: as [`HashMap::scan`].
    ///
    /// ```
    /// use bucketmask_map::{Cursor, StrMap};
    ///
    /// let map: StrMap<usize> = (0..100).map(|number| (number.to_string(), number)).collect();
    /// let (first, next) = map.scan(Cursor::START, 60);
    /// let (second, end) = map.scan(next, 60);
    /// assert_eq!((first.len(), second.len(), end.is_at_end()), (60, 40, true));
    /// ```
    pub fn scan(&self, cursor: Cursor, budget: usize) -> (impl ExactSizeIterator<Item = (&str, &V)>, Cursor) {
        let (found, position) =
            self.table.scan_from(cursor.position(), budget, |(key, _)| hash_of_key(&self.build, key));
        let entries = Scan { entries: found.into_iter() };
        (entries.map(|(key, value)| (key.as_str(), value)), Cursor::at(position))
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::START
    }
}

/// Entries with one hash: [`Cursor::next`]. Nearly always one.
pub struct Group<'a, K, V> {
    inner: position::Group<'a, (K, V)>,
}

impl<'a, K, V> Iterator for Group<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.inner.first.take().or_else(|| self.inner.more.next())?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.inner.first.is_some()) + self.inner.more.len();
        (left, Some(left))
    }
}

impl<K, V> ExactSizeIterator for Group<'_, K, V> {}
impl<K, V> FusedIterator for Group<'_, K, V> {}

/// Entries of one [`HashMap::scan`], in the order of their finalised hashes.
pub struct Scan<'a, K, V> {
    entries: vec::IntoIter<(u64, &'a (K, V))>,
}

impl<'a, K, V> Iterator for Scan<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|(_, (key, value))| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<K, V> ExactSizeIterator for Scan<'_, K, V> {}
impl<K, V> FusedIterator for Scan<'_, K, V> {}

impl<K, V, S, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// A cursor before the first entry.
    pub fn cursor(&self) -> Cursor {
        Cursor::START
    }

    /// Entries that lie where a migration under way (growth or shrinking) has not been yet; 0 while the table rests.
    /// O(buckets not reached), by masks.
    pub fn unmigrated(&self) -> usize {
        self.table.unmigrated()
    }
}

impl<K: Hash, V, S: BuildHasher, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// Up to `budget` entries from `cursor` on, and the cursor behind them: a server's answer to "what comes next", that
    /// keeps nothing between two requests.
    ///
    /// Entries whose hashes are equal come together, and overrun the budget where they must. A budget of 0 gives nothing
    /// and the same cursor; otherwise the entries are fewer than `budget` only at the end, where the cursor
    /// [is at the end](Cursor::is_at_end). Expected O(budget); entries of up to two trails are hashed in vain.
    ///
    /// ```
    /// use bucketmask_map::{Cursor, HashMap};
    ///
    /// let map: HashMap<u32, u32> = (0..1000).map(|key| (key, 0)).collect();
    /// let (mut cursor, mut seen) = (Cursor::START, 0);
    /// while !cursor.is_at_end() {
    ///     let (entries, next) = map.scan(cursor, 64);
    ///     seen += entries.count();
    ///     cursor = next;
    /// }
    /// assert_eq!(seen, 1000);
    /// ```
    pub fn scan(&self, cursor: Cursor, budget: usize) -> (Scan<'_, K, V>, Cursor) {
        let (found, position) =
            self.table.scan_from(cursor.position(), budget, |(key, _)| hash_of(&self.build, key));
        (Scan { entries: found.into_iter() }, Cursor::at(position))
    }
}

impl<T, S, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// A cursor before the first value.
    pub fn cursor(&self) -> Cursor {
        Cursor::START
    }
}

impl<T: Hash, S: BuildHasher, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// Up to `budget` values from `cursor` on, and the cursor behind them: as [`HashMap::scan`].
    pub fn scan(&self, cursor: Cursor, budget: usize) -> (impl ExactSizeIterator<Item = &T>, Cursor) {
        let (entries, next) = self.map.scan(cursor, budget);
        (entries.map(|(value, ())| value), next)
    }
}
