//! The lookup that docs/map.md shows instruction by instruction, and the program that makes its table.
//!
//! Owned by `ci/hit-path.sh`, which gives it its own disassembly (`objdump -d --no-show-raw-insn -M intel`, demangled) on
//! standard input; it prints Markdown. Without input it looks a few keys up. Invariant: what it prints depends on the
//! instructions alone, not on addresses.

use bucketmask_map::HashTable;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::io::{IsTerminal, Read};

/// What is shown: a hit in a table of two words an entry, with the hash at hand.
#[inline(never)]
fn look_up(table: &HashTable<(u64, u64)>, hash: u64, key: u64) -> Option<&(u64, u64)> {
    table.find(hash, |entry| entry.0 == key)
}

/// Where the arguments of `look_up` come in.
const ARGUMENTS: [&str; 3] = ["rdi", "rsi", "rdx"];

/// One instruction: its name, its operands, and where it jumps to, as an index.
struct Instruction {
    name: String,
    operands: Vec<String>,
    target: Option<usize>,
}

impl Instruction {
    fn text(&self, labels: &BTreeMap<usize, String>) -> String {
        match self.target {
            Some(target) => format!("{} {}", self.name, labels[&target]),
            None => format!("{} {}", self.name, self.operands.join(", ")).trim_end().to_owned(),
        }
    }
}

/// The instructions of `look_up` in a disassembly.
fn parse(disassembly: &str) -> Vec<Instruction> {
    let body =
        disassembly.lines().skip_while(|line| !line.contains("hit_path::look_up") || !line.ends_with(">:"));
    let lines: Vec<(&str, &str)> = body
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.trim().split_once(':'))
        .collect();
    let index = |address: &str| lines.iter().position(|(at, _)| *at == address);
    let mut found: Vec<Instruction> = Vec::new();
    for (_, code) in &lines {
        let code = code.split('#').next().unwrap_or_default().trim();
        // How far away a constant lies is the linker's choice.
        let code = &match code.split_once("[rip+") {
            Some((before, after)) => {
                format!("{before}[constant]{}", after.split_once(']').map_or("", |(_, rest)| rest))
            }
            None => code.to_owned(),
        };
        let (mut name, mut rest) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        // Padding, and prefixes that older processors ignore: `rep bsf` is the count of trailing zeros.
        if name == "rep" || name == "repz" {
            (name, rest) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest, ""));
        }
        let jump = name.starts_with('j');
        let target = if jump { rest.split_whitespace().next().and_then(index) } else { None };
        let operands =
            rest.split(',').map(|operand| operand.trim().to_owned()).filter(|operand| !operand.is_empty());
        found.push(Instruction { name: name.to_owned(), operands: operands.collect(), target });
    }
    while found.last().is_some_and(|last| is_padding(&last.name)) {
        found.pop();
    }
    found
}

fn is_padding(name: &str) -> bool {
    ["nop", "int3", "cs", "data16", "xchg"].iter().any(|padding| name.starts_with(padding))
}

/// The 64-bit (or vector) register that a name is a part of.
fn register(name: &str) -> Option<String> {
    if name.starts_with("xmm") || name.starts_with("ymm") {
        return Some(format!("xmm{}", &name[3..]));
    }
    if let Some(number) =
        name.strip_prefix('r').filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    {
        return Some(format!("r{}", number.trim_end_matches(['d', 'w', 'b'])));
    }
    let core = name.trim_start_matches(['r', 'e']);
    let core = if core.len() == 2 && core.ends_with('l') && !core.starts_with(['a', 'b', 'c', 'd']) {
        "?"
    } else {
        core
    };
    let full = match core {
        "ax" | "al" | "ah" => "rax",
        "bx" | "bl" | "bh" => "rbx",
        "cx" | "cl" | "ch" => "rcx",
        "dx" | "dl" | "dh" => "rdx",
        "si" | "sil" => "rsi",
        "di" | "dil" => "rdi",
        "bp" | "bpl" => "rbp",
        "sp" => "rsp",
        _ => return None,
    };
    Some(full.to_owned())
}

/// All registers that an operand names.
fn registers(operand: &str) -> Vec<String> {
    operand.split(|symbol: char| !symbol.is_ascii_alphanumeric()).filter_map(register).collect()
}

/// Registers that an instruction reads, and those that it writes.
fn effects(instruction: &Instruction) -> (Vec<String>, Vec<String>) {
    let name = instruction.name.as_str();
    let operands = &instruction.operands;
    // What is pushed and popped belongs to the caller.
    if instruction.target.is_some() || is_padding(name) || name == "push" || name == "pop" {
        return (Vec::new(), Vec::new());
    }
    if name == "ret" {
        return (vec!["rax".into()], Vec::new());
    }
    if name == "mul" {
        let mut read = registers(&operands[0]);
        read.push("rax".into());
        return (read, vec!["rax".into(), "rdx".into()]);
    }
    let Some((first, others)) = operands.split_first() else { return (Vec::new(), Vec::new()) };
    let mut read: Vec<String> = others.iter().flat_map(|operand| registers(operand)).collect();
    let mut written = Vec::new();
    let reads_only = ["cmp", "test", "bt"].contains(&name) || name.starts_with("ptest");
    let zeroes = ["xor", "pxor", "xorps"].contains(&name) && others.first() == Some(first);
    let writes_only = ["mov", "lea", "set", "bsf", "tzcnt", "pshuf", "pmovmsk", "vp", "vmov"];
    let sets =
        writes_only.iter().any(|known| name.starts_with(known)) || name == "imul" && operands.len() == 3;
    if zeroes {
        read.clear();
    }
    if first.contains('[') {
        read.extend(registers(first));
    } else {
        if !sets && !zeroes {
            read.extend(registers(first));
        }
        if !reads_only {
            written.extend(registers(first));
        }
    }
    if name == "mulx" {
        read = registers(&operands[2]);
        read.push("rdx".into());
        written.extend(registers(&operands[1]));
    }
    (read, written)
}

/// What an instruction is for, where its form says so.
fn purpose(at: usize, instruction: &Instruction) -> &'static str {
    let all = instruction.operands.join(",");
    match instruction.name.as_str() {
        "movabs" if all.contains("0x9e3779b97f4a7c15") => "the finaliser's factor",
        "mul" | "mulx" => "home bucket: high half of hash * homes",
        name if name.starts_with("cmov") && !all.contains("al") => "a choice without a branch",
        "movdqa" | "movaps" | "vmovdqa" if all.contains('[') => {
            "the bucket's head: 15 tophashes and the overflow count"
        }
        "pcmpeqb" | "vpcmpeqb" => "all tophashes compared at once",
        "pmovmskb" | "vpmovmskb" => "one bit a slot",
        "bsf" | "tzcnt" => "the first slot that matches",
        "pshufd" | "pshufb" | "pshuflw" | "punpcklbw" | "vpbroadcastb" => "tophash to every byte",
        "cmp" if all.contains("BYTE PTR") && all.contains("0xf]") => "did an entry go further?",
        "test" if all.contains("WORD PTR") => "did an entry go further?",
        "bt" => "did an entry of its class go further?",
        "test" if instruction.operands[0].starts_with('r') && !all.contains('[') => {
            "watermark: none, at rest"
        }
        "setb" => "below the watermark?",
        "cmp" if all.contains("QWORD PTR") => "the key",
        name if name != "jmp"
            && name.starts_with('j')
            && instruction.target.is_some_and(|target| target <= at) =>
        {
            "back"
        }
        _ => "",
    }
}

/// The first and the last instruction of the outermost loop: a trail's buckets. What jumps back always comes from a piece
/// that stands out of the way.
fn trail(code: &[Instruction]) -> Option<(usize, usize)> {
    let loops = code.iter().enumerate().filter(|(_, one)| one.name != "jmp");
    let backward = loops.filter_map(|(at, one)| one.target.filter(|&to| to <= at).map(|to| (to, at)));
    backward.max_by_key(|(to, at)| at - to)
}

/// The table of the registers.
fn table(code: &[Instruction], labels: &BTreeMap<usize, String>) -> String {
    struct Life {
        first: Option<usize>,
        last: usize,
        in_loop: Option<bool>,
    }
    let around = trail(code);
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    for (at, instruction) in code.iter().enumerate() {
        let (read, written) = effects(instruction);
        let inside = around.is_some_and(|(first, last)| (first..=last).contains(&at));
        for (name, reads) in
            read.iter().map(|name| (name, true)).chain(written.iter().map(|name| (name, false)))
        {
            let first = if reads { None } else { Some(at) };
            let life = lives.entry(name.clone()).or_insert(Life { first, last: at, in_loop: None });
            if reads {
                life.last = at;
            } else if life.first.is_none() && !ARGUMENTS.contains(&name.as_str()) {
                // Read first in the order of the lines, written first in the order of execution.
                life.first = Some(at);
            }
            if inside && life.in_loop.is_none() {
                life.in_loop = Some(reads);
            }
        }
    }
    let mut text =
        String::from("| register | first value | last use | reused across buckets |\n|---|---|---|---|\n");
    for (name, life) in lives {
        let first =
            life.first.map_or("an argument".to_owned(), |at| format!("{at}: `{}`", code[at].text(labels)));
        let reused = if life.in_loop == Some(true) { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| `{name}` | {first} | {}: `{}` | {reused} |",
            life.last,
            code[life.last].text(labels)
        );
    }
    text
}

/// The whole block.
fn markdown(code: &[Instruction]) -> String {
    let mut labels = BTreeMap::new();
    let mut targets: Vec<usize> = code.iter().filter_map(|instruction| instruction.target).collect();
    targets.sort_unstable();
    targets.dedup();
    for (number, target) in targets.into_iter().enumerate() {
        labels.insert(target, format!("L{number}"));
    }
    let mut text = table(code, &labels);
    text.push_str("\n```text\n");
    for (at, instruction) in code.iter().enumerate() {
        if is_padding(&instruction.name) {
            continue;
        }
        let label = labels.get(&at).map_or(String::new(), |label| format!("{label}:"));
        let line = format!("{at:3} {label:4} {:44} {}", instruction.text(&labels), purpose(at, instruction));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("```\n");
    text
}

fn main() {
    let mut input = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_string(&mut input).expect("a disassembly is text");
    }
    if input.is_empty() {
        let mut table = HashTable::new();
        for key in 0..1000u64 {
            table.insert_unique(key, (key, !key), |entry: &(u64, u64)| entry.0);
        }
        let sum = (0..1000)
            .filter_map(|key| look_up(black_box(&table), key, key))
            .map(|entry| entry.1 & 1)
            .sum::<u64>();
        println!("{sum}");
        return;
    }
    let code = parse(&input);
    assert!(!code.is_empty(), "look_up is not in this disassembly");
    print!("{}", markdown(&code));
}
