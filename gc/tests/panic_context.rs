//! A panic in a destructor or in a `trace` is told with thread, heap phase, page, bucket, slot and operation, by this program as built
//! and by stripped copies of it (`strip` of binutils).

use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Arena, Collect, Gc, Rootable};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Bomb(&'static str);

// SAFETY: it holds no pointer.
#[expect(unsafe_code, reason = "traced by hand, so that tracing can panic")]
unsafe impl<'gc> Collect<'gc> for Bomb {
    fn trace<T: Trace<'gc>>(&self, _: &mut T) {
        assert!(self.0 != "mark", "no tracing today");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(self.0 != "sweep", "no dropping today");
    }
}

/// What the root holds.
#[derive(Collect)]
#[collect(no_drop)]
enum Bombs<'gc> {
    One(Gc<'gc, Bomb>),
    Slice(Gc<'gc, [Bomb]>),
}

/// This program, treated with `strip`.
fn stripped(how: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("panic_context{how}"));
    let this = std::env::current_exe().unwrap();
    let strip = Command::new("strip").arg(how).arg("-o").arg(&program).arg(this).output().unwrap();
    assert!(strip.status.success(), "{strip:?}");
    program
}

const PART: &str = "BUCKETMASK_TEST_PART";

#[test]
fn a_panic_in_the_collector_says_where_it_was() {
    if let Ok(part) = std::env::var(PART) {
        bucketmask_alloc::frames::install_panic_context();
        let (bomb, in_slice) = part.strip_suffix(" of a slice").map_or((&*part, false), |part| (part, true));
        let bomb = if bomb == "mark" { "mark" } else { "sweep" };
        let mut arena = Arena::<Rootable![Option<Bombs<'_>>]>::new(|mc| {
            for _ in 0..40 {
                Gc::new(mc, Bomb(""));
                Gc::new_slice(mc, [Bomb(""), Bomb("")]);
            }
            Some(if in_slice {
                Bombs::Slice(Gc::new_slice(mc, [Bomb(""), Bomb(bomb)]))
            } else {
                Bombs::One(Gc::new(mc, Bomb(bomb)))
            })
        });
        if bomb == "sweep" {
            arena.mutate_root(|_, root| *root = None);
        }
        arena.finish_cycle();
        return;
    }
    let (built, lineless, bare) = (std::env::current_exe().unwrap(), stripped("-S"), stripped("-s"));
    // The forty-first of its type; slices of two have 21 slots on their first page.
    let parts = [
        ("mark", ", slot 4"),
        ("sweep", ", slot 4"),
        ("mark of a slice", ", slot 19, bucket 0"),
        ("sweep of a slice", ", slot 19, bucket 0"),
    ];
    for (part, slot) in parts {
        for program in [&built, &lineless, &bare] {
            let (told, stack) = context_of(program, part, slot);
            let first = stack.trim_start();
            if *program == built {
                assert!(first.starts_with("0: <panic_context::Bomb as "), "{told}");
                assert!(stack.contains("panic_context.rs:"), "{told}");
                continue;
            }
            // Without lines, what was inlined has the name of what it is part of; without symbols, none.
            let name = first.trim_start_matches("0: ").split('+').next().unwrap();
            assert_eq!(name == bare.display().to_string(), *program == bare, "{told}");
            assert!(first.contains(&format!("{}+0x", program.display())), "{told}");
            assert!(!stack.contains("panic_context.rs:"), "{told}");
        }
    }
}

/// Runs a program as `part`, and looks at the line of its panic's context; all that it told, and the stack below that line.
fn context_of(program: &Path, part: &str, slot: &str) -> (String, String) {
    let phase = part.split(' ').next().unwrap();
    let operation = if phase == "mark" { "trace" } else { "drop" };
    let child = Command::new(program)
        .args(["--exact", "a_panic_in_the_collector_says_where_it_was", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr).into_owned();
    let line =
        told.lines().find(|line| line.starts_with("bucketmask: thread ")).unwrap_or_else(|| panic!("{told}"));
    for wanted in [
        "\"a_panic_in_the_collector_says_where_it_was\"",
        &format!("heap phase {phase}, in `{operation}` of 0x"),
        "page 0x",
        slot,
        ", bucket 0",
    ] {
        assert!(line.contains(wanted), "{wanted}: {told}");
    }
    let stack = told.split_once(line).unwrap().1.to_owned();
    (told, stack)
}
