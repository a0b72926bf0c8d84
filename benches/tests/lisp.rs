//! The example language runtime on both collectors: the same scripts print the same. Owned by the promise that a runtime ports
//! by the name of its dependency. Invariant: what is expected stands here, so that both can't be wrong alike.

#[path = "../examples/lisp/both.rs"]
mod both;

use both::{here, read, there};

const DEMO: &str = include_str!("../examples/lisp/demo.lisp");

#[test]
fn both_collectors_print_the_same_and_collect_meanwhile() {
    let ours = here::machine::run(DEMO).unwrap();
    let theirs = there::machine::run(DEMO).unwrap();
    let expected = [
        "233",
        "44850",
        "(3 4 5 6 8 15 31 32 33 53 62 64 79 84 89 92)",
        "24500",
        "(1500 . 121)",
        "10",
        "done",
    ];
    assert_eq!(ours.printed, expected);
    assert_eq!(theirs.printed, expected);
    for (cycles, most) in [(ours.cycles, ours.most_objects), (theirs.cycles, theirs.most_objects)] {
        assert!(cycles >= 10, "{cycles} cycles");
        assert!((500..20_000).contains(&most), "{most} objects at once");
    }
}

#[test]
fn faults_are_told_alike() {
    for (script, fault) in [
        ("(car 1)", "not a pair"),
        ("nothing", "nothing stands for nothing"),
        ("(set! x 1)", "x stands for nothing"),
        ("((lambda (x) x))", "too few"),
        ("((lambda (x) x) 1 2)", "too many"),
        ("(+ 1)", "wrong number"),
        ("(1 2)", "no procedure"),
        ("(print", "without end"),
        (")", "without beginning"),
    ] {
        let ours = here::machine::run(script).unwrap_err();
        assert!(ours.contains(fault), "{script}: {ours}");
        assert_eq!(ours, there::machine::run(script).unwrap_err(), "{script}");
    }
}

#[test]
fn scripts_are_read() {
    let quoted = read::forms("'(1 a) ; a comment\n-2").unwrap();
    assert_eq!(quoted, [read::forms("(quote (1 a))").unwrap(), read::forms("-2").unwrap()].concat());
}
