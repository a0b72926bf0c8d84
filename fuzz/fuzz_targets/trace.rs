//! Any bytes as a trace, and any bytes as the records of one: reading ends, in events or in an error with a place inside what
//! was read, and never in a panic or in an address that no allocator gives.
#![no_main]

use bucketmask_alloc::trace::{Action, Reader, Wrong};
use libfuzzer_sys::fuzz_target;

const HEAD: usize = 4096;
const CHUNK: usize = 64 << 10;

/// A trace that a program left when it was killed, of one chunk with these records.
fn trace_of(records: &[u8]) -> Vec<u8> {
    let mut trace = vec![0; HEAD + CHUNK];
    trace[..8].copy_from_slice(b"bmtrace\n");
    trace[8..12].copy_from_slice(&1u32.to_le_bytes());
    trace[12..16].copy_from_slice(&(CHUNK as u32).to_le_bytes());
    trace[HEAD..HEAD + 4].copy_from_slice(&1u32.to_le_bytes());
    trace[HEAD + 4..HEAD + 8].copy_from_slice(&(records.len() as u32).to_le_bytes());
    trace[HEAD + 32..HEAD + 32 + records.len()].copy_from_slice(records);
    trace
}

fn read(trace: &[u8]) -> usize {
    let mut reader = match Reader::new(trace) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(error.offset <= trace.len() as u64);
            return 0;
        }
    };
    let mut events = 0;
    let mut time = std::time::Duration::ZERO;
    for event in reader.by_ref() {
        match event {
            Ok(event) => {
                assert!(event.time >= time && (event.thread as usize) <= events);
                time = event.time;
                events += 1;
                if let Action::Malloc { address, align, .. } = event.action {
                    assert!(address % 8 == 0 && align.is_power_of_two());
                }
            }
            Err(error) => {
                assert!(error.offset <= trace.len() as u64 && !matches!(error.wrong, Wrong::Io(_)));
            }
        }
    }
    assert!(reader.next().is_none());
    events
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let events = read(&trace_of(bytes));
    assert!(events <= bytes.len());
});
