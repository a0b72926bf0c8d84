//! What panics, and what it says.
//!
//! Invariant: a map that panicked is as it was.

use crate::subject::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the panic of `act` says.
fn message(act: impl FnOnce()) -> String {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(act));
    std::panic::set_hook(hook);
    let payload = outcome.expect_err("it must panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// One test, for the panic hook is the process's.
#[test]
fn messages() {
    let mut map = HashMap::from([("a", 1), ("b", 2)]);
    assert_eq!(message(|| assert_eq!(map["c"], 3)), "no entry found for key");
    let text = message(|| {
        map.get_disjoint_mut(["a", "b", "a"]);
    });
    assert_eq!(text, "duplicate keys found");
    assert_eq!(message(|| map.reserve(usize::MAX)), "Hash table capacity overflow");
    assert_eq!(message(|| map.reserve(usize::MAX / 4)), "Hash table capacity overflow");
    assert_eq!(
        message(|| drop(HashMap::<u8, u8>::with_capacity(usize::MAX))),
        "Hash table capacity overflow"
    );
    assert_eq!(message(|| drop(HashSet::<u8>::with_capacity(usize::MAX))), "Hash table capacity overflow");
    let text = message(|| {
        map.entry("d").or_insert_with(|| panic!("no value"));
    });
    assert_eq!(text, "no value");
    assert_eq!(message(|| map.retain(|_, value| if *value == 1 { false } else { panic!("stop") })), "stop");
    assert!(map.len() <= 2 && map["b"] == 2, "what was not reached stays");
    map.insert("a", 1);
    assert_eq!(map, HashMap::from([("a", 1), ("b", 2)]));
}
