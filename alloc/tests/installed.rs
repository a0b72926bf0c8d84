//! The allocator as the global allocator of a real program: collections, threads, zeroed and resized
//! blocks, blocks too large for pages, and a report of it all.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bucketmask_alloc::BucketAlloc;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

#[test]
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

#[test]
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

#[test]
fn threads_pass_blocks_on() {
    let (send, receive) = std::sync::mpsc::channel::<Box<[u64; 5]>>();
    let consumer = std::thread::spawn(move || receive.iter().map(|block| block[4]).sum::<u64>());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let send = send.clone();
            scope.spawn(move || (0..30_000).for_each(|number| send.send(Box::new([number; 5])).unwrap()));
        }
    });
    drop(send);
    assert_eq!(consumer.join().unwrap(), 3 * (0..30_000).sum::<u64>());
}

#[test]
fn a_report_reads_well() {
    let text = ALLOCATOR.report().to_string();
    assert!(text.starts_with("node 0\n") && text.contains("blocks") && text.contains("large:"), "{text}");
}
