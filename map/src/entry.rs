//! `Entry`: a key's place in a map, looked up once.
//!
//! Owned by `map.rs`. Invariant: where the key is not there, the table was made ready, so that it can be filled in place.

use crate::pages::Pages;
use crate::raw::layout::{Auto, Layout};
use crate::raw::{Occupied, Vacant};
use allocator_api2::alloc::Allocator;
use core::{fmt, mem};

/// A key's place in a map.
pub enum Entry<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    /// The key is there.
    Occupied(OccupiedEntry<'a, K, V, A, L>),
    /// The key is not there.
    Vacant(VacantEntry<'a, K, V, A, L>),
}

/// The place of a key that is there.
pub struct OccupiedEntry<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: Occupied<'a, (K, V), A, L>,
}

/// The place of a key that is not there, and the key.
pub struct VacantEntry<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: Vacant<'a, (K, V), A, L>,
    pub(crate) key: K,
}

/// The key is there already: what [`HashMap::try_insert`](crate::HashMap::try_insert) could not do.
pub struct OccupiedError<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    /// The place of the key.
    pub entry: OccupiedEntry<'a, K, V, A, L>,
    /// The value that was not inserted.
    pub value: V,
}

impl<'a, K, V, A: Allocator, L: Layout> Entry<'a, K, V, A, L> {
    /// The value, after inserting `default` if there was none.
    #[inline]
    pub fn or_insert(self, default: V) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => entry.insert(default),
        }
    }

    /// The value, after inserting what `default` makes if there was none.
    #[inline]
    pub fn or_insert_with<F: FnOnce() -> V>(self, default: F) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => entry.insert(default()),
        }
    }

    /// The value, after inserting what `default` makes of the key if there was none.
    #[inline]
    pub fn or_insert_with_key<F: FnOnce(&K) -> V>(self, default: F) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = default(entry.key());
                entry.insert(value)
            }
        }
    }

    /// The value, after inserting `V::default()` if there was none.
    #[inline]
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
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

    /// The key: the map's if it is there, else the one that was asked for.
    pub fn key(&self) -> &K {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Sets the value and stays at the place.
    #[inline]
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, K, V, A, L> {
        match self {
            Self::Occupied(mut entry) => {
                entry.insert(value);
                entry
            }
            Self::Vacant(entry) => entry.insert_entry(value),
        }
    }

    /// Stays at the place, after inserting `default` if there was no value.
    #[inline]
    pub fn or_insert_entry(self, default: V) -> OccupiedEntry<'a, K, V, A, L> {
        match self {
            Self::Occupied(entry) => entry,
            Self::Vacant(entry) => entry.insert_entry(default),
        }
    }

    /// Replaces the value by what `change` makes of it, or takes the entry out if that is nothing. Should `change` panic,
    /// the entry is gone.
    #[expect(clippy::return_self_not_must_use, reason = "changing is often the point")]
    pub fn and_replace_entry_with<F>(self, change: F) -> Self
    where
        F: FnOnce(&K, V) -> Option<V>,
    {
        match self {
            Self::Occupied(entry) => entry.replace_entry_with(change),
            Self::Vacant(_) => self,
        }
    }
}

impl<'a, K, V, A: Allocator, L: Layout> OccupiedEntry<'a, K, V, A, L> {
    /// The key that the map holds.
    #[inline]
    pub fn key(&self) -> &K {
        &self.inner.get().0
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> &V {
        &self.inner.get().1
    }

    /// The value, mutable as long as the entry is borrowed.
    #[inline]
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.inner.get_mut().1
    }

    /// The value, mutable as long as the map is borrowed.
    #[inline]
    pub fn into_mut(self) -> &'a mut V {
        &mut self.inner.into_mut().1
    }

    /// Sets the value and returns the one there was.
    #[inline]
    pub fn insert(&mut self, value: V) -> V {
        mem::replace(self.get_mut(), value)
    }

    /// Takes the entry out and returns its value.
    #[inline]
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove(self) -> V {
        self.inner.remove().1
    }

    /// Takes the entry out.
    #[inline]
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove_entry(self) -> (K, V) {
        self.inner.remove()
    }

    /// Replaces the value by what `change` makes of it, or takes the entry out if that is nothing. Should `change` panic,
    /// the entry is gone.
    pub fn replace_entry_with<F>(self, change: F) -> Entry<'a, K, V, A, L>
    where
        F: FnOnce(&K, V) -> Option<V>,
    {
        let mut gone = None;
        let replaced = self.inner.replace_with(|(key, value)| {
            if let Some(value) = change(&key, value) {
                return Some((key, value));
            }
            gone = Some(key);
            None
        });
        match (replaced, gone) {
            (Err(inner), Some(key)) => Entry::Vacant(VacantEntry { inner, key }),
            (Ok(inner), _) => Entry::Occupied(OccupiedEntry { inner }),
            (Err(_), None) => unreachable!("an entry that is gone has left its key"),
        }
    }
}

impl<'a, K, V, A: Allocator, L: Layout> VacantEntry<'a, K, V, A, L> {
    /// The key that was asked for.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The key that was asked for, back.
    pub fn into_key(self) -> K {
        self.key
    }

    /// Inserts `value` under the key.
    #[inline]
    pub fn insert(self, value: V) -> &'a mut V {
        &mut self.inner.insert((self.key, value)).1
    }

    /// Inserts `value` under the key and stays at the place.
    #[inline]
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, K, V, A, L> {
        OccupiedEntry { inner: self.inner.insert_at((self.key, value)) }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for Entry<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("Entry").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("Entry").field(entry).finish(),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for OccupiedEntry<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedEntry")
            .field("key", self.key())
            .field("value", self.get())
            .finish_non_exhaustive()
    }
}

impl<K: fmt::Debug, V, A: Allocator, L: Layout> fmt::Debug for VacantEntry<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(self.key()).finish()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for OccupiedError<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedError")
            .field("key", self.entry.key())
            .field("old_value", self.entry.get())
            .field("new_value", &self.value)
            .finish_non_exhaustive()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, A: Allocator, L: Layout> fmt::Display for OccupiedError<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, held) = (self.entry.key(), self.entry.get());
        write!(f, "failed to insert {:?}, key {key:?} already exists with value {held:?}", self.value)
    }
}

impl<K: fmt::Debug, V: fmt::Debug, A: Allocator, L: Layout> core::error::Error
    for OccupiedError<'_, K, V, A, L>
{
}
