//! Lines about slow paths, from a program that does nothing for it but install the allocator.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::spin_loop;
use std::process::{Command, Output};
use std::time::Instant;

use bucketmask_alloc::BucketAlloc;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// A class that nothing else here uses: 40 words are a slot of 320 bytes.
const SMALL: Layout = Layout::new::<[u64; 40]>();
const MEDIUM: Layout = Layout::new::<[u64; 5 << 10]>();
const LARGE: Layout = Layout::new::<[u64; 1 << 20]>();
/// Events of the fast program, which wants to send a million a second.
const EVENTS: u32 = 400_000;

fn blocks(layout: Layout, count: usize) -> Vec<usize> {
    // SAFETY: not of size 0.
    (0..count).map(|_| unsafe { ALLOCATOR.alloc(layout) } as usize).collect()
}

fn free(layout: Layout, blocks: Vec<usize>) {
    // SAFETY: of `blocks`, each freed once.
    blocks.into_iter().for_each(|block| unsafe { ALLOCATOR.dealloc(block as *mut u8, layout) });
}

fn slow_paths() {
    // Mail: another thread frees, and is told where it goes; this one drains it when it needs a page.
    let far = blocks(SMALL, 2000);
    std::thread::spawn(|| free(SMALL, far)).join().unwrap();
    let near = blocks(SMALL, 5000);
    free(SMALL, near);
    // Pages that an ended thread left, and that this one takes over.
    let left = std::thread::spawn(|| blocks(Layout::new::<[u64; 50]>(), 3)).join().unwrap();
    free(Layout::new::<[u64; 50]>(), blocks(Layout::new::<[u64; 50]>(), 1));
    free(Layout::new::<[u64; 50]>(), left);
    free(MEDIUM, blocks(MEDIUM, 3));
    free(LARGE, blocks(LARGE, 2));
    let touched = blocks(MEDIUM, 8);
    for &block in &touched {
        // SAFETY: a live block of so many bytes.
        unsafe { (block as *mut u8).write_bytes(1, MEDIUM.size()) };
    }
    free(MEDIUM, touched);
    assert!(ALLOCATOR.purge() > 0);
}

fn fast() {
    let start = Instant::now();
    for pair in 0..u128::from(EVENTS / 2) {
        free(MEDIUM, blocks(MEDIUM, 1));
        while start.elapsed().as_micros() < 2 * pair {
            spin_loop();
        }
    }
}

/// Runs this program as `part` with the variable.
fn run(part: &str, trace: &str) -> Vec<String> {
    let Output { status, stderr, .. } = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "slow_paths_are_told_on_request", "--nocapture", "--test-threads=1"])
        .envs([("BUCKETMASK_TEST_PART", part), ("BUCKETMASK_TRACE", trace), ("BUCKETMASK_PURGE", "off")])
        .output()
        .unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stderr).unwrap().lines().map(str::to_owned).collect()
}

/// The value behind a name of a text line.
fn value(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(&format!(" {name} ")).unwrap_or_else(|| panic!("{name} in {line}"));
    let digits = rest.split([',', ' ']).next().unwrap();
    let hex = digits.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
    hex.unwrap_or_else(|| digits.parse()).unwrap_or_else(|_| panic!("{name} in {line}"))
}

#[test]
fn slow_paths_are_told_on_request() {
    match common::part().as_deref() {
        Some("slow") => return slow_paths(),
        Some("fast") => return fast(),
        _ => {}
    }
    for off in ["", "gc", "json"] {
        assert!(!run("slow", off).iter().any(|line| line.contains("mem")), "{off}");
    }
    let lines = run("slow", "mem,barrier");
    let of = |kind: &str| -> Vec<&String> { lines.iter().filter(|line| line.starts_with(kind)).collect() };
    assert!(of("mem trace: ").is_empty(), "nothing was dropped");
    let taken = of("mem page-taken ");
    // 5000 slots are live at a time, on pages of that size; what the mail brought home was used again.
    let (mut slots, mut most) = (0, 0);
    for line in of("mem page-").into_iter().filter(|line| value(line, "slot") == 320) {
        let page = value(line, "bytes") / 320;
        slots = if line.starts_with("mem page-returned ") { slots - page } else { slots + page };
        most = slots.max(most);
    }
    assert!((5000..5700).contains(&most), "{most} slots");
    let sent: u64 = of("mem mail-sent ").iter().map(|line| value(line, "slots")).sum();
    let drained: u64 = of("mem mail-taken ").iter().map(|line| value(line, "slots")).sum();
    assert!(sent >= 2000 && drained >= 2000, "{sent} sent, {drained} drained");
    let mail = of("barrier mail ");
    assert!(
        mail.iter().any(|line| value(line, "frees") >= 2000 && value(line, "release") >= 2000 / 64),
        "{mail:?}"
    );
    for (kind, least) in [
        ("mem page-returned ", 10),
        ("mem page-adopted ", 1),
        ("mem large-made ", 2),
        ("mem large-freed ", 2),
        ("mem medium-made ", 11),
        ("mem medium-freed ", 11),
        ("mem purged ", 1),
    ] {
        assert!(of(kind).len() >= least, "{kind}: {:?}", of(kind));
    }
    // A page that is returned is one that was taken.
    let bases: Vec<u64> = taken.iter().map(|line| value(line, "address")).collect();
    assert!(of("mem page-returned ").iter().all(|line| bases.contains(&value(line, "address"))));

    let json = run("slow", "mem,json");
    let made = json.iter().filter(|line| line.starts_with("{\"trace\":\"mem\",\"event\":\"large-made\","));
    assert_eq!(made.filter(|line| line.contains(",\"bytes\":8388608,") && line.ends_with("\"}")).count(), 2);

    let lines = run("fast", "mem");
    let told = lines.iter().filter(|line| line.starts_with("mem medium-")).count() as u64;
    let dropped = lines.iter().rfind(|line| line.starts_with("mem trace: "));
    let dropped: u64 = dropped.map_or(0, |line| line.split(' ').nth(2).unwrap().parse().unwrap());
    assert!(told + dropped >= u64::from(EVENTS), "{told} told, {dropped} dropped");
    assert!(told >= 2048, "{told} told, {dropped} dropped");
}
