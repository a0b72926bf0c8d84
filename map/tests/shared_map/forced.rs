//! Forced overlaps: one side is parked inside, the other comes. Each is found, a thousand times of a thousand, and by its name.

use super::gate::{Gate, Key};
use super::on_threads;
use crate::common::{By, MIXED};
use bucketmask_map::raw::SharedMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::thread;

pub(crate) const TESTS: [(&str, fn()); 11] = [
    ("who_panics_inside_takes_its_mark_along", who_panics_inside_takes_its_mark_along),
    ("a_writer_that_comes_to_a_reader_is_found", a_writer_that_comes_to_a_reader_is_found),
    ("a_reader_that_comes_to_a_writer_is_found", a_reader_that_comes_to_a_writer_is_found),
    ("a_reader_that_comes_to_growth_is_found", a_reader_that_comes_to_growth_is_found),
    ("writers_that_meet_are_found", writers_that_meet_are_found),
    ("a_writer_that_comes_to_an_iteration_is_found", a_writer_that_comes_to_an_iteration_is_found),
    ("an_iteration_that_comes_to_a_writer_is_found", an_iteration_that_comes_to_a_writer_is_found),
    ("readers_that_share_a_shard_are_found", readers_that_share_a_shard_are_found),
    ("a_thread_that_meets_itself_is_found", a_thread_that_meets_itself_is_found),
    ("a_map_that_is_dropped_under_a_reader_is_leaked", a_map_that_is_dropped_under_a_reader_is_leaked),
    ("what_was_found_left_the_map_whole", what_was_found_left_the_map_whole),
];

pub(crate) type Map = SharedMap<Key, u64, By>;

/// Times that each overlap is forced; the sanitizers' lanes force fewer.
fn times() -> u64 {
    if std::env::var_os("BUCKETMASK_STEPS").is_some() { 50 } else { 1000 }
}

/// A map of the keys 0 to 9.
pub(crate) fn ten() -> Map {
    let map = Map::with_hasher(MIXED);
    (0..10).for_each(|id| {
        // SAFETY: nobody else has it.
        let old = unsafe { map.insert(Key::new(id), id) };
        assert_eq!(old, None);
    });
    map
}

/// A key that parks when it is compared.
pub(crate) fn parking(id: u64, gate: &Arc<Gate>) -> Key {
    Key { at_eq: Some(Arc::clone(gate)), ..Key::new(id) }
}

/// Prints no report that a test expects: thousands do.
pub(crate) fn keep_quiet() {
    let loud = take_hook();
    set_hook(Box::new(move |panic| {
        let report = panic.payload().downcast_ref::<String>();
        if !report.is_some_and(|report| report.starts_with("concurrent map ")) {
            loud(panic);
        }
    }));
}

/// What `work` says when it panics.
pub(crate) fn said<R>(work: impl FnOnce() -> R) -> Option<String> {
    catch_unwind(AssertUnwindSafe(work)).err().map(|payload| {
        payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "something else than a report".to_owned())
    })
}

/// Parks `first` inside at a gate, lets `second` come, and counts how often it says `title`, while the first says nothing and ends well.
fn force<R>(title: &str, first: impl Fn(&Map, &Arc<Gate>) + Sync, second: impl Fn(&Map) -> R + Sync) {
    let map = ten();
    let mut found = 0;
    for _ in 0..times() {
        let gate = Arc::new(Gate::default());
        gate.arm();
        thread::scope(|threads| {
            let parked = threads.spawn(|| first(&map, &gate));
            gate.await_parked();
            let message = said(|| second(&map));
            gate.open();
            parked.join().expect("the first side is left in peace");
            found += u64::from(message.is_some_and(|message| message.starts_with(title)));
        });
    }
    assert_eq!(found, times(), "{title}");
    map.into_inner().check();
}

fn a_writer_that_comes_to_a_reader_is_found() {
    force(
        "concurrent map read and map write",
        // SAFETY: on purpose, the contract is broken; the detector stops the second side before it touches the table. So in all of this file.
        |map, gate| assert_eq!(unsafe { map.get(&parking(3, gate)) }, Some(&3)),
        // SAFETY: as above.
        |map| unsafe { map.insert(Key::new(100), 0) },
    );
}

fn a_reader_that_comes_to_a_writer_is_found() {
    force(
        "concurrent map read and map write",
        // SAFETY: as above.
        |map, gate| assert_eq!(unsafe { map.insert(parking(3, gate), 3) }, Some(3)),
        // SAFETY: as above.
        |map| assert_eq!(unsafe { map.get(&Key::new(7)) }, Some(&7)),
    );
}

/// Different keys, and the writer is moving them to another place.
fn a_reader_that_comes_to_growth_is_found() {
    let mut found = 0;
    for _ in 0..times() {
        let (map, gate) = (ten(), Arc::new(Gate::default()));
        let held = Key { at_hash: Some(Arc::clone(&gate)), ..Key::new(10) };
        // SAFETY: nobody else has it yet.
        unsafe { map.insert(held, 10) };
        gate.arm();
        thread::scope(|threads| {
            let parked = threads.spawn(|| {
                // SAFETY: as above.
                (11..200).for_each(|id| assert_eq!(unsafe { map.insert(Key::new(id), id) }, None));
            });
            gate.await_parked();
            // SAFETY: as above.
            let message = said(|| unsafe { map.contains_key(&Key::new(2)) });
            gate.open();
            parked.join().expect("the writer is left in peace");
            found += u64::from(message.is_some_and(|message| {
                message.starts_with("concurrent map read and map write") && message.contains("`insert`")
            }));
        });
        map.into_inner().check();
    }
    assert_eq!(found, times());
}

fn writers_that_meet_are_found() {
    force(
        "concurrent map writes",
        // SAFETY: as above.
        |map, gate| assert_eq!(unsafe { map.insert(parking(3, gate), 3) }, Some(3)),
        // SAFETY: as above.
        |map| unsafe { map.remove(&Key::new(7)) },
    );
}

fn a_writer_that_comes_to_an_iteration_is_found() {
    force(
        "concurrent map iteration and map write",
        |map, gate| {
            // SAFETY: as above.
            let mut entries = unsafe { map.iter() };
            entries.next();
            gate.pass();
            assert_eq!(entries.count(), 9);
        },
        // SAFETY: as above.
        |map| unsafe { map.clear() },
    );
}

fn an_iteration_that_comes_to_a_writer_is_found() {
    force(
        "concurrent map iteration and map write",
        // SAFETY: as above.
        |map, gate| assert_eq!(unsafe { map.update(&Key::new(3), |_| gate.pass()) }, Some(())),
        // SAFETY: as above.
        |map| assert_eq!(unsafe { map.iter() }.count(), 10),
    );
}

/// Forty readers inside, of which some have no shard of their own; a writer that comes when only those are left is told.
fn readers_that_share_a_shard_are_found() {
    let map = ten();
    let gates: Vec<Arc<Gate>> = (0..40).map(|_| Arc::new(Gate::default())).collect();
    for gate in &gates {
        gate.arm();
    }
    let mut found = 0;
    thread::scope(|threads| {
        let readers: Vec<_> = gates
            .iter()
            // SAFETY: as above.
            .map(|gate| threads.spawn(|| unsafe { map.with(&Key::new(3), |_| gate.pass()) }))
            .collect();
        for gate in &gates {
            gate.await_parked();
        }
        for (gate, reader) in gates.iter().zip(readers) {
            // SAFETY: as above.
            found += usize::from(said(|| unsafe { map.remove(&Key::new(5)) }).is_some());
            gate.open();
            assert_eq!(reader.join().expect("readers are left in peace"), Some(()));
        }
    });
    assert_eq!(found, 40);
    // SAFETY: the readers are joined.
    assert_eq!(unsafe { map.remove(&Key::new(5)) }, Some(5));
}

/// A closure of an operation that comes back to the map, and a write while an iterator is alive.
fn a_thread_that_meets_itself_is_found() {
    let map = ten();
    // SAFETY: as above, by one thread.
    unsafe {
        let inner = || map.update(&Key::new(2), |_| ());
        let message = said(|| map.with(&Key::new(1), |_| inner())).expect("it is reported");
        assert!(message.starts_with("concurrent map read and map write"), "{message}");
        assert!(message.contains("the same one"), "{message}");
        let message = said(|| map.update(&Key::new(1), |_| map.len())).expect("it is reported");
        assert!(message.starts_with("concurrent map read and map write"), "{message}");
        let message = said(|| map.retain(|_, _| map.remove(&Key::new(1)).is_some())).expect("it is reported");
        assert!(message.starts_with("concurrent map writes"), "{message}");
        let entries = map.iter();
        let message = said(|| map.insert(Key::new(11), 11)).expect("it is reported");
        assert!(message.starts_with("concurrent map iteration and map write"), "{message}");
        assert_eq!(entries.count(), 10);
        assert_eq!(map.insert(Key::new(11), 11), None, "the iteration is over");
    }
}

fn a_map_that_is_dropped_under_a_reader_is_leaked() {
    let (map, gate) = (Box::into_raw(Box::new(ten())) as usize, Gate::default());
    gate.arm();
    thread::scope(|threads| {
        let reader = threads.spawn(|| {
            // SAFETY: as above; the box itself is freed after the reader is joined.
            let map = unsafe { &*(map as *const Map) };
            // SAFETY: as above.
            unsafe {
                map.with(&Key::new(3), |value| {
                    gate.pass();
                    *value
                })
            }
        });
        gate.await_parked();
        // SAFETY: as above: dropped in place, once.
        let message = said(|| unsafe { std::ptr::drop_in_place(map as *mut Map) }).expect("it is reported");
        assert!(message.contains("in `drop`") && message.contains("`with`"), "{message}");
        gate.open();
        assert_eq!(reader.join().expect("the reader is left in peace"), Some(3));
    });
    // SAFETY: the map was dropped (and its table leaked); what is left is the box.
    unsafe { std::alloc::dealloc(map as *mut u8, std::alloc::Layout::new::<Map>()) };
}

/// After reports of all kinds every operation works, on other threads too.
fn what_was_found_left_the_map_whole() {
    let map = ten();
    for id in 0..10 {
        // SAFETY: as above, by one thread.
        unsafe {
            assert!(said(|| map.with(&Key::new(id), |_| map.clear())).is_some());
            assert!(said(|| map.update(&Key::new(id), |_| map.iter().count())).is_some());
        }
    }
    // SAFETY: reads.
    on_threads(4, |id| assert_eq!(unsafe { map.get(&Key::new(id)) }, Some(&id)));
    // SAFETY: the readers are joined.
    unsafe { map.clear() };
    assert_eq!(map.into_inner().len(), 0);
}

/// Reads, writes and iterations that unwind: what comes after them meets nobody.
fn who_panics_inside_takes_its_mark_along() {
    let map = ten();
    // SAFETY: by one thread; what panics is over.
    unsafe {
        let ended =
            |message: Option<String>| assert_eq!(message.as_deref(), Some("something else than a report"));
        ended(said(|| map.with(&Key::new(1), |_| resume_unwind(Box::new(())))));
        ended(said(|| map.retain(|_, _| resume_unwind(Box::new(())))));
        ended(said(|| {
            let _entries = map.iter();
            resume_unwind(Box::new(()))
        }));
        ended(said(|| map.update(&Key::new(1), |_| resume_unwind(Box::new(())))));
        assert_eq!(map.insert(Key::new(1), 1), Some(1));
        assert_eq!(map.iter().count(), 10);
    }
}
