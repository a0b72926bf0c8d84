//! What the report and its child processes say to each other: a plan and the texts on the child's standard input, messages
//! as JSON lines on its standard output. Shared by both sides. Invariant: a conversation is `Hello`, then any number of
//! `Progress`, one `Built`, `Step`s, and `Done` at the end; anything else is a failed child. Texts travel instead of paths,
//! so that every child indexes the same bytes whatever happens to the files meanwhile.

use std::io::{BufRead, ErrorKind, Read, Write};

use serde::{Deserialize, Serialize};

use crate::fragmentation::Fragmentation;
use crate::memory::Footprint;

/// Which program a child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// bucketmask's allocator, collector and map.
    Ours,
    /// mimalloc, gc-arena and hashbrown.
    Peer,
}

/// How the collector of a side walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Walk {
    /// By occupancy masks; the peer's only way, by hashbrown's control bytes, stands here too.
    Native,
    /// Every slot singly: ours, for comparison.
    Flat,
}

/// What a child is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which program.
    pub side: Side,
    /// Percent of the identifiers that each wave keeps, falling.
    pub keeps: Vec<u32>,
    /// Collections of the settled heap to time at each step; one flat one comes with them.
    pub cycles: u32,
    /// How many texts follow, each with its length before it.
    pub texts: u64,
}

/// One collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Marking, in nanoseconds.
    pub mark_ns: u64,
    /// Sweeping, in nanoseconds.
    pub sweep_ns: u64,
    /// Slots that were looked at; 0 where the collector does not count.
    pub scanned: u64,
    /// Slots that were passed over unseen.
    pub skipped: u64,
}

impl Cycle {
    /// Marking and sweeping together, in nanoseconds.
    pub const fn total_ns(&self) -> u64 {
        self.mark_ns + self.sweep_ns
    }
}

/// What the index looks like from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Identifiers in the map.
    pub entries: u64,
    /// Slots of the map's table.
    pub slots: u64,
    /// Buckets (groups of 15, or hashbrown's 16) of that table.
    pub buckets: u64,
    /// Bucket pages of the collector; 0 where it has none.
    pub pages: u64,
}

/// The index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Identifier occurrences indexed.
    pub tokens: u64,
    /// Nanoseconds for cutting and inserting, without reading files.
    pub build_ns: u64,
    /// Memory when the last file was in.
    pub footprint: Footprint,
    /// What the process held resident before the first file.
    pub resident_before: u64,
}

/// One wave of deletes and what followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Percent of identifiers kept.
    pub keep: u32,
    /// Identifiers removed by this wave.
    pub removed: u64,
    /// Nanoseconds for removing them.
    pub delete_ns: u64,
    /// GC objects reachable now: postings lists and their chunks.
    pub objects: u64,
    /// Bytes of these objects, as their types count them.
    pub live_bytes: u64,
    /// The first collection after the deletes: it frees.
    pub first: Cycle,
    /// Collections of the settled heap, by walk.
    pub native: Vec<Cycle>,
    /// The same heap walked flat; empty for the peer.
    pub flat: Vec<Cycle>,
    /// Looking up the sample of identifiers, in nanoseconds.
    pub query_ns: u64,
    /// How many look-ups that were.
    pub queries: u64,
    /// Checksum of their answers.
    pub answers: u64,
    /// Checksum of all that is live.
    pub checksum: u64,
    /// What the index looks like.
    pub shape: Shape,
    /// What the process holds.
    pub footprint: Footprint,
    /// Where it holds it; only our allocator can tell.
    pub fragmentation: Option<Fragmentation>,
}

/// What a child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// First words.
    Hello {
        /// The program it runs.
        side: Side,
        /// The allocator under it.
        allocator: String,
    },
    /// So many bytes of the input are indexed.
    Progress {
        /// Bytes since the start.
        bytes: u64,
    },
    /// The index stands.
    Built(Built),
    /// One wave is measured.
    Step(Box<Step>),
    /// The last word.
    Done,
}

/// Why a conversation broke off.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The pipe broke.
    #[error("the pipe broke: {0}")]
    Io(#[from] std::io::Error),
    /// A line is no message, or not one that may stand there.
    #[error("line {line} is not what was due ({why})")]
    Unexpected {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It ended before `Done`.
    #[error("it ended after {0} lines without a last word")]
    Short(usize),
}

/// Sends a plan and the texts it is about.
///
/// # Errors
/// The child reads no more.
pub fn send_plan(to: &mut impl Write, plan: &Plan, texts: &[String]) -> std::io::Result<()> {
    writeln!(to, "{}", serde_json::to_string(plan)?)?;
    for text in texts {
        to.write_all(&(text.len() as u64).to_le_bytes())?;
        to.write_all(text.as_bytes())?;
    }
    to.flush()
}

/// Receives a plan; its texts follow.
///
/// # Errors
/// What comes is no plan.
pub fn receive_plan(from: &mut impl BufRead) -> Result<Plan, ProtocolError> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    serde_json::from_str(&line).map_err(|error| ProtocolError::Unexpected { line: 1, why: error.to_string() })
}

/// Receives the next text.
///
/// # Errors
/// It ends before the text does, or is not UTF-8.
pub fn receive_text(from: &mut impl Read) -> std::io::Result<String> {
    let mut len = [0; 8];
    from.read_exact(&mut len)?;
    let mut bytes = Vec::new();
    let got = from.by_ref().take(u64::from_le_bytes(len)).read_to_end(&mut bytes)?;
    if got as u64 != u64::from_le_bytes(len) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(bytes).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))
}

/// Says one thing.
///
/// # Errors
/// Nobody listens any more.
pub fn send(to: &mut impl Write, message: &Message) -> std::io::Result<()> {
    writeln!(to, "{}", serde_json::to_string(message)?)?;
    to.flush()
}

/// What a child said in all.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The allocator that it ran on.
    pub allocator: String,
    /// The building of the index.
    pub built: Built,
    /// The waves, in order.
    pub steps: Vec<Step>,
}

/// Listens to a child of `side` until `Done`, passing progress on.
///
/// # Errors
/// The child says something that is not due, or ends before it is done.
pub fn listen(
    from: impl BufRead,
    side: Side,
    mut progress: impl FnMut(u64),
) -> Result<Account, ProtocolError> {
    let (mut allocator, mut built) = (None, None);
    let mut steps = Vec::new();
    let mut count = 0;
    for (idx, content) in from.lines().enumerate() {
        let content = content?;
        count = idx + 1;
        let unexpected = |why: &str| ProtocolError::Unexpected { line: count, why: why.into() };
        let message: Message =
            serde_json::from_str(&content).map_err(|error| unexpected(&error.to_string()))?;
        match message {
            Message::Hello { side: said, allocator: name } if allocator.is_none() && said == side => {
                allocator = Some(name);
            }
            Message::Hello { .. } => return Err(unexpected("a greeting from another program")),
            _ if allocator.is_none() => return Err(unexpected("no greeting")),
            Message::Progress { bytes } => progress(bytes),
            Message::Built(value) if built.is_none() => built = Some(value),
            Message::Built(_) => return Err(unexpected("built twice")),
            Message::Step(_) if built.is_none() => return Err(unexpected("a step before it was built")),
            Message::Step(step) => steps.push(*step),
            Message::Done => {
                let (Some(allocator), Some(built)) = (allocator, built) else {
                    return Err(unexpected("done before it was built"));
                };
                return Ok(Account { allocator, built, steps });
            }
        }
    }
    Err(ProtocolError::Short(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(messages: &[Message]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            send(&mut bytes, message).unwrap();
        }
        bytes
    }

    fn hello() -> Message {
        Message::Hello { side: Side::Ours, allocator: "bucketmask".into() }
    }

    fn built() -> Message {
        Message::Built(Built { tokens: 3, build_ns: 5, footprint: Footprint::default(), resident_before: 1 })
    }

    #[test]
    fn a_whole_conversation_is_understood() {
        let bytes = say(&[hello(), Message::Progress { bytes: 7 }, built(), Message::Done]);
        let mut seen = 0;
        let account = listen(bytes.as_slice(), Side::Ours, |bytes| seen = bytes).unwrap();
        assert_eq!((seen, account.built.tokens, account.allocator.as_str()), (7, 3, "bucketmask"));
    }

    #[test]
    fn nonsense_is_an_error_with_its_line() {
        let cases: [(Vec<u8>, &str); 7] = [
            (say(&[hello()]), "after 1 lines"),
            (Vec::new(), "after 0 lines"),
            ([say(&[hello()]), b"thread panicked\n".to_vec()].concat(), "line 2"),
            (say(&[built()]), "no greeting"),
            (say(&[Message::Hello { side: Side::Peer, allocator: String::new() }]), "another program"),
            (say(&[hello(), Message::Done]), "before it was built"),
            (say(&[hello(), built(), built()]), "built twice"),
        ];
        for (bytes, why) in cases {
            let error = listen(bytes.as_slice(), Side::Ours, |_| ()).unwrap_err().to_string();
            assert!(error.contains(why), "{error:?} should say {why:?}");
        }
    }

    #[test]
    fn plans_and_texts_arrive_as_sent() {
        let texts = ["größe\n\0".to_owned(), String::new(), "x".repeat(100_000)];
        let plan = Plan { side: Side::Peer, keeps: vec![100, 1], cycles: 2, texts: 3 };
        let mut bytes = Vec::new();
        send_plan(&mut bytes, &plan, &texts).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(receive_plan(&mut from).unwrap(), plan);
        for text in &texts {
            assert_eq!(&receive_text(&mut from).unwrap(), text);
        }
        assert!(from.is_empty());
        let mut cut = &bytes[..bytes.len() - 3];
        receive_plan(&mut cut).unwrap();
        let errors: Vec<_> = texts.iter().filter_map(|_| receive_text(&mut cut).err()).collect();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].kind(), ErrorKind::UnexpectedEof);
        assert!(receive_text(&mut &b"\x01\0\0\0\0\0\0\0\xff"[..]).is_err());
        assert!(matches!(receive_plan(&mut &b"{}\n"[..]), Err(ProtocolError::Unexpected { .. })));
    }
}
