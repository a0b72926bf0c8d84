//! The maps that are compared, behind one face. All of them hash by the same hasher.
//!
//! Owned by `concurrent.rs`. Invariant: a side does what its own documentation shows for the operation, and nothing else.

use std::sync::{Mutex, PoisonError, RwLock};

use bucketmask_map::ConcurrentMap;
use foldhash::fast::FixedState;

/// A map from `u64` to `u64` that threads share.
pub(super) trait Side: Sync + Sized {
    /// In figures.
    const NAME: &'static str;
    fn with_capacity(capacity: usize) -> Self;
    fn get(&self, key: u64) -> Option<u64>;
    /// The sum of the values of `keys`, under one guard or lock where there is such a thing.
    fn sum(&self, keys: &[u64]) -> u64;
    fn insert(&self, key: u64, value: u64);
    fn remove(&self, key: u64);
    /// Adds one to the value, if there is one.
    fn raise(&self, key: u64);
}

fn hasher() -> FixedState {
    FixedState::with_seed(7)
}

pub(super) struct Ours(ConcurrentMap<u64, u64, FixedState>);

impl Side for Ours {
    const NAME: &'static str = crate::record::OURS;

    fn with_capacity(capacity: usize) -> Self {
        Self(ConcurrentMap::with_capacity_and_hasher(capacity, hasher()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.pin().get(&key).copied()
    }

    fn sum(&self, keys: &[u64]) -> u64 {
        let guard = self.0.pin();
        keys.iter().filter_map(|key| guard.get(key)).fold(0, |sum, value| sum.wrapping_add(*value))
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn remove(&self, key: u64) {
        self.0.remove(&key);
    }

    fn raise(&self, key: u64) {
        self.0.update(&key, |value| value + 1);
    }
}

pub(super) struct Papaya(papaya::HashMap<u64, u64, FixedState>);

impl Side for Papaya {
    const NAME: &'static str = "papaya";

    fn with_capacity(capacity: usize) -> Self {
        Self(papaya::HashMap::with_capacity_and_hasher(capacity, hasher()))
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

    fn raise(&self, key: u64) {
        self.0.pin().update(key, |value| value + 1);
    }
}

pub(super) struct Dash(dashmap::DashMap<u64, u64, FixedState>);

impl Side for Dash {
    const NAME: &'static str = "dashmap";

    fn with_capacity(capacity: usize) -> Self {
        Self(dashmap::DashMap::with_capacity_and_hasher(capacity, hasher()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key).map(|value| *value)
    }

    fn sum(&self, keys: &[u64]) -> u64 {
        keys.iter().filter_map(|key| self.get(*key)).fold(0, u64::wrapping_add)
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

    fn sum(&self, keys: &[u64]) -> u64 {
        keys.iter().filter_map(|key| self.get(*key)).fold(0, u64::wrapping_add)
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

    fn sum(&self, keys: &[u64]) -> u64 {
        keys.iter().filter_map(|key| self.get(*key)).fold(0, u64::wrapping_add)
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

pub(super) struct Locked(RwLock<Plain>);

impl Side for Locked {
    const NAME: &'static str = "rwlock-hashbrown";

    fn with_capacity(capacity: usize) -> Self {
        Self(RwLock::new(Plain::with_capacity_and_hasher(capacity, hasher())))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    fn sum(&self, keys: &[u64]) -> u64 {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| map.get(key)).fold(0, |sum, value| sum.wrapping_add(*value))
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

pub(super) struct Exclusive(Mutex<Plain>);

impl Side for Exclusive {
    const NAME: &'static str = "mutex-hashbrown";

    fn with_capacity(capacity: usize) -> Self {
        Self(Mutex::new(Plain::with_capacity_and_hasher(capacity, hasher())))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    fn sum(&self, keys: &[u64]) -> u64 {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| map.get(key)).fold(0, |sum, value| sum.wrapping_add(*value))
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }

    fn remove(&self, key: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn raise(&self, key: u64) {
        if let Some(value) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&key) {
            *value += 1;
        }
    }
}
