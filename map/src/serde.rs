//! `Serialize` and `Deserialize` for maps and sets, in the form that std's have.
//!
//! Owned by the feature `serde`. Invariant: a length that the input claims reserves a stated number of bytes at most; what
//! is really there makes the table grow as inserts do.

use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::set::HashSet;
use crate::str_map::{StrKey, StrMap};
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

/// Bytes of entries that are reserved on the word of the input alone.
const TRUSTED_BYTES: usize = 1 << 20;

/// How many entries of `T` to reserve for an input that claims to hold `claimed`.
fn trusted<T>(claimed: Option<usize>) -> usize {
    claimed.unwrap_or(0).min(TRUSTED_BYTES / size_of::<T>().max(1))
}

impl<K, V, S, A, L> Serialize for HashMap<K, V, S, A, L>
where
    K: Serialize,
    V: Serialize,
    A: Allocator,
    L: Layout,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self)
    }
}

impl<T, S, A, L> Serialize for HashSet<T, S, A, L>
where
    T: Serialize,
    A: Allocator,
    L: Layout,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(self)
    }
}

/// Makes a map of what it is shown.
struct MapVisitor<M>(PhantomData<fn() -> M>);

impl<'de, K, V, S, A, L> Visitor<'de> for MapVisitor<HashMap<K, V, S, A, L>>
where
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    type Value = HashMap<K, V, S, A, L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut entries: M) -> Result<Self::Value, M::Error> {
        let room = trusted::<(K, V)>(entries.size_hint());
        let mut map = HashMap::with_capacity_in_layout(room, S::default());
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<'de, K, V, S, A, L> Deserialize<'de> for HashMap<K, V, S, A, L>
where
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor::<Self>(PhantomData))
    }
}

impl<V: Serialize, S, A: Allocator, L: Layout> Serialize for StrMap<V, S, A, L> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self.iter())
    }
}

/// A key as the input has it: borrowed where it can be, so that a short one costs no allocation.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }
}

impl<'de, V, S, A, L> Visitor<'de> for MapVisitor<StrMap<V, S, A, L>>
where
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    type Value = StrMap<V, S, A, L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with strings as keys")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut entries: M) -> Result<Self::Value, M::Error> {
        let room = trusted::<(StrKey, V)>(entries.size_hint());
        let mut map = StrMap::with_capacity_and_hasher_in(room, S::default(), A::default());
        while let Some((Text(key), value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<'de, V, S, A, L> Deserialize<'de> for StrMap<V, S, A, L>
where
    V: Deserialize<'de>,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor::<Self>(PhantomData))
    }
}

/// Fills a set with what it is shown.
struct SetVisitor<'a, M>(&'a mut M);

impl<'de, T, S, A, L> Visitor<'de> for SetVisitor<'_, HashSet<T, S, A, L>>
where
    T: Deserialize<'de> + Eq + Hash,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<M: SeqAccess<'de>>(self, mut values: M) -> Result<(), M::Error> {
        self.0.clear();
        self.0.reserve(trusted::<T>(values.size_hint()));
        while let Some(value) = values.next_element()? {
            self.0.insert(value);
        }
        Ok(())
    }
}

impl<'de, T, S, A, L> Deserialize<'de> for HashSet<T, S, A, L>
where
    T: Deserialize<'de> + Eq + Hash,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut set = Self::default();
        deserializer.deserialize_seq(SetVisitor(&mut set))?;
        Ok(set)
    }

    fn deserialize_in_place<D: Deserializer<'de>>(deserializer: D, place: &mut Self) -> Result<(), D::Error> {
        deserializer.deserialize_seq(SetVisitor(place))
    }
}
