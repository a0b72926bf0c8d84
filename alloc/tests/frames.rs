//! Stacks of real binaries, and what panics in them tell: this very program as it was built, without its debug information, without any
//! symbols, and with a C frame in between. What a stripped one prints is given to `addr2line`, with the binary of before.
//!
//! `strip -S` and `strip -s` are what `strip = "debuginfo"` and `strip = true` have rustc do. Needs binutils and a C compiler.
//! Invariant: what is expected of a frame is the line that [`deepest`] notes itself.

mod common;

use std::ffi::{CString, c_void};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bucketmask_alloc::frames::{Frame, Place, Stack, enter, install_panic_context, touch};
use bucketmask_alloc::{PageRequest, current_node, give_back, lend};
use tempfile::TempDir;

/// The line of the call to `capture` in [`deepest`], below.
const LINE: u32 = line!() + 5;

/// Prints the stack that it is called on, from here.
#[inline(never)]
extern "C-unwind" fn deepest() {
    print!("{}", std::hint::black_box(Stack::capture()));
}

/// The line of the panic in [`panicking`], below.
const PANIC: u32 = line!() + 5;

/// Panics where a collector would: in a phase, at an operation on what lies in a page, or in none.
#[inline(never)]
extern "C-unwind" fn panicking() {
    panic!("out of sorts");
}

/// An address that no module and no page has.
const NOWHERE: usize = 0x10;

/// A caller of [`deepest`] that stays on the stack.
#[inline(never)]
fn caller(call: impl FnOnce()) {
    call();
    std::hint::black_box(());
}

/// A folder of this test's own, and this program in it, treated with `strip` if so asked.
fn copy(strip: Option<&str>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("program");
    // By another process: what this one has open for writing, the children of its other threads have as well, and it can't be run.
    said_by(Command::new("cp").arg(std::env::current_exe().expect("this program has a path")).arg(&program));
    if let Some(how) = strip {
        said_by(Command::new("strip").arg(how).arg(&program));
    }
    (folder, program)
}

/// What a command prints that ends well.
fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The stack that a program prints which is a copy of this one.
fn stack_of(program: &Path, foreign: Option<&Path>) -> String {
    said_by(&mut child(program, "stack", foreign))
}

/// What such a program says of a panic: the line of its context, and the stack below.
fn context_of(program: &Path, part: &str, foreign: Option<&Path>) -> (String, String) {
    let output = child(program, part, foreign).output().expect("a child");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("out of sorts"), "{told}");
    let start = told.find("bucketmask: thread ").unwrap_or_else(|| panic!("no context: {told}"));
    let (line, stack) = told[start..].split_once('\n').expect("a stack below");
    (line.to_owned(), stack.to_owned())
}

fn child(program: &Path, part: &str, foreign: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    command.env("BUCKETMASK_FRAMES_PART", part);
    if let Some(library) = foreign {
        command.env("BUCKETMASK_FRAMES_FOREIGN", library);
    }
    command
}

/// What the child does.
fn part(name: &str) {
    if name == "stack" {
        return calling(deepest);
    }
    install_panic_context();
    if name == "unheard" {
        // Until nobody reads what this process says.
        let _ = std::io::stdin().read(&mut [0]);
        assert!(std::panic::catch_unwind(|| calling(panicking)).is_err(), "it panicked, as it should");
        return;
    }
    let page = lend(current_node(), PageRequest { bytes: 8192, slot_size: 32, leaf: true }).expect("a page");
    let address = if name == "nowhere" { NOWHERE } else { page.base().addr().get() + 70 * 32 };
    let panics = move || {
        let _phase = enter("sweep");
        touch("drop", address);
        calling(panicking);
    };
    let thread = std::thread::Builder::new().name("of the test".into()).spawn(panics).expect("a thread");
    assert!(thread.join().is_ok(), "it panicked, as it should");
}

/// Calls a function by itself, or through the library that the environment names.
fn calling(back: extern "C-unwind" fn()) {
    match std::env::var_os("BUCKETMASK_FRAMES_FOREIGN") {
        None => caller(|| back()),
        Some(library) => caller(|| {
            let library = CString::new(library.into_encoded_bytes()).expect("a path");
            // SAFETY: a library that the test made, whose one function calls the function that it is given.
            unsafe {
                let library = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
                let function = libc::dlsym(library, c"foreign_call".as_ptr());
                assert!(!function.is_null(), "the library has the function");
                let function: unsafe extern "C-unwind" fn(extern "C-unwind" fn()) =
                    std::mem::transmute::<*mut c_void, _>(function);
                function(back);
            }
        }),
    }
}

/// The build id that `readelf` reads, as a frame tells it.
fn build_id(module: &Path) -> String {
    let notes = said_by(Command::new("readelf").arg("-n").arg(module));
    match notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")) {
        Some(id) => format!("(build id {id})"),
        None => "(no build id)".to_owned(),
    }
}

/// Function and line that `addr2line` finds for the first frame of a stack that is told as `path+offset`.
fn resolved(stack: &str, path: &Path, unstripped: &Path) -> Vec<String> {
    let start = format!("{}+", path.display());
    let offsets = stack.lines().filter_map(|line| line.split_once(&start)?.1.split(' ').next());
    let mut addr2line = Command::new("addr2line");
    addr2line.args(["-f", "-C", "-e"]).arg(unstripped).args(offsets);
    said_by(&mut addr2line).lines().map(str::to_owned).collect()
}

fn here() -> String {
    format!("frames.rs:{LINE}")
}

fn a_program_as_built_has_functions_and_lines() {
    let (_folder, program) = copy(None);
    let stack = stack_of(&program, None);
    let mut lines = stack.lines();
    let first = lines.next().expect("a frame");
    assert!(first.starts_with("  0: ") && first.ends_with("deepest"), "{stack}");
    assert!(lines.next().is_some_and(|line| line.ends_with(&here())), "{stack}");
    assert!(stack.contains("frames::caller") && stack.contains("frames::calling"), "{stack}");
    for runtime in ["capture", "backtrace::", "rust_begin_short", "lang_start", "libc.so"] {
        assert!(!stack.contains(runtime), "{runtime} in {stack}");
    }
}

fn without_debug_information_there_are_functions() {
    let (_folder, program) = copy(Some("-S"));
    let stack = stack_of(&program, None);
    let first = stack.lines().next().expect("a frame");
    assert!(first.contains("deepest in ") && first.ends_with(&build_id(&program)), "{stack}");
    assert!(!stack.contains("frames.rs"), "{stack}");
    assert!(stack.contains("frames::caller"), "{stack}");
}

fn a_stripped_program_has_what_addr2line_resolves() {
    let (_folder, program) = copy(Some("-s"));
    let stack = stack_of(&program, None);
    assert!(!stack.contains("deepest") && !stack.contains("frames.rs"), "{stack}");
    let first = stack.lines().next().expect("a frame");
    let start = format!("  0: {}+0x", program.display());
    assert!(first.starts_with(&start) && first.ends_with(&build_id(&program)), "{stack}");
    let found = resolved(&stack, &program, &std::env::current_exe().expect("this program has a path"));
    assert!(found[0].ends_with("deepest") && found[1].contains(&here()), "{found:?}");
    assert!(found.iter().any(|line| line.contains("frames::calling")), "{found:?}");
}

/// A C library whose function calls the one it is given, as built and stripped.
fn foreign(folder: &Path) -> (PathBuf, PathBuf) {
    let (source, library, stripped) =
        (folder.join("foreign.c"), folder.join("libforeign.so"), folder.join("libstripped.so"));
    std::fs::write(&source, "void foreign_call(void (*back)(void))\n{\n    back();\n    back = 0;\n}\n")
        .expect("a file");
    let mut cc = Command::new("cc");
    cc.args(["-g", "-O0", "-fexceptions", "-shared", "-fPIC", "-Wl,--build-id", "-o"])
        .arg(&library)
        .arg(&source);
    said_by(&mut cc);
    said_by(Command::new("strip").arg("-s").arg("-o").arg(&stripped).arg(&library));
    (library, stripped)
}

/// A C library, unstripped and stripped, between two frames of ours.
fn a_foreign_frame_is_told_like_ours() {
    let (folder, program) = copy(None);
    let (library, stripped) = foreign(folder.path());
    let stack = stack_of(&program, Some(&library));
    assert!(stack.contains("1: foreign_call\n") && stack.contains("foreign.c:3\n"), "{stack}");
    assert!(stack.contains("frames::caller"), "what called the foreign one: {stack}");
    let stack = stack_of(&program, Some(&stripped));
    assert!(stack.contains(&build_id(&library)) && !build_id(&library).contains("no"), "{stack}");
    assert!(!stack.contains("foreign.c:"), "{stack}");
    let found = resolved(&stack, &stripped, &library);
    assert!(found.len() == 2 && found[0] == "foreign_call" && found[1].ends_with("foreign.c:3"), "{found:?}");
}

/// The line is the thread's own knowledge, so stripping takes nothing from it; the stack below is as good as the binary.
fn a_panic_tells_its_context_in_every_binary() {
    let unstripped = std::env::current_exe().expect("this program has a path");
    for strip in [None, Some("-S"), Some("-s")] {
        let (_folder, program) = copy(strip);
        let (line, stack) = context_of(&program, "panic", None);
        for part in ["\"of the test\", heap phase sweep, in `drop` of 0x", ", page 0x"] {
            assert!(line.contains(part), "{strip:?}, {part}: {line}");
        }
        assert!(line.ends_with("slots of 32 bytes, slot 70, bucket 1"), "{strip:?}: {line}");
        let here = format!("frames.rs:{PANIC}");
        if strip == Some("-s") {
            let start = format!("{}+0x", program.display());
            assert!(stack.contains(&start) && !stack.contains("panicking"), "{stack}");
            let found = resolved(&stack, &program, &unstripped);
            let at = found.iter().position(|name| name.ends_with("frames::panicking"));
            assert!(at.is_some_and(|at| found[at + 1].contains(&here)), "{found:?}");
            continue;
        }
        let first = stack.lines().next().expect("a frame");
        assert!(first.starts_with("    0: ") && first.contains("panicking"), "{strip:?}: {stack}");
        assert_eq!(stack.contains(&here), strip.is_none(), "{strip:?}: {stack}");
        assert_eq!(first.ends_with(&build_id(&program)), strip.is_some(), "{strip:?}: {stack}");
    }
}

fn a_panic_below_a_foreign_frame_tells_its_context() {
    for strip in [None, Some("-s")] {
        let (folder, program) = copy(strip);
        let (library, stripped) = foreign(folder.path());
        for module in [&library, &stripped] {
            let (line, stack) = context_of(&program, "panic", Some(module));
            assert!(line.contains("heap phase sweep, in `drop` of 0x"), "{line}");
            assert!(line.ends_with("slot 70, bucket 1"), "{line}");
            if *module == library {
                assert!(stack.contains("foreign_call") && stack.contains("foreign.c:3"), "{stack}");
            } else {
                let found = resolved(&stack, &stripped, &library);
                assert!(found.len() == 2 && found[1].ends_with("foreign.c:3"), "{stack}{found:?}");
            }
        }
    }
}

fn a_panic_at_an_address_of_no_page_says_the_address_alone() {
    for strip in [None, Some("-s")] {
        let (_folder, program) = copy(strip);
        let (line, stack) = context_of(&program, "nowhere", None);
        assert!(line.ends_with("\"of the test\", heap phase sweep, in `drop` of 0x10"), "{line}");
        assert!(stack.starts_with("    0: "), "{stack}");
    }
}

/// A program that catches its panics goes on where standard error is closed.
fn a_panic_that_nobody_hears_ends_nothing() {
    let mut child = child(&std::env::current_exe().expect("a path"), "unheard", None);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    drop(child.stderr.take());
    drop(child.stdin.take());
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

fn an_address_in_no_module_is_unknown() {
    let frame = Frame::at(0x10);
    assert_eq!((frame.to_string().as_str(), frame.module), ("unknown 0x10", None));
    let known = Frame::at(deepest as extern "C-unwind" fn() as usize);
    assert!(known.to_string().contains("deepest"), "{known}");
    assert!(known.module.is_some_and(|module| module.path == std::env::current_exe().expect("a path")));
}

fn what_a_caller_does_not_want_is_left_out() {
    let stack = Stack::capture();
    let frames = stack.resolve(&[]);
    assert!(frames[0].to_string().contains("what_a_caller_does_not_want"), "{stack}");
    // The harness catches panics of its tests, and that in between is the runtime's.
    assert!(frames.len() > 2 && !stack.to_string().contains("catch_unwind"), "{stack}");
    let fewer = stack.resolve(&["frames::what_a_caller_does_not_want"]);
    assert_eq!(fewer.first().map(|frame| frame.address), frames.get(1).map(|frame| frame.address));
}

fn a_stack_begins_at_the_line_that_is_wanted() {
    #[track_caller]
    #[inline(never)]
    fn noted() -> (Stack, &'static std::panic::Location<'static>) {
        (Stack::capture(), std::panic::Location::caller())
    }
    let (stack, place) = noted();
    assert!(stack.resolve(&[])[0].to_string().contains("noted"), "{stack}");
    let frames = stack.resolve_from(place, &[]);
    assert!(frames[0].calls[0].function.ends_with("a_stack_begins_at_the_line_that_is_wanted"), "{stack}");
    // A line that is not in the stack leaves it as it is.
    let elsewhere = std::panic::Location::caller();
    assert_eq!(stack.resolve_from(elsewhere, &[]), stack.resolve(&[]));
}

fn an_address_of_a_page_has_a_slot_and_a_bucket() {
    let page = lend(current_node(), PageRequest { bytes: 8192, slot_size: 32, leaf: true }).expect("a page");
    let base = page.base().addr().get();
    let place = Place::of(base + 70 * 32 + 5).expect("it is in the page");
    assert_eq!((place.page, place.slot_size), (base, 32));
    assert_eq!((place.slot, place.bucket), (70, 1));
    assert!(place.to_string().ends_with("slots of 32 bytes, slot 70, bucket 1"), "{place}");
    assert_eq!(Place::of(&raw const place as usize), None, "a stack is no page");
    // SAFETY: nothing of it is used any more.
    unsafe { give_back(page) };
}

fn main() {
    if let Ok(name) = std::env::var("BUCKETMASK_FRAMES_PART") {
        return part(&name);
    }
    common::run(&[
        ("a_program_as_built_has_functions_and_lines", a_program_as_built_has_functions_and_lines),
        ("without_debug_information_there_are_functions", without_debug_information_there_are_functions),
        ("a_stripped_program_has_what_addr2line_resolves", a_stripped_program_has_what_addr2line_resolves),
        ("a_foreign_frame_is_told_like_ours", a_foreign_frame_is_told_like_ours),
        ("a_panic_tells_its_context_in_every_binary", a_panic_tells_its_context_in_every_binary),
        ("a_panic_below_a_foreign_frame_tells_its_context", a_panic_below_a_foreign_frame_tells_its_context),
        (
            "a_panic_at_an_address_of_no_page_says_the_address_alone",
            a_panic_at_an_address_of_no_page_says_the_address_alone,
        ),
        ("a_panic_that_nobody_hears_ends_nothing", a_panic_that_nobody_hears_ends_nothing),
        ("an_address_in_no_module_is_unknown", an_address_in_no_module_is_unknown),
        ("what_a_caller_does_not_want_is_left_out", what_a_caller_does_not_want_is_left_out),
        ("a_stack_begins_at_the_line_that_is_wanted", a_stack_begins_at_the_line_that_is_wanted),
        ("an_address_of_a_page_has_a_slot_and_a_bucket", an_address_of_a_page_has_a_slot_and_a_bucket),
    ]);
}
