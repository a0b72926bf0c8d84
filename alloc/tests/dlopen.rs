//! Libraries that are loaded and unloaded while threads allocate, and threads that such a library starts, which meet
//! the allocator for the first time there and end inside the library.

mod common;

use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bucketmask_alloc::BucketAlloc;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// A library with thread-locals of its own, which make the loader grow every thread's table, and with a function
/// that starts threads and waits for them.
const SOURCE: &str = "
#include <pthread.h>
static __thread char touched[9000];
static void *(*work)(void *);
static void *run(void *argument) {
    touched[8000] = 1;
    return work(argument);
}
int start_threads(void *(*function)(void *), void *argument, int count) {
    pthread_t threads[16];
    work = function;
    int started = 0;
    while (started < count && pthread_create(&threads[started], 0, run, argument) == 0) started++;
    for (int i = 0; i < started; i++) pthread_join(threads[i], 0);
    return started;
}
";

type Work = extern "C" fn(*mut c_void) -> *mut c_void;
type StartThreads = extern "C" fn(Work, *mut c_void, libc::c_int) -> libc::c_int;

/// Builds the library with the C compiler that mimalloc needs anyway.
fn build() -> PathBuf {
    let stem = std::env::temp_dir().join(format!("bucketmask-dlopen-{}", std::process::id()));
    let (source, library) = (stem.with_extension("c"), stem.with_extension("so"));
    std::fs::write(&source, SOURCE).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let arguments = ["-shared", "-fPIC", "-pthread", "-o"];
    let built = Command::new(compiler).args(arguments).arg(&library).arg(&source).status().unwrap();
    assert!(built.success());
    std::fs::remove_file(source).unwrap();
    library
}

static WORKED: AtomicUsize = AtomicUsize::new(0);

fn use_memory(seed: usize) -> usize {
    let texts: Vec<String> = (0..300).map(|number| format!("{:>1$}", seed, number % 90)).collect();
    texts.iter().map(String::len).sum()
}

extern "C" fn in_library_thread(argument: *mut c_void) -> *mut c_void {
    assert!(use_memory(argument as usize) >= 300);
    WORKED.fetch_add(1, Ordering::Relaxed);
    core::ptr::null_mut()
}

fn load(library: &CStr) -> *mut c_void {
    // SAFETY: a text that ends in 0; the libraries' constructors do nothing.
    unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) }
}

fn libraries_come_and_go_while_threads_allocate() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let path = build();
    let library = CString::new(path.to_str().unwrap()).unwrap();
    let busy = [1, 2].map(|seed| {
        std::thread::spawn(move || {
            let mut rounds = 0;
            while !STOP.load(Ordering::Relaxed) {
                assert!(use_memory(seed) >= 300);
                rounds += 1;
            }
            rounds
        })
    });
    for round in 0..50 {
        let system = load(c"libm.so.6");
        let own = load(&library);
        assert!(!own.is_null() && !system.is_null(), "round {round}");
        // SAFETY: a library just loaded.
        let start = unsafe { libc::dlsym(own, c"start_threads".as_ptr()) };
        assert!(!start.is_null());
        // SAFETY: the source above declares it so.
        let start: StartThreads = unsafe { std::mem::transmute::<*mut c_void, StartThreads>(start) };
        assert_eq!(start(in_library_thread, core::ptr::without_provenance_mut(round), 4), 4);
        // SAFETY: its threads are joined; nothing of it is used any more.
        unsafe {
            assert_eq!(libc::dlclose(own), 0);
            libc::dlclose(system);
        }
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in busy {
        assert!(thread.join().unwrap() > 0);
    }
    assert_eq!(WORKED.load(Ordering::Relaxed), 200);
    std::fs::remove_file(path).unwrap();
}

fn main() {
    common::run(&[(
        "libraries_come_and_go_while_threads_allocate",
        libraries_come_and_go_while_threads_allocate,
    )]);
}
