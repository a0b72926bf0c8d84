//! What helps to trust a heap: trace lines, dumps, stress, and poisoned slots.
//!
//! Invariant: none of it changes what lives.

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Collect, Gc, GcWeak, Mutation, RefLock, Rootable, Stress};
use std::process::Command;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    number: u64,
    links: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
    weak: Option<GcWeak<'gc, u8>>,
}

type Graph = Arena<Rootable![Vec<Gc<'_, Node<'_>>>]>;

fn node<'gc>(mc: &Mutation<'gc>, number: u64) -> Gc<'gc, Node<'gc>> {
    Gc::new(mc, Node { number, links: RefLock::default(), weak: None })
}

fn link<'gc>(mc: &Mutation<'gc>, from: Gc<'gc, Node<'gc>>, to: Gc<'gc, Node<'gc>>) {
    unlock!(Gc::write(mc, from), Node, links).borrow_mut().push(to);
}

/// The program whose trace is looked at, in a process of its own.
#[test]
#[ignore = "run by the test of the trace line"]
fn traced_program() {
    let mut arena = Graph::new(|mc| (0..1000).map(|number| node(mc, number)).collect());
    arena.finish_cycle();
    arena.mutate_root(|_, root| root.truncate(100));
    arena.mutate(|mc, root| link(mc, root[0], root[2]));
    assert!(arena.finish_marking().is_some());
    arena.mutate(|mc, root| link(mc, root[0], root[1]));
    arena.finish_cycle();
}

/// The standard error of the program, with this in its environment.
fn run_traced(trace: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "traced_program", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("BUCKETMASK_TRACE").envs(trace.map(|trace| ("BUCKETMASK_TRACE", trace)));
    let output = command.output().expect("a process");
    assert!(output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_cycle_writes_a_line_if_asked_to() {
    for off in [None, Some(""), Some("gctrace"), Some("alloc")] {
        assert!(!run_traced(off).contains("gc "), "{off:?}");
    }
    for on in ["gc", "alloc,gc"] {
        let lines: Vec<_> =
            run_traced(Some(on)).lines().filter(|line| line.starts_with("gc ")).map(str::to_owned).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let number = |line: &str, before: &str, after: &str| -> f64 {
            let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("{before:?} in {line}"));
            let (number, _) = rest.split_once(after).unwrap_or_else(|| panic!("{after:?} in {line}"));
            number
                .rsplit(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{number:?} in {line}"))
        };
        assert!(lines[0].starts_with("gc 1 @") && lines[1].starts_with("gc 2 @"));
        let held = number(&lines[1], "heap ", " -> ");
        assert!((48_000.0..200_000.0).contains(&held), "{}", lines[1]);
        assert!(number(&lines[1], " -> ", " bytes") < held, "{}", lines[1]);
        let counts =
            [("steps ", ","), ("objects ", " marked"), (" marked ", " swept"), (" forward ", " backward")];
        assert_eq!(
            counts.map(|(before, after)| number(&lines[1], before, after).to_string()),
            ["2", "100", "900", "1"]
        );
        // 1000 objects side by side: the lines they fill, and some that two buckets share.
        let (least, lines_read) =
            (1000.0 * size_of::<Node<'_>>() as f64 / 64.0, number(&lines[0], "lines ", ","));
        assert!((least..least * 1.05).contains(&lines_read), "{}", lines[0]);
        for part in
            ["mark ", "sweep ", "longest ", " dense ", " sparse ", " skipped", " container ", " unpublished"]
        {
            assert!(lines[0].contains(part), "{part:?} in {}", lines[0]);
        }
    }
}

#[test]
fn barriers_are_counted_by_cycle_and_by_thread_if_asked_to() {
    let lines = |trace| -> Vec<String> {
        run_traced(Some(trace)).lines().filter(|line| line.contains("barrier")).map(str::to_owned).collect()
    };
    let text = lines("barrier");
    assert_eq!(text.len(), 2, "{text:?}");
    // One link while nothing is marked, none before, then one while marking goes on.
    for (line, cycle, counts) in [
        (&text[0], 1, "taken 0 (0 forward 0 backward 0 bucket 0 container), 0 shaded, elided 0 idle, "),
        (&text[1], 2, "taken 1 (0 forward 1 backward 0 bucket 0 container), 0 shaded, elided 1 idle, "),
    ] {
        assert!(line.starts_with(&format!("barrier {cycle} @")) && line.contains(counts), "{line}");
    }
    assert!(text[1].ends_with("thread so far taken 1 elided 1"), "{}", text[1]);
    let json = lines("barrier,json");
    assert_eq!(json.len(), 2, "{json:?}");
    let part =
        "\"taken\":1,\"forward\":0,\"backward\":1,\"bucket\":0,\"container\":0,\"shaded\":0,\"idle\":1,";
    assert!(
        json[1].starts_with("{\"trace\":\"barrier\",\"event\":\"cycle\",\"cycle\":2,")
            && json[1].contains(part),
        "{}",
        json[1]
    );
    let cycles = run_traced(Some("gc,json"));
    let second =
        cycles.lines().filter(|line| line.starts_with("{\"trace\":\"gc\"")).nth(1).expect("two cycles");
    assert!(second.contains("\"steps\":2,") && second.contains("\"marked\":100,\"swept\":900,"), "{second}");
}

#[test]
fn a_dump_says_why_an_object_is_kept() {
    let mut arena = Graph::new(|mc| {
        let nodes: Vec<_> = (0..10).map(|number| node(mc, number)).collect();
        (0..9).for_each(|at| link(mc, nodes[at], nodes[at + 1]));
        // A short cut, which the path takes.
        link(mc, nodes[2], nodes[7]);
        vec![nodes[0], nodes[2]]
    });
    let address = |arena: &Graph, number: u64| {
        arena.mutate(|_, root| {
            let mut at = root[0];
            while at.number != number {
                let next = at.links.borrow()[0];
                at = next;
            }
            Gc::as_ptr(at).addr()
        })
    };
    let nine = address(&arena, 9);
    let dump = arena.dump();
    assert_eq!((dump.objects.len(), dump.roots.len()), (10, 2));
    let path = dump.path_to(nine).expect("kept");
    let numbers = [2, 7, 8, 9].map(|number| address(&arena, number));
    assert!(path.iter().map(|object| object.address).eq(numbers));
    assert!(
        path.iter().all(|object| object.type_name.contains("Node") && object.bytes >= size_of::<Node<'_>>())
    );
    assert!(dump.to_string().lines().count() == 11 && dump.to_string().contains(&format!("{nine:#x} ")));

    arena.mutate_root(|_, root| drop(root.split_off(1)));
    arena.mutate(|mc, root| unlock!(Gc::write(mc, root[0]), Node, links).borrow_mut().clear());
    let dump = arena.dump();
    assert_eq!(dump.objects.len(), 10, "no cycle has freed them");
    assert_eq!(dump.path_to(nine), None);
}

/// Changes a graph a little; returns a sum over what is reachable, which no collection may change.
fn change(arena: &mut Graph, round: u64) -> u64 {
    arena.mutate_root(|mc, root| {
        let new = node(mc, round);
        if round % 3 == 0 || root.is_empty() {
            root.push(new);
        } else {
            let at = (round * 7) as usize % root.len();
            link(mc, root[at], new);
            link(mc, new, root[(round * 3) as usize % root.len()]);
        }
        if round % 11 == 0 {
            let at = (round * 5) as usize % root.len();
            root.swap_remove(at);
        }
        if round % 23 == 0 && !root.is_empty() {
            unlock!(Gc::write(mc, root[0]), Node, links).borrow_mut().clear();
        }
        let (mut seen, mut pending) = (std::collections::HashSet::new(), root.clone());
        while let Some(at) = pending.pop() {
            if seen.insert(at.number) {
                pending.extend(at.links.borrow().iter());
            }
        }
        seen.iter().sum()
    })
}

#[test]
fn stress_changes_nothing_but_the_time() {
    let run = |stress: Option<Stress>| {
        let mut arena = Graph::new(|_| Vec::new());
        arena.set_stress(stress);
        let mut phases = std::collections::HashSet::new();
        let sums: Vec<_> = (1..600)
            .map(|round| {
                let sum = change(&mut arena, round);
                arena.collect_debt();
                phases.insert(arena.collection_phase() as u8);
                if round % 8 == 0 {
                    assert!(arena.verify().is_ok(), "{:?}", arena.verify());
                }
                sum
            })
            .collect();
        (sums, arena.last_cycle().cycle, phases.len())
    };
    let (plain, few, _) = run(None);
    let (every, cycles, _) = run(Some(Stress::EveryAllocation));
    assert_eq!(every, plain);
    assert!(cycles == 599 && few < 30, "{cycles} cycles under stress, {few} without");
    for seed in 1..8 {
        let (sums, cycles, phases) = run(Some(Stress::Steps(seed)));
        assert_eq!(sums, plain);
        assert!(cycles > 40 && phases == 4, "{cycles} cycles, {phases} phases");
        assert_eq!(run(Some(Stress::Steps(seed))).1, cycles, "a seed says it all");
    }
}

#[cfg(feature = "checked")]
#[test]
fn freed_slots_are_poisoned() {
    let mut arena =
        Arena::<Rootable![Vec<Gc<'_, [u64; 4]>>]>::new(|mc| (0..64).map(|n| Gc::new(mc, [n; 4])).collect());
    let freed = arena.mutate_root(|_, root| {
        let freed = root.split_off(32);
        freed.into_iter().map(|gc| Gc::as_ptr(gc).addr()).collect::<Vec<_>>()
    });
    let first = arena.mutate(|_, root| Gc::as_ptr(root[0]));
    arena.finish_cycle();
    for address in freed {
        let freed = first.with_addr(address);
        // SAFETY: a slot of a page that the arena holds, since others of its slots are occupied.
        let value = unsafe { freed.read() };
        assert_eq!(value, [0xDBDB_DBDB_DBDB_DBDB; 4]);
    }
    arena.mutate(|_, root| assert!(root.iter().enumerate().all(|(at, value)| **value == [at as u64; 4])));
}
