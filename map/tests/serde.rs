//! Maps and sets through serde: the same text as std's, and no trust in a length that the input claims.
//!
//! Invariant: what goes out comes back.

use bucketmask_map::{ConcurrentMap, HashMap, HashSet, StrMap};
use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};

/// Claims to be longer than memory, and is not.
struct Boastful<I>(I);

impl<I: Iterator> Iterator for Boastful<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, Some(usize::MAX))
    }
}

#[test]
fn text_is_as_stds_and_comes_back() {
    let ours: HashMap<String, Vec<u8>> = [("only".to_owned(), vec![1, 2])].into();
    let theirs: std::collections::HashMap<_, _> = ours.clone().into_iter().collect();
    let text = serde_json::to_string(&ours).unwrap();
    assert_eq!(text, serde_json::to_string(&theirs).unwrap());
    assert_eq!(serde_json::from_str::<HashMap<String, Vec<u8>>>(&text).unwrap(), ours);

    let set: HashSet<u32> = (0..500).collect();
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<HashSet<u32>>(&text).unwrap(), set);
    let theirs: std::collections::HashSet<u32> = serde_json::from_str(&text).unwrap();
    assert!(theirs.len() == set.len() && theirs.iter().all(|value| set.contains(value)));
    assert!(serde_json::from_str::<HashMap<u32, u32>>("[1]").is_err());
    assert!(serde_json::from_str::<HashSet<u32>>("{}").is_err());
}

#[test]
fn a_claimed_length_is_not_believed() {
    let entries = MapDeserializer::<_, Error>::new(Boastful((0..300u32).map(|key| (key, key))));
    let map = HashMap::<u32, u32>::deserialize(entries).unwrap();
    assert_eq!(map.len(), 300);
    assert!(map.allocation_size() < 4 << 20, "{} bytes for 300 entries", map.allocation_size());
    let values = SeqDeserializer::<_, Error>::new(Boastful(0..300u32));
    assert_eq!(HashSet::<u32>::deserialize(values).unwrap().len(), 300);
    // Zero-sized entries have no bytes to count.
    let entries = MapDeserializer::<_, Error>::new(Boastful([((), ())].into_iter()));
    let map = HashMap::<(), ()>::deserialize(entries).unwrap();
    assert!(map.len() == 1 && map.allocation_size() < 4 << 20);
}

#[test]
fn a_set_in_place_is_replaced() {
    let mut set: HashSet<u32> = (0..100).collect();
    let mut text = serde_json::Deserializer::from_str("[7, 8]");
    HashSet::deserialize_in_place(&mut text, &mut set).unwrap();
    assert_eq!(set, HashSet::from([7, 8]));
}

#[test]
fn strings_come_back_from_borrowed_and_from_escaped_text() {
    let map: StrMap<u32> =
        [("short", 1), ("a\"quoted\" key of more than 23 bytes", 2), ("", 3)].into_iter().collect();
    let text = serde_json::to_string(&map).unwrap();
    assert_eq!(serde_json::from_str::<StrMap<u32>>(&text).unwrap(), map);
    assert_eq!(serde_json::from_reader::<_, StrMap<u32>>(text.as_bytes()).unwrap(), map);
    let theirs: std::collections::HashMap<String, u32> = serde_json::from_str(&text).unwrap();
    assert!(theirs.len() == 3 && theirs.iter().all(|(key, value)| map.get(key) == Some(value)));
    assert!(serde_json::from_str::<StrMap<u32>>("[1]").is_err());
    let entries = MapDeserializer::<_, Error>::new(Boastful((0..300u32).map(|key| (key.to_string(), key))));
    let map = StrMap::<u32>::deserialize(entries).unwrap();
    assert!(map.len() == 300 && map.allocation_size() < 4 << 20);
}

#[test]
fn a_shared_map_comes_back() {
    let map: ConcurrentMap<u32, String> = (0..300).map(|key| (key, key.to_string())).collect();
    let text = serde_json::to_string(&map).unwrap();
    let theirs: std::collections::BTreeMap<u32, String> = serde_json::from_str(&text).unwrap();
    assert!(
        theirs.iter().all(|(key, value)| map.get_cloned(key).as_ref() == Some(value)) && theirs.len() == 300
    );
    let back: ConcurrentMap<u32, String> = serde_json::from_str(&text).unwrap();
    assert!(theirs.into_iter().all(|(key, value)| back.get_cloned(&key) == Some(value)) && back.len() == 300);
    assert!(serde_json::from_str::<ConcurrentMap<u32, u32>>("[1]").is_err());
    let entries = MapDeserializer::<_, Error>::new(Boastful((0..300u32).map(|key| (key, key))));
    let map = ConcurrentMap::<u32, u32>::deserialize(entries).unwrap();
    assert!(map.len() == 300 && map.table_bytes() < 4 << 20);
}
