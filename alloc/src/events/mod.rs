//! What `BUCKETMASK_TRACE` asks for, and how it gets written: for this crate's events and for those of the layers above.
//!
//! ```text
//! mem          the allocator's slow paths as events, and their lines
//! transport    rings and a channel from threads to the receiver
//! aggregator   the thread that receives, and writes
//! ```
//!
//! The variable is a list, set apart by commas: `gc` a line a cycle, `mem` a line for each slow path of the allocator, `barrier`
//! lines that count barriers, `json` all of them as JSON objects. It is looked at once. Invariant: nothing here blocks who
//! tells; without the variable there is no thread, and a slow path costs one branch more.
#![allow(unsafe_code)]

pub mod aggregator;
pub(crate) mod mem;
pub mod transport;

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u8);

impl Asked {
    /// A line a cycle of a collector.
    pub const GC: Self = Self(1);
    /// A line for each slow path of the allocator.
    pub const MEM: Self = Self(2);
    /// Lines that count barriers.
    pub const BARRIER: Self = Self(4);
    /// JSON.
    pub const JSON: Self = Self(8);

    /// Whether one of them was asked for.
    pub fn any(self, of: &[Self]) -> bool {
        of.iter().any(|of| self.0 & of.0 != 0)
    }

    fn of(list: &[u8]) -> Self {
        let words = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let bits = words.map(|word| match word {
            b"gc" => Self::GC.0,
            b"mem" => Self::MEM.0,
            b"barrier" => Self::BARRIER.0,
            b"json" => Self::JSON.0,
            _ => 0,
        });
        Self(bits.fold(0, |all, bits| all | bits))
    }
}

/// What the environment asks for, as it was when somebody looked first.
pub fn asked() -> Asked {
    const LOOKED: u8 = 1 << 7;
    static ASKED: AtomicU8 = AtomicU8::new(0);
    // A build for measurements: what lines cost that nobody asks for.
    if cfg!(bucketmask_untraced) {
        return Asked(0);
    }
    let known = ASKED.load(Ordering::Relaxed);
    if known != 0 {
        return Asked(known & !LOOKED);
    }
    // SAFETY: getenv reads the environment; who changes it meanwhile breaks its contract, not ours.
    let list = unsafe {
        let value = libc::getenv(c"BUCKETMASK_TRACE".as_ptr());
        if value.is_null() { &[] } else { CStr::from_ptr(value).to_bytes() }
    };
    let asked = Asked::of(list);
    ASKED.store(asked.0 | LOOKED, Ordering::Relaxed);
    asked
}

/// The kernel's number of the calling thread.
pub fn thread_number() -> u64 {
    crate::thread::number()
}

/// Writes names and values: as `"name":value,...` or as `name value, ...`, addresses in hexadecimal.
///
/// # Errors
/// Those of `out`.
pub fn write_fields(out: &mut impl Write, json: bool, fields: &[(&str, u64)]) -> fmt::Result {
    for (nth, (name, value)) in fields.iter().enumerate() {
        let (comma, is_address) = (if nth > 0 { "," } else { "" }, *name == "address");
        match (json, is_address) {
            (true, true) => write!(out, "{comma}\"{name}\":\"{value:#x}\"")?,
            (true, false) => write!(out, "{comma}\"{name}\":{value}")?,
            (false, true) => write!(out, "{comma} {name} {value:#x}")?,
            (false, false) => write!(out, "{comma} {name} {value}")?,
        }
    }
    Ok(())
}

/// Tells of events that are missing, if more are than were told of.
///
/// # Errors
/// Those of `out`.
pub fn write_missing(out: &mut impl Write, what: &str, now: [u64; 2], told: &mut [u64; 2]) -> fmt::Result {
    if *told == now {
        return Ok(());
    }
    *told = now;
    let [lost, broken] = now;
    if asked().any(&[Asked::JSON]) {
        return writeln!(
            out,
            "{{\"trace\":\"{what}\",\"event\":\"missing\",\"dropped\":{lost},\"broken\":{broken}}}"
        );
    }
    writeln!(out, "{what} trace: {lost} events dropped, {broken} with a wrong checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_word_by_word() {
        let of = |list: &str| Asked::of(list.as_bytes()).0;
        assert_eq!([of(""), of("gctrace"), of("gc"), of("mem, json")], [0, 0, 1, 10]);
        assert_eq!(of("gc,mem,barrier,json,what"), 15);
    }

    #[test]
    fn fields_are_written_as_text_and_as_json() {
        let fields = [("bytes", 64), ("address", 255)];
        let (mut text, mut json) = (String::new(), String::new());
        write_fields(&mut text, false, &fields).unwrap();
        write_fields(&mut json, true, &fields).unwrap();
        assert_eq!(text, " bytes 64, address 0xff");
        assert_eq!(json, r#""bytes":64,"address":"0xff""#);
    }
}
