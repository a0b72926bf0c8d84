//! The program that the report runs on both sides: index the input, ask it, delete in waves, collect after each. A child
//! process owns it. Invariant: what it does depends on the plan and the input alone, so both sides give the same
//! checksums; only times and memory differ.

use std::hash::BuildHasher;
use std::io;
use std::time::Instant;

use crate::engine::{Engine, Hasher, Place};
use crate::fragmentation::Fragmentation;
use crate::memory::Footprint;
use crate::protocol::{Built, Message, Plan, Step, Walk};

/// Identifiers are kept by their hash in ten-thousandths, so that each wave keeps a part of the one before it.
const PARTS: u64 = 10_000;

/// Progress is told every so many bytes.
const PROGRESS_BYTES: u64 = 4 << 20;

/// At most this many identifiers are asked for at each step.
const QUERIES: usize = 10_000;

/// Asks the allocator where memory lies; None when another allocator is installed.
pub type Locate<'a> = &'a dyn Fn() -> Option<Fragmentation>;

/// The way back to whoever asked.
pub type Say<'a> = &'a mut dyn FnMut(Message) -> io::Result<()>;

/// Runs the plan over the texts, which come one by one, and says what it measures.
///
/// # Errors
/// Those of `texts` and of `say`, the ways from and to the parent.
pub fn run<E: Engine>(
    plan: &Plan,
    texts: impl Iterator<Item = io::Result<String>>,
    locate: Locate<'_>,
    say: Say<'_>,
) -> io::Result<()> {
    let mut engine = E::new();
    let built = build(&mut engine, texts, say)?;
    say(Message::Built(built))?;
    let sample = query_sample(&engine);
    for &keep in &plan.keeps {
        say(Message::Step(Box::new(step(&mut engine, keep, plan.cycles, &sample, locate))))?;
    }
    say(Message::Done)
}

/// Whether the wave that keeps `percent` keeps `identifier`: uniform, and the same in every process.
pub fn keeps(identifier: &str, percent: u32) -> bool {
    let hash = Hasher::with_seed(0x7761_7665).hash_one(identifier);
    ((u128::from(hash) * u128::from(PARTS)) >> 64) as u64 / (PARTS / 100) < u64::from(percent)
}

fn build<E: Engine>(
    engine: &mut E,
    texts: impl Iterator<Item = io::Result<String>>,
    say: Say<'_>,
) -> io::Result<Built> {
    let resident_before = Footprint::now().resident;
    let (mut tokens, mut build_ns, mut bytes, mut told) = (0, 0, 0, 0);
    for (idx, text) in texts.enumerate() {
        let text = text?;
        let start = Instant::now();
        tokens += engine.add(idx as u32, &text);
        build_ns += start.elapsed().as_nanos() as u64;
        bytes += text.len() as u64;
        if bytes - told >= PROGRESS_BYTES {
            told = bytes;
            say(Message::Progress { bytes })?;
        }
    }
    Ok(Built { tokens, build_ns, footprint: Footprint::now(), resident_before })
}

/// A fixed sample of what is in the index, with as many names again that are not.
fn query_sample<E: Engine>(engine: &E) -> Vec<String> {
    let hasher = Hasher::with_seed(0x6173_6b73);
    let mut sample = engine.identifiers(|identifier| hasher.hash_one(identifier) % 16 == 0);
    sample.sort_by_cached_key(|identifier| hasher.hash_one(identifier.as_str()));
    sample.truncate(QUERIES);
    let absent: Vec<String> = sample.iter().map(|identifier| format!("{identifier}-absent")).collect();
    sample.extend(absent);
    sample
}

fn step<E: Engine>(engine: &mut E, keep: u32, cycles: u32, sample: &[String], locate: Locate<'_>) -> Step {
    let start = Instant::now();
    let removed = engine.retain(|identifier| keeps(identifier, keep));
    let delete_ns = start.elapsed().as_nanos() as u64;
    let first = engine.collect(Walk::Native);
    let (mut native, mut flat) = (Vec::new(), Vec::new());
    for cycle in 0..cycles {
        native.push(engine.collect(Walk::Native));
        // Once between two others: a flat walk takes several times as long, and each round brings one more.
        if cycle == 0 && engine.has_flat() {
            flat.push(engine.collect(Walk::Flat));
        }
    }
    let start = Instant::now();
    let answers = ask(engine, sample);
    let query_ns = start.elapsed().as_nanos() as u64;
    let census = engine.census();
    let [list, chunk] = E::OBJECT_BYTES;
    Step {
        keep,
        removed,
        delete_ns,
        objects: census.objects,
        live_bytes: census.entries * list as u64 + (census.objects - census.entries) * chunk as u64,
        first,
        native,
        flat,
        query_ns,
        queries: sample.len() as u64,
        answers,
        checksum: census.checksum,
        shape: engine.shape(),
        footprint: Footprint::now(),
        fragmentation: locate(),
    }
}

/// Looks every identifier of the sample up and reads its places; the answer is their checksum.
fn ask<E: Engine>(engine: &E, sample: &[String]) -> u64 {
    let mut sum = 0_u64;
    for identifier in sample {
        let mut places = 0;
        let found = engine.query(identifier, |place| places = place.fold(places));
        sum = Place { file: u32::from(found), line: 0 }.fold(sum ^ places);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ours::Ours, peer::Peer};
    use crate::protocol::Side;

    fn messages<E: Engine>(texts: &[String]) -> Vec<Message> {
        let plan =
            Plan { side: Side::Ours, keeps: vec![100, 50, 10, 1], cycles: 1, texts: texts.len() as u64 };
        let mut said = Vec::new();
        run::<E>(&plan, texts.iter().cloned().map(Ok), &|| None, &mut |message| {
            said.push(message);
            Ok(())
        })
        .unwrap();
        said
    }

    fn steps(said: &[Message]) -> Vec<(u32, u64, u64, u64, u64, u64)> {
        let step = |message: &Message| match message {
            Message::Step(s) => Some((s.keep, s.removed, s.shape.entries, s.objects, s.answers, s.checksum)),
            _ => None,
        };
        said.iter().filter_map(step).collect()
    }

    #[test]
    fn both_sides_agree_with_each_other_and_with_a_count() {
        let mut expected = std::collections::HashMap::<String, u64>::new();
        let mut texts = Vec::new();
        for file in 0..20_u32 {
            let words: Vec<String> =
                (0..500_u32).map(|idx| format!("w{}", (idx * idx + file * 31) % 1500)).collect();
            for word in &words {
                *expected.entry(word.clone()).or_default() += 1;
            }
            texts.push(words.join("\n"));
        }
        let (ours, peer) = (messages::<Ours>(&texts), messages::<Peer>(&texts));
        assert_eq!(steps(&ours), steps(&peer));
        let steps = steps(&ours);
        for (keep, _, entries, objects, ..) in &steps {
            let kept: Vec<u64> =
                expected.iter().filter(|(word, _)| keeps(word, *keep)).map(|(_, &count)| count).collect();
            let chunks: u64 = kept.iter().map(|count| count.div_ceil(5)).sum();
            assert_eq!((*entries, *objects), (kept.len() as u64, kept.len() as u64 + chunks), "{keep} %");
        }
        assert!(steps[3].2 < steps[0].2 / 20, "1 % is left: {steps:?}");
    }

    #[test]
    fn a_text_that_does_not_come_ends_the_run() {
        let plan = Plan { side: Side::Ours, keeps: vec![100], cycles: 1, texts: 1 };
        let broken = std::iter::once(Err(io::ErrorKind::UnexpectedEof.into()));
        assert!(run::<Peer>(&plan, broken, &|| None, &mut |_| Ok(())).is_err());
    }

    #[test]
    fn waves_are_nested_and_uniform() {
        let words: Vec<String> = (0..20_000).map(|idx| format!("identifier{idx}")).collect();
        for (more, fewer) in [(100, 50), (50, 10), (10, 1)] {
            let kept = words.iter().filter(|word| keeps(word, fewer)).count();
            assert!((kept as f64 / 20_000.0 - f64::from(fewer) / 100.0).abs() < 0.01);
            assert!(words.iter().all(|word| !keeps(word, fewer) || keeps(word, more)));
        }
    }
}
