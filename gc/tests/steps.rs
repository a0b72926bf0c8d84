//! Steps within a budget: what is too large for one is traced, dropped and given back in parts, and the program runs in between.
//!
//! Owned by the bound on a step. Invariant: no step does much more than its budget, counted in work and not in time; what is
//! reachable at the end of a cycle lives, however the program changed it in between.
#![expect(
    clippy::large_stack_arrays,
    reason = "huge objects are what is tested; they get a stack that holds them"
)]

use bucketmask_gc::arena::CollectionPhase;
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Arena, Budget, Collect, Gc, Lock, RefLock, Rootable, unsize};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Elements of the huge array, which takes 4 MiB.
const ELEMENTS: usize = 1 << 19;
/// What a step may do beyond its budget: a piece.
const PIECE: usize = 48 << 10;

type Cells<'gc> = Gc<'gc, [Lock<Option<Gc<'gc, u64>>>]>;
type Slices = Arena<Rootable![Cells<'_>]>;

/// Runs with a stack that holds a huge array, and some copies of it.
fn with_stack(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(128 << 20).spawn_scoped(scope, run);
        thread.expect("a thread").join().expect("no panic");
    });
}

fn slices(every: usize) -> Slices {
    Slices::new(|mc| {
        let cells: Gc<'_, [Lock<Option<Gc<'_, u64>>>; ELEMENTS]> =
            Gc::new(mc, [const { Lock::new(None) }; ELEMENTS]);
        let cells = unsize!(cells => [_]);
        for index in (0..ELEMENTS).step_by(every) {
            Gc::write_at(mc, cells, index).unlock().set(Some(Gc::new(mc, index as u64)));
        }
        cells
    })
}

#[test]
fn a_huge_array_is_traced_within_the_budget() {
    with_stack(|| {
        let mut arena = slices(64);
        for budget in [1, 64 << 10, 1 << 20] {
            while !arena.step(Budget::work(budget)) {
                assert!(arena.verify().is_ok());
            }
            let cycle = arena.last_cycle();
            assert!(cycle.most_work <= budget + PIECE, "{cycle:?} for {budget}");
            assert!(cycle.steps >= ELEMENTS * 8 / (budget + PIECE), "{cycle:?} for {budget}");
            assert_eq!(cycle.marked, 1 + ELEMENTS / 64);
        }
        arena.finish_cycle();
        assert_eq!((arena.last_cycle().steps, arena.last_cycle().marked), (1, 1 + ELEMENTS / 64));
    });
}

#[test]
fn one_bucket_of_an_array_is_traced_again() {
    with_stack(|| {
        let mut arena = slices(ELEMENTS);
        // Some steps into the array: its first half is traced, its second is not.
        for _ in 0..ELEMENTS * 8 / (16 << 10) / 2 {
            assert!(!arena.step(Budget::work(16 << 10)));
        }
        arena.mutate(|mc, cells| {
            for index in [5, 6, ELEMENTS - 3] {
                Gc::write_at(mc, *cells, index).unlock().set(Some(Gc::new(mc, index as u64)));
            }
        });
        let mut work = 0;
        while !arena.step(Budget::work(16 << 10)) {
            assert!(arena.verify().is_ok());
            work += 1;
        }
        assert!(
            work < 3 * ELEMENTS * 8 / (16 << 10) / 4,
            "{work} steps: the array was traced from its start"
        );
        assert_eq!(arena.last_cycle().marked, 1 + 1 + 3);
        arena.mutate(|_, cells| {
            assert_eq!(cells[5].get().map(|value| *value), Some(5));
            assert_eq!(cells[ELEMENTS - 3].get().map(|value| *value), Some(ELEMENTS as u64 - 3));
        });

        // The whole array, written to as such: traced from its start, once, and nothing is lost.
        for _ in 0..ELEMENTS * 8 / (16 << 10) / 2 {
            assert!(!arena.step(Budget::work(16 << 10)));
        }
        arena.mutate(|mc, cells| {
            let all = Gc::write(mc, *cells);
            all[9].unlock().set(Some(Gc::new(mc, 9)));
        });
        while !arena.step(Budget::work(16 << 10)) {
            assert!(arena.verify().is_ok());
        }
        assert_eq!(arena.last_cycle().marked, 1 + 1 + 4);
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), 1 + 1 + 4);
    });
}

#[derive(Clone)]
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

bucketmask_gc::static_collect!(Counted);

type Held<'gc> = Gc<'gc, RefLock<Option<Gc<'gc, [Counted]>>>>;

#[test]
fn a_huge_array_dies_within_the_budget() {
    with_stack(|| {
        let drops = Rc::new(Cell::new(0));
        let mut arena = Arena::<Rootable![Held<'_>]>::new(|mc| Gc::new(mc, RefLock::new(None)));
        arena.mutate(|mc, held| {
            let all: [Counted; ELEMENTS] = std::array::from_fn(|_| Counted(Rc::clone(&drops)));
            *held.unlock(mc).borrow_mut() = Some(unsize!(Gc::new(mc, all) => [Counted]));
        });
        arena.finish_cycle();
        assert_eq!(drops.get(), 0);
        arena.mutate(|mc, held| *held.unlock(mc).borrow_mut() = None);
        let mut least = ELEMENTS;
        loop {
            let before = drops.get();
            let ended = arena.step(Budget::work(16 << 10));
            assert!(drops.get() - before <= PIECE / size_of::<Counted>(), "too many drops in one step");
            least = least.min(ELEMENTS - drops.get());
            assert!(arena.verify().is_ok());
            if ended {
                break;
            }
        }
        assert_eq!((drops.get(), least), (ELEMENTS, 0));
        assert_eq!(arena.metrics().total_gc_count(), 1);
        assert!(arena.last_cycle().most_work <= (16 << 10) + PIECE, "{:?}", arena.last_cycle());

        // Half dead when the arena goes: the other half is dropped with it, and nothing twice.
        arena.mutate(|mc, held| {
            let all: [Counted; ELEMENTS] = std::array::from_fn(|_| Counted(Rc::clone(&drops)));
            let _garbage = unsize!(Gc::new(mc, all) => [Counted]);
            assert!(held.borrow().is_none());
        });
        while drops.get() < ELEMENTS + ELEMENTS / 2 {
            assert!(!arena.step(Budget::work(16 << 10)));
        }
        drop(arena);
        assert_eq!(drops.get(), 2 * ELEMENTS);
    });
}

#[derive(Collect)]
#[collect(no_drop)]
struct Link<'gc> {
    next: Option<Gc<'gc, Link<'gc>>>,
    value: u64,
}

#[test]
fn a_long_list_is_traced_and_freed_within_the_budget() {
    const LINKS: u64 = 200_000;
    let mut arena = Arena::<Rootable![Option<Gc<'_, Link<'_>>>]>::new(|mc| {
        (0..LINKS).fold(None, |next, value| Some(Gc::new(mc, Link { next, value })))
    });
    for (live, budget) in [(LINKS, 4096), (0, 4096)] {
        if live == 0 {
            arena.mutate_root(|_, root| *root = None);
        }
        while !arena.step(Budget::work(budget)) {}
        let cycle = arena.last_cycle();
        assert!(cycle.most_work <= budget + PIECE, "{cycle:?}");
        assert_eq!((cycle.marked as u64, cycle.swept as u64), (live, LINKS - live));
    }
}

#[test]
fn a_deadline_ends_a_step() {
    let mut arena = Arena::<Rootable![Option<Gc<'_, Link<'_>>>]>::new(|mc| {
        (0..100_000).fold(None, |next, value| Some(Gc::new(mc, Link { next, value })))
    });
    // A deadline that has passed: nothing is done. One that never comes: all is.
    assert!(arena.step(Budget::time(Duration::ZERO)), "the collector sleeps");
    assert_eq!(arena.last_cycle().cycle, 0);
    assert!(arena.step(Budget::time(Duration::MAX)));
    assert_eq!((arena.last_cycle().cycle, arena.last_cycle().steps), (1, 1));
    let mut steps = 1;
    while !arena.step(Budget::time(Duration::from_micros(20))) {
        steps += 1;
    }
    let cycle = arena.last_cycle();
    assert_eq!((cycle.cycle, cycle.marked), (2, 100_000));
    assert!(steps >= 2 && cycle.steps <= steps, "{steps} {cycle:?}");
    arena.mutate(|_, root| assert_eq!(root.expect("there").value, 99_999));
}

/// Counts how often it is traced.
struct Traced(Rc<Cell<usize>>);

// SAFETY: it holds no pointers.
unsafe impl<'gc> Collect<'gc> for Traced {
    fn trace<T: Trace<'gc>>(&self, _: &mut T) {
        self.0.set(self.0.get() + 1);
    }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    next: Option<Gc<'gc, Node<'gc>>>,
}

type Written<'gc> = Gc<'gc, RefLock<(Traced, Vec<Gc<'gc, u64>>)>>;

#[test]
fn a_container_that_is_written_to_between_steps_is_traced_a_few_times() {
    const ENTRIES: u64 = 4000;
    let traced = Rc::new(Cell::new(0));
    let counted = Traced(Rc::clone(&traced));
    let mut arena = Arena::<Rootable![(Option<Gc<'_, Node<'_>>>, Written<'_>)]>::new(|mc| {
        let list = (0..ENTRIES).fold(None, |next, _| Some(Gc::new(mc, Node { next })));
        let entries = (0..ENTRIES).map(|entry| Gc::new(mc, entry)).collect();
        (list, Gc::new(mc, RefLock::new((counted, entries))))
    });
    arena.finish_cycle();
    traced.set(0);
    let mut steps = 0;
    loop {
        arena.mutate(|mc, root| {
            root.1.borrow_mut(mc).1[steps % ENTRIES as usize] = Gc::new(mc, steps as u64);
        });
        arena.collect_debt();
        let phase = arena.collection_phase();
        let marks = phase == CollectionPhase::Marking || phase == CollectionPhase::Marked;
        steps += usize::from(marks);
        if steps > 0 && !marks {
            break;
        }
    }
    assert!(steps > 100, "{steps} steps");
    // The detector of a checked build looks at what is written to by the same `trace`.
    assert!(traced.get() < 20 || cfg!(feature = "checked"), "traced {} times in {steps} steps", traced.get());
    arena.finish_cycle();
    arena.verify().unwrap();
    arena.mutate(|_, root| {
        assert_eq!(*root.1.borrow().1[steps % ENTRIES as usize], steps as u64);
        assert_eq!(std::iter::successors(root.0, |node| node.next).count(), ENTRIES as usize);
    });
}
