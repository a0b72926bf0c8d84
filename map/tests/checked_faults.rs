//! What a checked build asks of maps finds what is broken, and says nothing of what is not.

use bucketmask_map::checked::FAULTS;

mod faults;

use faults::CASES;

#[test]
fn every_fault_is_found() {
    for case in &CASES {
        let report = case.outcome(true).unwrap_or_else(|| panic!("{} is not found", case.name));
        let what = match case.name {
            "map/summary-bit/not-set" => "a map's summary leaves out a mask word",
            "map/watermark/too-high" | "map/watermark/too-low" => {
                "a map's watermark is not where its migration is"
            }
            name if name.starts_with("map/") => "a map's mask and tophashes disagree",
            _ => "a reachable object is not marked",
        };
        assert!(report.starts_with(&format!("bucketmask: {what}")), "{}: {report}", case.name);
    }
}

#[test]
fn every_switch_has_a_program() {
    for fault in FAULTS {
        assert!(CASES.iter().any(|case| case.fault == fault), "{fault}");
    }
}

#[test]
fn the_same_programs_without_the_fault_are_silent() {
    for case in &CASES {
        assert_eq!(case.outcome(false), None, "{}", case.name);
    }
}
