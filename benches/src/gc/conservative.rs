//! The programs on bdwgc, with plain pointers. Owned by the child that runs one. Invariant: a pointer to what must stay lies
//! on the stack, in a root, or in a block that does.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::ptr::NonNull;

use super::program::{Answer, Program};
use crate::bdwgc::{collect, collect_by_itself, make, make_root};
use crate::timer::taken;

type Link<T> = Option<NonNull<T>>;

#[derive(Clone, Copy)]
struct Tree {
    children: Option<[NonNull<Tree>; 2]>,
}

struct List {
    next: Link<List>,
    value: u64,
}

#[derive(Default)]
struct Node {
    left: Link<Node>,
    right: Link<Node>,
    i: u64,
    j: u64,
}

/// Runs a program; None for one that is not written here.
pub(super) fn run(program: Program, size: u64) -> Option<Answer> {
    collect_by_itself(false);
    match program {
        Program::TreesMark => {
            let root = make_root(Some(grow(size)));
            let taken = marked();
            let sum = root.map_or(0, check);
            Some(Answer { value: taken.time, cpu: taken.cpu, count: sum, sum })
        }
        Program::ListMark => {
            let list = (0..size).fold(None, |next, value| Some(make(List { next, value })));
            let root = make_root(list);
            let taken = marked();
            let (mut sum, mut cell) = (0, *root);
            while let Some(found) = cell {
                // SAFETY: the root reaches the cell.
                let List { next, value } = unsafe { found.as_ref() };
                sum += value;
                cell = *next;
            }
            Some(Answer { value: taken.time, cpu: taken.cpu, count: size, sum })
        }
        Program::BinaryTrees => Some(whole(|| binary_trees(size))),
        Program::GcBench => Some(whole(|| gc_bench(size))),
        _ => None,
    }
}

fn marked() -> crate::timer::Taken {
    collect();
    taken(collect).1
}

fn whole(work: impl FnOnce() -> (u64, u64)) -> Answer {
    collect_by_itself(true);
    let ((count, sum), taken) = taken(work);
    Answer { value: taken.time, cpu: taken.cpu, count, sum }
}

fn grow(depth: u64) -> NonNull<Tree> {
    let children = (depth > 0).then(|| [grow(depth - 1), grow(depth - 1)]);
    make(Tree { children })
}

fn check(tree: NonNull<Tree>) -> u64 {
    // SAFETY: the caller's stack or root reaches the tree.
    let Tree { children } = unsafe { tree.read() };
    1 + children.map_or(0, |[left, right]| check(left) + check(right))
}

fn binary_trees(depth: u64) -> (u64, u64) {
    let mut count = check(grow(depth + 1));
    let long = make_root(grow(depth));
    let mut sum = 0;
    for shallow in (4..=depth).step_by(2) {
        for _ in 0..1_u64 << (depth - shallow + 4) {
            let found = check(black_box(grow(shallow)));
            count += found;
            sum += found * shallow;
        }
    }
    let found = check(*long);
    (count + found, sum + found)
}

const fn tree_size(depth: u64) -> u64 {
    (1 << (depth + 1)) - 1
}

fn populate(depth: u64, node: NonNull<Node>) {
    if depth == 0 {
        return;
    }
    let (left, right) =
        (make(Node { i: depth, ..Node::default() }), make(Node { j: depth, ..Node::default() }));
    // SAFETY: the caller's stack or root reaches the node, and nobody else looks at it.
    unsafe {
        (*node.as_ptr()).left = Some(left);
        (*node.as_ptr()).right = Some(right);
    }
    populate(depth - 1, left);
    populate(depth - 1, right);
}

fn build(depth: u64) -> NonNull<Node> {
    if depth == 0 {
        return make(Node::default());
    }
    let (left, right) = (Some(build(depth - 1)), Some(build(depth - 1)));
    make(Node { left, right, i: depth, j: 0 })
}

fn weigh(node: Link<Node>) -> u64 {
    // SAFETY: the caller's stack or root reaches the node.
    node.map(|node| unsafe { node.as_ref() })
        .map_or(0, |node| 1 + node.i + 2 * node.j + weigh(node.left) + weigh(node.right))
}

fn top(node: NonNull<Node>) -> u64 {
    // SAFETY: the caller's stack reaches the node, and so its children.
    unsafe { node.as_ref().i + node.as_ref().left.map_or(0, |left| left.as_ref().i) }
}

fn gc_bench(depth: u64) -> (u64, u64) {
    let mut sum = weigh(Some(build(depth + 2)));
    let tree = make_root(make(Node::default()));
    populate(depth, *tree);
    let array: Vec<f64> = (0..1_u64 << (depth + 3)).map(|idx| 1.0 / (idx + 1) as f64).collect();
    let mut count = tree_size(depth + 2) + tree_size(depth);
    for shallow in (4..=depth).step_by(2) {
        let times = 2 * tree_size(depth + 2) / tree_size(shallow);
        for _ in 0..times {
            let node = black_box(make(Node::default()));
            populate(shallow, node);
            sum += top(black_box(node));
        }
        for _ in 0..times {
            let node = build(shallow);
            // SAFETY: it is on this stack.
            sum += unsafe { black_box(node).as_ref().i };
        }
        count += 2 * times * tree_size(shallow);
    }
    #[expect(clippy::cast_sign_loss, reason = "a thousand thousandths")]
    let array = (1000.0 * array[999]) as u64;
    (count, sum + weigh(Some(*tree)) + array)
}
