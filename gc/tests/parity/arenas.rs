//! Arenas: roots, phases, finalization, debt. Written for gc-arena.

use super::super::Log;
use super::gc::arena::{CollectionPhase, MarkedArena, Root, rootless_mutate};
use super::gc::metrics::{Metrics, Pacing};
use super::gc::{Arena, Collect, Finalization, Gc, GcWeak, Mutation, Rootable, Static};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

#[derive(Collect)]
#[collect(no_drop)]
struct Pair<'gc> {
    first: Gc<'gc, u8>,
    second: Gc<'gc, u8>,
}

/// A root without the macro.
struct Numbers;

impl<'a> Rootable<'a> for Numbers {
    type Root = Vec<Gc<'a, u8>>;
}

fn sum<R>(arena: &Arena<R>, add: impl for<'gc> Fn(&'gc Root<'gc, R>) -> u64) -> u64
where
    R: for<'a> Rootable<'a>,
{
    arena.mutate(|_, root| add(root))
}

pub(super) fn roots(log: &mut Log) {
    let mut arena = Arena::<Numbers>::new(|mc| vec![Gc::new(mc, 1), Gc::new(mc, 2)]);
    log.push(format!("{}", sum(&arena, |root| root.iter().map(|number| u64::from(**number)).sum())));
    arena.mutate_root(|mc: &Mutation<'_>, root| root.push(Gc::new(mc, 3)));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    let arena = arena
        .map_root::<Rootable!['gc => Pair<'gc>]>(|_, root| Pair { first: root[0], second: root[2] });
    let mut arena = arena
        .try_map_root::<Rootable![Pair<'_>], ()>(|mc, root| Ok(Pair { first: Gc::new(mc, 9), ..root }))
        .ok()
        .unwrap();
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    log.push(format!("{}", sum(&arena, |root| u64::from(*root.first) * 10 + u64::from(*root.second))));
    let failed = arena.try_map_root::<Numbers, &str>(|_, _| Err("refused"));
    log.push(format!("{:?}", failed.err()));
    log.push(format!("{:?}", Arena::<Numbers>::try_new(|_| Err::<Vec<_>, _>("no root")).err()));
    log.push(format!("{}", Arena::<Numbers>::try_new(|_| Ok::<_, ()>(Vec::new())).is_ok()));
    log.push(format!("{}", Arena::<Static<u8>>::new(|_| Static(4)).mutate(|_, root| root.0)));
    log.push(format!("{}", rootless_mutate(|mc| *Gc::new(mc, 5_u8) + *Gc::new(mc, 6_u8))));
}

pub(super) fn phases(log: &mut Log) {
    fn note(log: &mut Log, arena: &Arena<Numbers>) {
        log.push(format!("{:?}, {} objects", arena.collection_phase(), arena.metrics().total_gc_count()));
    }
    let mut arena = Arena::<Numbers>::new(|mc| (0..5).map(|number| Gc::new(mc, number)).collect());
    note(log, &arena);
    // A fresh arena has debt from the first object on.
    log.push(format!("{}", arena.metrics().allocation_debt()));
    arena.finish_cycle();
    note(log, &arena);
    log.push(format!("{}", arena.metrics().allocation_debt()));
    arena.mutate(|mc, _| _ = Gc::new(mc, 7_u8));
    log.push(format!("{}", arena.mark_debt().is_none()));
    note(log, &arena);
    log.push(format!("{}", arena.finish_marking().is_some()));
    note(log, &arena);
    // A changed root is traced again.
    arena.mutate_root(|_, root| root.truncate(2));
    note(log, &arena);
    arena.finish_marking().unwrap().start_sweeping();
    note(log, &arena);
    log.push(format!("{} {}", arena.finish_marking().is_none(), arena.mark_debt().is_none()));
    // What is allocated while the sweep runs stays.
    arena.mutate_root(|mc, root| root.push(Gc::new(mc, 8)));
    arena.mutate(|mc, _| _ = Gc::new(mc, 9_u8));
    arena.finish_cycle();
    note(log, &arena);
    arena.finish_cycle();
    note(log, &arena);
    arena.metrics().adjust_debt(10_000.0);
    arena.collect_debt();
    note(log, &arena);
    arena.metrics().adjust_debt(10_000.0);
    arena.cycle_debt();
    note(log, &arena);
    log.push(format!("{:?}", CollectionPhase::Sleeping < CollectionPhase::Sweeping));
}

#[derive(Collect)]
#[collect(no_drop)]
struct Watch<'gc> {
    kept: Vec<Gc<'gc, u32>>,
    watched: Vec<GcWeak<'gc, u32>>,
}

pub(super) fn finalization(log: &mut Log) {
    fn states<'gc>(fc: &Finalization<'gc>, root: &Watch<'gc>) -> String {
        let state = |weak: &GcWeak<'gc, u32>| match (weak.is_dead(fc), weak.upgrade(fc)) {
            (false, Some(gc)) => format!("alive {} {}", *gc, Gc::is_dead(fc, gc)),
            (true, Some(gc)) => format!("dying {} {}", *gc, Gc::is_dead(fc, gc)),
            (true, None) => "dropped".to_owned(),
            (false, None) => "impossible".to_owned(),
        };
        root.watched.iter().map(state).collect::<Vec<_>>().join(", ")
    }
    fn look(marked: MarkedArena<'_, Rootable![Watch<'_>]>) -> String {
        marked.finalize(states)
    }
    let mut arena = Arena::<Rootable![Watch<'_>]>::new(|mc| {
        let objects: Vec<_> = (0..4).map(|number| Gc::new(mc, number)).collect();
        let watched = objects.iter().map(|object| Gc::downgrade(*object)).collect();
        Watch { kept: objects, watched }
    });
    log.push(look(arena.finish_marking().unwrap()));
    arena.finish_cycle();
    arena.mutate_root(|_, root| root.kept.truncate(1));
    log.push(look(arena.finish_marking().unwrap()));
    arena.finish_marking().unwrap().finalize(|fc, root| {
        log.push(format!("{:?}", root.watched[1].resurrect(fc).map(|gc| *gc)));
        Gc::resurrect(fc, root.watched[2].upgrade(fc).unwrap());
        log.push(format!("{}", fc.metrics().total_gc_count()));
    });
    log.push(format!("{:?}", arena.collection_phase()));
    log.push(look(arena.finish_marking().unwrap()));
    arena.finish_cycle();
    let dropped = |arena: &Arena<Rootable![Watch<'_>]>| {
        arena.mutate(|_, root| root.watched.iter().map(|weak| weak.is_dropped()).collect::<Vec<_>>())
    };
    log.push(format!("{:?} of {}", dropped(&arena), arena.metrics().total_gc_count()));
    log.push(look(arena.finish_marking().unwrap()));
    arena.finish_cycle();
    log.push(format!("{:?} of {}", dropped(&arena), arena.metrics().total_gc_count()));
    arena.finish_marking().unwrap().finalize(|fc, root| {
        log.push(format!("{:?}", root.watched[1].resurrect(fc).is_none()));
    });
    arena.mutate_root(|_, root| root.watched.truncate(2));
    arena.finish_cycle();
    arena.finish_cycle();
    log.push(format!("{:?} of {}", dropped(&arena), arena.metrics().total_gc_count()));
}

pub(super) fn transitive_death(log: &mut Log) {
    type Chain<'gc> = (Option<Gc<'gc, Gc<'gc, u8>>>, GcWeak<'gc, Gc<'gc, u8>>);
    let mut arena = Arena::<Rootable![Chain<'_>]>::new(|mc| {
        let outer = Gc::new(mc, Gc::new(mc, 1));
        (Some(outer), Gc::downgrade(outer))
    });
    for cut in [false, true] {
        arena.mutate_root(|_, root| root.0 = root.0.filter(|_| !cut));
        arena.finish_marking().unwrap().finalize(|fc, root| {
            let inner = *root.1.upgrade(fc).unwrap();
            log.push(format!("{} {}", root.1.is_dead(fc), Gc::is_dead(fc, inner)));
        });
        if !cut {
            arena.finish_cycle();
        }
    }
    // Who is saved saves what it points to, once marking has gone on.
    arena.finish_marking().unwrap().finalize(|fc, root| _ = root.1.resurrect(fc));
    arena.finish_marking().unwrap().finalize(|fc, root| {
        let outer = root.1.upgrade(fc).unwrap();
        log.push(format!("{} {}", root.1.is_dead(fc), Gc::is_dead(fc, *outer)));
    });
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
    arena.finish_cycle();
    log.push(format!("{}", arena.metrics().total_gc_count()));
}

/// Panics when it is traced, some times.
struct Shy<'gc> {
    times: Cell<u8>,
    target: Gc<'gc, [u8; 100]>,
}

// SAFETY: the only pointer is traced.
unsafe impl<'gc> Collect<'gc> for Shy<'gc> {
    fn trace<T: super::gc::collect::Trace<'gc>>(&self, cc: &mut T) {
        if let Some(left) = self.times.get().checked_sub(1) {
            self.times.set(left);
            panic!("not now");
        }
        cc.trace(&self.target);
    }
}

struct Dropping(Rc<Cell<u32>>);

impl Drop for Dropping {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

pub(super) fn panics(log: &mut Log) {
    let mut arena = Arena::<Rootable![Gc<'_, Shy<'_>>]>::new(|mc| {
        let target = Gc::new(mc, [3; 100]);
        Gc::new(mc, Shy { times: Cell::new(3), target })
    });
    arena.mutate(|mc, _| _ = Gc::new(mc, 1_u8));
    for _ in 0..5 {
        let panicked = catch_unwind(AssertUnwindSafe(|| arena.finish_cycle())).is_err();
        log.push(format!("{panicked}, {} objects", arena.metrics().total_gc_count()));
    }
    log.push(format!("{}", arena.mutate(|_, root| root.target[99])));
    let drops = Rc::new(Cell::new(0));
    let arena = Arena::<Rootable![()]>::new(|mc| _ = Gc::new_static(mc, Dropping(drops.clone())));
    log.push(format!("{}", drops.get()));
    drop(arena);
    log.push(format!("{}", drops.get()));
}

pub(super) fn pacing(log: &mut Log) {
    log.push(format!("{:?}", Pacing::DEFAULT));
    log.push(format!("{:?}", Pacing::STOP_THE_WORLD));
    log.push(format!("{:?}", Pacing::default()));
    let mut arena = Arena::<Numbers>::new(|_| Vec::new());
    let metrics: Metrics = arena.metrics().clone();
    metrics.set_pacing(Pacing { min_sleep: 100, sleep_factor: 1.5, ..Pacing::STOP_THE_WORLD });
    arena.finish_cycle();
    let mut allocate = |arena: &mut Arena<Numbers>, count: u8| {
        arena.mutate_root(|mc, root| root.extend((0..count).map(|number| Gc::new(mc, number))));
        log.push(format!("{} {:?}", arena.metrics().allocation_debt(), arena.collection_phase()));
        arena.collect_debt();
        log.push(format!("{} {:?}", arena.metrics().allocation_debt(), arena.collection_phase()));
    };
    allocate(&mut arena, 80);
    allocate(&mut arena, 20);
    allocate(&mut arena, 10);
    allocate(&mut arena, 150);
    allocate(&mut arena, 16);
    metrics.adjust_debt(1_000.0);
    log.push(format!("{}", metrics.allocation_debt() > 0.0));
    metrics.adjust_debt(-1_000.0);
    log.push(format!("{}", metrics.allocation_debt()));
    log.push(format!("{}", metrics.total_gc_count()));
    drop(arena);
    log.push(format!("{} {}", metrics.total_gc_count(), metrics.allocation_debt()));
    garbage_is_bounded(log);
}

fn garbage_is_bounded(log: &mut Log) {
    let mut arena = Arena::<Numbers>::new(|mc| (0..32).map(|number| Gc::new(mc, number)).collect());
    arena.metrics().set_pacing(Pacing { sleep_factor: 1.0, min_sleep: 64, ..Pacing::DEFAULT });
    arena.finish_cycle();
    let mut most = 0;
    let mut seen = Vec::new();
    for round in 0..400 {
        arena.mutate_root(|mc, root| {
            if round % 2 == 0 {
                *root = (0..32).map(|number| Gc::new(mc, number)).collect();
            } else {
                (0..32_u8).for_each(|number| _ = Gc::new(mc, number));
            }
        });
        arena.collect_debt();
        most = most.max(arena.metrics().total_gc_count());
        if !seen.contains(&arena.collection_phase()) {
            seen.push(arena.collection_phase());
        }
    }
    log.push(format!("{}, in more phases than one: {}", most < 512, seen.len() > 1));
}
