//! Whole Rust programs, on the process's global allocator: JSON parsed, changed and written with `serde_json`; regular
//! expressions compiled and run over a corpus; lines split, sorted and joined. Their input is made from a seed before the
//! clock starts.

use std::fmt::Write;
use std::time::Instant;

use regex::Regex;
use serde_json::Value;

use crate::workload::{Ran, Scale};

const WORDS: [&str; 16] = [
    "mask",
    "bucket",
    "slot",
    "window",
    "page",
    "granule",
    "chunk",
    "span",
    "region",
    "node",
    "head",
    "trail",
    "segment",
    "watermark",
    "remote",
    "summary",
];

fn word(rng: &mut fastrand::Rng) -> String {
    format!("{}{}", WORDS[rng.usize(0..WORDS.len())], rng.u32(0..1000))
}

/// FNV, which is enough to see that two outputs differ.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// A list of records, parsed into [`Value`]s, every second record dropped, a field added to the others, and written again.
#[inline(never)]
pub(super) fn json(scale: Scale) -> Ran {
    let records = scale.pick(40_000, 8000, 20);
    let mut rng = fastrand::Rng::with_seed(17);
    let mut text = String::from("[");
    for idx in 0..records {
        let tags: Vec<String> = (0..rng.usize(0..6)).map(|_| format!("\"{}\"", word(&mut rng))).collect();
        let comma = if idx == 0 { "" } else { "," };
        let (name, place, about) =
            (word(&mut rng), word(&mut rng), [word(&mut rng), word(&mut rng)].join(" "));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"id":{idx},"name":"{name}","score":{},"tags":[{}],"place":{{"name":"{place}","x":{},"y":{}}},"about":"{about}"}}"#,
            rng.f32(),
            tags.join(","),
            rng.u32(..),
            rng.i16(..),
        );
    }
    text.push(']');
    let start = Instant::now();
    let mut value: Value = serde_json::from_str(&text).expect("the text above is JSON");
    if let Value::Array(records) = &mut value {
        let mut keep = false;
        records.retain(|_| {
            keep = !keep;
            keep
        });
        for record in records {
            let about = record["about"].as_str().unwrap_or_default().to_uppercase();
            record["loud"] = Value::String(about);
        }
    }
    let written = serde_json::to_string_pretty(&value).expect("values serialise");
    drop(value);
    Ran::new(1, start, checksum(written.as_bytes()))
}

/// Some expressions, compiled afresh and run over a text, their captures collected.
#[inline(never)]
pub(super) fn regex(scale: Scale) -> Ran {
    let lines = scale.pick(6000, 2000, 20);
    let mut rng = fastrand::Rng::with_seed(19);
    let corpus: Vec<String> = (0..lines)
        .map(|_| {
            (0..12).map(|_| word(&mut rng)).collect::<Vec<_>>().join(if rng.bool() { " " } else { ", " })
        })
        .collect();
    let patterns: Vec<String> = WORDS
        .iter()
        .flat_map(|word| {
            [
                format!(r"\b{word}(\d+)\b"),
                format!(r"({word}\d*)[, ]+(\w+?)(\d{{2,3}})"),
                format!(r"(?i)^.*{word}9\d"),
            ]
        })
        .take(scale.pick(48, 24, 6))
        .collect();
    let start = Instant::now();
    let mut found: Vec<String> = Vec::new();
    for pattern in &patterns {
        let regex = Regex::new(pattern).expect("the patterns above compile");
        for line in corpus.iter().filter(|line| regex.is_match(line)) {
            found.extend(
                regex.captures_iter(line).filter_map(|captures| Some(captures.get(1)?.as_str().to_owned())),
            );
        }
    }
    let sum = found.iter().fold(0_u64, |sum, text| sum.wrapping_add(checksum(text.as_bytes())));
    drop(found);
    Ran::new(1, start, sum)
}

/// A text of lines, split into strings of their own, sorted, deduplicated and joined.
#[inline(never)]
pub(super) fn sort(scale: Scale) -> Ran {
    let lines = scale.pick(400_000, 80_000, 200);
    let mut rng = fastrand::Rng::with_seed(23);
    let mut text = String::new();
    for _ in 0..lines {
        for _ in 0..rng.usize(1..6) {
            text += &word(&mut rng);
        }
        text.push('\n');
    }
    let start = Instant::now();
    let mut strings: Vec<String> = text.lines().map(str::to_owned).collect();
    strings.sort();
    strings.dedup();
    let joined = strings.join("\n");
    drop(strings);
    Ran::new(1, start, checksum(joined.as_bytes()))
}
