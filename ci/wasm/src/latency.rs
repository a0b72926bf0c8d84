//! How long a message is on its way from one worker to another, where the receiver sleeps in `memory.atomic.wait32`, and where it polls.
//!
//! Each message is a time, the reply is the next one's leave to go. Quick: the next message goes at once. Paced: a while later,
//! as messages come to a program that has nothing else to do.
//! Invariant: a figure is the median of its rounds' values.

use bucketmask_alloc::sync::ring::Ring;

use crate::bell::{Bell, sleep};
use crate::meet::Meeting;
use crate::worker::{now, record, tell};

const ROOM: usize = 4;
const ROUNDS: usize = 15;

static THERE: Ring<u64, ROOM> = Ring::new();
static BACK: Ring<u64, ROOM> = Ring::new();
static THERE_BELL: Bell = Bell::new();
static BACK_BELL: Bell = Bell::new();
static MEETING: Meeting = Meeting::new();

struct Case {
    name: &'static str,
    messages: usize,
    /// Nanoseconds from a reply to the next message.
    pause: i64,
}

const CASES: [Case; 2] = [
    Case { name: "message/quick", messages: 2000, pause: 0 },
    Case { name: "message/paced", messages: 300, pause: 200_000 },
];

/// How an end waits.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Wait,
    Poll,
}

/// Worker 0 sends, worker 1 receives and measures.
#[unsafe(no_mangle)]
extern "C" fn latency(worker: u32, _fault: u32) {
    for case in &CASES {
        for (way, name) in [(Way::Wait, "wait-notify"), (Way::Poll, "polling")] {
            if worker == 0 {
                (0..ROUNDS).for_each(|_| send(case, way));
            } else {
                let rounds: Vec<_> = (0..ROUNDS).map(|_| receive(case, way)).collect();
                report(case, name, &rounds);
            }
        }
    }
}

fn send(case: &Case, way: Way) {
    MEETING.wait(2);
    let mut there = THERE.producer().expect("it is free");
    let mut back = BACK.consumer().expect("it is free");
    for _ in 0..case.messages {
        if case.pause > 0 {
            sleep(case.pause);
        }
        there.push(now()).expect("it is empty");
        if way == Way::Wait {
            THERE_BELL.ring();
        }
        take(way, &BACK_BELL, || back.pop());
    }
}

/// The times of a round, sorted.
fn receive(case: &Case, way: Way) -> Vec<u64> {
    MEETING.wait(2);
    let mut there = THERE.consumer().expect("it is free");
    let mut back = BACK.producer().expect("it is free");
    let mut times = Vec::with_capacity(case.messages);
    for _ in 0..case.messages {
        let sent = take(way, &THERE_BELL, || there.pop());
        times.push(now().saturating_sub(sent));
        back.push(sent).expect("it is empty");
        if way == Way::Wait {
            BACK_BELL.ring();
        }
    }
    times.sort_unstable();
    times
}

fn take(way: Way, bell: &Bell, mut pop: impl FnMut() -> Option<u64>) -> u64 {
    loop {
        let seen = bell.word();
        if let Some(value) = pop() {
            return value;
        }
        match way {
            Way::Wait => bell.wait(seen, 0),
            Way::Poll => core::hint::spin_loop(),
        }
    }
}

fn report(case: &Case, way: &str, rounds: &[Vec<u64>]) {
    let at = |percent: usize| {
        let value = |times: &Vec<u64>| times[(times.len() - 1) * percent / 100] as f64;
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    for (metric, percent) in [("latency_median", 50), ("latency_p99", 99), ("latency_worst", 100)] {
        let values = at(percent);
        let median = quartile(&values, 2);
        let spread = (quartile(&values, 3) - quartile(&values, 1)) / median;
        record(&format!(
            r#"{{"suite":"wasm","case":"{}","impl":"{way}","metric":"{metric}","value":{median},"unit":"ns","better":"lower","n":{},"rounds":{},"spread":{spread:.4}}}"#,
            case.name,
            case.messages,
            rounds.len()
        ));
    }
    let (median, worst) = (quartile(&at(50), 2), quartile(&at(100), 2));
    tell(&format!(
        "{}, {way}: median {median} ns, 99 % {} ns, worst {worst} ns",
        case.name,
        quartile(&at(99), 2)
    ));
}

/// The value that so many quarters of the sorted values lie below, between two neighbours in proportion.
fn quartile(sorted: &[f64], quarters: usize) -> f64 {
    let last = sorted.len() - 1;
    let (place, rest) = (quarters * last / 4, quarters * last % 4);
    sorted[place] + (sorted[(place + 1).min(last)] - sorted[place]) * rest as f64 / 4.0
}
