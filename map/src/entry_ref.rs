//! `EntryRef`: a borrowed key's place in a map; the key is made only where it is inserted.
//!
//! Owned by `map.rs`. Invariant: what is inserted is equivalent to what was looked for, and hashes alike; else it lies
//! where no lookup finds it, which is why `insert_with_key` asks.

use crate::entry::OccupiedEntry;
use crate::pages::Pages;
use crate::raw::Vacant;
use crate::raw::layout::{Auto, Layout};
use allocator_api2::alloc::Allocator;
use core::fmt;
use equivalent::Equivalent;

/// The place of a borrowed key in a map: [`HashMap::entry_ref`](crate::HashMap::entry_ref).
pub enum EntryRef<'a, 'b, K, Q: ?Sized, V, A: Allocator = Pages, L: Layout = Auto> {
    /// The key is there.
    Occupied(OccupiedEntry<'a, K, V, A, L>),
    /// The key is not there.
    Vacant(VacantEntryRef<'a, 'b, K, Q, V, A, L>),
}

/// The place of a borrowed key that is not there, and the key.
pub struct VacantEntryRef<'a, 'b, K, Q: ?Sized, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: Vacant<'a, (K, V), A, L>,
    pub(crate) key: &'b Q,
}

impl<'a, 'b, K, Q: ?Sized, V, A: Allocator, L: Layout> EntryRef<'a, 'b, K, Q, V, A, L> {
    /// The value, after inserting `default` under a key made of the borrowed one if there was none.
    #[inline]
    pub fn or_insert(self, default: V) -> &'a mut V
    where
        K: From<&'b Q>,
    {
        self.or_insert_with(|| default)
    }

    /// The value, after inserting what `default` makes if there was none.
    #[inline]
    pub fn or_insert_with<F: FnOnce() -> V>(self, default: F) -> &'a mut V
    where
        K: From<&'b Q>,
    {
        self.or_insert_with_key(|_| default())
    }

    /// The value, after inserting what `default` makes of the borrowed key if there was none.
    #[inline]
    pub fn or_insert_with_key<F: FnOnce(&Q) -> V>(self, default: F) -> &'a mut V
    where
        K: From<&'b Q>,
    {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = default(entry.key);
                entry.insert(value)
            }
        }
    }

    /// The value, after inserting `V::default()` if there was none.
    #[inline]
    pub fn or_default(self) -> &'a mut V
    where
        K: From<&'b Q>,
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Sets the value and stays at the place.
    #[inline]
    pub fn insert(self, value: V) -> OccupiedEntry<'a, K, V, A, L>
    where
        K: From<&'b Q>,
    {
        match self {
            Self::Occupied(mut entry) => {
                entry.insert(value);
                entry
            }
            Self::Vacant(entry) => entry.insert_entry(value),
        }
    }

    /// The key: the map's if it is there, else the one that was asked for.
    pub fn key(&self) -> &Q
    where
        K: core::borrow::Borrow<Q>,
    {
        match self {
            Self::Occupied(entry) => entry.key().borrow(),
            Self::Vacant(entry) => entry.key,
        }
    }

    /// Changes the value if there is one.
    #[inline]
    #[expect(clippy::return_self_not_must_use, reason = "std's may be dropped")]
    pub fn and_modify<F>(mut self, change: F) -> Self
    where
        F: FnOnce(&mut V),
    {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }
}

impl<'a, 'b, K, Q: ?Sized, V, A: Allocator, L: Layout> VacantEntryRef<'a, 'b, K, Q, V, A, L> {
    /// The key that was asked for.
    pub fn key(&self) -> &'b Q {
        self.key
    }

    /// Inserts `value` under a key made of the borrowed one.
    #[inline]
    pub fn insert(self, value: V) -> &'a mut V
    where
        K: From<&'b Q>,
    {
        self.insert_entry(value).into_mut()
    }

    /// Inserts `value` under a key made of the borrowed one and stays at the place.
    #[inline]
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, K, V, A, L>
    where
        K: From<&'b Q>,
    {
        let key = self.key.into();
        OccupiedEntry { inner: self.inner.insert_at((key, value)) }
    }

    /// Inserts `value` under `key`.
    ///
    /// # Panics
    /// If `key` is not equivalent to the borrowed one.
    #[inline]
    pub fn insert_with_key(self, key: K, value: V) -> &'a mut V
    where
        Q: Equivalent<K>,
    {
        self.insert_entry_with_key(key, value).into_mut()
    }

    /// Inserts `value` under `key` and stays at the place.
    ///
    /// # Panics
    /// If `key` is not equivalent to the borrowed one.
    #[inline]
    pub fn insert_entry_with_key(self, key: K, value: V) -> OccupiedEntry<'a, K, V, A, L>
    where
        Q: Equivalent<K>,
    {
        assert!(
            self.key.equivalent(&key),
            "key used for Entry creation is not equivalent to the one used for insertion"
        );
        OccupiedEntry { inner: self.inner.insert_at((key, value)) }
    }
}

impl<K, Q, V, A, L> fmt::Debug for EntryRef<'_, '_, K, Q, V, A, L>
where
    K: fmt::Debug,
    Q: fmt::Debug + ?Sized,
    V: fmt::Debug,
    A: Allocator,
    L: Layout,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("EntryRef").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("EntryRef").field(entry).finish(),
        }
    }
}

impl<K, Q: fmt::Debug + ?Sized, V, A: Allocator, L: Layout> fmt::Debug
    for VacantEntryRef<'_, '_, K, Q, V, A, L>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntryRef").field(&self.key).finish()
    }
}
