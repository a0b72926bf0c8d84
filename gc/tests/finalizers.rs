//! Finalizer queues, and memory outside the arena.
//!
//! Invariant: what is watched comes into the queue once, whole, when nothing else keeps it; what is outside counts in the pacing.

use bucketmask_gc::metrics::Pacing;
use bucketmask_gc::{Arena, Budget, Collect, External, Finalizers, Gc, RefLock, Rootable};
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

#[derive(Collect)]
#[collect(no_drop)]
struct File<'gc> {
    number: usize,
    name: Gc<'gc, String>,
    next: RefLock<Option<Gc<'gc, File<'gc>>>>,
    dropped: Noted,
}

struct Noted(Rc<Cell<usize>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

bucketmask_gc::static_collect!(Noted);

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    queue: Finalizers<'gc, File<'gc>>,
    open: RefLock<Vec<Gc<'gc, File<'gc>>>>,
}

type Files = Arena<Rootable![Root<'_>]>;

fn open(arena: &mut Files, numbers: std::ops::Range<usize>, drops: &Rc<Cell<usize>>) {
    arena.mutate_root(|mc, root| {
        for number in numbers {
            let name = Gc::new(mc, format!("file {number}"));
            let next = RefLock::new(root.open.borrow().last().copied());
            let file = Gc::new(mc, File { number, name, next, dropped: Noted(Rc::clone(drops)) });
            root.queue.watch(mc, file);
            root.open.get_mut().push(file);
        }
    });
}

#[test]
fn what_nothing_keeps_comes_into_the_queue_once() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = Files::new(|mc| Root { queue: Finalizers::new(mc), open: RefLock::default() });
    // Steps of three sizes: watched before a cycle, in its midst, and all at once.
    for budget in [16, 400, usize::MAX] {
        drops.set(0);
        open(&mut arena, 0..500, &drops);
        arena.finish_cycle();
        assert_eq!((arena.last_cycle().resurrected, drops.get()), (0, 0));
        for _ in 0..5 {
            arena.step(Budget::work(16));
        }
        open(&mut arena, 500..600, &drops);
        arena.mutate_root(|_, root| {
            root.open.get_mut().retain(|file| file.number < 100 || file.number % 2 == 0);
        });
        arena.mutate_root(|_, root| root.open.get_mut().truncate(100));
        let mut seen = HashSet::new();
        for _ in 0..3 {
            while !arena.step(Budget::work(budget)) {
                assert!(arena.verify().is_ok(), "{:?}", arena.verify());
            }
            arena.mutate(|mc, root| {
                while let Some(file) = root.queue.next(mc) {
                    assert!(seen.insert(file.number), "{} came twice", file.number);
                    assert_eq!(*file.name, format!("file {}", file.number), "what the queue holds is whole");
                }
            });
        }
        assert_eq!(seen, (100..600).collect());
        arena.finish_cycle();
        arena.finish_cycle();
        assert_eq!((arena.last_cycle().resurrected, drops.get()), (0, 500), "then they go");
        arena.mutate_root(|mc, root| {
            assert_eq!((root.queue.watched(), root.queue.ready()), (100, 0));
            root.open.get_mut().clear();
            let _ = mc;
        });
        arena.finish_cycle();
        arena.mutate(|mc, root| while root.queue.next(mc).is_some() {});
        arena.finish_cycle();
        assert_eq!(drops.get(), 600);
        assert_eq!(arena.metrics().total_gc_count(), 1);
    }
}

#[test]
fn what_dies_together_comes_together() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = Files::new(|mc| Root { queue: Finalizers::new(mc), open: RefLock::default() });
    open(&mut arena, 0..100, &drops);
    arena.mutate_root(|_, root| root.open.get_mut().truncate(20));
    arena.finish_cycle();
    // Each of them leads to the one before it.
    arena.mutate(|_, root| assert_eq!((root.queue.ready(), root.queue.watched()), (80, 20)));
    assert_eq!((arena.last_cycle().resurrected, drops.get()), (80, 0));
}

#[test]
fn an_object_in_the_queue_can_be_kept_and_watched_again() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = Files::new(|mc| Root { queue: Finalizers::new(mc), open: RefLock::default() });
    open(&mut arena, 0..1, &drops);
    arena.mutate_root(|_, root| root.open.get_mut().clear());
    for _ in 0..4 {
        arena.finish_cycle();
        assert_eq!((arena.last_cycle().resurrected, drops.get()), (1, 0));
        arena.mutate(|mc, root| {
            let file = root.queue.next(mc).expect("resurrected");
            root.queue.watch(mc, file);
        });
    }
    drop(arena);
    assert_eq!(drops.get(), 1);
}

struct Image {
    counted: External,
}

bucketmask_gc::static_collect!(Image);

#[test]
fn memory_outside_counts_in_the_pacing() {
    // A small object that holds much: without its bytes counted, no cycle would run in this loop.
    for (bytes, expected) in [(0, 0), (64 << 10, 10)] {
        let mut arena = Arena::<Rootable![()]>::new(|_| ());
        arena.metrics().set_pacing(Pacing { min_sleep: 10_000, ..Pacing::DEFAULT });
        arena.finish_cycle();
        let before = arena.last_cycle().cycle;
        let mut most = 0;
        for _ in 0..1_000 {
            arena.mutate(|mc, ()| {
                let image = Gc::new(mc, Image { counted: mc.metrics().external(bytes) });
                assert_eq!(image.counted.bytes(), bytes);
            });
            most = most.max(arena.metrics().external_bytes());
            arena.collect_debt();
        }
        let cycles = arena.last_cycle().cycle - before;
        assert!(cycles >= expected && (expected > 0 || cycles == 0), "{cycles} cycles");
        assert!(most < 4 << 20, "{most} bytes outside were alive at a time");
    }
}

#[test]
fn what_stays_outside_lets_the_next_cycle_wait() {
    let mut arena = Arena::<Rootable![Vec<External>]>::new(|mc| vec![mc.metrics().external(1 << 20)]);
    arena.finish_cycle();
    arena.mutate_root(|mc, held| held.push(mc.metrics().external(400 << 10)));
    arena.mutate(|mc, _| assert_eq!(*Gc::new(mc, 1), 1));
    assert!(arena.metrics().allocation_debt() <= 0.0, "less than half of what stayed");
    arena.mutate_root(|mc, held| {
        held.push(mc.metrics().external(200 << 10));
        held[0].resize(10);
    });
    assert!(arena.metrics().allocation_debt() > 0.0);
    assert_eq!(arena.metrics().external_bytes(), 10 + (600 << 10));
}
