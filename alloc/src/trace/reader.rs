//! Reads a trace.
//!
//! Owned by whoever opened it. Invariant: what is not as `format` says is an error with its place, never a made-up event;
//! after an error there is nothing more. The events before it are right as far as checksums can tell.

use core::fmt;
use core::time::Duration;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::event::{Action, Event};
use super::format::{
    CHUNK, CHUNK_HEAD, COUNTS_AT, Cursor, HEAD, Kind, MAGIC, OS_PAGE, SEALED, SEALED_AT, SUM_AT, USED_AT,
    VERSION, checksum,
};

/// The events of a trace, in order. Takes one chunk of memory and a word a thread.
///
/// ```no_run
/// use bucketmask_alloc::trace::{Action, Reader};
///
/// let trace = Reader::open("program.trace".as_ref())?;
/// let mut asked = 0;
/// for event in trace {
///     if let Action::Malloc { size, .. } = event?.action {
///         asked += size;
///     }
/// }
/// println!("{asked} bytes");
/// # Ok::<(), bucketmask_alloc::trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct Reader<R = BufReader<File>> {
    input: R,
    head: Head,
    chunk: Box<[u8]>,
    /// Where in the file the chunk begins, its number, and how far its records go and are read.
    chunk_at: u64,
    number: u32,
    end: usize,
    at: usize,
    /// Of the chunk: the last address, and whether more may follow it.
    address: u64,
    is_last: bool,
    /// Nothing more comes, whatever the input holds.
    is_over: bool,
    thread: u64,
    time: u64,
    events: u64,
    threads: HashMap<u64, u32>,
    seen_threads: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    process: u64,
    started: u64,
    /// 0 and 0 if the program never ended the recording.
    events: u64,
    chunks: u64,
}

/// Why a trace can't be read on.
#[derive(Debug)]
pub struct TraceError {
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub wrong: Wrong,
}

/// What is wrong with a trace.
#[derive(Debug)]
#[non_exhaustive]
pub enum Wrong {
    /// It can't be read.
    Io(io::Error),
    /// It is something else.
    NotATrace,
    /// It is of a version that this library does not know.
    Version(u32),
    /// It ends too early: it lost its tail after it was written.
    Truncated,
    /// It was changed after it was written, or badly written.
    Corrupt(&'static str),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            Wrong::Io(error) => write!(f, "cannot be read: {error}")?,
            Wrong::NotATrace => write!(f, "not a trace of the allocator's")?,
            Wrong::Version(version) => {
                write!(f, "a trace of version {version}, where {VERSION} can be read")?;
            }
            Wrong::Truncated => write!(f, "the trace is cut off")?,
            Wrong::Corrupt(what) => write!(f, "the trace is corrupt: {what}")?,
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.wrong {
            Wrong::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl Reader {
    /// Opens the trace in a file.
    ///
    /// # Errors
    /// It can't be read, or its head is none of a trace.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|error| TraceError { offset: 0, wrong: Wrong::Io(error) })?;
        Self::new(BufReader::with_capacity(4 * CHUNK, file))
    }
}

impl<R: Read> Reader<R> {
    /// Reads a trace from its first byte on.
    ///
    /// # Errors
    /// As [`open`](Reader::open).
    pub fn new(mut input: R) -> Result<Self, TraceError> {
        let mut bytes = vec![0; HEAD];
        let got = fill(&mut input, &mut bytes, 0)?;
        let wrong = |wrong| Err(TraceError { offset: 0, wrong });
        if got < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC {
            return wrong(Wrong::NotATrace);
        }
        match word(&bytes, 8) {
            _ if got < HEAD => return Err(TraceError { offset: got as u64, wrong: Wrong::Truncated }),
            VERSION => {}
            other => return wrong(Wrong::Version(other)),
        }
        if word(&bytes, 12) as usize != CHUNK {
            return wrong(Wrong::Corrupt("chunks of another size"));
        }
        let head = Head {
            process: long(&bytes, 16),
            started: long(&bytes, 24),
            events: long(&bytes, COUNTS_AT),
            chunks: long(&bytes, COUNTS_AT + 8),
        };
        Ok(Self {
            input,
            head,
            chunk: vec![0; CHUNK].into(),
            chunk_at: HEAD as u64,
            number: 0,
            end: 0,
            at: 0,
            address: 0,
            is_last: false,
            is_over: false,
            thread: 0,
            time: 0,
            events: 0,
            threads: HashMap::new(),
            seen_threads: 0,
        })
    }

    /// The process that was recorded.
    pub fn process(&self) -> u64 {
        self.head.process
    }

    /// When the recording began, since 1970, in whole seconds.
    pub fn started(&self) -> Duration {
        Duration::from_secs(self.head.started)
    }

    /// Whether the recording ended in peace; else the program crashed, was killed or replaced, and the trace holds what it did
    /// until then.
    pub fn is_complete(&self) -> bool {
        self.head.chunks > 0
    }

    fn wrong<T>(&self, at: usize, wrong: Wrong) -> Result<T, TraceError> {
        Err(TraceError { offset: self.chunk_at + at as u64, wrong })
    }

    /// Reads the next chunk. `false`: there is none.
    fn next_chunk(&mut self) -> Result<bool, TraceError> {
        if self.number > 0 {
            self.chunk_at += CHUNK as u64;
        }
        let expected = self.head.chunks;
        if self.is_last || expected > 0 && u64::from(self.number) == expected {
            if expected > 0 && self.events != self.head.events {
                return self.wrong(0, Wrong::Corrupt("not as many events as its head says"));
            }
            return Ok(false);
        }
        let got = fill(&mut self.input, &mut self.chunk, self.chunk_at)?;
        if got == 0 && expected == 0 {
            return Ok(false);
        }
        if got < CHUNK {
            return self.wrong(got, Wrong::Truncated);
        }
        let (number, used) = (word(&self.chunk, 0), word(&self.chunk, USED_AT) as usize);
        if number == 0 && expected == 0 {
            // Never begun.
            return Ok(false);
        }
        self.number += 1;
        if number != self.number {
            return self.wrong(0, Wrong::Corrupt("chunks out of order"));
        }
        let is_sealed = word(&self.chunk, SEALED_AT) == SEALED;
        let Some(sum) = checksum(&self.chunk, used) else {
            return self.wrong(USED_AT, Wrong::Corrupt("more records than fit a chunk"));
        };
        if is_sealed && sum != word(&self.chunk, SUM_AT) {
            return self.wrong(SUM_AT, Wrong::Corrupt("a checksum does not match"));
        }
        if !is_sealed && expected > 0 {
            return self.wrong(SEALED_AT, Wrong::Corrupt("a chunk was never sealed"));
        }
        self.is_last = !is_sealed;
        (self.at, self.end, self.address) = (CHUNK_HEAD, CHUNK_HEAD + used, 0);
        (self.time, self.thread) = (self.time.max(long(&self.chunk, 16)), long(&self.chunk, 24));
        Ok(true)
    }

    /// The next event. `None`: there is none.
    fn read(&mut self) -> Result<Option<Event>, TraceError> {
        loop {
            while self.at >= self.end {
                if !self.next_chunk()? {
                    return Ok(None);
                }
            }
            let from = self.at;
            let mut cursor = Cursor::new(&self.chunk[..self.end], from);
            let Some(record) = decode(&mut cursor, self.address) else {
                return self.wrong(from, Wrong::Corrupt("no record"));
            };
            self.at = cursor.at();
            match record {
                Record::Thread(key) => self.thread = key,
                Record::Time(passed) => self.time = self.time.saturating_add(passed),
                Record::Action(action) => return Ok(Some(self.event(action))),
            }
        }
    }

    fn event(&mut self, action: Action) -> Event {
        if let Action::Malloc { address, .. }
        | Action::Free { address }
        | Action::Touched { address, .. }
        | Action::Resizing { address }
        | Action::Resized { address, .. } = action
        {
            self.address = address;
        }
        let thread = *self.threads.entry(self.thread).or_insert_with(|| {
            self.seen_threads += 1;
            self.seen_threads - 1
        });
        if action == Action::ThreadEnd {
            self.threads.remove(&self.thread);
        }
        self.events += 1;
        Event { thread, time: Duration::from_millis(self.time), action }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read();
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl<R: Read> core::iter::FusedIterator for Reader<R> {}

enum Record {
    Action(Action),
    Thread(u64),
    Time(u64),
}

fn decode(cursor: &mut Cursor<'_>, before: u64) -> Option<Record> {
    let (kind, align) = cursor.tag()?;
    let action = match kind {
        Kind::Thread => return Some(Record::Thread(cursor.number()?)),
        Kind::Time => return Some(Record::Time(cursor.number()?)),
        Kind::Malloc | Kind::Zeroed => {
            let size = cursor.number()?;
            Action::Malloc { address: cursor.address(before)?, size, align, zeroed: kind == Kind::Zeroed }
        }
        Kind::Free => Action::Free { address: cursor.address(before)? },
        Kind::Resizing => Action::Resizing { address: cursor.address(before)? },
        Kind::Resized => {
            let size = cursor.number()?;
            Action::Resized { address: cursor.address(before)?, size, align }
        }
        Kind::End => Action::ThreadEnd,
        Kind::Touched => {
            let bytes = cursor.number()?.checked_mul(OS_PAGE)?;
            Action::Touched { address: cursor.address(before)?, bytes }
        }
    };
    Some(Record::Action(action))
}

/// Reads until `bytes` is full or the input ends; how many were read. `at`: where in the file.
fn fill(input: &mut impl Read, bytes: &mut [u8], at: u64) -> Result<usize, TraceError> {
    let mut got = 0;
    while got < bytes.len() {
        match input.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TraceError { offset: at + got as u64, wrong: Wrong::Io(error) }),
        }
    }
    Ok(got)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
