//! Sizes, alignments and numbers at their edges: zero-sized, over-aligned and huge objects, many types, many arenas.
//!
//! Owned by the page plan. Invariant: every address is aligned, nothing overlaps, and what is freed can be had again.
#![expect(
    clippy::large_stack_arrays,
    reason = "huge objects are what is tested; they get a stack that holds them"
)]

use bucketmask_gc::arena::CollectionPhase;
use bucketmask_gc::{Arena, Collect, Gc, GcWeak, Rootable, Static, Walk};
use std::collections::HashSet;

/// A value that remembers its number, if it has room for one.
trait Shape {
    fn number(&self) -> u8;
}

macro_rules! aligned {
    ($($name:ident $align:literal),*) => { $(
        #[derive(Collect)]
        #[collect(require_static)]
        #[repr(align($align))]
        struct $name(u8);

        impl Shape for $name {
            fn number(&self) -> u8 {
                self.0
            }
        }
    )* };
}

aligned!(A1 1, A16 16, A32 32, A64 64, A256 256, A1K 1024, A4K 4096, A8K 8192, A16K 16384, A64K 65536, A128K 131072, A4M 4194304, A8M 8388608);

#[derive(Collect)]
#[collect(require_static)]
#[repr(align(512))]
struct Nothing;

impl Shape for Nothing {
    fn number(&self) -> u8 {
        0
    }
}

impl Shape for () {
    fn number(&self) -> u8 {
        0
    }
}

#[test]
fn every_alignment_is_kept() {
    fn check<'gc, T: Shape + Collect<'gc> + 'gc>(
        mc: &bucketmask_gc::Mutation<'gc>,
        count: usize,
        make: impl Fn(u8) -> T,
    ) {
        let mut seen = HashSet::new();
        for number in 0..count {
            let object = Gc::new(mc, make(number as u8));
            let address = Gc::as_ptr(object).addr();
            assert_eq!(address % align_of::<T>(), 0, "{}", std::any::type_name::<T>());
            assert!(seen.insert(address));
            assert_eq!(object.number(), number as u8);
        }
    }
    on_a_big_stack(|| {
        bucketmask_gc::arena::rootless_mutate(|mc| {
            check(mc, 700, A1);
            check(mc, 700, A16);
            check(mc, 700, A32);
            check(mc, 700, A64);
            check(mc, 200, A256);
            check(mc, 100, A1K);
            check(mc, 40, A4K);
            check(mc, 20, A8K);
            check(mc, 10, A16K);
            check(mc, 10, A64K);
            check(mc, 3, A128K);
            check(mc, 2, A4M);
            check(mc, 2, A8M);
            check(mc, 1, |_| Nothing);
            check(mc, 1, |_| ());
            let units: HashSet<_> = (0..700).map(|_| Gc::as_ptr(Gc::new(mc, Nothing)).addr()).collect();
            assert!(units.len() == 700 && units.iter().all(|address| address % 512 == 0));
        });
    });
}

/// `BYTES` bytes and a pointer, each byte the object's number.
#[derive(Collect)]
#[collect(no_drop)]
struct Sized<'gc, const BYTES: usize> {
    bytes: [u8; BYTES],
    next: Option<Gc<'gc, Sized<'gc, BYTES>>>,
}

fn chains_of_size<const BYTES: usize>(count: u8) {
    type Root<'gc, const BYTES: usize> = Vec<Gc<'gc, Sized<'gc, BYTES>>>;
    let mut arena = Arena::<Rootable![Root<'_, BYTES>]>::new(|_| Vec::new());
    for walk in [Walk::Mask, Walk::Flat, Walk::Mask] {
        arena.set_walk(walk);
        arena.mutate_root(|mc, root| {
            root.clear();
            let mut next = None;
            for number in 0..count {
                let object = Gc::new(mc, Sized { bytes: [number; BYTES], next });
                // Every third object is kept by the root, with the one that it points to.
                next = (number % 3 == 0).then_some(object);
                if number % 3 == 1 {
                    root.push(object);
                }
            }
        });
        arena.finish_cycle();
        let kept = usize::from(count).div_ceil(3) + usize::from(count + 1) / 3;
        let expected =
            arena.mutate(|_, root| root.iter().map(|object| 1 + usize::from(object.next.is_some())).sum());
        assert!(expected <= kept && expected > 0);
        assert_eq!(arena.verify().unwrap().live, expected, "{BYTES} bytes, {walk:?}");
        arena.mutate(|_, root| {
            for (index, object) in root.iter().enumerate() {
                let number = index as u8 * 3 + 1;
                assert!(object.bytes.iter().all(|byte| *byte == number));
                assert!(object.next.unwrap().bytes.iter().all(|byte| *byte == number - 1));
            }
        });
    }
    arena.mutate_root(|_, root| root.clear());
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), 0);
    let left = arena.last_cycle();
    assert!(left.pages <= 1, "one empty page a type may stay: {left:?}");
}

#[test]
fn objects_of_all_sizes() {
    chains_of_size::<0>(250);
    chains_of_size::<8>(250);
    chains_of_size::<100>(250);
    chains_of_size::<1_000>(250);
    chains_of_size::<3_000>(250);
    chains_of_size::<10_000>(100);
    chains_of_size::<20_000>(40);
    chains_of_size::<32_000>(40);
    chains_of_size::<40_000>(20);
    chains_of_size::<200_000>(8);
}

/// Values of several MiB pass through the stack on their way to the arena.
fn on_a_big_stack(test: fn()) {
    std::thread::Builder::new().stack_size(128 << 20).spawn(test).unwrap().join().unwrap();
}

const HUGE: usize = 5 << 20;

/// A huge object that is built in place, without a copy on the stack.
fn huge<'gc>(mc: &bucketmask_gc::Mutation<'gc>) -> Gc<'gc, Static<[u8; HUGE]>> {
    Gc::new(mc, Static([3; HUGE]))
}

#[test]
fn huge_objects_are_marked_swept_and_held() {
    on_a_big_stack(|| {
        type Root<'gc> = (Vec<Gc<'gc, Static<[u8; HUGE]>>>, Vec<GcWeak<'gc, Static<[u8; HUGE]>>>);
        let mut arena = Arena::<Rootable![Root<'_>]>::new(|_| (Vec::new(), Vec::new()));
        arena.mutate_root(|mc, root| {
            root.0.extend([huge(mc), huge(mc)]);
            root.1 = vec![Gc::downgrade(root.0[0]), Gc::downgrade(huge(mc))];
            huge(mc);
        });
        assert_eq!(arena.metrics().total_gc_count(), 4);
        for _ in 0..2 {
            arena.finish_cycle();
            assert_eq!(arena.verify().unwrap().live, 2);
            arena.mutate(|mc, root| {
                assert!(root.0.iter().all(|object| object.0[0] == 3 && object.0[HUGE - 1] == 3));
                assert!(root.1[0].upgrade(mc).is_some() && !root.1[0].is_dropped());
                assert!(root.1[1].upgrade(mc).is_none() && root.1[1].is_dropped());
            });
        }
        assert_eq!(arena.last_cycle().live_bytes, 2 * HUGE);
        arena.mutate_root(|_, root| root.0.clear());
        arena.finish_cycle();
        arena.mutate(|_, root| assert!(root.1.iter().all(|weak| weak.is_dropped())));
        assert_eq!(arena.verify().unwrap().live, 0);
    });
}

#[test]
fn huge_objects_are_traced() {
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Table<'gc> {
        slots: [Option<Gc<'gc, u64>>; 300_000],
    }
    on_a_big_stack(|| {
        let mut arena = Arena::<Rootable![Option<Gc<'_, Table<'_>>>]>::new(|mc| {
            let mut slots = [None; 300_000];
            for (number, slot) in slots.iter_mut().enumerate().step_by(1_000) {
                *slot = Some(Gc::new(mc, number as u64));
            }
            Some(Gc::new(mc, Table { slots }))
        });
        arena.finish_cycle();
        assert_eq!(arena.verify().unwrap().reachable, 301);
        arena.mutate(|_, root| assert_eq!(root.unwrap().slots[299_000].map(|number| *number), Some(299_000)));
        arena.mutate_root(|_, root| *root = None);
        arena.finish_cycle();
        assert_eq!(arena.verify().unwrap().live, 0);
    });
}

#[derive(Collect)]
#[collect(no_drop)]
struct Numbered<'gc, const TYPE: usize>(usize, Option<Gc<'gc, u8>>);

macro_rules! numbered {
    ($mc:ident, $root:ident: $($high:literal)*) => { $(numbered!(@ $mc, $root, $high: 0 1 2 3 4 5 6 7 8 9);)* };
    (@ $mc:ident, $root:ident, $high:literal: $($low:literal)*) => { $({
        let object = Gc::new($mc, Numbered::<{ $high * 10 + $low }>($high * 10 + $low, Some(Gc::new($mc, $low))));
        $root.push((Gc::as_ptr(object).addr(), object.1.unwrap()));
        Gc::new($mc, Numbered::<{ $high * 10 + $low }>(0, None));
    })* };
}

#[test]
fn a_hundred_types_in_an_arena() {
    type Root<'gc> = Vec<(usize, Gc<'gc, u8>)>;
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let mut root = Vec::new();
        numbered!(mc, root: 0 1 2 3 4 5 6 7 8 9);
        root
    });
    assert_eq!(arena.metrics().total_gc_count(), 300);
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 100);
    arena.mutate(|_, root| {
        let pages: HashSet<_> = root.iter().map(|(address, _)| address >> 13).collect();
        // Types that agree in size, alignment, tracing and dropping may be merged by the compiler, which is harmless.
        assert!(
            !pages.is_empty()
                && root.iter().enumerate().all(|(number, (_, low))| number % 10 == usize::from(**low))
        );
    });
}

#[test]
fn a_thousand_arenas() {
    let mut arenas: Vec<_> = (0..1_000_u64)
        .map(|number| {
            Arena::<Rootable![(Gc<'_, u64>, Gc<'_, [u64; 4]>)]>::new(|mc| {
                (Gc::new(mc, number), Gc::new(mc, [number; 4]))
            })
        })
        .collect();
    arenas.retain(|arena| arena.mutate(|_, root| *root.0 % 3 != 0));
    for arena in &mut arenas {
        arena.mutate_root(|mc, root| root.0 = Gc::new(mc, *root.0 + 1));
        arena.finish_cycle();
        assert_eq!(arena.verify().unwrap().live, 2);
        assert!(arena.last_cycle().held_bytes <= 2 * (8 << 10));
    }
    for arena in &arenas {
        arena.mutate(|_, root| assert_eq!(*root.0, root.1[0] + 1));
    }
}

#[test]
fn pages_go_back_when_they_are_empty() {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, [u64; 8]>>]>::new(|mc| {
        (0..100_000).map(|number| Gc::new(mc, [number; 8])).collect()
    });
    arena.finish_cycle();
    let full = arena.last_cycle();
    assert!(full.held_bytes >= 6_400_000 && full.pages_returned == 0);
    arena.mutate_root(|_, root| root.truncate(1_000));
    arena.finish_cycle();
    let small = arena.last_cycle();
    assert!(small.pages_returned > 150 && small.pages + small.pages_returned == full.pages, "{small:?}");
    assert!(small.held_bytes <= 200_000, "{small:?}");
    assert!(
        arena.mutate(|_, root| root.iter().enumerate().all(|(number, object)| object[7] == number as u64))
    );
    arena.mutate_root(|mc, root| root.extend((1_000..50_000).map(|number| Gc::new(mc, [number; 8]))));
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 50_000);
    assert!(
        arena.mutate(|_, root| root.iter().enumerate().all(|(number, object)| object[0] == number as u64))
    );
}

/// A cell of a chain, with a weak pointer and another pointer to any, and an object of another type.
#[derive(Collect)]
#[collect(no_drop)]
struct Cell<'gc> {
    weak: Option<GcWeak<'gc, Cell<'gc>>>,
    next: Option<Gc<'gc, Cell<'gc>>>,
    other: Option<Gc<'gc, Cell<'gc>>>,
    name: Gc<'gc, String>,
}

#[test]
fn an_object_that_a_weak_pointer_of_its_page_led_to_first_is_traced() {
    let mut arena = Arena::<Rootable![Gc<'_, Cell<'_>>]>::new(|mc| {
        let cell = |weak, next, other, name: &str| {
            Gc::new(mc, Cell { weak, next, other, name: Gc::new(mc, name.to_owned()) })
        };
        let last = cell(None, None, None, "last");
        let middle = cell(None, Some(last), None, "middle");
        // With a second cell the page is traced as a whole, by its masks.
        cell(Some(Gc::downgrade(last)), Some(middle), Some(cell(None, None, None, "other")), "first")
    });
    for _ in 0..3 {
        arena.finish_cycle();
        arena.verify().unwrap();
        assert_eq!(arena.metrics().total_gc_count(), 8);
        let names = arena.mutate(|mc, first| {
            let middle = first.next.unwrap();
            assert!(Gc::ptr_eq(first.weak.unwrap().upgrade(mc).unwrap(), middle.next.unwrap()));
            [first.name.len(), middle.name.len(), middle.next.unwrap().name.len()]
        });
        assert_eq!(names, [5, 6, 4]);
    }
}

#[test]
fn a_chain_on_few_pages_is_marked_in_steps() {
    const CELLS: usize = 3000;
    let mut arena = Arena::<Rootable![Option<Gc<'_, Cell<'_>>>]>::new(|_| None);
    arena.mutate_root(|mc, root| {
        let name = Gc::new(mc, "all".to_owned());
        for _ in 0..CELLS {
            *root = Some(Gc::new(mc, Cell { weak: None, next: *root, other: None, name }));
        }
    });
    arena.finish_cycle();
    // Debt comes a little at a time, so that most steps end inside a page.
    let mut steps = 0;
    while arena.mark_debt().is_none() {
        arena.mutate(|mc, _| _ = Gc::new(mc, [0_u8; 64]));
        steps += usize::from(arena.collection_phase() == CollectionPhase::Marking);
        assert!(steps < CELLS, "marking does not end");
        if steps % 8 == 1 {
            arena.verify().unwrap();
        }
    }
    assert!(steps > 10, "{steps} steps");
    arena.finish_cycle();
    arena.verify().unwrap();
    let length = arena.mutate(|_, root| std::iter::successors(*root, |cell| cell.next).count());
    assert_eq!(length, CELLS);
}
