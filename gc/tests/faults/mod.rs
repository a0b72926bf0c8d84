//! Faults of a collector and of its users, each with a program that runs into it: what the barrier detector must find.
//!
//! Owned by `detector.rs`, and by the command `detect` of the benches, which take it up as a module of theirs. Invariant: a program
//! does the same whether it is broken or not, but for the one thing that its fault is about.
#![allow(unsafe_code)]
#![allow(unreachable_pub, reason = "a module of tests here, and of a library there")]

use bucketmask_alloc::memstate::seed::plant;
use bucketmask_gc::arena::Arena;
use bucketmask_gc::barrier::unlock;
use bucketmask_gc::lock::OnceLock;
use bucketmask_gc::{Collect, Gc, GcWeak, Lock, Mutation, Pool, RefLock, Rootable, Unpublished};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A class of fault.
pub struct Case {
    /// What is broken, as a path for figures.
    pub name: &'static str,
    /// The switch in the collector's code; none for what only a program can do.
    pub fault: Option<&'static str>,
    /// Runs into it, if the switch is on, or else if it is told to.
    pub run: fn(broken: bool),
}

impl Case {
    /// The report, if there is one.
    pub fn outcome(&self, broken: bool) -> Option<String> {
        let run = || {
            // SAFETY: the program stops at the report, before it uses what is broken.
            let _planted = self.fault.filter(|_| broken).map(|fault| unsafe { plant(fault) });
            (self.run)(broken);
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
        let text = panic.downcast::<String>().map_or_else(|_| "another panic".to_owned(), |text| *text);
        Some(text)
    }
}

const fn switch(name: &'static str, fault: &'static str, run: fn(bool)) -> Case {
    Case { name, fault: Some(fault), run }
}

const fn misuse(name: &'static str, run: fn(bool)) -> Case {
    Case { name, fault: None, run }
}

/// All of them.
pub const CASES: [Case; 27] = [
    switch("barrier/backward/removed", "gc: backward barrier removed", field_write),
    switch("barrier/backward/misplaced", "gc: backward barrier on the neighbour", field_write),
    switch("barrier/backward/inverted", "gc: backward barrier decides the other way round", field_write),
    switch("barrier/backward-weak/removed", "gc: backward barrier of weak pointers removed", weak_backward),
    switch("barrier/forward/removed", "gc: forward barrier removed", forward),
    switch("barrier/forward-weak/removed", "gc: forward barrier of weak pointers removed", weak_forward),
    switch("barrier/bucket/removed", "gc: bucket barrier removed", slice_write),
    switch("barrier/bucket/misplaced", "gc: bucket barrier one bucket too far", slice_write),
    switch("barrier/root/removed", "gc: root barrier removed", root_write),
    switch("barrier/pool/removed", "gc: pool's barrier removed", pool),
    switch("barrier/once-lock/removed", "gc: once-lock's barrier removed", once_lock),
    switch("mark/queue/lost-page", "gc: grey page not queued", field_write),
    switch("mark/bit/off-by-one", "gc: mark bit of the neighbouring slot", every_second),
    switch("mark/bit/lost", "gc: mark bit lost", cycle_of_a_list),
    switch("mark/bit/traced-too-early", "gc: traced bit set without tracing", cycle_of_a_list),
    switch("mark/weak/not-held", "gc: weakly reached slot not held", weak_target),
    switch("mark/slice/part-left-out", "gc: part of a slice not traced", cycle_of_a_slice),
    switch("sweep/mask-bit/live-slot", "gc: sweep takes a marked slot", garbage_between),
    switch("sweep/page/given-back", "gc: page with objects given back", garbage_between),
    switch("allocate/window/occupied-slot", "gc: window over an occupied slot", allocate_behind_a_cycle),
    misuse("pointer/stale", stale_pointer),
    misuse("pointer/beyond-its-slot", beyond_the_slot),
    misuse("pointer/into-the-middle", into_the_middle),
    misuse("pointer/write-after-sweep", write_after_sweep),
    misuse("write/by-hand/no-barrier", |broken| write_by_hand(broken, false)),
    misuse("write/reached-twice/no-barrier", |broken| write_by_hand(broken, true)),
    misuse("write/raw/no-barrier", raw_write),
];

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    number: u64,
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
    weak: Lock<Option<GcWeak<'gc, u64>>>,
}

impl<'gc> Node<'gc> {
    fn new(mc: &Mutation<'gc>, number: u64) -> Gc<'gc, Self> {
        Gc::new(mc, Node { number, next: Lock::new(None), weak: Lock::new(None) })
    }
}

type Nodes = Arena<Rootable![Vec<Gc<'_, Node<'_>>>]>;

/// So many nodes, each with another one behind it.
fn nodes(len: u64) -> Nodes {
    Arena::new(|mc| {
        let nodes: Vec<_> = (0..len).map(|number| Node::new(mc, number)).collect();
        for node in &nodes {
            let behind = Node::new(mc, node.number + len);
            unlock!(Gc::write(mc, *node), Node, next).set(Some(behind));
        }
        nodes
    })
}

/// Goes through two cycles, and reads all that is left.
fn settle(arena: &mut Nodes) {
    arena.finish_cycle();
    read_all(arena);
    arena.finish_cycle();
    read_all(arena);
}

fn read_all(arena: &Nodes) {
    arena.mutate(|_, nodes| {
        for node in nodes {
            assert!(node.next.get().is_none_or(|next| next.number != u64::MAX));
        }
    });
}

/// Marks all, changes the graph, and goes on.
fn between_mark_and_sweep<R>(arena: &mut Arena<R>, change: impl FnOnce(&mut Arena<R>))
where
    R: for<'a> Rootable<'a>,
    for<'a> <R as Rootable<'a>>::Root: Sized + Collect<'a>,
{
    assert!(arena.finish_marking().is_some());
    change(arena);
    arena.finish_cycle();
    arena.finish_cycle();
}

fn field_write(_: bool) {
    let mut arena = nodes(40);
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, nodes| {
            unlock!(Gc::write(mc, nodes[7]), Node, next).set(Some(Node::new(mc, 99)));
        });
    });
    read_all(&arena);
}

fn forward(_: bool) {
    let mut arena = nodes(40);
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, nodes| {
            let child = Node::new(mc, 99);
            mc.forward_barrier(Some(Gc::erase(nodes[3])), Gc::erase(child));
            // SAFETY: its barrier was run.
            unsafe { nodes[3].next.as_cell() }.set(Some(child));
        });
    });
    read_all(&arena);
}

fn weak_forward(_: bool) {
    let mut arena = nodes(40);
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, nodes| {
            let weak = Gc::downgrade(Gc::new(mc, 5));
            mc.forward_barrier_weak(Some(Gc::erase(nodes[3])), GcWeak::erase(weak));
            // SAFETY: its barrier was run.
            unsafe { nodes[3].weak.as_cell() }.set(Some(weak));
        });
    });
}

fn weak_backward(_: bool) {
    let mut arena = nodes(40);
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, nodes| {
            let weak = Gc::downgrade(Gc::new(mc, 5));
            mc.backward_barrier_weak(Gc::erase(nodes[3]), GcWeak::erase(weak));
            // SAFETY: its barrier was run.
            unsafe { nodes[3].weak.as_cell() }.set(Some(weak));
        });
    });
}

fn root_write(_: bool) {
    let mut arena = nodes(10);
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate_root(|mc, nodes| nodes.push(Node::new(mc, 98)));
    });
    read_all(&arena);
}

type Slice<'gc> = Gc<'gc, [Lock<Option<Gc<'gc, u64>>>]>;

/// A slice that is traced in parts.
fn slice() -> Arena<Rootable![Slice<'_>]> {
    Arena::new(|mc| {
        let numbers = (0..5000).map(|number| Lock::new(Some(Gc::new(mc, number)))).collect::<Vec<_>>();
        Gc::new_slice(mc, numbers)
    })
}

fn slice_write(_: bool) {
    let mut arena = slice();
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, slice| Gc::write_at(mc, *slice, 1000).unlock().set(Some(Gc::new(mc, 7))));
    });
}

fn cycle_of_a_slice(_: bool) {
    let mut arena = slice();
    arena.finish_cycle();
    arena.mutate(|_, slice| assert!(slice[4999].get().is_some_and(|number| *number == 4999)));
}

fn cycle_of_a_list(_: bool) {
    let mut arena = nodes(5);
    settle(&mut arena);
}

/// Nodes with garbage between them: each pair of slots has one of both.
fn every_second(_: bool) {
    let mut arena = nodes(1);
    arena.mutate_root(|mc, nodes| {
        for number in 0..60 {
            let node = Node::new(mc, number);
            if number % 2 == 0 {
                nodes.push(node);
            }
        }
    });
    settle(&mut arena);
}

/// Many pages of nodes, in each of which something dies.
fn garbage_between(_: bool) {
    let mut arena = nodes(2);
    arena.mutate_root(|mc, nodes| {
        for number in 0..8000 {
            let node = Node::new(mc, number);
            if number % 9 != 0 {
                nodes.push(node);
            }
        }
    });
    settle(&mut arena);
}

fn allocate_behind_a_cycle(_: bool) {
    let mut arena = nodes(10);
    arena.finish_cycle();
    arena.mutate_root(|mc, nodes| nodes.extend((0..100).map(|number| Node::new(mc, number))));
    settle(&mut arena);
}

fn weak_target(_: bool) {
    let mut arena = nodes(10);
    arena.mutate(|mc, nodes| {
        let weak = Gc::downgrade(Gc::new(mc, 5));
        unlock!(Gc::write(mc, nodes[1]), Node, weak).set(Some(weak));
    });
    settle(&mut arena);
}

fn once_lock(_: bool) {
    let mut arena = Arena::<Rootable![Gc<'_, OnceLock<Gc<'_, u64>>>]>::new(|mc| Gc::new(mc, OnceLock::new()));
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, lock| assert!(lock.set(mc, Gc::new(mc, 3)).is_ok()));
    });
    arena.mutate(|_, lock| assert_eq!(lock.get().map(|number| **number), Some(3)));
}

fn pool(_: bool) {
    type Pooled<'gc> =
        (Pool<'gc, Option<Gc<'gc, u64>>>, Gc<'gc, RefLock<Vec<Gc<'gc, Option<Gc<'gc, u64>>>>>>);
    let mut arena = Arena::<Rootable![Pooled<'_>]>::new(|mc| {
        let pool = Pool::new(mc);
        (0..4).for_each(|_| pool.put(mc, Unpublished::new(mc, None)));
        (pool, Gc::new(mc, RefLock::default()))
    });
    between_mark_and_sweep(&mut arena, |arena| {
        arena.mutate(|mc, (pool, published)| {
            let mut object = pool.take(mc).expect("four objects");
            *object = Some(Gc::new(mc, 77));
            published.borrow_mut(mc).push(object.publish());
        });
    });
    arena.mutate(|_, (_, published)| assert_eq!(published.borrow()[0].map(|number| *number), Some(77)));
}

/// A node of which the program keeps the address, and lets go.
fn let_go(arena: &mut Nodes) -> usize {
    let address = arena.mutate_root(|_, nodes| nodes.pop().map(|node| Gc::as_ptr(node).expose_provenance()));
    arena.finish_cycle();
    address.expect("there were nodes")
}

fn stale_pointer(broken: bool) {
    let mut arena = nodes(20);
    let gone = let_go(&mut arena);
    arena.mutate(|_, nodes| {
        let there = Gc::as_ptr(nodes[0]).expose_provenance();
        let address = if broken { gone } else { there };
        // SAFETY: if broken it is wrong, which is to be found before anything is read.
        let node: Gc<'_, Node<'_>> = unsafe { Gc::from_ptr(std::ptr::with_exposed_provenance(address)) };
        assert!(node.number < 20);
    });
}

fn beyond_the_slot(broken: bool) {
    let arena = nodes(20);
    arena.mutate(|_, nodes| {
        if broken {
            // SAFETY: as above.
            let larger: Gc<'_, [u64; 40]> = unsafe { Gc::cast(nodes[2]) };
            assert_eq!(larger.len(), 40);
        } else {
            // SAFETY: it begins with its number.
            let smaller: Gc<'_, u64> = unsafe { Gc::cast(nodes[2]) };
            let _ = std::hint::black_box(*smaller);
        }
    });
}

fn into_the_middle(broken: bool) {
    let arena = nodes(20);
    arena.mutate(|_, nodes| {
        let first: *const Lock<Option<Gc<'_, Node<'_>>>> = &raw const nodes[2].next;
        let number: *const u64 = if broken { first.cast() } else { Gc::as_ptr(nodes[2]).cast() };
        // SAFETY: as above.
        let number: Gc<'_, u64> = unsafe { Gc::from_ptr(number) };
        let _ = std::hint::black_box(*number);
    });
}

fn write_after_sweep(broken: bool) {
    let mut arena = nodes(20);
    let gone = let_go(&mut arena);
    if broken {
        // SAFETY: a slot of a page that the arena has; nobody's.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>(gone).write(3) };
    }
    arena.mutate_root(|mc, nodes| nodes.extend((0..40).map(|number| Node::new(mc, number))));
    settle(&mut arena);
}

/// The node may be one that another leads to as well.
fn write_by_hand(broken: bool, reached_twice: bool) {
    let mut arena = nodes(20);
    if reached_twice {
        arena.mutate(|mc, nodes| unlock!(Gc::write(mc, nodes[9]), Node, next).set(Some(nodes[4])));
    }
    arena.finish_cycle();
    arena.mutate(|mc, nodes| {
        // SAFETY: if broken, no barrier follows.
        unsafe { nodes[4].next.as_cell() }.set(Some(Node::new(mc, 50)));
        if !broken {
            mc.backward_barrier(Gc::erase(nodes[4]), None);
        }
    });
    read_all(&arena);
}

fn raw_write(broken: bool) {
    let mut arena = nodes(20);
    arena.finish_cycle();
    arena.mutate(|mc, nodes| {
        if broken {
            // SAFETY: nobody borrows what is in a `Lock`; but no barrier follows.
            unsafe { nodes[4].next.as_ptr().write(Some(Node::new(mc, 50))) };
        } else {
            unlock!(Gc::write(mc, nodes[4]), Node, next).set(Some(Node::new(mc, 50)));
        }
    });
    arena.mutate(|mc, nodes| unlock!(Gc::write(mc, nodes[4]), Node, next).set(Some(Node::new(mc, 51))));
    read_all(&arena);
}
