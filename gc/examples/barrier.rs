//! Functions to look at in a disassembly: what the events of docs/gc-barriers.md compile to.
//!
//! `ci/gc-barriers.sh` reads them there and writes the page's table. Invariant: each event is a function of its own, and the
//! program calls all of them.

use bucketmask_alloc::sync::channel::{Acq, Channel, Rel};
use bucketmask_gc::{Arena, Gc, GcLock, GcRefLock, Lock, Mutation, RefLock, Rootable, Unpublished};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

type Cell<'gc> = GcLock<'gc, Option<Gc<'gc, u64>>>;
type Message<'gc> = Gc<'gc, u64>;
type Queue<'gc> = GcRefLock<'gc, VecDeque<Message<'gc>>>;
type Root<'gc> = (Cell<'gc>, Queue<'gc>, Cell<'gc>);
type Owner = Arena<Rootable![Root<'_>]>;
type Wire = Channel<u64, 4>;

/// An atomic store of plain data into an object, with release.
#[inline(never)]
pub fn atomic_store_release(target: Gc<'_, AtomicU64>, value: u64) {
    target.store(value, Ordering::Release);
}

/// The same in the one order of all such stores.
#[inline(never)]
pub fn atomic_store_seq_cst(target: Gc<'_, AtomicU64>, value: u64) {
    target.store(value, Ordering::SeqCst);
}

/// A write through a lock: the backward barrier, then the store.
#[inline(never)]
pub fn pointer_write<'gc>(mc: &Mutation<'gc>, cell: Cell<'gc>, value: Gc<'gc, u64>) {
    cell.unlock(mc).set(Some(value));
}

/// Eight writes in a loop.
#[inline(never)]
pub fn pointer_writes<'gc>(mc: &Mutation<'gc>, cells: &[Cell<'gc>; 8], value: Gc<'gc, u64>) {
    for cell in cells {
        cell.unlock(mc).set(Some(value));
    }
}

/// A write to an unpublished object: the store.
#[inline(never)]
pub fn unpublished_write<'gc>(cell: &mut Unpublished<'gc, Lock<Option<Gc<'gc, u64>>>>, value: Gc<'gc, u64>) {
    **cell = Lock::new(Some(value));
}

/// Publishing: a release fence, which orders the compiler.
#[inline(never)]
pub fn publish<'gc>(cell: Unpublished<'gc, Lock<Option<Gc<'gc, u64>>>>) -> Cell<'gc> {
    cell.publish()
}

/// Sending through a queue in the arena.
#[inline(never)]
pub fn send_inside<'gc>(mc: &Mutation<'gc>, queue: Queue<'gc>, message: Message<'gc>) {
    queue.unlock(mc).borrow_mut().push_back(message);
}

/// Receiving there, into a cell of the receiver's.
#[inline(never)]
pub fn receive_inside<'gc>(mc: &Mutation<'gc>, queue: Queue<'gc>, into: Cell<'gc>) {
    let message = queue.unlock(mc).borrow_mut().pop_front();
    into.unlock(mc).set(message);
}

/// Sending plain data to another thread.
#[inline(never)]
pub fn send_between(wire: Rel<'_, u64, 4>, value: u64) -> bool {
    wire.send(value).is_ok()
}

/// Receiving plain data from another thread.
#[inline(never)]
pub fn receive_between(wire: &mut Acq<'_, u64, 4>) -> Option<u64> {
    wire.receive()
}

/// A thread parks between callbacks: the arena is at rest, and is not asked.
#[inline(never)]
pub fn park(_arena: &Owner) {
    std::thread::park();
}

/// A section under a lock that guards a whole arena: one pointer write in it.
#[inline(never)]
pub fn section(arena: &Mutex<Owner>) {
    if let Ok(arena) = arena.lock() {
        arena.mutate(|mc, root| root.0.unlock(mc).set(root.2.get()));
    }
}

fn main() {
    static WIRE: Wire = Wire::new();
    // Hidden from the compiler, they keep to the usual way of passing arguments.
    std::hint::black_box(atomic_store_release as fn(Gc<'_, AtomicU64>, u64));
    std::hint::black_box(atomic_store_seq_cst as fn(Gc<'_, AtomicU64>, u64));
    std::hint::black_box(pointer_write as for<'gc> fn(&Mutation<'gc>, Cell<'gc>, Gc<'gc, u64>));
    std::hint::black_box(pointer_writes as for<'gc> fn(&Mutation<'gc>, &[Cell<'gc>; 8], Gc<'gc, u64>));
    std::hint::black_box(send_inside as for<'gc> fn(&Mutation<'gc>, Queue<'gc>, Message<'gc>));
    std::hint::black_box(receive_inside as for<'gc> fn(&Mutation<'gc>, Queue<'gc>, Cell<'gc>));
    let arena = Owner::new(|mc| {
        let cell = |value| Gc::new(mc, Lock::new(Some(Gc::new(mc, value))));
        (cell(1), Gc::new(mc, RefLock::default()), cell(2))
    });
    arena.mutate(|mc, &(cell, queue, other)| {
        let counter = Gc::new_static(mc, AtomicU64::new(0));
        atomic_store_release(counter, 1);
        atomic_store_seq_cst(counter, 2);
        pointer_write(mc, cell, Gc::new(mc, 3));
        pointer_writes(mc, &[cell; 8], Gc::new(mc, 3));
        let mut fresh = Unpublished::new(mc, Lock::new(None));
        unpublished_write(&mut fresh, Gc::new(mc, 4));
        send_inside(mc, queue, publish(fresh).get().unwrap_or_else(|| Gc::new(mc, 5)));
        receive_inside(mc, queue, other);
        println!("{} {}", counter.load(Ordering::Relaxed), other.get().map_or(0, |value| *value));
    });
    std::thread::current().unpark();
    park(&arena);
    let arena = Mutex::new(arena);
    section(&arena);
    if let Some(mut receive) = WIRE.receiver() {
        let sent = send_between(WIRE.sender(), 6);
        println!("{sent} {:?}", receive_between(&mut receive));
    }
}
