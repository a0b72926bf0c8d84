//! Pointers: what can be asked of them, cast and unsized ones, barriers by hand, roots from outside. Written for gc-arena.
#![allow(clippy::redundant_closure, reason = "a path is not general enough in its brand")]

use super::super::Log;
use super::gc::arena::rootless_mutate;
use super::gc::collect::Trace;
use super::gc::dynamic_roots::MismatchedRootSet;
use super::gc::zst_cache::{Alignment, ValidAlignment, ZstCache};
use super::gc::{
    Arena, Collect, DynamicRoot, DynamicRootSet, Gc, GcWeak, Lock, RefLock, Rootable, unsize,
};
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{Debug, Display};

pub(super) fn strong(log: &mut Log) {
    rootless_mutate(|mc| {
        let (one, same, two) = (Gc::new(mc, 1), Gc::new(mc, 1), Gc::new(mc, 2));
        log.push(format!("{} {} {} {}", one == same, one != two, one < two, one >= same));
        log.push(format!("{} {}", Gc::ptr_eq(one, same), Gc::ptr_eq(one, one)));
        log.push(format!("{one} {two:?} {:?}", one.cmp(&two)));
        log.push(format!("{}", format!("{one:p}") == format!("{:p}", Gc::as_ptr(one))));
        let set: HashSet<Gc<'_, i32>> = [one, same, two].into();
        log.push(format!("{} {}", set.len(), set.contains(&2)));
        let reference: &i32 = one.as_ref();
        let long: &i32 = Gc::as_ref(one);
        let borrowed: &i32 = one.borrow();
        log.push(format!("{}", *reference + *long + *borrowed + *one));
        log.push(format!("{}", *Gc::new_static(mc, std::num::Wrapping(7_u8))));
        let copies = [one, one].to_vec().clone();
        log.push(format!("{}", Gc::ptr_eq(copies[0], copies[1])));
        log.push(format!("{}", size_of::<Option<Gc<'_, u8>>>() == size_of::<usize>()));
        log.push(format!("{}", mc.metrics().total_gc_count()));
    });
}

pub(super) fn weak(log: &mut Log) {
    type Root<'gc> = (Option<Gc<'gc, String>>, GcWeak<'gc, String>);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let strong = Gc::new(mc, "target".to_owned());
        (Some(strong), Gc::downgrade(strong))
    });
    let look = |arena: &Arena<Rootable![Root<'_>]>| {
        arena.mutate(|mc, root| {
            let same = root.0.is_some_and(|strong| GcWeak::ptr_eq(root.1, Gc::downgrade(strong)));
            let upgraded = root.1.upgrade(mc).map(|strong| strong.len());
            format!("{:?} {upgraded:?} {} {same}", root.1, root.1.is_dropped())
        })
    };
    log.push(look(&arena));
    arena.finish_cycle();
    log.push(look(&arena));
    arena.mutate_root(|_, root| root.0 = None);
    log.push(look(&arena));
    arena.finish_marking().unwrap().start_sweeping();
    // Not dropped yet, but it cannot be saved any more.
    log.push(look(&arena));
    arena.finish_cycle();
    log.push(look(&arena));
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|_, root| {
        // SAFETY: the pointer comes from this very weak pointer.
        let again = unsafe { GcWeak::from_ptr(root.1.as_ptr()) };
        // SAFETY: bytes are never read through it: the target is gone.
        let cast = unsafe { GcWeak::cast::<u8>(again) };
        log.push(format!("{} {}", again.is_dropped(), cast.is_dropped()));
        log.push(format!("{}", GcWeak::ptr_eq(GcWeak::erase(cast), GcWeak::erase(again))));
    });
    arena.mutate_root(|mc, root| root.1 = Gc::downgrade(Gc::new(mc, String::new())));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
}

pub(super) fn unsized_targets(log: &mut Log) {
    type Root<'gc> = (Gc<'gc, [Gc<'gc, u32>]>, Gc<'gc, RefLock<dyn Display>>, GcWeak<'gc, dyn Debug>);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let array: [_; 10] = std::array::from_fn(|number| Gc::new(mc, number as u32));
        let text = Gc::new(mc, "debugged".to_owned());
        (
            unsize!(Gc::new(mc, array) => [_]),
            unsize!(Gc::new(mc, RefLock::new(12_345)) => RefLock<dyn Display>),
            unsize!(Gc::downgrade(text) => dyn Debug),
        )
    });
    arena.mutate(|mc, root| log.push(format!("{:?}", root.2.upgrade(mc))));
    arena.finish_cycle();
    arena.mutate(|mc, root| {
        log.push(format!("{:?} {}", root.0, root.1.borrow()));
        log.push(format!("{:?}", root.2.upgrade(mc).is_none()));
        log.push(format!("{:p}", root.0) .len().to_string());
    });
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate_root(|mc, root| root.0 = unsize!(Gc::new(mc, []) => [_]));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
}

#[derive(Collect)]
#[collect(require_static)]
#[repr(C)]
struct Long {
    head: Cell<u8>,
    tail: u8,
}

#[derive(Collect)]
#[collect(require_static)]
#[repr(C)]
struct Short {
    head: Cell<u8>,
}

pub(super) fn casts(log: &mut Log) {
    let mut arena = Arena::<Rootable![Gc<'_, Short>]>::new(|mc| {
        let long = Gc::new(mc, Long { head: Cell::new(1), tail: 2 });
        // SAFETY: a `Short` is a prefix of a `Long`.
        let short = unsafe { Gc::cast::<Short>(long) };
        short.head.set(3);
        log.push(format!("{} {}", long.head.get(), long.tail));
        // SAFETY: it comes from `as_ptr`, with a prefix's type.
        let again = unsafe { Gc::from_ptr(Gc::as_ptr(long).cast::<Short>()) };
        log.push(format!("{}", Gc::ptr_eq(Gc::erase(again), Gc::erase(short))));
        again
    });
    arena.finish_cycle();
    log.push(format!("{}", arena.mutate(|_, root| root.head.get())));
    log.push(format!("{}", arena.metrics().total_gc_count()));
}

/// Cells without a lock: barriers are up to the program.
#[derive(Default)]
struct Node<'gc> {
    strong: Cell<Option<Gc<'gc, i32>>>,
    weak: Cell<Option<GcWeak<'gc, i32>>>,
}

// SAFETY: both pointers are traced; who sets them runs a barrier.
unsafe impl<'gc> Collect<'gc> for Node<'gc> {
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace(&self.strong.get());
        cc.trace(&self.weak.get());
    }
}

pub(super) fn barriers(log: &mut Log) {
    let mut arena = Arena::<Rootable![Gc<'_, Node<'_>>]>::new(|mc| Gc::new(mc, Node::default()));
    for kind in 0..6 {
        arena.finish_marking();
        log.push(format!("{:?}", arena.collection_phase()));
        arena.mutate(|mc, node| {
            let (parent, child) = (Gc::erase(*node), Gc::new(mc, kind));
            let weak = Gc::downgrade(child);
            match kind {
                0 => mc.backward_barrier(parent, None),
                1 => mc.backward_barrier(parent, Some(Gc::erase(child))),
                2 => mc.forward_barrier(None, Gc::erase(child)),
                3 => mc.forward_barrier(Some(parent), Gc::erase(child)),
                4 => mc.backward_barrier_weak(parent, GcWeak::erase(weak)),
                _ => {
                    mc.forward_barrier_weak(Some(parent), GcWeak::erase(weak));
                    mc.forward_barrier_weak(None, GcWeak::erase(weak));
                }
            }
            node.strong.set((kind < 4).then_some(child));
            node.weak.set((kind >= 4).then_some(weak));
        });
        arena.finish_cycle();
        arena.mutate(|_, node| {
            let strong = node.strong.get().map(|child| *child);
            let weak = node.weak.get().map(GcWeak::is_dropped);
            log.push(format!("{strong:?} {weak:?} {}", arena.metrics().total_gc_count()));
        });
    }
}

pub(super) fn dynamic_roots(log: &mut Log) {
    let mut arena = Arena::<Rootable![DynamicRootSet<'_>]>::new(|mc| DynamicRootSet::new(mc));
    let other = Arena::<Rootable![DynamicRootSet<'_>]>::new(|mc| DynamicRootSet::new(mc));
    let stash = |arena: &Arena<Rootable![DynamicRootSet<'_>]>, text: &str| {
        arena.mutate(|mc, set| set.stash::<Rootable![Lock<(u8, usize)>]>(mc, Gc::new(mc, Lock::new((1, text.len())))))
    };
    let handles: Vec<DynamicRoot<_>> = ["one", "second", "the third"].map(|text| stash(&arena, text)).into();
    let cloned = handles[1].clone();
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.mutate(|mc, set| {
        for handle in &handles {
            let fetched = set.fetch(handle);
            log.push(format!("{:?} {}", fetched.get(), std::ptr::eq(handle.as_ptr(), Gc::as_ptr(fetched))));
        }
        set.fetch(&cloned).set(mc, (2, 2));
        log.push(format!("{}", set.contains(&cloned)));
    });
    other.mutate(|_, set| {
        let mismatch: Result<_, MismatchedRootSet> = set.try_fetch(&cloned);
        log.push(format!("{} {}", set.contains(&cloned), mismatch.err().unwrap()));
    });
    drop(handles);
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    log.push(format!("{:?}", arena.mutate(|_, set| set.try_fetch(&cloned).ok().map(|lock| lock.get().1))));
    // A pointer that is stashed while marking goes on is found.
    arena.finish_marking();
    let late = stash(&arena, "late");
    arena.finish_cycle();
    log.push(format!("{:?}", arena.mutate(|_, set| set.fetch(&late).get())));
    drop((cloned, late));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    let outliving = stash(&arena, "outliving");
    drop(arena);
    drop(outliving.clone());
}

pub(super) fn zero_sized(log: &mut Log) {
    #[repr(align(16))]
    struct Aligned16;
    #[repr(align(32))]
    struct Aligned32;
    fn aligned<const ALIGN: usize>() -> usize
    where
        Alignment<ALIGN>: ValidAlignment,
    {
        let cached = rootless_mutate(|mc| Gc::as_ptr(ZstCache::<ALIGN>::new(mc).cached_ptr()).addr());
        cached % ALIGN
    }
    let mut arena = Arena::<Rootable![ZstCache<'_, 16>]>::new(|mc| ZstCache::new(mc));
    arena.mutate(|mc, cache| {
        let unit = cache.alloc(mc, ());
        let aligned = cache.alloc_static(mc, Aligned16);
        log.push(format!("{} {}", cache.is_cached(unit), cache.is_cached(aligned)));
        log.push(format!("{}", Gc::ptr_eq(Gc::erase(unit), cache.cached_ptr())));
        log.push(format!("{}", cache.is_cached(cache.alloc_static(mc, Aligned32))));
        log.push(format!("{}", cache.is_cached(cache.alloc(mc, 1_u8))));
        log.push(format!("{:?} {:?}", cache.alloc_zst::<()>().is_some(), cache.alloc_zst::<u8>().is_some()));
        log.push(format!("{}", cache.alloc_zst::<Aligned32>().is_some()));
    });
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    log.push(format!("{} {} {} {}", aligned::<1>(), aligned::<64>(), aligned::<4096>(), aligned::<1_048_576>()));
}
