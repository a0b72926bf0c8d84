//! Values: locks, writes, derived and hand-written `Collect`, containers. Written for gc-arena.

use super::super::Log;
use super::gc::arena::rootless_mutate;
use super::gc::barrier::{DerefWrite, IndexWrite, Unlock, Write, field, unlock};
use super::gc::collect::{DynCollect, Trace, dyn_collect};
use super::gc::lock::{GcLock, GcOnceLock, GcRefLock, Lock, OnceLock, RefLock};
use super::gc::{Arena, Collect, Gc, GcWeak, Rootable, Static, static_collect};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::ops::{Deref, Index};
use std::rc::Rc;
use std::sync::Arc;

type Locks<'gc> =
    (GcLock<'gc, Option<Gc<'gc, u8>>>, GcRefLock<'gc, Vec<Gc<'gc, u8>>>, GcOnceLock<'gc, Gc<'gc, u8>>);

pub(super) fn locks(log: &mut Log) {
    let mut arena = Arena::<Rootable![Locks<'_>]>::new(|mc| {
        (Gc::new(mc, Lock::new(None)), Gc::new(mc, RefLock::default()), Gc::new(mc, OnceLock::new()))
    });
    // Each takes up a pointer after it was traced.
    arena.finish_marking();
    arena.mutate(|mc, (lock, list, once)| {
        lock.set(mc, Some(Gc::new(mc, 1)));
        list.borrow_mut(mc).push(Gc::new(mc, 2));
        log.push(format!("{}", list.try_borrow_mut(mc).is_ok() && list.try_borrow().is_ok()));
        log.push(format!("{:?} {:?}", once.get(), once.set(mc, Gc::new(mc, 3))));
        log.push(format!("{:?} {:?}", once.set(mc, Gc::new(mc, 4)), once.get_or_init(mc, || unreachable!())));
    });
    arena.finish_cycle();
    arena.mutate(|mc, (lock, list, once)| {
        log.push(format!("{lock:?} {list:?} {once:?} {}", arena.metrics().total_gc_count()));
        let writing = list.borrow_mut(mc);
        log.push(format!("{list:?} {}", list.try_borrow().is_err()));
        drop(writing);
        log.push(format!("{:?} {:?} {:?}", lock.take(), list.take(), lock.get()));
    });
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    // The locks themselves, as cells.
    let mut lock: Lock<i32> = Lock::from(Cell::new(5));
    *lock.get_mut() += 1;
    // SAFETY: no pointer is taken up, and nothing is borrowed.
    unsafe { *lock.as_ptr() += lock.as_cell().get() };
    log.push(format!("{} {} {:?}", lock.clone() == lock, Lock::from(1) < lock, Lock::<u8>::default()));
    log.push(format!("{}", lock.into_inner()));
    let mut list: RefLock<Vec<i32>> = RefLock::from(RefCell::new(vec![1]));
    list.get_mut().push(2);
    // SAFETY: as above.
    unsafe { list.as_ref_cell().borrow_mut().push(3) };
    // SAFETY: as above.
    log.push(format!("{}", unsafe { (*list.as_ptr()).len() }));
    log.push(format!("{:?} {}", list.clone().cmp(&RefLock::new(vec![1])), list.borrow()[2]));
    log.push(format!("{:?}", list.into_inner()));
    let mut once: OnceLock<i32> = OnceLock::from(OnceCell::from(1));
    *once.get_mut().unwrap() += 1;
    log.push(format!("{once:?} {:?} {}", OnceLock::<u8>::default(), once == OnceLock::from(2)));
}

#[derive(Collect)]
#[collect(no_drop)]
struct Inner<'gc> {
    lock: Lock<Option<Gc<'gc, u8>>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Outer<'gc> {
    inner: Inner<'gc>,
    boxed: Box<Inner<'gc>>,
    many: Vec<Inner<'gc>>,
    keyed: HashMap<u8, Inner<'gc>>,
    maybe: Option<RefLock<Vec<Gc<'gc, u8>>>>,
    either: Result<Lock<u8>, OnceLock<u8>>,
    shelf: Shelf<Inner<'gc>>,
}

/// A container of the program's own.
#[derive(Collect)]
#[collect(no_drop)]
struct Shelf<T>([T; 1]);

impl<T> Deref for Shelf<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> Index<char> for Shelf<T> {
    type Output = T;
    fn index(&self, at: char) -> &T {
        &self.0[at as usize - 'a' as usize]
    }
}

// SAFETY: plain parts of the shelf.
unsafe impl<T> DerefWrite for Shelf<T> {}
// SAFETY: as above.
unsafe impl<T> IndexWrite<char> for Shelf<T> {}

/// Opens any lock.
fn open<T: Unlock + ?Sized>(lock: &Write<T>) -> &T::Unlocked {
    lock.unlock()
}

pub(super) fn writes(log: &mut Log) {
    let mut arena = Arena::<Rootable![Gc<'_, Outer<'_>>]>::new(|mc| {
        let inner = || Inner { lock: Lock::new(None) };
        Gc::new(
            mc,
            Outer {
                inner: inner(),
                boxed: Box::new(inner()),
                many: vec![inner(), inner()],
                keyed: [(1, inner())].into(),
                maybe: Some(RefLock::default()),
                either: Ok(Lock::new(1)),
                shelf: Shelf([inner()]),
            },
        )
    });
    arena.finish_marking();
    arena.mutate(|mc, root| {
        let new = |number| Some(Gc::new(mc, number));
        let write: &Write<Outer<'_>> = Gc::write(mc, *root);
        unlock!(field!(write, Outer, inner), Inner, lock).set(new(1));
        unlock!(field!(write, Outer, boxed).as_deref(), Inner, lock).set(new(2));
        open(field!(&field!(write, Outer, many)[1], Inner, lock)).set(new(3));
        unlock!(&field!(write, Outer, keyed)[&1], Inner, lock).set(new(4));
        field!(write, Outer, maybe).as_write().unwrap().unlock().borrow_mut().extend(new(5));
        match field!(write, Outer, either).as_write() {
            Ok(lock) => lock.unlock().set(6),
            Err(once) => drop(once.unlock().set(6)),
        }
        unlock!(&field!(write, Outer, shelf)['a'], Inner, lock).set(new(7));
        log.push(format!("{}", field!(write, Outer, shelf).as_deref().len()));
    });
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|_, root| {
        let inners = [&root.inner, &root.boxed, &root.many[1], &root.keyed[&1], &root.shelf['a']];
        log.push(format!("{:?}", inners.map(|inner| *inner.lock.get().unwrap())));
        log.push(format!("{:?} {:?}", root.maybe, root.either));
    });
    let mut owned = Lock::new(1);
    let write: &mut Write<Lock<i32>> = Write::from_mut(&mut owned);
    *write.get_mut() += 1;
    Write::from_static(&owned).unlock().set(owned.get() * 10);
    // SAFETY: a number is no pointer.
    unsafe { Write::assume(&owned) }.unlock().set(owned.get() + 1);
    // SAFETY: as above.
    unsafe { owned.unlock_unchecked() }.set(owned.get() + 1);
    log.push(format!("{owned:?}"));
}

struct Foreign;

#[derive(Collect)]
#[collect(no_drop)]
enum Choice<'gc, T> {
    Nothing,
    One(Gc<'gc, T>),
    Both { left: T, right: GcWeak<'gc, T> },
}

#[derive(Collect)]
#[collect(require_static)]
struct Whole<T>(#[allow(dead_code)] T);

#[derive(Collect)]
#[collect(unsafe_drop)]
struct Dropping<'gc> {
    target: Gc<'gc, u8>,
    #[collect(require_static)]
    drops: Rc<Cell<u32>>,
}

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}

#[derive(Collect)]
#[collect(no_drop, bound = "where T: Collect<'gc>")]
struct Bound<T>(#[allow(dead_code)] T);

#[derive(Collect)]
#[collect(no_drop, bound = "", gc_lifetime = 'a)]
struct Two<'a, 'b, T: Collect<'a>>(Gc<'a, &'b u8>, T);

pub(super) fn derives(log: &mut Log) {
    fn needs_trace<'gc, T: Collect<'gc>>(_: &T) -> bool {
        T::NEEDS_TRACE
    }
    let drops = Rc::new(Cell::new(0));
    rootless_mutate(|mc| {
        let choice = Choice::Both { left: 1, right: Gc::downgrade(Gc::new(mc, 2)) };
        log.push(format!("{} {}", needs_trace(&choice), needs_trace(&Whole(Foreign))));
        log.push(format!("{} {}", needs_trace(&Bound(1)), needs_trace(&Bound(Gc::new(mc, 1)))));
        let two = Two(Gc::new(mc, &3), 4);
        log.push(format!("{} {}", needs_trace(&two), **two.0 + two.1));
        if let Choice::Both { left, right } = choice {
            log.push(format!("{}", left + *right.upgrade(mc).unwrap()));
        }
        Gc::new(mc, Dropping { target: Gc::new(mc, 1), drops: drops.clone() });
        log.push(format!("{}", matches!(Choice::<u8>::Nothing, Choice::Nothing)));
    });
    log.push(format!("{}", drops.get()));
    let mut arena = Arena::<Rootable![Vec<Choice<'_, Dropping<'_>>>]>::new(|mc| {
        let new = |number| Gc::new(mc, Dropping { target: Gc::new(mc, number), drops: drops.clone() });
        vec![Choice::One(new(1)), Choice::One(new(2))]
    });
    arena.mutate_root(|_, root| root.truncate(1));
    arena.finish_cycle();
    log.push(format!("{} {}", drops.get(), arena.metrics().total_gc_count()));
    arena.mutate(|_, root| {
        if let Choice::One(one) = &root[0] {
            log.push(format!("{}", one.target));
        }
    });
}

struct Handle(u32);
static_collect!(Handle);

struct Shared<T>(Rc<T>);
static_collect!(<T> Shared<T> where T: Clone);

pub(super) fn statics(log: &mut Log) {
    rootless_mutate(|mc| {
        log.push(format!("{} {}", Gc::new(mc, Handle(3)).0, Gc::new(mc, Shared(Rc::new(4))).0));
        let mut wrapped = Static::from(5);
        *wrapped += 1;
        *wrapped.as_mut() += 1;
        log.push(format!("{wrapped:?} {} {}", wrapped.as_ref(), Static(1) < wrapped));
        let borrowed: &mut i32 = std::borrow::BorrowMut::borrow_mut(&mut wrapped);
        *borrowed += 1;
        log.push(format!("{}", Gc::new(mc, wrapped).0));
        log.push(format!("{:?}", Static::<u8>::default()));
    });
}

/// Counts the pointers of a value, without a collection.
#[derive(Default)]
struct Counter<'gc> {
    strong: Vec<Gc<'gc, ()>>,
    weak: usize,
}

impl<'gc> Trace<'gc> for Counter<'gc> {
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        self.strong.push(gc);
    }

    fn trace_gc_weak(&mut self, _: GcWeak<'gc, ()>) {
        self.weak += 1;
    }
}

trait Shape<'gc>: DynCollect<'gc> {
    fn area(&self) -> u32;
}
dyn_collect!(dyn Shape<'gc>);

trait Holder<'gc, T: Clone>: DynCollect<'gc> {
    fn held(&self) -> T;
}
dyn_collect!(<T> dyn Holder<'gc, T> where T: Clone);

#[derive(Collect)]
#[collect(no_drop)]
struct Square<'gc>(Gc<'gc, u32>);

impl<'gc> Shape<'gc> for Square<'gc> {
    fn area(&self) -> u32 {
        *self.0 * *self.0
    }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Fixed(u32);

impl Holder<'_, u32> for Fixed {
    fn held(&self) -> u32 {
        self.0
    }
}

pub(super) fn tracers(log: &mut Log) {
    type Root<'gc> = (Box<dyn Holder<'gc, u32>>, Vec<Gc<'gc, Square<'gc>>>);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        (Box::new(Fixed(9)) as Box<dyn Holder<'_, u32>>, vec![Gc::new(mc, Square(Gc::new(mc, 3)))])
    });
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|_, root| {
        log.push(format!("{} {}", root.0.held(), root.1[0].area()));
        let mut counter = Counter::default();
        counter.trace(&root.1);
        counter.trace(&Gc::downgrade(root.1[0]));
        counter.trace(&7_u8);
        log.push(format!("{} {}", counter.strong.len(), counter.weak));
        log.push(format!("{}", Gc::ptr_eq(counter.strong[0], Gc::erase(root.1[0]))));
        let mut counter = Counter::default();
        let square = &*root.1[0];
        DynCollect::dyn_trace(square, &mut counter);
        log.push(format!("{}", *square.0 + counter.strong.len() as u32));
    });
}

#[derive(Collect)]
#[collect(no_drop)]
#[allow(clippy::type_complexity, reason = "every container is to be traced")]
struct Containers<'gc> {
    hash: HashMap<u8, Gc<'gc, u8>>,
    tree: BTreeMap<Gc<'gc, u8>, u8>,
    sets: (HashSet<Gc<'gc, u8>>, BTreeSet<Gc<'gc, u8>>, BinaryHeap<Gc<'gc, u8>>),
    lists: (Vec<Gc<'gc, u8>>, VecDeque<Gc<'gc, u8>>, LinkedList<Gc<'gc, u8>>, [Gc<'gc, u8>; 1]),
    pointers: (Box<[Gc<'gc, u8>]>, Rc<Gc<'gc, u8>>, Arc<Gc<'gc, u8>>),
    choices: (Option<Gc<'gc, u8>>, Result<u8, Gc<'gc, u8>>),
    plain: (bool, char, u64, f32, String, &'static str, Cell<u8>, RefCell<u8>, PhantomData<u8>, ()),
    #[cfg(feature = "hashbrown")]
    brown: (hashbrown::HashMap<u8, Gc<'gc, u8>>, hashbrown::HashSet<Gc<'gc, u8>>),
}

#[allow(clippy::arc_with_non_send_sync, reason = "every container is to be traced")]
pub(super) fn containers(log: &mut Log) {
    let mut arena = Arena::<Rootable![Containers<'_>]>::new(|mc| {
        let new = || Gc::new(mc, 1);
        Containers {
            hash: [(1, new())].into(),
            tree: [(new(), 1)].into(),
            sets: ([new()].into(), [new()].into(), [new()].into()),
            lists: (vec![new()], [new()].into(), [new()].into(), [new()]),
            pointers: (Box::new([new()]), Rc::new(new()), Arc::new(new())),
            choices: (Some(new()), Err(new())),
            plain: Default::default(),
            #[cfg(feature = "hashbrown")]
            brown: ([(1, new())].into(), [new()].into()),
        }
    });
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|mc, _| _ = Gc::new(mc, 1_u8));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|_, root| log.push(format!("{:?} {:?}", root.hash, root.lists)));
    arena.mutate_root(|_, root| root.lists.0.clear());
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    log.push(format!("{:?}", arena.mutate(|_, root| root.plain.4.len())));
}
