//! Recording in programs that make trouble: that take the recorder's descriptor for their own files, limit the size of files,
//! get signals and exit in their handlers, resize where a thread has no heap, or run with another user's rights.

use std::alloc::{alloc, dealloc, realloc};
use std::ffi::c_void;
use std::hint::black_box;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use bucketmask_alloc::trace::Reader;

use super::{OWN, Scratch, all, common, events, follow, layout, record, work};

/// Blocks whose events fill more of the file than is mapped of it at a time.
const MANY: usize = 300_000;

pub(crate) fn in_child(part: &str) -> bool {
    match part {
        "takes the descriptor" => {
            let own = take_descriptor();
            forks_with(&own);
            work(MANY, 64, 0);
        }
        "takes the descriptor at last" => forks_with(&take_descriptor()),
        "exits in a handler" => {
            on_alarm(exit_once, 300 + u32::from(std::process::id() as u8) * 7, 2_000_000);
            loop {
                work(1000, 64, 0);
            }
        }
        "resizes without a heap" => resizes(),
        _ => return false,
    }
    true
}

fn recorded_to() -> PathBuf {
    std::env::var_os("BUCKETMASK_RECORD").unwrap().into()
}

fn others(trace: &Path) -> PathBuf {
    trace.with_extension("other")
}

/// What the program writes to a file of its own.
const CONTENT: &[u8] = b"the program's own";

/// Opens another file under the recorder's number, as a shell's redirection does.
fn take_descriptor() -> std::fs::File {
    let trace = recorded_to();
    let is_it = |number: &i32| {
        std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|target| target == trace)
    };
    let number = (0..65536).find(is_it).expect("the recorder has a file");
    assert!(number > 99, "{number} is one that programs and shells use");
    std::fs::write(others(&trace), CONTENT).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(others(&trace)).unwrap();
    // SAFETY: the number is open; from here on it is the file's.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
    // SAFETY: as above.
    unsafe { std::fs::File::from_raw_fd(number) }
}

/// A forked child still has the file.
fn forks_with(file: &std::fs::File) {
    // SAFETY: the child asks and ends.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(i32::from(libc::fcntl(file.as_raw_fd(), libc::F_GETFD) < 0));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert_eq!(status, 0, "the child lost a file of its own");
    }
}

/// Lets `handler` run on an alarm, after so many microseconds first.
fn on_alarm(handler: extern "C" fn(i32), first: u32, then: u32) {
    let time = |microseconds: u32| libc::timeval {
        tv_sec: (microseconds / 1_000_000).into(),
        tv_usec: (microseconds % 1_000_000).into(),
    };
    // SAFETY: sets a signal's action, which may come in the middle of the handler, and a timer.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
        assert_eq!(libc::sigaction(libc::SIGALRM, &raw const action, null_mut()), 0);
        let timer = libc::itimerval { it_interval: time(then), it_value: time(first) };
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, null_mut()), 0);
    }
}

/// Ends the program in peace; the second time it did not end.
extern "C" fn exit_once(_: i32) {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    // SAFETY: ends the process.
    unsafe {
        match TIMES.fetch_add(1, Ordering::Relaxed) {
            0 => libc::exit(0),
            _ => libc::_exit(7),
        }
    }
}

/// Resizes a block as the first thing that a thread does, and as the last, when it has no heap any more.
fn resizes() {
    extern "C" fn grow_first(block: *mut c_void) -> *mut c_void {
        // SAFETY: the block is this thread's alone.
        unsafe { realloc(block.cast(), layout(OWN), 3 * OWN).cast() }
    }
    extern "C" fn grow_last(block: *mut c_void) {
        // SAFETY: as above.
        unsafe { dealloc(black_box(realloc(block.cast(), layout(OWN), 3 * OWN)), layout(3 * OWN)) }
    }
    extern "C" fn leave_block(key: *mut c_void) -> *mut c_void {
        // SAFETY: sets this thread's value.
        unsafe {
            let block = alloc(layout(OWN));
            assert_eq!(libc::pthread_setspecific(key as libc::pthread_key_t, block.cast()), 0);
        }
        null_mut()
    }
    // SAFETY: threads that are waited for; each block is one thread's at a time, and freed once.
    unsafe {
        let mut thread = core::mem::zeroed();
        let mut moved = null_mut();
        for _ in 0..10 {
            let block = alloc(layout(OWN));
            assert_eq!(libc::pthread_create(&raw mut thread, core::ptr::null(), grow_first, block.cast()), 0);
            assert_eq!(libc::pthread_join(thread, &raw mut moved), 0);
            dealloc(moved.cast(), layout(3 * OWN));
        }
        // Its destructor runs behind that of the allocator's older key.
        let mut key = 0;
        assert_eq!(
            libc::pthread_key_create(
                &raw mut key,
                Some(core::mem::transmute::<extern "C" fn(*mut c_void), unsafe extern "C" fn(*mut c_void)>(
                    grow_last
                ))
            ),
            0
        );
        for _ in 0..10 {
            let key = core::ptr::without_provenance_mut(key as usize);
            assert_eq!(libc::pthread_create(&raw mut thread, core::ptr::null(), leave_block, key), 0);
            assert_eq!(libc::pthread_join(thread, null_mut()), 0);
        }
    }
}

pub(crate) fn a_program_that_takes_the_descriptor_keeps_its_file() {
    const NAME: &str = "a_program_that_takes_the_descriptor_keeps_its_file";
    if let Some(part) = common::part() {
        assert!(in_child(&part));
        return;
    }
    for (part, is_told) in [("takes the descriptor", true), ("takes the descriptor at last", false)] {
        let trace = Scratch::new("taken-number");
        let output = record(NAME, part, &trace);
        let other = others(trace.path());
        let content = std::fs::read(&other).unwrap();
        std::fs::remove_file(&other).unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(content, CONTENT, "{part}");
        let told = String::from_utf8_lossy(&output.stderr).matches("recording ended early").count();
        assert_eq!(told, usize::from(is_told), "{output:?}");
        let (events, error) = events(trace.path());
        assert!(error.is_none() && !events.is_empty(), "{error:?}");
    }
}

pub(crate) fn a_handler_may_exit_in_the_middle_of_an_event() {
    const NAME: &str = "a_handler_may_exit_in_the_middle_of_an_event";
    if let Some(part) = common::part() {
        assert!(in_child(&part));
        return;
    }
    for round in 0..30 {
        let trace = Scratch::new("exits");
        let output = record(NAME, "exits in a handler", &trace);
        assert!(output.status.success(), "round {round}: {output:?}");
        let (_, error) = events(trace.path());
        assert!(error.is_none(), "round {round}: {error:?}");
    }
}

pub(crate) fn a_resize_is_one_event_where_the_thread_has_no_heap() {
    const NAME: &str = "a_resize_is_one_event_where_the_thread_has_no_heap";
    if let Some(part) = common::part() {
        assert!(in_child(&part));
        return;
    }
    let trace = Scratch::new("resizes");
    let output = record(NAME, "resizes without a heap", &trace);
    assert!(output.status.success(), "{output:?}");
    let (events, error) = events(trace.path());
    assert!(error.is_none(), "{error:?}");
    let seen = follow(&events, OWN as u64);
    assert_eq!((seen.made, seen.resized, seen.freed), (20, 20, 20));
}

pub(crate) fn a_program_with_anothers_rights_records_nothing() {
    const NAME: &str = "a_program_with_anothers_rights_records_nothing";
    /// Nobody's number.
    const OTHER: u32 = 65534;
    if let Some(part) = common::part() {
        assert!(part == "rights");
        return work(10, OWN, 0);
    }
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not tested: only root can make a program that runs as another user");
        return;
    }
    if std::env::var_os("ASAN_OPTIONS").is_some() {
        eprintln!("not tested: LeakSanitizer may not look into a process with another's rights, and ends it");
        return;
    }
    let (program, trace, report) = (Scratch::new("program"), Scratch::new("rights"), Scratch::new("report"));
    std::fs::copy(std::env::current_exe().unwrap(), program.path()).unwrap();
    std::os::unix::fs::chown(program.path(), Some(OTHER), None).unwrap();
    std::fs::set_permissions(program.path(), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let run = || {
        let variables = [
            ("BUCKETMASK_RECORD", trace.name()),
            ("BUCKETMASK_REPORT", "exit"),
            ("BUCKETMASK_REPORT_FILE", report.name()),
        ];
        let output = common::child_of(program.path(), NAME, "rights", &variables);
        assert!(output.status.success(), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("bucketmask report"), "{output:?}");
    };
    run();
    assert!(!trace.path().exists() && !report.path().exists());
    std::fs::set_permissions(program.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = common::child_of(program.path(), NAME, "rights", &[("BUCKETMASK_RECORD", trace.name())]);
    assert!(output.status.success() && std::fs::metadata(trace.path()).unwrap().size() > 4096, "{output:?}");
}

pub(crate) fn a_reader_at_its_end_knows_what_it_read() {
    const NAME: &str = "a_reader_at_its_end_knows_what_it_read";
    if let Some(part) = common::part() {
        return super::in_child(&part);
    }
    let trace = Scratch::new("ended");
    assert!(record(NAME, "threads", &trace).status.success());
    let mut reader = Reader::open(trace.path()).unwrap();
    assert!(reader.by_ref().all(|event| event.is_ok()) && reader.is_complete());
    let whole = std::fs::read(trace.path()).unwrap();
    assert!(all(Reader::new(whole.as_slice()).unwrap()).1.is_none());
}
