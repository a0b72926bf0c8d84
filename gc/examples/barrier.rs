//! Functions to look at in a disassembly: what a pointer write, an unpublished write and a publish compile to.
//!
//! `cargo rustc --release -p bucketmask-gc --example barrier -- --emit asm -C debuginfo=0`; see `docs/gc-barriers.md`.

use bucketmask_gc::{Arena, Gc, GcLock, Lock, Mutation, Rootable, Unpublished};

type Cell<'gc> = GcLock<'gc, Option<Gc<'gc, u64>>>;

/// A write through a lock: the backward barrier, then the store.
#[inline(never)]
pub fn pointer_write<'gc>(mc: &Mutation<'gc>, cell: Cell<'gc>, value: Gc<'gc, u64>) {
    cell.unlock(mc).set(Some(value));
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

fn main() {
    let arena = Arena::<Rootable![Cell<'_>]>::new(|mc| Gc::new(mc, Lock::new(None)));
    arena.mutate(|mc, root| {
        pointer_write(mc, *root, Gc::new(mc, 1));
        let mut fresh = Unpublished::new(mc, Lock::new(None));
        unpublished_write(&mut fresh, Gc::new(mc, 2));
        let sum = root.get().map_or(0, |value| *value) + publish(fresh).get().map_or(0, |value| *value);
        println!("{sum}");
    });
}
