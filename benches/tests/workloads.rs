//! The workloads in a process where nobody else allocates on bucketmask: the global allocator here is the C library's.
//! One test owns the process. Invariant: a workload frees all it took, so what is live afterwards is what was live before.

use bucketmask_alloc::BucketAlloc;
use bucketmask_bench::installed::Choice;
use bucketmask_bench::workload::{Scale, Size, Workload};

/// Live blocks of all kinds.
fn live() -> usize {
    let report = BucketAlloc::new().report();
    let slots =
        |node: &bucketmask_alloc::NodeReport| node.classes.iter().map(|class| class.live).sum::<usize>();
    let nodes = report.nodes.iter().map(|node| slots(node) + node.medium.blocks).sum::<usize>();
    nodes + report.large.blocks
}

#[test]
fn workloads_free_all_they_took_and_walks_find_what_is_live() {
    let scale = Scale { size: Size::Tiny, threads: 3, idle_ms: 0 };
    for workload in Workload::ALL {
        let before = live();
        let ran = workload.run_on(Choice::Bucketmask, scale);
        assert_eq!(live(), before, "{workload:?}");
        if workload.is_walk() {
            // It asserts itself that it finds the live blocks, give or take the runtime's own.
            assert_eq!(workload.run_on(Choice::Mimalloc, scale).operations, ran.operations);
        }
    }
}
