//! The programs that gc-arena and our collector run alike: written for gc-arena, compiled against each crate under the name
//! `gc`. Owned by the child that runs one. Invariant: not a word of it depends on the crate.

use super::gc::arena::Arena;
use super::gc::barrier::unlock;
use super::gc::lock::Lock;
use super::gc::{Collect, Gc, Mutation, Rootable};

use crate::gc::program::{Answer, Program};
use crate::memory::Footprint;
use crate::timer::taken;

/// A node of two pointers.
#[derive(Collect)]
#[collect(no_drop)]
struct Tree<'gc> {
    children: Option<[Gc<'gc, Tree<'gc>>; 2]>,
}

/// A cell of a linked list.
#[derive(Collect)]
#[collect(no_drop)]
struct List<'gc> {
    next: Option<Gc<'gc, List<'gc>>>,
    value: u64,
}

/// A node of `GCBench`.
#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Lock<Option<Gc<'gc, Node<'gc>>>>,
    right: Lock<Option<Gc<'gc, Node<'gc>>>>,
    i: u64,
    j: u64,
}

/// Runs a program; None for one that is not written here.
pub(crate) fn run(program: Program, size: u64) -> Option<Answer> {
    Some(match program {
        Program::TreesMark => trees_mark(size),
        Program::ListMark => list_mark(size),
        Program::SweepDead => sweep(size, u64::MAX),
        Program::SweepHalf => sweep(size, 2),
        Program::SweepLive => sweep(size, 1),
        Program::BinaryTrees => whole(|| binary_trees(size)),
        Program::GcBench => whole(|| gc_bench(size)),
        Program::Overhead16 => overhead::<2>(size),
        Program::Overhead64 => overhead::<8>(size),
        Program::Arenas => arenas(size),
        Program::LongestStep => return None,
    })
}

fn whole(work: impl FnOnce() -> (u64, u64)) -> Answer {
    let ((count, sum), taken) = taken(work);
    Answer { value: taken.time, cpu: taken.cpu, count, sum }
}

fn grow<'gc>(mc: &Mutation<'gc>, depth: u64) -> Gc<'gc, Tree<'gc>> {
    let children = (depth > 0).then(|| [grow(mc, depth - 1), grow(mc, depth - 1)]);
    Gc::new(mc, Tree { children })
}

fn check(tree: &Tree<'_>) -> u64 {
    1 + tree.children.map_or(0, |[left, right]| check(&left) + check(&right))
}

fn trees_mark(depth: u64) -> Answer {
    let mut arena = Arena::<Rootable![Gc<'_, Tree<'_>>]>::new(|mc| grow(mc, depth));
    arena.finish_cycle();
    let (_, taken) = taken(|| arena.finish_marking().is_some());
    arena.finish_cycle();
    let sum = arena.mutate(|_, tree| check(tree));
    Answer { value: taken.time, cpu: taken.cpu, count: arena.metrics().total_gc_count() as u64, sum }
}

fn list_mark(length: u64) -> Answer {
    let mut arena = Arena::<Rootable![Option<Gc<'_, List<'_>>>]>::new(|mc| {
        (0..length).fold(None, |next, value| Some(Gc::new(mc, List { next, value })))
    });
    arena.finish_cycle();
    let (_, taken) = taken(|| arena.finish_marking().is_some());
    arena.finish_cycle();
    let sum = arena.mutate(|_, first| {
        let mut sum = 0;
        let mut cell = *first;
        while let Some(List { next, value }) = cell.as_deref() {
            sum += value;
            cell = *next;
        }
        sum
    });
    Answer { value: taken.time, cpu: taken.cpu, count: arena.metrics().total_gc_count() as u64, sum }
}

/// Sweeps so many objects, of which each `every`-th lives.
fn sweep(objects: u64, every: u64) -> Answer {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, [u64; 2]>>]>::new(|mc| {
        let all = (0..objects).map(|number| (number, Gc::new(mc, [number, 1])));
        all.filter(|(number, _)| (number + 1) % every == 0).map(|(_, object)| object).collect()
    });
    if let Some(marked) = arena.finish_marking() {
        marked.start_sweeping();
    }
    let ((), taken) = taken(|| arena.finish_cycle());
    let sum = arena.mutate(|_, kept| kept.iter().map(|object| object[0]).sum());
    Answer { value: taken.time, cpu: taken.cpu, count: objects, sum }
}

fn binary_trees(depth: u64) -> (u64, u64) {
    let mut arena = Arena::<Rootable![Option<Gc<'_, Tree<'_>>>]>::new(|_| None);
    let mut count = arena.mutate(|mc, _| check(&grow(mc, depth + 1)));
    arena.collect_debt();
    arena.mutate_root(|mc, long| *long = Some(grow(mc, depth)));
    let mut sum = 0;
    for shallow in (4..=depth).step_by(2) {
        for _ in 0..1_u64 << (depth - shallow + 4) {
            let found = arena.mutate(|mc, _| check(&grow(mc, shallow)));
            count += found;
            sum += found * shallow;
            arena.collect_debt();
        }
    }
    let found = arena.mutate(|_, long| long.as_deref().map_or(0, check));
    (count + found, sum + found)
}

const fn tree_size(depth: u64) -> u64 {
    (1 << (depth + 1)) - 1
}

fn leaf<'gc>(mc: &Mutation<'gc>, i: u64, j: u64) -> Gc<'gc, Node<'gc>> {
    Gc::new(mc, Node { left: Lock::new(None), right: Lock::new(None), i, j })
}

/// Grows a tree from its root down: each node takes up pointers after it was made.
fn populate<'gc>(mc: &Mutation<'gc>, depth: u64, node: Gc<'gc, Node<'gc>>) {
    if depth == 0 {
        return;
    }
    let (left, right) = (leaf(mc, depth, 0), leaf(mc, 0, depth));
    let write = Gc::write(mc, node);
    unlock!(write, Node, left).set(Some(left));
    unlock!(write, Node, right).set(Some(right));
    populate(mc, depth - 1, left);
    populate(mc, depth - 1, right);
}

fn build<'gc>(mc: &Mutation<'gc>, depth: u64) -> Gc<'gc, Node<'gc>> {
    if depth == 0 {
        return leaf(mc, 0, 0);
    }
    let (left, right) = (Some(build(mc, depth - 1)), Some(build(mc, depth - 1)));
    Gc::new(mc, Node { left: Lock::new(left), right: Lock::new(right), i: depth, j: 0 })
}

fn weigh(node: Option<Gc<'_, Node<'_>>>) -> u64 {
    node.map_or(0, |node| 1 + node.i + 2 * node.j + weigh(node.left.get()) + weigh(node.right.get()))
}

type LongLived<'gc> = Option<(Gc<'gc, Node<'gc>>, Gc<'gc, Vec<f64>>)>;

fn gc_bench(depth: u64) -> (u64, u64) {
    let mut arena = Arena::<Rootable![LongLived<'_>]>::new(|_| None);
    let mut sum = arena.mutate(|mc, _| weigh(Some(build(mc, depth + 2))));
    arena.collect_debt();
    arena.mutate_root(|mc, long| {
        let tree = leaf(mc, 0, 0);
        populate(mc, depth, tree);
        let array = (0..1_u64 << (depth + 3)).map(|idx| 1.0 / (idx + 1) as f64).collect();
        *long = Some((tree, Gc::new(mc, array)));
    });
    let mut count = tree_size(depth + 2) + tree_size(depth);
    for shallow in (4..=depth).step_by(2) {
        let times = 2 * tree_size(depth + 2) / tree_size(shallow);
        for _ in 0..times {
            sum += arena.mutate(|mc, _| {
                let node = leaf(mc, 0, 0);
                populate(mc, shallow, node);
                node.i + node.left.get().map_or(0, |left| left.i)
            });
            arena.collect_debt();
        }
        for _ in 0..times {
            sum += arena.mutate(|mc, _| build(mc, shallow).i);
            arena.collect_debt();
        }
        count += 2 * times * tree_size(shallow);
    }
    let stayed = arena.mutate(|_, long| {
        #[expect(clippy::cast_sign_loss, reason = "a thousand thousandths")]
        let array = |array: Gc<'_, Vec<f64>>| (1000.0 * array[999]) as u64;
        long.map_or(0, |(tree, values)| weigh(Some(tree)) + array(values))
    });
    (count, sum + stayed)
}

/// Bytes of memory that a piece of work leaves resident, and what it gave.
fn resident<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = Footprint::now().resident;
    let left = work();
    (Footprint::now().resident.saturating_sub(before) as f64, left)
}

/// What `bytes` of objects of so many words keep beside themselves, in percent of all.
fn overhead<const WORDS: usize>(bytes: u64) -> Answer {
    let objects = bytes / (8 * WORDS as u64);
    let arena = Arena::<Rootable![()]>::new(|mc| {
        Gc::new(mc, [0_u64; WORDS]);
    });
    let (grown, ()) = resident(|| {
        arena.mutate(|mc, ()| {
            for number in 0..objects {
                std::hint::black_box(Gc::new(mc, [number; WORDS]));
            }
        });
    });
    let share = 100.0 * (grown - bytes as f64) / grown.max(1.0);
    Answer { value: share, cpu: 0.0, count: arena.metrics().total_gc_count() as u64, sum: bytes }
}

/// One of many types.
#[derive(Collect)]
#[collect(no_drop)]
struct Kind<'gc, const NUMBER: usize> {
    _next: Option<Gc<'gc, ()>>,
    _number: usize,
}

/// One object of each type, as a list.
macro_rules! one_of_each {
    ($mc:ident: $($number:literal)*) => {{
        let list = None;
        $(let list = Some(Gc::erase(Gc::new($mc, Kind::<$number> { _next: list, _number: $number })));)*
        list
    }};
}

fn arenas(count: u64) -> Answer {
    type Any = Arena<Rootable![Option<Gc<'_, ()>>]>;
    let make = || {
        Any::new(|mc| {
            one_of_each!(mc: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
                31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49)
        })
    };
    let (grown, arenas) = resident(|| (0..count).map(|_| make()).collect::<Vec<Any>>());
    let count = arenas.iter().map(|arena| arena.metrics().total_gc_count() as u64).sum();
    let has_all = |arena: &Any| arena.mutate(|_, list| u64::from(list.is_some()));
    Answer { value: grown, cpu: 0.0, count, sum: arenas.iter().map(has_all).sum() }
}
