//! `Gc<[T]>` whose length is known at run time: filled, traced and dropped, in one piece and in parts.

use bucketmask_gc::{Arena, Budget, Gc, GcWeak, Lock, Rootable};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

type Cells<'gc> = Gc<'gc, [Lock<Option<Gc<'gc, u64>>>]>;
type Slices = Arena<Rootable![Vec<Cells<'_>>]>;

fn cells<'gc>(mc: &bucketmask_gc::Mutation<'gc>, len: u64) -> Cells<'gc> {
    Gc::new_slice(mc, (0..len as usize).map(|number| Lock::new(Some(Gc::new(mc, number as u64)))))
}

/// Lengths around all bounds: no element, odd slots, 16 KiB, 32 KiB, 2 MiB.
const LENGTHS: [u64; 14] = [0, 1, 2, 7, 8, 63, 64, 500, 2047, 2048, 4096, 5000, 40_000, 300_000];

#[test]
fn slices_of_every_length_keep_what_they_lead_to() {
    let mut arena = Slices::new(|mc| LENGTHS.map(|len| cells(mc, len)).to_vec());
    for budget in [1 << 12, 1 << 17, usize::MAX] {
        let mut step = 0_u32;
        while !arena.step(Budget::work(budget)) {
            // A look at all of it takes a while.
            step += 1;
            assert!(!step.is_power_of_two() || arena.verify().is_ok(), "{:?}", arena.verify());
        }
        let all = LENGTHS.iter().sum::<u64>() as usize;
        assert_eq!(arena.metrics().total_gc_count(), all + LENGTHS.len());
        assert_eq!(arena.verify().unwrap().reachable, all + LENGTHS.len());
        arena.mutate(|_, root| {
            for (slice, len) in root.iter().zip(LENGTHS) {
                let numbers = slice.iter().map(|cell| *cell.get().unwrap());
                assert!(slice.len() == len as usize && numbers.eq(0..len), "{len}");
            }
        });
    }
    // Every second one goes, and with it all that only it led to.
    arena.mutate_root(|_, root| {
        root.retain(|slice| LENGTHS.iter().position(|&len| len as usize == slice.len()).unwrap() % 2 == 0);
    });
    arena.finish_cycle();
    let kept = LENGTHS.iter().step_by(2).sum::<u64>() as usize + LENGTHS.len() / 2;
    assert_eq!(arena.metrics().total_gc_count(), kept);
    assert!(arena.verify().is_ok(), "{:?}", arena.verify());
}

#[test]
fn a_write_to_one_element_is_seen_while_marking_goes_on() {
    let mut arena = Slices::new(|mc| vec![cells(mc, 100_000), cells(mc, 10)]);
    for round in 0..60 {
        arena.step(Budget::work(40_000));
        arena.mutate(|mc, root| {
            for slice in root {
                let at = (round * 7919) % slice.len();
                Gc::write_at(mc, *slice, at).unlock().set(Some(Gc::new(mc, 1_000_000 + round as u64)));
            }
        });
        assert!(arena.verify().is_ok(), "{round}: {:?}", arena.verify());
    }
    arena.finish_cycle();
    arena.finish_cycle();
    arena.mutate(|_, root| {
        let last = *root[0][59 * 7919 % 100_000].get().unwrap();
        assert_eq!(last, 1_000_059);
    });
}

#[test]
fn a_step_is_bounded_by_its_budget_inside_one_slice() {
    const BUDGET: usize = 32 << 10;
    let mut arena = Slices::new(|mc| vec![cells(mc, 400_000)]);
    arena.finish_cycle();
    let run = |arena: &mut Slices| {
        let mut steps = 0;
        while !arena.step(Budget::work(BUDGET)) {
            steps += 1;
        }
        assert!(arena.last_cycle().most_work <= 2 * BUDGET, "{}", arena.last_cycle().most_work);
        steps
    };
    assert!(run(&mut arena) >= 400_000 * 8 / BUDGET / 2, "tracing stops on its way");
    arena.mutate_root(|_, root| root.clear());
    assert!(run(&mut arena) > 4);
    assert_eq!(arena.metrics().total_gc_count(), 0);
}

/// Counts its drops.
struct Counted(Rc<Cell<usize>>);

bucketmask_gc::static_collect!(Counted);

type Owners = Arena<Rootable![Vec<Gc<'_, [Counted]>>]>;

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn every_element_is_dropped_once() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = Owners::new(|_| Vec::new());
    let lengths = [0, 1, 5, 100, 3000, 300_000];
    let fill = |arena: &mut Owners| {
        arena.mutate_root(|mc, root| {
            *root = lengths
                .map(|len| {
                    let counted: Box<[Counted]> = (0..len).map(|_| Counted(Rc::clone(&drops))).collect();
                    Gc::new_slice(mc, counted.into_vec())
                })
                .to_vec();
        });
    };
    fill(&mut arena);
    arena.finish_cycle();
    assert_eq!(drops.get(), 0);
    let weak = |slice: Gc<'_, [Counted]>| GcWeak::as_ptr(Gc::downgrade(slice)).cast::<u8>().addr();
    arena.mutate(|_, root| {
        assert!(root.iter().all(|slice| weak(*slice) == Gc::as_ptr(*slice).cast::<u8>().addr()));
    });
    arena.mutate_root(|_, root| root.clear());
    arena.finish_cycle();
    assert_eq!(drops.get(), lengths.iter().sum::<usize>());
    fill(&mut arena);
    drop(arena);
    assert_eq!(drops.get(), 2 * lengths.iter().sum::<usize>());
}

#[test]
fn an_iterator_that_panics_or_lies_leaves_a_whole_heap() {
    struct Liar(usize, usize);
    impl Iterator for Liar {
        type Item = usize;
        fn next(&mut self) -> Option<usize> {
            self.1 = self.1.checked_sub(1)?;
            Some(self.1)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.0, Some(self.0))
        }
    }
    impl ExactSizeIterator for Liar {}
    let drops = Rc::new(Cell::new(0));
    let mut arena = Arena::<Rootable![()]>::new(|_| ());
    arena.mutate(|mc, ()| {
        assert_eq!(Gc::new_slice(mc, Liar(10, 4)).as_ref(), [3, 2, 1, 0]);
        assert_eq!(Gc::new_slice(mc, Liar(2, 4)).as_ref(), [3, 2]);
        assert_eq!(Gc::new_slice(mc, [(); 3]).len(), 3);
        let counted = (0..5_u32).map(|number| {
            assert!(number < 3, "no more");
            Counted(Rc::clone(&drops))
        });
        assert!(catch_unwind(AssertUnwindSafe(|| Gc::new_slice(mc, counted))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| Gc::new_slice(mc, Liar(usize::MAX, 1)))).is_err());
    });
    assert!(arena.verify().is_ok(), "{:?}", arena.verify());
    arena.finish_cycle();
    assert_eq!((drops.get(), arena.metrics().total_gc_count()), (3, 0));
}
