//! The behaviour of the public API, one property a test. Owned by whoever changes a public name.
//!
//! Invariant: every test ends with a verified heap, where it has one.

use bucketmask_gc::barrier::{Write, field, unlock};
use bucketmask_gc::lock::{GcOnceLock, OnceLock};
use bucketmask_gc::metrics::Pacing;
use bucketmask_gc::{Arena, Collect, Gc, GcLock, GcRefLock, GcWeak, Lock, RefLock, Rootable, Static};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    value: u64,
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
}

impl Node<'_> {
    fn leaf(value: u64) -> Self {
        Node { value, next: Lock::new(None) }
    }
}

fn sum<'gc>(mut node: Option<Gc<'gc, Node<'gc>>>) -> u64 {
    let mut sum = 0;
    while let Some(here) = node {
        sum += here.value;
        node = here.next.get();
    }
    sum
}

#[test]
fn a_list_survives_and_its_cut_part_goes() {
    let mut arena = Arena::<Rootable![Gc<'_, Node<'_>>]>::new(|mc| Gc::new(mc, Node::leaf(0)));
    arena.mutate(|mc, root| {
        let mut last = *root;
        for value in 1..=10_000 {
            let node = Gc::new(mc, Node::leaf(value));
            unlock!(Gc::write(mc, last), Node, next).set(Some(node));
            last = node;
        }
    });
    for _ in 0..3 {
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), 10_001);
        assert_eq!(arena.mutate(|_, root| sum(Some(*root))), 50_005_000);
        let verified = arena.verify().unwrap();
        assert_eq!((verified.reachable, verified.live), (10_001, 10_001));
    }
    arena.mutate(|mc, root| {
        let mut node = *root;
        for _ in 0..99 {
            node = node.next.get().unwrap();
        }
        unlock!(Gc::write(mc, node), Node, next).set(None);
    });
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), 100);
    assert_eq!(arena.last_cycle().swept, 9_901);
    assert_eq!(arena.mutate(|_, root| sum(Some(*root))), 99 * 100 / 2);
    arena.verify().unwrap();
}

#[test]
fn a_list_built_backwards_survives() {
    let mut arena = Arena::<Rootable![Gc<'_, Node<'_>>]>::new(|mc| {
        let mut head = Gc::new(mc, Node::leaf(0));
        for value in 1..=5_000 {
            head = Gc::new(mc, Node { value, next: Lock::new(Some(head)) });
        }
        head
    });
    arena.finish_cycle();
    assert_eq!(arena.mutate(|_, root| sum(Some(*root))), 5_000 * 5_001 / 2);
    assert_eq!(arena.verify().unwrap().live, 5_001);
}

#[test]
fn slots_are_used_again() {
    let mut arena = Arena::<Rootable![Gc<'_, [u64; 2]>]>::new(|mc| Gc::new(mc, [1, 2]));
    let mut most = 0;
    for _ in 0..50 {
        arena.mutate(|mc, _| {
            for value in 0..1_000 {
                Gc::new(mc, [value, value]);
            }
        });
        arena.finish_cycle();
        most = most.max(arena.last_cycle().held_bytes);
        assert_eq!(arena.metrics().total_gc_count(), 1);
        assert_eq!(arena.mutate(|_, root| **root), [1, 2]);
    }
    assert!(most <= 32 << 10, "{most} bytes held for 16 live ones");
}

#[test]
fn roots_can_be_replaced() {
    let arena = Arena::<Rootable![Vec<Gc<'_, u32>>]>::new(|mc| vec![Gc::new(mc, 42), Gc::new(mc, 69)]);
    let mut arena = arena.map_root::<Rootable![(Gc<'_, u32>, Gc<'_, u32>)]>(|_, root| (root[0], root[1]));
    arena.finish_cycle();
    arena.mutate(|_, root| assert_eq!((*root.0, *root.1), (42, 69)));
    let mut arena = arena.try_map_root::<Rootable![Gc<'_, u32>], ()>(|_, root| Ok(root.1)).ok().unwrap();
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), 1);
    arena.mutate_root(|mc, root| *root = Gc::new(mc, 7));
    arena.finish_cycle();
    arena.mutate(|_, root| assert_eq!(**root, 7));
    assert!(arena.try_map_root::<Rootable![u8], &str>(|_, _| Err("no")).is_err_and(|error| error == "no"));
    assert!(Arena::<Rootable![u8]>::try_new(|_| Err::<u8, _>(3)).is_err_and(|error| error == 3));
    assert!(Arena::<Rootable![u8]>::try_new(|_| Ok::<u8, ()>(3)).is_ok());
}

#[test]
fn weak_pointers_see_their_target_go() {
    type Root<'gc> = (Option<Gc<'gc, String>>, Vec<GcWeak<'gc, String>>);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let strong = Gc::new(mc, "kept".to_owned());
        let lost = Gc::new(mc, "lost".to_owned());
        (Some(strong), vec![Gc::downgrade(strong), Gc::downgrade(lost), Gc::downgrade(lost)])
    });
    arena.mutate(|mc, root| {
        assert!(root.1.iter().all(|weak| weak.upgrade(mc).is_some() && !weak.is_dropped()));
    });
    for _ in 0..3 {
        arena.finish_cycle();
        arena.mutate(|mc, root| {
            assert_eq!(root.1[0].upgrade(mc).as_deref().map(String::as_str), Some("kept"));
            assert!(root.1[1].is_dropped() && root.1[1].upgrade(mc).is_none());
            assert!(GcWeak::ptr_eq(root.1[1], root.1[2]));
            // A held slot is not handed out: nothing new may appear behind the weak pointer.
            for _ in 0..600 {
                let new = Gc::new(mc, String::new());
                assert!(!std::ptr::eq(Gc::as_ptr(new), root.1[1].as_ptr()));
            }
            assert!(root.1[1].is_dropped());
        });
        let verified = arena.verify().unwrap();
        assert_eq!((verified.reachable, verified.held), (1, 1));
    }
    arena.mutate_root(|_, root| {
        root.0 = None;
        root.1.truncate(1);
    });
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().held, 1, "the other slot was let go");
    arena.mutate_root(|_, root| root.1.clear());
    arena.finish_cycle();
    let verified = arena.verify().unwrap();
    assert_eq!((verified.live, verified.held), (0, 0));
}

#[test]
fn weak_cycles_and_weak_to_traced_types() {
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Child<'gc> {
        parent: Lock<Option<GcWeak<'gc, Child<'gc>>>>,
        children: RefLock<Vec<Gc<'gc, Child<'gc>>>>,
    }
    fn child<'gc>() -> Child<'gc> {
        Child { parent: Lock::new(None), children: RefLock::default() }
    }
    let mut arena = Arena::<Rootable![Gc<'_, Child<'_>>]>::new(|mc| {
        let parent = Gc::new(mc, child());
        let first = Gc::new(mc, child());
        unlock!(Gc::write(mc, parent), Child, children).borrow_mut().push(first);
        unlock!(Gc::write(mc, first), Child, parent).set(Some(Gc::downgrade(parent)));
        first
    });
    arena.mutate(|mc, first| assert!(first.parent.get().unwrap().upgrade(mc).is_some()));
    arena.finish_cycle();
    arena.mutate(|_, first| assert!(first.parent.get().unwrap().is_dropped()));
    assert_eq!(arena.verify().unwrap().live, 1);
}

#[test]
fn locks_take_up_pointers() {
    type Root<'gc> =
        (GcLock<'gc, Option<Gc<'gc, u32>>>, GcRefLock<'gc, Vec<Gc<'gc, u32>>>, GcOnceLock<'gc, Gc<'gc, u32>>);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let lock = Gc::new(mc, Lock::new(None));
        (lock, Gc::new(mc, RefLock::new(Vec::new())), Gc::new(mc, OnceLock::new()))
    });
    arena.mutate(|mc, (lock, list, once)| {
        assert!(lock.get().is_none() && once.get().is_none());
        lock.set(mc, Some(Gc::new(mc, 1)));
        list.borrow_mut(mc).extend([Gc::new(mc, 2), Gc::new(mc, 3)]);
        assert!(once.set(mc, Gc::new(mc, 4)).is_ok());
        assert!(once.set(mc, Gc::new(mc, 5)).is_err());
        assert_eq!(**once.get_or_init(mc, || unreachable!()), 4);
        let reading = list.borrow();
        assert!(list.try_borrow_mut(mc).is_err() && list.try_borrow().is_ok());
        drop(reading);
    });
    arena.finish_cycle();
    arena.mutate(|_, (lock, list, once)| {
        assert_eq!(*lock.get().unwrap(), 1);
        assert_eq!(list.borrow().iter().map(|value| **value).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(**once.get().unwrap(), 4);
        assert_eq!(lock.take().map(|value| *value), Some(1));
    });
    arena.finish_cycle();
    assert_eq!(arena.verify().unwrap().live, 6);
}

#[test]
fn write_reaches_nested_fields() {
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Outer<'gc> {
        inner: Inner<'gc>,
        boxed: Box<Lock<Option<Gc<'gc, u8>>>>,
        many: Vec<Lock<Option<Gc<'gc, u8>>>>,
        maybe: Option<Lock<u8>>,
    }
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Inner<'gc> {
        lock: Lock<Option<Gc<'gc, u8>>>,
    }
    let mut arena = Arena::<Rootable![Gc<'_, Outer<'_>>]>::new(|mc| {
        let outer = Outer {
            inner: Inner { lock: Lock::new(None) },
            boxed: Box::new(Lock::new(None)),
            many: vec![Lock::new(None), Lock::new(None)],
            maybe: Some(Lock::new(1)),
        };
        Gc::new(mc, outer)
    });
    arena.mutate(|mc, outer| {
        let write = Gc::write(mc, *outer);
        let inner = field!(write, Outer, inner);
        unlock!(inner, Inner, lock).set(Some(Gc::new(mc, 1)));
        field!(write, Outer, boxed).as_deref().unlock().set(Some(Gc::new(mc, 2)));
        field!(write, Outer, many)[1].unlock().set(Some(Gc::new(mc, 3)));
        field!(write, Outer, maybe).as_write().unwrap().unlock().set(9);
    });
    arena.finish_cycle();
    arena.mutate(|_, outer| {
        assert_eq!(*outer.inner.lock.get().unwrap(), 1);
        assert_eq!(*outer.boxed.get().unwrap(), 2);
        assert_eq!(*outer.many[1].get().unwrap(), 3);
        assert_eq!(outer.maybe.as_ref().map(Lock::get), Some(9));
    });
    assert_eq!(arena.verify().unwrap().live, 4);
    let mut owned = Lock::new(1);
    Write::from_mut(&mut owned).unlock().set(2);
    Write::from_static(&owned).unlock().set(owned.get() + 1);
    assert_eq!(owned.into_inner(), 3);
}

#[test]
fn pointers_compare_by_value_and_by_address() {
    bucketmask_gc::arena::rootless_mutate(|mc| {
        let (one, same, two) = (Gc::new(mc, 1), Gc::new(mc, 1), Gc::new(mc, 2));
        assert!(one == same && one < two && one != two);
        assert!(!Gc::ptr_eq(one, same) && Gc::ptr_eq(one, one));
        assert_eq!(format!("{one} {two:?}"), "1 2");
        assert_eq!(format!("{one:p}"), format!("{:p}", Gc::as_ptr(one)));
        // SAFETY: the pointer comes from `as_ptr` in this callback.
        assert!(Gc::ptr_eq(one, unsafe { Gc::from_ptr(Gc::as_ptr(one)) }));
        let map: HashMap<Gc<'_, i32>, char> = [(one, 'a'), (two, 'b')].into();
        assert_eq!(map.get(&2), Some(&'b'), "hashes and borrows as its target");
        assert_eq!(*Gc::as_ref(one), 1);
    });
}

#[test]
fn static_values_need_no_collect() {
    struct Foreign(Rc<Cell<u32>>);
    impl Drop for Foreign {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let mut arena = Arena::<Rootable![Vec<Gc<'_, Static<u32>>>]>::new(|mc| {
        for _ in 0..10 {
            Gc::new_static(mc, Foreign(drops.clone()));
            Gc::new(mc, Static(Foreign(drops.clone())));
        }
        vec![Gc::new(mc, Static(4))]
    });
    arena.finish_cycle();
    assert_eq!(drops.get(), 20);
    assert_eq!(arena.mutate(|_, root| root[0].0), 4);
}

#[test]
#[expect(
    clippy::linkedlist,
    clippy::arc_with_non_send_sync,
    reason = "every container of std is to be traced"
)]
fn std_containers_are_traced() {
    #[derive(Collect)]
    #[collect(no_drop)]
    struct Root<'gc> {
        hash: HashMap<u8, Gc<'gc, u8>>,
        tree: BTreeMap<u8, Gc<'gc, u8>>,
        set: std::collections::HashSet<Gc<'gc, u8>>,
        tree_set: std::collections::BTreeSet<Gc<'gc, u8>>,
        heap: std::collections::BinaryHeap<Gc<'gc, u8>>,
        deque: std::collections::VecDeque<Gc<'gc, u8>>,
        list: std::collections::LinkedList<Gc<'gc, u8>>,
        array: [Gc<'gc, u8>; 2],
        slice: Box<[Gc<'gc, u8>]>,
        shared: Rc<Gc<'gc, u8>>,
        atomic: std::sync::Arc<Gc<'gc, u8>>,
        result: Result<Gc<'gc, u8>, Gc<'gc, u8>>,
        tuple: (u8, Gc<'gc, u8>, &'static str),
        cells: (Cell<u8>, std::cell::RefCell<String>, std::marker::PhantomData<Gc<'gc, u8>>),
    }
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let new = || Gc::new(mc, 1);
        Root {
            hash: [(1, new())].into(),
            tree: [(1, new())].into(),
            set: [new()].into(),
            tree_set: [new()].into(),
            heap: [new()].into(),
            deque: [new()].into(),
            list: [new()].into(),
            array: [new(), new()],
            slice: Box::new([new()]),
            shared: Rc::new(new()),
            atomic: std::sync::Arc::new(new()),
            result: Err(new()),
            tuple: (1, new(), ""),
            cells: Default::default(),
        }
    });
    arena.mutate(|mc, _| assert_eq!(*Gc::new(mc, 1_u8), 1));
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), 14);
    assert_eq!(arena.verify().unwrap().reachable, 14);
}

#[test]
fn debt_wakes_the_collector() {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, [u64; 8]>>]>::new(|_| Vec::new());
    arena.metrics().set_pacing(Pacing { sleep_factor: 1.0, min_sleep: 64, ..Pacing::STOP_THE_WORLD });
    arena.finish_cycle();
    let mut cycles = 0;
    let mut last = arena.last_cycle().cycle;
    for round in 0..1_000_u64 {
        arena.mutate(|mc, _| {
            for _ in 0..10 {
                Gc::new(mc, [round; 8]);
            }
        });
        arena.collect_debt();
        cycles += u64::from(arena.last_cycle().cycle != last);
        last = arena.last_cycle().cycle;
        assert!(arena.metrics().total_gc_count() <= 10 + 16, "garbage is bounded by the pacing");
    }
    assert!((100..1_000).contains(&cycles), "{cycles} cycles");
    assert!(arena.metrics().allocation_debt() <= 0.0);
    arena.mutate_root(|mc, root| root.push(Gc::new(mc, [0; 8])));
    arena.metrics().adjust_debt(1e6);
    assert!(arena.metrics().allocation_debt() > 9e5);
    arena.collect_debt();
    assert_eq!(arena.last_cycle().cycle, last + 1);
    // With much alive the next cycle is a factor away.
    arena.mutate_root(|mc, root| root.extend((0..10_000).map(|value| Gc::new(mc, [value; 8]))));
    arena.finish_cycle();
    arena.mutate(|mc, _| drop((0..9_000_u64).map(|value| Gc::new(mc, [value; 8])).collect::<Vec<_>>()));
    assert!(arena.metrics().allocation_debt() <= 0.0);
    arena.mutate(|mc, _| drop((0..2_000_u64).map(|value| Gc::new(mc, [value; 8])).collect::<Vec<_>>()));
    let debt = arena.metrics().allocation_debt();
    assert!(debt > 0.0, "{:?} {:?}", arena.metrics(), arena.last_cycle());
}

#[test]
fn reports_count_what_masks_save() {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, Node<'_>>>]>::new(|mc| {
        (0..51_200).map(|value| Gc::new(mc, Node::leaf(value))).collect()
    });
    arena.finish_cycle();
    let full = arena.last_cycle();
    assert_eq!((full.marked, full.swept), (51_200, 0));
    assert!(full.pages_dense >= 100 && full.pages_sparse <= 1, "{full:?}");
    assert_eq!(full.live_bytes, 51_200 * 16);
    arena.mutate_root(|_, root| root.retain(|node| node.value % 100 == 0));
    arena.finish_cycle();
    let sparse = arena.last_cycle();
    assert_eq!((sparse.marked, sparse.swept, sparse.pages_dense), (512, 50_688, 0));
    assert_eq!(sparse.pages, full.pages, "each page has survivors");
    arena.finish_cycle();
    let after = arena.last_cycle();
    assert_eq!(after.cycle, 3);
    assert_eq!(after.slots_scanned, 512, "only survivors are visited");
    assert!(after.slots_skipped >= 51_200);
    arena.set_walk(bucketmask_gc::Walk::Flat);
    arena.finish_cycle();
    let flat = arena.last_cycle();
    assert_eq!((flat.marked, flat.swept, flat.slots_skipped), (512, 0, 0));
    assert!(flat.slots_scanned >= 2 * 51_200, "every slot is tested, in marking and in sweeping");
}
