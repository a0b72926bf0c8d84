//! A report on request: at exit and by signal, from a program that does nothing for it but install the
//! allocator.

mod common;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// Runs the test named in a child with the variables given.
fn child(part: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reports_are_printed_on_request", "--nocapture", "--test-threads=1"])
        .env("BUCKETMASK_TEST_PART", part)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Sends this process the signal and waits until the report's file has `count` reports.
fn ask_and_wait(count: usize) {
    let file = std::env::var("BUCKETMASK_REPORT_FILE").unwrap();
    // SAFETY: the signal's handler was installed when this process first allocated.
    unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
    let start = Instant::now();
    let printed = || std::fs::read_to_string(&file).map_or(0, |text| text.matches("process: ").count());
    while printed() < count {
        assert!(start.elapsed() < Duration::from_secs(20), "no report was printed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

extern "C" fn own_handler(_signal: libc::c_int) {}

fn in_child(part: &str) {
    let held: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    match part {
        "asks twice" => (1..=2).for_each(ask_and_wait),
        "has a handler" => {
            let handler: extern "C" fn(libc::c_int) = own_handler;
            // SAFETY: a handler that does nothing, for a signal sent by this process itself.
            unsafe {
                libc::signal(libc::SIGUSR2, handler as libc::sighandler_t);
                libc::raise(libc::SIGUSR2);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        _ => {}
    }
    assert_eq!(held.len(), 1000);
}

#[test]
fn reports_are_printed_on_request() {
    if let Some(part) = common::part() {
        return in_child(&part);
    }
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let at_exit = child("just ends", &[("BUCKETMASK_REPORT", "exit")]);
    assert!(at_exit.status.success(), "{at_exit:?}");
    assert_eq!(told(&at_exit).matches("bucketmask report of process").count(), 1, "{at_exit:?}");
    assert!(told(&at_exit).contains("at exit\nnode 0\n"), "{at_exit:?}");

    let without = child("just ends", &[]);
    assert!(without.status.success() && !told(&without).contains("bucketmask report"), "{without:?}");

    let wrong = child("just ends", &[("BUCKETMASK_REPORT", "often")]);
    assert!(wrong.status.success() && told(&wrong).contains("a list of: exit, SIGUSR2"), "{wrong:?}");

    let file = std::env::temp_dir().join(format!("bucketmask-report-{}", std::process::id()));
    let name = file.to_str().unwrap();
    let variables = [("BUCKETMASK_REPORT", "exit,SIGUSR2"), ("BUCKETMASK_REPORT_FILE", name)];
    let asked = child("asks twice", &variables);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(asked.status.success(), "{asked:?}");
    assert_eq!(text.matches("on SIGUSR2\nnode 0\n").count(), 2, "{text}");
    assert_eq!(text.matches("at exit\nnode 0\n").count(), 1, "{text}");

    let handled = child("has a handler", &[("BUCKETMASK_REPORT", "SIGUSR2")]);
    assert!(handled.status.success() && !told(&handled).contains("bucketmask report"), "{handled:?}");
}
