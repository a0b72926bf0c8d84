//! What frees of other threads cost: a producer's blocks, freed by consumers in the order they were made.
//! One test a process, since the counters are the process's.

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::BucketAlloc;
use libtest_mimic::{Arguments, Trial};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();
const BATCHES: usize = 100;
const BATCH: usize = 4096;

fn main() {
    let test = Trial::test("sixteen_remote_frees_share_an_atomic_read_modify_write", || {
        share();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit();
}

fn share() {
    for _ in 0..BATCHES {
        // SAFETY: not of size 0.
        let batch = (0..BATCH).map(|_| unsafe { BucketAlloc.alloc(LAYOUT) } as usize).collect::<Vec<_>>();
        assert!(batch.iter().all(|&block| block != 0));
        let consumer = std::thread::spawn(move || {
            for block in batch {
                // SAFETY: made by the producer with this layout, and sent here to be freed.
                unsafe { BucketAlloc.dealloc(block as *mut u8, LAYOUT) };
            }
        });
        consumer.join().unwrap();
    }
    let remote = BucketAlloc.report().remote;
    println!("{} remote frees, {} atomic read-modify-writes", remote.frees, remote.atomics);
    assert!(remote.frees >= (BATCHES * BATCH) as u64, "{remote:?}");
    assert!(remote.atomics * 16 <= remote.frees, "{remote:?}");
}
