//! Panics in user code: in destructors, in `trace`, in closures. Owned by the promise that the arena stays usable.
//!
//! Invariant: no value is dropped twice, none that is reachable is dropped, and the heap verifies afterwards.

use bucketmask_gc::{Arena, Collect, Gc, RefLock, Rootable};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

struct Bomb {
    armed: bool,
    drops: Rc<Cell<usize>>,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.armed, "a destructor panics");
    }
}

bucketmask_gc::static_collect!(Bomb);

type Bombs = Arena<Rootable![Vec<Gc<'_, Bomb>>]>;

fn bombs(drops: &Rc<Cell<usize>>) -> Bombs {
    let drops = drops.clone();
    Arena::new(|mc| {
        (0..1_000).map(|number| Gc::new(mc, Bomb { armed: number % 10 == 3, drops: drops.clone() })).collect()
    })
}

#[test]
fn a_cycle_ends_before_a_destructors_panic_goes_on() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = bombs(&drops);
    arena.mutate_root(|_, root| root.truncate(300));
    assert!(catch_unwind(AssertUnwindSafe(|| arena.finish_cycle())).is_err());
    assert_eq!(drops.get(), 700, "every dead value was dropped, once");
    assert_eq!(arena.metrics().total_gc_count(), 300);
    assert_eq!(arena.last_cycle().swept, 700);
    assert_eq!(arena.verify().unwrap().live, 300);
    arena.finish_cycle();
    assert_eq!(drops.get(), 700);
    arena.mutate_root(|mc, root| {
        let drops = root[0].drops.clone();
        root.extend((0..700).map(|_| Gc::new(mc, Bomb { armed: false, drops: drops.clone() })));
    });
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 1_000);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(arena))).is_err());
    assert_eq!(drops.get(), 1_700);
}

#[test]
fn an_arena_can_be_dropped_while_unwinding() {
    let drops = Rc::new(Cell::new(0));
    let arena = bombs(&drops);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _arena = arena;
        panic!("outer");
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref::<&str>(), Some(&"outer"));
    assert_eq!(drops.get(), 1_000);
}

#[test]
fn a_leaked_borrow_stops_the_cycle_and_frees_nothing() {
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Root<'gc> {
        before: Vec<Gc<'gc, RefLock<Vec<Gc<'gc, u32>>>>>,
        leaked: Gc<'gc, RefLock<Vec<Gc<'gc, u32>>>>,
    }
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let list = || Gc::new(mc, RefLock::new(vec![Gc::new(mc, 1), Gc::new(mc, 2)]));
        Root { before: (0..600).map(|_| list()).collect(), leaked: list() }
    });
    arena.mutate(|mc, root| {
        Gc::new(mc, 99_u32);
        std::mem::forget(root.leaked.borrow_mut(mc));
    });
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| arena.finish_cycle())).is_err());
        assert_eq!(arena.metrics().total_gc_count(), 601 * 3 + 1, "nothing was freed");
    }
    arena.mutate_root(|mc, root| root.leaked = Gc::new(mc, RefLock::default()));
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 600 * 3 + 1);
    arena.mutate(|_, root| assert!(root.before.iter().all(|list| *list.borrow()[1] == 2)));
}

#[test]
fn a_closures_panic_leaves_the_arena_usable() {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, String>>]>::new(|mc| vec![Gc::new(mc, "kept".to_owned())]);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        arena.mutate(|mc, _| {
            Gc::new(mc, "lost".to_owned());
            panic!("in the closure");
        });
    }));
    assert!(unwound.is_err());
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 1);
    assert!(
        catch_unwind(|| Arena::<Rootable![u8]>::new(|mc| *Gc::new(mc, 1_u8) / *Gc::new(mc, 0_u8))).is_err()
    );
}

#[test]
fn a_payload_may_panic_too() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("a payload panics");
        }
    }
    struct Thrower(Rc<Cell<usize>>);
    impl Drop for Thrower {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            std::panic::panic_any(Payload);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let mut arena = Arena::<Rootable![u8]>::new(|mc| {
        for _ in 0..3 {
            Gc::new_static(mc, Thrower(drops.clone()));
        }
        0
    });
    let first = catch_unwind(AssertUnwindSafe(|| arena.finish_cycle())).unwrap_err();
    assert!(first.is::<Payload>());
    std::mem::forget(first);
    assert_eq!((drops.get(), arena.verify().unwrap().live), (3, 0));
}
