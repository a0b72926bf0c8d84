//! A byte string as a program over an arena with every kind of container, run against a naive reference: the objects it
//! reaches by its own pointers, in std's collections.
//!
//! Owned by the test `gc_programs` and the fuzz target `gc`. Invariant: any bytes are a program; after each collection the arena holds
//! what the model reaches, and at every step `verify` finds nothing wrong.

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{
    Arena, Budget, Collect, Finalizers, Gc, GcWeak, Lock, Pool, RefLock, Rootable, Unpublished, unsize,
};
use bucketmask_map::{GcMap, GcStrMap, WeakMap};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Nodes that the root can name.
const NAMES: usize = 16;
/// Elements of a slice that is traced in parts: more than 16 KiB.
const CELLS: usize = 2560;

type Build = BuildHasherDefault<DefaultHasher>;
type Link<'gc> = Gc<'gc, Node<'gc>>;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    number: u32,
    links: RefLock<Vec<Link<'gc>>>,
    weak: Lock<Option<GcWeak<'gc, Node<'gc>>>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    names: Vec<Option<Link<'gc>>>,
    map: GcMap<'gc, u16, Link<'gc>, Build>,
    texts: GcStrMap<'gc, Link<'gc>, Build>,
    ephemerons: WeakMap<'gc, Node<'gc>, Link<'gc>>,
    cells: Gc<'gc, [Lock<Option<Link<'gc>>>]>,
    pool: Pool<'gc, Node<'gc>>,
    queue: Finalizers<'gc, Node<'gc>>,
}

type Heap = Arena<Rootable![Root<'_>]>;

/// The reference: numbers for objects.
#[derive(Default)]
struct Model {
    names: [Option<u32>; NAMES],
    links: BTreeMap<u32, Vec<u32>>,
    map: BTreeMap<u16, u32>,
    texts: BTreeMap<String, u32>,
    ephemerons: BTreeMap<u32, u32>,
    cells: BTreeMap<usize, u32>,
}

impl Model {
    /// What is reachable, ephemerons to their fixed point.
    fn reachable(&self) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<u32> = self.names.iter().flatten().copied().collect();
        pending.extend(self.map.values().chain(self.texts.values()).chain(self.cells.values()));
        loop {
            while let Some(number) = pending.pop() {
                if seen.insert(number) {
                    pending.extend(self.links.get(&number).into_iter().flatten());
                }
            }
            let kept =
                self.ephemerons.iter().filter(|(key, value)| seen.contains(key) && !seen.contains(value));
            pending.extend(kept.map(|(_, value)| *value));
            if pending.is_empty() {
                return seen;
            }
        }
    }
}

/// The bytes that are left; zeros when there are none.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }
}

#[expect(clippy::large_stack_arrays, reason = "an array that is traced in parts is what is tested")]
fn new_heap(of_run_time_length: bool) -> Heap {
    Heap::new(|mc| Root {
        names: vec![None; NAMES],
        map: GcMap::with_hasher(mc, Build::default()),
        texts: GcStrMap::with_hasher(mc, Build::default()),
        ephemerons: WeakMap::new(mc),
        cells: if of_run_time_length {
            Gc::new_slice(mc, (0..CELLS).map(|_| Lock::new(None)))
        } else {
            unsize!(Gc::new(mc, [const { Lock::new(None) }; CELLS]) => [Lock<Option<Link<'_>>>])
        },
        pool: Pool::new(mc),
        queue: Finalizers::new(mc),
    })
}

/// A text for a number: short or long.
fn text(number: usize) -> String {
    if number % 2 == 0 {
        format!("t{number}")
    } else {
        format!("a text too long for a slot of the table, {number}")
    }
}

/// One change, in both.
fn change(heap: &mut Heap, model: &mut Model, made: &mut u32, bytes: &mut Bytes<'_>) {
    heap.mutate_root(|mc, root| {
        let (kind, a, b) = (bytes.next(), bytes.next(), bytes.next());
        let (at, to) = (root.names[a % NAMES], root.names[b % NAMES]);
        match kind % 16 {
            0..=2 => {
                let pooled = if kind & 64 == 0 { root.pool.take(mc) } else { None };
                let fresh = || {
                    Unpublished::new(mc, Node { number: 0, links: RefLock::default(), weak: Lock::new(None) })
                };
                let mut node = pooled.unwrap_or_else(fresh);
                node.number = *made;
                node.links.get_mut().clear();
                node.links.get_mut().extend(to);
                let node = node.publish();
                root.names[a % NAMES] = Some(node);
                model.names[a % NAMES] = Some(*made);
                model.links.insert(*made, to.map(|to| to.number).into_iter().collect());
                *made += 1;
            }
            3 => {
                root.names[a % NAMES] = None;
                model.names[a % NAMES] = None;
            }
            4 | 5 => {
                if let (Some(at), Some(to)) = (at, to) {
                    unlock!(Gc::write(mc, at), Node, links).borrow_mut().push(to);
                    unlock!(Gc::write(mc, to), Node, weak).set(Some(Gc::downgrade(at)));
                    model.links.get_mut(&at.number).expect("made").push(to.number);
                }
            }
            6 => {
                if let Some(at) = at {
                    unlock!(Gc::write(mc, at), Node, links).borrow_mut().clear();
                    model.links.get_mut(&at.number).expect("made").clear();
                }
            }
            7 | 8 => {
                // A run of keys, so that tables grow and shrink.
                for key in 0..(b % 64) as u16 {
                    let key = key * 7 + a as u16;
                    if let Some(at) = at {
                        root.map.insert(mc, key, at);
                        model.map.insert(key, at.number);
                    } else {
                        assert_eq!(root.map.remove(mc, &key).map(|old| old.number), model.map.remove(&key));
                    }
                }
            }
            9 => {
                root.map.retain(mc, |key, _| usize::from(*key) % (a + 1) != 0);
                model.map.retain(|key, _| usize::from(*key) % (a + 1) != 0);
                if b % 4 == 0 {
                    root.map.shrink_to_fit(mc);
                }
            }
            10 => {
                if let Some(to) = to {
                    root.texts.insert(mc, &text(a), to);
                    model.texts.insert(text(a), to.number);
                } else {
                    assert_eq!(
                        root.texts.remove(mc, &text(a)).map(|old| old.number),
                        model.texts.remove(&text(a))
                    );
                }
            }
            11 | 12 => {
                if let (Some(at), Some(to)) = (at, to) {
                    root.ephemerons.insert(mc, at, to);
                    model.ephemerons.insert(at.number, to.number);
                } else if let Some(at) = at {
                    root.ephemerons.remove(mc, at);
                    model.ephemerons.remove(&at.number);
                }
            }
            13 => {
                let index = (a * 256 + b) % CELLS;
                Gc::write_at(mc, root.cells, index).unlock().set(at);
                match at {
                    Some(at) => model.cells.insert(index, at.number),
                    None => model.cells.remove(&index),
                };
            }
            14 => {
                let (links, weak) = (RefLock::new(to.into_iter().collect()), Lock::new(None));
                root.pool.put(mc, Unpublished::new(mc, Node { number: u32::MAX, links, weak }));
            }
            _ => {
                if let Some(at) = at {
                    root.queue.watch(mc, at);
                }
            }
        }
    });
}

/// Checks what the program can reach against the model.
fn compare(heap: &Heap, model: &Model) {
    heap.mutate(|mc, root| {
        let number = |node: Option<Link<'_>>| node.map(|node| node.number);
        assert!(root.names.iter().map(|node| number(*node)).eq(model.names));
        root.map.check();
        assert_eq!(root.map.len(), model.map.len());
        root.map.for_each(|key, node| assert_eq!(model.map.get(key), Some(&node.number)));
        root.texts.check();
        assert_eq!(root.texts.len(), model.texts.len());
        root.texts.for_each(|key, node| assert_eq!(model.texts.get(key), Some(&node.number)));
        root.ephemerons.check();
        model.cells.iter().for_each(|(at, held)| assert_eq!(number(root.cells[*at].get()), Some(*held)));
        for node in root.names.iter().flatten() {
            let links: Vec<_> = node.links.borrow().iter().map(|link| link.number).collect();
            assert_eq!(Some(&links), model.links.get(&node.number));
            assert_eq!(number(root.ephemerons.get(*node)), model.ephemerons.get(&node.number).copied());
            if let Some(weak) = node.weak.get().and_then(|weak| weak.upgrade(mc)) {
                assert!(model.links.contains_key(&weak.number));
            }
        }
        let reachable = model.reachable();
        let mut found = 0;
        root.ephemerons.for_each(mc, |key, value| {
            if reachable.contains(&key.number) {
                assert_eq!(model.ephemerons.get(&key.number), Some(&value.number));
                found += 1;
            }
        });
        let expected = model.ephemerons.keys().filter(|key| reachable.contains(key)).count();
        assert_eq!(found, expected);
    });
}

/// Runs a program.
pub(crate) fn run(program: &[u8]) {
    let (mut heap, mut model, mut made) = (new_heap(program.len() % 2 == 1), Model::default(), 0);
    let mut bytes = Bytes(program);
    while !bytes.0.is_empty() {
        let kind = bytes.next();
        match kind % 8 {
            0..=3 => (0..=kind / 8).for_each(|_| change(&mut heap, &mut model, &mut made, &mut bytes)),
            4 => {
                heap.step(Budget::work(1 << (kind / 8 % 16)));
            }
            5 => {
                if let Some(marked) = heap.finish_marking() {
                    if kind & 64 == 0 {
                        marked.start_sweeping();
                    }
                }
            }
            6 => heap.mutate(|mc, root| while root.queue.next(mc).is_some() {}),
            _ => {
                heap.metrics().adjust_debt(f64::from(kind as u32));
                heap.collect_debt();
            }
        }
        if let Err(fault) = heap.verify() {
            panic!("{fault}");
        }
        compare(&heap, &model);
    }
    // What watches and waits keeps nothing any more after some cycles; then only the model's objects are left.
    for _ in 0..made.min(64) + 3 {
        heap.finish_cycle();
        heap.mutate(|mc, root| while root.queue.next(mc).is_some() {});
        let queued = heap.mutate(|_, root| root.queue.watched());
        if queued == 0 {
            break;
        }
    }
    compare(&heap, &model);
    assert!(heap.verify().is_ok());
    let empty = heap.mutate(|mc, root| {
        let mut pooled = Vec::new();
        while let Some(node) = root.pool.take(mc) {
            pooled.push(node);
        }
        root.queue.watched() == 0
    });
    if empty {
        heap.finish_cycle();
        heap.finish_cycle();
        // The root's own: bodies of three maps, the cells, the pool and the queue.
        assert_eq!(heap.verify().map(|verified| verified.live), Ok(6 + model.reachable().len()));
    }
}
