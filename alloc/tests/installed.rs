//! The allocator as the global allocator of a real program: collections, threads, zeroed and resized
//! blocks, blocks too large for pages, and a report of it all.

mod common;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bucketmask_alloc::BucketAlloc;
use parking_lot::Mutex;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

fn collections_keep_what_they_are_given() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    let mut queue = VecDeque::new();
    for number in 0..50_000u32 {
        let text = format!("{number:>width$}", width = 1 + number as usize % 40);
        map.insert(text.clone(), number);
        tree.insert(number, text);
        queue.push_back(vec![number; number as usize % 30]);
        if number % 3 == 0 {
            queue.pop_front();
        }
    }
    assert!(tree.iter().all(|(number, text)| map[text] == *number));
    assert!(queue.iter().flatten().all(|number| *number < 50_000));
    let report = ALLOCATOR.report();
    assert!(report.requested() > 50_000 * 8 && report.live_bytes() >= report.requested());
    assert!(report.committed() >= report.live_bytes());
}

fn large_and_over_aligned_blocks_come_and_go() {
    #[repr(align(16384))]
    struct Aligned([u8; 12_000]);
    for round in 0..20 {
        let block = Box::new(Aligned([round; 12_000]));
        assert_eq!(&raw const *block as usize % 16384, 0);
        assert!(block.0.iter().all(|&byte| byte == round));
        let mut growing = vec![round; 10];
        for len in [100, 40_000, 1_000_000, 50, 3_000_000] {
            growing.resize(len, round);
            growing.shrink_to_fit();
            assert!(growing.len() == len && growing.iter().all(|&byte| byte == round));
        }
        assert!(vec![0u64; 1 << 17].iter().all(|&word| word == 0));
    }
}

fn threads_pass_blocks_on() {
    const BLOCKS: u64 = 30_000;
    static PASSED: Mutex<Vec<Arc<[u64; 5]>>> = Mutex::new(Vec::new());
    let makers = [(); 3].map(|()| {
        std::thread::spawn(|| (0..BLOCKS).for_each(|number| PASSED.lock().push(Arc::new([number; 5]))))
    });
    let (mut sum, mut freed) = (0, 0);
    while freed < 3 * BLOCKS {
        let Some(block) = PASSED.lock().pop() else { continue };
        sum += block[4];
        freed += 1;
    }
    for maker in makers {
        maker.join().unwrap();
    }
    assert_eq!(sum, 3 * (0..BLOCKS).sum::<u64>());
}

fn a_reservation_that_fails_is_an_error() {
    let mut bytes: Vec<u8> = vec![3; 100];
    for more in [1usize << 48, isize::MAX as usize - 200] {
        assert!(bytes.try_reserve_exact(more).is_err());
        assert!(bytes.iter().all(|&byte| byte == 3), "a resize that failed leaves the block");
    }
    assert!(bytes.try_reserve_exact(1 << 20).is_ok());
}

fn a_report_reads_well() {
    let text = ALLOCATOR.report().to_string();
    assert!(text.starts_with("node 0\n") && text.contains("blocks") && text.contains("large:"), "{text}");
}

fn main() {
    common::run(&[
        ("collections_keep_what_they_are_given", collections_keep_what_they_are_given),
        ("large_and_over_aligned_blocks_come_and_go", large_and_over_aligned_blocks_come_and_go),
        ("threads_pass_blocks_on", threads_pass_blocks_on),
        ("a_reservation_that_fails_is_an_error", a_reservation_that_fails_is_an_error),
        ("a_report_reads_well", a_report_reads_well),
    ]);
}
