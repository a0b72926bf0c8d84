//! `Serialize` and `Deserialize`, in the form of other maps.
//!
//! Owned by the feature `serde`. Invariant: a length that the input claims reserves a stated number of bytes at most.

use super::map::ConcurrentMap;
use super::rules::Rules;
use ::core::fmt;
use ::core::hash::{BuildHasher, Hash};
use ::core::marker::PhantomData;
use ::serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use ::serde::ser::{Serialize, Serializer};

/// Entries that are reserved on the word of the input alone.
const TRUSTED: usize = 1 << 14;

impl<K, V, S, R> Serialize for ConcurrentMap<K, V, S, R>
where
    K: Serialize + Hash + Eq,
    V: Serialize,
    S: BuildHasher,
    R: Rules,
{
    /// What iteration shows: see [`Guard::iter`](super::Guard::iter).
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Without a length: entries may come and go before the last is written. Formats that want one get them counted.
        let guard = self.pin();
        let entries: Vec<_> = guard.iter().collect();
        serializer.collect_map(entries)
    }
}

struct MapVisitor<M>(PhantomData<fn() -> M>);

impl<'de, K, V, S, R> Visitor<'de> for MapVisitor<ConcurrentMap<K, V, S, R>>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    R: Rules,
{
    type Value = ConcurrentMap<K, V, S, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let reserved = access.size_hint().unwrap_or(0).min(TRUSTED);
        let map = ConcurrentMap::with_rules(reserved, S::default());
        while let Some((key, value)) = access.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<'de, K, V, S, R> Deserialize<'de> for ConcurrentMap<K, V, S, R>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    R: Rules,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}
