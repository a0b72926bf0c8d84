//! A panic in a destructor or in a `trace` is told with thread, heap phase, page, bucket, slot and operation.

use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Arena, Collect, Gc, Rootable};
use std::process::Command;

struct Bomb(&'static str);

// SAFETY: it holds no pointer.
#[allow(unsafe_code)]
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

const PART: &str = "BUCKETMASK_TEST_PART";

#[test]
fn a_panic_in_the_collector_says_where_it_was() {
    if let Ok(part) = std::env::var(PART) {
        bucketmask_alloc::frames::install_panic_context();
        let bomb = if part == "mark" { "mark" } else { "sweep" };
        let mut arena = Arena::<Rootable![Option<Gc<'_, Bomb>>]>::new(|mc| {
            for _ in 0..40 {
                Gc::new(mc, Bomb(""));
            }
            Some(Gc::new(mc, Bomb(bomb)))
        });
        if bomb == "sweep" {
            arena.mutate_root(|_, root| *root = None);
        }
        arena.finish_cycle();
        return;
    }
    for (part, operation) in [("mark", "trace"), ("sweep", "drop")] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_panic_in_the_collector_says_where_it_was",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(PART, part)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stderr);
        let line = told
            .lines()
            .find(|line| line.starts_with("bucketmask: thread "))
            .unwrap_or_else(|| panic!("{told}"));
        for wanted in [
            "\"a_panic_in_the_collector_says_where_it_was\"",
            &format!("heap phase {part}, in `{operation}` of 0x"),
            "page 0x",
            ", slot 4",
            ", bucket 0",
        ] {
            assert!(line.contains(wanted), "{wanted}: {told}");
        }
        let (_, stack) = told.split_once(line).unwrap();
        assert!(stack.trim_start().starts_with("0: <panic_context::Bomb as "), "{told}");
        assert!(stack.contains("panic_context.rs:"), "{told}");
    }
}
