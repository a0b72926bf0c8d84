//! A small language runtime on either collector: `cargo run --example lisp -- [--on gc-arena] SCRIPT`. It runs a script of the
//! Lisp in `machine.rs`, prints what that prints, and says on standard error what the collector did meanwhile. Invariant: the
//! same script prints the same on both.

use std::process::ExitCode;

mod both;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let on_peer = words.first().is_some_and(|word| word == "--on");
    let (name, run): (String, fn(&str) -> _) = if on_peer {
        (words.drain(..words.len().min(2)).next_back().unwrap_or_default(), |text| {
            both::there::machine::run(text).map(|ran| (ran.printed, ran.cycles, ran.most_objects))
        })
    } else {
        ("bucketmask".into(), |text| {
            both::here::machine::run(text).map(|ran| (ran.printed, ran.cycles, ran.most_objects))
        })
    };
    let [script] = &words[..] else {
        eprintln!("usage: lisp [--on gc-arena] SCRIPT");
        return ExitCode::from(2);
    };
    if on_peer && name != "gc-arena" {
        eprintln!("there is no collector {name:?}; --on takes gc-arena");
        return ExitCode::from(2);
    }
    let text = match std::fs::read_to_string(script) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("cannot read {script}: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&text) {
        Ok((printed, cycles, most_objects)) => {
            for line in printed {
                println!("{line}");
            }
            eprintln!("{name}: {cycles} cycles, at most {most_objects} objects at once");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{script}: {fault}");
            ExitCode::FAILURE
        }
    }
}
