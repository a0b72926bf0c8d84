//! A child process's side of the report: reads a plan, runs the program, talks. The parent owns the pipes. Invariant:
//! standard output carries messages and nothing else.

use std::io::{stdin, stdout};

use crate::engine::{ours::Ours, peer::Peer};
use crate::error::Error;
use crate::fragmentation::Fragmentation;
use crate::installed::{Choice, Installed};
use crate::memory::Footprint;
use crate::program;
use crate::protocol::{self, Message, Side};

/// Runs the plan that comes on standard input.
///
/// # Errors
/// The plan is no plan, or nobody listens any more.
pub fn run(installed: &Installed) -> Result<(), Error> {
    let fail = |why: String| Error::Child { engine: "this".into(), why };
    let mut from = stdin().lock();
    let plan = protocol::receive_plan(&mut from).map_err(|error| fail(error.to_string()))?;
    let texts = (0..plan.texts).map(|_| protocol::receive_text(&mut from));
    let mut out = stdout().lock();
    let mut say = |message: Message| protocol::send(&mut out, &message);
    let locate = || match installed.choice() {
        Choice::Bucketmask => {
            let large_committed = Footprint::now().mimalloc_committed;
            Some(Fragmentation::of(&installed.bucketmask().report(), large_committed))
        }
        _ => None,
    };
    let hello = Message::Hello { side: plan.side, allocator: installed.choice().name().into() };
    let told = say(hello).and_then(|()| match plan.side {
        Side::Ours => program::run::<Ours>(&plan, texts, &locate, &mut say),
        Side::Peer => program::run::<Peer>(&plan, texts, &locate, &mut say),
    });
    told.map_err(|error| fail(error.to_string()))
}
