//! The barrier detector finds what is broken, says what it is from both sides, and says nothing of what is not.

use bucketmask_gc::checked::FAULTS;

#[path = "faults/mod.rs"]
mod faults;

use faults::CASES;

/// What each report must begin with.
fn headline(name: &str) -> &'static [&'static str] {
    match name {
        "barrier/backward/inverted" => &["a write barrier decides against"],
        "barrier/backward-weak/removed" | "barrier/forward-weak/removed" | "mark/weak/not-held" => {
            &["what a weak pointer leads to is not held"]
        }
        "sweep/mask-bit/live-slot" | "pointer/stale" => &["read of a swept object"],
        "sweep/page/given-back" => &["read through a pointer to no page", "read of a free slot"],
        "allocate/window/occupied-slot" => &["a slot is handed out that an object is in"],
        "pointer/beyond-its-slot" => &["read beyond the end of a slot"],
        "pointer/into-the-middle" => &["read through a pointer into the middle"],
        "pointer/write-after-sweep" => &["a swept object was written to"],
        "write/by-hand/no-barrier" | "write/reached-twice/no-barrier" => {
            &["missed write barrier, found when the callback ended"]
        }
        "write/raw/no-barrier" => &["missed write barrier, found by the next write"],
        _ => &["a reachable object is not marked"],
    }
}

#[test]
fn every_fault_is_found_and_called_by_its_name() {
    for case in &CASES {
        let report = case.outcome(true).unwrap_or_else(|| panic!("{} is not found", case.name));
        let begins = |start: &&str| report.starts_with(&format!("bucketmask: {start}"));
        assert!(headline(case.name).iter().any(begins), "{}: {report}", case.name);
        assert!(report.contains("this side:") && report.contains("other side:"), "{}: {report}", case.name);
    }
}

#[test]
fn the_same_programs_without_the_fault_are_silent() {
    for case in &CASES {
        assert_eq!(case.outcome(false), None, "{}", case.name);
    }
}

/// Those of the list that only maps can run into are the map's tests.
#[test]
fn every_switch_has_a_program() {
    let of_maps = ["gc: container's entries not shaded", "gc: key's value not woken"];
    for fault in FAULTS.iter().filter(|fault| !of_maps.contains(fault)) {
        assert!(CASES.iter().any(|case| case.fault == Some(fault)), "{fault}");
    }
}

#[test]
fn a_report_has_the_stacks_of_both_sides() {
    let case = CASES.iter().find(|case| case.name == "pointer/stale").unwrap();
    let report = case.outcome(true).unwrap();
    let (this, other) = report.split_once("other side: made at").unwrap();
    assert!(this.contains("poisoned") && this.contains("slot "), "{report}");
    assert!(this.contains("faults::stale_pointer"), "{report}");
    assert!(other.contains("faults::nodes") || other.contains("Node::new"), "{report}");
    assert!(other.contains("swept by the collector"), "{report}");
}
