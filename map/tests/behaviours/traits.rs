//! What the types implement, and how their lifetimes shrink: compiles or does not.
//!
//! Invariant: an assertion that holds for std's types is the reason for each line.

use crate::subject::{HashMap, HashSet, hash_map, hash_set};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::fmt::Debug;
use std::hash::RandomState;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

type Text = String;
type Yes<K> = fn(&K, &mut K) -> bool;

assert_impl_all!(HashMap<Text, Text>: Clone, Debug, Default, Eq, PartialEq, Send, Sync, UnwindSafe, RefUnwindSafe, Unpin);
assert_impl_all!(HashMap<Text, Text>: Extend<(Text, Text)>, FromIterator<(Text, Text)>, IntoIterator, From<[(Text, Text); 3]>);
assert_impl_all!(HashMap<u8, u8>: Extend<(&'static u8, &'static u8)>, std::ops::Index<&'static u8, Output = u8>);
assert_impl_all!(HashSet<Text>: Clone, Debug, Default, Eq, PartialEq, Send, Sync, UnwindSafe, RefUnwindSafe, Unpin);
assert_impl_all!(HashSet<u8>: Extend<u8>, Extend<&'static u8>, FromIterator<u8>, IntoIterator, From<[u8; 2]>);
assert_not_impl_any!(HashMap<Rc<u8>, u8>: Send, Sync);
assert_not_impl_any!(HashMap<u8, Rc<u8>>: Send, Sync);
assert_not_impl_any!(HashMap<u8, Cell<u8>>: Sync);
assert_impl_all!(HashMap<u8, Cell<u8>>: Send, UnwindSafe);
assert_not_impl_any!(HashMap<u8, u8, *const u8>: Send, Sync);
assert_not_impl_any!(HashMap<u8, &'static mut u8>: UnwindSafe);
assert_not_impl_any!(HashMap<u8, Cell<u8>>: RefUnwindSafe);
assert_not_impl_any!(HashMap<u8, f32>: Eq);
assert_not_impl_any!(HashSet<Rc<u8>>: Send, Sync);

// Whatever a hasher is: what does not hash asks nothing of it.
assert_impl_all!(HashMap<f32, f32, ()>: Clone, Debug, Default, IntoIterator);
assert_impl_all!(HashSet<f32, ()>: Clone, Debug, Default, IntoIterator);

assert_impl_all!(hash_map::Iter<'static, Text, Text>: Clone, Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::IterMut<'static, Text, Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::IntoIter<Text, Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::Keys<'static, Text, Cell<u8>>: Clone, Debug, Default, ExactSizeIterator, FusedIterator);
assert_impl_all!(hash_map::Values<'static, Text, Text>: Clone, Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::ValuesMut<'static, Text, Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::IntoKeys<Text, Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::IntoValues<Text, Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::Drain<'static, Text, Text>: Debug, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::ExtractIf<'static, Text, Text, Yes<Text>>: Debug, FusedIterator, Send, Sync);
assert_impl_all!(hash_map::Entry<'static, Text, Text>: Debug, Send, Sync);
assert_impl_all!(hash_map::OccupiedEntry<'static, Text, Text>: Debug, Send, Sync);
assert_impl_all!(hash_map::VacantEntry<'static, Text, *mut u8>: Debug);
assert_not_impl_any!(hash_map::Iter<'static, u8, Cell<u8>>: Send, Sync);
assert_not_impl_any!(hash_map::IterMut<'static, u8, Rc<u8>>: Send, Sync);
assert_not_impl_any!(hash_map::IterMut<'static, u8, u8>: Clone);
assert_not_impl_any!(hash_map::Drain<'static, u8, Rc<u8>>: Send, Sync);

assert_impl_all!(hash_set::Iter<'static, Text>: Clone, Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::IntoIter<Text>: Debug, Default, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::Drain<'static, Text>: Debug, ExactSizeIterator, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::ExtractIf<'static, Text, fn(&Text) -> bool>: Debug, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::Union<'static, Text, RandomState>: Clone, Debug, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::Difference<'static, Text, RandomState>: Clone, Debug, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::Intersection<'static, Text, RandomState>: Clone, Debug, FusedIterator, Send, Sync);
assert_impl_all!(hash_set::SymmetricDifference<'static, Text, RandomState>: Clone, Debug, FusedIterator, Send, Sync);

/// Each of them takes a long-lived type where a short-lived one is wanted.
macro_rules! covariant {
    ($($name:ident<$life:lifetime $(, $held:lifetime)?>: $long:ty => $short:ty;)*) => {$(
        const _: () = {
            #[allow(dead_code, reason = "to compile is the test")]
            fn $name<$life $(, $held)?>(long: $long) -> $short {
                long
            }
        };
    )*};
}

type Long = &'static str;

covariant! {
    map<'a>: HashMap<Long, Long> => HashMap<&'a str, &'a str>;
    set<'a>: HashSet<Long> => HashSet<&'a str>;
    iter<'a, 'held>: hash_map::Iter<'held, Long, Long> => hash_map::Iter<'held, &'a str, &'a str>;
    keys<'a, 'held>: hash_map::Keys<'held, Long, Long> => hash_map::Keys<'held, &'a str, &'a str>;
    values<'a, 'held>: hash_map::Values<'held, Long, Long> => hash_map::Values<'held, &'a str, &'a str>;
    into_iter<'a>: hash_map::IntoIter<Long, Long> => hash_map::IntoIter<&'a str, &'a str>;
    into_keys<'a>: hash_map::IntoKeys<Long, Long> => hash_map::IntoKeys<&'a str, &'a str>;
    into_values<'a>: hash_map::IntoValues<Long, Long> => hash_map::IntoValues<&'a str, &'a str>;
    drain<'a>: hash_map::Drain<'static, Long, Long> => hash_map::Drain<'a, &'a str, &'a str>;
    set_iter<'a, 'held>: hash_set::Iter<'held, Long> => hash_set::Iter<'held, &'a str>;
    set_into_iter<'a>: hash_set::IntoIter<Long> => hash_set::IntoIter<&'a str>;
    set_drain<'a>: hash_set::Drain<'static, Long> => hash_set::Drain<'a, &'a str>;
    union<'a, 'held>: hash_set::Union<'held, Long, ()> => hash_set::Union<'held, &'a str, ()>;
    difference<'a, 'held>: hash_set::Difference<'held, Long, ()> => hash_set::Difference<'held, &'a str, ()>;
    intersection<'a, 'held>: hash_set::Intersection<'held, Long, ()> => hash_set::Intersection<'held, &'a str, ()>;
    symmetric<'a, 'held>: hash_set::SymmetricDifference<'held, Long, ()> => hash_set::SymmetricDifference<'held, &'a str, ()>;
}

#[test]
fn iterators_over_nothing() {
    assert_eq!(hash_map::Iter::<u8, u8>::default().next(), None);
    assert_eq!(hash_map::IterMut::<u8, u8>::default().next(), None);
    assert_eq!(hash_map::IntoIter::<u8, u8>::default().next(), None);
    assert_eq!(hash_map::Keys::<u8, u8>::default().len(), 0);
    assert_eq!(hash_map::Values::<u8, u8>::default().len(), 0);
    assert_eq!(hash_map::ValuesMut::<u8, u8>::default().len(), 0);
    assert_eq!(hash_map::IntoKeys::<u8, u8>::default().len(), 0);
    assert_eq!(hash_map::IntoValues::<u8, u8>::default().len(), 0);
    assert_eq!(hash_set::Iter::<u8>::default().next(), None);
    assert_eq!(hash_set::IntoIter::<u8>::default().next(), None);
}

#[test]
fn a_map_crosses_threads_and_unwinding() {
    let mut map: HashMap<u32, Text> = (0..100).map(|key| (key, key.to_string())).collect();
    map = std::thread::spawn(move || {
        map.remove(&1);
        map
    })
    .join()
    .unwrap();
    let lens: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| map.len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(lens, [99, 99]);
    assert_eq!(std::panic::catch_unwind(|| map.values().map(String::len).sum::<usize>()).unwrap(), 189);
}
