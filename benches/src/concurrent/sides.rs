//! The maps that are compared, behind one face. All of them hash by the same hasher.
//!
//! Owned by `concurrent.rs`. Invariant: a side does what its own documentation shows for the operation, and nothing else.

use std::sync::{Mutex, PoisonError, RwLock};

use bucketmask_map::ConcurrentMap;
use foldhash::fast::FixedState;

/// A map from `u64` to `u64` that threads share.
pub(super) trait Side: Sync + Sized + 'static {
    /// In figures.
    const NAME: &'static str;
    fn with_capacity(capacity: usize) -> Self;
    fn get(&self, key: u64) -> Option<u64>;
    /// The sum of the values of `keys`, under one guard or lock where there is such a thing.
    fn sum(&self, keys: &[u64]) -> u64 {
        keys.iter().filter_map(|key| self.get(*key)).fold(0, u64::wrapping_add)
    }
    fn insert(&self, key: u64, value: u64);
    fn remove(&self, key: u64);
    /// Adds one to the value, if there is one.
    fn raise(&self, key: u64);
}

/// What a case does with a side.
pub(super) type Work = Box<dyn FnMut(u64) -> Vec<f64>>;

/// The same work for every side; `$side` is the side's type in it.
macro_rules! on_each_side {
    ($side:ident => $work:expr) => {
        crate::concurrent::sides::on_sides!($side => $work; Ours Papaya Dash Scc SccIndex Locked Exclusive)
    };
}
macro_rules! on_sides {
    ($side:ident => $work:expr; $($name:ident)*) => {
        vec![$({
            type $side = crate::concurrent::sides::$name;
            let name = <$side as crate::concurrent::sides::Side>::NAME;
            (name, Box::new($work) as crate::concurrent::sides::Work)
        }),*]
    };
}
pub(super) use {on_each_side, on_sides};

pub(super) fn hasher() -> FixedState {
    FixedState::with_seed(7)
}

/// A side whose map hands out guards.
macro_rules! guarded {
    ($side:ident, $name:expr, $map:ty, |$guard:ident, $key:ident| $raise:expr) => {
        pub(super) struct $side(pub(super) $map);

        impl Side for $side {
            const NAME: &'static str = $name;

            fn with_capacity(capacity: usize) -> Self {
                Self(<$map>::with_capacity_and_hasher(capacity, hasher()))
            }

            fn get(&self, key: u64) -> Option<u64> {
                self.0.pin().get(&key).copied()
            }

            fn sum(&self, keys: &[u64]) -> u64 {
                let guard = self.0.pin();
                keys.iter().filter_map(|key| guard.get(key)).fold(0, |sum, value| sum.wrapping_add(*value))
            }

            fn insert(&self, key: u64, value: u64) {
                self.0.pin().insert(key, value);
            }

            fn remove(&self, key: u64) {
                self.0.pin().remove(&key);
            }

            fn raise(&self, $key: u64) {
                let $guard = self.0.pin();
                $raise;
            }
        }
    };
}

guarded!(Ours, crate::record::OURS, ConcurrentMap<u64, u64, FixedState>, |guard, key| {
    guard.update(&key, |value| value + 1)
});
guarded!(Papaya, "papaya", papaya::HashMap<u64, u64, FixedState>, |guard, key| {
    guard.update(key, |value| value + 1)
});

pub(super) struct Dash(dashmap::DashMap<u64, u64, FixedState>);

impl Side for Dash {
    const NAME: &'static str = "dashmap";

    fn with_capacity(capacity: usize) -> Self {
        Self(dashmap::DashMap::with_capacity_and_hasher(capacity, hasher()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key).map(|value| *value)
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn remove(&self, key: u64) {
        self.0.remove(&key);
    }

    fn raise(&self, key: u64) {
        if let Some(mut value) = self.0.get_mut(&key) {
            *value += 1;
        }
    }
}

pub(super) struct Scc(scc::HashMap<u64, u64, FixedState>);

impl Side for Scc {
    const NAME: &'static str = "scc-hashmap";

    fn with_capacity(capacity: usize) -> Self {
        Self(scc::HashMap::with_capacity_and_hasher(capacity, hasher()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.read_sync(&key, |_, value| *value)
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.upsert_sync(key, value);
    }

    fn remove(&self, key: u64) {
        self.0.remove_sync(&key);
    }

    fn raise(&self, key: u64) {
        self.0.update_sync(&key, |_, value| *value += 1);
    }
}

/// scc's map for reading: a replaced entry is removed and inserted.
pub(super) struct SccIndex(scc::HashIndex<u64, u64, FixedState>);

impl Side for SccIndex {
    const NAME: &'static str = "scc-hashindex";

    fn with_capacity(capacity: usize) -> Self {
        Self(scc::HashIndex::with_capacity_and_hasher(capacity, hasher()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.peek_with(&key, |_, value| *value)
    }

    fn insert(&self, key: u64, value: u64) {
        if let Err((key, value)) = self.0.insert_sync(key, value) {
            self.0.remove_sync(&key);
            let _ = self.0.insert_sync(key, value);
        }
    }

    fn remove(&self, key: u64) {
        self.0.remove_sync(&key);
    }

    fn raise(&self, key: u64) {
        if let Some(value) = self.get(key) {
            self.insert(key, value + 1);
        }
    }
}

type Plain = hashbrown::HashMap<u64, u64, FixedState>;

/// A lock around hashbrown's map.
pub(super) trait Lock: Sync + 'static {
    const NAME: &'static str;
    fn around(map: Plain) -> Self;
    fn read<T>(&self, read: impl FnOnce(&Plain) -> T) -> T;
    fn write<T>(&self, write: impl FnOnce(&mut Plain) -> T) -> T;
}

impl Lock for RwLock<Plain> {
    const NAME: &'static str = "rwlock-hashbrown";

    fn around(map: Plain) -> Self {
        Self::new(map)
    }

    fn read<T>(&self, read: impl FnOnce(&Plain) -> T) -> T {
        read(&self.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Plain) -> T) -> T {
        write(&mut self.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lock for Mutex<Plain> {
    const NAME: &'static str = "mutex-hashbrown";

    fn around(map: Plain) -> Self {
        Self::new(map)
    }

    fn read<T>(&self, read: impl FnOnce(&Plain) -> T) -> T {
        read(&self.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Plain) -> T) -> T {
        write(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Behind<L>(L);
pub(super) type Locked = Behind<RwLock<Plain>>;
pub(super) type Exclusive = Behind<Mutex<Plain>>;

impl<L: Lock> Side for Behind<L> {
    const NAME: &'static str = L::NAME;

    fn with_capacity(capacity: usize) -> Self {
        Self(L::around(Plain::with_capacity_and_hasher(capacity, hasher())))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.read(|map| map.get(&key).copied())
    }

    fn sum(&self, keys: &[u64]) -> u64 {
        let get = |map: &Plain, key| map.get(key).copied();
        self.0.read(|map| keys.iter().filter_map(|key| get(map, key)).fold(0, u64::wrapping_add))
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.write(|map| map.insert(key, value));
    }

    fn remove(&self, key: u64) {
        self.0.write(|map| map.remove(&key));
    }

    fn raise(&self, key: u64) {
        self.0.write(|map| {
            if let Some(value) = map.get_mut(&key) {
                *value += 1;
            }
        });
    }
}

/// A lock around our own map for one thread.
pub(super) struct LockedOurs(RwLock<bucketmask_map::HashMap<u64, u64, FixedState>>);

impl Side for LockedOurs {
    const NAME: &'static str = "rwlock-bucketmask";

    fn with_capacity(capacity: usize) -> Self {
        Self(RwLock::new(bucketmask_map::HashMap::with_capacity_and_hasher(capacity, hasher())))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }

    fn remove(&self, key: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn raise(&self, key: u64) {
        if let Some(value) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(&key) {
            *value += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sides_are_maps() {
        for (name, mut work) in on_each_side!(M => |_| {
            let map = M::with_capacity(10);
            (0..100).for_each(|key| map.insert(key, key));
            map.insert(7, 70);
            map.raise(8);
            map.raise(1000);
            map.remove(9);
            let found = [7, 8, 9, 10, 1000].map(|key| map.get(key));
            assert_eq!(found, [Some(70), Some(9), None, Some(10), None]);
            vec![map.sum(&[7, 8, 9, 10]) as f64]
        }) {
            assert_eq!(work(0), [89.0], "{name}");
        }
    }
}
