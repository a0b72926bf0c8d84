//! Machines of any kind on this one: fake nodes, and directories laid out as the kernel's, from which
//! the same code reads that reads the system's. Where memory is taken, each machine has a process of
//! its own: blocks, lent pages and ranges come from the span of the node that serves the thread.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::fs;
use std::path::{Path, PathBuf};

use bucketmask_alloc::{
    BucketAlloc, NodeId, PageRequest, Range, Topology, TopologyError, current_node, give_back, lend, node_of,
    nodes, pretend_on,
};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// A thousand blocks of each node, taken and written to by a thread on it that has exited since.
fn blocks_on_each(count: usize) -> Vec<(usize, NodeId)> {
    (0..count)
        .flat_map(|node| {
            // A thread a node, since a thread keeps the pages it has.
            std::thread::spawn(move || {
                let node = NodeId(node as u8);
                pretend_on(node);
                assert_eq!(current_node(), node);
                let block = || {
                    // SAFETY: not of size 0, and as large as what is written.
                    unsafe {
                        let block = BucketAlloc.alloc(LAYOUT);
                        block.write_bytes(1, LAYOUT.size());
                        block as usize
                    }
                };
                (0..1000).map(|_| (block(), node)).collect::<Vec<_>>()
            })
            .join()
            .unwrap()
        })
        .collect()
}

fn on_each_node(topology: &Topology) {
    let count = topology.nodes();
    topology.install().unwrap();
    assert_eq!(nodes(), count);
    assert_eq!(bucketmask_alloc::topology(), *topology);
    assert_eq!(topology.install(), Err(TopologyError::TooLate));
    let held = blocks_on_each(count);
    let pages = BucketAlloc.occupancy();
    for &(block, node) in &held {
        let page = pages.iter().find(|page| (page.base..page.base + page.bytes).contains(&block)).unwrap();
        assert_eq!(node_of(block), Some(node));
        // A new thread takes over an exited one's heap only if that was last used on its own node.
        assert_eq!(page.node, node);
    }
    for node in 0..count {
        pretend_on(NodeId(node as u8));
        let range = Range::reserve(1).unwrap();
        assert_eq!(range.node(), current_node());
        let request = PageRequest { bytes: 8192, slot_size: 16, leaf: true };
        let page = lend(current_node(), request).unwrap();
        assert_eq!(page.node(), current_node());
        // SAFETY: lent above, nothing points into it.
        unsafe { give_back(page) };
    }
    let report = BucketAlloc.report();
    assert_eq!(report.nodes.len(), count);
    let live: usize = report.nodes.iter().flat_map(|node| &node.classes).map(|class| class.live).sum();
    assert_eq!(live, held.len());
    for node in BucketAlloc.placement().nodes {
        let places = node.pages_found_here + node.pages_elsewhere + node.unknown;
        assert_eq!((node.pages_wanted, node.pages_found_here), (places, 0), "the kernel knows no fake node");
        assert!(node.pages_wanted >= 1000 * LAYOUT.size() / 4096, "{node:?}");
        assert_eq!((node.kernel_node, node.bound), (topology.kernel_number(node.node), false));
    }
    let last = NodeId(count as u8 - 1);
    let free_all = move || {
        pretend_on(last);
        for (block, _) in held {
            // SAFETY: allocated above with this layout.
            unsafe { BucketAlloc.dealloc(block as *mut u8, LAYOUT) };
        }
    };
    std::thread::spawn(free_all).join().unwrap();
    let placement = BucketAlloc.placement();
    assert_eq!(placement.nodes.len(), count);
    for node in &placement.nodes {
        // The freer sent them on their way at its exit.
        assert_eq!(node.cross_node_frees, if node.node == last { 0 } else { 1000 }, "{node:?}");
    }
    println!("done with {count}");
}

/// A machine as the kernel would show it, in a directory of its own.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The lists of nodes that are online, have memory, and have processors.
    fn lists(self, online: &str, memory: &str, processors: &str) -> Self {
        self.file("online", online).file("has_memory", memory).file("has_cpu", processors)
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.0.join(name), format!("{text}\n")).unwrap();
        self
    }

    /// A node's distances to all nodes that are online.
    fn distances(self, node: usize, row: &str) -> Self {
        fs::create_dir_all(self.0.join(format!("node{node}"))).unwrap();
        self.file(&format!("node{node}/distance"), row)
    }

    fn read(&self, allowed: &str) -> Topology {
        Topology::of_tree(&self.0, allowed)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The kernel's numbers of a topology's nodes.
fn numbers(topology: &Topology) -> Vec<usize> {
    (0..topology.nodes()).map(|node| topology.kernel_number(NodeId(node as u8))).collect()
}

/// The kernel's number of the node that serves a node.
fn home(topology: &Topology, kernel: usize) -> usize {
    topology.kernel_number(topology.home_of(kernel))
}

/// Five nodes with gaps between their numbers, two of them without memory and one without processors.
fn odd_machine(name: &str) -> Tree {
    Tree::new(name)
        .lists("0,2,5,63-64", "0,5,64", "0,2,5,63")
        .distances(0, "10 20 20 40 40")
        .distances(2, "20 10 15 40 40")
        .distances(63, "40 40 35 10 12")
}

#[test]
fn whole_machines_are_one_node_a_node() {
    for (count, online) in [(1, "0"), (2, "0-1"), (8, "0-7"), (16, "0-15")] {
        let tree = Tree::new(&format!("whole-{count}")).lists(online, online, online);
        let topology = tree.read("0-1023");
        assert_eq!(numbers(&topology), (0..count).collect::<Vec<_>>());
        assert!((0..count).all(|node| home(&topology, node) == node));
        assert_eq!(home(&topology, count), 0, "a node that was not there");
        assert_eq!(home(&topology, 99_999), 0);
        assert!(topology.is_fake());
    }
}

#[test]
fn nodes_without_memory_are_served_by_the_nearest() {
    let topology = odd_machine("odd").read("0-1023");
    assert_eq!(numbers(&topology), [0, 5, 64]);
    assert_eq!([0, 2, 5, 63, 64].map(|node| home(&topology, node)), [0, 5, 5, 64, 64]);
    // Node 63's processors are the only ones that node 64's memory is near to.
    let without = odd_machine("odd-without").lists("0,2,5,63-64", "0,5,64", "0,2,5");
    assert_eq!(numbers(&without.read("0-1023")), [0, 5]);
    assert_eq!(home(&without.read("0-1023"), 63), 5);
}

#[test]
fn a_cpuset_leaves_the_nodes_it_allows() {
    let tree = odd_machine("cpuset");
    let one = tree.read("5");
    assert_eq!(numbers(&one), [5]);
    assert!([0, 2, 5, 63, 64].iter().all(|&node| home(&one, node) == 5));
    let far = tree.read("0,64");
    assert_eq!(numbers(&far), [0, 64]);
    assert_eq!([0, 2, 63].map(|node| home(&far, node)), [0, 0, 64]);
    assert_eq!(numbers(&tree.read("2")), [0], "only a node without memory: as if nothing were known");
    assert_eq!(tree.read("2").nodes(), 1);
}

#[test]
fn unknown_distances_give_the_lowest_node() {
    let tree = || Tree::new("distances").lists("0-3", "1-2", "0-3");
    assert_eq!(home(&tree().read("0-3"), 3), 1, "no table");
    assert_eq!(home(&tree().distances(3, "40 x 20 10").read("0-3"), 3), 2, "one of them unreadable");
    assert_eq!(home(&tree().distances(3, "40").read("0-3"), 3), 1, "cut off");
    assert_eq!(home(&tree().distances(3, &"9 ".repeat(5000)).read("0-3"), 3), 1, "too long");
}

#[test]
fn nodes_beyond_the_sixteenth_are_served_by_the_nearest_of_sixteen() {
    let row = |near: usize| {
        let distance = |node| if node == near { "15" } else { "30" };
        (0..20).map(distance).collect::<Vec<_>>().join(" ")
    };
    let tree =
        Tree::new("twenty").lists("0-19", "0-19", "0-19").distances(17, &row(7)).distances(19, &row(18));
    let topology = tree.read("0-1023");
    assert_eq!(topology.nodes(), 16);
    assert_eq!([15, 17, 18, 19].map(|node| home(&topology, node)), [15, 7, 0, 0]);
}

#[test]
fn nodes_that_are_not_online_are_not_used() {
    let tree = Tree::new("offline").file("possible", "0-3").lists("0,2", "0-3", "0-3");
    assert_eq!(numbers(&tree.read("0-3")), [0, 2]);
}

#[test]
fn missing_lists_are_done_without() {
    let old = Tree::new("old").file("online", "0-1").file("has_normal_memory", "1").file("has_cpu", "0-1");
    assert_eq!(numbers(&old.read("0-1")), [1]);
    let bare = Tree::new("bare").file("online", "0-1");
    assert_eq!(numbers(&bare.read("0-1")), [0, 1]);
    let idle = Tree::new("idle").lists("0-1", "0-1", "");
    assert_eq!(numbers(&idle.read("0-1")), [0, 1], "no processors at all: every node with memory");
}

#[test]
fn what_cannot_be_understood_is_one_node() {
    for (place, online) in ["", "x", "0-", "1-0", "0,,1", "0-1024", "4294967296", "0-1 3"].iter().enumerate()
    {
        let tree = Tree::new(&format!("malformed-{place}")).lists(online, "0-1", "0-1");
        assert_eq!((tree.read("0-1").nodes(), numbers(&tree.read("0-1"))), (1, vec![0]), "{online:?}");
    }
    let long = Tree::new("long").lists(&"0,".repeat(4000), "0-1", "0-1");
    assert_eq!(long.read("0-1").nodes(), 1);
    let two = Tree::new("allowed").lists("0-1", "0-1", "0-1");
    assert_eq!(two.read("").nodes(), 1);
    assert_eq!(two.read("nonsense").nodes(), 1);
    assert_eq!(Topology::of_tree(Path::new("/nonexistent"), "0").nodes(), 1);
    assert_eq!(Topology::of_tree(Path::new("with\0zero"), "0").nodes(), 1);
}

#[test]
fn any_number_of_nodes_takes_the_same_path() {
    if let Some(count) = common::part() {
        return on_each_node(&Topology::fake(count.parse().unwrap()).unwrap());
    }
    for count in ["1", "2", "8", "16"] {
        in_a_child("any_number_of_nodes_takes_the_same_path", count);
    }
}

#[test]
fn injected_machines_take_the_same_path() {
    match common::part().as_deref() {
        Some("odd") => return on_each_node(&odd_machine("path").read("0-1023")),
        Some("cpuset") => return on_each_node(&odd_machine("path").read("0,64")),
        Some("one") => return on_each_node(&odd_machine("path").read("5")),
        Some("none") => return on_each_node(&Topology::of_tree(Path::new("/nonexistent"), "0")),
        _ => {}
    }
    for part in ["odd", "cpuset", "one", "none"] {
        in_a_child("injected_machines_take_the_same_path", part);
    }
}

fn in_a_child(test: &str, part: &str) {
    let output = common::child(test, part);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("done with"), "{part}: {output:?}");
}
