//! A trace made ready for a child process: steps with numbers in place of addresses, 16 bytes each, in a temporary file. The
//! command owns the plan. Invariants: a block's number stands for one block at a time, and for no other within the same window of steps;
//! a step's block was made by a step before it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

use bucketmask_alloc::trace::{Action, Event, Reader, TraceError};
use tempfile::NamedTempFile;

use crate::error::Error;

/// Steps that threads do before they wait for each other.
pub const WINDOW: usize = 4096;

/// Bytes of a step in the file.
pub const STEP: usize = 16;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// Make a block.
    Malloc = 1,
    /// Make a block of zeros.
    Zeroed = 2,
    /// Free it.
    Free = 3,
    /// Resize it. What the step before it of the same thread says is written of it, or all.
    Resize = 4,
    /// End the thread.
    End = 5,
    /// Of the block that the thread makes or resizes next, write so many bytes, which `size` says, and not all.
    Write = 7,
    /// Of no thread: the steps behind it were done so many milliseconds after the start, which `size` says.
    Clock = 6,
}

/// One step of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who.
    pub thread: u16,
    /// What.
    pub what: What,
    /// The block's alignment, as a power of two.
    pub align: u8,
    /// The block's number.
    pub block: u32,
    /// Bytes, where a block is made or resized.
    pub size: u64,
}

impl Step {
    fn encode(self) -> [u8; STEP] {
        let mut bytes = [0; STEP];
        bytes[..2].copy_from_slice(&self.thread.to_le_bytes());
        bytes[2] = self.what as u8;
        bytes[3] = self.align;
        bytes[4..8].copy_from_slice(&self.block.to_le_bytes());
        bytes[8..].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }

    fn decode(bytes: [u8; STEP]) -> Option<Self> {
        let [t0, t1, what, align, b0, b1, b2, b3, s0, s1, s2, s3, s4, s5, s6, s7] = bytes;
        let what = match what {
            1 => What::Malloc,
            2 => What::Zeroed,
            3 => What::Free,
            4 => What::Resize,
            5 => What::End,
            6 => What::Clock,
            7 => What::Write,
            _ => return None,
        };
        Some(Self {
            thread: u16::from_le_bytes([t0, t1]),
            what,
            align,
            block: u32::from_le_bytes([b0, b1, b2, b3]),
            size: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        })
    }
}

/// What a trace holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Steps to replay.
    pub steps: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Numbers that were needed for them.
    pub numbers: u32,
    /// Threads.
    pub threads: u32,
    /// Most bytes asked for that were live at once.
    pub peak_live: u64,
    /// Frees and resizes of blocks that the trace does not know: made before the recording, or not by this allocator.
    pub unknown: u64,
    /// Whether the program ended the recording in peace.
    pub is_complete: bool,
}

/// A plan, and the file that holds it as long as this lives.
#[derive(Debug)]
pub struct Plan {
    /// The steps.
    pub file: NamedTempFile,
    /// What they add up to.
    pub facts: Facts,
    /// Why the trace was not read to its end, if that was accepted.
    pub broken: Option<TraceError>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    number: u32,
    size: u64,
    align: u8,
}

impl Plan {
    /// Makes a plan of the trace at `path`. With `partial`, what is valid of a broken trace is a trace.
    ///
    /// # Errors
    /// The trace can't be read or is broken, has more than 65,535 threads or 2^32 blocks at a time, or there is no room for
    /// the plan.
    pub fn of(path: &Path, partial: bool) -> Result<Self, Error> {
        let fail = |fault| Error::Trace { path: path.into(), fault };
        // What a block's end tells of it has to be known when it is made.
        let written = written_parts(Reader::open(path).map_err(fail)?);
        let reader = Reader::open(path).map_err(fail)?;
        let file =
            NamedTempFile::new().map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        let mut planner = Planner::new(BufWriter::new(file), written);
        planner.facts.is_complete = reader.is_complete();
        let mut broken = None;
        for event in reader {
            match event {
                Ok(event) => planner.take(event).map_err(|why| why.on(path))?,
                Err(fault) if partial => broken = Some(fault),
                Err(fault) => return Err(fail(fault)),
            }
        }
        let facts = planner.facts;
        let file = planner
            .out
            .into_inner()
            .map_err(|error| Error::Write { path: std::env::temp_dir(), source: error.into_error() })?;
        Ok(Self { file, facts, broken })
    }
}

/// Why an event can't be planned.
#[derive(Debug)]
enum Unfit {
    Threads,
    Blocks,
    Disk(std::io::Error),
}

impl Unfit {
    fn on(self, path: &Path) -> Error {
        match self {
            Self::Threads => Error::Unfit { path: path.into(), why: "it has more than 65,535 threads" },
            Self::Blocks => Error::Unfit { path: path.into(), why: "it has more than 2^32 blocks at a time" },
            Self::Disk(source) => Error::Write { path: std::env::temp_dir(), source },
        }
    }
}

/// How much was written of the large blocks of a trace, by the event that made or resized them, as far as it tells.
fn written_parts(events: impl Iterator<Item = Result<Event, TraceError>>) -> HashMap<u64, u64> {
    let mut makers: HashMap<u64, u64> = HashMap::new();
    let mut written = HashMap::new();
    for (event, number) in events.map_while(Result::ok).zip(0..) {
        match event.action {
            Action::Malloc { address, size, .. } | Action::Resized { address, size, .. } => {
                if size >= LARGE {
                    makers.insert(address, number);
                } else {
                    makers.remove(&address);
                }
            }
            Action::Touched { address, bytes } => {
                if let Some(maker) = makers.remove(&address) {
                    written.insert(maker, bytes);
                }
            }
            _ => {}
        }
    }
    written
}

/// Blocks from this size on are told of when they are freed.
const LARGE: u64 = 64 << 10;

#[derive(Debug)]
struct Planner<W: Write> {
    out: W,
    /// See [`written_parts`], and the number of the next event.
    written: HashMap<u64, u64>,
    event: u64,
    facts: Facts,
    live: HashMap<u64, Block>,
    live_bytes: u64,
    /// The last time told, in milliseconds, and what was put, clocks as well.
    clock: u64,
    put: u64,
    /// Blocks that a thread is resizing.
    between: HashMap<u32, Block>,
    /// Numbers that may be used again, and those of the window's dead, which may not yet.
    free: Vec<u32>,
    dead: Vec<u32>,
}

impl<W: Write> Planner<W> {
    fn new(out: W, written: HashMap<u64, u64>) -> Self {
        Self {
            out,
            written,
            event: 0,
            facts: Facts::default(),
            live: HashMap::new(),
            live_bytes: 0,
            clock: 0,
            put: 0,
            between: HashMap::new(),
            free: Vec::new(),
            dead: Vec::new(),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Unfit> {
        self.facts.threads = self.facts.threads.max(event.thread + 1);
        // The last number is no thread's, but a clock's.
        let thread = u16::try_from(event.thread).ok().filter(|&thread| thread < u16::MAX);
        let thread = thread.ok_or(Unfit::Threads)?;
        let now = event.time.as_millis() as u64;
        if now > self.clock {
            self.tell_time(now)?;
        }
        let written = self.written.get(&self.event).copied();
        self.event += 1;
        if let Some(size) = written {
            if (self.put + 1).is_multiple_of(WINDOW as u64) {
                // It belongs to the step behind it, so into the same window.
                self.tell_time(self.clock)?;
            }
            self.write(Step { thread, what: What::Write, align: 0, block: 0, size })?;
        }
        match event.action {
            Action::Touched { .. } => Ok(()),
            Action::Malloc { address, size, align, zeroed } => {
                self.forget(thread, address)?;
                let block = Block { number: self.number()?, size, align: align.trailing_zeros() as u8 };
                self.settle(address, block);
                self.facts.blocks += 1;
                self.put(thread, if zeroed { What::Zeroed } else { What::Malloc }, block)
            }
            Action::Free { address } => {
                if let Some(block) = self.live.remove(&address) {
                    return self.free(thread, block);
                }
                self.facts.unknown += 1;
                Ok(())
            }
            Action::Resizing { address } => {
                match self.live.remove(&address) {
                    Some(block) => {
                        self.live_bytes -= block.size;
                        self.between.insert(event.thread, block);
                    }
                    None => self.facts.unknown += 1,
                }
                Ok(())
            }
            Action::Resized { address, size, align } => {
                self.forget(thread, address)?;
                let align = align.trailing_zeros() as u8;
                let (what, block) = match self.between.remove(&event.thread) {
                    Some(block) => (What::Resize, Block { size, ..block }),
                    // Made before the recording.
                    None => (What::Malloc, Block { number: self.number()?, size, align }),
                };
                self.settle(address, block);
                self.put(thread, what, block)
            }
            Action::ThreadEnd => self.put(thread, What::End, Block { number: 0, size: 0, align: 0 }),
        }
    }

    /// Frees what is taken for live at an address that was handed out: its free was not recorded.
    fn forget(&mut self, thread: u16, address: u64) -> Result<(), Unfit> {
        match self.live.remove(&address) {
            Some(block) => self.free(thread, block),
            None => Ok(()),
        }
    }

    fn free(&mut self, thread: u16, block: Block) -> Result<(), Unfit> {
        self.live_bytes -= block.size;
        self.dead.push(block.number);
        self.put(thread, What::Free, block)
    }

    fn settle(&mut self, address: u64, block: Block) {
        self.live_bytes += block.size;
        self.facts.peak_live = self.facts.peak_live.max(self.live_bytes);
        self.live.insert(address, block);
    }

    fn number(&mut self) -> Result<u32, Unfit> {
        if let Some(number) = self.free.pop() {
            return Ok(number);
        }
        let number = self.facts.numbers;
        self.facts.numbers = number.checked_add(1).ok_or(Unfit::Blocks)?;
        Ok(number)
    }

    fn put(&mut self, thread: u16, what: What, block: Block) -> Result<(), Unfit> {
        self.facts.steps += 1;
        self.write(Step { thread, what, align: block.align, block: block.number, size: block.size })
    }

    fn tell_time(&mut self, now: u64) -> Result<(), Unfit> {
        self.clock = now;
        self.write(Step { thread: u16::MAX, what: What::Clock, align: 0, block: 0, size: now })
    }

    fn write(&mut self, step: Step) -> Result<(), Unfit> {
        self.out.write_all(&step.encode()).map_err(Unfit::Disk)?;
        self.put += 1;
        if self.put.is_multiple_of(WINDOW as u64) {
            self.free.append(&mut self.dead);
        }
        Ok(())
    }
}

/// Reads a plan's file, window by window, into the same memory.
#[derive(Debug)]
pub struct Windows {
    file: File,
    bytes: Box<[u8]>,
    steps: Vec<Step>,
}

impl Windows {
    /// Opens the plan at `path`, at its first step.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        file.rewind()?;
        Ok(Self { file, bytes: vec![0; WINDOW * STEP].into(), steps: Vec::with_capacity(WINDOW) })
    }

    /// The next window; empty at the end.
    ///
    /// # Errors
    /// The file can't be read, or is no plan.
    pub fn read(&mut self) -> std::io::Result<&[Step]> {
        let mut got = 0;
        loop {
            match self.file.read(&mut self.bytes[got..])? {
                0 => break,
                more => got += more,
            }
        }
        self.steps.clear();
        for bytes in self.bytes[..got].chunks(STEP) {
            let step = bytes.try_into().ok().and_then(Step::decode);
            self.steps.push(step.ok_or(std::io::ErrorKind::InvalidData)?);
        }
        Ok(&self.steps)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn planned(actions: &[(u32, Action)]) -> (Vec<Step>, Facts) {
        let event = |&(thread, action): &(u32, Action)| Event { thread, time: Duration::ZERO, action };
        let mut planner =
            Planner::new(Vec::new(), written_parts(actions.iter().map(|action| Ok(event(action)))));
        for action in actions {
            planner.take(event(action)).unwrap();
        }
        let steps = planner.out.chunks(STEP).map(|bytes| Step::decode(bytes.try_into().unwrap()).unwrap());
        (steps.collect(), planner.facts)
    }

    fn malloc(address: u64, size: u64) -> Action {
        Action::Malloc { address, size, align: 16, zeroed: false }
    }

    #[test]
    fn addresses_become_numbers() {
        let (steps, facts) = planned(&[
            (0, malloc(64, 10)),
            (1, Action::Malloc { address: 128, size: 20, align: 64, zeroed: true }),
            (1, Action::Free { address: 64 }),
            (0, Action::Resizing { address: 128 }),
            // The address is free from the start of the resize on.
            (1, malloc(128, 5)),
            (0, Action::Resized { address: 64, size: 40, align: 64 }),
            (0, Action::Free { address: 4096 }),
            (1, Action::ThreadEnd),
        ]);
        let step = |thread, what, align, block, size| Step { thread, what, align, block, size };
        assert_eq!(
            steps,
            [
                step(0, What::Malloc, 4, 0, 10),
                step(1, What::Zeroed, 6, 1, 20),
                step(1, What::Free, 4, 0, 10),
                step(1, What::Malloc, 4, 2, 5),
                step(0, What::Resize, 6, 1, 40),
                step(1, What::End, 0, 0, 0),
            ]
        );
        let expected = Facts {
            steps: 6,
            blocks: 3,
            numbers: 3,
            threads: 2,
            peak_live: 45,
            unknown: 1,
            is_complete: false,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_was_written_of_a_large_block_is_known_when_it_is_made() {
        let (steps, facts) = planned(&[
            (0, malloc(64, 1 << 20)),
            (1, malloc(1 << 30, 10)),
            (0, Action::Touched { address: 64, bytes: 4096 }),
            (0, Action::Resizing { address: 64 }),
            (0, Action::Resized { address: 64, size: 2 << 20, align: 16 }),
            (0, Action::Touched { address: 64, bytes: 8192 }),
            (0, Action::Free { address: 64 }),
        ]);
        let told: Vec<_> = steps.iter().map(|step| (step.thread, step.what, step.size)).collect();
        let expected = [
            (0, What::Write, 4096),
            (0, What::Malloc, 1 << 20),
            (1, What::Malloc, 10),
            (0, What::Write, 8192),
            (0, What::Resize, 2 << 20),
            (0, What::Free, 2 << 20),
        ];
        assert_eq!((told.as_slice(), facts.steps), (expected.as_slice(), 4));
        // Both in one window, wherever they fall.
        let mut actions: Vec<_> = (0..WINDOW as u64 - 1).map(|number| (0, malloc(number << 4, 1))).collect();
        actions
            .extend([(0, malloc(1 << 40, 1 << 20)), (0, Action::Touched { address: 1 << 40, bytes: 4096 })]);
        let (steps, _) = planned(&actions);
        assert_eq!((steps[WINDOW - 1].what, steps[WINDOW].what), (What::Clock, What::Write));
    }

    #[test]
    fn a_free_that_is_missing_is_made_up_and_numbers_wait_for_the_next_window() {
        let (steps, facts) = planned(&[(0, malloc(64, 10)), (0, malloc(64, 30))]);
        assert_eq!(
            steps.iter().map(|step| step.what).collect::<Vec<_>>(),
            [What::Malloc, What::Free, What::Malloc]
        );
        assert_eq!((facts.numbers, facts.peak_live), (2, 30));
        let pairs = [(0, malloc(64, 10)), (0, Action::Free { address: 64 })].repeat(3 * WINDOW);
        let (_, facts) = planned(&pairs);
        assert_eq!(facts.numbers, WINDOW as u32 / 2, "one a block of a window, over and over");
    }

    #[test]
    fn more_threads_than_a_step_can_name_are_refused() {
        let mut planner = Planner::new(Vec::new(), HashMap::new());
        let action = malloc(64, 10);
        for thread in [u32::from(u16::MAX), 1 << 16] {
            let event = Event { thread, time: Duration::ZERO, action };
            assert!(matches!(planner.take(event), Err(Unfit::Threads)));
        }
        let event = Event { thread: u32::from(u16::MAX) - 1, time: Duration::from_millis(7), action };
        planner.take(event).unwrap();
        let clock = Step::decode(planner.out[..STEP].try_into().unwrap()).unwrap();
        assert_eq!((clock.what, clock.size, planner.facts.steps), (What::Clock, 7, 1));
    }
}
