//! Random graphs against a naive heap: reference-counted records that are walked by a depth-first search.
//!
//! Owned by the collector's correctness. Invariant: after every cycle the arena holds exactly the objects that the model
//! reaches, every other one was dropped exactly once, and the weak pointers agree; under both walks.

use bucketmask_gc::arena::MarkedArena;
use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Collect, Gc, GcWeak, Lock, RefLock, Rootable, Walk};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// Counts drops by object number.
type Drops = Rc<RefCell<Vec<u32>>>;

struct Tracked(usize, Drops);

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.borrow_mut()[self.0] += 1;
    }
}

/// Three kinds of objects, on three kinds of pages: pointers and a destructor, pointers alone (so its drops cannot be
/// counted), a destructor alone.
#[derive(Clone, Copy, Collect)]
#[collect(no_drop)]
enum Any<'gc> {
    Node(Gc<'gc, Node<'gc>>),
    Pair(Gc<'gc, Pair<'gc>>),
    Leaf(Gc<'gc, Leaf>),
}

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    edges: RefLock<Vec<Any<'gc>>>,
    weak: RefLock<Vec<(usize, GcWeak<'gc, Leaf>)>>,
    #[collect(require_static)]
    tracked: Tracked,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Pair<'gc> {
    number: usize,
    left: Lock<Option<Any<'gc>>>,
    right: Lock<Option<Any<'gc>>>,
    padding: [u64; 3],
}

#[derive(Collect)]
#[collect(no_drop)]
struct Leaf {
    #[collect(require_static)]
    tracked: Tracked,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Node,
    Pair,
    Leaf,
}

struct Record {
    kind: Kind,
    edges: Vec<usize>,
    weak: Vec<usize>,
    alive: bool,
}

/// The naive heap.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    root: Vec<usize>,
}

impl Model {
    fn reachable(&self) -> HashSet<usize> {
        let mut seen = HashSet::new();
        let mut pending = self.root.clone();
        while let Some(number) = pending.pop() {
            if seen.insert(number) {
                pending.extend(&self.records[number].edges);
            }
        }
        seen
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

impl<'gc> Any<'gc> {
    fn number(self) -> usize {
        match self {
            Any::Node(node) => node.tracked.0,
            Any::Pair(pair) => pair.number,
            Any::Leaf(leaf) => leaf.tracked.0,
        }
    }

    fn edges(self) -> Vec<Any<'gc>> {
        match self {
            Any::Node(node) => node.edges.borrow().clone(),
            Any::Pair(pair) => [pair.left.get(), pair.right.get()].into_iter().flatten().collect(),
            Any::Leaf(_) => Vec::new(),
        }
    }
}

type Root = Rootable![RefLock<Vec<Any<'_>>>];
type Heap = Arena<Root>;

/// Every object that the root reaches, by the program's own pointers.
fn walk<'gc>(root: &RefLock<Vec<Any<'gc>>>) -> Vec<Any<'gc>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut pending = root.borrow().clone();
    while let Some(object) = pending.pop() {
        if seen.insert(object.number()) {
            found.push(object);
            pending.extend(object.edges());
        }
    }
    found
}

/// One change of the graph, in the arena and in the model alike. Only objects that are reachable can be changed.
fn change(arena: &mut Heap, model: &mut Model, drops: &Drops, random: &mut Random) {
    arena.mutate_root(|mc, root| {
        let known = walk(root);
        let here = (!known.is_empty()).then(|| known[random.below(known.len())]);
        match random.below(10) {
            0..=5 => {
                let number = model.records.len();
                drops.borrow_mut().push(0);
                let tracked = || Tracked(number, drops.clone());
                let (object, kind) = match random.below(3) {
                    0 => {
                        let (edges, weak) = (RefLock::default(), RefLock::default());
                        (Any::Node(Gc::new(mc, Node { edges, weak, tracked: tracked() })), Kind::Node)
                    }
                    1 => {
                        let (left, right) = (Lock::new(None), Lock::new(None));
                        (Any::Pair(Gc::new(mc, Pair { number, left, right, padding: [7; 3] })), Kind::Pair)
                    }
                    _ => (Any::Leaf(Gc::new(mc, Leaf { tracked: tracked() })), Kind::Leaf),
                };
                model.records.push(Record { kind, edges: Vec::new(), weak: Vec::new(), alive: true });
                match here {
                    Some(holder) if random.below(8) != 0 => link(mc, model, holder, object, random),
                    _ if random.below(2) == 0 => {
                        root.get_mut().push(object);
                        model.root.push(number);
                    }
                    _ => {}
                }
            }
            6 | 7 => {
                if let Some(holder) = here {
                    link(mc, model, holder, known[random.below(known.len())], random);
                }
            }
            8 => {
                if let Some(Any::Node(node)) = here {
                    unlock!(Gc::write(mc, node), Node, edges).borrow_mut().clear();
                    model.records[node.tracked.0].edges.clear();
                }
            }
            _ => {
                let roots = root.get_mut();
                if !roots.is_empty() {
                    let at = random.below(roots.len());
                    roots.swap_remove(at);
                    model.root.swap_remove(at);
                }
            }
        }
    });
}

fn link<'gc>(
    mc: &bucketmask_gc::Mutation<'gc>,
    model: &mut Model,
    holder: Any<'gc>,
    object: Any<'gc>,
    random: &mut Random,
) {
    let record = &mut model.records[holder.number()];
    match (holder, object) {
        (Any::Node(node), Any::Leaf(leaf)) if random.below(2) == 0 => {
            let weak = (object.number(), Gc::downgrade(leaf));
            unlock!(Gc::write(mc, node), Node, weak).borrow_mut().push(weak);
            record.weak.push(object.number());
        }
        (Any::Node(node), _) => {
            unlock!(Gc::write(mc, node), Node, edges).borrow_mut().push(object);
            record.edges.push(object.number());
        }
        (Any::Pair(pair), _) => {
            let first = random.below(2) == 0;
            let (left, right) = (pair.left.get(), pair.right.get());
            let write = Gc::write(mc, pair);
            if first {
                unlock!(write, Pair, left).set(Some(object));
            } else {
                unlock!(write, Pair, right).set(Some(object));
            }
            let other = if first { right } else { left };
            record.edges = [Some(object), other].into_iter().flatten().map(Any::number).collect();
        }
        (Any::Leaf(_), _) => {}
    }
}

/// Compares the arena after a cycle with the model.
fn compare(arena: &Heap, model: &mut Model, drops: &Drops) {
    let reachable = model.reachable();
    for (number, record) in model.records.iter_mut().enumerate() {
        record.alive &= reachable.contains(&number);
        let expected = u32::from(!record.alive && record.kind != Kind::Pair);
        assert_eq!(drops.borrow()[number], expected, "drops of object {number}");
    }
    let verified = arena.verify().unwrap();
    assert_eq!((verified.live, verified.reachable), (reachable.len(), reachable.len()));
    arena.mutate(|mc, root| {
        let found = walk(root);
        assert_eq!(found.iter().map(|object| object.number()).collect::<HashSet<_>>(), reachable);
        for object in found {
            match object {
                Any::Pair(pair) => assert_eq!(pair.padding, [7; 3]),
                Any::Node(node) => {
                    for (number, weak) in node.weak.borrow().iter() {
                        let alive = model.records[*number].alive;
                        assert_eq!(weak.is_dropped(), !alive);
                        assert_eq!(weak.upgrade(mc).map(|leaf| leaf.tracked.0), alive.then_some(*number));
                    }
                }
                Any::Leaf(_) => {}
            }
        }
    });
}

/// What must hold at any moment: nothing reachable was dropped, nothing was dropped twice, and a weak pointer that can be
/// made strong leads to a value. (What is not reachable may be there still.)
fn compare_within_a_cycle(arena: &Heap, model: &Model, drops: &Drops) {
    let reachable = model.reachable();
    for (number, count) in drops.borrow().iter().enumerate() {
        assert!(*count <= u32::from(!reachable.contains(&number)), "object {number}: {count} drops");
    }
    let verified = arena.verify().unwrap();
    assert_eq!(verified.reachable, reachable.len());
    arena.mutate(|mc, root| {
        for object in walk(root) {
            let Any::Node(node) = object else { continue };
            for (number, weak) in node.weak.borrow().iter() {
                assert_eq!(weak.is_dropped(), drops.borrow()[*number] != 0);
                match weak.upgrade(mc) {
                    Some(leaf) => assert_eq!(leaf.tracked.0, *number),
                    None => assert!(!reachable.contains(number)),
                }
            }
        }
    });
}

/// One piece of collection, of any kind.
fn collect_a_little(arena: &mut Heap, random: &mut Random) {
    arena.metrics().adjust_debt([0.5, 2.0, 20.0, 200.0][random.below(4)]);
    match random.below(8) {
        0 => arena.collect_debt(),
        1 => arena.cycle_debt(),
        2 => drop(arena.finish_marking()),
        3 => {
            if let Some(marked) = arena.mark_debt() {
                marked.start_sweeping();
            }
        }
        4 => {
            if let Some(marked) = arena.mark_debt() {
                resurrect_some(marked, random);
            }
        }
        _ => drop(arena.mark_debt()),
    }
}

/// Saves some of the objects that weak pointers lead to, and checks which are about to die.
fn resurrect_some(marked: MarkedArena<'_, Root>, random: &mut Random) {
    marked.finalize(|fc, root| {
        for object in walk(root) {
            let Any::Node(node) = object else { continue };
            assert!(!Gc::is_dead(fc, node), "marking has found all that is reachable");
            for (_, weak) in node.weak.borrow().iter() {
                let dropped = weak.is_dropped();
                assert!(!dropped || weak.is_dead(fc));
                if random.below(4) == 0 {
                    assert_eq!(weak.resurrect(fc).is_some(), !dropped);
                    assert_eq!(weak.is_dead(fc), dropped, "an object is marked at once");
                }
            }
        }
    });
}

fn run_in_steps(seed: u64, walk: Walk, steps: usize, between: usize) {
    let mut random = Random(seed);
    let drops = Drops::default();
    let mut model = Model::default();
    let mut arena = Heap::new(|_| RefLock::new(Vec::new()));
    arena.set_walk(walk);
    let mut phases = HashSet::new();
    for step in 0..steps {
        change(&mut arena, &mut model, &drops, &mut random);
        if random.below(between) == 0 {
            collect_a_little(&mut arena, &mut random);
            phases.insert(arena.collection_phase() as u8);
            compare_within_a_cycle(&arena, &model, &drops);
        }
        if step % 500 == 499 {
            // What runs may leave garbage; a whole cycle after it does not.
            arena.finish_cycle();
            arena.finish_cycle();
            compare(&arena, &mut model, &drops);
        }
    }
    assert_eq!(phases.len(), 4, "the program ran in every phase");
    drop(arena);
    assert!(drops.borrow().iter().all(|count| *count <= 1));
}

#[test]
fn random_graphs_collected_in_steps() {
    for seed in 1..=6 {
        run_in_steps(seed * 0xC2B2_AE35, Walk::Mask, 1_500, 3);
        run_in_steps(seed * 0x27D4_EB2F, Walk::Flat, 1_000, 2);
    }
}

fn run(seed: u64, walk: Walk, steps: usize, between: usize) {
    let mut random = Random(seed);
    let drops = Drops::default();
    let mut model = Model::default();
    let mut arena = Heap::new(|_| RefLock::new(Vec::new()));
    arena.set_walk(walk);
    for step in 0..steps {
        change(&mut arena, &mut model, &drops, &mut random);
        if step % between == 0 {
            arena.finish_cycle();
            compare(&arena, &mut model, &drops);
        }
    }
    drop(arena);
    for (number, record) in model.records.iter().enumerate() {
        assert_eq!(
            drops.borrow()[number],
            u32::from(record.kind != Kind::Pair),
            "object {number} at the end"
        );
    }
}

#[test]
fn random_graphs_collected_often() {
    for seed in 1..=6 {
        run(seed * 0x9E37_79B9, Walk::Mask, 600, 7);
        run(seed * 0x9E37_79B9, Walk::Flat, 600, 7);
    }
}

#[test]
fn random_graphs_collected_rarely() {
    for seed in 1..=2 {
        run(seed * 0x85EB_CA6B, Walk::Mask, 4_000, 501);
        run(seed * 0x85EB_CA6B, Walk::Flat, 4_000, 501);
    }
}
