//! What a map must offer to be measured, and who offers it. The sides own the maps. Invariant: every map hashes with the same
//! hasher and seed, takes its memory from the process's allocator (ours, where it grows in place, from the same region),
//! and is called as its users call it.

use std::hash::Hash;

use bucketmask_map::{HashMap, Pages, StrMap};

use super::keys::Entry;
use crate::engine::{Hasher, table_hasher};

/// Keys that are asked for together.
pub(super) const BATCH: usize = 32;

/// A map from `K` to `V`.
pub(super) trait Table<K, V>: Sized + 'static {
    /// Whose it is, in figures.
    const NAME: &'static str;

    /// A map without memory.
    fn bare() -> Self;
    /// A map with room for so many entries.
    fn roomy(entries: usize) -> Self;
    /// The value of `key`.
    fn find(&self, key: &K) -> Option<&V>;
    /// The values of some keys, asked for together; none where that is no operation.
    fn find_many<'a>(&'a self, _keys: [&K; BATCH]) -> Option<[Option<&'a V>; BATCH]> {
        None
    }
    /// Sets the value of `key`.
    fn put(&mut self, key: K, value: V);
    /// Takes `key` out; whether it was there.
    fn take(&mut self, key: &K) -> bool;
    /// Visits all entries, and reads their values.
    fn each(&self, visit: impl FnMut(&V));
    /// Takes all entries out and keeps the memory.
    fn wipe(&mut self);
    /// Entries.
    fn count(&self) -> usize;

    /// Bytes of the table that are not the process's allocator's, and so in none of its counts.
    fn apart(&self) -> usize {
        0
    }
}

/// Ours, as it is by default.
pub(super) type Ours<K, V> = HashMap<K, V, Hasher>;
/// Ours with each bucket's head before its slots, the classic way.
pub(super) type Inline<K, V> = HashMap<K, V, Hasher, Pages, bucketmask_map::Inline>;

/// What all maps with std's interface have in common; they differ in how one is made and how an entry is taken out.
macro_rules! table {
    ($map:ty, $name:literal, $bare:ident, $roomy:ident, $remove:ident $(, $apart:ident)?) => {
        impl<K: Hash + Eq + 'static, V: 'static> Table<K, V> for $map {
            const NAME: &'static str = $name;

            fn bare() -> Self {
                Self::$bare(table_hasher())
            }

            fn roomy(entries: usize) -> Self {
                Self::$roomy(entries, table_hasher())
            }

            #[inline]
            fn find(&self, key: &K) -> Option<&V> {
                self.get(key)
            }

            #[inline]
            fn put(&mut self, key: K, value: V) {
                self.insert(key, value);
            }

            #[inline]
            fn take(&mut self, key: &K) -> bool {
                self.$remove(key).is_some()
            }

            #[inline]
            fn each(&self, mut visit: impl FnMut(&V)) {
                for (_, value) in self {
                    visit(value);
                }
            }

            fn wipe(&mut self) {
                self.clear();
            }

            fn count(&self) -> usize {
                self.len()
            }

            $(
                #[inline]
                fn find_many<'a>(&'a self, keys: [&K; BATCH]) -> Option<[Option<&'a V>; BATCH]> {
                    Some(self.get_many(keys))
                }

                fn apart(&self) -> usize {
                    self.$apart()
                }
            )?
        }
    };
}

table!(Ours<K, V>, "bucketmask", with_hasher, with_capacity_and_hasher, remove, allocation_size);
table!(Inline<K, V>, "bucketmask-inline", in_layout, with_capacity_in_layout, remove, allocation_size);
table!(hashbrown::HashMap<K, V, Hasher>, "hashbrown", with_hasher, with_capacity_and_hasher, remove);
table!(std::collections::HashMap<K, V, Hasher>, "std", with_hasher, with_capacity_and_hasher, remove);
table!(griddle::HashMap<K, V, Hasher>, "griddle", with_hasher, with_capacity_and_hasher, remove);
table!(indexmap::IndexMap<K, V, Hasher>, "indexmap", with_hasher, with_capacity_and_hasher, swap_remove);

/// Ours for string keys; short ones lie in the table. It is given strings as the others are, and frees those that it does
/// not keep.
pub(super) type Strings<V> = StrMap<V, Hasher>;

impl<V: 'static> Table<String, V> for Strings<V> {
    const NAME: &'static str = super::STRINGS;

    fn bare() -> Self {
        Self::with_hasher(table_hasher())
    }

    fn roomy(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, table_hasher())
    }

    #[inline]
    fn find(&self, key: &String) -> Option<&V> {
        self.get(key)
    }

    #[inline]
    fn put(&mut self, key: String, value: V) {
        self.insert(key, value);
    }

    #[inline]
    fn take(&mut self, key: &String) -> bool {
        self.remove(key).is_some()
    }

    #[inline]
    fn each(&self, mut visit: impl FnMut(&V)) {
        for (_, value) in self {
            visit(value);
        }
    }

    fn wipe(&mut self) {
        self.clear();
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn apart(&self) -> usize {
        self.allocation_size()
    }
}

/// Something that is done to every side: which function, compiled for which map.
pub(super) trait Job<K, V> {
    /// The function, or whatever it makes.
    type Given;

    /// That of one side.
    fn of<T: Table<K, V>>() -> Self::Given;
}

/// A job's functions with their sides' names, in the order of the tables.
pub(super) fn sides<E: Entry, J: Job<E::Key, E::Value>>() -> Vec<(&'static str, J::Given)> {
    let mut all = vec![of::<E, Ours<E::Key, E::Value>, J>(), of::<E, Inline<E::Key, E::Value>, J>()];
    all.extend(E::more_sides::<J>());
    all.extend([
        of::<E, hashbrown::HashMap<E::Key, E::Value, Hasher>, J>(),
        of::<E, std::collections::HashMap<E::Key, E::Value, Hasher>, J>(),
        of::<E, griddle::HashMap<E::Key, E::Value, Hasher>, J>(),
        of::<E, indexmap::IndexMap<E::Key, E::Value, Hasher>, J>(),
    ]);
    all
}

/// One side's.
pub(super) fn of<E: Entry, T: Table<E::Key, E::Value>, J: Job<E::Key, E::Value>>() -> (&'static str, J::Given)
{
    (T::NAME, J::of::<T>())
}
