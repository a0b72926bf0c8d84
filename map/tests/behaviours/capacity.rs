//! What `capacity` promises, and what changes it.
//!
//! Invariant: a capacity that was promised is reached by inserts alone, without a change.

use crate::subject::{HashMap, HashSet};

const SIZES: [usize; 14] = [0, 1, 2, 3, 4, 7, 12, 13, 29, 100, 300, 1000, 7000, 40_000];

/// Inserts fresh keys until the map is as long as its capacity, which must not change meanwhile.
fn fill_to_the_brim(map: &mut HashMap<u64, u64>, fresh: &mut u64) {
    let promised = map.capacity();
    while map.len() < promised {
        map.insert(*fresh, 0);
        *fresh += 1;
        assert_eq!(map.capacity(), promised, "at {} entries", map.len());
    }
}

#[test]
fn new_has_none() {
    let mut map = HashMap::<u64, u64>::new();
    assert_eq!((map.capacity(), map.len(), map.is_empty()), (0, 0, true));
    assert_eq!(HashMap::<u64, u64>::default().capacity(), 0);
    assert_eq!(HashSet::<u64>::new().capacity(), 0);
    assert_eq!(map.remove(&1), None);
    assert_eq!(map.capacity(), 0, "a lookup takes no memory");
}

#[test]
fn with_capacity_is_reached_without_growth() {
    for size in SIZES {
        let mut map = HashMap::with_capacity(size);
        assert!(map.capacity() >= size);
        fill_to_the_brim(&mut map, &mut 0);
        let full = map.capacity();
        map.insert(u64::MAX, 0);
        assert!(map.capacity() > full && map.len() == full + 1);
        assert!(HashSet::<u64>::with_capacity(size).capacity() >= size);
    }
}

#[test]
fn every_capacity_on_the_way_is_reached() {
    let (mut map, mut fresh) = (HashMap::new(), 0);
    while map.len() < 100_000 {
        map.insert(fresh, 0);
        fresh += 1;
        fill_to_the_brim(&mut map, &mut fresh);
    }
}

#[test]
fn reserve_counts_from_the_length() {
    for len in SIZES {
        for additional in SIZES {
            let mut map: HashMap<u64, u64> = (0..len as u64).map(|key| (key, key)).collect();
            map.reserve(additional);
            let promised = map.capacity();
            assert!(promised >= len + additional);
            map.reserve(additional);
            map.reserve(0);
            assert_eq!(map.capacity(), promised, "there is room already");
            fill_to_the_brim(&mut map, &mut (len as u64));
        }
    }
}

#[test]
fn overwriting_and_looking_never_grow() {
    let (mut map, mut fresh) = (HashMap::with_capacity(1000), 0);
    fill_to_the_brim(&mut map, &mut fresh);
    let full = map.capacity();
    for key in 0..fresh {
        *map.entry(key).or_insert(9) += 1;
        map.entry(key).and_modify(|value| *value += 1);
        assert!(map.get_mut(&key).is_some());
    }
    assert_eq!(map.capacity(), full);
}

#[test]
fn what_empties_a_map_keeps_its_capacity() {
    let mut map: HashMap<u64, u64> = (0..5000).map(|key| (key, key)).collect();
    let capacity = map.capacity();
    map.clear();
    assert_eq!((map.len(), map.capacity()), (0, capacity));
    map.extend((0..5000).map(|key| (key, key)));
    assert_eq!(map.drain().count(), 5000);
    assert_eq!((map.len(), map.capacity()), (0, capacity));
    map.extend((0..5000).map(|key| (key, key)));
    // Entries that go one by one may keep room (std's map marks their slots), but a map gains none by it.
    map.retain(|_, _| false);
    assert!(map.is_empty() && map.capacity() <= capacity);
    map.extend((0..5000).map(|key| (key, key)));
    assert_eq!(map.extract_if(|_, _| true).count(), 5000);
    assert!(map.is_empty() && map.capacity() <= capacity);
    map.extend((0..5000).map(|key| (key, key)));
    (0..5000).for_each(|key| assert_eq!(map.remove(&key), Some(key)));
    assert!(map.is_empty() && map.capacity() <= capacity);
}

#[test]
fn shrinking_leaves_room_for_what_is_there_and_what_was_asked() {
    let mut map: HashMap<u64, u64> = HashMap::with_capacity(10_000);
    map.extend((0..100).map(|key| (key, key)));
    let capacity = map.capacity();
    map.shrink_to(20_000);
    assert_eq!(map.capacity(), capacity, "to shrink to more is to leave it");
    map.shrink_to(1000);
    assert!((1000..capacity).contains(&map.capacity()));
    let capacity = map.capacity();
    map.shrink_to(0);
    assert!((100..capacity).contains(&map.capacity()));
    map.shrink_to_fit();
    assert!(map.capacity() >= 100 && (0..100).all(|key| map[&key] == key));
    fill_to_the_brim(&mut map, &mut 100);
    map.clear();
    map.shrink_to_fit();
    assert_eq!(map.capacity(), 0);
    map.insert(1, 1);
    assert_eq!(map[&1], 1);
}

#[test]
fn try_reserve_tells_what_it_cannot() {
    let mut map: HashMap<u64, u64> = [(1, 1)].into();
    let capacity = map.capacity();
    for much in [usize::MAX, usize::MAX / 2, usize::MAX / 16, isize::MAX as usize] {
        let error = map.try_reserve(much).expect_err("more than the address space holds");
        assert!(!format!("{error} {error:?}").is_empty());
        let _: &dyn std::error::Error = &error;
    }
    assert_eq!((map.capacity(), map.len(), map[&1]), (capacity, 1, 1));
    assert!(map.try_reserve(1000).is_ok() && map.capacity() > 1000);
    let mut set = HashSet::<u64>::new();
    assert!(set.try_reserve(usize::MAX).is_err() && set.try_reserve(10).is_ok() && set.capacity() >= 10);
    set.shrink_to(5);
    assert!(set.capacity() >= 5);
}

#[test]
fn zero_sized_entries_have_a_capacity_too() {
    let mut set = HashSet::new();
    assert!(set.insert(()) && !set.insert(()));
    assert_eq!(set.len(), 1);
    assert!(set.capacity() >= 1);
    assert!(HashMap::<(), ()>::with_capacity(100).capacity() >= 100);
}
