//! Recording: what a program asks of the allocator is in its trace, whatever becomes of the program; and what is no trace, or
//! a broken one, is told and never believed.

mod common;
#[path = "traces/trouble.rs"]
mod trouble;

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Output;

use bucketmask_alloc::BucketAlloc;
use bucketmask_alloc::trace::{Action, Event, Reader, TraceError, Wrong};

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// A size that nothing but the tests asks for.
const OWN: usize = 12_345;
const OWN_ALIGN: usize = 64;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, OWN_ALIGN).unwrap()
}

/// Gets blocks and frees them; a part of them grows in between.
fn work(blocks: usize, size: usize, resized: usize) {
    // SAFETY: not of size 0; each block is freed once, with the layout that it has then.
    unsafe {
        let held: Vec<*mut u8> = (0..blocks).map(|_| alloc(layout(size))).collect();
        for (idx, &block) in held.iter().enumerate() {
            assert!(!block.is_null());
            if idx < resized {
                let moved = realloc(block, layout(size), 3 * size);
                assert!(!moved.is_null());
                dealloc(moved, layout(3 * size));
            } else {
                dealloc(block, layout(size));
            }
        }
    }
}

fn in_child(part: &str) {
    match part {
        "threads" => {
            let threads =
                [1, 2, 3].map(|times| std::thread::spawn(move || work(100 * times, OWN, 10 * times)));
            for thread in threads {
                thread.join().unwrap();
            }
            // SAFETY: not of size 0; freed once, by another thread.
            unsafe {
                let zeroed = alloc_zeroed(layout(OWN)) as usize;
                std::thread::spawn(move || dealloc(zeroed as *mut u8, layout(OWN))).join().unwrap();
                // Blocks that the kernel or mimalloc serve.
                let large = alloc(layout(5 << 20));
                large.write_bytes(1, 3 << 20);
                dealloc(realloc(large, layout(5 << 20), 9 << 20), layout(9 << 20));
            }
        }
        "is killed" => {
            work(1000, OWN, 0);
            // SAFETY: ends this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        "forks" => {
            // SAFETY: the child allocates, which the allocator lets it, and exits.
            let child = unsafe { libc::fork() };
            work(10, if child == 0 { OWN + 1 } else { OWN }, 5);
            if child != 0 {
                let mut status = 0;
                // SAFETY: waits for the child; writes the status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
        }
        "may not grow files" => {
            let most = libc::rlimit { rlim_cur: 3 << 20, rlim_max: 3 << 20 };
            // SAFETY: sets this process's limit. A write beyond would end it by a signal.
            unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const most), 0) };
            work(1_000_000, 64, 0);
            assert_eq!(
                ALLOCATOR
                    .report()
                    .nodes
                    .iter()
                    .flat_map(|node| &node.classes)
                    .filter(|class| class.live > 900_000)
                    .count(),
                0
            );
        }
        other => assert!(trouble::in_child(other), "no part {other}"),
    }
}

/// A file of the tests', removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("bucketmask-trace-{name}-{}", std::process::id())))
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn record(test: &str, part: &str, trace: &Scratch) -> Output {
    common::child_with(test, part, &[("BUCKETMASK_RECORD", trace.name())])
}

fn events(trace: &Path) -> (Vec<Event>, Option<TraceError>) {
    all(Reader::open(trace).unwrap())
}

fn all<R: std::io::Read>(mut reader: Reader<R>) -> (Vec<Event>, Option<TraceError>) {
    let mut events = Vec::new();
    let error = reader.try_for_each(|event| event.map(|event| events.push(event))).err();
    assert!(reader.next().is_none(), "nothing behind the end");
    (events, error)
}

/// What a trace says that blocks did, of which none may do what it cannot have done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    made: usize,
    zeroed: usize,
    resized: usize,
    freed: usize,
    ends: usize,
    touched: u64,
}

/// Follows all blocks, and counts those of `size`, and of three times as much, at the tests' own alignment.
fn follow(events: &[Event], size: u64) -> Seen {
    let mut live: HashMap<u64, u64> = HashMap::new();
    let mut between: HashMap<u32, (u64, u64)> = HashMap::new();
    let (mut seen, mut unknown) = (Seen::default(), 0);
    for (event, next) in events.iter().zip(events.iter().skip(1).map(Some).chain([None])) {
        assert!(next.is_none_or(|next| next.time >= event.time), "time goes back");
        match event.action {
            Action::Malloc { address, size: got, align, zeroed } => {
                assert_eq!(live.insert(address, got), None, "{address:x} was handed out twice");
                assert!(address % align == 0, "{event:?}");
                if got == size && align == OWN_ALIGN as u64 {
                    seen.made += usize::from(!zeroed);
                    seen.zeroed += usize::from(zeroed);
                }
            }
            Action::Free { address } => match live.remove(&address) {
                Some(was) if was == size || was == 3 * size => seen.freed += 1,
                Some(_) => {}
                None => unknown += 1,
            },
            Action::Resizing { address } => match live.remove(&address) {
                Some(was) => assert_eq!(between.insert(event.thread, (address, was)), None),
                None => unknown += 1,
            },
            Action::Resized { address, size: got, .. } => {
                let before = between.remove(&event.thread);
                assert_eq!(live.insert(address, got), None, "{address:x} was handed out twice");
                seen.resized += usize::from(got == 3 * size && before.is_some_and(|(_, was)| was == size));
            }
            Action::Touched { address, bytes } => {
                let size = live.get(&address).copied().unwrap_or(u64::MAX);
                assert!(size >= 64 << 10 && bytes <= size.saturating_add(8191), "{event:?} of {size}");
                seen.touched += bytes;
            }
            Action::ThreadEnd => seen.ends += 1,
        }
    }
    // What the C library made before there was a recorder.
    assert!(unknown <= 20, "{unknown} blocks that were never made");
    seen
}

fn a_trace_tells_all_that_threads_did() {
    const NAME: &str = "a_trace_tells_all_that_threads_did";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("threads");
    let output = record(NAME, "threads", &trace);
    assert!(output.status.success(), "{output:?}");
    let reader = Reader::open(trace.path()).unwrap();
    assert!(reader.is_complete() && reader.process() > 0 && reader.started().as_secs() > 1_700_000_000);
    let (events, error) = events(trace.path());
    assert!(error.is_none(), "{error:?}");
    let seen = follow(&events, OWN as u64);
    assert_eq!((seen.made, seen.zeroed, seen.resized, seen.freed), (600, 1, 60, 601));
    assert!(seen.ends >= 4, "{seen:?}");
    let touched = |event: &&Event| matches!(event.action, Action::Touched { bytes, .. } if (3 << 20..4 << 20).contains(&bytes));
    assert!(events.iter().any(|event| touched(&event)), "{seen:?}");
    let large = |event: &&Event| matches!(event.action, Action::Resized { size, .. } if size == 9 << 20);
    assert_eq!(events.iter().filter(large).count(), 1);
    // Few bytes an event, of a file that is as long as what is in it.
    let bytes = std::fs::metadata(trace.path()).unwrap().len();
    assert!(bytes <= 4096 + (1 << 16) + 16 * events.len() as u64, "{bytes} bytes of {} events", events.len());
}

fn a_killed_program_leaves_all_that_it_did() {
    const NAME: &str = "a_killed_program_leaves_all_that_it_did";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("killed");
    let output = record(NAME, "is killed", &trace);
    assert!(!output.status.success(), "{output:?}");
    assert!(!Reader::open(trace.path()).unwrap().is_complete());
    let (events, error) = events(trace.path());
    assert!(error.is_none(), "{error:?}");
    let seen = follow(&events, OWN as u64);
    assert_eq!((seen.made, seen.freed), (1000, 1000));
}

fn a_forked_child_is_not_in_its_parents_trace() {
    const NAME: &str = "a_forked_child_is_not_in_its_parents_trace";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("forks");
    let output = record(NAME, "forks", &trace);
    assert!(output.status.success(), "{output:?}");
    let (events, error) = events(trace.path());
    assert!(error.is_none(), "{error:?}");
    assert!(Reader::open(trace.path()).unwrap().is_complete());
    assert_eq!(follow(&events, OWN as u64).made, 10);
    assert_eq!(follow(&events, OWN as u64 + 1).made, 0);
}

fn a_file_that_cannot_grow_ends_the_recording_only() {
    const NAME: &str = "a_file_that_cannot_grow_ends_the_recording_only";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("full");
    let output = record(NAME, "may not grow files", &trace);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("recording ended early").count(), 1, "{told}");
    let (events, error) = events(trace.path());
    assert!(error.is_none(), "{error:?}");
    assert!(Reader::open(trace.path()).unwrap().is_complete());
    assert!(follow(&events, 64).made > 100_000, "{}", events.len());
}

fn a_trace_that_is_being_written_is_left_alone() {
    const NAME: &str = "a_trace_that_is_being_written_is_left_alone";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("taken");
    std::fs::write(trace.path(), "somebody else's").unwrap();
    let file = std::fs::File::open(trace.path()).unwrap();
    // SAFETY: locks an open file.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
    let output = record(NAME, "threads", &trace);
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("bucketmask:"), "{output:?}");
    assert_eq!(std::fs::read(trace.path()).unwrap(), b"somebody else's");

    let nowhere = common::child_with(NAME, "threads", &[("BUCKETMASK_RECORD", "/nowhere/trace")]);
    assert!(nowhere.status.success(), "{nowhere:?}");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("cannot be made"), "{nowhere:?}");

    let own = Scratch::new("own-%p");
    let output = record(NAME, "threads", &own);
    let told: Vec<PathBuf> = std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let (name, prefix) = (path.to_string_lossy(), own.name().split('%').next().unwrap().to_owned());
            name.starts_with(&prefix) && name.ends_with(&std::process::id().to_string())
        })
        .collect();
    assert!(output.status.success() && told.len() == 1, "{told:?} {output:?}");
    let process = Reader::open(&told[0]).unwrap().process();
    std::fs::remove_file(&told[0]).unwrap();
    assert!(told[0].to_string_lossy().contains(&format!("own-{process}-")), "{told:?}");
}

fn a_broken_trace_is_told_with_its_place() {
    const NAME: &str = "a_broken_trace_is_told_with_its_place";
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let trace = Scratch::new("broken");
    assert!(record(NAME, "threads", &trace).status.success());
    let whole = std::fs::read(trace.path()).unwrap();
    let (right, error) = all(Reader::new(whole.as_slice()).unwrap());
    assert!(error.is_none());

    let foreign = Reader::new(&b"#!/bin/sh\necho a program\n"[..]).unwrap_err();
    assert!(
        matches!(foreign.wrong, Wrong::NotATrace) && foreign.to_string().contains("at byte 0"),
        "{foreign}"
    );
    let mut later = whole.clone();
    later[8] = 9;
    assert!(matches!(Reader::new(later.as_slice()).unwrap_err().wrong, Wrong::Version(9)));

    let mut random = common::Random::new(7);
    for round in 0..300 {
        // Where there are records, and where the chunk's head is.
        let at = if round < 32 { 4096 + round } else { 4096 + random.below(whole.len() - 4096) };
        let mut changed = whole.clone();
        changed[at] ^= 1 << random.below(8);
        let (events, error) = all(Reader::new(changed.as_slice()).unwrap());
        // What lies behind the records of a chunk means nothing.
        assert!(error.is_some() || events == right, "byte {at}");
        if let Some(error) = error {
            assert!(matches!(error.wrong, Wrong::Corrupt(_)) && error.offset < whole.len() as u64, "{error}");
            assert!(events.len() < right.len() && events == right[..events.len()], "byte {at}");
        }
    }
    for round in 0..50 {
        let length = if round == 0 { whole.len() - 1 } else { random.below(whole.len()) };
        match Reader::new(&whole[..length]) {
            Err(error) => {
                assert!(matches!(error.wrong, Wrong::NotATrace | Wrong::Truncated) && length < 4096);
            }
            Ok(reader) => {
                let (events, error) = all(reader);
                let error = error.unwrap();
                assert!(matches!(error.wrong, Wrong::Truncated) && error.offset == length as u64, "{error}");
                assert_eq!(events, right[..events.len()]);
            }
        }
    }
}

fn main() {
    common::run(&[
        ("a_trace_tells_all_that_threads_did", a_trace_tells_all_that_threads_did),
        ("a_killed_program_leaves_all_that_it_did", a_killed_program_leaves_all_that_it_did),
        ("a_forked_child_is_not_in_its_parents_trace", a_forked_child_is_not_in_its_parents_trace),
        ("a_file_that_cannot_grow_ends_the_recording_only", a_file_that_cannot_grow_ends_the_recording_only),
        ("a_trace_that_is_being_written_is_left_alone", a_trace_that_is_being_written_is_left_alone),
        ("a_broken_trace_is_told_with_its_place", a_broken_trace_is_told_with_its_place),
        (
            "a_program_that_takes_the_descriptor_keeps_its_file",
            trouble::a_program_that_takes_the_descriptor_keeps_its_file,
        ),
        (
            "a_handler_may_exit_in_the_middle_of_an_event",
            trouble::a_handler_may_exit_in_the_middle_of_an_event,
        ),
        (
            "a_resize_is_one_event_where_the_thread_has_no_heap",
            trouble::a_resize_is_one_event_where_the_thread_has_no_heap,
        ),
        (
            "a_program_with_anothers_rights_records_nothing",
            trouble::a_program_with_anothers_rights_records_nothing,
        ),
        ("a_reader_at_its_end_knows_what_it_read", trouble::a_reader_at_its_end_knows_what_it_read),
    ]);
}
