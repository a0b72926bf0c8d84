//! One, two, eight and sixteen nodes on any machine, each in a process of its own: blocks, lent
//! pages and ranges come from the span of the node that the thread is on.

mod common;

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::{
    BucketAlloc, NodeId, PageRequest, Range, Topology, TopologyError, current_node, give_back, lend, nodes,
    pretend_on,
};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

fn on_each_node(count: usize) {
    let topology = Topology::fake(count).unwrap();
    topology.install().unwrap();
    assert_eq!(nodes(), count);
    assert_eq!(topology.install(), Err(TopologyError::TooLate));
    let held: Vec<(usize, NodeId)> = (0..count)
        .flat_map(|node| {
            // A thread a node, since a thread keeps the pages it has.
            std::thread::spawn(move || {
                let node = NodeId(node as u8);
                pretend_on(node);
                assert_eq!(current_node(), node);
                // SAFETY: not of size 0.
                (0..1000).map(|_| (unsafe { BucketAlloc.alloc(LAYOUT) } as usize, node)).collect::<Vec<_>>()
            })
            .join()
            .unwrap()
        })
        .collect();
    let pages = BucketAlloc.occupancy();
    for &(block, node) in &held {
        let page = pages.iter().find(|page| (page.base..page.base + page.bytes).contains(&block)).unwrap();
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
    for (block, _) in held {
        // SAFETY: allocated above with this layout.
        unsafe { BucketAlloc.dealloc(block as *mut u8, LAYOUT) };
    }
    println!("done with {count}");
}

#[test]
fn any_number_of_nodes_takes_the_same_path() {
    if let Some(count) = common::part() {
        return on_each_node(count.parse().unwrap());
    }
    for count in ["1", "2", "8", "16"] {
        let output = common::child("any_number_of_nodes_takes_the_same_path", count);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("done with"), "{count} nodes: {output:?}");
    }
}
