//! A text's place in a `StrMap`, looked up once.
//!
//! Owned by `str_map.rs`. Invariant: the table was made ready before the lookup, so a vacant entry can be filled in place.

use crate::pages::Pages;
use crate::raw::layout::{Auto, Layout};
use crate::raw::short::StrKey;
use crate::raw::{Occupied, Vacant};
use allocator_api2::alloc::Allocator;
use core::{fmt, mem};

/// A key's place in a map. `K` is what the key was asked for with.
pub enum Entry<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    /// The key is there.
    Occupied(OccupiedEntry<'a, V, A, L>),
    /// The key is not there.
    Vacant(VacantEntry<'a, K, V, A, L>),
}

/// The place of a key that is there.
pub struct OccupiedEntry<'a, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: Occupied<'a, (StrKey, V), A, L>,
}

/// The place of a key that is not there, and the key.
pub struct VacantEntry<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: Vacant<'a, (StrKey, V), A, L>,
    pub(super) key: K,
    pub(super) hash: u64,
}

impl<'a, K: AsRef<str> + Into<Box<str>>, V, A: Allocator, L: Layout> Entry<'a, K, V, A, L> {
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
    pub fn or_insert_with(self, default: impl FnOnce() -> V) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => entry.insert(default()),
        }
    }

    /// The value, after inserting what `default` makes of the key if there was none.
    #[inline]
    pub fn or_insert_with_key(self, default: impl FnOnce(&str) -> V) -> &'a mut V {
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
    #[must_use]
    pub fn and_modify(mut self, change: impl FnOnce(&mut V)) -> Self {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Sets the value and stays at the place.
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, V, A, L> {
        match self {
            Self::Occupied(mut entry) => {
                entry.insert(value);
                entry
            }
            Self::Vacant(entry) => entry.insert_entry(value),
        }
    }
}

impl<'a, V, A: Allocator, L: Layout> OccupiedEntry<'a, V, A, L> {
    /// The key that the map holds.
    pub fn key(&self) -> &str {
        self.inner.get().0.as_str()
    }

    /// The value.
    pub fn get(&self) -> &V {
        &self.inner.get().1
    }

    /// The value, mutable as long as the entry is borrowed.
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.inner.get_mut().1
    }

    /// The value, mutable as long as the map is borrowed.
    #[must_use]
    pub fn into_mut(self) -> &'a mut V {
        &mut self.inner.into_mut().1
    }

    /// Sets the value and returns the one there was.
    pub fn insert(&mut self, value: V) -> V {
        mem::replace(self.get_mut(), value)
    }

    /// Takes the entry out and returns its value.
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove(self) -> V {
        self.inner.remove().1
    }

    /// Takes the entry out.
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove_entry(self) -> (StrKey, V) {
        self.inner.remove()
    }
}

impl<'a, K: AsRef<str> + Into<Box<str>>, V, A: Allocator, L: Layout> VacantEntry<'a, K, V, A, L> {
    /// The key that was asked for.
    pub fn key(&self) -> &str {
        self.key.as_ref()
    }

    /// The key that was asked for, back.
    #[must_use]
    pub fn into_key(self) -> K {
        self.key
    }

    /// Inserts `value` under the key.
    #[inline]
    pub fn insert(self, value: V) -> &'a mut V {
        &mut self.inner.insert((StrKey::new(self.key, self.hash), value)).1
    }

    /// Inserts `value` under the key and stays at the place.
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, V, A, L> {
        OccupiedEntry { inner: self.inner.insert_at((StrKey::new(self.key, self.hash), value)) }
    }
}

impl<K: AsRef<str> + Into<Box<str>>, V: fmt::Debug, A: Allocator, L: Layout> fmt::Debug
    for Entry<'_, K, V, A, L>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("Entry").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("Entry").field(entry).finish(),
        }
    }
}

impl<V: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for OccupiedEntry<'_, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedEntry")
            .field("key", &self.key())
            .field("value", self.get())
            .finish_non_exhaustive()
    }
}

impl<K: AsRef<str> + Into<Box<str>>, V, A: Allocator, L: Layout> fmt::Debug for VacantEntry<'_, K, V, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(&self.key()).finish()
    }
}
